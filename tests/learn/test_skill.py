"""A model that has learned nothing is told from one that has."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ordervet.learn.figures import Held
from ordervet.learn.night_settings import GateBounds
from ordervet.learn.skill import check_skill, find_chance_ap, find_own_columns

N = 4_000


def draw(seed: int = 0, share: float = 0.03) -> tuple[Held, np.random.Generator]:
    rng = np.random.default_rng(seed)
    is_malicious = rng.random(N) < share
    return Held(is_malicious, np.ones(N, np.int64), np.full(N, 100), rng.integers(0, N // 2, N)), rng


def judge(held: Held, raw: np.ndarray, own_raw: np.ndarray | None) -> list[bool]:
    return [gate.passed for gate in check_skill(raw, own_raw, held, GateBounds(), seed=1)]


def test_better_than_chance_and_than_own_columns_passes() -> None:
    held, rng = draw()
    own_raw = held.is_malicious + rng.normal(size=N)
    raw = own_raw + 2 * held.is_malicious

    assert judge(held, raw, own_raw) == [True, True]


def test_what_own_columns_tell_alone_is_no_skill_of_the_history() -> None:
    held, rng = draw()
    own_raw = 3 * held.is_malicious + rng.normal(size=N)

    assert judge(held, own_raw + 0.1 * rng.normal(size=N), own_raw) == [True, False]


def test_random_ranking_has_no_skill_in_most_of_many_draws() -> None:
    passed = []
    for seed in range(40):
        held, rng = draw(seed)
        passed.append(judge(held, rng.normal(size=N), rng.normal(size=N))[0])

    assert sum(passed) <= 8


def test_nothing_malicious_is_no_skill() -> None:
    held, rng = draw(share=0.0)

    assert judge(held, rng.normal(size=N), rng.normal(size=N)) == [False, False]


@pytest.mark.parametrize(("n_malicious", "n_orders"), [(1, 1), (1, 30), (3, 40), (20, 60), (60, 60)])
def test_chance_is_what_random_rankings_have_on_average(n_malicious: int, n_orders: int) -> None:
    rng = np.random.default_rng(4)
    label = np.arange(n_orders) < n_malicious

    found = np.mean([average_precision_score(label, rng.random(n_orders)) for _ in range(1_500)])

    assert find_chance_ap(n_malicious, n_orders) == pytest.approx(found, rel=0.06)


def test_own_columns_are_found_where_there_are_others() -> None:
    mixed = find_own_columns(("order__value__amount", "buyer__age__order", "order__is__office"))

    assert mixed is not None
    assert mixed.tolist() == [0, 2]
    assert find_own_columns(("buyer__age__order",)) is None
    assert find_own_columns(("order__value__amount",)) is None
