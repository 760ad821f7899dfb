"""Refund requests as a replay comes by them: their orders asked again, beside the features of the slice's orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ordervet.features import FeatureEngine, OrderEvents, build_later_events, build_order_events
from ordervet.features.claim_features import (
    CLAIM_NAMES,
    ask_orders,
    build_claim_events,
    build_claim_features,
    build_claim_spec,
)
from ordervet.features.plan import find_longest_windows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities import KeyedEvents
    from ordervet.features import FeatureSpec
    from ordervet.history.slices import HistorySlices


@dataclass(frozen=True, slots=True)
class ReplayedRequests:
    """Refund requests in the order in which they were seen.

    Parameters
    ----------
    spec : of the features of their orders, see `build_claim_spec`
    order_id : shape (n,), uint64 keyed ids of their orders
    seen_at : shape (n,), UTC microseconds
    features : shape (n, n_features), of the orders as of the requests
    own : shape (n, len(CLAIM_NAMES)), of the requests; what their orders were given is NaN
    """

    spec: FeatureSpec
    order_id: NDArray[np.uint64]
    seen_at: NDArray[np.int64]
    features: NDArray[np.float32]
    own: NDArray[np.float32]

    def suits(self, spec: FeatureSpec) -> bool:
        """Return whether the features of a model of orders are among these, and what asking that model would give.

        What an order that is asked about again is told of itself reaches as far as the longest windows do
        (docs/definitions.md T7).
        """
        wanted, have = build_claim_spec(spec), find_longest_windows(self.spec)
        has_all = set(wanted.names) <= set(self.spec.names)
        return has_all and all(have.get(of) == window for of, window in find_longest_windows(wanted).items())

    def select(self, spec: FeatureSpec, rows: NDArray[np.int64], order_p: NDArray[np.float64]) -> NDArray[np.float32]:
        """Build the features of some requests, shape (len(rows), n_features), beside what their orders were given."""
        own = self.own[rows]
        own[:, -1] = order_p
        columns = np.array([self.spec.names.index(name) for name in build_claim_spec(spec).names])
        return np.hstack([self.features[np.ix_(rows, columns)], own])


@dataclass(slots=True)
class RequestReplay:
    """An engine that computes features slice by slice, and of some orders again when refunds of them are requested.

    Parameters
    ----------
    engine : of the features of orders and, where any are asked about, of `build_claim_spec`
    order_ids : shape (n,), uint64 keyed ids of the orders that are asked about
    """

    engine: FeatureEngine
    order_ids: NDArray[np.uint64]
    _pool: list[OrderEvents] = field(default_factory=list)
    _found: list[ReplayedRequests] = field(default_factory=list)

    def advance(self, events: KeyedEvents) -> tuple[OrderEvents, NDArray[np.float32]]:
        """Add a slice of events; return its orders and their features, shape (len(orders), n_features)."""
        orders, later = build_order_events(events.orders, self.engine.spec), build_later_events(events)
        if len(self.order_ids) == 0:
            return orders, self.engine.advance(orders, later)
        wanted = orders.take(np.flatnonzero(np.isin(orders.order_id, self.order_ids)))
        self._pool = [OrderEvents.concat([*self._pool, wanted])]
        claims = build_claim_events(events.outcomes)
        asked, at, place = ask_orders(self._pool[0], claims)
        features = self.engine.advance(OrderEvents.concat([orders, asked]), later)
        own = build_claim_features(claims.take(place), self._pool[0].take(at), np.full(len(at), np.nan))
        self._found.append(
            ReplayedRequests(self.engine.spec, asked.order_id, asked.seen_at, features[len(orders) :].copy(), own)
        )
        return orders, features[: len(orders)]

    def build_requests(self) -> ReplayedRequests:
        """Return the requests of all slices."""
        spec, none = self.engine.spec, np.zeros((0, len(CLAIM_NAMES)), np.float32)
        empty = ReplayedRequests(
            spec, np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros((0, len(spec.names)), np.float32), none
        )
        parts, names = [empty, *self._found], ("order_id", "seen_at", "features", "own")
        return ReplayedRequests(spec, *(np.concatenate([getattr(each, name) for each in parts]) for name in names))

    def take_requests(self) -> ReplayedRequests:
        """Return the requests of the slices since the last time, and forget them."""
        found = self.build_requests()
        self._found.clear()
        return found


def replay_claims(
    slices: HistorySlices,
    spec: FeatureSpec,
    order_ids: NDArray[np.uint64],
    *,
    slice_orders: int,
    scratch: Path,
    n_threads: int,
) -> ReplayedRequests:
    """Replay a history for the requests about some orders alone.

    The history is sorted in the folder `scratch`, which is removed again.
    """
    replay = RequestReplay(FeatureEngine(build_claim_spec(spec), n_jobs=n_threads), order_ids)
    for events in slices.read_in_turn(slice_orders, scratch):
        replay.advance(events)
    return replay.build_requests()
