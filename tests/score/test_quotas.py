"""Quotas over a history: never one more, alone as in a table, in a replay and after a restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from quotas_reference import KEYS, PlainOrder
from quotas_reference import find_beyond as find_plainly

from ordervet import RemoteScorer
from ordervet.contract import Events, Order, Outcome, validate_events
from ordervet.entities import Key, key_events
from ordervet.errors import HistoryError, PolicyError
from ordervet.features import build_order_events, build_spec
from ordervet.features.events import SHARED_PLACE_BIT
from ordervet.history import History
from ordervet.model import ForestPredictor
from ordervet.policy import Action, DecisionCode, load_policy
from ordervet.policy.quotas import Quota
from ordervet.score import Scorer, score_batch
from ordervet.score.durable_state import DurableState
from ordervet.score.quota_ledger import find_beyond
from ordervet.score.replay import replay_decision
from service_makers import ServiceProcess

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.entities import KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Decision, Policy

KEY = Key(bytes(range(16)))
START_US = 1_768_464_000_000_000
HOUR_US = 3_600_000_000
SPEC = build_spec(use_defaults=False, names=("buyer__count__order__90d",))
QUOTAS = (
    Quota(name="two", of="item_id", most=2, owner="x", action=Action.HOLD, route="lead"),
    Quota(name="coupon", of="category__coupon", ids=("NEW", "OLD"), most=1, days=1, owner="x"),
)
POLICY = load_policy().model_copy(update={"quotas": QUOTAS})
FILE = """protocol = 1
name = "limited"
bands = { by = "explicit", elevated = 0.999, high = 0.9999, severe = 0.99999 }
actions = { low = "pass", elevated = "pass", high = "review", severe = "hold" }
[[quotas]]
name = "five"
of = "item_id"
ids = ["limited"]
most = 5
action = "hold"
owner = "campaign team"
"""


def build_order(number: int, **fields: Any) -> dict[str, Any]:
    """An order of a household of six buyers with one phone."""
    return {
        "order_id": f"t{number}", "placed_at": "2026-01-15 16:00", "amount_minor": 100 + number,
        "buyer_id": f"b{number % 6}", "phone": "13800001234", "item_id": "limited",
    } | fields  # fmt: skip


def count_within(decisions: list[Decision]) -> int:
    assert {decision.code for decision in decisions} == {DecisionCode.SCORED}
    return sum(not decision.applied for decision in decisions)


@dataclass
class Step:
    """An order or the cancellation of one, an hour or nothing after the step before."""

    at_us: int
    order: Order | None = None
    cancelled: str = ""


@dataclass
class Season:
    """Orders of some households, and cancellations, one after the other."""

    steps: list[Step] = field(default_factory=list)

    @classmethod
    def draw(cls, n_orders: int, seed: int) -> Season:
        rng = np.random.default_rng(seed)
        season, at_us = cls(), START_US
        for number in range(n_orders):
            at_us += int(rng.integers(1, 5)) * HOUR_US
            fields = {
                "buyer_id": [None, *(f"b{n}" for n in range(8))][rng.integers(9)],
                "phone": f"1380000123{rng.integers(5)}",
                "device_id": [None, "d1", "d2"][rng.integers(3)],
                "address": [None, "浙江省杭州市西湖区文三路 99 号 3 栋 502", "浙江大学紫金港校区学生宿舍 3 栋"][
                    rng.integers(3)
                ],
                "item_id": [None, "limited", "other"][rng.integers(3)],
                "quantity": [None, 1, 2][rng.integers(3)],
                "categories": {} if rng.random() < 0.5 else {"coupon": ["NEW", "OLD", "ELSE"][rng.integers(3)]},
            }
            row = build_order(number) | {name: value for name, value in fields.items() if value is not None}
            row["placed_at"] = np.datetime64(at_us - 60_000_000, "us").item()
            row["seen_at"] = np.datetime64(at_us, "us").item()
            season.steps.append(Step(at_us, Order(**row)))
            if rng.random() < 0.3:
                season.steps.append(Step(at_us + HOUR_US // 2, cancelled=f"t{rng.integers(number + 1)}"))
        return season

    def build_events(self, first: int = 0, last: int | None = None) -> Events:
        """Build tables of some steps."""
        steps = self.steps[first:last]
        outcomes = [
            Outcome(
                order_id=step.cancelled, kind="cancelled_unpaid", happened_at=np.datetime64(step.at_us, "us").item()
            )
            for step in steps
            if step.cancelled
        ]
        orders = validate_events("orders", [step.order for step in steps if step.order])
        empty = Events.empty()
        return Events(orders, validate_events("outcomes", outcomes), empty.verdicts, empty.corrections)

    def serve(self, scorer: Scorer, clock: list[int], *, groups: bool = False) -> dict[str, Decision]:
        """Let a scorer meet the steps as they come, orders alone or together."""
        served: dict[str, Decision] = {}
        for step in self.steps:
            clock[0] = step.at_us
            if step.order is not None:
                decisions = scorer.score_many([step.order]) if groups else [scorer.score(step.order)]
                served |= {decision.order_id: decision for decision in decisions}
            else:
                scorer.observe(
                    Outcome(order_id=step.cancelled, kind="cancelled_unpaid", happened_at="2026-01-16 09:00")
                )
        return served


def list_beyond(decisions: dict[str, Decision]) -> dict[str, tuple[str, ...]]:
    """The orders beyond a quota, by what was decided."""
    found = {
        order_id: tuple(code for code in decision.applied if code.startswith("quota_"))
        for order_id, decision in decisions.items()
    }
    return {order_id: codes for order_id, codes in found.items() if codes}


def score_at_once(model: Model, events: Events) -> dict[str, Decision]:
    scored = Scorer(model, POLICY, KEY).score_events(events)
    return {order_id: scored.build_decision(row) for row, order_id in enumerate(scored.order_ids)}


def find_by_definition(keyed: KeyedEvents) -> dict[str, tuple[str, ...]]:
    """The orders beyond a quota, by the slow twin."""
    gone: dict[int, list[tuple[int, int]]] = {}
    times = (keyed.outcomes[name].cast(pa.int64()).to_pylist() for name in ("seen_at", "happened_at"))
    for order_id, seen, happened in zip(keyed.outcomes["id__order"].to_pylist(), *times, strict=True):
        gone.setdefault(order_id, []).append((seen, happened))
    masks = build_order_events(keyed.orders, SPEC).read_mask()
    orders = [
        PlainOrder(
            row["id__order"], int(row["seen_at"].timestamp() * 1e6), int(row["placed_at"].timestamp() * 1e6),
            {name: row[f"id__{name}"] for name in ("buyer", *KEYS)}, bool(mask & SHARED_PLACE_BIT),
            {"item_id": row["item_id"], "category__coupon": row.get("category__coupon")},
            row["quantity"], row["n_lines"], gone.get(row["id__order"], []),
        )
        for row, mask in zip(keyed.orders.to_pylist(), masks.tolist(), strict=True)
    ]  # fmt: skip
    names = dict(zip(keyed.orders["id__order"].to_pylist(), keyed.orders["order_id"].to_pylist(), strict=True))
    return {names[order_id]: codes for order_id, codes in find_plainly(QUOTAS, orders).items()}


@pytest.fixture(scope="module")
def season() -> Season:
    return Season.draw(60, seed=7)


def test_alone_in_groups_and_in_a_table_orders_get_the_same_places(
    model: Model, season: Season, tmp_path: Path
) -> None:
    clock = [START_US]
    events = season.build_events()
    expected = find_by_definition(key_events(events, KEY))

    at_once = score_at_once(model, events)
    alone = season.serve(Scorer(model, POLICY, KEY, clock=lambda: clock[0]), clock)
    store = History.open(tmp_path / "history", KEY, create=True)
    state = DurableState(store, KEY, model.spec, clock=lambda: clock[0])
    with Scorer(model, POLICY, KEY, state=state, clock=lambda: clock[0], lang="en") as scorer:
        grouped = season.serve(scorer, clock, groups=True)
    kept = History.open(tmp_path / "history", KEY).read()

    assert {code for codes in expected.values() for code in codes} == {"quota_2_two", "quota_1_coupon"}
    for decisions in (at_once, alone, grouped):
        assert list_beyond(decisions) == expected
    assert [replay_decision(each, kept, model, POLICY, lang="en") for each in grouped.values()] == [*grouped.values()]
    held = [decision for decision in grouped.values() if "quota_2_two" in decision.applied]
    assert all(decision.action == "hold" and decision.route == "lead" for decision in held)
    assert {decision.script for decision in held if decision.kind is None} <= {"quota.placed"}


@pytest.mark.parametrize("cuts", [[10], [1, 2, 3], [5, 40, 41, 70]])
def test_files_cut_anywhere_give_the_places_of_one_file(model: Model, season: Season, cuts: list[int]) -> None:
    expected = list_beyond(score_at_once(model, season.build_events()))
    scorer = Scorer(model, POLICY, KEY)

    found: dict[str, tuple[str, ...]] = {}
    for first, last in zip([0, *cuts], [*cuts, None], strict=True):
        scored = scorer.score_events(season.build_events(first, last))
        found |= list_beyond({name: scored.build_decision(row) for row, name in enumerate(scored.order_ids)})

    assert found == expected


def test_sixteen_threads_get_no_place_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    (tmp_path / "policy.toml").write_text(FILE)
    with Scorer.open(history=tmp_path / "history", create=True, policy=tmp_path / "policy.toml") as scorer:

        def send(thread: int) -> list[Decision]:
            numbers = range(thread * 100, thread * 100 + 12)
            alone = [scorer.score(build_order(number)) for number in numbers]
            return alone + scorer.score_many([build_order(number + 50) for number in numbers])

        with ThreadPoolExecutor(16) as pool:
            decisions = [each for part in pool.map(send, range(16)) for each in part]
        policy, model = scorer.policy, scorer.model

    assert len(decisions) == 16 * 24
    assert count_within(decisions) == 5
    kept = History.open(tmp_path / "history", KEY).read()
    counted_again = find_beyond(policy, kept.orders, kept.outcomes) or {}
    names = dict(zip(kept.orders["id__order"].to_pylist(), kept.orders["order_id"].to_pylist(), strict=True))
    assert {names[each] for each in counted_again} == {each.order_id for each in decisions if each.applied}
    assert model is not None
    within = [each for each in decisions if not each.applied]
    assert [replay_decision(each, kept, model, policy) for each in within] == within


def test_service_gives_several_processes_no_place_too_many(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(FILE)
    with ServiceProcess(
        tmp_path / "history", "--policy", str(tmp_path / "policy.toml"), "--deadline-ms", "60000"
    ) as service:
        remote = RemoteScorer(service.address, deadline_ms=60_000)
        remote.score(build_order(0, phone="13800009999", buyer_id="else"))
        children = []
        for child in range(4):
            pid = os.fork()
            if pid == 0:
                try:
                    within = count_within([remote.score(build_order(1000 * (child + 1) + n)) for n in range(20)])
                finally:
                    os._exit(within)
            children.append(pid)
        within = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        remote.close()

    assert sum(within) == 5


#: A scorer that is killed after as many orders of a household as it is told.
KILLED = """
import os, sys
from ordervet.score import Scorer

