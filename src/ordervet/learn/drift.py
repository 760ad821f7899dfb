"""Drift: of the newest orders from those before them, and of the reasons from one model to the next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.policy import assign_reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.learn.training_data import TrainingData
    from ordervet.learn.trial import Contender

#: Attribution drift is measured on the riskiest share of the newest orders, and on so many at most.
_SHARE, _MOST = 0.02, 400
_N_FEATURES = 12
_N_BINS = 10
#: Added to each bin's share, so that an empty one does not make the index infinite.
_FLOOR = 1e-4


#: A trend is of what a tenth of a day's orders is above, over so many days at least.
_TREND_SHARE, _LEAST_TREND_DAYS = 0.1, 7


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature in the newest days beside the days before."""

    name: str  # of the feature
    psi: float  # population stability index
    #: top_share_before, top_share_now: share of the commonest value, NaN being a value too
    top_share_before: float
    top_share_now: float


def measure_psi(before: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """Measure the population stability index between two samples, over the deciles of the first; NaN is its own bin.

    Parameters
    ----------
    before, now : shape (n_before,), (n_now,); 0 where either is empty

    References
    ----------
    Siddiqi, "Credit Risk Scorecards", 2006, chapter 7; below 0.1 is stable there, above 0.25 a shift.
    """
    if len(before) == 0 or len(now) == 0:
        return 0.0
    known = before[~np.isnan(before)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _N_BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    one, other = (_share_bins(values, edges) for values in (before, now))
    return float(((other - one) * np.log(other / one)).sum())


def find_trend(raw: NDArray[np.float64], day: NDArray[np.int64]) -> float:
    """Find by how much raw scores rise a day: those that a tenth of each day's orders are above, from day to day.

    A young history fills up: fewer buyers are strangers every week, and scores fall with it. The median of the slopes
    between any two days is taken. NOT: least squares. Malice comes in bursts, and a few days of it would turn the line.

    Parameters
    ----------
    raw : shape (n,), raw scores
    day : shape (n,), whole days

    Returns
    -------
    per day; 0 where there are too few days to tell

    References
    ----------
    Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968.
    """
    days, number = np.unique(day, return_inverse=True)
    if len(days) < _LEAST_TREND_DAYS:
        return 0.0
    edge = np.array([np.quantile(raw[number == at], 1 - _TREND_SHARE) for at in range(len(days))])
    one, other = np.triu_indices(len(days), 1)
    return float(np.median((edge[other] - edge[one]) / (days[other] - days[one])))


def measure_feature_drift(
    names: tuple[str, ...], features: NDArray[np.float32], before: NDArray[np.int64], now: NDArray[np.int64]
) -> list[FeatureDrift]:
    """Measure the drift of every column of `features` from the rows `before` to the rows `now`."""
    drifts = []
    for at, name in enumerate(names):
        one, other = (features[rows, at].astype(np.float64) for rows in (before, now))
        drifts.append(FeatureDrift(name, measure_psi(one, other), _find_top_share(one), _find_top_share(other)))
    return drifts


def measure_category_psi(before: NDArray[np.uint64], now: NDArray[np.uint64]) -> float:
    """Measure the population stability index of a category, such as the channel; each value is a bin."""
    if len(before) == 0 or len(now) == 0:
        return 0.0
    _, position = np.unique(np.concatenate([before, now]), return_inverse=True)
    n_bins = int(position.max()) + 1
    one, other = (
        _floor(np.bincount(part, minlength=n_bins)) for part in (position[: len(before)], position[len(before) :])
    )
    return float(((other - one) * np.log(other / one)).sum())


def measure_attribution_drift(
    challenger: Contender, champion: Contender, data: TrainingData, rows: NDArray[np.int64], n_threads: int
) -> dict[str, Any]:
    """Compare the reasons and the leading features of two models on the newest orders that each finds riskiest.

    Returns
    -------
    ``reasons``: per reason code, the share of each model's riskiest orders that have it; ``features``: those whose mean
    absolute contribution differs most, log-odds
    """
    ours, ours_strength = _explain(challenger, data, rows, n_threads)
    theirs, their_strength = _explain(champion, data, rows, n_threads)
    codes = sorted(set(ours) | set(theirs), key=lambda code: (-max(ours[code], theirs[code]), code))
    names = sorted(
        set(ours_strength) | set(their_strength),
        key=lambda name: (-abs(ours_strength.get(name, 0.0) - their_strength.get(name, 0.0)), name),
    )
    return {
        "reasons": [{"code": code, "challenger": ours[code], "champion": theirs[code]} for code in codes],
        "features": [
            {"name": name, "challenger": ours_strength.get(name, 0.0), "champion": their_strength.get(name, 0.0)}
            for name in names[:_N_FEATURES]
        ],
    }


def _explain(
    contender: Contender, data: TrainingData, rows: NDArray[np.int64], n_threads: int
) -> tuple[Counter[str], dict[str, float]]:
    """Return each reason's share of the riskiest orders, and each feature's mean absolute contribution there."""
    raw = contender.predict(data, rows, n_threads)
    riskiest = rows[np.argsort(-raw, kind="stable")[: min(max(int(len(rows) * _SHARE), 1), _MOST)]]
    if len(riskiest) == 0:
        return Counter(), {}
    names = contender.model.spec.names
    features = np.ascontiguousarray(data.features[np.ix_(riskiest, contender.columns)])
    shares = contender.predictor.explain(features, n_threads=n_threads)[:, :-1]
    found: Counter[str] = Counter()
    for reasons in assign_reasons(names, shares, features, lang="en"):
        found.update({str(reason.code) for reason in reasons})
    share = Counter({code: n / len(riskiest) for code, n in found.items()})
    return share, dict(zip(names, np.abs(shares).mean(axis=0).tolist(), strict=True))


def _share_bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    # NOTE: left, so that a decile that is a common value, such as a count of 0, is in one bin with what is below it.
    place = np.searchsorted(edges, values, side="left")
    place[np.isnan(values)] = len(edges) + 1
    return _floor(np.bincount(place, minlength=len(edges) + 2))


def _floor(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    share = counts / counts.sum() + _FLOOR
    floored: NDArray[np.float64] = share / share.sum()
    return floored


def _find_top_share(values: NDArray[np.float64]) -> float:
    if len(values) == 0:
        return 0.0
    _, counts = np.unique(values, return_counts=True)
    return float(counts.max() / len(values))
