"""The bound that trust rests on holds, and knows of buyers and of malice that nobody judged."""

from __future__ import annotations

import numpy as np
import pytest

from ordervet.learn.trust_bound import measure_trust
from ordervet.policy.trust import NAMES, Trust

KNOWN = (9.0, 90 * 86_400.0, 0.0)


def measure(is_malicious: np.ndarray, buyer: np.ndarray, p: np.ndarray | None = None, **settings: float) -> dict:
    n = len(is_malicious)
    found = measure_trust(
        np.full(n, 0.001) if p is None else p, is_malicious, np.ones(n, np.int64), buyer, names=NAMES,
        features=np.tile(np.array(KNOWN, np.float32), (n, 1)), trust=None, **settings,
    )  # fmt: skip
    assert found is not None
    return found


@pytest.mark.parametrize("share", [0.002, 0.01])
def test_true_share_is_below_the_bound_in_nearly_all_of_many_draws(share: float) -> None:
    rng = np.random.default_rng(0)
    uppers = [measure(rng.random(2_000) < share, np.arange(2_000))["upper"][-1] for _ in range(300)]

    assert np.mean(np.array(uppers) >= share) > 0.97


def test_many_orders_of_few_buyers_show_little() -> None:
    clean = np.zeros(3_000, bool)

    many, few = measure(clean, np.arange(3_000)), measure(clean, np.arange(3_000) % 30)

    assert many["upper"][0] < 0.002
    assert few["upper"][0] > 0.1
    assert few["n_buyers"] == [30]


def test_malice_that_nobody_judged_is_added() -> None:
    is_malicious = np.arange(3_000) % 300 == 0

    all_judged, few_judged = measure(is_malicious, np.arange(3_000)), measure(
        is_malicious, np.arange(3_000), judged_share=0.25
    )  # fmt: skip

    assert few_judged["share"][0] == pytest.approx(4 * all_judged["share"][0])
    assert few_judged["upper"][0] > 2 * all_judged["upper"][0]


def test_bounds_are_of_the_least_risky_orders_up_to_each_probability() -> None:
    p = np.linspace(0, 0.1, 1_000)

    found = measure(p > 0.09, np.arange(1_000), p)

    assert found["p"] == sorted(found["p"])
    assert found["n_orders"] == [200, 400, 600, 800, 1_000]
    assert found["share"][:4] == [0.0] * 4
    assert found["share"][4] > 0.09


def test_nothing_is_measured_without_well_known_buyers_or_their_features() -> None:
    one = (np.full(1, 0.1), np.zeros(1, bool), np.ones(1, np.int64), np.zeros(1, np.int64))
    features = np.array([KNOWN], np.float32)

    assert measure_trust(*one, names=NAMES, features=features, trust=Trust(min_orders=10)) is None
    assert measure_trust(*one, names=("a", "b", "c"), features=features, trust=None) is None
