"""A ranking of test orders, sorted once and measured often: the same figures under any weights of the orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Ranking:
    """Scores and labels, sorted from the riskiest order down; orders of one score stand together.

    Parameters
    ----------
    scores, is_malicious : shape (n,)
    """

    def __init__(self, scores: NDArray[np.float64], is_malicious: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], np.ones(min(len(ranked), 1), bool)))
        self._is_malicious = is_malicious[self._order]

    def accumulate(self, values: Floats) -> Floats:
        """Add values up from the riskiest order down, one sum per distinct score.

        Parameters
        ----------
        values : shape (n,), in the order of the scores given
        """
        sums: Floats = np.cumsum(values[self._order])[self._ends]
        return sums

    def measure_ap(self, weights: Floats) -> float:
        """Measure average precision; NaN without malicious orders."""
        flagged, caught = self._count(weights)
        if not len(caught) or caught[-1] == 0:
            return float("nan")
        precision = np.divide(caught, flagged, out=np.zeros_like(caught), where=flagged > 0)
        return float(np.sum(np.diff(caught, prepend=0.0) * precision) / caught[-1])

    def measure_auc(self, weights: Floats) -> float:
        """Measure the area under the ROC curve; NaN without both classes."""
        flagged, caught = self._count(weights)
        held = flagged - caught
        if not len(caught) or caught[-1] == 0 or held[-1] == 0:
            return float("nan")
        area = np.trapezoid(np.append(0.0, caught), np.append(0.0, held))
        return float(area / (caught[-1] * held[-1]))

    def measure_at(self, alert_rate: float, weights: Floats) -> tuple[float, float]:
        """Measure recall and precision when the riskiest share of orders is flagged; ties are taken in proportion."""
        flagged, caught = self._count(weights)
        n_flagged = alert_rate * flagged[-1] if len(flagged) else 0.0
        if n_flagged == 0:
            return float("nan"), float("nan")
        n_caught = float(np.interp(n_flagged, np.append(0.0, flagged), np.append(0.0, caught)))
        return (n_caught / caught[-1] if caught[-1] else float("nan")), n_caught / n_flagged

    def add_up_at(self, alert_rate: float, values: Floats) -> float:
        """Add up values, such as money, over the riskiest share of orders; ties are taken in proportion."""
        n_orders = np.append(0.0, self.accumulate(np.ones(len(values))))
        return float(np.interp(alert_rate * n_orders[-1], n_orders, np.append(0.0, self.accumulate(values))))

    def flag(self, alert_rate: float) -> NDArray[np.bool_]:
        """Flag the riskiest share of orders, shape (n,), in the order of the scores given; a tie is flagged whole."""
        n_flagged = round(alert_rate * len(self._order))
        flags = np.zeros(len(self._order), bool)
        if n_flagged:
            end = self._ends[np.searchsorted(self._ends, n_flagged - 1)]
            flags[self._order[: end + 1]] = True
        return flags

    def trace(self) -> tuple[Floats, Floats]:
        """Give the precision-recall curve: recall and precision at every distinct score, riskiest first."""
        flagged, caught = self._count(np.ones(len(self._order)))
        return caught / max(caught[-1] if len(caught) else 0.0, 1.0), caught / flagged

    def _count(self, weights: Floats) -> tuple[Floats, Floats]:
        ranked = weights[self._order]
        return np.cumsum(ranked)[self._ends], np.cumsum(ranked * self._is_malicious)[self._ends]
