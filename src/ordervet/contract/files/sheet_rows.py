"""Workbooks (.xlsx, .xls): the first sheet with a table, and below it the others that have the same header."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ordervet.contract.files.limits import check_limit, check_unpacked
from ordervet.contract.files.markup_tables import is_markup, read_markup_tables
from ordervet.contract.files.opening import read_bytes, wrong_format
from ordervet.contract.files.row_source import RowSource, clean_block, find_header
from ordervet.contract.values import TRIMMED
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import python_calamine

    from ordervet.contract.files.row_source import Block
    from ordervet.contract.instants import Micros

_PIECE = 2**20
_PLACE = re.compile(rb'\br="([A-Za-z]{1,3})(\d{1,7})"')
_LONGEST_PLACE = 16
_SHARED = "xl/sharedStrings.xml"
_ITEM = re.compile(rb"<(?:\w+:)?si\b")
_SHARED_CELL = re.compile(rb"\bt=[\"']s[\"']")
_SHARED_VALUE = re.compile(rb"\bt=[\"']s[\"'][^>]*>\s*<(?:\w+:)?v>\s*(\d{1,9})\s*<")
# What the standard library raises on damaged archives.
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, struct.error)
_MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_ROWS_TO_HEADER = 24
_EXPLAINED = 2  # columns of a sheet that only says what the others hold
_MUCH_SHARED = 2**28  # bytes
_FIRST_INEXACT = 10**15  # Excel keeps fifteen digits of a number


class SheetRows(RowSource):
    """The rows of a workbook, all texts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, is_long=False)
        sheets = _read_sheets(read_bytes(path), path)
        self._header, *first = sheets[0].rows
        self._rows = first + [row for sheet in sheets[1:] for row in sheet.rows[1:]]
        self._places = [(sheet.name, number) for sheet in sheets for number in sheet.numbers[1:]]

    @property
    def names(self) -> tuple[str, ...]:
        """The named columns, each name once."""
        return tuple(self._positions)

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Return all rows as one block; a number whose last digits are lost is written with an exponent."""
        rows = [texts for row in self._rows if any(texts := [_lenient_text(cell) for cell in row])]
        columns = {name: pa.array([row[self._positions[name]] for row in rows], pa.string()) for name in names}
        yield clean_block(pa.table(columns), names)

    def iter_tables(self) -> Iterator[pa.Table]:
        """Return all rows as one table; a number whose last digits are lost is an error."""
        path = self.path
        header = [_cell_text(cell, path, "the header").strip(TRIMMED) for cell in self._header]
        rows = [row for row in self._rows if any(cell != "" for cell in row)]
        columns = [[_cell_text(row[at], path, f"column '{name}'") for row in rows] for at, name in enumerate(header)]
        yield self.check_table(pa.table([pa.array(column, pa.string()) for column in columns], names=header))

    def name_places(self, rows: Micros) -> list[str]:
        """Name the sheet and the row in it, as a spreadsheet numbers it."""
        return ["{}, {}!{}".format(self.path.name, *self._places[row]) for row in rows.tolist()]

    @cached_property
    def _positions(self) -> dict[str, int]:
        names = [_lenient_text(cell).strip(TRIMMED) for cell in self._header]
        return {name: names.index(name) for name in names if name}


@dataclass(frozen=True)
class _Sheet:
    """The rows of a sheet from its header on, and the number of each in the spreadsheet."""

    name: str
    rows: list[list[Any]]
    numbers: list[int]

    @property
    def is_table(self) -> bool:
        """Whether it has rows of several columns, not a word of explanation."""
        return len(self.rows) > 1 and sum(cell != "" for cell in self.rows[0]) > _EXPLAINED


def _read_sheets(data: bytes, path: Path) -> list[_Sheet]:
    """Read the first sheet with a table, and others with the same header, as the desk's queue has one per stage."""
    sheets = _read_markup(data, path) if is_markup(data) else _read_workbook(data, path)
    filled = [sheet for sheet in sheets if sheet.rows]
    if not filled:
        raise wrong_format(path, "a workbook with a table", data)
    first = next((sheet for sheet in filled if sheet.is_table), filled[0])
    width, header = len(first.rows[0]), _trim_header(first.rows[0])
    others = [sheet for sheet in filled if sheet is not first and header and _trim_header(sheet.rows[0]) == header]
    fitted = [replace(sheet, rows=[(row + [""] * width)[:width] for row in sheet.rows]) for sheet in others]
    return [first, *fitted]


def _read_markup(data: bytes, path: Path) -> list[_Sheet]:
    tables = read_markup_tables(data, path)
    return [_build_sheet(f"table {number}", table) for number, table in enumerate(tables, start=1)]


