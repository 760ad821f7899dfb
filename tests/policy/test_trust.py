"""Trust is earned by evidence and a measured bound, granted by a person, and never given against a list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.errors import PolicyError
from ordervet.policy import Standing, explain_applied, load_policy
from ordervet.policy.policy import parse_policy
from ordervet.policy.trust import EARNED, GRANTED, NAMES, Trust, TrustGate, name_trust

MEASURED = {"min_orders": 5, "min_days": 60.0, "p": [0.001, 0.004, 0.02], "upper": [0.004, 0.005, 0.03]}
KNOWN = [5.0, 60 * 86_400.0, 0.0]


def build_gate(trust: Trust | None = None, **changes: object) -> TrustGate:
    return TrustGate.of(trust or Trust(), MEASURED | changes, NAMES)


def test_probability_may_be_as_high_as_the_bound_was_measured_for() -> None:
    assert build_gate().most_p == 0.004
    assert build_gate(Trust(max_risk=0.05)).most_p == 0.02
    assert build_gate(Trust(max_risk=0.001)).most_p < 0


@pytest.mark.parametrize(
    "changes", [{"min_orders": 6}, {"min_days": 61.0}], ids=["more orders were asked", "more days were asked"]
)
def test_nobody_earns_trust_that_was_measured_on_better_known_buyers(changes: dict[str, object]) -> None:
    assert build_gate(**changes).most_p < 0
    assert build_gate(Trust(min_orders=9, min_days=90), **changes).most_p == 0.004


def test_nobody_earns_trust_by_a_model_that_measured_none_or_lacks_the_evidence() -> None:
    assert TrustGate.of(Trust(), None, NAMES).most_p < 0
    assert TrustGate.of(Trust(), MEASURED, NAMES[1:]).most_p < 0


@pytest.mark.parametrize(
    ("features", "p", "earns"),
    [
        (KNOWN, 0.004, True),
        (KNOWN, 0.0041, False),
        ([4.0, *KNOWN[1:]], 0.001, False),
        ([5.0, KNOWN[1] - 1, 0.0], 0.001, False),
        ([5.0, KNOWN[1], 1.0], 0.001, False),
        ([np.nan, *KNOWN[1:]], 0.001, False),
        ([5.0, np.nan, 0.0], 0.001, False),
        ([5.0, KNOWN[1], np.nan], 0.001, False),
        (KNOWN, float("nan"), False),
    ],
)
def test_evidence_must_be_there_and_clean(features: list[float], p: float, earns: bool) -> None:
    rows = np.array([features], np.float32)

    assert build_gate().earns_one(rows, p) is earns
    assert build_gate().earns(rows, np.array([p])).tolist() == [earns]


NUMBERS = st.sampled_from([0.0, 1.0, 4.0, 5.0, 6.0, 86_400.0 * 60, 86_400.0 * 365, 86_400.0 * 366, float("nan")])


@given(
    row=st.tuples(NUMBERS, NUMBERS, NUMBERS), p=st.floats(0, 1), min_orders=st.integers(1, 9),
    min_days=st.floats(0, 3650), most=st.sampled_from([-1.0, 0.0, 0.004, 1.0]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_one_order_earns_trust_as_in_a_batch(
    row: tuple[float, float, float], p: float, min_orders: int, min_days: float, most: float
) -> None:
    gate = build_gate(Trust(min_orders=min_orders, min_days=min_days))._replace(most_p=most)
    features = np.array([row], np.float32)

    assert gate.earns_one(features, p) == bool(gate.earns(features, np.array([p]))[0])


@pytest.mark.parametrize(
    ("applied", "standing", "earns", "expected"),
    [
        ((), Standing.NEW, True, (EARNED,)),
        ((), Standing.NEW, False, ()),
        (("allow_buyer",), Standing.NEW, False, (GRANTED,)),
        (("allow_buyer", "rule_dear"), Standing.HANDED, True, (GRANTED,)),
        (("allow_address",), Standing.NEW, False, ()),
        (("allow_buyer", "watch_buyer"), Standing.NEW, True, ()),
        (("deny_phone",), Standing.RELEASED, True, ()),
        (("allow_buyer",), Standing.MALICIOUS, True, ()),
        ((), Standing.UNSURE, True, ()),
    ],
)
def test_a_person_grants_or_ends_trust(
    applied: tuple[str, ...], standing: Standing, earns: bool, expected: tuple[str, ...]
) -> None:
    assert name_trust(applied, standing, earns=earns) == expected


@pytest.mark.parametrize("code", [EARNED, GRANTED])
def test_trust_is_explained_in_both_languages(code: str) -> None:
    assert explain_applied(code, "en").startswith("a trusted buyer")
    assert explain_applied(code, "zh").startswith("可信买家")


def test_policy_without_trust_keeps_its_id_and_one_with_it_has_another() -> None:
    default = load_policy()

    trusting = default.model_copy(update={"trust": Trust()})

    assert default.trust is None
    assert default.model_copy(update={"trust": None}).policy_id == default.policy_id != trusting.policy_id
    assert trusting.model_copy(update={"trust": Trust(max_risk=0.02)}).policy_id != trusting.policy_id


def test_settings_of_trust_out_of_bounds_are_refused() -> None:
    text = 'protocol = 1\nname = "t"\n[trust]\nmin_orders = 0\nmax_risk = 0.5\n'

    with pytest.raises(PolicyError, match=r"trust\.max_risk"):
        parse_policy(text)
