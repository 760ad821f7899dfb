"""The one kernel: replay events in the order they were seen, and write an order's features before the order counts.

A live order is a replay of one event, a year of orders a replay of millions; there is no second code path.

The events of a slot (one per id of an entity) form a linked list; each window keeps its oldest event that has not
expired, and running totals of what lies between that event and now. An event is added once and taken out once per
window, and nothing is touched before something has expired. A batch is replayed in chunks, entity after entity: what
the chunk reads and writes stays in a near cache, and the slots, which are anywhere, are asked for ahead of time.

No checks here: `features/engine.py` is the only caller, sorts the events, sizes every array, and knows every slot.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, prefetch, put32, put64
from ordervet.features.pairs_kernel import NO_VALUE, link_pairs
from ordervet.features.slots import FOREVER, NEVER, WAKE_AT
from ordervet.features.spec import PRIOR_ORDERS
from ordervet.features.write_kernel import write_features, write_unknown

_MILLION = 1_000_000
_ORDER_BIT = 1
_EXCUSED_BIT = 1 << 41

# SPEED: benchmarks/bench_features.py. Events per chunk, and how many events ahead a slot is asked for.
_CHUNK = 2_048
_AHEAD = 12


@numba.njit(nogil=True, cache=True)
def _add(slot, event, first, last, sign, plan, shared):
    """Add an event to (or take it out of) the cells that its class has among `first` to `last`.

    Parameters
    ----------
    slot : address of the slot's record; so everywhere below
    first, last : class times the number of windows, plus the window
    """
    cells = get64(plan, b.COUNT_CELL)
    for at in range(get32(get64(plan, b.COUNT_START), first), get32(get64(plan, b.COUNT_START), last)):
        cell = get32(cells, at)
        put32(slot, cell, get32(slot, cell) + sign)
    begin, end = get32(get64(plan, b.SUM_START), first), get32(get64(plan, b.SUM_START), last)
    for at in range(begin, end):
        cell, source = get32(get64(plan, b.SUM_CELL), at), get32(get64(plan, b.SUM_SOURCE), at)
        if source < 0:
            value = get64(get64(shared, b.LOG), event * b.LOG_WIDTH + b.LOG_AMOUNT)
        else:
            value = get32(get64(shared, b.WEIGHTS), event * get64(shared, b.N_WEIGHTS) + source)
        put64(slot, cell, get64(slot, cell) + sign * value)


@numba.njit(nogil=True, cache=True)
def _leave(slot, window, bound, plan, links):
    """Take an order out of the counts of ids that a window keeps."""
    for at in range(get32(get64(plan, b.KNOWN_START), window), get32(get64(plan, b.KNOWN_START), window + 1)):
        if get32(links, 1 + 2 * get32(get64(plan, b.KNOWN_COLUMN), at)) != NO_VALUE:
            cell = get32(get64(plan, b.KNOWN_AT), at)
            put32(slot, cell, get32(slot, cell) - 1)
    for at in range(get32(get64(plan, b.DISTINCT_START), window), get32(get64(plan, b.DISTINCT_START), window + 1)):
        column = get32(get64(plan, b.DISTINCT_COLUMN), at)
        after = get32(links, 2 + 2 * column)
        if get32(links, 1 + 2 * column) != NO_VALUE and (after < 0 or after >= bound):
            cell = get32(get64(plan, b.DISTINCT_AT), at)
            put32(slot, cell, get32(slot, cell) - 1)


@numba.njit(nogil=True, cache=True)
def expire(slot, now, bound, plan, shared):
    """Take out of a slot's windows what has left them by `now`.

    Parameters
    ----------
    bound : the first event that has not been applied; links to it and to later ones do not count yet
    """
    log, links, link_bytes = get64(shared, b.LOG), get64(plan, b.LINKS), 4 * get64(plan, b.LINK_WIDTH)
    n_windows, tails, flags = get64(plan, b.N_WINDOWS), get64(plan, b.LAST_EVENT) + 1, get64(plan, b.CLASS_FLAGS)
    wake_at = FOREVER
    for window in range(n_windows):
        event = get32(slot, tails + window)
        if event < 0:
            continue
        length = get64(get64(plan, b.WINDOWS), window)
        seen_at = get64(log, event * b.LOG_WIDTH + b.LOG_SEEN_AT)
        if seen_at < now - length:
            while event >= 0:
                seen_at = get64(log, event * b.LOG_WIDTH + b.LOG_SEEN_AT)
                if seen_at >= now - length:
                    break
                kind = get32(log, event * 2 * b.LOG_WIDTH + b.LOG_CLASS)
                voided_by = get32(log, event * 2 * b.LOG_WIDTH + b.LOG_VOIDED_BY)
                if voided_by < 0 or voided_by >= bound:
                    first = kind * n_windows + window
                    _add(slot, event, first, first + 1, -1, plan, shared)
                if get32(flags, kind) & b.IS_ORDER:
                    _leave(slot, window, bound, plan, links + event * link_bytes)
                event = get32(links + event * link_bytes, 0)
            put32(slot, tails + window, event)
        if event >= 0:
            wake_at = min(wake_at, seen_at + length)
    put64(slot, WAKE_AT, wake_at)


@numba.njit(nogil=True, cache=True)
def _enter_ids(slot, plan, links):
    """Let an order count among the ids of other entities."""
    n_windows, tails = get64(plan, b.N_WINDOWS), get64(plan, b.LAST_EVENT) + 1
    for at in range(get32(get64(plan, b.KNOWN_START), n_windows)):
        if get32(links, 1 + 2 * get32(get64(plan, b.KNOWN_COLUMN), at)) != NO_VALUE:
            cell = get32(get64(plan, b.KNOWN_AT), at)
            put32(slot, cell, get32(slot, cell) + 1)
    start = get64(plan, b.DISTINCT_START)
    for window in range(n_windows):
        tail = get32(slot, tails + window)
        for at in range(get32(start, window), get32(start, window + 1)):
            before = get32(links, 1 + 2 * get32(get64(plan, b.DISTINCT_COLUMN), at))
            is_counted = before >= 0 and 0 <= tail <= before
            if before != NO_VALUE and not is_counted:
                cell = get32(get64(plan, b.DISTINCT_AT), at)
                put32(slot, cell, get32(slot, cell) + 1)


@numba.njit(nogil=True, cache=True)
def _take_back(slot, event, plan, shared):
    """Take a verdict that a later one replaces out of every window that it is in."""
    n_windows, tails = get64(plan, b.N_WINDOWS), get64(plan, b.LAST_EVENT) + 1
    first = get32(get64(shared, b.LOG), event * 2 * b.LOG_WIDTH + b.LOG_CLASS) * n_windows
    for window in range(n_windows):
        if 0 <= get32(slot, tails + window) <= event:
            _add(slot, event, first + window, first + window + 1, -1, plan, shared)


@numba.njit(nogil=True, cache=True)
def _apply(slot, event, plan, shared):
    """Let an event count."""
    log, links = get64(shared, b.LOG), get64(plan, b.LINKS)
    n_windows, last_at = get64(plan, b.N_WINDOWS), get64(plan, b.LAST_EVENT)
    kind = get32(log, event * 2 * b.LOG_WIDTH + b.LOG_CLASS)
    taken_back = get32(log, event * 2 * b.LOG_WIDTH + b.LOG_VOIDS)
    if taken_back >= 0:
        _take_back(slot, taken_back, plan, shared)
    flags = get32(get64(plan, b.CLASS_FLAGS), kind)
    if not flags & b.IS_LISTED:
        return
    seen_at = get64(log, event * b.LOG_WIDTH + b.LOG_SEEN_AT)
    start = get64(plan, b.CLOCK_START)
    for at in range(get32(start, kind), get32(start, kind + 1)):
        clock = get32(get64(plan, b.CLOCK_AT), at)
        put64(slot, clock, seen_at)
        if get64(slot, clock + 1) == NEVER:
            put64(slot, clock + 1, seen_at)
    own_links = links + event * 4 * get64(plan, b.LINK_WIDTH)
    if flags & b.IS_ORDER:
        _enter_ids(slot, plan, own_links)
    _add(slot, event, kind * n_windows, (kind + 1) * n_windows, 1, plan, shared)
    wake_at = get64(slot, WAKE_AT)
    for window in range(n_windows):
        if get32(slot, last_at + 1 + window) < 0:
            put32(slot, last_at + 1 + window, event)
            wake_at = min(wake_at, seen_at + get64(get64(plan, b.WINDOWS), window))
    put64(slot, WAKE_AT, wake_at)
    before = get32(slot, last_at)
    put32(own_links, 0, -1)
    if before >= 0:
        put32(links, before * get64(plan, b.LINK_WIDTH), event)
    put32(slot, last_at, event)


@numba.njit(nogil=True, cache=True)
def _weigh(slot, event, plan, shared):
    """Note what the entity leads one to expect at this event: the weights of an order, a refund or a cancellation.

    Parameters
    ----------
    slot : address of the slot's record; 0 when the id is not known
    """
    mask = get64(get64(shared, b.CLASS_MASKS), get32(get64(shared, b.LOG), event * 2 * b.LOG_WIDTH + b.LOG_CLASS))
    for at in range(get64(plan, b.N_ASKS)):
        ask = get64(plan, b.ASKS) + at * 40
        n, n_orders = 0, 0
        if slot != 0:
            n, n_orders = get32(slot, get64(ask, 1)), get32(slot, get64(ask, 2))
        share = min((n * _MILLION + PRIOR_ORDERS * get64(ask, 4)) // (n_orders + PRIOR_ORDERS), _MILLION)
        weight = 0
        if mask & _ORDER_BIT:
            weight = share
        elif mask & get64(ask, 3) and not mask & _EXCUSED_BIT:
            weight = _MILLION - share
        put32(get64(shared, b.WEIGHTS), event * get64(shared, b.N_WEIGHTS) + get64(ask, 0), weight)


@numba.njit(nogil=True, cache=True)
def _open_slots(plan):
    """Bring the records of new slots into the state of having seen nothing."""
    width = get64(plan, b.SLOT_WIDTH)
    for slot in range(get64(plan, b.N_OPEN), get64(plan, b.N_SLOTS)):
        for at in range(width):
            put64(get64(plan, b.SLOTS), slot * width + at, get64(get64(plan, b.EMPTY_SLOT), at))
    put64(plan, b.N_OPEN, get64(plan, b.N_SLOTS))


@numba.njit(nogil=True, cache=True)
def _find_slot(event, plan, shared):
    """Find the record of an event's id of this entity; 0 when the id is not known."""
    row = get32(get64(shared, b.LOG), event * 2 * b.LOG_WIDTH + b.LOG_ROW)
    slot = get32(get64(shared, b.ROW_SLOTS), row * get64(shared, b.N_ENTITIES) + get64(plan, b.OWN))
    return get64(plan, b.SLOTS) + slot * 8 * get64(plan, b.SLOT_WIDTH) if slot >= 0 else 0


