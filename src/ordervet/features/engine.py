"""The feature engine: events in, point-in-time features out, whether one order or a year of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from joblib import Parallel, delayed

from ordervet.errors import HistoryError
from ordervet.features import kernel
from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.plan import build_plans
from ordervet.features.spec import SELECTOR_BIT
from ordervet.features.state import EntityState, IdMap, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features.events import LaterEvents, OrderEvents
    from ordervet.features.spec import FeatureSpec

_PARALLEL_FROM = 20_000

#: Raised when the arrays of an exported state change their layout or meaning.
STATE_PROTOCOL = 1

_LOG = ("_seen_at", "_mask", "_amount", "_row", "_voids", "_row_slot", "_last_verdict")


class FeatureEngine:
    """Replays events in the order they were seen and computes every order's features as of its own instant.

    Parameters
    ----------
    spec : the features, in matrix column order
    n_jobs : threads; entities are independent of each other and the kernel holds no lock
    """

    def __init__(self, spec: FeatureSpec, *, n_jobs: int = 1) -> None:
        self.spec = spec
        self.n_jobs = n_jobs
        self.last_seen_at = kernel.NEVER
        self._plans = build_plans(spec)
        self._states = tuple(EntityState(plan) for plan in self._plans)
        used = {p.entity for p in self._plans} | {v for p in self._plans for v in p.distinct_entities}
        self._entities = tuple(entity for entity in spec.entities if entity in used)
        self._maps = {entity: IdMap() for entity in self._entities}
        self._orders = IdMap()
        self._n_events = 0
        self._seen_at = np.zeros(0, np.int64)
        self._mask = np.zeros(0, np.int64)
        self._amount = np.zeros(0, np.int64)
        self._row = np.zeros(0, np.int32)
        self._voids = np.zeros(0, np.int32)
        self._row_slot = np.full((len(self._entities), 0), -1, np.int32)
        self._last_verdict = np.full(0, -1, np.int32)

    def advance(self, orders: OrderEvents, later: LaterEvents) -> NDArray[np.float32]:
        """Add events and return the features of the orders among them.

        An order whose id is known already is answered again as of now, from the entities of its first sight, and
        counted once. Later events of an unknown order are left out; the contract room reports those.

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
        self._check_time(orders, later)
        rows, is_new = self._place_orders(orders)
        first = self._n_events
        out_row = self._append(orders, later, rows, is_new)
        out = np.empty((len(orders), len(self.spec.names)), np.float32)
        for at, (column, _) in enumerate(self.spec.order_columns):
            out[:, column] = orders.own[:, at]
        self._replay(first, out_row, out)
        return out

    def export_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Give all that the engine remembers, as plain arrays and a header that JSON can hold.

        Returns
        -------
        arrays : by name, the engine's own and not copies: write or copy them before the next `advance`
        header : spec hash, protocol, instant of the last event, counts
        """
        arrays: dict[str, NDArray[Any]] = {f"log/{name[1:]}": getattr(self, name) for name in _LOG}
        arrays |= {f"orders/{name}": array for name, array in self._orders.export().items()}
        for entity, id_map in self._maps.items():
            arrays |= {f"map/{entity}/{name}": array for name, array in id_map.export().items()}
        for state in self._states:
            arrays |= {f"state/{state.plan.entity}/{name}": array for name, array in state.export().items()}
        header = {
            "protocol": STATE_PROTOCOL,
            "spec_hash": self.spec.hash,
            "last_seen_at": self.last_seen_at,
            "n_events": self._n_events,
            "n_orders": self._orders.n_slots,
            "n_slots": {entity: id_map.n_slots for entity, id_map in self._maps.items()},
            "applied": {state.plan.entity: state.applied for state in self._states},
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
        owned = {name: array if array.flags.writeable else array.copy() for name, array in arrays.items()}
        for name in _LOG:
            setattr(engine, name, owned[f"log/{name[1:]}"])
        engine.last_seen_at, engine._n_events = header["last_seen_at"], header["n_events"]
        engine._orders.restore(_pick(owned, "orders/"), header["n_orders"])
        for entity, id_map in engine._maps.items():
            id_map.restore(_pick(owned, f"map/{entity}/"), header["n_slots"][entity])
        for state in engine._states:
            state.restore(_pick(owned, f"state/{state.plan.entity}/"), header["applied"][state.plan.entity])
        return engine

    def _check_time(self, orders: OrderEvents, later: LaterEvents) -> None:
        earliest = min(orders.seen_at.min(initial=np.iinfo(np.int64).max), later.seen_at.min(initial=2**63 - 1))
        if earliest < self.last_seen_at:
            raise HistoryError(
                f"{len(orders) + len(later)} events begin {(self.last_seen_at - earliest) / 1e6:.6f} s before the last "
                "event already seen",
                hint="score past orders together with the whole history, in one table or one command",
            )
        self.last_seen_at = max(
            self.last_seen_at,
            int(orders.seen_at.max(initial=kernel.NEVER)),
            int(later.seen_at.max(initial=kernel.NEVER)),
        )

    def _place_orders(self, orders: OrderEvents) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Give each order its row, and each of its ids a slot."""
        n_before = self._orders.n_slots
        rows = self._orders.assign(orders.order_id)
        is_new = np.zeros(len(rows), bool)
        _, first_at = np.unique(rows, return_index=True)
        is_new[first_at] = rows[first_at] >= n_before
        self._row_slot = grow(self._row_slot, self._orders.n_slots, -1, axis=1)
        self._last_verdict = grow(self._last_verdict, self._orders.n_slots, -1)
        for at, entity in enumerate(self._entities):
            self._row_slot[at, rows[is_new]] = self._maps[entity].assign(orders.ids[entity][is_new])
        return rows, is_new

    def _append(
        self, orders: OrderEvents, later: LaterEvents, rows: NDArray[np.int32], is_new: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Merge the events into the log by the instant they were seen; return which ones ask for features."""
        later_rows = self._orders.find(later.order_id)
        known = np.flatnonzero(later_rows >= 0)
        seen_at = np.concatenate([orders.seen_at, later.seen_at[known]])
        rank = np.concatenate([np.zeros(len(orders), np.uint8), later.rank[known]])
        order = np.lexsort((rank, seen_at))
        first, self._n_events = self._n_events, self._n_events + len(order)
        self._seen_at = self._extend(self._seen_at, first, seen_at[order])
        order_mask = np.where(is_new, SELECTOR_BIT["order"], 0)
        self._mask = self._extend(self._mask, first, np.concatenate([order_mask, later.mask[known]])[order])
        amount = np.concatenate([orders.amount_minor, later.amount_minor[known]])
        self._amount = self._extend(self._amount, first, amount[order])
        self._row = self._extend(self._row, first, np.concatenate([rows, later_rows[known]])[order])
        self._voids = grow(self._voids, self._n_events, -1)
        n = self._n_events
        kernel.link_verdicts(self._mask[:n], self._row[:n], first, JUDGEMENT_BIT, self._last_verdict, self._voids)
        out_row = np.concatenate([np.arange(len(orders)), np.full(len(known), -1)])
        return out_row[order]

    def _extend(self, array: NDArray, first: int, values: NDArray) -> NDArray:  # type: ignore[type-arg]
        array = grow(array, first + len(values), 0)
        array[first : first + len(values)] = values
        return array

    def _replay(self, first: int, out_row: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        n_jobs = self.n_jobs if len(out_row) >= _PARALLEL_FROM else 1
        if n_jobs == 1:
            for state in self._states:
                self._replay_entity(state, first, out_row, out)
        else:
            Parallel(n_jobs=n_jobs, backend="threading")(
                delayed(self._replay_entity)(state, first, out_row, out) for state in self._states
            )

    def _replay_entity(
        self, state: EntityState, first: int, out_row: NDArray[np.int64], out: NDArray[np.float32]
    ) -> None:
        plan, n = state.plan, self._n_events
        state.reserve(n_events=n, n_slots=self._maps[plan.entity].n_slots, n_new_orders=n - state.applied)
        own_at = self._entities.index(plan.entity)
        distinct_at = np.array([self._entities.index(entity) for entity in plan.distinct_entities], np.int64)
        state.applied = kernel.replay(
            self._seen_at[:n], self._mask, self._amount, self._row, self._voids, out_row, first, state.applied,
            self._row_slot, own_at, distinct_at, plan.window_us, plan.cell_start, plan.cell_bit, plan.cell_is_sum,
            plan.distinct_start, plan.distinct_column, plan.clock_bit, plan.event_mask, plan.write, state.next_event,
            state.next_same, state.voided, state.last_event, state.tail, state.cells, state.distincts,
            state.clock_first, state.clock_last, state.pair_ids, state.pair_events, state.n_pairs, out,
        )  # fmt: skip


def _pick(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
