from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from treeshap_reference import explain_by_definition

from forest_makers import (
    draw_booster,
    draw_rows,
    explain_lightgbm,
    make_stump,
    predict_lightgbm,
    train_booster,
)
from ordervet import _core
from ordervet.errors import ModelError
from ordervet.model.forest import parse_forest
from ordervet.model.predictor import ForestPredictor, build_core, check_shares

#: The core explains so many rows one by one.
EXPLAINED_SINGLY = 12


def assert_close(shares: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-9, or 1e-12 of the row's largest share where leaves are large."""
    atol = max(1e-9, 1e-12 * np.abs(expected).max(initial=0))
    np.testing.assert_allclose(shares, expected, rtol=0, atol=atol)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_shares_are_shapley_values_by_definition(seed: int) -> None:
    text = draw_booster(seed, n_trees=3, n_features=4, max_leaves=16)
    rows = draw_rows(text, EXPLAINED_SINGLY + 2, seed)

    shares = ForestPredictor(text).explain(rows)

    assert_close(shares, explain_by_definition(parse_forest(text), rows))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), n_features=st.integers(1, 40), n_rows=st.sampled_from([1, 12, 13, 64, 65, 513]))
def test_shares_equal_lightgbm_on_drawn_forests(seed: int, n_features: int, n_rows: int) -> None:
    text = draw_booster(seed, n_features=n_features)
    rows = draw_rows(text, n_rows, seed)

    shares = ForestPredictor(text).explain(rows)

    assert_close(shares, explain_lightgbm(text, rows))


@pytest.mark.parametrize(
    "shape",
    [
        {"n_leaves": 2},
        {"n_leaves": 64, "learning_rate": 0.5},
        {"n_features": 30, "n_trees": 50, "feature_fraction": 0.3},
        {"zero_as_missing": True},
        {"bagging_fraction": 0.5, "bagging_freq": 1},
        {"min_data_in_leaf": 100_000},
    ],
    ids=str,
)
def test_shares_equal_lightgbm_and_add_up_on_trained_forests(shape: dict[str, object]) -> None:
    text = train_booster(**shape)
    rows = draw_rows(text, 600)

    shares = ForestPredictor(text).explain(rows)

    assert_close(shares, explain_lightgbm(text, rows))
    np.testing.assert_allclose(shares.sum(axis=1), predict_lightgbm(text, rows), rtol=0, atol=1e-9)


def test_reasons_come_in_the_order_of_lightgbm() -> None:
    text = train_booster(n_trees=60)
    rows = draw_rows(text, 500)

    ranks = np.argsort(-ForestPredictor(text).explain(rows).round(9), axis=1, kind="stable")

    np.testing.assert_array_equal(ranks, np.argsort(-explain_lightgbm(text, rows).round(9), axis=1, kind="stable"))


@settings(max_examples=10, deadline=None)
@given(row=st.integers(0, 699))
def test_row_alone_is_explained_by_the_same_bits_as_among_others(row: int) -> None:
    text = draw_booster(3)
    rows = draw_rows(text, 700)
    predictor = ForestPredictor(text)

    shares = predictor.explain(rows)

    np.testing.assert_array_equal(predictor.explain(rows[row : row + 1])[0], shares[row])
    np.testing.assert_array_equal(predictor.explain(rows[: row + 1])[row], shares[row])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), n_rows=st.sampled_from([1, EXPLAINED_SINGLY + 1, 600]), data=st.data())
def test_shares_of_some_features_are_the_same_bits_as_among_all(seed: int, n_rows: int, data: st.DataObject) -> None:
    text = draw_booster(seed, n_features=20)
    rows = draw_rows(text, n_rows, seed)
    columns = tuple(data.draw(st.permutations(range(20)))[: data.draw(st.integers(0, 20))])
    predictor = ForestPredictor(text)

    shares = predictor.explain_some(rows, columns)

    np.testing.assert_array_equal(shares, predictor.explain(rows)[:, list(columns)])


def test_two_threads_explain_by_the_same_bits_as_one() -> None:
    text = train_booster()
    rows = draw_rows(text, 3_001)
    predictor = ForestPredictor(text)

    np.testing.assert_array_equal(predictor.explain(rows, n_threads=2), predictor.explain(rows))


def test_no_rows_have_no_shares() -> None:
    predictor = ForestPredictor(make_stump(0.1, 2))

    assert predictor.explain(np.zeros((0, 1), np.float32)).shape == (0, 2)


def test_core_refuses_columns_and_counts_that_do_not_fit() -> None:
    forest = parse_forest(train_booster(n_trees=2))
    core = build_core(forest)
    contributions = _core.Contributions(core, forest.node_count, forest.leaf_count)
    rows = np.zeros((2, 8), np.float32)

    for columns in ([8], [-1], [1, 1]):
        with pytest.raises(ValueError, match="each once"):
            contributions.explain(rows, 0, 2, np.array(columns, np.int32), np.zeros((2, len(columns))))
    with pytest.raises(ValueError, match="does not fit"):
        contributions.explain(rows, 0, 2, np.array([1], np.int32), np.zeros((2, 2)))
    for counts in ((forest.node_count[1:], forest.leaf_count), (forest.node_count, forest.leaf_count * 0)):
        with pytest.raises(ValueError, match="counts"):
            _core.Contributions(core, *counts)


@pytest.mark.parametrize("change", [("leaf_count=30 70", "leaf_count="), ("leaf_count=30 70", "leaf_count=0 100")])
def test_model_without_counts_is_left_to_lightgbm(change: tuple[str, str]) -> None:
    predictor = ForestPredictor(make_stump(0.1, 2).replace(*change))

    assert predictor.engine == "lightgbm"
    assert predictor.why == "unsupported because nodes lack counts of training rows"


def test_model_that_does_not_fit_is_explained_by_lightgbm() -> None:
    text = train_booster(n_trees=3, depth=8, n_leaves=200)
    rows = draw_rows(text, 20)

    np.testing.assert_array_equal(ForestPredictor(text).explain(rows), explain_lightgbm(text, rows))


@pytest.mark.parametrize("wrong", ["sum", "single"])
def test_check_refuses_shares_that_do_not_add_up_or_differ_for_single_rows(wrong: str) -> None:
    forest = parse_forest(make_stump(0.1, 2))
    core = build_core(forest)
    contributions = _core.Contributions(core, forest.node_count, forest.leaf_count)

    class Wrong:
        def explain(self, rows: np.ndarray, start: int, stop: int, columns: np.ndarray, shares: np.ndarray) -> None:
            contributions.explain(rows, start, stop, columns, shares)
            if wrong == "sum" or stop == start + 1:
                shares[start] += 1e-6 if wrong == "sum" else 1e-12

    with pytest.raises(ModelError, match="do not add up"):
        check_shares(forest, core, Wrong())
