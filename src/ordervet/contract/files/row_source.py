"""The rows of a file, whatever its kind: a source gives them piece by piece, raw or as cleaned texts.

A file that is not long is one piece. A new kind of file is a subclass of `RowSource` and an ending in `rows.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.files.cells import decode_cells
from ordervet.contract.tabular import column_of
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from ordervet.contract.files.unpacking import Unpacker
    from ordervet.contract.instants import Mask, Micros


@dataclass(frozen=True)
class Block:
    """Some rows of a file, cells cleaned.

    Parameters
    ----------
    columns : name → shape (n_rows,), any Arrow type; texts are trimmed, and "" where nothing is given
    n_rows : how many
    """

    columns: dict[str, pa.Array]
    n_rows: int


@dataclass(frozen=True)
class RawRows:
    """Some rows of a file, values as given.

    Parameters
    ----------
    table : shape (n_rows, n_columns)
    rows : shape (n_rows,), their numbers in the file
    """

    table: pa.Table
    rows: Micros

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Concatenate rows; one part at least, all with the same columns."""
        if len(parts) == 1:
            return parts[0]
        tables = [part.table for part in parts]
        rows = np.concatenate([part.rows for part in parts])
        if all(table.schema.equals(tables[0].schema) for table in tables):
            return cls(pa.concat_tables(tables), rows)
        # A number of one JSON piece can be a text in the next, and a column without a name blank in one of them only.
        names = list(dict.fromkeys(name for table in tables for name in table.column_names))
        columns = [column_of([value for table in tables for value in _values_of(table, name)]) for name in names]
        return cls(pa.table(columns, names=names), rows)

    def keep(self, is_kept: Mask) -> Self:
        """Keep some of the rows."""
        kept = np.flatnonzero(is_kept)
        return type(self)(self.table.take(pa.array(kept)), self.rows[kept])


def _values_of(table: pa.Table, name: str) -> list[object]:
    return table[name].to_pylist() if name in table.column_names else [None] * table.num_rows


class RowSource(ABC):
    """The rows of one file.

    Parameters
    ----------
    path : of the file
    is_long : whether it is read in pieces that fit into memory

    Attributes
    ----------
    broken_rows : row number, from 0 → values, of rows of another length than the header's, which blocks leave out;
        complete once all blocks are read
    unpacker : what unpacked the file
    """

    def __init__(self, path: Path, *, is_long: bool) -> None:
        self.path = path
        self.is_long = is_long
        self.broken_rows: dict[int, int] = {}
        self.unpacker: Unpacker | None = None

    @property
    def envelope(self) -> str:
        """How the file was read, for a message: separator, encoding, row of the header."""
        return f"{len(self.names)} columns"

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The columns of blocks, trimmed; one without a name, or that repeats an earlier name, is left out."""

    @property
    def raw_names(self) -> tuple[str, ...]:
        """The columns of raw rows."""
        return self.names

    @abstractmethod
    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the columns asked for, piece by piece, as a platform's export.

        Raises
        ------
        FileError
            The file is damaged.
        """

    @abstractmethod
    def iter_tables(self) -> Iterator[pa.Table]:
        """Read all columns, piece by piece, values as given; a file without rows is one empty piece.

        Raises
        ------
        FileError
            The file is damaged, not in a known encoding, has a column twice or rows of different lengths.
        """

    def iter_raw_rows(self) -> Iterator[RawRows]:
        """Read all columns, piece by piece, values as given, with the numbers of the rows; errors as `iter_tables`."""
        first = 0
        for table in self.iter_tables():
            yield RawRows(table, first + np.arange(table.num_rows))
            first += table.num_rows

    def file_rows(self, good_rows: Micros) -> Micros:
        """Convert row numbers that leave broken rows out into row numbers of the file."""
        broken = np.array(sorted(self.broken_rows), np.int64)
        return good_rows + np.searchsorted(broken - np.arange(len(broken)), good_rows, side="right")

    def name_places(self, rows: Micros) -> list[str]:
        """Name where rows of the file are, for whoever has to correct them."""
        return [self.path.name] * len(rows)

    def check_table(self, table: pa.Table) -> pa.Table:
        """Drop columns without a name that hold nothing, as spreadsheets leave at the right edge; refuse duplicates."""
        names = table.column_names
        kept = [at for at, name in enumerate(names) if name or not _is_blank(table.column(at))]
        duplicates = sorted(name for name, n in Counter(names[at] for at in kept).items() if n > 1)
        if duplicates:
            raise FileError(
                f"{self.path.name}: duplicate columns: {', '.join(duplicates)}",
                hint="give every column a name of its own",
            )
        return table if len(kept) == len(names) else table.select(kept)


def find_header(rows: Sequence[Sequence[object]]) -> int:
    """Find the row of names: the first that has a name for more than half of the columns that rows fill.

    Parameters
    ----------
    rows : the first of a file, without blank ones

    Returns
    -------
    its place; those above it are titles
    """
    n_filled = [sum(cell not in {"", None} for cell in row) for row in rows]
    return next((at for at, n in enumerate(n_filled) if 2 * n > max(n_filled)), 0)


def clean_block(table: pa.Table, names: Collection[str]) -> Block:
    """Build a block from columns of a table; texts lose what was put on for Excel."""
    return Block({name: _clean(table[name].combine_chunks()) for name in names}, table.num_rows)


def _clean(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        return column
    return decode_cells(column.fill_null("").cast(pa.binary()), "utf-8")


def _is_blank(column: pa.ChunkedArray) -> bool:
    if pa.types.is_string(column.type):
        return not pc.any(pc.not_equal(column, "")).as_py()
    return bool(column.null_count == len(column))
