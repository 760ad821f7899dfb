"""What each family of features is worth: the same split, fitted again without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features.spec import JUDGED
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.intervals import drop_nan, find_interval
from ordervet.learn.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ordervet.learn.evaluation import TestOrders
    from ordervet.model import TrainingSet

    Measure = Callable[[NDArray[np.float64]], float]
    Fit = Callable[[TrainingSet, NDArray[np.float32], tuple[str, ...]], NDArray[np.float64]]

_N_DRAWS = 100
#: Families by entity; an entity that is not named is a family of its own.
_PLACES = ("address", "place")
_ACCESS = ("phone", "device", "ip", "network", "payment", "recipient")
_CONTEXT = ("item", "category", "shop", "channel", "campaign")


def name_family(feature: str) -> str:
    """Give the family of a feature: what it is counted by, or that it rests on verdicts."""
    parts = feature.split("__")
    if len(parts) > 2 and parts[2] in JUDGED:
        return "verdicts"
    if parts[0] in _PLACES:
        return "places"
    if parts[0] in _ACCESS:
        return "phones, devices, payments"
    return "item, channel, shop" if parts[0] in _CONTEXT else parts[0]


def measure_families(
    train: TrainingSet,
    test_features: NDArray[np.float32],
    names: tuple[str, ...],
    tested: TestOrders,
    fit: Fit,
) -> Iterator[dict[str, Any]]:
    """Leave one family out after the other, and compare with all of them together.

    Changes are paired: both rankings are measured on the same bootstrap draws of buyers. Below zero, the family helps.

    Parameters
    ----------
    train : the train part, features in the order of `names`
    test_features : shape (n_test, n_features)
    names : of the features
    tested : the test orders
    fit : fits on a train part with some columns, and gives the test orders' raw scores

    Yields
    ------
    per family ``family``, ``n_features``, ``ap_change`` and ``recall_change`` (at the alert rate of the parts), each
    with its interval
    """
    families = np.array([name_family(name) for name in names])
    weights_of_all = np.ones(len(tested))
    whole = Ranking(fit(train, test_features, names), tested.is_malicious)
    rate = min(1.0, FLAGS_PER_MALICIOUS * float(tested.is_malicious.mean()))
    for family in dict.fromkeys(families.tolist()):
        kept = np.flatnonzero(families != family)
        if len(kept) == 0:
            continue
        some = replace(train, features=np.ascontiguousarray(train.features[:, kept]))
        raw = fit(some, np.ascontiguousarray(test_features[:, kept]), tuple(names[at] for at in kept))
        without = Ranking(raw, tested.is_malicious)
        yield drop_nan(
            {
                "family": family,
                "n_features": len(names) - len(kept),
                "ap": without.measure_ap(weights_of_all),
                "ap_change": _compare(tested, without.measure_ap, whole.measure_ap),
                "recall_change": _compare(tested, _recall_at(without, rate), _recall_at(whole, rate)),
            }
        )


def _recall_at(ranking: Ranking, rate: float) -> Measure:
    return lambda weights: ranking.measure_at(rate, weights)[0]


def _compare(tested: TestOrders, without: Measure, whole: Measure) -> dict[str, float]:
    return find_interval(lambda w: without(w) - whole(w), tested.buyer, n_draws=_N_DRAWS).as_dict()
