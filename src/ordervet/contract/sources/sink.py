"""Decisions back into a table of the shop's database: one row per order, the same however often it is written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ordervet.contract.sources.database import opening_database
from ordervet.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from sqlalchemy import Connection, Table

    from ordervet.contract.sources.source_file import Source

_ROWS_AT_ONCE = 2_000
_KEY = ("shop_id", "order_id")
_DECIDED_AT = "decided_at"


def write_decisions(sink: Source, decisions: pa.Table) -> int:
    """Write decisions into the table of a sink, all of them or none; an order that it has already is replaced.

    A table that is missing is created. Of one that is there the columns that it has are filled: order_id at least, and
    the others of `DECISION_SCHEMA`, shop_id and decided_at. An order without a shop has the shop "".

    Parameters
    ----------
    sink : names the database and the table
    decisions : shape (n_orders, n_columns), shop_id and order_id among them

    Returns
    -------
    rows written

    Raises
    ------
    SourceError
        The database cannot be written, or the table is not unique by shop and order, or has no order_id.
    """
    name = (sink.sink.table if sink.sink else "") or "ordervet_decisions"
    with opening_database(sink, is_writing=True) as connection:
        table = _open_table(connection, name, decisions.schema, sink.name)
        names = [each.name for each in table.columns if each.name in {*decisions.column_names, _DECIDED_AT}]
        key = [each for each in _KEY if each in names]
        statement = _build_upsert(connection, table, key, [each for each in names if each not in key])
        rows = decisions.sort_by([(each, "ascending") for each in _KEY])
        decided_at = datetime.now(UTC)
        has_zones = connection.dialect.name == "postgresql"
        for batch in _iter_rows(rows, names, decided_at, has_zones=has_zones):
            connection.execute(statement, batch)
    return int(decisions.num_rows)


def _iter_rows(
    rows: pa.Table, names: list[str], decided_at: datetime, *, has_zones: bool
) -> Iterator[list[dict[str, Any]]]:
    columns = [name for name in names if name != _DECIDED_AT]
    for batch in rows.select(columns).to_batches(_ROWS_AT_ONCE):
        listed = batch.to_pylist()
        for row in listed:
            if _DECIDED_AT in names:
                row[_DECIDED_AT] = decided_at
            if "shop_id" in row:
                row["shop_id"] = row["shop_id"] or ""
            if not has_zones:
                row.update({name: at.replace(tzinfo=None) for name, at in row.items() if isinstance(at, datetime)})
        if listed:
            yield listed


def _build_upsert(connection: Connection, table: Table, key: list[str], others: list[str]) -> Any:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_of_postgres

        insert = insert_of_postgres(table)
        return insert.on_conflict_do_update(index_elements=key, set_={name: insert.excluded[name] for name in others})
    from sqlalchemy.dialects.mysql import insert as insert_of_mysql

    other = insert_of_mysql(table)
    return other.on_duplicate_key_update({name: other.inserted[name] for name in others})


def _open_table(connection: Connection, name: str, schema: pa.Schema, where: str) -> Table:
    """Open the table, or create it; `SourceError` where an order could get into it twice."""
    from sqlalchemy import MetaData, Table, inspect

    *schemas, bare = name.split(".")
    inside = schemas[0] if schemas else None
    if not inspect(connection).has_table(bare, schema=inside):
        table = _define_table(bare, inside, schema)
        table.create(connection)
        return table
    table = Table(bare, MetaData(), schema=inside, autoload_with=connection)
    key = {each for each in _KEY if each in table.columns}
    found = inspect(connection)
    unique: list[set[str | None]] = [set(found.get_pk_constraint(bare, schema=inside)["constrained_columns"])]
    unique += [set(each["column_names"]) for each in found.get_unique_constraints(bare, schema=inside)]
    unique += [set(each["column_names"]) for each in found.get_indexes(bare, schema=inside) if each["unique"]]
    if "order_id" not in key or key not in unique:
        raise SourceError(
            f"the table {name} of {where} is not unique by shop and order, so that orders could get into it twice",
            hint="create a unique index on its columns shop_id and order_id, or name a table that is missing",
        )
    return table


def _define_table(name: str, inside: str | None, schema: pa.Schema) -> Table:
    """Define a table for decisions; in MySQL ids of orders differ by case too, and times are in UTC."""
    import pyarrow as pa
    from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, MetaData, String, Table, Text
    from sqlalchemy.dialects.mysql import DATETIME, VARCHAR

    time = DateTime(timezone=True).with_variant(DATETIME(fsp=6), "mysql", "mariadb")
    exact = String(128).with_variant(VARCHAR(128, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
    types: dict[pa.DataType, Any] = {
        pa.float64(): Float(53), pa.int64(): BigInteger(), pa.bool_(): Boolean(), pa.string(): Text(),
    }  # fmt: skip
    columns = [Column(each, exact, primary_key=True, nullable=False) for each in _KEY]
    columns += [Column(each.name, types.get(each.type, time)) for each in schema if each.name not in _KEY]
    return Table(name, MetaData(), *columns, Column(_DECIDED_AT, time), schema=inside, mysql_charset="utf8mb4")
