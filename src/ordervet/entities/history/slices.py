"""One version of a history read in slices of time, so that memory does not grow with the history.

First the ledger: what happened to which order and when, a few numbers per event. Then, slice by slice, everything.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.contract.schemas import INSTANT
from ordervet.entities.history import delta
from ordervet.entities.history.batch import sort_rows
from ordervet.entities.history.disk import told_clearly
from ordervet.entities.history.rows import EVENT_OF, find_seen_at, to_events
from ordervet.entities.keyed import ORDER_ID
from ordervet.errors import HistoryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.history.store import History
    from ordervet.entities.keyed import KeyedEvents

_BLAME_CODES = 1_000_003
"""Weight of a known blame in the digest: a blame can become known after its event."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What happened to which order and when, the oldest first.

    Parameters
    ----------
    order_id, order_seen_at : shape (n_orders,), uint64 keyed ids, UTC microseconds
    later_order_id, later_seen_at : shape (n_later,), of outcomes, verdicts and corrections
    later_what : shape (n_later,), int8, positions in `words`
    words : what happened: an outcome's kind, a verdict, or "correction"
    digest : of all events, hexadecimal; it does not depend on how they came in
    """

    order_id: NDArray[np.uint64]
    order_seen_at: NDArray[np.int64]
    later_order_id: NDArray[np.uint64]
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
        columns = ["event", "event_id", ORDER_ID, "seen_at", "outcome", "verdict", "blame"]
        rows = _scan(history, at, columns, ds.field("seen_at") < _instant(until_us))
        return cls(history, until_us, at, _build_ledger(rows))

    def plan(self, n_orders: int) -> list[tuple[int, int]]:
        """Cut the time into slices with about so many orders each.

        Returns
        -------
        (from, until) of each, UTC microseconds; together they hold every event
        """
        inner = np.unique(self.ledger.order_seen_at[n_orders::n_orders])
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
        rows = _scan(self._history, self.version, None, is_wanted)
        rows = sort_rows(rows.filter(pa.array(_ints(rows["seen_at"]) >= from_us)))
        orders = (self.ledger.order_id.view(np.int64), self.ledger.order_seen_at)
        return to_events(rows, self._key_id, orders=orders)


def _scan(history: History, version: int, columns: list[str] | None, is_wanted: ds.Expression) -> pa.Table:
    with told_clearly(history.path, "read"):
        try:
            table = delta.load_table(history.path, version)
            return table.to_pyarrow_dataset().to_table(columns=columns, filter=is_wanted)
        except FileNotFoundError:
            raise HistoryError(
                f"the history {history.path.name} cannot be read: files of version {version} are gone",
                hint="run it again; vacuum keeps the files of the last days, erase_buyer keeps none",
            ) from None


def _build_ledger(rows: pa.Table) -> Ledger:
    is_order = np.asarray(pc.equal(rows["event"], EVENT_OF["orders"]))
    ids, seen_at = _ints(rows[ORDER_ID]), _ints(rows["seen_at"])
    order_rows = np.flatnonzero(is_order)
    order_rows = order_rows[np.lexsort((ids[order_rows], seen_at[order_rows]))]
    order_id, order_seen_at = ids[order_rows], seen_at[order_rows]
    later = np.flatnonzero(~is_order)
    later = later[seen_at[later] >= find_seen_at(ids[later], order_id, order_seen_at)]
    later = later[np.lexsort((ids[later], seen_at[later]))]
    coded = _name_what(rows).combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    words = tuple(sorted(coded.dictionary.to_pylist()))
    position = np.array([words.index(word) for word in coded.dictionary.to_pylist()] or [0], np.int8)
    what = position[np.asarray(coded.indices)]
    return Ledger(
        order_id=order_id.view(np.uint64),
        order_seen_at=order_seen_at,
        later_order_id=ids[later].view(np.uint64),
        later_seen_at=seen_at[later],
        later_what=what[later],
        words=words,
        digest=_digest(rows),
    )


def _name_what(rows: pa.Table) -> pa.ChunkedArray:
    return pc.coalesce(*(rows[name].cast(pa.string()) for name in ("outcome", "verdict", "event")))


def _digest(rows: pa.Table) -> str:
    """Digest events whatever their order: how many, the sums of their ids and of ids mixed with what can change."""
    ids = _ints(rows["event_id"]).view(np.uint64)
    has_blame = np.asarray(pc.is_valid(rows["blame"]))
    with np.errstate(over="ignore"):
        mixed = (ids ^ (ids >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        sums = (ids.sum(), mixed.sum(), (mixed[has_blame] * np.uint64(_BLAME_CODES)).sum())
    text = ",".join(str(int(part)) for part in (len(ids), *sums))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _instant(at_us: int) -> pa.Scalar:
    return pa.scalar(at_us, pa.int64()).cast(INSTANT)


def _ints(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(pc.cast(column, pa.int64(), safe=False))
