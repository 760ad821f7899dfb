"""One page for a buyer, or for everyone linked to an order; and what a person can mark a buyer as."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from ordervet.entities import Key
from ordervet.policy.lists import read_list

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(bytes(range(16)))
ORDERS = """order_id,placed_at,amount_minor,buyer_id,phone,address
a,2025-11-10 20:00,10000,kanari-b1,13800000001,示例省示例市示例区样板路1号2栋301室
b,2025-11-11 20:00,20000,kanari-b1,13800000001,示例省示例市示例区样板路1号2栋301室
c,2025-11-11 20:05,30000,kanari-b2,13800000001,示例省示例市示例区样板路9号
d,2025-11-11 20:06,40000,kanari-b2,13800000002,示例省示例市示例区样板路9号
e,2025-11-11 20:07,50000,kanari-b3,13800000003,示例省示例市示例区样板路77号
"""


@pytest.fixture
def history(ordervet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    parts = {
        "orders": ORDERS,
        "outcomes": "order_id,kind,happened_at,refund_type,amount_minor\n"
        "a,refund_requested,2025-11-12 10:00,refund_only,10000\n",
        "verdicts": "order_id,verdict,kind,decided_at,agent\na,malicious,refund_only_abuse,2025-11-13 10:00,07\n",
        "corrections": "order_id,corrected_at\na,2025-11-14 10:00\n",
    }
    for name, text in parts.items():
        (tmp_path / f"{name}.csv").write_text(text, "utf-8")
    done = ordervet("ingest", *(tmp_path / f"{name}.csv" for name in parts), "--history", tmp_path / "history")
    assert done.code == 0, done.err
    return tmp_path / "history"


def list_timeline(told: Any) -> list[tuple[str, str]]:
    return [(row["order"], row["what"]) for row in told["sections"]["timeline"]]


def test_buyer_has_one_timeline_of_orders_outcomes_and_verdicts(ordervet, history: Path, models_dir: Path) -> None:
    call = ("explain", "--buyer", "kanari-b1", "--history", history, "--models", models_dir, "--lang", "en")

    told, shown = ordervet(*call, "--json"), ordervet(*call)

    assert list_timeline(told.json) == [
        ("a", "ordered"), ("b", "ordered"), ("a", "refund requested"), ("a", "judged malicious"),
        ("a", "appeal upheld"),
    ]  # fmt: skip
    assert told.json["orders"] == ["a", "b"]
    assert re.search(r"phone P-\w{7}: 3 orders, 2 buyers", shown.out)
    assert "kanari" not in told.out + shown.out
    assert shown.code == 0


def test_ring_is_everyone_who_shares_a_key_with_the_order(
    ordervet, history: Path, models_dir: Path, tmp_path: Path
) -> None:
    page, book = tmp_path / "ring.html", tmp_path / "ring.xlsx"

    told = ordervet(
        "explain",
        "--ring",
        "b",
        "--history",
        history,
        "--models",
        models_dir,
        "--report",
        page,
        "--out",
        book,
        "--json",
    )

    assert told.json["orders"] == ["a", "b", "c", "d"]
    assert "kanari" not in page.read_text("utf-8")
    assert book.stat().st_size > 0


@pytest.mark.parametrize("wrong", [("--buyer", "nobody"), ("--ring", "z"), ("--ring", "a", "--buyer", "kanari-b1"), ()])
def test_what_cannot_be_shown_is_one_error(ordervet, history: Path, wrong: tuple[str, ...]) -> None:
    assert ordervet("explain", *wrong, "--history", history).code == 3


def test_marked_buyers_are_let_through_or_seen_by_a_person_until_their_day(
    ordervet, history: Path, models_dir: Path, tmp_path: Path
) -> None:
    keys, policy = tmp_path / "lists.csv", tmp_path / "policy.toml"
    policy.write_text(
        'protocol = 1\nname = "x"\nbands = { by = "explicit", elevated = 0.05, high = 0.2, severe = 0.7 }\n'
        'actions = { low = "pass", elevated = "pass", high = "review", severe = "hold" }\n'
        'lists = { files = ["lists.csv"] }\n',
        "utf-8",
    )
    common = ("--owner", "key accounts", "--list", keys, "--until", "2099-12-31")

    trusted = ordervet("policy", "mark", "kanari-b1", "--as", "trusted", "--note", "company buyer", *common)
    watched = ordervet("policy", "mark", "kanari-b3", "--as", "watched", *common)
    late = ordervet("policy", "mark", "kanari-b3", "--as", "watched", "--until", "soon", *common[:4])
    scored = ordervet(
        "score", tmp_path / "orders.csv", "--models", models_dir, "--policy", policy, "--history", history, "--json"
    ).json
    told = ordervet(
        "explain", "--buyer", "kanari-b1", "--history", history, "--models", models_dir, "--policy", policy, "--json"
    ).json

    assert (trusted.code, watched.code, late.code) == (0, 0, 3)
    assert "kanari" not in keys.read_text("utf-8") + trusted.out
    assert [entry.list for entry in read_list(keys, KEY)[0]] == ["allow", "watch"]
    by_id = {each["order_id"]: each for each in scored["flagged"]}
    assert (by_id["e"]["action"], by_id["e"]["applied"]) == ("review", ["watch_buyer"])
    assert not {"a", "b"} & set(by_id)
    assert any("key accounts" in line and "company buyer" in line for line in told["sections"]["notes"])
