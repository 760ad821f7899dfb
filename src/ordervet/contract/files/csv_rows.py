"""CSV files, zipped or not, in bounded memory.

The header is found in the first megabyte; the rows are read in blocks, as bytes, and each column that is wanted is
decoded as one text. As a platform's export a row of another length than the header's is left out and listed; in
contract columns it is an error.
"""

from __future__ import annotations

import csv
import io
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from ordervet.contract.files.cells import decode_cells, decode_text_cells, find_encoding
from ordervet.contract.files.opening import (
    MAX_ROW,
    damaged_gzip,
    find_exact_encoding,
    iter_bytes,
    open_bytes,
    open_error,
    read_head,
)
from ordervet.contract.files.row_source import Block, RowSource
from ordervet.contract.values import TRIMMED
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from ordervet.contract.files.opening import Encoding

_BLOCK = MAX_ROW
_LONG_BLOCK = 4 * 2**20  # bytes: Arrow reads up to 32 blocks ahead of us
_ROWS_AT_ONCE = 2**14


class CsvRows(RowSource):
    """The rows of a CSV file."""

    def __init__(self, path: Path, *, is_long: bool) -> None:
        super().__init__(path, is_long=is_long)
        head = read_head(path, "CSV")
        cells, self._header_length, self._header_lines = _split_header(head)
        encoding = find_encoding([head])
        texts = [cell.encode("latin-1").decode(encoding, errors="replace").strip(TRIMMED) for cell in cells]
        self._header = [text.removeprefix("\ufeff") for text in texts]
        self._positions: dict[str, int] = {}
        for position, text in enumerate(self._header):
            if text:
                self._positions.setdefault(text, position)

    @property
    def names(self) -> tuple[str, ...]:
        """The named columns, each name once."""
        return tuple(self._positions)

    @cached_property
    def encoding(self) -> Encoding:
        """The encoding of the file, which its first piece that is not ASCII decides."""
        return find_encoding(iter_bytes(self.path))

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the rows in blocks; only the columns asked for are looked at."""
        positions = {name: self._positions[name] for name in names}
        for batch in self._read(list(positions.values())):
            cells = {name: decode_cells(batch.column(str(at)), self.encoding) for name, at in positions.items()}
            yield Block(cells, batch.num_rows)

    def iter_tables(self) -> Iterator[pa.Table]:
        """Read the rows in blocks, every cell a text as it stands."""
        encoding = find_exact_encoding(self.path)
        self.check_table(pa.table([[""]] * len(self._header), names=self._header))
        for batch in self._read(list(range(len(self._header)))):
            if self.broken_rows:
                raise self._uneven_error()
            cells = [decode_text_cells(column, encoding) for column in batch.columns]
            yield self.check_table(pa.table(cells, names=self._header))
        if self.broken_rows:
            raise self._uneven_error()
        if self._is_header_alone:
            nothing = pa.array([], pa.string())
            yield self.check_table(pa.table([nothing] * len(self._header), names=self._header))

    def _read(self, positions: list[int]) -> Iterator[pa.RecordBatch]:
        if self._is_header_alone:
            return
        n_rows = 0
        try:
            for batch in self._read_even(positions):
                n_rows += batch.num_rows
                yield batch
        except pa.ArrowInvalid:  # a row of another length, or one that is too long
            yield from self._read_uneven(positions, n_rows)
        except OSError:
            raise damaged_gzip(self.path) from None
        if self._has_odd_quotes() and self._ends_in_quote():
            raise FileError(
                f"{self.path.name}: a quotation mark is never closed", hint="export it again with quoted texts"
            )

    def _read_even(self, positions: list[int]) -> Iterator[pa.RecordBatch]:
        """Read rows that are all as long as the header."""
        from pyarrow import csv as arrow_csv

        names = [str(position) for position in range(len(self._header))]
        read = arrow_csv.ReadOptions(column_names=names, block_size=_LONG_BLOCK if self.is_long else _BLOCK)
        # NOT: an invalid_row_handler for rows of another length; it fails on bytes that are not UTF-8.
        parse = arrow_csv.ParseOptions(newlines_in_values=True)
        convert = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            include_columns=[str(position) for position in positions],
            strings_can_be_null=False,
        )
        with _open_arrow(self.path) as file:
            file.read(self._header_length)
            with arrow_csv.open_csv(file, read, parse, convert) as batches:
                yield from batches

    def _read_uneven(self, positions: list[int], n_read: int) -> Iterator[pa.RecordBatch]:
        """Read the rows from some row on, one by one, and list those of another length."""
        names = [str(position) for position in positions]
        for rows in _in_pieces(self._iter_rows(), n_read):
            even = []
            for number, row in rows:
                if len(row) == len(self._header):
                    even.append([row[at].encode("latin-1") for at in positions])
                else:
                    self.broken_rows[number] = len(row)
            cells = zip(*even, strict=True) if even else [()] * len(positions)
            yield pa.record_batch([pa.array(column, pa.binary()) for column in cells], names=names)

    def _iter_rows(self) -> Iterator[list[str]]:
        """Read the rows below the header in plain Python, byte for byte as Latin-1."""
        with self._open_rows() as text:
            try:
                yield from (row for row in csv.reader(_lines(text, self.path)) if row)
            except csv.Error:
                raise _damaged(self.path) from None

    def _open_rows(self) -> io.TextIOWrapper:
        file = open_bytes(self.path)
        file.read(self._header_length)
        return io.TextIOWrapper(file, "latin-1", newline="")

    def _uneven_error(self) -> FileError:
        """Find the first row of another length than the header's."""
        width = len(self._header)
        with self._open_rows() as text:
            rows = csv.reader(_lines(text, self.path))
            uneven = next(row for row in rows if row and len(row) != width)
            return FileError(
                f"{self.path.name}, line {self._header_lines + rows.line_num}: {len(uneven)} values, but the header "
                f"has {width}",
                hint="quote values that hold a comma, then export it again",
            )

    @cached_property
    def _is_header_alone(self) -> bool:
        """Whether nothing but line ends comes after the header."""
        return not any(piece.strip() for piece in iter_bytes(self.path, self._header_length))

    def _has_odd_quotes(self) -> bool:
        return sum(piece.count(b'"') for piece in iter_bytes(self.path)) % 2 == 1

    def _ends_in_quote(self) -> bool:
        """Return whether the last row swallowed the end of the file through a quotation mark left open."""
        last: list[str] = []
        for row in self._iter_rows():
            last = row
        return any("\n" in cell for cell in last)


