"""A large Parquet file, table by table; texts of few distinct values stay encoded as the file has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["CHUNK_ROWS", "count_rows", "find_coded_columns", "iter_tables"]

CHUNK_ROWS = 131_072
"""SPEED: benchmarks/bench_path.py."""

_LENGTH_BYTES = 4
"""What a Parquet file writes before each text that it does not encode by a dictionary."""


def count_rows(path: Path) -> int:
    """Count the rows of a file by its footer."""
    return int(pq.read_metadata(path).num_rows)


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


def iter_tables(path: Path, rows: int) -> Iterator[pa.Table]:
    """Read a file piece by piece.

    Parameters
    ----------
    path : a Parquet file
    rows : at most, in each table

    Yields
    ------
    tables, rows in the order of the file
    """
    with pq.ParquetFile(path) as file:
        # NOTE: where dictionaries are kept, no table spans two parts of the file, each of which has its own.
        are_parts_large = file.metadata.num_rows >= file.metadata.num_row_groups * rows // 2
        coded = find_coded_columns(file.metadata, file.schema_arrow) if are_parts_large else []
    # SPEED: reading on threads of its own takes time from those that score; pages that are fetched ahead of the whole
    # file stay in memory.
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False, read_dictionary=coded) as file:
        for batch in file.iter_batches(rows, use_threads=False):
            yield pa.Table.from_batches([batch])
