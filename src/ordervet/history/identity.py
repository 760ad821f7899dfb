"""When two rows are the same event, and what ingestion does with each row.

An event's identity is what happened, to which order, and when; neither since when that is known, nor details that
become known later:

    order       order_id
    outcome     order_id, kind, happened_at, refund_type, amount_minor, and its number among equal rows of one file
    verdict     order_id, verdict, kind, by, decided_at
    correction  order_id, corrected_at

The number distinguishes line items: a file that holds an outcome twice means two. Of two rows of one event the first
one counts, with one exception: whose fault an outcome was is often decided later, so a blame is added to an outcome
that had none.

`KnownEvents` is the set of all identities of a history, looked up for every live event.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ordervet.entities.ids import hash_texts
from ordervet.entities.keyed import ORDER_ID
from ordervet.history.rows import NEVER, Positions, find_seen_at
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.keys import Key

IDENTITY_COLUMNS = ("outcome", "verdict", "malice", "decider", "happened_at", "refund_type", "amount_minor")
STORED_COLUMNS = ("event", "event_id", ORDER_ID, "seen_at", "happened_at", "amount_minor", "blame")
"""What `admit` needs to know of the rows in the store."""

UNDECIDED = "unknown"
"""The blame that carries no information."""

_SEPARATOR = "\x1f"
_MIX, _BLAMED = 0x9E3779B97F4A7C15, 0x632BE59BD9B4E019
_MASK = (1 << 64) - 1


class IngestStatus(IntEnum):
    """What ingestion did with a row.

    ACCEPTED: new to the store. MERGED: it added the blame of a known outcome. KNOWN: nothing new. EARLY: from before
    its order was seen, so never used. ERASED: of a buyer who was erased, so kept out.
    """

    ACCEPTED = 0
    MERGED = 1
    KNOWN = 2
    EARLY = 3
    ERASED = 4


@dataclass(frozen=True, slots=True)
class Admission:
    """What a batch of rows adds to the store.

    Parameters
    ----------
    statuses : shape (n_rows,), int8 codes of `IngestStatus`
    new : the rows to add
    changed : ``event_id`` and ``blame`` of the stored outcomes that get one
    is_differing : shape (n_rows,): a known order with another time or amount than the stored one
    is_waiting : shape (n_rows,): an accepted event whose order is not known yet
    """

    statuses: NDArray[np.int8]
    new: pa.Table
    changed: pa.Table
    is_differing: NDArray[np.bool_]
    is_waiting: NDArray[np.bool_]


def identify(rows: pa.Table, key: Key) -> pa.Table:
    """Fill in the `event_id` of rows from one source.

    Parameters
    ----------
    rows : of `rows.to_rows`, one kind or several
    key : the identifier key
    """
    is_order = pc.equal(rows["event"], "order")
    details = [pc.if_else(is_order, "", _format(rows[name])) for name in IDENTITY_COLUMNS]
    texts = pc.binary_join_element_wise(rows["event"], rows["order_id"], *details, _SEPARATOR)
    repeats = _number_repeats(texts, rows)
    numbered = pc.if_else(
        pa.array(repeats > 0), pc.binary_join_element_wise(texts, _format(repeats), _SEPARATOR), texts
    )
    event_ids = pa.array(hash_texts(numbered, key, "event").view(np.int64))
    return rows.set_column(rows.schema.get_field_index("event_id"), rows.schema.field("event_id"), event_ids)


def admit(
    rows: pa.Table, stored: pa.Table, *, is_live: bool = False, is_erased: NDArray[np.bool_] | None = None
) -> Admission:
    """Decide what to do with each row.

    Parameters
    ----------
    rows : identified rows, in their order of arrival
    stored : `STORED_COLUMNS` of the store's rows: of all orders, and of all later events that could be among `rows`
    is_live : the rows arrived one by one in a running scorer: none is rejected for being earlier than its order, and
        `stored` needs only the rows with the same identities
    is_erased : shape (n_rows,), rows of erased buyers, which stay out; None for none
    """
    statuses = np.full(rows.num_rows, IngestStatus.KNOWN, np.int8)
    is_early, is_unknown = _check_order_first(rows, stored)
    if is_live:
        is_early[:] = False
    statuses[is_early] = IngestStatus.EARLY
    candidates = np.flatnonzero(~is_early)
    if is_erased is not None:
        statuses[is_erased] = IngestStatus.ERASED
        candidates = np.flatnonzero(~is_early & ~is_erased)
    ids, first, group = np.unique(_ints(rows["event_id"])[candidates], return_index=True, return_inverse=True)
    first_row = candidates[first]
    stored_row = Positions(_ints(stored["event_id"])).find(ids)
    is_new = stored_row < 0

    donor = _find_blamed(rows, candidates, group, len(ids))
    had_blame = np.where(is_new, donor == first_row, has_blame(stored)[stored_row] if stored.num_rows else False)
    is_merged = (donor >= 0) & ~had_blame
    statuses[first_row[is_new]] = IngestStatus.ACCEPTED
    statuses[donor[is_merged]] = IngestStatus.MERGED

    new, changed = np.flatnonzero(is_new), np.flatnonzero(is_merged & ~is_new)
    blame = pc.if_else(pa.array(is_merged), rows["blame"].take(pa.array(np.maximum(donor, 0))), None)
    return Admission(
        statuses=statuses,
        new=_with_blame(rows, first_row[new], blame.take(pa.array(new))),
        changed=rows.select(["event_id", "blame"]).take(pa.array(donor[changed])),
        is_differing=_find_differing(rows, stored, candidates, first_row[group], stored_row[group]),
        is_waiting=is_unknown & (statuses == IngestStatus.ACCEPTED),
    )


def _check_order_first(rows: pa.Table, stored: pa.Table) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find later events from before their order was seen, and those whose order is unknown.

    The order is the stored one, else the first among the rows.
    """
    known = [table.filter(pc.equal(table["event"], "order")).select([ORDER_ID, "seen_at"]) for table in (stored, rows)]
    ids, seen_at = (np.concatenate([_ints(table[name]) for table in known]) for name in (ORDER_ID, "seen_at"))
    order_seen_at = find_seen_at(_ints(rows[ORDER_ID]), ids, seen_at)
    is_later = ~_equals(rows["event"], "order")
    is_unknown = is_later & (order_seen_at == NEVER)
    return is_later & ~is_unknown & (_ints(rows["seen_at"]) < order_seen_at), is_unknown


