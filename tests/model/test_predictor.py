from __future__ import annotations

import dataclasses
import re
from typing import Any

import lightgbm
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
from ordervet import _core
from ordervet.errors import ModelError
from ordervet.model.forest import parse_forest
from ordervet.model.predictor import ForestPredictor, build_core, check_scores, draw_edge_rows

#: The core answers so many rows one by one, and has so many bins below that of missing values.
SCORED_SINGLY, MAX_THRESHOLDS = 24, 247
THRESHOLDS = [0.0, -0.0, 1e-35, -1e-35, 1.0000000180025095e-35, 1e-40, -1e-40, 0.5, -0.5, 0.1, -0.1, 1e300, -1e300]


def assert_equal_bits(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_array_equal(one.view(np.int64), other.view(np.int64))


@settings(max_examples=200)
@given(threshold=st.floats(allow_nan=False), seed=st.integers(0, 1_000))
def test_rounded_threshold_parts_float32_values_as_the_threshold_does(threshold: float, seed: int) -> None:
    with np.errstate(over="ignore", under="ignore"):
        near = np.float32(threshold)
        up, down = np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))
    drawn = np.random.default_rng(seed).normal(size=20).astype(np.float32)
    values = np.concatenate([[near, up, down], SPECIAL[1:], drawn]).astype(np.float32)
    read = np.where(np.abs(values) <= np.float32(1e-35), 0.0, values.astype(np.float64))

    rounded = np.float32(_core.round_threshold(threshold))

    np.testing.assert_array_equal(values <= rounded, read <= threshold)


@pytest.mark.parametrize("decision_type", DECISION_TYPES)
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("instructions", _core.list_instructions())
def test_kernels_go_where_lightgbm_goes_for_every_kind_of_value(
    threshold: float, decision_type: int, instructions: str
) -> None:
    text = make_stump(threshold, decision_type)
    rows = np.concatenate([SPECIAL[:, None], draw_rows(text, 40)])
    predictor = ForestPredictor(text, instructions=instructions)

    singly = np.concatenate([predictor.predict_raw(row[None]) for row in rows])

    assert_equal_bits(predictor.predict_raw(rows), predict_lightgbm(text, rows))
    assert_equal_bits(singly, predict_lightgbm(text, rows))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_rows=st.sampled_from([1, SCORED_SINGLY, SCORED_SINGLY + 1, 63, 64, 65, 127, 129, 257, 511, 512, 513, 1_100]),
    instructions=st.sampled_from(_core.list_instructions()),
)
def test_kernels_equal_lightgbm_on_drawn_forests(seed: int, n_rows: int, instructions: str) -> None:
    text = draw_booster(seed)
    rows = draw_rows(text, n_rows, seed)

    raw = ForestPredictor(text, instructions=instructions).predict_raw(rows)

    assert_equal_bits(raw, predict_lightgbm(text, rows))


@pytest.mark.parametrize(
    "shape",
    [
        {"n_leaves": 2},
        {"n_leaves": 64, "learning_rate": 0.5},
        {"n_leaves": 8, "depth": 3},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"max_bin": 2},
        {"boosting": "dart"},
        {"objective": "regression"},
        {"boost_from_average": False},
        {"min_data_in_leaf": 100_000},
    ],
    ids=str,
)
def test_kernels_equal_lightgbm_on_trained_forests(shape: dict[str, object]) -> None:
    text = train_booster(**shape)
    rows = draw_rows(text, 2_000)
    predictor = ForestPredictor(text)

    raw = predictor.predict_raw(rows)

    assert predictor.engine == "compiled"
    assert predictor.why == ""
    assert_equal_bits(raw, predict_lightgbm(text, rows))


