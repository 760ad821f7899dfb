"""Workbooks (.xlsx, .xls): the first sheet, and below it those of the other sheets with the same header."""

from __future__ import annotations

import io
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ordervet.contract.files.opening import read_bytes, wrong_format
from ordervet.contract.files.row_source import RowSource, clean_block, find_header
from ordervet.contract.values import TRIMMED
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import python_calamine

    from ordervet.contract.files.row_source import Block

_MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_ROWS_TO_HEADER = 24
_FIRST_INEXACT = 10**15  # Excel keeps fifteen digits of a number


class SheetRows(RowSource):
    """The rows of a workbook, all texts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, is_long=False)
        self._header, *self._rows = _read_sheets(read_bytes(path), path)

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

    @cached_property
    def _positions(self) -> dict[str, int]:
        names = [_lenient_text(cell).strip(TRIMMED) for cell in self._header]
        return {name: names.index(name) for name in names if name}


def _read_sheets(data: bytes, path: Path) -> list[list[Any]]:
    import python_calamine

    if not data.startswith(_MAGIC):
        raise wrong_format(path, "a workbook", data)
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        tables = [s.name for s in workbook.sheets_metadata if s.typ == python_calamine.SheetTypeEnum.WorkSheet]
        sheets = [_fill_merged(workbook.get_sheet_by_name(name)) for name in tables]
    except python_calamine.PasswordError:
        raise FileError(f"{path.name} is locked by a password", hint="save it without one") from None
    except (python_calamine.CalamineError, OSError):
        raise wrong_format(path, "a whole workbook", data) from None
    if not sheets or not sheets[0]:
        raise FileError(f"the first sheet of {path.name} is empty", hint="put the table on the first sheet")
    return _join_sheets(*map(_leave_titles_out, sheets))


def _fill_merged(sheet: python_calamine.CalamineSheet) -> list[list[Any]]:
    """Read a sheet; the value of merged cells stands in each of their rows."""
    rows: list[list[Any]] = sheet.to_python(skip_empty_area=False)
    for (top, left), (bottom, _) in sheet.merged_cell_ranges or ():
        for row in rows[top + 1 : bottom + 1]:
            row[left] = rows[top][left]
    return [row for row in rows if any(cell != "" for cell in row)]


def _leave_titles_out(rows: list[list[Any]]) -> list[list[Any]]:
    return rows[find_header(rows[:_ROWS_TO_HEADER]) :]


def _join_sheets(first: list[list[Any]], *others: list[list[Any]]) -> list[list[Any]]:
    """Append the rows of further sheets with the same header, as the desk's queue has one sheet per stage."""
    header = _trim_header(first[0])
    joined = list(first)
    for rows in others:
        if header and rows and _trim_header(rows[0]) == header:
            joined += [(row + [""] * len(first[0]))[: len(first[0])] for row in rows[1:]]
    return joined


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
