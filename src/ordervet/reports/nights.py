"""Nights as they would have been, as a table and as a page: what served after each, beside the starter alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ordervet.reports.nightly import name_gate, name_group
from ordervet.reports.page import build_page
from ordervet.reports.plots import Line, draw_lines
from ordervet.reports.ring_table import build_rings, build_short_rings
from ordervet.reports.terminal import WordTable
from ordervet.words import find_words, format_text, join_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.words import Lang

    Words = Mapping[str, Any]

_PLAIN = "plain"
#: Columns of figures: the starter's and what served, in turn.
_MEASURES = ("ap", "recall", "precision", "alert_rate")
_SHORT = ("ap", "recall", "alert_rate")


def build_nights_table(nights: list[dict[str, Any]], lang: Lang) -> WordTable:
    """Build the table for the terminal: one row a night, the starter's figure before that of what served."""
    words = find_words("nights", lang)
    rows = [
        [
            night["as_of"][:10],
            words["outcomes"][night["outcome"]],
            f"{night['own_share']:.2f}",
            *(_pair(night, name) for name in _SHORT),
        ]
        for night in nights
    ]
    titles = [words[name] for name in ("night", "outcome", "own_share", *_SHORT)]
    return WordTable(titles, rows, numbers=range(2, len(titles)), unwrapped=(0, 1))


def describe_reasons(nights: list[dict[str, Any]], lang: Lang) -> str:
    """Say what kept nights from a promotion, and how many; empty where nothing did."""
    counts = Counter(each for night in nights for each in _list_reasons(night, lang))
    said = [f"{name} × {n}" for name, n in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]
    why = find_words("nights", lang)["why"] + format_text("listing.colon", lang)
    return f"{why}{join_words(said, lang)}" if said else ""


def describe_nights(summary: dict[str, Any], lang: Lang) -> str:
    """Sum up the nights in a sentence or two."""
    words = find_words("nights", lang)
    if summary["mean_ap"] is None:
        nothing: str = words["nothing_measured"].format(nights=summary["nights"])
        return nothing
    said: str = words["summary"].format(**{name: 0 if value is None else value for name, value in summary.items()})
    return said


def build_rings_table(nights: list[dict[str, Any]], lang: Lang) -> WordTable:
    """Build the table of rings for the terminal: one row a night, the starter's figures before those of what served."""
    return build_short_rings(lang=lang, **_gather_rings(nights, find_words("nights", lang)))


def build_nights_page(
    nights: list[dict[str, Any]], summary: dict[str, Any], rings: dict[str, Any], *, is_simulated: bool, lang: Lang
) -> str:
    """Write the nights as a page that needs nothing but itself.

    Parameters
    ----------
    nights : of `NightMeasured.as_dict`, as plain values for JSON
    summary : of `sum_up_nights`
    rings : of `sum_up_rings`
    is_simulated : whether the page says so
    lang : language of the page
    """
    words = find_words("nights", lang)
    values = {
        "words": words,
        "summary": describe_nights(summary, lang),
        "simulated": format_text("notes.simulated", lang) if is_simulated else "",
        "plot": _draw(nights, words),
        "nights": {
            "titles": _list_titles(words),
            "rows": [_list_cells(night, words, lang) for night in nights],
            "numbers": tuple(range(3, 10)),
            "bad": (),
        },
        "rings": [
            {"name": words["rings"]} | build_rings(lang=lang, **_gather_rings(nights, words)),
            {"name": words["rings_by_kind"]} | build_rings(rings["rings"], lang, before=rings["starter_rings"]),
        ],
        "groups": _build_groups(nights, words, lang),
    }
    return build_page(
        "nights.html",
        lang=lang,
        title=words["title"],
        styles=("base.css", "backtest.css", "nightly.css"),
        values=values,
    )


def _gather_rings(nights: list[dict[str, Any]], words: Words) -> dict[str, Any]:
    """Gather what was measured of all kinds of rings, night after night."""
    rows, before = ([night[which][0] for night in nights] for which in ("rings", "starter_rings"))
    return {"rows": rows, "before": before, "names": (words["night"], [night["as_of"][:10] for night in nights])}


def _build_groups(nights: list[dict[str, Any]], words: Words, lang: Lang) -> dict[str, Any]:
    """Build the table of look-alikes: the starter's alert rate and that of what served, week by week and over all."""
    names = list(dict.fromkeys(name for night in nights for name in night["groups"]))
    rows = []
    for name in names:
        parts = [night["groups"].get(name) or {"n_orders": 0, "serving": 0, "starter": 0} for night in nights]
        whole = {key: sum(part[key] for part in parts) for key in ("n_orders", "serving", "starter")}
        label = words["plain"] if name == _PLAIN else name_group(name, lang)
        rows.append([label, f"{whole['n_orders']:,}", *(_pair_alerts(part) for part in (whole, *parts))])
    titles = [words["group"], words["innocents"], words["all_weeks"], *(night["as_of"][5:10] for night in nights)]
    return {"titles": titles, "rows": rows}


def _pair_alerts(part: dict[str, int]) -> str:
    n = part["n_orders"]
    return " → ".join(f"{part[which] / n:.1%}" for which in ("starter", "serving")) if n else "–"


def _list_titles(words: Words) -> list[str]:
    return [words[each] for each in ("night", "outcome", "own_share", "n_orders", "n_malicious", *_MEASURES, "why")]


def _list_cells(night: dict[str, Any], words: Words, lang: Lang) -> list[str]:
    pairs = [_pair(night, name) for name in _MEASURES]
    return [
        night["as_of"][:10],
        words["outcomes"][night["outcome"]],
        f"{night['own_share']:.2f}",
        f"{night['n_orders']:,}",
        f"{night['n_malicious']:,}",
        *pairs,
        join_words(_list_reasons(night, lang), lang),
    ]


def _list_reasons(night: dict[str, Any], lang: Lang) -> list[str]:
    missing = find_words("nightly", lang)["missing_names"]
    return [*(name_gate(name, lang) for name in night["refused_by"]), *(missing[name] for name in night["missing"])]


def _pair(night: dict[str, Any], name: str) -> str:
    form = "{:.3f}" if name == "ap" else "{:.1%}"
    one, other = (night[which][name] for which in ("starter", "serving"))
    return " → ".join("–" if value is None else form.format(value) for value in (one, other))


def _draw(nights: list[dict[str, Any]], words: Words) -> Any:
    known = [night for night in nights if night["serving"]["ap"] is not None]
    if len(known) < 2:
        return ""
    x = [at / (len(known) - 1) for at in range(len(known))]
    lines = [Line(words[which], x, [night[which]["ap"] for night in known]) for which in ("serving", "starter")]
    ticks = [known[round(at * (len(known) - 1) / 4)]["as_of"][5:10] for at in range(5)]
    return draw_lines(lines, x_title=words["night"], y_title=words["ap_of"], x_ticks=ticks, alt=words["ap_of"])
