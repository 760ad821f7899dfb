"""JSON documents become rows: one per record, or one per line of an order, names joined by dots."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ordervet.contract.files import decode_text, read_bytes
from ordervet.contract.values import TRIMMED
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ordervet.contract.formats.definition import JsonPlaces

_MAX_DEPTH = 12


def read_records(path: Path, places: Sequence[JsonPlaces] = ()) -> pa.Table:
    """Read a JSON document, or JSON lines, as a table of texts.

    Numbers stay as they are written, so that no id passes through a float.

    Parameters
    ----------
    path : ending in .json or .jsonl
    places : where records and their lines can stand; without a match, a list at the top, or the first one found

    Returns
    -------
    shape (n_rows, n_columns), strings, "" where a record lacks a name; lists of plain values are joined by commas

    Raises
    ------
    FileError
        The file is missing, empty, no text, or no JSON.
    """
    text = decode_text(read_bytes(path), path, "JSON")
    is_lines = path.name.lower().endswith(".jsonl")
    lines = _lines_of(text) if is_lines else [(0, text)]
    rows = [row for number, line in lines if line for row in read_document(line, path, number, places)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table([texts_of(rows, name) for name in names], names=names)


def read_document(text: str, path: Path, line: int, places: Sequence[JsonPlaces]) -> list[dict[str, str]]:
    """Read one JSON document as rows.

    Parameters
    ----------
    text : of the document
    path, line : where it stands; line 0 is the whole file
    places : as for `read_records`

    Raises
    ------
    FileError
        It is no JSON.
    """
    return [row for record in _find_records(_parse(text, path, line), places) for row in _flatten(record, places)]


def texts_of(rows: Sequence[dict[str, str]], name: str) -> pa.Array:
    """Give one column of rows, "" where a row lacks it."""
    return pa.array([row.get(name, "") for row in rows], pa.string())


def _lines_of(text: str) -> Iterator[tuple[int, str]]:
    return ((number, line.strip(TRIMMED)) for number, line in enumerate(text.split("\n"), start=1))


def _parse(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        where = f"{path.name}, line {line}" if line else path.name
        raise FileError(f"{where}: not JSON", hint="export it again, whole") from None


def _find_records(document: Any, places: Sequence[JsonPlaces]) -> list[dict[str, Any]]:
    """Find the records: at a place that a format names, in a list at the top, or in the first list of objects."""
    for place in (record for each in places for record in each.records):
        found = _get(document, place)
        if isinstance(found, (dict, list)):
            return _objects(found)
    if isinstance(document, list):
        return _objects(document)
    line_places = {each.lines for each in places}
    if any(isinstance(_get(document, line), list) for line in line_places if line):
        return _objects(document)
    return _objects(next(_lists_of_objects(document), document))


def _objects(found: Any) -> list[dict[str, Any]]:
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)]


def _get(document: Any, place: str) -> Any:
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
    """Give one row per line of a record, each with what stands above the lines."""
    for place in (each.lines for each in places if each.lines):
        lines = _get(record, place)
        if isinstance(lines, list) and any(isinstance(line, dict) for line in lines):
            above = {name: text for name, text in _leaves(record, "", 0) if not name.startswith(place)}
            for line in _objects(lines):
                yield above | dict(_leaves(line, place + ".", 0))
            return
    yield dict(_leaves(record, "", 0))


def _leaves(value: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for name, each in value.items():
        if isinstance(each, dict) and depth < _MAX_DEPTH:
            yield from _leaves(each, f"{prefix}{name}.", depth + 1)
        elif isinstance(each, list) and not any(isinstance(item, (dict, list)) for item in each):
            yield prefix + name, ",".join(map(_text_of, each))
        elif not isinstance(each, (dict, list)):
            yield prefix + name, _text_of(each)


def _text_of(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value.encode("utf-8", "replace").decode()
