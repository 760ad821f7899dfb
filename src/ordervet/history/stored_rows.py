"""The one table of the store: its rows, how keyed events become rows and come back, and rows as JSON lines.

    event        order, outcome, verdict or correction; decision: what was decided about a live order, or answered to a
                 refund request, and then with the request's own columns
    event_id     keyed identity of the event, see `identity.py`
    id__order    keyed id of the order
    name_id      keyed id of the order id alone, where `id__order` is another: of a further shop's order of that id
    order_id     as given: the id of an order is not personal
    view         0 for the first view of the event, 1 for the one that replaced it, ...; the last one counts
    recorded_at  when this view was ingested
    as_of        the time at which its source said so, if known
    seen_at      since when it is known
    happened_at  when it was placed, happened, was decided or corrected
    ...          every impersonal contract column; `outcome` and `malice` are the kinds of outcomes and verdicts
    id__NAME     keyed id of an entity; Delta has no unsigned integers, so these are the bits of one as int64

A column that does not apply to an event is null. A JSON line, which is what the journal holds, has the columns that
are not null; times are microseconds, ids the same int64 as in the table.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import to_json

from ordervet.contract.values import floor_minute
from ordervet.entities.keyed import ID, KEYED_KINDS, ORDER_ID, KeyedEvents, complete_columns, keyed_schema
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ordervet.contract import EventKind

EVENT_OF: dict[EventKind, str] = {
    "orders": "order",
    "outcomes": "outcome",
    "verdicts": "verdict",
    "corrections": "correction",
}
_STORED_NAMES: dict[EventKind, dict[str, str]] = {
    "orders": {"placed_at": "happened_at", "updated_at": "as_of"},
    "outcomes": {"kind": "outcome", "updated_at": "as_of"},
    "verdicts": {"decided_at": "happened_at", "kind": "malice", "by": "decider"},
    "corrections": {"corrected_at": "happened_at"},
}
_FIRST = ("event", "event_id", ORDER_ID, "name_id", "order_id", "view", "recorded_at", "seen_at", "happened_at")
HAPPENED_AT: dict[EventKind, str] = {
    "orders": "placed_at",
    "outcomes": "happened_at",
    "verdicts": "decided_at",
    "corrections": "corrected_at",
}
_LONGEST_LINE = 1 << 20
NEVER = np.iinfo(np.int64).max
"""The time of arrival of an unknown order."""


def row_schema(column_names: Iterable[str] = ()) -> pa.Schema:
    """Build the schema of the store's table.

    Parameters
    ----------
    column_names : names among which extras (``number__weight``, ``id__terminal``) are kept; others are ignored
    """
    names = list(column_names)
    types: dict[str, pa.DataType] = {
        "event": pa.string(),
        "event_id": pa.int64(),
        "name_id": pa.int64(),
        "view": pa.int32(),
        "recorded_at": pa.timestamp("us", tz="UTC"),
        "decision": pa.string(),
    }
    for kind in KEYED_KINDS:
        for field in keyed_schema(kind, names):
            types[_STORED_NAMES[kind].get(field.name, field.name)] = _stored_type(field)
    order = [*_FIRST, *(name for name in types if name not in _FIRST)]
    return pa.schema([(name, types[name]) for name in order])


def unite_schemas(tables: Iterable[pa.Table]) -> pa.Schema:
    """Build the row schema with the extras of all tables."""
    return row_schema({name for table in tables for name in table.column_names})


def to_rows(events: KeyedEvents, kind: EventKind) -> pa.Table:
    """Build rows of the store from one kind of keyed event, without their identity.

    Returns
    -------
    shape (n_events, n_columns), `row_schema` with the extras of the events; `event_id` is null
    """
    table: pa.Table = getattr(events, kind)
    names = [_STORED_NAMES[kind].get(name, name) for name in table.column_names]
    columns = dict(zip(names, (_to_signed(column) for column in table.columns), strict=True))
    columns["event"] = pa.repeat(EVENT_OF[kind], table.num_rows)
    return fit_rows(pa.table(columns), row_schema(events.orders.column_names))


def fit_rows(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Fit rows to a schema: a column they lack is null."""
    names = set(rows.column_names)
    nulls = _SharedNulls(rows.num_rows)
    columns = [rows[field.name] if field.name in names else nulls.build(field.type) for field in schema]
    return pa.table(columns, schema=schema)


class _SharedNulls:
    """Builds columns of nulls that share their memory: most columns of the store do not apply to most events."""

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._zeros: pa.Buffer | None = None

    def build(self, type_: pa.DataType) -> pa.Array[Any]:
        """Build a column of nulls of a type of fixed width, or of texts."""
        if self._zeros is None:
            self._zeros = pa.py_buffer(np.zeros(self._n_rows + 1, np.int64))
        buffers = [self._zeros, self._zeros]
        if pa.types.is_string(type_):
            buffers.append(pa.py_buffer(b""))
        return pa.Array.from_buffers(type_, self._n_rows, buffers, self._n_rows)


