"""Rings are those of the reference, and so is what became of them."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rings_reference import RingOrder, find_rings, measure_kind

from ordervet.features import OrderEvents
from ordervet.features.events import SHARED_PLACE_BIT
from ordervet.features.spec import GROUP_KEYS, SELECTOR_BIT
from ordervet.learn.rings import (
    ALL_KINDS,
    RING_NAMES,
    RingRow,
    Rings,
    add_rows,
    find_catches,
    find_denied,
    link_orders,
    measure_rings,
    read_keys,
)

SMALL = st.integers(0, 3)
ORDERS = st.lists(
    st.builds(
        RingOrder,
        seen_at=st.integers(0, 12),
        buyer=st.integers(0, 8),
        keys=st.tuples(SMALL, SMALL),
        is_malicious=st.booleans(),
        is_measured=st.booleans(),
        is_flagged=st.booleans(),
        is_denied=st.booleans(),
        amount_minor=st.integers(1, 9),
        kind=st.sampled_from(["", "a", "b"]),
    ),
    max_size=14,
)


def number_orders(orders: list[RingOrder]) -> np.ndarray:
    is_malicious = np.array([order.is_malicious for order in orders], bool)
    buyer = np.array([order.buyer for order in orders], np.int64)
    return link_orders(is_malicious, buyer, np.array([order.keys for order in orders], np.uint64).reshape(-1, 2))


def measure(orders: list[RingOrder]) -> list[RingRow]:
    def column(name: str, kind: type) -> np.ndarray:
        return np.array([getattr(order, name) for order in orders], kind)

    rings = Rings.of(number_orders(orders), column("seen_at", np.int64), column("is_denied", bool))
    rows = np.flatnonzero(column("is_measured", bool))
    return measure_rings(
        rings.take(rows), column("is_flagged", bool)[rows], amount_minor=column("amount_minor", np.int64)[rows],
        kind=column("kind", np.dtype("U1"))[rows],
    )  # fmt: skip


@given(orders=ORDERS)
@settings(max_examples=100, deadline=None)
def test_rings_and_their_measures_are_those_of_the_reference(orders: list[RingOrder]) -> None:
    found = number_orders(orders)
    rows = measure(orders)

    groups = {tuple(np.flatnonzero(found == number)) for number in np.unique(found[found >= 0])}
    expected = {tuple(sorted(orders.index(order) for order in ring)) for ring in find_rings(orders)}
    if len(set(orders)) == len(orders):
        assert groups == expected
    assert rows[0].kind == ALL_KINDS
    assert [asdict(row) for row in rows] == [{"kind": row.kind} | measure_kind(orders, row.kind) for row in rows]
    kinds = {order.kind for order in orders if order.is_malicious and order.is_measured}
    assert {row.kind for row in rows} == kinds | {ALL_KINDS}


@given(orders=ORDERS, seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_measures_do_not_depend_on_the_order_of_rows(orders: list[RingOrder], seed: int) -> None:
    shuffled = [orders[at] for at in np.random.default_rng(seed).permutation(len(orders))]

    assert measure(shuffled) == measure(orders)


def test_rows_of_weeks_add_up_by_kind() -> None:
    week = RingRow("a", 4, 20, 1, 2, 2, 3, 9, 900, 10, 5)

    (total, alone) = add_rows([[week], [week, RingRow("b", 1, 1, 0, 0, 0, 0, 1, 5, 0, 0)]])

    assert total == RingRow("a", 8, 40, 2, 4, 4, 6, 18, 1_800, 20, 10)
    assert alone.kind == "b"
    plain = total.as_dict()
    assert (plain["first"]["share"], plain["denied_share"]) == (0.25, 0.5)
    assert plain["first"]["low"] < 0.25 < plain["first"]["high"]
    assert alone.as_dict()["denied_share"] is None


def test_hub_and_shared_place_link_nobody_and_deny_nobody() -> None:
    n = 3
    key = np.full(n, 7, np.uint64)
    mask = np.full(n, SELECTOR_BIT["order"])
    mask[1] |= SHARED_PLACE_BIT
    orders = OrderEvents(
        np.arange(1, n + 1, dtype=np.uint64), np.arange(n), np.ones(n, np.int64),
        dict.fromkeys(("buyer", *GROUP_KEYS), key), np.zeros((n, 0), np.float32), mask=mask,
    )  # fmt: skip
    features = np.zeros((n, len(RING_NAMES)), np.float32)
    features[:, RING_NAMES.index("phone__distinct__buyer__90d")] = [8, 9, np.nan]
    features[:, RING_NAMES.index("address__count__malicious__90d")] = [1, 1, 0]

    keys = read_keys(orders, RING_NAMES, features)

    assert keys.tolist() == [[7, 7, 7, 7], [0, 0, 7, 7], [7, 7, 7, 7]]
    assert find_denied(RING_NAMES, features, keys).tolist() == [True, False, False]


@pytest.mark.parametrize("n_parts", [1, 2])
def test_joined_parts_keep_their_rings_apart(n_parts: int) -> None:
    part = Rings.of(np.array([0, -1, 0]), np.array([1, 2, 3]), np.zeros(3, bool))

    number, caught = find_catches(Rings.join([part] * n_parts), np.tile([False, True, True], n_parts))

    assert len(number) == n_parts
    assert caught.tolist() == [1] * n_parts
