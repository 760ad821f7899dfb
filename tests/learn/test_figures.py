"""Weighted figures are those of scikit-learn; a better model is told from noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ordervet.learn.figures import Held, Ranking, measure_gain, number_groups


def hold(n: int, seed: int, *, n_buyers: int = 50) -> tuple[np.ndarray, Held]:
    rng = np.random.default_rng(seed)
    is_malicious = np.append([True, False], rng.random(n - 2) < 0.3)
    raw = np.round(rng.normal(is_malicious, 1.0), 1)
    return raw, Held(is_malicious, rng.integers(1, 5, n), rng.integers(1, 900, n), rng.integers(0, n_buyers, n))


@settings(max_examples=40)
@given(n=st.integers(2, 200), seed=st.integers(0, 99))
def test_weighted_areas_are_those_of_scikit_learn(n: int, seed: int) -> None:
    raw, held = hold(n, seed)

    ranking = Ranking(raw, held)

    truth = {"y_true": held.is_malicious, "y_score": raw, "sample_weight": held.weight}
    assert ranking.measure_ap(held.weight.astype(float)) == pytest.approx(average_precision_score(**truth))
    assert ranking.measure_auc(held.weight.astype(float)) == pytest.approx(roc_auc_score(**truth))


def test_row_of_some_weight_counts_as_so_many_rows() -> None:
    raw, held = hold(300, 3)
    rows = np.repeat(np.arange(300), held.weight)
    one_each = Held(held.is_malicious[rows], np.ones(len(rows), int), held.amount_minor[rows], held.group[rows])

    weighted, plain = Ranking(raw, held), Ranking(raw[rows], one_each)

    weights, ones = held.weight.astype(float), np.ones(len(rows))
    for rate in (0.01, 0.1, 0.5):
        assert weighted.measure_money(weights, rate) == pytest.approx(plain.measure_money(ones, rate))
        assert weighted.measure_rate(weights, rate) == pytest.approx(plain.measure_rate(ones, rate))


def test_gain_is_beyond_noise_only_where_there_is_one() -> None:
    raw, held = hold(3_000, 5, n_buyers=1_000)
    rng = np.random.default_rng(0)
    raw, same = raw + rng.normal(0, 0.3, (2, len(raw)))
    better = raw + 0.7 * held.is_malicious

    gains = [
        measure_gain(
            Ranking(scores, held).measure_ap, Ranking(raw, held).measure_ap, held, sureness=0.95, n_draws=100, seed=1
        )
        for scores in (better, same)
    ]

    assert gains[0]["low"] > 0.05
    assert gains[1]["low"] < 0 < gains[1]["high"]
    assert all(gain["low"] <= gain["gain"] <= gain["high"] for gain in gains)


def test_unknown_buyers_stand_alone() -> None:
    group = number_groups(np.array([7, 0, 7, 0, 9], np.uint64))

    assert group[0] == group[2]
    assert len(set(group.tolist())) == 4
