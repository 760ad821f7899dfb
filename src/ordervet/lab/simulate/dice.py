"""Random draws that keep their bytes.

Everything random in a simulation comes from the raw 64-bit stream of one PCG64 bit generator. NumPy's policy (NEP 19)
keeps that stream for ever, but not the streams of `Generator.normal` and its like, so those laws are drawn here from
rounded quantile tables: the same seed gives the same orders on any NumPy and on any processor.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

_N_QUANTILES = 4096
_TABLE_DECIMALS = 6  # NOTE: rounding hides the last-bit differences between mathematical libraries


class Dice:
    """Draw arrays of random values from one reproducible stream.

    Parameters
    ----------
    seed : any non-negative integer; equal seeds give equal draws in equal order
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def unit(self, n: int) -> Floats:
        """Draw `n` uniform values in [0, 1)."""
        raw = np.asarray(self._bits.random_raw(n), dtype=np.uint64)
        drawn: Floats = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return drawn

    def below(self, limit: int | Ints, n: int) -> Ints:
        """Draw `n` whole numbers in [0, limit); `limit` is one number or one per draw."""
        return (self.unit(n) * limit).astype(np.int64)

    def between(self, low: int | Ints, high: int | Ints, n: int) -> Ints:
        """Draw `n` whole numbers in [low, high], both ends included."""
        drawn: Ints = self.below(high - low + 1, n) + low
        return drawn

    def chance(self, p: float | Floats, n: int) -> Flags:
        """Draw `n` flags, each true with probability `p`."""
        return self.unit(n) < p

    def pick(self, weights: Sequence[float] | Floats, n: int) -> Ints:
        """Draw `n` positions in `weights`, each as likely as its weight; the weights need not sum to 1."""
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        drawn: Ints = np.searchsorted(edges[:-1], self.unit(n) * edges[-1], side="right").astype(np.int64)
        return drawn

    def log_normal(self, median: float | Floats, spread: float, n: int) -> Floats:
        """Draw `n` log-normal values with this median; `spread` is the standard deviation of the logarithm."""
        return self._from_table(_log_normal_table(spread), n) * median

    def exponential(self, mean: float | Floats, n: int) -> Floats:
        """Draw `n` exponential values with this mean."""
        return self._from_table(_exponential_table(), n) * mean

    def _from_table(self, table: Floats, n: int) -> Floats:
        at = self.unit(n) * (_N_QUANTILES - 1)
        low = at.astype(np.int64)
        part = at - low
        drawn: Floats = table[low] * (1.0 - part) + table[low + 1] * part
        return drawn


@cache
def _log_normal_table(spread: float) -> Floats:
    law = NormalDist()
    normal = np.array([law.inv_cdf((i + 0.5) / _N_QUANTILES) for i in range(_N_QUANTILES)])
    return np.round(np.exp(normal * spread), _TABLE_DECIMALS).astype(np.float64)


@cache
def _exponential_table() -> Floats:
    points = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    return np.round(-np.log1p(-points), _TABLE_DECIMALS).astype(np.float64)


def group_sizes(dice: Dice, total: int, low: int, high: int) -> Ints:
    """Draw group sizes in [low, high] that sum to `total`, at least one; only the last group may be smaller."""
    sizes = dice.between(low, high, total // low + 1)
    return _cut_at(sizes, total)


def geometric_sizes(dice: Dice, total: int, mean: float) -> Ints:
    """Draw group sizes of at least 1 with a long tail and about this mean, that sum to `total`."""
    sizes = 1 + dice.exponential(max(mean - 0.5, 0.1), total).astype(np.int64)
    return _cut_at(sizes, total)


def _cut_at(sizes: Ints, total: int) -> Ints:
    ends = np.cumsum(sizes)
    n_groups = int(np.searchsorted(ends, total, side="left")) + 1
    cut = sizes[:n_groups].copy()
    cut[-1] -= ends[n_groups - 1] - total
    return cut
