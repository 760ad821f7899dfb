"""The state of a scorer: the features of everything it has seen, and the events they were built from.

`OnlineState` keeps the events in memory, `durable_state.py` in a history store.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from pydantic_core import to_json

from ordervet.contract.values import floor_minute
from ordervet.entities import KeyedEvents, key_events
from ordervet.entities.ids import hash_texts, to_signed
from ordervet.entities.keyed import KEYED_KINDS, ORDER_ID, complete_columns, keyed_schema
from ordervet.errors import HistoryError, ModelError, OrdervetError
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.history.arrivals import Arrivals, Settled
from ordervet.history.identity import identify, mix_ids
from ordervet.history.stored_rows import (
    drop_replaced,
    fit_rows,
    read_ints,
    read_lines,
    sort_rows,
    to_events,
    to_plain,
    to_rows,
    unite_schemas,
    views_of,
    write_line,
)
from ordervet.history.views import DECISION, IngestStatus
from ordervet.late_imports import pa, pc
from ordervet.policy.quotas import CANCELLED
from ordervet.score.clock import NEVER, now_us
from ordervet.score.live_order import KeptOrder, find_mask, find_rate, list_own_features, pick_ids
from ordervet.score.recount import AT_ONCE, REST, is_amended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from ordervet.contract import Events
    from ordervet.entities import Key
    from ordervet.entities.order_ids import TextKeyer
    from ordervet.features import FeatureSpec, LaterEvents, OrderEvents
    from ordervet.history import History
    from ordervet.history.arrivals import Arrival
    from ordervet.history.views import Row
    from ordervet.history.writer import Backlog
    from ordervet.policy import Decision, Policy
    from ordervet.policy.claims import ClaimDecision
    from ordervet.policy.quotas import QuotaLedger
    from ordervet.score.live_event import LiveEvent
    from ordervet.score.live_order import LiveOrder
    from ordervet.score.quota_ledger import QuotaReader


T = TypeVar("T")

_log = logging.getLogger("ordervet")
_UNSIGNED = (1 << 64) - 1
_SKEW_US = 1_000_000
NEVER_AHEAD = 1 << 62
"""Later than any event."""


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


class Taken(NamedTuple):
    """What the state made of one order.

    Parameters
    ----------
    status : ACCEPTED: it is new; MERGED: a further view of a known order; KNOWN: the same again
    order_id : keyed id that it is known by, signed
    matrix : shape (1, n_features), of a new order, and where there is a model
    rows : all that there is of its order id, of an order that is known
    """

    status: IngestStatus
    order_id: int
    matrix: NDArray[np.float32] | None
    rows: Sequence[Row] = ()


class Decided(NamedTuple):
    """What was decided about one order.

    Parameters
    ----------
    decision : about the order
    name_id, id : keyed order id alone, and keyed id that it is known by, signed
    seen_at : the instant whose history was known, UTC microseconds
    """

    decision: Decision
    name_id: int
    id: int
    seen_at: int

    @property
    def row(self) -> Row:
        """Its row of the store."""
        row = {
            "event": DECISION,
            "event_id": mix_ids(self.id, self.seen_at),
            ORDER_ID: self.id,
            "order_id": self.decision.order_id,
            "seen_at": self.seen_at,
            "happened_at": self.seen_at,
            "decision": self.decision.to_json().decode(),
        }
        return row if self.id == self.name_id else row | {"name_id": self.name_id}


class Answered(NamedTuple):
    """A refund request and what it was answered.

    Parameters
    ----------
    decision : about the request
    request : its row of the store
    name_id, id : keyed order id alone, and keyed id that it is known by, signed
    """

    decision: ClaimDecision
    request: Row
    name_id: int
    id: int

    @property
    def row(self) -> Row:
        """Its row of the store: all that the request said, and the decision."""
        row = self.request | {
            "event": DECISION,
            "event_id": mix_ids(self.request["event_id"], self.request["seen_at"]),
            ORDER_ID: self.id,
            "decision": to_json(self.decision.as_dict()).decode(),
        }
        return row if self.id == self.name_id else row | {"name_id": self.name_id}


class Changes:
    """Tells whether a state is whole; entered around what changes it.

    An exception that a signal handler raises can come between any two steps, and leaves the state half changed: it is
    not whole from then on, until it is mended. Errors of our own come before the first step.
    """

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, OrdervetError):
            self.depth -= 1


class _Named:
    """An order id whose rows are asked for."""

    kind, event_id, shop = "order", 0, ""

    def __init__(self, name_id: int, order_id: str) -> None:
        self.name_id = to_signed(name_id)
        self.row = {"order_id": order_id}


class _KeptRow(NamedTuple):
    """A row that is kept as plain values."""

    row: Row

    @property
    def line(self) -> bytes:
        return write_line(self.row)

    @property
    def name_id(self) -> int:
        return int(self.row.get("name_id") or self.row[ORDER_ID])


class OnlineState:
    """Remembers events as long as the process lives.

    Parameters
    ----------
    key : the identifier key
    spec : the features; None without a model
    n_jobs : threads for many events
    store : a history that is only read; what it holds is known from the start
    clock : returns the time, UTC microseconds: what lies ahead of it waits

    Attributes
    ----------
    changes : whether it is whole
    """

    def __init__(
        self,
        key: Key,
        spec: FeatureSpec | None,
        *,
        n_jobs: int = 1,
        store: History | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.history_version: int | None = None  # of the open store, if any
        self.changes = Changes()
        self._key, self._n_jobs, self._clock = key, n_jobs, clock
        self._engine = FeatureEngine(spec, n_jobs=n_jobs) if spec else None
        self._past: list[KeyedEvents] = []
        self._past_single: list[KeptOrder | LiveEvent | _KeptRow] = []
        self._of_name: dict[int, list[KeptOrder | LiveEvent | _KeptRow | Decided | Answered]] = {}
        self._found_arrivals: Arrivals | None = None
        self._name_keyer: TextKeyer | None = None
        self._ahead: list[KeyedEvents] = []
        self._next_at = NEVER_AHEAD
        self._n_amended, self._rests_until = 0, 0.0
        self._quotas: QuotaReader | None = None
        self._ledger: QuotaLedger | None = None
        self._store, self._stored = store, list[KeyedEvents]()
        if store is not None:
            self._read_store(store, store.version)
            if spec is not None:
                self.rebuild(spec)

    @property
    def last_seen_at(self) -> int | None:
        """Time of the last event that counts, UTC microseconds; None before the first."""
        return self._engine.last_seen_at if self._engine else None

    @property
    def backlog(self) -> Backlog | None:
        """What is not in the table of a store yet; None without a store."""
        return None

    def knows_order(self, name_id: int) -> bool:
        """Return whether there is an order of this id, of whatever shop.

        Parameters
        ----------
        name_id : keyed order id alone, signed
        """
        return self._arrivals.knows_order(name_id)

    def is_erased(self, one: KeptOrder) -> bool:  # noqa: ARG002 - the same signature for all states
        """Return whether an order is of before its buyer was erased."""
        return False

    def follow_quotas(self, policy: Policy) -> None:
        """Give the places of a policy's quotas to the orders that come, after those that are known."""
        self._quotas = self._ledger = None
        if policy.quotas:
            from ordervet.score.quota_ledger import QuotaReader  # NOT: at the top. Most policies have none.

            self._quotas = QuotaReader(policy)
            self._find_ledger()

    def find_beyond(self, order_id: int) -> tuple[str, ...]:
        """Find the codes of the quotas that an order is beyond.

        Parameters
        ----------
        order_id : keyed id that it is known by, unsigned
        """
        return () if self._ledger is None else self._ledger.beyond.get(order_id, ())

    def list_beyond(self) -> dict[int, tuple[str, ...]] | None:
        """List all known orders that are beyond a quota: keyed id → codes; None where there are no quotas.

        Raises
        ------
        HistoryError
            The history cannot be read or written.
        """
        return None if self._quotas is None else self._count_places(self._quotas, NEVER_AHEAD).beyond

    def _find_ledger(self) -> QuotaLedger | None:
        """Return the places of quotas, counted again where the past has changed; None where there are no quotas."""
        if self._quotas is not None and self._ledger is None:
            try:
                self._ledger = self._count_places(self._quotas, self._find_present())
            except HistoryError as error:  # no order waits for its places, and the next one tries again
                _log.error("the places of quotas are not counted: %s", error.message)
        return self._ledger

    def _count_places(self, quotas: QuotaReader, until_us: int) -> QuotaLedger:
        from ordervet.score.quota_ledger import build_ledger

        return build_ledger(quotas, *self._read_quota_events(quotas.columns), until_us)

    def _read_quota_events(self, columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:  # noqa: ARG002 - the same signature for all states
        """Read all orders and outcomes, with at least these columns of the orders."""
        events = concat_events(
            [KeyedEvents.of_orders(keyed_schema("orders").empty_table(), self._key.key_id), *self._list_past()]
        )
        return events.orders, events.outcomes

    def _take_places(self, one: LiveOrder) -> None:
        """Give a new order its places."""
        if self._ledger is not None and self._quotas is not None:
            self._ledger.take(self._quotas.read(one))

    def add_new(self, ones: Sequence[LiveOrder]) -> list[NDArray[np.float32]] | None:
        """Add orders that arrive now, all of them new and of different ids, one after the other.

        Parameters
        ----------
        ones : at least one; none earlier than the one before it, or than the last event

        Returns
        -------
        of each its features, shape (1, n_features); None without a model
        """
        if self._engine is None and not self._is_lasting:
            return None
        matrices = []
        self._find_ledger()
        with self.changes:
            self._count_amended()
            self._keep_new(ones)
            for one in ones:
                self._release(one.seen_at)
                self._note_kept(one.kept, Settled(IngestStatus.ACCEPTED, one.kept.name_id), one.seen_at)
                self._take_places(one)
                if self._engine is not None:
                    matrices.append(self._apply(_add_one(one)))
        return None if self._engine is None else matrices

    def add_order(self, one: LiveOrder) -> Taken:
        """Add one order that arrives now, if it is new.

        Parameters
        ----------
        one : not earlier than the last event
        """
        if self._engine is None and not self._is_lasting:
            return Taken(IngestStatus.ACCEPTED, one.kept.name_id, None)
        self._find_ledger()
        with self.changes:
            self._count_amended()
            self._release(one.seen_at)
            settled = self._arrivals.settle(one.kept)
            if settled.status is not IngestStatus.KNOWN:
                self._keep(one.kept, settled, one.seen_at)
            if settled.status is not IngestStatus.ACCEPTED:
                self._note_amended(settled)
                if self._ledger is not None and self._quotas is not None:
                    self._ledger.link(*self._quotas.read_buyer(one))
                new = () if settled.row is None else (settled.row,)
                return Taken(settled.status, settled.order_id, None, (*settled.standing, *new))
            one.order_id = settled.order_id & _UNSIGNED
            self._take_places(one)
            matrix = None if self._engine is None else self._apply(_add_one(one))
        return Taken(settled.status, settled.order_id, matrix)

    def ask_again(self, orders: pa.Table, seen_at: int) -> Features:
        """Return the features of known orders as of now, without their own events.

        Parameters
        ----------
        orders : keyed, as they are known now
        seen_at : not earlier than the last event, UTC microseconds

        Raises
        ------
        ModelError
            There is no model.
        """
        with self.changes:
            self._count_amended()
            self._release(seen_at)
        at = orders.schema.get_field_index("seen_at")
        field = orders.schema.field(at)
        asked = orders.set_column(at, field, pa.repeat(seen_at, orders.num_rows).cast(field.type))
        return advance(require_engine(self._engine), KeyedEvents.of_orders(asked, self._key.key_id))

    def ask_one_again(self, one: LiveOrder) -> NDArray[np.float32]:
        """Return the features of one known order as of now, without its own events, shape (1, n_features).

        Parameters
        ----------
        one : asked about not earlier than the last event

        Raises
        ------
        ModelError
            There is no model.
        """
        with self.changes:
            self._count_amended()
            self._release(one.seen_at)
        return advance_one(require_engine(self._engine), one)

    def add_event(self, one: LiveEvent, arrived_at: int, settled: Settled | None = None) -> None:
        """Add one outcome, verdict or correction that arrives now, if it is new.

        Parameters
        ----------
        one : it counts from its `seen_at` on
        arrived_at : not earlier than the last event, UTC microseconds
        settled : of `settle`, where nothing came since; None settles it here

        Raises
        ------
        HistoryError
            Several orders have the id of its order.
        """
        if self._engine is None and not self._is_lasting:
            return
        self._release(arrived_at)
        settled = settled or self._arrivals.settle(one)
        if settled.status is IngestStatus.KNOWN:
            return
        with self.changes:
            self._keep(one, settled, arrived_at)
            if settled.status is not IngestStatus.ACCEPTED:
                self._note_amended(settled)
            elif self._ledger is not None and one.kind in CANCELLED:
                order_id = settled.order_id & _UNSIGNED
                if self.knows_order(one.name_id):
                    self._ledger.cancel(order_id, one.seen_at)
                else:
                    self._ledger.await_order(order_id, one.seen_at, one.row["happened_at"])
            if self._engine is None or settled.status is not IngestStatus.ACCEPTED:
                return
            if one.seen_at > arrived_at:
                line = one.line if settled.row is None else write_line(settled.row)
                self._hold(to_events(read_lines([line]), self._key.key_id, is_tail=True))
            else:
                self._apply(_add_later(one.build_events(settled.order_id & _UNSIGNED)))

    def keep_decisions(self, decided: Sequence[Decided | Answered]) -> None:
        """Keep what was decided about orders, or answered to requests, for whoever sends them again.

        Raises
        ------
        HistoryError
            The journal cannot be written.
        """
        for each in decided:
            self._of_name.setdefault(each.name_id, []).append(each)

    def settle(self, one: LiveEvent) -> Settled:
        """Find out what an event is, and read the rows of its order's id where something like it is known.

        Raises
        ------
        HistoryError
            Several orders have the id of its order.
        """
        settled = self._arrivals.settle(one)
        if self._store is not None and settled.standing:
            answers = self._store.read_answers(0, one.row["order_id"])
            settled = settled._replace(standing=[*answers, *settled.standing])
        return settled

    def read_answers(self, since_us: int) -> list[Row]:
        """Read the requests seen since a time, UTC microseconds, that were answered, each with its decision."""
        stored = [] if self._store is None else self._store.read_answers(since_us)
        kept = [each.row for of_one in self._of_name.values() for each in of_one if isinstance(each, Answered)]
        return [*stored, *(row for row in kept if row["seen_at"] >= since_us)]

    def read_rows(self, order_id: str) -> list[Row]:
        """Read all rows that there are of an order id, of whatever shop.

        Parameters
        ----------
        order_id : as given
        """
        return self._read_standing(_Named(self._key_name(order_id), order_id))

    def find_kept(self, name_id: int) -> tuple[KeptOrder, float | None] | None:
        """Find an order that came alone and once, and the probability of malice that it was given first.

        Parameters
        ----------
        name_id : keyed order id alone, signed

        Returns
        -------
        None where only `read_rows` can tell
        """
        order, given = None, list[Decided]()
        for each in () if self._stored or self._past else self._of_name.get(name_id, ()):
            if isinstance(each, KeptOrder) and order is None:
                order = each
            elif isinstance(each, Decided) and each.id == name_id:
                given.append(each)
            elif isinstance(each, (KeptOrder, _KeptRow)):
                return None
        if order is None:
            return None
        return order, min(given, key=lambda each: each.seen_at).decision.p_malicious if given else None

    def _key_name(self, order_id: str) -> int:
        # NOT: at the top. the core's tables load with the first id.
        if self._name_keyer is None:
            from ordervet.entities.order_ids import TextKeyer

            self._name_keyer = TextKeyer(self._key, ("order",))
        return self._name_keyer.key([order_id])[0]

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
        with self.changes:
            return self._add_keyed(engine, keyed)

    def _add_keyed(self, engine: FeatureEngine, keyed: KeyedEvents) -> Features:
        self._found_arrivals = self._ledger = None
        is_ahead = find_latest(keyed) > self._find_present()
        if find_earliest(keyed) >= engine.last_seen_at and not is_ahead and not self._ahead:
            features = advance(engine, keyed)
        else:
            past = self._list_past()
            _check_new(keyed, past)
            whole = FeatureEngine(engine.spec, n_jobs=self._n_jobs)
            every = advance(whole, concat_events([keyed, *past]))
            features = every.take(np.arange(keyed.orders.num_rows))
            if is_ahead or self._ahead:
                self._past.append(keyed)
                self.rebuild(engine.spec)
                return features
            self._engine = whole
        self._past.append(keyed)
        return features

    def rebuild(self, spec: FeatureSpec) -> None:
        """Switch to other features: everything remembered is replayed for them."""
        engine = FeatureEngine(spec, n_jobs=self._n_jobs)
        with self.changes:
            self._engine = engine
            self._ahead, self._next_at = [], NEVER_AHEAD
            if past := self._list_past():
                advance(engine, self._hold_ahead(concat_events(past)))

    def mend(self, spec: FeatureSpec | None) -> None:
        """Build the state again from what is kept, if it is not whole.

        Parameters
        ----------
        spec : the features; None for those that it has

        Raises
        ------
        HistoryError
            The history cannot be read or written.
        """
        if not self.changes.depth:
            return
        if spec is None and self._engine is not None:
            spec = self._engine.spec
        _log.warning("adding an event was interrupted: the state is built again")
        self._build_again(spec)
        self.changes.depth = 0

    def _build_again(self, spec: FeatureSpec | None) -> None:
        decided = [
            each for of_one in self._of_name.values() for each in of_one if isinstance(each, (Decided, Answered))
        ]
        self._of_name, self._found_arrivals, self._ledger = {}, None, None
        for one in (*self._past_single, *decided):
            self._of_name.setdefault(one.name_id, []).append(one)
        if spec is not None:
            self.rebuild(spec)

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
        with self.changes:
            self._read_store(self._store, version)
            if self._engine is not None:
                self.rebuild(self._engine.spec)
        return True

    def change_history(self, change: Callable[[History], T]) -> T:  # noqa: ARG002 - the same signature for all states
        """Raise HistoryError: there is no store to change."""
        raise HistoryError("this scorer has no history store", hint='Scorer.open(history="DIR") opens one with a store')

    def read_judgements(self) -> tuple[pa.Table, pa.Table]:
        """Raise HistoryError: there is no store that the desk could recall."""
        raise HistoryError("this scorer has no history store", hint='Scorer.open(history="DIR") opens one with a store')

    def flush(self) -> None:
        """Do nothing: there is no store to write to."""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    _is_lasting = False
    """Whether events are kept where there is no model."""

    @property
    def _arrivals(self) -> Arrivals:
        if self._found_arrivals is None:
            tables = [self._identify(events) for events in (*self._stored, *self._past)]
            if self._past_single:
                tables.append(read_lines(one.line for one in self._past_single))
            # NOT: a table of nothing. a live order needs no tables.
            schema = unite_schemas(tables) if tables else None
            rows = pa.concat_tables([fit_rows(table, schema) for table in tables]) if tables else None
            self._found_arrivals = Arrivals(rows, self._key, self._read_standing)
        return self._found_arrivals

    def _read_standing(self, one: Arrival) -> list[Row]:
        """List all rows that there are of an arrival's order id."""
        rows = [each.row for each in self._of_name.get(one.name_id, ())]
        for events in (*self._stored, *self._past):
            chosen = {
                kind: getattr(events, kind).filter(pc.equal(getattr(events, kind)["order_id"], one.row["order_id"]))
                for kind in KEYED_KINDS
            }
            if any(table.num_rows for table in chosen.values()):
                rows += to_plain(self._identify(KeyedEvents(**chosen, key_id=events.key_id)))
        return rows

    def _identify(self, events: KeyedEvents) -> pa.Table:
        """Build the rows of keyed events that were settled before."""
        tables = [to_rows(events, kind) for kind in KEYED_KINDS]
        rows = identify(pa.concat_tables([fit_rows(table, unite_schemas(tables)) for table in tables]), self._key)
        own = read_ints(rows[ORDER_ID])
        names = hash_texts(rows["order_id"], self._key, "order").view(np.int64)
        is_apart = own != names
        if not is_apart.any():
            return rows
        # NOTE: two shops' orders of one id would have one identity; of these it is that of the order.
        of_order = is_apart & np.asarray(pc.equal(rows["event"], "order"))
        event_ids = np.where(of_order, own, read_ints(rows["event_id"]))
        for name, values in (("event_id", pa.array(event_ids)), ("name_id", pa.array(names, mask=~is_apart))):
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, rows.schema.field(at), values)
        return rows

    def _keep(self, one: KeptOrder | LiveEvent, settled: Settled, arrived_at: int) -> None:
        """Keep an arrival: as it is, or as it was settled."""
        self._note_kept(one, settled, arrived_at)

    def _keep_new(self, ones: Sequence[LiveOrder]) -> None:
        """Keep new orders, all of them or none; each is noted after."""

    def _note_kept(self, one: KeptOrder | LiveEvent, settled: Settled, arrived_at: int) -> None:  # noqa: ARG002 - one signature for all states
        """Note what is kept of an arrival."""
        kept = one if settled.row is None else _KeptRow(settled.row)
        self._past_single.append(kept)
        self._of_name.setdefault(one.name_id, []).append(kept)
        self._arrivals.note(one, settled.row)

    def _hold_ahead(self, events: KeyedEvents) -> KeyedEvents:
        """Hold what lies ahead of the clock; return the rest."""
        now = self._find_present()
        if find_latest(events) <= now:
            return events
        self._hold(select_events(events, lambda seen_at: seen_at > now))
        return select_events(events, lambda seen_at: seen_at <= now)

    def _find_present(self) -> int:
        """Return until when events are not ahead; clocks of several machines differ a little."""
        return self._clock() + _SKEW_US

    def _hold(self, events: KeyedEvents) -> None:
        self._ahead.append(events)
        self._next_at = min(self._next_at, find_earliest(events))

    def _release(self, until: int) -> None:
        """Let what was held count whose time has come."""
        if until >= self._next_at:
            with self.changes:
                self._release_due(until)

    def _release_due(self, until: int) -> None:
        held = concat_events(self._ahead)
        self._ahead, self._next_at = [], NEVER_AHEAD
        due = select_events(held, lambda seen_at: seen_at <= until)
        later = select_events(held, lambda seen_at: seen_at > until)
        if find_latest(later) >= find_earliest(later):
            self._hold(later)
        if self._engine is not None:
            self._apply(lambda engine: advance(engine, due))

    def _apply(self, act: Callable[[FeatureEngine], T]) -> T:
        """Let the state take something in."""
        return act(require_engine(self._engine))

    def _note_amended(self, settled: Settled) -> None:
        """Let a further view of a known event count, in place of the one before; of many at once by the next order."""
        if self._engine is not None and is_amended(settled):
            self._n_amended += 1
            if not self._rests():
                self._count_amended()

    def _count_amended(self) -> None:
        """Build the state again if views were amended since, a large one only after it has rested."""
        if not self._n_amended or self._engine is None or (self._rests() and self._is_large):
            return
        started, self._n_amended = time.monotonic(), 0
        self.rebuild(self._engine.spec)
        self._rests_until = started + (1 + REST) * (time.monotonic() - started)

    def _rests(self) -> bool:
        return time.monotonic() < self._rests_until

    @property
    def _is_large(self) -> bool:
        return self._arrivals.digest().n_rows > AT_ONCE

    def _list_past(self) -> list[KeyedEvents]:
        """Return everything remembered, as it stands; events that came one by one are only now put into tables."""
        rows = sort_rows(drop_replaced(read_lines(one.line for one in self._past_single)))
        single = [to_events(rows, self._key.key_id, is_tail=True)] if rows.num_rows else []
        amended = [_event_id_of(one) for one in self._past_single if _view_of(one)]
        bulk = [self._drop_events(events, amended) if amended else events for events in (*self._stored, *self._past)]
        return [*bulk, *single]

    def _drop_events(self, events: KeyedEvents, event_ids: Sequence[int]) -> KeyedEvents:
        """Drop events that later views replace."""
        is_kept = pa.array(~np.isin(read_ints(self._identify(events)["event_id"]), np.array(event_ids, np.int64)))
        kept, at = {}, 0
        for kind in KEYED_KINDS:
            table = getattr(events, kind)
            kept[kind] = table.filter(is_kept[at : at + table.num_rows])
            at += table.num_rows
        return KeyedEvents(**kept, key_id=events.key_id)

    def _read_store(self, store: History, version: int) -> None:
        """Take over a version of the store; events of this scorer that are in it are remembered once."""
        from ordervet.history.delta import read_identities

        stored = store.read(version=version)
        rows = read_identities(store.path, version)
        known = set(zip(read_ints(rows["event_id"]).tolist(), views_of(rows).tolist(), strict=True))
        self._past_single = [one for one in self._past_single if (_event_id_of(one), _view_of(one)) not in known]
        self._stored, self.history_version = [stored], version
        self._found_arrivals = self._ledger = None


