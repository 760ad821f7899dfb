"""Where in a store the rows of an order id are, so that one order is read without reading all.

    file    the names of its rows, sorted, four bytes of each | which row each is | where its row groups end

A file is looked at when a row is first asked for after it was written, and then kept: eight bytes a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.entities.keyed import ORDER_ID
from ordervet.history.delta import open_dataset, read_rows
from ordervet.history.stored_rows import read_ints, row_schema

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from deltalake import DeltaTable
    from numpy.typing import NDArray

_NAME = "name_id"
_LOW = np.uint64(0xFFFFFFFF)


class _File(NamedTuple):
    names: NDArray[np.uint32]
    rows: NDArray[np.uint32]
    ends: NDArray[np.int64]

    def find_groups(self, name: np.uint32) -> list[int]:
        """Find the row groups that may hold rows of a name."""
        begin, end = self.names.searchsorted(name, "left"), self.names.searchsorted(name, "right")
        groups: list[int] = np.unique(self.ends.searchsorted(self.rows[begin:end], "right")).tolist()
        return groups


class Places:
    """Knows where rows are, of the files that it has looked at; read by one thread at a time."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def look(self, folder: Path, table: DeltaTable) -> None:
        """Look at the files of a version that were not looked at yet; another thread may read meanwhile."""
        for fragment in open_dataset(folder, table).get_fragments():
            if fragment.path not in self._files:
                self._files[fragment.path] = _look_at(fragment)

    def read(self, folder: Path, table: DeltaTable, name_id: int) -> pa.Table:
        """Read all views that a version of a store has of an order id, and what was decided about it.

        Parameters
        ----------
        folder, table : of the store
        name_id : keyed order id alone, signed
        """
        dataset = open_dataset(folder, table)
        name = np.uint32(np.uint64(name_id & ((1 << 64) - 1)) & _LOW)
        files, found = {}, []
        for fragment in dataset.get_fragments():
            files[fragment.path] = self._files.get(fragment.path) or _look_at(fragment)
            if groups := files[fragment.path].find_groups(name):
                found.append(fragment.subset(row_group_ids=groups))
        self._files = files
        if not found:
            return row_schema(dataset.schema.names).empty_table()
        part = ds.FileSystemDataset(found, dataset.schema, found[0].format, found[0].filesystem)
        is_wanted = ds.field(ORDER_ID) == name_id
        if _NAME in dataset.schema.names:
            is_wanted |= ds.field(_NAME) == name_id
        return read_rows(part, is_wanted=is_wanted, are_decisions_wanted=True)


def _look_at(fragment: ds.ParquetFileFragment) -> _File:
    columns = [name for name in (ORDER_ID, _NAME) if name in fragment.physical_schema.names]
    rows = fragment.to_table(columns=columns)
    own = read_ints(rows[ORDER_ID])
    shared = read_ints(pc.fill_null(rows[_NAME], 0)) if _NAME in columns else np.zeros_like(own)
    names = (np.where(shared != 0, shared, own).view(np.uint64) & _LOW).astype(np.uint32)
    order = np.argsort(names, kind="stable").astype(np.uint32)
    groups = (fragment.metadata.row_group(at).num_rows for at in range(fragment.metadata.num_row_groups))
    return _File(names[order], order, np.cumsum(list(groups)))
