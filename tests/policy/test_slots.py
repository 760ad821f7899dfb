"""Slots: a closed grammar, a fixed list of fields, and values that cannot do more than be read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.contract import Order
from ordervet.errors import PolicyError
from ordervet.policy.slots import MAX_VALUE_LENGTH, REQUIRED_SLOTS, SLOTS, build_values, check_slots, fill_slots

ORDER = {"order_id": "A1", "placed_at": datetime(2025, 11, 11, 12, 10, tzinfo=UTC), "amount_minor": 123450}


def fill(text: str, *, lang: str = "zh", **fields: object) -> str:
    return fill_slots(check_slots(text), build_values(ORDER | fields, lang=lang, time_zone="Asia/Shanghai"))


def test_slots_hold_no_personal_field() -> None:
    personal = {"buyer_id", "recipient", "address", "address_group", "phone", "phone_group", "device_id", "ip"}

    assert not personal & set(SLOTS)
    assert set(SLOTS) - {"amount"} <= set(Order.model_fields)


def test_slots_are_filled_in_the_zone_and_currency_of_the_order() -> None:
    zh = fill("{{ order_id }}，{{ placed_at }}，{{ amount }}")
    en = fill("{{ order_id }}, {{ placed_at }}, {{ amount }}", lang="en", currency="EUR")

    assert zh == "A1，2025-11-11 20:10，1,234.50 元"
    assert en == "A1, 2025-11-11 20:10, EUR 1,234.50"


def test_optional_slot_is_left_out_when_the_order_lacks_it() -> None:
    text = "商品{% if item_id %} {{ item_id }}{% else %}（见订单）{% endif %}"

    assert (fill(text), fill(text, item_id="SKU9")) == ("商品（见订单）", "商品 SKU9")


def test_optional_slot_without_a_guard_is_an_error_when_the_order_lacks_it() -> None:
    with pytest.raises(PolicyError, match="quotes a field this order does not have"):
        fill("{{ item_id }}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ phone }}",
        "{{ order_id.__class__ }}",
        "{{ order_id[0] }}",
        "{{ order_id|upper }}",
        "{{ order_id() }}",
        "{{ 'a' * 10 }}",
        "{{ ''.join(order_id) }}",
        "{{ range(9) }}",
        "{% for x in order_id %}{{ x }}{% endfor %}",
        "{% set order_id = 1 %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% macro m() %}{% endmacro %}",
        "{% if order_id == 'A1' %}x{% endif %}",
        "{{ order_id",
        "{% if order_id %}",
        "{{ self }}",
        "{{ cycler }}",
        "{{ order_id ~ amount }}",
        "{% raw %}x{% endraw %}{{ buyer_id }}",
    ],
)
def test_slot_grammar_refuses_everything_but_names_and_ifs(text: str) -> None:
    with pytest.raises(ValueError, match="slot"):
        check_slots(text)


def test_value_is_never_read_as_a_template() -> None:
    assert fill("{{ order_id }}", order_id="{{ phone }}{% if x %}") == "{{ phone }}{% if x %}"


def test_value_is_not_escaped_since_a_message_is_plain_text() -> None:
    assert fill("{{ order_id }}", order_id="<b>&'") == "<b>&'"


@given(st.text())
def test_value_becomes_one_short_visible_line(value: str) -> None:
    line = build_values(ORDER | {"item_id": value}, lang="zh", time_zone="UTC")["item_id"]

    assert line is None or (0 < len(line) <= MAX_VALUE_LENGTH and line.isprintable() and line == line.strip())


def test_value_cannot_turn_the_direction_of_a_message() -> None:
    assert fill("{{ order_id }}。", order_id="A1\u202e\u200b\n\r\tB") == "A1 B。"


def test_fields_off_the_list_never_reach_a_message() -> None:
    values = build_values(ORDER | {"phone": "199", "recipient": "x"}, lang="zh", time_zone="UTC")

    assert set(values) == set(SLOTS)


@pytest.mark.parametrize("field", ["order_id", "placed_at", "amount_minor"])
def test_order_without_a_required_field_is_an_error(field: str) -> None:
    order = {name: value for name, value in ORDER.items() if name != field}

    with pytest.raises(PolicyError, match=f"the order lacks {field}"):
        build_values(order, lang="zh", time_zone="UTC")


@pytest.mark.parametrize("placed_at", [datetime(2025, 11, 11, 20, 0), "2025-11-11"])  # noqa: DTZ001  # naive is the case
def test_order_without_an_instant_is_an_error(placed_at: object) -> None:
    with pytest.raises(PolicyError, match="not a time with a zone"):
        build_values(ORDER | {"placed_at": placed_at}, lang="zh", time_zone="UTC")


def test_required_slots_are_always_filled() -> None:
    values = build_values(ORDER, lang="zh", time_zone="UTC")

    assert {slot for slot, value in values.items() if value is not None} == set(REQUIRED_SLOTS)