def test_feature_may_have_more_thresholds_than_a_byte_counts() -> None:
    tree = {"split_gain": [1], "left_child": [-1], "right_child": [-2], "leaf_count": [1, 1], "internal_count": [2]}
    trees = [
        tree | {"split_feature": [0], "threshold": [at / 7], "decision_type": [2], "leaf_value": [at * 0.1, -at * 0.3]}
        for at in range(-400, 400)
    ]
    text = write_booster(trees, 1)
    rows = np.concatenate([SPECIAL[:, None], draw_rows(text, 3_000)])

    raw = ForestPredictor(text).predict_raw(rows)

    assert build_core(parse_forest(text)).n_columns == -(-800 // MAX_THRESHOLDS)
    assert_equal_bits(raw, predict_lightgbm(text, rows))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_row_alone_scores_the_same_bits_as_among_others(seed: int) -> None:
    text = draw_booster(3)
    rows = draw_rows(text, 700, seed)
    predictor = ForestPredictor(text)

    raw = predictor.predict_raw(rows)

    assert_equal_bits(raw[seed % 700 : seed % 700 + 1], predictor.predict_raw(rows[seed % 700 : seed % 700 + 1]))
    assert_equal_bits(raw[5 : 5 + SCORED_SINGLY], predictor.predict_raw(rows[5 : 5 + SCORED_SINGLY]))


def test_two_threads_score_the_same_bits_as_one() -> None:
    text = train_booster()
    rows = draw_rows(text, 20_001)
    predictor = ForestPredictor(text)

    assert_equal_bits(predictor.predict_raw(rows, n_threads=2), predictor.predict_raw(rows))


def test_matrix_may_be_read_only_sliced_or_empty() -> None:
    text = train_booster()
    rows = draw_rows(text, 100)
    expected = predict_lightgbm(text, rows)
    rows.flags.writeable = False
    predictor = ForestPredictor(text)

    assert_equal_bits(predictor.predict_raw(rows), expected)
    assert_equal_bits(predictor.predict_raw(rows[::3]), expected[::3].copy())
    assert_equal_bits(predictor.predict_raw(np.asfortranarray(rows)), expected)
    assert predictor.predict_raw(rows[:0]).shape == (0,)


@pytest.mark.parametrize("features", [np.zeros((3, 7), np.float32), np.zeros(8, np.float32), np.zeros((3, 8))], ids=str)
def test_matrix_that_does_not_fit_is_refused(features: np.ndarray) -> None:
    predictor = ForestPredictor(train_booster(n_trees=2))

    with pytest.raises(ModelError, match=r"expected \(n, 8\), float32"):
        predictor.predict_raw(features)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"depth": 8, "n_leaves": 40}, "unsupported because tree 0 is deeper than 6"),
        ({"depth": 20, "n_leaves": 200}, "unsupported because a tree has more than 64 leaves"),
    ],
)
def test_model_that_does_not_fit_is_scored_by_lightgbm_and_says_why(shape: dict[str, object], why: str) -> None:
    text = train_booster(n_trees=3, **shape)
    rows = np.abs(draw_rows(text, 50))
    predictor = ForestPredictor(text)

    raw = predictor.predict_raw(rows)

    assert predictor.engine == "lightgbm"
    assert predictor.why == why
    assert_equal_bits(raw, predict_lightgbm(text, rows))


@pytest.mark.parametrize(
    "shape", [{"categories": (1,)}, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}], ids=str
)
def test_model_that_cannot_be_checked_is_refused(shape: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="unsupported because"):
        ForestPredictor(train_booster(n_trees=3, **shape))


def test_text_left_to_lightgbm_passes_the_same_checks_first() -> None:
    text = train_booster(n_trees=3, depth=8, n_leaves=40)
    damaged = re.sub(r"(?m)^split_feature=\d+", "split_feature=2000000000", text)

    with pytest.raises(ModelError, match="a feature that there is not"):
        ForestPredictor(damaged)


def test_sizes_that_a_text_left_to_lightgbm_claims_are_not_believed() -> None:
    text = train_booster(n_trees=3, depth=8, n_leaves=40)
    lying = re.sub(r"(?m)^tree_sizes=.*$", "tree_sizes=9 999999999 9", text)
    rows = draw_rows(text, 50)

    raw = ForestPredictor(lying).predict_raw(rows)

    assert lying != text
    assert_equal_bits(raw, predict_lightgbm(text, rows))


def build_arrays() -> dict[str, Any]:
    forest = parse_forest(train_booster(n_trees=2, n_leaves=8))
    names = [
        "node_start",
        "leaf_start",
        "feature",
        "threshold",
        "missing",
        "default_left",
        "left",
        "right",
        "leaf_value",
    ]
    return {name: getattr(forest, name).copy() for name in [*names, "leaf_value"]}


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("feature", 0, 8),
        ("feature", 3, -1),
        ("threshold", 0, np.nan),
        ("threshold", 0, -np.inf),
        ("missing", 0, 3),
        ("left", 0, 0),
        ("left", 0, 2**40),
        ("right", 1, -(2**40)),
        ("right", 0, -9),
        ("right", 0, -(2**63)),
        ("node_start", 1, 8),
        ("node_start", 1, -1),
        ("leaf_start", 1, 100),
        ("leaf_start", 2, 15),
    ],
)
def test_core_refuses_arrays_that_would_lead_it_outside(name: str, at: int, value: float) -> None:
    arrays = build_arrays()
    _core.Forest(8, 1, *arrays.values())
    arrays[name][at] = value

    with pytest.raises(ValueError, match=r"\w"):
        _core.Forest(8, 1, *arrays.values())


