"""Places of the desk for refund requests: how many people can look at, handed out as the requests come.

What a window of the capacity has for a request follows from the requests of the window before it, and of the 28 days
before the window, alone: so requests are answered the same whether they come live, after a restart, or in a file.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ordervet.policy.capacity import DAY_US
from ordervet.policy.pacing import PRIOR_ORDERS, USUAL_DAYS, Pacer, find_window_start

if TYPE_CHECKING:
    import numpy.typing as npt

    from ordervet.policy.capacity import Capacity

_DAYS_US: Final = USUAL_DAYS * DAY_US
KEPT_US: Final = _DAYS_US + 2 * DAY_US
"""How long before a request others matter to it: a window and the days before it."""

_LEAST_KNOWN: Final = 50
_GUESS: Final = ((1.0, -9.0), (0.5, -5.5), (0.2, -4.0), (0.1, -1.0), (0.05, 1.0), (0.01, 3.5))
"""Before as many requests are known: log-odds of malice by the share of requests that lie above, as they are on
simulated merchants."""


class Asked(NamedTuple):
    """A request as the desk sees it.

    Parameters
    ----------
    seen_at : UTC microseconds
    name : id of its order, whose lot decides between equals
    p_malicious : calibrated probability
    worth_minor : what is asked for, fen
    """

    seen_at: int
    name: str
    p_malicious: float
    worth_minor: int


class ClaimDesk:
    """Hands out the places of a capacity to refund requests, window after window.

    Parameters
    ----------
    capacity : of a policy's claims

    References
    ----------
    Slow twin: tests/reference/claim_desk_reference.py.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._known: list[tuple[Asked, bool]] = []
        self._pacer: Pacer | None = None
        self._number = 0

    def has_place(self, one: Asked) -> bool:
        """Return whether there is a place for a request that a person should look at; not earlier than the last one."""
        number = self.capacity.number_window(self.capacity.read_local(one.seen_at))
        if self._pacer is None or number > self._number:
            self._pacer, self._number = self._begin_window(one.seen_at), number
        pace = self._pacer.find_pace(one.seen_at)
        return pace.slots > 0 and pace.admits_one(self._rank(one), one.name)

    def record(self, one: Asked, *, takes_place: bool) -> None:
        """Record a request that was answered, and whether it took a place."""
        self._known.append((one, takes_place))
        if self._pacer is not None:  # else it is counted when the window begins
            if self.capacity.number_window(self.capacity.read_local(one.seen_at)) <= self._number:
                self._pacer.record(one.seen_at, [self._rank(one)], int(takes_place))
            else:
                self._pacer = None

    def _rank(self, one: Asked) -> float:
        return self.capacity.rank_order(one.p_malicious, one.worth_minor)

    def _begin_window(self, at_us: int) -> Pacer:
        """Build the pace of the window of a time, as far as its requests are known."""
        start_us = find_window_start(self.capacity, at_us)
        first, own = (bisect_left(self._known, each, key=_find_time) for each in (start_us - _DAYS_US, start_us))
        before, within, self._known = self._known[first:own], self._known[own:], self._known[first:]
        shares = (np.arange(PRIOR_ORDERS) + 0.5) / PRIOR_ORDERS
        if len(before) >= _LEAST_KNOWN:
            p = np.quantile([each.p_malicious for each, _ in before], shares)
            worth = np.array([each.worth_minor for each, _ in before], np.int64)
            pacer = Pacer(self.capacity, p, worth)
        else:
            pacer = Pacer(self.capacity, _guess_p(shares))
        pacer.resume(start_us, np.array([each.seen_at for each, _ in before], np.int64), 0)
        for each, takes_place in within:
            pacer.record(each.seen_at, [self._rank(each)], int(takes_place))
        return pacer


def _find_time(known: tuple[Asked, bool]) -> int:
    return known[0].seen_at


def _guess_p(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Guess the probabilities above which these shares of requests lie."""
    logits = np.interp(-np.log(shares), [-np.log(share) for share, _ in _GUESS], [logit for _, logit in _GUESS])
    guess: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logits))
    return guess
