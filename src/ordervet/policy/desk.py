"""What the desk knows of orders already: what was judged, what was handed on, and the slots that took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from ordervet.history.handed import HandedOrder
    from ordervet.policy.capacity import Capacity


class Standing(IntEnum):
    """Where an order stands with the desk: handed on before and not judged, or judged, and how."""

    NEW = 0
    HANDED = 1
    RELEASED = 2
    MALICIOUS = 3
    UNSURE = 4


class Mark(IntEnum):
    """What a review capacity did to an order, if anything.

    FULL: it passes because the desk has no slot left. BEYOND: a person sees it although there is none. FREE: it is
    held, which takes no slot under this policy. AUDIT: it would pass, and a person sees it as part of the audit.
    """

    NONE = 0
    FULL = 1
    BEYOND = 2
    FREE = 3
    AUDIT = 4


STANDING_CODES: Final = ("", "desk_handed", "desk_released", "desk_malicious", "desk_unsure")
"""By `Standing`, the code in a decision's ``applied``."""

AUDIT: Final = "audit"
"""The code of an order of the audit in a decision's ``applied``, and who decided in a verdict on one."""

MARK_CODES: Final = ("", "capacity_full", "capacity_beyond", "", AUDIT)
"""By `Mark`, the code in a decision's ``applied``."""


@dataclass(frozen=True, slots=True)
class DeskMemory:
    """What the desk knows when it is handed more.

    Parameters
    ----------
    now_us : the time it is, UTC microseconds: as much of a window is due by then as the plan says, or its hours
    standings : order id → where it stands, of those that were judged or handed on
    handed : what was handed on before
    """

    now_us: int
    standings: Mapping[str, Standing]
    handed: Sequence[HandedOrder]

    def find_standings(self, order_ids: Iterable[str]) -> npt.NDArray[np.int8]:
        """Find where orders stand, shape (n_orders,), values of `Standing`."""
        return np.array([self.standings.get(each, Standing.NEW) for each in order_ids], np.int8)

    def count_left(self, capacity: Capacity, windows: Iterable[int]) -> dict[int, int]:
        """Count the slots of windows that are due by now and not taken; below 0 where more were taken."""
        # NOT: at the top. A live order has a pace.
        from ordervet.policy.pacing import find_share_due

        at_us = np.array([each.seen_at for each in self.handed if each.takes_slot], np.int64)
        taken = Counter(capacity.number_windows(at_us).tolist())
        left = {}
        for number in windows:
            n_slots = capacity.windows[number % len(capacity.windows)].n
            left[number] = ceil(n_slots * find_share_due(capacity, number, self.now_us)) - taken[number]
        return left
