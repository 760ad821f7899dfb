"""A live scorer remembers what it handed on: killed and opened again, it goes on with the shift it was serving."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pytest

from ordervet.contract import Events, Outcome, Verdict, validate_orders
from ordervet.entities import Key
from ordervet.history import History
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.policy import Action
from ordervet.score import Scorer
from ordervet.score.replay import replay_decision

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation

KEY = Key(bytes(range(16)))
N = 20
POLICY = f"""protocol = 1
name = "evening"
bands = {{ by = "explicit", elevated = 0.05, high = 0.2, severe = 0.7 }}
actions = {{ low = "pass", elevated = "pass", high = "review", severe = "hold" }}
capacity = {{ n = {N}, shifts = [{{ start = "00:00", end = "24:00" }}] }}
"""
DAY_US, EAST_US = 86_400_000_000, 28_800_000_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    (tmp_path / "policy.toml").write_text(POLICY, "utf-8")
    History.open(tmp_path / "history", KEY, create=True)
    return tmp_path


def list_evening(merchant: Simulation) -> list[dict[str, Any]]:
    """List the orders of the busiest day as an order system sends them."""
    seen_at = merchant.orders["seen_at"].cast(pa.int64()).to_numpy()
    days = (seen_at + EAST_US) // DAY_US
    rows = merchant.orders.filter(pa.array(days == np.bincount(days).argmax())).sort_by("seen_at").to_pylist()
    return [{name: value for name, value in row.items() if value is not None and name != "seen_at"} for row in rows]


class Clock:
    now_us = 0

    def __call__(self) -> int:
        return self.now_us


def run_evening(
    orders: list[dict[str, Any]], folder: Path, models: Path, restarts: set[int], clock: Clock
) -> tuple[list[str], Scorer]:
    """Score one order after the other, at some of them with a scorer that was opened again."""
    handed = []
    scorer = None
    for number, order in enumerate(orders):
        clock.now_us = int(order["placed_at"].timestamp() * 1e6)
        if scorer is None or number in restarts:
            if scorer is not None:
                scorer.close()
            scorer = Scorer.open(models, history=folder / "history", policy=folder / "policy.toml", clock=clock)
        decision = scorer.score(order)
        assert decision.code == "SCORED"
        if decision.action is not Action.PASS:
            handed.append(decision.order_id)
    assert scorer is not None
    return handed, scorer


def test_pace_survives_restarts_and_hands_on_no_more_than_the_capacity(folder: Path, models_dir: Path) -> None:
    merchant = simulate(SimulationSettings(n_orders=4_000, seed=1, malicious_share=0.06))
    orders = list_evening(merchant)
    cuts = {len(orders) * part // 6 for part in range(1, 6)}

    handed, scorer = run_evening(orders, folder, models_dir, cuts, Clock())
    again = [scorer.rescore(order) for order in orders if order["order_id"] in handed]
    scorer.close()

    assert len(handed) == len(set(handed)) == N
    assert all("desk_handed" in decision.applied for decision in again)
    assert {decision.action for decision in again} <= {Action.REVIEW, Action.HOLD}


KILLED: Final = """
import os, pickle, sys
from pathlib import Path
from ordervet import Scorer

folder, models, first, end = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
orders = pickle.loads((folder / "orders.pickle").read_bytes())
at = [int(order["placed_at"].timestamp() * 1e6) for order in orders]
now = [at[first]]
scorer = Scorer.open(models, history=folder / "history", policy=folder / "policy.toml", clock=lambda: now[0])
with (folder / "handed.txt").open("a") as handed:
    for number in range(first, end):
        now[0] = at[number]
        if scorer.score(orders[number]).action != "pass":
            print(orders[number]["order_id"], file=handed, flush=True)
