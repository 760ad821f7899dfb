"""The state of a scorer on a history store: every event is in the journal before it is acknowledged.

The state is restored from the newest snapshot that fits the store and the events after it; without one, by replay.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract import Events
from ordervet.entities import key_events
from ordervet.entities.ids import to_signed
from ordervet.entities.keyed import ID, KEYED_KINDS, ORDER_ID
from ordervet.errors import HistoryError
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.history import IngestStatus
from ordervet.history.contents import import_contents
from ordervet.history.erased import Tombstones
from ordervet.history.identity import Digest, digest_rows, identify
from ordervet.history.snapshots import list_snapshots, load_header, load_snapshot, save_snapshot
from ordervet.history.stored_rows import (
    fit_rows,
    from_plain,
    read_ints,
    row_schema,
    split_kind,
    split_rows,
    to_events,
    to_rows,
    unite_schemas,
    write_line,
)
from ordervet.history.writer import LiveHistory
from ordervet.score.clock import NEVER, now_us
from ordervet.score.online_state import (
    NEVER_AHEAD,
    OnlineState,
    Taken,
    advance,
    find_earliest,
    find_latest,
    require_engine,
)
from ordervet.score.recount import REST, RETRY_S, Built, Recount

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities import Key, KeyedEvents
    from ordervet.features import FeatureSpec
    from ordervet.history import History
    from ordervet.history.arrivals import Arrival, Arrivals, Settled
    from ordervet.history.journal import Durability
    from ordervet.history.views import Row
    from ordervet.history.writer import Backlog
    from ordervet.score.live_event import LiveEvent
    from ordervet.score.live_order import KeptOrder, LiveOrder
    from ordervet.score.online_state import Answered, Decided, Features


T = TypeVar("T")

SNAPSHOT_AFTER = 500_000
"""A running scorer writes a snapshot every so many events."""

SNAPSHOT_FROM = 20_000
"""A history with fewer events is replayed in no time, and has no snapshot."""

_OF_HISTORY = "history/"
_log = logging.getLogger("ordervet")
_OF_ALL = ("event", "event_id", ORDER_ID, "seen_at", "recorded_at")
_OF_ORDERS = (*_OF_ALL, "happened_at", "amount_minor", "currency", "buyer_registered_at", "place_type")
_OF_LATER = (*_OF_ALL, "happened_at", "outcome", "refund_type", "amount_minor", "blame", "verdict")


class DurableState(OnlineState):
    """Keeps events in a history store, as its only writer, until it is closed.

    Parameters
    ----------
    history : an existing store
    key : the identifier key
    spec : the features; None without a model: events are stored all the same
    n_jobs : threads for many events
    durability, flush_after_s, flush_after : as for `LiveHistory`
    snapshot_from, snapshot_after : least number of events for a snapshot, and number of events between two
    clock : as for `OnlineState`

    Raises
    ------
    HistoryError
        Another process is writing the history, or it cannot be read or written.
    """

    def __init__(
        self,
        history: History,
        key: Key,
        spec: FeatureSpec | None,
        *,
        n_jobs: int = 1,
        durability: Durability = "batch",
        flush_after_s: float = 30.0,
        flush_after: int = 20_000,
        snapshot_from: int = SNAPSHOT_FROM,
        snapshot_after: int = SNAPSHOT_AFTER,
        clock: Callable[[], int] = now_us,
    ) -> None:
        super().__init__(key, spec, n_jobs=n_jobs, clock=clock)
        self.history_version = history.version
        self._folder: Path = history.path
        self._erased = Tombstones(history.path, key)
        self._snapshot_from, self._snapshot_after = snapshot_from, snapshot_after
        self._last_seen_at, self._ids_at_last = NEVER, set[int]()
        self._n_new, self._saving = 0, threading.Thread()
        self._ahead_rows: list[pa.Table] = []  # identities and times of what is held
        self._recount: Recount | None = None
        self._counted = Digest(0, 0)  # of the amended views that count, less those of the table that do not
        self._counted_at = NEVER  # amended views that came by then count
        self._is_failing = False  # they could not be counted the last time
        self._has_seen_erased = False  # an order that nothing is kept of has been asked about
        self._live = LiveHistory(
            history, durability=durability, flush_after_s=flush_after_s, flush_after=flush_after
        )  # fmt: skip
        try:
            if spec is None:
                self._live.recall()
                self._read_all()
            elif not self._restore(spec):
                self._live.recall()
                self._rebuild(spec)
            self._live.look_around()
        except BaseException:
            self._live.close()
            raise

    @property
    def last_seen_at(self) -> int | None:
        """Time of the last event in the history, UTC microseconds; None before the first."""
        return None if self._last_seen_at == NEVER else self._last_seen_at

    @property
    def backlog(self) -> Backlog:
        """What is not in the table yet."""
        return self._live.backlog

    def add_new(self, ones: Sequence[LiveOrder]) -> list[NDArray[np.float32]] | None:
        """Journal new orders that arrive now, in one entry, then add them; see `OnlineState.add_new`."""
        matrices = super().add_new(ones)
        self._save_if_due()
        return matrices

    def is_erased(self, one: KeptOrder) -> bool:
        """Return whether an order is of before its buyer was erased: the history stays without it."""
        if not self._erased:
            return False
        ids = one.keyed.ids
        return self._erased.cover_order(one.name_id, to_signed(ids.get("buyer", 0)), one.placed_us)

    def add_order(self, one: LiveOrder) -> Taken:
        """Journal one order that arrives now, then add it, except one that was erased; see `OnlineState.add_order`."""
        if self.is_erased(one.kept):
            matrix = None
            if self._engine is not None:
                matrix = self.ask_one_again(one)
                # NOTE: the state has seen it now, and is built again without it.
                self._n_amended, self._has_seen_erased = self._n_amended + 1, True
            return Taken(IngestStatus.ERASED, one.kept.name_id, matrix)
        taken = super().add_order(one)
        self._save_if_due()
        return taken

    def add_event(self, one: LiveEvent, arrived_at: int, settled: Settled | None = None) -> None:
        """Journal one later event that arrives now, then add it, except of an erased order; see `OnlineState`."""
        if self._erased.cover_event(one.name_id):
            return
        super().add_event(one, arrived_at, settled)
        self._save_if_due()

    def _save_if_due(self) -> None:
        if self._n_new >= self._snapshot_after:
            self.save_snapshot()

    def read_answers(self, since_us: int) -> list[Row]:
        """Read the requests that were answered, of the table; see `OnlineState.read_answers`."""
        return self._live.read_answers(since_us)

    def keep_decisions(self, decided: Sequence[Decided | Answered]) -> None:
        """Journal what was decided; see `OnlineState.keep_decisions`."""
        self._live.append([(each.name_id, write_line(each.row)) for each in decided])

    def _keep(self, one: KeptOrder | LiveEvent, settled: Settled, arrived_at: int) -> None:
        """Journal an arrival."""
        line = one.line if settled.row is None else write_line(settled.row)
        self._live.append([(one.name_id, line)])
        self._note_kept(one, settled, arrived_at)

    def _keep_new(self, ones: Sequence[LiveOrder]) -> None:
        """Journal new orders, in one entry."""
        self._live.append([(one.kept.name_id, one.kept.line) for one in ones])

    def _note_kept(self, one: KeptOrder | LiveEvent, settled: Settled, arrived_at: int) -> None:
        """Note what is journalled of an arrival."""
        self._live.arrivals.note(one, settled.row)
        if settled.status is not IngestStatus.ACCEPTED:
            return
        event_id = one.event_id if settled.row is None else settled.row["event_id"]
        if one.seen_at > arrived_at:
            self._ahead_rows.append(
                from_plain([{"event_id": event_id, "seen_at": one.seen_at}]).select(["event_id", "seen_at"])
            )
        else:
            self._note_one(one.seen_at, event_id)

    def _note_one(self, seen_at: int, event_id: int) -> None:
        if seen_at > self._last_seen_at:
            self._last_seen_at, self._ids_at_last = seen_at, set()
        self._ids_at_last.add(event_id)
        self._n_new += 1
        if self._recount is not None:
            self._recount.noted.add(event_id)

    @property
    def _arrivals(self) -> Arrivals:
        return self._live.arrivals

    def _read_standing(self, one: Arrival) -> list[Row]:
        return self._live.read_standing(one)

    def read_judgements(self) -> tuple[pa.Table, pa.Table]:
        """Return the verdicts and corrections of the table, as when it was opened or last changed in bulk."""
        return self._live.read_judgements()

    _is_lasting = True

    def add_past(self, events: Events | KeyedEvents) -> Features:
        """Ingest events of any time, those that are new; see `OnlineState.add_past`.

        Orders that the history knows get the features of their own time.

        Raises
        ------
        ModelError
            There is no model.
        HistoryError
            The events are already keyed, or the history cannot be written.
        """
        engine = require_engine(self._engine)
        if not isinstance(events, Events):
            raise HistoryError(
                "events that are already keyed cannot be ingested by the scorer of a history",
                hint="pass the events as they were read",
            )
        with self.changes:
            return self._ingest(engine, events)

    def _ingest(self, engine: FeatureEngine, events: Events) -> Features:
        self._ledger = None
        with self._live.bulk_change() as history:
            (ingested,) = history.ingest_all([events])
        keyed = key_events(events, self._key)
        n_events = sum(len(statuses) for statuses in ingested.statuses.values())
        is_plain = ingested.count(IngestStatus.ACCEPTED) == n_events and find_latest(keyed) <= self._find_present()
        if is_plain and find_earliest(keyed) > self._last_seen_at:
            self._note_events(keyed)
            return advance(engine, keyed)
        every = self._replay(engine.spec)
        at = pc.index_in(keyed.orders["id__order"], every.orders["id__order"].combine_chunks())
        return every.take(np.asarray(at))

    def rebuild(self, spec: FeatureSpec) -> None:
        """Switch to other features: the history is replayed for them."""
        with self.changes:
            self._live.flush()
            self._rebuild(spec)

    def _build_again(self, spec: FeatureSpec | None) -> None:
        self._ledger = None
        self._join_saving()
        with self._live.bulk_change():  # reads again what the table has
            self._erased = Tombstones(self._folder, self._key)
        if spec is None:
            self._read_all()
        else:
            self._rebuild(spec)

    def refresh(self) -> bool:
        """Return False: the only writer of a store has nothing to read from it."""
        return False

    def change_history(self, change: Callable[[History], T]) -> T:
        """Change the flushed history in bulk, then rebuild the state from it; see `Scorer.change_history`."""
        self._ledger = None
        self._join_saving()
        with self.changes:
            with self._live.bulk_change() as history:
                changed = change(history)
            self._erased = Tombstones(self._folder, self._key)
            if self._engine is None:
                self._read_all()
            else:
                self._rebuild(self._engine.spec)
        return changed

    def flush(self) -> None:
        """Write everything acknowledged so far to the table, for other processes to read."""
        with self.changes:
            self._live.flush()

    def save_snapshot(self, *, waits: bool = False) -> None:
        """Write a snapshot of the state in the background; a failure is logged, and nothing is lost.

        Parameters
        ----------
        waits : return only when it is written
        """
        if self._engine is None or self._saving.is_alive() or self._has_seen_erased:
            return
        self._n_new = 0
        try:
            self._live.sync()
        except HistoryError as error:
            _log.error("no snapshot: %s", error.message)
            return
        arrays, state = self._engine.export_state()
        header = {
            "key_id": self._key.key_id,
            "spec_hash": self._engine.spec.hash,
            "state": state,
            "last_seen_at": self._last_seen_at,
            "ids_at_last": sorted(self._ids_at_last),
            "counted_at": self._counted_at,
            "digest": list(self._live.arrivals.digest() + self._counted - self._digest_ahead()),
        }
        copies = arrays if waits else {name: array.copy() for name, array in arrays.items()}
        self._saving = threading.Thread(target=self._save, args=(copies, header), daemon=True)
        self._saving.start()
        if waits:
            self._saving.join()

    def close(self) -> None:
        """Flush everything to the table, write a snapshot, and release the history."""
        if self._recount is not None:
            self._recount.join()
        self._join_saving()
        if self._n_new and not self.changes.depth:
            self.save_snapshot(waits=True)
        self._live.close()

    def _save(self, arrays: dict[str, NDArray[Any]], header: dict[str, Any]) -> None:
        if header["digest"][0] < self._snapshot_from:
            return
        try:
            contents, more = self._live.export_contents()
            named = {_OF_HISTORY + name: array for name, array in more.items()}
            save_snapshot(self._folder, arrays | named, header | {"contents": contents}, self._key)
        except OSError as error:
            _log.error("the snapshot of the history %s cannot be written: %s", self._folder.name, error.strerror)
        except HistoryError as error:
            _log.error("no snapshot: %s", error.message)

    def _join_saving(self) -> None:
        if self._saving.is_alive():
            self._saving.join()

    def _restore(self, spec: FeatureSpec) -> bool:
        """Restore the state from the newest snapshot that fits and the events after it; return whether any did."""
        for path in list_snapshots(self._folder):
            try:
                if self._restore_from(path, spec):
                    return True
                _log.info("snapshot %s is of another state of the history; it is ignored", path.name)
            except HistoryError as error:
                _log.warning("%s; it is ignored", error.message)
        return False

    def _restore_from(self, path: Path, spec: FeatureSpec) -> bool:
        header = load_header(path, self._key)
        if (header["key_id"], header["spec_hash"]) != (self._key.key_id, spec.hash):
            return False
        last_seen_at, ids_at_last = header["last_seen_at"], set(header["ids_at_last"])
        arrays = load_snapshot(path, self._key).arrays
        # NOTE: copies; the others are taken over by the core.
        of_history = {
            name.removeprefix(_OF_HISTORY): arrays.pop(name).copy()
            for name in [*arrays]
            if name.startswith(_OF_HISTORY)
        }
        files = import_contents(header["contents"], of_history)
        digest, counted_at = Digest(*header["digest"]), header["counted_at"]
        found = self._live.read_tail(last_seen_at, ids_at_last, digest, counted_at, files)
        if found is None:
            return False
        self._engine = FeatureEngine.restore(spec, arrays, header["state"], n_jobs=self._n_jobs)
        self._live.resume(found, of_history["keys"], of_history["shared_names"])
        self._last_seen_at, self._ids_at_last = last_seen_at, ids_at_last
        self._counted, self._counted_at = Digest(0, 0) - found.amended, counted_at
        self._n_amended = found.amended.n_rows
        tail = self._hold_rows_ahead(found.rows)
        self._note(tail)
        if tail.num_rows:
            remember_rows(self._engine, tail, tail, self._key.key_id)
        self._n_new = tail.num_rows
        return True

    def _read_quota_events(self, columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        self._live.flush()
        orders, later = self._live.read_columns([*_OF_ALL, "happened_at", *columns], [*_OF_LATER])
        return split_kind(orders, "orders"), split_kind(later, "outcomes")

    def _replay(self, spec: FeatureSpec) -> Features:
        """Rebuild the state from the whole history; return the features of all its orders."""
        rows = self._live.read()
        features = advance(FeatureEngine(spec, n_jobs=self._n_jobs), to_events(rows, self._key.key_id))
        self._rebuild(spec)
        return features

    def _rebuild(self, spec: FeatureSpec) -> None:
        """Rebuild the state from the whole history."""
        parts = self._live.read_columns(*list_state_columns(spec))
        self._forget_ahead()
        self._recount, self._n_amended = None, 0
        orders, later = (self._hold_rows_ahead(rows) for rows in parts)
        self._counted, self._counted_at = self._live.arrivals.amended, self._clock()
        self._last_seen_at, self._ids_at_last = NEVER, set()
        self._note(orders)
        self._note(later)
        self._engine = build_state(orders, later, spec, self._key.key_id, n_jobs=self._n_jobs)
        self._has_seen_erased = False
        self._join_saving()
        self.save_snapshot()

    def _apply(self, act: Callable[[FeatureEngine], T]) -> T:
        if self._recount is not None:
            self._recount.missed.append(act)
        return super()._apply(act)

    def _count_amended(self) -> None:
        """Build the state again if views were amended since: a large one beside the one in use; see `OnlineState`."""
        if self._recount is not None:
            if self._recount.is_done:
                self._take_recount(self._recount)
        elif self._n_amended and not (self._rests() and (self._is_large or self._is_failing)):
            engine = require_engine(self._engine)
            if self._is_large:
                self._recount = self._start_recount(engine.spec)
                return
            try:
                super()._count_amended()
                self._is_failing = False
            except HistoryError as error:
                self._put_off(error)

    def _put_off(self, error: Exception) -> None:
        """Count amended views later; orders are scored by the state in use, and nothing is lost."""
        self._n_amended, self._is_failing = self._n_amended + 1, True
        self._rests_until = time.monotonic() + RETRY_S
        _log.error("amended events do not count yet: %s", getattr(error, "message", type(error).__name__))

    def _start_recount(self, spec: FeatureSpec) -> Recount:
        """Build the state again in the background, as it is now, by the views that will stand then."""
        last_seen_at, ids_at_last = self._last_seen_at, pa.array(sorted(self._ids_at_last), pa.int64())
        self._n_amended = 0
        amended, counted_at = self._live.arrivals.amended, self._clock()

        def is_in(rows: pa.Table) -> NDArray[np.bool_]:
            seen_at = read_ints(rows["seen_at"])
            is_at_last = np.asarray(pc.is_in(rows["event_id"], ids_at_last))
            return np.where(seen_at == last_seen_at, is_at_last, seen_at < last_seen_at)

        def build() -> Built:
            self._live.flush()
            parts = self._live.read_columns(*list_state_columns(spec))
            masks = [is_in(rows) for rows in parts]
            orders, later = (rows.filter(pa.array(mask)) for rows, mask in zip(parts, masks, strict=True))
            others = [rows.filter(pa.array(~mask)) for rows, mask in zip(parts, masks, strict=True)]
            engine = build_state(orders, later, spec, self._key.key_id, n_jobs=self._n_jobs)
            return Built(engine, others, amended, counted_at)

        return Recount(build)

    def _take_recount(self, recount: Recount) -> None:
        """Let a state that was built in the background take over."""
        self._recount = None
        try:
            built = recount.take()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not fail the order that comes
            self._put_off(error)
            return
        self._rests_until, self._is_failing = time.monotonic() + REST * recount.took_s, False
        ahead = [self._find_ahead(rows, recount.noted) for rows in built.others]
        if any((read_ints(rows["seen_at"]) <= built.engine.last_seen_at).any() for rows in ahead):
            self._n_amended += 1  # an event was moved into the time since; the next one has it
            return
        self._engine, self._counted, self._counted_at = built.engine, built.amended, built.counted_at
        self._has_seen_erased = False
        if not recount.keeps_ahead:
            self._forget_ahead()
            for rows in ahead:
                self._hold_rows(rows)

    def _find_ahead(self, rows: pa.Table, noted: set[int]) -> pa.Table:
        """Find what has not arrived one by one since."""
        is_live = read_ints(rows["seen_at"]) == read_ints(pc.fill_null(rows["recorded_at"].cast(pa.int64()), 0))
        is_noted = np.asarray(pc.is_in(rows["event_id"], pa.array(sorted(noted), pa.int64())))
        return rows.filter(pa.array(~(is_live | is_noted)))

    def _read_all(self) -> None:
        """Read what there is, without a model."""
        rows = self._live.read()
        self._forget_ahead()
        self._last_seen_at, self._ids_at_last = NEVER, set()
        self._note(self._hold_rows_ahead(rows))

    def _forget_ahead(self) -> None:
        self._ahead, self._ahead_rows, self._next_at = [], [], NEVER_AHEAD

    def _hold_rows_ahead(self, rows: pa.Table) -> pa.Table:
        """Hold the rows that lie ahead of the clock; return the rest."""
        # NOTE: what arrived live is not ahead, whatever the clock has done since.
        recorded_at = read_ints(pc.fill_null(rows["recorded_at"].cast(pa.int64()), 0))
        is_ahead = (read_ints(rows["seen_at"]) > self._find_present()) & (read_ints(rows["seen_at"]) != recorded_at)
        if not is_ahead.any():
            return rows
        self._hold_rows(rows.filter(pa.array(is_ahead)))
        return rows.filter(pa.array(~is_ahead))

    def _hold_rows(self, rows: pa.Table) -> None:
        if rows.num_rows:
            self._ahead_rows.append(rows.select(["event_id", "seen_at"]))
            self._hold(split_rows(fit_rows(rows, unite_schemas([rows])), self._key.key_id))

    def _hold(self, events: KeyedEvents) -> None:
        if self._recount is not None:
            self._recount.keeps_ahead = True
        super()._hold(events)

    def _release_due(self, until: int) -> None:
        super()._release_due(until)
        if self._recount is not None:
            self._recount.keeps_ahead = True
        rows = pa.concat_tables(self._ahead_rows)
        is_due = read_ints(rows["seen_at"]) <= until
        self._note(rows.filter(pa.array(is_due)))
        self._ahead_rows = [rows.filter(pa.array(~is_due))]

    def _digest_ahead(self) -> Digest:
        held = pa.concat_tables([row_schema().empty_table().select(["event_id", "seen_at"]), *self._ahead_rows])
        return digest_rows(read_ints(held["event_id"]))

    def _note_events(self, events: KeyedEvents) -> None:
        tables = [to_rows(events, kind) for kind in KEYED_KINDS]
        schema = unite_schemas(tables)
        self._note(identify(pa.concat_tables([fit_rows(table, schema) for table in tables]), self._key))

    def _note(self, rows: pa.Table) -> None:
        """Note the last time of arrival, and the events of that very microsecond."""
        if rows.num_rows == 0:
            return
        if self._recount is not None:
            self._recount.noted.update(read_ints(rows["event_id"]).tolist())
        seen_at = np.asarray(rows["seen_at"].cast(pa.int64()))
        last = int(seen_at.max())
        if last > self._last_seen_at:
            self._last_seen_at, self._ids_at_last = last, set()
        if last == self._last_seen_at:
            self._ids_at_last.update(np.asarray(rows["event_id"])[seen_at == last].tolist())


def list_state_columns(spec: FeatureSpec) -> tuple[list[str], list[str]]:
    """List the columns of a store that a state is built from: of orders, and of later events."""
    return [*_OF_ORDERS, *(f"{ID}{entity}" for entity in spec.entities)], list(_OF_LATER)


def build_state(orders: pa.Table, later: pa.Table, spec: FeatureSpec, key_id: str, *, n_jobs: int = 1) -> FeatureEngine:
    """Build a state without computing the features of its orders.

    Parameters
    ----------
    orders, later : rows of the store with the columns of `list_state_columns`, in any order
    spec : the features
    key_id : of the key that made the ids
    n_jobs : threads

    Returns
    -------
    the engine, as if it had answered every order
    """
    engine = FeatureEngine(spec, n_jobs=n_jobs)
    remember_rows(engine, orders, later, key_id)
    return engine


def remember_rows(engine: FeatureEngine, orders: pa.Table, later: pa.Table, key_id: str) -> None:
    """Add rows of the store to a state, orders and later events; see `build_state`."""
    # SPEED: benchmarks/bench_reopen.py. Features of an order itself are no part of the state, and the engine itself
    # lets events of unknown orders wait.
    bare = replace(engine.spec, names=tuple(name for name in engine.spec.names if not name.startswith("order__")))
    order_events = build_order_events(split_rows(orders, key_id).orders, bare)
    engine.remember(order_events, build_later_events(split_rows(later, key_id)))
