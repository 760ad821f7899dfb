"""Score a large Parquet file of orders in chunks: memory stays bounded, and the next chunk is read meanwhile."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ordervet.cli.freed_memory import keep_freed_memory
from ordervet.cli.screen import show_rows
from ordervet.contract import FileAccount, write_table
from ordervet.contract.files.accounts import sum_counts, sum_evidence
from ordervet.contract.files.arrow_rows import CHUNK_ROWS, count_rows, iter_chunks
from ordervet.contract.files.outputs import write_tables
from ordervet.contract.files.pieces import INSTANT_FIELDS, NATIVE
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
    """Return the file, if there is just one and it is a large Parquet file of orders in contract columns.

    Parameters
    ----------
    files : as given on the command line
    min_rows : what counts as large
    """
    if len(files) != 1 or files[0].suffix.lower() != ".parquet" or not files[0].is_file():
        return None
    try:
        schema, n_rows = pq.read_schema(files[0]), pq.read_metadata(files[0]).num_rows
        check_columns("orders", schema.names)
    except (OSError, pa.ArrowException, ContractError):
        return None
    is_orders = [name for name in schema.names if name in INSTANT_FIELDS] == ["placed_at"]
    return files[0] if is_orders and n_rows >= min_rows else None


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
    with show_rows("scoring", count_rows(path)) as advance:
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


def _iter_decided(
    path: Path, parts: StreamParts, chunks: list[ScoredChunk], advance: Callable[[int], None]
) -> Iterator[pa.Table]:
    """Yield the decisions of a file chunk by chunk, and collect the flagged orders, which are needed at the end."""
    try:
        for chunk in stream_scores(iter_chunks(path, CHUNK_ROWS), LaterEvents.empty(), parts):
            chunks.append(replace(chunk, scored=chunk.scored.take(np.flatnonzero(chunk.scored.actions))))
            if parts.keeps_all:
                yield chunk.scored.build_table()
            advance(chunk.n_orders)
    except (ContractError, HistoryError):
        raise _NotInChunksError from None
    ids = np.concatenate([chunk.order_ids for chunk in chunks])
    ids.sort()
    if (ids[1:] == ids[:-1]).any():
        raise _NotInChunksError
