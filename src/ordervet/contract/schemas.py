"""The canonical Arrow tables: one schema per kind of event, and the four of them together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

import pyarrow as pa

from ordervet.contract.fields import fields_of
from ordervet.contract.model import EXTRA_PREFIXES, Correction, Order, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ordervet.contract.fields import ContractField, FieldKind
    from ordervet.contract.model import Event

EventKind = Literal["orders", "outcomes", "verdicts", "corrections"]
MODELS: dict[EventKind, type[Event]] = {
    "orders": Order,
    "outcomes": Outcome,
    "verdicts": Verdict,
    "corrections": Correction,
}
INSTANT = pa.timestamp("us", tz="UTC")
_ARROW_TYPES: dict[FieldKind, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "instant": INSTANT,
}


def table_fields(kind: EventKind, column_names: Iterable[str] = ()) -> tuple[ContractField, ...]:
    """List the fields of a canonical table: those of the model, then the extras among the given columns, sorted."""
    columns: list[ContractField] = []
    extras: dict[str, ContractField] = {}
    for field in fields_of(MODELS[kind]):
        if field.is_extras:
            extras[field.name] = field
        else:
            columns.append(field)
    for name in sorted(column_names):
        prefix = extra_prefix(name)
        if prefix and EXTRA_PREFIXES[prefix] in extras:
            columns.append(extras[EXTRA_PREFIXES[prefix]].named(name))
    return tuple(columns)


def extra_prefix(column_name: str) -> str:
    """Return the prefix that makes a column an extra (``entity__``, ``number__``, ``category__``), or ""."""
    return next((prefix for prefix in EXTRA_PREFIXES if column_name.startswith(prefix)), "")


def arrow_field(field: ContractField) -> pa.Field[Any]:
    """Return the Arrow column of a contract field."""
    return pa.field(field.name, _ARROW_TYPES[field.kind])


def event_schema(kind: EventKind, column_names: Iterable[str] = ()) -> pa.Schema:
    """Return the canonical schema of one kind of event.

    Parameters
    ----------
    kind : "orders", "outcomes", "verdicts" or "corrections"
    column_names : names among which extra columns (``entity__terminal``) are kept; others are passed over
    """
    return pa.schema([arrow_field(field) for field in table_fields(kind, column_names)])


def order_schema(
    *, entities: Sequence[str] = (), numbers: Sequence[str] = (), categories: Sequence[str] = ()
) -> pa.Schema:
    """Return the canonical schema of orders with the named extras."""
    extras = (
        [f"entity__{n}" for n in entities] + [f"number__{n}" for n in numbers] + [f"category__{n}" for n in categories]
    )
    return event_schema("orders", extras)


@dataclass(frozen=True)
class Events:
    """The four canonical tables that belong together; any of them may have no rows, never another schema.

    Orders may carry extra columns after those of `order_schema()`.
    """

    orders: pa.Table
    outcomes: pa.Table
    verdicts: pa.Table
    corrections: pa.Table

    def __post_init__(self) -> None:
        for field in fields(self):
            table: pa.Table = getattr(self, field.name)
            expected = event_schema(field.name, table.column_names)  # type: ignore[arg-type]  # the names are the kinds
            if not table.schema.equals(expected):
                raise TypeError(f"the table of {field.name} is not in its canonical schema")

    @classmethod
    def empty(cls) -> Self:
        """Return four tables without rows."""
        return cls(**{kind: event_schema(kind).empty_table() for kind in MODELS})

    @classmethod
    def concat(cls, parts: Iterable[Events]) -> Self:
        """Concatenate several sets; an extra column that one of them lacks is null there."""
        together = [cls.empty(), *parts]
        return cls(**{kind: concat_events(kind, [getattr(part, kind) for part in together]) for kind in MODELS})

    def __repr__(self) -> str:
        counts = ", ".join(f"{getattr(self, field.name).num_rows} {field.name}" for field in fields(self))
        return f"Events({counts})"


def concat_events(kind: EventKind, tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate canonical tables of one kind, extras united."""
    schema = event_schema(kind, {name for table in tables for name in table.column_names})
    return pa.concat_tables([schema.empty_table(), *(_with_schema(table, schema) for table in tables)])


def _with_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