def _find_blamed(
    rows: pa.Table, candidates: NDArray[np.int64], group: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """Return, per group, the first row with a blame; -1 where there is none."""
    blamed = np.flatnonzero(has_blame(rows)[candidates])
    found, first = np.unique(group[blamed], return_index=True)
    donor = np.full(n_groups, -1)
    donor[found] = candidates[blamed[first]]
    return donor


def _find_differing(
    rows: pa.Table,
    stored: pa.Table,
    candidates: NDArray[np.int64],
    first_row: NDArray[np.int64],
    stored_row: NDArray[np.int64],
) -> NDArray[np.bool_]:
    is_differing = np.zeros(rows.num_rows, bool)
    is_order = _equals(rows["event"], "order")[candidates]
    for name in ("happened_at", "amount_minor"):
        own, stood = _ints(rows[name]), _ints(stored[name])
        expected = np.where(stored_row < 0, own[first_row], stood[stored_row] if len(stood) else 0)
        is_differing[candidates] |= is_order & (own[candidates] != expected)
    return is_differing


def _with_blame(rows: pa.Table, at: NDArray[np.int64], blame: pa.ChunkedArray) -> pa.Table:
    taken = rows.take(pa.array(at))
    place = taken.schema.get_field_index("blame")
    return taken.set_column(place, taken.schema.field(place), pc.coalesce(blame, taken["blame"]))


def _number_repeats(texts: pa.ChunkedArray, rows: pa.Table) -> NDArray[np.int64]:
    """Count up the outcomes of equal text, those with a blame first, so that the order of rows does not matter."""
    repeats = np.zeros(rows.num_rows, np.int64)
    encoded = texts.combine_chunks().dictionary_encode()
    if len(encoded.dictionary) == rows.num_rows:
        return repeats
    code = np.asarray(encoded.indices)
    blame = pc.fill_null(rows["blame"], "").combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(np.asarray(blame.dictionary.to_pylist() or [""])))[np.asarray(blame.indices)]
    order = np.lexsort((rank, ~has_blame(rows), code))
    begins = np.flatnonzero(np.diff(code[order], prepend=-1))
    lengths = np.diff(begins, append=len(order))
    repeats[order] = np.arange(len(order)) - np.repeat(begins, lengths)
    return np.where(_equals(rows["event"], "outcome"), repeats, 0)


