"""Bringing in files: sets of events become identified rows, and one commit makes all of them visible.

What does not fit into memory is written beside the table, set after set: data files that no version names yet. No
reader sees them, and `vacuum` removes them if their writer is killed. What the store has already, in the table or in
these files, is looked up by the orders of each set alone.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import parquet

from ordervet.entities.keyed import KEYED_KINDS, ORDER_ID, count_evidence, key_events
from ordervet.history import delta
from ordervet.history.admission import Admission, admit, names_of
from ordervet.history.erased import find_erased
from ordervet.history.identity import identify
from ordervet.history.stored_rows import (
    EVENT_OF,
    drop_replaced,
    fit_rows,
    join_events,
    row_schema,
    sort_rows,
    split_kind,
    to_rows,
    unite_schemas,
)
from ordervet.history.views import IngestStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from deltalake import DeltaTable
    from numpy.typing import NDArray

    from ordervet.contract import EventKind, Events
    from ordervet.entities import KeyedEvents
    from ordervet.entities.keys import Key

_DATED = ("seen_at", "happened_at")
_ROWS_PER_PART = 2**16


@dataclass(frozen=True, slots=True)
class Ingested:
    """What ingestion did with a set of events.

    Parameters
    ----------
    statuses : per kind of event, shape (n_events,), int8 codes of `IngestStatus`
    n_waiting : accepted events whose order is not known yet; they count once it is
    evidence : entity → "known", "absent", "masked", "unusable" → orders
    """

    statuses: dict[EventKind, NDArray[np.int8]]
    n_waiting: int
    evidence: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, status: IngestStatus) -> int:
        """Return the number of events with a status."""
        return sum(int((statuses == status).sum()) for statuses in self.statuses.values())


@dataclass(frozen=True, slots=True)
class Batch:
    """Identified rows of several sources, concatenated.

    Parameters
    ----------
    rows : shape (n_rows, n_columns), `row_schema` with the extras of all sources
    slices : per source and kind of event, its rows
    """

    rows: pa.Table
    slices: list[dict[EventKind, slice]]

    def report(self, admission: Admission) -> list[Ingested]:
        """Report per source what ingestion did with its events."""
        reports = []
        for of_kinds in self.slices:
            statuses = {kind: admission.statuses[rows] for kind, rows in of_kinds.items()}
            n_waiting = sum(int(admission.is_waiting[rows].sum()) for rows in of_kinds.values())
            evidence = count_evidence(self.rows.slice(of_kinds["orders"].start, len(statuses["orders"])))
            reports.append(Ingested(statuses, n_waiting, evidence))
        return reports


def build_batch(parts: Iterable[Events], key: Key, recorded_at: int, first_source: int = 0) -> Batch:
    """Build identified rows from events.

    Parameters
    ----------
    parts : one set per source, each gone once its rows are built; see `identity.py` on rows that a source repeats
    key : the identifier key
    recorded_at : time of the ingestion, UTC microseconds
    first_source : number of the first part
    """
    tables, slices, n_rows = [], [], 0
    for source, part in enumerate(parts, start=first_source):
        keyed = key_events(part, key)
        rows_of = {kind: to_rows(keyed, kind) for kind in KEYED_KINDS}
        of_kinds: dict[EventKind, slice] = {}
        for kind, rows in rows_of.items():
            of_kinds[kind] = slice(n_rows, n_rows + rows.num_rows)
            n_rows += rows.num_rows
        rows = identify(pa.concat_tables(rows_of.values()), key)
        at = rows.schema.get_field_index("recorded_at")
        recorded = pa.repeat(recorded_at, rows.num_rows).cast(rows.schema.field(at).type)
        rows = rows.set_column(at, rows.schema.field(at), recorded)
        tables.append(rows.append_column("source", pa.repeat(source, rows.num_rows)))
        slices.append(of_kinds)
    schema = unite_schemas(tables).append(pa.field("source", pa.int64()))
    return Batch(pa.concat_tables([schema.empty_table(), *(fit_rows(table, schema) for table in tables)]), slices)


def add_in_memory(stored: pa.Table, admission: Admission) -> pa.Table:
    """Return the rows of the store as they would be after a commit, all views."""
    schema = unite_schemas([stored, admission.new])
    return pa.concat_tables([fit_rows(table, schema) for table in (stored, admission.new)])


def settle_files(parts: Iterable[Events], key: Key, *, are_orders_needed: bool) -> tuple[KeyedEvents, list[Ingested]]:
    """Return what sets of events come to where there is no store, as `settle_batch`."""
    return settle_batch(build_batch(parts, key, time.time_ns() // 1_000), key, are_orders_needed=are_orders_needed)


def settle_batch(batch: Batch, key: Key, *, are_orders_needed: bool) -> tuple[KeyedEvents, list[Ingested]]:
    """Return what rows come to where there is no store: as much as an empty one would have after them.

    Parameters
    ----------
    batch : the rows
    key : the identifier key
    are_orders_needed : whether an event whose order is in none of them is set aside

    Returns
    -------
    events, and per source what became of its events
    """
    nothing = row_schema().empty_table()
    statuses = np.zeros(batch.rows.num_rows, np.int8)
    is_waiting = np.zeros(batch.rows.num_rows, bool)
    parts: dict[EventKind, list[pa.Table]] = {kind: [] for kind in KEYED_KINDS}
    # NOTE: what becomes of a row depends on the rows of its order id alone, so the ids go by parts, in bounded memory.
    for at in _part_order_ids(names_of(batch.rows)):
        admission = admit(batch.rows.take(pa.array(at)), nothing, key)
        new, statuses[at], is_waiting[at] = admission.new, admission.statuses, admission.is_waiting
        if are_orders_needed:
            is_order = pc.equal(new["event"].cast(pa.string()), "order")
            orders = new[ORDER_ID].filter(is_order).combine_chunks()
            new = new.filter(pc.is_in(new[ORDER_ID], orders))
        new = drop_replaced(new)
        for kind, tables in parts.items():
            event_ids = new["event_id"].filter(pc.equal(new["event"], EVENT_OF[kind]))
            tables.append(split_kind(new, kind).append_column("event_id", event_ids))
        del admission, new
        pa.default_memory_pool().release_unused()
    if are_orders_needed:
        statuses[is_waiting] = IngestStatus.NO_ORDER
        is_waiting[:] = False
    # NOT: `sort_rows`. Without a key of the user's own, ids differ from process to process, and figures must not.
    order = [(name, "ascending") for name in ("seen_at", "order_id", "event_id")]
    sorted_parts = {
        kind: pa.concat_tables(parts.pop(kind)).sort_by(order).drop_columns(["event_id"]) for kind in KEYED_KINDS
    }
    report = batch.report(Admission(statuses, nothing, is_waiting))
    return join_events(sorted_parts, key.key_id), report


def _part_order_ids(names: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each part of the order ids, ascending; `names` are their keyed ids, one per row."""
    n_parts = max(1, -(-len(names) // _ROWS_PER_PART))
    parts = names.view(np.uint64) % np.uint64(n_parts)
    for part in range(n_parts):
        yield np.flatnonzero(parts == part)


class Staging:
    """Sets of events being ingested into a store; `History.staging` yields one.

    Parameters
    ----------
    folder : of the store
    table : its newest version; the caller holds the writer's lock
    key : the identifier key
    files_in : where data files are written
    """

    def __init__(self, folder: Path, table: DeltaTable, key: Key, *, files_in: Path | None = None) -> None:
        self._folder, self._files_in = folder, files_in or folder
        self._table = table
        self._key = key
        self._first: Admission | None = None
        self._files: list[Path] = []
        self._order_ids: list[NDArray[np.int64]] = []
        self._recorded_at = time.time_ns() // 1_000
        self._n_parts = 0
        self._column_names: set[str] = set()
        self._positions: dict[str, int] = {}

    def add(self, parts: Sequence[Events]) -> list[Ingested]:
        """Ingest some sets of events, after those added before.

        Parameters
        ----------
        parts : one set per source, or per piece of one in which every order is whole

        Returns
        -------
        per part, what happens to its events once everything is committed
        """
        batch = build_batch(parts, self._key, self._recorded_at, self._n_parts)
        self._n_parts += len(parts)
        return batch.report(self.add_rows(batch.rows))

    def add_rows(self, rows: pa.Table) -> Admission:
        """Ingest rows of `build_batch`, after those added before."""
        if self._first is not None:
            self._write_part(self._first)
            self._first = None
        is_erased = find_erased(self._folder, self._key, rows)
        admission = admit(rows, self._read_stored(rows), self._key, is_erased=is_erased)
        if self._files:
            self._write_part(admission)
        else:
            self._first = admission
        return admission

    def move_on(self, positions: Mapping[str, int]) -> None:
        """Note how far sources are read with what was added; it is committed with it.

        Parameters
        ----------
        positions : name of a source → how far
        """
        known = {name: delta.read_position(self._table, name) for name in positions}
        self._positions |= {name: at for name, at in positions.items() if at != known[name]}

    def commit(self) -> None:
        """Make everything visible, in one commit."""
        if self._first is not None and self._first.new.num_rows:
            delta.append_rows(self._table, sort_rows(self._first.new), self._positions)
        elif self._files or self._positions:
            files = [describe_file(file) for file in self._files]
            delta.add_files(self._table, files, self._column_names, self._positions)
            self._files = []
            self._table.update_incremental()

    def drop(self) -> None:
        """Remove what was not committed."""
        for file in self._files:
            file.unlink(missing_ok=True)

    def _write_part(self, admission: Admission) -> None:
        """Write the new rows of an admission to a data file."""
        if admission.new.num_rows == 0:
            return
        path = self._files_in / f"part-{len(self._files):05}-{secrets.token_hex(16)}.zstd.parquet"
        self._files.append(path)
        self._order_ids.append(np.unique(names_of(admission.new)))
        self._column_names |= set(admission.new.column_names)
        parquet.write_table(
            sort_rows(admission.new), path, compression="zstd", compression_level=3, row_group_size=delta.ROWS_PER_GROUP
        )

    def _read_stored(self, rows: pa.Table) -> pa.Table:
        """Read all views of the order ids of these rows."""
        names = np.unique(names_of(rows))
        found = read_stored(self._folder, self._table, names)
        # NOT: all files. Each set would read all those before it again; eight bytes per order avoid that.
        files = [file for file, ids in zip(self._files, self._order_ids, strict=True) if np.isin(names, ids).any()]
        written = [_read_named(ds.dataset(file), names) for file in files]
        schema = unite_schemas([found, *written])
        return pa.concat_tables([fit_rows(table, schema) for table in (found, *written)])


def read_stored(
    folder: Path, table: DeltaTable, names: NDArray[np.int64], *, are_decisions_wanted: bool = False
) -> pa.Table:
    """Read all views of some order ids.

    Parameters
    ----------
    folder, table : of the store
    names : keyed order ids, without the shop
    are_decisions_wanted : read also what was decided about them
    """
    # NOT: by event or time. Delta rounds the times in its log to milliseconds, so that a file with later microseconds
    # would be skipped.
    return _read_named(delta.open_dataset(folder, table), names, are_decisions_wanted=are_decisions_wanted)


def _read_named(dataset: ds.Dataset, names: NDArray[np.int64], *, are_decisions_wanted: bool = False) -> pa.Table:
    columns = [name for name in (ORDER_ID, "name_id") if name in dataset.schema.names]
    wanted = pa.array(names)
    is_wanted = reduce(or_, (ds.field(name).isin(wanted) for name in columns))
    groups = delta.keep_groups(dataset, columns, wanted)
    return delta.read_rows(groups, is_wanted=is_wanted, are_decisions_wanted=are_decisions_wanted)


def describe_file(file: Path) -> delta.DataFile:
    """Describe a data file for Delta's log: its size, its rows, its first and last times."""
    times = parquet.read_table(file, columns=list(_DATED))
    spans = {name: pc.min_max(times[name]) for name in _DATED}
    stats = {
        "numRecords": times.num_rows,
        "minValues": {name: _format_time(span["min"]) for name, span in spans.items()},
        "maxValues": {name: _format_time(span["max"]) for name, span in spans.items()},
        "nullCount": {name: times[name].null_count for name in _DATED},
    }
    return delta.DataFile(file.name, file.stat().st_size, time.time_ns() // 1_000_000, json.dumps(stats))


def _format_time(at: pa.TimestampScalar) -> str:
    return f"{at.as_py():%Y-%m-%dT%H:%M:%S.%fZ}"
