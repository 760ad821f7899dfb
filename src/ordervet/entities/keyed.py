"""Events with keyed ids in place of everything personal: what leaves this room, whether from a file or from the store.

A keyed table has the contract's columns less the personal ones, and in front the keyed id of the order:

    id__order                     uint64, in every table
    id__NAME, evidence__NAME      uint64 and int8, orders only, per entity (``id__buyer``, ``id__terminal``)
    place_type                    int8, orders only
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ordervet.entities.build import ENTITY_NAMES, build_entities, order_ids
from ordervet.entities.evidence import Evidence
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordervet.contract import EventKind, Events
    from ordervet.entities.keys import Key

__all__ = [
    "KEYED_KINDS",
    "KeyedEvents",
    "complete_columns",
    "count_evidence",
    "drop_codes",
    "key_events",
    "key_orders",
    "keyed_schema",
]

ID, EVIDENCE, ORDER_ID, PLACE_TYPE, ITEM = "id__", "evidence__", "id__order", "place_type", "item_id"
#: The entities whose absence is told: each joins orders that belong together.
TOLD_ENTITIES = ("buyer", "recipient", "address", "phone", "device", "ip", "payment")
KEYED_KINDS: tuple[EventKind, ...] = ("orders", "outcomes", "verdicts", "corrections")


@dataclass(frozen=True)
class KeyedEvents:
    """The four tables of `Events` without anything personal; rows as given.

    Parameters
    ----------
    orders, outcomes, verdicts, corrections : in the schemas of `keyed_schema`
    key_id : which key made the ids
    """

    orders: pa.Table
    outcomes: pa.Table
    verdicts: pa.Table
    corrections: pa.Table
    key_id: str

    @classmethod
    def of_orders(cls, orders: pa.Table, key_id: str) -> Self:
        """Make a set of orders alone."""
        none = {kind: keyed_schema(kind).empty_table() for kind in KEYED_KINDS}
        return cls(**none | {"orders": orders}, key_id=key_id)

    @property
    def extras(self) -> dict[str, tuple[str, ...]]:
        """Name what a mapping added to the orders: "entity", "category" and "number" to names, sorted."""
        names = self.orders.column_names
        numbers = [name.removeprefix("number__") for name in names if name.startswith("number__")]
        categories = [name.removeprefix("category__") for name in names if name.startswith("category__")]
        entities = set(_entity_names(names)).difference(ENTITY_NAMES, categories)
        found = {"entity": entities, "category": categories, "number": numbers}
        return {kind: tuple(sorted(each)) for kind, each in found.items()}

    def __repr__(self) -> str:
        return f"KeyedEvents({', '.join(f'{getattr(self, kind).num_rows} {kind}' for kind in KEYED_KINDS)})"


def key_events(events: Events, key: Key) -> KeyedEvents:
    """Turn events into keyed ones; raw personal data stops here.

    Parameters
    ----------
    events : canonical tables, rows in any order
    key : the identifier key

    Returns
    -------
    the same rows in the same order

    Raises
    ------
    ContractError
        A mapped extra bears the name of another entity.
    """
    later = {kind: _put_id_first(getattr(events, kind), key) for kind in ("outcomes", "verdicts", "corrections")}
    return KeyedEvents(key_orders(events.orders, key), **later, key_id=key.key_id)


def key_orders(orders: pa.Table, key: Key) -> pa.Table:
    """Turn a canonical orders table into a keyed one; raw personal data stops here.

    Parameters
    ----------
    orders : shape (n_orders, n_fields), canonical, rows in any order; texts may be encoded by a dictionary
    key : the identifier key

    Returns
    -------
    shape (n_orders, n_columns), `keyed_schema`, but texts that were encoded stay so; row i belongs to order i

    Raises
    ------
    ContractError
        A mapped extra bears the name of another entity.
    """
    from ordervet.contract.schemas import table_fields

    entities = build_entities(orders, key)
    impersonal = [field.name for field in table_fields("orders", orders.column_names) if not field.is_personal]
    columns = {ORDER_ID: pa.array(order_ids(orders["order_id"], key))}
    columns |= {name: orders[name] for name in impersonal}
    columns[PLACE_TYPE] = pa.array(entities.place_type)
    for name in sorted(entities.ids):
        columns[ID + name] = pa.array(entities.ids[name])
        columns[EVIDENCE + name] = pa.array(entities.evidence[name])
    schema = keyed_schema("orders", columns)
    return pa.table([_keep_codes(columns[field.name], field) for field in schema], schema.names)


def _keep_codes(column: pa.ChunkedArray[Any], field: pa.Field[Any]) -> pa.ChunkedArray[Any]:
    """Bring a column to its type, unless it is that type encoded by a dictionary."""
    return column if pa.types.is_dictionary(column.type) else column.cast(field.type)


def drop_codes(orders: pa.Table) -> pa.Table:
    """Give keyed orders in the schema of `keyed_schema`, texts that are encoded by a dictionary written out."""
    return orders.cast(keyed_schema("orders", orders.column_names))


def keyed_schema(kind: EventKind, column_names: Iterable[str] = ()) -> pa.Schema:
    """Give the schema of one kind of keyed event.

    Parameters
    ----------
    kind : "orders", "outcomes", "verdicts" or "corrections"
    column_names : names among which extras (``number__weight``, ``id__terminal``) are kept; others are passed over
    """
    names = list(column_names)
    from ordervet.contract.schemas import event_schema, table_fields

    first = pa.field(ORDER_ID, pa.uint64())
    if kind != "orders":
        return pa.schema([first, *event_schema(kind)])
    impersonal = {field.name for field in table_fields(kind, names) if not field.is_personal}
    plain = [field for field in event_schema(kind, names) if field.name in impersonal]
    keyed = [
        column
        for name in sorted({*ENTITY_NAMES, *_entity_names(names)})
        for column in (pa.field(ID + name, pa.uint64()), pa.field(EVIDENCE + name, pa.int8()))
    ]
    return pa.schema([first, *plain, pa.field(PLACE_TYPE, pa.int8()), *keyed])


def count_evidence(orders: pa.Table) -> dict[str, dict[str, int]]:
    """Count, per entity that tells who is involved, and of items, the orders by what is known of it.

    Parameters
    ----------
    orders : shape (n_orders, n_columns), keyed

    Returns
    -------
    entity → "known", "absent", "masked", "unusable" → orders
    """
    words = [each.name.lower() for each in Evidence]
    counts = {
        name: np.bincount(orders[EVIDENCE + name].to_numpy(), minlength=len(words)).tolist() for name in TOLD_ENTITIES
    }
    if ITEM in orders.column_names:  # no key of a person, but what refunds are compared by
        n_absent = orders[ITEM].null_count
        counts["item"] = [len(orders) - n_absent, n_absent, 0, 0]
    return {name: dict(zip(words, each, strict=True)) for name, each in counts.items()}


def complete_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a keyed table to a schema that has its columns and more.

    Parameters
    ----------
    table : keyed columns, any of them missing or null
    schema : of `keyed_schema`

    Returns
    -------
    shape (n_rows, n_columns): an id that is missing is 0 and its evidence absent, any other value null
    """
    columns = []
    for field in schema:
        has_column = field.name in table.column_names
        column = table[field.name] if has_column else pa.nulls(table.num_rows, field.type)
        missing = 0 if field.name.startswith(ID) else int(Evidence.ABSENT)
        is_filled = field.name.startswith((ID, EVIDENCE))
        columns.append(pc.fill_null(column, pa.scalar(missing, field.type)) if is_filled else column)
    return pa.table(columns, schema=schema)


def _entity_names(column_names: Iterable[str]) -> list[str]:
    """List the entities that have an id among the columns; the order itself is none."""
    return [name.removeprefix(ID) for name in column_names if name.startswith(ID) and name != ORDER_ID]


def _put_id_first(table: pa.Table, key: Key) -> pa.Table:
    return table.add_column(0, ORDER_ID, pa.array(order_ids(table["order_id"], key)))
