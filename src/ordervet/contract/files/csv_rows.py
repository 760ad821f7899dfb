"""CSV files, zipped or not, in bounded memory.

The header is found in the first megabyte; the rows are read in blocks, as bytes, and each column that is wanted is
decoded as one text. As a platform's export a row of another length than the header's is left out and listed; in
contract columns it is an error.
"""

from __future__ import annotations

import csv
import io
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from ordervet.contract.files.cells import decode_cells, decode_text_cells
from ordervet.contract.files.opening import (
    MAX_ROW,
    damaged_gzip,
    find_encoding,
    find_exact_encoding,
    iter_bytes,
    open_bytes,
    open_error,
    read_head,
)
from ordervet.contract.files.row_source import Block, RowSource, find_header
from ordervet.contract.values import TRIMMED
from ordervet.errors import FileError

if TYPE_CHECKING:
    import _csv
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from ordervet.contract.files.opening import Encoding

SEPARATORS = (",", "\t", ";", "|")
_SEPARATOR_LINE = re.compile(r'^"?sep=(\\t|.)"?\s*$', re.IGNORECASE)
_ROWS_TO_HEADER = 24
_BLOCK = MAX_ROW
_LONG_BLOCK = 4 * 2**20  # bytes: Arrow reads up to 32 blocks ahead of us
_ROWS_AT_ONCE = 2**14


class CsvRows(RowSource):
    """The rows of a CSV file."""

    def __init__(self, path: Path, *, is_long: bool) -> None:
        super().__init__(path, is_long=is_long)
        head = read_head(path, "CSV")
        self._separator, cells, self._header_length, self._header_lines = _split_header(head)
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

    @property
    def envelope(self) -> str:
        """How the file was read."""
        separator = {"\t": "tab"}.get(self._separator, self._separator)
        return f"separator {separator}, {self.encoding}, header in line {self._header_lines}, {super().envelope}"

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
        is_empty = True
        for batch in self._read(list(range(len(self._header)))):
            if self.broken_rows:
                raise self._uneven_error()
            cells = [decode_text_cells(column, encoding) for column in batch.columns]
            yield self.check_table(pa.table(cells, names=self._header))
            is_empty = False
        if self.broken_rows:
            raise self._uneven_error()
        if is_empty:  # a header alone, or with rows that hold nothing
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
        if self._are_quotes_marks and self._has_odd_quotes and self._ends_in_quote():
            raise FileError(
                f"{self.path.name}: a quotation mark is never closed", hint="export it again with quoted texts"
            )

    def _read_even(self, positions: list[int]) -> Iterator[pa.RecordBatch]:
        """Read rows that are all as long as the header."""
        from pyarrow import csv as arrow_csv

        names = [str(position) for position in range(len(self._header))]
        read = arrow_csv.ReadOptions(column_names=names, block_size=_LONG_BLOCK if self.is_long else _BLOCK)
        # NOT: an invalid_row_handler for rows of another length; it fails on bytes that are not UTF-8.
        parse = arrow_csv.ParseOptions(
            delimiter=self._separator, newlines_in_values=True, quote_char='"' if self._are_quotes_marks else False
        )
        convert = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            include_columns=[str(position) for position in positions],
            strings_can_be_null=False,
        )
        with _open_arrow(self.path) as file:
            file.read(self._header_length)
            with arrow_csv.open_csv(file, read, parse, convert) as batches:
                yield from _read_ahead(batches) if self.path.stat().st_size > _LONG_BLOCK else batches

    def _read_uneven(self, positions: list[int], n_read: int) -> Iterator[pa.RecordBatch]:
        """Read the rows from some row on, one by one, and list those of another length."""
        names = [str(position) for position in positions]
        for rows in _in_pieces(self._iter_rows(), n_read):
            even = []
            for number, row in rows:
                if self._is_even(row):
                    even.append([row[at].encode("latin-1") for at in positions])
                else:
                    self.broken_rows[number] = len(row)
            cells = zip(*even, strict=True) if even else [()] * len(positions)
            yield pa.record_batch([pa.array(column, pa.binary()) for column in cells], names=names)

    def _is_even(self, row: list[str]) -> bool:
        """Return whether a row is as long as the header, separators at its end aside."""
        width = len(self._header)
        return len(row) == width or (len(row) > width and not any(row[width:]))

    def _iter_rows(self) -> Iterator[list[str]]:
        """Read the rows below the header in plain Python, byte for byte as Latin-1."""
        with self._open_rows() as text:
            try:
                yield from (row for row in self._parse(text) if row)
            except csv.Error:
                raise _damaged(self.path) from None

    def _parse(self, text: io.TextIOWrapper) -> _csv.Reader:
        lines = _lines(text, self.path)
        if self._are_quotes_marks:
            return csv.reader(lines, delimiter=self._separator)
        return csv.reader(lines, delimiter=self._separator, quoting=csv.QUOTE_NONE)

    def _open_rows(self) -> io.TextIOWrapper:
        file = open_bytes(self.path)
        file.read(self._header_length)
        return io.TextIOWrapper(file, "latin-1", newline="")

    def _uneven_error(self) -> FileError:
        """Find the first row of another length than the header's."""
        width = len(self._header)
        with self._open_rows() as text:
            rows = self._parse(text)
            uneven = next(row for row in rows if row and not self._is_even(row))
            return FileError(
                f"{self.path.name}, line {self._header_lines + rows.line_num}: {len(uneven)} values, but the header "
                f"has {width}",
                hint="quote values that hold a comma, then export it again",
            )

    @cached_property
    def _is_header_alone(self) -> bool:
        """Whether nothing but line ends comes after the header."""
        return not any(piece.strip() for piece in iter_bytes(self.path, self._header_length))

    @cached_property
    def _are_quotes_marks(self) -> bool:
        """Whether quotation marks enclose cells; in text separated by tabs they can be inches, and nothing else."""
        return self._separator != "\t" or not self._has_odd_quotes

    @cached_property
    def _has_odd_quotes(self) -> bool:
        return sum(piece.count(b'"') for piece in iter_bytes(self.path)) % 2 == 1

    def _ends_in_quote(self) -> bool:
        """Return whether the last row swallowed the end of the file through a quotation mark left open."""
        last: list[str] = []
        for row in self._iter_rows():
            last = row
        return any("\n" in cell for cell in last)


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Parse the next batch while the last one is used, on a thread of its own: parsing does not hold Python's lock."""
    with ThreadPoolExecutor(1) as thread:
        batch = thread.submit(next, batches, None)
        while (parsed := batch.result()) is not None:
            batch = thread.submit(next, batches, None)
            yield parsed


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


