"""Handing out a desk's slots while orders come one by one, through an evening whose volume nobody knows beforehand.

At a time t of a window, with

    S   slots of the window that are left,
    A   orders the plan expects in the whole window, A(t) by now; N(t) orders that came,
    c   `plan_weight`, the share of the planned orders after which what came counts as much as the plan,

    trust             w = a / (a + c) with a = A(t) / A
    volume factor     f = ((N(t) + 1) / (A(t) + 1)) ** w
    orders to come    R = f (A - A(t))
    handed on         the share S / R of orders, the riskiest: those above the (1 - S / R) quantile of what came lately

and solved again at each instant, so that an error of plan or quantile is made up by what is left. Towards the end
slots are due, which the next order worth a look takes. By value, where few orders hold most of the money, `_RESERVE`
standard deviations of S are kept back for better ones, and without a plan at most the share `_MOST` of orders is
handed on before slots are due, so that the first minutes of a surge do not take all.

Without a plan the hours at which orders came on the days before are one, less what chance may keep away. Before three
days are known R is the rate of the orders that came lately, half as much counting what is older by 1/24 of a window,
times the time left, less what chance may keep away; slots are then due from the middle of a shift on. Either way R is
at least what a surge brings: the fastest of the rates over several spans up to now, less what chance may have added,
times the time left, or the usual orders left by how far that rate is above that of the busiest hour.

Scores are remembered with a half-life of `MEMORY` orders and, at the start, with a prior. A window never hands on more
than its slots, apart from orders that go to a person whatever the desk's capacity. Whoever begins in the middle of a
window, after a restart say, has the slots of the orders still planned for it.

References
----------
Re-solving the share of slots left to orders to come: Arlotto and Gurvich, "Uniformly bounded regret in the
multisecretary problem", Stochastic Systems 9(3), 2019. Pacing along a planned arrival curve: Agarwal, Ghosh, Wei and
You, "Budget pacing for targeted online advertisements at LinkedIn", KDD 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import log, log1p, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ordervet.policy.capacity import DAY_MIN, DAY_US, HOUR_MIN, MINUTE_US, read_clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.policy.capacity import Capacity

FloatArray = npt.NDArray[np.float64]

MEMORY: Final = 20_000
"""Half-life of remembered scores, orders."""

UNIT: Final = 1 << 20
"""Weight of a score before any other."""

RESCALE_AFTER: Final = 8
"""Half-lives after which weights are divided by what they have grown by."""

PRIOR_ORDERS: Final = 200
"""What scores of the past count as."""

_PRIOR_AMOUNTS: Final = 25
_GUESSED_MINOR: Final = np.array([3_000, 6_000, 10_000, 17_000, 35_000], np.int64)
_HOUR_US: Final = HOUR_MIN * MINUTE_US
USUAL_DAYS: Final = 28
"""Days of which the hours of orders are remembered."""

_N_BINS: Final = 2048
_NEVER: Final = -(2**62)
_MAX_LOGIT: Final = 12.0
# Without a plan, what is to come is what came lately: half as much counts what is older by this share of a window.
_RECENT: Final = 1 / 24
_GUESS: Final = 0.05
_DUE: Final = (0.5, 0.94)  # shares of a shift from and at which slots, and all of them, are due
_CAUTION: Final = 2.0  # standard deviations of the orders to come that chance may keep away
_SURGE_SPANS: Final = (_RECENT, _RECENT / 4, _RECENT / 16, _RECENT / 64)  # half-lives, in windows
_RESERVE: Final = 0.5  # standard deviations of how many slots the best orders to come take
_LEAST_WANTED: Final = 0.3  # share of the slots left that is never kept back
_MOST: Final = 0.15  # share of orders handed on by value before slots are due, without a plan
_PLANNED_DUE: Final = (0.88, 0.98)
_VALUE_DUE: Final = (0.95, 0.995)  # by value any order will do for the last slots
# The same by the orders that usually come, chosen by benchmarks/bench_pacing.py --usual.
_USUALLY_DUE: Final = (0.8, 0.97)
_USUAL_CAUTION: Final = 1.0
_USUAL_HALF_LIFE: Final = 7.0  # days
_LEAST_DAYS: Final = 3
_ODD_HOURS: Final = 0.02  # share of the orders that may come at any hour, whatever is usual
# Before any came, one order in fifty is taken to be worth a look, until orders say otherwise.
_PER_SLOT: Final = 50.0
# Without any score at hand: log-odds of a probability, by the share of orders that lie above.
_PRIOR_LOGITS: Final = ((0.5, -4.5), (0.1, -3.0), (0.02, -1.5), (0.005, 0.0), (0.001, 2.0))


@dataclass(frozen=True, slots=True)
class Pace:
    """What is handed on at one instant.

    Parameters
    ----------
    least : least rank that is handed on, 0..1; the rank is p_malicious, or what `Capacity.rank_by` makes of it
    tie_from : of orders with exactly that rank, those whose lot is at least this, 0..1
    slots : most orders handed on at this instant
    """

    least: float
    tie_from: float
    slots: int

    def admits(self, ranks: FloatArray, order_ids: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Find which orders are handed on, as far as slots reach.

        Parameters
        ----------
        ranks : shape (n_orders,), from `Capacity.rank_orders`
        order_ids : n_orders ids, for their lots

        Returns
        -------
        shape (n_orders,)
        """
        is_above = ranks > self.least
        for row in np.flatnonzero(ranks == self.least).tolist():
            is_above[row] = draw_lot(order_ids[row]) >= self.tie_from
        return is_above

    def with_slots(self, slots: int) -> Pace:
        """Return the same pace with other slots."""
        return Pace(self.least, self.tie_from, slots)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return {"least": self.least, "tie_from": self.tie_from, "slots": self.slots}

    def to_json(self) -> str:
        """Return what `as_dict` returns as JSON."""
        return f'{{"least":{float(self.least)!r},"tie_from":{float(self.tie_from)!r},"slots":{self.slots}}}'

    def admits_one(self, rank: float, order_id: str) -> bool:
        """Return whether one order is handed on; the same as `admits`."""
        return rank > self.least or (rank == self.least and draw_lot(order_id) >= self.tie_from)


