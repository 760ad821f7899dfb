"""The one table of the store: its rows, how keyed events become rows and come back, and rows as JSON lines.

    event        order, outcome, verdict or correction
    event_id     keyed identity of the event, see `identity.py`
    id__order    keyed id of the order
    order_id     as given: the id of an order is not personal
    seen_at      since when it is known
    happened_at  when it was placed, happened, was decided or corrected
    ...          every impersonal contract column; `outcome` and `malice` are the kinds of outcomes and verdicts
    id__NAME     keyed id of an entity; Delta has no unsigned integers, so these are the bits of one as int64

A column that does not apply to an event is null. A JSON line, which is what the journal holds, has the columns that
are not null; times are microseconds, ids the same int64 as in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import to_json

from ordervet.entities.keyed import ID, KEYED_KINDS, ORDER_ID, KeyedEvents, complete_columns, keyed_schema
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ordervet.contract import EventKind

EVENT_OF: dict[EventKind, str] = {
    "orders": "order",
    "outcomes": "outcome",
    "verdicts": "verdict",
    "corrections": "correction",
}
_STORED_NAMES: dict[EventKind, dict[str, str]] = {
    "orders": {"placed_at": "happened_at"},
    "outcomes": {"kind": "outcome"},
    "verdicts": {"decided_at": "happened_at", "kind": "malice", "by": "decider"},
    "corrections": {"corrected_at": "happened_at"},
}
_FIRST = ("event", "event_id", ORDER_ID, "order_id", "seen_at", "happened_at")
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
    types = {"event": pa.string(), "event_id": pa.int64()}
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
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)


def sort_rows(rows: pa.Table) -> pa.Table:
    """Sort rows into the order seen; the identity breaks ties, independent of the order of ingestion."""
    return rows.sort_by([("seen_at", "ascending"), ("event_id", "ascending")])


def to_events(
    rows: pa.Table,
    key_id: str,
    *,
    orders: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    is_tail: bool = False,
) -> KeyedEvents:
    """Build keyed events from rows of the store, in the order of the rows.

    An event of a missing order, or from before its order was seen, is skipped (docs/definitions.md T6).

    Parameters
    ----------
    rows : of the store
    key_id : of the key of the ids
    orders : ids of all orders, and when each was seen, where the rows are only a part; None finds them among the rows
    is_tail : the rows are the newest ones, and an order that is not among them was seen before all of them, or never
    """
    events = split_rows(rows, key_id)
    tables = {kind: getattr(events, kind) for kind in KEYED_KINDS}
    if orders is None:
        orders = (read_ints(tables["orders"][ORDER_ID]), read_ints(tables["orders"]["seen_at"]))
    for kind in KEYED_KINDS[1:]:
        order_seen_at = find_seen_at(read_ints(tables[kind][ORDER_ID]), *orders)
        is_usable = read_ints(tables[kind]["seen_at"]) >= order_seen_at
        if is_tail:
            is_usable |= order_seen_at == NEVER
        tables[kind] = tables[kind].filter(pa.array(is_usable))
    return KeyedEvents(**tables, key_id=key_id)


def split_rows(rows: pa.Table, key_id: str) -> KeyedEvents:
    """Build keyed events from all rows of the store, whether or not their orders are known."""
    tables = {}
    for kind in KEYED_KINDS:
        of_kind = rows.filter(pc.equal(rows["event"], EVENT_OF[kind]))
        contract_names = {stored: name for name, stored in _STORED_NAMES[kind].items()}
        columns = {contract_names.get(name, name): of_kind[name] for name in of_kind.column_names}
        columns |= {name: _to_unsigned(column) for name, column in columns.items() if name.startswith(ID)}
        schema = keyed_schema(kind, columns)
        tables[kind] = complete_columns(pa.table(columns), schema)
    return KeyedEvents(**tables, key_id=key_id)


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


def find_seen_at(wanted: NDArray[np.int64], ids: NDArray[np.int64], seen_at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Look up when orders were seen.

    Parameters
    ----------
    wanted : shape (n,), ids of orders
    ids, seen_at : shape (n_orders,), of the known orders; of a repeated id the first row counts

    Returns
    -------
    shape (n,), UTC microseconds; `NEVER` where the order is not known
    """
    return np.append(seen_at, NEVER)[Positions(ids).find(wanted)]  # position -1 is NEVER


def _stored_type(field: pa.Field[pa.DataType]) -> pa.DataType:
    return pa.int64() if pa.types.is_uint64(field.type) else field.type


def _to_signed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, pa.int64(), safe=False) if pa.types.is_uint64(column.type) else column


def _to_unsigned(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, pa.uint64(), safe=False)


def read_ints(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return times or ids as int64, bit by bit."""
    return np.asarray(pc.cast(column, pa.int64(), safe=False))


def write_line(row: dict[str, Any]) -> bytes:
    """Write one row as a JSON line.

    Parameters
    ----------
    row : column → plain value; times as microseconds, no nulls
    """
    return to_json(row) + b"\n"


def write_lines(rows: pa.Table) -> bytes:
    """Write the rows of a table as JSON lines.

    Parameters
    ----------
    rows : shape (n_rows, n_columns), in `row_schema` or with fewer columns
    """
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in rows.columns]
    table = pa.table(plain, names=rows.column_names)
    return b"".join(
        write_line({name: value for name, value in row.items() if value is not None}) for row in table.to_pylist()
    )


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
    import pyarrow.json as pj

    plain = pa.schema([(field.name, _plain_type(field.type)) for field in row_schema()])
    # SPEED: parsed outside the interpreter, so that a flush in the background does not delay orders.
    read = pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(block_size=_LONGEST_LINE),
        parse_options=pj.ParseOptions(explicit_schema=plain),
    )
    schema = row_schema(read.column_names)
    return pa.table([pc.cast(read[field.name], field.type) for field in schema], schema=schema)


def _plain_type(type_: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(type_) else type_
