"""A desk that judges only what was flagged: what it sees, what it misses, and what an audit says of that."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.entities import Key
from ordervet.features import build_spec
from ordervet.lab.flagged_desk import DeskSettings, People, live_through
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


@pytest.mark.parametrize("sees_everything", [False, True])
def test_order_is_judged_once_after_it_drew_attention(world: ForeignWorld, sees_everything: bool) -> None:
    desk = DeskSettings(sees_everything=sees_everything, error_rate=0.0)
    people = People.hire(world.events, world.is_malicious, desk)
    every = np.arange(len(world.is_malicious))
    day_us = int(people.placed_us.max())

    flagged = people.judge(every[::2], people.placed_us[::2], not_before_us=day_us)
    shown = people.judge(*people.find_what_shows(every), not_before_us=0)
    again = people.judge(every[::2], people.placed_us[::2], not_before_us=0)

    assert flagged["decided_at"].cast("int64").to_numpy().min() >= day_us
    assert (flagged["verdict"].to_numpy() == np.where(world.is_malicious[::2], "malicious", "innocent")).all()
    assert len(again) == 0
    assert len(shown) == (world.is_malicious[1::2].sum() if sees_everything else 0)
    assert (people.is_judged == ((every % 2 == 0) | (world.is_malicious & sees_everything))).all()


def test_malice_that_nobody_flagged_shows_at_its_first_bad_outcome(world: ForeignWorld) -> None:
    people = People.hire(world.events, world.is_malicious, DeskSettings(sees_everything=True))
    first: dict[str, int] = {}
    for outcome in world.events.outcomes.to_pylist():
        if outcome["kind"] != "fulfilled":
            at_us = round(outcome["seen_at"].timestamp() * 1_000_000)
            first[outcome["order_id"]] = min(first.get(outcome["order_id"], at_us), at_us)

    rows, shows_us = people.find_what_shows(np.arange(len(world.is_malicious)))

    assert (rows == np.flatnonzero(world.is_malicious)).all()
    names = world.events.orders["order_id"].to_pylist()
    assert [first.get(names[row], int(people.placed_us[row])) for row in rows] == shows_us.tolist()
    assert 0 < (shows_us > people.placed_us[rows]).sum() < len(rows)
    verdicts = people.judge(rows, shows_us, not_before_us=0)
    assert (verdicts["decided_at"].cast("int64").to_numpy() > shows_us).all()


def test_requests_are_judged_where_they_are_not_paid_at_once(world: ForeignWorld) -> None:
    found = {
        each: [stretch.n_known for stretch in live(world, DeskSettings(judges_requests=each, error_rate=0.0))]
        for each in (False, True)
    }

    assert sum(found[True]) > sum(found[False])
