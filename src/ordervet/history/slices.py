"""One version of a history read in slices of time, so that memory does not grow with the history.

First the ledger: what happened to which order and when, a few numbers per event. Then, slice by slice, everything.
"""

from __future__ import annotations

import hashlib
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
from ordervet.history.batch import sort_rows
from ordervet.history.disk import told_clearly
from ordervet.history.rows import EVENT_OF, to_events
from ordervet.history.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities.keyed import KeyedEvents
    from ordervet.history.store import History

_BLAME_CODES = 1_000_003
"""Weight of a known blame in the digest: a blame can become known after its event."""

_LEDGER_COLUMNS = ["event", "event_id", ORDER_ID, "seen_at", "outcome", "verdict", "blame"]
_TEXTS = ("order_id", "currency", "item_id", "category", "shop_id", "platform", "campaign", "category__")
"""Columns, or beginnings of their names, that nothing is computed from: their keyed ids are."""

_NEVER = np.iinfo(np.int64).max
_BATCH_ROWS = 131_072


@dataclass(frozen=True, slots=True)
class Ledger:
    """What happened to which order and when, the oldest first.

    Parameters
    ----------
    order_id, order_seen_at : shape (n_orders,), uint64 keyed ids, UTC microseconds
    later_row, later_seen_at : shape (n_later,), of outcomes, verdicts and corrections: position of the order, instant
    later_what : shape (n_later,), int8, positions in `words`
    words : what happened: an outcome's kind, a verdict, or "correction"
    digest : of all events, hexadecimal; it does not depend on how they came in
    """

    order_id: NDArray[np.uint64]
    order_seen_at: NDArray[np.int64]
    later_row: NDArray[np.int64]
    later_seen_at: NDArray[np.int64]
    later_what: NDArray[np.int8]
    words: tuple[str, ...]
    digest: str


class HistorySlices:
    """One version of a history, up to an instant. Open one with `HistorySlices.open`.

    Parameters
    ----------
    history : the store
    until_us : events seen before this instant, UTC microseconds
    version : of the store
    ledger : of those events
    """

    def __init__(self, history: History, until_us: int, version: int, ledger: Ledger) -> None:
        self.version = version
        self.ledger = ledger
        self.until_us = until_us
        self._history = history
        self._places = _Places(ledger.order_id.view(np.int64))
        with told_clearly(history.path, "read"):
            self._key_id = delta.load_table(history.path).metadata().configuration[delta.KEY_ID]

    @classmethod
    def open(cls, history: History, *, until_us: int, version: int | None = None) -> Self:
        """Read the ledger of a version, the newest when none is named.

        Raises
        ------
        HistoryError
            The store is damaged, or its files of this version are gone.
        """
        at = history.version if version is None else version
        notes = _Notes()
        for batch in _scan(history, at, _LEDGER_COLUMNS, ds.field("seen_at") < _instant(until_us)):
            notes.add(batch)
        return cls(history, until_us, at, notes.build_ledger())

    def plan(self, n_orders: int) -> list[tuple[int, int]]:
        """Cut the time into slices with about so many orders each, and at most about twice as many later events.

        Returns
        -------
        (from, until) of each, UTC microseconds; together they hold every event
        """
        n_later = 2 * n_orders
        by_order, by_later = self.ledger.order_seen_at[n_orders::n_orders], self.ledger.later_seen_at[n_later::n_later]
        inner = np.unique(np.concatenate([by_order, by_later]))
        bounds = [np.iinfo(np.int64).min, *inner.tolist(), self.until_us]
        return list(pairwise(bounds))

    def read_first(self) -> KeyedEvents:
        """Read the orders of the first instant: they have the columns that all have."""
        if len(self.ledger.order_seen_at) == 0:
            return self.read(self.until_us, self.until_us)
        return self.read(int(self.ledger.order_seen_at[0]), int(self.ledger.order_seen_at[0]) + 1)

    def read(self, from_us: int, until_us: int) -> KeyedEvents:
        """Read one slice, in the order in which its events were seen.

        Events whose order is not known, or that were seen before it was, are left out (docs/definitions.md T6).
        """
        is_wanted = ds.field("seen_at") < _instant(until_us)
        if from_us > np.iinfo(np.int64).min:
            is_wanted &= ds.field("seen_at") >= _instant(delta.floor_instant(from_us))
        rows = _read_table(self._history, self.version, is_wanted)
        return self._to_events(rows.filter(pa.array(_ints(rows["seen_at"]) >= from_us)))

    def read_in_turn(self, n_orders: int, scratch: Path) -> Iterator[KeyedEvents]:
        """Read all slices of about so many orders, the oldest first, without the texts that nothing is computed from.

        Every file of the store is read once, however its rows lie in time: they are sorted out into a file per slice.

        Parameters
        ----------
        n_orders : see `plan`
        scratch : a folder for those files, emptied before and removed afterwards

        Raises
        ------
        HistoryError
            The store cannot be read, or the scratch folder cannot be written.
        """
        bounds = self.plan(n_orders)
        is_wanted = ds.field("seen_at") < _instant(self.until_us)
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            # SPEED: benchmarks/bench_retrain.py. NOT: `read` for each slice. It decodes every file that overlaps the
            # slice, and where files overlap in time that grows with the square of the history.
            with Spool(scratch, [from_us for from_us, _ in bounds]) as spool:
                columns = [name for name in _list_columns(self._history, self.version) if not name.startswith(_TEXTS)]
                for batch in _scan(self._history, self.version, columns, is_wanted):
                    spool.add(batch, _ints(batch["seen_at"]))
                for part in spool.read_in_turn():
                    yield self._to_events(part)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _to_events(self, rows: pa.Table) -> KeyedEvents:
        rows = sort_rows(rows)
        place, seen_at = self._places.find(_ints(rows[ORDER_ID])), self.ledger.order_seen_at
        known_from = np.where(place >= 0, seen_at[place], _NEVER) if len(seen_at) else np.full(len(place), _NEVER)
        is_usable = _ints(rows["seen_at"]) >= known_from
        # NOTE: what is left over is about orders of this slice or of earlier ones, so it is a tail (`to_events`).
        return to_events(rows.filter(pa.array(is_usable)), self._key_id, is_tail=True)


