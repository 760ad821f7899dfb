"""The door for one order gives what the model gives: the same values, of the same types, and the same errors."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ordervet.contract import Order, Outcome, OutcomeKind, RefundReason, RefundType, broken_rules
from ordervet.contract.fields import fields_of
from ordervet.contract.model import Blame
from ordervet.contract.order_reader import read_order, read_outcome
from ordervet.contract.values import is_missing

REQUIRED: dict[str, Any] = {"order_id": "A1", "placed_at": "2025-11-11 20:00", "amount_minor": 12_300}
EAST = timezone(timedelta(hours=9))
TEXTS = st.one_of(
    st.sampled_from(
        [
            "x",
            " x",
            "x\u200b",
            "\x1fx",
            "红\n色",
            "",
            " ",
            "CNY",
            "cny",
            "a" * 65,
            "\ud800",
            OutcomeKind.CLAIM,
            "paid",
            "Paid",
        ]
    ),
    st.text(max_size=6),
)
INSTANTS = st.one_of(
    st.sampled_from([
        "2025-11-11 20:00", "2025-11-11T20:00:07", "2025-11-11 24:00:00", "2025-11-11 20:60", "2025-W46-2T20:00:00",
        "2025-11-11 20:00+08", "2025/11/11 20:00", "2025-11-11x20:00", "2025-02-29 20:00", "1990-01-01 08:00",
        "1990-01-01 07:59", "1990-04-15 00:30", "1990-04-15 01:00:01", "1990-09-16 01:30", "2100-12-31 23:59:59",
        "2101-01-01 08:00", "٢٠٢٥-11-11 20:00", " 2025-11-11 20:00", "2025-11-11 20: 0", "2025-11-11 20:+1:00",
        date(2025, 11, 11), 1_762_862_400,
    ]),
    st.integers(631_000_000, 700_000_000).map(lambda each: datetime.fromtimestamp(each, UTC).isoformat(" ")[:-6]),
    st.integers(599_000_000, 4_200_000_000).map(lambda each: datetime.fromtimestamp(each, UTC)),
    st.integers(599_000_000, 4_200_000_000).map(lambda each: datetime.fromtimestamp(each, EAST)),
    st.integers(599_000_000, 4_200_000_000).map(lambda each: datetime.fromtimestamp(each, UTC).replace(tzinfo=None)),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-2, 3), st.floats(), st.booleans(),
    st.sampled_from([10**13, 10**13 + 1, 10**400, "7", Decimal(7), 7.5, np.int64(7), np.float32(0.1), float("nan")]),
)  # fmt: skip
NAMES = st.sampled_from(["terminal", "Terminal", "buyer", "weight", "a__b", "", 7])
OF_KIND: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS, "instant": INSTANTS, "integer": NUMBERS, "number": NUMBERS, "boolean": NUMBERS,
}  # fmt: skip


def draw_field(field: Any) -> st.SearchStrategy[Any]:
    value = OF_KIND[field.kind] | st.none()
    return st.dictionaries(NAMES, value, max_size=2) | st.none() if field.is_extras else value


FIELDS: dict[str, Any] = {field.name: draw_field(field) for field in fields_of(Order)}
OTHERS: dict[str, Any] = {"vip": st.just(1), "entity__terminal": TEXTS, "number__weight": NUMBERS}


def tell(read: Any, fields: dict[str, Any]) -> object:
    try:
        order = read(fields)
    except ValidationError as error:
        return broken_rules(error)
    return [(name, type(value), value) for name, value in order.__dict__.items()], order.model_fields_set


def read_by_the_model(given: dict[str, Any]) -> Order:
    """The model's order; where it refuses, what it reads once what nobody can read is left out, field by field."""
    whole = {n: v.encode("utf-8", "ignore").decode() if isinstance(v, str) else v for n, v in given.items()}
    try:
        return Order.model_validate(whole)
    except (ValidationError, TypeError, ValueError):
        fields = {name: value for name, value in whole.items() if not is_missing(value)}
    required = dict(REQUIRED)
    for name in REQUIRED.keys() & fields.keys():
        if not isinstance(tell(Order.model_validate, REQUIRED | {name: fields[name]}), list):
            required[name] = fields[name]
    # NOT the currency: an amount whose currency nobody knows is not known.
    optional = [name for name in fields if name in FIELDS and name not in {*REQUIRED, "currency"}]
    for name in optional:
        try:
            Order.model_validate(required | {name: fields[name]})
        except ValidationError:
            del fields[name]
    return Order.model_validate(fields)


@given(st.fixed_dictionaries({}, optional=FIELDS), st.fixed_dictionaries({}, optional=OTHERS))
@settings(max_examples=400, deadline=None)
def test_any_order_is_read_as_by_the_model(fields: dict[str, Any], others: dict[str, Any]) -> None:
    assert tell(read_order, REQUIRED | fields | others) == tell(read_by_the_model, REQUIRED | fields | others)


@pytest.mark.parametrize("name", FIELDS)
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_order_with_one_field_is_read_as_by_the_model(name: str, data: st.DataObject) -> None:
    fields = REQUIRED | {name: data.draw(FIELDS[name])}

    assert tell(read_order, fields) == tell(read_by_the_model, fields)


REQUEST = {"order_id": "A1", "kind": "refund_requested", "happened_at": "2025-11-11 20:00"}
KINDS = st.sampled_from([*OutcomeKind, *map(str, OutcomeKind), " claim", "Claim", "none", 7])
WORDS = st.sampled_from(
    [*RefundType, *RefundReason, *Blame, *map(str, RefundType), "damaged", "seller", "", " freight"]
)
OF_OUTCOME: dict[str, Any] = {field.name: draw_field(field) | WORDS for field in fields_of(Outcome)} | {"kind": KINDS}


@given(st.fixed_dictionaries({}, optional=OF_OUTCOME), st.fixed_dictionaries({}, optional=OTHERS))
@settings(max_examples=300, deadline=None)
def test_any_outcome_is_read_as_by_the_model(fields: dict[str, Any], others: dict[str, Any]) -> None:
    assert tell(read_outcome, REQUEST | fields | others) == tell(Outcome.model_validate, REQUEST | fields | others)


@pytest.mark.parametrize("name", OF_OUTCOME)
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_outcome_with_one_field_is_read_as_by_the_model(name: str, data: st.DataObject) -> None:
    fields = REQUEST | {name: data.draw(OF_OUTCOME[name])}

    assert tell(read_outcome, fields) == tell(Outcome.model_validate, fields)


def test_an_order_is_taken_as_it_is() -> None:
    order = Order.model_validate(REQUIRED)

    assert read_order(order) is order


@pytest.mark.parametrize("given", [None, 7, "order", []])
def test_what_is_no_order_is_refused_as_by_the_model(given: Any) -> None:
    assert tell(read_order, given) == tell(Order.model_validate, given)
