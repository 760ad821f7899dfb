"""The history: every ingested event once, durable and without personal data, as a Delta Lake table.

One table holds all kinds of events, so one commit adds whatever belongs together: readers see all of a batch or nothing
of it. `stored_rows.py` defines the rows, `identity.py` when two of them are the same event, docs/history.md the rest.
"""

from __future__ import annotations

import time
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
from ordervet.history.admission import admit, names_of
from ordervet.history.contents import part_judgements
from ordervet.history.delta import committing, describe_errors, remove_unused
from ordervet.history.erased import bury, find_erased, lift
from ordervet.history.handed import forget_handed, record_handed
from ordervet.history.ingest import Staging, add_in_memory, read_stored
from ordervet.history.journal import commit_journal, remove_kept
from ordervet.history.lock import LOCK_NAME, WriterLock
from ordervet.history.snapshots import remove_snapshots
from ordervet.history.stored_rows import (
    drop_replaced,
    fit_rows,
    row_schema,
    sort_rows,
    to_events,
    to_plain,
    unite_schemas,
)
from ordervet.history.through import (
    ForwardedStaging,
    ask_service,
    has_service,
    make_incoming,
    read_incoming,
    read_incoming_positions,
)
from ordervet.storage import PRIVATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from deltalake import DeltaTable

    from ordervet.contract import Events
    from ordervet.entities.keyed import KeyedEvents
    from ordervet.entities.keys import Key
    from ordervet.history.handed import HandedOrder
    from ordervet.history.ingest import Batch, Ingested
    from ordervet.history.views import Row

MAX_KEEP_DAYS = 28
"""Delta's log records removed files for 30 days."""

_OF_JUDGEMENTS = ("seen_at", *delta.OF_JUDGEMENTS)
_OF_RECENT = ("seen_at", "amount_minor", "currency")
_IS_ORDER = ds.field("id__buyer").is_valid()  # 0 where the buyer is not known
_READ_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Erased:
    """How many orders of a buyer, and later events of these, were erased."""

    n_orders: int
    n_later: int


