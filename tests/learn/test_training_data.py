"""A sample stands for the whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.learn.training_data import sample_rows
from ordervet.model import fit_calibration


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
