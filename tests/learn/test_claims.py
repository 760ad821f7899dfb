from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.errors import ModelError
from ordervet.features import build_spec
from ordervet.features.claim_features import CLAIM_NAMES, ITEM_NAMES, build_claim_spec
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.claim_training import (
    find_faulty,
    fit_claims,
    measure_claims,
    replay_requests,
    score_orders_across_time,
)
from ordervet.learn.train import learn_model, prepare
from ordervet.model import FitSettings, ForestPredictor, TrainingSet, load_model, save_model
from ordervet.model.fit import split_by_time
from ordervet.reports import build_card

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.learn.train import Learned

SPEC = build_spec(
    use_defaults=False,
    names=("order__value__amount", "phone__distinct__buyer__90d", "device__distinct__buyer__90d", "buyer__age__order"),
)
QUICK = FitSettings(num_rounds=20, min_data_in_leaf=10)
NAMES = (*build_claim_spec(SPEC).names, *CLAIM_NAMES)


@pytest.fixture(scope="module")
def learned() -> Learned:
    merchant = simulate(SimulationSettings(n_orders=6_000, malicious_share=0.15, seed=3)).events
    return learn_model([merchant], SPEC, QUICK)


def test_model_of_claims_ranks_requests_by_their_orders_and_by_themselves(learned: Learned) -> None:
    measured = learned.model.metrics["claims"]
    merchant = simulate(SimulationSettings(n_orders=3_000, malicious_share=0.15, seed=4)).events
    prepared = prepare(merchant, SPEC, maturity_days=30)
    p = learned.model.calibration(ForestPredictor(learned.model.booster_text).predict_raw(prepared.features))
    requests = replay_requests(prepared, SPEC).build_training_set(p)
    blurred = requests.features.copy()
    own = slice(len(SPEC.names), -1)
    blurred[:, own] = blurred[np.random.default_rng(1).permutation(len(blurred)), own]

    found = measure_claims(learned.model.claims, requests, SPEC)

    assert measured["n_orders"] > 100
    assert measured["auc"] > 0.8
    assert found["ap"] > 2 * requests.is_malicious.mean()
    assert found["ap"] > measure_claims(learned.model.claims, replace(requests, features=blurred), SPEC)["ap"]


def test_card_tells_of_requests(learned: Learned) -> None:
    assert f"{learned.model.metrics['claims']['n_orders']:,} refund requests" in build_card(learned.model)
    without = replace(learned.model, metrics={**learned.model.metrics, "claims": None})
    assert "refund requests" not in build_card(without)


def test_model_of_claims_is_kept_and_scores_to_the_same_bits(learned: Learned, tmp_path: Path) -> None:
    folder = save_model(learned.model, tmp_path, card="")
    rows = np.random.default_rng(5).normal(size=(50, len(NAMES))).astype(np.float32)

    back = load_model(folder)

    assert back.model_id == learned.model.model_id
    assert (back.claims.predict(rows) == learned.model.claims.predict(rows)).all()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("claim__says__damaged", "claim__says__damage", "about other features than this version"),
        ('"calibration"', '"calibratoin"', "its manifest is damaged"),
    ],
)
def test_model_of_claims_of_another_version_is_refused(
    learned: Learned, tmp_path: Path, before: str, after: str, said: str
) -> None:
    folder = save_model(learned.model, tmp_path, card="")
    manifest = folder / "manifest.json"
    head, claims, rest = manifest.read_text("utf-8").partition('"claims"')
    manifest.write_text(head + claims + rest.replace(before, after, 1), "utf-8")

    with pytest.raises(ModelError, match=said):
        load_model(folder)


def test_text_of_another_model_of_claims_is_refused(learned: Learned, tmp_path: Path) -> None:
    folder = save_model(learned.model, tmp_path, card="")
    text = (folder / "claims.txt").read_text("utf-8")
    (folder / "claims.txt").write_text(text.replace("leaf_value=0", "leaf_value=1", 1), "utf-8")
    with pytest.raises(ModelError, match="its content gives"):
        load_model(folder)
    (folder / "claims.txt").write_text(learned.model.booster_text, "utf-8")
    with pytest.raises(ModelError):
        load_model(folder)
    (folder / "claims.txt").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)


