"""The command about the history: ingest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from ordervet.cli import options
from ordervet.cli.intake import Intake, build_history_intake
from ordervet.cli.parts import count_rows, list_failures, read_parts
from ordervet.cli.screen import ExitCode, err, out, print_json, show_progress
from ordervet.contract import Events, check_out_path, load_mapping, write_table
from ordervet.contract.file_events import AUTO
from ordervet.entities import load_key
from ordervet.entities.history import History, check_lasting, is_history
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.cli.parts import FilePart, RowCounts
    from ordervet.entities import Key


def ingest(
    files: options.Files,
    history: Annotated[
        Path, typer.Option(help="Folder of the history; made when it is not there.", show_default=False)
    ],
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    quarantine: Annotated[Path | None, typer.Option(help="Where to write rows that are set aside.")] = None,
    json: options.Json = False,
) -> None:
    """Bring orders, outcomes, verdicts and corrections into the history, those that are new.

    Files may repeat and overlap, and may come in any order: all of them are brought in, or none. What is personal stays
    outside: the history holds ids made with the key in ORDERVET_KEY or ORDERVET_KEY_FILE.

    Example: ordervet ingest orders.csv refunds.csv --history history
    """
    if quarantine is not None:
        check_out_path(quarantine)
    key = load_key()
    with show_progress() as report_step:
        report_step("reading")
        store = find_history(history, key)
        found = load_mapping(mapping) if mapping else None
        parts = read_parts(files, mapping=found, format_name=format_, formats_dir=formats)
        report_step("bringing in")
        store = store or History.open(history, key, create=True)
        ingested = store.ingest_all([part.events for part in parts])
        failures = list_failures(parts, ingested)
        if quarantine is not None and failures.num_rows:
            write_table(failures, quarantine)
    counts = [count_rows(part, each) for part, each in zip(parts, ingested, strict=True)]
    n_waiting = sum(each.n_waiting for each in ingested)
    n_differing = sum(each.n_differing for each in ingested)
    n_quarantined = sum(each.n_quarantined for each in counts)
    if json:
        print_json(
            {
                "history": str(history),
                "version": store.version,
                "files": _list_counts(parts, counts),
                "n_waiting": n_waiting,
                "n_differing": n_differing,
                "n_failures": failures.num_rows,
            }
        )
    else:
        _print_counts(parts, counts)
        _print_notes(n_waiting, n_differing, store.version)
        if failures.num_rows:
            where = f"see {quarantine}" if quarantine else "--quarantine FILE lists them"
            err.print(f"{n_quarantined:,} rows were set aside: {where}", style="yellow", markup=False)
    if failures.num_rows:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


def find_history(folder: Path, key: Key) -> History | None:
    """Open the history in a folder, if there is one; whatever is wrong with it is said before any work.

    Raises
    ------
    HistoryError, KeyMismatchError
        As for `History.open`.
    """
    check_lasting(key, folder)
    return History.open(folder, key) if is_history(folder) else None


@dataclass(frozen=True, slots=True)
class Preview:
    """A history with files that are not in it yet.

    Parameters
    ----------
    store : the history, as it is
    parts : what the files hold
    intake : the events of both, and the rows of the files that were set aside
    order_ids : the orders of the files
    """

    store: History
    parts: list[Events]
    intake: Intake
    order_ids: pa.Array[pa.StringScalar]


def preview_files(
    files: Sequence[Path],
    folder: Path,
    mapping_name: str | None,
    *,
    dry_run: bool,
    format_name: str = AUTO,
    formats_dir: Path | None = None,
) -> Preview:
    """Read files as they would be known beside the events of a history.

    Parameters
    ----------
    files : orders among them
    folder : of the history; made when it is not there, except in a dry run
    mapping_name : for files with columns of their own
    dry_run : nothing is made
    format_name, formats_dir : of exports

    Raises
    ------
    ContractError, MappingError, HistoryError, KeyMismatchError
        A file, the mapping, the history or the key is wrong, or the files have no good order.
    """
    key = load_key()
    store = find_history(folder, key)
    mapping = load_mapping(mapping_name) if mapping_name else None
    parts = read_parts(files, mapping=mapping, format_name=format_name, formats_dir=formats_dir)
    orders = pa.concat_tables([part.events.orders.select(["order_id"]) for part in parts])
    if orders.num_rows == 0:
        raise ContractError(
            f"there is no order to score in {', '.join(part.name for part in parts)}",
            hint="ordervet ingest FILE... --history DIR brings in what is known about orders",
        )
    store = store or History.open(folder, key, create=not dry_run)
    events, ingested = store.preview([part.events for part in parts])
    intake = build_history_intake(events, list_failures(parts, ingested), mapping)
    return Preview(store, [part.events for part in parts], intake, pc.unique(orders["order_id"]))


def _list_counts(parts: Sequence[FilePart], counts: Sequence[RowCounts]) -> list[dict[str, Any]]:
    return [{"file": part.name, "format": part.format} | asdict(each) for part, each in zip(parts, counts, strict=True)]


def _print_counts(parts: Sequence[FilePart], counts: Sequence[RowCounts]) -> None:
    for part, each in zip(parts, counts, strict=True):
        out.print(
            f"{part.name}: {each.n_read:,} rows read = {each.n_accepted:,} accepted + {each.n_merged:,} merged + "
            f"{each.n_known:,} already known + {each.n_quarantined:,} quarantined",
            markup=False,
        )


def _print_notes(n_waiting: int, n_differing: int, version: int) -> None:
    if n_waiting:
        out.print(f"waiting for their order, to count once it is brought in: {n_waiting:,}")
    if n_differing:
        out.print(f"known orders that came with another time or amount, of which the first stands: {n_differing:,}")
    out.print(f"the history is at version {version}", style="dim")
