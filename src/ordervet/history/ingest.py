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
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import parquet

from ordervet.entities.keyed import KEYED_KINDS, ORDER_ID, count_evidence, key_events
from ordervet.history import delta
from ordervet.history.erased import find_erased
from ordervet.history.identity import STORED_COLUMNS, admit, identify
from ordervet.history.rows import fit_rows, row_schema, sort_rows, to_rows, unite_schemas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deltalake import DeltaTable
    from numpy.typing import NDArray

    from ordervet.contract import EventKind, Events
    from ordervet.entities.keys import Key
    from ordervet.history.identity import Admission, IngestStatus
_DATED = ("seen_at", "happened_at")
_ROWS_PER_GROUP = 2**17


@dataclass(frozen=True, slots=True)
class Ingested:
    """What ingestion did with a set of events.

    Parameters
    ----------
    statuses : per kind of event, shape (n_events,), int8 codes of `IngestStatus`
    n_waiting : accepted events whose order is not known yet; they count once it is
    n_differing : known orders that came with another time or amount; the first one counts
    evidence : entity → "known", "absent", "masked", "unusable" → orders
    """

    statuses: dict[EventKind, NDArray[np.int8]]
    n_waiting: int
    n_differing: int
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
            n_waiting, n_differing = (
                sum(int(flags[rows].sum()) for rows in of_kinds.values())
                for flags in (admission.is_waiting, admission.is_differing)
            )
            evidence = count_evidence(self.rows.slice(of_kinds["orders"].start, len(statuses["orders"])))
            reports.append(Ingested(statuses, n_waiting, n_differing, evidence))
        return reports


def build_batch(parts: Sequence[Events], key: Key) -> Batch:
    """Build identified rows from events.

    Parameters
    ----------
    parts : one set per source; see `identity.py` on rows that a source repeats
    key : the identifier key
    """
    tables, slices, n_rows = [], [], 0
    for part in parts:
        keyed = key_events(part, key)
        rows_of = {kind: to_rows(keyed, kind) for kind in KEYED_KINDS}
        of_kinds: dict[EventKind, slice] = {}
        for kind, rows in rows_of.items():
            of_kinds[kind] = slice(n_rows, n_rows + rows.num_rows)
            n_rows += rows.num_rows
        tables.append(identify(pa.concat_tables(rows_of.values()), key))
        slices.append(of_kinds)
    schema = unite_schemas(tables)
    return Batch(pa.concat_tables([schema.empty_table(), *(fit_rows(table, schema) for table in tables)]), slices)


def add_in_memory(stored: pa.Table, admission: Admission) -> pa.Table:
    """Return the rows of the store as they would be after a commit."""
    tables = [update_blames(stored, admission.changed), admission.new]
    schema = unite_schemas(tables)
    return pa.concat_tables([fit_rows(table, schema) for table in tables])


def update_blames(rows: pa.Table, blames: pa.Table) -> pa.Table:
    """Set the blames of rows.

    Parameters
    ----------
    rows : with the columns ``event_id`` and ``blame``
    blames : only these two columns
    """
    at = pc.index_in(rows["event_id"], blames["event_id"].combine_chunks()).combine_chunks()
    blame = pc.coalesce(blames["blame"].combine_chunks().take(at), rows["blame"])
    place = rows.schema.get_field_index("blame")
    return rows.set_column(place, rows.schema.field(place), blame)


class Staging:
    """Sets of events being ingested into a store; `History.staging` yields one.

    Parameters
    ----------
    folder : of the store
    table : its newest version; the caller holds the writer's lock
    key : the identifier key
    """

    def __init__(self, folder: Path, table: DeltaTable, key: Key) -> None:
        self._folder = folder
        self._table = table
        self._key = key
        self._first: Admission | None = None
        self._files: list[Path] = []
        self._order_ids: list[NDArray[np.int64]] = []
        self._blames: list[pa.Table] = []
        self._column_names: set[str] = set()

    def add(self, parts: Sequence[Events]) -> list[Ingested]:
        """Ingest some sets of events, after those added before.

        Parameters
        ----------
        parts : one set per source, or per piece of one in which every order is whole

        Returns
        -------
        per part, what happens to its events once everything is committed
        """
        if self._first is not None:
            self._write_part(self._first)
            self._first = None
        batch = build_batch(parts, self._key)
        is_erased = find_erased(self._folder, self._key, batch.rows)
        admission = admit(batch.rows, self._read_stored(batch.rows), is_erased=is_erased)
        if self._files or self._blames:
            self._write_part(admission)
        else:
            self._first = admission
        return batch.report(admission)

    def commit(self) -> None:
        """Make everything visible, in one commit; blames found for stored outcomes follow in a second one."""
        if self._first is not None:
            if self._first.new.num_rows or self._first.changed.num_rows:
                delta.append_rows(self._table, sort_rows(self._first.new), self._first.changed)
            return
        if self._files:
            delta.add_files(self._table, [_describe(file) for file in self._files], self._column_names)
            self._files = []
            self._table.update_incremental()
        if self._blames:
            delta.append_rows(self._table, row_schema().empty_table(), pa.concat_tables(self._blames))

    def drop(self) -> None:
        """Remove what was not committed."""
        for file in self._files:
            file.unlink(missing_ok=True)

    def _write_part(self, admission: Admission) -> None:
        """Write the new rows of an admission to a data file, and remember its blames."""
        if admission.changed.num_rows:
            self._blames.append(admission.changed)
        if admission.new.num_rows == 0:
            return
        path = self._folder / f"part-{len(self._files):05}-{secrets.token_hex(16)}.zstd.parquet"
        self._files.append(path)
        self._order_ids.append(np.unique(admission.new[ORDER_ID].to_numpy()))
        self._column_names |= set(admission.new.column_names)
        parquet.write_table(
            sort_rows(admission.new), path, compression="zstd", compression_level=3, row_group_size=_ROWS_PER_GROUP
        )

    def _read_stored(self, rows: pa.Table) -> pa.Table:
        """Read what `admit` needs to know of the orders of these rows."""
        found = read_stored(self._table, rows)
        wanted = np.unique(rows[ORDER_ID].to_numpy())
        # NOT: all files. Each set would read all those before it again; eight bytes per order avoid that.
        files = [file for file, ids in zip(self._files, self._order_ids, strict=True) if np.isin(wanted, ids).any()]
        if files:
            written = ds.dataset(files).to_table(
                columns=list(STORED_COLUMNS), filter=ds.field(ORDER_ID).isin(pa.array(wanted))
            )
            found = pa.concat_tables([found, written.cast(found.schema)])
        for blames in self._blames:
            found = update_blames(found, blames)
        return found


def read_stored(table: DeltaTable, rows: pa.Table) -> pa.Table:
    """Read what `admit` needs to know of the rows in a store.

    Parameters
    ----------
    table : of the store
    rows : identified rows

    Returns
    -------
    `STORED_COLUMNS` of everything the store has of the orders of these rows
    """
    # NOT: by event or time. A merge writes string views, which Arrow cannot compare, and Delta rounds the times in
    # its log to milliseconds, so that a file with later microseconds would be skipped.
    is_needed = ds.field(ORDER_ID).isin(pc.unique(rows[ORDER_ID]))
    return table.to_pyarrow_dataset().to_table(columns=list(STORED_COLUMNS), filter=is_needed)


def _describe(file: Path) -> delta.DataFile:
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
