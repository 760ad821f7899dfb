"""Backtest results as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ordervet.reports.ring_table import build_short_rings
from ordervet.reports.terminal import WordTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

#: Alert rates whose recall is shown; JSON has all of them.
_SHOWN_RATES = (0.01, 0.05)

_MEASURES = {"auc": "AUC", "ap": "AP", "cp_at_k": "CP@k"}


def build_backtest_table(splits: Sequence[dict[str, Any]], *, top_k: int | None) -> WordTable:
    """Build a table of splits, one line each, and of their mean when there are several.

    Parameters
    ----------
    splits : results as plain values
    top_k : the k of the daily precision, when it was measured
    """
    measures = {key: title.replace("k", str(top_k or "k")) for key, title in _MEASURES.items() if key in splits[0]}
    titles = ["split", "train", "bad", "test", "bad", *measures.values(), *(f"R@{rate:.0%}" for rate in _SHOWN_RATES)]
    rows = [
        [
            split["split"],
            *(f"{split[key]:,}" for key in ("n_train", "n_train_malicious", "n_orders", "n_malicious")),
            *_measure(split, measures),
            *_recall(split),
        ]
        for split in splits
    ]
    if len(splits) > 1:
        mean = average_splits(splits)
        rows.append(["mean", "", "", "", "", *_measure(mean, measures), *_recall(mean)])
    return WordTable(titles, rows, numbers=range(1, len(titles)), styles={len(splits): "bold"})


def build_evaluation_tables(report: dict[str, Any]) -> list[tuple[str, WordTable | Table]]:
    """Build the tables of an evaluation: alert rates with intervals and money, parts, rings, the ablation.

    Parameters
    ----------
    report : of `ordervet.lab.backtest.report.build_report`

    Returns
    -------
    titles and tables, in the order to be read
    """
    rankings = {"at alert rates (5 % to 95 % of bootstrap draws of buyers)": report["evaluation"]}
    if report["baseline"]:
        rankings["the same by points and rules"] = report["baseline"]
    tables: list[tuple[str, WordTable | Table]] = [(title, _build_rates(judged)) for title, judged in rankings.items()]
    rate = report["evaluation"]["alert_rate_of_parts"]
    for name, rows in report["evaluation"]["parts"].items():
        tables.append((f"by {name.replace('_', '-')}, {rate:.2%} flagged", _build_part(rows, name)))
    caught = f"by the 1st, 2nd, 3rd order and ever, orders before, alerts a deny list has anyway, {rate:.2%} flagged"
    by_ranking = {"new rings": report["evaluation"], "new rings by points and rules": report["baseline"]}
    for title, judged in by_ranking.items():
        if judged and judged.get("rings"):
            tables.append((f"{title}: {caught}", build_short_rings(judged["rings"], "en")))
    if report["ablation"]:
        tables.append(("without one family of features", _build_ablation(report["ablation"])))
    return tables


def describe_baselines(report: dict[str, Any]) -> list[str]:
    """Describe, beside the baselines, whether the model has learned anything from the history.

    Parameters
    ----------
    report : of `ordervet.lab.backtest.report.build_report`

    Returns
    -------
    one sentence per baseline that was measured
    """
    said = []
    if best := report["best_count"]:
        said.append(
            f"best single count, chosen on the train part: {best['feature']}, AUC {_write_areas(best['auc'])}; "
            f"the model's is {_write_areas(best['auc_gain'], sign='+')} above it"
        )
    if gain := report["history_gain"]:
        verdict = "the history helps" if gain["has_skill"] else "no skill beyond chance: do not promote a model here"
        said.append(
            f"history alone: AUC {_write_areas(gain['history_auc'])}; to the order's own columns it adds "
            f"{_write_areas(gain['auc_gain'], sign='+')} AUC and {_write_areas(gain['ap_gain'], sign='+')} AP: "
            + verdict
        )
    return said


def _write_areas(interval: dict[str, float | None], *, sign: str = "") -> str:
    value, low, high = (
        "–" if interval[end] is None else format(interval[end], f"{sign}.3f") for end in ("value", "low", "high")
    )
    return f"{value} [{low}, {high}]"


def _build_rates(judged: dict[str, Any]) -> WordTable:
    rows = [
        [f"{at['alert_rate']:.2%}", _write_shares(at["recall"]), _write_shares(at["precision"]), *_write_money(at)]
        for at in judged["at_alert_rate"]
    ]
    if "at_capacity" in judged:
        at = judged["at_capacity"]
        rows.append([f"{at['capacity']:,} a day", _percent(at["recall"]), _percent(at["precision"]), *_write_money(at)])
    return WordTable(("flagged", "recall", "precision", "caught", "by mistake"), rows, numbers=range(1, 5))


def _write_money(at: dict[str, Any]) -> list[str]:
    return [f"{at[name] / 100:,.0f}" for name in ("caught_minor", "held_by_mistake_minor")]


def _build_part(rows: Sequence[dict[str, Any]], name: str) -> WordTable:
    titles = (name.replace("_", "-"), "orders", "bad", "recall", "honest flagged", "AP", "bias")
    written = [
        [
            row["part"],
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


def _build_ablation(rows: Sequence[dict[str, Any]]) -> WordTable:
    written = [
        [
            row["family"],
            str(row["n_features"]),
            *(
                f"{each['value']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}]"
                for each in (row["ap_change"], row["recall_change"])
            ),
        ]
        for row in rows
    ]
    return WordTable(("family", "features", "AP", "recall"), written, numbers=range(1, 4))


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


def _measure(split: dict[str, Any], measures: dict[str, str]) -> list[str]:
    return [f"{split[key]:.3f}" for key in measures]


def _recall(split: dict[str, Any]) -> list[str]:
    return [f"{at['recall']:.1%}" for at in split["at_alert_rate"] if at["alert_rate"] in _SHOWN_RATES]
