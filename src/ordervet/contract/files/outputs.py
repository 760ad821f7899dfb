"""Tables become files, whole or not at all.

A file is written beside its place, brought to the disk, and renamed into it. Text cells that a spreadsheet would take
for a formula are made inert: in CSV a ``'`` is put in front of a text that begins with ``=``, ``+``, ``-``, ``@``, a
tab or a carriage return; in xlsx every text is stored as a text, and such a one is marked as quoted, so that editing it
does not wake it up. Numbers stay numbers.
"""

from __future__ import annotations

import io
import json
import math
import os
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ordervet import storage
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

APPENDABLE = (".parquet", ".csv", ".jsonl")
WRITABLE = (*APPENDABLE, ".xlsx")
_READ_BY_PEOPLE = (".csv", ".xlsx")
_WAKING = r"^[=+\-@\t\r]"
_WAKING_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_MAX_SHEET_ROWS = 1_048_575  # below the header
_MAX_CELL = 32_767  # characters
_MAX_EXACT = 10**15  # Excel keeps fifteen digits of a number
_ROWS_AT_ONCE = 2**16


def check_out_path(path: str | Path) -> Path:
    """Check, before any work, that a table can be written to a path.

    Raises
    ------
    FileError
        The ending is unknown, the path is a folder, or its folder neither exists nor can be made, or is not writable.
    """
    return check_place(path, WRITABLE)


def check_place(path: str | Path, endings: Sequence[str]) -> Path:
    """Check, before any work, that a file with one of some endings can be written to a path.

    Raises
    ------
    FileError
        As for `check_out_path`.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise FileError(f"cannot write {path.name}: unknown ending", hint=f"use one of {', '.join(endings)}")
    if path.is_dir():
        raise FileError(f"cannot write {path.name}: it is a folder", hint="name a file in it")
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not folder.is_dir():
        raise FileError(f"cannot write {path.name}: {folder.name} is not a folder", hint="choose another folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"cannot write {path.name}: no permission in its folder", hint="choose another folder")
    return path


def write_table(table: pa.Table, path: str | Path, *, time_zone: str | None = None) -> None:
    """Write a table to a file, whole or not at all.

    Parameters
    ----------
    table : shape (n_rows, n_columns). In .csv and .xlsx, lists of texts are joined by "; ", other nested values are
        JSON, and times are ISO texts with their offset
    path : ending in .parquet, .csv (UTF-8 with byte order mark, so that spreadsheets read Chinese), .jsonl or .xlsx;
        its folder is made if need be
    time_zone : IANA name of the zone that people read times in, in .csv and .xlsx; None leaves them in their own

    Raises
    ------
    FileError
        As for `check_out_path`, the disk is full, or the table is too large for a sheet. What stood there stays.
    """
    path = check_out_path(path)
    write = _WRITERS[path.suffix.lower()]
    local = _to_local(table, path, time_zone)
    write_whole(path, lambda file: write(local, file))


def write_tables(tables: Iterable[pa.Table], path: str | Path, *, time_zone: str | None = None) -> None:
    """Write tables of one schema behind each other to a file, whole or not at all; one of them in memory at a time.

    Parameters
    ----------
    tables : one at least; what they raise ends the writing, and nothing changes
    path : ending in .parquet, .csv or .jsonl; otherwise as for `write_table`
    time_zone : as for `write_table`

    Raises
    ------
    FileError
        As for `write_table`.
    """
    path = check_place(path, APPENDABLE)
    append = {".parquet": _append_parquet, ".csv": _append_csv, ".jsonl": _append_jsonl}[path.suffix.lower()]
    write_whole(path, lambda file: append((_to_local(table, path, time_zone) for table in tables), file))


def _to_local(table: pa.Table, path: Path, time_zone: str | None) -> pa.Table:
    """Bring times to the zone that people read them in; programs, which read the other formats, get UTC."""
    if time_zone is None or path.suffix.lower() not in _READ_BY_PEOPLE:
        return table
    zoned = [pa.types.is_timestamp(type_) and type_.tz is not None for type_ in table.schema.types]
    columns = [
        column.cast(pa.timestamp("us", time_zone)) if is_zoned else column
        for column, is_zoned in zip(table.columns, zoned, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


def write_whole(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file beside its place, bring it to the disk and rename it; on any error nothing changes.

    Parameters
    ----------
    path : where the file goes; its folder is made if need be
    write : called once with the open file

    Raises
    ------
    FileError
        The system refuses: no permission, no space.
    """
    try:
        storage.write_file(path, write)
    except OSError as error:
        raise FileError(
            f"cannot write {path.name}: {error.strerror}", hint="free some space or choose another folder"
        ) from None


