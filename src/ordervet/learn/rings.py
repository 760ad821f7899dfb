"""Rings: how early each is caught, what it got away with before, and what a deny list would have caught anyway.

A ring is a simulation's own, or else malicious orders that are linked by who placed them (docs/definitions.md R1). All
is counted in whole orders, so that weeks and kinds can be added up.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract.files.outputs import drop_nan
from ordervet.features import FeatureEngine, build_spec
from ordervet.features.events import SHARED_PLACE_BIT
from ordervet.features.spec import GROUP_KEYS
from ordervet.learn.intervals import find_wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    from ordervet.features import LaterEvents, OrderEvents

#: A key that more buyers have used in the 90 days before an order links nobody (docs/definitions.md G2).
MAX_LINKED = 8
#: Columns that tell which keys link, and what is on a deny list.
RING_NAMES = (
    *(f"{entity}__count__malicious__90d" for entity in ("buyer", *GROUP_KEYS)),
    *(f"{key}__distinct__buyer__90d" for key in GROUP_KEYS),
)
#: What a row of all kinds together is called.
ALL_KINDS = ""
_NO_RING = -1
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Rings:
    """Orders and their rings, every array of shape (n,)."""

    number: NDArray[np.int64]  # of the ring of a malicious order; -1 for all others
    place: NDArray[np.int64]  # malicious orders of the ring that were seen before this one; of others 0
    is_denied: NDArray[np.bool_]  # a deny list would have stopped the order

    @classmethod
    def of(cls, number: NDArray[np.int64], seen_at: NDArray[np.int64], is_denied: NDArray[np.bool_]) -> Self:
        """Find each order's place in its ring by when it was seen; orders of one time share theirs."""
        place = np.zeros(len(number), np.int64)
        order = np.lexsort((seen_at, number))
        order = order[number[order] != _NO_RING]
        ring, at = number[order], np.arange(len(order))
        is_first = np.diff(ring, prepend=_NO_RING) != 0
        is_later = is_first | (np.diff(seen_at[order], prepend=0) != 0)
        start, tie = (np.maximum.accumulate(np.where(flags, at, 0)) for flags in (is_first, is_later))
        place[order] = tie - start
        return cls(number, place, is_denied)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Pick rows, in the order given; places stay what they were among all."""
        return type(self)(*(getattr(self, each.name)[rows] for each in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Put parts behind each other; a ring of two parts counts as two."""
        numbers, start = [], 0
        for part in parts:
            numbers.append(np.where(part.number == _NO_RING, _NO_RING, part.number + start))
            start += int(part.number.max(initial=_NO_RING)) + 1
        place, is_denied = (np.concatenate([getattr(part, name) for part in parts]) for name in ("place", "is_denied"))
        return cls(np.concatenate(numbers), place, is_denied)


@dataclass(frozen=True, slots=True)
class RingRow:
    """What became of the new rings of one kind, or of all; every figure is a count and can be added up."""

    kind: str  # a `MaliceKind`, or `ALL_KINDS`
    n_rings: int  # rings whose first order is among those measured
    n_orders: int  # their malicious orders
    #: first, second, third, ever: of the rings, those of which an order was flagged by then
    first: int
    second: int
    third: int
    ever: int
    #: orders_before, minor_before: malicious orders before the first flagged one, all of a ring that never was; money
    orders_before: int
    minor_before: int
    #: n_alerts, n_denied: flagged orders (of a kind: malicious ones of new and known rings), and those that a deny list
    #: would have stopped; a sampled order counts as often as it stands for
    n_alerts: int
    n_denied: int

    def __add__(self, other: RingRow) -> RingRow:
        """Add up the counts of two rows; the kind is the first one's."""
        return RingRow(self.kind, *(getattr(self, name) + getattr(other, name) for name in _COUNTS))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: counts, and shares of the rings with Wilson's interval of 90 %."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in ("kind", *_COUNTS)}
        for name in ("first", "second", "third", "ever"):
            low, high = find_wilson_interval(plain[name], self.n_rings)
            plain[name] = {"n": plain[name], "share": _divide(plain[name], self.n_rings), "low": low, "high": high}
        found: dict[str, Any] = drop_nan(plain | {"denied_share": _divide(self.n_denied, self.n_alerts)})
        return found


_COUNTS = tuple(each.name for each in fields(RingRow))[1:]


