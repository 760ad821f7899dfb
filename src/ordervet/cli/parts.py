"""Files one by one, and an account of every row: for a history, where an event may be there before its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.contract import Events
from ordervet.contract.file_events import AUTO, FILE_FAILURE_SCHEMA, MAPPED
from ordervet.contract.file_reader import FileReader
from ordervet.contract.schemas import MODELS
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities.history import Fate
from ordervet.errors import MappingError
from ordervet.score import list_event_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.contract import EventKind
    from ordervet.contract.file_events import FileEvents
    from ordervet.contract.mapping import Mapping
    from ordervet.entities.history import Ingested


@dataclass(frozen=True, slots=True)
class FilePart:
    """What one file holds.

    Parameters
    ----------
    name : of the file, without its folder
    format : how it was read
    n_rows : rows read
    merged_rows : rows that went into others of the file
    events : its good events; those of unknown orders among them
    rows : per kind, shape (n_events,), the row of the file that each event comes from
    failures : the rows that were set aside
    """

    name: str
    format: str
    n_rows: int
    merged_rows: NDArray[np.int64]
    events: Events
    rows: dict[EventKind, NDArray[np.int64]]
    failures: pa.Table


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of the rows of one file; the first is the sum of the others.

    A row of which anything is new counts as accepted, else one that went into another as merged, else as known.
    """

    n_read: int
    n_accepted: int
    n_merged: int
    n_known: int
    n_quarantined: int


def read_parts(
    files: Sequence[Path],
    *,
    mapping: Mapping | None = None,
    format_name: str = AUTO,
    formats_dir: Path | None = None,
) -> list[FilePart]:
    """Read files one by one; a folder stands for the files in it that are named after a kind of event.

    Raises
    ------
    ContractError, MappingError
        A file or the mapping is wrong.
    """
    reader = FileReader(mapping, DEFAULT_TIME_ZONE, formats_dir, format_name)
    paths = [path for file in files for path in list_event_files(file)]
    read = [reader.read(number, path) for number, path in enumerate(paths)]
    if mapping is not None and all(file.format != MAPPED for file in read):
        raise MappingError(
            f"no file was read through the mapping {mapping.name}",
            hint="leave --mapping away, or correct its column names",
        )
    return [_build_part(path.name, file) for path, file in zip(paths, read, strict=True)]


def count_rows(part: FilePart, ingested: Ingested) -> RowCounts:
    """Count what became of the rows of a file."""
    rows = np.concatenate([part.rows[kind] for kind in part.rows])
    fates = np.concatenate([ingested.fates[kind] for kind in part.rows])
    accepted = np.unique(rows[fates == Fate.ACCEPTED])
    merged = np.setdiff1d(np.concatenate([part.merged_rows, rows[fates == Fate.MERGED]]), accepted)
    known = np.setdiff1d(rows[fates == Fate.KNOWN], np.concatenate([accepted, merged]))
    counts = (len(accepted), len(merged), len(known))
    return RowCounts(part.n_rows, *counts, n_quarantined=part.n_rows - sum(counts))


def list_failures(parts: Sequence[FilePart], ingested: Sequence[Ingested]) -> pa.Table:
    """List what was set aside, by the rules of the contract or because it was seen before its order."""
    tables = [FILE_FAILURE_SCHEMA.empty_table()]
    for part, each in zip(parts, ingested, strict=True):
        tables.append(part.failures)
        for kind, rows in part.rows.items():
            early = np.flatnonzero(each.fates[kind] == Fate.EARLY)
            columns = {
                "file": pa.repeat(part.name, len(early)),
                "row": pa.array(rows[early]),
                "order_id": getattr(part.events, kind)["order_id"].take(pa.array(early)),
                "field": pa.repeat("seen_at", len(early)),
                "rule": pa.repeat("order_first", len(early)),
                "observed": pa.repeat("a time before its order", len(early)),
            }
            tables.append(pa.table(columns, schema=FILE_FAILURE_SCHEMA))
    return pa.concat_tables(tables).combine_chunks()


def _build_part(name: str, file: FileEvents) -> FilePart:
    single = [Events(**_empty_tables() | {part.kind: part.table}) for part in file.parts]
    nothing = np.zeros(0, np.int64)
    rows = {
        kind: np.concatenate([nothing, *(part.rows for part in file.parts if part.kind == kind)]) for kind in MODELS
    }
    failures = pa.concat_tables([FILE_FAILURE_SCHEMA.empty_table(), *(part.failures for part in file.parts)])
    return FilePart(name, file.format, file.n_rows, file.merged_rows, Events.concat(single), rows, failures)


def _empty_tables() -> dict[str, pa.Table]:
    empty = Events.empty()
    return {kind: getattr(empty, kind) for kind in MODELS}
