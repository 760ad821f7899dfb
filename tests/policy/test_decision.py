"""What a decision holds, and what it never holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ordervet.contract import MaliceKind
from ordervet.policy import Action, Band, Decision, DecisionCode, Pace, Reason

UNSCORED = [code for code in DecisionCode if code is not DecisionCode.SCORED]


def test_unscored_decision_passes_without_any_score() -> None:
    decision = Decision.unscored("A1", DecisionCode.UNSCORED_LATE, missing=("phone_masked",))

    assert decision.action is Action.PASS
    assert (decision.band, decision.p_malicious, decision.risk_score, decision.script) == (None, None, None, None)
    assert decision.missing == ("phone_masked",)


@pytest.mark.parametrize("code", UNSCORED)
def test_unscored_decision_refuses_any_action_but_pass(code: DecisionCode) -> None:
    with pytest.raises(ValueError, match="unscored decision passes"):
        Decision(order_id="A1", action=Action.HOLD, code=code)


def test_unscored_decision_refuses_the_code_scored() -> None:
    with pytest.raises(ValueError, match="needs band"):
        Decision.unscored("A1", DecisionCode.SCORED)


def test_scored_decision_refuses_to_lack_its_score() -> None:
    with pytest.raises(ValueError, match="needs band"):
        Decision(order_id="A1", action=Action.PASS, band=Band.LOW, p_malicious=0.01)


def test_scored_decision_becomes_plain_json() -> None:
    reason = Reason("R121", "address_many_buyers", 1.5, "该收货地址近 7 天有 6 个不同买家下单")
    decision = Decision(
        order_id="A1",
        action=Action.REVIEW,
        band=Band.HIGH,
        p_malicious=0.5,
        risk_score=870,
        kind=MaliceKind.COUPON_FARMING,
        reasons=(reason,),
        script="coupon_farming.paid",
        model_id="m1",
        policy_id="p1",
    )

    row = json.loads(json.dumps(decision.as_dict()))

    assert (row["action"], row["band"], row["kind"], row["code"]) == ("review", "high", "coupon_farming", "SCORED")
    assert row["reasons"] == [
        {
            "code": "R121",
            "name": "address_many_buyers",
            "contribution": 1.5,
            "text": "该收货地址近 7 天有 6 个不同买家下单",
        }
    ]


@pytest.mark.parametrize("p", [0.0, 1e-7, 0.1, 1 / 3, 1.0])
@pytest.mark.parametrize("order_id", ["A1", 'a"\\\n\u2028', "订单😀", ""])
def test_decision_is_written_as_json_as_it_is_as_a_dict(p: float, order_id: str) -> None:
    scored = Decision(
        order_id=order_id, action=Action.PASS, band=Band.LOW, p_malicious=p, risk_score=1, missing=("phone_masked",),
        model_id="m", policy_id="p", seen_at=datetime(2026, 1, 15, 8, tzinfo=UTC), history_version=1, route='"lead"',
        applied=("rule_订单",),
    )  # fmt: skip
    reason = Reason("R121", "address_many_buyers", 1.5, "该收货地址")
    others = [
        replace(scored, action=Action.HOLD, band=Band.SEVERE, kind=MaliceKind.SCALPING, script="scalping.paid"),
        replace(scored, reasons=(reason,), band=Band.ELEVATED, kind=MaliceKind.SCALPING),
        replace(scored, pace=Pace(0.1, 0.5, 1), seen_at=None, history_version=None),
        Decision.unscored(order_id, DecisionCode.UNSCORED_LATE),
    ]

    for decision in (scored, *others):
        assert json.loads(decision.to_json()) == decision.as_dict()


@pytest.mark.parametrize("code", list(DecisionCode))
def test_decision_code_explains_itself_in_both_languages(code: DecisionCode) -> None:
    zh, en = code.explain("zh"), code.explain("en")

    assert zh.endswith("。")
    assert en.endswith(".")
    assert (code is DecisionCode.SCORED) == ("放行" not in zh) == ("passes" not in en)


def test_decision_has_no_field_for_personal_data() -> None:
    personal = {"buyer_id", "recipient", "address", "address_group", "phone", "phone_group", "device_id", "ip"}

    assert not (personal | {"payment_account"}) & set(Decision.__slots__)
