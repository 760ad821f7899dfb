"""SipHash-2-4 as a kernel over the bytes of an Arrow text column.

Imported only when a column is hashed: numba is not loaded for people who want the room's models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["hash_bytes", "hash_rows"]

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
IDS = types.Array(types.uint64, 1, "C")


@njit(nogil=True, cache=True, inline="always")
def _rotate(word: Scalar, by: Scalar) -> Scalar:
    return (word << np.uint64(by)) | (word >> np.uint64(64 - by))


@njit(nogil=True, cache=True, inline="always")
def _round(v0: Scalar, v1: Scalar, v2: Scalar, v3: Scalar) -> Scalar:
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
    # SPEED: with unsigned indices the eight bytes of a word are one load (bench_addresses.py).
    for at in range(start, whole, 8):
        word = np.uint64(0)
        for i in range(8):
            word |= np.uint64(data[np.uint64(at + i)]) << np.uint64(8 * i)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
    word = np.uint64((stop - start) & 0xFF) << np.uint64(56)
    for i in range(stop - whole):
        word |= np.uint64(data[np.uint64(whole + i)]) << np.uint64(8 * i)
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= word
    v2 ^= np.uint64(0xFF)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    hashed = v0 ^ v1 ^ v2 ^ v3
    return hashed if hashed != np.uint64(0) else np.uint64(1)


@njit(types.void(BYTES, OFFSETS, types.uint64, types.uint64, IDS), nogil=True, cache=True)
def hash_rows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], k0: Scalar, k1: Scalar, ids: NDArray[np.uint64]
) -> None:
    """Hash every non-empty row. No checks: the caller is ``ids.py``.

    Parameters
    ----------
    data : shape (n_bytes,)
    offsets : shape (n_rows + 1,), ascending; row i is ``data[offsets[i]:offsets[i + 1]]``
    k0, k1 : the key's two halves
    ids : shape (n_rows,), written; an empty row is set to 0
    """
    for row in range(ids.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        ids[row] = hash_bytes(data, start, stop, k0, k1) if stop > start else np.uint64(0)
