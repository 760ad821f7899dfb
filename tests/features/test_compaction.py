from __future__ import annotations

import subprocess
import sys
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

    seen_at = engine.export_state()[0]["log/events"][:, :8].copy().view(np.int64)[:, 0]
    n_live = np.count_nonzero(seen_at >= engine.last_seen_at - 90 * DAY * 1_000_000)
    assert len(seen_at) <= 2 * n_live + 3 * 4_096 < len(orders) + len(later)


def test_memory_is_what_the_arrays_hold_and_what_the_page_says() -> None:
    engine = FeatureEngine(build_spec())
    told = engine.measure_memory()
    arrays, _ = engine.export_state()
    page = ARCHITECTURE.read_text(encoding="utf-8")

    def hold(*names: str) -> int:
        return sum(arrays[name].shape[1] for name in names)

    assert told["event"] == hold("log/events", "log/before", "log/weights")
    assert told["order"] == hold("log/orders", "log/values", "log/ids")
    assert told["buyer"] == hold("buyer/ids", "buyer/slots", "groups/members")
    assert told["hot item"] == hold("item/records")
    for name in ("event", "verdict", "order", "buyer", "address", "item", "hot item", "node of hot item"):
        assert f"| {name} | {told[name]} |" in page


def test_process_grows_by_about_what_is_told(tmp_path: Path) -> None:
    script = tmp_path / "grow.py"
    script.write_text(GROW, encoding="utf-8")

    told = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )

    promised, grown = map(int, told.stdout.split())
    assert promised < grown < 2.5 * promised, told.stdout


GROW = """
import numpy as np
import subprocess
import sys
from pathlib import Path
from ordervet.features import FeatureEngine, LaterEvents, OrderEvents, build_spec

def read_resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

spec, n, rng = build_spec(), 200_000, np.random.default_rng(1)
ids = {name: rng.integers(1, n // 2, n).astype(np.uint64) * np.uint64(2**40 + 1) for name in spec.entities}
ids["item"] = rng.integers(1, 2_000, n).astype(np.uint64)
own, ones = np.zeros((n, len(spec.order_columns)), np.float32), np.ones(n, np.int64)
order_id, seen_at = rng.permutation(n).astype(np.uint64) + np.uint64(1), np.sort(rng.integers(0, 10**12, n))
orders = OrderEvents(order_id, seen_at, ones, ids, own)
FeatureEngine(spec).advance(orders.take(np.arange(5_000)), LaterEvents.empty())
engine, before = FeatureEngine(spec), read_resident()
engine.advance(orders, LaterEvents.empty())
told, arrays = engine.measure_memory(), engine.export_state()[0]
promised = n * (told["event"] + told["order"])
for entity in engine.entities:
    for kind, name in (("slots", entity), ("records", f"hot {entity}"), ("nodes", f"node of hot {entity}")):
        promised += len(arrays.get(f"{entity}/{kind}", ())) * told.get(name, 0)
print(promised, read_resident() - before)
"""
