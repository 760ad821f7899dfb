from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ordervet.features import FeatureEngine, build_spec
from random_events import SPEC, draw_events

DAY = 86_400
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


@pytest.mark.parametrize(("seed", "span_s"), [(1, 400 * DAY), (2, 120 * DAY), (3, 2 * DAY)])
def test_features_stay_the_same_when_expired_events_leave_between_calls(seed: int, span_s: int) -> None:
    rng = np.random.default_rng(seed)
    orders, later = draw_events(rng, n_orders=1_500, n_later=3_000, span_s=span_s, grain_s=3_600)
    whole = FeatureEngine(SPEC).advance(orders, later)
    cuts = np.sort(rng.choice(orders.seen_at, 9)) + 1

    engine, served = FeatureEngine(SPEC), np.full_like(whole, -1)
    for low, high in zip([-1, *cuts], [*cuts, 2**62], strict=True):
        rows = np.flatnonzero((orders.seen_at >= low) & (orders.seen_at < high))
        marks = np.flatnonzero((later.seen_at >= low) & (later.seen_at < high))
        served[rows] = engine.advance(orders.take(rows), later.take(marks))
        engine.compact()

    np.testing.assert_array_equal(served, whole)


def test_events_that_left_every_window_leave_the_state_by_themselves() -> None:
    rng = np.random.default_rng(4)
    orders, later = draw_events(rng, n_orders=9_000, n_later=18_000, span_s=1_500 * DAY, grain_s=60)
    order = np.argsort(orders.seen_at, kind="stable")
    engine = FeatureEngine(SPEC)

    for low, high in zip(range(0, 1_500, 15), range(15, 1_501, 15), strict=True):
        begin, end = low * DAY * 1_000_000, high * DAY * 1_000_000
        rows = order[(orders.seen_at[order] >= begin) & (orders.seen_at[order] < end)]
        marks = np.flatnonzero((later.seen_at >= begin) & (later.seen_at < end))
        engine.advance(orders.take(rows), later.take(marks))

    arrays, header = engine.export_state()
    log = arrays["log/events"][: header["log"]["n_events"]]
    n_live = np.count_nonzero(log[:, 0] >= engine.last_seen_at - 90 * DAY * 1_000_000)
    assert len(log) <= 2 * n_live + 3 * 4_096 < len(orders) + len(later)


def test_memory_is_what_the_arrays_hold_and_what_the_page_says() -> None:
    spec = build_spec()
    engine = FeatureEngine(spec)
    told = engine.measure_memory()
    arrays, _ = engine.export_state()
    page = ARCHITECTURE.read_text(encoding="utf-8")

    held = sum(row_bytes(arrays[name]) for name in arrays if name.endswith(("/links", "log/events", "log/weights")))

    assert told["event"] == held
    assert told["buyer"] == sum(
        row_bytes(arrays[name]) for name in ("buyer/map", "buyer/slots", "groups/parent", "groups/totals")
    )
    for name in ("event", "order", "buyer", "address", "item"):
        assert f"| {name} | {told[name]} |" in page


def row_bytes(array: np.ndarray) -> int:
    return array.itemsize * int(np.prod(array.shape[1:]))