@numba.njit(nogil=True, cache=True)
def _fetch_slot(event, plan, shared):
    """Ask for what a later event will touch."""
    slot = _find_slot(event, plan, shared)
    if slot != 0:
        for line in range(0, 8 * get64(plan, b.SLOT_WIDTH), 64):
            prefetch(slot, line)


@numba.njit(nogil=True, cache=True)
def _apply_until(applied, end, now, plan, shared):
    """Let the events seen before `now` count, in the order seen; return the first that does not count yet."""
    log, flags = get64(shared, b.LOG), get64(plan, b.CLASS_FLAGS)
    while applied < end and get64(log, applied * b.LOG_WIDTH + b.LOG_SEEN_AT) < now:
        if get32(flags, get32(log, applied * 2 * b.LOG_WIDTH + b.LOG_CLASS)) & (b.IS_LISTED | b.MAY_TAKE_BACK):
            slot = _find_slot(applied, plan, shared)
            if slot != 0:
                _apply(slot, applied, plan, shared)
        applied += 1
    return applied


@numba.njit(nogil=True, cache=True)
def _replay_chunk(plan, shared, applied, first, end, horizon, base, out_row, out, n_columns):
    """Replay a chunk of the batch for one entity; return the first event that does not count yet."""
    log, flags, n_events = get64(shared, b.LOG), get64(plan, b.CLASS_FLAGS), get64(shared, b.N_EVENTS)
    _open_slots(plan)
    link_pairs(plan, shared, first, end)
    for event in range(first, end):
        if event + _AHEAD < n_events:
            _fetch_slot(event + _AHEAD, plan, shared)
        out_at = np.int64(out_row[event - base])
        is_asked = get32(flags, get32(log, event * 2 * b.LOG_WIDTH + b.LOG_CLASS)) & b.IS_ASKED
        if out_at < 0 and not is_asked:
            continue
        slot, now = _find_slot(event, plan, shared), get64(log, event * b.LOG_WIDTH + b.LOG_SEEN_AT)
        applied = _apply_until(applied, event, now, plan, shared)
        if slot != 0 and now > get64(slot, WAKE_AT):
            expire(slot, now, applied, plan, shared)
        if is_asked:
            _weigh(slot, event, plan, shared)
        if out_at >= 0:
            if slot != 0:
                amount = get64(log, event * b.LOG_WIDTH + b.LOG_AMOUNT)
                write_features(slot, now, amount, plan, out + 4 * out_at * n_columns)
            else:
                write_unknown(plan, out + 4 * out_at * n_columns)
    return _apply_until(applied, end, horizon, plan, shared)


