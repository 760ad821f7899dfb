from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from ordervet import Scorer
from ordervet.contract import Events, Outcome, RefundReason, RefundType
from ordervet.contract.model import Blame
from ordervet.entities import Key, key_events
from ordervet.entities.ids import to_signed
from ordervet.errors import PolicyError
from ordervet.features import build_order_events
from ordervet.features.claim_features import CLAIM_NAMES, build_claim_events, build_claim_features, build_one_claim
from ordervet.history import History
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.claim_training import replay_requests
from ordervet.learn.train import prepare
from ordervet.model import ForestPredictor, find_bundled_models, find_serving_model, load_model
from ordervet.policy import load_policy, load_scripts, parse_policy
from ordervet.policy.claims import ClaimAnswer, ClaimDecision, ClaimSettings, answer_claim, name_claim_script
from ordervet.policy.codes import DecisionCode
from ordervet.score.claim_batch import build_claim_table, judge_claims
from ordervet.score.durable_state import DurableState

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model

KEY = Key(bytes(range(16)))
ORDER = {
    "order_id": "a", "placed_at": "2025-11-11 20:00:00", "amount_minor": 20_000, "buyer_id": "b",
    "phone": "19900001111", "address": "浙江省杭州市西湖区文三路99号3栋502",
}  # fmt: skip
CLAIM = {
    "order_id": "a", "happened_at": "2025-11-15 20:00", "refund_type": "refund_only", "amount_minor": 20_000,
    "reason": "damaged", "delivered_at": "2025-11-14 08:00",
}  # fmt: skip


@pytest.fixture(scope="module")
def starter() -> Model:
    return load_model(find_serving_model(find_bundled_models()))


@pytest.fixture
def scorer(starter: Model) -> Scorer:
    scorer = Scorer(starter, load_policy(), KEY, lang="en")
    assert scorer.score(ORDER).code is DecisionCode.SCORED
    return scorer


def claim(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (CLAIM | changes).items() if value is not None}


@pytest.mark.parametrize("has_store", [False, True])
def test_requests_are_judged_live_as_by_replay(starter: Model, tmp_path: Path, *, has_store: bool) -> None:
    nobody, made = Events.empty(), simulate(SimulationSettings(n_orders=500, malicious_share=0.2, seed=12)).events
    events = replace(made, verdicts=nobody.verdicts, corrections=nobody.corrections)
    prepared = prepare(key_events(events, KEY), starter.spec, maturity_days=0)
    requests = replay_requests(prepared, starter.spec)
    now, p_of_order, p_of_claim = [0], {}, {}

    def open_scorer() -> Scorer:
        history = History.open(tmp_path, KEY, create=True) if has_store else None
        state = None if history is None else DurableState(history, KEY, starter.claim_spec, clock=lambda: now[0])
        return Scorer(starter, load_policy(), KEY, state=state, clock=lambda: now[0])

    scorer = open_scorer()
    told = [("order", row["placed_at"], row) for row in events.orders.drop_columns(["seen_at"]).to_pylist()]
    told += [("outcome", row["happened_at"], row) for row in events.outcomes.drop_columns(["seen_at"]).to_pylist()]

    for what, at, row in sorted(told, key=lambda each: (each[1], each[0])):
        now[0] = round(at.timestamp() * 1e6)
        if what == "order":
            p_of_order[row["order_id"]] = scorer.score({k: v for k, v in row.items() if v is not None}).p_malicious
        elif row["kind"] == "refund_requested":
            if has_store and len(p_of_claim) == 20:
                scorer.close()
                scorer = open_scorer()
            elif len(p_of_claim) % 5 == 0:  # some are in the table, and some in the journal
                scorer.flush()
            p_of_claim[row["order_id"], now[0]] = scorer.score_claim(Outcome(**row)).p_malicious
        else:
            scorer.observe(Outcome(**row))
    scorer.close()

    names = prepared.keyed.orders["order_id"].to_pylist()
    order_p = np.array([p_of_order[name] for name in names])
    p = starter.claims.predict(requests.build_training_set(order_p).features).tolist()
    expected = {(names[row], at): each for row, at, each in zip(requests.row, requests.claims.seen_at, p, strict=True)}
    assert len(expected) > 30
    assert {key: p_of_claim[key] for key in expected} == expected


