"""The arrays behind the kernels, and their growth; whatever moves is entered in the book anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features import book as b
from ordervet.features import compact_kernel
from ordervet.features.classes import build_class_tables
from ordervet.features.room import MIN_CAPACITY, allocate, grow, grow_table, round_up, take_over
from ordervet.features.slots import NEVER, RING_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.features.plan import EntityPlan

_LINE = 64

_COUNTS = {
    "n_slots": b.N_SLOTS, "n_open": b.N_OPEN, "n_records": b.N_RECORDS, "n_nodes": b.N_NODES, "n_pairs": b.N_PAIRS,
}  # fmt: skip

#: How many more entries an export leaves room for, so that whoever takes it over need not copy all of it at once.
EXPORTED_ROOM = 16_384


class EntityState:
    """What is kept for one entity: its ids and slots, and of the busy ones records, nodes and pairs.

    Parameters
    ----------
    row, shared : shape (book.N_COLUMNS,) and (book.N_SHARED,), int64, the entity's row of the book and the shared one
    own : its column among the slots of an order
    link : its number among the links of an event
    plan : None when the entity is only counted by others
    value_columns : columns of the entities whose ids are counted once
    """

    def __init__(
        self,
        row: NDArray[np.int64],
        shared: NDArray[np.int64],
        own: int,
        link: int,
        plan: EntityPlan | None,
        value_columns: Sequence[int],
    ) -> None:
        self.plan = plan
        self._row, self._shared = row, shared
        self._constants: dict[int, NDArray[Any]] = {}
        n_values = len(value_columns)
        self.map = np.zeros((2 * MIN_CAPACITY, 2), np.int64)
        self.slots = np.empty((0, plan.layout.slot_width if plan else 0), np.int64)
        self.records = np.empty((0, plan.layout.width if plan else 0), np.int64)
        self.nodes = np.empty((0, b.FIRST_VALUE + 2 * n_values + 1 & ~1), np.int32)
        self.pairs = np.zeros((2 * MIN_CAPACITY if value_columns else 1, 2), np.int64)
        row[b.OWN], row[b.LINK], row[b.N_VALUES] = own, b.FIRST_LINK + link, n_values
        row[b.SLOT_WIDTH], row[b.RECORD_WIDTH] = self.slots.shape[1], self.records.shape[1]
        row[b.NODE_BYTES] = 4 * self.nodes.shape[1]
        self._enter(b.VALUES, np.array(value_columns, np.int32))
        if plan:
            self._enter_plan(plan)
        self.enter()

    def _enter(self, column: int, array: NDArray[Any]) -> None:
        """Keep a constant array and note where it is."""
        self._constants[column] = array
        self._row[column] = array.ctypes.data

    def _enter_plan(self, plan: EntityPlan) -> None:
        self._row[b.N_WINDOWS], self._row[b.LATEST_NODE] = len(plan.windows), plan.layout.latest_at
        self._enter(b.WINDOWS, plan.window_us)
        self._enter(b.EMPTY_SLOT, plan.layout.build_empty_slot())
        self._enter(b.EMPTY_RECORD, plan.layout.build_empty_record())
        self._enter(b.SCRATCH, np.zeros(plan.layout.width, np.int64))
        self._enter(b.RING, np.zeros(RING_SIZE, np.int64))
        max_walk = int(self._shared[b.MAX_WALK])
        self._enter(b.SEEN, np.zeros((1 + len(plan.distinct_entities)) * (2 + max_walk), np.int32))
        self._row[b.N_ASKS], self._row[b.N_OPERATIONS] = len(plan.asks), len(plan.operations)
        self._enter(b.ASKS, plan.asks)
        self._enter(b.OPERATIONS, plan.operations)
        self._enter(b.OPERATION_START, plan.operation_start)
        self._enter(b.EMPTY_VALUES, plan.empty_values)

    def enter_classes(self, masks: Sequence[int], weight_columns: Sequence[tuple[str, str]]) -> None:
        """Rebuild what depends on the classes of events that there are."""
        if self.plan is None:
            return
        tables = build_class_tables(self.plan, masks, weight_columns)
        for column, array in (
            (b.CLASS_FLAGS, tables.flags),
            (b.COUNT_START, tables.count_start),
            (b.COUNT_CELL, tables.count_cell),
            (b.SUM_START, tables.sum_start),
            (b.SUM_CELL, tables.sum_cell),
            (b.SUM_SOURCE, tables.sum_source),
            (b.CLOCK_START, tables.clock_start),
            (b.CLOCK_AT, tables.clock_at),
            (b.DISTINCT_START, tables.distinct_start),
            (b.DISTINCT_COLUMN, tables.distinct_column),
            (b.DISTINCT_AT, tables.distinct_at),
            (b.KNOWN_START, tables.known_start),
            (b.KNOWN_COLUMN, tables.known_column),
            (b.KNOWN_AT, tables.known_at),
        ):
            self._enter(column, array)

    def enter(self) -> None:
        """Note where the arrays are now, and how large."""
        row = self._row
        row[b.MAP], row[b.MAP_SIZE] = self.map.ctypes.data, len(self.map)
        row[b.SLOTS], row[b.MAX_SLOTS] = self.slots.ctypes.data, len(self.slots)
        row[b.RECORDS], row[b.MAX_RECORDS] = self.records.ctypes.data, len(self.records)
        row[b.NODES], row[b.MAX_NODES] = self.nodes.ctypes.data, len(self.nodes)
        row[b.PAIRS], row[b.PAIRS_SIZE] = self.pairs.ctypes.data, len(self.pairs)

    @property
    def n_slots(self) -> int:
        """Ids that the entity has."""
        return int(self._row[b.N_SLOTS])

    def reserve_ids(self, n_new: int) -> None:
        """Make room in the map for so many more ids."""
        grow_table(vars(self), "map", self.n_slots + n_new)
        self.enter()

    def reserve_slots(self, n_new: int = 0) -> None:
        """Make room for the slots of all ids and so many more."""
        if self.plan is not None:
            grow(vars(self), "slots", self.n_slots + n_new, used=int(self._row[b.N_OPEN]))
            self.enter()

    def reserve_busy(self, n_new_events: int) -> None:
        """Make room for so many more events: with each a slot can become busy, with `book.MAX_WALK` nodes at once."""
        if self.plan is None:
            return
        row = self._row
        n_records, n_nodes = int(row[b.N_RECORDS]), int(row[b.N_NODES])
        n_new_nodes = n_new_events * int(self._shared[b.MAX_WALK])
        grow(vars(self), "records", n_records + n_new_events, used=n_records)
        grow(vars(self), "nodes", n_nodes + n_new_nodes, used=n_nodes)
        if row[b.N_VALUES]:
            grow_table(vars(self), "pairs", int(row[b.N_PAIRS]) + n_new_nodes * int(row[b.N_VALUES]), are_pairs=True)
        self.enter()

    def compact(self, now: int, n_expired: int) -> None:
        """Let so many events leave, before they leave the log."""
        if self.plan is None:
            return
        row, shared = self._row, self._shared
        compact_kernel.expire_slots(row, shared, now, n_expired)
        owners = compact_kernel.find_owners(row)
        nodes = allocate((round_up(int((owners >= 0).sum())), self.nodes.shape[1]), self.nodes.dtype)
        moved = compact_kernel.move_nodes(row, n_expired, owners, nodes)
        if row[b.N_VALUES]:
            n_pairs = int(row[b.N_NODES]) * int(row[b.N_VALUES])
            pairs = allocate((round_up(2 * n_pairs), 2), self.pairs.dtype)
            row[b.N_PAIRS] = compact_kernel.enter_latest(row, shared, owners, moved, nodes, pairs)
            self.pairs = pairs
        self.nodes = nodes
        self.enter()

    def export(self) -> dict[str, NDArray[Any]]:
        """Give the arrays, as far as they are in use and a little further, and not copies."""
        row = self._row
        return {
            "map": self.map,
            "slots": self.slots[: self.n_slots + EXPORTED_ROOM],
            "records": self.records[: int(row[b.N_RECORDS]) + EXPORTED_ROOM],
            "nodes": self.nodes[: int(row[b.N_NODES]) + EXPORTED_ROOM],
            "pairs": self.pairs,
        }

    def count(self) -> dict[str, int]:
        """Give what the arrays do not tell."""
        return {name: int(self._row[column]) for name, column in _COUNTS.items()}

    def restore(self, arrays: dict[str, NDArray[Any]], counts: dict[str, int]) -> None:
        """Take over an export."""
        for name in ("map", "slots", "records", "nodes", "pairs"):
            setattr(self, name, take_over(arrays[name]))
        for name, column in _COUNTS.items():
            self._row[column] = counts[name]
        self.enter()

    def measure_room(self) -> int:
        """Tell how many more orders can come before something must grow."""
        row, max_walk = self._row, int(self._shared[b.MAX_WALK])
        rooms = [len(self.map) // 2 - self.n_slots]
        if self.plan is not None:
            rooms += [len(self.slots) - self.n_slots, len(self.records) - int(row[b.N_RECORDS])]
            rooms.append((len(self.nodes) - int(row[b.N_NODES])) // max_walk)
            if row[b.N_VALUES]:
                rooms.append((len(self.pairs) // 2 - int(row[b.N_PAIRS])) // (max_walk * int(row[b.N_VALUES])))
        return min(rooms)


class LogState:
    """What all entities share: the log of events, the orders, the weights and the classes of events.

    Parameters
    ----------
    shared : shape (book.N_SHARED,), int64, the shared row of the book
    n_entities : entities whose slots an order has
    n_links : entities to whose slots events are linked
    n_weights : columns of weights
    first_own : the buyer's column among the slots of an order; -1 when nothing asks for first orders
    """

    def __init__(
        self, shared: NDArray[np.int64], *, n_entities: int, n_links: int, n_weights: int, first_own: int
    ) -> None:
        self._row, self._n_links = shared, n_links
        self.events = np.empty((0, _fit_lines(b.FIRST_LINK + n_links)), np.int32)
        self.judgements = np.empty((0, b.JUDGEMENT_BYTES // 4), np.int32)
        self.weights = np.empty((0, n_weights), np.int32)
        self.slots = np.empty((0, _fit_lines(n_entities)), np.int32)
        self.last_verdict = np.empty((0, 2), np.int32)
        self.map = np.zeros((2 * MIN_CAPACITY, 2), np.int64)
        self.class_masks = np.zeros(b.MAX_CLASSES, np.int64)
        self.first_seen = np.empty(0, np.int64)
        shared[b.N_ENTITIES], shared[b.N_WEIGHTS], shared[b.FIRST_OWN] = n_entities, n_weights, first_own
        shared[b.EVENT_BYTES], shared[b.ROW_BYTES] = 4 * self.events.shape[1], 4 * self.slots.shape[1]
        self.enter()

    def enter(self) -> None:
        """Note where the arrays are now, and how large."""
        row = self._row
        row[b.LOG], row[b.MAX_EVENTS] = self.events.ctypes.data, len(self.events)
        row[b.ROW_SLOTS], row[b.MAX_ROWS] = self.slots.ctypes.data, len(self.slots)
        row[b.WEIGHTS], row[b.JUDGEMENTS] = self.weights.ctypes.data, self.judgements.ctypes.data
        row[b.CLASS_MASKS] = self.class_masks.ctypes.data
        row[b.LAST_VERDICT] = self.last_verdict.ctypes.data
        row[b.ORDER_MAP], row[b.ORDER_MAP_SIZE] = self.map.ctypes.data, len(self.map)
        row[b.FIRST_SEEN], row[b.N_FIRST_SEEN] = self.first_seen.ctypes.data, len(self.first_seen)

    def reserve(self, *, n_new_orders: int, n_new_events: int, n_buyers: int) -> None:
        """Make room for so many more orders and events, and for so many buyers in all."""
        n_rows, n_events = int(self._row[b.N_ROWS]), int(self._row[b.N_EVENTS])
        own = vars(self)
        grow_table(own, "map", n_rows + n_new_orders)
        grow(own, "events", n_events + n_new_events, used=n_events)
        grow(own, "judgements", len(self.events), used=n_events)
        grow(own, "weights", len(self.events), used=n_events)
        grow(own, "slots", n_rows + n_new_orders, used=n_rows)
        grow(own, "last_verdict", len(self.slots), used=n_rows)
        if self._row[b.FIRST_OWN] >= 0:
            grow(own, "first_seen", n_buyers, used=len(self.first_seen), fill=NEVER)
        self.enter()

    def measure_room(self) -> int:
        """Tell how many more orders or events can come before something must grow."""
        row = self._row
        rooms = [
            len(self.events) - int(row[b.N_EVENTS]),
            len(self.slots) - int(row[b.N_ROWS]),
            len(self.map) // 2 - int(row[b.N_ROWS]),
        ]
        return min(rooms)

    def export(self) -> dict[str, NDArray[Any]]:
        """Give the arrays, as far as they are in use and a little further, and not copies."""
        n_events, n_rows = int(self._row[b.N_EVENTS]) + EXPORTED_ROOM, int(self._row[b.N_ROWS]) + EXPORTED_ROOM
        return {
            "events": self.events[:n_events],
            "judgements": self.judgements[:n_events],
            "weights": self.weights[:n_events],
            "slots": self.slots[:n_rows],
            "last_verdict": self.last_verdict[:n_rows],
            "map": self.map,
            "class_masks": self.class_masks[: int(self._row[b.N_CLASSES])],
            "first_seen": self.first_seen,
        }

    def count(self) -> dict[str, int]:
        """Give what the arrays do not tell."""
        row = self._row
        return {"n_events": int(row[b.N_EVENTS]), "n_rows": int(row[b.N_ROWS]), "applied": int(row[b.APPLIED])}

    def restore(self, arrays: dict[str, NDArray[Any]], counts: dict[str, int]) -> None:
        """Take over an export."""
        for name in ("events", "judgements", "weights", "slots", "last_verdict", "map", "first_seen"):
            setattr(self, name, take_over(arrays[name]))
        self.class_masks[: len(arrays["class_masks"])] = arrays["class_masks"]
        row = self._row
        row[b.N_EVENTS], row[b.N_ROWS] = counts["n_events"], counts["n_rows"]
        row[b.N_CLASSES], row[b.APPLIED] = len(arrays["class_masks"]), counts["applied"]
        self.enter()

    def count_expired(self, now: int, longest_us: int) -> int:
        """Count the events that have left every window."""
        return int(compact_kernel.count_expired(self._row, now, longest_us))

    def compact(self, n_expired: int) -> None:
        """Let so many events leave, after they have left every entity."""
        row, n_staying = self._row, int(self._row[b.N_EVENTS]) - n_expired
        for name in ("events", "judgements", "weights"):
            staying = getattr(self, name)[n_expired : n_expired + n_staying]
            moved = allocate((round_up(n_staying), *staying.shape[1:]), staying.dtype)
            moved[:n_staying] = staying
            setattr(self, name, moved)
        row[b.N_EVENTS], row[b.APPLIED] = n_staying, int(row[b.APPLIED]) - n_expired
        self.enter()
        compact_kernel.move_events(row, self.events[:n_staying], self._n_links, n_expired)


def _fit_lines(n_words: int) -> int:
    """Give 32-bit words for an entry of so many: half a cache line, or whole ones."""
    words_of_line = _LINE // 4
    return words_of_line // 2 if 2 * n_words <= words_of_line else -(-n_words // words_of_line) * words_of_line
