from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.errors import ModelError, TrainingError
from ordervet.model import Curve, fit_calibration, fit_risk_scale
from ordervet.model.calibration import fit_log_odds, fit_logistic_calibration

VALUES = st.floats(-50, 50, width=32, allow_subnormal=False)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    x = sorted(draw(st.sets(VALUES, min_size=1, max_size=12)))
    y = sorted(draw(st.lists(st.floats(0, 1), min_size=len(x), max_size=len(x))))
    return Curve(np.array(x), np.array(y))


@given(curve=curves(), values=st.lists(VALUES, min_size=1, max_size=20))
def test_curve_gives_one_value_the_same_bits_as_many(curve: Curve, values: list[float]) -> None:
    together = curve(np.array(values))

    alone = np.array([curve(np.array([value]))[0] for value in values])

    np.testing.assert_array_equal(alone, together)


@given(curve=curves(), values=st.lists(VALUES, min_size=2, max_size=20))
def test_curve_never_falls(curve: Curve, values: list[float]) -> None:
    results = curve(np.sort(np.array(values)))

    assert (np.diff(results) >= 0).all()


@given(curve=curves(), values=st.lists(VALUES, min_size=1, max_size=20))
def test_curve_interpolates_as_numpy_does(curve: Curve, values: list[float]) -> None:
    expected = np.interp(values, curve.x, curve.y)

    np.testing.assert_allclose(curve(np.array(values)), expected, rtol=1e-9, atol=1e-12)


@given(curve=curves())
def test_curve_reads_back_from_json_to_the_same_bits(curve: Curve) -> None:
    read = Curve.from_lists(json.loads(json.dumps(curve.to_lists())))

    np.testing.assert_array_equal(read.x, curve.x)
    np.testing.assert_array_equal(read.y, curve.y)


@pytest.mark.parametrize(
    ("x", "y"), [([1, 1], [0, 1]), ([1, 2], [1, 0]), ([1, np.nan], [0, 1]), ([], []), ([1], [0, 1])]
)
def test_curve_that_is_no_curve_is_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(ModelError, match="not ascending"):
        Curve(np.array(x, float), np.array(y, float))


def test_calibration_keeps_the_overall_rate_and_never_claims_certainty() -> None:
    rng = np.random.default_rng(1)
    raw = rng.normal(-3, 2, 20_000)
    is_malicious = rng.random(20_000) < 1 / (1 + np.exp(-raw))

    p = fit_calibration(raw, is_malicious)(raw)

    assert p.mean() == pytest.approx(is_malicious.mean(), abs=0.005)
    assert 0 < p.min() < p.max() < 1


@pytest.mark.parametrize("label", [True, False])
def test_calibration_needs_both_classes(label: bool) -> None:
    with pytest.raises(TrainingError, match="at least one of each class"):
        fit_calibration(np.arange(5.0), np.full(5, label))


def test_risk_scale_rises_250_for_each_factor_of_ten() -> None:
    raw = np.random.default_rng(2).permutation(100_000).astype(float)

    scale = fit_risk_scale(raw)

    share_at_or_above = np.array([0.5, 0.1, 0.01, 0.001])
    expected = -250 * np.log10(share_at_or_above)
    np.testing.assert_allclose(scale(100_000 * (1 - share_at_or_above)), expected, atol=1)
    assert scale(np.array([-1.0, 1e9])).tolist() == pytest.approx([0, 1000], abs=15)


def test_risk_scale_of_tied_scores_is_a_curve() -> None:
    scale = fit_risk_scale(np.array([0.0] * 990 + [1.0] * 10))

    assert scale(np.array([0.0]))[0] < scale(np.array([1.0]))[0]


def test_calibration_takes_a_row_of_some_weight_for_as_many_rows() -> None:
    rng = np.random.default_rng(5)
    raw = rng.normal(size=400)
    is_malicious = rng.random(400) < 1 / (1 + np.exp(-raw))
    weight = np.where(is_malicious, 1, rng.integers(1, 6, 400))

    curve = fit_calibration(raw, is_malicious, weight)

    repeated = fit_calibration(np.repeat(raw, weight), np.repeat(is_malicious, weight))
    np.testing.assert_allclose(curve(raw), repeated(raw), rtol=1e-9)


@pytest.mark.parametrize(("intercept", "slope"), [(-3.0, 1.5), (0.5, 0.2), (-6.0, 4.0)])
def test_logistic_curve_is_found_again(intercept: float, slope: float) -> None:
    rng = np.random.default_rng(3)
    raw = rng.normal(size=200_000)
    is_malicious = rng.random(len(raw)) < 1 / (1 + np.exp(-intercept - slope * raw))

    found = fit_log_odds(raw, is_malicious)

    assert found == pytest.approx((intercept, slope), rel=0.1)


def test_logistic_fit_weighs_rows_like_repeated_ones_and_knows_no_scale() -> None:
    rng = np.random.default_rng(4)
    raw, is_malicious = rng.normal(size=400), rng.random(400) < 0.2
    weight = rng.integers(1, 4, 400)

    weighted = fit_log_odds(raw, is_malicious, weight)
    repeated = fit_log_odds(np.repeat(raw, weight), np.repeat(is_malicious, weight))
    scaled = fit_log_odds(raw * 100 + 7, is_malicious, weight)

    # NOTE: the scores are centred by rows, and the ridge of a millionth holds on to that.
    assert weighted == pytest.approx(repeated, rel=1e-5)
    assert scaled[1] * 100 == pytest.approx(weighted[1], rel=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_logistic_calibration_never_falls_and_stays_finite_where_classes_are_apart(sign: int) -> None:
    raw = np.linspace(-5, 5, 50) * sign
    is_malicious = np.arange(50) >= 40

    curve = fit_logistic_calibration(raw, is_malicious)

    p = curve(np.linspace(-9, 9, 200))
    assert (np.diff(p) >= 0).all()
    assert ((p > 0) & (p < 1)).all()


def test_logistic_fit_of_a_score_that_does_not_vary_is_the_share() -> None:
    intercept, slope = fit_log_odds(np.ones(98), np.arange(98) < 24)

    assert slope == 0
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(0.25)
