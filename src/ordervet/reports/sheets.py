"""Workbooks for people: a header that stays, columns wide enough to read, and cells that are what they look like."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ordervet.contract.files.outputs import check_out_path, write_whole
from ordervet.currencies import UNKNOWN, find_exponent
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import IO

_ENTRY: Final = {"valign": "top", "bg_color": "#fffbeb", "right": 1, "right_color": "#e5e7eb"}

LOOKS: Final[dict[str, dict[str, Any]]] = {
    "head": {"bold": True, "bg_color": "#1f2937", "font_color": "#ffffff", "text_wrap": True, "valign": "vcenter"},
    "text": {"valign": "top", "indent": 1},
    "wrapped": {"valign": "top", "text_wrap": True, "indent": 1},
    "quoted": {"valign": "top", "quote_prefix": True, "indent": 1},
    "wrapped_quoted": {"valign": "top", "text_wrap": True, "quote_prefix": True, "indent": 1},
    "bold": {"valign": "top", "bold": True},
    "link": {"valign": "top", "font_color": "#1d4ed8", "underline": 1},
    "entry": _ENTRY,
    "entry_time": {**_ENTRY, "num_format": "yyyy-mm-dd hh:mm"},
    "instant": {"valign": "top", "num_format": "yyyy-mm-dd hh:mm"},
    "share": {"valign": "top", "num_format": "0.0%"},
    "count": {"valign": "top", "num_format": "#,##0"},
    "amount": {"valign": "top", "num_format": "#,##0.00"},
    "decimal": {"valign": "top", "num_format": "#,##0.0"},
    "severe": {"valign": "top", "bold": True, "bg_color": "#fecaca", "font_color": "#7f1d1d"},
    "high": {"valign": "top", "bold": True, "bg_color": "#fed7aa", "font_color": "#7c2d12"},
    "elevated": {"valign": "top", "bg_color": "#fef08a", "font_color": "#713f12"},
    "low": {"valign": "top", "bg_color": "#dcfce7", "font_color": "#14532d"},
}  # fmt: skip
"""How cells look, by name; ``money:CNY`` is an amount in major units of a currency, ``local_time:+08:00`` a time."""


_WAKING_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r")
_MAX_CELL: Final = 32_767  # characters


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sheet.

    Parameters
    ----------
    title : its header
    width : in characters
    look : how its cells look, one of `LOOKS`
    """

    title: str
    width: float
    look: str = "text"


class Book:
    """A workbook that is being written.

    Parameters
    ----------
    workbook : of xlsxwriter
    """

    def __init__(self, workbook: Any) -> None:
        self._workbook = workbook
        self._formats: dict[str, Any] = {}

    def look(self, name: str) -> Any:
        """Return a look as a format of this workbook."""
        if name not in self._formats:
            kind, _, suffix = name.partition(":")
            settings = LOOKS.get(kind) or {"valign": "top", "num_format": _write_number_format(kind, suffix)}
            self._formats[name] = self._workbook.add_format({"bottom": 1, "bottom_color": "#e5e7eb"} | settings)
        return self._formats[name]

    def add_sheet(self, title: str, columns: Sequence[Column], *, n_fixed: int = 0) -> Sheet:
        """Begin a sheet with its header, which stays in sight, and whose columns can be filtered."""
        return Sheet(self, self._workbook.add_worksheet(title), columns, n_fixed)


def _write_number_format(kind: str, suffix: str) -> str:
    if kind == "local_time":
        return f'yyyy-mm-dd hh:mm "{suffix}"'
    n_digits = find_exponent(suffix)
    amount = "#,##0" + ("." + "0" * n_digits if n_digits else "")
    return amount if suffix == UNKNOWN else f'{amount} "{suffix}"'


class Sheet:
    """One sheet; rows are written from top to bottom."""

    def __init__(self, book: Book, sheet: Any, columns: Sequence[Column], n_fixed: int) -> None:
        self.book, self.raw = book, sheet
        self._columns = columns
        self.n_rows = 0
        sheet.freeze_panes(1, n_fixed)
        sheet.repeat_rows(0)
        sheet.set_landscape()
        sheet.set_paper(8)  # A3
        sheet.fit_to_pages(1, 0)
        sheet.set_row(0, 30)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, column.width)
            sheet.write_string(0, at, column.title, book.look("head"))

    def add_row(self, values: Sequence[object], *, looks: dict[int, str] | None = None, n_lines: int = 1) -> int:
        """Write the next row.

        Parameters
        ----------
        values : one per column; None leaves the cell blank
        looks : position of a cell to the look that it has instead of its column's
        n_lines : lines of text that are in sight

        Returns
        -------
        the number of the row, 1 for the first below the header
        """
        self.n_rows += 1
        if n_lines > 1:
            self.raw.set_row(self.n_rows, 16.5 * n_lines)
        for at, (column, value) in enumerate(zip(self._columns, values, strict=True)):
            self._write(self.n_rows, at, value, (looks or {}).get(at, column.look))
        return self.n_rows

    def finish(self) -> None:
        """Let every column be filtered."""
        self.raw.autofilter(0, 0, max(self.n_rows, 1), len(self._columns) - 1)

    def _write(self, row: int, at: int, value: object, look: str) -> None:
        if value is None:
            self.raw.write_blank(row, at, None, self.book.look(look))
        elif isinstance(value, bool | int | float):
            self.raw.write_number(row, at, value, self.book.look(look))
        elif isinstance(value, datetime):
            self.raw.write_datetime(row, at, value.replace(tzinfo=None), self.book.look(look))
        else:
            self._write_text(row, at, str(value), look)

    def _write_text(self, row: int, at: int, text: str, look: str) -> None:
        # NOTE: a text that begins like a formula is marked as quoted, so that editing the cell does not wake it up.
        if text.startswith(_WAKING_SIGNS):
            look = "wrapped_quoted" if look == "wrapped" else "quoted"
        self.raw.write_string(row, at, text[:_MAX_CELL], self.book.look(look))


def write_book(path: Path, fill: Callable[[Book], None]) -> None:
    """Write a workbook, whole or not at all."""
    if check_out_path(path).suffix.lower() != ".xlsx":
        raise FileError(f"cannot write {path.name}: it is no workbook", hint="name a file that ends in .xlsx")

    def write(file: IO[bytes]) -> None:
        import xlsxwriter

        # NOTE: packed in memory first; on a full disk an open archive would complain once more, when it is thrown away.
        packed = io.BytesIO()
        workbook = xlsxwriter.Workbook(packed, {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm"})
        try:
            fill(Book(workbook))
        finally:
            workbook.close()
        file.write(packed.getbuffer())

    write_whole(path, write)
