"""An order added alone, without the arrays of a batch, has the features that it has in a batch of one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.errors import HistoryError
from ordervet.features import FeatureEngine, LaterEvents, OrderEvents
from random_events import SPEC, draw_events

NO_ORDERS, NOTHING_LATER = OrderEvents.empty(SPEC), LaterEvents.empty()


def advance_one(engine: FeatureEngine, orders: OrderEvents) -> np.ndarray:
    """Hand one order over as a live scorer does."""
    ids = np.array([orders.ids[entity][0] for entity in engine.entities], np.uint64)
    return engine.advance_one(
        int(orders.order_id[0]), int(orders.seen_at[0]), int(orders.seen_at[0]), int(orders.amount_minor[0]),
        float(orders.read_rate()[0]),
        int(orders.read_mask()[0]), ids, orders.own[0].tolist(),
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), span_s=st.sampled_from([600, 86_400, 100 * 86_400]))
def test_order_alone_has_the_features_of_a_batch_of_one(seed: int, span_s: int) -> None:
    orders, later = draw_events(np.random.default_rng(seed), n_orders=40, n_later=60, span_s=span_s)
    alone, batch = FeatureEngine(SPEC), FeatureEngine(SPEC)
    events = [(int(at), 0, row) for row, at in enumerate(orders.seen_at)]
    events += [(int(at), 1, row) for row, at in enumerate(later.seen_at)]

    for _, is_later, row in sorted(events):
        if is_later:
            one = later.take(np.array([row]))
            alone.advance(NO_ORDERS, one)
            batch.advance(NO_ORDERS, one)
            continue
        order = orders.take(np.array([row]))
        found, expected = advance_one(alone, order), batch.advance(order, NOTHING_LATER)

        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


def test_order_alone_from_before_the_last_event_is_refused() -> None:
    orders, _ = draw_events(np.random.default_rng(1), n_orders=2, n_later=0, span_s=600, grain_s=1)
    engine = FeatureEngine(SPEC)
    first, last = np.argsort(orders.seen_at)[[0, -1]]
    advance_one(engine, orders.take(np.array([last])))

    with pytest.raises(HistoryError, match="1 events begin"):
        advance_one(engine, orders.take(np.array([first])))
