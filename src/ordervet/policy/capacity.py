"""How many orders the desk can look at, and when: shifts, and the windows of orders that each of them serves."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ordervet.errors import PolicyError
from ordervet.late_imports import pa, pc
from ordervet.policy.thresholds import Probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

HOUR_MIN: Final = 60
DAY_MIN: Final = 24 * HOUR_MIN
MINUTE_US: Final = 60_000_000
_MIDDLE_MINOR: Final = 10_000.0  # an expected loss of 100 yuan ranks in the middle
DAY_US: Final = DAY_MIN * MINUTE_US


def read_clock(text: str) -> int:
    """Read a time of day."""
    hours, colon, minutes = text.partition(":")
    is_clock = bool(colon) and all(part.isascii() and part.isdecimal() and len(part) == 2 for part in (hours, minutes))
    minute = int(hours) * HOUR_MIN + int(minutes) if is_clock else -1
    if not 0 <= minute <= DAY_MIN or int(minutes) >= HOUR_MIN:
        raise ValueError(f"got '{text[:20]}', expected a time of day such as 20:00")
    return minute


def _check_clock(text: str) -> str:
    read_clock(text)
    return text


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"got '{name[:40]}', expected a time zone such as Asia/Shanghai") from None
    return name


Clock = Annotated[str, AfterValidator(_check_clock)]
Zone = Annotated[str, AfterValidator(_check_zone)]


class Shift(BaseModel):
    """Hours of every day in which the desk works.

    Parameters
    ----------
    start, end : local times of day; an end at or before the start is on the next day
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    start: Clock
    end: Clock

    @property
    def start_min(self) -> int:
        """Minutes from midnight to the start."""
        return read_clock(self.start)

    @property
    def n_minutes(self) -> int:
        """Length in minutes, 1..1440."""
        return (read_clock(self.end) - self.start_min - 1) % DAY_MIN + 1

    @property
    def end_min(self) -> int:
        """Minutes from midnight to the end, 1..1440: on which day it ends is left out."""
        return (self.start_min + self.n_minutes - 1) % DAY_MIN + 1


def parse_shifts(text: str) -> tuple[Shift, ...]:
    """Read shifts as the command line writes them.

    Parameters
    ----------
    text : such as ``09:00-18:00,20:00-24:00``

    Returns
    -------
    the shifts, as given

    Raises
    ------
    ValueError
        A shift is not written so.
    """
    spans = [part.strip().partition("-") for part in text.split(",")]
    return tuple(Shift(start=start.strip(), end=end.strip()) for start, _, end in spans)


