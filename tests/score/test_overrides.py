"""Lists and rules on real tables: found by key and feature, the same in chunks as all at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ordervet.entities import Key, key_events
from ordervet.features import FeatureEngine, build_later_events
from ordervet.model import ForestPredictor
from ordervet.policy import load_policy
from ordervet.policy.lists import ListEntry
from ordervet.policy.policy import Lists
from ordervet.policy.rules import Rule
from ordervet.policy.trust import Trust
from ordervet.score import Scorer
from ordervet.score.stream import StreamParts, stream_scores

if TYPE_CHECKING:
    from ordervet.contract import Events
    from ordervet.entities import KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Policy

KEY = Key(bytes(range(16)))
RULES = (
    Rule(name="dear", when="order__value__amount >= 200000 and quantity < 3", action="review", route="lead", owner="x"),
    Rule(name="first_in_app", when='buyer__count__order__90d == 0 and platform == "jd"', action="confirm", owner="x"),
    Rule(name="never", when="terminal__count__order__90d >= 0", action="hold", owner="x"),
)


@pytest.fixture(scope="module")
def keyed(merchant: Events) -> KeyedEvents:
    return key_events(merchant, KEY)


@pytest.fixture(scope="module")
def policy(keyed: KeyedEvents) -> Policy:
    def list_commonest(list_name: str, entity: str) -> ListEntry:
        ids = Counter(each for each in keyed.orders[f"id__{entity}"].to_pylist() if each)
        found = f"{ids.most_common(1)[0][0]:016x}"
        return ListEntry(list=list_name, entity=entity, id=found, expires=datetime(2100, 1, 1, tzinfo=UTC), owner="x")

    entries = (list_commonest("deny", "phone"), list_commonest("allow", "item"), list_commonest("deny", "network"))
    return load_policy().model_copy(update={"rules": RULES, "lists": Lists(entries=entries)})


def test_lists_find_keys_also_of_entities_the_model_does_not_look_at(keyed, model: Model, policy: Policy) -> None:
    scored = Scorer(model, policy, KEY).score_events(keyed)

    for entry in policy.lists.entries:
        ids = keyed.orders[f"id__{entry.entity}"].to_numpy()
        expected = set(np.flatnonzero(ids == int(entry.id, 16)).tolist())
        code = f"{entry.list}_{entry.entity}"
        assert {row for row, codes in scored.applied.items() if code in codes} == expected
        if entry.list == "deny":
            assert all(scored.build_decision(row).action == "hold" for row in expected)


def test_rules_hold_by_the_order_and_by_what_was_known_of_it(keyed, model: Model, policy: Policy) -> None:
    scored = Scorer(model, policy, KEY).score_events(keyed)

    amounts, quantities = (keyed.orders[name].to_numpy() for name in ("amount_minor", "quantity"))
    dear = set(np.flatnonzero((amounts >= 200_000) & (quantities < 3)).tolist())
    assert {row for row, codes in scored.applied.items() if "rule_dear" in codes} == dear
    assert {scored.routes[row] for row in dear} == {"lead"}
    assert any("rule_first_in_app" in codes for codes in scored.applied.values())
    assert not any("rule_never" in codes for codes in scored.applied.values())


def test_trust_is_told_of_orders_that_pass_and_changes_no_action(keyed, model: Model, policy: Policy) -> None:
    measured = {"min_orders": 2, "min_days": 1.0, "p": [0.01, 0.9], "upper": [0.004, 0.2]}
    trusting = policy.model_copy(update={"trust": Trust(min_orders=2, min_days=1.0)})
    taught = replace(model, metrics=model.metrics | {"trust": measured})

    scored = Scorer(taught, trusting, KEY).score_events(keyed)

    plain, untaught = (Scorer(model, each, KEY).score_events(keyed) for each in (policy, trusting))
    earned = [row for row, codes in scored.applied.items() if "trust_earned" in codes]
    assert len(earned) > 100
    assert (scored.actions == plain.actions).all()
    assert (scored.actions[earned] == 0).all()
    assert (scored.p_malicious[earned] <= 0.01).all()
    assert not any(code.startswith("deny") for row in earned for code in scored.applied[row])
    assert untaught.applied == plain.applied
    decision = scored.build_decision(earned[0])
    assert decision.is_trusted
    assert not plain.build_decision(earned[0]).is_trusted
    assert "trust_earned" in decision.as_dict()["applied"]
    assert "trust_earned" in scored.build_table()["applied"][earned[0]].as_py()


def test_person_grants_a_buyer_trust_until_it_ends_or_is_watched(keyed, model: Model, policy: Policy) -> None:
    buyers = Counter(each for each in keyed.orders["id__buyer"].to_pylist() if each)
    buyer = buyers.most_common(1)[0][0]
    rows = np.flatnonzero(keyed.orders["id__buyer"].to_numpy() == buyer)

    def score(*lists: str, year: int = 2100) -> list[bool]:
        end = datetime(year, 1, 1, tzinfo=UTC)
        entries = [
            ListEntry(list=name, entity="buyer", id=f"{buyer:016x}", expires=end, owner="desk") for name in lists
        ]
        rules = policy.model_copy(update={"trust": Trust(), "lists": Lists(entries=tuple(entries)), "rules": ()})
        scored = Scorer(model, rules, KEY).score_events(keyed)
        return [scored.build_decision(int(row)).is_trusted for row in rows]

    assert all(score("allow"))
    assert not any(score("allow", "watch"))
    assert not any(score("allow", year=2020))


def test_chunks_are_decided_as_all_orders_at_once_under_lists_and_rules(
    merchant: Events, keyed, model: Model, policy: Policy
) -> None:
    orders = merchant.orders.sort_by("seen_at")
    whole = Scorer(model, policy, KEY).score_events(replace(merchant, orders=orders))
    parts = StreamParts(model, ForestPredictor(model.booster_text), policy, FeatureEngine(model.spec), KEY)

    chunks = list(stream_scores([orders.slice(0, 2500), orders.slice(2500)], build_later_events(keyed), parts))

    kept = {
        start + int(row): chunk.scored.build_decision(at)
        for start, chunk in zip((0, 2500), chunks, strict=True)
        for at, row in enumerate(chunk.rows)
    }
    assert kept == {row: whole.build_decision(row) for row in kept}
    assert set(np.flatnonzero(whole.actions > 0).tolist()) <= set(kept)


def test_lists_and_rules_end_by_the_clock_in_a_table_too(merchant: Events, keyed, model: Model, policy: Policy) -> None:
    seen_at = keyed.orders["seen_at"].cast(pa.int64()).to_numpy()
    end = datetime.fromtimestamp(int(np.median(seen_at)) // 1_000_000, UTC).replace(hour=0, minute=0, second=0)
    end_us = int(end.timestamp()) * 1_000_000
    entries = tuple(entry.model_copy(update={"expires": end}) for entry in policy.lists.entries)
    rules = tuple(rule.model_copy(update={"expires": end.date()}) for rule in policy.rules)
    ending = policy.model_copy(update={"rules": rules, "lists": Lists(entries=entries)})
    endless = Scorer(model, policy, KEY).score_events(keyed).applied
    early = {row: codes for row, codes in endless.items() if seen_at[row] < end_us}
    parts = StreamParts(model, ForestPredictor(model.booster_text), ending, FeatureEngine(model.spec), KEY)

    def score(clock_us: int, **how: object) -> dict[int, tuple[str, ...]]:
        return Scorer(model, ending, KEY, clock=lambda: clock_us).score_events(keyed, **how).applied

    assert score(end_us) == score(end_us - 1, now_us=end_us) == {}
    assert score(end_us - 1) == score(end_us, now_us=end_us - 1) == endless
    assert score(end_us, as_of_orders=True) == early != endless
    for now_us in (end_us - 1, end_us):
        table = Scorer(model, ending, KEY, clock=lambda now_us=now_us: now_us).score_table(merchant.orders)
        assert any("rule_dear" in (codes or ()) for codes in table["applied"].to_pylist()) is (now_us < end_us)
        orders, how = merchant.orders.sort_by("seen_at"), replace(parts, now_us=now_us, keeps_all=True)
        (chunk,) = stream_scores([orders], build_later_events(keyed), replace(how, engine=FeatureEngine(model.spec)))
        assert len(chunk.scored.applied) == (len(endless) if now_us < end_us else 0)
