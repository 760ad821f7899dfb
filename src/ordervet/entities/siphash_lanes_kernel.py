"""SipHash-2-4 of many short texts at once: 64 texts side by side, a step of the hash for all of them in one pass.

Texts are collected in *lanes*, one flat array: sixteen words of each text, how many there are, its row, and the state.
A caller with few rows has lanes of no size, and hashes its texts one by one; the ids are the same.

No checks here: the callers are the kernels of ``plain_kernel.py`` and ``siphash_kernel.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ordervet.entities.siphash_round_kernel import load_tail, load_word
from ordervet.entities.siphash_vectors_kernel import LANES, MAX_WORDS, VECTOR, absorb_words, finish_lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["LANES", "LONGEST", "flush_lanes", "make_lanes", "put_in_lane"]

_COUNT, _ROW, _V0, _V1, _V2, _V3 = (LANES * (MAX_WORDS + part) for part in range(6))
_SIZE = LANES * (MAX_WORDS + 6)
LONGEST = 8 * MAX_WORDS
"""Texts of so many bytes fit no lane, and are hashed alone."""


@njit(nogil=True, cache=True)
def make_lanes(n_rows: Scalar) -> NDArray[np.uint64]:
    """Make lanes for so many rows: none for fewer than fill them."""
    return np.zeros(_SIZE if n_rows >= LANES else 0, np.uint64)


@njit(nogil=True, cache=True, inline="always")
def put_in_lane(
    data: NDArray[np.uint8], start: Scalar, stop: Scalar, row: Scalar, lane: Scalar, lanes: NDArray[np.uint64]
) -> None:
    """Put ``data[start:stop]``, shorter than LONGEST, into a lane.

    Parameters
    ----------
    data : shape (n_bytes,)
    start, stop : of the text
    row : where its id goes
    lane : which lane
    lanes : of ``make_lanes``
    """
    # NOT: with the choice between lane and single hash in here. A function with two ways out makes numba count who
    # holds the arrays, for every row, at six times the cost of the hash (bench_path.py).
    n_whole = (stop - start) >> 3
    for word in range(n_whole):
        lanes[np.uint64(word * LANES + lane)] = load_word(data, start + 8 * word)
    lanes[np.uint64(n_whole * LANES + lane)] = load_tail(data, start, stop)
    lanes[np.uint64(_COUNT + lane)] = np.uint64(n_whole + 1)
    lanes[np.uint64(_ROW + lane)] = np.uint64(row)


@njit(nogil=True, cache=True)
def flush_lanes(n_lanes: Scalar, k0: Scalar, k1: Scalar, lanes: NDArray[np.uint64], ids: NDArray[np.uint64]) -> None:
    """Write the ids of the texts in the first lanes.

    Parameters
    ----------
    n_lanes : lanes in use
    k0, k1 : the key's two halves
    lanes : of ``make_lanes``
    ids : shape (n_rows,), written for the rows of these lanes; never 0
    """
    if n_lanes == 0:
        return
    for lane in range(LANES):
        lanes[_V0 + lane] = k0 ^ np.uint64(0x736F6D6570736575)
        lanes[_V1 + lane] = k1 ^ np.uint64(0x646F72616E646F6D)
        lanes[_V2 + lane] = k0 ^ np.uint64(0x6C7967656E657261)
        lanes[_V3 + lane] = k1 ^ np.uint64(0x7465646279746573)
    for first in range(0, n_lanes, VECTOR):
        longest = np.uint64(0)
        for lane in range(first, first + VECTOR):
            longest = max(longest, lanes[_COUNT + lane])
        for at in range(longest):
            absorb_words(lanes, first, at)
        finish_lanes(lanes, first)
    for lane in range(n_lanes):
        ids[lanes[_ROW + lane]] = lanes[_V0 + lane]
