"""Replay events for the groups of linked buyers: one union-find forest that only grows, in the order seen.

What was seen at one instant is linked at once: first all its buyers join the users of their keys, then those keys that
are still no hub link them. So ties are blind to each other here too.

A member is the record of a buyer: its parent plus one (0: not seen yet), then, of a root, the totals of its group. A
key has how many buyers have used it, and which.

No checks here: `features/engine.py` is the only caller and sizes every array.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, prefetch, put32, put64, put_float
from ordervet.features.spec import GROUP_KEYS, GROUP_MEASURES, GROUP_NAMES, MAX_LINKED, SELECTOR_BIT

#: What is counted per group, after its buyers.
MEASURES = tuple(SELECTOR_BIT[name] for name in GROUP_MEASURES)
N_TOTALS = 1 + len(MEASURES)

#: 32-bit words of a member, and of a key: how many buyers have used it (at most one more than are linked), and they.
MEMBER_WIDTH = 1 + N_TOTALS
KEY_WIDTH = MAX_LINKED + 2

#: What the kernel is handed, 64-bit words: addresses of members and keys, columns of the buyer and the keys among the
#: slots of an order, matrix columns in the order of `spec.GROUP_NAMES` (-1: not asked for), room for sums and roots.
N_KEYS = len(GROUP_KEYS)
MEMBERS, KEYS, BUYER_COLUMN, KEY_COLUMNS = 0, 1, 1 + N_KEYS, 2 + N_KEYS
OUT_COLUMNS = KEY_COLUMNS + N_KEYS
SUMS = OUT_COLUMNS + len(GROUP_NAMES)
ROOTS = SUMS + N_TOTALS
PLAN_WIDTH = ROOTS + 1 + N_KEYS

_ADDRESS = GROUP_KEYS.index("address")
_ORDER_BIT = 1
_JUDGEMENT_BIT = 1 << 40
_SHARED_PLACE_BIT = 1 << 42

# SPEED: benchmarks/bench_features.py. How many events ahead keys and members are asked for, and those they lead to.
_FAR, _NEAR = 16, 8


@numba.njit(nogil=True, cache=True)
def _find_member(buyer, plan):
    return get64(plan, MEMBERS) + 4 * MEMBER_WIDTH * buyer


@numba.njit(nogil=True, cache=True)
def _find_root(buyer, plan):
    """Find the root of a buyer's group, and shorten the way there."""
    parent = get32(_find_member(buyer, plan), 0) - 1
    while parent != buyer:
        up = get32(_find_member(parent, plan), 0)
        put32(_find_member(buyer, plan), 0, up)
        buyer, parent = up - 1, get32(_find_member(up - 1, plan), 0) - 1
    return buyer


@numba.njit(nogil=True, cache=True)
def _unite(one, other, plan):
    """Make one group of two: the smaller root goes under the larger one, totals add up."""
    one, other = _find_root(one, plan), _find_root(other, plan)
    if one == other:
        return
    if get32(_find_member(one, plan), 1) < get32(_find_member(other, plan), 1):
        one, other = other, one
    upper, lower = _find_member(one, plan), _find_member(other, plan)
    put32(lower, 0, one + 1)
    for at in range(1, 1 + N_TOTALS):
        put32(upper, at, get32(upper, at) + get32(lower, at))


@numba.njit(nogil=True, cache=True)
def _read_mask(event, shared):
    at = get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES)
    return get64(get64(shared, b.CLASS_MASKS), get32(at, b.EVENT_CLASS))


@numba.njit(nogil=True, cache=True)
def _find_slots(event, shared):
    """Find the slots of an event's order."""
    row = get32(get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES), b.EVENT_ROW)
    return get64(shared, b.ROW_SLOTS) + row * get64(shared, b.ROW_BYTES)