def _event_id_of(one: KeptOrder | LiveEvent | _KeptRow) -> int:
    return int(one.row["event_id"]) if isinstance(one, _KeptRow) else one.event_id


def _view_of(one: KeptOrder | LiveEvent | _KeptRow) -> int:
    return int(one.row.get("view") or 0) if isinstance(one, _KeptRow) else 0


def find_decision(rows: Sequence[Row], order_id: int) -> str | None:
    """Find the latest decision about an order among rows; None where there is none, or a person has judged it since."""
    of_order = [row for row in rows if row[ORDER_ID] == order_id]
    decided = [row for row in of_order if row["event"] == DECISION and row.get("outcome") is None]
    found = max(decided, key=lambda row: row["seen_at"], default=None)
    judged = [row for row in of_order if row["event"] in ("verdict", "correction")]
    if found is None or any(row["seen_at"] > found["seen_at"] for row in judged):
        return None
    return str(found["decision"])


def advance(engine: FeatureEngine, events: KeyedEvents) -> Features:
    """Add events to a state."""
    order_events = build_order_events(events.orders, engine.spec)
    return Features(events.orders, order_events, engine.advance(order_events, build_later_events(events)))


def advance_one(engine: FeatureEngine, one: LiveOrder) -> NDArray[np.float32]:
    """Add one order to a state; return its features, shape (1, n_features)."""
    return engine.advance_one(
        one.order_id, floor_minute(one.kept.placed_us), one.seen_at, one.order.amount_minor,
        find_rate(one, engine.spec), find_mask(one), pick_ids(one, engine.entities),
        list_own_features(one, engine.spec),
    )  # fmt: skip


