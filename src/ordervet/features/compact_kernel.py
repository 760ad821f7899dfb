"""Let expired events leave the state: what remains moves to the front, and whatever points at an event follows.

No checks here: `features/engine.py` is the only caller.
"""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.busy_kernel import expire, find_record
from ordervet.features.memory import get32, get64, put32
from ordervet.features.pairs_kernel import NO_VALUE, enter_pair, read_pair
from ordervet.features.slots import LATEST, N_EVENTS, N_LATEST, WAKE_AT


@numba.njit(nogil=True, cache=True)
def count_expired(shared_row, now, longest_us):
    """Count the events at the beginning of the log that have left every window."""
    low, high = 0, shared_row[b.N_EVENTS]
    while low < high:
        middle = (low + high) // 2
        if get64(shared_row[b.LOG] + middle * shared_row[b.EVENT_BYTES], b.SEEN_AT) < now - longest_us:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(nogil=True, cache=True)
def expire_slots(row, shared_row, now, n_expired):
    """Take out of every slot of an entity what has expired.

    Parameters
    ----------
    row, shared_row : of the book
    now : UTC microseconds
    n_expired : events that leave the log
    """
    plan, shared = np.int64(row.ctypes.data), np.int64(shared_row.ctypes.data)
    for at in range(row[b.N_OPEN]):
        slot = row[b.SLOTS] + at * 8 * row[b.SLOT_WIDTH]
        if get32(slot, N_EVENTS) < 0:
            record = find_record(slot, plan)
            if now > get64(record, WAKE_AT):
                expire(record, now, shared_row[b.APPLIED], plan, shared)
        else:
            for place in range(LATEST, LATEST + N_LATEST):
                put32(slot, place, max(get32(slot, place) - n_expired, -1))
            if get32(slot, LATEST) < 0:
                put32(slot, N_EVENTS, 0)


@numba.njit(nogil=True, cache=True)
def find_owners(row):
    """Find the record that each node belongs to, -1 where it has left all windows; shape (n_nodes,), int32.

    Parameters
    ----------
    row : of the book; nothing in its records has expired
    """
    owners = np.full(row[b.N_NODES], -1, np.int32)
    longest_tail = row[b.LATEST_NODE] + row[b.N_WINDOWS]
    for at in range(row[b.N_RECORDS]):
        number = get32(row[b.RECORDS] + at * 8 * row[b.RECORD_WIDTH], longest_tail)
        while number >= 0:
            owners[number] = at
            number = get32(row[b.NODES] + number * row[b.NODE_BYTES], b.NEXT_NODE)
    return owners


@numba.njit(nogil=True, cache=True)
def _follow(moved, number):
    return moved[number] if number >= 0 else number


@numba.njit(nogil=True, cache=True)
def move_nodes(row, n_expired, owners, nodes):
    """Move the nodes that stay to the front of another array, and let the records follow.

    Parameters
    ----------
    row : of the book
    n_expired : events that leave the log
    owners : of `find_owners`
    nodes : shape (n, node width), int32

    Returns
    -------
    shape (n_nodes,), int32: the new number of each old node, -1 where it leaves
    """
    moved = np.full(len(owners), -1, np.int32)
    n_staying = 0
    for number in range(len(owners)):
        if owners[number] >= 0:
            moved[number] = n_staying
            n_staying += 1
    for number in range(len(owners)):
        if moved[number] >= 0:
            node, to = row[b.NODES] + number * row[b.NODE_BYTES], nodes[moved[number]]
            for word in range(len(to)):
                to[word] = get32(node, word)
            to[b.NODE_EVENT] -= n_expired
            to[b.NEXT_NODE] = _follow(moved, to[b.NEXT_NODE])
            if get32(row[b.CLASS_FLAGS], to[b.NODE_CLASS]) & b.IS_ORDER:
                for word in range(b.FIRST_VALUE, b.FIRST_VALUE + 2 * row[b.N_VALUES]):
                    to[word] = _follow(moved, to[word])
    for at in range(row[b.N_RECORDS]):
        record = row[b.RECORDS] + at * 8 * row[b.RECORD_WIDTH]
        for place in range(row[b.LATEST_NODE], row[b.LATEST_NODE] + 1 + row[b.N_WINDOWS]):
            put32(record, place, _follow(moved, get32(record, place)))
    row[b.N_NODES] = n_staying
    return moved


@numba.njit(nogil=True, cache=True)
def enter_latest(row, shared_row, owners, moved, nodes, table):
    """Enter the latest order of every pair into an empty table; return how many there are.

    Parameters
    ----------
    row, shared_row : of the book; the log has not moved yet
    owners, moved, nodes : of `move_nodes`
    table : shape (2**k, 2), int64
    """
    plan, shared, n_pairs = np.int64(row.ctypes.data), np.int64(shared_row.ctypes.data), 0
    for number in range(len(owners)):
        if owners[number] >= 0:
            node = nodes[moved[number]]
            is_order = get32(row[b.CLASS_FLAGS], node[b.NODE_CLASS]) & b.IS_ORDER
            for column in range(row[b.N_VALUES] if is_order else 0):
                before = b.FIRST_VALUE + 2 * column
                if node[before] != NO_VALUE and node[before + 1] < 0:
                    event = get32(row[b.NODES] + number * row[b.NODE_BYTES], b.NODE_EVENT)
                    order = get32(shared_row[b.LOG] + event * shared_row[b.EVENT_BYTES], b.EVENT_ROW)
                    enter_pair(read_pair(owners[number], order, column, plan, shared), column, moved[number], table)
                    n_pairs += 1
    return n_pairs


@numba.njit(nogil=True, cache=True)
def move_events(shared_row, log, n_links, n_expired):
    """Renumber what the log, its judgements and the orders say of events, after their move to the front.

    Parameters
    ----------
    log : shape (n_staying, event width), int32
    n_links : links of an event
    """
    judgements, last_verdict = shared_row[b.JUDGEMENTS], shared_row[b.LAST_VERDICT]
    for event in range(len(log)):
        for at in range(b.FIRST_LINK, b.FIRST_LINK + n_links):
            log[event, at] = max(log[event, at] - n_expired, -1)
        for at in (b.TAKES_BACK, b.TAKEN_BACK_BY):
            judgement = judgements + event * b.JUDGEMENT_BYTES
            if get32(judgement, at) != 0:
                put32(judgement, at, max(get32(judgement, at) - n_expired, 0))
    for row in range(shared_row[b.N_ROWS]):
        put32(last_verdict + 8 * row, 0, max(get32(last_verdict + 8 * row, 0) - n_expired, 0))
