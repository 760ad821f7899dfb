"""Where the kernels find the engine's arrays: one row of addresses and sizes per entity.

A live order would spend longer on handing over two hundred arrays than on being scored. The arrays themselves belong to
`state.py`, which enters them here anew whenever one of them grows.
"""

from __future__ import annotations

#: Columns of an entity's row. Every address is followed by the sizes that go with it.
(
    MAP, MAP_SIZE, N_SLOTS, N_OPEN, SLOTS, MAX_SLOTS, SLOT_WIDTH, EMPTY_SLOT, RECORDS, MAX_RECORDS, N_RECORDS,
    RECORD_WIDTH, EMPTY_RECORD, SCRATCH, NODES, MAX_NODES, N_NODES, NODE_BYTES, PAIRS, PAIRS_SIZE, N_PAIRS, OWN, LINK,
    VALUES, N_VALUES, SEEN, WINDOWS, N_WINDOWS, LATEST_NODE, CLASS_FLAGS, COUNT_START, COUNT_CELL, SUM_START, SUM_CELL,
    SUM_SOURCE, CLOCK_START, CLOCK_AT, DISTINCT_START, DISTINCT_COLUMN, DISTINCT_AT, KNOWN_START, KNOWN_COLUMN,
    KNOWN_AT, ASKS, N_ASKS, OPERATIONS, N_OPERATIONS, OPERATION_START, EMPTY_VALUES, RING, N_COLUMNS,
) = range(51)  # fmt: skip

#: Columns of the row that all entities share.
(
    LOG, MAX_EVENTS, N_EVENTS, EVENT_BYTES, JUDGEMENTS, APPLIED, ROW_SLOTS, ROW_BYTES, N_ENTITIES, MAX_ROWS, N_ROWS,
    WEIGHTS, N_WEIGHTS, CLASS_MASKS, N_CLASSES, LAST_VERDICT, ORDER_MAP, ORDER_MAP_SIZE, FIRST_SEEN, N_FIRST_SEEN,
    FIRST_OWN, MAX_WALK, N_SHARED,
) = range(23)  # fmt: skip

#: More masks than events can have.
MAX_CLASSES = 4096

#: What a class of events is to an entity; a judgement matters only to one that counts verdicts.
IS_LISTED, IS_JUDGEMENT, IS_ORDER, IS_ASKED = 1, 2, 4, 8

#: An event of the log: its instant and its amount in the first 64-bit words (of a verdict or correction the class of
#: what it takes back, or -1), then in 32-bit words the row of its order, its class, and per entity with a plan the
#: event before it in its slot (-1: none).
SEEN_AT, AMOUNT = 0, 1
EVENT_ROW, EVENT_CLASS, FIRST_LINK = 4, 5, 6

#: Of a verdict or correction, two 32-bit words: the event it takes back plus one, and the one that takes it back plus
#: one (0: none). SPEED: of all other events they are never touched, and take no memory.
JUDGEMENT_BYTES = 8
TAKES_BACK, TAKEN_BACK_BY = 0, 1

#: What an order's standing verdict is, two 32-bit words in LAST_VERDICT: its event plus one (0: none, or it has left
#: the log), and its class plus one.

#: A node, an event of a busy slot: the instant of the next node of the slot in the first 64-bit word, then in 32-bit
#: words its event, its class, that next node (-1: none yet), and per value column the nodes before and after it that
#: have the same value.
NEXT_SEEN_AT = 0
NODE_EVENT, NODE_CLASS, NEXT_NODE, FIRST_VALUE = 2, 3, 4, 5
