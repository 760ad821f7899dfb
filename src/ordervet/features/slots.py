"""What is kept for a slot, which is one id of one entity.

A slot has its latest events, from which its earlier ones are linked, how many they are, and its clocks. Most ids have
few events: what an order of theirs is told is added up anew, event by event, into a record that is thrown away. A slot
with more is *busy*: it has a record of its own with running totals, and its number in place of the count.

    slot     32-bit words   events (below 0: busy), the latest three of them
             64-bit words   clocks: last and first instant each
    record   64-bit words   wake, the instant of each window's tail, sums
             32-bit words   latest node, one tail per window, counts

Places are given in units of the word they hold, from the start.
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

#: Of a slot, in 32-bit words: how many events it has (of a busy one -1 minus the number of its record), and its latest
#: ones, the latest first, -1 where there are fewer. SPEED: those before the latest only tell what to fetch.
N_EVENTS, LATEST, N_LATEST = 0, 1, 3

#: Of a slot, in 64-bit words: its first clock.
FIRST_CLOCK = 2

#: Of a record, in 64-bit words: the instant from which on something in it has expired, and the first window's tail's.
WAKE_AT, TAIL_SEEN_AT = 0, 1

#: From so many events on a slot becomes busy. SPEED: benchmarks/bench_features.py.
MAX_WALK = 8

#: Slots of the events around the present one that a kernel keeps at hand; a power of 2.
RING_SIZE = 64


@dataclass(frozen=True, slots=True)
class SlotLayout:
    """Places within slots and records.

    Parameters
    ----------
    n_clocks : clocks of a slot
    width : 64-bit words of a record
    latest_at : 32-bit place of the latest node of a record; the tails of the windows follow it
    cell_at : per cell, its place in a record; of a sum in 64-bit words, of a count in 32-bit words
    clock_at : per clock, the 64-bit place of its last instant in a slot; the first instant follows it
    """

    n_clocks: int
    width: int
    latest_at: int
    n_windows: int
    cell_at: tuple[int, ...]
    clock_at: tuple[int, ...]

    @classmethod
    def build(cls, n_windows: int, is_sum: Sequence[bool], n_clocks: int) -> SlotLayout:
        """Lay out cells in the order given, sums among the 64-bit words and counts among the 32-bit ones."""
        n_sums, first_sum = sum(is_sum), TAIL_SEEN_AT + n_windows
        latest_at = 2 * (first_sum + n_sums)
        sum_at, count_at = iter(range(first_sum, first_sum + n_sums)), iter(range(latest_at + 1 + n_windows, 2**31))
        cell_at = tuple(next(sum_at) if each else next(count_at) for each in is_sum)
        n_words = latest_at + 1 + n_windows + len(cell_at) - n_sums
        clock_at = tuple(range(FIRST_CLOCK, FIRST_CLOCK + 2 * n_clocks, 2))
        return cls(n_clocks, (n_words + 1) // 2, latest_at, n_windows, cell_at, clock_at)

    @property
    def slot_width(self) -> int:
        """64-bit words of a slot."""
        return FIRST_CLOCK + 2 * self.n_clocks

    def build_empty_slot(self) -> NDArray[np.int64]:
        """Build the slot of an id that has seen nothing, shape (slot_width,)."""
        slot = np.full(self.slot_width, NEVER, np.int64)
        slot.view(np.int32)[: 2 * FIRST_CLOCK] = -1
        slot.view(np.int32)[N_EVENTS] = 0
        return slot

    def build_empty_record(self) -> NDArray[np.int64]:
        """Build the record of a slot that has seen nothing, shape (width,)."""
        record = np.zeros(self.width, np.int64)
        record[WAKE_AT] = FOREVER
        record.view(np.int32)[self.latest_at : self.latest_at + 1 + self.n_windows] = -1
        return record
