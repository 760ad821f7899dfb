"""Files one by one, long ones piece by piece: for a history, where an event may be there before its order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.cli.accounts import FileAccount, add_evidence
from ordervet.contract import Events
from ordervet.contract.file_events import AUTO, FILE_FAILURE_SCHEMA, MAPPED
from ordervet.contract.file_reader import FileReader
from ordervet.contract.formats.states import Tally
from ordervet.contract.long_files import is_long
from ordervet.contract.schemas import MODELS
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.errors import FileError, MappingError
from ordervet.history import IngestStatus
from ordervet.score import list_event_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.contract import EventKind
    from ordervet.contract.file_events import FileEvents
    from ordervet.contract.mapping import Mapping
    from ordervet.history import Ingested

_ROWS_AT_ONCE = 2**16


@dataclass(frozen=True, slots=True)
class FilePart:
    """What one file holds, or a piece of it in which every order is whole.

    Parameters
    ----------
    number : of the file among those of the command
    name : of the file, without its folder
    format : how it was read
    n_rows : rows read
    merged_rows : rows that went into others of the file
    events : its good events; those of unknown orders among them
    rows : per kind, shape (n_events,), the row of the file that each event comes from
    failures : the rows that were set aside
    tally : states of the file so far that gave no outcome
    """

    number: int
    name: str
    format: str
    n_rows: int
    merged_rows: NDArray[np.int64]
    events: Events
    rows: dict[EventKind, NDArray[np.int64]]
    failures: pa.Table
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class PartReader:
    """Reads the files of a command one by one; a folder stands for the files in it named after a kind of event.

    Parameters
    ----------
    files : as the command got them
    mapping : for files with columns of their own
    format_name, formats_dir : of exports
    """

    files: Sequence[Path]
    mapping: Mapping | None = None
    format_name: str = AUTO
    formats_dir: Path | None = None

    def read_all(self) -> list[FilePart]:
        """Read every file whole.

        Raises
        ------
        ContractError, MappingError
            A file or the mapping is wrong.
        """
        reader, paths = self._open()
        parts = [_build_part(at, path.name, reader.read(at, path)) for at, path in enumerate(paths)]
        self._check_use({part.format for part in parts})
        return parts

    def iter_groups(self) -> Iterator[list[FilePart]]:
        """Read everything in groups that fit into memory, files with orders first; short files make one group.

        Raises
        ------
        ContractError, MappingError
            As for `read_all`, as soon as it is met.
        """
        reader, paths = self._open()
        numbered = list(enumerate(paths))
        if any(is_long(path) for path in paths):
            numbered.sort(key=lambda each: not reader.holds_orders(each[1]))
        group: list[FilePart] = []
        formats: set[str] = set()
        for number, path in numbered:
            for piece in reader.iter_pieces(number, path):
                group.append(_build_part(number, path.name, piece))
                formats.add(piece.format)
                if sum(part.n_rows for part in group) >= _ROWS_AT_ONCE:
                    yield group
                    group = []
        self._check_use(formats)
        if group:
            yield group

    def _check_use(self, formats: set[str]) -> None:
        if self.mapping is not None and MAPPED not in formats:
            raise MappingError(
                f"no file was read through the mapping {self.mapping.name}",
                hint="leave --mapping away, or correct its column names",
            )

    def _open(self) -> tuple[FileReader, list[Path]]:
        reader = FileReader(self.mapping, DEFAULT_TIME_ZONE, self.formats_dir, self.format_name)
        paths = [path for file in self.files for path in list_event_files(file)]
        if not paths:
            raise FileError(
                f"there is no file to read in {', '.join(file.name for file in self.files)}",
                hint="name the files themselves; a folder stands for its files named orders, outcomes and so on",
            )
        return reader, paths


def account_part(part: FilePart, ingested: Ingested) -> FileAccount:
    """Account for every row of a file, or of a piece of one.

    Parameters
    ----------
    part : the file or piece
    ingested : what became of its events
    """
    rows = np.concatenate([part.rows[kind] for kind in part.rows])
    statuses = np.concatenate([ingested.statuses[kind] for kind in part.rows])
    accepted = np.unique(rows[statuses == IngestStatus.ACCEPTED])
    merged = np.setdiff1d(np.concatenate([part.merged_rows, rows[statuses == IngestStatus.MERGED]]), accepted)
    known = np.setdiff1d(rows[statuses == IngestStatus.KNOWN], np.concatenate([accepted, merged]))
    counts = (len(accepted), len(merged), len(known))
    return FileAccount(
        part.name,
        part.format,
        part.n_rows,
        *counts,
        part.n_rows - sum(counts),
        {kind: n for kind, n in part.tally.undated.items() if n},
        {column: n for column, n in part.tally.unknown.items() if n},
        part.events.orders.num_rows,
        ingested.evidence,
    )


def add_up(pieces: Iterable[tuple[int, FileAccount]]) -> list[FileAccount]:
    """Add the pieces of each file, in the order of the files.

    Parameters
    ----------
    pieces : number of the file, and the account of one of its pieces; in the order in which they were read
    """
    by_file: dict[int, list[FileAccount]] = {}
    for number, piece in pieces:
        by_file.setdefault(number, []).append(piece)
    return [_add(by_file[number]) for number in sorted(by_file)]


def _add(pieces: Sequence[FileAccount]) -> FileAccount:
    names = ("n_read", "n_accepted", "n_merged", "n_known", "n_quarantined", "n_orders")
    sums = {name: sum(getattr(piece, name) for piece in pieces) for name in names}
    evidence = add_evidence(piece.evidence for piece in pieces)
    return replace(pieces[-1], **sums, evidence=evidence)  # its states are those of the whole file by then


def list_failures(parts: Sequence[FilePart], ingested: Sequence[Ingested]) -> pa.Table:
    """List what was set aside, by the rules of the contract or because it was seen before its order."""
    tables = [FILE_FAILURE_SCHEMA.empty_table()]
    for part, each in zip(parts, ingested, strict=True):
        tables.append(part.failures)
        for kind, rows in part.rows.items():
            early = np.flatnonzero(each.statuses[kind] == IngestStatus.EARLY)
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


def _build_part(number: int, name: str, file: FileEvents) -> FilePart:
    single = [Events(**_empty_tables() | {part.kind: part.table}) for part in file.parts]
    nothing = np.zeros(0, np.int64)
    rows = {
        kind: np.concatenate([nothing, *(part.rows for part in file.parts if part.kind == kind)]) for kind in MODELS
    }
    failures = pa.concat_tables([FILE_FAILURE_SCHEMA.empty_table(), *(part.failures for part in file.parts)])
    events = Events.concat(single)
    return FilePart(
        number, name, file.format, file.n_rows, file.merged_rows, events, rows, failures, file.tally or Tally()
    )


def _empty_tables() -> dict[str, pa.Table]:
    empty = Events.empty()
    return {kind: getattr(empty, kind) for kind in MODELS}
