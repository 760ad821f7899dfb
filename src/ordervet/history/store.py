"""The history: every event that was brought in, once, durable and without personal data, as a Delta Lake table.

One table holds all kinds of events, so one commit brings in whatever belongs together: readers see all of a batch or
nothing of it. `rows.py` says what its rows are, `identity.py` when two of them are one event, docs/history.md the rest.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.contract import check_out_path, order_schema, parse_instant, read_table, write_table
from ordervet.contract.schemas import INSTANT
from ordervet.entities.keyed import ORDER_ID, key_orders
from ordervet.errors import HistoryError, KeyMismatchError
from ordervet.history import delta
from ordervet.history.batch import add_in_memory, build_batch, sort_rows
from ordervet.history.commits import commit_journal, committing
from ordervet.history.disk import remove_unused, told_clearly
from ordervet.history.identity import STANDING_COLUMNS, admit
from ordervet.history.lock import LOCK_NAME, WriterLock
from ordervet.history.rows import fit_rows, to_events, unite_schemas
from ordervet.history.snapshots import remove_snapshots
from ordervet.history.staging import Staging, read_standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from deltalake import DeltaTable

    from ordervet.contract import Events
    from ordervet.entities.keyed import KeyedEvents
    from ordervet.entities.keys import Key
    from ordervet.history.batch import Ingested

MAX_KEEP_DAYS = 28
"""Delta's log says for 30 days when a file went out of use."""

_READ_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Erased:
    """How many orders of a buyer, and later events of those, were erased."""

    n_orders: int
    n_later: int


