"""What arrives live, one event at a time: new, a further view of what is known, or nothing new.

`views.py` says the rules. Most arrivals need none of them: their order id is new, or nothing of their kind is known of
the order. A few bytes per event tell so; only the others are settled with the rows that the store has of their order.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ordervet import _core
from ordervet.entities.ids import hash_texts
from ordervet.errors import HistoryError
from ordervet.history.identity import Digest, digest_event, digest_rows
from ordervet.history.stored_rows import read_ints, views_of
from ordervet.history.views import IngestStatus, settle
from ordervet.late_imports import pc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.entities.keys import Key
    from ordervet.history.views import Row

_ORDER, _OUTCOME, _OF_SHOP = 0x2545F4914F6CDD1D, 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
_MASK = (1 << 64) - 1
_NAMESPACE = "arrival"


class Arrival(Protocol):
    """An order, outcome, verdict or correction as it arrives."""

    @property
    def row(self) -> Row:
        """Its row of the store, as proposed."""

    @property
    def kind(self) -> str:
        """What it is: an order, verdict or correction, or the kind of an outcome."""

    @property
    def event_id(self) -> int:
        """Its identity, as proposed."""

    @property
    def name_id(self) -> int:
        """The keyed id of its order id alone, signed."""

    @property
    def shop(self) -> str:
        """The shop, or the platform's own id of the order; empty if it names none."""


class Settled(NamedTuple):
    """What an arrival is.

    Parameters
    ----------
    status : what became of it
    order_id : keyed id of the order that it is, or is about; signed
    row : the row to keep where it is not as proposed, as plain values without nulls
    standing : the rows that there were of its order id, if they were read
    """

    status: IngestStatus
    order_id: int
    row: Row | None = None
    standing: Sequence[Row] = ()


class Known(NamedTuple):
    """What a history is known to have.

    Parameters
    ----------
    keys : shape (n,), ascending: eight bytes for each thing that an arrival is asked for
    shared_names : keyed order ids, signed, that several orders have
    digest : of the rows, as they were first seen
    """

    keys: NDArray[np.uint64]
    shared_names: NDArray[np.int64]
    digest: Digest


