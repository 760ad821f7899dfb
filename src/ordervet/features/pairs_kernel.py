"""For exact distinct counts: link every order to the one before and after it with the same slot and the same value."""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, prefetch, put32, put64

#: In place of the order before: this order has no id to count.
NO_VALUE = -2

_MIX = np.uint64(0x9E3779B97F4A7C15)
_MIX_COLUMN = np.uint64(0xC2B2AE3D27D4EB4F)
_EVENT = (1 << 32) - 1

# SPEED: benchmarks/bench_features.py. How many events ahead an entry is asked for.
_AHEAD = 12


@numba.njit(nogil=True, cache=True)
def _find_home(pair, column, size):
    """Find the place where a pair's search begins."""
    mixed = np.uint64(pair) + np.uint64(column) * _MIX_COLUMN
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(size - 1))


@numba.njit(nogil=True, cache=True)
def _read_pair(event, own, other, shared, log):
    """Read an order's slot and value as one number above 0; 0 when it lacks one of them."""
    row = get64(shared, b.ROW_SLOTS) + 4 * get64(shared, b.N_ENTITIES) * get32(log, event * 2 * b.LOG_WIDTH + b.LOG_ROW)
    slot, value = get32(row, own), get32(row, other)
    return (slot << 32 | value) + 1 if slot >= 0 and value >= 0 else 0


@numba.njit(nogil=True, cache=True)
def _link_pair(pair, column, event, plan, links):
    """Link one order to the latest earlier one with its pair; return 1 when the pair is new."""
    pairs, last, width = get64(plan, b.PAIRS), get64(plan, b.PAIRS_SIZE) - 1, get64(plan, b.LINK_WIDTH)
    place = _find_home(pair, column, last + 1)
    found = get64(pairs, 2 * place)
    while found != 0:
        entry = get64(pairs, 2 * place + 1)
        if found == pair and entry >> 32 == column:
            earlier = entry & _EVENT
            put32(links, event * width + 1 + 2 * column, earlier)
            put32(links, earlier * width + 2 + 2 * column, event)
            put64(pairs, 2 * place + 1, column << 32 | event)
            return 0
        place = (place + 1) & last
        found = get64(pairs, 2 * place)
    put32(links, event * width + 1 + 2 * column, -1)
    put64(pairs, 2 * place, pair)
    put64(pairs, 2 * place + 1, column << 32 | event)
    return 1


@numba.njit(nogil=True, cache=True)
def link_pairs(plan, shared, first, n_events):
    """Link the new orders of one entity, column by column.

    The table of pairs holds two words each: slot and value (plus one; 0 is empty), column and latest event.

    Parameters
    ----------
    plan, shared : addresses of the rows of the book; the count of pairs is brought up to date
    first, n_events : the new events of the log
    """
    log, flags, own = get64(shared, b.LOG), get64(plan, b.CLASS_FLAGS), get64(plan, b.OWN)
    pairs, size = get64(plan, b.PAIRS), get64(plan, b.PAIRS_SIZE)
    links, width, n_pairs = get64(plan, b.LINKS), get64(plan, b.LINK_WIDTH), get64(plan, b.N_PAIRS)
    for column in range(get64(plan, b.N_VALUES)):
        other = get32(get64(plan, b.VALUES), column)
        for event in range(first, n_events):
            if event + _AHEAD < n_events:
                pair = _read_pair(event + _AHEAD, own, other, shared, log)
                prefetch(pairs, 16 * _find_home(pair, column, size))
            if get32(flags, get32(log, event * 2 * b.LOG_WIDTH + b.LOG_CLASS)) & b.IS_ORDER:
                pair = _read_pair(event, own, other, shared, log)
                put32(links, event * width + 2 + 2 * column, -1)
                if pair != 0:
                    n_pairs += _link_pair(pair, column, event, plan, links)
                else:
                    put32(links, event * width + 1 + 2 * column, NO_VALUE)
    put64(plan, b.N_PAIRS, n_pairs)


@numba.njit(nogil=True, cache=True)
def copy_pairs(old, new):
    """Move the entries of a table of pairs into a larger, empty one; shape (2**k, 2), int64."""
    for at in range(len(old)):
        if old[at, 0] != 0:
            place = _find_home(old[at, 0], old[at, 1] >> 32, np.int64(len(new)))
            while new[place, 0] != 0:
                place = (place + 1) & (len(new) - 1)
            new[place, 0], new[place, 1] = old[at, 0], old[at, 1]


@numba.njit(nogil=True, cache=True)
def enter_pair(event, column, new_event, row, shared_row, table):
    """Enter an order's pair into a table that does not have it, under another number of the event; return 1.

    Parameters
    ----------
    row, shared_row : of the book
    table : shape (2**k, 2), int64
    """
    shared, values = np.int64(shared_row.ctypes.data), row[b.VALUES]
    pair = _read_pair(event, row[b.OWN], get32(values, column), shared, shared_row[b.LOG])
    place = _find_home(pair, column, np.int64(len(table)))
    while table[place, 0] != 0:
        place = (place + 1) & (len(table) - 1)
    table[place, 0], table[place, 1] = pair, column << 32 | new_event
    return 1
