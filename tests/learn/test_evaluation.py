from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ordervet.learn.evaluation import TestOrders, evaluate_ranking, measure_calibration


def draw_orders(n: int = 2_000, seed: int = 0) -> TestOrders:
    rng = np.random.default_rng(seed)
    p = rng.beta(0.4, 8, n)
    return TestOrders(
        raw=np.log(p / (1 - p)),
        p_malicious=p,
        is_malicious=rng.random(n) < p,
        amount_minor=rng.integers(100, 90_000, n),
        day=np.sort(rng.integers(20_000, 20_010, n)),
        buyer=rng.integers(0, 500, n),
        parts={"channel": rng.choice(["search", "live", ""], n)},
    )


def test_evaluation_counts_money_caught_and_held_by_mistake() -> None:
    orders = draw_orders()

    at_two_percent = evaluate_ranking(orders)["at_alert_rate"][2]

    riskiest = np.argsort(-orders.raw)[:40]
    caught = orders.amount_minor[riskiest][orders.is_malicious[riskiest]].sum()
    assert at_two_percent["alert_rate"] == 0.02
    assert at_two_percent["caught_minor"] == caught
    assert (
        at_two_percent["caught_minor"] + at_two_percent["held_by_mistake_minor"] == orders.amount_minor[riskiest].sum()
    )


def test_capacity_takes_the_riskiest_orders_of_each_day() -> None:
    orders = draw_orders()

    at = evaluate_ranking(orders, capacity=7)["at_capacity"]

    n_caught = 0
    for day in np.unique(orders.day):
        rows = np.flatnonzero(orders.day == day)
        n_caught += orders.is_malicious[rows[np.argsort(-orders.raw[rows])[:7]]].sum()
    assert (at["n_days"], at["n_flagged"]) == (10, 70)
    assert at["precision"] == n_caught / 70
    assert at["recall"] == n_caught / orders.is_malicious.sum()


def test_parts_add_up_and_leave_out_what_has_no_name() -> None:
    orders = draw_orders()

    parts = evaluate_ranking(orders)["parts"]["channel"]

    assert [row["part"] for row in parts] == ["live", "search"]
    assert sum(row["n_orders"] for row in parts) == (orders.parts["channel"] != "").sum()


def test_calibrated_probabilities_have_hardly_any_error_and_doubled_ones_have() -> None:
    orders = draw_orders(50_000)
    assert orders.p_malicious is not None

    right = measure_calibration(orders.p_malicious, orders.is_malicious)
    wrong = measure_calibration(np.minimum(1, 2 * orders.p_malicious), orders.is_malicious)

    assert right["error"] < 0.003
    assert wrong["error"] > 0.03
    assert wrong["bias"] == pytest.approx(wrong["error"])


def test_evaluation_without_probabilities_or_malice_still_is_plain_values() -> None:
    orders = draw_orders(50)
    innocent = replace(orders, p_malicious=None, is_malicious=np.zeros(50, bool))

    evaluation = evaluate_ranking(innocent, capacity=3)

    assert "calibration" not in evaluation
    assert evaluation["at_capacity"]["recall"] is None
    assert evaluation["at_capacity"]["precision"] == 0
