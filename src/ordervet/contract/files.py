"""Files become Arrow tables, values untouched; whatever is wrong with a file is one clear error.

A text format gives every column as text, because guessing types is how an id loses its leading zeros. Cells are read by
the contract later.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.tabular import to_arrow
from ordervet.contract.values import TRIMMED
from ordervet.errors import ContractError, FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READABLE = (".csv", ".csv.gz", ".jsonl", ".parquet", ".arrow", ".feather", ".xlsx")
_BLOCK = 16 * 2**20  # bytes: no row of a CSV may be longer
_READ_WHOLE = (".json", ".xlsx")  # by their nature; other kinds are also read in pieces (long_files.py)
_MAX_WHOLE = 512 * 2**20  # bytes
_FIRST_INEXACT = 10**15  # Excel keeps fifteen digits of a number
# How other formats begin; a text file never does.
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"PK\x03\x04": "a zip archive, such as xlsx",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "an old Office file (xls)",
    b"%PDF": "PDF",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"<": "HTML or XML",
}


def read_table(path: str | Path) -> pa.Table:
    """Read one file of any known format.

    Parameters
    ----------
    path : ending in .csv, .csv.gz, .jsonl, .parquet, .arrow, .feather or .xlsx. Text is UTF-8, with or without a byte
        order mark, or GB18030; of a workbook the first sheet is read, its first row being the header, and below it
        those of the other sheets that have the same header

    Returns
    -------
    shape (n_rows, n_columns); all text for .csv and .xlsx. A file with a header alone has no rows.

    Raises
    ------
    FileError
        The file is missing, empty, unreadable, damaged, not what its ending says, not in a known encoding, has a column
        twice, or rows of different lengths.
    """
    path = Path(path)
    read = _reader_of(path)
    data = read_bytes(path)
    try:
        return to_arrow(_drop_unnamed(read(data, path)))
    except FileError:
        raise
    except ContractError as error:
        raise FileError(f"{path.name}: {error.message}", hint=error.hint) from None


def _reader_of(path: Path) -> Callable[[bytes, Path], pa.Table]:
    name = path.name.lower()
    for ending, read in _READERS.items():
        if name.endswith(ending):
            return read
    raise FileError(f"{path.name} has no known ending", hint=f"use one of {', '.join(READABLE)}")


def open_error(path: Path, error: OSError) -> FileError:
    """Say in words why a file cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return FileError(f"there is no file {path.name}", hint="check the path; a relative one starts here")
    if isinstance(error, IsADirectoryError):
        return FileError(f"{path.name} is a folder", hint="name the files in it")
    return FileError(f"{path.name} cannot be read: {error.strerror}", hint="check its permissions")


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    FileError
        It is missing, empty, unreadable, or of a kind that is read whole and too large for that.
    """
    try:
        if path.suffix.lower() in _READ_WHOLE and path.stat().st_size > _MAX_WHOLE:
            raise FileError(
                f"{path.name} has more than {_MAX_WHOLE // 2**20} MiB, and such a file is read whole",
                hint="export it as CSV or JSON lines, or in parts",
            )
        data = path.read_bytes()
    except OSError as error:
        raise open_error(path, error) from None
    if not data:
        raise FileError(f"{path.name} is empty", hint="export it again; even no orders have a header")
    return data


def _drop_unnamed(table: pa.Table) -> pa.Table:
    """Drop columns without a name that hold nothing: spreadsheets leave them at the right edge."""
    names = table.column_names
    kept = [i for i, name in enumerate(names) if name or not _is_blank(table.column(i))]
    return table if len(kept) == len(names) else table.select(kept)


def _is_blank(column: pa.ChunkedArray) -> bool:
    if pa.types.is_string(column.type):
        return not pc.any(pc.not_equal(column, "")).as_py()
    return bool(column.null_count == len(column))


def looks_like(data: bytes) -> str:
    """Name the other format that the first bytes tell of; "" when they look like text."""
    start = data[:64].lstrip()
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def wrong_format(path: Path, wanted: str, data: bytes) -> FileError:
    """Say that a file is not what its ending says, and what it looks like."""
    looks = looks_like(data)
    message = f"{path.name} is not {wanted}" + (f"; it looks like {looks}" if looks else "")
    return FileError(message, hint="export it again, or give it the ending of what it is")


def _decode(data: bytes, path: Path, wanted: str) -> tuple[bytes, str]:
    """Give a text as UTF-8 without its byte order mark, and the name of the encoding it was in."""
    if looks_like(data) or b"\0" in data[: 2**16]:
        raise wrong_format(path, wanted, data)
    for encoding in ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        plain = data if encoding == "utf-8" else text.encode()
        return plain.removeprefix(b"\xef\xbb\xbf"), encoding
    raise FileError(f"{path.name} is neither UTF-8 nor GB18030 text", hint="save it as UTF-8")


def decode_text(data: bytes, path: Path, wanted: str) -> str:
    """Decode a text of either known encoding.

    Raises
    ------
    FileError
        It is neither UTF-8 nor GB18030, or looks like another format than the one wanted.
    """
    text, _ = _decode(data, path, wanted)
    return text.decode()


def _unzip(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise wrong_format(path, "a whole gzip file", data) from None


def _read_csv(data: bytes, path: Path) -> pa.Table:
    from pyarrow import csv as arrow_csv

    text, _ = _decode(data, path, "CSV")
    if not text.strip():
        raise FileError(f"{path.name} is empty", hint="export it again; even no orders have a header")
    header = next(csv.reader(io.TextIOWrapper(io.BytesIO(text), "utf-8", newline="")))
    convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    read = arrow_csv.ReadOptions(block_size=_BLOCK)
    try:
        table = arrow_csv.read_csv(pa.BufferReader(_ended(text)), read, parse, convert)
    except pa.ArrowInvalid:
        raise _ragged(text, path) from None
    if _is_quote_open(text, table):
        raise FileError(f"{path.name}: a quotation mark is never closed", hint="export it again with quoted texts")
    return table.rename_columns([name.strip(TRIMMED) for name in table.column_names])


def _ended(text: bytes) -> bytes:
    return text if text.endswith(b"\n") else text + b"\n"  # Arrow takes a header alone only as a whole line


def _is_quote_open(text: bytes, table: pa.Table) -> bool:
    """Tell whether the last row swallowed the end of the file through a quotation mark left open."""
    if not table.num_rows or text.count(b'"') % 2 == 0:
        return False
    return any("\n" in value for value in table.slice(table.num_rows - 1).to_pylist()[0].values())


def _ragged(text: bytes, path: Path) -> FileError:
    """Find the first row of another length than the header's."""
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(text), "utf-8", newline=""))
    width = len(next(rows))
    try:
        for row in rows:
            if row and len(row) != width:
                return FileError(
                    f"{path.name}, line {rows.line_num}: {len(row)} values, but the header has {width}",
                    hint="quote values that hold a comma, then export it again",
                )
    except csv.Error:
        pass
    return FileError(
        f"{path.name} is damaged: a row is longer than 16 MiB or a quotation mark is left open", hint="export it again"
    )


