from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ordervet.contract import RefundReason, list_formats, read_counted_events
from ordervet.contract.formats.refund_reasons import find_refund_reason

EXPORTS = Path(__file__).parent / "exports"

STATED = tomllib.loads((Path(__file__).parent / "stated_reasons.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason, texts in STATED.items() for text in texts])
def test_stated_reason_is_found_by_its_words(reason: str, text: str) -> None:
    assert find_refund_reason(text) is RefundReason(reason)


@pytest.mark.parametrize("text", ["", " ", "-", "无", "null", "None", "101", "３"])
def test_nothing_and_codes_state_no_reason(text: str) -> None:
    assert find_refund_reason(text) is None


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("douyin_after_sales.csv", ["quality", "changed_mind", "missing_parts"]),
        ("douyin_after_sales.json", [None, None]),
        ("jd_refunds.csv", ["quality", None, "changed_mind"]),
        ("pdd_refunds.csv", ["changed_mind", "missing_parts", None]),
        ("taobao_api_refunds.json", ["changed_mind"] * 4),
        ("tmall_refunds.csv", ["quality", "changed_mind", *["missing_parts"] * 3]),
        ("wechat_after_sales.json", ["quality"]),
    ],
)
def test_requests_of_exports_state_their_reason_and_other_steps_none(file: str, expected: list[str | None]) -> None:
    events, _, _ = read_counted_events([EXPORTS / file], are_orders_needed=False)
    outcomes = events.outcomes.to_pylist()

    found = [row["reason"] for row in outcomes if row["kind"] == "refund_requested"]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert not any(row["reason"] for row in outcomes if row["kind"] != "refund_requested")


def test_every_format_with_requests_reads_their_reason() -> None:
    formats = [each for each in list_formats() if any(rule.kind == "refund_requested" for rule in each.outcomes)]

    assert len(formats) >= 6
    assert all("refund_reason" in each.states for each in formats)
