"""Add an event to the totals of a record, or take it out.

No checks here: the other kernels are the only callers.
"""

from __future__ import annotations

import numba

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, put32, put64


@numba.njit(nogil=True, cache=True)
def add(record, event, first, last, sign, plan, shared):
    """Add an event to (or take it out of) the cells that its class has among `first` to `last`.

    Parameters
    ----------
    record, plan, shared : addresses; so in all kernels
    first, last : class times the number of windows, plus the window
    """
    starts, cells = get64(plan, b.COUNT_START), get64(plan, b.COUNT_CELL)
    for at in range(get32(starts, first), get32(starts, last)):
        cell = get32(cells, at)
        put32(record, cell, get32(record, cell) + sign)
    starts = get64(plan, b.SUM_START)
    for at in range(get32(starts, first), get32(starts, last)):
        cell, source = get32(get64(plan, b.SUM_CELL), at), get32(get64(plan, b.SUM_SOURCE), at)
        if source < 0:
            value = get64(get64(shared, b.LOG) + event * get64(shared, b.EVENT_BYTES), b.AMOUNT)
        else:
            value = get32(get64(shared, b.WEIGHTS), event * get64(shared, b.N_WEIGHTS) + source)
        put64(record, cell, get64(record, cell) + sign * value)


@numba.njit(nogil=True, cache=True)
def is_taken_back(event, bound, shared):
    """Tell whether a verdict has been taken back by an event before `bound`."""
    by = get32(get64(shared, b.JUDGEMENTS) + event * b.JUDGEMENT_BYTES, b.TAKEN_BACK_BY) - 1
    return 0 <= by < bound
