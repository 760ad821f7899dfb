"""The one kernel: replay events in the order they were seen, and write an order's features before the order counts.

A live order is a replay of one event, a year of orders a replay of millions; there is no second code path.

The events of a slot (one per id of an entity) are linked in the log. Slots with few events are added up anew for every
order (`walk_kernel.py`), busy ones keep running totals (`busy_kernel.py`); both give the same record. A batch is
replayed in chunks, entity after entity: what the chunk reads and writes stays in a near cache, and the slots and what
they point at, which are anywhere, are asked for ahead of time.

No checks here: `features/engine.py` is the only caller, sorts the events, sizes every array, and knows every slot.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.busy_kernel import add_node, expire, fetch_tails, find_record, make_busy, take_back
from ordervet.features.groups_kernel import replay_groups
from ordervet.features.log_kernel import append_few
from ordervet.features.memory import get32, get64, prefetch, put32, put64
from ordervet.features.pairs_kernel import fetch_pairs
from ordervet.features.slots import LATEST, N_EVENTS, N_LATEST, NEVER, RING_SIZE, WAKE_AT
from ordervet.features.spec import PRIOR_ORDERS
from ordervet.features.walk_kernel import count_live, walk
from ordervet.features.write_kernel import write_empty, write_features, write_unknown

_MILLION = 1_000_000
_ORDER_BIT = 1
_EXCUSED_BIT = 1 << 41

# SPEED: benchmarks/bench_features.py. Events per chunk; how many events ahead a slot is asked for, what it points at,
# and what that points at.
CHUNK = 2_048
_FAR, _NEAR, _NEXT = 24, 16, 8

#: What `serve_one` answers.
DONE, NEW_CLASS, NO_ROOM = 0, 1, 2

#: At hand are the slots of so many events, the present one the last of them, and of `_FAR` events more.
_BEHIND = 32
_LAST = RING_SIZE - 1


@numba.njit(nogil=True, cache=True)
def _find_slot(event, plan, shared):
    """Find the slot of an event's id of this entity; 0 when the id is not known."""
    row = get32(get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES), b.EVENT_ROW)
    slot = get32(get64(shared, b.ROW_SLOTS) + row * get64(shared, b.ROW_BYTES), get64(plan, b.OWN))
    return get64(plan, b.SLOTS) + slot * 8 * get64(plan, b.SLOT_WIDTH) if slot >= 0 else 0


@numba.njit(nogil=True, cache=True)
def _fetch_past(slot, plan, shared):
    """Ask for what the slot of a later event points at: its latest events, or its record."""
    if slot == 0:
        return
    if get32(slot, N_EVENTS) < 0:
        record = find_record(slot, plan)
        for line in range(0, 8 * get64(plan, b.RECORD_WIDTH), 64):
            prefetch(record, line)
    else:
        log, event_bytes = get64(shared, b.LOG), get64(shared, b.EVENT_BYTES)
        for at in range(LATEST, LATEST + N_LATEST):
            if get32(slot, at) < 0:
                break
            prefetch(log, get32(slot, at) * event_bytes)


@numba.njit(nogil=True, cache=True)
def _fetch_beyond(event, slot, plan, shared):
    """Ask for what comes after that: an event more and the orders of the latest, or what expires and the new pairs."""
    if slot == 0:
        return
    if get32(slot, N_EVENTS) < 0:
        at = get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES)
        fetch_tails(find_record(slot, plan), get64(at, b.SEEN_AT), plan)
        if get64(plan, b.N_VALUES) > 0:
            fetch_pairs(-1 - get32(slot, N_EVENTS), get32(at, b.EVENT_ROW), plan, shared)
        return
    log, event_bytes, latest = get64(shared, b.LOG), get64(shared, b.EVENT_BYTES), -1
    for at in range(LATEST, LATEST + N_LATEST):
        if get32(slot, at) < 0:
            return
        latest = log + get32(slot, at) * event_bytes
        if get64(plan, b.N_VALUES) > 0:
            prefetch(get64(shared, b.ROW_SLOTS), get32(latest, b.EVENT_ROW) * get64(shared, b.ROW_BYTES))
    before = get32(latest, get64(plan, b.LINK))
    if before >= 0:
        prefetch(log, before * event_bytes)


