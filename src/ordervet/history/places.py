"""Where in a store the rows of an order id are, so that one order is read without reading all.

    file    the names of its rows, sorted, four bytes of each | which row each is | where its row groups end
    group   per kind of event its rows, one after the other: numbers, and places in the column's distinct values

A file is looked at when a row is first asked for after it was written, and then kept: eight bytes a row. Row groups
that were read are kept, too, those asked for last: about 350 bytes a row, `KEPT_BYTES` at most.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.entities.keyed import ORDER_ID
from ordervet.history.delta import check_data, load_table, name_file, read_rows
from ordervet.history.stored_rows import read_ints

if TYPE_CHECKING:
    from pathlib import Path

    from deltalake import DeltaTable
    from numpy.typing import NDArray

    from ordervet.history.views import Row

KEPT_BYTES = 256 * 2**20
"""What the row groups that are kept take at most, but for the last one: about 700,000 rows."""

_NAME = "name_id"
_LOW = np.uint64(0xFFFFFFFF)


class _File(NamedTuple):
    """Where the rows of a data file are."""

    names: NDArray[np.uint32]
    rows: NDArray[np.uint32]
    ends: NDArray[np.int64]

    def find_rows(self, name: np.uint32) -> list[int]:
        """Find the rows that may be of a name."""
        begin = int(self.names.searchsorted(name))
        if begin == len(self.names) or self.names[begin] != name:
            return []
        found: list[int] = self.rows[begin : self.names.searchsorted(name, "right")].tolist()
        return found


class _Group:
    """The rows of a row group, those of one kind of event side by side, without the columns that none of them has.

    Parameters
    ----------
    rows : shape (n_rows, n_columns), as `read_rows` gives them
    """

    def __init__(self, rows: pa.Table) -> None:
        columns = {}
        for name in rows.column_names:
            column, distinct = rows[name].combine_chunks(), None
            if column.null_count < len(column):
                if not (pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type)):
                    encoded = column.dictionary_encode()
                    column, distinct = encoded.indices, encoded.dictionary
                numbers = np.asarray(pc.fill_null(column.cast(pa.int64()), 0))
                columns[name] = distinct, numbers, np.asarray(column.is_valid())
        self._part = columns["event"][1].astype(np.uint8)
        self._at = np.empty(rows.num_rows, np.uint32)
        self._parts = []
        self.n_bytes = self._part.nbytes + self._at.nbytes
        self.n_bytes += sum(distinct.nbytes for distinct, _, _ in columns.values() if distinct is not None)
        for part in range(int(self._part.max()) + 1):
            of_part = np.flatnonzero(self._part == part)
            self._at[of_part] = np.arange(len(of_part))
            known = {name: is_known[of_part] for name, (_, _, is_known) in columns.items()}
            names = [name for name, is_known in known.items() if is_known.any()]
            # SPEED: a row of a matrix is read in a tenth of the time of as many columns (bench_live.py).
            values = np.empty((len(of_part), len(names)), np.int64)
            is_known_there = np.empty(values.shape, bool)
            for at, name in enumerate(names):
                values[:, at], is_known_there[:, at] = columns[name][1][of_part], known[name]
            self._parts.append(([(name, columns[name][0]) for name in names], values, is_known_there))
            self.n_bytes += values.nbytes + is_known_there.nbytes

    def read(self, row: int) -> Row:
        """Read one row: plain values, times as microseconds, no nulls."""
        columns, values, is_known = self._parts[self._part[row]]
        at = int(self._at[row])
        numbers: list[int] = values[at].tolist()
        known: list[bool] = is_known[at].tolist()
        return {
            name: number if distinct is None else distinct[number].as_py()
            for (name, distinct), number, is_there in zip(columns, numbers, known, strict=True)
            if is_there
        }


class _Version:
    """A version of the table.

    Attributes
    ----------
    files : of each fragment where its rows are; None until all were looked at
    """

    def __init__(self, table: DeltaTable) -> None:
        self.table = table
        # NOTE: nothing is checked here. Every file is before it is read.
        self.dataset = table.to_pyarrow_dataset()
        self.fragments: list[ds.ParquetFileFragment] = list(self.dataset.get_fragments())
        self.files: list[_File] | None = None


class Places:
    """Knows where the rows of the newest version are, until that is another one: then `forget` it.

    One thread reads at a time; others may look, or forget, meanwhile.

    Parameters
    ----------
    folder : of the store
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version: _Version | None = None
        self._n_forgotten = 0
        self._files: dict[str, _File] = {}
        self._groups: OrderedDict[tuple[str, int], _Group] = OrderedDict()
        self._opening, self._looking = threading.Lock(), threading.Lock()

    def forget(self) -> None:
        """Forget which version is the newest one, as there is another."""
        with self._opening:
            self._version = None
            self._n_forgotten += 1

    def look(self) -> None:
        """Look at the files that were not looked at yet."""
        self._list_files(self._open())

    def read(self, name_id: int) -> list[Row]:
        """Read all views that there are of an order id, and what was decided about it.

        Parameters
        ----------
        name_id : keyed order id alone, signed

        Returns
        -------
        plain values, times as microseconds, no nulls

        Raises
        ------
        HistoryError
            A file that has to be read is not as it was written.
        """
        version = self._open()
        name = np.uint32(np.uint64(name_id & ((1 << 64) - 1)) & _LOW)
        found = []
        for fragment, file in zip(version.fragments, self._list_files(version), strict=True):
            for row in file.find_rows(name):
                group = int(file.ends.searchsorted(row, "right"))
                begin = int(file.ends[group - 1]) if group else 0
                found.append(self._find_group(version, fragment, group).read(row - begin))
        return [row for row in found if name_id in (row[ORDER_ID], row.get(_NAME))]

    def _open(self) -> _Version:
        """Open the newest version, or return it."""
        version = self._version
        if version is None:
            n_forgotten = self._n_forgotten
            version = _Version(load_table(self._folder))
            with self._opening:
                if n_forgotten == self._n_forgotten:
                    self._version = version
        return version

    def _list_files(self, version: _Version) -> list[_File]:
        """Return where the rows of each file are."""
        if version.files is None:
            with self._looking:
                paths = [fragment.path for fragment in version.fragments]
                files = {path: self._files[path] for path in paths if path in self._files}
                for path, fragment in zip(paths, version.fragments, strict=True):
                    if path not in files:
                        files[path] = self._look_at(version, fragment)
                self._files, version.files = files, [files[path] for path in paths]
        return version.files

    def _look_at(self, version: _Version, fragment: ds.ParquetFileFragment) -> _File:
        check_data(self._folder, version.table, [name_file(fragment)])
        columns = [name for name in (ORDER_ID, _NAME) if name in fragment.physical_schema.names]
        rows = fragment.to_table(columns=columns)
        own = read_ints(rows[ORDER_ID])
        shared = read_ints(pc.fill_null(rows[_NAME], 0)) if _NAME in columns else np.zeros_like(own)
        names = (np.where(shared != 0, shared, own).view(np.uint64) & _LOW).astype(np.uint32)
        order = np.argsort(names, kind="stable").astype(np.uint32)
        groups = (fragment.metadata.row_group(at).num_rows for at in range(fragment.metadata.num_row_groups))
        return _File(names[order], order, np.cumsum(list(groups)))

    def _find_group(self, version: _Version, fragment: ds.ParquetFileFragment, at: int) -> _Group:
        """Return a row group, from now on the one asked for last."""
        key = fragment.path, at
        group = self._groups.get(key)
        if group is None:
            check_data(self._folder, version.table, [name_file(fragment)])
            dataset, part = version.dataset, fragment.subset(row_group_ids=[at])
            rows = ds.FileSystemDataset([part], dataset.schema, dataset.format, dataset.filesystem)
            group = self._groups[key] = _Group(read_rows(rows, are_decisions_wanted=True))
            self._drop_groups({each.path for each in version.fragments})
        self._groups.move_to_end(key)
        return group

    def _drop_groups(self, paths: set[str]) -> None:
        """Drop row groups of files that are not among some, then those that were asked for longest ago."""
        for key in [key for key in self._groups if key[0] not in paths]:
            del self._groups[key]
        n_bytes = sum(each.n_bytes for each in self._groups.values())
        while n_bytes > KEPT_BYTES and len(self._groups) > 1:
            n_bytes -= self._groups.popitem(last=False)[1].n_bytes
