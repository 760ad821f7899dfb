from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ordervet.contract import (
    RESERVED_NAMES,
    Correction,
    Decider,
    Events,
    Order,
    Outcome,
    OutcomeKind,
    RefundType,
    Verdict,
    broken_rules,
    event_schema,
    order_schema,
    split_orders,
)
from ordervet.contract.fields import fields_of
from ordervet.contract.schemas import MODELS

EVENING = datetime(2025, 11, 11, 12, 0, tzinfo=UTC)
REQUIRED: dict[str, Any] = {"order_id": "A1", "placed_at": "2025-11-11 20:00", "amount_minor": 12300}
SECRETS = {
    "buyer_id": "buyer-secret",
    "recipient": "张三secret",
    "address": "某路1号secret",
    "address_group": "g-secret",
    "phone": "139secret",
    "phone_group": "p-secret",
    "country": "secret-land",
    "device_id": "d-secret",
    "ip": "10.0.0.1secret",
    "payment_account": "4111secret",
    "entities": {"terminal": "t-secret"},
}


def rules_of(model: type[Any], **values: object) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        model(**values)
    return broken_rules(caught.value)


def test_order_fills_in_what_is_not_given() -> None:
    order = Order(**REQUIRED)

    assert (order.placed_at, order.seen_at, order.currency, order.buyer_id) == (EVENING, EVENING, "CNY", None)
    assert order.entities == {}


def test_order_takes_blank_texts_nan_and_none_for_not_given() -> None:
    order = Order(  # type: ignore[call-arg]
        **REQUIRED, buyer_id=" ", quantity=float("nan"), address=None, currency="", seen_at="", entity__terminal=""
    )

    assert order == Order(**REQUIRED)


def test_order_reads_naive_times_in_the_zone_of_the_context() -> None:
    order = Order.model_validate(REQUIRED, context={"time_zone": "UTC"})

    assert order.placed_at == datetime(2025, 11, 11, 20, 0, tzinfo=UTC)


def test_order_names_every_broken_rule_at_once() -> None:
    rules = rules_of(
        Order,
        order_id="x" * 65,
        placed_at="yesterday",
        amount_minor=-1,
        discount_minor=10**13 + 1,
        currency="yuan",
        quantity="1.5",
        is_insured="maybe",
        numbers={"weight": "heavy"},
    )

    assert rules == [
        ("order_id", "length"),
        ("placed_at", "instant"),
        ("amount_minor", "minimum"),
        ("discount_minor", "maximum"),
        ("currency", "pattern"),
        ("quantity", "type"),
        ("is_insured", "type"),
        ("numbers.weight", "type"),
    ]


def test_order_requires_three_fields_and_knows_no_others() -> None:
    assert rules_of(Order) == [("order_id", "required"), ("placed_at", "required"), ("amount_minor", "required")]
    assert rules_of(Order, **REQUIRED, vip=True) == [("vip", "unknown")]


@pytest.mark.parametrize("name", ["Terminal", "a__b", "_a", "a_", "1a", "", "x" * 33, *sorted(RESERVED_NAMES)])
def test_order_refuses_extra_entities_with_bad_or_taken_names(name: str) -> None:
    assert rules_of(Order, **REQUIRED, entities={name: "x"}) == [(f"entities.{name}.[key]", "name")]


def test_order_cannot_be_seen_before_it_was_placed() -> None:
    assert rules_of(Order, **REQUIRED, seen_at="2025-11-11 19:59") == [("seen_at", "not_before")]


def test_order_cannot_be_changed() -> None:
    order = Order(**REQUIRED)

    with pytest.raises(ValidationError):
        order.amount_minor = 1  # type: ignore[misc]


def test_order_shows_nothing_personal() -> None:
    order = Order(**REQUIRED, **SECRETS, channel="douyin")

    for shown in (repr(order), str(order), f"{order}"):
        assert "secret" not in shown
        assert "A1" in shown
        assert "douyin" in shown