def read_keys(orders: OrderEvents, names: tuple[str, ...], features: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Read the keys of orders that can link them (docs/definitions.md R1).

    Parameters
    ----------
    orders : with the ids of their entities
    names, features : columns, and shape (n, n_features) as of each order's own time

    Returns
    -------
    shape (n, 4), keyed ids of phone, address, device and payment account; 0 where there is none, or one that links
    nobody
    """
    at = {name: place for place, name in enumerate(names)}
    is_shared = (orders.read_mask() & SHARED_PLACE_BIT) != 0
    keys = np.zeros((len(orders), len(GROUP_KEYS)), np.uint64)
    for column, key in enumerate(GROUP_KEYS):
        links = np.ones(len(orders), bool) if key != "address" else ~is_shared
        if (users := f"{key}__distinct__buyer__90d") in at:
            links &= ~(features[:, at[users]] > MAX_LINKED)
        if key in orders.ids:
            keys[links, column] = orders.ids[key][links]
    return keys


def find_denied(names: tuple[str, ...], features: NDArray[np.float32], keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Find the orders that a deny list of the last 90 days' malicious orders would have stopped (R3), shape (n,)."""
    at = {name: place for place, name in enumerate(names)}
    is_denied = np.zeros(len(features), bool)
    for column, entity in enumerate(("buyer", *GROUP_KEYS)):
        if (count := f"{entity}__count__malicious__90d") in at:
            is_denied |= (features[:, at[count]] > 0) & ((entity == "buyer") | (keys[:, column - 1] != 0))
    return is_denied


def look_up_links(
    orders: OrderEvents, later: LaterEvents, *, n_jobs: int = 1
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Replay all orders for their keys and for what a deny list would have stopped.

    Returns
    -------
    those of `read_keys` and `find_denied`
    """
    spec = build_spec(use_defaults=False, names=RING_NAMES)
    features = FeatureEngine(spec, n_jobs=n_jobs).advance(orders.without_own(), later)
    keys = read_keys(orders, spec.names, features)
    return keys, find_denied(spec.names, features, keys)


def link_orders(
    is_malicious: NDArray[np.bool_], buyer: NDArray[np.int64], keys: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Find the rings: malicious orders that share a buyer or a key, directly or through others (R1).

    Parameters
    ----------
    is_malicious, buyer : shape (n,); numbers of buyers, see `number_buyers`
    keys : shape (n, n_keys), see `read_keys`

    Returns
    -------
    shape (n,): the row of the ring's first order in the arrays, -1 for orders that are not malicious
    """
    rows = np.flatnonzero(is_malicious)
    ring = np.arange(len(rows))
    links = []
    for ids in (buyer[rows].astype(np.uint64) + np.uint64(1), *keys[rows].T):
        has_one = np.flatnonzero(ids)
        distinct, at = np.unique(ids[has_one], return_inverse=True)
        links.append((has_one, at, len(distinct)))
    before = np.zeros(0, np.int64)
    while not np.array_equal(before, ring):
        before = ring.copy()
        for has_one, at, n_ids in links:
            least = np.full(n_ids, len(rows))
            np.minimum.at(least, at, ring[has_one])
            ring[has_one] = least[at]
    number = np.full(len(is_malicious), _NO_RING)
    number[rows] = rows[ring]
    return number


def find_catches(rings: Rings, flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the new rings among orders, those whose first order is there, and where each was first flagged.

    Returns
    -------
    numbers of the rings, ascending, and the place of the first flagged order; the largest int64 where none was
    """
    rows = np.flatnonzero(rings.number != _NO_RING)
    distinct, at = np.unique(rings.number[rows], return_inverse=True)
    least, caught = (np.full(len(distinct), _NEVER) for _ in range(2))
    np.minimum.at(least, at, rings.place[rows])
    np.minimum.at(caught, at[flags[rows]], rings.place[rows][flags[rows]])
    return distinct[least == 0], caught[least == 0]


def measure_rings(
    rings: Rings,
    flags: NDArray[np.bool_],
    *,
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.str_],
    weight: NDArray[np.int64] | None = None,
) -> list[RingRow]:
    """Measure how early the flags catch each new ring, for all kinds together and then kind by kind.

    A ring is of the kind that its earliest order with one names.

    Parameters
    ----------
    rings : of the orders measured
    flags, amount_minor, kind : shape (n,); minor units; empty where no kind is known
    weight : shape (n,), orders that a row stands for, of the alerts alone; None is one each
    """
    number, caught = find_catches(rings, flags)
    rows = np.flatnonzero(np.isin(rings.number, number))
    at = np.searchsorted(number, rings.number[rows])
    is_before = rings.place[rows] < caught[at]
    ring_kind = _name_kinds(rings, kind, number)
    weights = np.ones(len(flags), np.int64) if weight is None else weight
    measured = []
    for name in (ALL_KINDS, *np.unique(kind[(kind != "") & (rings.number != _NO_RING)]).tolist()):
        is_of = np.ones(len(number), bool) if name == ALL_KINDS else ring_kind == name
        alerts = weights * (flags & ((name == ALL_KINDS) | ((kind == name) & (rings.number != _NO_RING))))
        before = rows[is_before & is_of[at]]
        measured.append(
            RingRow(
                name,
                int(is_of.sum()),
                int(is_of[at].sum()),
                first=int((caught[is_of] < 1).sum()),
                second=int((caught[is_of] < 2).sum()),
                third=int((caught[is_of] < 3).sum()),
                ever=int((caught[is_of] < _NEVER).sum()),
                orders_before=len(before),
                minor_before=int(amount_minor[before].sum()),
                n_alerts=int(alerts.sum()),
                n_denied=int((alerts * rings.is_denied).sum()),
            )
        )
    return measured


def add_rows(parts: Sequence[Sequence[RingRow]]) -> list[RingRow]:
    """Add up the rows of several measurements by kind, all kinds together first."""
    found: dict[str, RingRow] = {}
    for row in (row for part in parts for row in part):
        found[row.kind] = found[row.kind] + row if row.kind in found else row
    return [found[kind] for kind in sorted(found)]


def _name_kinds(rings: Rings, kind: NDArray[np.str_], number: NDArray[np.int64]) -> NDArray[np.str_]:
    """Name the kind of each ring in `number`, which is ascending; empty where no order names one."""
    rows = np.flatnonzero((kind != "") & np.isin(rings.number, number))
    rows = rows[np.lexsort((kind[rows], rings.place[rows], rings.number[rows]))]
    named, first = np.unique(rings.number[rows], return_index=True)
    found = np.full(len(number), "", kind.dtype)
    found[np.searchsorted(number, named)] = kind[rows[first]]
    return found


def _divide(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
