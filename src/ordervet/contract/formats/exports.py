"""One export becomes contract events: its rows are merged, checked, and all accounted for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.failures import FAILURE_SCHEMA, Fault, build_failures, first_per_field, keep_rows
from ordervet.contract.files.pieces import EventRows, FilePiece, name_failures
from ordervet.contract.files.whole_orders import close_orders, find_ends
from ordervet.contract.formats.export_rows import HAPPENED_AT, ORDER_ID, ORDER_NAMES, RowReader
from ordervet.contract.formats.lines import (
    close_lines,
    code_rows,
    count_before,
    find_repeated_lines,
    group_rows,
    merge_lines,
)
from ordervet.contract.instants import to_mask
from ordervet.contract.model import OutcomeKind
from ordervet.contract.schemas import INSTANT, event_schema, table_fields
from ordervet.contract.tables import complete_rows
from ordervet.contract.values import load_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ordervet.contract.fields import ContractField
    from ordervet.contract.files.row_source import RowSource
    from ordervet.contract.formats.definition import Format
    from ordervet.contract.formats.export_rows import ExportRows
    from ordervet.contract.formats.lines import Groups
    from ordervet.contract.instants import Mask, Micros


_DAY = pa.scalar(timedelta(days=1), pa.duration("us"))


@dataclass(frozen=True)
class _Finished:
    """Tables, faults and merged rows, all by row of the rows that were finished."""

    main: EventRows
    derived: EventRows | None
    faults: list[Fault]
    merged_rows: Micros


def iter_exports(
    source: RowSource, fmt: Format, time_zone: str | None = None, currency: str | None = None
) -> Iterator[FilePiece]:
    """Read a file of a format, a long one piece by piece in bounded memory; all rows of an order are in one piece.

    A long file is read twice: first its order ids, to know where each order ends, then everything.

    Parameters
    ----------
    source : the rows of the file
    fmt : its format
    time_zone : where times without an offset are read, instead of the format's
    currency : of orders that name none, instead of the format's

    Raises
    ------
    FileError
        The file is damaged as a whole, or changed while it was read.
    """
    reader = RowReader(
        source, fmt, load_zone(time_zone or fmt.time_zone), fmt.currency if currency is None else currency
    )
    ends = find_ends(reader.iter_order_ids()) if source.is_long else None
    if ends is None or not ends.lengths:
        rows = reader.read_all()
        yield _finish(rows, reader, source, source.broken_rows)
        return
    pieces = close_orders(reader.iter_rows(), ends, lambda rows: rows.table["order_id"], source.path)
    for rows, is_last in pieces:
        yield _finish(rows, reader, source, source.broken_rows if is_last else {})


def _finish(rows: ExportRows, reader: RowReader, source: RowSource, broken_rows: Mapping[int, int]) -> FilePiece:
    finish = {"orders": _finish_orders, "outcomes": _finish_outcomes, "verdicts": _finish_verdicts}
    finished = finish[reader.format.kind](rows, reader)
    failures = build_failures(finished.faults, rows.table["order_id"])
    file_rows = source.file_rows(rows.rows)
    numbered = _add_broken_rows(failures, file_rows, broken_rows)
    named = name_failures(numbered, source.name_places(numbered["row"].to_numpy()))
    skipped = source.file_rows(reader.take_skipped())
    parts = [replace(finished.main, rows=file_rows[finished.main.rows], failures=named)]
    if finished.derived is not None:
        parts.append(replace(finished.derived, rows=file_rows[finished.derived.rows]))
    return FilePiece(
        source.path.name,
        reader.format.name,
        tuple(parts),
        rows.table.num_rows + len(broken_rows) + len(skipped),
        np.concatenate([file_rows[finished.merged_rows], skipped]),
        reader.tally,
    )


def _add_broken_rows(failures: pa.Table, file_rows: Micros, broken_rows: Mapping[int, int]) -> pa.Table:
    """Count the failures by the rows of the file, and add its rows of another length."""
    numbered = failures.set_column(0, "row", pa.array(file_rows[failures["row"].to_numpy()], pa.int64()))
    broken = [
        {"row": row, "field": ORDER_ID.name, "rule": "columns", "observed": f"{n} values"}
        for row, n in sorted(broken_rows.items())
    ]
    return pa.concat_tables([numbered, pa.Table.from_pylist(broken, schema=FAILURE_SCHEMA)]).sort_by("row")


def _finish_orders(rows: ExportRows, reader: RowReader) -> _Finished:
    """Merge the rows of each order; an order with a broken row is left out with all its rows."""
    order_ids = rows.table["order_id"].combine_chunks()
    faults = [*rows.faults, *_missing_ids(order_ids, rows.faults)]
    with_id = np.flatnonzero(to_mask(order_ids.is_valid()))
    groups = group_rows(_take(order_ids, with_id))
    is_repeated = find_repeated_lines(groups, _take(rows.line_ids, with_id))
    lines = with_id[~is_repeated]
    orders, heads = _merge_orders(rows, reader, lines, groups.without(is_repeated))
    orders, order_faults = complete_rows(orders, reader.fields)
    is_broken = _rows_with([fault for fault in faults if fault.field is not HAPPENED_AT], len(order_ids))
    is_good = np.ones(len(heads), bool)
    is_good[groups.codes[is_broken[with_id] & ~is_repeated]] = False
    order_faults = [keep_rows(fault, is_good[fault.rows]) for fault in order_faults]
    is_good &= ~_rows_with(order_faults, len(heads))
    of_heads = [Fault(fault.field, fault.rule, heads[fault.rows], fault.observed) for fault in order_faults]
    is_broken |= _rows_with(of_heads, len(order_ids))
    faults += of_heads
    is_good_row = np.zeros(len(order_ids), bool)
    is_good_row[with_id] = is_good[groups.codes]
    siblings = lines[~is_good_row[lines] & ~is_broken[lines]]
    faults += _fault(ORDER_ID, "whole_order", siblings, "a row of an order with a broken one")
    schema = event_schema("orders", orders.column_names)
    main = EventRows("orders", _take(orders.select(schema.names), np.flatnonzero(is_good)), heads[is_good])
    outcomes = rows.outcomes if groups.is_single else _close_lines(rows, reader, with_id, groups, is_repeated)
    numbers = np.full(len(order_ids), -1)
    numbers[with_id] = groups.codes
    derived, more = _finish_derived(outcomes, is_good_row, has_lines=not groups.is_single)
    derived = replace(derived, table=_name_orders(derived.table, orders, numbers[derived.rows]))
    repeated = with_id[is_repeated]
    is_merged = is_good_row
    is_merged[heads] = False
    is_merged[repeated] = True
    return _Finished(main, derived, [*_without(faults, repeated), *more], np.flatnonzero(is_merged))


def _merge_orders(rows: ExportRows, reader: RowReader, lines: Micros, groups: Groups) -> tuple[pa.Table, Micros]:
    """Make one row of the lines of each order, and say which line comes first."""
    merges = {plan.field.name: plan.merge for plan in reader.plans}
    table, line_amounts, line_ids = (_take(each, lines) for each in (rows.table, rows.line_amounts, rows.line_ids))
    merged = merge_lines(table, groups, merges, line_amounts, line_ids)
    n_lines = pc.max_element_wise(merged["n_lines"], pa.array(groups.counts, pa.int64()))
    merged = merged.set_column(merged.column_names.index("n_lines"), "n_lines", n_lines)
    for name in (plan.field.name for plan in reader.plans if plan.source.is_of_one_line):
        are_several = pc.greater(n_lines, pa.array(groups.counts, pa.int64()))
        merged = merged.set_column(
            merged.column_names.index(name), name, pc.if_else(are_several, None, merged[name].combine_chunks())
        )
    return merged, lines[groups.first]


def _close_lines(rows: ExportRows, reader: RowReader, with_id: Micros, groups: Groups, is_repeated: Mask) -> pa.Table:
    """Make outcomes of orders of the states of their lines, where lines have states of their own."""
    outcomes = rows.outcomes
    n_rows = rows.table.num_rows
    if not reader.format.lines.have_states or rows.line_ids.null_count == n_rows or not outcomes.num_rows:
        return outcomes
    orders, lines = np.full(n_rows, -1), rows.line_ids.combine_chunks().dictionary_encode().indices
    orders[with_id] = groups.codes
    lines = lines.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    n_lines = np.bincount(groups.codes[~is_repeated], minlength=len(groups.first))
    at = outcomes["row"].to_numpy()
    of_lines = np.flatnonzero((lines[at] >= 0) & (orders[at] >= 0) & (n_lines[orders[at]] > 1))
    some = outcomes.take(pa.array(of_lines))
    times = some["happened_at"].cast(pa.int64()).to_numpy()
    closings = close_lines(orders[at[of_lines]], lines[at[of_lines]], some["kind"].to_pylist(), times, n_lines)
    reader.tally.undated["cancelled_unpaid"] += len(closings.unsaid)
    others = np.setdiff1d(np.arange(outcomes.num_rows), of_lines)
    in_order = np.argsort(np.concatenate([others, of_lines[closings.rows]]))
    kept = some.take(pa.array(closings.rows))
    is_refund = pa.array(np.isin(closings.rows, closings.refunds))
    paid = rows.table["amount_minor"].take(kept["row"]) if _are_amounts_of_lines(reader) else None
    columns = {
        "kind": pc.if_else(is_refund, str(OutcomeKind.REFUND_COMPLETED), kept["kind"]),
        "amount_minor": kept["amount_minor"] if paid is None else pc.if_else(is_refund, paid, kept["amount_minor"]),
        "line_id": pc.if_else(is_refund, rows.line_ids.take(kept["row"]), None),
        # A message or a report of the refund itself knows its date.
        "is_inferred": pc.or_kleene(is_refund, kept["is_inferred"]),
    }
    for name, column in columns.items():
        kept = kept.set_column(kept.column_names.index(name), name, column)
    return pa.concat_tables([outcomes.take(pa.array(others)), kept]).take(pa.array(in_order))


def _are_amounts_of_lines(reader: RowReader) -> bool:
    return any(plan.field.name == "amount_minor" and plan.merge in {"sum", "same_or_sum"} for plan in reader.plans)


def _finish_derived(outcomes: pa.Table, is_good_row: Mask, *, has_lines: bool) -> tuple[EventRows, list[Fault]]:
    """Keep the outcomes of good orders; what several lines of an order report counts once."""
    good = _take(outcomes, np.flatnonzero(is_good_row[outcomes["row"].to_numpy()]))
    if has_lines:
        same = ("order_id", "kind", "happened_at", "outcome_id", "line_id")
        keys = code_rows([good[name] for name in same])
        keys = np.column_stack([keys, count_before(np.column_stack([keys, good["row"].to_numpy()]))])
        good = _take(good, np.sort(np.unique(keys, axis=0, return_index=True)[1]))
    return _check_outcomes(good)


def _name_orders(outcomes: pa.Table, orders: pa.Table, numbers: Micros) -> pa.Table:
    """Fill in the shop and the platform's own id of the orders that outcomes come from.

    Parameters
    ----------
    outcomes, orders : of one file
    numbers : shape (n_outcomes,), of the order of each
    """
    places = pa.array(numbers)
    for name in ORDER_NAMES:
        named = pc.coalesce(outcomes[name], orders[name].take(places))
        outcomes = outcomes.set_column(outcomes.column_names.index(name), name, named)
    return outcomes


def _check_outcomes(outcomes: pa.Table) -> tuple[EventRows, list[Fault]]:
    table, found = complete_rows(outcomes, table_fields("outcomes"))
    rows = outcomes["row"].to_numpy()
    good = np.flatnonzero(~_rows_with(found, len(rows)))
    faults = [Fault(fault.field, fault.rule, rows[fault.rows], fault.observed) for fault in found]
    return EventRows("outcomes", _take(table, good), rows[good]), faults


def _finish_outcomes(rows: ExportRows, reader: RowReader) -> _Finished:
    """Keep the outcomes of the rows, except those that an earlier row of the same refund has reported."""
    del reader
    n_rows = rows.table.num_rows
    is_broken = _rows_with([fault for fault in rows.faults if fault.field is not HAPPENED_AT], n_rows)
    reported = _take(rows.outcomes, np.flatnonzero(~is_broken[rows.outcomes["row"].to_numpy()]))
    line_ids = _take(rows.line_ids, reported["row"].to_numpy())
    keys = code_rows([line_ids, *(reported[name] for name in reported.column_names if name != "row")])
    is_later = np.ones(len(keys), bool)
    is_later[np.unique(keys, return_index=True)[1]] = False
    is_later &= to_mask(line_ids.is_valid())
    main, faults = _check_outcomes(_take(reported, np.flatnonzero(~is_later)))
    has_no_outcome = ~_rows_with(rows.faults, n_rows)
    has_no_outcome[reported["row"].to_numpy()] = False
    faults += _fault(HAPPENED_AT, "no_outcome", np.flatnonzero(has_no_outcome), None)
    is_merged = np.zeros(n_rows, bool)
    is_merged[reported["row"].to_numpy()[is_later]] = True
    is_merged[main.rows] = False
    merged_rows = np.flatnonzero(is_merged & ~_rows_with([*rows.faults, *faults], n_rows))
    return _Finished(main, None, [*rows.faults, *first_per_field(faults)], merged_rows)


def _finish_verdicts(rows: ExportRows, reader: RowReader) -> _Finished:
    """Keep the rows without a fault; those that nobody has filled in are passed over, and today ends now."""
    del reader
    rows = replace(rows, table=end_today(rows.table))
    n_rows = rows.table.num_rows
    is_blank = np.ones(n_rows, bool)
    for name in ("verdict", "decided_at"):
        is_blank &= _rows_with([f for f in rows.faults if f.field.name == name and f.rule == "required"], n_rows)
    blank = np.flatnonzero(is_blank)
    faults = _without(rows.faults, blank)
    good = np.flatnonzero(~_rows_with(faults, n_rows) & ~is_blank)
    return _Finished(EventRows("verdicts", _take(rows.table, good), good), None, faults, blank)


def end_today(verdicts: pa.Table) -> pa.Table:
    """Bring the end of a day that is not over yet back to now."""
    now = pa.scalar(datetime.now(UTC), INSTANT)
    for name in ("decided_at", "seen_at"):
        at = verdicts.schema.get_field_index(name)
        is_today = pc.and_(pc.greater(verdicts[name], now), pc.less(verdicts[name], pc.add(now, _DAY)))
        verdicts = verdicts.set_column(at, verdicts.schema.field(at), pc.if_else(is_today, now, verdicts[name]))
    return verdicts


def _missing_ids(order_ids: pa.Array, faults: Sequence[Fault]) -> list[Fault]:
    """Find the rows that have no order id, unless it is known already what is wrong with it."""
    is_known = _rows_with([fault for fault in faults if fault.field is ORDER_ID], len(order_ids))
    return _fault(ORDER_ID, "required", np.flatnonzero(to_mask(order_ids.is_null()) & ~is_known), None)


def _fault(field: ContractField, rule: str, rows: Micros, observed: str | None) -> list[Fault]:
    return [Fault(field, rule, rows, pa.array([observed] * len(rows), pa.string()))] if len(rows) else []


def _rows_with(faults: Sequence[Fault], n_rows: int) -> Mask:
    """Shape (n_rows,): the row has a fault."""
    has_fault = np.zeros(n_rows, bool)
    for fault in faults:
        has_fault[fault.rows] = True
    return has_fault


def _without(faults: Sequence[Fault], rows: Micros) -> list[Fault]:
    """Leave out the faults of some rows."""
    return [keep_rows(fault, ~np.isin(fault.rows, rows)) for fault in faults] if len(rows) else list(faults)


def _take(column: Any, rows: Micros) -> Any:
    """Take ascending rows; all of them cost nothing."""
    return column if len(rows) == len(column) else column.take(pa.array(rows))
