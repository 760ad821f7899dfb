"""Turn what a slot holds into features: one tight loop per operation, in the order of `plan.OPERATIONS`."""

from __future__ import annotations

import numba
import numpy as np

from ordervet.features import book as b
from ordervet.features.memory import get32, get64, get_float, put_float
from ordervet.features.slots import NEVER

_SECOND_US = 1_000_000.0
_MILLION = 1_000_000.0

#: Bytes of a row of `plan.EntityPlan.operations`: the matrix column, up to four words of the slot, a parameter.
_ROW = 24


@numba.njit(nogil=True, cache=True, error_model="numpy")
def write_unknown(plan, out):
    """Write NaN: the order's id of this entity is not known."""
    for at in range(get64(plan, b.N_OPERATIONS)):
        put_float(out, get32(get64(plan, b.OPERATIONS) + at * _ROW, 0), np.nan)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _write_clocks(slot, now, plan, out):
    """Write recencies and ages."""
    rows, start = get64(plan, b.OPERATIONS), get64(plan, b.OPERATION_START)
    for side in range(2):
        for at in range(get32(start, 7 + side), get32(start, 8 + side)):
            row = rows + _ROW * at
            instant = get64(slot, get32(row, 1) + side)
            put_float(out, get32(row, 0), np.float64(now - instant) / _SECOND_US if instant != NEVER else np.nan)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def write_empty(slot, now, plan, out):
    """Write the features of an order whose id has no event in any window."""
    for at in range(get64(plan, b.N_OPERATIONS)):
        put_float(out, get32(get64(plan, b.OPERATIONS) + at * _ROW, 0), get_float(get64(plan, b.EMPTY_VALUES), at))
    _write_clocks(slot, now, plan, out)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _divide(total, n):
    """Divide; NaN by 0."""
    return np.float64(total) / np.float64(n) if n != 0 else np.nan


@numba.njit(nogil=True, cache=True, error_model="numpy")
def write_features(record, slot, now, amount, plan, out):
    """Write the features of one order.

    Parameters
    ----------
    record : address of the totals of what the order's id of this entity has seen; nothing in it has expired
    slot : address of its clocks
    now : UTC microseconds
    amount : of the order, minor units
    plan : address of the entity's row of the book
    out : address of the order's row of the matrix, float32
    """
    rows, start = get64(plan, b.OPERATIONS), get64(plan, b.OPERATION_START)
    for at in range(get32(start, 0), get32(start, 1)):  # count
        row = rows + _ROW * at
        put_float(out, get32(row, 0), np.float64(get32(record, get32(row, 1))))
    for at in range(get32(start, 1), get32(start, 2)):  # total
        row = rows + _ROW * at
        put_float(out, get32(row, 0), np.float64(get64(record, get32(row, 1))))
    for at in range(get32(start, 2), get32(start, 3)):  # millionths
        row = rows + _ROW * at
        put_float(out, get32(row, 0), np.float64(get64(record, get32(row, 1))) / _MILLION)
    for at in range(get32(start, 3), get32(start, 4)):  # quotient of two counts
        row = rows + _ROW * at
        put_float(out, get32(row, 0), _divide(get32(record, get32(row, 1)), get32(record, get32(row, 2))))
    for at in range(get32(start, 4), get32(start, 5)):  # mean
        row = rows + _ROW * at
        put_float(out, get32(row, 0), _divide(get64(record, get32(row, 1)), get32(record, get32(row, 2))))
    for at in range(get32(start, 5), get32(start, 6)):  # ratio to the mean
        row = rows + _ROW * at
        total, value = get64(record, get32(row, 1)), np.nan
        if total != 0:
            value = np.float64(amount) / _divide(total, get32(record, get32(row, 2)))
        put_float(out, get32(row, 0), value)
    for at in range(get32(start, 6), get32(start, 7)):  # drift
        row = rows + _ROW * at
        n, long_total, value = get32(record, get32(row, 2)), get64(record, get32(row, 3)), np.nan
        if n != 0 and long_total != 0:
            value = _divide(get64(record, get32(row, 1)), n) / _divide(long_total, get32(record, get32(row, 4)))
        put_float(out, get32(row, 0), value)
    for at in range(get32(start, 9), get32(start, 10)):  # burst
        row = rows + _ROW * at
        usual = np.float64(get32(record, get32(row, 2))) / np.float64(get32(row, 5))
        put_float(out, get32(row, 0), (np.float64(get32(record, get32(row, 1))) + 1.0) / (usual + 1.0))
    for at in range(get32(start, 10), get32(start, 11)):  # sameness
        row = rows + _ROW * at
        n_distinct, n_known = get32(record, get32(row, 1)), get32(record, get32(row, 2))
        value = 1.0 - _divide(n_distinct - 1, n_known - 1) if n_known > 1 else np.nan
        put_float(out, get32(row, 0), value)
    for at in range(get32(start, 11), get32(start, 12)):  # lift
        row = rows + _ROW * at
        expected = np.float64(get64(record, get32(row, 2))) / _MILLION
        put_float(out, get32(row, 0), (np.float64(get32(record, get32(row, 1))) + 1.0) / (expected + 1.0))
    _write_clocks(slot, now, plan, out)
