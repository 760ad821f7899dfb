"""JSON documents and JSON lines.

As a platform's export a document becomes one row per record, or one per line of an order, names joined by dots; numbers
stay as they are written, so that no id passes through a float. JSON lines in contract columns keep their values.
"""

from __future__ import annotations

import json
from collections import deque
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ordervet.contract.files.opening import (
    MAX_ROW,
    READABLE,
    find_exact_encoding,
    open_bytes,
    read_bytes,
    read_head,
)
from ordervet.contract.files.row_source import RowSource, clean_block
from ordervet.contract.tabular import flatten_row, to_arrow
from ordervet.contract.values import TRIMMED, drop_halves
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ordervet.contract.files.row_source import Block
    from ordervet.contract.formats.definition import JsonPlaces

    Lines = list[tuple[int, str]]

_LINES_AT_ONCE = 2**13
_MAX_DEPTH = 12
_PARENT = "/.."


class JsonRows(RowSource):
    """The rows of a JSON document, or of JSON lines.

    Parameters
    ----------
    path : ending in .json or .jsonl
    places : where records and their lines can be; without a match, a list at the top, or the first one found
    is_long : whether JSON lines are read some thousands at a time
    """

    def __init__(self, path: Path, places: Sequence[JsonPlaces], *, is_long: bool) -> None:
        super().__init__(path, is_long=is_long)
        self._places = places
        self._is_document = path.name.lower().endswith(".json")
        if self._is_document:
            read_bytes(path)
        read_head(path, "JSON" if self._is_document else "JSON lines")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names that the records have, in the order of appearance."""
        return _names_of(self._iter_records()) if self.is_long else tuple(self._text_table.column_names)

    @cached_property
    def raw_names(self) -> tuple[str, ...]:
        """The names that the lines have, those of nested extras with their prefix."""
        if self._is_document:
            return self.names
        return _names_of(self._iter_lines_as_rows()) if self.is_long else tuple(self._raw_table.column_names)

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the records of the file, or of some thousand lines at a time."""
        if not self.is_long:
            yield clean_block(self._text_table, names)
            return
        for rows in self._iter_records():
            yield clean_block(_build_texts(rows, tuple(names)), names)

    def iter_tables(self) -> Iterator[pa.Table]:
        """Read JSON lines, values as they are."""
        if self._is_document:
            raise FileError(f"{self.path.name} has no known ending", hint=f"use one of {', '.join(READABLE)}")
        if not self.is_long:
            yield self._raw_table
            return
        for rows in self._iter_lines_as_rows():
            yield self.check_table(to_arrow([dict.fromkeys(self.raw_names) | row for row in rows]))

    @cached_property
    def _text_table(self) -> pa.Table:
        rows = [row for some in self._iter_records() for row in some]
        return _build_texts(rows, _names_of([rows]))

    @cached_property
    def _raw_table(self) -> pa.Table:
        return self.check_table(to_arrow([row for rows in self._iter_lines_as_rows() for row in rows]))

    def _iter_records(self) -> Iterator[list[dict[str, str]]]:
        for lines in self._iter_lines():
            yield [row for number, line in lines for row in self._read_records(line, number)]

    def _iter_lines_as_rows(self) -> Iterator[list[dict[str, object]]]:
        for lines in self._iter_lines():
            yield [_read_row(line, self.path, number) for number, line in lines]

    def _iter_lines(self) -> Iterator[Lines]:
        """Yield the lines that are not blank, numbered from 1; a document is one line without a number."""
        encoding = find_exact_encoding(self.path)
        if self._is_document:
            yield [(0, read_bytes(self.path).decode(encoding).removeprefix("\ufeff"))]
            return
        lines: Lines = []
        with open_bytes(self.path) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_ROW), b""), start=1):
                if len(line) == MAX_ROW:
                    raise FileError(f"{self.path.name}, line {number}: longer than 16 MiB", hint="export it again")
                text = line.decode(encoding).strip(TRIMMED)
                if text:
                    lines.append((number, text))
                if len(lines) == _LINES_AT_ONCE:
                    yield lines
                    lines = []
        if lines:
            yield lines

    def _read_records(self, text: str, line: int) -> Iterator[dict[str, str]]:
        for record in _find_records(_parse(text, self.path, line), self._places):
            yield from _flatten(record, self._places)


class PayloadRows(RowSource):
    """The rows of a platform's message: one document in memory.

    Parameters
    ----------
    payload : as JSON text, or as `json.loads` gives it
    places : where records and their lines can be

    Raises
    ------
    FileError
        It is not JSON.
    """

    def __init__(self, payload: str | bytes | dict[str, Any] | list[Any], places: Sequence[JsonPlaces]) -> None:
        super().__init__(Path("the payload"), is_long=False)
        if not isinstance(payload, (str, bytes)):
            payload = json.dumps(payload)
        text = payload.decode(errors="replace") if isinstance(payload, bytes) else payload
        records = _find_records(_parse(text.removeprefix("\ufeff"), self.path, 0), places)
        rows = [row for record in records for row in _flatten(record, places)]
        self._table = _build_texts(rows, _names_of([rows]))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the records have."""
        return tuple(self._table.column_names)

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Return all rows."""
        yield clean_block(self._table, names)

    def iter_tables(self) -> Iterator[pa.Table]:
        """Return all rows, as texts."""
        yield self._table


