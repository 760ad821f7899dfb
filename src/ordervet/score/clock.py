"""The times at which live events arrive: never going back, and distinct where a replay needs them to be."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("ordervet")

_SECOND_US = 1_000_000
_DAY_NS, _HOLD_NS = 86_400 * 10**9, 600 * 10**9
NEVER = -(1 << 62)
"""Earlier than any event."""


class SteadyClock:
    """Returns the time, but does not follow a jump of more than a day ahead before it has lasted for ten minutes.

    What is seen moves the time of a scorer, which never goes back: it would be ahead for as long as the clock jumped.

    Parameters
    ----------
    wall, monotonic : return the time, and the time that has passed, nanoseconds
    """

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead_since: int | None = None
        self._last = wall(), monotonic()

    def __call__(self) -> int:
        """Return the time, UTC microseconds."""
        wall, passed = self._wall(), self._monotonic()
        expected = self._last[0] + passed - self._last[1]
        if wall - expected > _DAY_NS:
            if self._ahead_since is None:
                self._ahead_since = passed
                _log.warning(
                    "the clock jumped %.1f days ahead; it is believed if it stays there for ten minutes",
                    (wall - expected) / _DAY_NS,
                )
            if passed - self._ahead_since < _HOLD_NS:
                return expected // 1_000
        self._ahead_since, self._last = None, (wall, passed)
        return wall // 1_000


now_us = SteadyClock()
"""Returns the time, UTC microseconds."""


class ArrivalClock:
    """Stamps each live event with the time from which it is known (docs/definitions.md T2).

    Events of one clock reading are ties and do not see each other. A clock that is more than a second behind makes no
    ties: then each event is one microsecond later than the one before it.

    Parameters
    ----------
    clock : returns the time, UTC microseconds

    Attributes
    ----------
    parts_orders : whether no two orders are ties, as places of quotas are given one after the other
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.last = NEVER
        self.parts_orders = False
        self._clock = clock
        self._with_event: set[str] = set()  # ids of the orders that an event of the present instant is about
        self._awaited: set[str] = set()  # ids of orders that events wait for
        self._is_behind = False

    def note(self, seen_at: int) -> None:
        """Take note of an event that has its time already."""
        self.last = max(self.last, seen_at)

    def stamp_order(self, order_id: str) -> int:
        """Return the time of an order's arrival."""
        at = self._stamp(is_distinct=self.parts_orders)
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
