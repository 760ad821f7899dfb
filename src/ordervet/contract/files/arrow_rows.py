"""Parquet and Arrow files, whole, piece by piece, or in the large chunks that scoring takes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.files.cells import decode_text_cells
from ordervet.contract.files.limits import check_limit, check_rows, check_unpacked
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
_MUCH = 2**28  # bytes
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
        if self.is_long:
            yield from map(self.check_table, self._read_pieces(self.path))
        else:
            yield self._whole

    @cached_property
    def _whole(self) -> pa.Table:
        pieces: list[pa.Table] = []
        n_cells, n_bytes = 0, 0
        for piece in self._read_pieces(pa.BufferReader(read_bytes(self.path))):
            pieces.append(piece)
            n_cells, n_bytes = n_cells + piece.num_rows * piece.num_columns, n_bytes + piece.nbytes
            check_limit(self.path, "cells", n_cells)
            check_unpacked(self.path, n_bytes)
        return self.check_table(pa.concat_tables(pieces))

    def _read_pieces(self, source: Path | pa.BufferReader) -> Iterator[pa.Table]:
        n_rows, n_bytes, n_repeated = 0, self.path.stat().st_size, 0
        try:
            schema, batches = self._open_parquet(source) if self._kind == "Parquet" else self._open_ipc(source)
            for batch in batches:
                n_rows += batch.num_rows
                check_rows(self.path, n_rows, n_bytes)
                for start in range(0, max(batch.num_rows, 1), _ROWS_AT_ONCE):
                    piece = validate_table(pa.Table.from_batches([batch.slice(start, _ROWS_AT_ONCE)]))
                    n_repeated += sum(_measure(chunk) for column in piece.columns for chunk in column.chunks)
                    check_unpacked(self.path, n_repeated)
                    yield _decode_coded(piece, schema)
            if not n_rows:
                nothing = schema.empty_table().rename_columns(schema.names)  # which are read here, as texts
                yield nothing.replace_schema_metadata(schema.metadata)
        except _DAMAGES:
            raise wrong_format(self.path, f"a whole {self._kind} file", self._head) from None

    def _open_parquet(self, source: Path | pa.BufferReader) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        from pyarrow import parquet

        metadata = read_footer(self.path, source)
        coded = find_long_texts(source, metadata, _ROWS_AT_ONCE)
        file = parquet.ParquetFile(source, pre_buffer=False, read_dictionary=coded)
        return metadata.schema.to_arrow_schema(), file.iter_batches(batch_size=_ROWS_AT_ONCE)

    def _open_ipc(self, source: Path | pa.BufferReader) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        file = source if isinstance(source, pa.BufferReader) else pa.memory_map(str(source))
        if self._head.startswith(b"ARROW1"):
            reader = pa.ipc.open_file(file)
            return reader.schema, (reader.get_batch(at) for at in range(reader.num_record_batches))
        stream = pa.ipc.open_stream(file)
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
        table = pa.table(columns, names=table.column_names, metadata=table.schema.metadata)
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
    decoded = decode_text_cells(raw.fill_null(b""), find_encoding(each for each in raw.to_pylist() if each))
    return pc.if_else(raw.is_valid(), decoded, None).cast(texts.type)


def read_footer(path: Path, source: Path | pa.BufferReader | None = None) -> pq.FileMetaData:
    """Read what a Parquet file from outside says of itself, and check it: a run of one value takes no bytes.

    Parameters
    ----------
    path : the file
    source : its bytes, where they were read

    Raises
    ------
    FileError
        It is more than the limits.
    pyarrow.ArrowException, OSError
        It is damaged.
    """
    from pyarrow import parquet

    with parquet.ParquetFile(path if source is None else source, pre_buffer=True) as file:
        metadata = file.metadata
        check_limit(path, "columns", metadata.num_columns)
        check_rows(path, metadata.num_rows, path.stat().st_size)
        check_unpacked(path, sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)))
        # NOTE: asking for all columns of all parts looks at what is said of each before anything is read. Asked part by
        # part (`RowGroupMetaData.column`), pyarrow ends the process where that is damaged.
        next(file.iter_batches(1), None)
    n_bytes = 0
    for chunks in _list_chunks(metadata):
        n_bytes += sum(chunk.total_uncompressed_size for chunk in chunks)
        check_unpacked(path, n_bytes)
        check_limit(path, "cells", max((chunk.num_values for chunk in chunks), default=0))
    return metadata


def find_long_texts(source: Path | pa.BufferReader, metadata: pq.FileMetaData, rows: int) -> list[str]:
    """Find the columns whose values, read `rows` at once, would take far more memory than the file has bytes.

    A file has each value of a dictionary once, however often it is used.

    Parameters
    ----------
    source : a Parquet file
    metadata : of `read_footer`
    rows : how many are read at once
    """
    from pyarrow import parquet

    found: set[str] = set()
    for at, chunks in enumerate(_list_chunks(metadata)):
        coded = [
            chunk.path_in_schema
            for chunk in chunks
            if chunk.has_dictionary_page and chunk.total_uncompressed_size * min(chunk.num_values, rows) > _MUCH
        ]
        if coded:
            file = parquet.ParquetFile(source, pre_buffer=False, read_dictionary=coded)
            first = next(file.iter_batches(1, row_groups=[at], columns=coded))
            found |= {name for name in coded if _measure_longest(first, name) * rows > _MUCH}
    return sorted(found)


def _list_chunks(metadata: pq.FileMetaData) -> list[list[pq.ColumnChunkMetaData]]:
    """List the columns of each part of a file."""
    parts = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    return [[part.column(at) for at in range(part.num_columns)] for part in parts]


def _measure_longest(batch: pa.RecordBatch, path: str) -> int:
    """Measure the longest text of a column's dictionary, bytes."""
    name, *below = path.split(".")
    column = batch.column(name)
    for part in below:
        if pa.types.is_struct(column.type):
            column = column.field(part)
        elif pa.types.is_list(column.type):
            column = column.values
    if not pa.types.is_dictionary(column.type):
        return 0
    return int(pc.max(_measure_each(column.dictionary)).as_py() or 0)


