"""A desk's capacity for refund requests: the same answers live, in bulk, after a restart and asked again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ordervet import Scorer
from ordervet.contract import Events, Outcome
from ordervet.entities import Key, key_events
from ordervet.history import History
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.claim_training import replay_requests
from ordervet.learn.train import prepare
from ordervet.model import Curve, ForestPredictor, find_bundled_models, find_serving_model, load_model
from ordervet.policy import load_policy
from ordervet.policy.capacity import Capacity
from ordervet.policy.claims import ClaimAnswer, ClaimSettings
from ordervet.policy.lists import ListEntry
from ordervet.policy.policy import Lists
from ordervet.policy.trust import NAMES, Trust
from ordervet.score.claim_batch import build_answer_rows, judge_claims
from ordervet.score.durable_state import DurableState
from ordervet.score.shadow import Shadow, ShadowLog, ShadowRecord, compare_shadow

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model
    from ordervet.policy import Policy
    from ordervet.policy.claims import ClaimDecision

KEY = Key(bytes(range(16)))
RULES = ClaimSettings(person_from=0.05, pay_below=0.01, capacity=Capacity(n=1))
POLICY = load_policy().model_copy(update={"claims": RULES})
ORDER = {
    "order_id": "a", "placed_at": "2025-11-11 20:00:00", "amount_minor": 20_000, "buyer_id": "b", "category": "home",
}  # fmt: skip
CLAIM = {
    "order_id": "a", "outcome_id": "r", "happened_at": "2025-11-25 20:00", "refund_type": "price_protection",
    "amount_minor": 900, "reason": "other",
}  # fmt: skip


@pytest.fixture(scope="module")
def starter() -> Model:
    return load_model(find_serving_model(find_bundled_models()))


@pytest.fixture(scope="module")
def season() -> Events:
    made, nobody = simulate(SimulationSettings(n_orders=500, malicious_share=0.3, seed=15)).events, Events.empty()
    return replace(made, verdicts=nobody.verdicts, corrections=nobody.corrections)


class Shop:
    """A scorer that meets the events of a season as they come."""

    def __init__(self, starter: Model, season: Events, folder: Path | None = None, policy: Policy = POLICY) -> None:
        self._now, self._starter, self._folder, self._policy = [0], starter, folder, policy
        self.answers: dict[tuple[str, int], ClaimDecision] = {}
        if folder is not None:
            History.open(folder, KEY, create=True)
        self.open()
        orders = season.orders.drop_columns(["seen_at"]).to_pylist()
        outcomes = season.outcomes.drop_columns(["seen_at"]).to_pylist()
        told = [(row["placed_at"], "", "", row) for row in orders]
        told += [(row["happened_at"], row["order_id"], row["outcome_id"] or "", row) for row in outcomes]
        self.told = sorted(told, key=lambda each: each[:3])

    def open(self) -> None:
        spec, clock = self._starter.claim_spec, lambda: self._now[0]
        history = None if self._folder is None else History.open(self._folder, KEY)
        state = None if history is None else DurableState(history, KEY, spec, clock=clock)
        self.scorer = Scorer(self._starter, self._policy, KEY, clock=clock, state=state)

    def serve(self, told: list[Any]) -> None:
        for at, _, _, row in told:
            self._now[0] = round(at.timestamp() * 1e6)
            if "placed_at" in row:
                self.scorer.score({name: value for name, value in row.items() if value is not None})
            elif row["kind"] == "refund_requested":
                self.answers[row["order_id"], self._now[0]] = self.scorer.score_claim(Outcome(**row))
            else:
                self.scorer.observe(Outcome(**row))


def test_answers_under_a_capacity_are_the_same_live_after_restarts_and_in_bulk(
    starter: Model, season: Events, tmp_path: Path
) -> None:
    once, restarted = Shop(starter, season), Shop(starter, season, tmp_path / "history")
    once.serve(once.told)
    half = len(once.told) // 2
    restarted.serve(restarted.told[:half])
    restarted.scorer.close()
    restarted.open()
    restarted.serve(restarted.told[half:])
    asked = [row for *_, row in restarted.told if row.get("kind") == "refund_requested"]
    again = [restarted.scorer.score_claim(Outcome(**row)) for row in asked[::6]]
    restarted.scorer.close()
    keyed = key_events(season, KEY)

    judged = judge_claims(keyed, starter, POLICY)

    bulk = {
        (each.order_id, round(at.timestamp() * 1e6)): each
        for each, at in zip(judged.decisions, judged.requests["happened_at"].to_pylist(), strict=True)
    }
    applied = Counter(code for each in bulk.values() for code in each.applied)
    assert applied["capacity_full"] > 5
    assert applied["capacity_beyond"] > 5
    assert sum(each.takes_place and "capacity_beyond" not in each.applied for each in bulk.values()) > 10
    assert once.answers == bulk
    assert restarted.answers == {key: replace(each, policy_id=POLICY.policy_id) for key, each in bulk.items()}
    assert again == list(restarted.answers.values())[::6]

    store = History.open(tmp_path / "history", KEY)
    stored = judge_claims(store.read(), starter, POLICY, answers=store.read_answers(0))
    assert not stored.is_new.any()
    assert {(each.order_id, each.answer, each.p_malicious) for each in stored.decisions} == {
        (each.order_id, each.answer, each.p_malicious) for each in bulk.values()
    }


def test_trusted_buyers_are_paid_sooner_live_as_in_bulk_as_by_definition(starter: Model, season: Events) -> None:
    keyed = key_events(season, KEY)
    measured = {"min_orders": 1, "min_days": 0.0, "p": [0.01], "upper": [0.005]}
    model = replace(starter, metrics=starter.metrics | {"trust": measured})
    buyers = dict(zip(*(keyed.orders[name].to_pylist() for name in ("order_id", "id__buyer")), strict=True))
    asking = sorted({buyers[name] for name in keyed.outcomes["order_id"].to_pylist()})
    listed = {"allow": asking[::3], "watch": asking[::6] + asking[1::6]}
    until = datetime(2025, 11, 11, tzinfo=UTC)
    entries = tuple(
        ListEntry(list=name, entity="buyer", id=f"{each:016x}", expires=until, owner="desk")
        for name, ids in listed.items()
        for each in ids
    )
    settings = ClaimSettings(pay_below=0.0001, pay_trusted_below=0.5)
    trust = Trust(min_orders=1, min_days=0.0)
    policy = load_policy().model_copy(update={"claims": settings, "trust": trust, "lists": Lists(entries=entries)})
    shop = Shop(model, season, policy=policy)
    shop.serve(shop.told)
    prepared = prepare(keyed, model.spec, maturity_days=-400)
    order_p = model.calibration(ForestPredictor(model.booster_text).predict_raw(prepared.features))
    requests = replay_requests(prepared, model.spec, label=np.ones(len(prepared.orders), np.int8))

    judged = judge_claims(keyed, model, policy)

    columns = dict(zip(model.claim_spec.names, requests.features.T, strict=False))
    known = {
        (prepared.keyed.orders["order_id"][row].as_py(), at): (order_p[row], *(columns[name][n] for name in NAMES))
        for n, (row, at) in enumerate(zip(requests.row.tolist(), requests.claims.seen_at.tolist(), strict=True))
    }
    seen: Counter[str] = Counter()
    for decision in judged.decisions:
        at = round(decision.seen_at.timestamp() * 1e6)
        p, n_orders, age_s, n_malicious = known[decision.order_id, at]
        buyer = buyers[decision.order_id]
        is_watched = buyer in listed["watch"] and decision.seen_at < until
        is_granted = buyer in listed["allow"] and decision.seen_at < until
        is_earned = p <= 0.01 and n_orders >= 1 and age_s >= 0 and n_malicious == 0
        told = "" if is_watched else "trust_granted" if is_granted else "trust_earned" if is_earned else ""
        is_between = settings.pay_below <= decision.p_malicious < settings.pay_trusted_below
        others = {"safety", "not_shipped", "seller_fault"} & set(decision.applied)
        assert decision.applied == (tuple(others) or ((told,) if told and is_between else ()))
        assert not told or not is_between or others or decision.answer is ClaimAnswer.PAY_NOW
        seen[told, is_between, is_watched] += not others
        seen["ended", is_between, is_watched] += not others and not is_granted and buyer in listed["allow"]
        assert shop.answers[decision.order_id, at] == decision
    told = [("trust_earned", True, False), ("trust_granted", True, False), ("", True, True), ("ended", True, False)]
    assert min(seen[each] for each in told) > 3


def test_answers_of_a_file_are_remembered_for_a_scorer_and_a_file_that_come_after(
    starter: Model, season: Events, tmp_path: Path
) -> None:
    store = History.open(tmp_path / "history", KEY, create=True)
    store.ingest(season)
    events = store.read()
    newest = sorted(events.outcomes["seen_at"].cast("int64").to_pylist())[-60]
    is_late = events.outcomes["seen_at"].cast("int64").to_numpy() >= newest

    first = judge_claims(events, starter, POLICY, is_asked=~is_late)
    with store.staging() as staging:
        staging.add_rows(build_answer_rows(events, first, KEY))
    answers = store.read_answers(0)
    then = judge_claims(events, starter, POLICY, is_asked=is_late, answers=answers)
    both = judge_claims(events, starter, POLICY)

    assert first.is_new.all()
    assert len(answers) == len(first.decisions)
    assert len(then.decisions) > 3
    assert {each.outcome_id or each.order_id: each for each in (*first.decisions, *then.decisions)} == {
        each.outcome_id or each.order_id: each for each in both.decisions
    }
    with Scorer(starter, POLICY, KEY, state=DurableState(store, KEY, starter.claim_spec)) as scorer:
        same = [
            scorer.score_claim({name: value for name, value in row.items() if name in Outcome.model_fields})
            for row in first.requests.to_pylist()[:5]
        ]
    assert same == first.decisions[:5]


@pytest.fixture
def scorer(starter: Model) -> Scorer:
    scorer = Scorer(starter, POLICY, KEY, lang="en", clock=lambda: 1_764_085_800_000_000)
    for name in "abc":
        scorer.score(ORDER | {"order_id": name, "buyer_id": name})
    return scorer


def ask(scorer: Scorer, **changes: Any) -> ClaimDecision:
    return scorer.score_claim({name: value for name, value in (CLAIM | changes).items() if value is not None})


def test_request_asked_again_gets_the_same_answer_and_takes_no_second_place(scorer: Scorer) -> None:
    scorer.policy = POLICY.model_copy(update={"claims": replace_rules(n=2)})

    first, same = ask(scorer), ask(scorer)
    later = ask(scorer, happened_at="2025-11-25 20:30")
    amended = ask(scorer, amount_minor=950)
    second, third = ask(scorer, order_id="b"), ask(scorer, order_id="c")

    assert first == same == later
    assert (first.answer, first.applied) == (ClaimAnswer.PERSON, ())
    assert (amended.answer, amended.applied) == (ClaimAnswer.PERSON, ("desk_handed",))
    assert not amended.takes_place
    assert (second.answer, second.applied) == (ClaimAnswer.PERSON, ())
    assert (third.answer, third.applied) == (ClaimAnswer.EVIDENCE, ("capacity_full",))
    assert ask(scorer, order_id="c", reason="safety", outcome_id="s").applied == ("safety", "capacity_beyond")
    assert ask(scorer, order_id="c") == third


def test_request_that_was_asked_for_evidence_is_judged_again_with_it(scorer: Scorer) -> None:
    scorer.policy = POLICY.model_copy(update={"claims": replace_rules(n=0, pay_below=0.0, person_from=1.0)})
    plain = {"refund_type": "refund_only", "reason": "damaged"}

    asked, shown = ask(scorer, **plain), ask(scorer, **plain, has_evidence=True)

    assert (asked.answer, asked.applied) == (ClaimAnswer.EVIDENCE, ())
    assert (shown.answer, shown.applied) == (ClaimAnswer.RETURN_FIRST, ("capacity_full",))
    assert ask(scorer, **plain) == shown


def replace_rules(n: int, **changes: Any) -> ClaimSettings:
    return RULES.model_copy(
        update={"pay_below": 0.0, "person_from": 0.0, "capacity": Capacity(n=n, min_p=0.0)} | changes
    )


def test_answer_to_a_request_is_no_decision_about_its_order(scorer: Scorer) -> None:
    before = scorer.score(ORDER)
    ask(scorer)
    rows = scorer._state.read_rows("a")

    assert scorer.score(ORDER) == before
    assert [row["event"] for row in rows].count("decision") == 2
    decision, _ = scorer.explain("a")
    assert decision.seen_at == before.seen_at


def test_challenger_in_the_shadow_answers_requests_beside_the_champion(starter: Model, tmp_path: Path) -> None:
    assert starter.claims is not None
    curve = starter.claims.calibration
    milder = replace(starter, claims=replace(starter.claims, calibration=Curve(curve.x, curve.y / 4)), metrics={})
    shadow = Shadow(milder, ShadowLog(tmp_path / "shadow.sqlite"))
    policy = POLICY.model_copy(update={"claims": replace_rules(n=1, pay_below=0.0)})
    with Scorer(starter, policy, KEY, clock=lambda: 1_764_085_800_000_000, shadow=shadow) as scorer:
        for name in "abc":
            scorer.score(ORDER | {"order_id": name, "buyer_id": name})
        answers = [ask(scorer, order_id=name) for name in "abca"]

    (pair,) = compare_shadow(tmp_path / "shadow.sqlite", among=[milder.model_id])
    with closing(sqlite3.connect(tmp_path / "shadow.sqlite")) as records:
        rows = records.execute("SELECT p_champion, p_challenger, answer_champion, answer_challenger FROM shadow_claims")
        told = rows.fetchall()
    assert [row[0] for row in told] == [each.p_malicious for each in answers[:3]]
    assert [row[1] for row in told] == [each.p_malicious / 4 for each in answers[:3]]
    assert [row[2] for row in told] == [row[3] for row in told] == ["person", "evidence", "evidence"]
    assert (pair["n_claims"], pair["n_other_answer"], pair["n_paid_champion"], pair["n_paid_challenger"]) == (
        3,
        0,
        0,
        0,
    )


def test_shadow_that_an_older_version_wrote_has_no_requests(tmp_path: Path) -> None:
    path = tmp_path / "shadow.sqlite"
    log = ShadowLog(path)
    log.add([ShadowRecord(1, "m-1", "m-2", 0.1, 0.9, 100, 800, "low", "high", "pass", "hold")])
    log.close()
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("DROP TABLE shadow_claims")

    assert compare_shadow(path, among=["m-1"])[0]["n_claims"] == 0
