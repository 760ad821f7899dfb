from __future__ import annotations

from typing import Any

from rich.console import Console

from ordervet.reports.terminal import build_lookalike_table, sum_up_lookalikes


def draw_row(**changes: Any) -> dict[str, Any]:
    row = {
        "scenario": "family", "twin": "coupon_farming", "n_orders": 1_200, "alert_rate": 0.0025, "max_ratio": 1.25,
        "ratio": {"value": 1.1, "low": 0.4, "high": 2.0}, "twin_recall": 0.91, "passed": True,
        "is_decided": True, "paid": 0.976,
    }  # fmt: skip
    return row | changes


def write(report: dict[str, Any]) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(build_lookalike_table(report, "en"), sum_up_lookalikes(report, "en"), soft_wrap=True)
    return capture.get()


def test_lookalike_table_fits_eighty_columns_and_says_what_failed() -> None:
    unmeasured = {"value": None, "low": None, "high": None}
    rows = [draw_row(), draw_row(scenario="heavy_returner", ratio=unmeasured, passed=False, paid=None)]

    text = write({"n_plain": 9_000, "plain_alert_rate": 0.0023, "n_plain_claims": 0, "undecided": [], "rows": rows})

    assert "family" in text
    assert "0.40 to 2.00" in text
    assert "– to –" in text
    assert "FAILED" in text
    assert "98%" in text
    assert "plain honest orders: 9,000, 0.23% of them flagged. 1 of 2 failed." in text
    assert "…" not in text


def test_lookalike_table_says_when_all_passed() -> None:
    assert "all 1 passed" in write(
        {"n_plain": 9_000, "plain_alert_rate": 0.0023, "n_plain_claims": 0, "undecided": [], "rows": [draw_row()]}
    )


def test_lookalike_table_says_what_so_few_orders_leave_open() -> None:
    row = draw_row(is_decided=False)

    text = write(
        {"n_plain": 900, "plain_alert_rate": 0.0023, "n_plain_claims": 0, "undecided": ["family"], "rows": [row]}
    )

    assert "open" in text
    assert "1 stay open with so few orders" in text


def test_lookalike_summary_says_how_many_requests_of_plain_buyers_are_paid_at_once() -> None:
    report = {"n_plain": 9_000, "plain_alert_rate": 0.0023, "n_plain_claims": 1_200, "plain_paid": 0.979}

    text = sum_up_lookalikes(report | {"undecided": [], "rows": [draw_row()]}, "en")

    assert "0.23% of them flagged, 97.9% of their 1,200 refund requests paid at once. all 1 passed." in text
