"""Let expired events leave the state: what remains moves to the front, and whatever points at an event follows.

No checks here: `features/engine.py` is the only caller.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.kernel import expire
from ordervet.features.memory import get32, get64, put32
from ordervet.features.pairs_kernel import NO_VALUE, enter_pair
from ordervet.features.slots import WAKE_AT


@numba.njit(nogil=True, cache=True)
def count_expired(log, now, longest_us):
    """Count the events at the beginning of the log that have left every window; log of shape (n_events, 4)."""
    low, high = 0, len(log)
    while low < high:
        middle = (low + high) // 2
        if log[middle, b.LOG_SEEN_AT] < now - longest_us:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(nogil=True, cache=True)
def expire_slots(row, shared_row, now, n_expired):
    """Take out of every slot of an entity what has expired, and renumber the events that its record names.

    Parameters
    ----------
    row, shared_row : of the book
    now : UTC microseconds
    n_expired : events that leave the log
    """
    plan, shared = np.int64(row.ctypes.data), np.int64(shared_row.ctypes.data)
    for at in range(row[b.N_OPEN]):
        slot = row[b.SLOTS] + at * 8 * row[b.SLOT_WIDTH]
        if now > get64(slot, WAKE_AT):
            expire(slot, now, shared_row[b.APPLIED], plan, shared)
        for place in range(row[b.LAST_EVENT], row[b.LAST_EVENT] + 1 + row[b.N_WINDOWS]):
            put32(slot, place, max(get32(slot, place) - n_expired, -1))


@numba.njit(nogil=True, cache=True)
def move_links(row, shared_row, n_expired, old, new):
    """Copy the links of the events that stay.

    Parameters
    ----------
    row, shared_row : of the book
    n_expired : events that leave the log
    old, new : shape (n_events, 1 + 2 n_values) and a larger array for the ones that stay, int32
    """
    for event in range(n_expired, shared_row[b.N_EVENTS]):
        kind = get32(shared_row[b.LOG], event * 2 * b.LOG_WIDTH + b.LOG_CLASS)
        if get32(row[b.CLASS_FLAGS], kind) & b.IS_LISTED:
            for at in range(old.shape[1]):
                link = old[event, at]
                new[event - n_expired, at] = NO_VALUE if link == NO_VALUE else max(link - n_expired, -1)


@numba.njit(nogil=True, cache=True)
def move_pairs(row, shared_row, n_expired, links, new):
    """Enter the latest order of every pair that stays into an empty table; return how many there are.

    Parameters
    ----------
    links : of `move_links`, before the move
    new : shape (2**k, 2), int64
    """
    n_pairs = 0
    for event in range(n_expired, shared_row[b.N_EVENTS]):
        kind = get32(shared_row[b.LOG], event * 2 * b.LOG_WIDTH + b.LOG_CLASS)
        if get32(row[b.CLASS_FLAGS], kind) & b.IS_ORDER:
            for column in range(row[b.N_VALUES]):
                if links[event, 1 + 2 * column] != NO_VALUE and links[event, 2 + 2 * column] < 0:
                    n_pairs += enter_pair(event, column, event - n_expired, row, shared_row, new)
    return n_pairs


@numba.njit(nogil=True, cache=True)
def move_log(log32, last_verdict, n_expired):
    """Renumber what the log and the orders say of events.

    Parameters
    ----------
    log32 : shape (n_staying, 8), int32, the log after the move
    last_verdict : shape (n_orders, 2), int32
    """
    for event in range(len(log32)):
        log32[event, b.LOG_VOIDS] = max(log32[event, b.LOG_VOIDS] - n_expired, -1)
        log32[event, b.LOG_VOIDED_BY] = max(log32[event, b.LOG_VOIDED_BY] - n_expired, -1)
    for row in range(len(last_verdict)):
        last_verdict[row, 0] = max(last_verdict[row, 0] - n_expired, -1)
