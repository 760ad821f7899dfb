"""Keep the running totals of busy slots.

The events of a busy slot are nodes, linked from the oldest to the latest; each window keeps its oldest node that has
not expired, and running totals of what lies between that node and now. A node is added once and taken out once per
window, and nothing is touched before something has expired. Nodes are made in the order of time, so that what expires
lies close together.

No checks here: `kernel.py` and `compact_kernel.py` are the only callers.
"""

from __future__ import annotations

import numba

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, prefetch, put32, put64
from ordervet.features.pairs_kernel import NO_VALUE, link_values
from ordervet.features.slots import FOREVER, LATEST, N_EVENTS, N_LATEST, TAIL_SEEN_AT, WAKE_AT
from ordervet.features.totals_kernel import add, is_taken_back


@numba.njit(nogil=True, cache=True)
def _leave(record, window, node, plan):
    """Take an order out of the counts of ids that a window keeps; the window's tail has moved on."""
    for at in range(get32(get64(plan, b.KNOWN_START), window), get32(get64(plan, b.KNOWN_START), window + 1)):
        if get32(node, b.FIRST_VALUE + 2 * get32(get64(plan, b.KNOWN_COLUMN), at)) != NO_VALUE:
            cell = get32(get64(plan, b.KNOWN_AT), at)
            put32(record, cell, get32(record, cell) - 1)
    for at in range(get32(get64(plan, b.DISTINCT_START), window), get32(get64(plan, b.DISTINCT_START), window + 1)):
        before = b.FIRST_VALUE + 2 * get32(get64(plan, b.DISTINCT_COLUMN), at)
        if get32(node, before) != NO_VALUE and get32(node, before + 1) < 0:
            cell = get32(get64(plan, b.DISTINCT_AT), at)
            put32(record, cell, get32(record, cell) - 1)


@numba.njit(nogil=True, cache=True)
def expire(record, now, bound, plan, shared):
    """Take out of a record's windows what has left them by `now`.

    Parameters
    ----------
    now : UTC microseconds
    bound : the first event that has not been applied
    """
    nodes, node_bytes, flags = get64(plan, b.NODES), get64(plan, b.NODE_BYTES), get64(plan, b.CLASS_FLAGS)
    n_windows, tails, windows = get64(plan, b.N_WINDOWS), get64(plan, b.LATEST_NODE) + 1, get64(plan, b.WINDOWS)
    wake_at = FOREVER
    for window in range(n_windows):
        number, seen_at = get32(record, tails + window), get64(record, TAIL_SEEN_AT + window)
        length = get64(windows, window)
        if number >= 0 and seen_at < now - length:
            while number >= 0 and seen_at < now - length:
                node = nodes + number * node_bytes
                kind, event = get32(node, b.NODE_CLASS), get32(node, b.NODE_EVENT)
                is_what = get32(flags, kind)
                number, seen_at = get32(node, b.NEXT_NODE), get64(node, b.NEXT_SEEN_AT)
                if not is_what & b.IS_JUDGEMENT or not is_taken_back(event, bound, shared):
                    add(record, event, kind * n_windows + window, kind * n_windows + window + 1, -1, plan, shared)
                if is_what & b.IS_ORDER:
                    _leave(record, window, node, plan)
            put32(record, tails + window, number)
            put64(record, TAIL_SEEN_AT + window, seen_at)
        if number >= 0:
            wake_at = min(wake_at, seen_at + length)
    put64(record, WAKE_AT, wake_at)


@numba.njit(nogil=True, cache=True)
def fetch_tails(record, now, plan):
    """Ask for the nodes that will have expired by `now`."""
    if now <= get64(record, WAKE_AT):
        return
    tails, windows = get64(plan, b.LATEST_NODE) + 1, get64(plan, b.WINDOWS)
    for window in range(get64(plan, b.N_WINDOWS)):
        number = get32(record, tails + window)
        if number >= 0 and get64(record, TAIL_SEEN_AT + window) < now - get64(windows, window):
            prefetch(get64(plan, b.NODES), number * get64(plan, b.NODE_BYTES))