def test_order_errors_show_nothing_personal() -> None:
    broken = {name: {"terminal": "secret" * 100} if name == "entities" else "secret" * 100 for name in SECRETS}

    with pytest.raises(ValidationError) as caught:
        Order(**REQUIRED, **broken)

    assert caught.value.error_count() == len(SECRETS)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(broken_rules(caught.value))


def test_every_personal_field_of_the_contract_is_marked() -> None:
    marked = {field.name for field in fields_of(Order) if field.is_personal}

    assert marked == set(SECRETS)


def test_order_survives_the_way_through_a_row_and_through_a_table() -> None:
    order = Order(**REQUIRED, **SECRETS, numbers={"weight": 1.5}, categories={"browser": "x"}, is_insured=True)

    assert Order(**order.to_row()) == order
    table, failures = split_orders([order])
    assert failures.num_rows == 0
    assert Order(**table.to_pylist()[0]) == order


def test_refund_types_belong_to_refunds_alone() -> None:
    values = {"order_id": 1, "happened_at": "2025-11-12", "refund_type": "refund_only"}

    outcome = Outcome(**values, kind="refund_requested")  # type: ignore[arg-type]

    assert (outcome.kind, outcome.refund_type) == (OutcomeKind.REFUND_REQUESTED, RefundType.REFUND_ONLY)
    assert rules_of(Outcome, **values, kind="claim") == [("refund_type", "only_with")]
    assert rules_of(Outcome, **values, kind="Refund") == [("kind", "allowed")]


def test_kinds_of_malice_belong_to_malicious_verdicts_alone() -> None:
    values = {"order_id": 1, "decided_at": "2025-11-12", "kind": "scalping"}

    verdict = Verdict(**values, verdict="malicious")  # type: ignore[arg-type]

    assert (verdict.by, verdict.seen_at) == (Decider.DESK, verdict.decided_at)
    assert rules_of(Verdict, **values, verdict="innocent") == [("kind", "only_with")]


def test_a_correction_is_seen_when_it_was_made_unless_later_is_said() -> None:
    correction = Correction(order_id="A1", corrected_at="2025-12-01", seen_at="2025-12-02")  # type: ignore[arg-type]

    assert correction.seen_at > correction.corrected_at


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_event_schema_names_every_field_of_the_model(kind: Any) -> None:
    names = event_schema(kind).names

    assert names == [name for name in MODELS[kind].model_fields if name not in {"entities", "numbers", "categories"}]


def test_order_schema_puts_extras_at_the_end_by_name() -> None:
    schema = order_schema(entities=["terminal"], numbers=["weight"], categories=["browser"])

    assert schema.names[-3:] == ["category__browser", "entity__terminal", "number__weight"]
    assert schema.types[-3:] == [pa.string(), pa.string(), pa.float64()]


def test_events_concat_unites_extras() -> None:
    first, _ = split_orders([{**REQUIRED, "entity__terminal": "T"}])
    second, _ = split_orders([{**REQUIRED, "order_id": "A2", "number__weight": 2}])
    empty = Events.empty()

    together = Events.concat(
        [Events(table, empty.outcomes, empty.verdicts, empty.corrections) for table in (first, second)]
    )

    assert together.orders.select(["order_id", "entity__terminal", "number__weight"]).to_pylist() == [
        {"order_id": "A1", "entity__terminal": "T", "number__weight": None},
        {"order_id": "A2", "entity__terminal": None, "number__weight": 2.0},
    ]
    assert repr(together) == "Events(2 orders, 0 outcomes, 0 verdicts, 0 corrections)"


def test_events_refuse_a_table_in_another_schema() -> None:
    empty = Events.empty()

    with pytest.raises(TypeError, match="outcomes is not in its canonical schema"):
        Events(empty.orders, empty.orders, empty.verdicts, empty.corrections)
