"""What a ranking of orders is worth: areas, recall and precision, money, and bad entities among the day's riskiest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALERT_RATES = (0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Holdout:
    """Labelled orders that no measured model was fitted on; every array of shape (n,)."""

    is_malicious: NDArray[np.bool_]  # the labels
    weight: NDArray[np.int64]  # orders that a row stands for
    amount_minor: NDArray[np.int64]  # minor units
    unit: NDArray[np.int64]  # numbers from 0 of what stands or falls together: buyers, or rings


class Ranking:
    """Orders from the riskiest down, sorted once and measured under any weights; ties are taken together.

    Parameters
    ----------
    scores, is_malicious : shape (n,)
    """

    def __init__(self, scores: Floats, is_malicious: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], np.ones(min(len(ranked), 1), bool)))
        self._is_malicious = is_malicious[self._order]

    # NOT: weights @ values. BLAS adds in an order that depends on the threads it may use.
    def accumulate(self, values: Floats) -> Floats:
        """Add up values, shape (n,) in the order of the scores given, from the top: one sum per distinct score."""
        sums: Floats = np.cumsum(values[self._order], dtype=np.float64)[self._ends]
        return sums

    def measure_ap(self, weights: Floats) -> float:
        """Return average precision under weights, shape (n,); NaN without malicious orders."""
        flagged, caught = self._count(weights)
        if not len(caught) or caught[-1] <= 0:
            return float("nan")
        precision = np.divide(caught, flagged, out=np.zeros_like(caught), where=flagged > 0)
        return float((np.diff(caught, prepend=0.0) * precision).sum() / caught[-1])

    def measure_auc(self, weights: Floats) -> float:
        """Return the area under the ROC curve under weights; NaN without both classes."""
        flagged, caught = self._count(weights)
        passed = flagged - caught
        if not len(caught) or caught[-1] <= 0 or passed[-1] <= 0:
            return float("nan")
        middle = caught - np.diff(caught, prepend=0.0) / 2
        return float((np.diff(passed, prepend=0.0) * middle).sum() / caught[-1] / passed[-1])

    def measure_at(self, alert_rate: float, weights: Floats) -> tuple[float, float]:
        """Return recall and precision with the riskiest share flagged; ties are taken in proportion."""
        flagged, caught = self._count(weights)
        n_flagged = alert_rate * flagged[-1] if len(flagged) else 0.0
        if n_flagged == 0:
            return float("nan"), float("nan")
        n_caught = float(np.interp(n_flagged, np.append(0.0, flagged), np.append(0.0, caught)))
        return (n_caught / float(caught[-1]) if caught[-1] > 0 else float("nan")), n_caught / float(n_flagged)

    def add_up_at(self, alert_rate: float, values: Floats, weights: Floats | None = None) -> float:
        """Add up values, such as money, over the riskiest share of the weights; ties are taken in proportion."""
        n_orders = np.append(0.0, self.accumulate(np.ones(len(values)) if weights is None else weights))
        return float(np.interp(alert_rate * n_orders[-1], n_orders, np.append(0.0, self.accumulate(values))))

    def flag(self, alert_rate: float, weights: Floats | None = None) -> NDArray[np.bool_]:
        """Flag the riskiest share of the weights, shape (n,), in the order of the scores given; ties are kept whole."""
        n_orders = self.accumulate(np.ones(len(self._order)) if weights is None else weights)
        n_flagged = round(alert_rate * n_orders[-1]) if len(n_orders) else 0
        flags = np.zeros(len(self._order), bool)
        if n_flagged:
            end = self._ends[np.searchsorted(n_orders, n_flagged)]
            flags[self._order[: end + 1]] = True
        return flags

    def trace(self) -> tuple[Floats, Floats]:
        """Return the precision-recall curve: recall and precision at every distinct score, riskiest first."""
        flagged, caught = self._count(np.ones(len(self._order)))
        return caught / max(caught[-1] if len(caught) else 0.0, 1.0), caught / flagged

    def _count(self, weights: Floats) -> tuple[Floats, Floats]:
        ranked = weights[self._order]
        return np.cumsum(ranked)[self._ends], np.cumsum(ranked * self._is_malicious)[self._ends]


def measure_ranking(scores: Floats, is_malicious: NDArray[np.bool_]) -> dict[str, float]:
    """Measure a ranking of unweighted orders by scikit-learn's areas, which `Ranking` is tested against.

    Returns
    -------
    ``auc``, ``ap``, and the counts ``n_orders``, ``n_malicious``; without both classes the areas are NaN
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    n_malicious = int(is_malicious.sum())
    has_both = 0 < n_malicious < len(is_malicious)
    return {
        "auc": float(roc_auc_score(is_malicious, scores)) if has_both else float("nan"),
        "ap": float(average_precision_score(is_malicious, scores)) if has_both else float("nan"),
        "n_orders": len(is_malicious),
        "n_malicious": n_malicious,
    }


def measure_at_rate(scores: Floats, is_malicious: NDArray[np.bool_], alert_rate: float) -> dict[str, float]:
    """Measure recall and precision with a whole number of the riskiest orders flagged, at least one.

    Ties at the cut are taken in proportion, so that the result does not depend on the order of rows.
    """
    n_flagged = max(1, round(alert_rate * len(scores)))
    order = np.argsort(-scores, kind="stable")
    cut = scores[order[n_flagged - 1]]
    above, tied = scores > cut, scores == cut
    weight = (n_flagged - above.sum()) / tied.sum()
    caught = float(is_malicious[above].sum() + weight * is_malicious[tied].sum())
    n_malicious = int(is_malicious.sum())
    return {
        "alert_rate": alert_rate,
        "recall": caught / n_malicious if n_malicious else float("nan"),
        "precision": caught / n_flagged,
    }


def measure_daily_precision(
    scores: Floats, is_malicious: NDArray[np.bool_], day: NDArray[np.int64], entity: NDArray[np.uint64], top_k: int
) -> float:
    """Measure the mean over days of the share of bad entities among the day's `top_k` riskiest.

    An entity's score is that of its riskiest order of the day. A bad entity found on one day is skipped on later ones.

    References
    ----------
    Card Precision at k: Le Borgne et al., Fraud Detection Handbook, chapter 4, "Precision top-k".
    """
    found = np.zeros(0, np.uint64)
    precision = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(entity, found))
        of_day, position = np.unique(entity[rows], return_inverse=True)
        highest = np.full(len(of_day), -np.inf)
        np.maximum.at(highest, position, scores[rows])
        is_bad = np.zeros(len(of_day), bool)
        np.logical_or.at(is_bad, position, is_malicious[rows])
        top = np.argsort(-highest, kind="stable")[:top_k]
        caught = of_day[top][is_bad[top]]
        found = np.concatenate([found, caught])
        precision.append(len(caught) / top_k)
    return float(np.mean(precision)) if precision else float("nan")
