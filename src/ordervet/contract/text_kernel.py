"""One look at every text of a column: whether it is as the contract has it, and whether one comes twice.

Imported only for columns of many rows: numba takes longer to import than a small table to check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scalar: TypeAlias = Any

__all__ = ["has_repeats", "scan_texts"]

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int32, 1, "C", readonly=True)
FLAGS = types.Array(types.boolean, 1, "C", readonly=True)

_SPACE, _FIRST_CONTINUED = np.uint8(0x20), np.uint8(0x80)
_MULTIPLIER, _SEED = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_MAX_STEPS = 8


@njit(nogil=True, cache=True, inline="always")
def _is_given(validity: NDArray[np.uint8], bit: Scalar) -> Scalar:
    return len(validity) == 0 or (validity[np.uint64(bit >> 3)] >> np.uint8(bit & 7)) & np.uint8(1) != 0


@njit(types.void(BYTES, OFFSETS, BYTES, types.int64, FLAGS, types.Array(types.int64, 1, "C")), nogil=True, cache=True)
def scan_texts(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    validity: NDArray[np.uint8],
    first_bit: Scalar,
    may_begin: NDArray[np.bool_],
    found: NDArray[np.int64],
) -> None:
    """Look at the ends and the length of every text. No checks: the caller is ``columns.py``.

    Parameters
    ----------
    data : shape (n_bytes,), UTF-8
    offsets : shape (n_rows + 1,), ascending
    validity : bits, set where a text is given; empty where all are
    first_bit : the bit of the first row
    may_begin : shape (256,), whether a character that begins with this byte could be one to trim
    found : shape (2,), written: whether a text could be blank, or begin or end with a character to trim; and the
        longest text, in bytes
    """
    is_suspect, longest = False, np.int64(0)
    for row in range(len(offsets) - 1):
        if not _is_given(validity, first_bit + row):
            continue
        start, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        if start == stop:
            is_suspect = True
            continue
        longest = np.int64(max(longest, stop - start))
        last = data[np.uint64(stop - 1)]
        is_suspect |= may_begin[data[np.uint64(start)]] or last <= _SPACE
        if last >= _FIRST_CONTINUED:
            is_suspect |= may_begin[data[np.uint64(stop - 2)]] or may_begin[data[np.uint64(max(np.int64(0), stop - 3))]]
    found[0], found[1] = is_suspect, longest


@njit(nogil=True, cache=True)
def _hash(data: NDArray[np.uint8], start: Scalar, stop: Scalar) -> Scalar:
    """Mix a text into 64 bits, quickly: not for anything that others see."""
    mixed = _SEED ^ np.uint64(stop - start)
    at = start
    while at < stop:
        word = np.uint64(0)
        if at + 8 <= stop:
            for i in range(8):
                word |= np.uint64(data[np.uint64(at + i)]) << np.uint64(8 * i)
        else:
            for i in range(stop - at):
                word |= np.uint64(data[np.uint64(at + i)]) << np.uint64(8 * i)
        mixed = (mixed ^ word) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
        at += 8
    return mixed


@njit(nogil=True, cache=True)
def _is_same(data: NDArray[np.uint8], one: Scalar, other: Scalar, n: Scalar) -> Scalar:
    for i in range(n):  # noqa: SIM110 -- numba knows no generators
        if data[np.uint64(one + i)] != data[np.uint64(other + i)]:
            return False
    return True


@njit(types.boolean(BYTES, OFFSETS, BYTES, types.int64), nogil=True, cache=True)
def has_repeats(
    data: NDArray[np.uint8], offsets: NDArray[np.int32], validity: NDArray[np.uint8], first_bit: Scalar
) -> Scalar:
    """Tell whether a text comes twice. No checks: the caller is ``tables.py``.

    Parameters and order are those of ``scan_texts``.

    Returns
    -------
    False where none does; True where one does, or where the texts lie so badly that it is better to look otherwise
    """
    n_rows = len(offsets) - 1
    n_bits = np.int64(1)
    while (1 << n_bits) < 2 * n_rows:
        n_bits += 1
    places = np.zeros(1 << n_bits, np.int32)
    last, shift, n_steps = np.uint64((1 << n_bits) - 1), np.uint64(64 - n_bits), np.int64(0)
    for row in range(n_rows):
        if not _is_given(validity, first_bit + row):
            continue
        start, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        place = _hash(data, start, stop) * _MULTIPLIER >> shift
        while places[place] != 0:
            other = places[place] - 1
            n = np.int64(offsets[other + 1]) - np.int64(offsets[other])
            if n == stop - start and _is_same(data, start, np.int64(offsets[other]), n):
                return True
            place = (place + np.uint64(1)) & last
            n_steps += 1
        if n_steps > _MAX_STEPS * n_rows:
            return True
        places[place] = row + 1
    return False
