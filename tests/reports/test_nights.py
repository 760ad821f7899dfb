"""Nights as a table and as a page, in both languages, with what could not be measured."""

from __future__ import annotations

import pytest
from rich.console import Console

from ordervet.reports.nights import build_nights_page, build_nights_table, describe_nights, describe_reasons

DAYS = {"ap": 0.5, "recall": 0.25, "precision": 0.5, "alert_rate": 0.02}
NOTHING = dict.fromkeys(DAYS)
NIGHTS = [
    {
        "as_of": f"2025-11-{day:02}T16:00:00Z", "outcome": outcome, "own_share": share, "n_orders": 1_200,
        "n_malicious": n, "refused_by": refused, "missing": missing, "serving": serving, "starter": DAYS,
        "groups": {"plain": {"n_orders": 900, "serving": 9, "starter": 10}} if day > 2 else {},
    }
    for day, outcome, share, n, refused, missing, serving in (
        (1, "waiting", 0.0, 9, [], ["days", "malicious"], DAYS),
        (2, "refused", 0.0, 8, ["ap_gain", "policy_recall"], [], DAYS),
        (3, "promoted", 0.5, 7, [], [], DAYS | {"ap": 0.75}),
        (4, "rescaled", 0.5, 0, ["ap_gain"], [], NOTHING),
    )
]  # fmt: skip
SUMMARY = {
    "nights": 4, "promoted": 1, "first_promotion": 3, "mean_ap": 0.58, "mean_starter_ap": 0.5,
    "mean_recall": 0.25, "mean_starter_recall": 0.25, "mean_precision": None, "mean_starter_precision": 0.5,
    "mean_alert_rate": 0.02, "mean_starter_alert_rate": 0.02,
}  # fmt: skip


@pytest.mark.parametrize(("lang", "word"), [("zh", "等待数据"), ("en", "waiting")])
def test_table_of_nights_fits_into_eighty_columns(lang, word: str) -> None:
    console = Console(width=80, record=True)
    console.print(build_nights_table(NIGHTS, lang))

    lines = console.export_text().splitlines()

    assert word in lines[1]
    assert "0.500 → 0.750" in lines[3]
    assert "0.500 → –" in lines[4]
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_of_nights_says_why_and_that_the_data_is_simulated(lang) -> None:
    page = build_nights_page(NIGHTS, SUMMARY, is_simulated=True, lang=lang)

    assert "<svg" in page
    assert page.count("<tr>") == 1 + len(NIGHTS) + 2  # and the look-alikes: a head, plain buyers
    assert ("模拟数据" if lang == "zh" else "simulated data") in page
    assert describe_nights(SUMMARY, lang) in page


def test_reasons_are_counted_the_commonest_first() -> None:
    assert describe_reasons(NIGHTS, "en").startswith("why not: gain in average precision over the live model × 2")
    assert describe_reasons(NIGHTS[2:3], "en") == ""


def test_summary_without_any_malice_says_so() -> None:
    assert "none there were malicious orders" in describe_nights(SUMMARY | {"mean_ap": None}, "en")
