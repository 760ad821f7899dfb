"""Which orders' features are kept: all that were judged, and of the others as many as the budget allows, weighted.

A sampled order stands for several of its own day. The weights are whole numbers and add up to the day's orders exactly,
so totals are kept to the order and the calibration stays what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw_numbers(order_id: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Draw a number for each order that depends on its id and the seed alone (SplitMix64's mixing).

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    with np.errstate(over="ignore"):
        mixed = order_id + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        drawn: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return drawn


def sample_rows(
    order_id: NDArray[np.uint64],
    day: NDArray[np.int64],
    is_kept: NDArray[np.bool_],
    *,
    max_rows: int,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sample orders within a budget.

    Parameters
    ----------
    order_id, day : shape (n,); of each day the same share is sampled, at least one order
    is_kept : shape (n,), orders that are kept whatever the budget; they stand for themselves
    max_rows : budget; kept orders, and one order of each day, may pass it
    seed : the same seed keeps the same orders, in any order of rows

    Returns
    -------
    rows : shape (n_rows,), ascending
    weight : shape (n_rows,), int64, how many orders each stands for; of each day, and of kept and sampled orders apart,
        the weights add up to the number of orders
    """
    n = len(order_id)
    kept, others = np.flatnonzero(is_kept), np.flatnonzero(~is_kept)
    room = max(max_rows - len(kept), 0)
    if len(others) <= room:
        return np.arange(n), np.ones(n, np.int64)
    order = others[np.lexsort((draw_numbers(order_id[others], seed), day[others]))]
    _, first, size = np.unique(day[order], return_index=True, return_counts=True)
    n_sampled = np.maximum(size * room // len(others), 1)
    place = np.arange(len(order)) - np.repeat(first, size)
    is_sampled = place < np.repeat(n_sampled, size)
    least, more = size // n_sampled, size % n_sampled
    weight = np.repeat(least, size) + (place < np.repeat(more, size))
    rows = np.concatenate([kept, order[is_sampled]])
    weights = np.concatenate([np.ones(len(kept), np.int64), weight[is_sampled]])
    ascending = np.argsort(rows, kind="stable")
    return rows[ascending], weights[ascending]
