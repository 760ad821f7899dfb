"""Write a simulation into a folder, every file at once or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ordervet.errors import FileError
from ordervet.lab.simulate.text_columns import compute

if TYPE_CHECKING:
    from ordervet.lab.simulate.simulated_tables import Simulation

FORMATS = ("csv", "parquet")
TABLE_NAMES = ("orders", "outcomes", "verdicts", "corrections", "truth")
_OFFSET_US = (
    8 * 3600 * 1_000_000
)  # NOTE: the calendar of simulated years; China has kept UTC+8 without change since 1992


_LEFT_OUT = frozenset(
    {
        "seen_at",
        "order_uid",
        "shop_id",
        "outcome_id",
        "line_id",
        "is_inferred",
        "updated_at",
        "status",
        "agent",
        "country",
    }
)
"""Columns that say nothing of one merchant's made-up season: when it was seen, of which shop, under which number."""


def write_simulation(
    simulation: Simulation,
    folder: Path | str,
    *,
    format: Literal["csv", "parquet"] = "csv",  # noqa: A002 -- what it is
    truth: bool = True,
) -> list[Path]:
    """Write orders, outcomes, verdicts, corrections and truth, one file each; equal simulations give equal bytes.

    `seen_at` is skipped: it is the time of the event, which is also what the contract takes it for. So are columns
    that no simulation fills.

    Parameters
    ----------
    simulation : what to write
    folder : made if missing; files of the same names are replaced
    format : "csv" (UTF-8, times as ISO 8601 with +08:00) or "parquet"
    truth : False leaves the truth out, so that the folder holds only what a merchant has

    Returns
    -------
    the files written, in the order of `TABLE_NAMES`; a table without rows gets none

    Raises
    ------
    FileError
        `folder` is a file, or `format` is not one of `FORMATS`.
    """
    if format not in FORMATS:
        raise FileError(f"a simulation cannot be written as {format!r}", hint=f"choose one of {', '.join(FORMATS)}")
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise FileError(f"{target} is a file, not a folder", hint="name a folder, or one that does not exist yet")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".writing-") as scratch:
        for name in TABLE_NAMES:
            table = getattr(simulation, name)
            if table.num_rows and (truth or name != "truth"):
                _write_table(table, Path(scratch, f"{name}.{format}"))
        return _put_in_place(Path(scratch), target, format)


def _put_in_place(scratch: Path, target: Path, ending: str) -> list[Path]:
    """Replace the target's files by those just written, and take away what an older run left of an empty table."""
    paths = []
    for name in TABLE_NAMES:
        path = target / f"{name}.{ending}"
        written = scratch / path.name
        if written.exists():
            paths.append(written.replace(path))
        else:
            path.unlink(missing_ok=True)
    return paths


def _write_table(full: pa.Table, path: Path) -> None:
    left_out = [
        name for name in full.column_names if name in _LEFT_OUT and (name == "seen_at" or _is_empty(full[name]))
    ]
    table = full.drop_columns(left_out)
    if path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd")
        return
    columns = [_write_times(column) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    plain = pa.table(columns, names=table.column_names)
    with path.open("wb") as file:
        file.write((",".join(table.column_names) + "\n").encode())
        # NOTE: no text of a simulation holds a comma, a quote or a line break; Arrow raises if one ever does.
        options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
        pa_csv.write_csv(plain, file, write_options=options)


def _is_empty(column: pa.ChunkedArray[Any]) -> bool:
    return bool(column.null_count == len(column))


def _write_times(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    local = compute.add(column.cast(pa.int64()), _OFFSET_US).cast(pa.timestamp("us")).cast(pa.timestamp("s"))
    written: pa.ChunkedArray[Any] = compute.strftime(local, format="%Y-%m-%dT%H:%M:%S+08:00")
    return written
