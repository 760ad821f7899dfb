"""Places of the desk for refund requests: against their slow twin, after a restart, and never more than there are."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from claim_desk_reference import PlainRequest, find_start, hand_out
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.contract import Outcome, RefundReason, RefundType
from ordervet.contract.model import Blame
from ordervet.errors import PolicyError
from ordervet.policy import load_policy, parse_policy
from ordervet.policy.capacity import Capacity, Shift
from ordervet.policy.claim_desk import Asked, ClaimDesk
from ordervet.policy.claims import ClaimAnswer, ClaimSettings, answer_when_full, is_for_person, settle_answer

START_US = 1_763_000_000_000_000
HOUR_US = 3_600_000_000
CAPACITIES = [
    Capacity(n=3),
    Capacity(n=0),
    Capacity(n=5, rank_by="value"),
    Capacity(per_hour=0.5, shifts=(Shift(start="09:00", end="18:00"), Shift(start="20:00", end="02:00"))),
    Capacity(n=4, time_zone="Europe/Berlin", plan={"00:00": 10.0, "12:00": 30.0}),
]


def draw_requests(n: int, seed: int, *, gap_h: float = 1.0) -> list[PlainRequest]:
    rng = np.random.default_rng(seed)
    at_us = START_US + np.cumsum(rng.exponential(gap_h * HOUR_US, n)).astype(np.int64)
    at_us[rng.random(n) < 0.2] = at_us[0]  # several at once
    return [
        PlainRequest(
            seen_at, f"t{number}", float(np.round(rng.beta(0.4, 2.0), 2)), int(rng.integers(100, 50_000)),
            wants_person=bool(rng.random() < 0.6), is_forced=bool(rng.random() < 0.2),
            was_handed=bool(rng.random() < 0.1),
        )
        for number, seen_at in enumerate(np.sort(at_us).tolist())
    ]  # fmt: skip


def serve(desk: ClaimDesk, requests: list[PlainRequest]) -> list[str]:
    told = []
    for one in requests:
        asked = Asked(one.seen_at, one.name, one.p_malicious, one.worth_minor)
        what = ""
        if one.wants_person:
            is_given = not one.was_handed and desk.has_place(asked)
            what = "handed" if one.was_handed else "place" if is_given else "beyond" if one.is_forced else "full"
        desk.record(asked, takes_place=what in ("place", "beyond"))
        told.append(what)
    return told


def restore(capacity: Capacity, requests: list[PlainRequest], told: list[str]) -> ClaimDesk:
    desk = ClaimDesk(capacity)
    for one, what in zip(requests, told, strict=True):
        asked = Asked(one.seen_at, one.name, one.p_malicious, one.worth_minor)
        desk.record(asked, takes_place=what in ("place", "beyond"))
    return desk


@settings(max_examples=25)
@given(capacity=st.sampled_from(CAPACITIES), n=st.integers(1, 70), seed=st.integers(0, 999), cut=st.floats(0, 1))
def test_places_are_those_of_the_slow_twin_also_after_a_restart(
    capacity: Capacity, n: int, seed: int, cut: float
) -> None:
    requests = draw_requests(n, seed)

    told = serve(ClaimDesk(capacity), requests)

    assert told == hand_out(capacity, requests)
    at = round(cut * n)
    assert serve(restore(capacity, requests[:at], told[:at]), requests[at:]) == told[at:]


def test_places_follow_from_the_days_before_alone() -> None:
    capacity, requests = CAPACITIES[3], draw_requests(900, 7, gap_h=1.2)
    told = serve(ClaimDesk(capacity), requests)
    start_us = find_start(capacity, requests[-1].seen_at) - 28 * 24 * HOUR_US
    first = next(at for at, one in enumerate(requests) if one.seen_at >= start_us)
    today = next(at for at, one in enumerate(requests) if one.seen_at >= start_us + 28 * 24 * HOUR_US)

    again = serve(restore(capacity, requests[first:today], told[first:today]), requests[today:])

    assert first > 50
    assert again == told[today:]
    assert "place" in again


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_no_window_gives_more_places_than_it_has(capacity: Capacity) -> None:
    requests = draw_requests(600, 3, gap_h=0.3)
    told = serve(ClaimDesk(capacity), requests)

    places = Counter(
        find_start(capacity, one.seen_at) for one, what in zip(requests, told, strict=True) if what == "place"
    )
    most = max(window.n for window in capacity.windows)

    assert max(places.values(), default=0) <= most
    assert not most or len(places) > 3
    assert all(what != "full" for one, what in zip(requests, told, strict=True) if one.is_forced)


CASES = list(product([None, *RefundType], [None, *RefundReason], [None, *Blame], [None, False, True], [None, 2, 9]))


def build_claim(refund_type: Any, reason: Any, blame: Any, has_evidence: Any, delivered: int | None) -> Outcome:
    return Outcome(
        order_id="a", kind="refund_requested", happened_at="2025-11-15 20:00", refund_type=refund_type, reason=reason,
        blame=blame, has_evidence=has_evidence,
        delivered_at=None if delivered is None else f"2025-11-{15 - delivered:02} 08:00",
    )  # fmt: skip


def test_full_desk_keeps_from_a_person_only_what_may_wait_and_asks_for_what_there_is() -> None:
    rules = ClaimSettings()
    for case in CASES:
        claim = build_claim(*case)
        is_return = claim.refund_type in (RefundType.RETURN_AND_REFUND, RefundType.EXCHANGE)
        for category in ("home", "休闲零食", "Pet Food"):
            must = (
                claim.reason is RefundReason.SAFETY or category != "home" or claim.blame is Blame.SELLER
                or claim.refund_type is RefundType.BEFORE_SHIPPING or (is_return and case[-1] != 9)
            )  # fmt: skip
            asked = ClaimAnswer.PERSON, ("limit",)

            def settle(answered: Any, *, has_place: bool = False, was_handed: bool = False) -> Any:
                return settle_answer(
                    rules, claim, category, answered, has_place=has_place, was_handed=was_handed  # noqa: B023
                )  # fmt: skip

            assert is_for_person(rules, claim, category) == must
            assert settle(asked, has_place=True) == asked
            assert settle(asked, was_handed=True) == (ClaimAnswer.PERSON, ("limit", "desk_handed"))
            answer, applied = settle(asked)
            assert applied == ("limit", "capacity_beyond" if must else "capacity_full")
            assert (answer is ClaimAnswer.PERSON) == must
            assert answer is not ClaimAnswer.PAY_NOW
            assert not (is_return and answer is ClaimAnswer.EVIDENCE)
            for other in (ClaimAnswer.PAY_NOW, ClaimAnswer.EVIDENCE, ClaimAnswer.RETURN_FIRST):
                assert settle((other, ())) == (other, ())
        if claim.reason in (RefundReason.NOT_RECEIVED, RefundReason.MISSING_PARTS) and not is_return:
            assert answer_when_full(claim) is ClaimAnswer.EVIDENCE


@pytest.mark.parametrize(("delivered", "expected"), [("2025-11-08 00:00", True), ("2025-11-07 19:59", False)])
def test_the_seven_days_of_the_law_begin_the_day_after_delivery(delivered: str, expected: bool) -> None:
    claim = Outcome(
        order_id="a", kind="refund_requested", happened_at="2025-11-15 20:00", refund_type="return_and_refund",
        delivered_at=delivered,
    )  # fmt: skip

    assert is_for_person(ClaimSettings(), claim, None) is expected


def test_capacity_of_requests_is_part_of_the_policy() -> None:
    head = (
        'protocol = 1\nname = "x"\nbands = { by = "explicit", elevated = 0.05, high = 0.2, severe = 0.7 }\n'
        'actions = { low = "pass", elevated = "pass", high = "review", severe = "hold" }\n'
    )
    plain = parse_policy(head + "[claims]\npay_below = 0.01\n")
    full = parse_policy(head + "[claims]\npay_below = 0.01\ncapacity = { n = 40 }\n")

    assert plain.claims.capacity is None
    assert full.claims.capacity == Capacity(n=40)
    assert plain.policy_id != full.policy_id
    assert plain.policy_id == "d806d69e2a6c"
    assert load_policy().claims.is_food("进口食品")
    with pytest.raises(PolicyError, match="count_holds and backlog say nothing of refund requests"):
        parse_policy(head + "[claims]\ncapacity = { n = 40, backlog = 3 }\n")
