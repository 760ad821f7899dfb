"""SipHash-2-4 of one text as a kernel.

Imported only when a column is hashed: numba is not loaded for people who want the room's models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["BYTES", "IDS", "OFFSETS", "hash_bytes", "load_tail", "load_word", "sip_round"]

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
IDS = types.Array(types.uint64, 1, "C")


@njit(nogil=True, cache=True, inline="always")
def _rotate(word: Scalar, by: Scalar) -> Scalar:
    return (word << np.uint64(by)) | (word >> np.uint64(64 - by))


@njit(nogil=True, cache=True, inline="always")
def sip_round(v0: Scalar, v1: Scalar, v2: Scalar, v3: Scalar) -> Scalar:
    """Mix the four words of the state once."""
    v0 += v1
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 += v3
    v3 = _rotate(v3, 16) ^ v2
    v0 += v3
    v3 = _rotate(v3, 21) ^ v0
    v2 += v1
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


@njit(nogil=True, cache=True, inline="always")
def load_word(data: NDArray[np.uint8], at: Scalar) -> Scalar:
    """Read eight bytes."""
    # SPEED: with unsigned indices they are one load (bench_addresses.py).
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(data[np.uint64(at + i)]) << np.uint64(8 * i)
    return word


@njit(nogil=True, cache=True)
def load_tail(data: NDArray[np.uint8], start: Scalar, stop: Scalar) -> Scalar:
    """Read the last word of ``data[start:stop]``: what whole words leave over, below the length modulo 256."""
    n = stop - start
    n_left = n & 7
    tail = np.uint64(n & 0xFF) << np.uint64(56)
    if n_left == 0:
        return tail
    if n >= 8:  # noqa: PLR2004 -- SPEED: then the last eight bytes are a word too, and it saves a loop
        return tail | (load_word(data, stop - 8) >> np.uint64(8 * (8 - n_left)))
    for i in range(n_left):
        tail |= np.uint64(data[np.uint64(start + i)]) << np.uint64(8 * i)
    return tail


@njit(types.uint64(BYTES, types.int64, types.int64, types.uint64, types.uint64), nogil=True, cache=True)
def hash_bytes(data: NDArray[np.uint8], start: Scalar, stop: Scalar, k0: Scalar, k1: Scalar) -> Scalar:
    """Hash ``data[start:stop]``. No checks: the caller is ``ids.py`` or the address kernel.

    Parameters
    ----------
    data : shape (n_bytes,)
    start, stop : 0 <= start <= stop <= n_bytes
    k0, k1 : the key's two halves, little-endian uint64

    Returns
    -------
    uint64; never 0, which means "no key": a hash of 0 becomes 1

    References
    ----------
    Truth: siphash.py.
    """
    v0 = k0 ^ np.uint64(0x736F6D6570736575)
    v1 = k1 ^ np.uint64(0x646F72616E646F6D)
    v2 = k0 ^ np.uint64(0x6C7967656E657261)
    v3 = k1 ^ np.uint64(0x7465646279746573)
    whole = start + ((stop - start) & ~7)
    for at in range(start, whole, 8):
        word = load_word(data, at)
        v3 ^= word
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
        v0 ^= word
    word = load_tail(data, start, stop)
    v3 ^= word
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    v0 ^= word
    v2 ^= np.uint64(0xFF)
    for _ in range(4):
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    hashed = v0 ^ v1 ^ v2 ^ v3
    return hashed if hashed != np.uint64(0) else np.uint64(1)