@numba.njit(nogil=True, cache=True)
def _find_key(slots, key, mask, plan):
    """Find one of the keys of an order; 0 when it has none, or one that cannot link."""
    slot = get32(slots, get64(plan, KEY_COLUMNS + key))
    if slot < 0 or (key == _ADDRESS and mask & _SHARED_PLACE_BIT):
        return 0
    return get64(plan, KEYS + key) + 4 * KEY_WIDTH * slot


@numba.njit(nogil=True, cache=True)
def _fetch(event, shared, plan):
    """Ask for the member and the keys of a later event's order."""
    slots = _find_slots(event, shared)
    buyer = get32(slots, get64(plan, BUYER_COLUMN))
    if buyer >= 0:
        prefetch(_find_member(buyer, plan), 0)
    for key in range(N_KEYS):
        slot = get32(slots, get64(plan, KEY_COLUMNS + key))
        if slot >= 0:
            prefetch(get64(plan, KEYS + key), 4 * KEY_WIDTH * slot)


@numba.njit(nogil=True, cache=True)
def _fetch_beyond(event, shared, plan):
    """Ask for the members that the keys of a later event's order lead to."""
    slots = _find_slots(event, shared)
    for key in range(N_KEYS):
        slot = get32(slots, get64(plan, KEY_COLUMNS + key))
        if slot >= 0:
            record = get64(plan, KEYS + key) + 4 * KEY_WIDTH * slot
            if 0 < get32(record, 0) <= MAX_LINKED:
                prefetch(_find_member(get32(record, 1), plan), 0)


@numba.njit(nogil=True, cache=True)
def _join_users(event, mask, shared, plan):
    """Let an order's buyer be among the users of its keys."""
    slots = _find_slots(event, shared)
    buyer = get32(slots, get64(plan, BUYER_COLUMN))
    if buyer < 0:
        return
    member = _find_member(buyer, plan)
    if get32(member, 0) == 0:
        put32(member, 0, buyer + 1)
        put32(member, 1, 1)
    for key in range(N_KEYS):
        record = _find_key(slots, key, mask, plan)
        if record != 0 and get32(record, 0) <= MAX_LINKED:
            n, at = get32(record, 0), 1
            while at <= n and get32(record, at) != buyer:
                at += 1
            if at > n:
                put32(record, 0, n + 1)
                put32(record, at, buyer)


@numba.njit(nogil=True, cache=True)
def _unite_users(event, mask, shared, plan):
    """Link an order's buyer to the users of its keys."""
    slots = _find_slots(event, shared)
    buyer = get32(slots, get64(plan, BUYER_COLUMN))
    if buyer < 0:
        return
    for key in range(N_KEYS):
        record = _find_key(slots, key, mask, plan)
        if record != 0 and get32(record, 0) <= MAX_LINKED and get32(record, 1) != buyer:
            _unite(buyer, get32(record, 1), plan)


@numba.njit(nogil=True, cache=True)
def _count(event, mask, sign, shared, plan):
    """Add what a mask says of an event's order to the totals of its buyer's group, or take it out."""
    buyer = get32(_find_slots(event, shared), get64(plan, BUYER_COLUMN))
    if buyer < 0:
        return
    root = _find_member(_find_root(buyer, plan), plan)
    for at in range(len(MEASURES)):
        if mask & MEASURES[at]:
            put32(root, 2 + at, get32(root, 2 + at) + sign)


@numba.njit(nogil=True, cache=True)
def _apply_instant(begin, end, shared, plan):
    """Let the events of one instant count."""
    for event in range(begin, end):
        mask = _read_mask(event, shared)
        if mask & _ORDER_BIT:
            _join_users(event, mask, shared, plan)
    for event in range(begin, end):
        mask = _read_mask(event, shared)
        if mask & _ORDER_BIT:
            _unite_users(event, mask, shared, plan)
    for event in range(begin, end):
        mask = _read_mask(event, shared)
        if mask & _JUDGEMENT_BIT:
            before = get64(get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES), b.AMOUNT)
            if before >= 0:
                _count(event, get64(get64(shared, b.CLASS_MASKS), before), -1, shared, plan)
        _count(event, mask, 1, shared, plan)


