"""What the desk knows already stands, and the slots of a window are handed out once, however often it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.history.handed import HandedOrder
from ordervet.policy import ACTIONS, Action, DeskMemory, Standing, decide, load_policy
from ordervet.policy.capacity import Capacity, Shift
from ordervet.policy.desk import Mark
from ordervet.policy.overlay import Overlay

if TYPE_CHECKING:
    from ordervet.policy import Decided

START = 1_762_862_400_000_000
"""2025-11-11 20:00 in Shanghai."""
HOUR = 3_600_000_000
SHIFT = Shift(start="20:00", end="24:00")
IDS = [f"o{number}" for number in range(8)]
P = np.array([0.9, 0.85, 0.8, 0.75, 0.3, 0.25, 0.1, 0.02])


def run(
    desk: DeskMemory | None = None, *, least: list[Action] | None = None, capacity: Capacity | None = None
) -> Decided:
    policy = load_policy().model_copy(update={"capacity": capacity})
    ranks = np.array([ACTIONS.index(each) for each in least or [Action.PASS] * len(P)], np.int8)
    overlay = Overlay(ranks, np.zeros(len(P), bool), {}, {})
    placed_at = np.full(len(P), START, np.int64)
    return decide(policy, P, order_ids=IDS, placed_at_us=placed_at, overlay=overlay, desk=desk)


def recall(
    hours: float = 4.0, *, judged: dict[str, Standing] | None = None, handed: tuple[str, ...] = ()
) -> DeskMemory:
    slots = [HandedOrder(each, START, START, takes_slot=True) for each in handed]
    standings = dict.fromkeys(handed, Standing.HANDED) | (judged or {})
    return DeskMemory(START + int(hours * HOUR), standings, slots)


def list_handed(decided: Decided) -> list[str]:
    return [IDS[row] for row in np.flatnonzero(decided.takes_slot)]


def test_what_a_person_judged_stands_and_takes_no_slot() -> None:
    judged = {"o0": Standing.RELEASED, "o5": Standing.MALICIOUS, "o1": Standing.UNSURE}

    decided = run(recall(judged=judged), capacity=Capacity(n=2, shifts=(SHIFT,)))

    assert list_handed(decided) == ["o2", "o3"]
    assert [ACTIONS[decided.actions[row]] for row in (0, 5, 1)] == [Action.PASS, Action.HOLD, Action.HOLD]


def test_what_was_handed_on_stays_and_takes_no_second_slot() -> None:
    decided = run(recall(handed=("o6", "o7")), capacity=Capacity(n=3, shifts=(SHIFT,)))

    assert list_handed(decided) == ["o0"]
    assert [ACTIONS[decided.actions[row]] for row in (6, 7)] == [Action.REVIEW, Action.REVIEW]


def test_slots_fall_due_with_the_hours_of_the_shift() -> None:
    due = [
        len(list_handed(run(recall(hours), capacity=Capacity(n=6, shifts=(SHIFT,))))) for hours in (0, 0.5, 1, 2, 3, 4)
    ]

    assert due == [0, 1, 2, 3, 5, 6]


def test_slots_fall_due_with_the_plan_where_there_is_one() -> None:
    capacity = Capacity(n=6, shifts=(SHIFT,), plan={"20:00": 500.0, "21:00": 500.0})

    assert len(list_handed(run(recall(1), capacity=capacity))) == 3


def test_a_day_is_the_window_of_a_desk_without_shifts() -> None:
    assert len(list_handed(run(recall(1), capacity=Capacity(n=8)))) == 7
    assert len(list_handed(run(recall(4), capacity=Capacity(n=8, min_p=0.0)))) == 8


@pytest.mark.parametrize("steps", [(4.0,), (1, 2, 3, 4), (0.5, 0.5, 3.9, 4)])
def test_no_more_than_the_capacity_is_handed_on_over_all_runs(steps: tuple[float, ...]) -> None:
    handed: tuple[str, ...] = ()

    for hours in steps:
        handed += tuple(list_handed(run(recall(hours, handed=handed), capacity=Capacity(n=3, shifts=(SHIFT,)))))

    assert handed == ("o0", "o1", "o2")


def test_what_a_full_desk_lets_pass_is_marked_and_what_nobody_asked_for_is_not() -> None:
    decided = run(capacity=Capacity(n=1))

    full = [IDS[row] for row in np.flatnonzero(decided.marks == Mark.FULL)]
    assert full == ["o1", "o2", "o3", "o4", "o5"]
    assert not decided.actions[1:].any()


def test_orders_that_rules_ask_for_count_and_are_marked_beyond_the_capacity() -> None:
    least = [Action.PASS] * 5 + [Action.REVIEW] * 3

    decided = run(least=least, capacity=Capacity(n=2))

    assert list_handed(decided) == ["o5", "o6", "o7"]
    assert decided.marks.tolist()[5:] == [Mark.NONE, Mark.NONE, Mark.BEYOND]


def test_holds_take_no_slot_where_the_policy_says_so() -> None:
    counting, free = (run(capacity=Capacity(n=2, count_holds=each)) for each in (True, False))

    assert list_handed(counting) == ["o0", "o1"]
    assert list_handed(free) == ["o4", "o5"]
    assert [ACTIONS[action] for action in free.actions[:4]] == [Action.HOLD] * 4


def test_a_release_stands_against_lists_and_rules_too() -> None:
    decided = run(recall(judged={"o7": Standing.RELEASED}), least=[Action.PASS] * 7 + [Action.HOLD])

    assert ACTIONS[decided.actions[7]] is Action.PASS
