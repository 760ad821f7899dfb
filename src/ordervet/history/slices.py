"""One version of a history read in slices of time, so that memory does not grow with the history.

The timeline comes first: what happened to which order and when, a few numbers per event. Then everything follows, slice
by slice.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.contract.schemas import INSTANT
from ordervet.entities.keyed import ORDER_ID
from ordervet.errors import HistoryError
from ordervet.history import delta
from ordervet.history.delta import describe_errors
from ordervet.history.stored_rows import EVENT_OF, NEVER, Positions, arrive, read_ints, sort_rows, to_events, views_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from ordervet.entities.keyed import KeyedEvents
    from ordervet.history.store import History
    from ordervet.history.stored_rows import LatestViews


_VIEW_CODES = 1_000_003
"""Weight of the number of a view in the digest: what is known of an event can change."""

_TIMELINE_COLUMNS = ["event", "event_id", ORDER_ID, "view", "seen_at", "happened_at", "outcome", "verdict"]
_TEXTS = ("order_id", "item_id", "category", "shop_id", "platform", "campaign", "category__")
"""Columns, or beginnings of their names, that nothing is computed from: their keyed ids are."""

_BATCH_ROWS = 131_072
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to which order and when, oldest first.

    Parameters
    ----------
    order_id, order_seen_at : shape (n_orders,), uint64 keyed ids, UTC microseconds
    later_row, later_seen_at : shape (n_later,), of outcomes, verdicts and corrections: row of the order, and since when
        they count
    later_kind : shape (n_later,), int8, positions in `kinds`
    kinds : what happened: an outcome's kind, a verdict, or "correction"
    digest : of all events, hexadecimal; independent of how they were ingested
    waited : int64 identity of events that were known before their order → from when they count, UTC microseconds
    """

    order_id: NDArray[np.uint64]
    order_seen_at: NDArray[np.int64]
    later_row: NDArray[np.int64]
    later_seen_at: NDArray[np.int64]
    later_kind: NDArray[np.int8]
    kinds: tuple[str, ...]
    digest: str
    waited: dict[int, int] = field(default_factory=dict)


