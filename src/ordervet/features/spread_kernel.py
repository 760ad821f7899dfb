"""Spread the entries of an open-addressing table over more places, where it lies.

No checks here: `room.py` is the only caller.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features.maps_kernel import find_id_home
from ordervet.features.pairs_kernel import COLUMN_SHIFT, find_pair_home


@numba.njit(nogil=True, cache=True)
def spread(table, old_size, are_pairs):
    """Bring a table whose first `old_size` entries are one of that size, and all others empty, to its full size.

    The walk begins behind an empty entry and takes out one entry after the other. What it puts back lies where it has
    been already, in the old part or as far into a new one: a home of the larger table is one of the smaller, or as many
    places on as the smaller has; and fewer entries between two places never reach further than all of them did.

    Parameters
    ----------
    table : shape (2**k, 2), int64; a first word of 0 is empty
    old_size : a power of 2, some of whose entries are empty
    are_pairs : whether it is one of pairs (`pairs_kernel.py`), or one of ids (`maps_kernel.py`)
    """
    size, start = np.int64(len(table)), 0
    while table[start, 0] != 0:
        start += 1
    for step in range(1, old_size):
        at = (start + step) & (old_size - 1)
        key, value = table[at, 0], table[at, 1]
        if key != 0:
            table[at, 0] = table[at, 1] = 0
            place = find_pair_home(key, value >> COLUMN_SHIFT, size) if are_pairs else find_id_home(key, size)
            while table[place, 0] != 0:
                place = (place + 1) & (size - 1)
            table[place, 0], table[place, 1] = key, value