@numba.njit(nogil=True, cache=True)
def replay(entities, book, shared_row, first, horizon, out_row, out):
    """Replay the events from `first` on for some entities, and write the features of the orders among them.

    An event counts once the clock has moved past it: everything up to the current instant waits, so ties are invisible
    to each other, also across calls.

    Parameters
    ----------
    entities : rows of `book`, none of which needs weights of another
    book, shared_row : addresses and sizes of all arrays, see `book.py`
    first : the first new event of the log
    horizon : instant of the last event, UTC microseconds; events before it count from now on
    out_row : shape (n_events - first,), int32, row of `out` that an event asks for, -1 where it asks for nothing
    out : shape (n_out, n_features), float32; only the columns of these entities are written

    References
    ----------
    docs/definitions.md T1 to T4, W1 to W9, B1 to B5. Truth: features/reference.py.
    """
    shared, n_events = np.int64(shared_row.ctypes.data), shared_row[b.N_EVENTS]
    log, values, n_columns = shared_row[b.LOG], np.int64(out.ctypes.data), np.int64(out.shape[1])
    applied = np.full(len(entities), shared_row[b.APPLIED])
    begin = first
    while True:  # also without a new event: the clock has moved on, and what waited counts from now on
        end = min(begin + _CHUNK, n_events)
        until = horizon if end == n_events else get64(log, (end - 1) * b.LOG_WIDTH + b.LOG_SEEN_AT)
        for at in range(len(entities)):
            plan = np.int64(book[entities[at]].ctypes.data)
            applied[at] = _replay_chunk(plan, shared, applied[at], begin, end, until, first, out_row, values, n_columns)
        begin = end
        if begin >= n_events:
            break


@numba.njit(nogil=True, cache=True)
def close_batch(shared_row, horizon):
    """Note that the events seen before `horizon` have been applied."""
    applied = shared_row[b.N_EVENTS]
    while applied > shared_row[b.APPLIED]:
        if get64(shared_row[b.LOG], (applied - 1) * b.LOG_WIDTH + b.LOG_SEEN_AT) < horizon:
            break
        applied -= 1
    shared_row[b.APPLIED] = applied
