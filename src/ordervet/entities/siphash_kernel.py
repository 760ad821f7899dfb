"""SipHash-2-4 as a kernel over the bytes of an Arrow text column.

Imported only when a column is hashed: numba is not loaded for people who want the room's models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

from ordervet.entities.siphash_lanes_kernel import LANES, LONGEST, flush_lanes, make_lanes, put_in_lane
from ordervet.entities.siphash_round_kernel import BYTES, IDS, OFFSETS, hash_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Scalar

__all__ = ["BYTES", "IDS", "OFFSETS", "hash_bytes", "hash_rows"]


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
    lanes, lane = make_lanes(ids.shape[0]), 0
    for row in range(ids.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        if start == stop:
            ids[row] = np.uint64(0)
        elif len(lanes) == 0 or stop - start >= LONGEST:
            ids[row] = hash_bytes(data, start, stop, k0, k1)
        else:
            put_in_lane(data, start, stop, row, lane, lanes)
            lane += 1
            if lane == LANES:
                flush_lanes(lane, k0, k1, lanes, ids)
                lane = 0
    flush_lanes(lane, k0, k1, lanes, ids)
