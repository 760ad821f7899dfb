"""Keying all texts of one order in one call, those of an address excepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

from ordervet.entities.plain_kernel import key_ids, key_networks, key_phones, key_recipients
from ordervet.entities.siphash_kernel import BYTES, IDS, OFFSETS, hash_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FORMS", "key_one"]

FORMS = ("buyer", "device", "payment", "phone", "ip", "network", "recipient")
"""The entities whose texts are brought to one form, in the order in which the kernel takes them."""


@njit(
    types.void(
        BYTES, OFFSETS, types.Array(types.uint64, 2, "C"), types.Array(types.boolean, 2, "C"),
        types.Array(types.int64, 1, "C"), types.Array(types.uint8, 1, "C"), IDS, types.Array(types.int8, 1, "C"),
        types.Array(types.boolean, 1, "C"),
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def key_one(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    subkeys: NDArray[np.uint64],
    suspects: NDArray[np.bool_],
    placeholders: NDArray[np.int64],
    in_name: NDArray[np.uint8],
    ids: NDArray[np.uint64],
    evidence: NDArray[np.int8],
    is_hard: NDArray[np.bool_],
) -> None:
    """Key row i under sub-key i. No checks: the caller is ``one_order.py``.

    Parameters
    ----------
    data : shape (n_bytes,), UTF-8
    offsets : shape (n_rows + 1,); row i is ``data[offsets[i]:offsets[i + 1]]``; the first rows are those of `FORMS`
    subkeys : shape (n_rows, 2), the halves of the keys
    suspects, placeholders, in_name : tables of the kernels in ``plain_kernel.py``
    ids : shape (n_rows,), written; 0 where there is no key
    evidence, is_hard : shape (7,), written: codes of ``Evidence`` of the forms, and which rows need their definition

    References
    ----------
    Truth: ``keyed.key_orders``.
    """
    for row in range(3):
        k0, k1 = subkeys[row, 0], subkeys[row, 1]
        span, to = offsets[row : row + 2], slice(row, row + 1)
        key_ids(data, span, row == 0, suspects, k0, k1, ids[to], evidence[to], is_hard[to])
    to = slice(3, 4)
    key_phones(data, offsets[3:5], placeholders, subkeys[3, 0], subkeys[3, 1], ids[to], evidence[to], is_hard[to])
    for row in range(4, 6):
        k0, k1 = subkeys[row, 0], subkeys[row, 1]
        span, to = offsets[row : row + 2], slice(row, row + 1)
        key_networks(data, span, row == 5, k0, k1, ids[to], evidence[to], is_hard[to])  # noqa: PLR2004 - its place
    to = slice(6, 7)
    key_recipients(data, offsets[6:8], in_name, subkeys[6, 0], subkeys[6, 1], ids[to], evidence[to], is_hard[to])
    for row in range(7, subkeys.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        ids[row] = hash_bytes(data, start, stop, subkeys[row, 0], subkeys[row, 1]) if stop > start else np.uint64(0)