def find_kept(scorer: Scorer, order_id: str) -> object:
    return scorer._state.find_kept(to_signed(scorer._state._key_name(order_id)))


def test_request_of_an_order_that_was_changed_or_came_in_bulk_is_judged_by_its_rows(starter: Model) -> None:
    alone = Scorer(starter, load_policy(), KEY, clock=lambda: 1_770_000_000_000_000)
    changed = Scorer(starter, load_policy(), KEY, clock=lambda: 1_770_000_000_000_000)
    for scorer in (alone, changed):
        scorer.score(ORDER)
    assert find_kept(alone, "a") is not None

    changed.score(ORDER | {"updated_at": "2025-11-12 10:00", "status": "shipped"})

    assert find_kept(changed, "a") is None
    assert find_kept(changed, "nobody") is None
    one, other = alone.score_claim(CLAIM), changed.score_claim(CLAIM)
    assert (one.p_malicious, one.answer) == (other.p_malicious, other.answer)
    bulk = Scorer(starter, load_policy(), KEY)
    bulk.score_table(pd.DataFrame([ORDER]))
    assert find_kept(bulk, "a") is None
    assert bulk.score_claim(CLAIM).code is DecisionCode.SCORED


def test_requests_are_judged_in_bulk_as_one_by_one(starter: Model) -> None:
    made = simulate(SimulationSettings(n_orders=500, malicious_share=0.2, seed=14))
    keyed = key_events(made.events, KEY)
    judged = judge_claims(keyed, starter, load_policy(), lang="en")
    requests, decisions = judged.requests, judged.decisions
    prepared = prepare(keyed, starter.spec, maturity_days=-400)
    order_p = starter.calibration(ForestPredictor(starter.booster_text).predict_raw(prepared.features))
    of_learning = replay_requests(prepared, starter.spec).build_training_set(order_p)

    label = dict(zip(prepared.keyed.orders["order_id"].to_pylist(), prepared.label.tolist(), strict=True))
    of_labelled = [each.p_malicious for each in decisions if label[each.order_id] >= 0]
    assert len(of_labelled) > 50
    assert of_labelled == starter.claims.predict(of_learning.features).tolist()
    assert all(each.reasons for each in decisions if each.answer is not ClaimAnswer.PAY_NOW and not each.applied)
    table = build_claim_table(judged.rank(), keyed.orders, lang="en")
    for name, gentle, firm in zip(
        *(table[each].to_pylist() for each in ("order_id", "say_gentle", "say_firm")), strict=True
    ):
        assert name in gentle
        assert name in firm
    assert build_claim_table(judged, keyed.orders.slice(0, 0))["say_firm"].null_count == len(decisions)
    assert sorted(table["order_id"].to_pylist()) == sorted(requests["order_id"].to_pylist())
    answers = table["answer"].to_pylist()
    assert answers == sorted(answers, key=["person", "evidence", "return_first", "pay_now"].index)


def test_one_request_has_the_numbers_of_many(starter: Model) -> None:
    events = key_events(simulate(SimulationSettings(n_orders=500, seed=13)).events, KEY)
    orders = build_order_events(events.orders, starter.spec)
    claims = build_claim_events(events.outcomes)
    at = {order_id: row for row, order_id in enumerate(orders.order_id.tolist())}
    row = np.array([at[order_id] for order_id in claims.order_id.tolist()])
    table = events.outcomes.filter(np.asarray(events.outcomes["kind"]) == "refund_requested")
    names = [name for name in Outcome.model_fields if name in table.column_names and name != "seen_at"]
    many = build_claim_features(claims, orders.take(row), np.full(len(claims), 0.125))

    one = [
        build_one_claim(
            Outcome(**told), placed_at=int(orders.read_placed_at()[row[n]]),
            amount_minor=int(orders.amount_minor[row[n]]), rate=1.0, order_p=0.125,
        )
        for n, told in enumerate(table.select(names).to_pylist())
    ]  # fmt: skip

    np.testing.assert_array_equal(np.array(one).astype(np.float32), many)
    assert many.shape == (len(claims), len(CLAIM_NAMES))