def has_blame(rows: pa.Table) -> NDArray[np.bool_]:
    """Return which rows have a blame, shape (n_rows,)."""
    return np.asarray(pc.fill_null(pc.not_equal(rows["blame"], UNDECIDED), fill_value=False))


def _equals(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.equal(column, value), fill_value=False))


def _ints(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 0))


def _format(column: pa.ChunkedArray | NDArray[np.int64]) -> pa.ChunkedArray | pa.Array[pa.StringScalar]:
    """Return values as texts, times as microseconds; null as the empty text."""
    values = pa.array(column) if isinstance(column, np.ndarray) else column
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values, pa.int64())
    return pc.fill_null(pc.cast(values, pa.string()), "")


class Digest(NamedTuple):
    """An order-independent digest of a set of events.

    Parameters
    ----------
    n_events : how many
    ids : sum of their mixed identities, modulo 2**64
    blamed : the same over outcomes with a blame, which can become known later
    """

    n_events: int
    ids: int
    blamed: int

    def __add__(self, other: tuple[object, ...]) -> Digest:
        """Digest the union of two disjoint sets."""
        if not isinstance(other, Digest):
            return NotImplemented
        return Digest(
            self.n_events + other.n_events, (self.ids + other.ids) & _MASK, (self.blamed + other.blamed) & _MASK
        )


def digest_events(event_ids: NDArray[np.int64], is_blamed: NDArray[np.bool_]) -> Digest:
    """Digest events.

    Parameters
    ----------
    event_ids : shape (n,), as in the store
    is_blamed : shape (n,), whether the row has a blame
    """
    mixed = _mix(event_ids.view(np.uint64))
    blamed = _mix(mixed[is_blamed] ^ np.uint64(_BLAMED))
    return Digest(len(event_ids), int(mixed.sum()), int(blamed.sum()))


class KnownEvents:
    """The identities of all events of a history, updated by its writer.

    Parameters
    ----------
    event_ids : shape (n,), int64, those of the table, any order
    is_blamed : shape (n,), whether the row has a blame
    """

    def __init__(self, event_ids: NDArray[np.int64], is_blamed: NDArray[np.bool_]) -> None:
        self._digest = digest_events(event_ids, is_blamed)
        self._sorted = np.sort(event_ids)
        self._settling: dict[int, bool] = {}
        self._lock = threading.Lock()
        self._recent: dict[int, bool] = {}

    def __contains__(self, event_id: int) -> bool:
        if event_id in self._recent or event_id in self._settling:
            return True
        at = int(self._sorted.searchsorted(event_id))
        return at < len(self._sorted) and int(self._sorted[at]) == event_id

    def add(self, event_id: int, *, is_blamed: bool = False) -> None:
        """Add a new event."""
        with self._lock:
            self._recent[event_id] = is_blamed

    def digest(self) -> Digest:
        """Digest all events."""
        return self._digest + _digest_dict(self._settling) + _digest_dict(self._recent)

    def settle(self) -> None:
        """Merge recent identities into the sorted array, 8 bytes each; other threads may look up meanwhile."""
        # NOTE: an identity is in at least one of the three at every step, whatever a concurrent lookup sees.
        with self._lock:
            self._settling = self._recent
            self._recent = {}
        merged = np.concatenate([self._sorted, np.fromiter(self._settling, np.int64, len(self._settling))])
        merged.sort(kind="stable")  # SPEED: nearly sorted already
        self._sorted = merged
        self._digest += _digest_dict(self._settling)
        self._settling = {}


def _digest_dict(events: dict[int, bool]) -> Digest:
    n = len(events)
    return digest_events(np.fromiter(events, np.int64, n), np.fromiter(events.values(), bool, n))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = (values ^ (values >> np.uint64(29))) * np.uint64(_MIX)
        return mixed ^ (mixed >> np.uint64(32))
