"""The one kernel: replay events in the order they were seen, and write an order's features before the order counts.

A live order is a replay of one event, a year of orders a replay of millions; there is no second code path.

The state of one entity is a set of arrays over *slots* (one per id) and over *events*. The events of a slot form a
linked list in the order seen; each window keeps a pointer to its oldest event that has not expired, and running totals
of what lies between that event and now. Reading a window first moves its pointer, taking expired events out of the
totals; an event is therefore added once and taken out once per window.

No checks here: `features/engine.py` is the only caller, sorts the events, sizes every array, and knows every slot.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features.plan import OP_AGE, OP_CELL, OP_DISTINCT, OP_DRIFT, OP_QUOTIENT, OP_RECENCY

NEVER = np.iinfo(np.int64).min
_SECOND_US = 1_000_000.0
_MIX = np.uint64(0x9E3779B97F4A7C15)
_ORDER_BIT = 1


@numba.njit(nogil=True, cache=True)
def assign_slots(ids, map_ids, map_slots, n_slots):
    """Give every id its slot, new ones in order of appearance.

    Parameters
    ----------
    ids : shape (n,), uint64; 0 is no id
    map_ids, map_slots : shape (2**k,), uint64 and int32, an open-addressing table with room for n more entries
    n_slots : slots in use

    Returns
    -------
    slots, shape (n,), int32, -1 where there is no id; and the slots in use afterwards
    """
    slots = np.empty(len(ids), np.int32)
    last = np.uint64(len(map_ids) - 1)
    for at in range(len(ids)):
        wanted = ids[at]
        if wanted == 0:
            slots[at] = -1
            continue
        place = ((wanted * _MIX) >> np.uint64(20)) & last
        while map_ids[place] != 0 and map_ids[place] != wanted:
            place = (place + np.uint64(1)) & last
        if map_ids[place] == 0:
            map_ids[place] = wanted
            map_slots[place] = n_slots
            n_slots += 1
        slots[at] = map_slots[place]
    return slots, n_slots


@numba.njit(nogil=True, cache=True)
def find_slots(ids, map_ids, map_slots):
    """Look up slots without making new ones; -1 where an id is not known."""
    slots = np.empty(len(ids), np.int32)
    last = np.uint64(len(map_ids) - 1)
    for at in range(len(ids)):
        place = ((ids[at] * _MIX) >> np.uint64(20)) & last
        while map_ids[place] != 0 and map_ids[place] != ids[at]:
            place = (place + np.uint64(1)) & last
        slots[at] = -1 if ids[at] == 0 or map_ids[place] == 0 else map_slots[place]
    return slots


@numba.njit(nogil=True, cache=True)
def copy_map(old_ids, old_slots, new_ids, new_slots):
    """Move the entries of an open-addressing table into a larger, empty one."""
    last = np.uint64(len(new_ids) - 1)
    for at in range(len(old_ids)):
        if old_ids[at] != 0:
            place = ((old_ids[at] * _MIX) >> np.uint64(20)) & last
            while new_ids[place] != 0:
                place = (place + np.uint64(1)) & last
            new_ids[place] = old_ids[at]
            new_slots[place] = old_slots[at]


@numba.njit(nogil=True, cache=True)
def link_verdicts(mask, order_row, first, verdict_bits, last_verdict, voids):
    """Find the verdict that each verdict or correction takes back.

    Only an order's latest verdict counts: a newer one replaces it, a correction removes it.

    Parameters
    ----------
    mask, order_row, voids : shape (n_events,); voids is written from `first` on: an event index, or -1
    verdict_bits : bits of "this is a verdict" and "this is a correction"
    last_verdict : shape (n_order_rows,), event index of the verdict that stands, or -1
    """
    for event in range(first, len(mask)):
        voids[event] = -1
        if mask[event] & verdict_bits:
            row = order_row[event]
            voids[event] = last_verdict[row]
            last_verdict[row] = event


@numba.njit(nogil=True, cache=True)
def _expire(slot, now, seen_at, mask, amount, row, voided, window_us, cell_start, cell_bit, cell_is_sum, distinct_start,
            distinct_column, distinct_at, row_slot, next_event, next_same, tail, cells, distincts):  # fmt: skip
    for window in range(len(window_us)):
        opened_at = now - window_us[window]
        event = tail[slot, window]
        while event >= 0 and seen_at[event] < opened_at:
            if not voided[event]:
                for cell in range(cell_start[window], cell_start[window + 1]):
                    if mask[event] & cell_bit[cell]:
                        cells[slot, cell] -= amount[event] if cell_is_sum[cell] else 1
            if mask[event] & _ORDER_BIT:
                for cell in range(distinct_start[window], distinct_start[window + 1]):
                    column = distinct_column[cell]
                    if row_slot[distinct_at[column], row[event]] >= 0 and next_same[column, event] < 0:
                        distincts[slot, cell] -= 1
            event = next_event[event]
        tail[slot, window] = event


@numba.njit(nogil=True, cache=True)
def _write(slot, event, out_row, seen_at, amount, clock_first, clock_last, cells, distincts, write, out):
    now = seen_at[event]
    for at in range(len(write)):
        operation, column, first, second, third, fourth = write[at]
        value = np.nan
        if slot >= 0:
            if operation == OP_CELL:
                value = float(cells[slot, first])
            elif operation == OP_QUOTIENT:
                if cells[slot, second] != 0:
                    value = float(cells[slot, first]) / float(cells[slot, second])
            elif operation == OP_DISTINCT:
                value = float(distincts[slot, first])
            elif operation == OP_RECENCY:
                if clock_last[slot, first] != NEVER:
                    value = float(now - clock_last[slot, first]) / _SECOND_US
            elif operation == OP_AGE:
                if clock_first[slot, first] != NEVER:
                    value = float(now - clock_first[slot, first]) / _SECOND_US
            elif operation == OP_DRIFT:
                if cells[slot, second] != 0 and cells[slot, third] != 0:
                    value = float(cells[slot, first]) / float(cells[slot, second])
                    value /= float(cells[slot, third]) / float(cells[slot, fourth])
            elif cells[slot, first] != 0:
                value = float(amount[event]) / (float(cells[slot, first]) / float(cells[slot, second]))
        out[out_row, column] = value


@numba.njit(nogil=True, cache=True)
def _find_pair(pair, pair_ids):
    last = np.uint64(len(pair_ids) - 1)
    place = ((pair * _MIX) >> np.uint64(20)) & last
    while pair_ids[place] != 0 and pair_ids[place] != pair:
        place = (place + np.uint64(1)) & last
    return place


@numba.njit(nogil=True, cache=True)
def _apply(slot, event, seen_at, mask, amount, row, voids, window_us, cell_start, cell_bit, cell_is_sum, distinct_start,
           distinct_column, clock_bit, event_mask, distinct_at, row_slot, next_event, next_same, voided, last_event,
           tail, cells, distincts, clock_first, clock_last, pair_ids, pair_events, n_pairs):  # fmt: skip
    taken_back = voids[event]
    if taken_back >= 0 and mask[taken_back] & event_mask:
        for window in range(len(window_us)):
            if 0 <= tail[slot, window] <= taken_back:
                for cell in range(cell_start[window], cell_start[window + 1]):
                    if mask[taken_back] & cell_bit[cell]:
                        cells[slot, cell] -= amount[taken_back] if cell_is_sum[cell] else 1
        voided[taken_back] = 1
    if not mask[event] & event_mask:
        return
    for clock in range(len(clock_bit)):
        if mask[event] & clock_bit[clock]:
            clock_last[slot, clock] = seen_at[event]
            if clock_first[slot, clock] == NEVER:
                clock_first[slot, clock] = seen_at[event]
    is_order = mask[event] & _ORDER_BIT
    for column in range(len(distinct_at)):
        value = row_slot[distinct_at[column], row[event]]
        next_same[column, event] = -1
        if not is_order or value < 0:
            continue
        pair = (np.uint64(slot) << np.uint64(32) | np.uint64(value)) + np.uint64(1)
        place = _find_pair(pair, pair_ids[column])
        earlier = pair_events[column, place] if pair_ids[column, place] == pair else -1
        for window in range(len(window_us)):
            for cell in range(distinct_start[window], distinct_start[window + 1]):
                is_counted = earlier >= 0 and 0 <= tail[slot, window] <= earlier
                if distinct_column[cell] == column and not is_counted:
                    distincts[slot, cell] += 1
        if earlier >= 0:
            next_same[column, earlier] = event
        else:
            pair_ids[column, place] = pair
            n_pairs[column] += 1
        pair_events[column, place] = event
    for window in range(len(window_us)):
        for cell in range(cell_start[window], cell_start[window + 1]):
            if mask[event] & cell_bit[cell]:
                cells[slot, cell] += amount[event] if cell_is_sum[cell] else 1
        if tail[slot, window] < 0:
            tail[slot, window] = event
    next_event[event] = -1
    if last_event[slot] >= 0:
        next_event[last_event[slot]] = event
    last_event[slot] = event


@numba.njit(nogil=True, cache=True)
def replay(seen_at, mask, amount, row, voids, out_row, first, applied, row_slot, own_at, distinct_at, window_us,
           cell_start, cell_bit, cell_is_sum, distinct_start, distinct_column, clock_bit, event_mask, write,
           next_event, next_same, voided, last_event, tail, cells, distincts, clock_first, clock_last, pair_ids,
           pair_events, n_pairs, out):  # fmt: skip
    """Replay events from `first` on for one entity, and write the features of the orders among them.

    An event counts once the clock has moved past it: everything up to the current instant waits, so ties are invisible
    to each other, also across calls.

    Parameters
    ----------
    seen_at, mask, amount, row, voids : shape (n_events,), the whole log: UTC microseconds ascending; selector bits;
        minor units; row of the event's order; index of the verdict it takes back, or -1
    out_row : shape (n_events - first,), row of `out` that an event asks for, -1 where it asks for nothing
    first, applied : events before `first` have been replayed, those before `applied` already count
    row_slot : shape (n_entities, n_order_rows), int32, every entity's slot of an order, -1 where not known
    own_at, distinct_at : this entity's position among them; shape (n_distinct_entities,), of those counted once
    window_us … write : see EntityPlan
    next_event, next_same, voided : per event: shape (capacity,), (n_distinct_entities, capacity), (capacity,)
    last_event, tail, cells, distincts, clock_first, clock_last : per slot
    pair_ids, pair_events, n_pairs : open-addressing tables of (slot, value) to the latest event, and their fill
    out : shape (n_out, n_features), float32; only this entity's columns are written

    Returns
    -------
    the number of events that count now

    References
    ----------
    docs/definitions.md T1 to T4, W1 to W6. Truth: features/reference.py.
    """
    for event in range(first, len(seen_at)):
        now = seen_at[event]
        while seen_at[applied] < now:
            slot = row_slot[own_at, row[applied]]
            if slot >= 0:
                _apply(slot, applied, seen_at, mask, amount, row, voids, window_us, cell_start, cell_bit, cell_is_sum,
                       distinct_start, distinct_column, clock_bit, event_mask, distinct_at, row_slot, next_event,
                       next_same, voided, last_event, tail, cells, distincts, clock_first, clock_last, pair_ids,
                       pair_events, n_pairs)  # fmt: skip
            applied += 1
        if out_row[event - first] >= 0:
            slot = row_slot[own_at, row[event]]
            if slot >= 0:
                _expire(slot, now, seen_at, mask, amount, row, voided, window_us, cell_start, cell_bit, cell_is_sum,
                        distinct_start, distinct_column, distinct_at, row_slot, next_event, next_same, tail, cells,
                        distincts)  # fmt: skip
            _write(
                slot,
                event,
                out_row[event - first],
                seen_at,
                amount,
                clock_first,
                clock_last,
                cells,
                distincts,
                write,
                out,
            )
    return applied
