"""One file becomes the checked events it holds: in contract columns, through a mapping, or by a platform's format."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.contract.failures import FAILURE_SCHEMA, build_failures
from ordervet.contract.files import read_table
from ordervet.contract.formats.blocks import CsvRows, TableRows, open_rows
from ordervet.contract.formats.detection import choose_format, detect_format
from ordervet.contract.formats.exports import read_export
from ordervet.contract.formats.library import list_formats
from ordervet.contract.mapped import apply_mapping
from ordervet.contract.schemas import MODELS
from ordervet.contract.tables import split_events
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from ordervet.contract.failures import Fault
    from ordervet.contract.formats.blocks import RowSource
    from ordervet.contract.formats.definition import Format
    from ordervet.contract.formats.exports import ExportTable
    from ordervet.contract.formats.states import Tally
    from ordervet.contract.instants import Mask, Micros
    from ordervet.contract.mapping import Mapping
    from ordervet.contract.schemas import EventKind

FILE_FAILURE_SCHEMA = pa.schema([pa.field("file", pa.string()), *FAILURE_SCHEMA])
AUTO, NATIVE, MAPPED = "auto", "native", "mapping"
_INSTANT_FIELDS: dict[str, EventKind] = {model.instant_field: kind for kind, model in MODELS.items()}
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


@dataclass(frozen=True)
class FileReader:
    """Reads files the way a caller wants them read.

    Parameters
    ----------
    mapping : for files that have all of its columns
    time_zone : of native files
    formats_dir : a folder of further formats
    format : a format's name, "native", or "auto" to find it out
    """

    mapping: Mapping | None
    time_zone: str
    formats_dir: str | Path | None = None
    format: str = AUTO

    @cached_property
    def formats(self) -> tuple[Format, ...]:
        """The formats that are known."""
        return list_formats(self.formats_dir)

    def read(self, number: int, path: Path) -> FileEvents:
        """Read one file.

        Parameters
        ----------
        number : of the file among those of the call
        path : of the file

        Raises
        ------
        FileError, ContractError, MappingError
            As for `read_events`.
        """
        if self.format == NATIVE:
            return self._read_native(number, path, read_table(path))
        if self.format != AUTO:
            source = self._open(path)
            return _read_format(number, source, choose_format(self.format, source.names, self.formats, where=path.name))
        source, table = self._peek(path)
        names = source.names if table is None else tuple(table.column_names)
        if self.mapping is not None and set(self.mapping.columns) <= set(names):
            return self._read_mapped(number, path, read_table(path) if table is None else table)
        if any(name in _INSTANT_FIELDS for name in names):
            return self._read_native(number, path, read_table(path) if table is None else table)
        return self._read_foreign(number, source)

    def _open(self, path: Path) -> RowSource:
        return open_rows(path, [each.json_places for each in self.formats])

    def _peek(self, path: Path) -> tuple[RowSource, pa.Table | None]:
        """Look at a file's columns; the table comes along where the whole file had to be read for that."""
        name = path.name.lower()
        if name.endswith((".csv", ".csv.gz")):
            return CsvRows.open(path), None
        if name.endswith((".json", ".xlsx")):
            return self._open(path), None
        table = read_table(path)
        is_plain = name.endswith(".jsonl") and not any(each in _INSTANT_FIELDS for each in table.column_names)
        return (self._open(path), None) if is_plain else (TableRows.of(path, table), table)

    def _read_foreign(self, number: int, source: RowSource) -> FileEvents:
        """Read a file that is neither native nor mapped by the format that it fits."""
        path = source.path
        try:
            fmt = detect_format(source.names, self.formats, where=path.name)
        except FileError:
            if self.mapping is not None:
                return self._read_mapped(number, path, read_table(path))
            if near_instants(source.names):
                kind_of(source.names, where=path.name)
            raise
        return _read_format(number, source, fmt)

    def _read_native(self, number: int, path: Path, table: pa.Table) -> FileEvents:
        kind = kind_of(table.column_names, where=path.name)
        checked = _check(kind, table, number, path.name, np.arange(table.num_rows), self.time_zone)
        return FileEvents((checked,), NATIVE, table.num_rows, fields=frozenset(table.column_names))

    def _read_mapped(self, number: int, path: Path, table: pa.Table) -> FileEvents:
        if self.mapping is None:
            raise AssertionError("a file is read through a mapping only where there is one")
        mapped = apply_mapping(table, self.mapping, where=path.name)
        rows = np.arange(table.num_rows)
        parts = [_check("orders", mapped.orders, number, path.name, rows, mapped.time_zone, mapped.in_major)]
        if mapped.verdicts is not None:
            parts.append(_check("verdicts", mapped.verdicts, number, path.name, mapped.verdict_rows, mapped.time_zone))
        return FileEvents(tuple(parts), MAPPED, table.num_rows, fields=frozenset(mapped.orders.column_names))


def kind_of(column_names: Sequence[str], *, where: str = "the table") -> EventKind:
    """Tell by its columns which kind of event a table holds.

    Raises
    ------
    FileError
        It has none, or more than one, of the four columns of instants.
    """
    found = [name for name in column_names if name in _INSTANT_FIELDS]
    if len(found) == 1:
        return _INSTANT_FIELDS[found[0]]
    columns = ", ".join(f"{name} ({kind})" for name, kind in _INSTANT_FIELDS.items())
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
    return [name for name in column_names if difflib.get_close_matches(name.lower(), _INSTANT_FIELDS, n=1, cutoff=0.75)]


def _check(
    kind: EventKind,
    table: pa.Table,
    number: int,
    name: str,
    rows: Micros,
    time_zone: str,
    in_major: Collection[str] = (),
) -> Checked:
    good, failures = split_events(kind, table, time_zone=time_zone, in_major=in_major, where=name)
    broken = failures["row"].to_numpy()
    good_rows = np.delete(rows, np.unique(broken))
    named = failures.set_column(0, "row", pa.array(rows[broken]))
    return Checked(kind, good, np.full(len(good_rows), number), good_rows, _name_file(named, name))


def _read_format(number: int, source: RowSource, fmt: Format) -> FileEvents:
    export = read_export(source, fmt)
    parts = [_checked(number, export.main, _name_file(export.failures, source.path.name))]
    if export.derived is not None:
        parts.append(_checked(number, export.derived, FILE_FAILURE_SCHEMA.empty_table()))
    return FileEvents(tuple(parts), fmt.name, export.n_rows, export.merged_rows, export.fields, export.tally)


def _checked(number: int, part: ExportTable, failures: pa.Table) -> Checked:
    return Checked(part.kind, part.table, np.full(len(part.rows), number), part.rows, failures)


def _name_file(failures: pa.Table, name: str) -> pa.Table:
    return failures.add_column(0, FILE_FAILURE_SCHEMA.field("file"), pa.array([name] * failures.num_rows, pa.string()))
