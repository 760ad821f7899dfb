"""A backtest as one self-contained page with plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordervet.reports.backtest import describe_claims, name_family
from ordervet.reports.page import build_page
from ordervet.reports.plots import Line, draw_lines
from ordervet.reports.ring_table import build_rings, name_kind
from ordervet.words import find_words, format_text
from ordervet.words.numbers import format_money

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from markupsafe import Markup

    from ordervet.words import Lang

    Words = Mapping[str, Any]


def build_backtest_page(report: dict[str, Any], *, lang: Lang) -> str:
    """Write a backtest as a page that needs nothing but itself.

    Parameters
    ----------
    report : plain values: ``split``, ``n_features``, ``is_simulated``, ``currency``, ``evaluation``, and, or None,
        ``baseline`` (an evaluation too) and ``ablation``
    lang : language of the page
    """
    words = find_words("backtest", lang)
    judged = report["evaluation"]
    counts = {name: f"{judged[name]:,}" for name in ("n_orders", "n_malicious", "n_buyers")}
    rankings = {words["model"]: judged} | ({words["baseline"]: report["baseline"]} if report.get("baseline") else {})
    calibration, currency = judged.get("calibration"), report["currency"]
    values = {
        "words": words,
        "summary": words["summary"].format(**counts, split=report["split"], n_features=report["n_features"]),
        "simulated": format_text("notes.simulated", lang) if report["is_simulated"] else "",
        "headline": {
            "titles": ["", words["ap"], words["auc"]],
            "rows": [[name, _write(each["ap"]), _write(each["auc"])] for name, each in rankings.items()],
        },
        "claims": describe_claims(report, lang),
        "at_rates": [_build_rates(name, each, words, lang, currency) for name, each in rankings.items()],
        "capacity": [
            _describe_capacity(name, each, words, lang, currency)
            for name, each in rankings.items()
            if "at_capacity" in each
        ],
        "curve": _draw_curve(rankings, words),
        "calibration": _draw_calibration(calibration, words) if calibration else "",
        "calibration_note": words["calibration_note"].format(
            bias=f"{calibration['bias']:+.4f}", error=f"{calibration['error']:.4f}"
        )
        if calibration
        else "",
        "parts": [_build_part(name, rows, words, lang) for name, rows in judged["parts"].items()],
        "parts_note": words["parts_note"].format(rate=_percent(judged["alert_rate_of_parts"])),
        "rings_words": find_words("rings", lang),
        "rings": [
            {"name": name} | build_rings(each["rings"], lang, currency=currency)
            for name, each in rankings.items()
            if each.get("rings")
        ],
        "ablation": _build_ablation(report["ablation"], words, lang) if report.get("ablation") else None,
    }
    return build_page(
        "backtest.html", lang=lang, title=words["title"], styles=("base.css", "backtest.css"), values=values
    )


def _build_rates(name: str, judged: dict[str, Any], words: Words, lang: Lang, currency: str) -> dict[str, Any]:
    titles = [words[title] for title in ("alert_rate", "recall", "precision", "caught", "held")]
    rows = [
        [
            _percent(at["alert_rate"]),
            _write(at["recall"], is_percent=True),
            _write(at["precision"], is_percent=True),
            format_money(at["caught_minor"], lang, currency),
            format_money(at["held_by_mistake_minor"], lang, currency),
        ]
        for at in judged["at_alert_rate"]
    ]
    return {"name": name, "titles": titles, "rows": rows}


def _describe_capacity(name: str, judged: dict[str, Any], words: Words, lang: Lang, currency: str) -> str:
    at = judged["at_capacity"]
    said: str = words["capacity"].format(
        capacity=f"{at['capacity']:,}",
        n_days=at["n_days"],
        n_flagged=f"{at['n_flagged']:,}",
        recall=_percent(at["recall"]),
        precision=_percent(at["precision"]),
        caught=format_money(at["caught_minor"], lang, currency),
        held=format_money(at["held_by_mistake_minor"], lang, currency),
    )
    return f"{name}: {said}"


def _draw_curve(rankings: dict[str, dict[str, Any]], words: Words) -> Markup:
    lines = [Line(name, each["curve"]["recall"], each["curve"]["precision"]) for name, each in rankings.items()]
    return draw_lines(lines, x_title=words["recall"], y_title=words["precision"], alt=words["curve"])


def _draw_calibration(calibration: dict[str, Any], words: Words) -> Markup:
    predicted = [each["predicted"] for each in calibration["bins"]]
    observed = [each["observed"] for each in calibration["bins"]]
    end = max([*predicted, *observed, 0.01])
    lines = [
        Line("", predicted, observed, has_dots=True),
        Line("", (0.0, end), (0.0, end), is_dashed=True),
    ]
    return draw_lines(
        lines, x_title=words["predicted"], y_title=words["observed"], x_max=end, y_max=end, alt=words["calibration"]
    )


def _build_part(name: str, rows: list[dict[str, Any]], words: Words, lang: Lang) -> dict[str, Any]:
    """Build the table of one breakdown of the orders; columns without meaning for it are left out."""
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "orders": lambda row: f"{row['n_orders']:,}",
        "malicious": lambda row: f"{row['n_malicious']:,}",
        "recall": lambda row: _percent(row["recall"]),
        "honest_alert_rate": lambda row: _percent(row["honest_alert_rate"]),
        "ap": lambda row: "–" if row["ap"] is None else f"{row['ap']:.3f}",
        "bias": lambda row: f"{row['bias']:+.4f}" if "bias" in row else "–",
    }
    if name == "kind":
        columns = {title: columns[title] for title in ("malicious", "recall")}
    elif name == "look_alike":
        columns = {title: columns[title] for title in ("orders", "honest_alert_rate")}
    titles = [words["part"], *(words[title] for title in columns)]
    written = [[_name_part(row["part"], name, lang), *(write(row) for write in columns.values())] for row in rows]
    return {"name": words["parts"].get(name, name), "titles": titles, "rows": written}


def _name_part(part: str, of: str, lang: Lang) -> str:
    """Name a part: kinds of malice and honest look-alikes in words, beside their codes."""
    if of == "kind":
        return name_kind(part, lang)
    named = find_words("look_alikes", lang).get(part) if of == "look_alike" else None
    return f"{named} {part}" if named else part


def _build_ablation(rows: list[dict[str, Any]], words: Words, lang: Lang) -> dict[str, Any]:
    return {
        "titles": [words[title] for title in ("family", "n_features_left_out", "ap_change", "recall_change")],
        "rows": [
            [
                name_family(row["family"], lang),
                row["n_features"],
                *map(_change, (row["ap_change"], row["recall_change"])),
            ]
            for row in rows
        ],
    }


def _write(interval: dict[str, float | None], *, is_percent: bool = False) -> str:
    numbers = [interval[end] for end in ("value", "low", "high")]
    value, low, high = (_percent(each) if is_percent else "–" if each is None else f"{each:.3f}" for each in numbers)
    return f"{value} [{low}, {high}]"


def _change(interval: dict[str, float | None]) -> str:
    value, low, high = ("–" if interval[end] is None else f"{interval[end]:+.3f}" for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
