"""How sure a figure is: bootstrap intervals, drawn by groups of orders that stand or fall together.

Orders of one buyer are not independent of each other, so whole buyers are drawn, not orders: each gets a Poisson(1)
weight, which is the bootstrap for large samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the interval that holds it in 90 of 100 bootstrap draws.

    Parameters
    ----------
    value : as measured
    low, high : 5th and 95th percentile of the draws; NaN where a draw could not be measured
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Give plain values for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def draw_weights(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how often each group of orders is in one bootstrap sample.

    Parameters
    ----------
    groups : shape (n,), 0 to n_groups - 1

    Returns
    -------
    shape (n,), the same weight for all orders of a group
    """
    n_groups = int(groups.max(initial=-1)) + 1
    return rng.poisson(1.0, n_groups).astype(np.float64)[groups]


def find_interval(
    measure: Callable[[NDArray[np.float64]], float],
    groups: NDArray[np.int64],
    *,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> Interval:
    """Measure a figure with its bootstrap interval.

    Parameters
    ----------
    measure : from weights of the orders, shape (n,), to the figure
    groups : shape (n,), 0 to n_groups - 1: what is drawn together
    n_draws : bootstrap samples
    seed : the same seed draws the same samples, so that two figures on the same orders can be compared in pairs

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; Poisson weights: Chamandy et al., 2012.
    """
    rng = np.random.default_rng(seed)
    draws = [measure(draw_weights(groups, rng)) for _ in range(n_draws)]
    low, high = np.quantile(draws, [0.05, 0.95]) if draws else (np.nan, np.nan)
    return Interval(measure(np.ones(len(groups))), float(low), float(high))


def drop_nan(value: Any) -> Any:
    """Write None for every number that JSON does not know, in plain values however deep."""
    if isinstance(value, dict):
        return {key: drop_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [drop_nan(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