def _names_of(rows: Iterable[Iterable[dict[str, Any]]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in rows for row in some for name in row))


def _build_texts(rows: Sequence[dict[str, str]], names: Sequence[str]) -> pa.Table:
    """Build columns of texts, "" where a row lacks a name."""
    return pa.table([pa.array([row.get(name, "") for row in rows], pa.string()) for name in names], names=list(names))


def _read_row(line: str, path: Path, number: int) -> dict[str, object]:
    """Read one line in contract columns."""
    hint = "write one JSON object per line"
    try:
        row = json.loads(line, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise FileError(f"{path.name}, line {number}: not JSON, or a duplicate name", hint=hint) from None
    if not isinstance(row, dict):
        raise FileError(f"{path.name}, line {number}: not a JSON object", hint=hint)
    return dict(flatten_row(row))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = {drop_halves(name): value for name, value in pairs}
    if len(row) < len(pairs):
        raise ValueError
    return row


def _parse(text: str, path: Path, line: int) -> Any:
    try:
        names = _drop_halves_of_names if "\\ud" in text.lower() else None  # SPEED: hardly any text has one
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _: None, object_pairs_hook=names)
    except (ValueError, RecursionError):
        where = f"{path.name}, line {line}" if line else path.name
        raise FileError(f"{where}: not JSON", hint="export it again, whole") from None


def _drop_halves_of_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {drop_halves(name): value for name, value in pairs}


def _find_records(document: Any, places: Sequence[JsonPlaces]) -> list[dict[str, Any]]:
    """Find the records: at a place that a format names, in a list at the top, or in the first list of objects."""
    for place in (record for each in places for record in each.records):
        found = _get(document, place)
        if isinstance(found, (dict, list)):
            return _objects(found)
    if isinstance(document, list):
        return _objects(document)
    if any(isinstance(_get(document, line), list) for each in places for line in each.lines):
        return _objects(document)
    return _objects(next(_lists_of_objects(document), document))


def _objects(found: Any) -> list[dict[str, Any]]:
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)]


def _get(document: Any, place: str) -> Any:
    if place.endswith(_PARENT):
        inner = place.removesuffix(_PARENT)
        found = _get(document, inner)
        return None if found is None else _get(document, inner.rpartition(".")[0]) if "." in inner else document
    for name in place.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _lists_of_objects(document: Any) -> Iterator[list[Any]]:
    """Walk through objects, the outer ones first."""
    waiting = deque([document])
    while waiting:
        value = waiting.popleft()
        if isinstance(value, list) and any(isinstance(each, dict) for each in value):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())


def _flatten(record: dict[str, Any], places: Iterable[JsonPlaces]) -> Iterator[dict[str, str]]:
    """Yield one row per line of a record, each with the fields of the record itself."""
    for place in (line for each in places for line in each.lines):
        lines = _get(record, place)
        if isinstance(lines, list) and any(isinstance(line, dict) for line in lines):
            above = {name: text for name, text in _leaves(record, "", 0) if not name.startswith(place)}
            lists = {name: text for name, text in _lists(record, "", 0) if not name.startswith(place)}
            for line in _objects(lines):
                yield above | lists | flatten_record(line, place + ".")
                lists = {}  # NOTE: on the first line alone, so that what is nested counts once
            return
    yield flatten_record(record)


def flatten_record(record: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten one record, names joined by dots; of a list of objects the first is flattened too, and all are JSON.

    Parameters
    ----------
    record : as `json` reads it, numbers as they are written
    prefix : of the names
    """
    return dict(_lists(record, prefix, 0)) | dict(_leaves(record, prefix, 0))


def _leaves(value: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for name, each in value.items():
        if isinstance(each, dict) and depth < _MAX_DEPTH:
            yield from _leaves(each, f"{prefix}{name}.", depth + 1)
        elif isinstance(each, list) and not any(isinstance(item, (dict, list)) for item in each):
            yield prefix + name, ",".join(map(_text_of, each))
        elif isinstance(each, list) and isinstance(each[0], dict) and depth < _MAX_DEPTH:
            yield from _leaves(each[0], f"{prefix}{name}.", depth + 1)
        elif not isinstance(each, (dict, list)):
            yield prefix + name, _text_of(each)


def _lists(value: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the lists of objects, as JSON."""
    for name, each in value.items():
        if isinstance(each, dict) and depth < _MAX_DEPTH:
            yield from _lists(each, f"{prefix}{name}.", depth + 1)
        elif isinstance(each, list) and each and isinstance(each[0], dict):
            yield prefix + name, json.dumps(each)


def _text_of(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else drop_halves(value)
