"""The stage of an order is its own: what its status and its outcomes say, whatever kind is suspected."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from ordervet.contract import Events, Order, OrderStatus, Outcome, OutcomeKind, validate_events
from ordervet.entities import Key, key_events
from ordervet.policy import STAGES
from ordervet.score.stages import find_stages

KEY = Key(b"0" * 16)
ORDER = {"order_id": "A", "placed_at": "2025-11-11 20:00", "amount_minor": 100}


def make_events(status: OrderStatus | None, *kinds: OutcomeKind) -> Events:
    orders = [Order(**ORDER, status=status), Order(**ORDER | {"order_id": "B"})]
    outcomes = [Outcome(order_id="A", kind=kind, happened_at="2025-11-12 10:00") for kind in kinds]
    return replace(
        Events.empty(), orders=validate_events("orders", orders), outcomes=validate_events("outcomes", outcomes)
    )


def find(status: OrderStatus | None, *kinds: OutcomeKind) -> list[str]:
    events = key_events(make_events(status, *kinds), KEY)
    return [str(STAGES[at]) for at in find_stages(events.orders, events.outcomes)]


@pytest.mark.parametrize(
    ("status", "stage"),
    [(None, "placed"), ("unpaid", "placed"), ("paid", "paid"), ("shipped", "in_transit"), ("received", "received")],
)
def test_stage_is_what_the_status_says(status: str | None, stage: str) -> None:
    assert find(status and OrderStatus(status)) == [stage, "placed"]


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        ("cancelled_unpaid", "placed"),
        ("delivery_refused", "in_transit"),
        ("fulfilled", "received"),
        ("refund_requested", "claim"),
        ("bad_review", "claim"),
        ("claim", "claim"),
    ],
)
def test_stage_is_what_the_outcomes_say_of_their_order_alone(kind: str, stage: str) -> None:
    assert find(None, OutcomeKind(kind)) == [stage, "placed"]


def test_stage_is_the_furthest_that_is_known() -> None:
    assert find(OrderStatus.SHIPPED, OutcomeKind.CANCELLED_UNPAID) == ["in_transit", "placed"]
    assert find(OrderStatus.PAID, OutcomeKind.REFUND_REQUESTED, OutcomeKind.FULFILLED) == ["claim", "placed"]


def test_an_order_that_its_row_calls_shipped_is_not_received_because_it_was_dispatched() -> None:
    assert find(OrderStatus.SHIPPED, OutcomeKind.FULFILLED) == ["in_transit", "placed"]
    assert find(OrderStatus.PAID, OutcomeKind.FULFILLED) == ["received", "placed"]
    assert find(OrderStatus.SHIPPED, OutcomeKind.FULFILLED, OutcomeKind.REFUND_REQUESTED) == ["claim", "placed"]


def test_stage_is_found_in_encoded_columns_too() -> None:
    orders = key_events(make_events(OrderStatus.PAID), KEY).orders
    at = orders.schema.get_field_index("status")

    encoded = orders.set_column(at, "status", orders["status"].dictionary_encode())

    assert find_stages(encoded).tolist() == find_stages(orders).tolist() == [1, 0]
    assert find_stages(orders.slice(0, 0), make_events(None, OutcomeKind.CLAIM).outcomes).tolist() == []
    assert isinstance(orders["status"], pa.ChunkedArray)
