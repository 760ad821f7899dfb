"""The state of a scorer: the features of everything it has seen, and the events they were built from.

`OnlineState` keeps the events in memory, `durable_state.py` in a history store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.entities import KeyedEvents, key_events
from ordervet.entities.keyed import KEYED_KINDS, complete_columns, keyed_schema
from ordervet.errors import HistoryError, ModelError
from ordervet.features import FeatureEngine, OrderEvents, build_later_events, build_order_events
from ordervet.history.identity import identify
from ordervet.history.rows import read_lines, to_events, to_rows
from ordervet.late_imports import pa
from ordervet.score.live_order import find_mask, list_own_features, pick_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.contract import Events
    from ordervet.entities import Key
    from ordervet.features import FeatureSpec
    from ordervet.history import Erased, History
    from ordervet.score.live_event import LiveEvent
    from ordervet.score.live_order import KeptOrder, LiveOrder


class Features:
    """Orders with their features, row by row.

    Parameters
    ----------
    orders : shape (n, n_columns), keyed
    events : the same orders as arrays
    matrix : shape (n, n_features), float32
    """

    __slots__ = ("events", "matrix", "orders")

    def __init__(self, orders: pa.Table, events: OrderEvents, matrix: NDArray[np.float32]) -> None:
        self.orders, self.events, self.matrix = orders, events, matrix

    def take(self, rows: NDArray[np.int64]) -> Features:
        """Pick rows, in the order given."""
        return Features(self.orders.take(pa.array(rows)), self.events.take(rows), self.matrix[rows])


class OnlineState:
    """Remembers events as long as the process lives.

    Parameters
    ----------
    key : the identifier key
    spec : the features; None without a model
    n_jobs : threads for many events
    store : a history that is only read; what it holds is known from the start
    """

    def __init__(self, key: Key, spec: FeatureSpec | None, *, n_jobs: int = 1, store: History | None = None) -> None:
        self.history_version: int | None = None  # of the open store, if any
        self._key, self._n_jobs = key, n_jobs
        self._engine = FeatureEngine(spec, n_jobs=n_jobs) if spec else None
        self._past: list[KeyedEvents] = []
        self._past_single: list[KeptOrder | LiveEvent] = []
        self._store, self._stored = store, list[KeyedEvents]()
        if store is not None:
            self._read_store(store, store.version)
            if spec is not None:
                self.rebuild(spec)

    @property
    def last_seen_at(self) -> int | None:
        """Time of the last event, UTC microseconds; None before the first."""
        return self._engine.last_seen_at if self._engine else None

    def add(self, events: KeyedEvents) -> Features | None:
        """Add events that arrive now, none earlier than the last one.

        Parameters
        ----------
        events : `seen_at` is the time of arrival

        Returns
        -------
        the features of the orders; None without a model
        """
        if self._engine is None:
            return None
        self._past.append(events)
        return advance(self._engine, events)

    def add_order(self, one: LiveOrder) -> NDArray[np.float32] | None:
        """Add one order that arrives now: `add`, without tables.

        Parameters
        ----------
        one : not earlier than the last event

        Returns
        -------
        shape (1, n_features); None without a model
        """
        if self._engine is None:
            return None
        self._past_single.append(one.kept)
        return advance_one(self._engine, one)

    def add_event(self, one: LiveEvent) -> None:
        """Add one outcome, verdict or correction that arrives now: `add`, without tables.

        Parameters
        ----------
        one : not earlier than the last event
        """
        if self._engine is not None:
            self._past_single.append(one)
            self._engine.advance(OrderEvents.empty(self._engine.spec), one.events)

    def add_past(self, events: Events | KeyedEvents) -> Features:
        """Add events of any time, each at its place in time, and return the features of the orders among them.

        Parameters
        ----------
        events : each order sees exactly what was known before its own time

        Raises
        ------
        ModelError
            There is no model.
        HistoryError
            An order from before the last event is known already.
        """
        engine = require_engine(self._engine)
        keyed = events if isinstance(events, KeyedEvents) else key_events(events, self._key)
        if find_earliest(keyed) >= engine.last_seen_at:
            features = advance(engine, keyed)
        else:
            past = self._list_past()
            _check_new(keyed, past)
            engine = FeatureEngine(engine.spec, n_jobs=self._n_jobs)
            every = advance(engine, concat_events([keyed, *past]))
            features = every.take(np.arange(keyed.orders.num_rows))
            self._engine = engine
        self._past.append(keyed)
        return features

    def rebuild(self, spec: FeatureSpec) -> None:
        """Switch to other features: everything remembered is replayed for them."""
        engine = FeatureEngine(spec, n_jobs=self._n_jobs)
        if past := self._list_past():
            advance(engine, concat_events(past))
        self._engine = engine

    def refresh(self) -> bool:
        """Read the store again if it has a newer version; return whether it had.

        Raises
        ------
        HistoryError
            There is no store, or it cannot be read.
        """
        if self._store is None:
            raise HistoryError(
                "this scorer reads no history store",
                hint='Scorer.open(history="DIR", read_only=True) opens one that does',
            )
        version = self._store.version
        if version == self.history_version:
            return False
        self._read_store(self._store, version)
        if self._engine is not None:
            self.rebuild(self._engine.spec)
        return True

    def erase_buyer(self, buyer_id: str) -> Erased:  # noqa: ARG002 - the same signature for all states
        """Raise HistoryError: there is no store to erase from."""
        raise HistoryError(
            "this scorer has no history store to erase from", hint='Scorer.open(history="DIR") opens one with a store'
        )

    def flush(self) -> None:
        """Do nothing: there is no store to write to."""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _list_past(self) -> list[KeyedEvents]:
        """Return everything remembered; events added one by one are only now put into tables."""
        if self._past_single:
            lines = [one.line for one in self._past_single]
            self._past.append(to_events(read_lines(lines), self._key.key_id, is_tail=True))
            self._past_single = []
        return [*self._stored, *self._past]

    def _read_store(self, store: History, version: int) -> None:
        """Take over a version of the store; events of this scorer that are in it are remembered once."""
        from ordervet.history.delta import read_identities

        stored = store.read(version=version)
        known = np.asarray(read_identities(store.path, version)["event_id"])
        self._list_past()
        self._past = [self._drop_known(events, known) for events in self._past]
        self._stored, self.history_version = [stored], version

    def _drop_known(self, events: KeyedEvents, known: NDArray[np.int64]) -> KeyedEvents:
        tables = {}
        for kind in KEYED_KINDS:
            ids = np.asarray(identify(to_rows(events, kind), self._key)["event_id"])
            tables[kind] = getattr(events, kind).filter(pa.array(~np.isin(ids, known)))
        return KeyedEvents(**tables, key_id=events.key_id)


def advance(engine: FeatureEngine, events: KeyedEvents) -> Features:
    """Add events to a state."""
    order_events = build_order_events(events.orders, engine.spec)
    return Features(events.orders, order_events, engine.advance(order_events, build_later_events(events)))


def advance_one(engine: FeatureEngine, one: LiveOrder) -> NDArray[np.float32]:
    """Add one order to a state; return its features, shape (1, n_features)."""
    return engine.advance_one(
        one.keyed.order_id, one.seen_at, one.order.amount_minor, find_mask(one), pick_ids(one, engine.entities),
        list_own_features(one, engine.spec),
    )  # fmt: skip


def require_engine(engine: FeatureEngine | None) -> FeatureEngine:
    """Return the engine, or raise ModelError if there is none, as there is no model."""
    if engine is None:
        raise ModelError("there is no model to score with", hint="train one: ordervet train FILE... --models DIR")
    return engine


def concat_events(parts: Sequence[KeyedEvents]) -> KeyedEvents:
    """Concatenate keyed events, at least one part."""
    tables = {}
    for kind in KEYED_KINDS:
        joined = pa.concat_tables([getattr(part, kind) for part in parts], promote_options="default")
        tables[kind] = complete_columns(joined, keyed_schema(kind, joined.column_names))
    return KeyedEvents(**tables, key_id=parts[0].key_id)


def find_earliest(events: KeyedEvents) -> int:
    """Return the time of the earliest event, UTC microseconds."""
    times = [np.asarray(getattr(events, kind)["seen_at"].cast(pa.int64())) for kind in KEYED_KINDS]
    return min(int(each.min(initial=1 << 62)) for each in times)


def _check_new(keyed: KeyedEvents, past: Sequence[KeyedEvents]) -> None:
    known = pa.concat_tables([each.orders.select(["id__order"]) for each in past])["id__order"]
    if np.isin(np.asarray(keyed.orders["id__order"]), np.asarray(known)).any():
        raise HistoryError(
            "some of these orders were scored before", hint="score each order once, or open a new scorer"
        )
