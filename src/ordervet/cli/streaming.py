"""Score a large file of orders in chunks: memory stays bounded, and the next chunk is read meanwhile."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.cli.freed_memory import keep_freed_memory
from ordervet.cli.screen import show_rows
from ordervet.contract import FileAccount, write_table
from ordervet.contract.files.accounts import sum_counts, sum_evidence
from ordervet.contract.files.arrow_rows import CHUNK_ROWS, count_rows, find_long_texts, iter_chunks, read_footer
from ordervet.contract.files.opening import is_long, iter_bytes
from ordervet.contract.files.outputs import write_tables
from ordervet.contract.files.pieces import INSTANT_FIELDS, NATIVE
from ordervet.contract.files.reader import FileReader
from ordervet.contract.files.rows import open_rows
from ordervet.contract.tables import check_columns
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.errors import ContractError, HistoryError
from ordervet.features import LaterEvents
from ordervet.score import ScoredOrders
from ordervet.score.stream import stream_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ordervet.score.stream import ScoredChunk, StreamParts

_TEXTS = (".csv", ".tsv", ".txt", ".csv.gz", ".jsonl")
MIN_ROWS = 500_000
"""Below this many orders a file is read whole: that is quick, and says more about wrong rows."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """What became of a file.

    Parameters
    ----------
    n_orders : orders in the file
    scored : decisions about the orders that are flagged; all others pass
    account : what became of the file's rows
    """

    n_orders: int
    scored: ScoredOrders
    account: FileAccount


class _NotInChunksError(Exception):
    """The file has to be read whole."""


def find_streamable(files: Sequence[Path], *, min_rows: int = MIN_ROWS) -> Path | None:
    """Return the file, if there is just one and it is a large Parquet or text file of orders in contract columns.

    Parameters
    ----------
    files : as given on the command line
    min_rows : what counts as large of Parquet; of text it is what is read in pieces
    """
    if len(files) != 1 or not files[0].is_file():
        return None
    path = files[0]
    try:
        if path.suffix.lower() == ".parquet":
            metadata = read_footer(path)
            is_large = metadata.num_rows >= min_rows and not find_long_texts(path, metadata, CHUNK_ROWS)
            names = metadata.schema.to_arrow_schema().names
        elif path.name.lower().endswith(_TEXTS) and is_long(path):
            names, is_large = list(open_rows(path, in_one=False).raw_names), True
        else:
            return None
        check_columns("orders", names)
    except (OSError, pa.ArrowException, ContractError):
        return None
    is_orders = [name for name in names if name in INSTANT_FIELDS] == ["placed_at"]
    return path if is_orders and is_large else None


def stream_file(path: Path, parts: StreamParts, out: Path | None = None) -> Streamed | None:
    """Score a file of orders chunk by chunk, and write what was decided.

    Parameters
    ----------
    path : from `find_streamable`
    parts : whatever scores; its engine is moved on
    out : where decisions go, if anywhere: of all orders as they come, or of the flagged ones, ranked

    Returns
    -------
    None where the file has to be read whole: orders not sorted by time, duplicate orders, invalid rows; then nothing is
    written
    """
    keep_freed_memory()
    chunks: list[ScoredChunk] = []
    with show_rows("scoring", _count_orders(path)) as advance:
        tables = _iter_decided(path, parts, chunks, advance)
        try:
            if out and parts.keeps_all:
                write_tables(tables, out, time_zone=DEFAULT_TIME_ZONE)
            else:
                deque(tables, maxlen=0)
        except _NotInChunksError:
            return None
    scored = ScoredOrders.concat([chunk.scored for chunk in chunks])
    if out and not parts.keeps_all:
        write_table(scored.build_table(scored.rank_flagged()), out, time_zone=DEFAULT_TIME_ZONE)
    n = sum(chunk.n_orders for chunk in chunks)
    evidence = sum_evidence(chunk.evidence for chunk in chunks)
    currencies = sum_counts(chunk.currencies for chunk in chunks)
    account = FileAccount(path.name, NATIVE, n, n, 0, 0, 0, n_orders=n, evidence=evidence, currencies=currencies)
    return Streamed(n, scored, account)


def _count_orders(path: Path) -> int:
    """Count the orders of a file; of text its lines, which are about as many."""
    return (
        count_rows(path) if path.suffix.lower() == ".parquet" else sum(data.count(b"\n") for data in iter_bytes(path))
    )


def _iter_orders(path: Path) -> Iterator[pa.Table]:
    """Read the orders of a file in chunks."""
    if path.suffix.lower() == ".parquet":
        yield from iter_chunks(path, CHUNK_ROWS)
        return
    for piece in FileReader(format=NATIVE).iter_pieces(0, path):
        if piece.failures.num_rows:
            raise _NotInChunksError
        yield from (part.table for part in piece.parts)


def _iter_decided(
    path: Path, parts: StreamParts, chunks: list[ScoredChunk], advance: Callable[[int], None]
) -> Iterator[pa.Table]:
    """Yield the decisions of a file chunk by chunk, and collect the flagged orders, which are needed at the end."""
    try:
        for chunk in stream_scores(_iter_orders(path), LaterEvents.empty(), parts):
            chunks.append(replace(chunk, scored=chunk.scored.take(np.flatnonzero(chunk.scored.actions))))
            if parts.keeps_all:
                yield chunk.scored.build_table()
            advance(chunk.n_orders)
    except (ContractError, HistoryError):  # a FileError too: reading it whole says what is wrong
        raise _NotInChunksError from None
    ids = np.concatenate([chunk.order_ids for chunk in chunks])
    ids.sort()
    if (ids[1:] == ids[:-1]).any():
        raise _NotInChunksError