def _measure(values: pa.Array) -> int:
    """Measure what the values of an array that share their bytes would take if each had its own."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return int(pc.sum(_measure_each(values.dictionary).take(values.indices)).as_py() or 0)
    if kind in (pa.string_view(), pa.binary_view()):
        # NOT: pc.binary_length, which knows no views. A view is four numbers, the first of them its length.
        views = np.frombuffer(values.buffers()[1] or b"", np.int32).reshape(-1, 4)
        lengths = views[values.offset : values.offset + len(values), 0]
        return int(lengths[np.asarray(values.is_valid())].sum(dtype=np.int64))
    if pa.types.is_struct(kind):
        return sum(_measure(part) for part in values.flatten())
    return _measure(values.flatten()) if pa.types.is_list(kind) else 0


def _measure_each(values: pa.Array) -> pa.Array:
    if values.type in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        return pc.binary_length(values).cast(pa.int64())
    return pa.repeat(8, len(values))


def _decode_coded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Decode what was read as a dictionary although the file has it plain."""
    columns = []
    for column, kind in zip(table.columns, schema.types, strict=True):
        is_coded = pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(kind)
        columns.append(column.cast(column.type.value_type if is_coded else kind))
    return pa.table(columns, names=table.column_names, metadata=table.schema.metadata)


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
    plain = {
        chunk.path_in_schema
        for chunks in _list_chunks(metadata)
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

    metadata = read_footer(path)
    # NOTE: where dictionaries are kept, no table spans two parts of the file, each of which has its own.
    are_parts_large = metadata.num_rows >= metadata.num_row_groups * rows // 2
    coded = find_coded_columns(metadata, metadata.schema.to_arrow_schema()) if are_parts_large else []
    # SPEED: reading on threads of its own takes time from those that score; pages that are fetched ahead of the whole
    # file stay in memory.
    try:
        with parquet.ParquetFile(path, memory_map=True, pre_buffer=False, read_dictionary=coded) as file:
            for batch in file.iter_batches(rows, use_threads=False):
                yield validate_table(pa.Table.from_batches([batch]))
    except _DAMAGES:
        raise wrong_format(path, "a whole Parquet file", b"") from None
