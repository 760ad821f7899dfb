"""Open a file of rows by its ending, and read tables from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ordervet.contract.files.arrow_rows import ArrowRows
from ordervet.contract.files.csv_rows import CsvRows
from ordervet.contract.files.json_rows import JsonRows
from ordervet.contract.files.limits import check_limit
from ordervet.contract.files.opening import SEPARATED, SHEETS, is_long, looks_like_text
from ordervet.contract.files.row_source import RawRows
from ordervet.contract.files.sheet_rows import SheetRows
from ordervet.contract.files.unpacking import Unpacker
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ordervet.contract.files.row_source import RowSource
    from ordervet.contract.formats.definition import JsonPlaces


def open_rows(path: str | Path, json_places: Sequence[JsonPlaces] = (), *, in_one: bool = True) -> RowSource:
    """Open a file of rows.

    Parameters
    ----------
    path : ending in .json, or in anything that `read_table` knows
    json_places : where the formats expect rows in a JSON document
    in_one : whether even a long file is one piece

    Raises
    ------
    FileError
        The file is missing, empty, unreadable, or not what its ending says.
    """
    unpacker = Unpacker()
    path, *others = unpacker.unpack(Path(path))
    if others:
        raise FileError(f"{Path(path).name} holds {len(others) + 1} files", hint="unpack it, and name one of them")
    in_pieces = not in_one and is_long(path)
    name = path.name.lower()
    source: RowSource
    if name.endswith(SEPARATED) or (name.endswith(SHEETS) and looks_like_text(path)):
        source = CsvRows(path, is_long=in_pieces)
    elif name.endswith((".json", ".jsonl")):
        source = JsonRows(path, json_places, is_long=in_pieces)
    else:
        source = SheetRows(path) if name.endswith(SHEETS) else ArrowRows(path, is_long=in_pieces)
    check_limit(path, "columns", len(source.names))
    source.unpacker = unpacker
    return source


def read_table(path: str | Path) -> pa.Table:
    """Read one file of any known format.

    Parameters
    ----------
    path : ending in .csv, .tsv, .txt, .jsonl, .parquet, .arrow, .feather, .xlsx or .xls, or in .gz or .zip after that.
        Text is UTF-8, UTF-16, with or without a byte order mark, or GB18030, its cells separated by commas,
        semicolons, tabs or bars; of a workbook the first sheet with a table is read, and below it those of the other
        sheets that have the same header. Under .xls it may be text, HTML or XML. Titles above the header are left out

    Returns
    -------
    shape (n_rows, n_columns); all text for separated text and workbooks, because guessing types is how an id loses its
    leading zeros. A file with a header alone has no rows.

    Raises
    ------
    FileError
        The file is missing, empty, unreadable, damaged, not what its ending says, not in a known encoding, has a column
        twice, or rows of different lengths.
    """
    return RawRows.join(list(open_rows(path).iter_raw_rows())).table


def iter_table_blocks(path: str | Path, names: Collection[str] | None = None) -> Iterator[pa.Table]:
    """Read a file block by block, of a CSV never more than 16 MiB at once.

    Parameters
    ----------
    path : as for `read_table`, or .json
    names : the columns wanted; without it all of them

    Yields
    ------
    shape (n_rows, n_columns); cells without their quotes for Excel, "" where nothing is given

    Raises
    ------
    FileError
        As for `read_table`; but rows of another length than the header's are left out.
    """
    rows = open_rows(path)
    wanted = rows.names if names is None else [name for name in rows.names if name in set(names)]
    for block in rows.iter_blocks(wanted):
        yield pa.table({name: block.columns[name] for name in wanted})
