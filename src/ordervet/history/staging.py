"""Bringing in more than fits into memory: set after set is put beside the table, and one commit makes all of it seen.

What is set down early is a data file that no version names: no reader sees it, and `vacuum` removes it if its writer is
killed. What stands already, in the table or in these files, is looked up by the orders of each set alone.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import parquet

from ordervet.entities.keyed import ORDER_ID
from ordervet.history import delta
from ordervet.history.batch import build_batch, put_blames, sort_rows
from ordervet.history.identity import STANDING_COLUMNS, admit
from ordervet.history.rows import row_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deltalake import DeltaTable
    from numpy.typing import NDArray

    from ordervet.contract import Events
    from ordervet.entities.keys import Key
    from ordervet.history.batch import Ingested
    from ordervet.history.identity import Admission

_DATED = ("seen_at", "happened_at")
_ROWS_PER_GROUP = 2**17


class Staging:
    """Sets of events on their way into a store; `History.staging` gives one.

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
        """Bring in some sets of events, after those that were added before.

        Parameters
        ----------
        parts : one set per source, or per piece of one in which every order is whole

        Returns
        -------
        per part, what becomes of its events once all is committed
        """
        if self._first is not None:
            self._put_down(self._first)
            self._first = None
        batch = build_batch(parts, self._key)
        admission = admit(batch.rows, self._read_standing(batch.rows))
        if self._files or self._blames:
            self._put_down(admission)
        else:
            self._first = admission
        return batch.report(admission)

    def commit(self) -> None:
        """Make all of it seen, in one commit; the blames found for stored outcomes follow in a second one."""
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

    def _put_down(self, admission: Admission) -> None:
        """Keep the rows of an admission in a data file, and its blames in mind."""
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

    def _read_standing(self, rows: pa.Table) -> pa.Table:
        """Read what `admit` needs to know: whatever stands of the orders of these rows."""
        found = read_standing(self._table, rows)
        wanted = np.unique(rows[ORDER_ID].to_numpy())
        # NOT: all files. Each set would then read all those before it again; eight bytes per order save that.
        files = [file for file, ids in zip(self._files, self._order_ids, strict=True) if np.isin(wanted, ids).any()]
        if files:
            put_down = ds.dataset(files).to_table(
                columns=list(STANDING_COLUMNS), filter=ds.field(ORDER_ID).isin(pa.array(wanted))
            )
            found = pa.concat_tables([found, put_down.cast(found.schema)])
        for blames in self._blames:
            found = put_blames(found, blames)
        return found


def read_standing(table: DeltaTable, rows: pa.Table) -> pa.Table:
    """Read what `admit` needs to know of a store.

    Parameters
    ----------
    table : of the store
    rows : identified rows

    Returns
    -------
    `STANDING_COLUMNS` of everything that the store has of the orders of these rows
    """
    # NOT: by event or instant. A merge writes string views, which Arrow cannot compare, and Delta rounds the instants
    # in its log to milliseconds, so that a file with later microseconds would be passed over.
    is_needed = ds.field(ORDER_ID).isin(pc.unique(rows[ORDER_ID]))
    return table.to_pyarrow_dataset().to_table(columns=list(STANDING_COLUMNS), filter=is_needed)


def _describe(file: Path) -> delta.DataFile:
    """Say of a data file what Delta's log keeps: its size, its rows, its first and last instants."""
    instants = parquet.read_table(file, columns=list(_DATED))
    spans = {name: pc.min_max(instants[name]) for name in _DATED}
    stats = {
        "numRecords": instants.num_rows,
        "minValues": {name: _write_instant(span["min"]) for name, span in spans.items()},
        "maxValues": {name: _write_instant(span["max"]) for name, span in spans.items()},
        "nullCount": {name: instants[name].null_count for name in _DATED},
    }
    return delta.DataFile(file.name, file.stat().st_size, time.time_ns() // 1_000_000, json.dumps(stats))


def _write_instant(instant: pa.TimestampScalar) -> str:
    return f"{instant.as_py():%Y-%m-%dT%H:%M:%S.%fZ}"