def _read_workbook(data: bytes, path: Path) -> list[_Sheet]:
    import python_calamine

    if not data.startswith(_MAGIC):
        raise wrong_format(path, "a workbook", data)
    try:
        if data.startswith(_MAGIC[0]):
            _check_size(data, path)
        workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        tables = [s.name for s in workbook.sheets_metadata if s.typ == python_calamine.SheetTypeEnum.WorkSheet]
        return [_read_sheet(workbook.get_sheet_by_name(name)) for name in tables]
    except python_calamine.PasswordError:
        raise FileError(f"{path.name} is locked by a password", hint="save it without one") from None
    except (python_calamine.CalamineError, OSError, *_DAMAGES):
        raise wrong_format(path, "a whole workbook", data) from None


def _check_size(data: bytes, path: Path) -> None:
    """Check what a workbook unpacks to, and how far its cells lie apart: they are read into a plain table.

    Raises
    ------
    FileError
        It is more than the limits.
    """
    n_bytes, n_shared = 0, 0
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_unpacked(path, sum(entry.file_size for entry in archive.infolist()))  # what it says of itself
        for entry in archive.infolist():
            is_sheet = entry.filename.startswith("xl/worksheets/")
            width, height, rest = 0, 0, b""
            with archive.open(entry) as file:
                while piece := file.read(_PIECE):
                    n_bytes += len(piece)
                    check_unpacked(path, n_bytes)
                    if is_sheet:
                        n_shared += len(_SHARED_CELL.findall(piece))
                        places = set(_PLACE.findall(rest + piece))
                        width = max([width, *(_number_column(column) for column in {each for each, _ in places})])
                        height = max([height, *(int(row) for _, row in places)])
                        rest = piece[-_LONGEST_PLACE:]
            check_limit(path, "sheet_cells", width * height)
        _check_shared(archive, path, n_shared)


def _check_shared(archive: zipfile.ZipFile, path: Path, n_shared: int) -> None:
    """Check how much the texts take that cells share, as each cell gets a copy.

    Parameters
    ----------
    archive, path : of the workbook
    n_shared : about how many cells show a shared text
    """
    if n_shared == 0 or _SHARED not in archive.namelist():
        return
    starts = [found.start() for found in _ITEM.finditer(archive.read(_SHARED))]
    lengths = np.diff(np.array([*starts, archive.getinfo(_SHARED).file_size], np.int64))
    longest = int(lengths.max(initial=0))
    if longest * n_shared <= _MUCH_SHARED:
        return
    n_bytes, n_found = 0, 0
    for entry in archive.infolist():
        if entry.filename.startswith("xl/worksheets/"):
            numbers = np.array([int(each) for each in _SHARED_VALUE.findall(archive.read(entry))], np.int64)
            n_bytes += int(lengths[numbers[numbers < len(lengths)]].sum())
            n_found += len(numbers)
    check_unpacked(path, n_bytes + longest * max(n_shared - n_found, 0))


def _number_column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - ord("A") + 1
    return number


def _read_sheet(sheet: python_calamine.CalamineSheet) -> _Sheet:
    """Read a sheet without blank rows and titles; the value of merged cells stands in each of their rows."""
    rows: list[list[Any]] = sheet.to_python(skip_empty_area=False)
    for (top, left), (bottom, _) in sheet.merged_cell_ranges or ():
        for row in rows[top + 1 : bottom + 1] if left < len(rows[0] if rows else ()) else ():
            row[left] = rows[top][left]
    return _build_sheet(sheet.name, rows)


def _build_sheet(name: str, rows: list[list[Any]]) -> _Sheet:
    numbers = [number for number, row in enumerate(rows, start=1) if any(cell != "" for cell in row)]
    filled = [rows[number - 1] for number in numbers]
    first = find_header(filled[:_ROWS_TO_HEADER])
    return _Sheet(name, filled[first:], numbers[first:])


def _trim_header(cells: list[Any]) -> list[str]:
    names = [str(cell).strip(TRIMMED) for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def _cell_text(cell: object, path: Path, where: str) -> str:
    """Convert a cell of a workbook to text; a whole number never gets a decimal point."""
    if isinstance(cell, (int, float)) and abs(cell) >= _FIRST_INEXACT:
        raise FileError(
            f"{path.name}, {where}: a number of more than fifteen digits, whose last ones are lost",
            hint="store ids as text in the workbook",
        )
    return _lenient_text(cell)


def _lenient_text(cell: object) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (int, float)):
        if abs(cell) >= _FIRST_INEXACT:
            return format(cell, ".14E")
        return str(int(cell)) if cell == int(cell) else format(Decimal(repr(cell)), "f")
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, date) else str(cell)
