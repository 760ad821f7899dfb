"""Look-alike groups of a merchant's own: who is in them, and when a model is unfair to one."""

from __future__ import annotations

import numpy as np
import pytest

from ordervet.learn.gates import check_groups
from ordervet.learn.groups import find_groups, measure_groups

NAMES = (
    "order__is__pick_up", "address__distinct__buyer__90d", "buyer__count__order__90d",
    "buyer__share__refund_requested__90d", "order__value__account_age_days", "order__value__quantity",
)  # fmt: skip
NAN = float("nan")


def test_groups_are_told_by_features_and_missing_ones_are_in_none() -> None:
    features = np.array(
        [
            [1, 2, 0, NAN, 900, 1],  # a parcel to a pick-up station
            [0, 2, 0, NAN, 900, 1],  # a shared private door
            [0, 0, 5, 0.8, 900, 1],  # sends most of it back
            [0, 0, 1, 1.0, 900, 1],  # so few orders say nothing
            [0, 0, 0, NAN, 3, 1],  # an account of three days
            [0, 0, 9, 0.0, 900, 40],  # wholesale
            [NAN] * 6,
        ],
        np.float32,
    )

    groups = find_groups(NAMES, features, np.array(["", "", "", "", "app", "", "app"]))

    expected = {"pick_up": [0], "family": [1], "heavy_returner": [2], "newcomer": [4], "newcomer:app": [4]}
    assert {name: np.flatnonzero(rows).tolist() for name, rows in groups.items()} == expected | {"wholesale": [5]}
    assert find_groups((), np.zeros((2, 0), np.float32), np.array(["app", ""])) == {}


@pytest.mark.parametrize(
    ("rate", "before", "is_unfair"),
    [(0.2, 0.02, True), (0.2, 0.2, False), (0.03, 0.02, False), (0.02, 0.3, False)],
)
def test_group_is_unfairly_alerted_beyond_the_bound_and_more_than_by_the_champion(
    rate: float, before: float, is_unfair: bool
) -> None:
    rng, n = np.random.default_rng(3), 6_000
    is_in = np.arange(n) % 4 == 0
    flags, champion = rng.random(n) < np.where(is_in, rate, 0.02), rng.random(n) < np.where(is_in, before, 0.02)

    rows = measure_groups(
        {"newcomer": is_in}, np.zeros(n, bool), flags, champion, np.ones(n, np.int64), rng.integers(0, n // 2, n),
        judged_share=1.0, bound=1.5, min_orders=200, n_draws=60, seed=1,
    )  # fmt: skip

    assert [row.group for row in rows] == ["newcomer"]
    assert rows[0].alert_rate == pytest.approx(flags[is_in].mean())
    assert rows[0].plain_rate == pytest.approx(flags[~is_in].mean())
    assert check_groups(rows, bound=1.5).passed is not is_unfair


def test_malicious_orders_and_small_groups_are_left_out() -> None:
    n = 1_000
    is_in, flags = np.arange(n) < 150, np.arange(n) < 100

    def measure(is_malicious: np.ndarray, min_orders: int) -> list[float]:
        rows = measure_groups(
            {"burst": is_in}, is_malicious, flags, flags, np.ones(n, np.int64), np.arange(n), bound=1.5,
            judged_share=1.0, min_orders=min_orders, n_draws=50, seed=1,
        )  # fmt: skip
        return [row.alert_rate for row in rows]

    nobody = np.zeros(n, bool)
    assert measure(nobody, 151) == []
    assert measure(nobody, 150) == [pytest.approx(100 / 150)]
    assert measure(flags, 50) == [0.0]


def test_alerted_malice_that_nobody_found_is_no_unfairness() -> None:
    rng, n = np.random.default_rng(5), 20_000
    is_in = np.arange(n) % 4 == 0
    is_malicious = is_in & (rng.random(n) < 0.1)
    flags = is_malicious | (rng.random(n) < 0.01)
    is_found = is_malicious & (rng.random(n) < 0.4)

    def measure(judged_share: float) -> float:
        rows = measure_groups(
            {"family": is_in}, is_found, flags, flags & ~is_in, np.ones(n, np.int64), np.arange(n),
            judged_share=judged_share, bound=1.5, min_orders=200, n_draws=60, seed=1,
        )  # fmt: skip
        assert rows[0].is_unfair is (judged_share == 1.0)
        return rows[0].alert_rate

    assert measure(1.0) > 0.04
    assert measure(0.4) == pytest.approx(0.01, abs=0.008)
