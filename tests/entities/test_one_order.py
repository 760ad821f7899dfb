"""One order keyed alone has the ids that it has in a table, to the bit."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.contract import Order, validate_events
from ordervet.entities import Key, key_orders
from ordervet.entities.keyed import KeyedEvents, keyed_schema
from ordervet.entities.order_ids import OrderKeyer
from ordervet.history.identity import identify
from ordervet.history.stored_rows import to_rows

if TYPE_CHECKING:
    from typing import Any

KEY = Key(bytes(range(16)))
KEYER = OrderKeyer(KEY)
ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
CHOICES = {
    "address": [
        *("浙江省杭州市西湖区文三路 99 号 3 栋 502", "北京市海淀区***", "某大学 5 号宿舍楼 301", "*"),
        *("样本甲，86-19900000001，江苏省扬州市广陵区样板路1号", "样板路1号 19900000001转7839", "样板路1号13800138000"),
        *("12 Birch Lane, Apt 4, Springfield, IL 62704, US", "Birkenstraße 3, Berlin, DE", "London", "12 Elm **"),
    ],
    "address_group": ["oaid-1", "0", "null"],
    "phone": ["19900001234", "+86 199-0000-1234", "199****1234", "17012345678-1234", "00000000000", "0170 1234567"],
    "phone_group": ["merge-7", "0", "[object Object]"],
    "country": ["DE", "China", "Atlantis", "US"],
    "device_id": ["DEV-1", "unknown", "00:00:00", "9774d56d682e549c"],
    "ip": ["203.0.113.7", "203.0.113.*", "10.0.0.1", "2001:db8::1", "::ffff:203.0.113.9", "nonsense"],
    "payment_account": ["Acc-1", "6222****1234"],
    "recipient": ["张三", "张三先生", "张**", "王", "Ms. Zhang"],
    "buyer_id": ["b-1029", "t**3", "匿名", "0", "Ann.Lee+1@Gmail.com"],
    "item_id": ["sku-7", "sku\x1f7", "\x1fsku", "\x1e sku\x1c"],
    "category": ["food"],
    "shop_id": ["s1", "0", "undefined"],
    "channel": ["live", "none"],
    "campaign": ["1111"],
}


def key_in_a_table(order: Order) -> tuple[int, int, dict[str, int], dict[str, int], int]:
    keyed = key_orders(validate_events("orders", [order]), KEY)
    row = keyed.to_pylist()[0]
    ids = {name[4:]: value for name, value in row.items() if name.startswith("id__") and name != "id__order"}
    evidence = {name[10:]: value for name, value in row.items() if name.startswith("evidence__")}
    nothing = {kind: keyed_schema(kind).empty_table() for kind in ("outcomes", "verdicts", "corrections")}
    (event_id,) = identify(to_rows(KeyedEvents(keyed, **nothing, key_id=""), "orders"), KEY)["event_id"].to_pylist()
    return row["id__order"], event_id % 2**64, ids, evidence, row["place_type"]


def check(fields: dict[str, Any]) -> None:
    order = Order(order_id="T1", placed_at="2026-01-15 20:00", amount_minor=1, **fields)

    alone = KEYER.key(order)

    assert (alone.order_id, alone.event_id, alone.ids, alone.evidence, alone.place_type) == key_in_a_table(order)


@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in CHOICES.items()}))
@settings(max_examples=60, deadline=None)
def test_order_alone_is_keyed_as_in_a_table(fields: dict[str, str]) -> None:
    check(fields)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(CHOICES, ANY_TEXT)))
@settings(max_examples=60, deadline=None)
def test_order_of_any_texts_is_keyed_as_in_a_table(fields: dict[str, str]) -> None:
    check({name: text for name, text in fields.items() if name not in ("channel", "campaign") or len(text) <= 64})


@pytest.mark.parametrize(
    "extras", [{"terminal": "pos-1"}, {"terminal": "pos-1", "depot": "d"}, {"terminal": "0", "depot": "null"}]
)
def test_order_with_mapped_entities_is_keyed_as_in_a_table(extras: dict[str, str]) -> None:
    check({"entities": extras, "categories": {"colour": "red"}, "ip": "nonsense", "phone": "1"})


def test_order_of_the_longest_texts_is_keyed_as_in_a_table() -> None:
    check(
        dict.fromkeys(CHOICES, "长" * 64) | {"address": "长" * 512, "entities": {f"e{n}": "长" * 128 for n in range(9)}}
    )


def test_order_whose_fields_were_put_in_later_is_trimmed_as_in_a_table() -> None:
    order = Order(order_id="T1", placed_at="2026-01-15 20:00", amount_minor=1, item_id="a", buyer_id="b", address="c")
    untidy = {
        "item_id": " a",
        "shop_id": "b\u3000",
        "category": "\xa0",
        "order_id": "\u2003T1",
        "address": " 文三路 99 号 ",
    }

    alone = KEYER.key(order.model_copy(update=untidy))

    tidy = KEYER.key(order.model_copy(update={name: text.strip() for name, text in untidy.items()}))
    assert (alone.words.tolist(), alone.codes) == (tidy.words.tolist(), tidy.codes)


@pytest.mark.parametrize(
    "address", ["浙江省杭州市西湖区纹三路99号3栋502", "文三路99号3栋502", "北京市***", " 12 Elm St, York "]
)
def test_a_mapped_skeleton_is_keyed_alone_as_in_a_table(address: str) -> None:
    check({"address": "浙江省杭州市西湖区文三路99号3栋502", "entities": {"skeleton": address, "terminal": "T-1"}})


def test_a_skeleton_ties_two_spellings_that_no_door_key_ties() -> None:
    one, other = (
        KEYER.key(
            Order(
                order_id="T1",
                placed_at="2026-01-15 20:00",
                amount_minor=1,
                address=text,
                entities={"skeleton": text},
            )
        )
        for text in ("浙江省杭州市西湖区文三路99号3栋502", "浙江省杭州市西湖区纹三路99号3幢502室")
    )

    assert one.ids["skeleton"] == other.ids["skeleton"] != 0
    assert one.ids["address"] != other.ids["address"]


def test_memory_does_not_grow_with_the_variety_of_extra_fields() -> None:
    keyer, order = OrderKeyer(KEY), Order(order_id="t", placed_at="2026-01-15 16:00", amount_minor=1)

    def key(numbers: range) -> None:
        for number in numbers:
            names = {f"extra{at}": "x" for at in range(15) if number >> at & 1}
            keyer.key(order.model_copy(update={"entities": names}))

    key(range(1, 2_000))
    tracemalloc.start()
    key(range(2_000, 22_000))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert len(keyer._keyers) <= 64
    assert kept < 2**20
