"""Workbooks that are HTML or XML text (SpreadsheetML 2003), which many programs write under the ending .xls."""

from __future__ import annotations

import codecs
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from ordervet.contract.files.limits import check_limit, read_limit
from ordervet.contract.files.opening import find_encoding

if TYPE_CHECKING:
    from pathlib import Path

_TABLES, _ROWS, _CELLS = ("table", "worksheet"), ("tr", "row"), ("td", "th", "cell")
_MORE_DIGITS = 9
"""A span of more digits than these is none."""


def is_markup(data: bytes) -> bool:
    """Return whether text begins as HTML or XML does."""
    return data[:64].removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


def read_markup_tables(data: bytes, path: Path) -> list[list[list[str]]]:
    """Read the tables of a document, each row after row; a cell over several rows stands in each of them.

    Parameters
    ----------
    data : the document
    path : of its file

    Returns
    -------
    tables that have rows; the rows of a table are equally long

    Raises
    ------
    FileError
        They have more cells than the limit.
    """
    parser = _Parser(path)
    parser.feed(data.decode(find_encoding([data]), errors="replace"))
    parser.close()
    widths = [max(map(len, table), default=0) for table in parser.tables]
    check_limit(
        path, "sheet_cells", sum(width * len(table) for width, table in zip(widths, parser.tables, strict=True))
    )
    return [
        [row + [""] * (width - len(row)) for row in table]
        for width, table in zip(widths, parser.tables, strict=True)
        if table
    ]


class _Parser(HTMLParser):
    """Collects tables; a table within a cell is one of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self._path = path
        self._texts: list[str] | None = None  # of the cell that is open
        self._spans: dict[int, tuple[int, str]] = {}  # column → rows below that show its cell, and what it says
        self._open_span = 0, 0
        self._n_cells, self._most_cells = 0, read_limit("sheet_cells")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = tag.rpartition(":")[2]
        given = {key.rpartition(":")[2]: text for key, text in attrs}
        if name in _TABLES:
            self._end_row()
            self.tables.append([])
            self._spans = {}
        elif name in _ROWS and self.tables:
            self._end_row()
            self.tables[-1].append([])
            self._fill_spans()
        elif name in _CELLS and self.tables and self.tables[-1]:
            self._end_cell()
            self._skip_to(_read_number(given.get("index")) - 1)
            self._texts = []
            more = _read_number(given.get("mergedown")), _read_number(given.get("mergeacross"))
            self._open_span = (
                max(more[0], _read_number(given.get("rowspan")) - 1),
                max(more[1], _read_number(given.get("colspan")) - 1),
            )
        elif name == "br" and self._texts is not None:
            self._texts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        if name in _CELLS:
            self._end_cell()
        elif name in _ROWS or name in _TABLES:
            self._end_row()

    def handle_data(self, data: str) -> None:
        if self._texts is not None:
            self._texts.append(data)

    def close(self) -> None:
        super().close()
        self._end_row()

    def _end_row(self) -> None:
        self._end_cell()
        row = self.tables[-1][-1] if self.tables and self.tables[-1] else []
        for column in sorted(column for column in self._spans if column >= len(row)):
            self._skip_to(column)
            self._fill_spans()

    def _end_cell(self) -> None:
        if self._texts is None:
            return
        text, (n_below, n_beside) = " ".join("".join(self._texts).split()), self._open_span
        self._texts = None
        row = self.tables[-1][-1]
        if n_below:
            self._spans[len(row)] = n_below, text
        self._add(text)
        self._skip_to(len(row) + n_beside)
        self._fill_spans()

    def _add(self, text: str, times: int = 1) -> None:
        self._n_cells += times
        if self._n_cells > self._most_cells:
            check_limit(self._path, "sheet_cells", self._n_cells)
        self.tables[-1][-1] += [text] * times

    def _skip_to(self, column: int) -> None:
        self._add("", max(column - len(self.tables[-1][-1]), 0))

    def _fill_spans(self) -> None:
        """Fill in cells of rows above as far as they reach into this one, from where it is on."""
        row = self.tables[-1][-1]
        while len(row) in self._spans:
            column = len(row)
            n_below, text = self._spans.pop(column)
            if n_below > 1:
                self._spans[column] = n_below - 1, text
            self._add(text)


def _read_number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= _MORE_DIGITS else 0
