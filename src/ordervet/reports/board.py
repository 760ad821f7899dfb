"""A board: sections of tables, lines and plots, to be shown on screen, as a page, as a workbook or as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from ordervet.reports.page import build_page
from ordervet.reports.sheets import Column, write_book
from ordervet.reports.terminal import WordTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from markupsafe import Markup
    from rich.console import RenderableType

    from ordervet.reports.sheets import Book
    from ordervet.words import Lang

_NUMBERS: Final = ("count", "share", "decimal", "money")
_WIDTHS: Final = {"count": 12, "share": 11, "decimal": 11, "money": 16, "instant": 17, "text": 26, "wrapped": 60}
_MAX_SHEET_NAME: Final = 31
_MAX_SHOWN: Final = 24  # rows of a table in a terminal


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a section's table.

    Parameters
    ----------
    key : its name in JSON
    title : its header
    look : "text", "wrapped", "count", "share" (0 to 1), "decimal", "money" (minor units) or "instant"
    is_detail : left out where there is little room: in a terminal
    """

    key: str
    title: str
    look: str = "text"
    is_detail: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a board.

    Parameters
    ----------
    key : its name in JSON
    title : its heading
    note : one sentence on how to read it
    fields : columns of its table
    rows : of the table, one value per field; None is not known
    lines : sentences, shown as a list
    plot : an inline SVG, for the page
    marked : rows that want a look
    """

    key: str
    title: str
    note: str = ""
    fields: tuple[Field, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    lines: tuple[str, ...] = ()
    plot: Markup | None = None
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Board:
    """What is known at one moment, ready to be looked at.

    Parameters
    ----------
    title : of the board
    summary : a few sentences on top
    warnings : what to bear in mind
    sections : its parts
    facts : plain values for JSON
    lang : the language it speaks
    """

    title: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    lang: Lang = "en"


def build_board_page(board: Board) -> str:
    """Write a board as one self-contained page."""
    sections = [
        {
            "title": section.title,
            "note": section.note,
            "lines": section.lines,
            "plot": section.plot,
            "heads": [(each.title, _kind_of(each)) for each in section.fields],
            "rows": [
                (at in section.marked, [(format_value(v, each), _kind_of(each)) for v, each in _pair(row, section)])
                for at, row in enumerate(section.rows)
            ],
        }
        for section in board.sections
    ]
    values = {"summary": board.summary, "warnings": board.warnings, "sections": sections}
    styles = ("base.css", "board.css")
    return build_page("board.html", lang=board.lang, title=board.title, styles=styles, values=values)


def write_board_book(board: Board, path: Path) -> None:
    """Write a board as a workbook, a sheet per section.

    Raises
    ------
    FileError
        The file cannot be written; what stood there stays.
    """
    write_book(path, lambda book: _fill_book(book, board))


def _fill_book(book: Book, board: Board) -> None:
    front = book.add_sheet(_sheet_name(board.title), (Column(board.title, 110, "wrapped"),))
    for line in (*board.summary, *board.warnings):
        front.add_row([line], n_lines=2)
    for section in board.sections:
        if section.fields:
            sheet = book.add_sheet(_sheet_name(section.title), [_column_of(each) for each in section.fields], n_fixed=1)
            for at, row in enumerate(section.rows):
                values = [v / 100 if each.look == "money" and v is not None else v for v, each in _pair(row, section)]
                sheet.add_row(values, looks={0: "high"} if at in section.marked else None)
            sheet.finish()
        else:
            sheet = book.add_sheet(_sheet_name(section.title), (Column(section.title, 110, "wrapped"),))
        for line in (section.note, *section.lines):
            if line and not section.fields:
                sheet.add_row([line], n_lines=2)


def build_board_lines(board: Board) -> Iterator[RenderableType]:
    """Build the lines of a board for a terminal."""
    yield Text(board.title, style="bold")
    for line in board.summary:
        yield Text(line)
    for line in board.warnings:
        yield Text(line, style="yellow")
    for section in board.sections:
        if section.rows or section.lines:
            yield Text("\n" + section.title, style="green")
            yield from _build_section_lines(section)


def _build_section_lines(section: Section) -> Iterator[RenderableType]:
    if section.rows:
        shown = [each for each in section.fields if not each.is_detail]
        rows = [
            [format_value(value, each) for value, each in _pair(row, section) if not each.is_detail]
            for row in section.rows[:_MAX_SHOWN]
        ]
        yield WordTable(
            [each.title for each in shown],
            rows,
            numbers=[at for at, each in enumerate(shown) if each.look in _NUMBERS],
            unwrapped=[at for at, each in enumerate(shown) if each.look == "instant"],
            styles=dict.fromkeys(section.marked, "bold yellow"),
        )
        if len(section.rows) > _MAX_SHOWN:
            yield Text(f"  … +{len(section.rows) - _MAX_SHOWN} (--out, --report)", style="dim")
    for line in section.lines:
        yield Text(f"  - {line}")
    if section.note:
        yield Text(section.note, style="dim")


def describe_board(board: Board) -> dict[str, Any]:
    """Return a board as plain values for JSON: its facts, and each section's rows by the keys of its fields."""
    sections = {
        section.key: [{each.key: _plain(value) for value, each in _pair(row, section)} for row in section.rows]
        if section.fields
        else list(section.lines)
        for section in board.sections
    }
    return board.facts | {"warnings": list(board.warnings), "sections": sections}


def format_value(value: Any, field_: Field) -> str:
    """Format a value as a person reads it."""
    if value is None:
        return "–"
    match field_.look:
        case "count":
            return f"{value:,}"
        case "share":
            return f"{value:.1%}"
        case "decimal":
            return f"{value:,.1f}"
        case "money":
            return f"{value / 100:,.0f}"
        case "instant":
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _pair(row: Sequence[Any], section: Section) -> Iterator[tuple[Any, Field]]:
    return zip(row, section.fields, strict=True)


def _kind_of(field_: Field) -> str:
    return "number" if field_.look in _NUMBERS else "long" if field_.look == "wrapped" else "word"


def _column_of(field_: Field) -> Column:
    return Column(field_.title, _WIDTHS[field_.look], "amount" if field_.look == "money" else field_.look)


def _sheet_name(title: str) -> str:
    return "".join(character for character in title if character not in "[]:*?/\\'")[:_MAX_SHEET_NAME]