def _read_csv_gz(data: bytes, path: Path) -> pa.Table:
    return _read_csv(_unzip(data, path), path)


def _read_jsonl(data: bytes, path: Path) -> pa.Table:
    text, _ = _decode(data, path, "JSON lines")
    return to_arrow(list(_json_rows(text, path)))


def _json_rows(text: bytes, path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(text), "utf-8"), start=1):
        if line.strip():
            yield read_json_line(line, path, number)


def read_json_line(line: str, path: Path, number: int) -> dict[str, Any]:
    """Read one line of JSON lines.

    Raises
    ------
    FileError
        It is no JSON object, or has a name twice.
    """
    hint = "write one JSON object per line"
    try:
        row = json.loads(line, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise FileError(f"{path.name}, line {number}: not JSON, or a name stands twice", hint=hint) from None
    if not isinstance(row, dict):
        raise FileError(f"{path.name}, line {number}: not a JSON object", hint=hint)
    return row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError
    return row


def _read_parquet(data: bytes, path: Path) -> pa.Table:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError):
        raise wrong_format(path, "a whole Parquet file", data) from None


def _read_arrow(data: bytes, path: Path) -> pa.Table:
    source = pa.BufferReader(data)
    try:
        reader = pa.ipc.open_file(source) if data.startswith(b"ARROW1") else pa.ipc.open_stream(source)
        return reader.read_all()
    except (pa.ArrowException, OSError):
        raise wrong_format(path, "a whole Arrow file", data) from None


