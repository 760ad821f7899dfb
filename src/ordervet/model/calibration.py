"""From a raw score to a probability, and to a risk score that keeps its meaning from one model to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.errors import ModelError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Orders of the overall rate that each isotonic block is mixed with: a block of three bad orders is not a certainty.
PRIOR_ORDERS = 2.0

#: The risk score rises by this much for each tenth part: 250 is riskier than 90 % of the reference, 500 than 99 %.
SCORE_PER_TENTH = 250.0
MAX_RISK_SCORE = 1000.0
_KNOTS_PER_TENTH = 20

#: Of the logistic fit: steps, when it is close enough, and a ridge that keeps it finite.
_MOST_STEPS, _CLOSE, _RIDGE = 100, 1e-10, 1e-6
_MOST_LOG_ODDS, _N_LOGISTIC_KNOTS = 30.0, 65


@dataclass(frozen=True, slots=True)
class Curve:
    """A non-decreasing, piecewise linear function, constant beyond its ends.

    Parameters
    ----------
    x : shape (n_knots,), strictly ascending, at least one knot
    y : shape (n_knots,), non-decreasing
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __post_init__(self) -> None:
        is_shaped = self.x.ndim == 1 and self.x.shape == self.y.shape and len(self.x) > 0
        is_finite = is_shaped and bool(np.isfinite(self.x).all() and np.isfinite(self.y).all())
        if not is_finite or (np.diff(self.x) <= 0).any() or (np.diff(self.y) < 0).any():
            raise ModelError("a calibration curve is not ascending", hint="restore the model folder from its source")

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate element by element: one value alone gives the same bits as among many."""
        right = np.clip(np.searchsorted(self.x, values, side="right"), 1, max(len(self.x) - 1, 1))
        if len(self.x) == 1:
            return np.full(np.shape(values), self.y[0])
        left = right - 1
        inside = np.clip(values, self.x[0], self.x[-1])
        along = (inside - self.x[left]) / (self.x[right] - self.x[left])
        return np.clip(self.y[left] + along * (self.y[right] - self.y[left]), self.y[left], self.y[right])

    def to_lists(self) -> dict[str, list[float]]:
        """Give the knots as plain lists for JSON; Python writes floats so that they read back to the same bits."""
        return {"x": self.x.tolist(), "y": self.y.tolist()}

    @classmethod
    def from_lists(cls, lists: dict[str, Sequence[float]]) -> Curve:
        """Read the knots back."""
        return cls(np.asarray(lists["x"], np.float64), np.asarray(lists["y"], np.float64))


#: The risk score of a model that has none yet.
FLAT_SCALE = Curve(np.zeros(1), np.zeros(1))


def fit_calibration(
    raw: NDArray[np.float64],
    is_malicious: NDArray[np.bool_],
    weight: NDArray[np.int64] | NDArray[np.float64] | None = None,
) -> Curve:
    """Fit isotonic regression of the label on the raw score, one knot per block.

    A block's probability is its malicious share mixed with `PRIOR_ORDERS` orders of the overall rate, so that it is
    never exactly 0 or 1; the mixture is made non-decreasing again by a running maximum. Between the blocks' mean raw
    scores the curve is linear, so that ties are rare.

    Parameters
    ----------
    raw, is_malicious : shape (n,), on orders that the model was not fitted on
    weight : shape (n,), how many orders a row stands for; None is one each

    Raises
    ------
    TrainingError
        One of the two classes is missing.

    References
    ----------
    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.
    """
    from sklearn.isotonic import IsotonicRegression

    n_malicious = int(is_malicious.sum())
    if n_malicious in (0, len(raw)):
        raise TrainingError(
            f"calibration saw {n_malicious} malicious of {len(raw)} orders, expected at least one of each class",
            hint="train on a longer period, or on more labelled orders",
        )
    n_orders = np.ones(len(raw)) if weight is None else weight.astype(np.float64)
    regression = IsotonicRegression(out_of_bounds="clip")
    fitted = regression.fit_transform(raw, is_malicious.astype(np.float64), sample_weight=n_orders)
    _, block = np.unique(fitted, return_inverse=True)
    size = np.bincount(block, n_orders)
    centre = np.bincount(block, raw * n_orders) / size
    overall = n_orders[is_malicious].sum() / n_orders.sum()
    share = (np.bincount(block, is_malicious * n_orders) + PRIOR_ORDERS * overall) / (size + PRIOR_ORDERS)
    x, first = np.unique(centre, return_index=True)
    return Curve(x, np.maximum.accumulate(share)[first])


def fit_log_odds(
    raw: NDArray[np.float64],
    is_malicious: NDArray[np.bool_],
    weight: NDArray[np.int64] | NDArray[np.float64] | None = None,
    *,
    judged_share: float = 1.0,
) -> tuple[float, float]:
    """Fit a logistic curve of the label on the raw score, by Newton's method.

    Parameters
    ----------
    raw, is_malicious, weight : as for `fit_calibration`
    judged_share : of the malicious orders, those that are known as such. Each of them stands for 1 / judged_share, all
        but itself among the orders that count as innocent: its target is that number, and the probabilities add up to
        all malice

    Returns
    -------
    the intercept and the slope, which is 0 where the raw score does not vary

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", 1999, whose targets are used: a class of n orders is no
    more certain than (n + 1) / (n + 2).
    """
    n_orders = np.ones(len(raw)) if weight is None else weight.astype(np.float64)
    n_malicious = float(n_orders[is_malicious].sum())
    n_innocent = float(n_orders.sum()) - n_malicious
    target = np.where(is_malicious, (n_malicious + 1) / (n_malicious + 2) / judged_share, 1 / (n_innocent + 2))
    centre, spread = float(np.mean(raw)), float(np.std(raw))
    if spread == 0:
        return float(np.log((n_malicious + 1) / (n_innocent + 1))), 0.0
    x = (raw - centre) / spread
    a, b = float(np.log((n_malicious + 1) / (n_innocent + 1))), 0.0
    for _ in range(_MOST_STEPS):
        p = 1 / (1 + np.exp(-np.clip(a + b * x, -_MOST_LOG_ODDS, _MOST_LOG_ODDS)))
        gap, curve = n_orders * (p - target), n_orders * p * (1 - p)
        # NOT: matrix products. BLAS adds in an order that depends on the threads it may use.
        g0, g1 = float(gap.sum()) + _RIDGE * a, float((gap * x).sum()) + _RIDGE * b
        h00, h01, h11 = float(curve.sum()) + _RIDGE, float((curve * x).sum()), float((curve * x * x).sum()) + _RIDGE
        determinant = h00 * h11 - h01 * h01
        step_a, step_b = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        if max(abs(step_a), abs(step_b)) < _CLOSE:
            break
        shrink, loss = 1.0, _measure_loss(a, b, x, target, n_orders)
        # NOTE: the loss is convex, and Newton's step may still be too long where it is nearly flat.
        while shrink > _CLOSE and _measure_loss(a - shrink * step_a, b - shrink * step_b, x, target, n_orders) > loss:
            shrink /= 2
        a, b = a - shrink * step_a, b - shrink * step_b
    return a - b * centre / spread, b / spread


def _measure_loss(
    a: float, b: float, x: NDArray[np.float64], target: NDArray[np.float64], n_orders: NDArray[np.float64]
) -> float:
    """Return the logistic loss, its ridge with it; a target may be above 1."""
    log_odds = a + b * x
    loss = float((n_orders * (np.logaddexp(0.0, log_odds) - target * log_odds)).sum())
    return loss + _RIDGE / 2 * (a * a + b * b)


def fit_logistic_calibration(
    raw: NDArray[np.float64],
    is_malicious: NDArray[np.bool_],
    weight: NDArray[np.int64] | NDArray[np.float64] | None = None,
    *,
    judged_share: float = 1.0,
) -> Curve:
    """Fit a logistic calibration, for orders too few for `fit_calibration`'s steps; a falling curve is flattened."""
    intercept, slope = fit_log_odds(raw, is_malicious, weight, judged_share=judged_share)
    x = np.linspace(float(raw.min()), float(raw.max()), _N_LOGISTIC_KNOTS) if slope > 0 else np.zeros(1)
    x = np.unique(x)
    y = 1 / (1 + np.exp(-np.clip(intercept + max(slope, 0.0) * x, -_MOST_LOG_ODDS, _MOST_LOG_ODDS)))
    return Curve(x, np.maximum.accumulate(y))


def fit_risk_scale(raw: NDArray[np.float64]) -> Curve:
    """Fit the 0-1000 risk score to the distribution of raw scores over reference orders.

    The score is 250 for each factor of ten in rarity: ``-250 log10(share of reference orders at or above)``, at most
    1000. Retrained models are mapped to the same scale, so a threshold on it keeps its alert rate.

    Parameters
    ----------
    raw : shape (n,), raw scores of the reference orders

    References
    ----------
    Quantile mapping to a reference distribution: Feedzai MUSE, arXiv 2602.11776.
    """
    n = len(raw)
    tenths = np.arange(0, np.log10(max(n, 2)), 1 / _KNOTS_PER_TENTH)
    at = np.minimum((n * (1 - 10.0**-tenths)).astype(np.int64), n - 1)
    knots = np.sort(raw)[at]
    x, last_from_end = np.unique(knots[::-1], return_index=True)
    score = np.minimum(tenths[::-1][last_from_end] * SCORE_PER_TENTH, MAX_RISK_SCORE)
    return Curve(x, score)
