"""Files of any size become blocks of rows, every cell a text, in bounded memory where the format is CSV.

A CSV file is read twice at most: its first megabyte for the header, and the whole in blocks of 16 MiB. A row of another
length than the header's is left out and listed; the file's other rows count.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from ordervet.contract.files import looks_like, open_error, read_table, read_xlsx_rows, wrong_format
from ordervet.contract.formats.records import read_records
from ordervet.contract.formats.texts import decode_cells, decode_text_cells, find_encoding
from ordervet.contract.values import TRIMMED
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ordervet.contract.formats.definition import JsonPlaces
    from ordervet.contract.formats.texts import Encoding
    from ordervet.contract.instants import Micros

_BLOCK = 16 * 2**20  # bytes: no row of a CSV may be longer
_HEAD = 2**20
_ROWS_AT_ONCE = 2**14


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Parameters
    ----------
    columns : name → shape (n_rows,), any Arrow type; texts are trimmed, and "" where nothing is given
    n_rows : how many
    """

    columns: dict[str, pa.Array]
    n_rows: int


@dataclass
class RowSource:
    """The rows of one file.

    Parameters
    ----------
    names : the columns, trimmed; one without a name, or that stands a second time, is left out
    broken_rows : row number, from 0 → values, of rows of another length than the header's; complete once all blocks
        are read
    """

    path: Path
    names: tuple[str, ...]
    broken_rows: dict[int, int] = field(default_factory=dict)

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the rows, block by block, of the columns asked for.

        Raises
        ------
        FileError
            The file is damaged: a row is longer than 16 MiB, or a quotation mark is never closed.
        """
        raise NotImplementedError

    def file_rows(self, good_rows: Micros) -> Micros:
        """Give the row numbers in the file, counting broken rows too, of rows counted without them."""
        broken = np.array(sorted(self.broken_rows), np.int64)
        return good_rows + np.searchsorted(broken - np.arange(len(broken)), good_rows, side="right")


def open_rows(path: str | Path, json_places: Sequence[JsonPlaces] = ()) -> RowSource:
    """Open a file of rows.

    Parameters
    ----------
    path : ending in .json, or in anything that `read_table` knows
    json_places : where the formats expect rows in a JSON document

    Raises
    ------
    FileError
        The file is missing, empty, unreadable, or not what its ending says.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return CsvRows.open(path)
    if name.endswith((".json", ".jsonl")):
        return TableRows.of(path, read_records(path, json_places))
    if name.endswith(".xlsx"):
        return TableRows.of(path, _table_of(read_xlsx_rows(path)))
    return TableRows.of(path, read_table(path))


def iter_table_blocks(path: str | Path, names: Collection[str] | None = None) -> Iterator[pa.Table]:
    """Read a file block by block, of a CSV never more than 16 MiB at once.

    Parameters
    ----------
    path : as for `read_table`, or .json
    names : the columns wanted; without it all of them

    Yields
    ------
    shape (n_rows, n_columns); cells without their quotes for Excel, "" where nothing is given

    Raises
    ------
    FileError
        As for `read_table`; but rows of another length than the header's are left out.
    """
    rows = open_rows(path)
    wanted = rows.names if names is None else [name for name in rows.names if name in set(names)]
    for block in rows.iter_blocks(wanted):
        yield pa.table({name: block.columns[name] for name in wanted})


