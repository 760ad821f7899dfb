"""Commits to the store's table, and how entries of the journal get there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.history import delta
from ordervet.history.batch import sort_rows
from ordervet.history.disk import bring_to_disk
from ordervet.history.identity import STANDING_COLUMNS, admit
from ordervet.history.journal import list_journals, read_journal, remove_journal
from ordervet.history.lines import read_lines
from ordervet.history.rows import EVENT_OF, fit_rows, row_schema, unite_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deltalake import DeltaTable

    from ordervet.history.journal import Entry


@contextmanager
def committing(folder: Path) -> Iterator[DeltaTable]:
    """Give the newest version of a store to change, and bring to the disk what is committed.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    """
    table = delta.load_table(folder)
    first_version, before = table.version(), delta.live_files(table)
    yield table
    table.update_incremental()
    if table.version() > first_version:
        bring_to_disk(folder, delta.live_files(table) - before, first_version)


def commit_journal(folder: Path) -> None:
    """Bring in what scorers that died have left in the journal; what the table has already is passed over.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock

    Raises
    ------
    HistoryError
        The journal is damaged.
    """
    journals = list_journals(folder)
    entries = [entry for path in journals for entry in read_journal(path)]
    if entries:
        commit_entries(folder, entries, is_left_over=True)
    for path in journals:
        remove_journal(path)


def commit_entries(folder: Path, entries: Sequence[Entry], *, is_left_over: bool = False) -> None:
    """Bring in entries of the journal, in one commit.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    entries : in the order in which they were acknowledged
    is_left_over : whether the table may have some of them; else only repeats are looked up
    """
    new, repeats = (
        read_lines(entry.lines for entry in entries if entry.is_repeat is is_repeat) for is_repeat in (False, True)
    )
    with committing(folder) as table:
        if not is_left_over and repeats.num_rows == 0:
            delta.append_rows(table, sort_rows(new), new.slice(0, 0))
            return
        schema = unite_schemas([new, repeats])
        rows = pa.concat_tables([fit_rows(part, schema) for part in (new, repeats)])
        admission = admit(rows, _read_by_ids(table, rows["event_id"]), is_arrival=True)
        if admission.new.num_rows or admission.changed.num_rows:
            delta.append_rows(table, sort_rows(admission.new), admission.changed)


def read_identities(folder: Path) -> pa.Table:
    """Read ``event_id``, ``seen_at`` and ``blame`` of every row of the newest version."""
    columns = ["event_id", "seen_at", "blame"]
    return delta.load_table(folder).to_pyarrow_dataset().to_table(columns=columns)


def read_arrivals(folder: Path, since_us: int | None = None) -> pa.Table:
    """Read rows of the newest version, waiting ones too, in the order seen.

    Parameters
    ----------
    folder : of the store
    since_us : only rows seen at or after this instant, UTC microseconds

    Returns
    -------
    shape (n_rows, n_columns), the columns of the store
    """
    dataset = delta.load_table(folder).to_pyarrow_dataset()
    if since_us is None:
        rows = dataset.to_table()
    else:
        seen_at = row_schema().field("seen_at").type
        since = pa.scalar(delta.floor_instant(since_us), pa.int64()).cast(seen_at)
        rows = dataset.to_table(filter=ds.field("seen_at") >= since)
        rows = rows.filter(pa.array(np.asarray(rows["seen_at"].cast(pa.int64())) >= since_us))
    return sort_rows(rows)


def read_columns(folder: Path, of_orders: list[str], of_later: list[str]) -> tuple[pa.Table, pa.Table]:
    """Read some columns of the newest version: of its orders, and of what came later, in no order.

    Parameters
    ----------
    folder : of the store
    of_orders, of_later : names; columns that the store lacks are left out
    """
    dataset = delta.load_table(folder).to_pyarrow_dataset()
    # NOTE: after a merge the table's schema has views of text, and files written before do not.
    is_order = ds.field("event").cast(pa.string()) == pa.scalar(EVENT_OF["orders"])
    known = set(dataset.schema.names)
    orders, later = (
        dataset.to_table(columns=[name for name in names if name in known], filter=is_wanted)
        for names, is_wanted in ((of_orders, is_order), (of_later, ~is_order))
    )
    return orders, later


def _read_by_ids(table: DeltaTable, event_ids: pa.ChunkedArray) -> pa.Table:
    is_asked = ds.field("event_id").isin(pa.array(np.asarray(pc.unique(event_ids))))
    return table.to_pyarrow_dataset().to_table(columns=list(STANDING_COLUMNS), filter=is_asked)
