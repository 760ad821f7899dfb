"""What one machine sends to another: rows of one form, all for one slot, as bytes.

    stage       what is to be done with them (`slot_stages`)
    slot        where they go: the rows of a slot meet in one process
    name        what they are, which says their form
    body        an Arrow stream: the rows of a structured NumPy array and, of orders, their columns, row by row

Spark sees messages as four plain columns and shuffles a few large values, not many small rows.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Rows = NDArray[np.void]
    Stage = Callable[[int, "Inbox"], Iterable["Message"]]

#: The columns of messages, as Spark names types.
COLUMNS = "stage string, slot int, name string, body binary"
_SCHEMA = pa.schema({"stage": pa.string(), "slot": pa.int32(), "name": pa.string(), "body": pa.binary()})
_BATCH_BYTES = 1 << 24

#: The column of a body that holds the rows.
_ROWS = "rows"

# SPEED: Java copies every byte some ten times; compressed there are a third as many (benchmarks/bench_spark.py).
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


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
        self._bodies: dict[str, list[pa.Buffer]] = defaultdict(list)
        self._tables: dict[str, list[pa.Table]] = {}

    def add(self, name: str, body: pa.Buffer) -> None:
        """Add one message."""
        self._bodies[name].append(body)

    def names(self) -> list[str]:
        """List what there are messages of."""
        return sorted(self._bodies)

    def read(self, name: str, form: np.dtype[np.void]) -> Rows:
        """Return the rows of all messages of a name, shape (n,)."""
        read = [pa.ipc.open_stream(body).read_all() for body in self._bodies.pop(name, ())]
        self._tables[name] = [each.drop_columns(_ROWS) for each in read]
        return np.concatenate([np.zeros(0, form), *(_view_rows(each, form) for each in read)])

    def read_table(self, name: str) -> pa.Table:
        """Return their tables, one behind the other, row by row, once `read` has returned the rows."""
        return pa.concat_tables(self._tables.pop(name), promote_options="default")


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
    """Gather the messages of each slot.

    Raises
    ------
    ContractError
        The messages are not sorted by slot.
    """
    slot, inbox = -1, Inbox()
    for batch in batches:
        slots, names, bodies = (batch.column(at) for at in range(1, 4))
        for at, found in enumerate(slots.to_pylist()):
            if found < slot:  # NOTE: half of a slot would give wrong features
                raise ContractError(
                    "the engine did not sort rows within partitions",
                    hint="run ordervet.spark on Apache Spark: not every engine that speaks Spark Connect sorts them",
                )
            if found != slot:
                if inbox.names():
                    yield slot, inbox
                slot, inbox = found, Inbox()
            inbox.add(names[at].as_py(), bodies[at].as_buffer())
    if inbox.names():
        yield slot, inbox


def pack(messages: Iterable[Message]) -> Iterator[pa.RecordBatch]:
    """Write messages in batches."""
    held: list[tuple[Any, ...]] = []
    n_bytes = 0
    for each in messages:
        body = _write(each)
        held.append((each.stage, each.slot, each.name, body))
        n_bytes += len(body)
        if n_bytes > _BATCH_BYTES:
            yield _build(held)
            held, n_bytes = [], 0
    if held:
        yield _build(held)


def _build(held: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*held, strict=True)
    return pa.record_batch([pa.array(each, type_) for each, type_ in zip(columns, _SCHEMA.types, strict=True)], _SCHEMA)


def _write(message: Message) -> bytes:
    buffers = [None, pa.py_buffer(np.ascontiguousarray(message.rows))]
    rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(message.rows.itemsize), len(message.rows), buffers)
    table = pa.table([rows], [_ROWS]) if message.table is None else message.table.append_column(_ROWS, rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _view_rows(table: pa.Table, form: np.dtype[np.void]) -> Rows:
    rows = table[_ROWS].combine_chunks()
    return np.frombuffer(rows.buffers()[1], form, len(rows), rows.offset * form.itemsize)
