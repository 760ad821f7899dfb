"""Where a slot, which is one id of one entity, keeps what it knows: one contiguous record.

    64-bit words   wake, sums, clocks (last and first instant each)
    32-bit words   last event, one tail per window, counts

Places are given in units of the word they hold, from the start of the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NEVER = int(np.iinfo(np.int64).min)
FOREVER = int(np.iinfo(np.int64).max)

#: The instant from which on something in the slot has expired, in 64-bit words.
WAKE_AT = 0


@dataclass(frozen=True, slots=True)
class SlotLayout:
    """Places within a slot's record.

    Parameters
    ----------
    width : 64-bit words of a record
    last_event_at : 32-bit place of the latest event; the tails of the windows follow it
    cell_at : per cell, its place; of a sum in 64-bit words, of a count in 32-bit words
    clock_at : per clock, the 64-bit place of its last instant; the first instant follows it
    """

    width: int
    last_event_at: int
    n_windows: int
    cell_at: tuple[int, ...]
    clock_at: tuple[int, ...]

    @classmethod
    def build(cls, n_windows: int, is_sum: Sequence[bool], n_clocks: int) -> SlotLayout:
        """Lay out cells in the order given, sums among the 64-bit words and counts among the 32-bit ones."""
        n_sums = sum(is_sum)
        first_clock = 1 + n_sums
        last_event_at = 2 * (first_clock + 2 * n_clocks)
        sum_at, count_at = iter(range(1, first_clock)), iter(range(last_event_at + 1 + n_windows, 2**31))
        cell_at = tuple(next(sum_at) if each else next(count_at) for each in is_sum)
        n_words = last_event_at + 1 + n_windows + len(cell_at) - n_sums
        clock_at = tuple(range(first_clock, first_clock + 2 * n_clocks, 2))
        return cls((n_words + 1) // 2, last_event_at, n_windows, cell_at, clock_at)

    def build_empty(self) -> NDArray[np.int64]:
        """Build the record of a slot that has seen nothing, shape (width,)."""
        record = np.zeros(self.width, np.int64)
        record[WAKE_AT] = FOREVER
        for at in self.clock_at:
            record[at : at + 2] = NEVER
        record.view(np.int32)[self.last_event_at : self.last_event_at + 1 + self.n_windows] = -1
        return record
