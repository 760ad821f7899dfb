"""Two plain yardsticks: the best single count of the history, and the order's own columns without any history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn.intervals import drop_nan, find_interval
from ordervet.learn.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.learn.evaluation import TestOrders
    from ordervet.model import TrainingSet

    Fit = Callable[[TrainingSet, NDArray[np.float32], tuple[str, ...]], NDArray[np.float64]]

_COUNTS = ("count", "distinct")
_N_DRAWS = 100


def measure_best_count(
    train: TrainingSet, test_features: NDArray[np.float32], names: tuple[str, ...], tested: TestOrders
) -> dict[str, Any] | None:
    """Measure the one count of the history that ranks the train part best, upwards or downwards.

    Returns
    -------
    ``feature``, ``is_upwards``, ``auc`` and ``ap`` of the test orders with intervals, and ``auc_gain``, the model's AUC
    less that; None where no feature is a count
    """
    counts = [at for at, name in enumerate(names) if name.split("__")[1] in _COUNTS and not name.startswith("order__")]
    if not counts:
        return None
    ones = np.ones(len(train))
    aucs = [Ranking(_rank(train.features[:, at]), train.is_malicious).measure_auc(ones) - 0.5 for at in counts]
    best = counts[int(np.nanargmax(np.abs(aucs)))]
    is_upwards = aucs[counts.index(best)] >= 0
    scores = _rank(test_features[:, best]) * (1 if is_upwards else -1)
    alone, model = Ranking(scores, tested.is_malicious), Ranking(tested.raw, tested.is_malicious)
    found: dict[str, Any] = drop_nan(
        {
            "feature": names[best],
            "is_upwards": bool(is_upwards),
            "auc": _find(alone.measure_auc, tested),
            "ap": _find(alone.measure_ap, tested),
            "auc_gain": _find(lambda weights: model.measure_auc(weights) - alone.measure_auc(weights), tested),
        }
    )
    return found


def measure_history_gain(
    train: TrainingSet, test_features: NDArray[np.float32], names: tuple[str, ...], tested: TestOrders, fit: Fit
) -> dict[str, Any] | None:
    """Measure what the history adds to the order's own columns.

    A model that ranks no better than its own columns alone has learned nothing from the history, whatever its AUC.

    Parameters
    ----------
    train, test_features, names, tested : of one split
    fit : fits on a train part with some columns, and gives the test orders' raw scores

    Returns
    -------
    ``history_auc`` (of the model without the order's own columns), ``auc_gain`` and ``ap_gain`` (paired, all columns
    less own columns alone), each with its interval, and ``has_skill``: the history alone ranks better than chance and
    adds to the own columns, both beyond their intervals; None where there are only columns of one sort
    """
    is_own = np.array([name.startswith("order__") for name in names])
    if is_own.all() or not is_own.any():
        return None
    history, own = (
        Ranking(_fit_some(train, test_features, names, kept, fit), tested.is_malicious)
        for kept in (np.flatnonzero(~is_own), np.flatnonzero(is_own))
    )
    whole = Ranking(fit(train, test_features, names), tested.is_malicious)
    history_auc = _find(history.measure_auc, tested)
    auc_gain = _find(lambda weights: whole.measure_auc(weights) - own.measure_auc(weights), tested)
    ap_gain = _find(lambda weights: whole.measure_ap(weights) - own.measure_ap(weights), tested)
    found: dict[str, Any] = drop_nan({"history_auc": history_auc, "auc_gain": auc_gain, "ap_gain": ap_gain})
    has_skill = history_auc["low"] > 0.5 and max(auc_gain["low"], ap_gain["low"]) > 0
    return found | {"has_skill": bool(has_skill)}


def _fit_some(
    train: TrainingSet, test_features: NDArray[np.float32], names: tuple[str, ...], kept: NDArray[np.int64], fit: Fit
) -> NDArray[np.float64]:
    some = replace(train, features=np.ascontiguousarray(train.features[:, kept]))
    return fit(some, np.ascontiguousarray(test_features[:, kept]), tuple(names[at] for at in kept))


def _rank(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give a count as a score; what is not known ranks below every count."""
    return np.nan_to_num(values.astype(np.float64), nan=-1.0)


def _find(measure: Callable[[NDArray[np.float64]], float], tested: TestOrders) -> dict[str, float]:
    return find_interval(measure, tested.buyer, n_draws=_N_DRAWS).as_dict()
