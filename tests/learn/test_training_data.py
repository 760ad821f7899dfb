"""A sample stands for the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.history.slices import Timeline
from ordervet.learn.labels import DAY_US, label_mature_orders
from ordervet.learn.night_settings import Learning, Maturity, NightSettings
from ordervet.learn.training_data import (
    LEAST_KNOWN_SHARE,
    TrainingData,
    find_ranges,
    plan_training_data,
    sample_rows,
    weigh_early,
    weigh_kinds,
)
from ordervet.model import fit_calibration

AS_OF_US = 100 * DAY_US


@settings(max_examples=60)
@given(n=st.integers(1, 300), n_days=st.integers(1, 6), max_rows=st.integers(0, 320), seed=st.integers(0, 9))
def test_weights_of_each_day_add_up_to_its_orders(n: int, n_days: int, max_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order_id, day = rng.integers(1, 2**63, n).astype(np.uint64), rng.integers(0, n_days, n)
    is_kept = rng.random(n) < 0.2

    rows, weight = sample_rows(order_id, day, is_kept, max_rows=max_rows, seed=seed)

    for part in (is_kept, ~is_kept):
        found = np.bincount(day[rows], weight * part[rows], minlength=n_days)
        np.testing.assert_array_equal(found, np.bincount(day, part, minlength=n_days))
    assert set(np.flatnonzero(is_kept)) <= set(rows)
    assert (weight[is_kept[rows]] == 1).all()
    assert len(rows) <= max(max_rows, int(is_kept.sum())) + n_days


@given(seed=st.integers(0, 9))
@settings(max_examples=10)
def test_sample_does_not_depend_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order_id, day = rng.permutation(500).astype(np.uint64), rng.integers(0, 3, 500)
    is_kept = rng.random(500) < 0.1
    shuffled = rng.permutation(500)

    rows, weight = sample_rows(order_id, day, is_kept, max_rows=200, seed=1)

    again, weight_again = sample_rows(order_id[shuffled], day[shuffled], is_kept[shuffled], max_rows=200, seed=1)
    one = dict(zip(order_id[rows].tolist(), weight.tolist(), strict=True))
    assert one == dict(zip(order_id[shuffled][again].tolist(), weight_again.tolist(), strict=True))


def test_calibration_of_weighted_samples_is_that_of_the_whole_on_average() -> None:
    rng = np.random.default_rng(3)
    n = 60_000
    raw = rng.normal(-3, 1.5, n)
    is_malicious = rng.random(n) < 1 / (1 + np.exp(-raw))
    order_id, day = np.arange(1, n + 1, dtype=np.uint64), rng.integers(0, 30, n)
    weighted, blind = [], []

    for seed in range(20):
        rows, weight = sample_rows(order_id, day, is_malicious, max_rows=16_000, seed=seed)
        weighted.append(fit_calibration(raw[rows], is_malicious[rows], weight)(raw).mean())
        blind.append(fit_calibration(raw[rows], is_malicious[rows])(raw).mean())

    whole = fit_calibration(raw, is_malicious)(raw).mean()
    noise = np.std(weighted) / np.sqrt(len(weighted))
    assert abs(np.mean(weighted) - whole) < 3 * noise + 0.002 * whole
    assert np.mean(blind) > 2 * whole


def test_share_of_malice_among_early_labels_is_what_it_is_among_mature_ones() -> None:
    rng = np.random.default_rng(8)
    n = 200_000
    age_days = rng.uniform(0, 60, n)
    is_malicious = rng.random(n) < 0.05
    delay_days = rng.gamma(2.0, 3.0, n)
    told = np.flatnonzero(is_malicious & (delay_days < age_days))
    order = np.argsort(-age_days, kind="stable")
    row_of = np.empty(n, np.int64)
    row_of[order] = np.arange(n)
    told = told[np.argsort(-(age_days - delay_days)[told], kind="stable")]
    timeline = Timeline(
        np.arange(1, n + 1, dtype=np.uint64), AS_OF_US - (age_days[order] * DAY_US).astype(np.int64), row_of[told],
        AS_OF_US - ((age_days - delay_days)[told] * DAY_US).astype(np.int64), np.zeros(len(told), np.int8),
        ("malicious",), "",
    )  # fmt: skip
    night = NightSettings(maturity=Maturity(verdict_days={}), learning=Learning(max_rows=1_000_000))
    labels = label_mature_orders(timeline, as_of_us=AS_OF_US, maturity=night.maturity)

    plan = plan_training_data(timeline, labels, as_of_us=AS_OF_US, settings=night)

    weight, is_found = weigh_early(plan, np.arange(len(plan.rows))), plan.label == 1
    age = age_days[order][plan.rows]
    for low, high in ((3, 6), (6, 10), (10, 30), (30, 60)):
        of = (age >= low) & (age < high)
        assert weight[of & is_found].sum() / weight[of].sum() == pytest.approx(0.05, rel=0.15)
    assert plan.weight[plan.known_share < LEAST_KNOWN_SHARE].sum() == 0
    assert (np.bincount(age.astype(int), plan.weight)[3:] == np.bincount(age_days.astype(int))[3:]).all()


def build_data_of_kinds(kinds: np.ndarray, delay_days: np.ndarray, age_days: np.ndarray) -> TrainingData:
    """All orders are malicious, and each is known as such after its delay; those with early labels and mature ones."""
    order = np.argsort(-age_days, kind="stable")
    kinds, delay_days, age_days = kinds[order], delay_days[order], age_days[order]
    told = np.flatnonzero(delay_days < age_days)
    n, at_us = len(kinds), AS_OF_US - (age_days * DAY_US).astype(np.int64)
    timeline = Timeline(
        np.arange(1, n + 1, dtype=np.uint64), at_us, told, at_us[told] + (delay_days[told] * DAY_US).astype(np.int64),
        np.zeros(len(told), np.int8), ("malicious",), "",
    )  # fmt: skip
    night = NightSettings(maturity=Maturity(verdict_days={}))
    labels = label_mature_orders(timeline, as_of_us=AS_OF_US, maturity=night.maturity)
    plan = plan_training_data(timeline, labels, as_of_us=AS_OF_US, settings=night)
    m, nothing = len(plan.rows), np.zeros(len(plan.rows), np.int64)
    return TrainingData(
        plan, np.zeros((m, 0), np.float32), at_us[plan.rows], nothing, nothing, nothing.astype(np.uint64),
        kinds[plan.rows], np.zeros(m, bool), np.zeros(0, np.uint64), np.zeros((m, 4), np.uint64),
    )  # fmt: skip


def test_kind_that_is_found_late_weighs_among_early_labels_what_it_does_among_mature_ones() -> None:
    rng, n = np.random.default_rng(4), 60_000
    is_slow = rng.random(n) < 0.4
    delay_days = np.where(is_slow, rng.gamma(4.0, 4.0, n), rng.gamma(2.0, 2.0, n))
    data = build_data_of_kinds(np.where(is_slow, "slow", "fast"), delay_days, rng.uniform(0, 90, n))

    weight = weigh_kinds(data, as_of_us=AS_OF_US, verdict_days=0.0)

    age_days = (AS_OF_US - data.seen_at) / DAY_US
    known, slow = (data.plan.label == 1) & (data.plan.weight > 0), data.kind == "slow"
    assert (weight[data.plan.known_share == 1] == 1).all()
    for low, high in ((10, 13), (13, 17), (17, 22)):
        of = known & (age_days >= low) & (age_days < high)
        assert weight[of & slow].sum() / weight[of].sum() == pytest.approx(0.4, abs=0.03)
        assert slow[of].mean() < 0.36
        assert weight[of].sum() == pytest.approx(of.sum(), rel=0.03)


def test_kinds_do_not_weigh_where_all_are_found_alike_or_too_few_verdicts_tell() -> None:
    rng, n = np.random.default_rng(5), 20_000
    kinds = np.where(rng.random(n) < 0.5, "one", "other")
    kinds[:15], kinds[15:2_000] = "rare", ""
    data = build_data_of_kinds(kinds, rng.gamma(2.0, 4.0, n), rng.uniform(0, 90, n))

    weight = weigh_kinds(data, as_of_us=AS_OF_US, verdict_days=0.0)

    assert (weight[np.isin(data.kind, ["rare", ""])] == 1).all()
    known = (data.plan.label == 1) & (data.plan.weight > 0) & (data.plan.known_share < 1)
    assert np.abs(weight[known] - 1).max() < 0.15


def test_range_is_that_of_the_earlier_half_and_an_age_is_bounded_by_what_that_could_have() -> None:
    rng, n = np.random.default_rng(6), 10_000
    age_s = np.arange(n) * rng.random(n)  # it grows with the history
    steady = rng.normal(size=n)
    features = np.column_stack([age_s, np.where(rng.random(n) < 0.3, np.nan, steady), np.full(n, np.nan)])
    rows = np.arange(0, n, 2)

    least, most = find_ranges(features.astype(np.float32), rows, 3)

    assert n * 0.4 < most[0] <= n / 2
    assert np.mean((steady < least[1]) | (steady > most[1])) == pytest.approx(0.01, abs=0.006)
    assert (least[2], most[2]) == (-np.inf, np.inf)
