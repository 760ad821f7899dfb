"""A forged or damaged state is refused with the reason, or lies without a crash; nothing is read outside of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ordervet.errors import HistoryError
from ordervet.features import FeatureEngine
from random_events import SPEC, draw_events

DAY = 86_400
N_FORGED = 2_000


def draw_state() -> tuple[dict[str, np.ndarray], dict[str, Any], tuple[Any, Any]]:
    orders, later = draw_events(np.random.default_rng(5), n_orders=500, n_later=900, span_s=40 * DAY, grain_s=600)
    cut = np.median(orders.seen_at)
    is_past = orders.seen_at <= cut
    engine = FeatureEngine(SPEC)
    engine.advance(orders.take(np.flatnonzero(is_past)), later.take(np.flatnonzero(later.seen_at <= cut)))
    arrays, header = engine.export_state()
    future = orders.take(np.flatnonzero(~is_past)), later.take(np.flatnonzero(later.seen_at > cut))
    return {name: array.copy() for name, array in arrays.items()}, header, future


def put(arrays: dict[str, np.ndarray], name: str, row: int, word: int, value: int) -> dict[str, np.ndarray]:
    """Write a 32-bit word of a row of a copy."""
    forged = arrays | {name: arrays[name].copy()}
    forged[name][row].view(np.int32)[word] = value
    return forged


@pytest.mark.parametrize(
    ("name", "word", "value", "reason"),
    [
        ("log/events", 4, 1 << 30, "order or class of an event"),
        ("log/events", 5, 0xFFF, "order or class of an event"),
        ("log/events", 5, 0xFFFFF000 - (1 << 32), "size of a refund"),
        ("log/events", 6, 1 << 20, "link of an event"),
        ("log/before", 0, 1 << 20, "event before one of the same order"),
        ("log/events", 1, 1 << 30, "times of events"),
        ("log/judgements", 0, 7_000, "judgement"),
        ("log/judgements", 2, 1 << 20, "judgement"),
        ("log/orders", 0, 1 << 20, "standing verdict of an order"),
        ("log/orders", 2, 1 << 20, "latest event of an order"),
        ("log/orders", 3, 1 << 20, "slot of an order"),
        ("log/values", 4, -1, "refunded part of an order"),
        ("log/values", 3, -1, "rate of an order's currency"),
        ("log/waiting", 10, 256, "rank of a waiting event"),
        ("buyer/slots", 0, -(1 << 20), "running totals of a slot"),
        ("buyer/slots", 0, 9, "number of events of a slot"),
        ("buyer/slots", 1, 1 << 20, "latest event of a slot"),
        ("item/records", 2, 1 << 20, "latest node of running totals"),
        ("item/records", 6, 1 << 20, "oldest node of a window"),
        ("address/records", 32, -1, "run of verdicts"),
        ("address/records", 31, 1 << 30, "run of verdicts"),
        ("channel/records", 23, 1 << 30, "peak of amounts"),
        ("item/nodes", 2, 1 << 20, "node"),
        ("item/nodes", 3, 1 << 20, "class of a node"),
        ("item/nodes", 4, 0, "node"),
        ("item/nodes", 6, 1 << 20, "node before one of the same value"),
        ("groups/members", 0, 1 << 20, "parent of a member"),
        ("groups/phone", 0, 10, "users of a key"),
        ("groups/phone", 1, 1 << 20, "user of a key"),
    ],
)
def test_number_that_points_nowhere_is_refused(name: str, word: int, value: int, reason: str) -> None:
    arrays, header, _ = draw_state()
    row = find_row(name, arrays)

    with pytest.raises(HistoryError, match=f"does not fit this engine\n - (\\w+: )?{reason}"):
        FeatureEngine.restore(SPEC, put(arrays, name, row, word, value), header)


def find_row(name: str, arrays: dict[str, np.ndarray]) -> int:
    """Find a row in use: a slot that is not hot, a key that somebody has used, else the first."""
    if name == "buyer/slots":
        return int(np.flatnonzero(arrays[name].view(np.int32)[:, 0] > 0)[0])
    if name.startswith("groups/"):
        return int(np.flatnonzero(arrays[name].view(np.int32)[:, 0] > 0)[0])
    return 0


def test_circle_of_members_is_refused() -> None:
    arrays, header, _ = draw_state()
    members = arrays["groups/members"].view(np.int32)
    one, other = np.flatnonzero(members[:, 0] > 0)[:2].tolist()
    forged = put(put(arrays, "groups/members", one, 0, other + 1), "groups/members", other, 0, one + 1)

    with pytest.raises(HistoryError, match="parent of a member"):
        FeatureEngine.restore(SPEC, forged, header)


@pytest.mark.parametrize("name", ["log/ids", "buyer/ids", "item/pairs"])
def test_table_without_an_empty_place_is_refused(name: str) -> None:
    arrays, header, _ = draw_state()
    table = arrays[name]

    with pytest.raises(HistoryError, match="table of"):
        FeatureEngine.restore(SPEC, arrays | {name: np.ones_like(table)}, header)


@pytest.mark.parametrize(
    "forge",
    [
        lambda array: array[:-1],
        lambda array: array[:, :-4],
        lambda array: np.concatenate([array, array]),
        lambda array: array.astype(np.int16),
        lambda array: array.reshape(-1),
        lambda array: array[:0],
    ],
)
def test_array_of_another_shape_or_type_is_refused(forge: Any) -> None:
    arrays, header, _ = draw_state()

    for name in (name for name, array in arrays.items() if array.any() and name not in ("log/masks", "log/waiting")):
        with pytest.raises(HistoryError, match="does not fit this engine"):
            FeatureEngine.restore(SPEC, arrays | {name: np.ascontiguousarray(forge(arrays[name]))}, header)


@pytest.mark.parametrize("seed", range(4))
def test_state_with_flipped_bits_is_refused_or_serves_on(seed: int) -> None:
    arrays, header, future = draw_state()
    rng = np.random.default_rng(seed)
    names = [name for name, array in arrays.items() if array.size]
    n_refused = 0
    for _ in range(N_FORGED // 4):
        forged = dict(arrays)
        for _ in range(rng.integers(1, 4)):
            name = names[rng.integers(len(names))]
            forged[name] = forged[name].copy()
            forged[name].reshape(-1)[rng.integers(forged[name].size)] ^= 1 << rng.integers(8)
        try:
            engine = FeatureEngine.restore(SPEC, forged, header)
            engine.advance(*future)
            engine.compact()
        except (HistoryError, RuntimeError, IndexError):
            n_refused += 1

    assert n_refused > N_FORGED // 40


def test_engine_that_refused_a_state_has_its_own_still() -> None:
    arrays, header, future = draw_state()
    engine = FeatureEngine.restore(SPEC, arrays, header)
    expected = FeatureEngine(SPEC).advance(*future)

    with pytest.raises(ValueError, match="missing arrays"):
        engine._core.import_state({}, header["last_seen_at"])

    np.testing.assert_array_equal(engine.advance(*future), expected)
