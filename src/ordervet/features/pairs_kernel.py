"""For exact distinct counts: link every order to the one before and after it with the same slot and the same value."""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, put32, put64

#: In place of the order before: this order has no id to count.
NO_VALUE = -2

_MIX = np.uint64(0x9E3779B97F4A7C15)
_MIX_COLUMN = np.uint64(0xC2B2AE3D27D4EB4F)
_HALF = np.uint64(32)
_LOW = np.int64(0xFFFFFFFF)
_COLUMN = np.int64(0x3F)


@numba.njit(nogil=True, cache=True)
def _hash(slot, value, column):
    """Hash a pair; the low bits give its place, the highest 25 its tag."""
    mixed = (np.uint64(slot) << _HALF | np.uint64(value)) + np.uint64(column) * _MIX_COLUMN
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX
    mixed = (mixed ^ (mixed >> _HALF)) * _MIX_COLUMN
    return mixed ^ (mixed >> np.uint64(31))


@numba.njit(nogil=True, cache=True)
def _link_pair(slot, value, column, event, own, other, plan, shared):
    """Link one order to the latest earlier one with its pair; return 1 when the pair is new.

    An entry of the table holds event + 1 in its lower half, and above it the column (six bits) and the tag; 0 is empty.

    Parameters
    ----------
    own, other : columns among the slots of an order that hold the pair
    """
    pairs, last = get64(plan, b.PAIRS), get64(plan, b.PAIRS_SIZE) - 1
    slot_of_row, n_entities = get64(shared, b.ROW_SLOTS), get64(shared, b.N_ENTITIES)
    links, width = get64(plan, b.LINKS), get64(plan, b.LINK_WIDTH)
    mixed = _hash(slot, value, column)
    tag, place = np.int64(mixed >> np.uint64(39)) << 6 | column, np.int64(mixed & np.uint64(last))
    put32(links, event * width + 2 + 2 * column, -1)
    entry = get64(pairs, place)
    while entry != 0:
        if entry >> 32 == tag:
            earlier = (entry & _LOW) - 1
            row = get32(get64(shared, b.LOG), earlier * 2 * b.LOG_WIDTH + b.LOG_ROW) * n_entities
            if get32(slot_of_row, row + own) == slot and get32(slot_of_row, row + other) == value:
                put32(links, event * width + 1 + 2 * column, earlier)
                put32(links, earlier * width + 2 + 2 * column, event)
                put64(pairs, place, tag << 32 | (event + 1))
                return 0
        place = (place + 1) & last
        entry = get64(pairs, place)
    put32(links, event * width + 1 + 2 * column, -1)
    put64(pairs, place, tag << 32 | (event + 1))
    return 1


@numba.njit(nogil=True, cache=True)
def link_pairs(plan, shared, first, n_events):
    """Link the new orders of one entity, column by column.

    Parameters
    ----------
    plan, shared : addresses of the rows of the book; the count of pairs is brought up to date
    first, n_events : the new events of the log
    """
    log, flags, own = get64(shared, b.LOG), get64(plan, b.CLASS_FLAGS), get64(plan, b.OWN)
    slot_of_row, n_entities = get64(shared, b.ROW_SLOTS), get64(shared, b.N_ENTITIES)
    links, width, n_pairs = get64(plan, b.LINKS), get64(plan, b.LINK_WIDTH), get64(plan, b.N_PAIRS)
    for column in range(get64(plan, b.N_VALUES)):
        other = get32(get64(plan, b.VALUES), column)
        for event in range(first, n_events):
            if get32(flags, get32(log, event * 2 * b.LOG_WIDTH + b.LOG_CLASS)) & b.IS_ORDER:
                row = get32(log, event * 2 * b.LOG_WIDTH + b.LOG_ROW) * n_entities
                slot, value = get32(slot_of_row, row + own), get32(slot_of_row, row + other)
                if slot >= 0 and value >= 0:
                    n_pairs += _link_pair(slot, value, column, event, own, other, plan, shared)
                else:
                    put32(links, event * width + 1 + 2 * column, NO_VALUE)
                    put32(links, event * width + 2 + 2 * column, -1)
    put64(plan, b.N_PAIRS, n_pairs)


@numba.njit(nogil=True, cache=True)
def copy_pairs(plan_row, shared_row, old, new):
    """Move the entries of an entity's table of pairs into a larger, empty one.

    Parameters
    ----------
    plan_row, shared_row : rows of the book
    old, new : shape (2**k,), int64
    """
    slot_of_row, n_entities = shared_row[b.ROW_SLOTS], shared_row[b.N_ENTITIES]
    last = len(new) - 1
    for at in range(len(old)):
        if old[at] != 0:
            row = get32(shared_row[b.LOG], ((old[at] & _LOW) - 1) * 2 * b.LOG_WIDTH + b.LOG_ROW) * n_entities
            column = (old[at] >> 32) & _COLUMN
            slot = get32(slot_of_row, row + plan_row[b.OWN])
            value = get32(slot_of_row, row + get32(plan_row[b.VALUES], column))
            place = np.int64(_hash(slot, value, column) & np.uint64(last))
            while new[place] != 0:
                place = (place + 1) & last
            new[place] = old[at]