class HistorySlices:
    """One version of a history, up to a point in time. Open one with `HistorySlices.open`.

    Parameters
    ----------
    history : the store
    until_us : events seen before this time, UTC microseconds
    version : of the store
    timeline : of those events
    """

    def __init__(self, history: History, until_us: int, version: int, timeline: Timeline) -> None:
        self.version = version
        self.timeline = timeline
        self.until_us = until_us
        self._history = history
        self._positions = Positions(timeline.order_id.view(np.int64))
        self._latest = _read_latest(history, version)
        with describe_errors(history.path, "read"):
            self._key_id = delta.load_table(history.path).metadata().configuration[delta.KEY_ID]

    @classmethod
    def open(cls, history: History, *, until_us: int, version: int | None = None) -> Self:
        """Read the timeline of a version, by default the newest.

        Raises
        ------
        HistoryError
            The store is damaged, or files of this version have been removed.
        """
        at = history.version if version is None else version
        builder = _TimelineBuilder(_read_latest(history, at))
        for batch in _scan(history, at, _TIMELINE_COLUMNS, ds.field("seen_at") < _to_scalar(until_us)):
            builder.add(batch)
        return cls(history, until_us, at, builder.build_timeline())

    def plan(self, n_orders: int) -> list[tuple[int, int]]:
        """Cut the time span into slices of about `n_orders` orders, and at most about twice as many later events.

        Returns
        -------
        (from, until) of each, UTC microseconds; together they hold every event
        """
        n_later = 2 * n_orders
        by_order, by_later = (
            self.timeline.order_seen_at[n_orders::n_orders],
            self.timeline.later_seen_at[n_later::n_later],
        )
        inner = np.unique(np.concatenate([by_order, by_later]))
        bounds = [np.iinfo(np.int64).min, *inner.tolist(), self.until_us]
        return list(pairwise(bounds))

    def read_first(self) -> KeyedEvents:
        """Read the orders seen first: they have the columns that all have."""
        if len(self.timeline.order_seen_at) == 0:
            return self.read(self.until_us, self.until_us)
        return self.read(int(self.timeline.order_seen_at[0]), int(self.timeline.order_seen_at[0]) + 1)

    def read(self, from_us: int, until_us: int) -> KeyedEvents:
        """Read one slice, in the order its events were seen.

        Events whose order is not known, or that were seen before it was, are skipped (docs/definitions.md T6).
        """
        is_wanted = ds.field("seen_at") < _to_scalar(until_us)
        if from_us > np.iinfo(np.int64).min:
            is_wanted &= ds.field("seen_at") >= _to_scalar(delta.floor_time(from_us))
        rows = _read_table(self._history, self.version, is_wanted)
        rows = rows.filter(pa.array(read_ints(rows["seen_at"]) >= from_us))
        waited = [each for each, at in self.timeline.waited.items() if from_us <= at < until_us]
        if waited:
            late = _read_table(self._history, self.version, ds.field("event_id").isin(waited))
            rows = pa.concat_tables([rows, self._put_arrivals(late)])
        return self._to_events(rows)

    def read_in_turn(self, n_orders: int, scratch: Path) -> Iterator[KeyedEvents]:
        """Read all slices, oldest first, without the texts that nothing is computed from.

        Every file of the store is read once, however its rows are spread over time: they are partitioned into one file
        per slice.

        Parameters
        ----------
        n_orders : see `plan`
        scratch : a folder for those files, emptied first and removed afterwards

        Raises
        ------
        HistoryError
            The store cannot be read, or the scratch folder cannot be written.
        """
        bounds = self.plan(n_orders)
        is_wanted = ds.field("seen_at") < _to_scalar(self.until_us)
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            # SPEED: benchmarks/bench_retrain.py. NOT: `read` for each slice. It decodes every file that overlaps the
            # slice, and where files overlap in time that grows with the square of the history.
            with Spool(scratch, [from_us for from_us, _ in bounds]) as spool:
                columns = [name for name in _list_columns(self._history, self.version) if not name.startswith(_TEXTS)]
                for batch in _scan(self._history, self.version, columns, is_wanted):
                    kept = self._put_arrivals(self._latest.keep(batch))
                    spool.add(kept, read_ints(kept["seen_at"]))
                for part in spool.read_slices():
                    yield self._to_events(part)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _put_arrivals(self, rows: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        """Let rows that waited for their order be seen when it came."""
        if not self.timeline.waited:
            return rows
        ids, seen_at = read_ints(rows["event_id"]), read_ints(rows["seen_at"])
        waited = np.flatnonzero(np.isin(ids, np.fromiter(self.timeline.waited, np.int64)))
        if not len(waited):
            return rows
        arrived_at = seen_at.copy()
        arrived_at[waited] = [self.timeline.waited[each] for each in ids[waited].tolist()]
        at = rows.schema.get_field_index("seen_at")
        return rows.set_column(at, rows.schema.field(at), pa.array(arrived_at).cast(rows.schema.field(at).type))

    def _to_events(self, rows: pa.Table) -> KeyedEvents:
        rows = sort_rows(self._latest.keep(rows))
        place, seen_at = self._positions.find(read_ints(rows[ORDER_ID])), self.timeline.order_seen_at
        known_from = np.where(place >= 0, seen_at[place], NEVER) if len(seen_at) else np.full(len(place), NEVER)
        is_usable = read_ints(rows["seen_at"]) >= known_from
        # NOTE: the rows left concern orders of this slice or of earlier ones, so they are a tail (`to_events`).
        return to_events(rows.filter(pa.array(is_usable)), self._key_id, is_tail=True)


@dataclass(slots=True)
class _TimelineBuilder:
    """Collects the timeline batch by batch: a few numbers per event."""

    latest: LatestViews
    ids: list[NDArray[np.int64]] = field(default_factory=list)
    event_ids: list[NDArray[np.int64]] = field(default_factory=list)
    seen_at: list[NDArray[np.int64]] = field(default_factory=list)
    happened_at: list[NDArray[np.int64]] = field(default_factory=list)
    what: list[NDArray[np.int8]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def add(self, all_views: pa.RecordBatch) -> None:
        batch = self.latest.keep(all_views)
        self.ids.append(read_ints(batch[ORDER_ID]))
        self.event_ids.append(read_ints(batch["event_id"]))
        self.seen_at.append(read_ints(batch["seen_at"]))
        self.happened_at.append(read_ints(batch["happened_at"]))
        coded = pc.coalesce(*(batch[name].cast(pa.string()) for name in ("outcome", "verdict", "event")))
        coded = coded.dictionary_encode()
        named = coded.dictionary.to_pylist()
        self.kinds += [word for word in named if word not in self.kinds]
        position = np.array([self.kinds.index(word) for word in named] or [0], np.int8)
        self.what.append(position[np.asarray(coded.indices)])
        self.sums = [(one + other) % 2**64 for one, other in zip(self.sums, _sum_up(batch), strict=True)]

    def build_timeline(self) -> Timeline:
        none = np.zeros(0, np.int64)
        ids, event_ids, seen_at, happened_at = (
            np.concatenate([*parts, none]) for parts in (self.ids, self.event_ids, self.seen_at, self.happened_at)
        )
        what = np.concatenate([*self.what, np.zeros(0, np.int8)])
        order_code = self.kinds.index(EVENT_OF["orders"]) if EVENT_OF["orders"] in self.kinds else -1
        orders = np.flatnonzero(what == order_code)
        orders = orders[np.lexsort((ids[orders], seen_at[orders]))]
        order_seen_at = seen_at[orders]
        later = np.flatnonzero(what != order_code)
        place = Positions(ids[orders]).find(ids[later])
        arrived_at = arrive(happened_at[later], seen_at[later], place, happened_at[orders], order_seen_at)
        waited = np.flatnonzero((arrived_at != seen_at[later]) & (arrived_at != NEVER))
        is_usable = arrived_at != NEVER
        by_time = np.lexsort((ids[later], arrived_at))
        by_time = by_time[is_usable[by_time]]
        kinds = tuple(sorted(set(self.kinds) - {EVENT_OF["orders"]}))
        position = np.array([kinds.index(each) if each in kinds else 0 for each in self.kinds] or [0], np.int8)
        return Timeline(
            order_id=ids[orders].view(np.uint64),
            order_seen_at=order_seen_at,
            later_row=place[by_time],
            later_seen_at=arrived_at[by_time],
            later_kind=position[what[later[by_time]]],
            kinds=kinds,
            digest=hashlib.sha256(",".join(map(str, self.sums)).encode()).hexdigest()[:32],
            waited=dict(zip(event_ids[later[waited]].tolist(), arrived_at[waited].tolist(), strict=True)),
        )


def _sum_up(batch: pa.RecordBatch) -> list[int]:
    """Sum up events independent of their order: how many, their ids, and ids mixed with what can change."""
    ids = read_ints(batch["event_id"]).view(np.uint64)
    views = views_of(batch).view(np.uint64)
    with np.errstate(over="ignore"):
        mixed = (ids ^ (ids >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        sums = (ids.sum(), mixed.sum(), (mixed * views * np.uint64(_VIEW_CODES)).sum())
    return [len(ids), *(int(part) for part in sums)]


def _scan(
    history: History, version: int, columns: list[str] | None, is_wanted: ds.Expression
) -> Iterator[pa.RecordBatch]:
    with _describe_missing_files(history, version):
        dataset = delta.open_dataset(history.path, delta.load_table(history.path, version))
        # NOTE: read-ahead is minimal, so that memory holds a few batches and not a few files.
        yield from dataset.to_batches(
            columns=columns,
            filter=is_wanted & delta.is_event(),
            batch_size=_BATCH_ROWS,
            batch_readahead=1,
            fragment_readahead=1,
        )


def _read_table(history: History, version: int, is_wanted: ds.Expression) -> pa.Table:
    with _describe_missing_files(history, version):
        return delta.open_dataset(history.path, delta.load_table(history.path, version)).to_table(
            filter=is_wanted & delta.is_event()
        )


def _read_latest(history: History, version: int) -> LatestViews:
    with _describe_missing_files(history, version):
        return delta.read_latest(delta.open_dataset(history.path, delta.load_table(history.path, version)))


def _list_columns(history: History, version: int) -> list[str]:
    with _describe_missing_files(history, version):
        names: list[str] = delta.open_dataset(history.path, delta.load_table(history.path, version)).schema.names
    return names


@contextmanager
def _describe_missing_files(history: History, version: int) -> Iterator[None]:
    with describe_errors(history.path, "read"):
        try:
            yield
        except FileNotFoundError:
            raise HistoryError(
                f"the history {history.path.name} cannot be read: files of version {version} have been removed",
                hint="run it again; vacuum keeps the files of the last days, erase_buyer keeps none",
            ) from None


def _to_scalar(at_us: int) -> pa.Scalar:
    return pa.scalar(at_us, pa.int64()).cast(INSTANT)


class Spool:
    """Rows partitioned by time: written in any order into one file per slice, and read back slice by slice.

    Parameters
    ----------
    folder : for these temporary files; created if need be
    starts : start of each slice, UTC microseconds, ascending; no row is older than the first
    """

    def __init__(self, folder: Path, starts: list[int]) -> None:
        self._folder = folder
        self._starts = np.array(starts, np.int64)
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._schema: pa.Schema | None = None

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._describe(error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for writer in self._writers.values():
            try:
                writer.close()
            except OSError:
                continue  # NOTE: a full disk was reported when a row did not fit.

    def add(self, batch: pa.RecordBatch, seen_at: NDArray[np.int64]) -> None:
        """Write rows to the files of their slices.

        Parameters
        ----------
        batch : rows, all batches of one schema
        seen_at : shape (n_rows,), UTC microseconds

        Raises
        ------
        HistoryError
            The folder cannot be written.
        """
        self._schema = batch.schema
        part = np.searchsorted(self._starts, seen_at, side="right") - 1
        by_part = np.argsort(part, kind="stable")
        chosen, first = np.unique(part[by_part], return_index=True)
        ends = [*first[1:].tolist(), len(part)]
        try:
            for each, start, end in zip(chosen.tolist(), first.tolist(), ends, strict=True):
                rows = batch if end - start == len(part) else batch.take(pa.array(by_part[start:end]))
                self._open(each).write_batch(rows)
        except OSError as error:
            raise self._describe(error) from None

    def read_slices(self) -> Iterator[pa.Table]:
        """Read the rows of slice after slice, in the order they were added; a file is removed once read."""
        for each in range(len(self._starts)):
            writer = self._writers.pop(each, None)
            if writer is None:
                if self._schema is not None:
                    yield self._schema.empty_table()
                continue
            try:
                writer.close()
                with pa.memory_map(str(self._path(each))) as file, pa.ipc.open_stream(file) as stream:
                    table = stream.read_all()
                self._path(each).unlink()
            except (OSError, pa.ArrowInvalid) as error:
                raise self._describe(error) from None
            yield table

    def _open(self, each: int) -> pa.ipc.RecordBatchStreamWriter:
        if each not in self._writers:
            self._writers[each] = pa.ipc.new_stream(str(self._path(each)), self._schema, options=_OPTIONS)
        return self._writers[each]

    def _path(self, each: int) -> Path:
        return self._folder / f"{each:05d}.arrow"

    def _describe(self, error: Exception) -> HistoryError:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else type(error).__name__
        return HistoryError(
            f"the folder {self._folder.name} cannot be written: {reason}",
            hint="free some space: the history is sorted there, which takes about as much as the history itself",
        )
