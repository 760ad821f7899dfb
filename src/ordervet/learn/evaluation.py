"""What a ranking of test orders was worth: with intervals, in money, per day's capacity, and part by part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract.files.outputs import drop_nan
from ordervet.learn.intervals import find_interval
from ordervet.learn.ranking import ALERT_RATES, Ranking
from ordervet.learn.rings import measure_rings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.learn.rings import Rings

    Floats = NDArray[np.float64]

#: Parts are compared at this alert rate, in malicious orders: for each malicious order one and a quarter are flagged.
FLAGS_PER_MALICIOUS = 1.25
_CURVE_POINTS = 200
_N_BINS = 10
_N_DRAWS = 100


@dataclass(frozen=True, slots=True)
class TestOrders:
    """Orders that a model was tested on, every array of shape (n,)."""

    __test__ = False  # no test, whatever the name says

    raw: Floats  # scores, any monotone scale
    p_malicious: Floats | None  # calibrated probabilities; None where nothing was calibrated
    is_malicious: NDArray[np.bool_]  # the labels
    amount_minor: NDArray[np.int64]  # minor units
    day: NDArray[np.int64]  # local days since 1970
    buyer: NDArray[np.int64]  # 0 to n_buyers - 1: what an interval is drawn by; orders without a buyer stand alone
    #: what the orders are grouped by, such as ``channel``: name to texts, empty where there is none
    parts: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    rings: Rings | None = None  # of all malicious orders known, also those before the test; None skips them

    def __len__(self) -> int:
        return len(self.raw)


def evaluate_ranking(orders: TestOrders, *, capacity: int | None = None) -> dict[str, Any]:
    """Measure a ranking in every respect that a merchant asks about.

    Intervals are 5th to 95th percentile of bootstrap draws of whole buyers. The parts (kinds, channels, look-alikes,
    months) and rings are compared at one alert rate, `FLAGS_PER_MALICIOUS` times the malicious share.

    Parameters
    ----------
    orders : the test orders
    capacity : orders a day that the desk can look at; None skips that

    Returns
    -------
    plain values for JSON; what could not be measured is None
    """
    ranking = Ranking(orders.raw, orders.is_malicious)
    share = float(orders.is_malicious.mean()) if len(orders) else 0.0
    rate = min(1.0, FLAGS_PER_MALICIOUS * share)
    flags = ranking.flag(rate)
    evaluation: dict[str, Any] = {
        "n_orders": len(orders),
        "n_malicious": int(orders.is_malicious.sum()),
        "n_buyers": int(orders.buyer.max(initial=-1)) + 1,
        "interval": "5th to 95th percentile of bootstrap draws of whole buyers",
        "ap": _find(ranking.measure_ap, orders),
        "auc": _find(ranking.measure_auc, orders),
        "at_alert_rate": [_measure_rate(ranking, orders, each) for each in (*ALERT_RATES, rate) if each],
        "alert_rate_of_parts": rate,
        "parts": {name: _measure_parts(orders, texts, flags) for name, texts in orders.parts.items()},
        "curve": _trace(ranking),
    }
    if orders.rings is not None:
        kind = orders.parts.get("kind", np.full(len(orders), ""))
        rows = measure_rings(orders.rings, flags, amount_minor=orders.amount_minor, kind=kind)
        evaluation["rings"] = [row.as_dict() for row in rows]
    if capacity is not None:
        evaluation["at_capacity"] = _measure_capacity(orders, capacity)
    if orders.p_malicious is not None:
        evaluation["calibration"] = measure_calibration(orders.p_malicious, orders.is_malicious)
    plain: dict[str, Any] = drop_nan(evaluation)
    return plain


def measure_calibration(p_malicious: Floats, is_malicious: NDArray[np.bool_]) -> dict[str, Any]:
    """Compare probabilities with what happened, in bins of as many expected malicious orders each.

    Returns
    -------
    ``bias`` (mean probability less share malicious), ``error`` (mean absolute difference over the bins, weighted by
    orders), and ``bins`` with ``n_orders``, ``predicted`` and ``observed``
    """
    order = np.argsort(p_malicious, kind="stable")
    expected = np.cumsum(p_malicious[order])
    whole = expected[-1] if len(expected) else 0.0
    edges = np.searchsorted(expected, whole * np.arange(1, _N_BINS) / _N_BINS)
    bins = []
    for rows in np.split(order, edges):
        if len(rows):
            predicted, observed = float(p_malicious[rows].mean()), float(is_malicious[rows].mean())
            bins.append({"n_orders": len(rows), "predicted": predicted, "observed": observed})
    n = max(len(order), 1)
    error = sum(each["n_orders"] * abs(each["predicted"] - each["observed"]) for each in bins) / n
    return {"bias": float(np.sum(p_malicious) - np.sum(is_malicious)) / n, "error": error, "bins": bins}


def _find(measure: Callable[[Floats], float], orders: TestOrders) -> dict[str, float]:
    return find_interval(measure, orders.buyer, n_draws=_N_DRAWS).as_dict()


def _measure_rate(ranking: Ranking, orders: TestOrders, rate: float) -> dict[str, Any]:
    money = orders.amount_minor.astype(np.float64)
    return {
        "alert_rate": rate,
        "recall": _find(lambda weights: ranking.measure_at(rate, weights)[0], orders),
        "precision": _find(lambda weights: ranking.measure_at(rate, weights)[1], orders),
        "caught_minor": round(ranking.add_up_at(rate, money * orders.is_malicious)),
        "held_by_mistake_minor": round(ranking.add_up_at(rate, money * ~orders.is_malicious)),
    }


def _measure_capacity(orders: TestOrders, capacity: int) -> dict[str, Any]:
    """Flag the riskiest orders of every day, as many as the desk can look at."""
    ranked = np.lexsort((-orders.raw, orders.day))
    day = orders.day[ranked]
    first = np.flatnonzero(np.diff(day, prepend=day[:1] - 1))
    place = np.arange(len(day)) - np.repeat(first, np.diff(np.append(first, len(day))))
    flags = np.zeros(len(day), bool)
    flags[ranked[place < capacity]] = True
    caught = flags & orders.is_malicious
    n_malicious, n_flagged = int(orders.is_malicious.sum()), int(flags.sum())
    return {
        "capacity": capacity,
        "n_days": len(first),
        "n_flagged": n_flagged,
        "recall": _divide(int(caught.sum()), n_malicious),
        "precision": _divide(int(caught.sum()), n_flagged),
        "caught_minor": int(orders.amount_minor[caught].sum()),
        "held_by_mistake_minor": int(orders.amount_minor[flags & ~orders.is_malicious].sum()),
    }


def _measure_parts(orders: TestOrders, texts: NDArray[np.str_], flags: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Measure each part; the honest orders' alert rate beside that of the honest orders of all parts together."""
    rows = []
    for text in np.unique(texts[texts != ""]):
        of_part = texts == text
        bad, honest = of_part & orders.is_malicious, of_part & ~orders.is_malicious
        row = {
            "part": str(text),
            "n_orders": int(of_part.sum()),
            "n_malicious": int(bad.sum()),
            "recall": _divide(int((flags & bad).sum()), int(bad.sum())),
            "honest_alert_rate": _divide(int((flags & honest).sum()), int(honest.sum())),
            "ap": Ranking(orders.raw[of_part], orders.is_malicious[of_part]).measure_ap(np.ones(int(of_part.sum()))),
        }
        if orders.p_malicious is not None:
            row["bias"] = measure_calibration(orders.p_malicious[of_part], orders.is_malicious[of_part])["bias"]
        rows.append(row)
    return rows


def _trace(ranking: Ranking) -> dict[str, list[float]]:
    recall, precision = ranking.trace()
    at = np.searchsorted(recall, np.linspace(0, 1, _CURVE_POINTS))
    chosen = np.unique(np.minimum(at, len(recall) - 1)) if len(recall) else np.zeros(0, np.int64)
    return {"recall": recall[chosen].tolist(), "precision": precision[chosen].tolist()}


def _divide(part: int, whole: int) -> float | None:
    return part / whole if whole else None
