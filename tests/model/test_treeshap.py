from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forest_makers import (
    draw_booster,
    draw_rows,
    explain_lightgbm,
    make_stump,
    predict_lightgbm,
    train_booster,
)
from ordervet.errors import ModelError
from ordervet.model.forest import parse_forest
from ordervet.model.forest_predict import EXPLAINED_SINGLY, ForestPredictor, check_shares, draw_edge_rows
from ordervet.model.forest_tables import build_tables
from ordervet.model.treeshap_groups import GROUP_BITS
from ordervet.model.treeshap_reference import explain_by_definition
from ordervet.model.treeshap_tables import ENTRY_SIZE, build_share_tables


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
@given(seed=st.integers(0, 2**32), n_features=st.integers(1, 40), n_rows=st.sampled_from([1, 6, 7, 64, 65, 513]))
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


def test_groups_stay_within_their_bits_and_hold_every_feature_of_a_tree() -> None:
    forest = parse_forest(train_booster(n_leaves=64, n_features=30))

    tables = build_share_tables(forest, build_tables(forest).plane_of_node)

    assert np.diff(tables.bit_start).max() <= GROUP_BITS
    assert np.diff(tables.feature_start).max() <= ENTRY_SIZE
    for tree in range(forest.n_trees):
        used = forest.feature[forest.node_start[tree] : forest.node_start[tree + 1]]
        looked_up = tables.lookup_feature[tables.lookup_start[tree] : tables.lookup_start[tree + 1]]
        assert set(looked_up) == set(used)


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
    text = make_stump(0.1, 2)
    forest = parse_forest(text)
    right = ForestPredictor(text).explain(draw_edge_rows(forest, 320))

    def explain(_rows: np.ndarray, start: int, stop: int, shares: np.ndarray) -> None:
        shares.reshape(right[start:stop].shape)[:] = right[start:stop]
        if wrong == "sum" or stop <= EXPLAINED_SINGLY:
            shares[0] += 1e-6 if wrong == "sum" else 1e-12

    with pytest.raises(ModelError, match="do not add up"):
        check_shares(forest, explain, explain)
