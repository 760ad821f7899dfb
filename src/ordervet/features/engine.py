"""The feature engine: events in, point-in-time features out, whether one order or a year of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from joblib import Parallel, delayed

from ordervet.errors import HistoryError
from ordervet.features import book as b
from ordervet.features import groups_kernel, kernel, log_kernel
from ordervet.features.events import LaterEvents, OrderEvents
from ordervet.features.groups import GroupState
from ordervet.features.plan import build_plans, list_weight_columns
from ordervet.features.slots import MAX_WALK, NEVER
from ordervet.features.spec import GROUP_KEYS
from ordervet.features.state import EntityState, LogState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from ordervet.features.spec import FeatureSpec

# SPEED: benchmarks/bench_features.py. From here on threads gain more than they cost; and orders of a part, what they
# touch fits into a cache of a core.
_BULK_FROM = 4_096
_PART = 32_768

#: A batch of few leaves room for so many more, so that most of them need not look whether there is any.
_SPARE_ROOM = 4_096
_LITTLE_ROOM = 64

_NOTHING_LATER, _NO_OWN = LaterEvents.empty(), np.zeros((1, 0), np.float32)

#: Raised when the arrays of an exported state change their layout or meaning.
STATE_PROTOCOL = 5


class FeatureEngine:
    """Replays events in the order they were seen and computes every order's features as of its own instant.

    Parameters
    ----------
    spec : the features, in matrix column order
    n_jobs : threads; entities are independent of each other and the kernel holds no lock
    max_walk : from so many events on an id has running totals; the features do not depend on it
    """

    def __init__(self, spec: FeatureSpec, *, n_jobs: int = 1, max_walk: int = MAX_WALK) -> None:
        self.spec = spec
        self.n_jobs = n_jobs
        self.last_seen_at = NEVER
        self._plans = {plan.entity: plan for plan in build_plans(spec)}
        counted = {value for plan in self._plans.values() for value in plan.distinct_entities}
        needs_first = any(aggregation.column == "first_order" for _, aggregation in spec.aggregations)
        linked = ["buyer", *GROUP_KEYS] if spec.group_columns else []
        used = {*self._plans, *counted, *linked, *(["buyer"] if needs_first else [])}
        self._entities = tuple(entity for entity in spec.entities if entity in used)
        self._levels = [
            np.array(
                [self._entities.index(plan.entity) for plan in self._plans.values() if plan.level == level], np.int64
            )
            for level in range(1 + max((plan.level for plan in self._plans.values()), default=-1))
        ]
        self._by_level = np.concatenate([*self._levels, np.zeros(0, np.int64)])
        self._level_ends = np.cumsum([len(level) for level in self._levels], dtype=np.int64)
        self._weight_columns = list_weight_columns(spec)
        self._book = np.zeros((len(self._entities), b.N_COLUMNS), np.int64)
        self._shared = np.zeros(b.N_SHARED, np.int64)
        self._shared[b.MAX_WALK] = max_walk
        first_own = self._entities.index("buyer") if needs_first else -1
        self._log = LogState(
            self._shared, n_entities=len(self._entities), n_links=len(self._plans),
            n_weights=len(self._weight_columns), first_own=first_own,
        )  # fmt: skip
        self._states = [self._build_state(at, entity) for at, entity in enumerate(self._entities)]
        self._groups = GroupState(spec, self._entities) if spec.group_columns else None
        self._group_plan = self._groups.plan if self._groups else np.zeros(0, np.int64)
        windows = [plan.window_us.max(initial=0) for plan in self._plans.values()]
        self._longest_us = int(max(windows, default=0))
        own = [column for column, _ in spec.order_columns]
        are_together = own == list(range(own[0], own[-1] + 1)) if own else False
        # SPEED: benchmarks/bench_features.py. A slice costs a live order less than a list of columns.
        self._own_columns = slice(own[0], own[-1] + 1) if are_together else np.array(own, np.int64)
        self._n_classes = 0
        self._room = 0
        numbers = (np.zeros(1, np.int64) for _ in range(3))
        self._one = OrderEvents(np.zeros(1, np.uint64), next(numbers), next(numbers), {}, _NO_OWN, mask=next(numbers))

    def _build_state(self, at: int, entity: str) -> EntityState:
        plan = self._plans.get(entity)
        values = [self._entities.index(value) for value in plan.distinct_entities] if plan else []
        link = [each for each in self._entities if each in self._plans].index(entity) if plan else 0
        return EntityState(self._book[at], self._shared, at, link, plan, values)

    def advance(self, orders: OrderEvents, later: LaterEvents) -> NDArray[np.float32]:
        """Add events and return the features of the orders among them.

        An order whose id is known already is answered again as of now, from the entities of its first sight, and
        counted once. Later events of an order that is not known (yet) are left out (docs/definitions.md T6).

        Parameters
        ----------
        orders, later : in any order; none seen before the last event of an earlier call

        Returns
        -------
        shape (len(orders), n_features), row i belongs to order i

        Raises
        ------
        HistoryError
            An event was seen before one that is already in.
        """
        out = np.empty((len(orders.order_id), len(self.spec.names)), np.float32)
        if self.spec.order_columns:
            out[:, self._own_columns] = orders.own
        self._add(orders, later, out)
        return out

    def remember(self, orders: OrderEvents, later: LaterEvents) -> None:
        """Add events and compute no features: the state is that of `advance`.

        Parameters
        ----------
        orders, later : as for `advance`; `own` is not looked at

        Raises
        ------
        HistoryError
            An event was seen before one that is already in.
        """
        self._add(orders, later, None)

    def _add(self, orders: OrderEvents, later: LaterEvents, out: NDArray[np.float32] | None) -> None:
        n_events = len(orders.order_id) + len(later.order_id)
        if n_events == 0:
            return
        earliest, latest = log_kernel.find_span(orders.seen_at, later.seen_at)
        self._go_on(int(earliest), int(latest), n_events)
        if n_events < _BULK_FROM:
            self._advance_few(orders, later, out)
        else:
            self._advance_many(orders, later, out)

    def advance_one(
        self,
        order_id: int,
        seen_at: int,
        amount_minor: int,
        mask: int,
        ids: NDArray[np.uint64],
        own: Sequence[float],
    ) -> NDArray[np.float32]:
        """Add one order and return its features: `advance`, without the arrays of a batch.

        Parameters
        ----------
        order_id : keyed id
        seen_at : UTC microseconds
        amount_minor : minor units
        mask : selector bits
        ids : shape (n_entities,), of `entities`; 0 is not known
        own : the n_order_columns features of the order itself

        Returns
        -------
        shape (1, n_features)

        Raises
        ------
        HistoryError
            The order was seen before the last event.
        """
        self._go_on(seen_at, seen_at, 1)
        out = np.empty((1, len(self.spec.names)), np.float32)
        if self.spec.order_columns:
            out[0, self._own_columns] = own
        one = self._one
        one.order_id[0], one.seen_at[0], one.amount_minor[0], one.read_mask()[0] = order_id, seen_at, amount_minor, mask
        self._append_few(ids.reshape(-1, 1), one, _NOTHING_LATER, out)
        return out

    @property
    def entities(self) -> tuple[str, ...]:
        """The entities whose ids the features are made of."""
        return self._entities

    def _go_on(self, earliest: int, latest: int, n_events: int) -> None:
        """Let time go on; it never goes back."""
        if earliest < self.last_seen_at:
            raise HistoryError(
                f"{n_events} events begin {(self.last_seen_at - earliest) / 1e6:.6f} s before the last "
                "event already seen",
                hint="score past orders together with the whole history, in one table or one command",
            )
        self.last_seen_at = latest

    def _advance_few(self, orders: OrderEvents, later: LaterEvents, out: NDArray[np.float32] | None) -> None:
        ids = np.concatenate([orders.ids[entity] for entity in self._entities] or [np.zeros(0, np.uint64)])
        self._append_few(ids.reshape(len(self._entities), len(orders)), orders, later, out)

    def _append_few(
        self, ids: NDArray[np.uint64], orders: OrderEvents, later: LaterEvents, out: NDArray[np.float32] | None
    ) -> None:
        """Add a small batch: two calls of a kernel, nothing else that could be left out."""
        n_events = len(orders.order_id) + len(later.order_id)
        if n_events > self._room:
            self._reserve(n_events + _SPARE_ROOM)
        self._room -= n_events
        shared, first = self._shared, int(self._shared[b.N_EVENTS])
        out_row = log_kernel.append_few(
            self._book, shared, ids, orders.order_id, orders.seen_at, orders.amount_minor, orders.read_mask(),
            later.order_id, later.seen_at, later.mask, later.amount_minor, later.rank,
        )  # fmt: skip
        out = self._ask_nothing(out_row) if out is None else out
        self._enter_classes()
        kernel.replay_few(
            self._by_level, self._level_ends, self._book, shared, self._group_plan, first, self.last_seen_at, out_row,
            out,
        )  # fmt: skip
        if self._room < _LITTLE_ROOM:
            self._compact_if_worth()

    def _advance_many(self, orders: OrderEvents, later: LaterEvents, out: NDArray[np.float32] | None) -> None:
        """Add a large batch: part by part, so that what a part touches stays near; a part entity by entity."""
        by_time = log_kernel.sort_seen(orders.seen_at, np.zeros(len(orders), np.uint8))
        by_seen = log_kernel.sort_seen(later.seen_at, later.rank)
        starts = range(_PART, len(orders), _PART)
        first_instants = orders.seen_at[by_time[_PART::_PART]]
        parts = zip(
            np.split(by_time, starts),
            np.split(by_seen, np.searchsorted(later.seen_at[by_seen], first_instants)),
            [*first_instants.tolist(), self.last_seen_at],
            strict=True,
        )
        with Parallel(n_jobs=self.n_jobs, backend="threading") as pool:
            for part_by_time, part_by_seen, until in parts:
                self._advance_part(orders, later, part_by_time, part_by_seen, out, until, pool)
        self._room = 0
        self._compact_if_worth()

    def _advance_part(
        self,
        orders: OrderEvents,
        later: LaterEvents,
        by_time: NDArray[np.int64],
        by_seen: NDArray[np.int64],
        out: NDArray[np.float32] | None,
        horizon: int,
        pool: Parallel,
    ) -> None:
        shared, n_orders = self._shared, len(by_time)
        first = int(shared[b.N_EVENTS])
        self._log.reserve(n_new_orders=n_orders, n_new_events=n_orders + len(by_seen), n_buyers=0)
        rows, is_new = log_kernel.place_orders(orders.order_id, by_time, shared)

        def place(at: int) -> None:
            state = self._states[at]
            state.reserve_ids(n_orders)
            log_kernel.place_ids(at, self._book, shared, orders.ids[self._entities[at]], by_time, rows, is_new)
            state.reserve_slots()

        self._run(place, range(len(self._entities)), pool)
        self._log.reserve(n_new_orders=0, n_new_events=0, n_buyers=self._count_buyers())
        out_row = log_kernel.append_events(
            shared, orders.seen_at, orders.amount_minor, orders.read_mask(), by_time, rows, is_new, later.order_id,
            later.seen_at, later.mask, later.amount_minor, by_seen,
        )  # fmt: skip
        answers = self._ask_nothing(out_row) if out is None else out
        self._enter_classes()
        self._reserve_groups(0)
        if self._groups is not None:
            groups_kernel.replay_groups(self._group_plan, shared, first, horizon, out_row, answers)

        def replay(entities: NDArray[np.int64]) -> None:
            self._replay(entities, first, horizon, out_row, answers)

        for level in self._levels:
            self._run(replay, self._share_out(level), pool)
        kernel.close_batch(shared, horizon)

    def _ask_nothing(self, out_row: NDArray[np.int32]) -> NDArray[np.float32]:
        """Let no event ask for features; give what takes them."""
        out_row[:] = -1
        return np.empty((0, len(self.spec.names)), np.float32)

    def _replay(
        self,
        entities: NDArray[np.int64],
        first: int,
        horizon: int,
        out_row: NDArray[np.int32],
        out: NDArray[np.float32],
    ) -> None:
        """Replay the new events for some entities, and make room for busy slots as they come."""
        shared, begin = self._shared, first
        applied = np.full(len(entities), shared[b.APPLIED])
        while begin >= 0:
            begin = kernel.replay(entities, self._book, shared, first, begin, applied, horizon, out_row, out)
            if begin >= 0:
                end = min(begin + kernel.CHUNK, int(shared[b.N_EVENTS]))
                for entity in entities:
                    self._states[entity].reserve_busy(end - int(applied.min()))

    def compact(self) -> None:
        """Let the events that have left every window leave the state too.

        The engine does so by itself whenever they are more than half of all; a scorer may do it at a quiet hour. What
        is left of an order is its row, so that a late outcome finds its entities, and of an id its record.
        """
        n_expired = self._log.count_expired(self.last_seen_at, self._longest_us)
        for state in self._states:
            state.compact(self.last_seen_at, n_expired)
        self._log.compact(n_expired)
        self._room = 0

    def _compact_if_worth(self) -> None:
        n_expired = self._log.count_expired(self.last_seen_at, self._longest_us)
        if n_expired > _SPARE_ROOM and 2 * n_expired > int(self._shared[b.N_EVENTS]):
            self.compact()

    def _share_out(self, entities: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Share entities out among the threads, the ones with most features first."""
        shares: list[list[int]] = [[] for _ in range(min(self.n_jobs, len(entities)))]
        weights = [0] * len(shares)
        for entity in sorted(entities, key=lambda at: -len(self._plans[self._entities[at]].operations)):
            least = weights.index(min(weights))
            shares[least].append(int(entity))
            weights[least] += len(self._plans[self._entities[entity]].operations)
        return [np.array(share, np.int64) for share in shares]

    def _run(self, task: Callable[[Any], None], items: Iterable[Any], pool: Parallel) -> None:
        if self.n_jobs == 1:
            for item in items:
                task(item)
        else:
            pool(delayed(task)(item) for item in items)

    def _count_buyers(self) -> int:
        return self._states[int(self._shared[b.FIRST_OWN])].n_slots if self._shared[b.FIRST_OWN] >= 0 else 0

    def _reserve(self, n: int) -> None:
        """Make room for so many more orders and events, and note how many may come before the next look."""
        for state in self._states:
            state.reserve_ids(n)
        self._log.reserve(n_new_orders=n, n_new_events=n, n_buyers=self._count_buyers() + n)
        for state in self._states:
            state.reserve_slots(n)
            state.reserve_busy(n)
        self._reserve_groups(n)
        self._room = min([self._log.measure_room(), *(state.measure_room() for state in self._states)])

    def _reserve_groups(self, n: int) -> None:
        if self._groups is not None:
            self._groups.reserve([state.n_slots + n for state in self._states])

    def _enter_classes(self) -> None:
        if self._n_classes != self._shared[b.N_CLASSES]:
            self._n_classes = int(self._shared[b.N_CLASSES])
            masks = [int(mask) for mask in self._log.class_masks[: self._n_classes]]
            for state in self._states:
                state.enter_classes(masks, self._weight_columns)

    def measure_memory(self) -> dict[str, int]:
        """Tell what is kept, in bytes.

        Returns
        -------
        "event": per event that is in a window of some entity; "order": per order ever seen; per entity, by its name,
        per id ever seen, and "busy" and "node" with it, per busy id and per event of one. Arrays double as they
        grow, and the tables of ids and pairs are a quarter to half full: up to two and a half times as much is taken.
        """
        log = self._log
        event = sum(_measure_entry(each) for each in (log.events, log.details, log.weights))
        told = {"event": event, "order": sum(_measure_entry(each) for each in (log.slots, log.last_verdict, log.map))}
        groups = self._groups.measure_memory() if self._groups else {}
        for entity, state in zip(self._entities, self._states, strict=True):
            told[entity] = _measure_entry(state.map) + _measure_entry(state.slots) + groups.get(entity, 0)
            if state.plan:
                told[f"busy {entity}"] = _measure_entry(state.records)
                n_values = len(state.plan.distinct_entities)
                told[f"node of busy {entity}"] = _measure_entry(state.nodes) + n_values * _measure_entry(state.pairs)
        return told

    def export_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Give all that the engine remembers, as plain arrays and a header that JSON can hold.

        Returns
        -------
        arrays : by name, the engine's own and not copies: write or copy them before the next `advance`
        header : spec hash, protocol, instant of the last event, counts
        """
        arrays = {f"log/{name}": array for name, array in self._log.export().items()}
        for entity, state in zip(self._entities, self._states, strict=True):
            arrays |= {f"{entity}/{name}": array for name, array in state.export().items()}
        if self._groups is not None:
            arrays |= {f"groups/{name}": array for name, array in self._groups.export().items()}
        header = {
            "protocol": STATE_PROTOCOL,
            "spec_hash": self.spec.hash,
            "last_seen_at": self.last_seen_at,
            "log": self._log.count(),
            "entities": {entity: state.count() for entity, state in zip(self._entities, self._states, strict=True)},
        }
        return arrays, header

    @classmethod
    def restore(
        cls, spec: FeatureSpec, arrays: dict[str, NDArray[Any]], header: dict[str, Any], *, n_jobs: int = 1
    ) -> Self:
        """Build an engine that goes on exactly where the exported one stood.

        Parameters
        ----------
        spec : the features that the exported engine computed
        arrays : of `export_state`, taken over and written to; those that are read-only are copied
        header : of `export_state`
        n_jobs : see the class

        Raises
        ------
        HistoryError
            The state is of another spec or of another protocol, or an array is missing.
        """
        known = {"protocol": STATE_PROTOCOL, "spec_hash": spec.hash}
        told = {name: header.get(name) for name in known}
        engine = cls(spec, n_jobs=n_jobs)
        missing = sorted(engine.export_state()[0].keys() - arrays.keys())
        if told != known or missing:
            fault = f"got {told}, expected {known}" if told != known else f"missing arrays: {', '.join(missing[:5])}"
            raise HistoryError(
                f"the exported state does not fit this engine\n - {fault}", hint="replay the history instead"
            )
        engine.last_seen_at = header["last_seen_at"]
        engine._log.restore(_pick(arrays, "log/"), header["log"])
        for entity, state in zip(engine._entities, engine._states, strict=True):
            state.restore(_pick(arrays, f"{entity}/"), header["entities"][entity])
        if engine._groups is not None:
            engine._groups.restore(_pick(arrays, "groups/"))
        engine._enter_classes()
        engine._reserve(_SPARE_ROOM)
        return engine


def _pick(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _measure_entry(array: NDArray[Any]) -> int:
    return array.itemsize * int(np.prod(array.shape[1:]))
