"""All that an engine keeps: made, enlarged, let go of, measured, exported and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ordervet.errors import HistoryError
from ordervet.features import book as b
from ordervet.features.groups import GroupState
from ordervet.features.plan import build_plans, list_weight_columns
from ordervet.features.slots import MAX_WALK, NEVER
from ordervet.features.spec import GROUP_KEYS
from ordervet.features.state import EntityState, LogState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features.spec import FeatureSpec

#: A batch of few leaves room for so many more, so that most of them need not look whether there is any.
SPARE_ROOM = 4_096

#: Raised when the arrays of an exported state change their layout or meaning.
STATE_PROTOCOL = 5


class EngineArrays:
    """What an engine keeps: the log of events, the state of every entity, the groups, and the book that finds them.

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
        self._n_classes = 0
        self._room = 0

    def _build_state(self, at: int, entity: str) -> EntityState:
        plan = self._plans.get(entity)
        values = [self._entities.index(value) for value in plan.distinct_entities] if plan else []
        link = [each for each in self._entities if each in self._plans].index(entity) if plan else 0
        return EntityState(self._book[at], self._shared, at, link, plan, values)

    @property
    def entities(self) -> tuple[str, ...]:
        """The entities whose ids the features are made of."""
        return self._entities

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
        if n_expired > SPARE_ROOM and 2 * n_expired > int(self._shared[b.N_EVENTS]):
            self.compact()

    def _count_buyers(self) -> int:
        return self._states[int(self._shared[b.FIRST_OWN])].n_slots if self._shared[b.FIRST_OWN] >= 0 else 0

    def _reserve(self, n: int) -> None:
        """Make room for so many more orders and events, and note how many may come before the next look.

        Events that wait for the clock to move on make no slot busy yet, and will want their room then.
        """
        n_waiting = int(self._shared[b.N_EVENTS] - self._shared[b.APPLIED])
        for state in self._states:
            state.reserve_ids(n)
        self._log.reserve(n_new_orders=n, n_new_events=n, n_buyers=self._count_buyers() + n)
        for state in self._states:
            state.reserve_slots(n)
            state.reserve_busy(n + n_waiting)
        self._reserve_groups(n)
        rooms = [self._log.measure_room(), *(state.measure_room() - n_waiting for state in self._states)]
        self._room = min(rooms)

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
        event = sum(_measure_entry(each) for each in (log.events, log.judgements, log.weights))
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
        header : spec hash, protocol, from when on ids are busy, instant of the last event, counts
        """
        arrays = {f"log/{name}": array for name, array in self._log.export().items()}
        for entity, state in zip(self._entities, self._states, strict=True):
            arrays |= {f"{entity}/{name}": array for name, array in state.export().items()}
        if self._groups is not None:
            arrays |= {f"groups/{name}": array for name, array in self._groups.export().items()}
        header = {
            "protocol": STATE_PROTOCOL,
            "spec_hash": self.spec.hash,
            "max_walk": int(self._shared[b.MAX_WALK]),
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
            The state is of another spec or protocol, its busy ids begin elsewhere, or an array is missing.
        """
        known = {"protocol": STATE_PROTOCOL, "spec_hash": spec.hash, "max_walk": MAX_WALK}
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
        engine._reserve(SPARE_ROOM)
        return engine


def _pick(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _measure_entry(array: NDArray[Any]) -> int:
    return array.itemsize * int(np.prod(array.shape[1:]))