@numba.njit(nogil=True, cache=True)
def _open_slots(plan):
    """Bring new slots into the state of having seen nothing."""
    width, empty = get64(plan, b.SLOT_WIDTH), get64(plan, b.EMPTY_SLOT)
    for slot in range(get64(plan, b.N_OPEN), get64(plan, b.N_SLOTS)):
        for at in range(width):
            put64(get64(plan, b.SLOTS), slot * width + at, get64(empty, at))
    put64(plan, b.N_OPEN, get64(plan, b.N_SLOTS))


@numba.njit(nogil=True, cache=True)
def _apply(slot, event, plan, shared):
    """Let an event count."""
    at = get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES)
    kind, n_events = get32(at, b.EVENT_CLASS), get32(slot, N_EVENTS)
    flags = get32(get64(plan, b.CLASS_FLAGS), kind)
    if n_events < 0 and flags & b.IS_JUDGEMENT:
        taken_back = get32(get64(shared, b.JUDGEMENTS) + event * b.JUDGEMENT_BYTES, b.TAKES_BACK) - 1
        if taken_back >= 0:
            take_back(find_record(slot, plan), taken_back, plan, shared)
    if not flags & b.IS_LISTED:
        return
    seen_at, start = get64(at, b.SEEN_AT), get64(plan, b.CLOCK_START)
    for each in range(get32(start, kind), get32(start, kind + 1)):
        clock = get32(get64(plan, b.CLOCK_AT), each)
        put64(slot, clock, seen_at)
        if get64(slot, clock + 1) == NEVER:
            put64(slot, clock + 1, seen_at)
    if n_events < 0:
        add_node(find_record(slot, plan), -1 - n_events, event, event + 1, plan, shared)
        return
    put32(at, get64(plan, b.LINK), get32(slot, LATEST))
    for place in range(LATEST + N_LATEST - 1, LATEST, -1):
        put32(slot, place, get32(slot, place - 1))
    put32(slot, LATEST, event)
    n_events += 1
    if n_events >= get64(shared, b.MAX_WALK) and get64(plan, b.N_WINDOWS) > 0:
        n_events = count_live(slot, seen_at, plan, shared)
        if 2 * n_events > get64(shared, b.MAX_WALK):
            make_busy(slot, n_events, event + 1, plan, shared)
            return
    put32(slot, N_EVENTS, min(n_events, get64(shared, b.MAX_WALK)))


@numba.njit(nogil=True, cache=True)
def _apply_until(applied, end, now, ring, event, plan, shared):
    """Let the events seen before `now` count, in the order seen; return the first that does not count yet.

    Parameters
    ----------
    ring, event : the slots of the `_BEHIND` - 1 events before this one, and of it
    """
    log, event_bytes, flags = get64(shared, b.LOG), get64(shared, b.EVENT_BYTES), get64(plan, b.CLASS_FLAGS)
    while applied < end and get64(log + applied * event_bytes, b.SEEN_AT) < now:
        if get32(flags, get32(log + applied * event_bytes, b.EVENT_CLASS)) & (b.IS_LISTED | b.IS_JUDGEMENT):
            slot = get64(ring, applied & _LAST) if applied > event - _BEHIND else _find_slot(applied, plan, shared)
            if slot != 0:
                _apply(slot, applied, plan, shared)
        applied += 1
    return applied