def sort_rows(rows: pa.Table) -> pa.Table:
    """Sort rows into the order seen; the identity breaks ties, independent of the order of ingestion."""
    return rows.sort_by([("seen_at", "ascending"), ("event_id", "ascending")])


def to_events(rows: pa.Table, key_id: str, *, is_tail: bool = False) -> KeyedEvents:
    """Build keyed events from rows of the store, in the order seen.

    What was known before its order came is seen with it; an event of a missing order, or from before its order was
    placed, is skipped (docs/definitions.md T6).

    Parameters
    ----------
    rows : of the store, current views only, in the order seen
    key_id : of the key of the ids
    is_tail : the rows are the newest ones, and an order that is not among them was seen before all of them, or never
    """
    return join_events({kind: split_kind(rows, kind) for kind in KEYED_KINDS}, key_id, is_tail=is_tail)


def join_events(tables: dict[EventKind, pa.Table], key_id: str, *, is_tail: bool = False) -> KeyedEvents:
    """Build keyed events from those of each kind (`split_kind`), as `to_events`."""
    tables = dict(tables)
    orders = tables["orders"]
    place_of = Positions(read_ints(orders[ORDER_ID]))
    placed_at, order_seen_at = read_ints(orders["placed_at"]), read_ints(orders["seen_at"])
    for kind in KEYED_KINDS[1:]:
        table = tables[kind]
        at = place_of.find(read_ints(table[ORDER_ID]))
        happened_at, seen_at = read_ints(table[HAPPENED_AT[kind]]), read_ints(table["seen_at"])
        arrived_at = arrive(happened_at, seen_at, at, placed_at, order_seen_at)
        if is_tail:
            arrived_at = np.where(at < 0, seen_at, arrived_at)
        tables[kind] = _put_arrivals(table, arrived_at, is_moved=(arrived_at != seen_at) & (arrived_at != NEVER))
    return KeyedEvents(**tables, key_id=key_id)


