"""Replay events for the groups of linked buyers: one union-find forest that only grows, in the order seen.

What was seen at one instant is linked at once: first all its buyers join the users of their keys, then those keys that
are still no hub link them. So ties are blind to each other here too.

No checks here: `features/engine.py` is the only caller and sizes every array.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, put32, put_float
from ordervet.features.spec import GROUP_MEASURES, MAX_LINKED, SELECTOR_BIT

#: Of a key: how many buyers have used it (at most one more than are linked), and the first of them.
KEY_WIDTH = MAX_LINKED + 2

#: What is counted per group, after its buyers.
MEASURES = tuple(SELECTOR_BIT[name] for name in GROUP_MEASURES)
N_TOTALS = 1 + len(MEASURES)

_N_KEYS = 4
_ADDRESS = 1
_ORDER_BIT = 1
_JUDGEMENT_BIT = 1 << 40
_SHARED_PLACE_BIT = 1 << 42


@numba.njit(nogil=True, cache=True)
def _find_root(buyer, parents):
    """Find the root of a buyer's group, and shorten the way there; a parent is stored plus one, 0 is not seen yet."""
    while get32(parents, buyer) != buyer + 1:
        up = get32(parents, get32(parents, buyer) - 1)
        put32(parents, buyer, up)
        buyer = up - 1
    return buyer


@numba.njit(nogil=True, cache=True)
def _unite(one, other, parents, totals):
    """Make one group of two: the smaller root goes under the larger one, totals add up."""
    one, other = _find_root(one, parents), _find_root(other, parents)
    if one == other:
        return
    if get32(totals, one * N_TOTALS) < get32(totals, other * N_TOTALS):
        one, other = other, one
    put32(parents, other, one + 1)
    for at in range(N_TOTALS):
        put32(totals, one * N_TOTALS + at, get32(totals, one * N_TOTALS + at) + get32(totals, other * N_TOTALS + at))


@numba.njit(nogil=True, cache=True)
def _read_mask(event, shared):
    return get64(shared[b.CLASS_MASKS], get32(shared[b.LOG], event * 2 * b.LOG_WIDTH + b.LOG_CLASS))


@numba.njit(nogil=True, cache=True)
def _find_key(event, key, own, addresses, shared):
    """Find the record of one of the keys of an order; 0 when it has none, or one that cannot link."""
    if key == _ADDRESS and _read_mask(event, shared) & _SHARED_PLACE_BIT:
        return 0
    row = get32(shared[b.LOG], event * 2 * b.LOG_WIDTH + b.LOG_ROW)
    slot = get32(shared[b.ROW_SLOTS], row * shared[b.N_ENTITIES] + own[1 + key])
    return addresses[2 + key] + slot * 4 * KEY_WIDTH if slot >= 0 else 0


@numba.njit(nogil=True, cache=True)
def _find_buyer(event, own, shared):
    row = get32(shared[b.LOG], event * 2 * b.LOG_WIDTH + b.LOG_ROW)
    return get32(shared[b.ROW_SLOTS], row * shared[b.N_ENTITIES] + own[0])


@numba.njit(nogil=True, cache=True)
def _join_users(event, own, addresses, shared):
    """Let an order's buyer be among the users of its keys."""
    buyer, parents, totals = _find_buyer(event, own, shared), addresses[0], addresses[1]
    if buyer < 0:
        return
    if get32(parents, buyer) == 0:
        put32(parents, buyer, buyer + 1)
        put32(totals, buyer * N_TOTALS, 1)
    for key in range(_N_KEYS):
        record = _find_key(event, key, own, addresses, shared)
        if record != 0 and get32(record, 0) <= MAX_LINKED:
            n, at = get32(record, 0), 1
            while at <= n and get32(record, at) != buyer:
                at += 1
            if at > n:
                put32(record, 0, n + 1)
                put32(record, at, buyer)


@numba.njit(nogil=True, cache=True)
def _count(event, mask, sign, own, addresses, shared):
    """Add what a mask says of an event's order to the totals of its buyer's group, or take it out."""
    buyer = _find_buyer(event, own, shared)
    if buyer < 0:
        return
    root = _find_root(buyer, addresses[0])
    for at in range(len(MEASURES)):
        if mask & MEASURES[at]:
            place = root * N_TOTALS + 1 + at
            put32(addresses[1], place, get32(addresses[1], place) + sign)


