"""What is in the table's data files, as far as a scorer needs it at once: so that it opens without reading all of them.

A data file never changes. Of each a snapshot notes the digest of its events, the time of the last one, and what was
judged in it; the next scorer reads the files that the snapshot does not name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.history.identity import Digest, digest_rows
from ordervet.history.stored_rows import read_ints, row_schema, views_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_JUDGED = pa.schema(
    [("file", pa.int32()), *((name, row_schema().field(name).type) for name in ("event", "order_id", "seen_at"))]
    + [(name, row_schema().field(name).type) for name in ("verdict", "agent")]
)


class FileContents(NamedTuple):
    """What is in one data file.

    Parameters
    ----------
    digest : of its events, all views
    last_seen_at : of them, UTC microseconds
    judged : its verdicts and corrections; `History.read_judgements`, and ``event``
    """

    digest: Digest
    last_seen_at: int
    judged: pa.Table


def describe_rows(rows: pa.Table) -> FileContents:
    """Describe the rows of a data file; of `delta.read_contents`."""
    digest = digest_rows(read_ints(rows["event_id"]), views_of(rows))
    last_seen_at = int(read_ints(rows["seen_at"]).max(initial=np.iinfo(np.int64).min))
    is_judged = pc.is_in(rows["event"], pa.array(["verdict", "correction"]))
    return FileContents(digest, last_seen_at, rows.select(_JUDGED.names[1:]).filter(is_judged))


def part_judgements(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Part later events into verdicts and corrections."""
    verdicts, corrections = (rows.filter(pc.equal(rows["event"], event)) for event in ("verdict", "correction"))
    return verdicts.drop_columns("event"), corrections.drop_columns("event")


def add_up(files: Mapping[str, FileContents]) -> Digest:
    """Return the digest of the events of all of some files."""
    return sum((each.digest for each in files.values()), Digest(0, 0))


def export_contents(files: Mapping[str, FileContents]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what `import_contents` takes: a header that JSON can hold, and arrays."""
    parts = [
        each.judged.add_column(0, _JUDGED.field("file"), pa.repeat(at, each.judged.num_rows).cast(pa.int32()))
        for at, each in enumerate(files.values())
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _JUDGED) as writer:
        for part in parts:
            writer.write_table(part)
    header = {name: [*each.digest, each.last_seen_at] for name, each in files.items()}
    return {"files": header}, {"judged": np.frombuffer(sink.getvalue(), np.uint8)}


def import_contents(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, FileContents]:
    """Return the contents of data files that were exported."""
    judged = pa.ipc.open_stream(pa.py_buffer(arrays["judged"])).read_all()
    at = np.asarray(judged["file"])
    starts = np.searchsorted(at, np.arange(len(header["files"]) + 1)).tolist()
    return {
        name: FileContents(Digest(n_rows, ids), last_seen_at, judged.slice(start, end - start).drop_columns("file"))
        for (name, (n_rows, ids, last_seen_at)), start, end in zip(
            header["files"].items(), starts[:-1], starts[1:], strict=True
        )
    }
