from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.entities import Key, key_events
from ordervet.features import build_spec
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.night_settings import GateBounds
from ordervet.learn.train import check_learned, find_own_columns, learn_model, prepare
from ordervet.model import FitSettings
from ordervet.reports import build_card

if TYPE_CHECKING:
    from ordervet.contract import Events
    from ordervet.learn.train import Learned

NAMES = (
    "order__value__amount",
    "order__value__discount_share",
    "phone__distinct__buyer__90d",
    "buyer__count__order__90d",
)
SPEC = build_spec(use_defaults=False, names=NAMES)
QUICK = FitSettings(num_rounds=10, min_data_in_leaf=10)


@pytest.fixture(scope="module")
def merchants() -> list[Events]:
    """Two merchants whose orders, buyers and phones have the same ids."""
    return [simulate(SimulationSettings(n_orders=4_000, malicious_share=0.1, seed=seed)).events for seed in (1, 2)]


@pytest.fixture(scope="module")
def learned(merchants: list[Events]) -> Learned:
    return learn_model(merchants, SPEC, QUICK)


def test_each_merchants_history_is_its_own(merchants: list[Events], learned: Learned) -> None:
    alone = [prepare(each, SPEC, maturity_days=30).pick_labelled() for each in merchants]
    expected = np.concatenate([each.features for each in alone])

    together = np.concatenate([learned.older.features, learned.newest.features])

    assert sorted(map(bytes, together)) == sorted(map(bytes, expected))


def test_orders_that_were_prepared_before_make_the_same_model(merchants: list[Events], learned: Learned) -> None:
    prepared = [prepare(each, SPEC, maturity_days=30) for each in merchants]

    assert learn_model(prepared, SPEC, QUICK).model.model_id == learned.model.model_id


def test_newest_orders_are_held_out_with_their_buyers_and_amounts(learned: Learned) -> None:
    assert learned.older.seen_at.max() < learned.newest.seen_at.min()
    assert len(learned.buyer) == len(learned.newest)
    assert (learned.amount_minor == np.rint(learned.newest.features[:, 0])).all()


def test_manifest_counts_the_orders_of_all_merchants(learned: Learned) -> None:
    assert learned.model.origin["n_orders"] == 8_000
    assert learned.model.origin["n_labelled"] == len(learned.older) + len(learned.newest)


def test_kinds_of_every_merchant_are_learned(merchants: list[Events], learned: Learned) -> None:
    alone = learn_model(merchants[:1], SPEC, QUICK)

    n_alone, n_together = (each.model.metrics["kinds"]["n_orders"] for each in (alone, learned))

    assert learned.model.kinds is not None
    assert 0 < n_alone < n_together


def test_own_columns_are_found_where_there_are_others() -> None:
    mixed = find_own_columns(("order__value__amount", "buyer__age__order", "order__is__office"))

    assert mixed is not None
    assert mixed.tolist() == [0, 2]
    assert find_own_columns(("buyer__age__order",)) is None
    assert find_own_columns(("order__value__amount",)) is None


def test_figures_do_not_depend_on_the_key(merchants: list[Events]) -> None:
    found = []
    for at in (0, 1):
        learned = learn_model([key_events(merchants[0], Key(bytes([at] * 16)))], SPEC, QUICK)
        checked = check_learned(learned, QUICK, GateBounds(n_draws=50), seed=1, n_threads=1)
        found.append((learned.model.booster_text, learned.model.metrics, checked))

    assert found[0] == found[1]


def test_trust_does_not_rest_on_made_up_orders(merchants: list[Events], learned: Learned) -> None:
    made_up = learn_model(merchants[:1], SPEC, QUICK, origin={"is_simulated": True})

    assert "trust" in learned.model.metrics
    assert "trust" not in made_up.model.metrics
    table = "| probability at most | orders | buyers | malicious | upper bound |"
    assert (table in build_card(learned.model)) == (learned.model.metrics["trust"] is not None)
    assert table not in build_card(made_up.model)
