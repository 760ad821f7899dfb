"""What one machine sends to another: rows of one form, all for one slot, as bytes.

    stage       what is to be done with them (`slot_stages`)
    slot        where they go: the rows of a slot meet in one process
    name        what they are, which says their form
    rows        a structured NumPy array
    table       of orders: their columns, row by row, as an Arrow stream; else nothing

Spark sees messages as five plain columns and shuffles a few large values, not many small rows.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Rows = NDArray[np.void]
    Stage = Callable[[int, "Inbox"], Iterable["Message"]]

#: The columns of messages, as Spark names types.
COLUMNS = "stage string, slot int, name string, rows binary, table binary"
_SCHEMA = pa.schema(
    {
        "stage": pa.string(),
        "slot": pa.int32(),
        "name": pa.string(),
        "rows": pa.binary(),
        "table": pa.binary(),
    }
)
_BATCH_BYTES = 1 << 24


class Message(NamedTuple):
    """Rows for one slot."""

    stage: str
    slot: int
    name: str
    rows: Rows
    table: pa.Table | None = None


class Inbox:
    """All messages of one slot."""

    def __init__(self) -> None:
        self._rows: dict[str, list[pa.Buffer]] = defaultdict(list)
        self._tables: dict[str, list[pa.Buffer]] = defaultdict(list)

    def add(self, name: str, rows: pa.Buffer, table: pa.Buffer | None) -> None:
        """Add one message."""
        self._rows[name].append(rows)
        if table is not None:
            self._tables[name].append(table)

    def names(self) -> list[str]:
        """List what there are messages of."""
        return sorted(self._rows)

    def read(self, name: str, form: np.dtype[np.void]) -> Rows:
        """Return the rows of all messages of a name, shape (n,)."""
        return np.concatenate([np.zeros(0, form), *(np.frombuffer(each, form) for each in self._rows.pop(name, ()))])

    def read_table(self, name: str) -> pa.Table:
        """Return their tables, one behind the other, row by row as `read`."""
        parts = [pa.ipc.open_stream(each).read_all() for each in self._tables.pop(name)]
        return pa.concat_tables(parts, promote_options="default")


def split(
    stage: str, slots: NDArray[np.int64], name: str, rows: Rows, table: pa.Table | None = None
) -> Iterator[Message]:
    """Part rows by where they go; their order is kept."""
    if len(rows) == 0:
        return
    order = np.argsort(slots, kind="stable")
    rows, slots = rows[order], slots[order]
    table = None if table is None else table.take(pa.array(order))
    bounds = [0, *(np.flatnonzero(np.diff(slots)) + 1).tolist(), len(rows)]
    for start, end in pairwise(bounds):
        part = None if table is None else table.slice(start, end - start)
        yield Message(stage, int(slots[start]), name, rows[start:end], part)


def run_stage(batches: Iterable[pa.RecordBatch], stage: Stage) -> Iterator[pa.RecordBatch]:
    """Run a stage on each slot among batches of messages, which are sorted by slot."""
    for slot, inbox in gather(batches):
        yield from pack(stage(slot, inbox))


def gather(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Inbox]]:
    """Gather the messages of each slot."""
    slot, inbox = -1, Inbox()
    for batch in batches:
        slots, names, rows, tables = (batch.column(at) for at in range(1, 5))
        for at, found in enumerate(slots.to_pylist()):
            if found != slot:
                if inbox.names():
                    yield slot, inbox
                slot, inbox = found, Inbox()
            inbox.add(names[at].as_py(), rows[at].as_buffer(), tables[at].as_buffer())
    if inbox.names():
        yield slot, inbox


def pack(messages: Iterable[Message]) -> Iterator[pa.RecordBatch]:
    """Write messages in batches."""
    held: list[tuple[Any, ...]] = []
    n_bytes = 0
    for each in messages:
        table = None if each.table is None else _write(each.table)
        held.append((each.stage, each.slot, each.name, each.rows.tobytes(), table))
        n_bytes += each.rows.nbytes + len(table or b"")
        if n_bytes > _BATCH_BYTES:
            yield _build(held)
            held, n_bytes = [], 0
    if held:
        yield _build(held)


def _build(held: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*held, strict=True)
    return pa.record_batch([pa.array(each, type_) for each, type_ in zip(columns, _SCHEMA.types, strict=True)], _SCHEMA)


def _write(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written
