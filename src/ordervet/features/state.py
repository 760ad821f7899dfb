"""The arrays behind the kernels, and their growth; whatever moves is entered in the book anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features import book as b
from ordervet.features import compact_kernel
from ordervet.features.classes import build_class_tables
from ordervet.features.maps_kernel import copy_map
from ordervet.features.pairs_kernel import copy_pairs
from ordervet.features.slots import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.features.plan import EntityPlan

_MIN_CAPACITY = 1024

#: How many more entries an export leaves room for, so that whoever takes it over need not copy all of it at once.
EXPORTED_ROOM = 16_384


class EntityState:
    """What is kept for one entity: its ids, slots, links and pairs.

    Parameters
    ----------
    row, shared : shape (book.N_COLUMNS,) and (book.N_SHARED,), int64, the entity's row of the book and the shared one
    own : its column among the slots of an order
    plan : None when the entity is only counted by others
    value_columns : columns of the entities whose ids are counted once
    """

    def __init__(
        self,
        row: NDArray[np.int64],
        shared: NDArray[np.int64],
        own: int,
        plan: EntityPlan | None,
        value_columns: Sequence[int],
    ) -> None:
        self.plan = plan
        self._row, self._shared = row, shared
        self._constants: dict[int, NDArray[Any]] = {}
        self.map = np.zeros((2 * _MIN_CAPACITY, 2), np.int64)
        width = plan.layout.width if plan else 0
        self.slots = np.empty((0, width), np.int64)
        self.links = np.empty((0, 1 + 2 * len(value_columns)), np.int32)
        self.pairs = np.zeros((2 * _MIN_CAPACITY if value_columns else 1, 2), np.int64)
        row[b.OWN], row[b.SLOT_WIDTH], row[b.LINK_WIDTH] = own, width, self.links.shape[1]
        self._enter(b.VALUES, np.array(value_columns, np.int32))
        row[b.N_VALUES] = len(value_columns)
        if plan:
            self._enter_plan(plan)
        self.enter()

    def _enter(self, column: int, array: NDArray[Any]) -> None:
        """Keep a constant array and note where it is."""
        self._constants[column] = array
        self._row[column] = array.ctypes.data

    def _enter_plan(self, plan: EntityPlan) -> None:
        self._row[b.N_WINDOWS], self._row[b.LAST_EVENT] = len(plan.windows), plan.layout.last_event_at
        self._enter(b.WINDOWS, plan.window_us)
        self._enter(b.EMPTY_SLOT, plan.layout.build_empty())
        self._row[b.N_ASKS], self._row[b.N_OPERATIONS] = len(plan.asks), len(plan.operations)
        self._enter(b.ASKS, plan.asks)
        self._row[b.FIRST_COLUMN] = plan.operations[:, 0].min(initial=2**31 - 1)
        self._enter(b.OPERATIONS, plan.operations)
        self._enter(b.OPERATION_START, plan.operation_start)

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
        row[b.LINKS] = self.links.ctypes.data
        row[b.PAIRS], row[b.PAIRS_SIZE] = self.pairs.ctypes.data, len(self.pairs)

    @property
    def n_slots(self) -> int:
        """Ids that the entity has."""
        return int(self._row[b.N_SLOTS])

    def reserve_ids(self, n_new: int) -> None:
        """Make room in the map for so many more ids."""
        self.map = grow_map(self.map, self.n_slots + n_new)
        self.enter()

    def reserve(self, *, n_events: int, n_new_orders: int, n_new_slots: int = 0) -> None:
        """Make room for so many events in all, so many new orders, and the slots of all ids and so many more."""
        if self.plan is None:
            return
        self.slots = grow(self.slots, self.n_slots + n_new_slots)
        self.links = grow(self.links, n_events)
        n_pairs = int(self._row[b.N_PAIRS]) + n_new_orders * int(self._row[b.N_VALUES])
        if 2 * n_pairs > len(self.pairs):
            pairs = np.zeros((_round_up(2 * n_pairs), 2), np.int64)
            copy_pairs(self.pairs, pairs)
            self.pairs = pairs
        self.enter()

    def compact(self, now: int, n_expired: int) -> None:
        """Let so many events leave; all arrays end up as large as what stays needs."""
        if self.plan is None:
            return
        row, shared = self._row, self._shared
        compact_kernel.expire_slots(row, shared, now, n_expired)
        n_staying = int(shared[b.N_EVENTS]) - n_expired
        links = grow(np.zeros((0, self.links.shape[1]), np.int32), n_staying)
        if row[b.N_VALUES]:
            n_pairs = n_staying * int(row[b.N_VALUES])
            self.pairs = np.zeros((_round_up(2 * n_pairs), 2), np.int64)
            row[b.N_PAIRS] = compact_kernel.move_pairs(row, shared, n_expired, self.links, self.pairs)
        compact_kernel.move_links(row, shared, n_expired, self.links, links)
        self.links = links
        self.enter()

    def export(self) -> dict[str, NDArray[Any]]:
        """Give the arrays, as far as they are in use and a little further, and not copies."""
        n_slots, n_events = self.n_slots + EXPORTED_ROOM, int(self._shared[b.N_EVENTS]) + EXPORTED_ROOM
        return {"map": self.map, "slots": self.slots[:n_slots], "links": self.links[:n_events], "pairs": self.pairs}

    def count(self) -> dict[str, int]:
        """Give what the arrays do not tell."""
        return {"n_slots": self.n_slots, "n_open": int(self._row[b.N_OPEN]), "n_pairs": int(self._row[b.N_PAIRS])}

    def restore(self, arrays: dict[str, NDArray[Any]], counts: dict[str, int]) -> None:
        """Take over an export."""
        self.map, self.pairs = take_over(arrays["map"]), take_over(arrays["pairs"])
        self.slots, self.links = take_over(arrays["slots"]), take_over(arrays["links"])
        self._row[b.N_SLOTS], self._row[b.N_PAIRS] = counts["n_slots"], counts["n_pairs"]
        self._row[b.N_OPEN] = counts["n_open"]
        self.enter()

    def measure_room(self) -> int:
        """Tell how many more orders can come before something must grow."""
        row = self._row
        rooms = [len(self.map) // 2 - self.n_slots]
        if self.plan is not None:
            rooms += [len(self.slots) - self.n_slots, len(self.links)]
            if row[b.N_VALUES]:
                rooms.append((len(self.pairs) // 2 - int(row[b.N_PAIRS])) // int(row[b.N_VALUES]))
        return min(rooms)


def grow_map(table: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the table, or a larger one with its entries, with room for `n` ids."""
    if 2 * n <= len(table):
        return table
    larger = np.zeros((_round_up(2 * n), 2), np.int64)
    copy_map(table, larger)
    return larger


