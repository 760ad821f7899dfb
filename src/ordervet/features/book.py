"""Where the kernels find the engine's arrays: one row of addresses and sizes per entity.

A live order would spend longer on handing over two hundred arrays than on being scored. The arrays themselves belong to
`state.py`, which enters them here anew whenever one of them grows.
"""

from __future__ import annotations

#: Columns of an entity's row. Every address is followed by the sizes that go with it.
(
    MAP, MAP_SIZE, N_SLOTS, N_OPEN, SLOTS, MAX_SLOTS, SLOT_WIDTH, EMPTY_SLOT, LINKS, LINK_WIDTH, PAIRS, PAIRS_SIZE,
    N_PAIRS, OWN, VALUES, N_VALUES, WINDOWS, N_WINDOWS, LAST_EVENT, CLASS_FLAGS, COUNT_START, COUNT_CELL, SUM_START,
    SUM_CELL, SUM_SOURCE, CLOCK_START, CLOCK_AT, DISTINCT_START, DISTINCT_COLUMN, DISTINCT_AT, KNOWN_START,
    KNOWN_COLUMN, KNOWN_AT, ASKS, N_ASKS, OPERATIONS, N_OPERATIONS, OPERATION_START, FIRST_COLUMN, N_COLUMNS,
) = range(40)  # fmt: skip

#: Columns of the row that all entities share.
(
    LOG, MAX_EVENTS, N_EVENTS, APPLIED, ROW_SLOTS, N_ENTITIES, MAX_ROWS, N_ROWS, WEIGHTS, N_WEIGHTS, CLASS_MASKS,
    N_CLASSES, LAST_VERDICT, ORDER_MAP, ORDER_MAP_SIZE, FIRST_SEEN, N_FIRST_SEEN, FIRST_OWN, N_SHARED,
) = range(19)  # fmt: skip

#: More masks than events can have.
MAX_CLASSES = 4096

#: What a class of events is to an entity.
IS_LISTED, MAY_TAKE_BACK, IS_ORDER, IS_ASKED = 1, 2, 4, 8

#: What an order's standing verdict is: its event (-1 also when that has left the log) and its class, two int32 in
#: LAST_VERDICT. In the log, a verdict or correction has in place of an amount the class of what it takes back, or -1.

#: 64-bit columns of the log and, numbered by themselves, 32-bit ones; the width in 64-bit words.
LOG_SEEN_AT, LOG_AMOUNT = 0, 1
LOG_ROW, LOG_CLASS, LOG_VOIDS, LOG_VOIDED_BY = 4, 5, 6, 7
LOG_WIDTH = 4
