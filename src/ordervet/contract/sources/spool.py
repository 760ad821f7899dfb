"""The rows of a query, in a file without a name: what a database sends is taken off it at once, and read from there.

A connection is held no longer than it takes to send the rows, however long it takes to ingest them, and the rows can be
read twice as those of a file are. The file has no name, so that the system removes it when the process ends, however it
ends: personal data stays nowhere.
"""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from ordervet.contract.files.opening import MAX_PIECE
from ordervet.contract.files.row_source import RowSource, clean_block

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ordervet.contract.files.row_source import Block

_COMPRESSION = "lz4"


class Spool:
    """A file without a name that rows are written to.

    Parameters
    ----------
    names : of the columns, all of them texts
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="ordervet-")  # noqa: SIM115 - closed with the spool
        weakref.finalize(self, self._file.close)
        self.schema = pa.schema([pa.field(name, pa.string()) for name in names])
        options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION)
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, "w"), self.schema, options=options)
        self.n_rows = self.n_bytes = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Write some rows."""
        self._writer.write_batch(rows)
        self.n_rows += rows.num_rows
        self.n_bytes += rows.nbytes

    def close_rows(self) -> None:
        """End writing."""
        self._writer.close()

    def iter_tables(self) -> Iterator[pa.Table]:
        """Read the rows from the first on."""
        self._file.seek(0)
        with pa.ipc.open_stream(pa.PythonFile(self._file, "r")) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])


class QueryRows(RowSource):
    """The rows of a query, as those of a file of that name.

    Parameters
    ----------
    name : of the query
    spool : its rows
    names : column of the spool → what it is called here; columns that are not named are left out
    in_one : whether even many rows are one piece
    """

    def __init__(self, name: str, spool: Spool, names: dict[str, str], *, in_one: bool = False) -> None:
        super().__init__(Path(name), is_long=not in_one and spool.n_bytes > MAX_PIECE)
        self._spool, self._names = spool, names

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self._names.values())

    def iter_blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Read the rows in pieces of some ten thousand."""
        for table in self.iter_tables():
            yield clean_block(table, names)

    def iter_tables(self) -> Iterator[pa.Table]:
        """Read the rows in pieces of some ten thousand, values as given."""
        tables = self._spool.iter_tables()
        if self.is_long:
            yield from map(self._rename, tables)
        else:
            yield self._rename(pa.concat_tables([self._spool.schema.empty_table(), *tables]))

    def _rename(self, table: pa.Table) -> pa.Table:
        return self.check_table(table.select(list(self._names)).rename_columns(list(self._names.values())))