@dataclass
class CsvRows(RowSource):
    """The rows of a CSV file, zipped or not, read in blocks."""

    header_length: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    width: int = 0
    has_twins: bool = False
    block_size: int | None = None

    @classmethod
    def open(cls, path: Path) -> CsvRows:
        """Read the header."""
        head = _read_head(path)
        cells, length = _split_header(head)
        encoding = find_encoding([head])
        texts = [cell.encode("latin-1").decode(encoding, errors="replace").strip(TRIMMED) for cell in cells]
        positions: dict[str, int] = {}
        for position, text in enumerate(texts):
            if text:
                positions.setdefault(text.removeprefix("\ufeff"), position)
        has_twins = len(positions) < sum(map(bool, texts))
        return cls(path, tuple(positions), {}, length, positions, len(cells), has_twins)

    @cached_property
    def encoding(self) -> Encoding:
        """The encoding of the file, which its first piece that is not ASCII decides."""
        with _open(self.path) as file:
            return find_encoding(_pieces(file))

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the rows in blocks of 16 MiB; only the columns asked for are looked at."""
        columns = {name: str(self.positions[name]) for name in names}
        for batch in self._read(list(columns.values())):
            cells = {name: decode_cells(batch.column(at), self.encoding) for name, at in columns.items()}
            yield Block(cells, batch.num_rows)

    def iter_raw_tables(self) -> Iterator[pa.Table]:
        """Read the rows in blocks of 16 MiB, every cell a text as it stands; one empty block if there are none.

        Raises
        ------
        FileError
            As for `iter_blocks`; or a row has another length than the header, or a name stands twice in it.
        """
        if self.has_twins:
            raise FileError(f"{self.path.name}: columns stand twice", hint="give every column a name of its own")
        for batch in self._read(list(map(str, self.positions.values()))):
            for row, n_values in self.broken_rows.items():
                raise FileError(
                    f"{self.path.name}, row {row + 1} below the header: {n_values} values, but the header has "
                    f"{self.width}",
                    hint="quote values that hold a comma, then export it again",
                )
            cells = [decode_text_cells(column, self.encoding) for column in batch.columns]
            yield pa.table(cells, names=list(self.names))
        if self.is_header_alone:
            yield pa.table({name: pa.array([], pa.string()) for name in self.names})

    def _read(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        if self.is_header_alone:
            return
        n_rows = 0
        try:
            for batch in self._read_even(columns):
                n_rows += batch.num_rows
                yield batch
        except pa.ArrowInvalid:  # a row of another length, or one of more than 16 MiB
            yield from self._read_uneven(columns, n_rows)
        except OSError:
            raise wrong_format(self.path, "a whole gzip file", b"") from None
        if self._has_odd_quotes() and self._ends_in_quote():
            raise FileError(
                f"{self.path.name}: a quotation mark is never closed", hint="export it again with quoted texts"
            )

    def _read_even(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read rows that are all as long as the header."""
        from pyarrow import csv as arrow_csv

        names = [str(position) for position in range(self.width)]
        read = arrow_csv.ReadOptions(column_names=names, block_size=self.block_size or _BLOCK)
        # NOT: an invalid_row_handler for rows of another length; it fails on bytes that are not UTF-8.
        parse = arrow_csv.ParseOptions(newlines_in_values=True)
        convert = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()), include_columns=columns, strings_can_be_null=False
        )
        with _open_arrow(self.path) as file:
            file.read(self.header_length)
            with arrow_csv.open_csv(file, read, parse, convert) as batches:
                yield from batches

    def _read_uneven(self, columns: list[str], n_read: int) -> Iterator[pa.RecordBatch]:
        """Read the rows from some row on, one by one, and list those of another length."""
        positions = [int(name) for name in columns]
        for rows in _in_pieces(self._iter_rows(), n_read):
            even = []
            for number, row in rows:
                if len(row) == self.width:
                    even.append([row[at].encode("latin-1") for at in positions])
                else:
                    self.broken_rows[number] = len(row)
            cells = zip(*even, strict=True) if even else [()] * len(columns)
            yield pa.record_batch([pa.array(column, pa.binary()) for column in cells], names=columns)

    def _iter_rows(self) -> Iterator[list[str]]:
        """Read the rows below the header in plain Python, byte for byte as Latin-1."""
        file = _open(self.path)
        file.read(self.header_length)
        with io.TextIOWrapper(file, "latin-1", newline="") as text:
            try:
                yield from (row for row in csv.reader(_lines(text, self.path)) if row)
            except csv.Error:
                raise _damaged(self.path) from None

    @cached_property
    def is_header_alone(self) -> bool:
        """Whether nothing but line ends comes after the header."""
        with _open(self.path) as file:
            file.read(self.header_length)
            return not any(piece.strip() for piece in _pieces(file))

    def _has_odd_quotes(self) -> bool:
        with _open(self.path) as file:
            return sum(piece.count(b'"') for piece in _pieces(file)) % 2 == 1

    def _ends_in_quote(self) -> bool:
        """Tell whether the last row swallowed the end of the file through a quotation mark left open."""
        last: list[str] = []
        for row in self._iter_rows():
            last = row
        return any("\n" in cell for cell in last)


