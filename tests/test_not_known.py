"""Not shared and not known are two things, from the entities through features and reasons to the decision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from history_events import build_events, order
from ordervet.entities import Evidence, Key, key_events
from ordervet.features import FeatureEngine, FeatureSpec, build_later_events, build_order_events, build_spec
from ordervet.policy.missing import explain_missing, list_missing
from ordervet.policy.reason_registry import FeatureName
from ordervet.policy.reasons import assign_reasons

KEY = Key(bytes(range(16)))
#: Column, entity, a value that identifies, and values that do not.
EVIDENCE = (
    ("address", "address", "南京市江宁区中山路5号3栋502", ("南京市江宁区中山路****", None, "你好")),
    ("phone", "phone", "13912345678", ("139****5678", None, "13212345678-1234")),
    ("recipient", "recipient", "王小明", ("王**", None, "李女士")),
    ("device_id", "device", "dev-1", ("##kJ8==", None, "00000000")),
)
#: How a reason says that nothing is known; a first time (age, recency) may be either, and says both.
NOT_KNOWN = ("无法核对", "信息缺失", "无法识别", "not checked", "unknown")
STATES = (Evidence.MASKED, Evidence.ABSENT, Evidence.UNUSABLE)
ENTITY_FEATURES = [
    name
    for name in build_spec().names
    if FeatureName.parse(name).entity in {"buyer", "address", "place", "phone", "device", "ip", "payment", "recipient"}
]


def compute(column: str, entity: str, values: list[str | None]) -> tuple[list[float], list[int]]:
    """How many buyers an order's entity had before, per order, and what is known of the entity."""
    rows = [
        order(f"o{at}", placed_at=f"2025-11-01 10:0{at}", buyer_id=f"b{at}", **{column: value})
        for at, value in enumerate(values)
    ]
    keyed = key_events(build_events(orders=rows), KEY)
    spec = FeatureSpec((f"{entity}__distinct__buyer__30d",))
    features = FeatureEngine(spec).advance(build_order_events(keyed.orders, spec), build_later_events(keyed))
    return features[:, 0].tolist(), keyed.orders[f"evidence__{entity}"].to_pylist()


@pytest.mark.parametrize(("column", "entity", "known", "unknown"), EVIDENCE)
def test_feature_is_zero_where_nothing_is_shared_and_nan_where_nothing_is_known(
    column: str, entity: str, known: str, unknown: tuple[str | None, ...]
) -> None:
    shares, evidence = compute(column, entity, [known, *unknown, known])

    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert all(math.isnan(share) for share in shares[1:-1])
    assert evidence == [Evidence.KNOWN, *STATES, Evidence.KNOWN]


@pytest.mark.parametrize(("column", "entity", "unknown"), [(c, e, u) for c, e, _, u in EVIDENCE])
def test_many_orders_that_lack_a_thing_do_not_share_it(
    column: str, entity: str, unknown: tuple[str | None, ...]
) -> None:
    for value in unknown:
        shares, _ = compute(column, entity, [value] * 5)

        assert all(math.isnan(share) for share in shares)


@pytest.mark.parametrize("lang", ["zh", "en"])
@given(name=st.sampled_from(ENTITY_FEATURES), value=st.floats(0, 1e4, width=32))
def test_reason_for_what_is_not_known_is_worded_as_no_value_is(name: str, value: float, lang: str) -> None:
    ((unknown,),), ((known,),) = (assign_reasons([name], [[1.0]], [[each]], lang=lang) for each in (math.nan, value))

    assert unknown.text != known.text
    assert any(words in unknown.text for words in NOT_KNOWN)
    assert "nan" not in unknown.text.lower()
    assert not any(words in known.text for words in NOT_KNOWN)


@given(contributions=st.lists(st.floats(-2, 2, width=32), min_size=len(ENTITY_FEATURES), max_size=len(ENTITY_FEATURES)))
def test_order_of_which_nothing_is_known_is_never_said_to_share_anything(contributions: list[float]) -> None:
    values = np.full((1, len(ENTITY_FEATURES)), np.nan)

    (reasons,) = assign_reasons(ENTITY_FEATURES, [contributions], values, lang="en")

    assert all(any(words in reason.text for words in NOT_KNOWN) for reason in reasons)


def test_number_of_what_is_not_known_is_a_reason_of_its_own() -> None:
    ((reason,),) = assign_reasons(["order__value__n_unknown"], [[1.0]], [[4.0]], lang="en")

    assert reason.code == "R501"
    assert "not checked" in reason.text


def test_decision_lists_what_is_not_known_and_why() -> None:
    evidence = {"phone": np.array([0, *STATES]), "address": np.array([0, 0, 0, 0])}

    missing = list_missing(evidence, 4)

    assert missing == [(), ("phone_masked",), ("phone_absent",), ("phone_unusable",)]
    assert len({explain_missing(codes[0], "en") for codes in missing[1:]}) == 3
