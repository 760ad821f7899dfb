"""Backtest results as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Alert rates whose recall is shown; JSON has all of them.
_SHOWN_RATES = (0.01, 0.05)

_MEASURES = {"auc": "AUC", "ap": "AP", "cp_at_k": "CP@k"}


def build_backtest_table(splits: Sequence[dict[str, Any]], *, top_k: int | None) -> Table:
    """Lay splits out, one line each, and their mean when there are several.

    Parameters
    ----------
    splits : results as plain values
    top_k : the k of the daily precision, when it was measured
    """
    measures = {key: title.replace("k", str(top_k or "k")) for key, title in _MEASURES.items() if key in splits[0]}
    table = Table(box=None, pad_edge=False)
    for title in ("split", "train", "bad", "test", "bad"):
        table.add_column(title, justify="left" if title == "split" else "right", no_wrap=True)
    for title in measures.values():
        table.add_column(title, justify="right")
    for rate in _SHOWN_RATES:
        table.add_column(f"R@{rate:.0%}", justify="right")
    for split in splits:
        counts = [f"{split[key]:,}" for key in ("n_train", "n_train_malicious", "n_orders", "n_malicious")]
        table.add_row(split["split"], *counts, *_measure(split, measures), *_recall(split))
    if len(splits) > 1:
        mean = average_splits(splits)
        table.add_row("mean", "", "", "", "", *_measure(mean, measures), *_recall(mean), style="bold")
    return table


def average_splits(splits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give the plain mean of every measure over the splits."""
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