class Capacity(BaseModel):
    """How many orders the desk can look at.

    Without shifts, `n` orders of a batch, or of a day when orders come one by one. With shifts, `n` orders of a day
    spread over them by length, or `per_hour` in each hour of them; a shift serves what was placed since the one before
    ended.

    Parameters
    ----------
    n : orders; give this or `per_hour`
    per_hour : orders in an hour of a shift
    min_p : least p_malicious of an order worth looking at, however idle the desk
    rank_by : what comes first: "risk", the likeliest, or "value", the most money expected at risk (p × amount)
    shifts : when the desk works, in any order
    time_zone : IANA name of the zone that shifts and plan are in
    plan : orders expected from a time of day to the next one named here or the end of a shift
    plan_weight : share of the planned orders after which what came counts as much as the plan
    count_holds : whether an order that is held takes a slot; where it does not, holds come beside the capacity
    backlog : most orders that may wait for the desk at once while orders come one by one; None for any number
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    n: Annotated[int, Field(ge=0, le=10**9)] | None = None
    per_hour: Annotated[float, Field(ge=0.0, le=10.0**7, allow_inf_nan=False)] | None = None
    min_p: Probability = 0.01
    rank_by: Literal["risk", "value"] = "risk"
    shifts: Annotated[tuple[Shift, ...], Field(strict=False)] = ()
    time_zone: Zone = "Asia/Shanghai"
    plan: dict[Clock, Annotated[float, Field(ge=0.0, le=10.0**12, allow_inf_nan=False)]] = {}
    plan_weight: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 0.05
    count_holds: bool = True
    backlog: Annotated[int, Field(ge=1, le=10**9)] | None = None

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if (self.n is None) == (self.per_hour is None):
            raise ValueError("give n or per_hour, one of them")
        if self.per_hour is not None and not self.shifts:
            raise ValueError("per_hour needs shifts: when does the desk work?")
        for earlier, later in pairwise(self._list_spans()):
            if later[0] < earlier[1]:
                raise ValueError("shifts overlap")
        return self

    def _list_spans(self) -> list[tuple[int, int]]:
        spans = sorted((shift.start_min, shift.start_min + shift.n_minutes) for shift in self.shifts)
        return [*spans, (spans[0][0] + DAY_MIN, spans[0][1] + DAY_MIN)] if spans else []

    def rank_orders(
        self, p: npt.NDArray[np.float64], amount_minor: npt.NDArray[np.int64] | None
    ) -> npt.NDArray[np.float64]:
        """Return each order its rank for the desk's slots: p itself, or p × amount brought between 0 and 1.

        Parameters
        ----------
        p : shape (n_orders,), probabilities
        amount_minor : shape (n_orders,), minor units; needed to rank by value

        Returns
        -------
        shape (n_orders,), 0..1, the greater the sooner; never less for a greater p

        Raises
        ------
        PolicyError
            The amounts are needed and not given.
        """
        if self.rank_by == "risk":
            return p
        if amount_minor is None:
            raise PolicyError("a rank by value needs every order's amount", hint="pass amount_minor= to decide()")
        value = p * np.maximum(amount_minor, 0)
        return value / (value + _MIDDLE_MINOR)

    def rank_order(self, p: float, amount_minor: int) -> float:
        """Return one order's rank; the same as `rank_orders`."""
        if self.rank_by == "risk":
            return p
        value = p * max(amount_minor, 0)
        return value / (value + _MIDDLE_MINOR)

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """What a day is cut into, by end: each serves the orders placed between the end before and its own."""
        if not self.shifts:
            return (Window(end_min=DAY_MIN, n_minutes=DAY_MIN, n=self.n or 0),)
        shifts = sorted(self.shifts, key=lambda shift: shift.end_min)
        counts = (
            _spread(self.n, [shift.n_minutes for shift in shifts])
            if self.n is not None
            else self._count_by_hour(shifts)
        )
        return tuple(
            Window(end_min=shift.end_min, n_minutes=shift.n_minutes, n=count)
            for shift, count in zip(shifts, counts, strict=True)
        )

    def _count_by_hour(self, shifts: Sequence[Shift]) -> list[int]:
        per_minute = (self.per_hour or 0.0) / HOUR_MIN
        return [round(per_minute * shift.n_minutes) for shift in shifts]

    def number_windows(self, at_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Find in which window each instant lies.

        Parameters
        ----------
        at_us : shape (n,), UTC microseconds

        Returns
        -------
        shape (n,), numbers that grow with time; `number % len(windows)` is the window of the day
        """
        local = self.read_local_us(at_us)
        days, rest = np.divmod(local, DAY_US)
        ends = np.array([window.end_min * MINUTE_US for window in self.windows])
        numbers: npt.NDArray[np.int64] = days * len(ends) + np.searchsorted(ends, rest, side="right")
        return numbers

    def number_window(self, local_us: int) -> int:
        """Find in which window one instant of the local clock lies; as `number_windows`."""
        day, rest = divmod(local_us, DAY_US)
        return day * len(self._ends) + bisect_right(self._ends, rest)

    @cached_property
    def _ends(self) -> list[int]:
        return [window.end_min * MINUTE_US for window in self.windows]

    def read_local(self, at_us: int) -> int:
        """Return the wall clock of the desk at one instant; as `read_local_us`."""
        return at_us + _find_offset_us(at_us // MINUTE_US, self.time_zone)

    def read_local_us(self, at_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the wall clock of the desk.

        Parameters
        ----------
        at_us : shape (n,), UTC microseconds

        Returns
        -------
        shape (n,), microseconds since 1970 on the local clock
        """
        instants = pa.array(at_us, pa.int64()).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", self.time_zone))
        local: npt.NDArray[np.int64] = pc.local_timestamp(instants).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return local


class Window(BaseModel):
    """A part of every day that ends with a shift.

    Parameters
    ----------
    end_min : minutes from midnight to its end, 1..1440
    n_minutes : length of the shift it ends with
    n : orders the desk can look at in it
    """

    model_config = ConfigDict(frozen=True)

    end_min: int
    n_minutes: int
    n: int


@lru_cache(maxsize=1024)
def _find_offset_us(minute: int, time_zone: str) -> int:
    """Return how far the local clock is ahead at a minute, counted from 1970, UTC: zones change on whole minutes."""
    offset = datetime.fromtimestamp(minute * 60, ZoneInfo(time_zone)).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)


def _spread(n: int, lengths: Sequence[int]) -> list[int]:
    """Share n out by length in whole orders that add up to n."""
    ends = [n * sum(lengths[: at + 1]) // sum(lengths) for at in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
