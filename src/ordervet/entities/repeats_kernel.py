"""Which texts of a column stand in it before: what was read once need not be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

from ordervet.entities.siphash_round_kernel import BYTES, OFFSETS, load_tail, load_word

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["find_firsts"]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MAX_STEPS = 16


@njit(nogil=True, cache=True)
def _mix(data: NDArray[np.uint8], start: Scalar, stop: Scalar, seed: Scalar) -> Scalar:
    """Mix a text into 64 bits, quickly: good enough for a table, and for nothing that leaves this file."""
    mixed = seed
    for at in range(start, start + ((stop - start) & ~7), 8):
        mixed = (mixed ^ load_word(data, at)) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(32)
    mixed = (mixed ^ load_tail(data, start, stop)) * _MULTIPLIER
    return (mixed ^ (mixed >> np.uint64(32))) * _MULTIPLIER


@njit(nogil=True, cache=True)
def _differs(data: NDArray[np.uint8], one: Scalar, other: Scalar, n: Scalar) -> Scalar:
    """Say whether two texts of n bytes differ."""
    found = load_tail(data, one, one + n) ^ load_tail(data, other, other + n)
    for at in range(0, n & ~7, 8):
        found |= load_word(data, one + at) ^ load_word(data, other + at)
    return found != np.uint64(0)


@njit(types.void(BYTES, OFFSETS, types.uint64, types.Array(types.int64, 1, "C")), nogil=True, cache=True)
def find_firsts(data: NDArray[np.uint8], offsets: NDArray[np.int64], seed: Scalar, firsts: NDArray[np.int64]) -> None:
    """Find for every row one before it with the same bytes. No checks: the caller is ``addresses.py``.

    Parameters
    ----------
    data : shape (n_bytes,)
    offsets : shape (n_rows + 1,), ascending; row i is ``data[offsets[i]:offsets[i + 1]]``
    seed : any number that strangers do not know, so that they cannot choose texts that get in each other's way
    firsts : shape (n_rows,), written: the first row with the same bytes, or the row itself. Where the table is crowded
        a repeat may be taken for a first one
    """
    n_rows, n_bits = firsts.shape[0], 1
    while (1 << n_bits) < 2 * n_rows:
        n_bits += 1
    places = np.zeros(1 << n_bits, np.int32)
    shift, last = np.uint64(64 - n_bits), np.uint64((1 << n_bits) - 1)
    for row in range(n_rows):
        start, n = offsets[row], offsets[row + 1] - offsets[row]
        place, other = _mix(data, start, start + n, seed) >> shift, np.int64(0)
        firsts[row] = row
        for _ in range(_MAX_STEPS):
            other = np.int64(places[place])
            if other == 0:
                places[place] = row + 1
                break
            before = offsets[other - 1]
            if offsets[other] - before == n and not _differs(data, before, start, n):
                firsts[row] = other - 1
                break
            place = (place + np.uint64(1)) & last
