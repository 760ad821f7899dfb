"""The starter with a merchant's own scale: ranks as before, alerts no more than a desk can look at."""

from __future__ import annotations

import numpy as np
import pytest

from ordervet.model import ForestPredictor, load_starter
from ordervet.model.starter import MOST_ALERTS, find_shift, ranks_as_starter, scale_starter


def build_rate(raw: np.ndarray, at_least: float):
    return lambda shift: float((load_starter().calibration(raw - shift) >= at_least).mean())


@pytest.mark.parametrize("at_least", [0.2, 0.5])
def test_shift_is_the_smallest_that_keeps_alerts_within_the_bound(at_least: float) -> None:
    raw = np.random.default_rng(1).normal(-1, 3, 20_000)
    rate = build_rate(raw, at_least)

    shift = find_shift(rate)

    assert rate(0.0) > MOST_ALERTS
    assert rate(shift) <= MOST_ALERTS < rate(shift - 0.01)
    scaled = scale_starter(raw, as_of="2025-12-01T00:00:00Z", shift=shift)
    assert (scaled.calibration(raw) >= at_least).mean() <= MOST_ALERTS


def test_nothing_is_shifted_where_few_orders_would_be_alerted() -> None:
    assert find_shift(build_rate(np.random.default_rng(1).normal(-9, 1, 5_000), 0.2)) == 0.0


def test_scaled_starter_ranks_as_the_starter_and_says_so() -> None:
    raw = np.random.default_rng(1).normal(-6, 2, 5_000)

    scaled = scale_starter(raw, as_of="2025-12-01T00:00:00Z")

    assert ranks_as_starter(scaled)
    assert ranks_as_starter(load_starter())
    assert scaled.booster_text == load_starter().booster_text
    assert scaled.calibration.to_lists() == load_starter().calibration.to_lists()
    for score in (250.0, 500.0):
        assert (scaled.risk_scale(raw) >= score).mean() == pytest.approx(10 ** (-score / 250), rel=0.05)
    ForestPredictor(scaled.booster_text)