def _open_arrow(path: Path) -> pa.NativeFile:
    """Open a file for Arrow's own threads, which must not meet Python's."""
    try:
        file = pa.OSFile(str(path))
    except OSError as error:
        raise open_error(path, error) from None
    return pa.CompressedInputStream(file, "gzip") if path.name.lower().endswith(".gz") else file


def _in_pieces(rows: Iterator[list[str]], first: int) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield numbered rows from the first one wanted on, some thousands at a time."""
    numbered = islice(enumerate(rows), first, None)
    return iter(lambda: list(islice(numbered, _ROWS_AT_ONCE)), [])


def _lines(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """Yield the lines of a text; one that does not end is an error before it fills the memory."""
    for line in iter(lambda: text.readline(_BLOCK), ""):
        if len(line) == _BLOCK:
            raise _damaged(path)
        yield line


def _split_header(head: bytes) -> tuple[list[str], int, int]:
    """Return the cells of the first row, byte for byte as Latin-1, and the bytes and lines that it takes."""
    mark = b"\xef\xbb\xbf"
    text = head.removeprefix(mark)
    lines = io.StringIO(text.decode("latin-1"), newline="").readlines()
    rows = csv.reader(lines)
    try:
        cells = next(row for row in rows if row)
    except (csv.Error, StopIteration):
        cells = []
    length = sum(map(len, lines[: rows.line_num]))
    return cells, length + len(head) - len(text), rows.line_num


def _damaged(path: Path) -> FileError:
    return FileError(
        f"{path.name} is damaged: a row is longer than 16 MiB or a quotation mark is left open", hint="export it again"
    )
