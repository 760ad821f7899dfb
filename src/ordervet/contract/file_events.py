"""What one file holds: checked events, and where each of them comes from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.contract.failures import FAILURE_SCHEMA, build_failures
from ordervet.contract.schemas import MODELS
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.contract.failures import Fault
    from ordervet.contract.formats.states import Tally
    from ordervet.contract.instants import Mask, Micros
    from ordervet.contract.schemas import EventKind

FILE_FAILURE_SCHEMA = pa.schema([pa.field("file", pa.string()), *FAILURE_SCHEMA])
AUTO, NATIVE, MAPPED = "auto", "native", "mapping"
INSTANT_FIELDS: dict[str, EventKind] = {model.instant_field: kind for kind, model in MODELS.items()}
_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Checked:
    """Good rows of one kind, and where each of them comes from.

    Parameters
    ----------
    table : shape (n, n_fields), canonical
    files, rows : shape (n,), the number of the file and the row in it
    failures : what is left out, in `FILE_FAILURE_SCHEMA`
    repeats : shape (k, 2), the file and row of those that repeat an earlier file
    refused : shape (k, 2), the file and row of those that do not go with the other files
    """

    kind: EventKind
    table: pa.Table
    files: Micros
    rows: Micros
    failures: pa.Table
    repeats: Micros = field(default_factory=lambda: _NO_ROWS.reshape(0, 2))
    refused: Micros = field(default_factory=lambda: _NO_ROWS.reshape(0, 2))

    def without(self, is_dropped: Mask, faults: Sequence[Fault] = (), names: Sequence[str] = ()) -> Checked:
        """Drop rows: those of the faults go to the failures, the others repeat an earlier file.

        Parameters
        ----------
        is_dropped : shape (n,)
        faults : of dropped rows
        names : of the files
        """
        found = build_failures(faults, self.table["order_id"])
        numbers = found["row"].to_numpy()
        files = pa.array([names[number] for number in self.files[numbers]], pa.string())
        named = found.set_column(0, "row", pa.array(self.rows[numbers])).add_column(0, "file", files)
        is_repeat = is_dropped.copy()
        is_repeat[numbers] = False
        kept = ~is_dropped
        return replace(
            self,
            table=self.table.filter(pa.array(kept)),
            files=self.files[kept],
            rows=self.rows[kept],
            failures=pa.concat_tables([self.failures, named]),
            repeats=np.concatenate([self.repeats, np.column_stack([self.files[is_repeat], self.rows[is_repeat]])]),
            refused=np.concatenate([self.refused, np.column_stack([self.files[numbers], self.rows[numbers]])]),
        )


@dataclass(frozen=True)
class FileEvents:
    """What one file holds.

    Parameters
    ----------
    parts : its events by kind; its rows are accounted for by the first
    format : the name of its format, "native" or "mapping"
    n_rows : rows read
    merged_rows : rows that went into others of the file
    fields : the contract fields that it has a column for
    tally : states that gave no outcome
    """

    parts: tuple[Checked, ...]
    format: str
    n_rows: int
    merged_rows: Micros = field(default_factory=lambda: _NO_ROWS)
    fields: frozenset[str] = frozenset()
    tally: Tally | None = None


def kind_of(column_names: Sequence[str], *, where: str = "the table") -> EventKind:
    """Tell by its columns which kind of event a table holds.

    Raises
    ------
    FileError
        It has none, or more than one, of the four columns of instants.
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
    message = f"{where} has no column that tells what it holds: {columns}{meant}"
    raise FileError(message, hint="name the column so, or give a mapping file that says which column is what")


def near_instants(column_names: Sequence[str]) -> list[str]:
    """List the columns whose name is nearly that of a column of instants."""
    return [name for name in column_names if difflib.get_close_matches(name.lower(), INSTANT_FIELDS, n=1, cutoff=0.75)]