scorer = Scorer.open(history=sys.argv[1], policy=sys.argv[2], create=True)
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    order = {"order_id": f"t{number}", "placed_at": "2026-01-15 16:00", "amount_minor": 100,
             "buyer_id": f"b{number % 6}", "phone": "13800001234", "item_id": "limited"}
    print(",".join(scorer.score(order).applied) or "within", flush=True)
os.kill(os.getpid(), 9)
"""


def test_killed_and_started_again_it_goes_on_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    (tmp_path / "policy.toml").write_text(FILE)
    said = []
    for first, last in ((0, 3), (3, 8)):
        command = [sys.executable, "-c", KILLED, tmp_path / "history", tmp_path / "policy.toml", str(first), str(last)]
        ended = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        said += ended.stdout.split()

    assert said == ["within"] * 5 + ["quota_5_five"] * 3


def open_scorer(folder: Path, model: Model, policy: Policy = POLICY) -> Scorer:
    store = History.open(folder, KEY, create=not (folder / "_delta_log").exists())
    return Scorer(model, policy, KEY, state=DurableState(store, KEY, model.spec))


def test_what_an_order_was_given_stands_when_it_is_sent_again_or_asked_about_again(
    tmp_path: Path, model: Model
) -> None:
    with open_scorer(tmp_path / "history", model) as scorer:
        first, _, third = [scorer.score(build_order(number)) for number in range(3)]
        scorer.observe(Outcome(order_id="t0", kind="cancelled_unpaid", happened_at="2026-01-15 17:00"))

        sent = scorer.score(build_order(2, status="paid"))
        again, of_first = scorer.rescore("t2"), scorer.rescore(build_order(0))
        following = [scorer.score(build_order(number)) for number in (3, 4)]

    assert ("quota_2_two" in third.applied, "quota_2_two" in first.applied) == (True, False)
    assert "quota_2_two" in sent.applied
    assert "quota_2_two" in again.applied
    assert "quota_2_two" not in of_first.applied
    assert ["quota_2_two" in decision.applied for decision in following] == [False, True]


def test_history_that_changes_in_bulk_is_counted_again(tmp_path: Path, model: Model) -> None:
    with open_scorer(tmp_path / "history", model) as scorer:
        scorer.score(build_order(0))
        late = [Order(**build_order(number, placed_at="2026-01-15 15:00")) for number in (1, 2)]
        empty = Events.empty()
        events = Events(validate_events("orders", late), empty.outcomes, empty.verdicts, empty.corrections)
        scorer.change_history(lambda history: history.ingest(events))
        ingested = scorer.score(build_order(3))
        for buyer in ("b0", "b1", "b2"):
            scorer.erase_buyer(buyer)
        erased = scorer.score(build_order(4))

    assert "quota_2_two" in ingested.applied
    assert "quota_2_two" not in erased.applied


def test_another_policy_counts_the_past_by_its_own_quotas(tmp_path: Path, model: Model) -> None:
    with open_scorer(tmp_path / "history", model, load_policy()) as scorer:
        assert not any(scorer.score(build_order(number)).applied for number in range(3))
    with open_scorer(tmp_path / "history", model) as scorer:
        stricter = scorer.score(build_order(3))

    assert "quota_2_two" in stricter.applied


def test_test_orders_take_no_place_and_are_beyond_none(model: Model) -> None:
    scorer = Scorer(model, POLICY.model_copy(update={"allow_test_orders": True}), KEY)

    tests = [scorer.score(build_order(n, order_id=f"ORDERVET-TEST-BAND-LOW-{n}")) for n in range(4)]
    decisions = [scorer.score(build_order(number)) for number in range(3)]

    assert not any(decision.applied for decision in tests)
    assert ["quota_2_two" in decision.applied for decision in decisions] == [False, False, True]


def test_orders_pass_where_the_places_cannot_be_counted(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise HistoryError("the history cannot be read")

    monkeypatch.setattr(DurableState, "_read_quota_events", refuse)
    with open_scorer(tmp_path / "history", model) as scorer:
        passed = [scorer.score(build_order(number)) for number in range(3)]
        monkeypatch.undo()
        counted = scorer.score(build_order(3))

    assert [(each.code, each.applied) for each in passed] == [(DecisionCode.SCORED, ())] * 3
    assert "the places of quotas are not counted" in caplog.text
    assert "quota_2_two" in counted.applied


def test_batch_refuses_to_decide_without_the_orders_before(model: Model, season: Season) -> None:
    keyed = key_events(season.build_events(), KEY)
    events = build_order_events(keyed.orders, model.spec)
    nothing = np.zeros((len(events), len(model.spec.names)), np.float32)

    with pytest.raises(PolicyError, match="quota"):
        score_batch(
            keyed.orders, events, nothing, model=model, predictor=ForestPredictor(model.booster_text), policy=POLICY
        )

    assert find_beyond(load_policy(), keyed.orders, keyed.outcomes) is None