@numba.njit(nogil=True, cache=True)
def _weigh(record, event, plan, shared):
    """Note what the entity leads one to expect at this event: the weights of an order, a refund or a cancellation.

    Parameters
    ----------
    record : address of the totals; 0 where there is nothing in any window, or the id is not known
    """
    mask = get64(
        get64(shared, b.CLASS_MASKS),
        get32(get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES), b.EVENT_CLASS),
    )
    for at in range(get64(plan, b.N_ASKS)):
        ask = get64(plan, b.ASKS) + at * 40
        n, n_orders = 0, 0
        if record != 0:
            n, n_orders = get32(record, get64(ask, 1)), get32(record, get64(ask, 2))
        share = min((n * _MILLION + PRIOR_ORDERS * get64(ask, 4)) // (n_orders + PRIOR_ORDERS), _MILLION)
        weight = 0
        if mask & _ORDER_BIT:
            weight = share
        elif mask & get64(ask, 3) and not mask & _EXCUSED_BIT:
            weight = _MILLION - share
        put32(get64(shared, b.WEIGHTS), event * get64(shared, b.N_WEIGHTS) + get64(ask, 0), weight)


@numba.njit(nogil=True, cache=True)
def find_totals(slot, now, bound, plan, shared):
    """Find the totals of what a slot has seen by `now`; 0 when there is nothing in any window."""
    if get32(slot, N_EVENTS) >= 0:
        return walk(slot, now, bound, plan, shared)
    record = find_record(slot, plan)
    if now > get64(record, WAKE_AT):
        expire(record, now, bound, plan, shared)
    return record


@numba.njit(nogil=True, cache=True)
def _replay_chunk(plan, shared, applied, first, end, horizon, base, out_row, out, n_columns):
    """Replay a chunk of the batch for one entity; return the first event that does not count yet."""
    log, flags, n_events = get64(shared, b.LOG), get64(plan, b.CLASS_FLAGS), get64(shared, b.N_EVENTS)
    event_bytes, ring = get64(shared, b.EVENT_BYTES), get64(plan, b.RING)
    _open_slots(plan)
    for event in range(max(applied, first - _BEHIND + 1), min(first + _FAR, n_events)):
        put64(ring, event & _LAST, _find_slot(event, plan, shared))
    for event in range(first, end):
        if event + _FAR < n_events:
            slot = _find_slot(event + _FAR, plan, shared)
            put64(ring, (event + _FAR) & _LAST, slot)
            if slot != 0:
                prefetch(slot, 0)
            _fetch_past(get64(ring, (event + _NEAR) & _LAST), plan, shared)
            _fetch_beyond(event + _NEXT, get64(ring, (event + _NEXT) & _LAST), plan, shared)
        at, out_at = log + event * event_bytes, np.int64(out_row[event - base])
        is_asked = get32(flags, get32(at, b.EVENT_CLASS)) & b.IS_ASKED
        if out_at < 0 and not is_asked:
            continue
        slot, now = get64(ring, event & _LAST), get64(at, b.SEEN_AT)
        applied = _apply_until(applied, event, now, ring, event, plan, shared)
        record = find_totals(slot, now, applied, plan, shared) if slot != 0 else 0
        if is_asked:
            _weigh(record, event, plan, shared)
        if out_at >= 0:
            to = out + 4 * out_at * n_columns
            if record != 0:
                write_features(record, slot, now, get64(at, b.AMOUNT), plan, to)
            elif slot != 0:
                write_empty(slot, now, plan, to)
            else:
                write_unknown(plan, to)
    return _apply_until(applied, end, horizon, ring, end - 1, plan, shared)


@numba.njit(nogil=True, cache=True)
def _has_room(n_events, plan, shared):
    """Tell whether all slots of so many events could become busy."""
    n_nodes = n_events * get64(shared, b.MAX_WALK)
    n_pairs = get64(plan, b.N_PAIRS) + n_nodes * get64(plan, b.N_VALUES)
    return (
        get64(plan, b.N_NODES) + n_nodes <= get64(plan, b.MAX_NODES)
        and get64(plan, b.N_RECORDS) + n_events <= get64(plan, b.MAX_RECORDS)
        and (get64(plan, b.N_VALUES) == 0 or 2 * n_pairs <= get64(plan, b.PAIRS_SIZE))
    )


@numba.njit(nogil=True, cache=True)
def replay(entities, book, shared_row, first, begin, applied, horizon, out_row, out):
    """Replay the events from `begin` on for some entities, and write the features of the orders among them.

    An event counts once the clock has moved past it: everything up to the current instant waits, so ties are invisible
    to each other, also across calls.

    Parameters
    ----------
    entities : rows of `book`, none of which needs weights of another
    book, shared_row : addresses and sizes of all arrays, see `book.py`
    first : the first new event of the log
    begin : the first event that has not been replayed
    applied : shape (len(entities),), int64, the first event that does not count yet, brought up to date
    horizon : instant of the last event, UTC microseconds; events before it count from now on
    out_row : shape (n_events - first,), int32, row of `out` that an event asks for, -1 where it asks for nothing
    out : shape (n_out, n_features), float32; only the columns of these entities are written

    Returns
    -------
    -1 when all is replayed; else one of the entities needs more room for busy slots, and this is where to begin again

    References
    ----------
    docs/definitions.md T1 to T4, W1 to W9, B1 to B5. Truth: features/reference.py.
    """
    shared, n_events = np.int64(shared_row.ctypes.data), shared_row[b.N_EVENTS]
    log, event_bytes = shared_row[b.LOG], shared_row[b.EVENT_BYTES]
    values, n_columns = np.int64(out.ctypes.data), np.int64(out.shape[1])
    while True:  # also without a new event: the clock has moved on, and what waited counts from now on
        end = min(begin + CHUNK, n_events)
        until = horizon if end == n_events else get64(log + (end - 1) * event_bytes, b.SEEN_AT)
        for at in range(len(entities)):
            plan = np.int64(book[entities[at]].ctypes.data)
            if not _has_room(end - applied[at], plan, shared):
                return begin
        for at in range(len(entities)):
            plan = np.int64(book[entities[at]].ctypes.data)
            applied[at] = _replay_chunk(plan, shared, applied[at], begin, end, until, first, out_row, values, n_columns)
        begin = end
        if begin >= n_events:
            return -1


@numba.njit(nogil=True, cache=True)
def close_batch(shared_row, horizon):
    """Note that the events seen before `horizon` have been applied."""
    applied = shared_row[b.N_EVENTS]
    while applied > shared_row[b.APPLIED]:
        if get64(shared_row[b.LOG] + (applied - 1) * shared_row[b.EVENT_BYTES], b.SEEN_AT) < horizon:
            break
        applied -= 1
    shared_row[b.APPLIED] = applied


@numba.njit(nogil=True, cache=True)
def replay_few(entities, level_ends, book, shared_row, groups, first, horizon, out_row, out):
    """Replay a small batch for all entities, level after level, and for the groups; see `replay`.

    Parameters
    ----------
    entities : rows of `book`, those of lower levels first
    level_ends : shape (n_levels,), where a level ends among the entities
    groups : of `groups_kernel.replay_groups`; empty where there are none

    Returns
    -------
    whether there was room for busy slots; without it nothing is right any more
    """
    if len(groups):
        replay_groups(groups, shared_row, first, horizon, out_row, out)
    begin = 0
    for end in level_ends:
        level, applied = entities[begin:end], np.full(end - begin, shared_row[b.APPLIED])
        if replay(level, book, shared_row, first, first, applied, horizon, out_row, out) >= 0:
            return False
        begin = end
    close_batch(shared_row, horizon)
    return True


@numba.njit(nogil=True, cache=True)
def serve_one(order, entities, level_ends, book, shared_row, groups, horizon, out):
    """Add one order and write its features, in one call: `log_kernel.append_few` and `replay_few`.

    Parameters
    ----------
    order : shape (4 + n_entities,), int64: id, instant, amount, selector bits, and per entity its id
    entities, level_ends, book, shared_row, groups, horizon : as for `replay_few`
    out : shape (1, n_features), float32

    Returns
    -------
    DONE; NEW_CLASS, when `replay_few` is still to be called after the tables of classes have been made anew; or NO_ROOM
    """
    first, n_classes, zero = shared_row[b.N_EVENTS], shared_row[b.N_CLASSES], np.zeros(1, np.int64)
    nothing, none = zero[:0], zero[:0].view(np.uint64)
    out_row = append_few(
        book, shared_row, order[4:].view(np.uint64).reshape((-1, 1)), order[:1].view(np.uint64), order[1:2], order[2:3],
        order[3:4], zero, none, nothing, nothing, nothing, nothing,
    )  # fmt: skip
    if shared_row[b.N_CLASSES] != n_classes:
        return NEW_CLASS
    if replay_few(entities, level_ends, book, shared_row, groups, first, horizon, out_row, out):
        return DONE
    return NO_ROOM