def draw_lot(order_id: str) -> float:
    """Draw an order's lot, always the same: it breaks ties where not all of equal probability can be reviewed."""
    digest = blake2b(order_id.encode(), digest_size=6, person=b"ordervet lot").digest()
    return int.from_bytes(digest, "big") / 2.0**48


class Pacer:
    """Hands out the slots of a capacity, window after window.

    Not for several threads at once. Time may stand still and is never taken to go back.

    Parameters
    ----------
    capacity : of a policy
    prior_p : shape (n,), probabilities of orders of the past, for the first minutes; None takes a rough guess
    prior_minor : shape (n_orders,), what orders of the past were worth, for a rank by value; none takes a rough guess
    """

    def __init__(
        self,
        capacity: Capacity,
        prior_p: npt.ArrayLike | None = None,
        prior_minor: npt.NDArray[np.int64] = _GUESSED_MINOR,
    ) -> None:
        self._capacity = capacity
        self._windows = capacity.windows
        self._usual = UsualDay()
        self._rates = _PlannedRates(capacity)
        self._scores = RememberedScores(capacity.min_p)
        self._at_us, self._local_us = _NEVER, _NEVER
        self._number, self._begun_us = _NEVER, 0
        self._n_slots, self._n_seen, self._n_handed = 0, 0, 0
        self._waiting, self._waiting_at_us = 0.0, 0
        self._lately, self._lately_at_us, self._came_from_us = [0.0] * len(_SURGE_SPANS), 0, 0
        p = _guess_prior() if prior_p is None else np.asarray(prior_p, np.float64)
        self._scores.add_prior(_rank_prior(capacity, p, prior_minor if len(prior_minor) else _GUESSED_MINOR))

    def find_window_start(self, at_us: int) -> int:
        """Return when the window of a time begins, UTC microseconds."""
        return find_window_start(self._capacity, at_us)

    def resume(self, at_us: int, came_at_us: npt.NDArray[np.int64], n_handed: int) -> None:
        """Go on in the middle of a window.

        Parameters
        ----------
        at_us : UTC microseconds
        came_at_us : shape (n_orders,), when orders came, of this window and of the days before, UTC microseconds
        n_handed : how many slots of the window were taken before
        """
        local_us = self._capacity.read_local(at_us)
        self._usual.add(self._capacity.read_local_us(came_at_us))
        came_lately_us = came_at_us[came_at_us >= self.find_window_start(at_us)]
        self._begin_window(self._capacity.number_window(local_us), local_us, is_first=False)
        self._n_seen, self._n_handed = len(came_lately_us), n_handed
        self._came_from_us, self._lately_at_us = self._begun_us, local_us
        ages = (at_us - came_lately_us) / (self._rates.find_edges(self._number)[1] - self._begun_us)
        self._lately = [float((0.5 ** (ages / span)).sum()) for span in _SURGE_SPANS]

    def find_pace(self, at_us: int) -> Pace:
        """Describe what to hand on now.

        Parameters
        ----------
        at_us : UTC microseconds

        Returns
        -------
        the pace of this instant; asking changes nothing but the window that is being served
        """
        local_us = self._advance(at_us)
        left = max(0, self._n_slots - self._n_handed)
        slots = left
        if self._capacity.backlog is not None:
            slots = min(slots, int(max(0.0, self._capacity.backlog - self._waiting)))
        if slots == 0:
            return Pace(1.0, 1.0, 0)
        least, tie_from = self._scores.find_quantile(self._find_share(local_us, left))
        if self._capacity.rank_by == "risk" and least < self._capacity.min_p:
            least, tie_from = self._capacity.min_p, 0.0
        return Pace(least, tie_from, slots)

    def _find_share(self, local_us: int, left: int) -> float:
        """Find the share of orders to hand on now, more than 0."""
        has_plan, is_usual = bool(self._capacity.plan), self._rates.is_usual
        passed, total = self._rates.measure(self._number, self._begun_us, local_us)
        to_come, surge = self._count_planned(passed, total), 0.0
        if not has_plan:
            to_come = self._lessen(to_come, _USUAL_CAUTION) if is_usual else self._count_as_lately(local_us)
            surge = self._count_surge(local_us, total - passed)
        share = passed / total if total else 1.0
        if surge > to_come:
            share = min(share, self._n_seen / (self._n_seen + surge))
        due = _PLANNED_DUE if has_plan else _USUALLY_DUE if is_usual else _DUE
        is_by_value = self._capacity.rank_by == "value"
        if self._is_slot_due(share, _VALUE_DUE if is_by_value and due is not _DUE else due):
            return 1.0
        to_come = max(to_come, surge, 1.0)
        if not is_by_value:
            return min(1.0, left / to_come)
        wanted = max(left - _RESERVE * sqrt(left), left * _LEAST_WANTED)
        return min(1.0 if has_plan else _MOST, wanted / to_come)

    def _count_planned(self, passed: float, total: float) -> float:
        """Count the orders to come by the plan or the usual hours, and by how many came of those expected."""
        share = passed / total if total else 1.0
        trust = share / (share + self._capacity.plan_weight)
        return float((total - passed) * ((self._n_seen + 1.0) / (passed + 1.0)) ** trust)

    def _count_as_lately(self, local_us: int) -> float:
        """Count the orders to come if they go on as they came lately, less what chance may keep away."""
        start, end = self._rates.find_edges(self._number)
        half_us = (end - start) * _RECENT
        lately_us = half_us / log(2) * (1.0 - 0.5 ** ((local_us - self._came_from_us) / half_us))
        guess = (self._n_slots + 1) * _PER_SLOT / (end - start)
        rate = (self._lately[0] + guess * half_us * _GUESS) / (lately_us + half_us * _GUESS)
        return self._lessen(rate * (end - local_us), _CAUTION)

    def _count_surge(self, local_us: int, usual: float) -> float:
        """Count the orders to come at the fastest of the rates of late, less what chance may have added.

        They come for the time left; by usual hours, as often as that rate is above that of the busiest hour.
        """
        start, end = self._rates.find_edges(self._number)
        per_window = log(2) * max(
            (n_orders - _CAUTION * sqrt(n_orders)) / span
            for n_orders, span in zip(self._lately, _SURGE_SPANS, strict=True)
        )
        if self._rates.is_usual:
            return usual * per_window * _HOUR_US / (end - start) / self._rates.busiest_hour
        return per_window * (end - local_us) / (end - start)

    def _is_slot_due(self, share: float, due: tuple[float, float]) -> bool:
        """Return whether fewer slots were taken than are due at a share of the window."""
        return self._n_handed < self._n_slots * min(1.0, max(0.0, (share - due[0]) / (due[1] - due[0])))

    def _lessen(self, to_come: float, caution: float) -> float:
        """Take off what chance may keep away of the orders to come that are worth a look, in standard deviations."""
        share_worth_it = self._scores.share_worth_it if self._capacity.rank_by == "risk" else 1.0
        worth_it = max(to_come * share_worth_it, 1e-9)
        return float(to_come * max(0.0, 1.0 - caution / sqrt(worth_it)))

    def record(self, at_us: int, ranks: Sequence[float], n_handed: int) -> None:
        """Remember orders that were decided about.

        Parameters
        ----------
        at_us : UTC microseconds
        ranks : n_orders of them, from `Capacity.rank_orders`
        n_handed : how many of them went to a person
        """
        self._usual.add_at(self._advance(at_us), len(ranks))
        self._n_seen += len(ranks)
        self._lately = [n_orders + len(ranks) for n_orders in self._lately]
        self._n_handed += n_handed
        self._waiting += n_handed
        for rank in ranks:
            self._scores.add(rank)

    def release(self, n_slots: int) -> None:
        """Give back slots of orders that were not handed on after all."""
        self._n_handed -= n_slots
        self._waiting = max(0.0, self._waiting - n_slots)

    def _advance(self, at_us: int) -> int:
        """Move to the window of a time; give the local time."""
        if at_us == self._at_us:
            return self._local_us
        local_us = self._capacity.read_local(at_us)
        number = self._capacity.number_window(local_us)
        if number > self._number:
            self._begin_window(number, local_us, is_first=self._number == _NEVER)
        worked = self._rates.count_worked(self._waiting_at_us, local_us) if self._waiting else 0.0
        self._waiting = max(0.0, self._waiting - worked)
        self._waiting_at_us = local_us
        start, end = self._rates.find_edges(number)
        kept = 0.5 ** (max(0, local_us - self._lately_at_us) / ((end - start) * _RECENT))
        for at, n_orders in enumerate(self._lately):
            self._lately[at] = n_orders * kept
            kept **= 4  # each span is a quarter of the one before
        self._lately_at_us = max(self._lately_at_us, local_us)
        self._at_us, self._local_us = at_us, local_us
        return local_us

    def _begin_window(self, number: int, local_us: int, *, is_first: bool) -> None:
        """Start to serve a window; one that was running before gives only its planned share of slots."""
        start, _ = self._rates.find_edges(number)
        if not self._capacity.plan:
            self._rates = _PlannedRates(self._capacity, self._usual.find_before(start // DAY_US))
        self._number, self._n_seen, self._n_handed = number, 0, 0
        self._begun_us = max(start, local_us) if is_first else start
        if is_first:
            self._came_from_us = self._begun_us
        (_, whole), (_, rest) = (self._rates.measure(number, each, each) for each in (start, self._begun_us))
        self._n_slots = round(self._windows[number % len(self._windows)].n * (rest / whole if whole else 1.0))


class RememberedScores:
    """Remembers scores with a half-life of `MEMORY` orders, in bins even in log-odds.

    Weights are whole numbers: not the old ones shrink, each is larger than the one before it. So sums are exact in any
    order, and kept as they change.

    Parameters
    ----------
    least_p : least score that is worth a look

    References
    ----------
    Slow twin: tests/reference/scores_reference.py.
    """

    def __init__(self, least_p: float) -> None:
        self._counts, self._total = [0] * _N_BINS, 0
        self._at, self._above = _N_BINS - 1, 0  # the bin that was looked for last, and the weight above it
        self._lowest, self._highest = [1.0] * _N_BINS, [0.0] * _N_BINS
        self._n_added, self._least_bin, self._worth_it = 0, find_bin(least_p), 0

    @property
    def share_worth_it(self) -> float:
        """The share of scores that are worth a look."""
        return self._worth_it / self._total

    def add_prior(self, scores: FloatArray) -> None:
        """Take scores of the past for `PRIOR_ORDERS` orders that came before all others."""
        for p in scores.tolist():
            self._count(find_bin(p), round(UNIT * PRIOR_ORDERS / len(scores)))

    def add(self, p: float) -> None:
        """Remember a score, 0..1."""
        if self._n_added == RESCALE_AFTER * MEMORY:
            self._rescale()
        self._n_added += 1
        at = find_bin(p)
        self._count(at, round(UNIT * 2.0 ** (self._n_added / MEMORY)))
        self._lowest[at] = min(self._lowest[at], p)
        self._highest[at] = max(self._highest[at], p)

    def find_quantile(self, share: float) -> tuple[float, float]:
        """Find what lies at the top `share` of scores, more than 0: a score, and a lot among equals."""
        # SPEED: from where it was the last time, which is near (bench_policies.py).
        wanted, at, above = share * self._total, self._at, self._above
        while above >= wanted:
            at += 1
            above -= self._counts[at]
        while above + self._counts[at] < wanted:
            above += self._counts[at]
            at -= 1
        self._at, self._above = at, above
        part = 1.0 - (wanted - above) / self._counts[at]
        low, high = self._lowest[at], self._highest[at]
        if low > high:
            low, high = find_edges(at)
        return (low, part) if low == high else (low + part * (high - low), 0.0)

    def _count(self, at: int, weight: int) -> None:
        self._counts[at] += weight
        self._total += weight
        if at > self._at:
            self._above += weight
        if at >= self._least_bin:
            self._worth_it += weight

    def _rescale(self) -> None:
        """Go back to small weights."""
        counts, self._n_added = self._counts, 0
        self._counts, self._total, self._worth_it, self._above = [0] * _N_BINS, 0, 0, 0
        for at, weight in enumerate(counts):
            self._count(at, weight >> RESCALE_AFTER)


def find_window_start(capacity: Capacity, at_us: int) -> int:
    """Return when the window of a time begins, both UTC microseconds."""
    local_us = capacity.read_local(at_us)
    return _find_edges(capacity, capacity.number_window(local_us))[0] - local_us + at_us


def _find_edges(capacity: Capacity, number: int) -> tuple[int, int]:
    """Return the local instants at which a window begins and ends."""
    windows = capacity.windows
    n = len(windows)
    start, end = (at // n * DAY_US + windows[at % n].end_min * MINUTE_US for at in (number - 1, number))
    return start, end


def find_share_due(capacity: Capacity, number: int, now_us: int) -> float:
    """Return the share of a window's slots that is due by a time, 0..1: by the plan, else by the hours of its shift.

    Parameters
    ----------
    capacity : of a policy
    number : of the window, from `Capacity.number_windows`
    now_us : UTC microseconds
    """
    rates, now = _PlannedRates(capacity), capacity.read_local(now_us)
    start, end = rates.find_edges(number)
    passed, total = rates.measure(number, start, min(max(now, start), end))
    return passed / total if total else 1.0


class UsualDay:
    """How many orders come at which hour, as on the days before; times are those of the local clock, microseconds."""

    def __init__(self) -> None:
        self._days: dict[int, FloatArray] = {}

    def add(self, local_us: npt.NDArray[np.int64]) -> None:
        """Add orders, shape (n_orders,), by when they came."""
        hours, counts = np.unique(local_us // _HOUR_US, return_counts=True)
        for hour, n_orders in zip(hours.tolist(), counts.tolist(), strict=True):
            self.add_at(hour * _HOUR_US, n_orders)

    def add_at(self, local_us: int, n_orders: int) -> None:
        """Add orders that came at one time."""
        day, rest = divmod(local_us, DAY_US)
        if day not in self._days:
            self._days = {each: hours for each, hours in self._days.items() if each >= day - USUAL_DAYS}
            self._days[day] = np.zeros(24)
        self._days[day][rest // _HOUR_US] += n_orders

    def find_before(self, day: int) -> FloatArray | None:
        """Return the orders of each hour of a day, by those of the days before; None before three days are known."""
        days = np.arange(max(min(self._days, default=day), day - USUAL_DAYS), day)
        if len(days) < _LEAST_DAYS:
            return None
        weights = 0.5 ** ((day - days) / _USUAL_HALF_LIFE)
        hours = np.array([self._days.get(each, np.zeros(24)) for each in days.tolist()])
        usual = weights @ hours / weights.sum()
        found: FloatArray = usual + max(usual.mean(), 1.0 / DAY_MIN) * _ODD_HOURS
        return found


class _PlannedRates:
    """How many orders are expected, and how many the desk looks at, up to a time of a window.

    Parameters
    ----------
    capacity : of a policy
    usual : shape (24,), orders of each hour, where there is no plan; None where they are not known either
    """

    def __init__(self, capacity: Capacity, usual: FloatArray | None = None) -> None:
        self._capacity, self._windows = capacity, capacity.windows
        self.is_usual = usual is not None
        self.busiest_hour = 0.0 if usual is None else float(usual.max())
        self._plan = (
            _list_rates(capacity)
            if usual is None
            else [(hour * _HOUR_US, _HOUR_US, float(n_orders)) for hour, n_orders in enumerate(usual)]
        )
        self._rates = [window.n / (window.n_minutes * MINUTE_US) for window in self._windows]
        self._edges: tuple[int, tuple[int, int]] = _NEVER, (0, 0)
        self._whole: tuple[tuple[int, int], float] = (_NEVER, 0), 0.0

    def measure(self, number: int, from_us: int, to_us: int) -> tuple[float, float]:
        """Return the orders planned from a time of a window to another one, and to the window's end."""
        _, end = self.find_edges(number)
        if self._whole[0] != (number, from_us):
            self._whole = (number, from_us), self._count_planned(from_us, end)
        return self._count_planned(from_us, min(to_us, end)), self._whole[1]

    def count_worked(self, from_us: int, to_us: int) -> float:
        """Count the orders the desk can look at between two local instants."""
        worked = 0.0
        for day in range(max(from_us // DAY_US, to_us // DAY_US - 2), to_us // DAY_US + 2):
            for window, rate in zip(self._windows, self._rates, strict=True):
                end = day * DAY_US + window.end_min * MINUTE_US
                worked += rate * max(0, min(to_us, end) - max(from_us, end - window.n_minutes * MINUTE_US))
        return worked

    def find_edges(self, number: int) -> tuple[int, int]:
        """Return the local instants at which a window begins and ends."""
        if self._edges[0] != number:  # SPEED: one order after the other is of the same window (bench_live.py)
            self._edges = number, _find_edges(self._capacity, number)
        return self._edges[1]

    def _count_planned(self, start: int, end: int) -> float:
        """Integrate the plan, whose rate is even from each time named to the next."""
        total = 0.0
        for day in range(start // DAY_US - 1, end // DAY_US + 1):
            for begin, length, orders in self._plan:
                overlap = min(end, day * DAY_US + begin + length) - max(start, day * DAY_US + begin)
                total += orders * max(0, overlap) / length
        return total


def _list_rates(capacity: Capacity) -> list[tuple[int, int, float]]:
    """Return each entry of the plan as start, length, orders: it lasts to the next entry or the end of a shift."""
    if not capacity.plan:
        return [
            ((window.end_min - window.n_minutes) * MINUTE_US, window.n_minutes * MINUTE_US, (window.n + 1) * _PER_SLOT)
            for window in capacity.windows
        ]
    starts = sorted((read_clock(clock) % DAY_MIN, orders) for clock, orders in capacity.plan.items())
    stops = {start for start, _ in starts} | {shift.end_min % DAY_MIN for shift in capacity.shifts}
    return [
        (start * MINUTE_US, min((stop - start - 1) % DAY_MIN + 1 for stop in stops) * MINUTE_US, orders)
        for start, orders in starts
    ]


_EDGES: Final = tuple((1.0 / (1.0 + np.exp(-np.linspace(-_MAX_LOGIT, _MAX_LOGIT, _N_BINS + 1)))).tolist())


def find_bin(p: float) -> int:
    """Return the bin of a score, 0..1."""
    if p <= 0.0 or p >= 1.0:
        return 0 if p <= 0.0 else _N_BINS - 1
    logit = min(max(log(p) - log1p(-p), -_MAX_LOGIT), _MAX_LOGIT)
    return min(int((logit + _MAX_LOGIT) / (2.0 * _MAX_LOGIT) * _N_BINS), _N_BINS - 1)


def find_edges(at: int) -> tuple[float, float]:
    """Return the scores between which a bin lies."""
    return _EDGES[at], _EDGES[at + 1]


def _rank_prior(capacity: Capacity, p: FloatArray, worth_minor: npt.NDArray[np.int64]) -> FloatArray:
    """Rank probabilities of the past; by value, each of them with amounts distributed as those given."""
    if capacity.rank_by == "risk":
        return p
    shares = (np.arange(_PRIOR_AMOUNTS) + 0.5) / _PRIOR_AMOUNTS
    amounts = np.quantile(worth_minor, shares).astype(np.int64)
    return capacity.rank_orders(np.repeat(p, len(amounts)), np.tile(amounts, len(p)))


def _guess_prior() -> FloatArray:
    rarity, logits = -np.log10([share for share, _ in _PRIOR_LOGITS]), [logit for _, logit in _PRIOR_LOGITS]
    shares = (np.arange(PRIOR_ORDERS) + 0.5) / PRIOR_ORDERS
    guess: FloatArray = 1.0 / (1.0 + np.exp(-np.interp(-np.log10(shares), rarity, logits)))
    return guess