def test_orders_are_given_what_trees_of_the_other_half_of_the_time_give(learned: Learned) -> None:
    orders = learned.older
    found = score_orders_across_time(orders, SPEC.names, QUICK)
    middle = np.sort(orders.seen_at)[len(orders) // 2]
    changed = orders.is_malicious.copy()
    late = np.flatnonzero(orders.seen_at >= middle)
    changed[late] = np.random.default_rng(1).permutation(changed[late])

    again = score_orders_across_time(replace(orders, is_malicious=changed), SPEC.names, QUICK)

    assert not np.isnan(found).any()
    assert (
        again[orders.seen_at < middle] != found[orders.seen_at < middle]
    ).any()  # the late half teaches the early one
    ranks = [np.argsort(np.argsort(each[late], kind="stable"), kind="stable") for each in (found, again)]
    assert np.corrcoef(*ranks)[0, 1] > 0.5  # and nothing of itself but the calibration


def test_trees_about_requests_are_moved_to_other_features_of_the_order(learned: Learned) -> None:
    model = learned.model.claims
    other = replace(SPEC, names=("order__value__quantity", *SPEC.names[::-1], ITEM_NAMES[1]))
    rows = np.random.default_rng(5).normal(size=(50, len(NAMES))).astype(np.float32)
    own, item, request = np.split(rows, [len(SPEC.names), len(SPEC.names) + len(ITEM_NAMES)], axis=1)
    none = np.full((50, 1), np.nan, np.float32)

    moved = model.move(other)

    wide = np.ascontiguousarray(np.hstack([none, own[:, ::-1], item[:, ::-1], request]))
    assert (moved.predict(wide) == model.predict(rows)).all()
    assert model.move(replace(SPEC, names=SPEC.names[1:])) is None


def test_more_requests_of_others_and_more_faults_of_the_shop_hold_nothing_more_against_a_request(
    learned: Learned,
) -> None:
    rows = np.random.default_rng(6).normal(size=(500, len(NAMES))).astype(np.float32)

    for name in (*ITEM_NAMES, "claim__is__seller_fault"):
        at = NAMES.index(name)
        by_share = []
        for share in np.linspace(0, 1, 21, dtype=np.float32):
            rows[:, at] = share
            by_share.append(learned.model.claims.predict(rows))
        assert (np.diff(by_share, axis=0) <= 0).all()


def test_faulty_goods_are_told_by_requests_for_money_alone_of_others() -> None:
    rows = np.zeros((4, len(NAMES)), np.float32)
    rows[:, NAMES.index(ITEM_NAMES[0])] = (0.01, 0.2, 0.2, np.nan)
    rows[:, NAMES.index("claim__is__refund_only")] = (1, 1, 0, 1)

    assert find_faulty(rows, SPEC).tolist() == [False, True, False, False]
    assert not find_faulty(rows, replace(SPEC, entities=("buyer", "phone", "device"))).any()


def test_too_few_requests_give_no_model() -> None:
    rng = np.random.default_rng(2)
    n = 200
    few = TrainingSet(rng.normal(size=(n, 2)).astype(np.float32), np.arange(n) % 20 == 0, np.arange(n))
    assert fit_claims(few, SPEC, QUICK) is None

    merchant = simulate(SimulationSettings(n_orders=500, seed=3)).events
    prepared = prepare(merchant, SPEC, maturity_days=30)
    requests = replay_requests(prepared, SPEC)
    assert requests.features.shape == (len(requests.claims), len(SPEC.names) + len(ITEM_NAMES))
    assert (requests.label == prepared.label[requests.row]).all()
    assert np.isnan(score_orders_across_time(requests.build_training_set(np.zeros(500)), SPEC.names, QUICK)).all()


def test_measures_of_one_kind_of_request_alone_say_what_is_missing(learned: Learned) -> None:
    honest = TrainingSet(np.zeros((5, len(NAMES)), np.float32), np.zeros(5, bool), np.arange(5))

    malicious = replace(honest, is_malicious=np.ones(5, bool))
    assert measure_claims(learned.model.claims, honest, SPEC)["malicious_paid"] is None
    assert measure_claims(learned.model.claims, malicious, SPEC)["honest_paid"] is None


def test_trees_beside_others_are_a_sum_that_ranks_at_least_as_well_as_the_new_ones_alone(learned: Learned) -> None:
    merchant = simulate(SimulationSettings(n_orders=3_000, malicious_share=0.15, seed=4)).events
    prepared = prepare(merchant, SPEC, maturity_days=30)
    p = learned.model.calibration(ForestPredictor(learned.model.booster_text).predict_raw(prepared.features))
    requests = replay_requests(prepared, SPEC).build_training_set(p)
    beside = learned.model.claims

    both, alone = fit_claims(requests, SPEC, QUICK, beside=beside), fit_claims(requests, SPEC, QUICK)

    _, newer = split_by_time(requests.sort(), 0.7)
    ap = {name: measure_claims(each, newer, SPEC)["ap"] for name, each in (("both", both), ("alone", alone))}
    assert ap["both"] >= ap["alone"]
    assert both.booster_text != alone.booster_text
    paid = [(each.predict(newer.features) < 0.02).mean() for each in (both, beside)]
    assert paid[0] >= paid[1] - 2 / len(newer)
    assert both.booster_text == fit_claims(requests, SPEC, QUICK, beside=beside).booster_text
