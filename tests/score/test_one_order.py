"""One order without a table is the order in a table: as a row of the store, and as a keyed row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from ordervet.contract import Events, Order, validate_events
from ordervet.entities import Key, key_orders
from ordervet.entities.history.batch import build_batch
from ordervet.entities.history.lines import read_lines, write_line
from ordervet.score.one_order import OneOrderReader

if TYPE_CHECKING:
    import pyarrow as pa

KEY = Key(bytes(range(16)))
EXTRAS = {
    "entities": {"terminal": "pos-1"},
    "numbers": {"weight": 2.0, "height": 1.25},
    "categories": {"colour": 'red\n"red"', "size": " L "},
}  # fmt: skip


def list_orders(merchant: Events) -> list[Order]:
    rows = merchant.orders.slice(0, 60).to_pylist()
    orders = [Order.model_validate({k: v for k, v in row.items() if v is not None}) for row in rows]
    bare = Order(order_id="bare", placed_at="2027-01-15 20:00", amount_minor=0)
    return [*orders, bare, bare.model_copy(update=EXTRAS)]


def in_a_table(order: Order) -> pa.Table:
    return validate_events("orders", [order])


def test_order_alone_has_the_row_that_a_table_has(merchant: Events) -> None:
    reader = OneOrderReader(KEY)
    empty = Events.empty()

    for order in list_orders(merchant):
        table = in_a_table(order)
        one = reader.read(order, int(table["seen_at"].cast("int64")[0].as_py()))
        expected = build_batch([Events(table, empty.outcomes, empty.verdicts, empty.corrections)], KEY).rows

        assert read_lines([write_line(one.row)]).equals(expected)


def test_order_alone_has_the_keyed_row_that_a_table_has(merchant: Events) -> None:
    reader = OneOrderReader(KEY)

    for order in list_orders(merchant):
        expected = key_orders(in_a_table(order), KEY)
        one = reader.read(order, int(pc.cast(expected["seen_at"], "int64")[0].as_py()))

        assert one.table.equals(expected)
