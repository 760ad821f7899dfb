"""Linked groups: buyers who have used the same phone, address, device or payment account, as known at each instant.

The definitions are docs/definitions.md G1 to G5; `groups_reference.py` says them in plain Python and is the truth, the
kernel is `groups_kernel.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features.groups_kernel import KEY_WIDTH, N_TOTALS
from ordervet.features.spec import GROUP_KEYS, GROUP_NAMES
from ordervet.features.state import grow, take_over

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.features.spec import FeatureSpec


class GroupState:
    """The groups of buyers: a union-find forest over buyers, totals at its roots, and the first buyers of every key.

    Parameters
    ----------
    spec : names the group features
    entities : the entities of the engine, in the order in which an order has their slots
    """

    def __init__(self, spec: FeatureSpec, entities: Sequence[str]) -> None:
        self.own = np.array([entities.index(name) for name in ("buyer", *GROUP_KEYS)], np.int64)
        self.columns = np.full(len(GROUP_NAMES), -1, np.int64)
        for column, name in spec.group_columns:
            self.columns[GROUP_NAMES.index(name)] = column
        self.parent = np.zeros(0, np.int32)
        self.totals = np.zeros((0, N_TOTALS), np.int32)
        self.keys = [np.zeros((0, KEY_WIDTH), np.int32) for _ in GROUP_KEYS]
        #: Of parent, totals and the keys, as `groups_kernel.replay_groups` reads them.
        self.addresses = np.zeros(2 + len(GROUP_KEYS), np.int64)

    def reserve(self, n_slots: Sequence[int]) -> None:
        """Make room for so many slots of each entity of the engine."""
        self.parent, self.totals = grow(self.parent, n_slots[self.own[0]]), grow(self.totals, n_slots[self.own[0]])
        self.keys = [grow(key, n_slots[own]) for key, own in zip(self.keys, self.own[1:], strict=True)]
        self._enter()

    def _enter(self) -> None:
        """Note where the arrays are now."""
        self.addresses[:] = [each.ctypes.data for each in (self.parent, self.totals, *self.keys)]

    def measure_memory(self) -> dict[str, int]:
        """Tell how many bytes are kept per id, by entity."""
        return {"buyer": 4 + 4 * N_TOTALS, **dict.fromkeys(GROUP_KEYS, 4 * KEY_WIDTH)}

    def export(self) -> dict[str, NDArray[Any]]:
        """Give the arrays, not copies."""
        named = dict(zip(GROUP_KEYS, self.keys, strict=True))
        return {"parent": self.parent, "totals": self.totals, **named}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over an export."""
        self.parent, self.totals = take_over(arrays["parent"]), take_over(arrays["totals"])
        self.keys = [take_over(arrays[name]) for name in GROUP_KEYS]
        self._enter()
