"""Nights replayed on a foreign world: what served, and what it did beside the starter alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.entities import Key, key_events
from ordervet.features import build_spec
from ordervet.history import History
from ordervet.lab.foreign import build_foreign_world, draw_foreign_settings
from ordervet.lab.past_nights import PLAIN, STANDING_RATE, replay_nights, sum_up_groups, sum_up_nights, sum_up_rings
from ordervet.learn.labels import DAY_US
from ordervet.learn.night_settings import GateBounds, Learning, Maturity, NightSettings
from ordervet.model import FitSettings, load_starter
from ordervet.reports.nights import build_nights_page

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.foreign import ForeignWorld

KEY = Key(bytes(range(16)))
SETTINGS = NightSettings(
    maturity=Maturity(order_days=10.0),
    learning=Learning(n_folds=2),
    gates=GateBounds(lookalike_orders=0, max_us_per_order=1e6, n_draws=50),
    fit=FitSettings(num_rounds=40, num_leaves=8),
)


@pytest.fixture(scope="module")
def world() -> ForeignWorld:
    return build_foreign_world(draw_foreign_settings(3, n_orders=6_000, n_days=90))


def test_foreign_world_is_the_same_again_and_another_for_another_seed(world: ForeignWorld) -> None:
    again = build_foreign_world(world.settings)
    other = build_foreign_world(draw_foreign_settings(4, n_orders=600))

    assert again.events.orders.equals(world.events.orders)
    assert again.events.verdicts.equals(world.events.verdicts)
    assert (again.is_malicious == world.is_malicious).all()
    assert other.settings.base_rate != world.settings.base_rate


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_foreign_world_is_what_its_settings_say(seed: int) -> None:
    told = draw_foreign_settings(seed, n_orders=4_000)
    made = build_foreign_world(told)

    orders, verdicts = made.events.orders, made.events.verdicts
    assert made.is_malicious.mean() == pytest.approx(told.base_rate, rel=0.35)
    for name in told.lacking:
        assert orders[name].null_count == orders.num_rows
    judged = set(verdicts["order_id"].to_pylist())
    is_judged = np.array([each in judged for each in orders["order_id"].to_pylist()])
    assert is_judged[made.is_malicious].mean() == pytest.approx(told.judged_share, abs=0.25)
    assert is_judged[~made.is_malicious].mean() < 0.03


def test_nights_tell_what_served_and_how_it_did_beside_the_starter(world: ForeignWorld, tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", KEY, create=True)
    history.ingest(world.events)
    keyed = key_events(world.events, KEY)
    truth = dict(zip(keyed.orders["id__order"].to_pylist(), world.is_malicious.tolist(), strict=True))
    start_us = int(world.events.orders["seen_at"].cast("int64").to_numpy().min())
    cut_offs = [start_us + day * DAY_US for day in (12, 60, 75)]

    nights = replay_nights(history, cut_offs, build_spec(), settings=SETTINGS, truth=truth)

    early, *later = nights
    assert (early.outcome, early.own_share) == ("waiting", 0.0)
    assert "malicious" in early.missing
    assert replace(early.serving, standing_rate=0.0) == replace(early.starter, standing_rate=0.0)
    assert all(each.n_malicious > 0 for each in later)
    innocents = [sum(each.n_orders for each in night.groups.values()) for night in nights]
    assert all(n >= night.n_orders - night.n_malicious for n, night in zip(innocents, nights, strict=True))
    assert {"family", "wholesale"} <= set(sum_up_groups(nights))
    assert all(group.serving == group.starter for group in early.groups.values())
    plain = [night.groups[PLAIN] for night in nights]
    assert [group.expected for group in plain] == pytest.approx([group.serving for group in plain])
    assert all(set(night.not_decided) <= set(night.refused_by) for night in nights)
    assert np.isnan([early.challenger_share, early.challenger_ap]).all()
    assert all(night.refused_by and 0 < night.challenger_share <= 1 for night in later)
    assert all(0 < night.challenger_ap <= 1 and night.challenger_ap != night.starter.ap for night in later)
    rings = sum_up_rings(nights)
    page = build_nights_page(
        [each.as_dict() for each in nights], sum_up_nights(nights), rings, is_simulated=True, lang="en"
    )
    weekly = [night.rings[0] for night in nights]
    assert rings["rings"][0]["n_rings"] == sum(row.n_rings for row in weekly) > 0
    assert all(row.n_orders <= night.n_malicious for row, night in zip(weekly, nights, strict=True))
    assert early.rings == early.starter_rings
    assert "shared private doors" in page
    summed = sum_up_nights(nights)
    assert summed["nights"] == 3
    assert summed["mean_standing_rate"] == pytest.approx(STANDING_RATE, rel=0.35)
    assert summed["mean_ap"] >= summed["mean_starter_ap"] - 0.01
    seen_at = world.events.orders["seen_at"].cast("int64").to_numpy()
    within = (seen_at >= cut_offs[1]) & (seen_at < cut_offs[1] + 7 * DAY_US)
    assert (later[0].n_orders, later[0].n_malicious) == (within.sum(), world.is_malicious[within].sum())
    assert load_starter().model_id != early.model_id  # the starter serves with a scale of the merchant's own
