"""Whole tables under the rules of the models: one function raises, one splits good rows from failures.

Nothing is decided here that `model.py` does not say: each column is read by `columns.py` and held against the facts
that `fields.py` reads off the model.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import PydanticCustomError

from ordervet import _core
from ordervet.contract.columns import find_currencies, read_column, read_money, take_canonical, view_rows
from ordervet.contract.failures import Fault, build_failures, failures_error, observe, show_names
from ordervet.contract.instants import to_mask
from ordervet.contract.model import MAX_EXTRAS, check_entity_name, check_extra_name
from ordervet.contract.schemas import arrow_field, event_schema, extra_prefix, table_fields
from ordervet.contract.tabular import to_arrow
from ordervet.contract.values import DEFAULT_TIME_ZONE, load_zone
from ordervet.currencies import PER_DOLLAR
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from ordervet.contract.columns import ReadColumn
    from ordervet.contract.fields import ContractField
    from ordervet.contract.instants import Mask, Micros
    from ordervet.contract.schemas import EventKind

CURRENCY = "currency"
_MINUTE_US = 60_000_000
_MAX_NAMED = 20  # unknown columns
_ROWS_AT_ONCE = 2**18  # SPEED: keeps the columns of a step in the processor's cache


def validate_orders(data: object, *, time_zone: str = DEFAULT_TIME_ZONE) -> pa.Table:
    """Return orders in the canonical schema, or raise one error that sums up everything wrong with them.

    Parameters and errors are those of `validate_events`.
    """
    return validate_events("orders", data, time_zone=time_zone)


def split_orders(data: object, *, time_zone: str = DEFAULT_TIME_ZONE) -> tuple[pa.Table, pa.Table]:
    """Split orders into good rows and failures.

    Parameters, results and errors are those of `split_events`.
    """
    return split_events("orders", data, time_zone=time_zone)


def validate_events(
    kind: EventKind,
    data: object,
    *,
    time_zone: str = DEFAULT_TIME_ZONE,
    in_major: Collection[str] = (),
    where: str = "the table",
    keeps_codes: bool = False,
) -> pa.Table:
    """Return events of one kind in the canonical schema, or raise one error that sums up everything wrong with them.

    Parameters
    ----------
    kind, data, time_zone, in_major, keeps_codes : as for `split_events`
    where : what the message calls the table, such as a file's name

    Returns
    -------
    shape (n_rows, n_fields), canonical schema

    Raises
    ------
    ContractError
        A row breaks a rule, or a column is unknown or missing. The message carries order ids, nothing personal.
    """
    table = to_arrow(data)
    good, failures = split_events(
        kind, table, time_zone=time_zone, in_major=in_major, where=where, keeps_codes=keeps_codes
    )
    if failures.num_rows:
        fields = table_fields(kind, table.column_names)
        hint = f'good, failures = split_events("{kind}", data) keeps the good rows and lists the others'
        raise failures_error(failures, fields, n_rows=table.num_rows, things=kind, where=where, hint=hint)
    return good


def split_events(
    kind: EventKind,
    data: object,
    *,
    time_zone: str = DEFAULT_TIME_ZONE,
    in_major: Collection[str] = (),
    where: str = "the table",
    keeps_codes: bool = False,
    currency: str | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Split events of one kind into good rows and failures.

    Parameters
    ----------
    kind : "orders", "outcomes", "verdicts" or "corrections"
    data : whatever `to_arrow` takes
    time_zone : where times without an offset are read
    in_major : money columns that are written in major units (元), with at most two decimals
    where : what a message calls the table
    keeps_codes : whether columns of texts that are dictionary-encoded may stay so in the good rows
    currency : of orders that name none, in place of CNY

    Returns
    -------
    good : shape (n_good, n_fields), canonical schema, rows in their order
    failures : shape (n_failures, 5): row (from 0), order_id, field, rule, observed; one per row and field, of the first
        rule that it breaks

    Raises
    ------
    ContractError
        The data is not tabular, or a column is unknown or missing.
    """
    table = to_arrow(data)
    if table.num_columns:  # an empty list of rows has no columns, and nothing to complain about
        check_columns(kind, table.column_names, where=where)
    fields = name_currency(table_fields(kind, table.column_names), currency)
    zone = load_zone(time_zone)
    batches, faults, first_row = [], [], 0
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns, found = read_batch(batch, fields, zone, in_major, keeps_codes=keeps_codes)
        batches.append(columns)
        faults += [replace(fault, rows=fault.rows + first_row) for fault in found]
        first_row += batch.num_rows
    read = _join(batches, event_schema(kind, table.column_names))
    if kind == "orders":
        faults += _find_duplicates(read, fields[0])
    is_good = np.ones(read.num_rows, bool)
    for fault in faults:
        is_good[fault.rows] = False
    return read if is_good.all() else read.filter(pa.array(is_good)), build_failures(faults, read["order_id"])


