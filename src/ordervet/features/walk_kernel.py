"""Add up anew what a slot with few events has seen, the latest first, into a record that is thrown away.

No checks here: `kernel.py` is the only caller.
"""

from __future__ import annotations

import numba

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, put32, put64
from ordervet.features.slots import LATEST
from ordervet.features.totals_kernel import add, is_taken_back

_ABSENT, _REPEATED, _NEW = 0, 1, 2


@numba.njit(nogil=True, cache=True)
def _note_value(value, column, plan, shared):
    """Tell whether a value is new among those noted for a column, and note it."""
    noted = get64(plan, b.SEEN) + 4 * get64(plan, b.N_VALUES) + 4 * column * (get64(shared, b.MAX_WALK) + 1)
    if value < 0:
        return _ABSENT
    n = get32(noted, 0)
    for at in range(1, n + 1):
        if get32(noted, at) == value:
            return _REPEATED
    put32(noted, n + 1, value)
    put32(noted, 0, n + 1)
    return _NEW


@numba.njit(nogil=True, cache=True)
def _add_ids(record, row, window, plan, shared):
    """Let an order count among the ids of other entities, in a window and all longer ones."""
    states, n_windows = get64(plan, b.SEEN), get64(plan, b.N_WINDOWS)
    slots = get64(shared, b.ROW_SLOTS) + row * get64(shared, b.ROW_BYTES)
    for column in range(get64(plan, b.N_VALUES)):
        value = get32(slots, get32(get64(plan, b.VALUES), column))
        put32(states, column, _note_value(value, column, plan, shared))
    start = get64(plan, b.KNOWN_START)
    for at in range(get32(start, window), get32(start, n_windows)):
        if get32(states, get32(get64(plan, b.KNOWN_COLUMN), at)) != _ABSENT:
            cell = get32(get64(plan, b.KNOWN_AT), at)
            put32(record, cell, get32(record, cell) + 1)
    start = get64(plan, b.DISTINCT_START)
    for at in range(get32(start, window), get32(start, n_windows)):
        if get32(states, get32(get64(plan, b.DISTINCT_COLUMN), at)) == _NEW:
            cell = get32(get64(plan, b.DISTINCT_AT), at)
            put32(record, cell, get32(record, cell) + 1)


@numba.njit(nogil=True, cache=True)
def walk(slot, now, bound, plan, shared):
    """Add up what a slot has seen.

    Parameters
    ----------
    slot : address of a slot that is not busy
    now : UTC microseconds
    bound : the first event that has not been applied

    Returns
    -------
    address of the record, the entity's scratch; 0 when nothing is in any window
    """
    n_windows, n_values = get64(plan, b.N_WINDOWS), get64(plan, b.N_VALUES)
    event = get32(slot, LATEST)
    if event < 0 or n_windows == 0:
        return 0
    log, event_bytes, link = get64(shared, b.LOG), get64(shared, b.EVENT_BYTES), get64(plan, b.LINK)
    windows, flags, record = get64(plan, b.WINDOWS), get64(plan, b.CLASS_FLAGS), get64(plan, b.SCRATCH)
    at = log + event * event_bytes
    age, longest = now - get64(at, b.SEEN_AT), get64(windows, n_windows - 1)
    if age > longest:
        return 0
    for word in range(get64(plan, b.RECORD_WIDTH)):
        put64(record, word, 0)
    for column in range(n_values):
        put32(get64(plan, b.SEEN) + 4 * n_values, column * (get64(shared, b.MAX_WALK) + 1), 0)
    window = 0
    while True:
        while age > get64(windows, window):
            window += 1
        kind = get32(at, b.EVENT_CLASS)
        is_what = get32(flags, kind)
        if not is_what & b.IS_JUDGEMENT or not is_taken_back(event, bound, shared):
            add(record, event, kind * n_windows + window, (kind + 1) * n_windows, 1, plan, shared)
        if is_what & b.IS_ORDER and n_values > 0:
            _add_ids(record, get32(at, b.EVENT_ROW), window, plan, shared)
        event = get32(at, link)
        if event < 0:
            break
        at = log + event * event_bytes
        age = now - get64(at, b.SEEN_AT)
        if age > longest:
            break
    return record


@numba.njit(nogil=True, cache=True)
def count_live(slot, now, plan, shared):
    """Count the events of a slot that are in its longest window."""
    longest = get64(get64(plan, b.WINDOWS), get64(plan, b.N_WINDOWS) - 1)
    n, event = 0, get32(slot, LATEST)
    while event >= 0:
        at = get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES)
        if now - get64(at, b.SEEN_AT) > longest:
            break
        n, event = n + 1, get32(at, get64(plan, b.LINK))
    return n
