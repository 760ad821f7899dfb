"""One file becomes the checked events it holds: in contract columns, through a mapping, or by a platform's format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.contract.closing import close_orders, find_ends
from ordervet.contract.columns import read_column
from ordervet.contract.file_events import (
    AUTO,
    FILE_FAILURE_SCHEMA,
    INSTANT_FIELDS,
    MAPPED,
    NATIVE,
    Checked,
    FileEvents,
    kind_of,
    near_instants,
)
from ordervet.contract.files import read_table
from ordervet.contract.formats.blocks import CsvRows, TableRows, open_rows
from ordervet.contract.formats.definition import Format
from ordervet.contract.formats.detection import choose_format, detect_format
from ordervet.contract.formats.exports import iter_exports, read_export
from ordervet.contract.formats.library import list_formats
from ordervet.contract.long_files import RawRows, is_long, iter_raw_rows, open_long_rows
from ordervet.contract.mapped import apply_mapping, check_mapped_columns, map_order_ids
from ordervet.contract.tables import check_columns, split_events
from ordervet.contract.values import load_zone
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from ordervet.contract.formats.blocks import RowSource
    from ordervet.contract.formats.exports import Export, ExportTable
    from ordervet.contract.instants import Micros
    from ordervet.contract.mapping import Mapping
    from ordervet.contract.schemas import EventKind


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
        source, table = self._peek(path)
        how = self._choose(source.names, path.name)
        if isinstance(how, Format):
            return _of_export(number, path.name, read_export(source, how), how)
        rows = RawRows.of(read_table(path) if table is None else table)
        return self._read_raw(number, path.name, rows, how)

    def iter_pieces(self, number: int, path: Path) -> Iterator[FileEvents]:
        """Read one file, a long one piece by piece in bounded memory; all rows of an order are in one piece.

        Parameters, results and errors are those of `read`. A file that changes while it is read is an error.
        """
        if not is_long(path):
            yield self.read(number, path)
            return
        source = open_long_rows(path, [each.json_places for each in self.formats])
        how = self._choose(source.names, path.name)
        if isinstance(how, Format):
            for export in iter_exports(source, how):
                yield _of_export(number, path.name, export, how)
            return
        for rows in self._iter_raw(path, how):
            yield self._read_raw(number, path.name, rows, how)

    def holds_orders(self, path: Path) -> bool:
        """Tell whether a file holds orders; errors are those of `read`."""
        if is_long(path):
            names: Collection[str] = open_long_rows(path, [each.json_places for each in self.formats]).names
        else:
            names = self._peek(path)[0].names
        how = self._choose(names, path.name)
        if isinstance(how, Format):
            return how.kind == "orders"
        return how == MAPPED or kind_of(tuple(names), where=path.name) == "orders"

    def _peek(self, path: Path) -> tuple[RowSource, pa.Table | None]:
        """Look at a file's columns; the table comes along where the whole file had to be read for that."""
        name = path.name.lower()
        if name.endswith((".csv", ".csv.gz")):
            return CsvRows.open(path), None
        if name.endswith((".json", ".xlsx")) or self.format not in {AUTO, NATIVE}:
            return self._open(path), None
        table = read_table(path)
        is_plain = name.endswith(".jsonl") and not any(each in INSTANT_FIELDS for each in table.column_names)
        return (self._open(path), None) if is_plain else (TableRows.of(path, table), table)

    def _open(self, path: Path) -> RowSource:
        return open_rows(path, [each.json_places for each in self.formats])

    def _choose(self, names: Collection[str], where: str) -> Format | str:
        """Choose how a file is read, by its columns: by a format, in contract columns, or through the mapping."""
        if self.format == NATIVE:
            return NATIVE
        if self.format != AUTO:
            return choose_format(self.format, tuple(names), self.formats, where=where)
        if self.mapping is not None and set(self.mapping.columns) <= set(names):
            return MAPPED
        if any(name in INSTANT_FIELDS for name in names):
            return NATIVE
        try:
            return detect_format(tuple(names), self.formats, where=where)
        except FileError:
            if self.mapping is not None:
                return MAPPED
            if near_instants(tuple(names)):
                kind_of(tuple(names), where=where)
            raise

    def _iter_raw(self, path: Path, how: str) -> Iterator[RawRows]:
        """Give the rows of a long file in pieces that hold whole orders."""
        names = open_long_rows(path).names
        if how == NATIVE:
            check_columns(kind_of(names, where=path.name), names, where=path.name)
        else:
            check_mapped_columns(names, self._mapping, where=path.name)
        ends = find_ends(self._order_ids(rows, how).combine_chunks() for rows in iter_raw_rows(path))
        yield from (
            rows for rows, _ in close_orders(iter_raw_rows(path), ends, lambda rows: self._order_ids(rows, how), path)
        )

    def _order_ids(self, rows: RawRows, how: str) -> pa.ChunkedArray:
        raw = rows.table["order_id"] if how == NATIVE else map_order_ids(rows.table, self._mapping)
        return pa.chunked_array([read_column(raw.combine_chunks(), "text", load_zone("UTC")).values], pa.string())

    def _read_raw(self, number: int, name: str, rows: RawRows, how: str) -> FileEvents:
        if how == NATIVE:
            kind = kind_of(rows.table.column_names, where=name)
            checked = _check(kind, rows.table, number, name, rows.rows, self.time_zone)
            return FileEvents((checked,), NATIVE, len(rows.rows), fields=frozenset(rows.table.column_names))
        mapped = apply_mapping(rows.table, self._mapping, where=name)
        parts = [_check("orders", mapped.orders, number, name, rows.rows, mapped.time_zone, mapped.in_major)]
        if mapped.verdicts is not None:
            labelled = rows.rows[mapped.verdict_rows]
            parts.append(_check("verdicts", mapped.verdicts, number, name, labelled, mapped.time_zone))
        return FileEvents(tuple(parts), MAPPED, len(rows.rows), fields=frozenset(mapped.orders.column_names))

    @property
    def _mapping(self) -> Mapping:
        if self.mapping is None:
            raise AssertionError("a file is read through a mapping only where there is one")
        return self.mapping


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


def _of_export(number: int, name: str, export: Export, fmt: Format) -> FileEvents:
    parts = [_checked(number, export.main, _name_file(export.failures, name))]
    if export.derived is not None:
        parts.append(_checked(number, export.derived, FILE_FAILURE_SCHEMA.empty_table()))
    return FileEvents(tuple(parts), fmt.name, export.n_rows, export.merged_rows, export.fields, export.tally)


def _checked(number: int, part: ExportTable, failures: pa.Table) -> Checked:
    return Checked(part.kind, part.table, np.full(len(part.rows), number), part.rows, failures)


def _name_file(failures: pa.Table, name: str) -> pa.Table:
    return failures.add_column(0, FILE_FAILURE_SCHEMA.field("file"), pa.array([name] * failures.num_rows, pa.string()))
