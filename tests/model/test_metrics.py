from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.model import measure_at_rate, measure_daily_precision, measure_ranking


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
