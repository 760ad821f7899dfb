"""What a ranking of weighted orders is worth, and how much more than another's on the same orders.

A row can stand for several orders; ties are taken together. Intervals are drawn by whole buyers, whose orders stand or
fall together, and in pairs: both models are measured on the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn.intervals import draw_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

ALERT_RATES = (0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Held:
    """Labelled orders that no measured model was fitted on.

    Parameters
    ----------
    is_malicious : shape (n,)
    weight : shape (n,), orders that a row stands for
    amount_minor : shape (n,), minor units
    group : shape (n,), buyers as numbers from 0; orders without a buyer stand alone
    """

    is_malicious: NDArray[np.bool_]
    weight: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.is_malicious)


class Ranking:
    """Held orders by descending score, ties together.

    Parameters
    ----------
    raw : shape (n,), raw scores
    held : the orders
    """

    def __init__(self, raw: NDArray[np.float64], held: Held) -> None:
        self._order = np.argsort(-raw, kind="stable")
        self._ends = np.flatnonzero(np.append(np.diff(raw[self._order]) != 0, True)) if len(raw) else np.zeros(0, int)
        self._held = held

    def measure_ap(self, weight: NDArray[np.float64]) -> float:
        """Average precision under weights, shape (n,); NaN without a malicious order.

        References
        ----------
        scikit-learn's average_precision_score with sample_weight.
        """
        flagged, caught = self._cumulate(weight), self._cumulate(weight * self._held.is_malicious)
        if len(caught) == 0 or caught[-1] <= 0:
            return float("nan")
        precision = np.divide(caught, flagged, out=np.zeros_like(caught), where=flagged > 0)
        return float((np.diff(caught, prepend=0.0) * precision).sum() / caught[-1])

    def measure_money(self, weight: NDArray[np.float64], alert_rate: float) -> float:
        """Share of the malicious orders' money that is in the riskiest share of the orders; NaN where there is none."""
        flagged = self._cumulate(weight)
        money = self._cumulate(weight * self._held.is_malicious * self._held.amount_minor)
        if len(money) == 0 or money[-1] <= 0:
            return float("nan")
        return float(np.interp(alert_rate * flagged[-1], np.append(0, flagged), np.append(0, money)) / money[-1])

    def measure_auc(self, weight: NDArray[np.float64]) -> float:
        """Area under the ROC curve under weights; NaN without both classes."""
        caught = self._cumulate(weight * self._held.is_malicious)
        passed = self._cumulate(weight * ~self._held.is_malicious)
        if len(caught) == 0 or caught[-1] <= 0 or passed[-1] <= 0:
            return float("nan")
        middle = caught - np.diff(caught, prepend=0.0) / 2
        return float((np.diff(passed, prepend=0.0) * middle).sum() / caught[-1] / passed[-1])

    def measure_rate(self, weight: NDArray[np.float64], alert_rate: float) -> dict[str, float]:
        """Recall and precision when the riskiest share of the orders is flagged."""
        flagged, caught = self._cumulate(weight), self._cumulate(weight * self._held.is_malicious)
        n_flagged = alert_rate * flagged[-1]
        n_caught = float(np.interp(n_flagged, np.append(0, flagged), np.append(0, caught)))
        recall = n_caught / float(caught[-1]) if caught[-1] > 0 else float("nan")
        return {"alert_rate": alert_rate, "recall": recall, "precision": n_caught / float(n_flagged)}

    # NOT: weights @ values. BLAS adds in an order that depends on the threads it may use.
    def _cumulate(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = np.cumsum(values[self._order], dtype=np.float64)[self._ends]
        return sums


def number_groups(buyer: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Give buyers numbers from 0; an order whose buyer is not known is a group of its own."""
    _, group = np.unique(buyer, return_inverse=True)
    group = group.astype(np.int64)
    unknown = np.flatnonzero(buyer == 0)
    group[unknown] = group.max(initial=0) + 1 + np.arange(len(unknown))
    return group


def measure_model(raw: NDArray[np.float64], p: NDArray[np.float64], held: Held, *, money_rate: float) -> dict[str, Any]:
    """Measure one model.

    Parameters
    ----------
    raw, p : shape (n,), raw scores and probabilities
    held : the orders
    money_rate : alert rate of the money caught

    Returns
    -------
    ``auc``, ``ap``, ``money``, counts, ``calibration_error`` (mean predicted minus share malicious), and recall and
    precision at `ALERT_RATES`
    """
    ranking, weight = Ranking(raw, held), held.weight.astype(np.float64)
    share = float(weight[held.is_malicious].sum() / weight.sum())
    return {
        "auc": ranking.measure_auc(weight),
        "ap": ranking.measure_ap(weight),
        "money": ranking.measure_money(weight, money_rate),
        "n_orders": int(held.weight.sum()),
        "n_malicious": int(held.weight[held.is_malicious].sum()),
        "calibration_error": float((weight * p).sum() / weight.sum()) - share,
        "at_alert_rate": [ranking.measure_rate(weight, rate) for rate in ALERT_RATES],
    }


def draw_intervals(
    measures: Mapping[str, Callable[[NDArray[np.float64]], float]],
    held: Held,
    *,
    sureness: float,
    n_draws: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Measure figures, each with its interval, all on the same draws of buyers.

    Returns
    -------
    per name ``value``, and ``low`` and ``high``, the draws' percentiles at both sides of `sureness`; NaN where no draw
    could be measured

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals).
    """
    weight = held.weight.astype(np.float64)
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(n_draws):
        drawn = weight * draw_weights(held.group, rng)
        for name, measure in measures.items():
            draws[name].append(measure(drawn))
    told = {}
    for name, measure in measures.items():
        known = np.array(draws[name])[~np.isnan(draws[name])]
        low, high = np.quantile(known, [1 - sureness, sureness]) if len(known) else (np.nan, np.nan)
        told[name] = {"value": measure(weight), "low": float(low), "high": float(high)}
    return told


def measure_gain(
    challenger: Callable[[NDArray[np.float64]], float],
    champion: Callable[[NDArray[np.float64]], float],
    held: Held,
    *,
    sureness: float,
    n_draws: int,
    seed: int,
) -> dict[str, float]:
    """Measure by how much one figure is higher than another, in pairs: both on the same draws of buyers.

    Returns
    -------
    ``challenger``, ``champion``, ``gain``, and ``low`` and ``high`` of the gain, see `draw_intervals`
    """
    measures = {"gain": lambda weight: challenger(weight) - champion(weight)}
    found = draw_intervals(measures, held, sureness=sureness, n_draws=n_draws, seed=seed)["gain"]
    weight = held.weight.astype(np.float64)
    both = {"challenger": challenger(weight), "champion": champion(weight)}
    return both | {"gain": found["value"], "low": found["low"], "high": found["high"]}