def grow(array: NDArray[Any], n: int, fill: int | None = None) -> NDArray[Any]:
    """Return the array with room for `n` entries, the new ones 0 or of the value given.

    Capacity doubles, so that the total cost of growing is linear. What is not used yet takes no memory.
    """
    if len(array) >= n:
        return array
    grown = np.zeros((_round_up(n), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    if fill is not None:
        grown[len(array) :] = fill
    return grown


def take_over(array: NDArray[Any]) -> NDArray[Any]:
    """Give the array itself if it can be written to, else a copy."""
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def _round_up(n: int) -> int:
    return max(_MIN_CAPACITY, 1 << (n - 1).bit_length())


class LogState:
    """What all entities share: the log of events, the orders, the weights and the classes of events.

    Parameters
    ----------
    shared : shape (book.N_SHARED,), int64, the shared row of the book
    n_entities : entities whose slots an order has
    n_weights : columns of weights
    first_own : the buyer's column among the slots of an order; -1 when nothing asks for first orders
    """

    def __init__(self, shared: NDArray[np.int64], n_entities: int, n_weights: int, first_own: int) -> None:
        self._row = shared
        self.events = np.empty((0, b.LOG_WIDTH), np.int64)
        self.weights = np.empty((0, n_weights), np.int32)
        self.slots = np.empty((0, n_entities), np.int32)
        self.last_verdict = np.empty((0, 2), np.int32)
        self.map = np.zeros((2 * _MIN_CAPACITY, 2), np.int64)
        self.class_masks = np.zeros(b.MAX_CLASSES, np.int64)
        self.first_seen = np.empty(0, np.int64)
        shared[b.N_ENTITIES], shared[b.N_WEIGHTS], shared[b.FIRST_OWN] = n_entities, n_weights, first_own
        self.enter()

    def enter(self) -> None:
        """Note where the arrays are now, and how large."""
        row = self._row
        row[b.LOG], row[b.MAX_EVENTS] = self.events.ctypes.data, len(self.events)
        row[b.ROW_SLOTS], row[b.MAX_ROWS] = self.slots.ctypes.data, len(self.slots)
        row[b.WEIGHTS] = self.weights.ctypes.data
        row[b.CLASS_MASKS] = self.class_masks.ctypes.data
        row[b.LAST_VERDICT] = self.last_verdict.ctypes.data
        row[b.ORDER_MAP], row[b.ORDER_MAP_SIZE] = self.map.ctypes.data, len(self.map)
        row[b.FIRST_SEEN], row[b.N_FIRST_SEEN] = self.first_seen.ctypes.data, len(self.first_seen)

    def reserve(self, *, n_new_orders: int, n_new_events: int, n_buyers: int) -> None:
        """Make room for so many more orders and events, and for so many buyers in all."""
        n_rows, n_events = int(self._row[b.N_ROWS]) + n_new_orders, int(self._row[b.N_EVENTS]) + n_new_events
        self.map = grow_map(self.map, n_rows)
        self.events = grow(self.events, n_events)
        self.weights = grow(self.weights, len(self.events))
        self.slots = grow(self.slots, n_rows)
        self.last_verdict = grow(self.last_verdict, len(self.slots), -1)
        if self._row[b.FIRST_OWN] >= 0:
            self.first_seen = grow(self.first_seen, n_buyers, NEVER)
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
        for name in ("events", "weights", "slots", "last_verdict", "map", "first_seen"):
            setattr(self, name, take_over(arrays[name]))
        self.class_masks[: len(arrays["class_masks"])] = arrays["class_masks"]
        row = self._row
        row[b.N_EVENTS], row[b.N_ROWS] = counts["n_events"], counts["n_rows"]
        row[b.N_CLASSES], row[b.APPLIED] = len(arrays["class_masks"]), counts["applied"]
        self.enter()

    def count_expired(self, now: int, longest_us: int) -> int:
        """Count the events that have left every window."""
        return int(compact_kernel.count_expired(self.events[: int(self._row[b.N_EVENTS])], now, longest_us))

    def compact(self, n_expired: int) -> None:
        """Let so many events leave, after they have left every entity."""
        row, n_staying = self._row, int(self._row[b.N_EVENTS]) - n_expired
        staying = slice(n_expired, n_expired + n_staying)
        events, weights = self.events[staying], self.weights[staying]
        self.events, self.weights = grow(events[:0], n_staying), grow(weights[:0], n_staying)
        self.events[:n_staying], self.weights[:n_staying] = events, weights
        log32 = self.events[:n_staying].view(np.int32)
        compact_kernel.move_log(log32, self.last_verdict[: int(row[b.N_ROWS])], n_expired)
        row[b.N_EVENTS], row[b.APPLIED] = n_staying, int(row[b.APPLIED]) - n_expired
        self.enter()