def _read_xlsx(data: bytes, path: Path) -> pa.Table:
    rows = _sheet_rows(data, path)
    header = [_cell_text(cell, path, "the header").strip(TRIMMED) for cell in rows[0]]
    filled = [row for row in rows[1:] if any(cell != "" for cell in row)]
    columns = [[_cell_text(row[i], path, f"column '{name}'") for row in filled] for i, name in enumerate(header)]
    return pa.table([pa.array(column, pa.string()) for column in columns], names=header)


def read_xlsx_rows(path: Path) -> list[list[str]]:
    """Read the first sheet of a workbook as texts; a number whose last digits are lost is written with an exponent.

    Raises
    ------
    FileError
        The file is missing, empty, locked or no workbook.
    """
    return [[_lenient_text(cell) for cell in row] for row in _sheet_rows(read_bytes(path), path)]


def _sheet_rows(data: bytes, path: Path) -> list[list[Any]]:
    import python_calamine

    if not data.startswith(b"PK\x03\x04"):
        raise wrong_format(path, "an xlsx workbook", data)
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        tables = [s.name for s in workbook.sheets_metadata if s.typ == python_calamine.SheetTypeEnum.WorkSheet]
        sheets: list[list[list[Any]]] = [workbook.get_sheet_by_name(name).to_python() for name in tables]
    except python_calamine.PasswordError:
        raise FileError(f"{path.name} is locked by a password", hint="save it without one") from None
    except (python_calamine.CalamineError, OSError):
        raise wrong_format(path, "a whole xlsx workbook", data) from None
    if not sheets or not sheets[0]:
        raise FileError(f"the first sheet of {path.name} is empty", hint="put the table on the first sheet")
    return _join_sheets(*sheets)


def _join_sheets(first: list[list[Any]], *others: list[list[Any]]) -> list[list[Any]]:
    """Put the rows of sheets with the first one's header below it, as the desk's queue has one sheet per stage."""
    header = _trim_header(first[0])
    joined = list(first)
    for rows in others:
        if header and rows and _trim_header(rows[0]) == header:
            joined += [(row + [""] * len(first[0]))[: len(first[0])] for row in rows[1:]]
    return joined


def _trim_header(cells: list[Any]) -> list[str]:
    names = [str(cell).strip(TRIMMED) for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def _cell_text(cell: object, path: Path, where: str) -> str:
    """Give a cell of a workbook as text; a whole number never gets a decimal point."""
    if isinstance(cell, (int, float)) and abs(cell) >= _FIRST_INEXACT:
        raise FileError(
            f"{path.name}, {where}: a number of more than fifteen digits, whose last ones are lost",
            hint="store ids as text in the workbook",
        )
    return _lenient_text(cell)


def _lenient_text(cell: object) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (int, float)):
        if abs(cell) >= _FIRST_INEXACT:
            return format(cell, ".14E")
        return str(int(cell)) if cell == int(cell) else format(Decimal(repr(cell)), "f")
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, date) else str(cell)


_READERS: dict[str, Callable[[bytes, Path], pa.Table]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv_gz,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
    ".xlsx": _read_xlsx,
}
