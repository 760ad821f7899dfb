"""Rows of the store as JSON lines, and back: what the journal holds.

A line has the columns that are not null; instants are microseconds, ids the same int64 as in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from pydantic_core import to_json

from ordervet.history.rows import row_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_LINE = 1 << 20


def write_line(row: dict[str, Any]) -> bytes:
    """Write one row.

    Parameters
    ----------
    row : column → plain value; instants as microseconds, nothing that is null
    """
    return to_json(row) + b"\n"


def write_lines(rows: pa.Table) -> bytes:
    """Write the rows of a table.

    Parameters
    ----------
    rows : shape (n_rows, n_columns), in `row_schema` or with fewer columns
    """
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in rows.columns]
    table = pa.table(plain, names=rows.column_names)
    return b"".join(
        write_line({name: value for name, value in row.items() if value is not None}) for row in table.to_pylist()
    )


def read_lines(batches: Iterable[bytes]) -> pa.Table:
    """Read lines back.

    Parameters
    ----------
    batches : lines of several batches

    Returns
    -------
    shape (n_lines, n_columns), `row_schema` with the extras of all lines, rows in their order
    """
    data = b"".join(batches)
    if not data:
        return row_schema().empty_table()
    plain = pa.schema([(field.name, _plain_type(field.type)) for field in row_schema()])
    # SPEED: parsed outside of Python, so that a flush in the background leaves the interpreter to the orders.
    read = pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(block_size=_LONGEST_LINE),
        parse_options=pj.ParseOptions(explicit_schema=plain),
    )
    schema = row_schema(read.column_names)
    return pa.table([pc.cast(read[field.name], field.type) for field in schema], schema=schema)


def _plain_type(type_: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(type_) else type_