@dataclass
class TableRows(RowSource):
    """The rows of a table that is in memory."""

    table: pa.Table = field(default_factory=lambda: pa.table({}))

    @classmethod
    def of(cls, path: Path, table: pa.Table) -> TableRows:
        """Take a table as the rows of a file."""
        return cls(path, tuple(table.column_names), table=table)

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Give all rows as one block."""
        yield clean_block(self.table, names)


def clean_block(table: pa.Table, names: Collection[str]) -> Block:
    """Give columns of a table as a block; texts lose what was put on for Excel."""
    return Block({name: _clean(table[name].combine_chunks()) for name in names}, table.num_rows)


def _clean(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        return column
    return decode_cells(column.fill_null("").cast(pa.binary()), "utf-8")


def _open(path: Path) -> IO[bytes]:
    try:
        return cast("IO[bytes]", gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")
    except OSError as error:
        raise open_error(path, error) from None


def _open_arrow(path: Path) -> pa.NativeFile:
    """Open a file for Arrow's own threads, which must not meet Python's."""
    try:
        file = pa.OSFile(str(path))
    except OSError as error:
        raise open_error(path, error) from None
    return pa.CompressedInputStream(file, "gzip") if path.name.lower().endswith(".gz") else file


def _in_pieces(rows: Iterator[list[str]], first: int) -> Iterator[list[tuple[int, list[str]]]]:
    """Give numbered rows from the first one wanted on, some thousands at a time."""
    numbered = islice(enumerate(rows), first, None)
    return iter(lambda: list(islice(numbered, _ROWS_AT_ONCE)), [])


def _lines(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """Give the lines of a text; one that does not end is an error before it fills the memory."""
    for line in iter(lambda: text.readline(_BLOCK), ""):
        if len(line) == _BLOCK:
            raise _damaged(path)
        yield line


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(_HEAD), b"")


def _read_head(path: Path) -> bytes:
    """Read the first megabyte, and refuse what is no text."""
    try:
        with _open(path) as file:
            head = file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        raise wrong_format(path, "a whole gzip file", b"") from None
    if not head.strip():
        raise FileError(f"{path.name} is empty", hint="export it again; even no orders have a header")
    if looks_like(head) or b"\0" in head:
        raise wrong_format(path, "CSV", head)
    return head


def _split_header(head: bytes) -> tuple[list[str], int]:
    """Give the cells of the first row, byte for byte as Latin-1, and how many bytes it takes."""
    mark = b"\xef\xbb\xbf"
    text = head.removeprefix(mark)
    lines = io.StringIO(text.decode("latin-1"), newline="").readlines()
    rows = csv.reader(lines)
    try:
        cells = next(row for row in rows if row)
    except (csv.Error, StopIteration):
        cells = []
    length = sum(map(len, lines[: rows.line_num]))
    return cells, length + len(head) - len(text)


def _damaged(path: Path) -> FileError:
    return FileError(
        f"{path.name} is damaged: a row is longer than 16 MiB or a quotation mark is left open", hint="export it again"
    )


def _table_of(rows: list[list[str]]) -> pa.Table:
    """Put the rows of a sheet below its first one, the header; blank rows and columns without a name are left out."""
    header = [name.strip(TRIMMED) for name in rows[0]]
    filled = [row for row in rows[1:] if any(row)]
    positions = {name: header.index(name) for name in header if name}
    columns = [pa.array([row[at] for row in filled], pa.string()) for at in positions.values()]
    return pa.table(columns, names=list(positions))