os._exit(9)
"""


def test_pace_survives_five_kills(folder: Path, models_dir: Path) -> None:
    orders = list_evening(simulate(SimulationSettings(n_orders=4_000, seed=3, malicious_share=0.06)))
    (folder / "orders.pickle").write_bytes(pickle.dumps(orders))
    cuts = [len(orders) * part // 6 for part in range(7)]

    for first, end in pairwise(cuts):
        arguments = [sys.executable, "-c", KILLED, str(folder), str(models_dir), str(first), str(end)]
        assert subprocess.run(arguments, check=False).returncode == 9

    handed = (folder / "handed.txt").read_text("utf-8").split()
    assert len(handed) == len(set(handed)) == N


def test_a_release_stands_when_the_order_is_sent_again_also_to_the_next_process(folder: Path, models_dir: Path) -> None:
    merchant = simulate(SimulationSettings(n_orders=1_000, seed=2, malicious_share=0.2))
    orders = list_evening(merchant)
    clock = Clock()
    handed, scorer = run_evening(orders, folder, models_dir, set(), clock)
    by_id = {order["order_id"]: order for order in orders}
    clock.now_us += 1_000_000

    scorer.observe(Verdict(order_id=handed[0], verdict="innocent", decided_at=by_id[handed[0]]["placed_at"]))
    at_once = scorer.score(by_id[handed[0]])
    scorer.close()
    with Scorer.open(models_dir, history=folder / "history", policy=folder / "policy.toml", clock=clock) as later:
        afterwards = later.score(by_id[handed[0]])

    assert at_once.action is afterwards.action is Action.PASS
    assert "desk_released" in at_once.applied
    assert "desk_released" in afterwards.applied


EVERY_ORDER_HELD: Final = """protocol = 1
name = "holds"
bands = { by = "explicit", elevated = 0.0, high = 0.0, severe = 0.0 }
actions = { low = "hold", elevated = "hold", high = "hold", severe = "hold" }
"""


@pytest.mark.parametrize(
    ("status", "action"),
    [(None, "hold"), ("unpaid", "hold"), ("paid", "hold"), ("shipped", "review"), ("received", "review")],
)
def test_an_order_that_was_shipped_is_never_to_be_held(
    folder: Path, models_dir: Path, status: str | None, action: str
) -> None:
    (folder / "policy.toml").write_text(EVERY_ORDER_HELD, "utf-8")
    order = {"order_id": "A", "placed_at": "2025-11-11 20:00:00", "amount_minor": 100, "buyer_id": "b"}
    order |= {} if status is None else {"status": status}

    with Scorer.open(models_dir, policy=folder / "policy.toml") as scorer:
        one = scorer.score(order)
        many = scorer.score_many([order | {"order_id": each} for each in ("B", "C")])
        table = scorer.score_table(pa.Table.from_pylist([order | {"order_id": "D"}]))

    assert [one.action, *(each.action for each in many), *table["action"].to_pylist()] == [action] * 4


def test_an_order_that_was_delivered_since_or_judged_malicious_then_is_never_to_be_held(
    folder: Path, models_dir: Path
) -> None:
    (folder / "policy.toml").write_text(EVERY_ORDER_HELD, "utf-8")
    order = {"order_id": "A", "placed_at": "2025-11-11 20:00:00", "amount_minor": 100, "buyer_id": "b"}
    clock = Clock()
    clock.now_us = 1_762_862_400_000_000

    with Scorer.open(models_dir, history=folder / "history", policy=folder / "policy.toml", clock=clock) as scorer:
        before = scorer.score(order)
        clock.now_us += DAY_US
        scorer.observe(Outcome(order_id="A", kind="fulfilled", happened_at="2025-11-12 12:00:00"))
        after = scorer.rescore("A")
        clock.now_us += DAY_US
        scorer.observe(Verdict(order_id="A", verdict="malicious", decided_at="2025-11-12 13:00:00"))
        judged = scorer.rescore("A")

    assert [before.action, after.action, judged.action] == ["hold", "review", "review"]
    assert after.script == before.script.replace("placed", "received")


def test_an_order_that_is_answered_too_late_uses_no_slot(folder: Path, models_dir: Path) -> None:
    (folder / "policy.toml").write_text(EVERY_ORDER_HELD + "capacity = { n = 2, min_p = 0.0 }", "utf-8")
    order = {"order_id": "A", "placed_at": "2025-11-11 20:00:00", "amount_minor": 100, "buyer_id": "b"}
    clock = Clock()
    clock.now_us = 1_762_862_400_000_000
    how: dict[str, Any] = {"history": folder / "history", "policy": folder / "policy.toml", "clock": clock}

    with Scorer.open(models_dir, deadline_ms=0.0, **how) as scorer:
        late = [scorer.score(order | {"order_id": f"late{number}"}) for number in range(5)]
    with Scorer.open(models_dir, **how) as scorer:
        decisions = [scorer.score(order | {"order_id": f"B{number}"}) for number in range(2)]
        again = scorer.score(order | {"order_id": "late0"})

    assert {each.code for each in late} == {"UNSCORED_LATE"}
    assert [each.action for each in decisions] == ["hold", "hold"]
    assert again.action == "pass"
    assert "capacity_full" in again.applied


@pytest.mark.parametrize("days", [365, -365], ids=["forward", "back"])
def test_clock_that_jumps_a_year_and_returns_never_hands_on_more_than_the_slots(
    folder: Path, models_dir: Path, days: int
) -> None:
    (folder / "policy.toml").write_text(EVERY_ORDER_HELD + "capacity = { n = 2, min_p = 0.0 }", "utf-8")
    clock = Clock()
    start = clock.now_us = 1_762_862_400_000_000
    decisions = []

    with Scorer.open(models_dir, history=folder / "history", policy=folder / "policy.toml", clock=clock) as scorer:
        for n, offset_us in enumerate([0, 0, 0, days * DAY_US, days * DAY_US, days * DAY_US, 1, 2, 3]):
            clock.now_us = start + offset_us
            order = {"order_id": f"t{n}", "placed_at": "2025-11-11 20:00:00", "amount_minor": 100, "buyer_id": f"b{n}"}
            decisions.append(scorer.score(order))

    assert {each.code for each in decisions} == {"SCORED"}
    n_days = 2 if days > 0 else 1  # after a jump ahead time stands still until it has caught up
    assert Counter(each.action for each in decisions) == {"hold": 2 * n_days, "pass": 9 - 2 * n_days}


def test_slots_that_are_left_late_in_a_shift_go_to_orders_that_are_asked_about_again(
    folder: Path, models_dir: Path
) -> None:
    capacity = 'capacity = { n = 3, min_p = 0.0, shifts = [{ start = "00:00", end = "24:00" }] }'
    (folder / "policy.toml").write_text(EVERY_ORDER_HELD + capacity, "utf-8")
    order = {"placed_at": "2025-11-11 00:10:00", "amount_minor": 100}
    clock = Clock()
    clock.now_us = 1_762_791_000_000_000

    with Scorer.open(models_dir, history=folder / "history", policy=folder / "policy.toml", clock=clock) as scorer:
        early = [scorer.score(order | {"order_id": f"A{number}", "buyer_id": f"b{number}"}) for number in range(6)]
        clock.now_us += 85_000_000_000  # 23:46
        late = [scorer.rescore(each.order_id) for each in early if each.action == "pass"]

    n_early, n_late = (sum(each.action != "pass" for each in some) for some in (early, late))
    assert n_early < 3
    assert n_early + n_late == 3


@pytest.mark.parametrize("n_days", [0, 5])
def test_a_new_process_knows_the_hours_of_the_days_before(n_days: int, folder: Path, models_dir: Path) -> None:
    orders = [
        {"order_id": f"{day}-{number}", "placed_at": f"2025-11-{day:02d} 09:{number:02d}:00", "amount_minor": 100}
        for day in range(11 - n_days, 12)
        for number in range(60)
    ]
    (folder / "policy.toml").write_text(POLICY.replace(f"n = {N}", "n = 2"), "utf-8")
    History.open(folder / "history", KEY).ingest(replace(Events.empty(), orders=validate_orders(orders)))
    clock = Clock()
    clock.now_us = 1_762_827_000_000_000  # 10:10, when usually no more come
    order = {"order_id": "new", "placed_at": "2025-11-11 10:10:00", "amount_minor": 100}

    with Scorer.open(models_dir, history=folder / "history", policy=folder / "policy.toml", clock=clock) as scorer:
        pace = scorer.score(order).pace

    assert pace is not None
    assert (pace.least == 0.01) == (n_days == 5)


@pytest.mark.parametrize("is_one_by_one", [True, False])
def test_an_erased_buyer_does_not_come_back_live(folder: Path, models_dir: Path, is_one_by_one: bool) -> None:
    (folder / "policy.toml").write_text(EVERY_ORDER_HELD, "utf-8")
    old = {"order_id": "A", "placed_at": "2025-11-11 20:00:00", "amount_minor": 100, "buyer_id": "canary"}
    other = old | {"order_id": "B", "buyer_id": "other"}
    new = old | {"order_id": "N", "placed_at": "2099-01-01 00:00:00"}
    how: dict[str, Any] = {"history": folder / "history", "policy": folder / "policy.toml"}

    def score(scorer: Scorer, *orders: dict[str, Any]) -> list[str]:
        return [str(each.code) for each in (map(scorer.score, orders) if is_one_by_one else scorer.score_many(orders))]

    with Scorer.open(models_dir, **how) as scorer:
        codes = score(scorer, old, other)
        scorer.erase_buyer("canary")
        codes += score(scorer, old, old | {"order_id": "A2"})
    with Scorer.open(models_dir, **how) as scorer:
        codes += score(scorer, old, new)
        scorer.observe(Outcome(order_id="A", kind="fulfilled", happened_at="2025-11-12 12:00:00"))
    events = History.open(folder / "history", KEY).read()

    assert codes == ["SCORED"] * 6
    assert sorted(events.orders["order_id"].to_pylist()) == ["B", "N"]
    assert events.outcomes.num_rows == 0
    assert not any(b'"A' in path.read_bytes() for path in (folder / "history").glob("*.jsonl"))


@pytest.mark.parametrize("then", [None, "paid"])
def test_a_decision_is_replayed_at_the_stage_the_order_was_in(folder: Path, models_dir: Path, then: str | None) -> None:
    (folder / "policy.toml").write_text(EVERY_ORDER_HELD, "utf-8")
    order = {"order_id": "A", "placed_at": "2025-11-11 20:00:00", "amount_minor": 100, "buyer_id": "b"}
    order |= {} if then is None else {"status": then}
    clock = Clock()
    clock.now_us = 1_762_862_400_000_000
    with Scorer.open(models_dir, history=folder / "history", policy=folder / "policy.toml", clock=clock) as scorer:
        decision = scorer.score(order)
        model, policy = scorer.model, scorer.policy
    later = order | {"status": "received", "updated_at": "2025-11-14 20:00:00"}
    history = History.open(folder / "history", KEY)
    history.ingest(replace(Events.empty(), orders=validate_orders([later])))

    events = history.read()

    assert model is not None
    assert events.orders["status"].to_pylist() == ["received"]
    assert replay_decision(decision, events, model, policy) == decision
