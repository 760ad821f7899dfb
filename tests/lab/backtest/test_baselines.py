from __future__ import annotations

import numpy as np
import pytest

from ordervet.lab.backtest.baselines import measure_best_count, measure_history_gain
from ordervet.learn.evaluation import TestOrders
from ordervet.model import TrainingSet
from ordervet.reports.backtest import say_yardsticks

NAMES = ("order__value__amount", "buyer__count__order__30d", "device__distinct__buyer__1d", "buyer__age__order")
N_TRAIN = 2_000


def draw(weights: tuple[float, ...], seed: int = 0) -> tuple[TrainingSet, np.ndarray, TestOrders]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(4_000, 4)).astype(np.float32)
    is_bad = features @ np.array(weights) + rng.normal(size=4_000) > 1
    train = TrainingSet(features[:N_TRAIN], is_bad[:N_TRAIN], np.arange(N_TRAIN))
    test = features[N_TRAIN:]
    n = len(test)
    tested = TestOrders(
        add_up(weights, test, NAMES), None, is_bad[N_TRAIN:], np.ones(n, np.int64), np.zeros(n, np.int64), np.arange(n)
    )
    return train, test, tested


def add_up(weights: tuple[float, ...], features: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    kept = [weight for name, weight in zip(NAMES, weights, strict=True) if name in names]
    return (features @ np.array(kept)).astype(np.float64)


def test_best_count_is_chosen_on_the_train_part_in_its_own_direction() -> None:
    train, test, tested = draw((2.0, 0.3, -1.0, 3.0))

    best = measure_best_count(train, test, NAMES, tested)

    assert best is not None
    assert (best["feature"], best["is_upwards"]) == ("device__distinct__buyer__1d", False)
    assert best["auc"]["value"] > 0.55
    assert best["auc_gain"]["low"] > 0.1


def test_no_count_is_no_yardstick() -> None:
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

    gain = measure_history_gain(train, test, NAMES, tested, fit)

    assert gain is not None
    assert gain["has_skill"] is has_skill
    said = say_yardsticks({"best_count": None, "history_gain": gain})
    assert ("the history helps" in said[0]) is has_skill
    assert ("no skill beyond chance" in said[0]) is not has_skill


def test_history_gain_needs_columns_of_both_sorts() -> None:
    train, test, tested = draw((1.0, 0.0, 0.0, 0.0))

    names = tuple(name.replace("order__value", "item__sum") for name in NAMES)
    assert measure_history_gain(train, test, names, tested, lambda *_: tested.raw) is None
