"""What a random audit says about missed malice: unbiased, with intervals that hold, and weights that stand for it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from ordervet.history.slices import Timeline
from ordervet.learn.audit import estimate_missed, weigh_audited
from ordervet.learn.intervals import find_wilson_interval
from ordervet.learn.labels import DAY_US, INNOCENT, MALICIOUS, UNKNOWN, Labels
from ordervet.learn.training_data import Plan, TrainingData

NOW_US = 1_000 * DAY_US
NOTHING = np.zeros(0, np.int64)


@pytest.mark.parametrize(("n_hits", "n"), [(0, 10), (3, 10), (10, 10), (7, 900)])
def test_interval_is_that_of_scipy(n_hits: int, n: int) -> None:
    found = binomtest(n_hits, n).proportion_ci(0.90, method="wilson")

    assert find_wilson_interval(n_hits, n) == pytest.approx((found.low, found.high), abs=1e-12)
    assert find_wilson_interval(0, 0) == (0.0, 1.0)


def audit(n: int, seed: int, *, share: float, judged: float, asked: float) -> tuple[float, float, float, int]:
    """Let a desk find four in five malicious orders, and audit the rest; returns the estimate and the truth.

    Of what passed it finds some later, as a refund is asked for.
    """
    rng = np.random.default_rng(seed)
    is_malicious = rng.random(n) < 0.05
    is_flagged = is_malicious & (rng.random(n) < 0.8)
    is_audited = ~is_flagged & (rng.random(n) < share)
    is_asked = is_malicious & ~is_flagged & ~is_audited & (rng.random(n) < asked)
    is_judged = is_flagged | is_asked | (is_audited & (rng.random(n) < judged))
    verdict = np.where(is_judged, np.where(is_malicious, MALICIOUS, INNOCENT), UNKNOWN).astype(np.int8)
    ids = np.arange(1, n + 1).astype(np.uint64)
    timeline = Timeline(ids, NOW_US - np.arange(n)[::-1], NOTHING, NOTHING, NOTHING.astype(np.int8), (), "")
    labels = Labels(verdict, is_judged, verdict, np.zeros(n, np.int64), verdict, np.ones(n))

    found = estimate_missed(timeline, labels, ids[is_audited & is_judged], as_of_us=NOW_US + 1)

    assert found is not None
    assert found.n_found == pytest.approx((is_flagged | is_asked).sum(), rel=0.02)
    return found.missed, found.missed_low, found.missed_high, int((is_malicious & ~is_flagged).sum())


@pytest.mark.parametrize(("judged", "asked"), [(1.0, 0.0), (0.6, 0.0), (1.0, 0.7)])
def test_missed_malice_is_estimated_without_bias_and_its_interval_holds(judged: float, asked: float) -> None:
    drawn = np.array([audit(20_000, seed, share=0.05, judged=judged, asked=asked) for seed in range(120)])

    missed, low, high, truth = drawn.T
    assert missed.mean() == pytest.approx(truth.mean(), rel=0.1)
    assert 0.8 < ((low <= truth) & (truth <= high)).mean() <= 1.0


def test_nothing_is_estimated_without_an_audit() -> None:
    timeline = Timeline(np.ones(1, np.uint64), np.full(1, NOW_US), NOTHING, NOTHING, NOTHING.astype(np.int8), (), "")
    unknown = np.full(1, UNKNOWN, np.int8)
    labels = Labels(np.zeros(1, np.int8), np.zeros(1, bool), unknown, np.zeros(1, np.int64), unknown, np.ones(1))

    assert estimate_missed(timeline, labels, np.zeros(0, np.uint64), as_of_us=NOW_US) is None


def build_data(n_found: int, n_hits: int) -> TrainingData:
    n = 1_000
    label = (np.arange(n) < n_found + n_hits).astype(np.int8)
    ones, is_audited = np.ones(n, np.int64), (np.arange(n) >= n_found) & (np.arange(n) < n_found + 2 * n_hits)
    plan = Plan(np.arange(n), label, label, ones, ones, ones.astype(float), ones.astype(bool))
    return TrainingData(
        plan, np.zeros((n, 1), np.float32), ones, ones, ones, ones.astype(np.uint64), ones.astype("U1"), is_audited,
        np.zeros(0, np.uint64), np.zeros((n, 4), np.uint64),
    )  # fmt: skip


@pytest.mark.parametrize(("n_found", "n_hits", "expected"), [(300, 2, 100), (300, 30, 10), (5, 10, 1)])
def test_malicious_order_of_the_audit_stands_for_the_missed_ones(n_found: int, n_hits: int, expected: int) -> None:
    data = build_data(n_found, n_hits)

    weight = weigh_audited(data, 0.01).plan.weight

    is_hit = data.is_audited & (data.plan.label == MALICIOUS)
    assert (weight[is_hit] == expected).all()
    assert (weight[~is_hit] == 1).all()
    assert weigh_audited(data, None) is data
