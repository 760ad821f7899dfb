"""Offsets of groups written as trees: compiled forest, LightGBM and the bounds themselves agree on who has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forest_makers import make_stump
from ordervet.model import ForestPredictor, Predictor
from ordervet.model.merge import merge_boosters
from ordervet.model.offsets import Offset, write_offset
from ordervet.model.protections import Bound

NAMES = ("f0", "f1", "f2")
EDGES = st.sampled_from([-1.0, 0.0, 0.3, 0.5, 8.0])
BOUNDS = st.builds(
    Bound, feature=st.sampled_from(NAMES), at_least=st.none() | EDGES, at_most=st.none() | EDGES,
    or_unknown=st.booleans(),
).filter(lambda bound: bound.at_least is not None or bound.at_most is not None)  # fmt: skip


def draw_features(n: int = 400) -> np.ndarray:
    """Rows at the edges, right beside them, far away, and missing."""
    rng = np.random.default_rng(7)
    edges = np.array([-1.0, 0.0, 0.3, 0.5, 8.0], np.float32)
    values = np.concatenate([edges, np.nextafter(edges[edges != 0], np.float32(9)), [np.nan, 100, -100, 4]])
    return rng.choice(values.astype(np.float32), (n, len(NAMES)))


def merge(offsets: list[Offset], features: np.ndarray) -> str:
    trees = [write_offset(each, NAMES, lambda at: features[:, at]) for each in offsets]
    return merge_boosters([(make_stump(0.4, 10), 1.0)], NAMES, trees)


@settings(max_examples=60, deadline=None)
@given(where=st.lists(st.lists(BOUNDS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3))
def test_offset_is_added_to_exactly_the_orders_within_all_bounds(where: list[tuple[Bound, ...]]) -> None:
    features = draw_features()
    offsets = [Offset(bounds, -0.7 * (at + 1)) for at, bounds in enumerate(where)]

    text = merge(offsets, features)

    raw = ForestPredictor(text).predict_raw(features)
    expected = Predictor(make_stump(0.4, 10)).predict_raw(np.ascontiguousarray(features[:, :1]))
    for offset in offsets:
        is_in = np.all([bound.find(features[:, NAMES.index(bound.feature)]) for bound in offset.where], axis=0)
        expected = expected + np.where(is_in, offset.log_odds, 0.0)
    np.testing.assert_array_equal(raw, expected)
    np.testing.assert_array_equal(raw, Predictor(text).predict_raw(features))


def test_contributions_with_offsets_add_up_and_name_the_features_of_the_group() -> None:
    features = draw_features()
    text = merge([Offset((Bound(feature="f1", at_least=8.0), Bound(feature="f2", at_most=0.5)), -2.0)], features)

    shares = ForestPredictor(text).explain(features)

    np.testing.assert_allclose(shares.sum(axis=1), ForestPredictor(text).predict_raw(features), rtol=0, atol=1e-9)
    is_in = (features[:, 1] >= 8) & (features[:, 2] <= 0.5)
    assert (shares[is_in][:, 1] < 0).all()
    assert (shares[is_in][:, 2] < 0).all()


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_group_that_nobody_or_everybody_is_in_is_a_tree_all_the_same(value: float) -> None:
    features = np.full((5, 3), value, np.float32)

    text = merge([Offset((Bound(feature="f1", at_least=1.0),), -1.5)], features)

    change = ForestPredictor(text).predict_raw(features) - Predictor(make_stump(0.4, 10)).predict_raw(features[:, :1])
    assert change.tolist() == [0.0 if np.isnan(value) else -1.5] * 5
    assert np.isfinite(ForestPredictor(text).explain(features)).all()
