"""The whole report of a backtest as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordervet.lab.backtest.scored import join_test_orders
from ordervet.learn.evaluation import judge_ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.lab.backtest.splits import SplitResult


def build_report(
    results: Sequence[SplitResult],
    *,
    n_features: int,
    is_simulated: bool,
    currency: str = "CNY",
    capacity: int | None = None,
) -> dict[str, Any]:
    """Judge the test orders of all splits together.

    Parameters
    ----------
    results : of `run_backtest`, at least one
    n_features : of the model
    is_simulated : the data is simulated: the report says so
    currency : of the amounts, three capital letters
    capacity : orders a day that the desk can look at

    Returns
    -------
    plain values for JSON and for `build_backtest_page`: ``split``, ``n_features``, ``is_simulated``, ``currency``,
    ``judgement``, and, or None, ``baseline`` and, of the first split, ``ablation``, ``best_count`` and ``history_gain``
    """
    baselines = [result.baseline for result in results if result.baseline is not None]
    return {
        "split": ", ".join(result.name for result in results),
        "n_features": n_features,
        "is_simulated": is_simulated,
        "currency": currency,
        "judgement": judge_ranking(join_test_orders([result.tested for result in results]), capacity=capacity),
        "baseline": judge_ranking(join_test_orders(baselines), capacity=capacity) if baselines else None,
        "ablation": results[0].ablation,
        "best_count": results[0].best_count,
        "history_gain": results[0].history_gain,
    }