def _add_one(one: LiveOrder) -> Callable[[FeatureEngine], NDArray[np.float32]]:
    return lambda engine: advance_one(engine, one)


def _add_later(events: LaterEvents) -> Callable[[FeatureEngine], Any]:
    return lambda engine: engine.remember_later(events)


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


def select_events(events: KeyedEvents, is_wanted: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> KeyedEvents:
    """Select events by the time from which they count, UTC microseconds."""
    tables = {kind: getattr(events, kind) for kind in KEYED_KINDS}
    chosen = {kind: table.filter(pa.array(is_wanted(read_ints(table["seen_at"])))) for kind, table in tables.items()}
    return KeyedEvents(**chosen, key_id=events.key_id)


def find_earliest(events: KeyedEvents) -> int:
    """Return the time of the earliest event, UTC microseconds."""
    return min(int(read_ints(getattr(events, kind)["seen_at"]).min(initial=NEVER_AHEAD)) for kind in KEYED_KINDS)


def find_latest(events: KeyedEvents) -> int:
    """Return the time of the latest event, UTC microseconds."""
    return max(int(read_ints(getattr(events, kind)["seen_at"]).max(initial=NEVER)) for kind in KEYED_KINDS)


def _check_new(keyed: KeyedEvents, past: Sequence[KeyedEvents]) -> None:
    if not past:
        return
    known = pa.concat_tables([each.orders.select(["id__order"]) for each in past])["id__order"]
    if np.isin(np.asarray(keyed.orders["id__order"]), np.asarray(known)).any():
        raise HistoryError(
            "some of these orders were scored before", hint="score each order once, or open a new scorer"
        )