class History:
    """A history store. Open one with `History.open`.

    Any number of processes may read while one writes; a reader sees the version that was committed last when it began.

    Parameters
    ----------
    path : folder of an existing store
    key : the key that its ids were made with

    Attributes
    ----------
    lock : the right to write it
    """

    def __init__(self, path: Path, key: Key) -> None:
        self.path = path
        self.lock = WriterLock(path)
        self._key = key

    @classmethod
    def open(cls, path: str | Path, key: Key, *, create: bool = False) -> Self:
        """Open a store.

        Parameters
        ----------
        path : its folder
        key : the identifier key
        create : make a new, empty store where there is none; the folder must be empty or not there

        Raises
        ------
        HistoryError
            There is no store, it is damaged, or it cannot be made here.
        KeyMismatchError
            The key is not the one that the store was made with, or lives only as long as this process.
        """
        folder = Path(path).resolve()
        check_lasting(key, folder)
        if create and not delta.has_table(folder):
            _create(folder, key)
        if not delta.has_table(folder):
            raise HistoryError(
                f"there is no history in {folder.name}", hint="make one with: ordervet ingest FILE... --history DIR"
            )
        with told_clearly(folder, "read"):
            settings = delta.load_table(folder).metadata().configuration
        delta.check_table(settings, key, folder)
        return cls(folder, key)

    @property
    def version(self) -> int:
        """The number of the newest version; every commit has its own."""
        with told_clearly(self.path, "read"):
            return int(delta.load_table(self.path).version())

    def ingest(self, events: Events) -> Ingested:
        """Bring in events, those that are new; see `ingest_all`."""
        return self.ingest_all([events])[0]

    def ingest_all(self, parts: Sequence[Events]) -> list[Ingested]:
        """Bring in several sets of events in one commit: all of them or, whatever happens, none.

        What the store has already is not brought in again, so files may repeat and overlap, and may come in any order:
        an event may be there before its order.

        Parameters
        ----------
        parts : one set per source; an outcome that one source has twice happened twice

        Returns
        -------
        per part, what became of its events

        Raises
        ------
        HistoryError
            Another process is writing, or the store cannot be written.
        """
        with self.staging() as staging:
            return staging.add(parts)

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """Bring in set after set, as much as there is; readers see all of it after the block, or nothing if it fails.

        Memory holds one set at a time. An outcome that a set has twice happened twice, so all that one source tells of
        an order belongs into one set.

        Yields
        ------
        the sets' way in, see `Staging.add`

        Raises
        ------
        HistoryError
            Another process is writing, or the store cannot be written.
        """
        with self._writing() as table:
            staging = Staging(self.path, table, self._key)
            try:
                yield staging
                staging.commit()
            finally:
                staging.drop()

    def read(self, *, until: datetime | str | None = None, version: int | None = None) -> KeyedEvents:
        """Read events in the order in which they were seen.

        Events whose order is not known (yet), or that were seen before it was, are left out.

        Parameters
        ----------
        until : only events seen before this instant; without a zone, Asia/Shanghai
        version : an earlier version, as long as its files are kept

        Raises
        ------
        HistoryError
            The store is damaged, or does not have the version any more.
        """
        return to_events(sort_rows(self._read_rows(until, version)), self._key.key_id)

    def preview(self, parts: Sequence[Events]) -> tuple[KeyedEvents, list[Ingested]]:
        """Tell what `read` and `ingest_all` would give if the parts were brought in; the store stays as it is."""
        stored = self._read_rows()
        batch = build_batch(parts, self._key)
        admission = admit(batch.rows, stored.select(list(STANDING_COLUMNS)))
        rows = sort_rows(add_in_memory(stored, admission))
        return to_events(rows, self._key.key_id), batch.report(admission)

    def list_files(self) -> list[Path]:
        """List the Parquet files of the newest version, for any engine that reads them."""
        with told_clearly(self.path, "read"):
            return sorted(self.path / name for name in delta.live_files(delta.load_table(self.path)))

    def catch_up(self) -> None:
        """Bring in what a scorer that died has left in the journal; without one, only ask for the right to write.

        Raises
        ------
        HistoryError
            Another process is writing, the journal is damaged, or the store cannot be written.
        """
        with self._writing():
            pass

    def compact(self) -> None:
        """Join small files into larger ones; what is read stays the same."""
        with self._writing() as table:
            delta.join_files(table)

    def vacuum(self, *, keep_days: float = 7.0) -> int:
        """Remove files that no version of the last days uses, and what killed writers left behind.

        Parameters
        ----------
        keep_days : 0 to `MAX_KEEP_DAYS`; versions that were the newest less than so many days ago can still be read

        Returns
        -------
        files removed
        """
        if not 0 <= keep_days <= MAX_KEEP_DAYS:
            raise HistoryError(
                f"keep_days: got {keep_days:g}, expected 0 to {MAX_KEEP_DAYS}", hint="history.vacuum(keep_days=7)"
            )
        with self._writing() as table:
            return len(remove_unused(self.path, delta.live_files(table), keep_days))

    def erase_buyer(self, buyer_id: str) -> Erased:
        """Erase a buyer: all orders with this buyer id, and every later event of these, from all versions.

        Versions from before can no longer be read. Exports, and the files that were brought in, are not reached.

        Parameters
        ----------
        buyer_id : as in the files

        Raises
        ------
        HistoryError
            Another process is writing, or the store cannot be written. Then erase again: until a call has returned,
            old files may still be there.
        """
        with self._writing() as table:
            remove_snapshots(self.path)
            order_ids = _find_orders(table, _key_buyer(buyer_id, self._key))
            n_rows = delta.delete_orders(table, order_ids) if len(order_ids) else 0
            delta.join_files(table)
            remove_unused(self.path, delta.live_files(table), keep_days=0)
        return Erased(len(order_ids), n_rows - len(order_ids))

    def export(self, path: str | Path) -> int:
        """Write all rows into one Parquet file, which `ingest_export` of any store with the same key takes.

        Returns
        -------
        rows written

        Raises
        ------
        FileError
            The file cannot be written; what stood there stays.
        """
        rows = sort_rows(self._read_rows())
        settings = delta.settings_for(self._key.key_id)
        write_table(rows.replace_schema_metadata(settings), check_out_path(path))
        return int(rows.num_rows)

    def ingest_export(self, path: str | Path) -> int:
        """Bring in the rows of an export, those that are new.

        Returns
        -------
        rows added

        Raises
        ------
        FileError
            The file cannot be read.
        HistoryError
            It is no export, or of another protocol; another process is writing, or the store cannot be written.
        KeyMismatchError
            It was made with another key.
        """
        rows = read_table(path)
        settings = {name.decode(): value.decode() for name, value in (rows.schema.metadata or {}).items()}
        delta.check_table(settings, self._key, Path(path))
        rows = fit_rows(rows, unite_schemas([rows]))
        with self._writing() as table:
            admission = admit(rows, read_standing(table, rows))
            if admission.new.num_rows or admission.changed.num_rows:
                delta.append_rows(table, sort_rows(admission.new), admission.changed)
        return int(admission.new.num_rows)

    def _read_rows(self, until: datetime | str | None = None, version: int | None = None) -> pa.Table:
        if version is not None and not 0 <= version <= self.version:
            raise HistoryError(
                f"the history {self.path.name} has no version {version}; the newest is {self.version}",
                hint="history.read() reads the newest",
            )
        is_seen = None if until is None else ds.field("seen_at") < pa.scalar(parse_instant(until), INSTANT)
        with told_clearly(self.path, "read"):
            for _ in range(_READ_ATTEMPTS):
                try:
                    table = delta.load_table(self.path, version)
                    return table.to_pyarrow_dataset().to_table(filter=is_seen)
                except FileNotFoundError:
                    # NOTE: a clean-up or an erasure took the files of this version away; the newest has its own.
                    if version is not None:
                        break
        version_name = "the newest version" if version is None else f"version {version}"
        raise HistoryError(
            f"the history {self.path.name} cannot be read: files of {version_name} are gone",
            hint="read the newest version; vacuum keeps the files of the last days, erase_buyer keeps none",
        )

    @contextmanager
    def _writing(self) -> Iterator[DeltaTable]:
        """Give the newest version to the only writer, and bring to the disk what it commits."""
        with told_clearly(self.path, "written"), self.lock.held():
            if not self.lock.is_kept:  # else the journal is that of a scorer in this process
                commit_journal(self.path)
            with committing(self.path) as table:
                yield table


