"""A running scorer and the models of its folder: a new one is taken over between orders, a challenger only watches."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import astuple, fields
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from ordervet import Scorer
from ordervet.errors import ModelError, PolicyError
from ordervet.features import build_spec
from ordervet.learn.train import learn_model
from ordervet.model import FitSettings, promote_model, rollback_model, save_model
from ordervet.policy import load_policy
from ordervet.score.shadow import SHADOW_NAME, ShadowLog, ShadowRecord, compare_shadow

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events
    from ordervet.model import Model

N_SWAPS = 50
SMALL = FitSettings(num_rounds=5, num_leaves=4, min_data_in_leaf=20)
NAMES = ("order__value__{amount,discount_share,account_age_days}", "buyer__count__order__{1d,90d}")


@pytest.fixture(scope="module")
def pair(merchant: Events) -> list[Model]:
    """Two models with the same features, and other trees."""
    spec = build_spec(use_defaults=False, names=NAMES)
    settings = [SMALL, SMALL.model_copy(update={"num_rounds": 9})]
    return [learn_model([merchant], spec, each, origin={"is_simulated": True}).model for each in settings]


@pytest.fixture
def models(pair: list[Model], tmp_path: Path) -> Path:
    """Both models, of which the second serves after the first."""
    for model in pair:
        promote_model(tmp_path, save_model(model, tmp_path, card="card").name)
    return tmp_path


def list_orders(merchant: Events, n: int) -> list[dict[str, object]]:
    rows = merchant.orders.slice(0, n).to_pylist()
    return [{name: value for name, value in row.items() if name != "seen_at" and value is not None} for row in rows]


def clock_from(start: int = 1_762_000_000_000_000):
    ticks = iter(range(start, start + 10**9, 1_000_000))
    return lambda: next(ticks)


def test_no_order_is_unscored_or_scored_by_half_a_model_through_fifty_swaps(
    models: Path, pair: list[Model], merchant: Events
) -> None:
    orders = list_orders(merchant, 4 * N_SWAPS)
    scorer = Scorer.open(models, reload_every_s=0.0, clock=clock_from())
    fixed = {}
    for model in pair:
        alone = models / f"only-{model.model_id}"
        promote_model(alone, save_model(model, alone, card="card").name)
        with Scorer.open(alone, clock=clock_from()) as reference:
            fixed[model.model_id] = [reference.score(order) for order in orders]

    decisions = []
    for at, order in enumerate(orders):
        if at % 4 == 2:
            if (at // 4) % 2:
                promote_model(models, pair[1].model_id)
            else:
                rollback_model(models)
        decisions.append(scorer.score(order))

    assert {str(decision.code) for decision in decisions} == {"SCORED"}
    assert [decision.model_id for decision in decisions].count(pair[0].model_id) == len(orders) // 2
    for at, decision in enumerate(decisions):
        assert decision.p_malicious == fixed[str(decision.model_id)][at].p_malicious
        assert decision.risk_score == fixed[str(decision.model_id)][at].risk_score


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "pointer"])
def test_damaged_new_model_is_refused_and_the_old_one_goes_on(
    models: Path, pair: list[Model], merchant: Events, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    orders = list_orders(merchant, 4)
    rollback_model(models)
    scorer = Scorer.open(models, reload_every_s=0.0, clock=clock_from())
    promote_model(models, pair[1].model_id)
    path = models / pair[1].model_id / "model.txt"
    if damage == "pointer":
        (models / "live").write_text("m-nowhere\n")
    elif damage == "remove":
        shutil.rmtree(path.parent)
    else:
        text = path.read_text()
        path.write_text(text[: len(text) // 2] if damage == "cut" else text.replace("leaf_value=", "leaf_value=9", 1))

    decisions = [scorer.score(order) for order in orders]

    assert {(decision.model_id, str(decision.code)) for decision in decisions} == {(pair[0].model_id, "SCORED")}
    assert caplog.records


def test_new_model_with_other_features_sees_what_the_old_one_remembered(models: Path, merchant: Events) -> None:
    orders = list_orders(merchant, 6)
    spec = build_spec(use_defaults=False, names=(*NAMES, "item__count__order__1d"))
    other = learn_model([merchant], spec, SMALL, origin={}).model
    folder = save_model(other, models, card="card")
    scorer = Scorer.open(models, reload_every_s=0.0, clock=clock_from())
    before = [scorer.score(order) for order in orders[:3]]

    promote_model(models, folder.name)
    after = [scorer.score(order) for order in orders[3:]]

    assert {decision.model_id for decision in before} != {decision.model_id for decision in after}
    alone = models / "alone"
    promote_model(alone, save_model(other, alone, card="card").name)
    with Scorer.open(alone, clock=clock_from()) as reference:
        expected = [reference.score(order) for order in orders][3:]
    assert [decision.p_malicious for decision in after] == [decision.p_malicious for decision in expected]


def test_changed_policy_decides_once_it_is_looked_for_and_one_that_is_wrong_changes_nothing(
    models: Path, merchant: Events, tmp_path: Path
) -> None:
    first, second, third = list_orders(merchant, 3)
    file = tmp_path / "policy.toml"
    shipped = resources.files("ordervet.policy").joinpath("default_policy.toml").read_text(encoding="utf-8")
    file.write_text(shipped, encoding="utf-8")
    with Scorer.open(models, policy=file, clock=clock_from()) as scorer:
        before = scorer.score(first)
        unchanged = scorer.reload_if_changed()
        file.write_text(re.sub(r"min_orders = \d+", "min_orders = 77", shipped), encoding="utf-8")
        changed = scorer.reload_if_changed()
        after = scorer.score(second)
        file.write_text("protocol = 1", encoding="utf-8")
        with pytest.raises(PolicyError):
            scorer.reload_if_changed()
        still = scorer.score(third)

    assert (unchanged, changed) == (False, True)
    assert before.policy_id == load_policy().policy_id
    assert after.policy_id == still.policy_id != before.policy_id
    assert before.model_id == after.model_id


def test_challenger_decides_nothing_and_both_answers_are_recorded(
    models: Path, pair: list[Model], merchant: Events
) -> None:
    orders = list_orders(merchant, 40)
    one_tick_later = clock_from(1_762_000_001_000_000)  # the clock was read for what is too old to keep
    with Scorer.open(models, clock=one_tick_later) as plain:
        expected = [plain.score(order) for order in orders]

    with Scorer.open(models, challenger=pair[0].model_id, clock=clock_from()) as scorer:
        decisions = [scorer.score(order) for order in orders[:30]] + scorer.score_many(orders[30:])

    assert decisions == expected
    with closing(sqlite3.connect(models / SHADOW_NAME)) as records:
        rows = records.execute("SELECT * FROM shadow ORDER BY seen_at").fetchall()
    assert {row[1:3] for row in rows} == {(pair[1].model_id, pair[0].model_id)}
    assert [row[3] for row in rows] == [decision.p_malicious for decision in expected]
    (compared,) = compare_shadow(models / SHADOW_NAME, among=[pair[0].model_id])
    assert compared["n_orders"] == 40
    assert compared["n_other_action"] == compared["n_stricter"] + compared["n_milder"]


def test_shadow_keeps_no_order_ids_that_an_older_version_wrote(tmp_path: Path) -> None:
    path = tmp_path / SHADOW_NAME
    record = ShadowRecord(1, "m-1", "m-2", 0.1, 0.9, 100, 800, "low", "high", "pass", "hold")
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(f"CREATE TABLE shadow (order_id, {', '.join(field.name for field in fields(ShadowRecord))})")
        old.execute(f"INSERT INTO shadow VALUES ('ORDER-1', {', '.join('?' * 11)})", astuple(record))

    log = ShadowLog(path)
    log.add([record])
    log.close()

    assert b"ORDER-1" not in path.read_bytes()
    assert compare_shadow(path, among=["m-1"])[0]["n_orders"] == 2


def test_challenger_whose_features_the_live_model_lacks_is_refused(models: Path, merchant: Events) -> None:
    other = learn_model(
        [merchant], build_spec(use_defaults=False, names=(*NAMES, "ip__age__order")), SMALL, origin={}
    ).model
    folder = save_model(other, models, card="card")

    with pytest.raises(ModelError, match=r"1 features that the live model .* lacks: ip__age__order"):
        Scorer.open(models, challenger=folder.name)
    with pytest.raises(ModelError, match="cannot be read"):
        Scorer.open(models, challenger="m-none")


def test_shadow_that_cannot_be_written_stops_no_order(models: Path, pair: list[Model], merchant: Events) -> None:
    orders = list_orders(merchant, 3)
    with Scorer.open(models, challenger=pair[0].model_id, clock=clock_from()) as scorer:
        with closing(sqlite3.connect(models / SHADOW_NAME)) as holder, holder:
            holder.execute("DROP TABLE shadow")
        decisions = [scorer.score(order) for order in orders]

    assert {str(decision.code) for decision in decisions} == {"SCORED"}


def test_model_that_cannot_be_told_from_the_live_one_is_no_challenger_of_itself(
    models: Path, pair: list[Model], merchant: Events
) -> None:
    with Scorer.open(models, challenger=pair[1].model_id, clock=clock_from()) as scorer:
        scorer.score(list_orders(merchant, 1)[0])

    assert compare_shadow(models / SHADOW_NAME, among=[pair[1].model_id]) == []
