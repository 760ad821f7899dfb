"""Several forests as one text: LightGBM, the compiled forest and plain addition agree."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from ordervet.errors import ModelError
from ordervet.model import ForestPredictor, Predictor
from ordervet.model.forest import parse_forest
from ordervet.model.merge import merge_boosters

ONE, OTHER = ("a", "b", "c"), ("d", "b")
BOTH = ("b", "x", "d", "c", "a")


def fit(names: tuple[str, ...], seed: int, n_rounds: int = 12) -> str:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(600, len(names))).astype(np.float32)
    features[rng.random(features.shape) < 0.2] = np.nan
    label = (np.nan_to_num(features).sum(axis=1) + rng.normal(size=600) > 1).astype(float)
    data = lightgbm.Dataset(features, label, feature_name=list(names))
    parameters = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 10, "verbosity": -1, "seed": seed}
    return lightgbm.train(parameters, data, n_rounds).model_to_string()


@pytest.fixture(scope="module")
def texts() -> tuple[str, str]:
    return fit(ONE, 1), fit(OTHER, 2, 7)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(500, len(BOTH))).astype(np.float32)
    drawn[rng.random(drawn.shape) < 0.2] = np.nan
    return drawn


def pick(rows: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return np.ascontiguousarray(rows[:, [BOTH.index(name) for name in names]])


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.37, 1.9), (1e-3, 0.5)])
def test_sum_is_lightgbms_to_the_last_bit_and_the_weighted_sum_of_its_parts(
    texts: tuple[str, str], rows: np.ndarray, weights: tuple[float, float]
) -> None:
    merged = merge_boosters(list(zip(texts, weights, strict=True)), BOTH)

    raw = ForestPredictor(merged).predict_raw(rows)

    np.testing.assert_array_equal(raw, Predictor(merged).predict_raw(rows))
    parts = [
        weight * Predictor(text).predict_raw(pick(rows, names))
        for text, weight, names in zip(texts, weights, (ONE, OTHER), strict=True)
    ]
    np.testing.assert_allclose(raw, sum(parts), rtol=0, atol=1e-12)


def test_contributions_are_the_weighted_sum_of_the_parts(texts: tuple[str, str], rows: np.ndarray) -> None:
    merged = ForestPredictor(merge_boosters([(texts[0], 0.37), (texts[1], 1.9)], BOTH))

    shares = merged.explain(rows)

    expected = np.zeros_like(shares)
    for text, weight, names in zip(texts, (0.37, 1.9), (ONE, OTHER), strict=True):
        part = ForestPredictor(text).explain(pick(rows, names))
        expected[:, [*(BOTH.index(name) for name in names), -1]] += weight * part
    np.testing.assert_allclose(shares, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(shares.sum(axis=1), merged.predict_raw(rows), rtol=0, atol=1e-9)


def test_weight_of_one_keeps_every_bit_and_weight_of_zero_every_tree_out(
    texts: tuple[str, str], rows: np.ndarray
) -> None:
    alone = merge_boosters([(texts[0], 1.0), (texts[1], 0.0)], BOTH)

    np.testing.assert_array_equal(
        ForestPredictor(alone).predict_raw(rows), Predictor(texts[0]).predict_raw(pick(rows, ONE))
    )
    assert parse_forest(alone).n_trees == parse_forest(texts[0]).n_trees


def test_sum_of_sums_is_read_again(texts: tuple[str, str]) -> None:
    once = merge_boosters([(texts[0], 0.5), (texts[1], 0.25)], BOTH)

    twice = merge_boosters([(once, 1.0)], BOTH)

    assert twice == once


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:400], "ends before its trees do"),
        (lambda text: text.replace("feature_names=", "names="), "does not name its features"),
        (lambda text: text.replace("objective=binary", "objective=regression"), "different forms"),
    ],
)
def test_damaged_or_unlike_boosters_are_not_summed(texts: tuple[str, str], damage, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        merge_boosters([(texts[0], 1.0), (damage(texts[1]), 1.0)], BOTH)


def test_feature_that_the_sum_lacks_is_named(texts: tuple[str, str]) -> None:
    with pytest.raises(ModelError, match=r"1 features are missing in the sum: d"):
        merge_boosters([(texts[1], 1.0)], ONE)


def test_sum_without_any_weight_is_refused(texts: tuple[str, str]) -> None:
    with pytest.raises(ModelError, match="no booster has a weight"):
        merge_boosters([(texts[0], 0.0)], BOTH)