def is_history(path: str | Path) -> bool:
    """Tell whether a folder is a history store, whatever its state."""
    return delta.has_table(Path(path))


def check_lasting(key: Key, folder: Path) -> None:
    """Refuse a key that was made up for this process: nobody could ever add to what was stored with it.

    Raises
    ------
    KeyMismatchError
        The key is ephemeral.
    """
    if key.is_ephemeral:
        raise KeyMismatchError(
            f"the history {folder.name} needs a key that outlives this process",
            hint="make one with: ordervet key new; then set ORDERVET_KEY or ORDERVET_KEY_FILE",
        )


def _create(folder: Path, key: Key) -> None:
    """Make an empty store; in a folder with other things in it, these could be taken for the store's."""
    with told_clearly(folder, "written"):
        folder.mkdir(parents=True, exist_ok=True)
        if any(entry.name != LOCK_NAME for entry in folder.iterdir()):
            raise HistoryError(
                f"{folder.name} holds other things, so no history is made in it", hint="name a new folder"
            )
        with WriterLock(folder).held():
            delta.create_table(folder, key.key_id)


def _key_buyer(buyer_id: str, key: Key) -> int:
    """Give a buyer's id as the store has it, by the same way that orders take; 0 if there is none."""
    schema = order_schema()
    order = pa.table({name: pa.array([None], schema.field(name).type) for name in schema.names}, schema=schema)
    place = schema.get_field_index("buyer_id")
    keyed = key_orders(order.set_column(place, schema.field(place), pa.array([buyer_id])), key)
    return int(keyed["id__buyer"].to_numpy().view(np.int64)[0])


def _find_orders(table: DeltaTable, buyer: int) -> pa.Array[pa.Int64Scalar]:
    if not buyer:
        return pa.array([], pa.int64())
    found = table.to_pyarrow_dataset().to_table(columns=[ORDER_ID], filter=ds.field("id__buyer") == buyer)
    return pc.unique(found[ORDER_ID])
