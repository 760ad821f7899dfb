"""Put a batch of events into the log: give orders their rows and slots, merge by the instant seen, link verdicts."""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.maps_kernel import assign_slot, fetch_place, find_slot
from ordervet.features.memory import get32, get64, put32, put64
from ordervet.features.slots import FOREVER, NEVER

_ORDER_BIT = 1
_JUDGEMENT_BIT = 1 << 40
_FIRST_ORDER_BIT = 1 << 20

# SPEED: benchmarks/bench_features.py. How many ids ahead the line of a table is asked for.
_AHEAD = 12


@numba.njit(nogil=True, cache=True)
def place_orders(order_id, by_time, shared):
    """Give each order its row, in the order seen.

    Parameters
    ----------
    order_id : shape (n,), uint64
    by_time : shape (n,), the orders as seen

    Returns
    -------
    rows, is_new : shape (n,), int32 and bool, in the order seen; an order is new at its first sight
    """
    table, size = shared[b.ORDER_MAP], shared[b.ORDER_MAP_SIZE]
    rows, is_new = np.empty(len(by_time), np.int32), np.empty(len(by_time), np.bool_)
    for at in range(len(by_time)):
        if at + _AHEAD < len(by_time):
            fetch_place(np.int64(order_id[by_time[at + _AHEAD]]), table, size)
        n_rows = shared[b.N_ROWS]
        rows[at] = assign_slot(np.int64(order_id[by_time[at]]), table, size, n_rows)
        is_new[at] = rows[at] == n_rows
        shared[b.N_ROWS] += is_new[at]
    return rows, is_new


@numba.njit(nogil=True, cache=True)
def place_ids(entity, book, shared, ids, by_time, rows, is_new):
    """Give the ids of one entity their slots, and enter them in the rows of the new orders.

    Parameters
    ----------
    ids : shape (n,), uint64, as given; 0 is no id
    by_time, rows, is_new : of `place_orders`
    """
    row = book[entity]
    table, size, n_slots = row[b.MAP], row[b.MAP_SIZE], row[b.N_SLOTS]
    slot_of_row, row_bytes = shared[b.ROW_SLOTS], shared[b.ROW_BYTES]
    for at in range(len(by_time)):
        if at + _AHEAD < len(by_time):
            fetch_place(np.int64(ids[by_time[at + _AHEAD]]), table, size)
        if is_new[at]:
            wanted, slot = np.int64(ids[by_time[at]]), -1
            if wanted != 0:
                slot = assign_slot(wanted, table, size, n_slots)
                n_slots += slot == n_slots
            put32(slot_of_row + rows[at] * row_bytes, entity, slot)
    row[b.N_SLOTS] = n_slots


@numba.njit(nogil=True, cache=True)
def _find_class(mask, shared):
    """Find the class of a mask, a new one if there is none; `shared` is an address, so below."""
    masks, n_classes = get64(shared, b.CLASS_MASKS), get64(shared, b.N_CLASSES)
    for kind in range(n_classes):
        if get64(masks, kind) == mask:
            return kind
    put64(masks, n_classes, mask)
    put64(shared, b.N_CLASSES, n_classes + 1)
    return n_classes


@numba.njit(nogil=True, cache=True)
def _append(number, seen_at, amount, mask, row, shared):
    event = get64(shared, b.LOG) + number * get64(shared, b.EVENT_BYTES)
    kind = _find_class(mask, shared)
    put64(event, b.SEEN_AT, seen_at)
    put32(event, b.EVENT_ROW, row)
    put32(event, b.EVENT_CLASS, kind)
    put64(event, b.AMOUNT, amount)
    if mask & _JUDGEMENT_BIT:
        standing = get64(shared, b.LAST_VERDICT) + 8 * row
        judgements, before = get64(shared, b.JUDGEMENTS), get32(standing, 0)
        put32(judgements + number * b.JUDGEMENT_BYTES, b.TAKES_BACK, before)
        put32(judgements + number * b.JUDGEMENT_BYTES, b.TAKEN_BACK_BY, 0)
        put64(event, b.AMOUNT, get32(standing, 1) - 1)
        if before > 0:
            put32(judgements + (before - 1) * b.JUDGEMENT_BYTES, b.TAKEN_BACK_BY, number + 1)
        put32(standing, 0, number + 1)
        put32(standing, 1, kind + 1)