@numba.njit(nogil=True, cache=True)
def _enter_ids(record, node, plan):
    """Let an order count among the ids of other entities."""
    n_windows, tails = get64(plan, b.N_WINDOWS), get64(plan, b.LATEST_NODE) + 1
    for at in range(get32(get64(plan, b.KNOWN_START), n_windows)):
        if get32(node, b.FIRST_VALUE + 2 * get32(get64(plan, b.KNOWN_COLUMN), at)) != NO_VALUE:
            cell = get32(get64(plan, b.KNOWN_AT), at)
            put32(record, cell, get32(record, cell) + 1)
    start = get64(plan, b.DISTINCT_START)
    for window in range(n_windows):
        tail = get32(record, tails + window)
        for at in range(get32(start, window), get32(start, window + 1)):
            before = get32(node, b.FIRST_VALUE + 2 * get32(get64(plan, b.DISTINCT_COLUMN), at))
            is_counted = before >= 0 and 0 <= tail <= before
            if before != NO_VALUE and not is_counted:
                cell = get32(get64(plan, b.DISTINCT_AT), at)
                put32(record, cell, get32(record, cell) + 1)


@numba.njit(nogil=True, cache=True)
def take_back(record, event, plan, shared):
    """Take a verdict that a later one replaces out of every window that it is in."""
    n_windows, tails = get64(plan, b.N_WINDOWS), get64(plan, b.LATEST_NODE) + 1
    first = get32(get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES), b.EVENT_CLASS) * n_windows
    for window in range(n_windows):
        tail = get32(record, tails + window)
        if tail >= 0:
            oldest = get32(get64(plan, b.NODES) + tail * get64(plan, b.NODE_BYTES), b.NODE_EVENT)
            if oldest <= event:
                add(record, event, first + window, first + window + 1, -1, plan, shared)


@numba.njit(nogil=True, cache=True)
def add_node(record, number, event, bound, plan, shared):
    """Let an event count in the record of that number, in all windows.

    Parameters
    ----------
    bound : the first event that has not been applied; a verdict taken back before it does not count
    """
    n_windows, latest_at = get64(plan, b.N_WINDOWS), get64(plan, b.LATEST_NODE)
    at = get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES)
    seen_at, kind, row = get64(at, b.SEEN_AT), get32(at, b.EVENT_CLASS), get32(at, b.EVENT_ROW)
    latest, nodes, node_bytes = get64(plan, b.N_NODES), get64(plan, b.NODES), get64(plan, b.NODE_BYTES)
    put64(plan, b.N_NODES, latest + 1)
    node = nodes + latest * node_bytes
    put32(node, b.NODE_EVENT, event)
    put32(node, b.NODE_CLASS, kind)
    put32(node, b.NEXT_NODE, -1)
    is_what = get32(get64(plan, b.CLASS_FLAGS), kind)
    if is_what & b.IS_ORDER:
        link_values(node, latest, number, row, plan, shared)
        _enter_ids(record, node, plan)
    if not is_what & b.IS_JUDGEMENT or not is_taken_back(event, bound, shared):
        add(record, event, kind * n_windows, (kind + 1) * n_windows, 1, plan, shared)
    wake_at = get64(record, WAKE_AT)
    for window in range(n_windows):
        if get32(record, latest_at + 1 + window) < 0:
            put32(record, latest_at + 1 + window, latest)
            put64(record, TAIL_SEEN_AT + window, seen_at)
            wake_at = min(wake_at, seen_at + get64(get64(plan, b.WINDOWS), window))
    put64(record, WAKE_AT, wake_at)
    before = get32(record, latest_at)
    if before >= 0:
        put32(nodes + before * node_bytes, b.NEXT_NODE, latest)
        put64(nodes + before * node_bytes, b.NEXT_SEEN_AT, seen_at)
    put32(record, latest_at, latest)


@numba.njit(nogil=True, cache=True)
def find_record(slot, plan):
    """Find the record of a busy slot."""
    return get64(plan, b.RECORDS) + (-1 - get32(slot, N_EVENTS)) * 8 * get64(plan, b.RECORD_WIDTH)


@numba.njit(nogil=True, cache=True)
def make_busy(slot, n_live, bound, plan, shared):
    """Give a slot a record of its own, and enter its latest events, as many as are in its longest window."""
    number, width = get64(plan, b.N_RECORDS), get64(plan, b.RECORD_WIDTH)
    put64(plan, b.N_RECORDS, number + 1)
    record, order = get64(plan, b.RECORDS) + number * 8 * width, get64(plan, b.SEEN)
    for word in range(width):
        put64(record, word, get64(get64(plan, b.EMPTY_RECORD), word))
    event = get32(slot, LATEST)
    for at in range(n_live - 1, -1, -1):
        put32(order, at, event)
        event = get32(get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES), get64(plan, b.LINK))
    for at in range(n_live):
        add_node(record, number, get32(order, at), bound, plan, shared)
    for place in range(LATEST, LATEST + N_LATEST):
        put32(slot, place, -1)
    put32(slot, N_EVENTS, -1 - number)
