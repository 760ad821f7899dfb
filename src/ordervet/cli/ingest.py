"""The command ingest: bring files, or what is new in a database, into the history."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
import typer

from ordervet.cli import options
from ordervet.cli.row_accounts import account_piece, format_set_aside, list_failures, print_accounts
from ordervet.cli.screen import ExitCode
from ordervet.cli.session import Session
from ordervet.cli.sources import SourceReader, check_only_source
from ordervet.contract import check_out_path, write_table
from ordervet.contract.files.accounts import sum_accounts
from ordervet.contract.files.pieces import AUTO, FILE_FAILURE_SCHEMA
from ordervet.contract.files.reader import FileReader, expand_folders, group_pieces
from ordervet.contract.verdicts import find_disagreements
from ordervet.errors import ContractError, HistoryLockedError, SourceError
from ordervet.history import IngestStatus
from ordervet.words import find_words, join_words
from ordervet.words.error_texts import translate_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ordervet.contract import FileAccount
    from ordervet.contract.files.pieces import FilePiece
    from ordervet.history import History


def ingest(
    history: Annotated[Path, typer.Option(help="Folder of the history; created if missing.", show_default=False)],
    files: options.FilesOrSource = None,
    source: options.Source = None,
    follow: Annotated[
        float | None,
        typer.Option(min=1, help="With --source: keep running, and read what is new every so many seconds."),
    ] = None,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    time_zone: options.TimeZone = None,
    shop: options.Shop = None,
    currency: options.Currency = None,
    quarantine: Annotated[Path | None, typer.Option(help="Where to write rows that were set aside.")] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Ingest orders, outcomes, verdicts and corrections into the history, each once.

    Files may repeat and overlap, and may be of any size and in any order. All of them are ingested, or none: after an
    interruption, run the same command again. Personal data stays outside: the history holds ids made with the key in
    ORDERVET_KEY or ORDERVET_KEY_FILE.

    With --source, what is new in a shop's database is read: each run continues where the last one stopped, and the
    position is committed with the rows. --follow goes on so until SIGTERM or Ctrl-C, which end it with code 0.

    Example: ordervet ingest orders.csv refunds.csv --history history
    """
    if quarantine is not None:
        check_out_path(quarantine)
    session = Session(lang, json=json)
    store = session.find_history(history)
    if source is None:
        if not files or follow is not None:
            raise ContractError("give files, or a --source to follow", hint="ordervet ingest FILE... --history DIR")
        reader = FileReader(session.load_mapping(mapping), time_zone, formats, format_, shop, currency)
        with session.progress() as report_step:
            report_step("reading")
            groups = reader.iter_groups(expand_folders(files))
            done = _ingest_groups(session, groups, _Target(store, history, quarantine), {}, report_step)
        _report(session, done, history, quarantine)
    else:
        check_only_source(files, mapping=mapping, format_=format_, time_zone=time_zone, shop=shop, currency=currency)
        queries, target = SourceReader.open(source, "ingest", formats), _Target(store, history, quarantine)
        if follow is not None:
            _follow_source(session, queries, target, follow)
            return
        done = _ingest_source(session, queries, target)
    if done.failures.num_rows:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where rows go.

    Parameters
    ----------
    store : the history, if there is one already
    folder : of the history
    quarantine : where to write rows that were set aside
    failures : set aside earlier, which the quarantine keeps
    """

    store: History | None
    folder: Path
    quarantine: Path | None
    failures: pa.Table | None = None


def _follow_source(session: Session, reader: SourceReader, target: _Target, every_s: float) -> None:
    """Ingest what is new in a source again and again, until SIGTERM or Ctrl-C: what a round has begun is given up."""
    # NOTE: without a handler, the first process of a container would not even get the signal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_first = True
    with suppress(KeyboardInterrupt):
        while True:
            try:
                target = replace(target, store=session.find_history(target.folder))
                target = replace(target, failures=_ingest_source(session, reader, target).all_failures)
            except (SourceError, HistoryLockedError) as error:
                if is_first:
                    raise
                session.warn(translate_error(error.message, session.lang))
            is_first = False
            time.sleep(every_s)


def _ingest_source(session: Session, reader: SourceReader, target: _Target) -> _Ingested:
    """Ingest what is new in a source."""
    with session.progress() as report_step:
        reads = reader.read(target.store, report_step)
        groups = group_pieces(reader.iter_pieces(reads))
        done = _ingest_groups(session, groups, target, reader.list_positions(reads), report_step)
    _report(session, done, target.folder, target.quarantine)
    return done


def _report(session: Session, done: _Ingested, history: Path, quarantine: Path | None) -> None:
    if session.json:
        session.print_json(
            {
                "history": str(history),
                "version": done.store.version,
                "files": [each.as_dict() for each in done.accounts],
                "n_waiting": done.n_waiting,
                "n_erased": done.n_erased,
                "disagreements": done.disagreements,
                "n_failures": done.failures.num_rows,
            }
        )
    else:
        print_accounts(session, done.accounts)
        _print_notes(done, session)
        _print_set_aside(done, quarantine, session)


@dataclass(frozen=True, slots=True)
class _Ingested:
    """What was ingested."""

    store: History
    accounts: list[FileAccount]
    failures: pa.Table
    n_waiting: int
    n_erased: int
    disagreements: dict[str, dict[str, str]]
    all_failures: pa.Table


def _ingest_groups(
    session: Session,
    groups: Iterator[list[FilePiece]],
    target: _Target,
    positions: Mapping[str, int],
    report_step: Callable[[str], None],
) -> _Ingested:
    """Ingest all groups, or none of them."""
    try:
        return _ingest_all(session, groups, target, positions, report_step)
    except KeyboardInterrupt:
        session.warn(session.text("files.as_it_was"), style="")
        raise


def _ingest_all(
    session: Session,
    groups: Iterator[list[FilePiece]],
    target: _Target,
    positions: Mapping[str, int],
    report_step: Callable[[str], None],
) -> _Ingested:
    """Ingest group after group; rows set aside are written first, so that nothing is ingested without them."""
    accounts: list[tuple[int, FileAccount]] = []
    failures = [FILE_FAILURE_SCHEMA.empty_table()]
    judged: set[str] = set()
    n_waiting = n_erased = 0
    group = next(groups, [])
    store = target.store or session.open_history(target.folder, create=True)
    with store.staging() as staging:
        while group:
            report_step(f"ingesting {group[-1].name}: {sum(each.n_read for _, each in accounts):,} rows so far")
            ingested = staging.add([part.events for part in group])
            accounts += [(part.number, account_piece(part, each)) for part, each in zip(group, ingested, strict=True)]
            failures.append(list_failures(group, ingested))
            judged.update(order_id for part in group for order_id in part.events.verdicts["order_id"].to_pylist())
            n_waiting += sum(each.n_waiting for each in ingested)
            n_erased += sum(each.count(IngestStatus.ERASED) for each in ingested)
            pa.default_memory_pool().release_unused()
            group = next(groups, [])
        staging.move_on(positions)
        failed = pa.concat_tables(failures).combine_chunks()
        all_failed = _unite_failures(target.failures, failed)
        if target.quarantine is not None and failed.num_rows:
            write_table(all_failed, target.quarantine)
    disagreements = _find_disagreements(store, judged)
    return _Ingested(store, sum_accounts(accounts), failed, n_waiting, n_erased, disagreements, all_failed)


def _unite_failures(earlier: pa.Table | None, failed: pa.Table) -> pa.Table:
    """Unite what was set aside in several rounds; what an overlap has read again stands there once."""
    if earlier is None:
        return failed
    names = [name for name in failed.column_names if name != "row"]
    known = set(map(tuple, (row.values() for row in earlier.select(names).to_pylist())))
    is_new = [tuple(row.values()) not in known for row in failed.select(names).to_pylist()]
    return pa.concat_tables([earlier, failed.filter(pa.array(is_new, pa.bool_()))]).combine_chunks()


def _find_disagreements(store: History, order_ids: set[str]) -> dict[str, dict[str, str]]:
    """Find which of these orders agents judge differently, each with its agents' last verdicts."""
    if not order_ids:
        return {}
    found = find_disagreements(*store.read_judgements())
    return {order_id: said for order_id, said in found.items() if order_id in order_ids}


def _print_notes(done: _Ingested, session: Session) -> None:
    words = find_words("verdicts", session.lang)
    for order_id, said in done.disagreements.items():
        verdicts = join_words((f"{agent} {words[verdict]}" for agent, verdict in said.items()), session.lang)
        session.warn(session.text("files.disagree", order_id=order_id, verdicts=verdicts))
    if done.n_waiting:
        session.print(session.text("files.waiting", n=done.n_waiting))
    if done.n_erased:
        session.print(session.text("files.erased", n=done.n_erased))
    session.print(session.text("files.version", n=done.store.version), style="dim")


def _print_set_aside(done: _Ingested, quarantine: Path | None, session: Session) -> None:
    """Say how many rows were set aside, and how many good ones lost a part."""
    if done.failures.num_rows:
        n_rows = sum(each.n_quarantined for each in done.accounts)
        where = session.text("files.see", path=quarantine) if quarantine else session.text("files.quarantine")
        session.warn(session.label(format_set_aside(session, n_rows, done.failures.num_rows), where))
