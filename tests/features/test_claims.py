from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ordervet.contract import Events, Order, Outcome, validate_events
from ordervet.entities import Key, key_events
from ordervet.features import FeatureEngine, OrderEvents, build_later_events, build_order_events, build_spec
from ordervet.features.claim_features import CLAIM_NAMES, ask_orders, build_claim_events, build_claim_features
from ordervet.lab.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    from ordervet.entities import KeyedEvents

KEY = Key(bytes(range(16)))
SPEC = build_spec()


@pytest.fixture(scope="module")
def keyed() -> KeyedEvents:
    return key_events(simulate(SimulationSettings(n_orders=800, malicious_share=0.15, seed=7)).events, KEY)


def build(orders: list[Order], outcomes: list[Outcome]) -> KeyedEvents:
    empty = Events.empty()
    told = Events(
        validate_events("orders", orders), validate_events("outcomes", outcomes), empty.verdicts, empty.corrections
    )
    return key_events(told, KEY)


def test_asking_about_orders_again_changes_no_feature_of_an_order(keyed: KeyedEvents) -> None:
    orders, later = build_order_events(keyed.orders, SPEC), build_later_events(keyed)
    asked, _, _ = ask_orders(orders, build_claim_events(keyed.outcomes))

    both = FeatureEngine(SPEC).advance(OrderEvents.concat([orders, asked]), later)

    assert len(asked) > 100
    np.testing.assert_array_equal(both[: len(orders)], FeatureEngine(SPEC).advance(orders, later))


def test_request_sees_what_was_known_before_it_and_nothing_of_its_own_order(keyed: KeyedEvents) -> None:
    orders, later = build_order_events(keyed.orders, SPEC), build_later_events(keyed)
    claims = build_claim_events(keyed.outcomes)
    asked, row, place = ask_orders(orders, claims)
    claims = claims.take(place)
    found = FeatureEngine(SPEC).advance(OrderEvents.concat([orders, asked]), later)[len(orders) :]

    for at in range(0, len(asked), 29):
        t = claims.seen_at[at]
        is_other = later.order_id != claims.order_id[at]
        engine = FeatureEngine(SPEC)
        engine.remember(
            orders.take(np.flatnonzero(orders.seen_at < t)), later.take(np.flatnonzero((later.seen_at < t) & is_other))
        )
        alone = engine.advance(asked.take(np.array([at])), later.take(np.zeros(0, np.int64)))
        np.testing.assert_array_equal(found[at], alone[0])
    assert (orders.order_id[row] == claims.order_id).all()


def test_request_is_told_by_numbers() -> None:
    order = Order(order_id="a", placed_at="2025-11-11 20:00:00", amount_minor=20_000, currency="USD")
    full = Outcome(
        order_id="a", kind="refund_requested", happened_at="2025-11-14 20:00", refund_type="refund_only",
        amount_minor=5_000, reason="damaged", has_evidence=True, delivered_at="2025-11-14 08:00", blame="seller",
    )  # fmt: skip
    bare = Outcome(order_id="a", kind="refund_requested", happened_at="2025-11-12 20:00")
    events = build([order], [full, bare])
    orders = build_order_events(events.orders, SPEC)
    claims = build_claim_events(events.outcomes)
    _, row, _ = ask_orders(orders, claims)

    told, untold = build_claim_features(claims, orders.take(row), np.array([0.25, np.nan]))

    of_full, of_bare = dict(zip(CLAIM_NAMES, told, strict=True)), dict(zip(CLAIM_NAMES, untold, strict=True))
    assert of_full["claim__value__amount"] == np.float32(5_000 * orders.read_rate()[0])
    assert of_full["claim__share__amount"] == 0.25
    assert of_full["claim__hours__placed"] == 72
    assert of_full["claim__hours__delivered"] == 12
    assert {name for name, value in of_full.items() if value == 1} == {
        "claim__is__refund_only", "claim__says__damaged", "claim__has__evidence", "claim__is__seller_fault",
    }  # fmt: skip
    assert of_full["claim__value__order_p"] == 0.25
    assert not any(np.isnan(list(of_full.values())))
    assert {name for name, value in of_bare.items() if not np.isnan(value)} == {
        "claim__hours__placed", "claim__is__seller_fault",
    }  # fmt: skip


def test_requests_of_unknown_orders_and_of_before_their_order_are_left_out() -> None:
    order = Order(order_id="a", placed_at="2025-11-11 20:00:00", amount_minor=0)
    asked = [("b", "2025-11-14"), ("a", "2025-11-11 19:00"), ("a", "2025-11-13")]
    events = build([order], [Outcome(order_id=of, kind="refund_requested", happened_at=at) for of, at in asked])
    orders = build_order_events(events.orders, SPEC)

    claims = build_claim_events(events.outcomes)
    again, row, place = ask_orders(orders, claims)
    claims = claims.take(place)

    assert (len(again), row.tolist(), place.tolist()) == (1, [0], [2])
    assert np.isnan(
        build_claim_features(claims, orders.take(row), np.array([0.5]))[0, 1]
    )  # of nothing there is no share
    for none in (orders.take(np.zeros(0, np.int64)), orders):
        nobody = build_claim_events(events.outcomes.slice(0, 1 if len(none) else 3))
        assert len(ask_orders(none, nobody)[2]) == 0


def test_other_outcomes_are_no_requests() -> None:
    order = Order(order_id="a", placed_at="2025-11-11 20:00:00", amount_minor=100)
    kinds = ["refund_completed", "refund_rejected", "claim", "chargeback", "refund_requested"]
    events = build([order], [Outcome(order_id="a", kind=kind, happened_at="2025-11-14") for kind in kinds])

    assert len(build_claim_events(events.outcomes)) == 1
    assert len(build_claim_events(replace(events, outcomes=pa.table(events.outcomes.slice(0, 0))).outcomes)) == 0
