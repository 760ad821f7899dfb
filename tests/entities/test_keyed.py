from __future__ import annotations

import pyarrow as pa

from history_events import build_events, order, outcome, verdict
from ordervet.contract import Events, order_schema
from ordervet.entities import ENTITY_NAMES, Key, build_entities, key_events, key_orders
from ordervet.entities.keyed import drop_codes

KEY = Key(bytes(range(16)))
PERSONAL = {
    "buyer_id": "b-1",
    "recipient": "金丝雀",
    "address": "浙江省杭州市西湖区文三路 99 号 3 栋 502",
    "phone": "19912345678",
    "device_id": "d-1",
    "ip": "203.0.113.77",
    "payment_account": "p-1",
    "entity__terminal": "t-1",
}


def test_keyed_orders_have_the_ids_of_build_entities_and_nothing_personal() -> None:
    orders = build_events(orders=[order("A", shop_id="s-1", **PERSONAL), order("B")]).orders
    entities = build_entities(orders, KEY)

    keyed = key_orders(orders, KEY)

    for name in (*ENTITY_NAMES, "terminal"):
        assert keyed[f"id__{name}"].to_pylist() == entities.ids[name].tolist()
        assert keyed[f"evidence__{name}"].to_pylist() == entities.evidence[name].tolist()
    assert keyed["place_type"].to_pylist() == entities.place_type.tolist()
    assert keyed["shop_id"].to_pylist() == ["s-1", None]
    assert set(PERSONAL) & set(keyed.column_names) == set()
    assert [value for value in PERSONAL.values() if value in repr(keyed.to_pydict())] == []


def test_texts_encoded_by_a_dictionary_have_the_same_keys() -> None:
    drawn = [order(f"{row}", shop_id=f"s-{row % 2}", **PERSONAL) for row in range(9)]
    orders = build_events(orders=[*drawn, order("none")]).orders
    coded = orders
    for name in (*PERSONAL, "shop_id", "order_id"):
        coded = coded.set_column(coded.column_names.index(name), name, coded[name].dictionary_encode())

    keyed = key_orders(coded, KEY)

    assert pa.types.is_dictionary(keyed.schema.field("shop_id").type)
    assert drop_codes(keyed).equals(key_orders(orders, KEY))


def test_a_dictionary_with_more_values_than_rows_or_with_a_null_has_the_same_keys() -> None:
    orders = build_events(orders=[order(f"{row}", channel=f"c-{row}") for row in range(9)]).orders
    with_null = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["c-0", None]))
    at = orders.column_names.index("channel")
    few = orders.set_column(at, "channel", orders["channel"].dictionary_encode()).slice(7)
    odd = orders.slice(0, 3).set_column(at, "channel", with_null)

    assert key_orders(few, KEY)["id__channel"].to_pylist() == key_orders(orders, KEY)["id__channel"].to_pylist()[7:]
    assert [each != 0 for each in key_orders(odd, KEY)["id__channel"].to_pylist()] == [True, False, False]


def test_events_of_one_order_have_its_id() -> None:
    events = build_events(orders=[order("A"), order("B")], outcomes=[outcome("B")], verdicts=[verdict("A")])

    keyed = key_events(events, KEY)

    a, b = keyed.orders["id__order"].to_pylist()
    assert keyed.outcomes["id__order"].to_pylist() == [b]
    assert keyed.verdicts["id__order"].to_pylist() == [a]
    assert keyed.key_id == KEY.key_id


def test_extras_are_named_by_kind() -> None:
    orders = order_schema(entities=("terminal",), numbers=("weight",), categories=("browser",)).empty_table()
    events = Events.empty()

    keyed = key_events(Events(orders, events.outcomes, events.verdicts, events.corrections), KEY)

    assert keyed.extras == {"entity": ("terminal",), "category": ("browser",), "number": ("weight",)}
