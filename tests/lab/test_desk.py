"""A desk that judges only what was flagged: what it sees, what it misses, and what an audit says of that."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.entities import Key
from ordervet.features import build_spec
from ordervet.lab.flagged_desk import DeskSettings, live_through
from ordervet.lab.foreign import build_foreign_world, draw_foreign_settings
from ordervet.learn.labels import DAY_US
from ordervet.learn.night_settings import GateBounds, NightSettings

if TYPE_CHECKING:
    from ordervet.lab.flagged_desk import Stretch
    from ordervet.lab.foreign import ForeignWorld

SETTINGS = NightSettings(gates=GateBounds(lookalike_orders=0))


@pytest.fixture(scope="module")
def world() -> ForeignWorld:
    return build_foreign_world(draw_foreign_settings(3, n_orders=2_000, n_days=60))


def live(world: ForeignWorld, desk: DeskSettings) -> list[Stretch]:
    start_us = int(world.events.orders["seen_at"].cast("int64").to_numpy().min())
    cut_offs = [start_us + day * DAY_US for day in (25, 50)]
    spec = build_spec(use_defaults=False, names=("order__value__amount",))
    return live_through(
        world.events, world.is_malicious, cut_offs, spec, key=Key(bytes(range(16))), desk=desk, settings=SETTINGS
    )


def test_audit_of_a_desk_that_sees_what_was_flagged_estimates_what_it_misses(world: ForeignWorld) -> None:
    stretches = live(world, DeskSettings(audit_share=0.5, error_rate=0.0))

    assert stretches[0].outcome == "waiting"
    assert stretches[1].outcome in {"waiting", "rescaled"}
    assert all(later.as_of_us - each.as_of_us == 25 * DAY_US for each, later in pairwise(stretches))
    last = stretches[-1]
    assert last.audit is not None
    assert last.truly_missed > 10
    assert last.audit["missed_low"] <= last.truly_missed <= last.audit["missed_high"]


def test_desk_without_an_audit_knows_nothing_of_what_it_misses(world: ForeignWorld) -> None:
    stretches = live(world, DeskSettings())

    assert all(each.audit is None for each in stretches)
    assert sum(each.n_missed for each in stretches) > 0
    assert all(np.isfinite(each.ap) for each in stretches)
