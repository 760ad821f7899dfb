from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pytest
from forest_reference import find_leaves
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.errors import ModelError
from ordervet.model import FitSettings
from ordervet.model.kinds import fit_kinds, measure_kinds

if TYPE_CHECKING:
    from ordervet.model.kinds import KindModel

NAMES = ("order__value__amount", "buyer__count__order__30d", "device__age__order")
KINDS = ("coupon_farming", "scalping", "return_swap")


def draw(n: int = 600, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    features[np.arange(n), kind] += 3
    features[rng.random((n, 3)) < 0.1] = np.nan
    return features, [KINDS[each] for each in kind]


@pytest.fixture(scope="module")
def kind_model() -> KindModel:
    found = fit_kinds(*draw(), NAMES, FitSettings())
    assert found is not None
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_kinds_are_lightgbms_to_the_last_bit(kind_model: KindModel, seed: int) -> None:
    features, _ = draw(40, seed)
    features[:4] = [[np.inf, -np.inf, 0], [0, -0.0, 1e-36], [np.nan, np.nan, np.nan], [1e30, -1e30, 2]]

    expected = lightgbm.Booster(model_str=kind_model.booster_text).predict(features, raw_score=True)
    np.testing.assert_array_equal(kind_model.predict_raw(features), expected)


@pytest.mark.parametrize("n_rows", [1, 24, 25, 600])
def test_kinds_of_few_and_of_many_orders_are_the_same_bits(kind_model: KindModel, n_rows: int) -> None:
    features, _ = draw(n_rows, seed=n_rows)

    one_by_one = np.concatenate([kind_model.predict_raw(features[at : at + 1]) for at in range(n_rows)])
    np.testing.assert_array_equal(kind_model.predict_raw(features), one_by_one)


def test_kinds_are_those_of_the_reference_whatever_the_shape_of_trees(kind_model: KindModel) -> None:
    features, _ = draw(300, seed=7)
    raw = np.zeros((300, 3))
    leaves = find_leaves(kind_model.forest, features.astype(np.float64))
    for tree in range(kind_model.forest.n_trees):
        raw[:, tree % 3] += kind_model.forest.leaf_value[kind_model.forest.leaf_start[tree] + leaves[:, tree]]

    np.testing.assert_array_equal(kind_model.predict_raw(features), raw)


def test_kinds_are_told_apart_on_orders_not_fitted_on(kind_model: KindModel) -> None:
    measured = measure_kinds(kind_model, *draw(500, seed=9))

    assert measured["n_orders"] == 500
    assert measured["named"] > 0.9
    assert measured["right"] > 0.85


def test_likeliest_kind_is_named_where_it_is_likely(kind_model: KindModel) -> None:
    features = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)
    exponents = np.exp(kind_model.predict_raw(features))
    p = exponents / exponents.sum(axis=1, keepdims=True)

    named = kind_model.name_kinds(features)

    likeliest = [kind_model.kinds[at] for at in p.argmax(axis=1)]
    assert named == [kind if most >= 0.5 else None for kind, most in zip(likeliest, p.max(axis=1), strict=True)]
    assert None in named


def test_rare_and_nameless_kinds_are_not_learned() -> None:
    features, kinds = draw(600)
    rare = ["fake_return"] * 5 + ["" if at % 4 == 0 else kind for at, kind in enumerate(kinds[5:])]

    found = fit_kinds(features, rare, NAMES, FitSettings())

    assert found is not None
    assert found.kinds == tuple(sorted(KINDS))


def test_single_kind_is_no_model() -> None:
    assert fit_kinds(draw()[0], ["scalping"] * 600, NAMES, FitSettings()) is None


@pytest.mark.usefixtures("fits_on_threads")
def test_model_of_kinds_is_the_same_bytes_on_two_threads(kind_model: KindModel) -> None:
    again = fit_kinds(*draw(), NAMES, FitSettings(), n_threads=2)

    assert again == kind_model


def test_model_of_another_number_of_kinds_is_refused(kind_model: KindModel) -> None:
    with pytest.raises(ModelError, match="not of 2 kinds"):
        replace(kind_model, kinds=("coupon_farming", "scalping"))
