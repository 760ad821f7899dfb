"""Files from a real object store, and a history into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from object_store import BUCKET, SECRET, running
from ordervet.entities import Key
from ordervet.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from object_store import ObjectStore

KEY = Key(bytes(range(16)))
ORDERS = b"order_id,placed_at,amount_minor,buyer_id\nt1,2025-11-11 20:00:00,1200,b1\nt2,2025-11-11 21:00:00,1300,b1\n"
OUTCOMES = b"order_id,kind,happened_at\nt1,claim,2025-11-13\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with running(tmp_path_factory.mktemp("store") / "data") as store:
        for name, data in (("orders.csv", ORDERS), ("outcomes.csv", OUTCOMES), ("readme.txt", b"not an export")):
            with store.open().open_output_stream(f"{BUCKET}/exports/{name}") as file:
                file.write(data)
        yield store


@pytest.fixture(autouse=True)
def _environment(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)


def test_files_of_a_store_are_ingested_and_the_history_is_published(
    ordervet, store: ObjectStore, tmp_path: Path
) -> None:
    history, to = tmp_path / "history", f"s3://{BUCKET}/published"

    ended = ordervet("ingest", f"s3://{BUCKET}/exports", "--history", history, "--json")
    once = ordervet("ingest", f"s3://{BUCKET}/exports/orders.csv", "--history", history, "--json")
    published = ordervet("history", "publish", to, "--history", history)
    again = ordervet("history", "publish", to, "--history", history, "--json")
    verified = ordervet("history", "verify", "--history", history, "--published", to, "--json")

    assert ended.code == 0, ended.err
    assert [(each["file"], each["n_accepted"]) for each in ended.json["files"]] == [
        ("orders.csv", 2),
        ("outcomes.csv", 1),
    ]
    assert once.json["files"][0]["n_known"] == 2
    assert "1 data file, 1 of them new" in published.out, published.err
    assert again.json["n_bytes"] == 0
    assert verified.code == 0, verified.err
    assert [each["state"] for each in verified.json["files"] if each["kind"] == "published"] == ["whole"]
    assert pl.read_delta(to, storage_options=store.options).height == 3
    assert SECRET not in published.out + published.err


def test_orders_of_a_store_are_scored(ordervet, tmp_path: Path) -> None:
    ended = ordervet("score", f"s3://{BUCKET}/exports/orders.csv", "--all", "--out", tmp_path / "flags.csv", "--json")

    assert (ended.code, ended.json["n_orders"]) == (0, 2), ended.err


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"s3://{BUCKET}/exports/none.csv", "is missing"),
        (f"s3://{BUCKET}/none", "is missing"),
        ("s3://no-bucket-here/a.csv", "no-bucket-here/a.csv"),
        (f"s3://{BUCKET}/exports/readme.pdf", "is missing"),
    ],
)
def test_what_a_store_does_not_have_is_said(ordervet, tmp_path: Path, address: str, said: str) -> None:
    ended = ordervet("ingest", address, "--history", tmp_path / "history")

    assert (ended.code, said in ended.err) == (3, True), ended.err
    assert not History.open(tmp_path / "history", KEY, create=True).list_files()