def test_decision_says_what_to_answer_and_why_and_is_remembered(scorer: Scorer) -> None:
    decision = scorer.score_claim(claim(outcome_id="r-1"))
    rows = scorer._state.read_rows("a")

    assert decision.code is DecisionCode.SCORED
    assert 0 <= decision.p_malicious <= 1
    assert decision.script in load_scripts()
    assert json.loads(json.dumps(decision.as_dict()))["answer"] == str(decision.answer)
    (kept,) = [row for row in rows if row["event"] == "outcome"]
    assert (kept["outcome_id"], kept["reason"]) == ("r-1", "damaged")
    assert decision.answer is ClaimAnswer.PAY_NOW or decision.reasons


def test_what_was_not_shipped_or_is_the_shops_fault_is_paid_and_safety_reaches_a_person(scorer: Scorer) -> None:
    found = [
        scorer.score_claim(claim(outcome_id=f"r-{at}", **changes))
        for at, changes in enumerate(
            ({"refund_type": "before_shipping"}, {"blame": "seller"}, {"reason": "safety", "blame": "seller"})
        )
    ]

    assert [str(each.answer) for each in found] == ["pay_now", "pay_now", "person"]
    assert [each.applied for each in found] == [("not_shipped",), ("seller_fault",), ("safety",)]


@pytest.mark.parametrize(
    ("wrong", "applied"),
    [
        (claim(order_id="nobody"), ("unknown_order",)),
        (claim(refund_type="gift"), ("invalid_refund_type",)),
        (claim(amount_minor=-1), ("invalid_amount_minor",)),
        (claim(kind="chargeback", refund_type=None, reason=None), ("unknown_order",)),
        ("a", ("unknown_order",)),
        (None, ("unknown_order",)),
    ],
)
def test_what_cannot_be_judged_goes_to_a_person(scorer: Scorer, wrong: Any, applied: tuple[str, ...]) -> None:
    decision = scorer.score_claim(wrong)

    assert (decision.answer, decision.code) == (ClaimAnswer.PERSON, DecisionCode.UNSCORED_INVALID_ORDER)
    assert decision.applied == applied
    assert decision.script == "general.claim"
    assert scorer.codes[DecisionCode.UNSCORED_INVALID_ORDER] == 1


def test_without_a_model_of_claims_a_person_decides_and_the_request_counts(starter: Model) -> None:
    for scorer in (Scorer(None, load_policy(), KEY), Scorer(replace(starter, claims=None), load_policy(), KEY)):
        scorer.score(ORDER)

        decision = scorer.score_claim(CLAIM)

        assert (decision.answer, decision.code) == (ClaimAnswer.PERSON, DecisionCode.UNSCORED_NO_MODEL)
    assert [row["event"] for row in scorer._state.read_rows("a")].count("outcome") == 1


