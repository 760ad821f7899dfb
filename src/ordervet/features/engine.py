"""The feature engine: events in, point-in-time features out, whether one order or a year of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.errors import HistoryError
from ordervet.features import book as b
from ordervet.features import groups_kernel, kernel, log_kernel
from ordervet.features.arrays import SPARE_ROOM, EngineArrays
from ordervet.features.slots import MAX_WALK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ordervet.features.events import LaterEvents, OrderEvents
    from ordervet.features.spec import FeatureSpec

    #: Runs a task for each of some items.
    _Run = Callable[[Callable[[Any], None], Iterable[Any]], object]

# SPEED: benchmarks/bench_features.py. From here on threads gain more than they cost; and orders of a part, what they
# touch fits into a cache of a core.
_BULK_FROM = 4_096
_PART = 32_768

#: With room for fewer events than this an engine looks whether it would rather let go of some.
_LITTLE_ROOM = 64

_ONE_ROW = np.zeros(1, np.int32)

#: The groups of linked buyers, among the entities of the first level.
_GROUPS = -1

#: A bug of ours: `_reserve` sees to it.
_NO_ROOM = "no room for busy ids"


class FeatureEngine(EngineArrays):
    """Replays events in the order they were seen and computes every order's features as of its own instant.

    Parameters
    ----------
    spec : the features, in matrix column order
    n_jobs : threads; entities are independent of each other and the kernel holds no lock
    max_walk : from so many events on an id has running totals; the features do not depend on it
    """

    def __init__(self, spec: FeatureSpec, *, n_jobs: int = 1, max_walk: int = MAX_WALK) -> None:
        super().__init__(spec, n_jobs=n_jobs, max_walk=max_walk)
        own = [column for column, _ in spec.order_columns]
        are_together = own == list(range(own[0], own[-1] + 1)) if own else False
        # SPEED: benchmarks/bench_features.py. A slice costs a live order less than a list of columns.
        self._own_columns = slice(own[0], own[-1] + 1) if are_together else np.array(own, np.int64)
        self._order = np.zeros(4 + len(self._entities), np.int64)
        levels = [level.tolist() for level in self._levels] or [[]]
        levels[0] += [_GROUPS] if self._groups is not None else []
        self._shares = [self._share_out(level) for level in levels]

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
        if self._room == 0:
            self._reserve(1 + SPARE_ROOM)
        self._room -= 1
        order, shared, first = self._order, self._shared, int(self._shared[b.N_EVENTS])
        order.view(np.uint64)[0] = order_id
        order[1:4], order[4:] = (seen_at, amount_minor, mask), ids.view(np.int64)
        answer = kernel.serve_one(
            order, self._by_level, self._level_ends, self._book, shared, self._group_plan, seen_at, out
        )  # fmt: skip
        if answer == kernel.NEW_CLASS:
            self._enter_classes()
            self._replay_few(first, _ONE_ROW, out)
        elif answer == kernel.NO_ROOM:
            raise AssertionError(_NO_ROOM)
        if self._room < _LITTLE_ROOM:
            self._compact_if_worth()
        return out

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
        """Add a small batch: two calls of a kernel, nothing else that could be left out."""
        ids = np.concatenate([orders.ids[entity] for entity in self._entities] or [np.zeros(0, np.uint64)])
        ids = ids.reshape(len(self._entities), len(orders))
        by_time, by_seen = np.argsort(orders.seen_at, kind="stable"), np.lexsort((later.rank, later.seen_at))
        n_events = len(orders.order_id) + len(later.order_id)
        if n_events > self._room:
            self._reserve(n_events + SPARE_ROOM)
        self._room -= n_events
        shared, first = self._shared, int(self._shared[b.N_EVENTS])
        out_row = log_kernel.append_few(
            self._book, shared, ids, orders.order_id, orders.seen_at, orders.amount_minor, orders.read_mask(), by_time,
            later.order_id, later.seen_at, later.mask, later.amount_minor, by_seen,
        )  # fmt: skip
        out = self._ask_nothing(out_row) if out is None else out
        self._enter_classes()
        self._replay_few(first, out_row, out)
        if self._room < _LITTLE_ROOM:
            self._compact_if_worth()

    def _replay_few(self, first: int, out_row: NDArray[np.int32], out: NDArray[np.float32]) -> None:
        is_done = kernel.replay_few(
            self._by_level, self._level_ends, self._book, self._shared, self._group_plan, first, self.last_seen_at,
            out_row, out,
        )  # fmt: skip
        if not is_done:
            raise AssertionError(_NO_ROOM)

    def _advance_many(self, orders: OrderEvents, later: LaterEvents, out: NDArray[np.float32] | None) -> None:
        """Add a large batch: part by part, so that what a part touches stays near; a part entity by entity."""
        by_time, by_seen = np.argsort(orders.seen_at, kind="stable"), np.lexsort((later.rank, later.seen_at))
        starts = range(_PART, len(orders), _PART)
        first_instants = orders.seen_at[by_time[_PART::_PART]]
        parts = zip(
            np.split(by_time, starts),
            np.split(by_seen, np.searchsorted(later.seen_at[by_seen], first_instants)),
            [*first_instants.tolist(), self.last_seen_at],
            strict=True,
        )
        with self._open_pool() as run:
            for part_by_time, part_by_seen, until in parts:
                self._advance_part(orders, later, part_by_time, part_by_seen, out, until, run)
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
        run: _Run,
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

        run(place, range(len(self._entities)))
        self._log.reserve(n_new_orders=0, n_new_events=0, n_buyers=self._count_buyers())
        out_row = log_kernel.append_events(
            shared, orders.seen_at, orders.amount_minor, orders.read_mask(), by_time, rows, is_new, later.order_id,
            later.seen_at, later.mask, later.amount_minor, by_seen,
        )  # fmt: skip
        answers = self._ask_nothing(out_row) if out is None else out
        self._enter_classes()
        self._reserve_groups(0)

        def replay(share: NDArray[np.int64]) -> None:
            if _GROUPS in share:
                groups_kernel.replay_groups(self._group_plan, shared, first, horizon, out_row, answers)
            self._replay(share[share != _GROUPS], first, horizon, out_row, answers)

        for shares in self._shares:
            run(replay, shares)
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

    def _share_out(self, entities: Iterable[int]) -> list[NDArray[np.int64]]:
        """Share entities out among the threads, the most costly first, each to whoever has least."""
        costs = {entity: self._estimate_cost(entity) for entity in entities}
        shares: list[list[int]] = [[] for _ in range(min(self.n_jobs, len(costs)))]
        for entity in sorted(costs, key=lambda each: -costs[each]):
            min(shares, key=lambda share: sum(costs[each] for each in share)).append(entity)
        return [np.array(share, np.int64) for share in shares]

    def _estimate_cost(self, entity: int) -> int:
        """Give about twenty nanoseconds an order; SPEED: benchmarks/bench_features.py."""
        if entity == _GROUPS:
            return 20
        plan = self._plans[self._entities[entity]]
        return 4 + len(plan.operations) + 8 * len(plan.distinct_entities)

    @contextmanager
    def _open_pool(self) -> Iterator[_Run]:
        """Give what runs a task for many items, on the engine's threads."""
        if self.n_jobs == 1:
            yield _run_in_turn
            return
        from joblib import Parallel, delayed  # noqa: PLC0415 - whoever has one thread does not wait for it

        with Parallel(n_jobs=self.n_jobs, backend="threading") as pool:
            yield lambda task, items: pool(delayed(task)(item) for item in items)


def _run_in_turn(task: Callable[[Any], None], items: Iterable[Any]) -> None:
    for item in items:
        task(item)