class Arrivals:
    """Knows which events a history has.

    Parameters
    ----------
    rows : of `delta.read_identities`, in any order; None: there are none
    key : the identifier key
    read_standing : arrival → all views that there are of its order id, as plain values
    before : what was known of further rows

    Attributes
    ----------
    amended : digest of the views that came since and replace others; `digest` is without them
    """

    def __init__(
        self,
        rows: pa.Table | None,
        key: Key,
        read_standing: Callable[[Arrival], Sequence[Row]],
        before: Known | None = None,
    ) -> None:
        self._key, self._subkey = key, key.subkey(_NAMESPACE)
        self._read_standing = read_standing
        self._lock = threading.Lock()
        self._settling: set[int] = set()
        self._recent: set[int] = set()
        before = before or Known(np.zeros(0, np.uint64), np.zeros(0, np.int64), Digest(0, 0))
        self._shared_names: set[int] = set(before.shared_names.tolist())
        self._digest, self.amended = before.digest, Digest(0, 0)
        self._sorted = before.keys
        if rows is not None and rows.num_rows:
            self._digest += digest_rows(read_ints(rows["event_id"]), views_of(rows))
            self._sorted = _merge(self._sorted, np.sort(self._list_all_keys(rows)))

    def export(self) -> Known:
        """Return all that is known, to go on from; another thread may note arrivals meanwhile."""
        with self._lock:
            recent = np.fromiter((*self._settling, *self._recent), np.uint64)
            names = np.fromiter(self._shared_names, np.int64)
        return Known(_merge(self._sorted, np.sort(recent)), names, self._digest)

    def knows_order(self, name_id: int) -> bool:
        """Return whether there is an order of this id, of whatever shop."""
        return _mix(name_id, _ORDER) in self

    def settle(self, one: Arrival) -> Settled:
        """Find out what an arrival is; `note` what is kept of it.

        Raises
        ------
        HistoryError
            Several orders have its order id, and it does not say which is meant.
        """
        if self._is_new(one):
            return Settled(IngestStatus.ACCEPTED, one.name_id)
        # NOT: at the top. a live order that is new needs no tables.
        from ordervet.history.admission import make_id

        row = one.row | {"source": 0, "recorded_at": one.row["seen_at"]}
        standing = self._read_standing(one)
        settled = settle([row], standing, lambda text: make_id(text, self._key), is_live=True)
        status = settled.statuses[0]
        if status is IngestStatus.AMBIGUOUS:
            raise HistoryError(
                "several orders have the id of this event's order, and it does not say which is meant",
                hint="give its shop_id, or the platform's own order_uid",
            )
        kept = next((each for each in settled.new if each["event_id"] == row["event_id"]), None)
        if kept is not None:
            kept = {name: value for name, value in kept.items() if value is not None and name != "source"}
        return Settled(status, int(row["id__order"]), kept, standing)

    def note(self, one: Arrival, row: Row | None = None) -> None:
        """Take note of what is kept of an arrival."""
        with self._lock:
            self._recent.update(self._list_keys(one))
            if row is not None and row.get("name_id"):
                self._shared_names.add(one.name_id)
            event_id, view = (one.event_id, 0) if row is None else (int(row["event_id"]), int(row["view"]))
            if view:
                self.amended += digest_event(event_id, view)
            else:
                self._digest += digest_event(event_id)

    def digest(self) -> Digest:
        """Return the digest of all rows it was made of, and of the events that came since, as they were first seen."""
        return self._digest

    def merge(self) -> None:
        """Merge recent keys into the sorted array, 8 bytes each; other threads may look up meanwhile."""
        # NOTE: a key is in at least one of the three at every step, whatever a concurrent lookup sees.
        with self._lock:
            self._settling = self._recent
            self._recent = set()
        self._sorted = _merge(self._sorted, np.sort(np.fromiter(self._settling, np.uint64, len(self._settling))))
        self._settling = set()

    def __contains__(self, key: int) -> bool:
        if key in self._recent or key in self._settling:
            return True
        known = self._sorted  # NOTE: looked up once, as another thread may merge in between
        if not len(known):
            return False
        at = int(known.searchsorted(np.uint64(key)))
        return at < len(known) and int(known[at]) == key

    def _is_new(self, one: Arrival) -> bool:
        """Tell whether nothing that is known can be the same event, and which order is meant is clear."""
        if one.kind == "order":
            return _mix(one.name_id, _ORDER) not in self
        if one.name_id in self._shared_names:
            return False
        if one.shop and self.knows_order(one.name_id) and self._mix_shop(one) not in self:
            return False
        return self._key_of(one) not in self

    def _list_keys(self, one: Arrival) -> list[int]:
        keys = [self._key_of(one)]
        if one.kind == "order" and one.shop:
            keys.append(self._mix_shop(one))
        return keys

    def _key_of(self, one: Arrival) -> int:
        if one.kind == "order":
            return _mix(one.name_id, _ORDER)
        if one.kind in ("verdict", "correction"):
            return one.event_id & _MASK
        return _mix(one.name_id, self._code(one.kind))

    def _mix_shop(self, one: Arrival) -> int:
        return _mix(one.name_id, self._code(one.shop) ^ _OF_SHOP)

    def _code(self, text: str) -> int:
        """Make a number of a text."""
        return _core.hash_text(text.encode(), self._subkey)

    def _code_all(self, column: pa.ChunkedArray) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
        """Tell which texts are given, shape (n,), and make a number of each that is."""
        encoded = column.combine_chunks().dictionary_encode()
        is_given = np.asarray(encoded.is_valid())
        codes = hash_texts(encoded.dictionary, self._key, _NAMESPACE)
        return is_given, codes[np.asarray(encoded.indices.drop_null())] if is_given.any() else codes[:0]

    def _list_all_keys(self, rows: pa.Table) -> NDArray[np.uint64]:
        """List the keys of rows: the twin of `_list_keys`."""
        own_names = read_ints(pc.fill_null(rows["name_id"], 0))
        names = np.where(own_names != 0, own_names, read_ints(rows["id__order"])).view(np.uint64)
        self._shared_names |= set(own_names[own_names != 0].tolist())
        is_order = np.asarray(pc.equal(rows["event"], "order"))
        keys = read_ints(rows["event_id"]).view(np.uint64).copy()
        keys[is_order] = _mix_all(names[is_order], _ORDER)
        is_outcome, codes = self._code_all(rows["outcome"])
        keys[is_outcome] = _mix_all(names[is_outcome], codes)
        parts = [keys]
        for column in ("order_uid", "shop_id"):
            is_given, codes = self._code_all(rows[column])
            of_order = is_order[is_given]
            parts.append(_mix_all(names[is_given][of_order], codes[of_order] ^ np.uint64(_OF_SHOP)))
        return np.concatenate(parts)


def _merge(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Merge keys in ascending order, each once if it is in one of them only."""
    if not len(one) or not len(other):
        return one if len(one) else other
    merged = np.concatenate([one, other])
    merged.sort(kind="stable")  # SPEED: of two ascending runs
    return merged


def _mix(name_id: int, code: int) -> int:
    mixed = ((name_id & _MASK) ^ code) * _OUTCOME & _MASK
    return mixed ^ (mixed >> 29)


def _mix_all(names: NDArray[np.uint64], codes: NDArray[np.uint64] | int) -> NDArray[np.uint64]:
    """Do what `_mix` does, for many."""
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = (names ^ np.asarray(codes, np.uint64)) * np.uint64(_OUTCOME)
    return mixed ^ (mixed >> np.uint64(29))