def test_core_takes_any_byte_of_a_bool_for_true() -> None:
    arrays = build_arrays()
    forged = arrays | {"default_left": (arrays["default_left"].view(np.uint8) * 7).view(np.bool_)}
    rows = draw_rows(train_booster(n_trees=2, n_leaves=8), 300)
    raw, expected = np.empty((2, len(rows), 1))

    _core.Forest(8, 1, *arrays.values()).score(rows, 0, len(rows), expected)
    _core.Forest(8, 1, *forged.values()).score(rows, 0, len(rows), raw)

    assert np.array_equal(raw, expected)


def test_core_refuses_matrices_and_outputs_that_do_not_fit() -> None:
    core = _core.Forest(8, 1, *build_arrays().values())
    rows, raw = np.zeros((3, 8), np.float32), np.zeros((3, 1))

    for wrong in [(rows[:, :7].copy(), 0, 3, raw), (rows, 0, 4, raw), (rows, 2, 1, raw), (rows, 0, 3, raw[:2])]:
        with pytest.raises(ValueError, match="fit"):
            core.score(*wrong)
    with pytest.raises(ValueError, match="fit"):
        core.score_one(rows[:0])


def test_forest_that_asks_nothing_scores_and_explains_every_row_alike() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3)).astype(np.float32)
    data = lightgbm.Dataset(rows, rng.random(200) < 0.3)
    text = lightgbm.train({"objective": "binary", "min_data_in_leaf": 150, "verbose": -1}, data, 3).model_to_string()

    for _ in range(50):
        dirty = [np.full(size, 255, np.uint8) for size in range(1, 2_000, 7)]  # what memory may hold
        del dirty
        predictor = ForestPredictor(text)
        assert_equal_bits(predictor.predict_raw(rows[:1]), predict_lightgbm(text, rows[:1]))

    assert "split_gain=\n" in text
    assert predictor.engine == "compiled"
    assert_equal_bits(predictor.predict_raw(rows), predict_lightgbm(text, rows))
    assert not predictor.explain(rows)[:, :-1].any()
    np.testing.assert_allclose(predictor.explain(rows[:2]).sum(axis=1), predict_lightgbm(text, rows[:2]), rtol=1e-12)


def test_check_refuses_kernels_that_differ_in_one_bit() -> None:
    forest = parse_forest(draw_booster(1))
    core = build_core(forest)

    class Wrong:
        walk, score_one = core.walk, core.score_one

        def score(self, rows: np.ndarray, start: int, stop: int, raw: np.ndarray) -> None:
            core.score(rows, start, stop, raw)
            raw[start + 100] = np.nextafter(raw[start + 100], np.inf)

    with pytest.raises(ModelError, match="differs from its reference on 1 of 320 rows"):
        check_scores(forest, Wrong())


def test_core_walks_as_the_reference_does() -> None:
    text = draw_booster(2)
    rows, raw = draw_rows(text, 300), np.empty((300, 1))

    build_core(parse_forest(text)).walk(rows, raw)

    assert_equal_bits(raw[:, 0], walk_forest(parse_forest(text), rows))


def test_check_rows_meet_both_sides_of_most_splits() -> None:
    forest = parse_forest(train_booster(n_trees=5))
    rows = draw_edge_rows(forest, 320)
    rounded = np.array([_core.round_threshold(each) for each in forest.threshold], np.float32)
    lower = dataclasses.replace(forest, threshold=np.nextafter(rounded, -np.inf, dtype="f4"))

    moved = [
        (walk_forest(forest, rows) != walk_forest(dataclasses.replace(forest, threshold=threshold), rows)).any()
        for node in range(len(forest.threshold))
        for threshold in [np.where(np.arange(len(forest.threshold)) == node, lower.threshold, forest.threshold)]
    ]

    assert np.mean(moved) > 0.5


@pytest.mark.parametrize("instructions", _core.list_instructions())
@pytest.mark.parametrize("shape", [{}, {"n_leaves": 64, "learning_rate": 0.5}], ids=str)
def test_machine_without_wide_vectors_gives_the_same_bits(instructions: str, shape: dict[str, object]) -> None:
    text = train_booster(**shape)
    rows = draw_rows(text, 1_300)
    widest, other = ForestPredictor(text), ForestPredictor(text, instructions=instructions)

    assert_equal_bits(other.predict_raw(rows), widest.predict_raw(rows))
    assert_equal_bits(other.explain(rows), widest.explain(rows))
    assert other.predict_one(rows[:1]) == widest.predict_one(rows[:1])
    np.testing.assert_array_equal(other.explain(rows[:1]), widest.explain(rows[:1]))