def write_text(text: str, path: Path) -> None:
    """Write a text file as UTF-8, whole or not at all.

    Raises
    ------
    FileError
        As for `write_whole`.
    """

    def write(file: IO[bytes]) -> None:
        file.write(text.encode())

    write_whole(path, write)


def drop_nan(value: Any) -> Any:
    """Return plain values, however deep, with None for every number that JSON does not know."""
    if isinstance(value, dict):
        return {key: drop_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [drop_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    _append_parquet([table], file)


def _append_parquet(tables: Iterable[pa.Table], file: IO[bytes]) -> None:
    from pyarrow import parquet

    coming = iter(tables)
    first = next(coming)
    with parquet.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for table in coming:
            writer.write_table(table)


def _write_csv(table: pa.Table, file: IO[bytes]) -> None:
    _append_csv([table], file)


def _append_csv(tables: Iterable[pa.Table], file: IO[bytes]) -> None:
    from pyarrow import csv as arrow_csv

    file.write(b"\xef\xbb\xbf")
    for number, table in enumerate(tables):
        flat = _flatten(table)
        inert = pa.table([_make_inert(column) for column in flat.columns], names=flat.column_names)
        arrow_csv.write_csv(inert, file, arrow_csv.WriteOptions(include_header=number == 0))


def _make_inert(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column
    is_waking = pc.match_substring_regex(column, _WAKING)
    return pc.if_else(is_waking, pc.binary_join_element_wise("'", column, ""), column)


def _write_jsonl(table: pa.Table, file: IO[bytes]) -> None:
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        lines = [json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in batch.to_pylist()]
        file.write("".join(lines).encode())


def _append_jsonl(tables: Iterable[pa.Table], file: IO[bytes]) -> None:
    for table in tables:
        _write_jsonl(table, file)


def _plain(value: Any) -> Any:
    """Give a value as JSON knows it: times as ISO texts, what is no number as null."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _flatten(table: pa.Table) -> pa.Table:
    """Convert every column of a table to something one cell can hold."""
    return pa.table([_flat_column(column) for column in table.columns], names=table.column_names)


def _flat_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    is_type = pa.types
    if is_type.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_type.is_large_string(column.type) or is_type.is_string_view(column.type):
        return column.cast(pa.string())
    if is_type.is_nested(column.type):
        return pa.chunked_array([[_cell_of(value) for value in column.to_pylist()]], pa.string())
    if is_type.is_timestamp(column.type) and column.type.tz is not None:
        return pa.chunked_array([[None if at is None else _plain(at) for at in column.to_pylist()]], pa.string())
    return column


def _cell_of(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "; ".join(value)
    return json.dumps(_plain(value), ensure_ascii=False)


def _write_xlsx(table: pa.Table, file: IO[bytes]) -> None:
    import xlsxwriter

    if table.num_rows > _MAX_SHEET_ROWS:
        raise FileError(
            f"{table.num_rows:,} rows do not fit a sheet, which holds {_MAX_SHEET_ROWS:,}",
            hint="write .csv or .parquet",
        )
    # NOTE: packed in memory first; on a full disk an open archive would complain once more, when it is thrown away.
    packed = io.BytesIO()
    workbook = xlsxwriter.Workbook(packed, {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"})
    try:
        _fill_sheet(workbook, _flatten(table))
    finally:
        workbook.close()
    file.write(packed.getbuffer())


def _fill_sheet(workbook: Any, table: pa.Table) -> None:
    sheet = workbook.add_worksheet("ordervet")
    bold, quoted = workbook.add_format({"bold": True}), workbook.add_format({"quote_prefix": True})
    for number, name in enumerate(table.column_names):
        sheet.write_string(0, number, name, bold)
    first_row = 1
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row, values in enumerate(batch.to_pylist(), start=first_row):
            for column, value in enumerate(values.values()):
                _write_cell(sheet, row, column, value, quoted)
        first_row += batch.num_rows
    sheet.freeze_panes(1, 0)
    if table.num_columns:
        sheet.autofilter(0, 0, table.num_rows, table.num_columns - 1)


def _write_cell(sheet: Any, row: int, column: int, value: Any, quoted: Any) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, (int, float)) and abs(value) < _MAX_EXACT:
        sheet.write_number(row, column, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value)
    elif value is not None and value == value:  # noqa: PLR0124 - NaN differs from itself and leaves the cell blank
        text = str(value)
        if len(text) > _MAX_CELL:
            raise FileError(f"a text of {len(text):,} characters does not fit a cell", hint="write .csv or .parquet")
        sheet.write_string(row, column, text, quoted if text.startswith(_WAKING_SIGNS) else None)


_WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".xlsx": _write_xlsx,
}
