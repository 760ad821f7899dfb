"""What is binned once gives the trees that a fit on copies gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ordervet.model import FitSettings, ForestPredictor, TrainingSet
from ordervet.model.binned import BinnedOrders, MatrixView
from ordervet.model.fit import fit_booster
from ordervet.model.protections import Bound, Protection

NAMES = ("buyer__age__order", "order__value__amount", "buyer__count__malicious__30d")
BOUNDS = (Bound(feature=NAMES[0], at_most=0.0), Bound(feature=NAMES[1], at_least=0.0, or_unknown=True))
QUICK = FitSettings(num_rounds=12, min_data_in_leaf=10, protected=(Protection(where=BOUNDS, weight=5),))


def draw(n: int = 3_000) -> tuple[MatrixView, np.ndarray, np.ndarray]:
    """Every other row of a matrix, and three of its five columns."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(2 * n, 5)).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    view = MatrixView(features, np.arange(1, 2 * n, 2), np.array([3, 0, 2]))
    risk = np.nan_to_num(view.read_column(0)) + 2 * np.nan_to_num(view.read_column(2)) - 2
    return view, rng.random(n) < 1 / (1 + np.exp(-risk)), rng.integers(1, 4, n)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.usefixtures("fits_on_threads")
def test_trees_are_those_of_a_fit_on_copies(n_threads: int) -> None:
    view, is_malicious, weight = draw()
    copied = TrainingSet(view.take(slice(None)), is_malicious, np.arange(len(view)), weight)

    binned = BinnedOrders(view, NAMES, is_malicious, weight, QUICK, n_threads=n_threads)

    assert binned.fit() == fit_booster(copied, NAMES, QUICK, n_threads=1)


def test_part_is_fitted_on_its_own_rows_alone() -> None:
    view, is_malicious, weight = draw()
    part = np.flatnonzero(np.arange(len(view)) % 3 > 0)
    others = np.setdiff1d(np.arange(len(view)), part)
    mistold, misweighed = is_malicious.copy(), weight.copy()
    mistold[others], misweighed[others] = ~mistold[others], 7

    told = BinnedOrders(view, NAMES, is_malicious, weight, QUICK, n_threads=1)
    other = BinnedOrders(view, NAMES, mistold, misweighed, QUICK, n_threads=1)

    assert told.fit(part) == other.fit(part)
    assert told.fit(part) != told.fit()


@pytest.mark.parametrize("settings", [QUICK, QUICK.model_copy(update={"protected": ()})])
def test_trees_of_other_weights_are_those_of_orders_binned_with_them(settings: FitSettings) -> None:
    view, is_malicious, weight = draw()
    part = np.flatnonzero(np.arange(len(view)) % 3 > 0)
    weights = [np.ones(len(view)), weight.astype(np.float64), np.linspace(0.0, 1.0, len(view)), np.ones(len(view))]

    binned, texts = BinnedOrders(view, NAMES, is_malicious, weights[0], settings, n_threads=1), []
    for each in weights:
        binned.weigh(each)
        texts.append((binned.fit(), binned.fit(part)))

    apart = [BinnedOrders(view, NAMES, is_malicious, each, settings, n_threads=1) for each in weights]
    assert texts == [(each.fit(), each.fit(part)) for each in apart]
    assert len(set(texts)) == 3


def test_view_copies_what_it_is_asked_for() -> None:
    features = np.arange(20, dtype=np.float32).reshape(5, 4)

    some, all_columns = (MatrixView(features, np.array([0, 3]), np.array(each)) for each in ([2, 0], range(4)))

    assert some.take(slice(1, 2)).tolist() == [[14.0, 12.0]]
    assert some.read_column(0).tolist() == [2.0, 14.0]
    assert all_columns.take(np.array([1])).tolist() == [features[3].tolist()]


def test_trees_of_bounded_values_say_the_same_of_values_as_they_are() -> None:
    view, is_malicious, weight = draw()
    ranges = np.array([-0.5, -np.inf, -1.0], np.float32), np.array([0.4, np.inf, 0.1], np.float32)
    bounded = replace(view, ranges=ranges)

    text = BinnedOrders(bounded, NAMES, is_malicious, weight, QUICK, n_threads=1).fit()

    assert text != BinnedOrders(view, NAMES, is_malicious, weight, QUICK, n_threads=1).fit()
    forest, copied = ForestPredictor(text), view.take(slice(None))
    np.testing.assert_array_equal(forest.predict_raw(copied), forest.predict_raw(bounded.take(slice(None))))
    np.testing.assert_array_equal(bounded.take(slice(None)), np.clip(copied, *ranges))
    np.testing.assert_array_equal(bounded.read_column(2), np.clip(copied[:, 2], ranges[0][2], ranges[1][2]))
