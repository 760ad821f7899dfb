"""Several rows of one order become the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.formats.definition import ADDED
from ordervet.contract.instants import to_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordervet.contract.formats.definition import Merge
    from ordervet.contract.instants import Mask, Micros

_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Groups:
    """Which rows belong to which order.

    Parameters
    ----------
    codes : shape (n_rows,), the number of each row's order, by first appearance
    first : shape (n_orders,), the first row of each order
    counts : shape (n_orders,), rows
    """

    codes: Micros
    first: Micros
    counts: Micros

    @property
    def is_single(self) -> bool:
        """Whether every order has one row."""
        return len(self.first) == len(self.codes)

    def without(self, is_left_out: Mask) -> Groups:
        """Leave out rows, none of them the first of its order."""
        return _group_codes(self.codes[~is_left_out]) if is_left_out.any() else self


def group_rows(order_ids: pa.ChunkedArray | pa.Array) -> Groups:
    """Group rows by their order.

    Parameters
    ----------
    order_ids : shape (n_rows,), strings, without nulls
    """
    flat = order_ids.combine_chunks() if isinstance(order_ids, pa.ChunkedArray) else order_ids
    return _group_codes(np.asarray(flat.dictionary_encode().indices, np.int64))


def _group_codes(codes: Micros) -> Groups:
    n_orders = int(codes.max(initial=-1)) + 1
    if n_orders == len(codes):
        return Groups(codes, codes, np.ones(n_orders, np.int64))
    first = np.full(n_orders, _NONE)
    np.minimum.at(first, codes, np.arange(len(codes)))
    return Groups(codes, first, np.bincount(codes, minlength=n_orders))


def code_rows(columns: Sequence[pa.ChunkedArray]) -> Micros:
    """Assign numbers to rows so that two rows share a number if they agree in every column; null equals null."""
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        own = np.asarray(encoded.indices, np.int64)
        _, codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_inverse=True)
    return codes


def count_before(keys: Micros) -> Micros:
    """Count, for each row, the earlier rows with the same keys.

    Parameters
    ----------
    keys : shape (n, k)
    """
    codes = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    before = np.empty(len(codes), np.int64)
    before[order] = np.arange(len(codes)) - starts
    return before


def merge_lines(
    table: pa.Table,
    groups: Groups,
    merges: Mapping[str, Merge],
    line_amounts: pa.ChunkedArray,
    line_ids: pa.ChunkedArray,
) -> pa.Table:
    """Make one row of the rows of each order.

    Parameters
    ----------
    table : shape (n_rows, n_fields), canonical columns, null where a row says nothing
    groups : of its rows
    merges : field → how its values go together; "first" where a field is not named
    line_amounts : shape (n_rows,), minor units, by which the dearest line is found; null where not known
    line_ids : shape (n_rows,), null where not known

    Returns
    -------
    shape (n_orders, n_fields), in the order of first appearance
    """
    if groups.is_single:
        return table
    dearest = _find_dearest(groups, line_amounts)
    are_none = np.zeros(len(groups.first), bool)
    are_unnamed = are_none.copy()
    are_unnamed[groups.codes[to_mask(line_ids.is_null())]] = True
    columns = []
    for field in table.schema:
        column = table[field.name].combine_chunks()
        how = merges.get(field.name, "first")
        if how in ADDED:
            is_once = {"sum": are_none, "same_or_sum": are_unnamed, "total": ~are_none}[how]
            columns.append(_add(column, groups, is_once, is_quantity=field.name == "quantity"))
            continue
        first = column.take(_first_given(groups, column))
        columns.append(pc.coalesce(column.take(pa.array(dearest)), first) if how == "dearest" else first)
    return pa.table(columns, schema=table.schema)


def find_repeated_lines(groups: Groups, line_ids: pa.ChunkedArray) -> Mask:
    """Shape (n_rows,): an earlier row of the order has the same line id; a line without one repeats nothing."""
    if groups.is_single or line_ids.null_count == len(line_ids):
        return np.zeros(len(line_ids), bool)
    encoded = line_ids.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.flatnonzero(codes >= 0)
    together = groups.codes[rows] * (int(codes.max(initial=0)) + 1) + codes[rows]
    is_repeated = np.zeros(len(codes), bool)
    is_repeated[rows] = True
    is_repeated[rows[np.unique(together, return_index=True)[1]]] = False
    return is_repeated


def _first_given(groups: Groups, column: pa.Array) -> pa.Array:
    """Return, per order, the first row with a value; null where no row has one."""
    rows = np.flatnonzero(to_mask(column.is_valid()))
    first = np.full(len(groups.first), _NONE)
    np.minimum.at(first, groups.codes[rows], rows)
    return pa.array(np.where(first == _NONE, 0, first), mask=first == _NONE)


def _find_dearest(groups: Groups, line_amounts: pa.ChunkedArray) -> Micros:
    """Return, per order, the row of the largest amount; of several the first, and the first row without amounts."""
    amounts = line_amounts.fill_null(-1).to_numpy()
    order = np.lexsort((np.arange(len(amounts)), -amounts, groups.codes))
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups.codes, minlength=len(groups.first)))[:-1]])
    return order[starts.astype(np.int64)]


def _add(column: pa.Array, groups: Groups, is_once: Mask, *, is_quantity: bool) -> pa.Array:
    """Add the given values of each order; where all are the same and `is_once`, that value is the order's.

    A quantity that is smaller than the number of rows cannot be the order's, so it is added up.
    """
    is_given = to_mask(column.is_valid())
    rows = np.flatnonzero(is_given)
    codes, values = groups.codes[rows], column.fill_null(0).to_numpy(zero_copy_only=False)[rows]
    n_orders = len(groups.first)
    total = np.zeros(n_orders, np.int64)
    np.add.at(total, codes, values)
    n_given = np.bincount(codes, minlength=n_orders)
    if is_once.any():
        low, high = np.full(n_orders, _NONE), np.full(n_orders, -_NONE)
        np.minimum.at(low, codes, values)
        np.maximum.at(high, codes, values)
        is_of_order = is_once & (low == high)
        if is_quantity:
            is_of_order &= low >= n_given
        total = np.where(is_of_order, low, total)
    return pa.array(total, mask=n_given == 0)


@dataclass(frozen=True)
class Closings:
    """What the states of lines are for their order.

    Parameters
    ----------
    rows : ascending rows of the outcomes that are kept
    refunds : those of them that are the refund of a part, not the cancellation of the order
    unsaid : those left out that say nothing of the order
    """

    rows: Micros
    refunds: Micros
    unsaid: Micros


def close_lines(orders: Micros, lines: Micros, kinds: Sequence[str], times: Micros, n_lines: Micros) -> Closings:
    """Decide what became of orders whose lines were closed or fulfilled one by one.

    An order is cancelled once all of its lines are, and fulfilled once all others are; a paid line that is closed
    before is a refund of its part.

    Parameters
    ----------
    orders, lines : shape (n,), codes of the order and line of each outcome
    kinds : of each outcome
    times : shape (n,), when it happened
    n_lines : shape (n_orders,), lines of each order
    """
    named = np.array(kinds, object)
    is_done, is_paid, is_unpaid = (named == kind for kind in ("fulfilled", "cancelled_paid", "cancelled_unpaid"))
    is_closed = is_paid | is_unpaid
    n_done = _count_lines(orders[is_done], lines[is_done], len(n_lines))
    n_closed = _count_lines(orders[is_closed], lines[is_closed], len(n_lines))
    are_all_closed = (n_closed >= n_lines)[orders]
    are_others_done = (n_done + n_closed >= n_lines)[orders]
    is_kept = ~is_done & ~is_closed
    is_kept[_last_of_each(orders, times, is_done & are_others_done & ~are_all_closed)] = True
    paid_orders = np.unique(orders[is_paid])
    is_of_paid = np.isin(orders, paid_orders)
    is_kept[_last_of_each(orders, times, are_all_closed & np.where(is_of_paid, is_paid, is_unpaid))] = True
    is_refund = is_paid & ~are_all_closed
    is_unsaid = is_unpaid & ~are_all_closed
    return Closings(np.flatnonzero(is_kept | is_refund), np.flatnonzero(is_refund), np.flatnonzero(is_unsaid))


def _count_lines(orders: Micros, lines: Micros, n_orders: int) -> Micros:
    """Count the different lines of each order."""
    pairs = np.unique(np.column_stack([orders, lines]), axis=0)
    return np.bincount(pairs[:, 0], minlength=n_orders)


def _last_of_each(orders: Micros, times: Micros, is_chosen: Mask) -> Micros:
    """Return the latest of the chosen rows of each order, of equal ones the first."""
    rows = np.flatnonzero(is_chosen)
    rows = rows[np.lexsort((-rows, times[rows], orders[rows]))]
    is_last = np.ones(len(rows), bool)
    is_last[:-1] = orders[rows][1:] != orders[rows][:-1]
    return rows[is_last]