@numba.njit(nogil=True, cache=True)
def _apply_instant(begin, end, own, addresses, shared):
    """Let the events of one instant count."""
    for event in range(begin, end):
        if _read_mask(event, shared) & _ORDER_BIT:
            _join_users(event, own, addresses, shared)
    for event in range(begin, end):
        buyer = _find_buyer(event, own, shared)
        if _read_mask(event, shared) & _ORDER_BIT and buyer >= 0:
            for key in range(_N_KEYS):
                record = _find_key(event, key, own, addresses, shared)
                if record != 0 and get32(record, 0) <= MAX_LINKED:
                    _unite(buyer, get32(record, 1), addresses[0], addresses[1])
    for event in range(begin, end):
        mask = _read_mask(event, shared)
        if mask & _JUDGEMENT_BIT:
            before = get64(shared[b.LOG], event * b.LOG_WIDTH + b.LOG_AMOUNT)
            if before >= 0:
                _count(event, get64(shared[b.CLASS_MASKS], before), -1, own, addresses, shared)
        _count(event, mask, 1, own, addresses, shared)


@numba.njit(nogil=True, cache=True)
def _write_group(event, out, columns, own, addresses, shared):
    """Write the features of the group that an order would join."""
    parents, totals = addresses[0], addresses[1]
    roots, n_roots = np.empty(1 + _N_KEYS, np.int64), 0
    sums = np.zeros(N_TOTALS, np.int64)
    buyer, is_known = _find_buyer(event, own, shared), False
    for at in range(-1, _N_KEYS):
        member = buyer
        if at >= 0:
            record = _find_key(event, at, own, addresses, shared)
            is_known |= record != 0
            member = get32(record, 1) if record != 0 and 0 < get32(record, 0) <= MAX_LINKED else -1
        elif buyer >= 0:
            is_known = True
            if get32(parents, buyer) == 0:
                member = -1
            else:
                sums[0] = -1
        if member >= 0:
            root, is_new = _find_root(member, parents), True
            for earlier in range(n_roots):
                is_new &= roots[earlier] != root
            if is_new:
                roots[n_roots] = root
                n_roots += 1
                for total in range(N_TOTALS):
                    sums[total] += get32(totals, root * N_TOTALS + total)
    n_decided = sums[2] + sums[3]
    for at in range(len(columns)):
        if columns[at] >= 0:
            value = np.nan
            if is_known and at < N_TOTALS:
                value = np.float64(sums[at])
            elif is_known and n_decided > 0:
                value = np.float64(sums[2]) / np.float64(n_decided)
            put_float(out, columns[at], value)


@numba.njit(nogil=True, cache=True)
def replay_groups(own, addresses, columns, shared, first, n_events, horizon, out_row, out):
    """Replay the events from `first` on for the groups, and write the group features of the orders among them.

    Parameters
    ----------
    own : shape (5,), columns of buyer, phone, address, device and payment among the slots of an order
    addresses : of `GroupState.list_addresses`
    columns : shape (n_group_features,), matrix columns in the order of `spec.GROUP_NAMES`, -1 where not asked for
    shared : the shared row of the book
    first, n_events, horizon, out_row, out : of `kernel.replay`

    References
    ----------
    docs/definitions.md G1 to G5. Truth: `groups.compute_groups`.
    """
    log, values, n_values = shared[b.LOG], np.int64(out.ctypes.data), np.int64(out.shape[1])
    applied, event = shared[b.APPLIED], first
    while True:
        now = get64(log, event * b.LOG_WIDTH + b.LOG_SEEN_AT) if event < n_events else horizon
        while applied < n_events and get64(log, applied * b.LOG_WIDTH + b.LOG_SEEN_AT) < now:
            end, instant = applied + 1, get64(log, applied * b.LOG_WIDTH + b.LOG_SEEN_AT)
            while end < n_events and get64(log, end * b.LOG_WIDTH + b.LOG_SEEN_AT) == instant:
                end += 1
            _apply_instant(applied, end, own, addresses, shared)
            applied = end
        if event >= n_events:
            break
        if out_row[event - first] >= 0:
            _write_group(event, values + 4 * n_values * out_row[event - first], columns, own, addresses, shared)
        event += 1
