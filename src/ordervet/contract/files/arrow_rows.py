"""Parquet and Arrow files, whole, piece by piece, or in the large chunks that scoring takes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from ordervet.contract.files.cells import decode_text_cells
from ordervet.contract.files.limits import check_limit
from ordervet.contract.files.opening import empty_error, find_encoding, open_bytes, read_bytes, wrong_format
from ordervet.contract.files.row_source import RowSource, clean_block

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import pyarrow.parquet as pq

    from ordervet.contract.files.row_source import Block

CHUNK_ROWS = 131_072
"""SPEED: benchmarks/bench_path.py."""

_ROWS_AT_ONCE = 2**15
_DAMAGES = (pa.ArrowException, OSError, UnicodeDecodeError)  # names of columns are texts, too
_LENGTH_BYTES = 4
"""What a Parquet file writes before each text that it does not encode by a dictionary."""


class ArrowRows(RowSource):
    """The rows of a Parquet, Arrow or Feather file."""

    def __init__(self, path: Path, *, is_long: bool) -> None:
        super().__init__(path, is_long=is_long)
        self._kind = "Parquet" if path.name.lower().endswith(".parquet") else "Arrow"
        with open_bytes(path) as file:
            self._head = file.read(64)
        if not self._head:
            raise empty_error(path)
        self._names = tuple(next(self.iter_tables()).column_names)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the file."""
        return self._names

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the rows in pieces of some ten thousand."""
        for table in self.iter_tables():
            yield clean_block(table, names)

    def iter_tables(self) -> Iterator[pa.Table]:
        """Read the rows in pieces of some ten thousand, values as given."""
        if not self.is_long:
            yield self._whole
            return
        try:
            schema, batches = self._open_parquet() if self._kind == "Parquet" else self._open_ipc()
            n_batches = 0
            for batch in batches:
                for start in range(0, max(batch.num_rows, 1), _ROWS_AT_ONCE):
                    piece = pa.Table.from_batches([batch.slice(start, _ROWS_AT_ONCE)])
                    yield self.check_table(validate_table(piece))
                    n_batches += 1
            if not n_batches:
                yield self.check_table(schema.empty_table())
        except _DAMAGES:
            raise wrong_format(self.path, f"a whole {self._kind} file", self._head) from None

    @cached_property
    def _whole(self) -> pa.Table:
        from pyarrow import parquet

        source = pa.BufferReader(read_bytes(self.path))
        try:
            if self._kind == "Parquet":
                file = parquet.ParquetFile(source)
                check_limit(self.path, "cells", file.metadata.num_rows * file.metadata.num_columns)
                return self.check_table(validate_table(file.read()))
            is_file = self._head.startswith(b"ARROW1")
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            return self.check_table(validate_table(reader.read_all()))
        except _DAMAGES:
            raise wrong_format(self.path, f"a whole {self._kind} file", self._head) from None

    def _open_parquet(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        from pyarrow import parquet

        file = parquet.ParquetFile(self.path, pre_buffer=False)
        return file.schema_arrow, file.iter_batches(batch_size=_ROWS_AT_ONCE)

    def _open_ipc(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        source = pa.memory_map(str(self.path))
        if self._head.startswith(b"ARROW1"):
            file = pa.ipc.open_file(source)
            return file.schema, (file.get_batch(at) for at in range(file.num_record_batches))
        stream = pa.ipc.open_stream(source)
        return stream.schema, iter(stream)


def validate_table(table: pa.Table) -> pa.Table:
    """Validate all that native code trusts in a table from outside: offsets, indices of dictionaries, UTF-8.

    Texts in another encoding are read as those of text files are.

    Raises
    ------
    pyarrow.ArrowException
        An offset or an index points outside.
    """
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        columns = [
            pa.chunked_array([_decode(chunk) for chunk in column.chunks], column.type) for column in table.columns
        ]
        table = pa.table(columns, names=table.column_names)
        table.validate(full=True)
    return table


def _decode(texts: pa.Array) -> pa.Array:
    """Decode texts that are not UTF-8; others, and what is no text, stay as they are."""
    if pa.types.is_dictionary(texts.type):
        return pa.DictionaryArray.from_arrays(texts.indices, _decode(texts.dictionary))
    if texts.type not in (pa.string(), pa.large_string()):
        return texts
    raw = (
        texts.cast(pa.large_binary()).cast(pa.binary()) if texts.type == pa.large_string() else texts.cast(pa.binary())
    )
    raw.validate(full=True)
    return decode_text_cells(raw, find_encoding(each for each in raw.to_pylist() if each)).cast(texts.type)


def count_rows(path: Path) -> int:
    """Count the rows of a file by its footer."""
    from pyarrow import parquet

    return int(parquet.read_metadata(path).num_rows)


def find_coded_columns(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """Find the columns of texts that a file holds as numbers of a dictionary, in all of its parts.

    A writer goes over from a dictionary to plain texts when the dictionary grows too large. A column that takes fewer
    bytes than the lengths of plain texts alone is mostly numbers.

    Parameters
    ----------
    metadata, schema : of the file
    """
    texts = {field.name for field in schema if field.type in (pa.string(), pa.large_string())}
    parts = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    chunks = [part.column(at) for part in parts for at in range(part.num_columns)]
    plain = {
        chunk.path_in_schema
        for chunk in chunks
        if chunk.total_uncompressed_size >= _LENGTH_BYTES * (chunk.num_values - _count_nulls(chunk))
    }
    return sorted(texts - plain)


def _count_nulls(chunk: pq.ColumnChunkMetaData) -> int:
    statistics = chunk.statistics
    is_known = statistics is not None and statistics.has_null_count
    return int(statistics.null_count if is_known else chunk.num_values)


def iter_chunks(path: Path, rows: int) -> Iterator[pa.Table]:
    """Read a large Parquet file in chunks; texts of few distinct values stay encoded as the file has them.

    Parameters
    ----------
    path : a Parquet file
    rows : at most, in each chunk

    Yields
    ------
    tables, rows in the order of the file
    """
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        # NOTE: where dictionaries are kept, no table spans two parts of the file, each of which has its own.
        are_parts_large = file.metadata.num_rows >= file.metadata.num_row_groups * rows // 2
        coded = find_coded_columns(file.metadata, file.schema_arrow) if are_parts_large else []
    # SPEED: reading on threads of its own takes time from those that score; pages that are fetched ahead of the whole
    # file stay in memory.
    try:
        with parquet.ParquetFile(path, memory_map=True, pre_buffer=False, read_dictionary=coded) as file:
            for batch in file.iter_batches(rows, use_threads=False):
                yield validate_table(pa.Table.from_batches([batch]))
    except _DAMAGES:
        raise wrong_format(path, "a whole Parquet file", b"") from None
