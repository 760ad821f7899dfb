from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ordervet.learn.evaluation import TestOrders, judge_ranking, measure_calibration
from ordervet.learn.intervals import find_interval
from ordervet.learn.ranking import Ranking
from ordervet.model import measure_at_rate


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


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n_scores=st.integers(2, 50))
def test_weighted_areas_are_those_of_scikit_learn(seed: int, n_scores: int) -> None:
    rng = np.random.default_rng(seed)
    scores, is_bad = rng.integers(0, n_scores, 80).astype(float), rng.random(80) < 0.3
    is_bad[:2] = [True, False]
    weights = rng.poisson(1.0, 80).astype(float) + 0.5

    ranking = Ranking(scores, is_bad)

    assert ranking.measure_ap(weights) == pytest.approx(average_precision_score(is_bad, scores, sample_weight=weights))
    assert ranking.measure_auc(weights) == pytest.approx(roc_auc_score(is_bad, scores, sample_weight=weights))


@given(seed=st.integers(0, 10_000), rate=st.sampled_from([0.05, 0.1, 0.5, 1.0]))
def test_recall_and_precision_are_those_of_the_plain_measure(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    scores, is_bad = rng.integers(0, 30, 100).astype(float), rng.random(100) < 0.3
    is_bad[0] = True
    plain = measure_at_rate(scores, is_bad, rate)

    recall, precision = Ranking(scores, is_bad).measure_at(rate, np.ones(100))

    assert recall == pytest.approx(plain["recall"])
    assert precision == pytest.approx(plain["precision"])


def test_ranking_of_nothing_is_not_a_number() -> None:
    ranking = Ranking(np.zeros(0), np.zeros(0, bool))

    assert np.isnan([ranking.measure_ap(np.zeros(0)), ranking.measure_auc(np.zeros(0))]).all()
    assert ranking.flag(0.5).tolist() == []


def test_flags_are_the_riskiest_orders_and_whole_ties() -> None:
    ranking = Ranking(np.array([1.0, 3.0, 2.0, 2.0, 0.0]), np.zeros(5, bool))

    assert ranking.flag(0.4).tolist() == [False, True, True, True, False]
    assert not ranking.flag(0.0).any()


def test_judgement_counts_money_caught_and_held_by_mistake() -> None:
    orders = draw_orders()

    at_two_percent = judge_ranking(orders)["at_alert_rate"][2]

    riskiest = np.argsort(-orders.raw)[:40]
    caught = orders.amount_minor[riskiest][orders.is_malicious[riskiest]].sum()
    assert at_two_percent["alert_rate"] == 0.02
    assert at_two_percent["caught_minor"] == caught
    assert (
        at_two_percent["caught_minor"] + at_two_percent["held_by_mistake_minor"] == orders.amount_minor[riskiest].sum()
    )


def test_capacity_takes_the_riskiest_orders_of_each_day() -> None:
    orders = draw_orders()

    at = judge_ranking(orders, capacity=7)["at_capacity"]

    n_caught = 0
    for day in np.unique(orders.day):
        rows = np.flatnonzero(orders.day == day)
        n_caught += orders.is_malicious[rows[np.argsort(-orders.raw[rows])[:7]]].sum()
    assert (at["n_days"], at["n_flagged"]) == (10, 70)
    assert at["precision"] == n_caught / 70
    assert at["recall"] == n_caught / orders.is_malicious.sum()


def test_parts_add_up_and_leave_out_what_has_no_name() -> None:
    orders = draw_orders()

    parts = judge_ranking(orders)["parts"]["channel"]

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


def test_interval_is_wider_when_orders_come_in_groups() -> None:
    rng = np.random.default_rng(0)
    flags = np.repeat(rng.random(100) < 0.3, 20).astype(float)

    def measure(weights: np.ndarray) -> float:
        return float(weights @ flags / weights.sum())

    alone = find_interval(measure, np.arange(2_000))
    grouped = find_interval(measure, np.repeat(np.arange(100), 20))

    assert alone.low < alone.value < alone.high
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_judgement_without_probabilities_or_malice_still_is_plain_values() -> None:
    orders = draw_orders(50)
    innocent = replace(orders, p_malicious=None, is_malicious=np.zeros(50, bool))

    judgement = judge_ranking(innocent, capacity=3)

    assert "calibration" not in judgement
    assert judgement["at_capacity"]["recall"] is None
    assert judgement["at_capacity"]["precision"] == 0
