"""Linked groups: buyers who have used the same phone, address, device or payment account, as known at each instant.

The definitions are docs/definitions.md G1 to G5; `groups_reference.py` says them in plain Python and is the truth, the
kernel is `groups_kernel.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features import groups_kernel as k
from ordervet.features.room import grow, take_over
from ordervet.features.spec import GROUP_KEYS, GROUP_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.features.spec import FeatureSpec


class GroupState:
    """The groups of buyers: a union-find forest over buyers with totals at its roots, and the first buyers of keys.

    Parameters
    ----------
    spec : names the group features
    entities : the entities of the engine, in the order in which an order has their slots
    """

    def __init__(self, spec: FeatureSpec, entities: Sequence[str]) -> None:
        columns = [entities.index(name) for name in ("buyer", *GROUP_KEYS)]
        self._buyers, self._owners = columns[0], columns[1:]
        self.members = np.zeros((0, k.MEMBER_WIDTH), np.int32)
        self.keys = [np.zeros((0, k.KEY_WIDTH), np.int32) for _ in GROUP_KEYS]
        self.plan = np.zeros(k.PLAN_WIDTH, np.int64)
        self.plan[k.BUYER_COLUMN : k.OUT_COLUMNS] = columns
        self.plan[k.OUT_COLUMNS : k.SUMS] = -1
        for column, name in spec.group_columns:
            self.plan[k.OUT_COLUMNS + GROUP_NAMES.index(name)] = column
        self._enter()

    def reserve(self, n_slots: Sequence[int]) -> None:
        """Make room for so many slots of each entity of the engine."""
        grow(vars(self), "members", n_slots[self._buyers], used=len(self.members))
        for at, owner in enumerate(self._owners):
            grow(self.keys, at, n_slots[owner], used=len(self.keys[at]))
        self._enter()

    def _enter(self) -> None:
        """Note where the arrays are now."""
        self.plan[: k.BUYER_COLUMN] = [each.ctypes.data for each in (self.members, *self.keys)]

    def measure_memory(self) -> dict[str, int]:
        """Tell how many bytes are kept per id, by entity."""
        return {"buyer": 4 * k.MEMBER_WIDTH, **dict.fromkeys(GROUP_KEYS, 4 * k.KEY_WIDTH)}

    def export(self) -> dict[str, NDArray[Any]]:
        """Give the arrays, not copies."""
        return {"members": self.members, **dict(zip(GROUP_KEYS, self.keys, strict=True))}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over an export."""
        self.members = take_over(arrays["members"])
        self.keys = [take_over(arrays[name]) for name in GROUP_KEYS]
        self._enter()
