"""Decides about orders under random policies, one by one and as tables: the same, to the bit.

    python tests/policy_parity.py N_POLICIES N_ORDERS [SEED]

Policies have bands, actions, evidence, kinds of their own, lists, rules, quotas, trust, test orders and capacities at
random paces; orders have random features beside the forest's own thresholds, so that scores spread.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from order_arrays import build_order_arrays, build_order_table

from ordervet.contract import MaliceKind, Order, OrderStatus
from ordervet.entities import Key
from ordervet.features import OrderEvents
from ordervet.model import ForestPredictor, find_bundled_models, find_serving_model, load_model
from ordervet.policy import Action, DeskMemory, Standing, load_policy
from ordervet.policy.capacity import Capacity, parse_shifts
from ordervet.policy.forcing import PREFIX
from ordervet.policy.lists import ListEntry
from ordervet.policy.pacing import Pace
from ordervet.policy.policy import HUMAN_KINDS, Audit, BandActions, Evidence, Lists
from ordervet.policy.quotas import Quota
from ordervet.policy.rules import Rule
from ordervet.policy.thresholds import Explicit
from ordervet.policy.trust import NAMES, Trust
from ordervet.score import score_batch
from ordervet.score.live_decision import LiveDecider
from ordervet.score.live_order import LiveOrderReader

if TYPE_CHECKING:
    from ordervet.policy import Decision, Policy
    from ordervet.score.live_order import LiveOrder

AT_US = 1_762_862_400_000_000
ALONE = 20
"""Of so many orders under a capacity one is a table of its own."""
ACTIONS = list(Action)
CONDITIONS = (
    "amount_minor >= 40000",
    "amount_minor / quantity > 9000",
    'channel == "live"',
    'channel in ["app", "live"] and not (quantity >= 2)',
    "buyer__count__order__90d < 2 or discount_minor * 2 > amount_minor",
    "order__value__hour >= 20",
    'not (campaign == "11.11") or amount_minor - shipping_minor > 50000',
    "order__value__n_unknown + 1 > 3",
)


def draw_orders(
    n: int, rng: np.random.Generator, predictor: ForestPredictor, names: tuple[str, ...]
) -> list[tuple[LiveOrder, np.ndarray]]:
    """Draw orders with features."""
    reader = LiveOrderReader(Key(bytes(16)))
    forest = predictor._forest
    rows = np.abs(rng.normal(scale=4, size=(n, forest.n_features))).astype(np.float32)
    for feature in np.unique(forest.feature):
        rows[:, feature] = rng.choice(forest.threshold[forest.feature == feature], n)
    rows[rng.random(rows.shape) < rng.random((n, 1))] = np.nan
    is_known = rng.random(n) < 0.3
    for name, value in zip(NAMES, (5, 1e7, 0), strict=True):
        rows[is_known, names.index(name)] = value
    drawn = []
    for at in range(n):
        fields: dict[str, Any] = {
            "order_id": f"T{at}" if rng.random() < 0.95 else f"ORDERVET-TEST-BAND-{['LOW', 'SEVERE'][at % 2]}-{at}",
            "placed_at": "2025-11-11 20:00",
            "amount_minor": int(rng.integers(0, 90_000)),
            "quantity": rng.choice([None, 1, 2, 3]),
            "discount_minor": rng.choice([None, 0, 30_000]),
            "shipping_minor": rng.choice([None, 0, 700]),
            "buyer_id": f"b{rng.integers(9)}",
            "phone": f"1380001234{rng.integers(9)}",
            "channel": rng.choice([None, "live", " app ", "search"]),
            "campaign": rng.choice([None, "11.11"]),
            "status": rng.choice([None, *map(str, OrderStatus)]),
        }
        order = Order.model_validate({name: value for name, value in fields.items() if value is not None})
        drawn.append((reader.read(order, AT_US + at), rows[at].reshape(1, -1)))
    return drawn


def draw_actions(rng: np.random.Generator) -> BandActions:
    low, elevated, high, severe = (str(ACTIONS[at]) for at in sorted(rng.integers(0, len(ACTIONS), 4).tolist()))
    return BandActions(low=low, elevated=elevated, high=high, severe=severe)


def draw_policy(rng: np.random.Generator, orders: list[tuple[LiveOrder, np.ndarray]]) -> Policy:
    """Draw a policy."""
    chosen: dict[str, Any] = {"actions": draw_actions(rng), "evidence": Evidence(min_orders=int(rng.integers(0, 6)))}
    if rng.random() < 0.5:
        kinds = rng.choice(sorted(set(map(str, MaliceKind)) - set(map(str, HUMAN_KINDS))), 3, replace=False)
        chosen["kinds"] = {MaliceKind(kind): draw_actions(rng) for kind in kinds.tolist()}
    if rng.random() < 0.8:
        elevated, high, severe = np.sort(rng.random(3) ** 3).tolist()
        chosen["bands"] = Explicit(by="explicit", elevated=elevated, high=high, severe=severe)
    if rng.random() < 0.5:
        entries = []
        for _ in range(rng.integers(1, 6)):
            one, _ = orders[rng.integers(len(orders))]
            entity = str(rng.choice(["buyer", "phone"]))
            entries.append(
                ListEntry(
                    list=str(rng.choice(["allow", "watch", "deny"])), entity=entity, id=f"{one.keyed.ids[entity]:016x}",
                    expires=datetime.fromtimestamp(AT_US / 1e6 + int(rng.integers(-9, 9)), UTC), owner="desk",
                )
            )  # fmt: skip
        chosen["lists"] = Lists(entries=tuple(entries), deny=str(rng.choice(["review", "confirm", "hold"])))
    if rng.random() < 0.5:
        chosen["rules"] = tuple(
            Rule(
                name=f"r{at}", when=when, owner="desk", route=[None, "lead"][rng.integers(2)],
                action=str(rng.choice(["review", "confirm", "hold"])),
                expires=[None, date(2025, 11, 1), date(2027, 1, 1)][rng.integers(3)],
            )
            for at, when in enumerate(rng.choice(CONDITIONS, rng.integers(1, 4), replace=False).tolist())
        )  # fmt: skip
    if rng.random() < 0.5:
        chosen["capacity"] = Capacity(
            n=50, min_p=float(rng.choice([0.0, 0.01, 0.3])), rank_by=str(rng.choice(["risk", "value"])),
            count_holds=bool(rng.integers(2)), shifts=parse_shifts("00:00-24:00") if rng.random() < 0.5 else (),
        )  # fmt: skip
    if rng.random() < 0.5:
        chosen["quotas"] = tuple(
            Quota(
                name=f"q{most}", of="item_id", most=most, owner="desk", route=[None, "owner"][rng.integers(2)],
                action=str(rng.choice(["review", "confirm", "hold"])),
            )
            for most in range(1, int(rng.integers(2, 4)))
        )  # fmt: skip
    if rng.random() < 0.5:
        chosen["audit"] = Audit(share=float(rng.choice([0.05, 0.5])))
    if rng.random() < 0.5:
        chosen["trust"] = Trust(
            min_orders=int(rng.integers(1, 4)), min_days=float(rng.choice([0.0, 1e-5, 30.0])), max_risk=0.01
        )
    return load_policy().model_copy(update=chosen | {"allow_test_orders": bool(rng.integers(2))})


def draw_beyond(
    rng: np.random.Generator, policy: Policy, orders: list[tuple[LiveOrder, np.ndarray]]
) -> dict[int, tuple[str, ...]]:
    """Draw which orders are beyond which quotas; of test orders none is."""
    codes = np.array([quota.code for quota in policy.quotas], object)
    drawn = {one.order_id: tuple(codes[rng.random(len(codes)) < 0.3].tolist()) for one, _ in orders}
    tests = {one.order_id for one, _ in orders if one.kept.order_name.startswith(PREFIX)}
    return {each: found for each, found in drawn.items() if found and each not in tests}


def list_all(decision: Decision) -> tuple[Any, ...]:
    """List all of a decision, also what plays no part in comparing two."""
    return decision, decision.history_version, [repr(dataclasses.astuple(each)) for each in decision.reasons]


def draw_pace(rng: np.random.Generator, decider: LiveDecider, one: LiveOrder, matrix: np.ndarray) -> Pace:
    """Draw a pace, often one at which the order is the last to be handed on."""
    capacity = decider.policy.capacity
    assert capacity is not None
    rank = capacity.rank_order(decider.decide(one, matrix, Pace(1.0, 1.0, 0)).decision.p_malicious or 0.0, 1)
    least = rank if rng.random() < 0.3 else float(rng.random() ** 4)
    return Pace(least, float(rng.random()), int(rng.integers(0, 3)))


def draw_shared_pace(
    rng: np.random.Generator, decider: LiveDecider, orders: list[tuple[LiveOrder, np.ndarray]]
) -> Pace:
    """Draw a pace at which each order of a table is decided about by itself: there are no slots, or enough for all."""
    pace = draw_pace(rng, decider, *orders[rng.integers(len(orders))])
    return pace.with_slots(len(orders) * pace.slots)


def run(n_policies: int, n_orders: int, seed: int) -> Counter[str]:
    """Compare; return how often what was decided."""
    rng = np.random.default_rng(seed)
    model = load_model(find_serving_model(find_bundled_models()))
    trust = {"min_orders": 1, "min_days": 0.0, "p": [0.01, 0.5], "upper": [0.005, 0.01]}
    model = dataclasses.replace(model, metrics=model.metrics | {"trust": trust})
    predictor = ForestPredictor(model.booster_text)
    orders = draw_orders(n_orders, rng, predictor, model.spec.names)
    seen: Counter[str] = Counter()
    table = pa.concat_tables([build_order_table(one) for one, _ in orders])
    arrays = OrderEvents.concat([build_order_arrays(one, model.spec) for one, _ in orders])
    rows = np.concatenate([matrix for _, matrix in orders])

    for _ in range(n_policies):
        policy = draw_policy(rng, orders)
        decider = LiveDecider(model, predictor, policy, "en", 7)
        drawn = [Standing.NEW if rng.random() < 0.7 else list(Standing)[rng.integers(len(Standing))] for _ in orders]
        desk = DeskMemory(AT_US, dict(zip(table["order_id"].to_pylist(), drawn, strict=True)), [])
        beyond = draw_beyond(rng, policy, orders)
        score = partial(
            score_batch, model=model, predictor=predictor, policy=policy, lang="en", history_version=7, desk=desk,
            beyond=beyond,
        )  # fmt: skip
        shared = None if policy.capacity is None else draw_shared_pace(rng, decider, orders)
        together = score(table, arrays, rows, pace=shared)
        for at, ((one, matrix), standing) in enumerate(zip(orders, drawn, strict=True)):
            pace, scored, row = shared, together, at
            if shared is not None and at % ALONE == 0:  # the last slots are those of one order
                pace, row = draw_pace(rng, decider, one, matrix), 0
                scored = score(table.slice(at, 1), arrays.take(np.array([at])), matrix, pace=pace)

            decided = decider.decide(one, matrix, pace, standing, beyond=beyond.get(one.order_id, ()))

            expected = scored.build_decision(row)
            assert list_all(decided.decision) == list_all(expected), (policy, decided.decision, expected)
            assert decided.takes_slot == bool(scored.takes_slot[row])
            is_handed_on = scored.actions[row] != 0 and scored.standings[row] == Standing.NEW
            assert decided.is_handed_on == is_handed_on
            seen["test order"] += one.kept.order_name.startswith(PREFIX) and policy.allow_test_orders
            seen[str(expected.action)] += 1
            seen.update(
                code.partition("_")[0] if not code.startswith("capacity") else code for code in expected.applied
            )
            seen["named"] += expected.kind in set(MaliceKind)
    return seen


if __name__ == "__main__":
    sys.stdout.write(f"{dict(run(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))}\n")