@numba.njit(nogil=True, cache=True)
def _add_group(buyer, n_roots, plan):
    """Add the totals of a buyer's group to the sums, if they are not among them; return how many groups are."""
    root = _find_root(buyer, plan)
    for earlier in range(n_roots):
        if get64(plan, ROOTS + earlier) == root:
            return n_roots
    put64(plan, ROOTS + n_roots, root)
    member = _find_member(root, plan)
    for at in range(N_TOTALS):
        put64(plan, SUMS + at, get64(plan, SUMS + at) + get32(member, 1 + at))
    return n_roots + 1


@numba.njit(nogil=True, cache=True)
def _write_group(event, out, shared, plan):
    """Write the features of the group that an order would join."""
    slots, mask, n_roots = _find_slots(event, shared), _read_mask(event, shared), 0
    for at in range(N_TOTALS):
        put64(plan, SUMS + at, 0)
    buyer = get32(slots, get64(plan, BUYER_COLUMN))
    is_known = buyer >= 0
    if buyer >= 0 and get32(_find_member(buyer, plan), 0) != 0:
        n_roots = _add_group(buyer, n_roots, plan)
        put64(plan, SUMS, get64(plan, SUMS) - 1)
    for key in range(N_KEYS):
        record = _find_key(slots, key, mask, plan)
        if record != 0:
            is_known = True
            first = get32(record, 1)
            if 0 < get32(record, 0) <= MAX_LINKED and not (first == buyer and n_roots > 0):
                n_roots = _add_group(first, n_roots, plan)
    n_decided = get64(plan, SUMS + 2) + get64(plan, SUMS + 3)
    for at in range(len(GROUP_NAMES)):
        column = get64(plan, OUT_COLUMNS + at)
        if column >= 0:
            value = np.nan
            if is_known and at < N_TOTALS:
                value = np.float64(get64(plan, SUMS + at))
            elif is_known and n_decided > 0:
                value = np.float64(get64(plan, SUMS + 2)) / np.float64(n_decided)
            put_float(out, column, value)


@numba.njit(nogil=True, cache=True)
def replay_groups(plan_row, shared_row, first, horizon, out_row, out):
    """Replay the events from `first` on for the groups, and write the group features of the orders among them.

    Parameters
    ----------
    plan_row : shape (PLAN_WIDTH,), int64
    shared_row : the shared row of the book
    first, horizon, out_row, out : of `kernel.replay`

    References
    ----------
    docs/definitions.md G1 to G5. Truth: `groups_reference.compute_groups`.
    """
    plan, shared, n_events = np.int64(plan_row.ctypes.data), np.int64(shared_row.ctypes.data), shared_row[b.N_EVENTS]
    log, event_bytes, applied = shared_row[b.LOG], shared_row[b.EVENT_BYTES], shared_row[b.APPLIED]
    values, n_values, event = np.int64(out.ctypes.data), np.int64(out.shape[1]), first
    while True:
        if event + _FAR < n_events:
            _fetch(event + _FAR, shared, plan)
            _fetch_beyond(event + _NEAR, shared, plan)
        now = get64(log + event * event_bytes, b.SEEN_AT) if event < n_events else horizon
        while applied < n_events and get64(log + applied * event_bytes, b.SEEN_AT) < now:
            end, instant = applied + 1, get64(log + applied * event_bytes, b.SEEN_AT)
            while end < n_events and get64(log + end * event_bytes, b.SEEN_AT) == instant:
                end += 1
            _apply_instant(applied, end, shared, plan)
            applied = end
        if event >= n_events:
            break
        out_at = np.int64(out_row[event - first])
        if out_at >= 0:
            _write_group(event, values + 4 * n_values * out_at, shared, plan)
        event += 1