def test_request_in_a_forked_child_goes_to_a_person_and_is_not_remembered(scorer: Scorer) -> None:
    pid = os.fork()
    if pid == 0:
        decision = scorer.score_claim(CLAIM)
        is_left = decision.code is DecisionCode.UNSCORED_FORKED and decision.answer is ClaimAnswer.PERSON
        os._exit(0 if is_left else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_requests_on_a_store_are_kept_and_judged_the_same_after_a_restart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", bytes(range(16)).hex())
    with Scorer.open(history=tmp_path / "history", create=True) as first:
        first.score(ORDER)
        one = first.score_claim(CLAIM)
    with Scorer.open(history=tmp_path / "history") as second:
        again = second.score_claim(CLAIM)
        rows = second._state.read_rows("a")

    assert one.code is DecisionCode.SCORED
    assert again.answer == one.answer
    assert [row["event"] for row in rows].count("outcome") == 1


CASES = list(product([None, *RefundType], [None, *RefundReason], [None, *Blame], [False, True]))


@pytest.mark.parametrize("trusted", [(), ("trust_earned",)])
@pytest.mark.parametrize("limit", [None, 10_000])
def test_answers_are_milder_for_the_likelier_honest_and_never_pay_above_the_limit(
    limit: int | None, trusted: tuple[str, ...]
) -> None:
    settings = ClaimSettings(pay_up_to_minor=limit, pay_trusted_below=0.2)
    for refund_type, reason, blame, has_evidence in CASES:
        given = {"refund_type": refund_type, "reason": reason, "blame": blame, "has_evidence": has_evidence}
        told = Outcome.model_construct(**given)
        for worth in (100.0, 20_000.0, float("nan")):
            answers = [
                answer_claim(settings, p, told, worth, trusted)[0]
                for p in (0.0, 0.019, 0.02, 0.2, 0.499, 0.5, 1.0)
            ]  # fmt: skip
            paid = [answer is ClaimAnswer.PAY_NOW for answer in answers]
            assert paid == sorted(paid, reverse=True)
            assert limit is None or not any(paid) or worth <= limit
            assert reason is not RefundReason.SAFETY or set(answers) == {ClaimAnswer.PERSON}
            comes_back = refund_type in (RefundType.RETURN_AND_REFUND, RefundType.EXCHANGE)
            assert comes_back or ClaimAnswer.RETURN_FIRST not in answers


def test_every_answer_has_a_script_at_its_stage() -> None:
    scripts = load_scripts()

    found = [scripts[name_claim_script(answer)] for answer in ClaimAnswer]

    assert len({script.body.goal.zh for script in found}) == len(ClaimAnswer)
    assert [name for name in scripts if name.partition(".")[0] in ("pay_now", "return_first", "evidence")] == [
        "evidence.claim", "pay_now.claim", "return_first.claim",
    ]  # fmt: skip


def test_settings_are_part_of_the_policy() -> None:
    head = (
        'protocol = 1\nname = "x"\nbands = { by = "explicit", elevated = 0.05, high = 0.2, severe = 0.7 }\n'
        'actions = { low = "pass", elevated = "pass", high = "review", severe = "hold" }\n'
    )
    plain, same = parse_policy(head), parse_policy(head + "[claims]\npay_below = 0.02\n")
    other = parse_policy(head + "[claims]\npay_below = 0.01\npay_up_to_minor = 5000\n")

    assert plain.policy_id == same.policy_id != other.policy_id
    assert (other.claims.pay_below, other.claims.person_from, other.claims.pay_up_to_minor) == (0.01, 0.5, 5000)
    with pytest.raises(PolicyError, match="person_from is below pay_below"):
        parse_policy(head + "[claims]\npay_below = 0.6\n")
    trusting = parse_policy(head + "[claims]\npay_trusted_below = 0.1\n[trust]\n")
    assert trusting.policy_id != parse_policy(head + "[trust]\n").policy_id
    with pytest.raises(PolicyError, match="pay_trusted_below is not between"):
        parse_policy(head + "[claims]\npay_trusted_below = 0.01\n[trust]\n")
    with pytest.raises(PolicyError, match="nobody is trusted"):
        parse_policy(head + "[claims]\npay_trusted_below = 0.1\n")


def test_request_without_a_probability_is_for_a_person_alone() -> None:
    with pytest.raises(ValueError, match="goes to a person"):
        ClaimDecision(order_id="a", answer=ClaimAnswer.EVIDENCE, code=DecisionCode.UNSCORED_ERROR)
    with pytest.raises(ValueError, match="if and only if"):
        ClaimDecision(order_id="a", answer=ClaimAnswer.PERSON)
