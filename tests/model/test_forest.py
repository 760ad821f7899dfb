from __future__ import annotations

import numpy as np
import pytest
from forest_reference import walk_forest
from hypothesis import given, settings
from hypothesis import strategies as st

from forest_makers import (
    DECISION_TYPES,
    SPECIAL,
    draw_booster,
    draw_rows,
    make_stump,
    predict_lightgbm,
    train_booster,
    write_booster,
)
from ordervet.errors import ModelError
from ordervet.model.forest import UnsupportedForestError, parse_forest

THRESHOLDS = [0.0, -0.0, 1e-35, -1e-35, 1.0000000180025095e-35, 1e-40, -1e-40, 0.5, -0.5, 0.1, -0.1, 1e300, -1e300]


@pytest.mark.parametrize("decision_type", DECISION_TYPES)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_reference_goes_where_lightgbm_goes_for_every_kind_of_value(threshold: float, decision_type: int) -> None:
    text = make_stump(threshold, decision_type)
    rows = np.concatenate([SPECIAL[:, None], draw_rows(text, 40)])

    raw = walk_forest(parse_forest(text), rows)

    np.testing.assert_array_equal(raw, predict_lightgbm(text, rows))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_reference_equals_lightgbm_on_drawn_forests(seed: int) -> None:
    text = draw_booster(seed)
    rows = draw_rows(text, 100, seed)

    raw = walk_forest(parse_forest(text), rows)

    np.testing.assert_array_equal(raw, predict_lightgbm(text, rows))


def test_forest_keeps_every_number_of_the_text() -> None:
    forest = parse_forest(make_stump(0.1, 10, left=0.1 + 0.2, right=-1e-17))

    assert forest.n_trees == 1
    assert forest.n_features == 1
    assert forest.threshold.tolist() == [0.1]
    assert forest.leaf_value.tolist() == [0.1 + 0.2, -1e-17]
    assert forest.default_left.tolist() == [True]
    assert forest.leaf_count.tolist() == [30, 70]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("num_class=1", "num_class=3"), "several classes"),
        (("num_tree_per_iteration=1", "num_tree_per_iteration=3"), "several classes"),
        (("label_index=0", "average_output"), "averaged"),
        (("num_cat=0", "num_cat=1"), "categories"),
        (("is_linear=0", "is_linear=1"), "linear"),
        (("version=v4", "version=v9"), "version"),
    ],
)
def test_forest_says_what_it_does_not_hold(change: tuple[str, str], why: str) -> None:
    text = make_stump(0.1, 10).replace(*change)

    with pytest.raises(UnsupportedForestError, match=f"unsupported because .*{why}"):
        parse_forest(text)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("end of trees", ""), "ends before its trees"),
        (("tree\n", "shrub\n"), "does not begin"),
        (("max_feature_idx=0", "max_feature_idx=-1"), "max_feature_idx is no number"),
        (("Tree=0", "Tree=1"), "tree 0 is numbered 1"),
        (("threshold=0.1", "threshold=0.1 0.2"), "tree 0: got 2 numbers in threshold, expected 1"),
        (("threshold=0.1", "threshold=much"), "tree 0: threshold holds something that is no number"),
        (("threshold=0.1", "threshold=nan"), "a threshold is NaN or -inf"),
        (("threshold=0.1", "threshold=-inf"), "a threshold is NaN or -inf"),
        (("leaf_value=-1.0", "leaf_value=inf"), "a leaf is not finite"),
        (("leaf_count=30", "leaf_count=-30"), "a count of rows is negative"),
        (("internal_count=100", "internal_count=inf"), "a count of rows is negative or infinite"),
        (("split_feature=0", "split_feature=1"), "a feature that there is not"),
        (("left_child=-1", "left_child=-2"), "not one tree"),
        (("left_child=-1", "left_child=0"), "not one tree"),
        (("decision_type=10", "decision_type=14"), "decision type is unknown"),
        (("decision_type=10", "decision_type=11"), "decision type is unknown"),
        (("num_leaves=2", "num_leaves=0"), "expected -1"),
    ],
)
def test_damaged_text_is_refused(change: tuple[str, str], problem: str) -> None:
    text = make_stump(0.1, 10).replace(*change)

    with pytest.raises(ModelError, match=problem) as caught:
        parse_forest(text)

    assert not isinstance(caught.value, UnsupportedForestError)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("left_child=1 -1", "left_child=1 0"), "not one tree"),
        (("left_child=1 -1", "left_child=0 -1"), "not one tree"),
        (("right_child=-3 -2", "right_child=-3 -1"), "not one tree"),
        (("right_child=-3 -2", "right_child=-3 -4"), "not one tree"),
        (("right_child=-3 -2", "right_child=-3 1"), "not one tree"),
        (("split_feature=0 0", "split_feature=0 2000000000"), "a feature that there is not"),
    ],
)
def test_tree_that_no_code_may_walk_is_refused(change: tuple[str, str], problem: str) -> None:
    tree = {"split_feature": [0, 0], "threshold": [0.5, 0.1], "decision_type": [2, 2], "left_child": [1, -1]}
    tree |= {"right_child": [-3, -2], "leaf_value": [1.0, 2.0, 3.0], "leaf_count": [1, 2, 3], "internal_count": [6, 3]}
    text = write_booster([tree], 1)

    with pytest.raises(ModelError, match=problem):
        parse_forest(text.replace(*change))
    assert change[0] in text
    assert parse_forest(text).n_trees == 1


def test_text_without_trees_is_refused() -> None:
    with pytest.raises(ModelError, match="no trees"):
        parse_forest(write_booster([], 1))


def test_forest_trained_with_categories_is_refused_not_misread() -> None:
    text = train_booster(n_trees=3, categories=(1,))

    with pytest.raises(UnsupportedForestError, match="categories"):
        parse_forest(text)