class History:
    """A history store. Open one with `History.open`.

    Any number of processes may read while one writes; a reader sees the last version committed before it began.

    Parameters
    ----------
    path : folder of an existing store
    key : the key of its ids

    Attributes
    ----------
    lock : the right to write to it
    """

    def __init__(self, path: Path, key: Key) -> None:
        self.path = path
        self.lock = WriterLock(path)
        self.key = key

    @classmethod
    def open(cls, path: str | Path, key: Key, *, create: bool = False) -> Self:
        """Open a store.

        Parameters
        ----------
        path : its folder
        key : the identifier key
        create : create an empty store if there is none; the folder must be empty or missing

        Raises
        ------
        HistoryError
            There is no store, it is damaged, or it cannot be created here.
        KeyMismatchError
            The key is not the store's, or lives only as long as this process.
        """
        folder = Path(path).resolve()
        check_lasting(key, folder)
        with describe_errors(folder, "read"):
            if create and not delta.has_version(folder):
                _create(folder, key)
            if not delta.has_table(folder):
                raise HistoryError(
                    f"there is no history in {folder.name}", hint="create one: ordervet ingest FILE... --history DIR"
                )
            settings = delta.load_table(folder).metadata().configuration
        delta.check_table(settings, key, folder)
        return cls(folder, key)

    @property
    def version(self) -> int:
        """The number of the newest version; every commit adds one."""
        with describe_errors(self.path, "read"):
            return int(delta.load_table(self.path).version())

    def ingest(self, events: Events) -> Ingested:
        """Ingest the events that are new; see `ingest_all`."""
        return self.ingest_all([events])[0]

    def ingest_all(self, parts: Sequence[Events]) -> list[Ingested]:
        """Ingest several sets of events in one commit: all of them or, whatever happens, none.

        Events the store has already are skipped, so files may repeat and overlap, and come in any order: an event may
        precede its order.

        Parameters
        ----------
        parts : one set per source; an outcome that one source repeats happened twice

        Returns
        -------
        per part, what happened to its events

        Raises
        ------
        HistoryError
            Another process is writing, or the store cannot be written.
        """
        with self.staging() as staging:
            return staging.add(parts)

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """Ingest any number of sets; readers see all of them after the block, or none if it fails.

        Memory holds one set at a time. An outcome that a set repeats happened twice, so everything one source knows of
        an order belongs in one set.

        Yields
        ------
        see `Staging.add`

        Raises
        ------
        HistoryError
            Another process is writing, or the store cannot be written.
        """
        with self._opening_staging() as staging:
            try:
                yield staging
                staging.commit()
            finally:
                staging.drop()

    @contextmanager
    def _opening_staging(self) -> Iterator[Staging]:
        if not self._is_served:
            with self._writing() as table:
                yield Staging(self.path, table, self.key)
            return
        ask_service(self.path, "flush")
        with make_incoming(self.path) as files_in:
            yield ForwardedStaging(self.path, delta.load_table(self.path), self.key, files_in)

    @property
    def _is_served(self) -> bool:
        """Whether a service in another process is the writer, so that changes go through it."""
        return not self.lock.is_kept and has_service(self.path)

    def ingest_incoming(self, name: str) -> None:
        """Ingest the rows that another process left, in one commit; see `through.py`.

        Parameters
        ----------
        name : of the folder that they are in

        Raises
        ------
        HistoryError
            There are none, they are damaged, or the store cannot be written.
        """
        with self.staging() as staging:
            for rows in read_incoming(self.path, name):
                staging.add_rows(rows)
            staging.move_on(read_incoming_positions(self.path, name))

    def read_positions(self, names: Iterable[str]) -> dict[str, int]:
        """Read how far sources are read, those that are read at all; see `Staging.move_on`."""
        with describe_errors(self.path, "read"):
            table = delta.load_table(self.path)
            found = {name: delta.read_position(table, name) for name in names}
        return {name: at for name, at in found.items() if at is not None}

    def read(self, *, until: datetime | str | None = None, version: int | None = None) -> KeyedEvents:
        """Read events in the order they were seen.

        Events of an unknown order, or seen before their order, are skipped.

        Parameters
        ----------
        until : only events seen before this time; without a zone, Asia/Shanghai
        version : an earlier version, while its files are kept

        Raises
        ------
        HistoryError
            The store is damaged, or no longer has the version.
        """
        return to_events(sort_rows(self._read_rows(until, version)), self.key.key_id)

    def preview(self, batch: Batch) -> tuple[KeyedEvents, list[Ingested]]:
        """Return what `read` and `ingest_all` would return if the rows were ingested; the store is unchanged."""
        stored = self._read_rows(all_views=True)
        is_erased = find_erased(self.path, self.key, batch.rows)
        admission = admit(batch.rows, stored, self.key, is_erased=is_erased)
        rows = sort_rows(drop_replaced(add_in_memory(stored, admission)))
        return to_events(rows, self.key.key_id), batch.report(admission)

    def read_judgements(self) -> tuple[pa.Table, pa.Table]:
        """Read verdicts and corrections alone: order_id, seen_at, verdict and agent."""
        with describe_errors(self.path, "read"):
            stored = delta.open_dataset(self.path, delta.load_table(self.path))
            names = [name for name in ("event", *_OF_JUDGEMENTS) if name in stored.schema.names]
            rows = stored.to_table(columns=names, filter=~_IS_ORDER)
        # NOT: a filter of the dataset. A merge writes string views, which Arrow cannot compare.
        schema = pa.schema([(name, row_schema().field(name).type) for name in ("event", *_OF_JUDGEMENTS)])
        later = fit_rows(rows.set_column(0, "event", rows["event"].cast(pa.string())), schema).cast(schema)
        return part_judgements(later)

    def read_recent_orders(self, since: datetime) -> pa.Table:
        """Read of the orders since a time: seen_at, amount_minor, currency."""
        wanted = _IS_ORDER & (ds.field("view") == 0) & (ds.field("seen_at") >= pa.scalar(since, INSTANT))
        with describe_errors(self.path, "read"):
            dataset = delta.open_dataset(self.path, delta.load_table(self.path))
            found = dataset.to_table(columns=list(_OF_RECENT), filter=wanted)
        schema = pa.schema([(name, row_schema().field(name).type) for name in _OF_RECENT])
        return found.cast(schema)

    def read_answers(self, since_us: int, order_id: str | None = None) -> list[Row]:
        """Read the refund requests that were answered, each with its decision.

        Parameters
        ----------
        since_us : only those seen at or after this time, UTC microseconds
        order_id : only those of an order
        """
        with describe_errors(self.path, "read"):
            return to_plain(delta.read_answers(self.path, since_us, order_id))

    def list_files(self) -> list[Path]:
        """List the Parquet files of the newest version, for any engine that reads them."""
        with describe_errors(self.path, "read"):
            return sorted(self.path / name for name in delta.live_files(delta.load_table(self.path)))

    def catch_up(self) -> None:
        """Commit what a scorer that died left in the journal; without one, only check that the store can be written.

        A service that is running commits what it has acknowledged.

        Raises
        ------
        HistoryError
            Another process is writing, the journal is damaged, or the store cannot be written.
        """
        if self._is_served:
            ask_service(self.path, "flush")
            return
        with self._writing():
            pass

    def compact(self) -> None:
        """Compact small files into larger ones; the content is unchanged."""
        with self._writing() as table:
            delta.join_files(self.path, table)

    def vacuum(self, *, keep_days: float = 7.0) -> int:
        """Remove files that no version of the last days uses, and leftovers of killed writers.

        Parameters
        ----------
        keep_days : 0 to `MAX_KEEP_DAYS`; versions that were current within so many days stay readable

        Returns
        -------
        number of files removed
        """
        if not 0 <= keep_days <= MAX_KEEP_DAYS:
            raise HistoryError(
                f"keep_days: got {keep_days:g}, expected 0 to {MAX_KEEP_DAYS}", hint="history.vacuum(keep_days=7)"
            )
        with self._writing() as table:
            return len(remove_unused(self.path, delta.live_files(table), keep_days))

    def erase_buyer(self, buyer_id: str) -> Erased:
        """Erase a buyer: all orders with this buyer id and every later event of these, from all versions.

        Earlier versions can no longer be read. Exports and the ingested files are not touched; what they hold of the
        buyer stays out when they are ingested again, until `lift_erasure`.

        Parameters
        ----------
        buyer_id : as in the files

        Raises
        ------
        HistoryError
            Another process is writing, or the store cannot be written. Then erase again: old files may remain
            until a call has returned.
        """
        if self._is_served:
            return Erased(**ask_service(self.path, "erase", {"buyer_id": buyer_id}))
        with self._writing() as table:
            remove_snapshots(self.path)
            remove_kept(self.path)
            buyer = _key_buyer(buyer_id, self.key)
            order_ids, names = _find_orders(self.path, table, buyer)
            if buyer:
                bury(self.path, self.key, buyer, order_ids.to_numpy(), time.time_ns() // 1_000)
            forget_handed(self.path, names)
            n_rows = delta.delete_orders(self.path, table, order_ids) if len(order_ids) else 0
            delta.join_files(self.path, table)
            remove_unused(self.path, delta.live_files(table), keep_days=0)
        return Erased(len(order_ids), n_rows - len(order_ids))

    def record_handed(self, orders: Sequence[HandedOrder]) -> None:
        """Remember orders that are handed on to the desk.

        Raises
        ------
        HistoryError
            They cannot be remembered.
        """
        if self._is_served:
            ask_service(self.path, "handed", [list(each) for each in orders])
        else:
            record_handed(self.path, orders)

    def lift_erasure(self, buyer_id: str) -> bool:
        """Let the past orders of an erased buyer in again; nothing comes back by itself.

        Returns
        -------
        whether they were kept out

        Raises
        ------
        HistoryError
            Another process is writing, or the store cannot be written.
        """
        if self._is_served:
            return bool(ask_service(self.path, "lift", {"buyer_id": buyer_id})["was_erased"])
        with self._writing():
            return lift(self.path, self.key, _key_buyer(buyer_id, self.key))

    def export(self, path: str | Path) -> int:
        """Write all rows to one Parquet file, which `ingest_export` of any store with the same key accepts.

        Returns
        -------
        rows written

        Raises
        ------
        FileError
            The file cannot be written; an existing one is unchanged.
        """
        rows = sort_rows(self._read_rows(all_views=True))
        settings = delta.settings_for(self.key.key_id)
        write_table(rows.replace_schema_metadata(settings), check_out_path(path))
        return int(rows.num_rows)

    def ingest_export(self, path: str | Path) -> int:
        """Ingest the rows of an export that are new.

        Returns
        -------
        rows added

        Raises
        ------
        FileError
            The file cannot be read.
        HistoryError
            It is no export, or has another protocol; another process is writing, or the store cannot be written.
        KeyMismatchError
            It was written with another key.
        """
        rows = read_table(path)
        settings = {name.decode(): value.decode() for name, value in (rows.schema.metadata or {}).items()}
        delta.check_table(settings, self.key, Path(path))
        rows = fit_rows(rows, unite_schemas([rows]))
        with self._writing() as table:
            n_added = 0
            # NOTE: view after view, since each of them is settled against those before it.
            for view in pc.unique(pc.fill_null(rows["view"], 0)).sort().to_pylist():
                of_view = rows.filter(pc.equal(pc.fill_null(rows["view"], 0), view))
                of_view = of_view.append_column("source", pa.repeat(view, of_view.num_rows))
                is_erased = find_erased(self.path, self.key, of_view)
                stored = read_stored(self.path, table, np.unique(names_of(of_view)))
                admission = admit(of_view, stored, self.key, is_erased=is_erased)
                if admission.new.num_rows:
                    delta.append_rows(table, sort_rows(admission.new))
                    table.update_incremental()
                n_added += admission.new.num_rows
        return n_added

    def _read_rows(
        self, until: datetime | str | None = None, version: int | None = None, *, all_views: bool = False
    ) -> pa.Table:
        if version is not None and not 0 <= version <= self.version:
            raise HistoryError(
                f"the history {self.path.name} has no version {version}; the newest is {self.version}",
                hint="history.read() reads the newest",
            )
        is_seen = None if until is None else ds.field("seen_at") < pa.scalar(parse_instant(until), INSTANT)
        with describe_errors(self.path, "read"):
            for _ in range(_READ_ATTEMPTS):
                try:
                    dataset = delta.open_dataset(self.path, delta.load_table(self.path, version))
                    rows = delta.read_rows(dataset, is_wanted=is_seen)
                    return rows if all_views else delta.read_latest(dataset).keep(rows)
                except FileNotFoundError:
                    # NOTE: a vacuum or an erasure removed the files of this version; the newest has its own.
                    if version is not None:
                        break
        version_name = "the newest version" if version is None else f"version {version}"
        raise HistoryError(
            f"the history {self.path.name} cannot be read: files of {version_name} have been removed",
            hint="read the newest version; vacuum keeps the files of the last days, erase_buyer keeps none",
        )

    @contextmanager
    def _writing(self) -> Iterator[DeltaTable]:
        """Yield the newest version to the only writer, and sync what it commits."""
        with describe_errors(self.path, "written"), self.lock.held():
            if not self.lock.is_kept:  # else the journal belongs to a scorer in this process
                commit_journal(self.path, self.key)
            with committing(self.path) as table:
                yield table


def is_history(path: str | Path) -> bool:
    """Return whether a folder is a history store, in whatever state."""
    return delta.has_table(Path(path))


def check_lasting(key: Key, folder: Path) -> None:
    """Refuse a key generated for this process: nobody could ever add to what was stored with it.

    Raises
    ------
    KeyMismatchError
        The key is ephemeral.
    """
    if key.is_ephemeral:
        raise KeyMismatchError(
            f"the history {folder.name} needs a key that outlives this process",
            hint="create one: ordervet key new; then set ORDERVET_KEY or ORDERVET_KEY_FILE",
        )


def _create(folder: Path, key: Key) -> None:
    """Create an empty store, in a folder without other files, which could be taken for the store's."""
    with describe_errors(folder, "written"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        if any(entry.name not in (LOCK_NAME, delta.LOG_FOLDER) for entry in folder.iterdir()):
            raise HistoryError(
                f"{folder.name} has other files in it, so no history is created there", hint="name a new folder"
            )
        with WriterLock(folder).held():
            delta.create_table(folder, key.key_id)


def _key_buyer(buyer_id: str, key: Key) -> int:
    """Return a buyer's keyed id, built the way it is for orders; 0 if the id is absent."""
    schema = order_schema()
    order = pa.table({name: pa.array([None], schema.field(name).type) for name in schema.names}, schema=schema)
    place = schema.get_field_index("buyer_id")
    keyed = key_orders(order.set_column(place, schema.field(place), pa.array([buyer_id])), key)
    return int(keyed["id__buyer"].to_numpy().view(np.int64)[0])


def _find_orders(folder: Path, table: DeltaTable, buyer: int) -> tuple[pa.Array[pa.Int64Scalar], set[str]]:
    """Find the orders of a buyer: their keyed ids, and their ids."""
    if not buyer:
        return pa.array([], pa.int64()), set()
    dataset = delta.open_dataset(folder, table)
    found = dataset.to_table(columns=[ORDER_ID, "order_id"], filter=ds.field("id__buyer") == buyer)
    return pc.unique(found[ORDER_ID]), set(found["order_id"].to_pylist())
