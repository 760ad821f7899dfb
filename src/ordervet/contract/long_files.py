"""Files too large for memory become pieces of rows, values untouched: CSV, JSON lines, Parquet and Arrow.

A workbook and a JSON document are read whole, as is in their nature; their size has a limit (`files.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from ordervet.contract.files import open_error, wrong_format
from ordervet.contract.formats.blocks import CsvRows, RowSource, clean_block
from ordervet.contract.formats.long_records import LongRecords, iter_json_rows
from ordervet.contract.tabular import column_of, to_arrow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from ordervet.contract.formats.blocks import Block
    from ordervet.contract.formats.definition import JsonPlaces
    from ordervet.contract.instants import Mask, Micros

_MAX_WHOLE = 64 * 2**20  # bytes of plain text; a longer file is read in pieces
#: How many times its size a file takes as plain text, about.
_EXPANSION = {".csv": 1, ".csv.gz": 8, ".jsonl": 1, ".parquet": 8, ".arrow": 1, ".feather": 2}
_ROWS_AT_ONCE = 2**15
_CSV_BLOCK = 4 * 2**20  # bytes: Arrow reads up to 32 blocks ahead of us


@dataclass(frozen=True)
class RawRows:
    """Rows of a file, values as given.

    Parameters
    ----------
    table : shape (n_rows, n_columns)
    rows : shape (n_rows,), their numbers in the file
    """

    table: pa.Table
    rows: Micros

    @classmethod
    def of(cls, table: pa.Table, first: int = 0) -> Self:
        """Give the rows of a table the numbers from some first one on."""
        return cls(table, first + np.arange(table.num_rows))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Put rows below each other; one part at least, all with the same columns."""
        if len(parts) == 1:
            return parts[0]
        tables = [part.table for part in parts]
        rows = np.concatenate([part.rows for part in parts])
        if all(table.schema.equals(tables[0].schema) for table in tables):
            return cls(pa.concat_tables(tables), rows)
        names = tables[0].column_names  # JSON: what is a number in one piece can be a text in the next
        columns = [column_of([value for table in tables for value in table[name].to_pylist()]) for name in names]
        return cls(pa.table(columns, names=names), rows)

    def keep(self, is_kept: Mask) -> Self:
        """Keep some of the rows."""
        kept = np.flatnonzero(is_kept)
        return type(self)(self.table.take(pa.array(kept)), self.rows[kept])


@dataclass
class LongTable(RowSource):
    """The rows of a Parquet or Arrow file, a part of them in memory at a time."""

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Give the rows in pieces of some ten thousand."""
        for table in _iter_arrow(self.path):
            yield clean_block(table, names)


def is_long(path: Path) -> bool:
    """Tell whether a file is one to be read in pieces.

    Raises
    ------
    FileError
        There is no such file.
    """
    name = path.name.lower()
    expansion = next((times for ending, times in _EXPANSION.items() if name.endswith(ending)), 0)
    try:
        return path.stat().st_size * expansion > _MAX_WHOLE
    except OSError as error:
        raise open_error(path, error) from None


def open_long_rows(path: Path, json_places: Sequence[JsonPlaces] = ()) -> RowSource:
    """Open a long file as rows of a platform's export.

    Parameters
    ----------
    path : of which `is_long` is true
    json_places : where the formats expect rows in a JSON document

    Raises
    ------
    FileError
        The file is unreadable, or not what its ending says.
    """
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _open_csv(path)
    if name.endswith(".jsonl"):
        return LongRecords.open(path, json_places)
    return LongTable(path, tuple(next(_iter_arrow(path)).column_names))


def iter_raw_rows(path: Path) -> Iterator[RawRows]:
    """Read a long file in pieces of some ten thousand rows, values as `read_table` gives them.

    Raises
    ------
    FileError
        As for `read_table`.
    """
    first = 0
    for table in _iter_raw_tables(path):
        yield RawRows.of(table, first)
        first += table.num_rows


def _open_csv(path: Path) -> CsvRows:
    rows = CsvRows.open(path)
    rows.block_size = _CSV_BLOCK
    return rows


def _iter_raw_tables(path: Path) -> Iterator[pa.Table]:
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        yield from _open_csv(path).iter_raw_tables()
    elif name.endswith(".jsonl"):
        names = list(dict.fromkeys(name for rows in iter_json_rows(path) for row in rows for name in row))
        for rows in iter_json_rows(path):
            yield to_arrow([dict.fromkeys(names) | row for row in rows])
    else:
        yield from _iter_arrow(path)


def _iter_arrow(path: Path) -> Iterator[pa.Table]:
    """Read a Parquet or Arrow file piece by piece; one without rows is one empty piece."""
    is_parquet = path.name.lower().endswith(".parquet")
    try:
        schema, batches = _open_parquet(path) if is_parquet else _open_ipc(path)
        n_batches = 0
        for batch in batches:
            for start in range(0, max(batch.num_rows, 1), _ROWS_AT_ONCE):
                yield pa.Table.from_batches([batch.slice(start, _ROWS_AT_ONCE)])
                n_batches += 1
        if not n_batches:
            yield schema.empty_table()
    except (pa.ArrowException, OSError):
        raise wrong_format(path, f"a whole {'Parquet' if is_parquet else 'Arrow'} file", _head(path)) from None


def _open_parquet(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    from pyarrow import parquet

    file = parquet.ParquetFile(path, pre_buffer=False)
    return file.schema_arrow, file.iter_batches(batch_size=_ROWS_AT_ONCE)


def _open_ipc(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    source = pa.memory_map(str(path))
    if _head(path).startswith(b"ARROW1"):
        file = pa.ipc.open_file(source)
        return file.schema, (file.get_batch(at) for at in range(file.num_record_batches))
    stream = pa.ipc.open_stream(source)
    return stream.schema, iter(stream)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise open_error(path, error) from None
