"""The arrays behind the kernel, and their growth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features.plan import EntityPlan

_MIN_CAPACITY = 1024
_ARRAYS = (
    "next_event", "next_same", "voided", "last_event", "tail", "cells", "distincts", "clock_first", "clock_last",
    "pair_ids", "pair_events", "n_pairs",
)  # fmt: skip


class IdMap:
    """Ids to consecutive slots: an open-addressing table, at most half full."""

    def __init__(self) -> None:
        self._ids = np.zeros(2 * _MIN_CAPACITY, np.uint64)
        self._slots = np.zeros(2 * _MIN_CAPACITY, np.int32)
        self.n_slots = 0

    def assign(self, ids: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Give every id its slot, new ones included; -1 for the id 0."""
        self._reserve(self.n_slots + len(ids))
        slots, self.n_slots = kernel.assign_slots(ids, self._ids, self._slots, self.n_slots)
        return slots  # type: ignore[no-any-return]

    def find(self, ids: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Look up slots; -1 where an id is not known."""
        return kernel.find_slots(ids, self._ids, self._slots)  # type: ignore[no-any-return]

    def export(self) -> dict[str, NDArray[Any]]:
        """Give the table's own arrays, not copies."""
        return {"ids": self._ids, "slots": self._slots}

    def restore(self, arrays: dict[str, NDArray[Any]], n_slots: int) -> None:
        """Take over the arrays of an export."""
        self._ids, self._slots, self.n_slots = arrays["ids"], arrays["slots"], n_slots

    def _reserve(self, n_slots: int) -> None:
        if 2 * n_slots > len(self._ids):
            capacity = _round_up(2 * n_slots)
            ids, slots = np.zeros(capacity, np.uint64), np.zeros(capacity, np.int32)
            kernel.copy_map(self._ids, self._slots, ids, slots)
            self._ids, self._slots = ids, slots


class EntityState:
    """Everything the kernel keeps for one entity; see `kernel.replay` for the arrays."""

    def __init__(self, plan: EntityPlan) -> None:
        self.plan = plan
        self.applied = 0
        n_windows, n_clocks = len(plan.window_us), len(plan.clock_bit)
        n_distinct = len(plan.distinct_entities)
        self.next_event = np.full(0, -1, np.int32)
        self.next_same = np.full((n_distinct, 0), -1, np.int32)
        self.voided = np.zeros(0, np.uint8)
        self.last_event = np.full(0, -1, np.int32)
        self.tail = np.full((0, n_windows), -1, np.int32)
        self.cells = np.zeros((0, len(plan.cell_bit)), np.int64)
        self.distincts = np.zeros((0, len(plan.distinct_column)), np.int32)
        self.clock_first = np.full((0, n_clocks), kernel.NEVER, np.int64)
        self.clock_last = np.full((0, n_clocks), kernel.NEVER, np.int64)
        self.pair_ids = np.zeros((n_distinct, 2 * _MIN_CAPACITY), np.uint64)
        self.pair_events = np.zeros((n_distinct, 2 * _MIN_CAPACITY), np.int32)
        self.n_pairs = np.zeros(n_distinct, np.int64)

    def reserve(self, *, n_events: int, n_slots: int, n_new_orders: int) -> None:
        """Make room for so many events and slots in all, and for so many new (slot, value) pairs."""
        self.next_event = grow(self.next_event, n_events, -1)
        self.voided = grow(self.voided, n_events, 0)
        self.next_same = grow(self.next_same, n_events, -1, axis=1)
        self.last_event = grow(self.last_event, n_slots, -1)
        self.tail = grow(self.tail, n_slots, -1)
        self.cells = grow(self.cells, n_slots, 0)
        self.distincts = grow(self.distincts, n_slots, 0)
        self.clock_first = grow(self.clock_first, n_slots, kernel.NEVER)
        self.clock_last = grow(self.clock_last, n_slots, kernel.NEVER)
        self._reserve_pairs(int(self.n_pairs.max(initial=0)) + n_new_orders)

    def export(self) -> dict[str, NDArray[Any]]:
        """Give the kernel's own arrays, not copies."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def restore(self, arrays: dict[str, NDArray[Any]], applied: int) -> None:
        """Take over the arrays of an export."""
        for name in _ARRAYS:
            setattr(self, name, arrays[name])
        self.applied = applied

    def _reserve_pairs(self, n_pairs: int) -> None:
        if 2 * n_pairs > self.pair_ids.shape[1]:
            capacity = _round_up(2 * n_pairs)
            ids = np.zeros((len(self.pair_ids), capacity), np.uint64)
            events = np.zeros((len(self.pair_ids), capacity), np.int32)
            for column in range(len(ids)):
                kernel.copy_map(self.pair_ids[column], self.pair_events[column], ids[column], events[column])
            self.pair_ids, self.pair_events = ids, events


def grow(array: NDArray[Any], n: int, fill: int, *, axis: int = 0) -> NDArray[Any]:
    """Return the array with room for `n` entries along `axis`, the new ones filled.

    Capacity doubles, so that the total cost of growing is linear.
    """
    if array.shape[axis] >= n:
        return array
    shape = list(array.shape)
    shape[axis] = _round_up(n)
    grown = np.full(shape, fill, array.dtype)
    grown[tuple(slice(0, size) for size in array.shape)] = array
    return grown


def _round_up(n: int) -> int:
    return max(_MIN_CAPACITY, 1 << (n - 1).bit_length())
