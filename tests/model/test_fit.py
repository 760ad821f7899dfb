from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.errors import TrainingError
from ordervet.features import build_spec
from ordervet.model import FitSettings, Predictor, TrainingSet, fit_model
from ordervet.model.fit import _split_off_calibration, split_by_time
from ordervet.model.settings import count_fit_threads

SPEC = build_spec(
    use_defaults=False, names=("order__value__amount", "buyer__count__malicious__30d", "buyer__age__order")
)
QUICK = FitSettings(num_rounds=20, min_data_in_leaf=10, feature_fraction=1.0)


def draw_training(n: int = 4_000, seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    features[rng.random((n, 3)) < 0.1] = np.nan
    risk = np.nan_to_num(features[:, 0]) + 2 * np.nan_to_num(features[:, 1]) - 3
    return TrainingSet(features, rng.random(n) < 1 / (1 + np.exp(-risk)), rng.permutation(n).astype(np.int64))


@pytest.mark.usefixtures("fits_on_threads")
def test_model_is_the_same_bytes_on_one_and_two_threads() -> None:
    one = fit_model(draw_training(), SPEC, QUICK, origin={}, n_threads=1)
    two = fit_model(draw_training(), SPEC, QUICK, origin={}, n_threads=2)

    assert one.booster_text == two.booster_text
    assert one.model_id == two.model_id


def test_model_does_not_depend_on_the_order_of_rows() -> None:
    training = draw_training()
    shuffled = training.take(np.random.default_rng(1).permutation(len(training)))

    assert fit_model(shuffled, SPEC, QUICK, origin={}).model_id == fit_model(training, SPEC, QUICK, origin={}).model_id


def test_another_seed_gives_another_model() -> None:
    other = QUICK.model_copy(update={"seed": 1})

    assert (
        fit_model(draw_training(), SPEC, other, origin={}).model_id
        != fit_model(draw_training(), SPEC, QUICK, origin={}).model_id
    )


def test_more_past_malice_never_lowers_the_score() -> None:
    model = fit_model(draw_training(), SPEC, QUICK, origin={})
    rows = np.tile(draw_training(50, seed=3).features, (20, 1))
    rows[:, 1] = np.repeat(np.linspace(-3, 3, 20), 50)

    raw = Predictor(model.booster_text).predict_raw(rows).reshape(20, 50)

    assert (np.diff(raw, axis=0) >= 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_row_alone_scores_and_explains_the_same_bits_as_among_others(seed: int) -> None:
    predictor = Predictor(fit_model(draw_training(), SPEC, QUICK, origin={}).booster_text)
    rows = draw_training(17, seed).features
    row = seed % 17

    np.testing.assert_array_equal(predictor.predict_raw(rows)[row], predictor.predict_raw(rows[row : row + 1])[0])
    np.testing.assert_array_equal(predictor.explain(rows)[row], predictor.explain(rows[row : row + 1])[0])


def test_contributions_add_up_to_the_score() -> None:
    predictor = Predictor(fit_model(draw_training(), SPEC, QUICK, origin={}).booster_text)
    rows = draw_training(100, 5).features

    np.testing.assert_allclose(predictor.explain(rows).sum(axis=1), predictor.predict_raw(rows), atol=1e-9)


def test_split_by_time_keeps_an_instant_together_and_the_newest_last() -> None:
    training = TrainingSet(np.zeros((6, 1), np.float32), np.zeros(6, bool), np.array([5, 1, 3, 3, 3, 2]))

    older, newer = split_by_time(training, 0.5)

    assert sorted(older.seen_at) == [1, 2]
    assert sorted(newer.seen_at) == [3, 3, 3, 5]


def test_too_little_to_learn_from_is_refused() -> None:
    training = draw_training()
    none = TrainingSet(training.features, np.zeros(len(training), bool), training.seen_at)

    with pytest.raises(TrainingError, match="0 malicious"):
        fit_model(none, SPEC, QUICK, origin={})


def test_young_orders_are_fitted_on_and_never_calibrated_on() -> None:
    training = TrainingSet(np.zeros((600, 1), np.float32), np.arange(600) % 2 == 0, np.arange(600))

    older, newer = _split_off_calibration(training, mature_until=500)

    assert newer.seen_at.tolist() == list(range(400, 500))
    assert older.seen_at.tolist() == [*range(400), *range(500, 600)]


def test_too_few_mature_orders_leave_the_newest_of_all_to_calibrate_on() -> None:
    training = TrainingSet(np.zeros((600, 1), np.float32), np.arange(600) % 2 == 0, np.arange(600))

    older, newer = _split_off_calibration(training, mature_until=100)

    assert (older.seen_at.max(), newer.seen_at.min()) == (479, 480)


def test_without_young_orders_the_newest_fifth_is_calibrated_on() -> None:
    training = TrainingSet(np.zeros((10, 1), np.float32), np.zeros(10, bool), np.arange(10))

    assert _split_off_calibration(training, None)[1].seen_at.tolist() == [8, 9]


@pytest.mark.parametrize(
    ("n_rows", "n_threads", "worth"), [(0, 8, 1), (99_999, 8, 1), (100_000, 8, 2), (100_000, 1, 1), (10**6, 8, 8)]
)
def test_few_rows_are_not_worth_many_threads(n_rows: int, n_threads: int, worth: int) -> None:
    assert count_fit_threads(n_rows, n_threads) == worth
