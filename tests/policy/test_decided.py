"""Bands and actions: never milder for a higher probability, exact at a capacity, blind to row order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy import ACTIONS, BANDS, HUMAN_KINDS, Action, Band, decide, load_policy, parse_policy
from ordervet.policy.capacity import Capacity
from ordervet.policy.thresholds import ExpectedCost, Treatment

if TYPE_CHECKING:
    from ordervet.policy import Decided, Policy

PROBABILITIES = st.floats(0.0, 1.0)
KINDS = st.sampled_from([None, *MaliceKind])
AMOUNTS = st.integers(0, 10**9)


@st.composite
def treatments(draw: st.DrawFn) -> ExpectedCost:
    catches = sorted(draw(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3)))
    annoyances = sorted(draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=3)))
    minutes = draw(st.lists(st.floats(0.0, 60.0), min_size=3, max_size=3))
    low, mid, high = (
        Treatment(minutes=minute, catch_share=catch, annoyance_minor=annoyance)
        for minute, catch, annoyance in zip(minutes, catches, annoyances, strict=True)
    )
    return ExpectedCost(
        by="expected_cost",
        minute_minor=draw(st.integers(0, 1000)),
        fixed_loss_minor=draw(st.integers(0, 5000)),
        loss_share=draw(st.floats(0.0, 1.0)),
        elevated=low,
        high=mid,
        severe=high,
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    default = load_policy()
    cuts = sorted(draw(st.lists(PROBABILITIES, min_size=3, max_size=3)))
    explicit = default.bands.model_copy(update=dict(zip(("elevated", "high", "severe"), cuts, strict=True)))
    capacity = draw(st.none() | st.builds(Capacity, n=st.integers(0, 6), min_p=PROBABILITIES))
    return default.model_copy(update={"bands": draw(st.just(explicit) | treatments()), "capacity": capacity})


@st.composite
def batches(draw: st.DrawFn) -> dict[str, list]:
    n = draw(st.integers(1, 8))

    def column(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=n, max_size=n))

    return {
        "p": column(PROBABILITIES | st.sampled_from([0.0, 0.2, 0.7, 1.0])),
        "amount_minor": column(AMOUNTS),
        "kinds": column(KINDS),
        "n_orders_known": column(st.integers(0, 5)),
        "p_without_own_history": column(PROBABILITIES),
        "order_ids": [f"order{number}" for number in draw(st.permutations(range(n)))],
    }


def list_bands(decided: Decided) -> list[Band]:
    return [BANDS[rank] for rank in decided.bands]


def list_actions(decided: Decided) -> list[Action]:
    return [ACTIONS[rank] for rank in decided.actions]


def run(policy: Policy, batch: dict[str, list]) -> list[tuple[int, int]]:
    decided = decide(policy, batch["p"], **{name: values for name, values in batch.items() if name != "p"})
    return list(zip(decided.bands.tolist(), decided.actions.tolist(), strict=True))


@given(policies(), batches(), st.data())
def test_decide_never_gets_milder_when_a_probability_rises(policy: Policy, batch: dict, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(batch["p"]) - 1))
    raised = {**batch, "p": list(batch["p"])}
    raised["p"][row] = data.draw(st.floats(batch["p"][row], 1.0))

    before, after = run(policy, batch)[row], run(policy, raised)[row]

    assert after[0] >= before[0]
    assert after[1] >= before[1]


@given(policies(), batches(), st.data())
def test_decide_does_not_depend_on_row_order(policy: Policy, batch: dict, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(batch["p"]))))
    shuffled = {name: [values[row] for row in order] for name, values in batch.items()}

    plain, moved = run(policy, batch), run(policy, shuffled)

    assert moved == [plain[row] for row in order]


@given(policies().filter(lambda policy: policy.capacity is None), batches())
def test_decide_gives_one_order_what_it_gets_in_a_batch_when_there_is_no_capacity(policy: Policy, batch: dict) -> None:
    together = run(policy, batch)

    alone = [run(policy, {name: [values[row]] for name, values in batch.items()})[0] for row in range(len(batch["p"]))]

    assert alone == together


@given(treatments(), PROBABILITIES, AMOUNTS)
def test_expected_cost_chooses_the_cheapest_treatment(bands: ExpectedCost, p: float, amount: int) -> None:
    policy = load_policy().model_copy(update={"bands": bands})
    free = Treatment(minutes=0.0, catch_share=0.0, annoyance_minor=0)
    value = bands.fixed_loss_minor + bands.loss_share * amount
    costs = [
        treatment.minutes * bands.minute_minor
        + p * value * (1.0 - treatment.catch_share)
        + (1.0 - p) * treatment.annoyance_minor
        for treatment in (free, bands.elevated, bands.high, bands.severe)
    ]

    chosen = int(decide(policy, [p], amount_minor=[amount]).bands[0])

    assert costs[chosen] <= min(costs) + 1e-6 * (1.0 + value)


def test_thresholds_belong_to_the_stricter_band() -> None:
    decided = decide(load_policy(), [0.0, 0.0499, 0.05, 0.1999, 0.2, 0.6999, 0.7, 1.0])

    assert list_bands(decided) == [
        *[Band.LOW] * 2,
        *[Band.ELEVATED] * 2,
        *[Band.HIGH] * 2,
        *[Band.SEVERE] * 2,
    ]
    assert list_actions(decided) == [*[Action.PASS] * 4, *[Action.REVIEW] * 2, *[Action.HOLD] * 2]


@pytest.mark.parametrize("kind", sorted(HUMAN_KINDS))
def test_human_kinds_are_reviewed_in_every_band(kind: MaliceKind) -> None:
    decided = decide(load_policy(), [0.0, 0.1, 0.5, 1.0], kinds=[kind] * 4)

    assert list_actions(decided) == [Action.REVIEW] * 4


def test_stolen_payment_is_confirmed_from_high_on() -> None:
    decided = decide(load_policy(), [0.1, 0.3, 0.9], kinds=["stolen_payment"] * 3)

    assert list_actions(decided) == [Action.PASS, Action.CONFIRM, Action.CONFIRM]


def test_own_history_cannot_raise_a_band_below_three_orders() -> None:
    decided = decide(load_policy(), [0.9, 0.9, 0.9], n_orders_known=[0, 2, 3], p_without_own_history=[0.01, 0.3, 0.01])

    assert list_bands(decided) == [Band.LOW, Band.HIGH, Band.SEVERE]


def test_own_history_may_lower_a_band_below_three_orders() -> None:
    decided = decide(load_policy(), [0.1], n_orders_known=[1], p_without_own_history=[0.9])

    assert list_bands(decided) == [Band.ELEVATED]


def test_capacity_takes_exactly_the_riskiest() -> None:
    p = np.random.default_rng(1).permutation(np.linspace(0.02, 1.0, 1000))

    decided = decide(load_policy(), p, capacity=400)

    looked_at = decided.actions > 0
    assert looked_at.sum() == 400
    assert p[looked_at].min() > p[~looked_at].max()
    assert set(list_actions(decided)) == {Action.PASS, Action.REVIEW, Action.HOLD}


def test_capacity_leaves_the_desk_idle_rather_than_look_at_the_harmless() -> None:
    decided = decide(load_policy(), [0.5, 0.02, 0.009, 0.0], capacity=300)

    assert list_actions(decided) == [Action.REVIEW, Action.REVIEW, Action.PASS, Action.PASS]


def test_capacity_keeps_bands_as_they_are() -> None:
    decided = decide(load_policy(), [0.9, 0.8, 0.02], capacity=1)

    assert list_bands(decided) == [Band.SEVERE, Band.SEVERE, Band.LOW]
    assert list_actions(decided) == [Action.HOLD, Action.PASS, Action.PASS]


def test_capacity_breaks_ties_by_amount_then_order_id_then_row() -> None:
    p, policy = [0.5] * 4, load_policy()

    by_amount = decide(policy, p, amount_minor=[1, 9, 5, 9], order_ids=["a", "d", "c", "b"], capacity=1)
    by_id = decide(policy, p, amount_minor=[9] * 4, order_ids=["d", "b", "c", "a"], capacity=1)
    by_row = decide(policy, p, capacity=1)

    assert list_actions(by_amount).index(Action.REVIEW) == 3
    assert list_actions(by_id).index(Action.REVIEW) == 3
    assert list_actions(by_row).index(Action.REVIEW) == 0


def test_capacity_serves_human_kinds_first_even_beyond_it() -> None:
    kinds = ["professional_claim", None, "review_extortion", None]

    decided = decide(load_policy(), [0.0, 0.9, 0.1, 0.95], kinds=kinds, capacity=1)

    assert list_actions(decided) == [Action.REVIEW, Action.PASS, Action.REVIEW, Action.PASS]


def test_policy_capacity_applies_unless_another_is_given() -> None:
    policy = load_policy().model_copy(update={"capacity": Capacity(n=1, min_p=0.5)})

    decided, widened = decide(policy, [0.9, 0.8, 0.3]), decide(policy, [0.9, 0.8, 0.3], capacity=3)

    assert (decided.actions > 0).sum() == 1
    assert (widened.actions > 0).sum() == 2


def test_decide_takes_an_empty_batch() -> None:
    decided = decide(load_policy(), [], amount_minor=np.array([], dtype=np.int64), kinds=[], capacity=5)

    assert decided.bands.shape == decided.actions.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_malicious": [0.5, float("nan"), 1.5]}, "2 of 3 probabilities"),
        ({"p_malicious": [[0.5]]}, re.escape("shape (1, 1)")),
        ({"p_malicious": [0.5], "amount_minor": [1, 2]}, re.escape("amount_minor of shape (2,)")),
        ({"p_malicious": [0.5], "amount_minor": [1.5]}, "expected integers"),
        ({"p_malicious": [0.5], "kinds": ["card_testing"]}, "1 kinds are not known: card_testing"),
        ({"p_malicious": [0.5], "kinds": ["None"]}, "1 kinds are not known: None"),
        ({"p_malicious": [0.5], "n_orders_known": [1]}, "needs both"),
        ({"p_malicious": [0.5], "capacity": -1}, "capacity of -1"),
    ],
)
def test_decide_refuses_arguments_that_do_not_fit(arguments: dict, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        decide(load_policy(), **arguments)


def test_expected_cost_needs_amounts() -> None:
    free = Treatment(minutes=1.0, catch_share=0.5, annoyance_minor=0)
    bands = ExpectedCost(by="expected_cost", minute_minor=100, elevated=free, high=free, severe=free)

    with pytest.raises(PolicyError, match="need every order's amount"):
        decide(load_policy().model_copy(update={"bands": bands}), [0.5])


def test_severity_order_is_the_documented_one() -> None:
    assert [str(action) for action in ACTIONS] == ["pass", "review", "confirm", "hold"]
    assert [str(band) for band in BANDS] == ["low", "elevated", "high", "severe"]


def test_parsed_policy_decides_like_the_shipped_one() -> None:
    policy = load_policy()

    again = parse_policy(
        'protocol = 1\nname = "copy"\n[bands]\nby = "explicit"\nelevated = 0.05\nhigh = 0.2\nsevere = 0.7\n'
        '[actions]\nlow = "pass"\nelevated = "pass"\nhigh = "review"\nsevere = "hold"\n'
    )

    p = np.linspace(0.0, 1.0, 101)
    assert list_actions(decide(again, p)) == list_actions(decide(policy, p))


def test_stage_limits_what_is_asked_and_what_is_limited_takes_a_slot() -> None:
    policy = load_policy().with_capacity(2)
    free = policy.model_copy(update={"capacity": policy.capacity.model_copy(update={"count_holds": False})})  # type: ignore[union-attr]
    review = ACTIONS.index(Action.REVIEW)

    decided = decide(free, [0.99, 0.98, 0.97], strictest=np.array([3, review, review], np.int8))

    assert decided.actions.tolist() == [ACTIONS.index(Action.HOLD), review, review]
    assert decided.takes_slot.tolist() == [False, True, True]
