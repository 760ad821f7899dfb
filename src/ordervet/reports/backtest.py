"""Backtest results as a table."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from ordervet.reports.ring_table import build_short_rings
from ordervet.reports.terminal import WordTable
from ordervet.words import find_words, format_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordervet.words import Lang

    Words = Mapping[str, Any]

#: Alert rates whose recall is shown; JSON has all of them.
_SHOWN_RATES = (0.01, 0.05)

_MEASURES = ("auc", "ap", "cp_at_k")


def build_backtest_table(splits: Sequence[dict[str, Any]], lang: Lang, *, top_k: int | None) -> WordTable:
    """Build a table of splits, one line each, and of their mean when there are several.

    Parameters
    ----------
    splits : results as plain values
    lang : language of the words
    top_k : the k of the daily precision, when it was measured
    """
    words = find_words("backtest.screen", lang)
    counts = ("n_train", "n_train_malicious", "n_orders", "n_malicious")
    measures = {"auc": "AUC", "ap": "AP", "cp_at_k": words["cp_at_k"].format(k=top_k or "k")}
    measured = [key for key in _MEASURES if key in splits[0]]
    titles = [words[name] for name in ("split", *counts)]
    titles += [measures[key] for key in measured]
    titles += [words["recall_at"].format(rate=rate) for rate in _SHOWN_RATES]
    rows = [
        [split["split"], *(f"{split[key]:,}" for key in counts), *_measure(split, measured), *_recall(split)]
        for split in splits
    ]
    if len(splits) > 1:
        mean = average_splits(splits)
        rows.append([words["mean"], "", "", "", "", *_measure(mean, measured), *_recall(mean)])
    return WordTable(titles, rows, numbers=range(1, len(titles)), styles={len(splits): "bold"})


def build_evaluation_tables(report: dict[str, Any], lang: Lang) -> list[tuple[str, WordTable]]:
    """Build the tables of an evaluation: alert rates with intervals and money, parts, rings, the ablation.

    Parameters
    ----------
    report : of `ordervet.lab.backtest.report.build_report`
    lang : language of the words

    Returns
    -------
    titles and tables, in the order to be read
    """
    words = find_words("backtest.screen", lang)
    rankings = {"model": report["evaluation"]} | ({"baseline": report["baseline"]} if report["baseline"] else {})
    tables: list[tuple[str, WordTable]] = [
        (words[f"rates_of_{whose}"], _build_rates(judged, words)) for whose, judged in rankings.items()
    ]
    rate = report["evaluation"]["alert_rate_of_parts"]
    for name, rows in report["evaluation"]["parts"].items():
        tables.append((words[f"by_{name}"].format(rate=rate), _build_part(rows, name, lang)))
    for whose, judged in rankings.items():
        if judged.get("rings"):
            tables.append((words[f"rings_of_{whose}"].format(rate=rate), build_short_rings(judged["rings"], lang)))
    if report["ablation"]:
        tables.append((words["ablation"], _build_ablation(report["ablation"], lang)))
    return tables


def describe_baselines(report: dict[str, Any], lang: Lang) -> list[str]:
    """Describe, beside the baselines, whether the model has learned anything from the history.

    Parameters
    ----------
    report : of `ordervet.lab.backtest.report.build_report`
    lang : language of the words

    Returns
    -------
    one sentence per baseline that was measured
    """
    words, said = find_words("backtest.screen", lang), []
    if best := report["best_count"]:
        areas = {"auc": _write_areas(best["auc"]), "gain": _write_areas(best["auc_gain"], sign="+")}
        said.append(words["best_count"].format(feature=best["feature"], **areas))
    if gain := report["history_gain"]:
        areas = {name: _write_areas(gain[name], sign="+") for name in ("auc_gain", "ap_gain")}
        verdict = words["history_helps" if gain["has_skill"] else "no_skill"]
        said.append(words["history"].format(auc=_write_areas(gain["history_auc"]), verdict=verdict, **areas))
    return said


def name_family(family: str, lang: Lang) -> str:
    """Name a family of features; one of an entity that the shop has added goes by its own name."""
    words, entities = find_words("backtest", lang), find_words("entities", lang)
    named: str = words.get(f"family_{'_'.join(re.findall(r'[a-z]+', family))}") or entities.get(family, family)
    return named


def describe_claims(report: dict[str, Any], lang: Lang) -> str:
    """Describe how refund requests would have been answered; empty where there were too few.

    Parameters
    ----------
    report : of `ordervet.lab.backtest.report.build_report`
    """
    claims = report.get("claims")
    if not claims or claims["ap"] is None or math.isnan(claims["ap"]):
        return ""
    values = {name: f"{claims[name]:,}" for name in ("n_orders", "n_malicious")}
    values |= {name: f"{claims[name]:.3f}" for name in ("ap", "ap_order")}
    values |= {
        name: "–" if claims[name] is None else f"{claims[name]:.1%}"
        for name in ("honest_paid", "faulty_paid", "malicious_paid")
    }
    return format_text("backtest.claims", lang, **values)


def _write_areas(interval: dict[str, float | None], *, sign: str = "") -> str:
    value, low, high = (
        "–" if interval[end] is None else format(interval[end], f"{sign}.3f") for end in ("value", "low", "high")
    )
    return f"{value} [{low}, {high}]"


def _build_rates(judged: dict[str, Any], words: Words) -> WordTable:
    rows = [
        [f"{at['alert_rate']:.2%}", _write_shares(at["recall"]), _write_shares(at["precision"]), *_write_money(at)]
        for at in judged["at_alert_rate"]
    ]
    if "at_capacity" in judged:
        at = judged["at_capacity"]
        shares = [_percent(at["recall"]), _percent(at["precision"])]
        rows.append([words["a_day"].format(capacity=at["capacity"]), *shares, *_write_money(at)])
    titles = [words[name] for name in ("flagged", "recall", "precision", "caught", "held")]
    return WordTable(titles, rows, numbers=range(1, len(titles)))


def _write_money(at: dict[str, Any]) -> list[str]:
    return [f"{at[name] / 100:,.0f}" for name in ("caught_minor", "held_by_mistake_minor")]


def _build_part(rows: Sequence[dict[str, Any]], name: str, lang: Lang) -> WordTable:
    words = find_words("backtest.screen", lang)
    named = [words[each] for each in ("orders", "malicious", "recall", "honest_alert_rate")]
    titles = [words[f"part_{name}"], *named, "AP", words["bias"]]
    known = {"kind": find_words("kinds", lang), "look_alike": find_words("look_alikes", lang)}.get(name, {})
    written = [
        [
            known.get(row["part"], row["part"]),
            f"{row['n_orders']:,}",
            f"{row['n_malicious']:,}",
            _percent(row["recall"]),
            _percent(row["honest_alert_rate"]),
            "–" if row["ap"] is None or name == "kind" else f"{row['ap']:.3f}",
            f"{row['bias']:+.4f}" if "bias" in row and name != "kind" else "–",
        ]
        for row in rows
    ]
    return WordTable(titles, written, numbers=range(1, len(titles)))


def _build_ablation(rows: Sequence[dict[str, Any]], lang: Lang) -> WordTable:
    words = find_words("backtest.screen", lang)
    written = [
        [
            name_family(row["family"], lang),
            str(row["n_features"]),
            *(
                f"{each['value']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}]"
                for each in (row["ap_change"], row["recall_change"])
            ),
        ]
        for row in rows
    ]
    titles = (words["family"], words["n_features"], "AP", words["recall"])
    return WordTable(titles, written, numbers=range(1, len(titles)))


def _write_shares(interval: dict[str, float | None]) -> str:
    value, low, high = (_percent(interval[end]) for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def average_splits(splits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the plain mean of every measure over the splits."""
    mean: dict[str, Any] = {
        key: math.fsum(split[key] for split in splits) / len(splits) for key in _MEASURES if key in splits[0]
    }
    mean["at_alert_rate"] = [
        {key: math.fsum(at[key] for at in ats) / len(ats) for key in ats[0]}
        for ats in zip(*(split["at_alert_rate"] for split in splits), strict=True)
    ]
    return mean


def _measure(split: dict[str, Any], measures: Sequence[str]) -> list[str]:
    return [f"{split[key]:.3f}" for key in measures]


def _recall(split: dict[str, Any]) -> list[str]:
    return [f"{at['recall']:.1%}" for at in split["at_alert_rate"] if at["alert_rate"] in _SHOWN_RATES]
