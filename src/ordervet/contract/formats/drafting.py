"""Columns of a table that no format fits, taken for what those of other formats are called: where to begin from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ordervet.contract.files.rows import open_rows
from ordervet.contract.formats.description import rank_alike
from ordervet.contract.formats.library import list_formats

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MIN_LIKENESS = 0.65


@dataclass(frozen=True)
class DraftedFields:
    """What the columns of an export of orders may be.

    Parameters
    ----------
    columns : of the file, in its order
    taken : contract field → columns, the parts of an address in the file's order, one of any other field
    guessed : the fields of which a column's name is like a known one, and not the same
    """

    columns: tuple[str, ...]
    taken: Mapping[str, tuple[str, ...]]
    guessed: frozenset[str]


def draft_fields(path: str | Path, formats_dir: str | Path | None = None) -> DraftedFields:
    """Find which columns of an export of orders may be which contract fields, by the names of all formats.

    Parameters
    ----------
    path : as for `read_events`
    formats_dir : a folder of further format files, whose names are known too

    Raises
    ------
    FileError
        The file is unreadable.
    """
    formats = list_formats(formats_dir)
    source = open_rows(path, [each.json_places for each in formats])
    ranked = rank_alike(source.names, "orders", formats)
    alike = {column: found for column, found in ranked.items() if found[1] >= _MIN_LIKENESS}
    taken: dict[str, tuple[str, ...]] = {}
    for column in sorted(alike, key=lambda name: -alike[name][1]):
        field = "order_id" if alike[column][0] == "order_uid" else alike[column][0]
        if field == "address" or field not in taken:
            taken[field] = (*taken.get(field, ()), column)
    if "address" in taken:
        taken["address"] = tuple(sorted(taken["address"], key=source.names.index))
    guessed = {field for field, columns in taken.items() if min(alike[column][1] for column in columns) < 1}
    return DraftedFields(tuple(source.names), taken, frozenset(guessed))
