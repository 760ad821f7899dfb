"""Runs of verdicts and spikes of amounts, on one id that everything happens to."""

from __future__ import annotations

import numpy as np
import pytest
from features_reference import compute_again, compute_features
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.errors import MappingError
from ordervet.features import FeatureEngine, LaterEvents, OrderEvents, build_spec
from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.spec import SELECTOR_BIT, parse_name

DAY = 86_400_000_000
SPEC = build_spec(
    use_defaults=False,
    names=(
        "device__{run,run_age,recency}__{malicious,innocent}__{7d,90d}",
        "device__{peak,spikes}__amount__{1d,7d,90d}",
    ),
)
WORDS = {"malicious": 2, "unsure": 3, "innocent": 4, "corrected": 5}  # and the ranks among events of one time


def place_orders(days: list[int], amounts: list[int]) -> OrderEvents:
    n = len(days)
    ids = dict.fromkeys(SPEC.entities, np.zeros(n, np.uint64)) | {"device": np.ones(n, np.uint64)}
    return OrderEvents(
        np.arange(1, n + 1, dtype=np.uint64), np.array(days) * DAY, np.array(amounts), ids, np.zeros((n, 0), np.float32)
    )


def judge(told: list[tuple[int, int, str]]) -> LaterEvents:
    """Lay out verdicts, each as the number of the order, the day and the word."""
    bits = {word: SELECTOR_BIT[word] | SELECTOR_BIT["verdict"] for word in ("malicious", "innocent")}
    return LaterEvents(
        np.array([order for order, _, _ in told], np.uint64),
        np.array([day for _, day, _ in told], np.int64) * DAY,
        np.array([JUDGEMENT_BIT | bits.get(word, 0) for _, _, word in told], np.int64),
        np.zeros(len(told), np.int64),
        np.array([WORDS[word] for _, _, word in told], np.uint8),
    )


def serve_last(days: list[int], told: list[tuple[int, int, str]], hot_from: int) -> dict[str, float]:
    """Return what the last order is told, by name."""
    served = FeatureEngine(SPEC, hot_from=hot_from).advance(place_orders(days, [100] * len(days)), judge(told))
    return dict(zip(SPEC.names, served[-1].tolist(), strict=True))


@pytest.mark.parametrize("hot_from", [1, 100])
def test_run_is_of_the_latest_verdicts_that_agree(hot_from: int) -> None:
    told = [(1, 10, "malicious"), (2, 11, "innocent"), (3, 12, "malicious"), (4, 14, "malicious")]

    features = serve_last([1, 2, 3, 4, 20], told, hot_from)

    assert features["device__run__malicious__90d"] == 2
    assert features["device__run_age__malicious__90d"] == 8 * 86_400
    assert features["device__recency__malicious__90d"] == 6 * 86_400
    assert features["device__run__innocent__90d"] == 0
    assert np.isnan(features["device__run_age__innocent__90d"])
    assert features["device__recency__innocent__90d"] == 9 * 86_400
    assert features["device__run__malicious__7d"] == 1


@pytest.mark.parametrize("hot_from", [1, 100])
@pytest.mark.parametrize("word", ["corrected", "unsure"])
def test_run_goes_on_where_the_verdict_that_ended_it_is_taken_back(word: str, hot_from: int) -> None:
    told = [(1, 10, "malicious"), (2, 11, "innocent"), (3, 12, "malicious"), (2, 13, word)]

    features = serve_last([1, 2, 3, 20], told, hot_from)

    assert features["device__run__malicious__90d"] == 2
    assert features["device__run_age__malicious__90d"] == 10 * 86_400
    assert np.isnan(features["device__recency__innocent__90d"])


@pytest.mark.parametrize("hot_from", [1, 100])
def test_verdicts_of_one_time_end_each_other(hot_from: int) -> None:
    told = [(1, 10, "malicious"), (2, 11, "malicious"), (3, 11, "innocent")]

    features = serve_last([1, 2, 3, 20], told, hot_from)

    assert features["device__run__malicious__90d"] == 0
    assert features["device__run__innocent__90d"] == 0
    assert features["device__recency__malicious__90d"] == 9 * 86_400


verdicts = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 30), st.sampled_from(sorted(WORDS))), min_size=1, max_size=40
)


