"""The feature engine: events in, point-in-time features out, whether one order or a year of them.

What is kept and how stands in src/core/features; here are the plan of a spec, and the arrays in and out.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ordervet import _core
from ordervet.errors import HistoryError
from ordervet.features.events import OrderEvents
from ordervet.features.parts import needs_first_orders
from ordervet.features.plan import build_arrays, build_groups, build_plans, list_weight_columns
from ordervet.features.spec import GROUP_KEYS, PRIOR_ORDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.features.events import LaterEvents
    from ordervet.features.parts import Part
    from ordervet.features.spec import FeatureSpec

#: Raised when the arrays of an exported state change their layout or meaning.
STATE_PROTOCOL = 8

#: From so many events on an id keeps running totals. SPEED: benchmarks/bench_features.py.
HOT_FROM = 8


class FeatureEngine:
    """Replays events in the order they were seen and computes every order's features as of its own time.

    Parameters
    ----------
    spec : the features, in matrix column order
    n_jobs : threads for many events
    hot_from : from so many events on an id keeps running totals; the features do not depend on it
    part : compute the columns of a part of the spec alone; None computes all
    """

    def __init__(
        self, spec: FeatureSpec, *, n_jobs: int = 1, hot_from: int = HOT_FROM, part: Part | None = None
    ) -> None:
        self.spec = spec
        self.n_jobs = n_jobs
        self._hot_from = hot_from
        self._plans = {plan.entity: plan for plan in build_plans(spec)}
        counted = {value for plan in self._plans.values() for value in plan.values}
        needs_first = needs_first_orders(spec)
        linked = ["buyer", *GROUP_KEYS] if spec.group_columns else []
        used = {*self._plans, *counted, *linked, *(["buyer"] if needs_first else [])}
        self._entities = tuple(entity for entity in spec.entities if entity in used)
        self._part = {} if part is None else {"part": part.name, "columns": list(part.columns)}
        self._n_features = len(spec.names if part is None else part.columns)
        self._core = _core.FeatureEngine(
            entities=build_arrays(spec, part.plans if part else tuple(self._plans.values()), self._entities),
            groups=build_groups(spec, self._entities, part.columns if part else None),
            own_columns=[] if part else [column for column, _ in spec.order_columns],
            n_features=self._n_features,
            n_weights=len(list_weight_columns(spec)),
            prior_orders=PRIOR_ORDERS,
            first_order_entity=self._entities.index("buyer") if needs_first and part is None else -1,
            hot_from=hot_from,
            n_threads=n_jobs,
        )

    @property
    def entities(self) -> tuple[str, ...]:
        """The entities whose ids the features are made of."""
        return self._entities

    @property
    def last_seen_at(self) -> int:
        """Time of the last event, UTC microseconds; the smallest int64 before the first."""
        return self._core.last_seen_at

    def advance(self, orders: OrderEvents, later: LaterEvents) -> NDArray[np.float32]:
        """Add events and return the features of the orders among them.

        An order whose id is known already is answered again as of now, from the entities of its first sight and
        without its own events, and counted once (docs/definitions.md T7). Later events of an order that is not known
        yet wait, and count from its arrival (T6).

        Parameters
        ----------
        orders, later : in any order; none seen before the last event of an earlier call

        Returns
        -------
        shape (len(orders), n_features), row i belongs to order i

        Raises
        ------
        HistoryError
            An event was seen before one that is already in, or amounts add up to more than totals hold (W2).
        """
        out = np.empty((len(orders), self._n_features), np.float32)
        self._add(orders, later, out)
        return out

    def advance_part(
        self, orders: OrderEvents, later: LaterEvents, weights: tuple[NDArray[np.int32], NDArray[np.int32]]
    ) -> NDArray[np.float32]:
        """Add events and return the columns of the engine's part; fill in the weights that it gives.

        Parameters
        ----------
        orders, later : as for `advance`; see `parts` for what has to be among them
        weights : of orders and of later events, shape (n, n_weights), parts per million, the columns of
            `list_weight_columns`: given of baselines that are no part of this engine, filled in for the others

        Returns
        -------
        shape (len(orders), n_columns)
        """
        out = np.empty((len(orders), self._n_features), np.float32)
        given = {"order_weights": weights[0], "later_weights": weights[1]}
        self._call(self._name_orders(orders) | given, later, orders.own, out)
        return out

    def remember(self, orders: OrderEvents, later: LaterEvents) -> None:
        """Add events and compute no features: the state is that of `advance`.

        Parameters
        ----------
        orders, later : as for `advance`; `own` is not looked at

        Raises
        ------
        HistoryError
            An event was seen before one that is already in, or amounts add up to more than totals hold (W2).
        """
        self._add(orders, later, None)

    def remember_later(self, later: LaterEvents) -> None:
        """Add later events alone; as `remember`."""
        self._call(self._no_orders, later, None, None)

    # SPEED: an array per entity, for every event (bench_live.py).
    @cached_property
    def _no_orders(self) -> dict[str, Any]:
        return self._name_orders(OrderEvents.empty(self.spec))

    def _name_orders(self, orders: OrderEvents) -> dict[str, Any]:
        """Name the arrays of orders as the core asks for them."""
        return {
            "order_id": orders.order_id,
            "placed_at": orders.read_placed_at(),
            "seen_at": orders.seen_at,
            "amount": orders.amount_minor,
            "rate": orders.read_rate(),
            "mask": orders.read_mask(),
            "ids": [orders.ids[entity] for entity in self._entities],
        }

    def _add(self, orders: OrderEvents, later: LaterEvents, out: NDArray[np.float32] | None) -> None:
        self._call(self._name_orders(orders), later, orders.own if out is not None else None, out)

    def _call(
        self,
        orders: dict[str, Any],
        later: LaterEvents,
        own: NDArray[np.float32] | None,
        out: NDArray[np.float32] | None,
    ) -> None:
        try:
            self._core.advance(
                **orders,
                later_id=later.order_id,
                later_happened_at=later.read_happened_at(),
                later_seen_at=later.seen_at,
                later_mask=later.mask,
                later_amount=later.amount_minor,
                later_rank=later.rank,
                own=own,
                out=out,
            )
        except _core.EarlierEventsError as error:
            raise _refuse_earlier(error) from None
        except OverflowError as error:
            raise _refuse_amounts(error) from None

    def advance_one(
        self,
        order_id: int,
        placed_at: int,
        seen_at: int,
        amount_minor: int,
        rate: float,
        mask: int,
        ids: NDArray[np.uint64],
        own: Sequence[float],
    ) -> NDArray[np.float32]:
        """Add one order and return its features: `advance`, without the arrays of a batch.

        Parameters
        ----------
        order_id : keyed id
        placed_at, seen_at : UTC microseconds
        amount_minor : minor units
        rate : what one of them is worth, as in `OrderEvents`
        mask : selector bits
        ids : shape (n_entities,), of `entities`; 0 is not known
        own : the n_order_columns features of the order itself

        Returns
        -------
        shape (1, n_features)

        Raises
        ------
        HistoryError
            The order was seen before the last event, or amounts add up to more than totals hold (W2).
        """
        out = np.empty((1, self._n_features), np.float32)
        try:
            self._core.advance_one(order_id, placed_at, seen_at, amount_minor, rate, mask, ids, own, out)
        except _core.EarlierEventsError as error:
            raise _refuse_earlier(error) from None
        except OverflowError as error:
            raise _refuse_amounts(error) from None
        return out

    def compact(self) -> None:
        """Let the events that have left every window leave the state too.

        The engine does so by itself whenever they are more than half of all; a scorer may do it at a quiet hour. What
        is left of an order is its row, so that a late outcome finds its entities, and of an id its slot.
        """
        self._core.compact()

    def measure_memory(self) -> dict[str, int]:
        """Return what is kept, in bytes.

        Returns
        -------
        "event": per event that is in a window of some entity; "verdict": with it, of a verdict or correction;
        "waiting": per event whose order has not come; "order": per order ever seen; per entity, by its name, per id
        ever seen, and "hot" and "node" with it, per hot id and per event of one. Arrays double as they grow, and the
        tables of ids and pairs are a quarter to half full: up to two and a half times as much is taken.
        """
        width = {name: array.shape[1] for name, array in self._core.export_state().items()}
        weights = width["log/weights"] if list_weight_columns(self.spec) else 0
        measured = {
            "event": width["log/events"] + width["log/before"] + weights,
            "verdict": width["log/judgements"],
            "waiting": width["log/waiting"],
            "order": width["log/orders"] + width["log/values"] + width["log/ids"],
        }
        for entity in self._entities:
            group = "groups/members" if entity == "buyer" else f"groups/{entity}"
            measured[entity] = sum(width.get(name, 0) for name in (f"{entity}/ids", f"{entity}/slots", group))
            if entity in self._plans:
                measured[f"hot {entity}"] = width[f"{entity}/records"]
                n_values = len(self._plans[entity].values)
                measured[f"node of hot {entity}"] = width[f"{entity}/nodes"] + n_values * width[f"{entity}/pairs"]
        return measured

    def export_state(self) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Any]]:
        """Return all that the engine remembers, as plain arrays and a header that JSON can hold.

        Returns
        -------
        arrays : by name, shape (rows, bytes of a row), the engine's own and not copies: write or copy them before the
            next `advance`
        header : spec hash, entities, protocol, from when on ids are hot, time of the last event
        """
        header = self._describe() | {"last_seen_at": self.last_seen_at}
        return self._core.export_state(), header

    @classmethod
    def restore(
        cls,
        spec: FeatureSpec,
        arrays: dict[str, NDArray[Any]],
        header: dict[str, Any],
        *,
        n_jobs: int = 1,
        part: Part | None = None,
    ) -> Self:
        """Build an engine that goes on exactly where the exported one was.

        Parameters
        ----------
        spec : the features that the exported engine computed
        arrays : of `export_state`; copied
        header : of `export_state`
        n_jobs, part : see the class

        Raises
        ------
        HistoryError
            The state is of another spec or protocol, or a number in it points nowhere.
        """
        engine = cls(spec, n_jobs=n_jobs, part=part)
        expected = engine._describe()
        got = {name: header.get(name) for name in expected}
        last_seen_at = header.get("last_seen_at")
        if got != expected:
            raise _refuse_state(f"got {got}, expected {expected}")
        if not isinstance(last_seen_at, int) or not -(2**63) <= last_seen_at < 2**63:
            raise _refuse_state(f"got the last event at {last_seen_at!r}, expected microseconds")
        try:
            engine._core.import_state(arrays, last_seen_at)
        except _core.InvalidStateError as error:
            raise _refuse_state(str(error)) from None
        return engine

    def _describe(self) -> dict[str, Any]:
        described = {"protocol": STATE_PROTOCOL, "spec_hash": self.spec.hash, "hot_from": self._hot_from} | self._part
        return described | {
            "entities": list(self._entities)
        }  # NOTE: their order is that of the ids, and not in the hash


def _refuse_earlier(error: Exception) -> HistoryError:
    return HistoryError(
        str(error), hint="score past orders together with the whole history, in one table or one command"
    )


def _refuse_amounts(error: Exception) -> HistoryError:
    return HistoryError(
        str(error), hint="look for amounts in a wrong unit, and for [rates] of a mapping that are wrong"
    )


def _refuse_state(fault: str) -> HistoryError:
    return HistoryError(f"the exported state does not fit this engine\n - {fault}", hint="replay the history instead")
