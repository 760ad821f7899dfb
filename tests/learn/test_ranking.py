"""Weighted figures are those of scikit-learn, daily precision that of the handbook."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ordervet.learn.ranking import Holdout, Ranking, measure_at_rate, measure_daily_precision, measure_ranking
from ordervet.learn.trial import _measure_money


def daily_precision_by_definition(frame: pd.DataFrame, top_k: int) -> float:
    """Card Precision at k, written as the handbook describes it."""
    found: set[int] = set()
    precision = []
    for _, of_day in frame.sort_values("day").groupby("day"):
        rest = of_day[~of_day["card"].isin(found)]
        cards = rest.groupby("card").agg(score=("score", "max"), bad=("bad", "max"))
        top = cards.sort_values("score", ascending=False, kind="stable").head(top_k)
        caught = set(top.index[top["bad"]])
        found |= caught
        precision.append(len(caught) / top_k)
    return float(np.mean(precision))


def hold(n: int, seed: int, *, n_buyers: int = 50) -> tuple[np.ndarray, Holdout]:
    rng = np.random.default_rng(seed)
    is_malicious = np.append([True, False], rng.random(n - 2) < 0.3)
    raw = np.round(rng.normal(is_malicious, 1.0), 1)
    return raw, Holdout(is_malicious, rng.integers(1, 5, n), rng.integers(1, 900, n), rng.integers(0, n_buyers, n))


@settings(max_examples=40)
@given(n=st.integers(2, 200), seed=st.integers(0, 99))
def test_weighted_areas_are_those_of_scikit_learn(n: int, seed: int) -> None:
    raw, holdout = hold(n, seed)

    ranking = Ranking(raw, holdout.is_malicious)

    truth = {"y_true": holdout.is_malicious, "y_score": raw, "sample_weight": holdout.weight}
    assert ranking.measure_ap(holdout.weight.astype(float)) == pytest.approx(average_precision_score(**truth))
    assert ranking.measure_auc(holdout.weight.astype(float)) == pytest.approx(roc_auc_score(**truth))


def test_row_of_some_weight_counts_as_so_many_rows() -> None:
    raw, holdout = hold(300, 3)
    rows = np.repeat(np.arange(300), holdout.weight)
    one_each = Holdout(
        holdout.is_malicious[rows], np.ones(len(rows), int), holdout.amount_minor[rows], holdout.unit[rows]
    )

    weighted, plain = Ranking(raw, holdout.is_malicious), Ranking(raw[rows], one_each.is_malicious)

    weights, ones = holdout.weight.astype(float), np.ones(len(rows))
    for rate in (0.01, 0.1, 0.5):
        assert (weighted.flag(rate, weights)[rows] == plain.flag(rate)).all()
        money = _measure_money(weighted, holdout, weights, rate)
        assert money == pytest.approx(_measure_money(plain, one_each, ones, rate))
        assert weighted.measure_at(rate, weights) == pytest.approx(plain.measure_at(rate, ones))


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


@given(seed=st.integers(0, 10_000), top_k=st.integers(1, 6))
def test_daily_precision_equals_its_definition(seed: int, top_k: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    frame = pd.DataFrame(
        {
            "card": rng.integers(0, 12, n).astype(np.uint64),
            "score": rng.permutation(n).astype(float),
            "bad": rng.random(n) < 0.3,
            "day": rng.integers(0, 4, n),
        }
    )

    measured = measure_daily_precision(
        frame["score"].to_numpy(), frame["bad"].to_numpy(), frame["day"].to_numpy(), frame["card"].to_numpy(), top_k
    )

    assert measured == pytest.approx(daily_precision_by_definition(frame, top_k))


def test_ranking_without_both_classes_has_no_area() -> None:
    measured = measure_ranking(np.arange(4.0), np.zeros(4, bool))

    assert np.isnan(measured["auc"])
    assert np.isnan(measured["ap"])
    assert measured["n_orders"] == 4


def test_perfect_ranking_has_full_area() -> None:
    measured = measure_ranking(np.arange(10.0), np.arange(10) >= 7)

    assert (measured["auc"], measured["ap"], measured["n_malicious"]) == (1, 1, 3)


def test_recall_at_a_rate_counts_ties_in_proportion() -> None:
    scores = np.array([3.0, 2.0, 2.0, 2.0, 2.0, 1, 1, 1, 1, 1])
    is_malicious = np.array([True, True, False, False, False, False, False, False, False, False])

    measured = measure_at_rate(scores, is_malicious, 0.3)

    assert measured["recall"] == pytest.approx((1 + 2 / 4) / 2)
    assert measured["precision"] == pytest.approx((1 + 2 / 4) / 3)