def arrive(
    happened_at: NDArray[np.int64],
    seen_at: NDArray[np.int64],
    place: NDArray[np.int64],
    placed_at: NDArray[np.int64],
    order_seen_at: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Find since when later events count: since they are known, but not before their order is (T6).

    Parameters
    ----------
    happened_at, seen_at : shape (n,), UTC microseconds
    place : shape (n,), position of the order among the orders; -1: not known
    placed_at, order_seen_at : shape (n_orders,), UTC microseconds

    Returns
    -------
    shape (n,), UTC microseconds; `NEVER` where the order is not known, or was placed in a later minute
    """
    known_at = np.append(order_seen_at, NEVER)[place]
    is_from_before = happened_at < floor_minute(np.append(placed_at, NEVER))[place]
    waits = seen_at < known_at
    return np.where((place < 0) | (waits & is_from_before), NEVER, np.maximum(seen_at, known_at))


def _put_arrivals(table: pa.Table, arrived_at: NDArray[np.int64], is_moved: NDArray[np.bool_]) -> pa.Table:
    if is_moved.any():
        at = table.schema.get_field_index("seen_at")
        column = pa.array(arrived_at).cast(table.schema.field(at).type)
        order = np.argsort(arrived_at, kind="stable")
        table = table.set_column(at, table.schema.field(at), column).take(pa.array(order))
        arrived_at = arrived_at[order]
    return table if (arrived_at != NEVER).all() else table.filter(pa.array(arrived_at != NEVER))


def split_rows(rows: pa.Table, key_id: str) -> KeyedEvents:
    """Build keyed events from all rows of the store, whether or not their orders are known."""
    return KeyedEvents(**{kind: split_kind(rows, kind) for kind in KEYED_KINDS}, key_id=key_id)


def split_kind(rows: pa.Table, kind: EventKind) -> pa.Table:
    """Build the keyed events of one kind from rows of the store, in their order."""
    stored_names = find_stored_names(kind, rows.column_names)
    wanted = list(stored_names)
    of_kind = rows.select(list(stored_names.values()))
    of_kind = of_kind.filter(pc.equal(rows["event"], EVENT_OF[kind])).rename_columns(wanted)
    columns = {name: _to_unsigned(of_kind[name]) if name.startswith(ID) else of_kind[name] for name in wanted}
    return complete_columns(pa.table(columns), keyed_schema(kind, wanted))


def find_stored_names(kind: EventKind, column_names: Iterable[str]) -> dict[str, str]:
    """Return, of the columns of a kind of keyed event that a store has, their names there."""
    there = set(column_names)
    contract_names = {stored: name for name, stored in _STORED_NAMES[kind].items()}
    names = keyed_schema(kind, (contract_names.get(name, name) for name in there)).names
    stored_names = {name: _STORED_NAMES[kind].get(name, name) for name in names}
    return {name: stored for name, stored in stored_names.items() if stored in there}


class Positions:
    """Row positions of many ids."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._sorter = np.argsort(ids, kind="stable")
        self._sorted = ids[self._sorter]

    def find(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find positions, shape (len(wanted),); -1 where an id is not known."""
        if len(self._sorted) == 0:
            return np.full(len(wanted), -1)
        # SPEED: benchmarks/bench_retrain.py. Looked up in ascending order, ids hit the cache lines just read.
        by_id = np.argsort(wanted)
        at = np.minimum(np.searchsorted(self._sorted, wanted[by_id]), len(self._sorted) - 1)
        found = np.empty(len(wanted), np.int64)
        found[by_id] = np.where(self._sorted[at] == wanted[by_id], self._sorter[at], -1)
        return found


class LatestViews:
    """Which views of amended events count.

    Parameters
    ----------
    rows : ``event_id`` and ``view`` of all rows of the store whose view is not the first
    """

    def __init__(self, rows: pa.Table) -> None:
        event_ids, views = read_ints(rows["event_id"]), views_of(rows)
        order = np.lexsort((views, event_ids))
        is_last = np.diff(event_ids[order], append=0) != 0
        is_last[-1:] = True
        self._ids, self._views = event_ids[order][is_last], views[order][is_last]

    def keep(self, rows: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        """Keep the views that count.

        Parameters
        ----------
        rows : with the columns ``event_id`` and ``view``
        """
        if not len(self._ids) or "view" not in rows.schema.names:
            return rows
        event_ids = read_ints(rows["event_id"])
        at = np.minimum(np.searchsorted(self._ids, event_ids), len(self._ids) - 1)
        is_replaced = (self._ids[at] == event_ids) & (views_of(rows) < self._views[at])
        return rows.filter(pa.array(~is_replaced)) if is_replaced.any() else rows


def drop_replaced(rows: pa.Table) -> pa.Table:
    """Keep the views that count of all rows of a store."""
    return LatestViews(rows).keep(rows)


def views_of(rows: pa.Table | pa.RecordBatch) -> NDArray[np.int64]:
    """Return the numbers of views, shape (n_rows,); rows from before there were views are the first."""
    return np.asarray(pc.fill_null(pc.cast(rows["view"], pa.int64()), 0))


def _stored_type(field: pa.Field[pa.DataType]) -> pa.DataType:
    return pa.int64() if pa.types.is_uint64(field.type) else field.type


def _to_signed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, pa.int64(), safe=False) if pa.types.is_uint64(column.type) else column


def _to_unsigned(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, pa.uint64(), safe=False)


def read_ints(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return times or ids as int64, bit by bit."""
    return np.asarray(pc.cast(column, pa.int64(), safe=False))


def to_plain(table: pa.Table) -> list[dict[str, Any]]:
    """Give rows as plain values, instants as microseconds."""
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    rows: list[dict[str, Any]] = pa.table(plain, names=table.column_names).to_pylist()
    return rows


def from_plain(rows: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> pa.Table:
    """Make a table of plain values; the twin of `to_plain`.

    Parameters
    ----------
    rows : column → plain value
    schema : of the table; None: of the store, with the extras of the rows
    """
    wanted = schema or row_schema({name for row in rows for name in row})
    built = pa.Table.from_pylist(list(rows), schema=pa.schema([(e.name, _plain_type(e.type)) for e in wanted]))
    return pa.table([built[each.name].cast(each.type) for each in wanted], schema=wanted)


def write_line(row: dict[str, Any]) -> bytes:
    """Write one row as a JSON line.

    Parameters
    ----------
    row : column → plain value; times as microseconds, no nulls
    """
    return to_json(row) + b"\n"


def read_lines(batches: Iterable[bytes]) -> pa.Table:
    """Read lines back.

    Parameters
    ----------
    batches : lines of several batches

    Returns
    -------
    shape (n_lines, n_columns), `row_schema` with the extras of all lines, rows in their order
    """
    data = b"".join(batches)
    if not data:
        return row_schema().empty_table()
    try:
        read = _parse_lines(data, row_schema())
    except pa.ArrowInvalid:  # an extra that Arrow takes for something else, such as a time, in some lines only
        read = None
    names = _list_names(data) if read is None else read.column_names
    schema = row_schema(names)
    if read is None or any(pa.types.is_temporal(read[name].type) for name in schema.names):
        read = _parse_lines(data, schema)
    return pa.table([pc.cast(read[field.name], field.type) for field in schema], schema=schema)


def _parse_lines(data: bytes, schema: pa.Schema) -> pa.Table:
    import pyarrow.json as pj

    plain = pa.schema([(field.name, _plain_type(field.type)) for field in schema])
    # SPEED: parsed outside the interpreter, so that a flush in the background does not delay orders.
    return pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(block_size=_LONGEST_LINE),
        parse_options=pj.ParseOptions(explicit_schema=plain),
    )


def _list_names(data: bytes) -> set[str]:
    """List the columns of all lines that can be read."""
    names: set[str] = set()
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            names.update(json.loads(line))
    return names


def _plain_type(type_: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(type_) else type_
