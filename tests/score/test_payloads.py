"""Messages of platforms, one by one: each counts once, and a wrong one is one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ordervet import Scorer
from ordervet.contract import read_counted_events, read_payload
from ordervet.entities import load_key
from ordervet.errors import ContractError, FileError
from ordervet.history import History

EXPORTS = Path(__file__).parents[1] / "contract" / "formats" / "exports"
DOCUMENTS = sorted(EXPORTS.glob("*.json"))
KEY_TEXT = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_payload_holds_what_the_file_of_it_holds(path: Path) -> None:
    from_file, failures, (account,) = read_counted_events([path], are_orders_needed=False)
    if failures.num_rows:
        with pytest.raises(ContractError, match="in the payload"):
            read_payload(path.read_bytes(), account.format)
        return

    as_text = read_payload(path.read_text("utf-8"), account.format)
    as_object = read_payload(json.loads(path.read_bytes()), account.format)

    assert as_text == as_object == from_file


@pytest.mark.parametrize(
    ("payload", "format_name", "message"),
    [
        ("{", "shopify_api_orders", "the payload: not JSON"),
        ({"a": 1}, "shopify_api_orders", "the payload does not match the format shopify_api_orders"),
        ([], "shopify_api_orders", "the payload does not match the format"),
        ({"orders": []}, "nothing", "there is no format 'nothing'"),
    ],
)
def test_a_wrong_payload_is_one_clear_error(payload: Any, format_name: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_payload(payload, format_name)


def test_a_message_that_comes_again_adds_nothing(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY_TEXT)
    (order, _) = json.loads((EXPORTS / "shopify_api_orders.json").read_bytes())["orders"]
    order["refunds"][1]["created_at"] = "2025-11-16T10:00:00+08:00"
    key = load_key()
    History.open(tmp_path / "history", key, create=True)

    with Scorer.open(models_dir, history=tmp_path / "history") as scorer:
        scorer.score(read_payload(order, "shopify_api_orders").orders.to_pylist()[0])
        counts = [scorer.observe_payload("shopify_api_orders", order) for _ in range(3)]

    assert counts == [3, 3, 3]
    assert History.open(tmp_path / "history", key).read().outcomes["kind"].to_pylist() == [
        "fulfilled", "refund_completed", "refund_completed",
    ]  # fmt: skip
