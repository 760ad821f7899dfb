"""Bring the events of a batch into the order of their slots, each slot's in the order seen."""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64

# SPEED: benchmarks/bench_features.py. Counting is linear but touches every slot, so few events are sorted by key.
_COUNT_FROM = 64


@numba.njit(nogil=True, cache=True)
def sort_by_slot(plan, shared, first, n_events, out_row):
    """List the events that concern an entity, by slot and then as seen.

    An event is listed when it counts, takes one back that counts, or asks for features or weights. Those without an id
    come first, with the slot -1, and only when they ask. Events before `first` have asked already.

    Parameters
    ----------
    plan, shared : addresses of the rows of the book
    first, n_events : the new events of the log
    out_row : shape (n_events - first,), of `kernel.replay`

    Returns
    -------
    slots, events : shape (n,), int32
    """
    applied, log, flags_at = get64(shared, b.APPLIED), get64(shared, b.LOG), get64(plan, b.CLASS_FLAGS)
    slot_of_row, n_entities, own = get64(shared, b.ROW_SLOTS), get64(shared, b.N_ENTITIES), get64(plan, b.OWN)
    slots, events = np.empty(n_events - applied, np.int32), np.empty(n_events - applied, np.int32)
    n = 0
    for event in range(applied, n_events):
        flags = get32(flags_at, get32(log, event * 2 * b.LOG_WIDTH + b.LOG_CLASS))
        asks = event >= first and (flags & b.IS_ASKED or out_row[event - first] >= 0)
        if flags & (b.IS_LISTED | b.MAY_TAKE_BACK) or asks:
            slot = get32(slot_of_row, get32(log, event * 2 * b.LOG_WIDTH + b.LOG_ROW) * n_entities + own)
            if slot >= 0 or asks:
                slots[n], events[n] = slot, event
                n += 1
    slots, events = slots[:n], events[:n]
    if n > _COUNT_FROM and n * 4 > get64(plan, b.N_SLOTS):
        return _sort_by_counting(slots, events, get64(plan, b.N_SLOTS))
    if n > _COUNT_FROM:
        keys = np.empty(n, np.int64)
        for at in range(n):
            keys[at] = (np.int64(slots[at]) << 32) + np.int64(events[at])
        keys.sort()
        for at in range(n):
            slots[at], events[at] = np.int32(keys[at] >> 32), np.int32(keys[at] & 0xFFFFFFFF)
        return slots, events
    for at in range(1, n):
        slot, event, place = slots[at], events[at], at
        while place > 0 and slots[place - 1] > slot:
            slots[place], events[place] = slots[place - 1], events[place - 1]
            place -= 1
        slots[place], events[place] = slot, event
    return slots, events


@numba.njit(nogil=True, cache=True)
def _sort_by_counting(slots, events, n_slots):
    start = np.zeros(n_slots + 2, np.int32)
    for at in range(len(slots)):
        start[slots[at] + 2] += 1
    for slot in range(n_slots + 1):
        start[slot + 1] += start[slot]
    by_slot, in_order = np.empty(len(slots), np.int32), np.empty(len(slots), np.int32)
    for at in range(len(slots)):
        slot = slots[at]
        place = start[slot + 1]
        start[slot + 1] = place + 1
        by_slot[place], in_order[place] = slot, events[at]
    return by_slot, in_order
