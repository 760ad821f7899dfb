"""A better model is told from noise; draws go by whole buyers, under any key."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ordervet.learn.intervals import find_interval, measure_gain, number_buyers
from ordervet.learn.ranking import Holdout, Ranking


def hold(n: int, seed: int, *, n_buyers: int = 50) -> tuple[np.ndarray, Holdout]:
    rng = np.random.default_rng(seed)
    is_malicious = np.append([True, False], rng.random(n - 2) < 0.3)
    raw = np.round(rng.normal(is_malicious, 1.0), 1)
    return raw, Holdout(is_malicious, rng.integers(1, 5, n), rng.integers(1, 900, n), rng.integers(0, n_buyers, n))


def test_gain_is_beyond_noise_only_where_there_is_one() -> None:
    raw, holdout = hold(3_000, 5, n_buyers=1_000)
    rng = np.random.default_rng(0)
    raw, same = raw + rng.normal(0, 0.3, (2, len(raw)))
    better = raw + 0.7 * holdout.is_malicious

    gains = [
        measure_gain(
            Ranking(scores, holdout.is_malicious).measure_ap,
            Ranking(raw, holdout.is_malicious).measure_ap,
            holdout,
            confidence_level=0.95,
            n_draws=100,
            seed=1,
        )
        for scores in (better, same)
    ]

    assert gains[0]["low"] > 0.05
    assert gains[1]["low"] < 0 < gains[1]["high"]
    assert all(gain["low"] <= gain["gain"] <= gain["high"] for gain in gains)


def test_unknown_buyers_stand_alone() -> None:
    group = number_buyers(np.array([7, 0, 7, 0, 9], np.uint64))

    assert group[0] == group[2]
    assert len(set(group.tolist())) == 4


def test_interval_is_wider_when_orders_come_in_groups() -> None:
    rng = np.random.default_rng(0)
    flags = np.repeat(rng.random(100) < 0.3, 20).astype(float)

    def measure(weights: np.ndarray) -> float:
        return float(weights @ flags / weights.sum())

    alone = find_interval(measure, np.arange(2_000))
    grouped = find_interval(measure, np.repeat(np.arange(100), 20))

    assert alone.low < alone.value < alone.high
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


@given(ids=st.lists(st.integers(0, 6)), key=st.permutations(range(1, 7)))
def test_numbers_of_buyers_do_not_depend_on_the_key(ids: list[int], key: list[int]) -> None:
    keyed = np.array([0, *key], np.uint64)

    one, other = (number_buyers(np.array(each, np.uint64)) for each in (ids, keyed[ids].tolist()))

    assert one.tolist() == other.tolist()
