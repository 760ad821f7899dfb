"""The command about the history: ingest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer

from ordervet.cli import options
from ordervet.cli.accounts import print_accounts, say_set_aside
from ordervet.cli.intake import Intake, build_history_intake
from ordervet.cli.parts import PartReader, account_part, add_up, list_failures
from ordervet.cli.screen import ExitCode, choose_lang, err, out, print_json, show_progress
from ordervet.cli.words import word
from ordervet.contract import Events, check_out_path, load_mapping, write_table
from ordervet.contract.file_events import AUTO, FILE_FAILURE_SCHEMA
from ordervet.entities import load_key
from ordervet.errors import ContractError
from ordervet.history import History, check_lasting, is_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ordervet.cli.accounts import FileAccount
    from ordervet.cli.parts import FilePart
    from ordervet.entities import Key
    from ordervet.policy import Lang


def ingest(
    files: options.Files,
    history: Annotated[
        Path, typer.Option(help="Folder of the history; made when it is not there.", show_default=False)
    ],
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    quarantine: Annotated[Path | None, typer.Option(help="Where to write rows that are set aside.")] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Bring orders, outcomes, verdicts and corrections into the history, those that are new.

    Files may repeat and overlap, and may be of any size and in any order: all of them are brought in, or none, so after
    an interruption the same command is simply run again. What is personal stays
    outside: the history holds ids made with the key in ORDERVET_KEY or ORDERVET_KEY_FILE.

    Example: ordervet ingest orders.csv refunds.csv --history history
    """
    if quarantine is not None:
        check_out_path(quarantine)
    key, spoken = load_key(), choose_lang(lang)
    with show_progress() as report_step:
        report_step("reading")
        store = find_history(history, key)
        found = load_mapping(mapping) if mapping else None
        groups = PartReader(files, found, format_, formats).iter_groups()
        try:
            brought = _bring_in(
                groups, lambda: store or History.open(history, key, create=True), quarantine, report_step
            )
        except KeyboardInterrupt:
            err.print(word("as_it_was", spoken))
            raise
    if json:
        print_json(
            {
                "history": str(history),
                "version": brought.store.version,
                "files": [each.as_dict() for each in brought.accounts],
                "n_waiting": brought.n_waiting,
                "n_differing": brought.n_differing,
                "n_failures": brought.failures.num_rows,
            }
        )
    else:
        print_accounts(brought.accounts, spoken)
        _print_notes(brought, spoken)
        _print_set_aside(brought, quarantine, spoken)
    if brought.failures.num_rows:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


@dataclass(frozen=True, slots=True)
class _Brought:
    """What was brought in."""

    store: History
    accounts: list[FileAccount]
    failures: pa.Table
    n_waiting: int
    n_differing: int


def _bring_in(
    groups: Iterator[list[FilePart]],
    open_store: Callable[[], History],
    quarantine: Path | None,
    report_step: Callable[[str], None],
) -> _Brought:
    """Bring in group after group; what is set aside is written first, so that nothing is brought in without it."""
    accounts: list[tuple[int, FileAccount]] = []
    failures = [FILE_FAILURE_SCHEMA.empty_table()]
    n_waiting = n_differing = 0
    group = next(groups, [])
    store = open_store()
    with store.staging() as staging:
        while group:
            report_step(f"bringing in {group[-1].name}: {sum(each.n_read for _, each in accounts):,} rows so far")
            ingested = staging.add([part.events for part in group])
            accounts += [(part.number, account_part(part, each)) for part, each in zip(group, ingested, strict=True)]
            failures.append(list_failures(group, ingested))
            n_waiting += sum(each.n_waiting for each in ingested)
            n_differing += sum(each.n_differing for each in ingested)
            pa.default_memory_pool().release_unused()
            group = next(groups, [])
        failed = pa.concat_tables(failures).combine_chunks()
        if quarantine is not None and failed.num_rows:
            write_table(failed, quarantine)
    return _Brought(store, add_up(accounts), failed, n_waiting, n_differing)


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
    parts = PartReader(files, mapping, format_name, formats_dir).read_all()
    orders = pa.concat_tables([part.events.orders.select(["order_id"]) for part in parts])
    if orders.num_rows == 0:
        raise ContractError(
            f"there is no order to score in {', '.join(part.name for part in parts)}",
            hint="ordervet ingest FILE... --history DIR brings in what is known about orders",
        )
    store = store or History.open(folder, key, create=not dry_run)
    if not dry_run:
        store.catch_up()  # also tells, before any work, of a scorer that is running on it
    events, ingested = store.preview([part.events for part in parts])
    accounts = add_up((part.number, account_part(part, each)) for part, each in zip(parts, ingested, strict=True))
    intake = replace(build_history_intake(events, list_failures(parts, ingested), mapping), accounts=accounts)
    return Preview(store, [part.events for part in parts], intake, pc.unique(orders["order_id"]))


def _print_notes(brought: _Brought, lang: Lang) -> None:
    if brought.n_waiting:
        out.print(word("waiting", lang, n=brought.n_waiting))
    if brought.n_differing:
        out.print(word("differing", lang, n=brought.n_differing))
    out.print(word("version", lang, n=brought.store.version), style="dim")


def _print_set_aside(brought: _Brought, quarantine: Path | None, lang: Lang) -> None:
    """Say how many rows were set aside, and how many good ones lost a part."""
    if brought.failures.num_rows:
        n_rows = sum(each.n_quarantined for each in brought.accounts)
        where = word("see", lang, path=quarantine) if quarantine else word("quarantine", lang)
        said = say_set_aside(n_rows, brought.failures.num_rows, lang)
        err.print(f"{said}: {where}", style="yellow", markup=False)
