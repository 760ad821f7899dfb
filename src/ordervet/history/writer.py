"""A history while a scorer runs on it: an event is in the journal before it is acknowledged, in the table soon after.

A background thread syncs the journal to the disk and flushes it to the table. An event that cannot be journalled is
rejected; one that cannot be flushed yet waits in the journal. A file of the journal is removed only when the table has
all of it on the disk, and what a dead scorer left is committed by the next writer, whoever that is.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.errors import HistoryError, HistoryLockedError
from ordervet.history.arrivals import Arrivals, Known
from ordervet.history.contents import add_up, describe_rows, export_contents, part_judgements
from ordervet.history.delta import (
    describe_errors,
    live_files,
    load_table,
    read_arrivals,
    read_columns,
    read_contents,
)
from ordervet.history.identity import Digest, digest_rows
from ordervet.history.journal import Entry, commit_entries, commit_journal, create_journal
from ordervet.history.places import Places
from ordervet.history.stored_rows import read_ints, row_schema, views_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from deltalake import DeltaTable
    from numpy.typing import NDArray

    from ordervet.history.arrivals import Arrival
    from ordervet.history.contents import FileContents
    from ordervet.history.journal import Durability, Journal
    from ordervet.history.store import History
    from ordervet.history.views import Row

SYNC_S = 0.05
"""With durability "batch", seconds until an acknowledged event is on the disk (longer on a busy one)."""

_COMPACT_EVERY = 100
_KEEP_DAYS = 7

_log = logging.getLogger("ordervet")


class Backlog(NamedTuple):
    """What is acknowledged and not in the table yet.

    Parameters
    ----------
    n_events : how many rows
    age_s : age of the oldest, seconds; 0 where there are none
    flushed_s : seconds since the last flush, or since it was opened
    """

    n_events: int
    age_s: float
    flushed_s: float


class Tail(NamedTuple):
    """What a table has beyond a state.

    Parameters
    ----------
    rows : seen after the state, in the order seen
    known : contents of the files that the state covers
    others : what tells the events of all other files from others
    amended : digest of the views that replace others and came after all that count in the state
    """

    rows: pa.Table
    known: dict[str, FileContents]
    others: pa.Table
    amended: Digest


@dataclass(slots=True)
class _Segment:
    """The events acknowledged between two flushes."""

    journal: Journal
    entries: list[Entry] = field(default_factory=list)
    is_tried: bool = False


class LiveHistory:
    """The only writer of a history, from now until `close`.

    One thread appends at a time; another one may flush meanwhile. Before the first append it has to `recall` what the
    table has, or to `resume`.

    Parameters
    ----------
    history : an existing store
    durability : "batch": an acknowledged event survives a crash of the process, and `SYNC_S` later also one of the
        machine; "always": it survives both at once
    flush_after_s, flush_after : flush to the table so many seconds, or so many events, after the first

    Raises
    ------
    HistoryLockedError
        Another process is writing the history, or this one lacks permission.
    HistoryError
        The history cannot be read or written, or its journal is damaged.
    """

    def __init__(
        self,
        history: History,
        *,
        durability: Durability = "batch",
        flush_after_s: float = 30.0,
        flush_after: int = 20_000,
    ) -> None:
        self._history, self._folder = history, history.path
        self._durability: Durability = durability
        self._flush_after_s, self._flush_after = flush_after_s, flush_after
        self._append_lock = threading.Lock()
        self._flush_lock = threading.RLock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._n_pending, self._pending_since, self._n_flushes = 0, 0.0, 0
        self._flushed_at = time.monotonic()
        self._recent: dict[int, list[bytes]] = {}  # lines by order id: since the last flush
        self._older: dict[int, list[bytes]] = {}  # and those being flushed, which the table lacks still
        self._places = Places(self._folder)
        self._contents: dict[str, FileContents] = {}
        self._looking = threading.Thread(target=self._look, name="ordervet places", daemon=True)
        self._pid = os.getpid()
        try:
            history.lock.keep()
        except OSError as error:
            raise HistoryLockedError(
                f"the history {self._folder.name} cannot be written: {error.strerror}",
                hint="check the permissions of its folder; to read it: Scorer.open(read_only=True), score --dry-run",
            ) from None
        with describe_errors(self._folder, "written"):
            try:
                commit_journal(self._folder, history.key)
                self._segments = [_Segment(create_journal(self._folder, durability))]
            except BaseException:
                history.lock.release()
                raise
        self._thread = threading.Thread(target=self._run, name="ordervet history", daemon=True)
        self._thread.start()

    def append(self, lines: Sequence[tuple[int, bytes]]) -> None:
        """Append rows: when this returns all of them are in the journal, or none.

        Parameters
        ----------
        lines : keyed order id alone, and a line of `rows.write_line`

        Raises
        ------
        HistoryError
            The journal cannot be written: nothing was accepted.
        """
        entry = Entry(is_repeat=False, lines=b"".join(line for _, line in lines))
        with self._append_lock:
            segment = self._segments[-1]
            segment.journal.append(entry)
            segment.entries.append(entry)
            if self._n_pending == 0:
                self._pending_since = time.monotonic()
            self._n_pending += len(lines)
            for name_id, line in lines:
                self._recent.setdefault(name_id, []).append(line)
        if not self._wake.is_set():
            self._wake.set()

    def read_standing(self, one: Arrival) -> list[Row]:
        """Read all rows that there are of an arrival's order id, also those that are not in the table yet."""
        with self._append_lock:
            lines = [line for recent in (self._older, self._recent) for line in recent.get(one.name_id, ())]
        rows: list[Row] = [json.loads(line) for line in lines]
        with describe_errors(self._folder, "read"):
            stored = self._places.read(one.name_id)
        known = {(row["event_id"], row.get("view") or 0) for row in rows}
        return [*(row for row in stored if (row["event_id"], row.get("view") or 0) not in known), *rows]

    @property
    def backlog(self) -> Backlog:
        """What waits to be flushed; of another flush that goes on meanwhile, nothing is told."""
        now, n_events = time.monotonic(), self._n_pending
        return Backlog(n_events, now - self._pending_since if n_events else 0.0, now - self._flushed_at)

    def sync(self) -> None:
        """Sync the journal to the disk."""
        with self._flush_lock, describe_errors(self._folder, "written"):
            for segment in self._segments:
                segment.journal.sync()

    def flush(self) -> None:
        """Write everything acknowledged so far to the table.

        Raises
        ------
        HistoryError
            The table or the journal cannot be written; acknowledged events stay in the journal.
        """
        with self._flush_lock, describe_errors(self._folder, "written"):
            if not self._has_pending():
                return
            if self._segments[-1].entries:
                following = _Segment(create_journal(self._folder, self._durability))
                with self._append_lock:
                    self._segments.append(following)
                    self._n_pending = 0
                    self._take_up_recent()
            done = self._segments[:-1]
            is_left_over = any(segment.is_tried for segment in done)
            for segment in done:
                segment.is_tried = True
            with self._history.lock.held():
                entries = [entry for segment in done for entry in segment.entries]
                commit_entries(self._folder, entries, self._history.key, is_left_over=is_left_over)
                for segment in done:
                    segment.journal.remove()
            self._segments = self._segments[-1:]
            self._places.forget()  # NOTE: before the lines, so that every event is in one of the two
            self._older = {}
            self.arrivals.merge()
            self._n_flushes += 1
            self._flushed_at = time.monotonic()

    @contextmanager
    def bulk_change(self) -> Iterator[History]:
        """Yield the flushed store for a change in bulk; further flushes wait meanwhile."""
        with self._flush_lock:
            self.flush()
            self._older, self._recent = {}, {}
            try:
                yield self._history
            finally:
                self.recall()

    def read(self) -> pa.Table:
        """Read all rows of the table in the order seen; `flush` first."""
        with describe_errors(self._folder, "read"):
            return read_arrivals(self._folder)

    def read_columns(self, of_orders: list[str], of_later: list[str]) -> tuple[pa.Table, pa.Table]:
        """Read some columns of all orders, and of later events, in no particular order; `flush` first."""
        with describe_errors(self._folder, "read"):
            return read_columns(self._folder, of_orders, of_later)

    def read_answers(self, since_us: int) -> list[Row]:
        """Read the refund requests that were answered, also those that are not in the table yet."""
        self.flush()
        return self._history.read_answers(since_us)

    def read_tail(
        self,
        last_seen_at: int,
        ids_at_last: set[int],
        digest: Digest,
        counted_at: int,
        files: Mapping[str, FileContents],
    ) -> Tail | None:
        """Read the rows after a state, if the table holds exactly the events of the state and later ones.

        Parameters
        ----------
        last_seen_at : time of the state's last event, UTC microseconds
        ids_at_last : the state's events of that very microsecond
        digest : of all the state's events
        counted_at : views that replaced others and came later do not count in the state, UTC microseconds
        files : contents of the files that there were then

        Returns
        -------
        what to `resume` with; None if the state is stale
        """
        with describe_errors(self._folder, "read"):
            table = load_table(self._folder)
            live = live_files(table)
            known = {name: each for name, each in files.items() if name in live and each.last_seen_at < last_seen_at}
            rows = self._read_files(table, live - known.keys())
            event_ids, seen_at = read_ints(rows["event_id"]), read_ints(rows["seen_at"])
            views = views_of(rows)
            is_inside = seen_at < last_seen_at
            at_last = np.flatnonzero(seen_at == last_seen_at)
            is_inside[at_last] = np.isin(event_ids[at_last], np.fromiter(ids_at_last, np.int64, len(ids_at_last)))
            expected, amended = digest - add_up(known), Digest(0, 0)
            if digest_rows(event_ids[is_inside], views[is_inside]) != expected:
                recorded_at = read_ints(pc.fill_null(rows["recorded_at"].cast(pa.int64()), 0))
                is_late = is_inside & (views > 0) & (recorded_at > counted_at)
                amended = digest_rows(event_ids[is_late], views[is_late])
                if digest_rows(event_ids[is_inside], views[is_inside]) - amended != expected:
                    return None
            tail = row_schema().empty_table()
            if not is_inside.all():
                later = read_arrivals(self._folder, last_seen_at, live - known.keys())
                tail = later.filter(pc.is_in(later["event_id"], pa.array(event_ids[~is_inside])))
            return Tail(tail, known, rows, amended)

    def recall(self) -> None:
        """Read what tells the events of the table from others, and what was judged."""
        self._places.forget()
        with describe_errors(self._folder, "read"):
            table = load_table(self._folder)
            self._contents = {}
            rows = self._read_files(table, live_files(table))
        self.arrivals = Arrivals(rows, self._history.key, self.read_standing)

    def resume(self, tail: Tail, keys: NDArray[np.uint64], shared_names: NDArray[np.int64]) -> None:
        """Recall what the table has, as far as a state that covers the rest of it remembers that.

        Parameters
        ----------
        tail : of `read_tail`
        keys, shared_names : as the state has them; see `arrivals.Known`
        """
        before = Known(keys, shared_names, add_up(tail.known))
        self._contents |= tail.known
        self.arrivals = Arrivals(tail.others, self._history.key, self.read_standing, before)

    def export_contents(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what the next scorer `resume`s with: a header that JSON can hold, and arrays; from any thread."""
        with describe_errors(self._folder, "read"):
            table = load_table(self._folder)
            live = live_files(table)
            self._read_files(table, live - self._contents.keys())
        header, arrays = export_contents({name: self._contents[name] for name in sorted(live)})
        known = self.arrivals.export()
        return header, arrays | {"keys": known.keys, "shared_names": known.shared_names}

    def read_judgements(self) -> tuple[pa.Table, pa.Table]:
        """Return the verdicts and corrections that the table had when it was last read, as `History` does."""
        tables = [each.judged for each in self._contents.values()]
        return part_judgements(pa.concat_tables([describe_rows(row_schema().empty_table()).judged, *tables]))

    def look_around(self) -> None:
        """Look in the background where the rows of the table are, and whether all is as it was written."""
        self._looking.start()

    def _look(self) -> None:
        try:
            with describe_errors(self._folder, "read"):
                self._places.look()
        except HistoryError as error:
            _log.error("%s", error.message)

    def _read_files(self, table: DeltaTable, names: Collection[str]) -> pa.Table:
        """Read what tells the events of some data files from others, and note their contents."""
        parts = []
        for name, rows in read_contents(self._folder, table, names) if names else ():
            self._contents[name] = describe_rows(rows)
            parts.append(rows)
        return pa.concat_tables(parts) if parts else row_schema().empty_table()

    def close(self) -> None:
        """Flush everything to the table and release the history; do nothing the second time or in a forked child."""
        if self._stop.is_set() or os.getpid() != self._pid:  # in a forked child, everything here is the parent's
            return
        self._stop.set()
        self._wake.set()
        self._thread.join()
        if self._looking.is_alive():
            self._looking.join()
        try:
            self.flush()
            self._segments[-1].journal.remove()
        except HistoryError as error:
            _log.error("%s; it stays in the journal for the next writer", error.message)
            for segment in self._segments:
                segment.journal.close()
        finally:
            self._history.lock.release()

    def _take_up_recent(self) -> None:
        """Count recent lines among those being flushed; after a failed flush there are some already."""
        older, self._older, self._recent = self._older, self._recent, {}
        for name_id, lines in older.items():
            self._older[name_id] = lines + self._older.get(name_id, [])

    def _has_pending(self) -> bool:
        """Return whether anything is in the journal; a failed flush leaves more than one segment."""
        return bool(self._segments[-1].entries) or len(self._segments) > 1

    def _run(self) -> None:
        while not self._stop.is_set():
            left_s = self._pending_since + self._flush_after_s - time.monotonic()
            if self._wake.wait(max(left_s, 0.0) if self._has_pending() else None):
                self._stop.wait(SYNC_S)  # whatever arrives meanwhile shares one sync
                self._wake.clear()
            try:
                self._catch_up()
            except HistoryError as error:
                _log.error("%s; acknowledged events are in the journal", error.message)
                self._stop.wait(min(self._flush_after_s, 1.0))
            except Exception as error:  # noqa: BLE001 - the thread must survive whatever the table's engine raises
                _log.error("flush failed: %s; acknowledged events are in the journal", type(error).__name__)
                self._stop.wait(min(self._flush_after_s, 1.0))

    def _catch_up(self) -> None:
        if self._durability == "batch":
            self.sync()
        is_due = time.monotonic() - self._pending_since >= self._flush_after_s or self._n_pending >= self._flush_after
        if is_due and self._has_pending() and not self._stop.is_set():
            self.flush()
            if self._n_flushes % _COMPACT_EVERY == 0:
                self._history.compact()
                self._history.vacuum(keep_days=_KEEP_DAYS)
                self._places.forget()
            self._look()
