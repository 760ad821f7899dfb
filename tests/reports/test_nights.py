"""Nights as a table and as a page, in both languages, with what could not be measured."""

from __future__ import annotations

import pytest
from rich.console import Console

from ordervet.learn.rings import RingRow
from ordervet.reports.nights import (
    build_nights_page,
    build_nights_table,
    build_rings_table,
    describe_nights,
    describe_reasons,
)

DAYS = {"ap": 0.5, "recall": 0.25, "precision": 0.5, "alert_rate": 0.02}
NOTHING = dict.fromkeys(DAYS)
RINGS = [
    RingRow(kind, 4, 40, first, 3, 3, 3, 9, 123_400, 10, 5).as_dict() for kind, first in (("", 2), ("scalping", 1))
]
NO_RINGS = [RingRow("", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0).as_dict()]
ALL_RINGS = {"rings": RINGS, "starter_rings": [RingRow("", 4, 40, 1, 3, 3, 3, 9, 123_400, 10, 5).as_dict(), RINGS[1]]}
NIGHTS = [
    {
        "as_of": f"2025-11-{day:02}T16:00:00Z", "outcome": outcome, "own_share": share, "n_orders": 1_200,
        "n_malicious": n, "refused_by": refused, "missing": missing, "serving": serving, "starter": DAYS,
        "rings": RINGS if n else NO_RINGS, "starter_rings": ALL_RINGS["starter_rings"] if n else NO_RINGS,
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
def test_rings_are_told_by_week_and_where_there_are_none(lang) -> None:
    console = Console(width=80, record=True)
    console.print(build_rings_table(NIGHTS, lang))

    lines = console.export_text().splitlines()

    assert len(lines) == 1 + len(NIGHTS)
    assert "25%→50%" in lines[1]
    assert "…" not in "".join(lines)
    assert lines[4].split()[1:6] == ["0", "–", "–", "–", "–"]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_of_nights_says_why_and_that_the_data_is_simulated(lang) -> None:
    page = build_nights_page(NIGHTS, SUMMARY, ALL_RINGS, is_simulated=True, lang=lang)

    assert "<svg" in page
    assert page.count("<tr>") == 2 * (1 + len(NIGHTS)) + 3 + 2  # nights and rings by week; by kind; the look-alikes
    assert "25% → 50%" in page
    assert ("黄牛囤货 scalping" if lang == "zh" else "scalping") in page
    assert ("模拟数据" if lang == "zh" else "simulated data") in page
    assert describe_nights(SUMMARY, lang) in page


def test_reasons_are_counted_the_commonest_first() -> None:
    assert describe_reasons(NIGHTS, "en").startswith("why not: gain in average precision over the live model × 2")
    assert describe_reasons(NIGHTS[2:3], "en") == ""


def test_summary_without_any_malice_says_so() -> None:
    assert "none there were malicious orders" in describe_nights(SUMMARY | {"mean_ap": None}, "en")
