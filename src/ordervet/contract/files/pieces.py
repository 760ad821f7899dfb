"""What a file holds, or a piece of it in which every order is whole: checked events, and the rows they come from."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.contract.failures import FAILURE_SCHEMA
from ordervet.contract.schemas import MODELS, Events
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ordervet.contract.instants import Micros
    from ordervet.contract.schemas import EventKind

FILE_FAILURE_SCHEMA = pa.schema([pa.field("file", pa.string()), *FAILURE_SCHEMA])
AUTO, NATIVE, MAPPED = "auto", "native", "mapping"
INSTANT_FIELDS: dict[str, EventKind] = {model.instant_field: kind for kind, model in MODELS.items()}
_MAX_COMPARED = 200  # columns; comparing names is slow
NO_ROWS = np.zeros(0, np.int64)
_ACCOUNTED = ("order_id", "status", "currency")


@dataclass
class Tally:
    """What was left out while reading states.

    Parameters
    ----------
    hints : outcome kind → what to export instead where it has no date, by language
    undated : outcome kind → rows whose state says so, but not since when
    unknown : the file's column → rows with a state that the format does not know
    """

    hints: dict[str, dict[str, str]] = field(default_factory=dict)
    undated: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class EventRows:
    """The good events of one kind.

    Parameters
    ----------
    table : shape (n, n_fields), canonical
    rows : shape (n,), the row of the file that each comes from
    failures : the rows that were set aside, in `FILE_FAILURE_SCHEMA`
    """

    kind: EventKind
    table: pa.Table
    rows: Micros
    failures: pa.Table = field(default_factory=FILE_FAILURE_SCHEMA.empty_table)


@dataclass(frozen=True)
class FilePiece:
    """What one file holds, or a piece of it in which every order is whole.

    Parameters
    ----------
    name : of the file, without its folder
    format : the name of its format, "native" or "mapping"
    parts : its events by kind; its rows are accounted for by the first
    n_rows : rows read
    merged_rows : rows that went into others of the file
    tally : states of the file so far that gave no outcome
    number : of the file among those of the call
    """

    name: str
    format: str
    parts: tuple[EventRows, ...]
    n_rows: int
    merged_rows: Micros = field(default_factory=lambda: NO_ROWS)
    tally: Tally = field(default_factory=Tally)
    number: int = 0

    @cached_property
    def events(self) -> Events:
        """All its events; those of unknown orders among them."""
        nothing = Events.empty()
        of_kinds = [{kind: getattr(nothing, kind) for kind in MODELS} | {part.kind: part.table} for part in self.parts]
        return Events.concat([Events(**tables) for tables in of_kinds])

    def read_column(self, kind: EventKind, name: str) -> pa.ChunkedArray:
        """Return one column of its events of a kind."""
        columns = [part.table[name] for part in self.parts if part.kind == kind]
        return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())

    def drop_events(self) -> FilePiece:
        """Keep of the events what the account of the rows needs: order ids, states and currencies."""
        parts = [
            replace(part, table=part.table.select([name for name in _ACCOUNTED if name in part.table.column_names]))
            for part in self.parts
        ]
        return replace(self, parts=tuple(parts))

    @cached_property
    def rows(self) -> dict[EventKind, Micros]:
        """Per kind, shape (n_events,), the row of the file that each event comes from."""
        return {
            kind: np.concatenate([NO_ROWS, *(part.rows for part in self.parts if part.kind == kind)]) for kind in MODELS
        }

    @cached_property
    def failures(self) -> pa.Table:
        """The rows that were set aside, in `FILE_FAILURE_SCHEMA`."""
        return pa.concat_tables([FILE_FAILURE_SCHEMA.empty_table(), *(part.failures for part in self.parts)])


def name_failures(failures: pa.Table, file: str | Sequence[str]) -> pa.Table:
    """Prepend to failures the name of their file, or where each of them is: to `FILE_FAILURE_SCHEMA`."""
    names = pa.array([file] * failures.num_rows if isinstance(file, str) else file, pa.string())
    return failures.add_column(0, FILE_FAILURE_SCHEMA.field("file"), names)


def kind_of(column_names: Collection[str], *, where: str = "the table") -> EventKind:
    """Return the kind of event that a table holds, by its columns.

    Raises
    ------
    FileError
        It has none, or more than one, of the four columns of times.
    """
    found = [name for name in column_names if name in INSTANT_FIELDS]
    if len(found) == 1:
        return INSTANT_FIELDS[found[0]]
    columns = ", ".join(f"{name} ({kind})" for name, kind in INSTANT_FIELDS.items())
    if found:
        raise FileError(
            f"{where} holds several kinds of events: {', '.join(found)}", hint="give each kind its own file"
        )
    near = near_instants(column_names)
    meant = f"; did you misspell it in '{near[0]}'?" if near else ""
    message = f"{where} has none of the columns that identify its kind: {columns}{meant}"
    raise FileError(message, hint="rename the column, or give a mapping file that says which column is what")


def near_instants(column_names: Collection[str]) -> list[str]:
    """List the columns whose name is nearly that of a column of times."""
    some = islice(column_names, _MAX_COMPARED)
    return [name for name in some if difflib.get_close_matches(name.lower(), INSTANT_FIELDS, n=1, cutoff=0.75)]
