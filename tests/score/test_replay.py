"""What was served is made again, to the last bit, from the history, model and policy that a decision names."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.contract import Outcome, Verdict
from ordervet.entities import Key, load_key
from ordervet.errors import ContractError, ModelError, PolicyError
from ordervet.history import History
from ordervet.policy import DecisionCode, find_policy, list_test_orders, load_policy, parse_shifts
from ordervet.policy.capacity import Capacity
from ordervet.policy.rules import Rule
from ordervet.score import Scorer
from ordervet.score.durable_state import DurableState
from ordervet.score.replay import replay_decision

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model
    from ordervet.policy import Decision, Policy

KEY = Key(bytes(range(16)))
START_US = 1_768_464_000_000_000
MINUTE_US = 60_000_000
RULE = Rule(name="dear", when="amount_minor >= 60000", action="review", route="lead", owner="risk team")


def serve(folder: Path, model: Model, policy: Policy, n_orders: int = 14) -> list[Decision]:
    """Let orders come one by one, and in small groups, with refunds and verdicts in between."""
    rng = np.random.default_rng(5)
    clock = [START_US]
    store = History.open(folder, KEY, create=True)
    state = DurableState(store, KEY, model.spec)
    served = []
    with Scorer(model, policy, KEY, state=state, clock=lambda: clock[0], lang="en") as scorer:
        for at in range(n_orders):
            clock[0] += int(rng.integers(0, 3)) * MINUTE_US
            order = {
                "order_id": f"T{at:03d}",
                "placed_at": "2026-01-15 20:00:00",
                "amount_minor": int(rng.integers(1000, 80000)),
                "buyer_id": f"b{rng.integers(0, 5)}",
                "phone": f"138000012{rng.integers(10, 13)}",
                "address": "浙江省杭州市西湖区文三路 99 号 3 栋 502",
                "item_id": "sku-7",
            }
            if at % 7 == 0:
                group = [order, order | {"order_id": f"G{at:03d}", "amount_minor": 500}]
                served += scorer.score_many(group)
            else:
                served.append(scorer.score(order))
            if at % 5 == 1:
                clock[0] += MINUTE_US
                scorer.observe(Verdict(order_id=order["order_id"], verdict="malicious", kind="scalping", by="desk",
                                       decided_at="2026-01-15 20:00:00"))  # fmt: skip
            if at % 4 == 2:
                scorer.observe(
                    Outcome(order_id=order["order_id"], kind="refund_requested", happened_at="2026-01-15 20:00:00")
                )
    return served


def policies() -> dict[str, Policy]:
    default = load_policy()
    capacity = Capacity(n=6, shifts=parse_shifts("00:00-24:00"), min_p=0.0001, plan={"00:00": 21.0}, plan_weight=0.2)
    return {
        "default": default,
        "paced": default.model_copy(update={"capacity": capacity}),
        "ruled": default.model_copy(update={"rules": (RULE,)}),
        "paced and ruled": default.model_copy(update={"capacity": capacity, "rules": (RULE,)}),
    }


@pytest.mark.parametrize("name", ["default", "paced and ruled"])
def test_every_decision_served_is_made_again_from_what_it_names(tmp_path: Path, model: Model, name: str) -> None:
    policy = policies()[name]
    served = serve(tmp_path / "history", model, policy)

    events = History.open(tmp_path / "history", KEY).read()
    again = [replay_decision(decision, events, model, policy, lang="en") for decision in served]

    assert again == served
    assert {decision.code for decision in served} == {DecisionCode.SCORED}
    assert all(decision.history_version is not None for decision in served)


def test_scorer_paces_the_desk_while_orders_come_one_by_one(tmp_path: Path, model: Model) -> None:
    served = serve(tmp_path / "history", model, policies()["paced"])

    n_flagged = sum(decision.action != "pass" for decision in served)
    assert 0 < n_flagged <= 6


def test_rule_routes_orders_as_they_come(tmp_path: Path, model: Model) -> None:
    served = serve(tmp_path / "history", model, policies()["ruled"], n_orders=12)

    ruled = [decision for decision in served if "rule_dear" in decision.applied]
    assert ruled
    assert all(decision.route == "lead" and decision.action != "pass" for decision in ruled)


def test_replay_refuses_another_model_policy_or_history(tmp_path: Path, model: Model) -> None:
    policy = load_policy()
    decision = serve(tmp_path / "history", model, policy, n_orders=3)[0]
    events = History.open(tmp_path / "history", KEY).read()

    with pytest.raises(ModelError, match="made by model other"):
        replay_decision(dataclasses.replace(decision, model_id="other"), events, model, policy)
    with pytest.raises(PolicyError, match="made under policy"):
        replay_decision(decision, events, model, policies()["ruled"])
    with pytest.raises(ContractError, match="no such order"):
        replay_decision(dataclasses.replace(decision, order_id="T999"), events, model, policy)


@pytest.mark.parametrize("order_id", list(list_test_orders()))
def test_test_order_gets_what_its_id_names_alone_in_a_table_and_never_unless_allowed(
    model: Model, order_id: str
) -> None:
    wanted = list_test_orders()[order_id]
    order = {"order_id": order_id + "-1", "placed_at": "2026-01-15 20:00:00", "amount_minor": 100, "buyer_id": "b-1"}
    allowing = load_policy().model_copy(update={"allow_test_orders": True})

    alone = Scorer(model, allowing, KEY).score(order)
    refused = Scorer(model, load_policy(), KEY).score(order)

    assert (alone.band, alone.kind, alone.code) == (wanted.band, wanted.kind, wanted.code)
    if wanted.band:
        assert alone.action == allowing.actions_for(wanted.kind)[wanted.band]
    plain = Scorer(model, load_policy(), KEY).score(order | {"order_id": "T1"})
    assert (refused.action, refused.band, refused.p_malicious, refused.code) == (
        plain.action, plain.band, plain.p_malicious, plain.code,
    )  # fmt: skip


def test_test_orders_in_a_table_take_nobodys_slot(model: Model) -> None:
    import pyarrow as pa

    allowing = load_policy().model_copy(update={"allow_test_orders": True, "capacity": Capacity(n=1, min_p=0.0)})
    ids = [*list_test_orders(), "T1"]
    table = pa.table(
        {"order_id": ids, "placed_at": ["2026-01-15 20:00:00"] * len(ids), "amount_minor": [100] * len(ids)}
    )

    rows = {row["order_id"]: row for row in Scorer(model, allowing, KEY).score_table(table).to_pylist()}

    assert rows["T1"]["action"] == "review"
    assert rows["ORDERVET-TEST-BAND-SEVERE"]["action"] == "hold"
    assert rows["ORDERVET-TEST-CODE-UNSCORED_LATE"]["code"] == "UNSCORED_LATE"
    assert rows["ORDERVET-TEST-KIND-SCALPING"]["script"].startswith("scalping.")


def test_policy_that_a_decision_names_is_kept_beside_the_history(
    tmp_path: Path, model: Model, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    History.open(tmp_path / "history", load_key(), create=True)

    with Scorer.open(models_dir, history=tmp_path / "history") as scorer:
        decision = scorer.score({"order_id": "T1", "placed_at": "2026-01-15 20:00:00", "amount_minor": 100})

    kept = find_policy(decision.policy_id, tmp_path / "history")
    events = History.open(tmp_path / "history", load_key()).read()
    assert replay_decision(decision, events, model, kept) == decision
