"""The clock of a scorer: a jump far ahead is not followed at once, and everything else is."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from ordervet.score.clock import SteadyClock, now_us

SECOND, DAY = 10**9, 86_400 * 10**9


class Hands:
    """A clock on the wall that can be set, and one that only goes on."""

    def __init__(self) -> None:
        self.wall, self.passed = 1_768_464_000 * SECOND, 5 * SECOND
        self.clock = SteadyClock(lambda: self.wall, lambda: self.passed)

    def read(self, *, passed_s: int = 0, set_s: int = 0) -> int:
        """Return what the clock reads in seconds, after it has gone on and was set."""
        self.passed += passed_s * SECOND
        self.wall += (passed_s + set_s) * SECOND
        return self.clock() // 10**6


def test_jump_of_a_year_that_is_taken_back_is_not_followed(caplog) -> None:
    hands, year = Hands(), 365 * 86_400
    start = hands.read()

    read = [
        hands.read(passed_s=60),
        hands.read(set_s=year),
        hands.read(passed_s=300),
        hands.read(passed_s=60, set_s=-year),
    ]

    assert [each - start for each in read] == [60, 60, 360, 420]
    assert caplog.text.count("the clock jumped 365.0 days ahead; it is believed if it stays there") == 1


def test_jump_that_lasts_is_believed_after_ten_minutes() -> None:
    hands, days = Hands(), 3 * 86_400
    start = hands.read()

    read = [hands.read(set_s=days), hands.read(passed_s=599), hands.read(passed_s=1), hands.read(passed_s=1)]

    assert [each - start for each in read] == [0, 599, days + 600, days + 601]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(10**9), 86_400)), max_size=20))
def test_clock_is_followed_wherever_else_it_goes(steps: list[tuple[int, int]]) -> None:
    hands = Hands()

    for passed_s, set_s in steps:
        assert hands.read(passed_s=passed_s, set_s=set_s) == hands.wall // SECOND


def test_time_is_the_time() -> None:

    assert abs(now_us() - time.time_ns() // 1_000) < 60_000_000