@settings(max_examples=20, deadline=None)
@given(
    told=verdicts, gap=st.sampled_from([1, 4, 40]), hot_from=st.sampled_from([1, 3, 8, 100]), n_calls=st.integers(1, 4)
)
def test_runs_equal_the_reference(told: list[tuple[int, int, str]], gap: int, hot_from: int, n_calls: int) -> None:
    """Twelve orders, then judged and judged again, and an order a day that is told of it."""
    told = [(order, 12 + day * gap // 4, word) for order, day, word in told]
    days = [*range(12), *range(12, 12 + 30 * gap // 4 + 3, max(gap // 4, 1))]
    orders, later = place_orders(days, [100] * len(days)), judge(told)

    engine = FeatureEngine(SPEC, hot_from=hot_from)
    served, through = [], -1
    for part in np.array_split(np.arange(len(days)), n_calls):
        end = int(orders.seen_at[part[-1]])
        is_in = (later.seen_at > through) & (later.seen_at <= end)
        served.append(engine.advance(orders.take(part), later.take(np.flatnonzero(is_in))))
        engine.compact()
        through = end

    np.testing.assert_array_equal(np.concatenate(served), compute_features(orders, later, SPEC))
    again = place_orders([days[-1]], [100])
    expected = compute_again(orders, later, SPEC, 0, int(orders.seen_at[-1]))
    np.testing.assert_array_equal(engine.advance(again, LaterEvents.empty())[0], np.array(expected, np.float32))


@settings(max_examples=25, deadline=None)
@given(
    placed=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from([0, 1, 7, 90, 100, 110, 301, 5_000, 9 * 10**15])),
        min_size=1,
        max_size=40,
    ),
    hot_from=st.sampled_from([1, 3, 8, 100]),
)
def test_spikes_equal_the_reference(placed: list[tuple[int, int]], hot_from: int) -> None:
    orders = place_orders([day for day, _ in placed], [amount for _, amount in placed])
    nothing = LaterEvents.empty()

    engine = FeatureEngine(SPEC, hot_from=hot_from)
    served = engine.advance(orders, nothing)

    np.testing.assert_array_equal(served, compute_features(orders, nothing, SPEC))
    now = engine.last_seen_at + DAY
    rows = np.arange(min(len(placed), 5))
    asked = OrderEvents(
        orders.order_id[rows], np.full(len(rows), now), orders.amount_minor[rows],
        {entity: ids[rows] for entity, ids in orders.ids.items()}, orders.own[rows],
    )  # fmt: skip
    expected = np.array([compute_again(orders, nothing, SPEC, int(row), now) for row in rows], np.float32)
    np.testing.assert_array_equal(engine.advance(asked, nothing), expected)


@pytest.mark.parametrize("hot_from", [1, 100])
def test_spike_is_more_than_three_times_the_usual_and_counts_as_three_times(hot_from: int) -> None:
    orders = place_orders([1, 2, 3, 4, 5], [100, 100, 300, 301 * 4, 100])

    served = FeatureEngine(SPEC, hot_from=hot_from).advance(orders, LaterEvents.empty())
    features = dict(zip(SPEC.names, served[-1].tolist(), strict=True))

    usual = (100 + 100 + 300 + int(1_204 * (1_000_000 * 500 // 1_204) / 1e6)) / 4
    assert features["device__spikes__amount__90d"] == 1
    assert features["device__peak__amount__90d"] == np.float32(1_204 / usual)
    assert features["device__spikes__amount__1d"] == 1
    assert served[3][SPEC.names.index("device__spikes__amount__90d")] == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("buyer__recency__malicious", "got 3 parts, expected entity__statistic__column__window"),
        ("buyer__recency__order__7d", "got 4 parts, expected entity__statistic__column"),
        ("buyer__run__malicious", "got 3 parts, expected entity__statistic__column__window"),
        ("buyer__run__verdict__7d", "got column 'verdict', expected one of malicious, innocent"),
        ("buyer__age__malicious", "got column 'malicious'"),
        ("buyer__recency__verdict", "got column 'verdict'"),
        ("buyer__peak__refund_amount__7d", "got column 'refund_amount', expected one of amount"),
    ],
)
def test_name_that_has_no_meaning_is_refused(name: str, reason: str) -> None:
    with pytest.raises(MappingError, match=reason):
        build_spec(use_defaults=False, names=(name,))


def test_name_is_read_back() -> None:
    assert all(parse_name(name).name == name for name in SPEC.names)