@numba.njit(nogil=True, cache=True)
def _mark_first(seen_at, row, shared):
    """Give the bit of a first order when no earlier one of the buyer is known; ties are all first."""
    column, firsts = get64(shared, b.FIRST_OWN), get64(shared, b.FIRST_SEEN)
    if column < 0:
        return 0
    buyer = get32(get64(shared, b.ROW_SLOTS) + row * get64(shared, b.ROW_BYTES), column)
    if buyer < 0:
        return 0
    first_seen = get64(firsts, buyer)
    if first_seen == NEVER:
        put64(firsts, buyer, seen_at)
    return _FIRST_ORDER_BIT if first_seen in (NEVER, seen_at) else 0


@numba.njit(nogil=True, cache=True)
def append_events(shared_row, order_seen_at, order_amount, order_mask, by_time, rows, is_new, order_id, seen_at, mask,
                  amount, by_seen):  # fmt: skip
    """Merge a batch into the log: by the instant seen, at one instant orders first, later events by rank.

    Only an order's latest verdict counts: a newer one replaces it, a correction removes it.

    Parameters
    ----------
    order_seen_at, order_amount, order_mask : shape (n,), as given
    by_time, rows, is_new : of `place_orders`
    order_id, seen_at, mask, amount : shape (m,), the later events, as given; those of an order that is not known, or
        not yet, are left out
    by_seen : shape (m,), the later events as seen, ties by rank

    Returns
    -------
    out_row : shape (number of events appended,), int32: the order, as given, that asks for features; or -1
    """
    table, size, shared = shared_row[b.ORDER_MAP], shared_row[b.ORDER_MAP_SIZE], np.int64(shared_row.ctypes.data)
    out_row = np.empty(len(rows) + len(by_seen), np.int32)
    first, n, order, other = shared_row[b.N_EVENTS], 0, 0, 0
    n_rows = shared_row[b.N_ROWS] - is_new.sum()  # rows of the orders seen so far
    while order < len(rows) or other < len(by_seen):
        is_order = order < len(rows) and (
            other == len(by_seen) or order_seen_at[by_time[order]] <= seen_at[by_seen[other]]
        )
        if is_order:
            at, row = by_time[order], np.int64(rows[order])
            bits = order_mask[at] | _mark_first(order_seen_at[at], row, shared) if is_new[order] else 0
            out_row[n] = at
            _append(first + n, order_seen_at[at], order_amount[at], bits, row, shared)
            n_rows, order, n = n_rows + is_new[order], order + 1, n + 1
        else:
            at = by_seen[other]
            if other + _AHEAD < len(by_seen):
                fetch_place(np.int64(order_id[by_seen[other + _AHEAD]]), table, size)
            row = find_slot(np.int64(order_id[at]), table, size)
            if 0 <= row < n_rows:
                out_row[n] = -1
                _append(first + n, seen_at[at], amount[at], mask[at], row, shared)
                n += 1
            other += 1
    shared_row[b.N_EVENTS] = first + n
    return out_row[:n]


@numba.njit(nogil=True, cache=True)
def find_span(seen_at, other_seen_at):
    """Find the earliest and the latest instant of two lists; (FOREVER, NEVER) when both are empty."""
    earliest, latest = FOREVER, NEVER
    for at in range(len(seen_at)):
        earliest, latest = min(earliest, seen_at[at]), max(latest, seen_at[at])
    for at in range(len(other_seen_at)):
        earliest, latest = min(earliest, other_seen_at[at]), max(latest, other_seen_at[at])
    return earliest, latest


@numba.njit(nogil=True, cache=True)
def append_few(book, shared, ids, order_id, order_seen_at, order_amount, order_mask, by_time, later_order_id, seen_at,
               mask, amount, by_seen):  # fmt: skip
    """Place and append a small batch in one call; see `place_orders`, `place_ids` and `append_events`.

    Parameters
    ----------
    ids : shape (n_entities, n), uint64
    """
    rows, is_new = place_orders(order_id, by_time, shared)
    for entity in range(len(ids)):
        place_ids(entity, book, shared, ids[entity], by_time, rows, is_new)
    return append_events(shared, order_seen_at, order_amount, order_mask, by_time, rows, is_new, later_order_id,
                         seen_at, mask, amount, by_seen)  # fmt: skip
