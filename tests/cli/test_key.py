from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordervet.entities import Key, load_key, save_key
from ordervet.history import History

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = Key(bytes(range(16))), Key(bytes(range(16, 32)))
HEADER = "order_id,placed_at,amount_minor,buyer_id,phone"
FIRST, SECOND = "t1,2025-11-11 20:00:00,1200,b1,19953717391", "t2,2025-11-12 20:00:00,1300,b2,19953717392"


@pytest.fixture
def files(tmp_path: Path, ordervet, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv("ORDERVET_KEY", OLD.to_hex())
    save_key(NEW, tmp_path / "new.key")
    paths = [tmp_path / "orders-1.csv", tmp_path / "orders-2.csv"]
    for path, line in zip(paths, (FIRST, SECOND), strict=True):
        path.write_text(f"{HEADER}\n{line}\n", encoding="utf-8")
    ordervet("ingest", *paths, "--history", tmp_path / "history")
    return paths


def test_rotate_puts_a_history_under_the_new_key(ordervet, files: list[Path], tmp_path: Path) -> None:
    ended = ordervet("key", "rotate", *files, "--history", tmp_path / "history", "--new-key", tmp_path / "new.key")

    assert ended.code == 0
    assert f"is under key {NEW.key_id}: 2 orders, 0 later events" in ended.out
    assert History.open(tmp_path / "history", load_key(tmp_path / "new.key")).read().orders.num_rows == 2


def test_rotate_refuses_orders_that_are_in_no_file(ordervet, files: list[Path], tmp_path: Path) -> None:
    common = ("key", "rotate", files[0], "--history", tmp_path / "history", "--new-key", tmp_path / "new.key")

    refused = ordervet(*common)
    kept = History.open(tmp_path / "history", OLD).read().orders.num_rows
    dropped = ordervet(*common, "--drop-uncovered", "--json")

    assert (refused.code, kept, dropped.code) == (3, 2, 0)
    assert "1 of 2 orders of the history history are not in the files" in refused.err
    assert "placed from 2025-11-12 12:00 to 2025-11-12 12:00 (UTC)" in refused.err
    assert (dropped.json["n_orders"], dropped.json["n_dropped_orders"]) == (1, 1)
    assert (dropped.json["old_key_id"], dropped.json["key_id"]) == (OLD.key_id, NEW.key_id)
