"""The times at which live events arrive: never going back, and distinct where a replay needs them to be."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("ordervet")

_SECOND_US = 1_000_000
NEVER = -(1 << 62)
"""Earlier than any event."""


def now_us() -> int:
    """Return the time, UTC microseconds."""
    return time.time_ns() // 1_000


class ArrivalClock:
    """Stamps each live event with the time from which it is known (docs/definitions.md T2).

    Events of one clock reading are ties and do not see each other. A clock that is more than a second behind makes no
    ties: then each event is one microsecond later than the one before it.

    Parameters
    ----------
    clock : returns the time, UTC microseconds
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.last = NEVER
        self._clock = clock
        self._with_event: set[str] = set()  # ids of the orders that an event of the present instant is about
        self._awaited: set[str] = set()  # ids of orders that events wait for
        self._is_behind = False

    def note(self, seen_at: int) -> None:
        """Take note of an event that has its time already."""
        self.last = max(self.last, seen_at)

    def stamp_order(self, order_id: str) -> int:
        """Return the time of an order's arrival."""
        at = self._stamp(is_distinct=False)
        if order_id in self._awaited:
            self._awaited.discard(order_id)
            self._with_event.add(order_id)
        return at

    def stamp_event(self, order_id: str) -> int:
        """Return the time of arrival of an outcome, verdict or correction.

        Parameters
        ----------
        order_id : of its order
        """
        # NOTE: of ties, a replay would let the milder verdict stand (V4), and the larger refund come first (W10).
        at = self._stamp(is_distinct=order_id in self._with_event)
        self._with_event.add(order_id)
        return at

    def await_order(self, order_id: str) -> None:
        """Take note that an event waits for its order, and will count with it."""
        self._awaited.add(order_id)

    def _stamp(self, *, is_distinct: bool) -> int:
        now, last = self._clock(), self.last
        if now <= last:
            is_behind = now < last - _SECOND_US
            if is_behind and not self._is_behind:
                _log.warning(
                    "the clock is %.1f s behind the last event; arrival times continue from there", (last - now) / 1e6
                )
            self._is_behind = is_behind
            now = last + (is_behind or is_distinct)
        if now > last:
            self._with_event.clear()
            self.last = now
        return now
