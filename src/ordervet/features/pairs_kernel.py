"""For exact distinct counts: link every order of a busy slot to the one before and after it with the same value.

The table of pairs is open-addressing with two words an entry: record and value (plus one; 0 is empty), column and
latest node. It is at most half full.

No checks here: `busy_kernel.py` and `compact_kernel.py` are the only callers.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, prefetch, put32, put64

#: In place of the node before: this order has no id to count.
NO_VALUE = -2

_MIX = np.uint64(0x9E3779B97F4A7C15)
_MIX_COLUMN = np.uint64(0xC2B2AE3D27D4EB4F)
_NODE = (1 << 32) - 1

#: Of an entry's second word: the column is above, the node below.
COLUMN_SHIFT = 32


@numba.njit(nogil=True, cache=True)
def find_pair_home(pair, column, size):
    """Find the place where a pair's search begins."""
    mixed = np.uint64(pair) + np.uint64(column) * _MIX_COLUMN
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(size - 1))


@numba.njit(nogil=True, cache=True)
def read_pair(number, row, column, plan, shared):
    """Read a record's number and an order's value as one number above 0; 0 when the order lacks the value."""
    slots = get64(shared, b.ROW_SLOTS) + row * get64(shared, b.ROW_BYTES)
    value = get32(slots, get32(get64(plan, b.VALUES), column))
    return (number << 32 | value) + 1 if value >= 0 else 0


@numba.njit(nogil=True, cache=True)
def fetch_pairs(number, row, plan, shared):
    """Ask for the entries that an order of a busy slot will touch."""
    for column in range(get64(plan, b.N_VALUES)):
        pair = read_pair(number, row, column, plan, shared)
        prefetch(get64(plan, b.PAIRS), 16 * find_pair_home(pair, column, get64(plan, b.PAIRS_SIZE)))


@numba.njit(nogil=True, cache=True)
def link_values(node, latest, number, row, plan, shared):
    """Link an order to the latest earlier ones of its slot with the same values.

    Parameters
    ----------
    node, latest : its address and number
    number : of the slot's record
    row : of the order
    """
    for column in range(get64(plan, b.N_VALUES)):
        pair, before = read_pair(number, row, column, plan, shared), NO_VALUE
        if pair != 0:
            entry = _find_entry(pair, column, plan)
            before = -1
            if get64(entry, 0) == pair:
                before = get64(entry, 1) & _NODE
                put32(get64(plan, b.NODES) + before * get64(plan, b.NODE_BYTES), b.FIRST_VALUE + 2 * column + 1, latest)
            else:
                put64(entry, 0, pair)
                put64(plan, b.N_PAIRS, get64(plan, b.N_PAIRS) + 1)
            put64(entry, 1, column << COLUMN_SHIFT | latest)
        put32(node, b.FIRST_VALUE + 2 * column, before)
        put32(node, b.FIRST_VALUE + 2 * column + 1, -1)


@numba.njit(nogil=True, cache=True)
def _find_entry(pair, column, plan):
    """Find the address of a pair's entry, or of the empty one where it would go."""
    pairs, last = get64(plan, b.PAIRS), get64(plan, b.PAIRS_SIZE) - 1
    place = find_pair_home(pair, column, last + 1)
    found = get64(pairs, 2 * place)
    while found != 0 and not (found == pair and get64(pairs, 2 * place + 1) >> COLUMN_SHIFT == column):
        place = (place + 1) & last
        found = get64(pairs, 2 * place)
    return pairs + 16 * place


@numba.njit(nogil=True, cache=True)
def enter_pair(pair, column, node, table):
    """Enter a pair that a table does not have; shape (2**k, 2), int64."""
    place = find_pair_home(pair, column, np.int64(len(table)))
    while table[place, 0] != 0:
        place = (place + 1) & (len(table) - 1)
    table[place, 0], table[place, 1] = pair, column << COLUMN_SHIFT | node
