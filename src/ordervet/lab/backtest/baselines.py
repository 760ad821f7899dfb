"""What a model is measured against: points and rules, the best single count, its own columns alone, fewer features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract.files.outputs import drop_nan
from ordervet.features import FeatureEngine, build_spec
from ordervet.features.spec import JUDGED, RUNS, USUAL, Statistic
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.intervals import find_interval
from ordervet.learn.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ordervet.learn.evaluation import TestOrders
    from ordervet.learn.train import Prepared
    from ordervet.model import TrainingSet

    Measure = Callable[[NDArray[np.float64]], float]
    #: Fits on a train part with some columns, and returns the test orders' raw scores.
    Fit = Callable[[TrainingSet, NDArray[np.float32], tuple[str, ...]], NDArray[np.float64]]

#: A buyer with fewer orders on record gets no points for rates.
MIN_ORDERS = 3
_ORDERS = "buyer__count__order__90d"
#: Points by rate of the buyer's orders in 90 days: for more than a fifth, and again for more than a half.
_RATE_POINTS = {"refund_requested": (15, 25), "cancelled_unpaid": (10, 20), "delivery_refused": (15, 25)}
_RATE_STEPS = (0.2, 0.5)
#: Points for other buyers at the same address in 30 days, as many steps as are passed.
_BUYERS_AT_ADDRESS = "address__distinct__buyer__30d"
_ADDRESS_STEPS = (2, 4)
_ADDRESS_POINTS = (15, 20)
#: Points for a buyer found malicious before.
_MALICIOUS = "buyer__count__malicious__90d"
_MALICIOUS_POINTS = 50

NAMES = (_ORDERS, _BUYERS_AT_ADDRESS, _MALICIOUS, *(f"buyer__count__{event}__90d" for event in _RATE_POINTS))

_COUNTS = ("count", "distinct")
_N_DRAWS = 100
#: Families by entity; an entity that is not named is a family of its own.
_PLACES = ("address", "place")
_ACCESS = ("phone", "device", "ip", "network", "payment", "recipient")
_CONTEXT = ("item", "category", "shop", "channel", "campaign")


def score_by_points(prepared: Prepared, *, n_jobs: int = 1) -> NDArray[np.float64]:
    """Score every order by points, as merchant plugins do: a buyer's past rates, and sharing an exactly equal address.

    A baseline to be measured beside a model on the same orders, not something to use: no learning, no expectation of
    the item, no place types, no look-alikes. The address is the door key: kinder than the exact text that plugins
    compare.

    Returns
    -------
    shape (n_orders,), 0 to 195 points, as known at each order's own time
    """
    spec = build_spec(use_defaults=False, names=NAMES)
    features = FeatureEngine(spec, n_jobs=n_jobs).advance(prepared.orders.without_own(), prepared.later)
    known = np.nan_to_num(features).T.astype(np.float64)
    columns: dict[str, NDArray[np.float64]] = dict(zip(spec.names, known, strict=True))
    points: NDArray[np.float64] = _MALICIOUS_POINTS * (columns[_MALICIOUS] > 0).astype(np.float64)
    n_orders = columns[_ORDERS]
    for event, worth in _RATE_POINTS.items():
        rate = columns[f"buyer__count__{event}__90d"] / np.maximum(n_orders, 1)
        for step, each in zip(_RATE_STEPS, worth, strict=True):
            points += each * ((rate > step) & (n_orders >= MIN_ORDERS))
    for step, each in zip(_ADDRESS_STEPS, _ADDRESS_POINTS, strict=True):
        points += each * (columns[_BUYERS_AT_ADDRESS] >= step)
    return points


def measure_best_count(
    train: TrainingSet, test_features: NDArray[np.float32], names: tuple[str, ...], tested: TestOrders
) -> dict[str, Any] | None:
    """Measure the one count of the history that ranks the train part best, upwards or downwards.

    Returns ``feature``, ``is_upwards``, ``auc`` and ``ap`` of the test orders with intervals, and ``auc_gain``, the
    model's AUC less that; None where no feature is a count.
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
            "auc_gain": _find_change(tested, model.measure_auc, alone.measure_auc),
        }
    )
    return found


def measure_history_gain(
    train: TrainingSet, test_features: NDArray[np.float32], names: tuple[str, ...], tested: TestOrders, fit: Fit
) -> dict[str, Any] | None:
    """Measure what the history adds to the order's own columns.

    A model that ranks no better than its own columns alone has learned nothing from the history, whatever its AUC.

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
    auc_gain = _find_change(tested, whole.measure_auc, own.measure_auc)
    ap_gain = _find_change(tested, whole.measure_ap, own.measure_ap)
    found: dict[str, Any] = drop_nan({"history_auc": history_auc, "auc_gain": auc_gain, "ap_gain": ap_gain})
    has_skill = history_auc["low"] > 0.5 and max(auc_gain["low"], ap_gain["low"]) > 0
    return found | {"has_skill": bool(has_skill)}


def name_family(feature: str) -> str:
    """Return the family of a feature: what it is counted by, or that it rests on verdicts or on usual amounts."""
    parts = feature.split("__")
    if len(parts) > 2 and parts[2] in JUDGED:
        return "runs of verdicts" if parts[1] in (*RUNS, Statistic.RECENCY) else "verdicts"
    if len(parts) > 2 and parts[1] in USUAL:
        return "spikes of amounts"
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
    """Leave out one family of features after the other, and compare with all of them together.

    Changes are paired: both rankings are measured on the same bootstrap draws of buyers. Below zero, the family helps.

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
        without = Ranking(_fit_some(train, test_features, names, kept, fit), tested.is_malicious)
        yield drop_nan(
            {
                "family": family,
                "n_features": len(names) - len(kept),
                "ap": without.measure_ap(weights_of_all),
                "ap_change": _find_change(tested, without.measure_ap, whole.measure_ap),
                "recall_change": _find_change(tested, _recall_at(without, rate), _recall_at(whole, rate)),
            }
        )


def _fit_some(
    train: TrainingSet, test_features: NDArray[np.float32], names: tuple[str, ...], kept: NDArray[np.int64], fit: Fit
) -> NDArray[np.float64]:
    some = replace(train, features=np.ascontiguousarray(train.features[:, kept]))
    return fit(some, np.ascontiguousarray(test_features[:, kept]), tuple(names[at] for at in kept))


def _rank(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a count as a score; what is not known ranks below every count."""
    return np.nan_to_num(values.astype(np.float64), nan=-1.0)


def _find(measure: Measure, tested: TestOrders) -> dict[str, float]:
    return find_interval(measure, tested.buyer, n_draws=_N_DRAWS).as_dict()


def _find_change(tested: TestOrders, one: Measure, other: Measure) -> dict[str, float]:
    """Measure how much higher one figure is, both on the same draws."""
    return _find(lambda weights: one(weights) - other(weights), tested)


def _recall_at(ranking: Ranking, rate: float) -> Measure:
    return lambda weights: ranking.measure_at(rate, weights)[0]
