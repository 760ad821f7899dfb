"""Shifts, the windows they serve, and pacing: never over capacity, nearly as good as a cut with everything known."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evenings import (
    N_SLOTS,
    START_US,
    cut_afterwards,
    draw_day,
    make_capacity,
    pace_evening,
    simulate_evening,
    sum_expected,
)
from ordervet.errors import PolicyError
from ordervet.policy import Capacity, Pace, Pacer, Shift, decide, load_policy, parse_shifts
from ordervet.policy.pacing import UsualDay, draw_lot

HOUR_US = 3_600_000_000
ZONES = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])


def at_local(text: str, zone: str = "Asia/Shanghai") -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


# Arrow knows no summer time after 2037, where compiled time zones end; Python goes on by rule.
@given(st.lists(st.integers(0, 2_114_380_800_000_000), min_size=1, max_size=20), ZONES)
def test_windows_of_one_instant_are_those_of_a_batch(instants: list[int], zone: str) -> None:
    capacity = Capacity(n=10, shifts=parse_shifts("09:00-18:00,20:00-02:00"), time_zone=zone)
    at_us = np.array(instants)

    local, numbers = capacity.read_local_us(at_us), capacity.number_windows(at_us)

    assert local.tolist() == [capacity.read_local(at) for at in instants]
    assert numbers.tolist() == [capacity.number_window(at) for at in local.tolist()]


def test_shift_serves_what_came_since_the_one_before_ended() -> None:
    capacity = Capacity(n=100, shifts=parse_shifts("20:00-24:00,09:00-18:00"))
    instants = [at_local(f"2025-11-11 {clock}") for clock in ("08:59", "17:59", "18:00", "23:59")] + [
        at_local("2025-11-12 00:00")
    ]

    numbers = capacity.number_windows(np.array(instants))

    assert (numbers - numbers[0]).tolist() == [0, 0, 1, 1, 2]
    assert [window.n for window in capacity.windows] == [69, 31]


def test_capacity_by_hour_counts_the_hours_of_each_shift() -> None:
    capacity = Capacity(per_hour=75.0, shifts=(Shift(start="20:00", end="24:00"), Shift(start="09:30", end="12:00")))

    assert [window.n for window in capacity.windows] == [188, 300]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give n or per_hour"),
        ({"n": 1, "per_hour": 1.0}, "give n or per_hour"),
        ({"per_hour": 1.0}, "needs shifts"),
        ({"n": 1, "shifts": [{"start": "20:00", "end": "24:00"}, {"start": "23:00", "end": "01:00"}]}, "overlap"),
        ({"n": 1, "shifts": [{"start": "22:00", "end": "06:00"}, {"start": "05:00", "end": "09:00"}]}, "overlap"),
        ({"n": 1, "shifts": [{"start": "8", "end": "24:00"}]}, "expected a time of day"),
        ({"n": 1, "shifts": [{"start": "08:00", "end": "24:01"}]}, "expected a time of day"),
        ({"n": 1, "time_zone": "Mars/Base"}, "expected a time zone"),
        ({"n": 1, "plan": {"20": 5}}, "expected a time of day"),
    ],
)
def test_capacity_refuses_what_does_not_fit_together(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Capacity.model_validate(settings)


def test_batch_is_cut_exactly_shift_by_shift() -> None:
    policy = load_policy().with_capacity(12, parse_shifts("09:00-18:00,20:00-23:00"))
    rng = np.random.default_rng(1)
    placed_at = at_local("2025-11-11 08:00") + np.sort(rng.integers(0, 14 * HOUR_US, 500))
    p = rng.permutation(np.linspace(0.02, 0.9, 500))

    decided = decide(policy, p, placed_at_us=placed_at)

    is_evening = placed_at >= at_local("2025-11-11 18:00")
    is_taken = decided.actions > 0
    assert (is_taken[~is_evening].sum(), is_taken[is_evening].sum()) == (9, 3)
    assert p[is_taken & is_evening].min() > p[~is_taken & is_evening].max()


def test_shifts_need_the_time_of_every_order() -> None:
    with pytest.raises(PolicyError, match="needs every order's time"):
        decide(load_policy().with_capacity(12, parse_shifts("09:00-18:00")), [0.5])


def test_with_capacity_gives_a_policy_of_its_own_id() -> None:
    policy = load_policy()

    assert policy.with_capacity() is policy
    assert len({each.policy_id for each in (policy, policy.with_capacity(3), policy.with_capacity(4))}) == 3
    with pytest.raises(PolicyError, match="give n or per_hour"):
        policy.with_capacity(shifts=parse_shifts("09:00-18:00"))


@pytest.mark.parametrize("rank_by", ["risk", "value"])
@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_pacing_hands_on_what_the_desk_can_take_and_catches_nearly_all_a_later_cut_would(
    factor: float, rank_by: str
) -> None:
    evening = simulate_evening(7, int(3_000 * factor))
    capacity = make_capacity(3_000, n_slots=150).model_copy(update={"rank_by": rank_by})

    is_handed = pace_evening(evening, capacity)

    assert 0.95 * 150 <= is_handed.sum() <= 150
    assert sum_expected(evening, is_handed) >= 0.9 * sum_expected(evening, cut_afterwards(evening, capacity))


def test_pacing_in_small_batches_keeps_to_capacity() -> None:
    evening = simulate_evening(3, 3_000)

    is_handed = pace_evening(evening, make_capacity(3_000), batch_size=50)

    assert 0.95 * N_SLOTS <= is_handed.sum() <= N_SLOTS


def test_pacing_never_hands_on_the_harmless_however_idle_the_desk() -> None:
    capacity = make_capacity(3_000).model_copy(update={"min_p": 0.5})
    evening = simulate_evening(3, 3_000)

    is_handed = pace_evening(evening, capacity)

    assert evening.p[is_handed].min() >= 0.5


def test_pacing_keeps_the_backlog_short() -> None:
    capacity = make_capacity(3_000).model_copy(update={"backlog": 10})
    evening = simulate_evening(3, 3_000)

    handed_at = evening.at_us[pace_evening(evening, capacity)]

    per_us = N_SLOTS / (4 * HOUR_US)
    waiting, last = 0.0, START_US
    for at in handed_at.tolist():
        waiting, last = max(0.0, waiting - (at - last) * per_us) + 1.0, at
        assert waiting <= 10.0 + 1e-6


def test_pacing_without_a_plan_still_keeps_to_capacity() -> None:
    capacity = make_capacity(3_000).model_copy(update={"plan": {}})
    evening = simulate_evening(3, 3_000)

    assert pace_evening(evening, capacity).sum() <= N_SLOTS


@pytest.mark.parametrize(
    ("shares", "first_hour"),
    [([1] * 24, 0), ([3, 1, 1, 1, 1, 1, 1, 2, 3, *[5] * 10, 6, 8, 9, 8, 5], 20), ([40, *[1] * 23], 0)],
)
def test_pacing_without_a_plan_hands_on_all_that_the_desk_can_take(shares: list[int], first_hour: int) -> None:
    shift = Shift(start=f"{first_hour:02d}:00", end="24:00")
    capacity = Capacity(n=20, shifts=(shift,), min_p=0.01)

    handed = [int(pace_evening(draw_day(seed, 1_500, shares, first_hour), capacity).sum()) for seed in range(5)]

    assert handed == [20] * 5


EARLY_DAY = [1] * 8 + [10] * 8 + [0.2] * 8


@pytest.mark.parametrize("shares", [[1] * 24, EARLY_DAY, [40, *[1] * 23]], ids=["even", "early", "midnight"])
@pytest.mark.parametrize("n_orders", [60, 330])
def test_pacing_without_a_plan_knows_the_hours_of_the_days_before(shares: list[float], n_orders: int) -> None:
    capacity = Capacity(n=5, shifts=(Shift(start="00:00", end="24:00"),), min_p=0.01)
    handed = []

    for seed in range(4):
        days = [draw_day(seed + 10 * day, n_orders, shares).at_us - day * 24 * HOUR_US for day in range(1, 6)]
        handed.append(
            int(pace_evening(draw_day(seed, n_orders, shares), capacity, came_at_us=np.concatenate(days)).sum())
        )

    assert handed == [5] * 4


def test_pacing_without_a_plan_loses_slots_where_orders_stop_earlier_than_ever() -> None:
    capacity = Capacity(n=20, shifts=(Shift(start="00:00", end="24:00"),), min_p=0.01)
    days = [draw_day(day, 1_000, [1] * 24).at_us - day * 24 * HOUR_US for day in range(1, 6)]
    stopped = draw_day(1, 1_000, [1] * 12 + [0] * 12)

    n_handed = int(pace_evening(stopped, capacity, came_at_us=np.concatenate(days)).sum())

    assert 5 <= n_handed < 20


@pytest.mark.parametrize(("rank_by", "least"), [("risk", 0.5), ("value", 0.65)])
def test_surge_without_a_plan_does_not_spend_the_slots_at_once(rank_by: str, least: float) -> None:
    capacity = Capacity.model_validate({"n": 20, "shifts": [{"start": "20:00", "end": "24:00"}], "rank_by": rank_by})
    shares = []

    for seed in range(6):
        days = [draw_day(seed + 10 * day, 60, [1] * 24).at_us - day * 24 * HOUR_US for day in range(1, 6)]
        surge = draw_day(seed, 1_000, [0] * 20 + [4, 2, 1, 1])
        is_handed = pace_evening(surge, capacity, came_at_us=np.concatenate(days))
        shares.append(sum_expected(surge, is_handed) / sum_expected(surge, cut_afterwards(surge, capacity)))
        assert is_handed.sum() == 20

    assert np.mean(shares) >= least


@pytest.mark.parametrize("rank_by", ["risk", "value"])
def test_pacing_catches_as_much_when_it_is_stopped_and_begun_again(rank_by: str) -> None:
    evening = simulate_evening(7, 3_000)
    capacity = make_capacity(3_000, n_slots=150).model_copy(update={"rank_by": rank_by})

    is_handed = pace_evening(evening, capacity)
    is_handed_again = pace_evening(evening, capacity, restarts=range(500, 3_000, 500))

    assert is_handed.sum() == is_handed_again.sum() == 150
    assert sum_expected(evening, is_handed_again) >= 0.97 * sum_expected(evening, is_handed)


def test_usual_day_forgets_what_is_old_and_needs_three_days() -> None:
    day_us, usual = 24 * HOUR_US, UsualDay()
    usual.add(np.array([9 * HOUR_US, 10 * HOUR_US, 10 * HOUR_US + 1]))

    unknown, known = usual.find_before(2), usual.find_before(3)
    usual.add_at(40 * day_us, 7)
    later = usual.find_before(43)

    assert unknown is None
    assert known is not None
    assert known.argmax() == 10
    assert known[10] > 1.9 * known[9] > 20 * known[8] > 0
    assert later is not None
    assert later.argmax() == 0
    assert later[10] == later[9]


def test_next_window_has_slots_of_its_own() -> None:
    pacer = Pacer(Capacity(n=1, shifts=parse_shifts("20:00-24:00"), min_p=0.0))
    pacer.record(START_US, [0.9], 1)

    spent, fresh = pacer.find_pace(START_US + 1), pacer.find_pace(START_US + 24 * HOUR_US)

    assert spent.slots == 0
    assert fresh.slots == 1


def test_pacer_that_begins_in_the_middle_of_a_shift_has_the_slots_of_what_is_still_planned() -> None:
    capacity = make_capacity(20_000)

    whole, late = (Pacer(capacity).find_pace(START_US + hours * HOUR_US).slots for hours in (0, 3))

    assert (whole, late) == (300, round(300 * (0.08 + 0.15)))


def test_clock_that_goes_back_opens_no_earlier_window() -> None:
    pacer = Pacer(Capacity(n=1, shifts=parse_shifts("20:00-24:00"), min_p=0.0))
    pacer.record(START_US, [0.9], 1)

    pace = pacer.find_pace(START_US - 24 * HOUR_US)

    assert pace.slots == 0


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_pace_never_gets_milder_when_a_probability_rises(least: float, tie: float, one: float, other: float) -> None:
    pace = Pace(least, tie, 5)
    low, high = sorted([one, other])

    before, after = pace.admits(np.array([low]), ["A1"])[0], pace.admits(np.array([high]), ["A1"])[0]

    assert after >= before


def test_equal_probabilities_are_shared_out_by_lot() -> None:
    ids = [f"order{number}" for number in range(2000)]

    is_admitted = Pace(0.3, 0.75, 5).admits(np.full(2000, 0.3), ids)

    assert 0.2 < is_admitted.mean() < 0.3
    assert all(0.0 <= draw_lot(each) < 1.0 for each in ids)


def test_equal_probabilities_all_evening_do_not_spend_the_slots_at_once() -> None:
    capacity = make_capacity(3_000)
    evening = simulate_evening(3, 3_000)
    flat = type(evening)(evening.at_us, np.full(3_000, 0.2), evening.amount_minor, evening.is_malicious)

    is_handed = pace_evening(flat, capacity)

    assert is_handed[:1500].sum() < 0.75 * N_SLOTS
    assert 0.95 * N_SLOTS <= is_handed.sum() <= N_SLOTS


def test_rank_by_value_gives_the_slots_to_the_most_money_at_risk() -> None:
    policy = load_policy().model_copy(update={"capacity": Capacity(n=1, rank_by="value")})

    decided = decide(policy, [0.9, 0.5, 0.005], amount_minor=[1_000, 50_000, 90_000_000])

    assert (decided.actions > 0).tolist() == [False, True, False]
    with pytest.raises(PolicyError, match="needs every order's amount"):
        decide(policy, [0.9])


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(0, 10**9))
def test_rank_by_value_never_falls_when_a_probability_rises(one: float, other: float, amount: int) -> None:
    low, high = sorted([one, other])

    ranks = Capacity(n=1, rank_by="value").rank_orders(np.array([low, high]), np.array([amount, amount]))

    assert 0.0 <= ranks[0] <= ranks[1] <= 1.0
