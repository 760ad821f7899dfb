from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from features_reference import compute_again, compute_features
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.errors import HistoryError
from ordervet.features import FeatureEngine, LaterEvents, OrderEvents, build_spec
from random_events import SPEC, draw_events, list_cuts, sort_events

HOUR, DAY = 3_600, 86_400
SPANS = st.sampled_from([2 * HOUR, 3 * DAY, 40 * DAY, 400 * DAY])
GRAINS = st.sampled_from([1, 600, 6 * HOUR])
SEEDS = st.integers(0, 2**32 - 1)


def draw(seed: int, span_s: int, grain_s: int, n_orders: int = 60) -> tuple[OrderEvents, LaterEvents]:
    rng = np.random.default_rng(seed)
    return draw_events(rng, n_orders=n_orders, n_later=2 * n_orders, span_s=span_s, grain_s=grain_s)


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, span_s=SPANS, grain_s=GRAINS)
def test_engine_equals_the_reference(seed: int, span_s: int, grain_s: int) -> None:
    orders, later = draw(seed, span_s, grain_s)

    served = FeatureEngine(SPEC).advance(orders, later)

    np.testing.assert_array_equal(served, compute_features(orders, later, SPEC))


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, span_s=SPANS, grain_s=GRAINS, hot_from=st.sampled_from([1, 2, 5, 10_000]))
def test_features_do_not_depend_on_which_ids_are_hot(seed: int, span_s: int, grain_s: int, hot_from: int) -> None:
    orders, later = draw(seed, span_s, grain_s, n_orders=150)
    whole = FeatureEngine(SPEC).advance(orders, later)
    cut = np.median(orders.seen_at)
    past, future = (
        (orders.take(np.flatnonzero(is_in(orders.seen_at, cut))), later.take(np.flatnonzero(is_in(later.seen_at, cut))))
        for is_in in (np.less_equal, np.greater)
    )

    engine = FeatureEngine(SPEC, hot_from=hot_from)
    served = engine.advance(*past)
    engine.compact()
    served = np.concatenate([served, engine.advance(*future)])

    rows = np.concatenate([np.flatnonzero(orders.seen_at <= cut), np.flatnonzero(orders.seen_at > cut)])
    np.testing.assert_array_equal(served, whole[rows])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, span_s=SPANS, grain_s=GRAINS)
def test_engine_serves_micro_batches_as_it_serves_the_whole(seed: int, span_s: int, grain_s: int) -> None:
    orders, later = draw(seed, span_s, grain_s, n_orders=120)
    whole = FeatureEngine(SPEC).advance(orders, later)
    cuts = np.sort(np.random.default_rng(seed).choice(orders.seen_at, 12)) + 1

    engine, served = FeatureEngine(SPEC), np.full_like(whole, -1)
    for low, high in zip([-1, *cuts], [*cuts, 2**62], strict=True):
        rows = np.flatnonzero((orders.seen_at >= low) & (orders.seen_at < high))
        marks = np.flatnonzero((later.seen_at >= low) & (later.seen_at < high))
        served[rows] = engine.advance(orders.take(rows), later.take(marks))

    np.testing.assert_array_equal(served, whole)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, span_s=SPANS, grain_s=GRAINS)
def test_engine_serves_events_one_by_one_as_it_serves_the_whole(seed: int, span_s: int, grain_s: int) -> None:
    orders, later = draw(seed, span_s, grain_s)
    whole = FeatureEngine(SPEC).advance(orders, later)

    engine, served = FeatureEngine(SPEC), np.full_like(whole, -1)
    order = sort_events(orders, later)
    for called in np.split(order, list_cuts(orders, later, order)):
        rows, marks = called[called < len(orders)], called[called >= len(orders)] - len(orders)
        served[rows] = engine.advance(orders.take(rows), later.take(marks))

    np.testing.assert_array_equal(served, whole)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, span_s=SPANS, grain_s=GRAINS)
def test_features_do_not_depend_on_the_order_of_rows(seed: int, span_s: int, grain_s: int) -> None:
    orders, later = draw(seed, span_s, grain_s)
    rng = np.random.default_rng(seed)
    rows, marks = rng.permutation(len(orders)), rng.permutation(len(later))

    shuffled = FeatureEngine(SPEC).advance(orders.take(rows), later.take(marks))

    np.testing.assert_array_equal(shuffled, FeatureEngine(SPEC).advance(orders, later)[rows])


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, span_s=SPANS, grain_s=GRAINS)
def test_features_are_blind_to_the_present_and_the_future(seed: int, span_s: int, grain_s: int) -> None:
    orders, later = draw(seed, span_s, grain_s)
    whole = FeatureEngine(SPEC).advance(orders, later)
    row = int(np.random.default_rng(seed).integers(len(orders)))
    now = orders.seen_at[row]

    past = np.flatnonzero(orders.seen_at < now)
    known = np.flatnonzero(later.seen_at < now)
    alone = FeatureEngine(SPEC).advance(orders.take(np.append(past, row)), later.take(known))

    np.testing.assert_array_equal(alone[-1], whole[row])


