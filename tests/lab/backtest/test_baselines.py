from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.features import FeatureEngine, build_order_events, build_spec
from ordervet.lab.backtest.baselines import (
    MIN_ORDERS,
    NAMES,
    measure_best_count,
    measure_families,
    measure_history_gain,
    name_family,
    score_by_points,
)
from ordervet.learn.evaluation import TestOrders
from ordervet.learn.train import prepare
from ordervet.model import TrainingSet
from ordervet.reports.backtest import describe_baselines

if TYPE_CHECKING:
    from ordervet.contract import Events

ONE = build_spec(use_defaults=False, names=("order__value__amount",))


@pytest.fixture(scope="module")
def points_and_features(merchant: Events) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    prepared = prepare(merchant, ONE, maturity_days=30)
    spec = build_spec(use_defaults=False, names=NAMES)
    features = FeatureEngine(spec).advance(build_order_events(prepared.keyed.orders, spec), prepared.later)
    return score_by_points(prepared), dict(zip(spec.names, np.nan_to_num(features).T, strict=True))


def test_newcomer_at_a_door_of_their_own_has_no_points(points_and_features) -> None:
    points, features = points_and_features

    nothing = (features["buyer__count__order__90d"] < MIN_ORDERS) & (features["address__distinct__buyer__30d"] < 2)

    assert nothing.sum() > 1_000
    assert set(points[nothing & (features["buyer__count__malicious__90d"] == 0)]) == {0.0}


def test_heavy_refunder_has_points_from_the_third_order_on(points_and_features) -> None:
    points, features = points_and_features
    n_orders, n_refunds = features["buyer__count__order__90d"], features["buyer__count__refund_requested__90d"]

    is_heavy = (n_refunds > 0.5 * n_orders) & (n_orders >= MIN_ORDERS)

    assert is_heavy.sum() > 5
    assert (points[is_heavy] >= 40).all()


def test_points_are_the_same_on_two_threads(merchant: Events, points_and_features) -> None:
    again = score_by_points(prepare(merchant, ONE, maturity_days=30), n_jobs=2)

    assert again.tolist() == points_and_features[0].tolist()


@pytest.mark.parametrize(
    ("feature", "family"),
    [
        ("order__value__amount", "order"),
        ("buyer__count__order__30d", "buyer"),
        ("place__distinct__buyer__30d", "places"),
        ("device__age__order", "phones, devices, payments"),
        ("item__share__refund_requested__30d", "item, channel, shop"),
        ("item__share__malicious__30d", "verdicts"),
        ("terminal__count__order__1d", "terminal"),
        ("terminal__run_age__malicious__90d", "runs of verdicts"),
        ("terminal__recency__innocent__90d", "runs of verdicts"),
        ("buyer__spikes__amount__7d", "spikes of amounts"),
    ],
)
def test_every_feature_belongs_to_a_family(feature: str, family: str) -> None:
    assert name_family(feature) == family


def test_ablation_finds_the_family_that_matters() -> None:
    rng = np.random.default_rng(0)
    names = ("order__value__amount", "buyer__count__order__30d", "buyer__age__order", "item__count__order__1d")
    features = rng.normal(size=(3_000, 4)).astype(np.float32)
    is_bad = features[:, 1] + features[:, 2] + rng.normal(size=3_000) > 2
    train = TrainingSet(features[:1_500], is_bad[:1_500], np.arange(1_500))
    tested = TestOrders(
        features[1_500:, 0].astype(np.float64), None, is_bad[1_500:], np.ones(1_500, np.int64),
        np.zeros(1_500, np.int64), np.arange(1_500),
    )  # fmt: skip

    def add_up(train: TrainingSet, test: np.ndarray, kept: tuple[str, ...]) -> np.ndarray:
        assert train.features.shape[1] == test.shape[1] == len(kept)
        return test[:, [name.startswith("buyer") for name in kept]].sum(axis=1).astype(np.float64)

    rows = {row["family"]: row for row in measure_families(train, features[1_500:], names, tested, add_up)}

    assert [row["n_features"] for row in rows.values()] == [1, 2, 1]
    assert rows["buyer"]["ap_change"]["high"] < -0.2
    assert rows["order"]["ap_change"] == {"value": 0.0, "low": 0.0, "high": 0.0}


COLUMNS = ("order__value__amount", "buyer__count__order__30d", "device__distinct__buyer__1d", "buyer__age__order")
N_TRAIN = 2_000


def draw(weights: tuple[float, ...], seed: int = 0) -> tuple[TrainingSet, np.ndarray, TestOrders]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(4_000, 4)).astype(np.float32)
    is_bad = features @ np.array(weights) + rng.normal(size=4_000) > 1
    train = TrainingSet(features[:N_TRAIN], is_bad[:N_TRAIN], np.arange(N_TRAIN))
    test = features[N_TRAIN:]
    n = len(test)
    tested = TestOrders(
        add_up(weights, test, COLUMNS),
        None,
        is_bad[N_TRAIN:],
        np.ones(n, np.int64),
        np.zeros(n, np.int64),
        np.arange(n),
    )
    return train, test, tested


def add_up(weights: tuple[float, ...], features: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    kept = [weight for name, weight in zip(COLUMNS, weights, strict=True) if name in names]
    return (features @ np.array(kept)).astype(np.float64)


def test_best_count_is_chosen_on_the_train_part_in_its_own_direction() -> None:
    train, test, tested = draw((2.0, 0.3, -1.0, 3.0))

    best = measure_best_count(train, test, COLUMNS, tested)

    assert best is not None
    assert (best["feature"], best["is_upwards"]) == ("device__distinct__buyer__1d", False)
    assert best["auc"]["value"] > 0.55
    assert best["auc_gain"]["low"] > 0.1


def test_no_count_is_no_baseline() -> None:
    train, test, tested = draw((1.0, 0.0, 0.0, 0.0))

    assert measure_best_count(train, test, ("order__value__amount", "a__age__order", "b__age__order", "c__age__order"),
                              tested) is None  # fmt: skip


@pytest.mark.parametrize(("weights", "has_skill"), [((1.0, 1.0, 0.0, 1.0), True), ((2.0, 0.0, 0.0, 0.0), False)])
def test_skill_is_what_the_history_adds(weights: tuple[float, ...], has_skill: bool) -> None:
    train, test, tested = draw(weights)

    def fit(part: TrainingSet, features: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        assert part.features.shape[1] == len(names)
        noise = np.random.default_rng(len(names)).normal(size=len(features)) * 1e-6
        return add_up(weights, features, names) + noise

    gain = measure_history_gain(train, test, COLUMNS, tested, fit)

    assert gain is not None
    assert gain["has_skill"] is has_skill
    said = describe_baselines({"best_count": None, "history_gain": gain}, "en")
    assert ("the history helps" in said[0]) is has_skill
    assert ("no skill beyond chance" in said[0]) is not has_skill


def test_history_gain_needs_columns_of_both_sorts() -> None:
    train, test, tested = draw((1.0, 0.0, 0.0, 0.0))

    names = tuple(name.replace("order__value", "item__sum") for name in COLUMNS)
    assert measure_history_gain(train, test, names, tested, lambda *_: tested.raw) is None