def _join(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Concatenate batches; texts stay encoded where they are in every batch."""
    schemas = {batch.schema for batch in batches}
    if len(schemas) == 1:
        return pa.Table.from_batches(batches)
    tables = [pa.Table.from_batches([batch]).cast(schema) for batch in batches]
    return pa.concat_tables([schema.empty_table(), *tables])


def check_columns(kind: EventKind, names: Sequence[str], *, where: str = "the table") -> None:
    """Check that a table has every required column and no unknown one.

    Raises
    ------
    ContractError
        All that is wrong with the columns, with near misses.
    """
    fields = table_fields(kind, names)
    known, given = {field.name for field in fields}, set(names)
    missing = [f" - '{field.name}': missing" for field in fields if field.is_required and field.name not in given]
    strange, shown = [name for name in names if name not in known], show_names(names)
    unknown = [f" - '{shown[name]}': unknown{_near_miss(name, known - given)}" for name in strange[:_MAX_NAMED]]
    misnamed = [
        f" - '{shown[name]}': {problem}" for name in names if name in known and (problem := _extra_problem(name, names))
    ]
    n_extras = Counter(prefix for name in names if (prefix := extra_prefix(name)))
    too_many = [
        f" - '{prefix}…': {n:,} columns, expected at most {MAX_EXTRAS}"
        for prefix, n in n_extras.items()
        if n > MAX_EXTRAS
    ]
    problems = [*missing, *unknown, *misnamed, *too_many]
    if problems:
        columns = "column does" if len(problems) == 1 else "columns do"
        n_problems = len(problems) + len(strange) - len(unknown)
        more = [f" - and {n_problems - len(problems):,} more columns"] if n_problems > len(problems) else []
        raise ContractError(
            "\n".join([f"{n_problems} {columns} not fit {kind} in {where}", *problems, *more]),
            hint="rename or drop the columns, or say in a mapping file which column is what",
        )


def _near_miss(name: str, candidates: Collection[str]) -> str:
    near = difflib.get_close_matches(name.lower(), sorted(candidates), n=1, cutoff=0.7)
    return f"; did you mean '{near[0]}'?" if near else ""


def _extra_problem(name: str, names: Sequence[str]) -> str:
    """Describe what is wrong with the name of an extra column; "" if nothing is, or if it is no extra column."""
    prefix = extra_prefix(name)
    bare = name.removeprefix(prefix)
    try:
        if prefix:
            (check_extra_name if prefix == "number__" else check_entity_name)(bare)
    except PydanticCustomError as error:
        return error.message()
    is_twice = prefix == "category__" and f"entity__{bare}" in names
    return "is an extra entity too; give one of them another name" if is_twice else ""


def read_batch(
    batch: pa.RecordBatch,
    fields: Sequence[ContractField],
    zone: ZoneInfo,
    in_major: Collection[str] = (),
    *,
    is_partial: bool = False,
    keeps_codes: bool = False,
) -> tuple[pa.RecordBatch, list[Fault]]:
    """Read every field of a batch by its rules.

    Parameters
    ----------
    batch : shape (n_rows, n_columns), contract columns, values as given; a field without a column is missing
    fields : of the table
    zone : where times without an offset are read
    in_major : money columns that are written in major units
    is_partial : whether other rows may hold what is missing in one; then nothing is required or filled in
    keeps_codes : whether texts that are dictionary-encoded may stay so

    Returns
    -------
    canonical columns, null where a value is missing or broken; the faults, rows counted from the batch's first
    """
    columns: dict[str, pa.Array] = {}
    faults: list[Fault] = []
    currencies = _find_currencies_of(batch, fields) if in_major else None
    for field in fields:
        arrow_type = arrow_field(field).type
        raw = batch.column(field.name) if field.name in batch.schema.names else None
        is_plain = raw is not None and not is_partial and field.name not in in_major
        if is_plain and (canonical := take_canonical(raw, field, columns)) is not None:
            is_coded = pa.types.is_dictionary(canonical.type)
            values = canonical.cast(arrow_type) if is_coded and (not keeps_codes or field.default) else canonical
        elif raw is not None:
            is_major = field.name in in_major
            read = read_money(raw, currencies, zone) if is_major else read_column(raw, field.kind, zone)
            if field.is_upper:
                read = replace(read, values=pc.ascii_upper(read.values))
            is_broken = np.zeros(batch.num_rows, bool)
            for rule, breaks_rule in _broken_rules(read, field, columns, is_partial=is_partial):
                is_new = breaks_rule & ~is_broken
                if is_new.any():
                    faults.append(_fault(field, rule, np.flatnonzero(is_new), raw))
                    is_broken |= is_new
            values = pc.if_else(pa.array(is_broken), None, read.values) if is_broken.any() else read.values
        else:
            values = pa.nulls(batch.num_rows, arrow_type)
        columns[field.name] = values if is_partial else _fill_default(values, field, columns)
    return pa.record_batch(list(columns.values()), names=list(columns)), faults


def _find_currencies_of(batch: pa.RecordBatch, fields: Sequence[ContractField]) -> pa.Array | None:
    field = next((each for each in fields if each.name == CURRENCY), None)
    is_given = CURRENCY in batch.schema.names
    codes = batch.column(CURRENCY) if is_given else pa.nulls(batch.num_rows, pa.string())
    return None if field is None else find_currencies(codes, field.default)


def name_currency(fields: Sequence[ContractField], currency: str | None) -> tuple[ContractField, ...]:
    """Let the orders that name no currency have this one; None leaves the fields as they are.

    Raises
    ------
    ContractError
        It is none.
    """
    if currency is None:
        return tuple(fields)
    if currency not in PER_DOLLAR:
        raise ContractError(f"there is no currency '{currency[:20]}'", hint="--currency EUR")
    return tuple(replace(each, default=currency) if each.name == CURRENCY else each for each in fields)


def complete_rows(table: pa.Table, fields: Sequence[ContractField]) -> tuple[pa.Table, list[Fault]]:
    """Check and fill in what `read_batch` leaves open in partial rows, once they are put together.

    Parameters
    ----------
    table : shape (n_rows, n_fields), canonical columns
    fields : of the table

    Returns
    -------
    the table with its defaults; what is missing, or out of bounds by addition
    """
    columns: dict[str, pa.ChunkedArray] = {}
    faults: list[Fault] = []
    for field in fields:
        values = table[field.name]
        is_open = np.ones(len(values), bool)
        for rule, breaks_rule in _rules_of_completeness(values, field):
            rows = np.flatnonzero(breaks_rule & is_open)
            if len(rows):
                faults.append(Fault(field, rule, rows, values.take(pa.array(rows)).combine_chunks().cast(pa.string())))
                is_open[rows] = False
        columns[field.name] = _fill_default(values, field, columns)
    return pa.table(columns), faults


def _rules_of_completeness(values: pa.ChunkedArray, field: ContractField) -> Iterator[tuple[str, Mask]]:
    if field.is_required and values.null_count:
        yield "required", to_mask(values.is_null())
    if field.minimum is not None and (pc.min(values).as_py() or 0) < field.minimum:
        yield "minimum", to_mask(pc.less(values, field.minimum))
    if field.maximum is not None and (pc.max(values).as_py() or 0) > field.maximum:
        yield "maximum", to_mask(pc.greater(values, field.maximum))


def _broken_rules(
    read: ReadColumn, field: ContractField, before: dict[str, pa.Array], *, is_partial: bool
) -> Iterator[tuple[str, Mask]]:
    """Yield each rule of a field with the rows that break it, in the order in which the model looks at them.

    Parameters
    ----------
    read : the field's column
    before : the columns read before, null where they are missing or broken
    is_partial : whether a missing value breaks no rule
    """
    values = read.values
    if field.is_required and not is_partial:
        yield "required", ~read.is_given
    yield ("instant" if field.kind == "instant" else "type"), read.is_unreadable
    if field.minimum is not None:
        yield "minimum", to_mask(pc.less(values, field.minimum))
    if field.maximum is not None:
        yield "maximum", to_mask(pc.greater(values, field.maximum))
    if field.max_length is not None and (pc.max(pc.binary_length(values)).as_py() or 0) > field.max_length:
        yield "length", to_mask(pc.greater(pc.utf8_length(values), field.max_length))
    if field.pattern is not None:
        yield "pattern", ~to_mask(pc.match_substring_regex(values, field.pattern)) & read.is_given
    if field.allowed:
        yield "allowed", ~to_mask(pc.is_in(values, pa.array(map(str, field.allowed)))) & read.is_given
    if field.only_with is not None:
        other = before[field.only_with.other]
        is_fitting = pc.is_in(other, pa.array(map(str, field.only_with.values)))
        yield "only_with", read.is_given & to_mask(other.is_valid()) & ~to_mask(is_fitting)
    if field.not_before is not None:
        yield "not_before", to_mask(pc.less(values, before[field.not_before.other]))


def _fault(field: ContractField, rule: str, rows: Micros, raw: pa.Array) -> Fault:
    return Fault(field, rule, rows, observe(raw, rows, is_personal=field.is_personal))


def _fill_default(values: Any, field: ContractField, before: Mapping[str, Any]) -> Any:
    if values.null_count == 0:
        return values
    if field.default is not None:
        return pc.fill_null(values, field.default)
    return values if field.default_from is None else pc.coalesce(values, before[field.default_from])


def code_orders(orders: pa.Table) -> Micros:
    """Assign numbers to orders: two rows share one when their order ids and their shops agree.

    Parameters
    ----------
    orders : shape (n, n_fields), canonical, ids given

    Returns
    -------
    shape (n,); a row that names no shop shares the number of one that does if it was placed in the same minute
    """
    ids, *named = (orders[name].cast(pa.string()) for name in ("order_id", "order_uid", "shop_id"))
    encoded = ids.combine_chunks().dictionary_encode()
    codes = np.asarray(encoded.indices.to_numpy(), np.int64).copy()
    shops = pc.coalesce(*named, "").combine_chunks()
    shop_codes = shops.dictionary_encode().indices.to_numpy()
    pairs = np.unique(np.column_stack([codes, shop_codes]), axis=0)[:, 0]
    several = np.unique(pairs[1:][pairs[1:] == pairs[:-1]])
    rows = np.flatnonzero(np.isin(codes, several))
    minutes = orders["placed_at"].cast(pa.int64()).to_numpy()[rows] // _MINUTE_US
    names = list(zip(codes[rows].tolist(), shops.take(pa.array(rows)).to_pylist(), minutes.tolist(), strict=True))
    numbers: dict[tuple[int, str], int] = {}
    placed: dict[tuple[int, int], int] = {}
    for order, shop, minute in names:
        if shop:
            number = numbers.setdefault((order, shop), len(encoded.dictionary) + len(numbers))
            placed.setdefault((order, minute), number)
    codes[rows] = [
        numbers[order, shop] if shop else placed.get((order, minute), order) for order, shop, minute in names
    ]
    return codes


def _find_duplicates(orders: pa.Table, field: ContractField) -> list[Fault]:
    """Find the rows whose order an earlier row has; a broken id is nobody's duplicate."""
    ids = orders["order_id"].combine_chunks()
    if len(ids) and ids.type == pa.string() and not _core.has_repeats(*view_rows(ids)):
        return []
    given = np.flatnonzero(to_mask(ids.is_valid()))
    if len(ids.dictionary_encode().dictionary) == len(given):  # SPEED: nearly always so, and it saves the sort
        return []
    _, first = np.unique(code_orders(orders.take(pa.array(given))), return_index=True)
    rows = np.delete(given, first)
    return [Fault(field, "unique", rows, pa.array(["an id seen before"] * len(rows)))] if len(rows) else []