class _Places:
    """Where each of many ids stands."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._sorter = np.argsort(ids, kind="stable")
        self._sorted = ids[self._sorter]

    def find(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find positions, shape (len(wanted),); -1 where an id is not known."""
        if len(self._sorted) == 0:
            return np.full(len(wanted), -1)
        # SPEED: benchmarks/bench_retrain.py. Looked up in their own order, ids find what was just read still at hand.
        by_id = np.argsort(wanted)
        at = np.minimum(np.searchsorted(self._sorted, wanted[by_id]), len(self._sorted) - 1)
        found = np.empty(len(wanted), np.int64)
        found[by_id] = np.where(self._sorted[at] == wanted[by_id], self._sorter[at], -1)
        return found


@dataclass(slots=True)
class _Notes:
    """The ledger in the making: a few numbers per event, batch by batch."""

    ids: list[NDArray[np.int64]] = field(default_factory=list)
    seen_at: list[NDArray[np.int64]] = field(default_factory=list)
    what: list[NDArray[np.int8]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def add(self, batch: pa.RecordBatch) -> None:
        self.ids.append(_ints(batch[ORDER_ID]))
        self.seen_at.append(_ints(batch["seen_at"]))
        coded = pc.coalesce(*(batch[name].cast(pa.string()) for name in ("outcome", "verdict", "event")))
        coded = coded.dictionary_encode()
        named = coded.dictionary.to_pylist()
        self.words += [word for word in named if word not in self.words]
        position = np.array([self.words.index(word) for word in named] or [0], np.int8)
        self.what.append(position[np.asarray(coded.indices)])
        self.sums = [(one + other) % 2**64 for one, other in zip(self.sums, _sum_up(batch), strict=True)]

    def build_ledger(self) -> Ledger:
        ids, seen_at = (np.concatenate([*parts, np.zeros(0, np.int64)]) for parts in (self.ids, self.seen_at))
        what = np.concatenate([*self.what, np.zeros(0, np.int8)])
        order_code = self.words.index(EVENT_OF["orders"]) if EVENT_OF["orders"] in self.words else -1
        orders = np.flatnonzero(what == order_code)
        orders = orders[np.lexsort((ids[orders], seen_at[orders]))]
        order_seen_at = seen_at[orders]
        later = np.flatnonzero(what != order_code)
        place = _Places(ids[orders]).find(ids[later])
        is_usable = place >= 0
        is_usable[is_usable] = seen_at[later[is_usable]] >= order_seen_at[place[is_usable]]
        later, place = later[is_usable], place[is_usable]
        by_time = np.lexsort((ids[later], seen_at[later]))
        words = tuple(sorted(set(self.words) - {EVENT_OF["orders"]}))
        position = np.array([words.index(word) if word in words else 0 for word in self.words] or [0], np.int8)
        return Ledger(
            order_id=ids[orders].view(np.uint64),
            order_seen_at=order_seen_at,
            later_row=place[by_time],
            later_seen_at=seen_at[later[by_time]],
            later_what=position[what[later[by_time]]],
            words=words,
            digest=hashlib.sha256(",".join(map(str, self.sums)).encode()).hexdigest()[:32],
        )


def _sum_up(batch: pa.RecordBatch) -> list[int]:
    """Sum events up whatever their order: how many, their ids, and ids mixed with what can change."""
    ids = _ints(batch["event_id"]).view(np.uint64)
    has_blame = np.asarray(pc.is_valid(batch["blame"]))
    with np.errstate(over="ignore"):
        mixed = (ids ^ (ids >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        sums = (ids.sum(), mixed.sum(), (mixed[has_blame] * np.uint64(_BLAME_CODES)).sum())
    return [len(ids), *(int(part) for part in sums)]


def _scan(
    history: History, version: int, columns: list[str] | None, is_wanted: ds.Expression
) -> Iterator[pa.RecordBatch]:
    with _told_of(history, version):
        table = delta.load_table(history.path, version)
        # NOTE: hardly anything is read ahead, so that memory holds a few batches and not a few files.
        yield from table.to_pyarrow_dataset().to_batches(
            columns=columns, filter=is_wanted, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1
        )


def _read_table(history: History, version: int, is_wanted: ds.Expression) -> pa.Table:
    with _told_of(history, version):
        return delta.load_table(history.path, version).to_pyarrow_dataset().to_table(filter=is_wanted)


def _list_columns(history: History, version: int) -> list[str]:
    with _told_of(history, version):
        names: list[str] = delta.load_table(history.path, version).to_pyarrow_dataset().schema.names
    return names


@contextmanager
def _told_of(history: History, version: int) -> Iterator[None]:
    with told_clearly(history.path, "read"):
        try:
            yield
        except FileNotFoundError:
            raise HistoryError(
                f"the history {history.path.name} cannot be read: files of version {version} are gone",
                hint="run it again; vacuum keeps the files of the last days, erase_buyer keeps none",
            ) from None


def _instant(at_us: int) -> pa.Scalar:
    return pa.scalar(at_us, pa.int64()).cast(INSTANT)


def _ints(column: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
    return np.asarray(pc.cast(column, pa.int64(), safe=False))
