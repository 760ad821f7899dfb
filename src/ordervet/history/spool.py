"""Rows sorted out by time: written in any order into a file per slice, and read back slice by slice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from ordervet.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Spool:
    """Rows on their way through a folder; nothing of it is meant to last.

    Parameters
    ----------
    folder : made when it is not there
    starts : first instant of each slice, UTC microseconds, ascending; no row is older than the first
    """

    def __init__(self, folder: Path, starts: list[int]) -> None:
        self._folder = folder
        self._starts = np.array(starts, np.int64)
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._schema: pa.Schema | None = None

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._tell(error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for writer in self._writers.values():
            try:
                writer.close()
            except OSError:
                continue  # NOTE: a full disk was told when a row did not fit.

    def add(self, batch: pa.RecordBatch, seen_at: NDArray[np.int64]) -> None:
        """Write rows into the files of their slices.

        Parameters
        ----------
        batch : rows, all batches of one schema
        seen_at : shape (n_rows,), UTC microseconds

        Raises
        ------
        HistoryError
            The folder cannot be written.
        """
        self._schema = batch.schema
        part = np.searchsorted(self._starts, seen_at, side="right") - 1
        by_part = np.argsort(part, kind="stable")
        chosen, first = np.unique(part[by_part], return_index=True)
        ends = [*first[1:].tolist(), len(part)]
        try:
            for each, start, end in zip(chosen.tolist(), first.tolist(), ends, strict=True):
                rows = batch if end - start == len(part) else batch.take(pa.array(by_part[start:end]))
                self._open(each).write_batch(rows)
        except OSError as error:
            raise self._tell(error) from None

    def read_in_turn(self) -> Iterator[pa.Table]:
        """Read each slice's rows, in the order in which they came; a file that was read is removed."""
        for each in range(len(self._starts)):
            writer = self._writers.pop(each, None)
            if writer is None:
                if self._schema is not None:
                    yield self._schema.empty_table()
                continue
            try:
                writer.close()
                with pa.memory_map(str(self._path(each))) as file, pa.ipc.open_stream(file) as stream:
                    table = stream.read_all()
                self._path(each).unlink()
            except (OSError, pa.ArrowInvalid) as error:
                raise self._tell(error) from None
            yield table

    def _open(self, each: int) -> pa.ipc.RecordBatchStreamWriter:
        if each not in self._writers:
            self._writers[each] = pa.ipc.new_stream(str(self._path(each)), self._schema, options=_OPTIONS)
        return self._writers[each]

    def _path(self, each: int) -> Path:
        return self._folder / f"{each:05d}.arrow"

    def _tell(self, error: Exception) -> HistoryError:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else type(error).__name__
        return HistoryError(
            f"the folder {self._folder.name} cannot be written: {reason}",
            hint="free some space: the history is sorted there, and takes about as much as the history itself",
        )