@pytest.mark.parametrize("size", [1, 700])
def test_thousands_of_events_of_one_instant_find_room_when_the_clock_moves_on(size: int) -> None:
    n = 6_000
    orders, _ = draw(12, 3 * DAY, 1, n_orders=2 * n)
    orders = replace(orders, seen_at=np.repeat([DAY * 10**6, DAY * 10**6 + 1], n))
    nothing = LaterEvents.empty()

    engine = FeatureEngine(SPEC)
    served = [
        engine.advance(orders.take(np.arange(at, min(at + size, 2 * n))), nothing) for at in range(0, 2 * n, size)
    ]

    np.testing.assert_array_equal(np.concatenate(served), FeatureEngine(SPEC).advance(orders, nothing))


def test_ids_that_crowd_together_are_found_after_their_table_has_grown() -> None:
    """All ids begin their search at the last place of a small table, and run over its end."""
    orders, later = draw(13, 3 * DAY, 1, n_orders=3_000)
    inverse = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
    crowded = {}
    for entity, ids in orders.ids.items():
        known, number = np.unique(ids, return_inverse=True)
        hashes = (np.arange(len(known), dtype=np.uint64) * np.uint64(64) + np.uint64(63)) << np.uint64(20)
        crowded[entity] = np.where(ids == 0, ids, (hashes * inverse)[number])

    served = FeatureEngine(SPEC).advance(replace(orders, ids=crowded), later)

    np.testing.assert_array_equal(served, FeatureEngine(SPEC).advance(orders, later))


def test_engine_gives_the_same_on_two_threads() -> None:
    orders, later = draw(7, 40 * DAY, 1, n_orders=15_000)

    two = FeatureEngine(SPEC, n_jobs=2).advance(orders, later)

    np.testing.assert_array_equal(two, FeatureEngine(SPEC).advance(orders, later))


@settings(max_examples=20, deadline=None)
@given(
    seed=SEEDS,
    span_s=SPANS,
    grain_s=GRAINS,
    hot_from=st.sampled_from([1, 3, 8]),
    later_us=st.sampled_from([0, 1, 7 * DAY * 10**6, 60 * DAY * 10**6, 120 * DAY * 10**6]),
)
def test_order_asked_about_again_is_told_of_all_but_its_own_events(
    seed: int, span_s: int, grain_s: int, hot_from: int, later_us: int
) -> None:
    orders, later = draw(seed, span_s, grain_s)
    engine = FeatureEngine(SPEC, hot_from=hot_from)
    engine.advance(orders, later)
    rows = np.random.default_rng(seed).choice(len(orders), 10, replace=False)
    now = engine.last_seen_at + later_us
    again = replace(orders.take(rows), seen_at=np.full(len(rows), now))

    served = engine.advance(again, LaterEvents.empty())
    twice = engine.advance(again, LaterEvents.empty())

    expected = np.array([compute_again(orders, later, SPEC, int(row), now) for row in rows], np.float32)
    np.testing.assert_array_equal(served, expected)
    np.testing.assert_array_equal(twice, expected)


def test_order_that_was_asked_about_again_is_counted_once() -> None:
    orders, later = draw(3, 3 * DAY, 1)
    asked, alone = FeatureEngine(SPEC), FeatureEngine(SPEC)
    for engine in (asked, alone):
        engine.advance(orders, later)
    now = asked.last_seen_at + 1
    asked.advance(replace(orders.take(np.arange(20)), seen_at=np.full(20, now)), LaterEvents.empty())
    fresh = replace(orders, order_id=orders.order_id + np.uint64(1_000), seen_at=np.full(len(orders), now + 1))

    served = asked.advance(fresh, LaterEvents.empty())

    np.testing.assert_array_equal(served, alone.advance(fresh, LaterEvents.empty()))


@pytest.mark.parametrize("n_orders", [300, 6_000])
def test_engine_that_only_remembered_serves_what_one_that_answered_does(n_orders: int) -> None:
    orders, later = draw(9, 40 * DAY, 60, n_orders=n_orders)
    answered, remembered = FeatureEngine(SPEC), FeatureEngine(SPEC)
    past, future = np.flatnonzero(orders.seen_at < 20 * DAY * 10**6), np.flatnonzero(orders.seen_at >= 20 * DAY * 10**6)
    known, unknown = np.flatnonzero(later.seen_at < 20 * DAY * 10**6), np.flatnonzero(later.seen_at >= 20 * DAY * 10**6)

    answered.advance(orders.take(past), later.take(known))
    remembered.remember(orders.take(past), later.take(known))

    served = remembered.advance(orders.take(future), later.take(unknown))
    np.testing.assert_array_equal(served, answered.advance(orders.take(future), later.take(unknown)))
    assert len(past)
    assert len(future)