def _split_header(head: bytes) -> tuple[str, list[str], int, int]:
    """Find the separator and the header.

    Returns
    -------
    separator, cells of the header, byte for byte as Latin-1, and the bytes and lines down to it
    """
    mark = b"\xef\xbb\xbf"
    text = head.removeprefix(mark).decode("latin-1")
    lines = io.StringIO(text, newline="").readlines()
    named = _SEPARATOR_LINE.match(lines[0]) if lines else None
    first = 1 if named else 0
    separators = (named[1].replace("\\t", "\t"),) if named else SEPARATORS
    found = (_find_header(lines, first, separator) for separator in separators)
    *_, separator, cells, n_lines = max(found, key=lambda each: (*each[:2], len(each[3]), -each[4]))
    return separator, cells, sum(map(len, lines[:n_lines])) + len(head) - len(text), n_lines


def _find_header(lines: list[str], first: int, separator: str) -> tuple[bool, bool, str, list[str], int]:
    """Find the first row that is filled about as far as rows are: titles above it are not.

    Returns
    -------
    whether most rows are as long as a header of several cells; whether quotation marks enclose whole cells; the
    separator, the header and the lines down to it
    """
    rows, are_quotes_whole = _read_first_rows(lines, first, separator, strict=True)
    if not are_quotes_whole:
        rows, _ = _read_first_rows(lines, first, separator, strict=False)
    if not rows:
        return False, False, separator, [], len(lines)
    at = find_header([row for row, _ in rows])
    header, n_lines = rows[at]
    width = len(header)
    n_even = sum(len(row) >= width and not any(row[width:]) for row, _ in rows)
    is_even = width > 1 and 2 * n_even > len(rows)
    return is_even, are_quotes_whole, separator, header, n_lines


def _read_first_rows(
    lines: list[str], first: int, separator: str, *, strict: bool
) -> tuple[list[tuple[list[str], int]], bool]:
    """Return the first rows, each with the lines down to it, and whether they could all be read."""
    if separator == "\t" and not strict:  # a quotation mark can be inches
        reader = csv.reader(lines[first:], delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines[first:], delimiter=separator, strict=strict)
    rows: list[tuple[list[str], int]] = []
    try:
        rows += ((row, first + reader.line_num) for row in islice((row for row in reader if row), _ROWS_TO_HEADER))
    except csv.Error:
        return rows[:1], False
    return rows, True


def _damaged(path: Path) -> FileError:
    return FileError(
        f"{path.name} is damaged: a row is longer than 16 MiB or a quotation mark is left open", hint="export it again"
    )
