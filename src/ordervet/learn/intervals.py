"""How sure a figure is: bootstrap intervals over whole buyers, whose orders stand or fall together.

Each buyer gets a Poisson(1) weight, which is the bootstrap for large samples. Figures on the same draws are compared in
pairs.

References
----------
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals); Poisson weights:
Chamandy et al., 2012.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ordervet.learn.ranking import Holdout

    Measure = Callable[[NDArray[np.float64]], float]

N_DRAWS = 200
_Z = 1.6448536269514722  # of a two-sided interval of 90 %


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the 5th and 95th percentile of its bootstrap draws; NaN where a draw could not be measured."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return asdict(self)


def number_buyers(ids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return a number from 0 for each buyer, as they appear; an order without a buyer (0) is a buyer of its own.

    NOT: by their ids. Those are keyed, so that draws by buyer would differ from key to key.
    """
    _, first, at = np.unique(ids, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    buyer = number[at]
    unknown = np.flatnonzero(ids == 0)
    buyer[unknown] = len(first) + np.arange(len(unknown))
    return buyer


def find_wilson_interval(n_hits: float, n: float, *, z: float = _Z) -> tuple[float, float]:
    """Return Wilson's interval of a share, 90 % by default; all there is without anything counted.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if n == 0:
        return 0.0, 1.0
    share, square = n_hits / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def draw_weights(buyer: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how often each order's buyer is in one bootstrap sample; `buyer` holds numbers from 0, shape (n,)."""
    return rng.poisson(1.0, int(buyer.max(initial=-1)) + 1).astype(np.float64)[buyer]


def find_interval(measure: Measure, buyer: NDArray[np.int64], *, n_draws: int = N_DRAWS, seed: int = 0) -> Interval:
    """Measure a figure with its bootstrap interval.

    Parameters
    ----------
    measure : from weights of the orders, shape (n,), to the figure
    buyer : shape (n,), numbers from 0: what is drawn together
    n_draws : bootstrap samples
    seed : the same seed draws the same samples
    """
    rng = np.random.default_rng(seed)
    draws = [measure(draw_weights(buyer, rng)) for _ in range(n_draws)]
    low, high = np.quantile(draws, [0.05, 0.95]) if draws else (np.nan, np.nan)
    return Interval(measure(np.ones(len(buyer))), float(low), float(high))


def draw_intervals(
    measures: Mapping[str, Measure], holdout: Holdout, *, confidence_level: float, n_draws: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure figures, each with its interval, all on the same draws of units.

    Returns
    -------
    per name ``value``, and ``low`` and ``high``, the draws' percentiles on both sides of the confidence level; draws
    that could not be measured are skipped, NaN where none could
    """
    weight = holdout.weight.astype(np.float64)
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(n_draws):
        drawn = weight * draw_weights(holdout.unit, rng)
        for name, measure in measures.items():
            draws[name].append(measure(drawn))
    found = {}
    for name, measure in measures.items():
        known = np.array(draws[name])[~np.isnan(draws[name])]
        ends = [1 - confidence_level, confidence_level]
        low, high = np.quantile(known, ends) if len(known) else (np.nan, np.nan)
        found[name] = {"value": measure(weight), "low": float(low), "high": float(high)}
    return found


def count_more(gap: float, half: float, n: int) -> int:
    """Count how many more orders an interval takes, of which it had `n`: it shrinks as the square root of them.

    `gap` is from the figure to what the interval is to leave out, above 0, and `half` to the interval's end there.
    """
    return max(math.ceil(((half / gap) ** 2 - 1) * n), 1)


def measure_gain(
    challenger: Measure, champion: Measure, holdout: Holdout, *, confidence_level: float, n_draws: int, seed: int
) -> dict[str, float]:
    """Measure by how much one figure is higher than another on the same draws of units.

    Returns
    -------
    ``challenger``, ``champion``, ``gain``, and ``low`` and ``high`` of the gain, see `draw_intervals`
    """
    measures = {"gain": lambda weight: challenger(weight) - champion(weight)}
    drawn = draw_intervals(measures, holdout, confidence_level=confidence_level, n_draws=n_draws, seed=seed)
    found = drawn["gain"]
    weight = holdout.weight.astype(np.float64)
    both = {"challenger": challenger(weight), "champion": champion(weight)}
    return both | {"gain": found["value"], "low": found["low"], "high": found["high"]}
