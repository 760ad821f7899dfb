"""Ids to consecutive slots, by an open-addressing table of (id, slot) pairs that is at most half full.

No checks here: `features/room.py` sizes every table, a power of two.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features.memory import get64, prefetch, put64

_MIX = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(nogil=True, cache=True)
def find_id_home(wanted, size):
    """Find the place where the search for an id begins."""
    return np.int64((np.uint64(wanted) * _MIX) >> np.uint64(20)) & (size - 1)


@numba.njit(nogil=True, cache=True)
def find_place(wanted, table, size):
    """Find where an id is in a table, or where it would go.

    Parameters
    ----------
    wanted : the id's 64 bits as int64, not 0
    table, size : address of pairs of words: id, slot; id 0 is empty

    Returns
    -------
    the address of the pair
    """
    last = size - 1
    place = find_id_home(wanted, size)
    found = get64(table, 2 * place)
    while found not in (0, wanted):
        place = (place + 1) & last
        found = get64(table, 2 * place)
    return table + 16 * place


@numba.njit(nogil=True, cache=True)
def fetch_place(wanted, table, size):
    """Ask for the line of the table where the search for an id begins."""
    prefetch(table, 16 * find_id_home(wanted, size))


@numba.njit(nogil=True, cache=True)
def assign_slot(wanted, table, size, n_slots):
    """Give an id its slot: the one it has, or the next one, `n_slots`."""
    pair = find_place(wanted, table, size)
    if get64(pair, 0) == 0:
        put64(pair, 0, wanted)
        put64(pair, 1, n_slots)
    return get64(pair, 1)


@numba.njit(nogil=True, cache=True)
def find_slot(wanted, table, size):
    """Find an id's slot; -1 where the id is 0 or not known."""
    if wanted == 0:
        return -1
    pair = find_place(wanted, table, size)
    return get64(pair, 1) if get64(pair, 0) != 0 else -1
