"""The instants at which events arrive: never going back, and told apart where a replay could not tell them apart."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("ordervet")

_SECOND_US = 1_000_000
NEVER = -(1 << 62)
"""Before any event."""


def now_us() -> int:
    """Give the present instant, UTC microseconds."""
    return time.time_ns() // 1_000


class Arrivals:
    """Gives each event the instant from which on it is known (docs/definitions.md T2).

    Events of one clock reading are ties and do not see each other. A clock that is more than a second behind does not
    make ties: then each event is one microsecond later than the one before it.

    Parameters
    ----------
    clock : gives the present instant, UTC microseconds
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.last = NEVER
        self._clock = clock
        self._told: set[str] = set()
        self._judged: set[str] = set()
        self._is_behind = False

    def note(self, seen_at: int) -> None:
        """Take note of an event that has its instant already."""
        self.last = max(self.last, seen_at)

    def take_order(self, order_id: str) -> int:
        """Give the instant of an order's arrival."""
        # NOTE: an event that was there before its order does not count; as a tie, a replay would count it.
        return self._take(is_told_apart=order_id in self._told)

    def take_later(self, order_id: str, *, is_judgement: bool) -> int:
        """Give the instant at which an outcome, verdict or correction arrives."""
        # NOTE: of two verdicts the later one stands; of ties, a replay would let the milder one stand (V4).
        seen_at = self._take(is_told_apart=is_judgement and order_id in self._judged)
        self._told.add(order_id)
        if is_judgement:
            self._judged.add(order_id)
        return seen_at

    def _take(self, *, is_told_apart: bool) -> int:
        now, last = self._clock(), self.last
        if now <= last:
            is_behind = now < last - _SECOND_US
            if is_behind and not self._is_behind:
                _log.warning("the clock is %.1f s behind the last event; arrivals go on from there", (last - now) / 1e6)
            self._is_behind = is_behind
            now = last + (is_behind or is_told_apart)
        if now > last:
            self._told.clear()
            self._judged.clear()
            self.last = now
        return now


def put_seen_at(table: pa.Table, seen_at_us: list[int]) -> pa.Table:
    """Give events the instants of their arrival.

    Parameters
    ----------
    table : shape (n_rows, n_columns), canonical
    seen_at_us : n_rows instants, UTC microseconds
    """
    at = table.schema.get_field_index("seen_at")
    field = table.schema.field(at)
    return table.set_column(at, field, pa.array(seen_at_us, pa.int64()).cast(field.type))
