from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.errors import HistoryError
from ordervet.features import FeatureEngine, LaterEvents, build_spec
from random_events import SPEC, draw_events

if TYPE_CHECKING:
    from ordervet.features import OrderEvents

DAY = 86_400


def draw_halves(seed: int) -> tuple[tuple[OrderEvents, LaterEvents], tuple[OrderEvents, LaterEvents]]:
    """Draw 400 orders and what became of them, cut in the middle of the burst, through an instant shared by several."""
    rng = np.random.default_rng(seed)
    orders, later = draw_events(rng, n_orders=400, n_later=800, span_s=40 * DAY, grain_s=3_600)
    cut = np.median(orders.seen_at)
    halves = []
    for is_in in (np.less_equal, np.greater):
        rows, marks = np.flatnonzero(is_in(orders.seen_at, cut)), np.flatnonzero(is_in(later.seen_at, cut))
        halves.append((orders.take(rows), later.take(marks)))
    return halves[0], halves[1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_restored_engine_goes_on_where_the_exported_one_stood(seed: int) -> None:
    past, future = draw_halves(seed)
    engine = FeatureEngine(SPEC)
    engine.advance(*past)
    arrays, header = engine.export_state()
    arrays = {name: array.copy() for name, array in arrays.items()}

    restored = FeatureEngine.restore(SPEC, arrays, json.loads(json.dumps(header)))

    np.testing.assert_array_equal(restored.advance(*future), engine.advance(*future))
    assert restored.export_state()[1] == engine.export_state()[1]
    for name, array in engine.export_state()[0].items():
        np.testing.assert_array_equal(restored.export_state()[0][name], array, err_msg=name)


def test_state_is_restored_where_outcomes_alone_make_ids_hot() -> None:
    rng = np.random.default_rng(5)
    orders, later = draw_events(rng, n_orders=40, n_later=2_000, span_s=DAY, grain_s=3_600)
    later.seen_at[:] += 200 * DAY * 1_000_000  # the orders have left every window
    engine = FeatureEngine(SPEC)
    engine.advance(orders, later)
    engine.compact()
    arrays, header = engine.export_state()
    arrays = {name: array.copy() for name, array in arrays.items()}
    again = replace(orders, seen_at=orders.seen_at + 202 * DAY * 1_000_000)

    restored = FeatureEngine.restore(SPEC, arrays, header)

    np.testing.assert_array_equal(
        restored.advance(again, LaterEvents.empty()), engine.advance(again, LaterEvents.empty())
    )


def test_restore_leaves_read_only_arrays_alone() -> None:
    past, future = draw_halves(4)
    engine = FeatureEngine(SPEC)
    engine.advance(*past)
    arrays, header = engine.export_state()
    kept = {name: array.copy() for name, array in arrays.items()}
    for array in kept.values():
        array.flags.writeable = False

    restored = FeatureEngine.restore(SPEC, kept, header)

    np.testing.assert_array_equal(restored.advance(*future), engine.advance(*future))


def test_restore_refuses_the_state_of_another_spec() -> None:
    arrays, header = FeatureEngine(SPEC).export_state()

    with pytest.raises(HistoryError, match="does not fit this engine"):
        FeatureEngine.restore(build_spec(), arrays, header)


def test_restore_refuses_the_state_of_entities_in_another_order() -> None:
    names = ("gate__count__order__7d", "terminal__count__order__7d")
    one, other = (
        build_spec(use_defaults=False, names=names, entities=each)
        for each in (("gate", "terminal"), ("terminal", "gate"))
    )
    arrays, header = FeatureEngine(one).export_state()

    assert one.hash == other.hash
    with pytest.raises(HistoryError, match="does not fit this engine"):
        FeatureEngine.restore(other, arrays, header)


def test_restore_refuses_a_state_whose_ids_are_hot_from_another_number_on() -> None:
    arrays, header = FeatureEngine(SPEC, hot_from=3).export_state()

    with pytest.raises(HistoryError, match="does not fit this engine"):
        FeatureEngine.restore(SPEC, arrays, header)


def test_restore_refuses_a_state_with_an_array_missing() -> None:
    arrays, header = FeatureEngine(SPEC).export_state()
    arrays.pop(next(iter(arrays)))

    with pytest.raises(HistoryError, match="missing arrays"):
        FeatureEngine.restore(SPEC, arrays, header)
