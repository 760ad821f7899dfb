"""One order decided about alone gets what it gets in a table of one, whatever the policy."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from order_arrays import build_order_arrays, build_order_table

from ordervet.contract import Order, OrderStatus
from ordervet.entities import Key
from ordervet.model import ForestPredictor, find_live_model, load_model
from ordervet.policy import Action, load_policy
from ordervet.policy.policy import parse_policy
from ordervet.score import find_bundled_models, score_batch
from ordervet.score.live_decision import LiveDecider
from ordervet.score.live_order import LiveOrderReader
from policy_parity import run as compare_policies

if TYPE_CHECKING:
    from ordervet.policy import Decision, Lang

MODEL = load_model(find_live_model(find_bundled_models()))
PREDICTOR = ForestPredictor(MODEL.booster_text)
READER = LiveOrderReader(Key(bytes(16)))

ACTIONS = """
[actions]
low = "pass"
elevated = "review"
high = "confirm"
severe = "hold"
"""
LOW_CUTS = '[bands]\nby = "explicit"\nelevated = 0.001\nhigh = 0.01\nsevere = 0.2\n'
HEAD = 'protocol = 1\nname = "test"\n'
POLICIES = {
    "default": None,
    "low cuts": HEAD + LOW_CUTS + ACTIONS,
    "much evidence": HEAD + LOW_CUTS + ACTIONS + "[evidence]\nmin_orders = 1000\n",
    "no evidence": HEAD + LOW_CUTS + ACTIONS + "[evidence]\nmin_orders = 0\n",
    "everything reviewed": HEAD + LOW_CUTS + ACTIONS.replace('"pass"', '"review"'),
    "elevated passes": HEAD + LOW_CUTS + ACTIONS.replace('"review"', '"pass"'),
    "kinds pass": HEAD
    + LOW_CUTS
    + ACTIONS
    + "".join(ACTIONS.replace("[actions]", f"[kinds.{kind}]") for kind in ("scalping", "stolen_payment"))
    .replace('"review"', '"pass"')
    .replace('"confirm"', '"pass"'),
    "expected cost": HEAD
    + '[bands]\nby = "expected_cost"\nminute_minor = 50\n'
    + "".join(
        f"[bands.{band}]\nminutes = {minutes}.0\ncatch_share = {share}\nannoyance_minor = {annoyance}\n"
        for band, minutes, share, annoyance in (("elevated", 1, 0.5, 0), ("high", 3, 0.8, 50), ("severe", 5, 0.9, 400))
    )
    + ACTIONS,
}


def draw_rows(n: int, seed: int) -> np.ndarray:
    """Draw features beside the forest's own thresholds, so that scores spread."""
    forest, rng = PREDICTOR._forest, np.random.default_rng(seed)
    rows = np.abs(rng.normal(scale=4, size=(n, forest.n_features))).astype(np.float32)
    for feature in np.unique(forest.feature):
        rows[:, feature] = rng.choice(forest.threshold[forest.feature == feature], n)
    rows[rng.random(rows.shape) < rng.random((n, 1))] = np.nan
    return rows


def list_reasons(decision: Decision) -> list[str]:
    """Tell all of the reasons, also what plays no part in comparing two."""
    return [repr(dataclasses.astuple(reason)) for reason in decision.reasons]


@pytest.mark.parametrize(("name", "lang"), list(zip(POLICIES, itertools.cycle(("zh", "en")), strict=False)))
def test_order_alone_is_decided_about_as_in_a_table(name: str, lang: Lang) -> None:
    text = POLICIES[name]
    policy = load_policy() if text is None else parse_policy(text)
    decider = LiveDecider(MODEL, PREDICTOR, policy, lang, 7)
    actions = set()

    for n, row in enumerate(draw_rows(80, len(name))):
        order = Order.model_validate(
            {"order_id": f"T{n}", "placed_at": "2025-11-11 20:00", "amount_minor": 1_000 * n, "phone": "139****1234",
             "status": [None, *OrderStatus][n % 5]}
        )  # fmt: skip
        one, matrix = READER.read(order, 1_762_862_400_000_000 + n), row.reshape(1, -1)
        expected = score_batch(
            build_order_table(one), build_order_arrays(one, MODEL.spec), matrix, model=MODEL, predictor=PREDICTOR,
            policy=policy, lang=lang, history_version=7,
        ).build_decision(0)  # fmt: skip

        decision = decider.decide(one, matrix).decision

        assert decision == expected
        assert list_reasons(decision) == list_reasons(expected)
        assert decision.history_version == expected.history_version
        actions.add(decision.action)
    assert Action.PASS in actions or name == "everything reviewed"
    assert len(actions) > 1


def test_order_alone_is_decided_about_as_in_a_table_under_random_policies() -> None:
    seen = compare_policies(n_policies=40, n_orders=12, seed=7)

    wanted = {
        "pass",
        "review",
        "confirm",
        "hold",
        "rule",
        "deny",
        "watch",
        "allow",
        "named",
        "test order",
        "trust",
        "quota",
    }
    assert wanted | {"capacity_full", "capacity_beyond", "desk"} <= set(seen)