def test_engine_refuses_events_from_before_the_last_one() -> None:
    orders, later = draw(5, 3 * DAY, 1)
    engine = FeatureEngine(SPEC)
    engine.advance(orders, later)

    with pytest.raises(HistoryError, match="before the last event already seen"):
        engine.advance(orders.take(np.array([0])), later.take(np.zeros(0, np.int64)))


@pytest.mark.parametrize("n_orders", [200, 6_000])
def test_later_events_that_happened_before_their_order_are_left_out(n_orders: int) -> None:
    orders, later = draw(11, 40 * DAY, 60, n_orders=n_orders)
    early = later.take(np.arange(0, len(later), 2))
    at = np.searchsorted(np.sort(orders.order_id), early.order_id)
    order_seen_at = orders.seen_at[np.argsort(orders.order_id)][at]
    early_at = np.maximum(order_seen_at - 1 - early.seen_at % (5 * DAY * 10**6), 0)
    early = replace(early, seen_at=early_at, happened_at=early_at)
    is_early = early.seen_at < order_seen_at

    served = FeatureEngine(SPEC).advance(orders, LaterEvents.concat([later, early.take(np.flatnonzero(is_early))]))

    assert is_early.any()
    np.testing.assert_array_equal(served, FeatureEngine(SPEC).advance(orders, later))


def test_later_events_known_before_their_order_count_from_its_arrival() -> None:
    orders, later = draw(11, 40 * DAY, 60, n_orders=3_000)
    at = np.searchsorted(np.sort(orders.order_id), later.order_id)
    order_seen_at = orders.seen_at[np.argsort(orders.order_id)][at]
    waited = replace(later, seen_at=np.where(later.seen_at == order_seen_at, order_seen_at // 2, later.seen_at))
    placed = replace(orders, placed_at=np.zeros(len(orders), np.int64))
    arrived = replace(later, seen_at=np.maximum(later.seen_at, order_seen_at), happened_at=later.seen_at)

    served = FeatureEngine(SPEC).advance(placed, replace(waited, happened_at=later.seen_at))

    assert (waited.seen_at < order_seen_at).any()
    np.testing.assert_array_equal(served, FeatureEngine(SPEC).advance(placed, arrived))


def test_later_event_of_an_unknown_order_moves_the_clock_and_nothing_else() -> None:
    orders, _ = draw(3, 10**6, 60)
    stranger = LaterEvents(*(np.array([each]) for each in (np.uint64(2**63), 10**13, 2, 0, np.uint8(1))))
    after = orders.take(np.arange(5))
    after = replace(after, order_id=after.order_id + np.uint64(1_000), seen_at=np.full(5, 2 * 10**13))
    engine, expected = FeatureEngine(SPEC), FeatureEngine(SPEC)
    for each in (engine, expected):
        each.advance(orders, LaterEvents.empty())

    engine.advance(OrderEvents.empty(SPEC), stranger)

    served = engine.advance(after, LaterEvents.empty())
    np.testing.assert_array_equal(served, expected.advance(after, LaterEvents.empty()))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(2**60, 2**62), min_size=1, max_size=9), st.integers(1, 9))
def test_totals_are_exact_up_to_the_last_bit_or_refused_by_name(amounts: list[int], n_in_first: int) -> None:
    spec = build_spec(use_defaults=False, names=("buyer__sum__amount__1h", "buyer__mean__amount__1h"))
    drawn = draw(3, 10**6, 1, n_orders=len(amounts))[0]
    n, ids = len(amounts), dict.fromkeys(FeatureEngine(spec).entities, np.ones(len(amounts), np.uint64))
    orders = replace(
        drawn, seen_at=np.arange(n), placed_at=np.arange(n), amount_minor=np.array(amounts), ids=ids, rate=None
    )
    parts = [orders.take(rows) for rows in np.array_split(np.arange(n), min(n, n_in_first))]
    engine = FeatureEngine(spec)

    def serve() -> list[float]:
        return np.concatenate([engine.advance(part, LaterEvents.empty()) for part in parts])[:, 0].tolist()

    if sum(amounts) < 2**63:
        assert serve() == [float(np.float32(np.float64(sum(amounts[:at])))) for at in range(n)]
    else:
        with pytest.raises(HistoryError, match="add up to 2\\^63 minor units or more"):
            serve()
