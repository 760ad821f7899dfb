"""JSON lines of any number become rows, some thousands at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ordervet.contract.files import open_error, read_json_line, wrong_format
from ordervet.contract.formats.blocks import Block, RowSource
from ordervet.contract.formats.records import read_document, texts_of
from ordervet.contract.values import TRIMMED
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from ordervet.contract.formats.definition import JsonPlaces

_LINES_AT_ONCE = 2**13
_MAX_LINE = 16 * 2**20  # bytes


@dataclass
class LongRecords(RowSource):
    """The records of a JSON lines file, as texts."""

    json_places: Sequence[JsonPlaces] = ()

    @classmethod
    def open(cls, path: Path, json_places: Sequence[JsonPlaces]) -> LongRecords:
        """Look through the file for the names that its records have."""
        source = cls(path, (), {}, json_places)
        names: dict[str, None] = {}
        for rows in source._iter_rows():
            names |= dict.fromkeys(name for row in rows for name in row)
        source.names = tuple(names)
        return source

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the records of some thousand lines at a time."""
        for rows in self._iter_rows():
            yield Block({name: texts_of(rows, name) for name in names}, len(rows))

    def _iter_rows(self) -> Iterator[list[dict[str, str]]]:
        for lines in _iter_lines(self.path):
            yield [
                row
                for number, line in lines
                for row in read_document(line.strip(TRIMMED), self.path, number, self.json_places)
            ]


def iter_json_rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Read JSON lines, some thousand at a time, values as they are.

    Raises
    ------
    FileError
        The file is unreadable, or a line is no JSON object, or longer than 16 MiB.
    """
    for lines in _iter_lines(path):
        yield [read_json_line(line, path, number) for number, line in lines]


def _iter_lines(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Give the lines that are not blank, numbered from 1."""
    lines: list[tuple[int, str]] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), start=1):
                if len(line) == _MAX_LINE:
                    raise FileError(f"{path.name}, line {number}: longer than 16 MiB", hint="export it again")
                text = _decode(line.removeprefix(b"\xef\xbb\xbf"), path)
                if text.strip():
                    lines.append((number, text))
                if len(lines) == _LINES_AT_ONCE:
                    yield lines
                    lines = []
    except OSError as error:
        raise open_error(path, error) from None
    if lines:
        yield lines


def _decode(line: bytes, path: Path) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise wrong_format(path, "JSON lines", line)
