"""The command score: orders in; flags, the desk's queue and its page out."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from ordervet.cli import options
from ordervet.cli.flags import Found, Shown, Targets, build_desk_queue, check_targets, print_found, write_desk_queue
from ordervet.cli.intake import preview_files, read_files
from ordervet.cli.score_claims import check_alone, score_claims
from ordervet.cli.screen import ExitCode
from ordervet.cli.session import Session, read_time_us
from ordervet.cli.sources import SourceReader, check_only_source
from ordervet.cli.streaming import find_streamable, stream_file
from ordervet.contract import write_table
from ordervet.contract.files.pieces import AUTO, NATIVE
from ordervet.contract.sources.sink import write_decisions
from ordervet.contract.sources.source_file import load_source
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.errors import ContractError
from ordervet.policy import keep_policy, load_scripts, parse_shifts
from ordervet.score import Scorer, clock
from ordervet.score.desk_state import list_handed, recall_desk
from ordervet.score.hold_lists import update_hold_list
from ordervet.score.online_state import find_latest
from ordervet.score.stream import open_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.cli.intake import Preview
    from ordervet.contract.files.pieces import FilePiece
    from ordervet.entities import KeyedEvents
    from ordervet.history import History
    from ordervet.policy import DeskMemory, Shift
    from ordervet.score.stream import StreamParts


def score(
    files: options.FilesOrSource = None,
    history: options.HistoryFolder = None,
    source: options.Source = None,
    sink: Annotated[
        Path | None,
        typer.Option(help="TOML file that names a database table to write the decisions about all scored orders to."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --history: do not ingest the files; the history stays as it is.")
    ] = False,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    time_zone: options.TimeZone = None,
    shop: options.Shop = None,
    currency: options.Currency = None,
    models: options.Models = None,
    policy: options.Policy = None,
    scripts: options.ScriptsDir = None,
    since: Annotated[
        str | None, typer.Option(help="Score only orders placed at or after this time; earlier ones count as history.")
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Score the orders by what is known now rather than when each was placed: after payment, say, or "
            "before shipping.",
        ),
    ] = False,
    capacity: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Orders the desk can review; with --history, per shift or day across all runs.",
        ),
    ] = None,
    now: Annotated[
        str | None,
        typer.Option(
            help="Current time, by which lists and rules expire; by default the clock's. With --history and a capacity "
            "it also decides how many reviews are due, with --again what is known; by default the newest event's time."
        ),
    ] = None,
    shifts: Annotated[
        str | None,
        typer.Option(help="Shifts of the desk, such as 09:00-18:00,20:00-24:00; --capacity is then per day."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Write every order, not only flagged ones.")] = False,
    explain_all: Annotated[
        bool, typer.Option("--explain-all", help="With --all: give reasons also for orders that pass.")
    ] = False,
    out_path: Annotated[
        Path | None,
        typer.Option("--out", help="Where to write: .csv, .jsonl, .parquet, or .xlsx, which is the desk's queue."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where to write the queue as a page: one .html file that works offline.")
    ] = None,
    hold_list: Annotated[
        Path | None,
        typer.Option(
            help="Orders to stop before their audit (审单), in batches for the ERP: .csv, .xlsx, .json, .jsonl or "
            ".parquet; each run updates it, and the release list NAME.released beside it."
        ),
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(help="Where to write rows that were set aside; by default NAME.quarantine.csv beside --out."),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many flagged orders to print.")] = 15,
    claims: Annotated[
        bool,
        typer.Option(
            "--claims",
            help="Judge the refund requests of the files in place of their orders: what to answer each, and why. "
            "--capacity, --shifts, --out and --report are then about requests.",
        ),
    ] = False,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Score orders and rank those to review, with reasons and scripts.

    Each order is scored on what was known before it was placed, wherever it stands in the files. With a history, its
    events count too; only the orders in the files are scored, and the files are then ingested.

    With --source, orders are read from a shop's database; with --sink, decisions are written to a database table.

    A queue.xlsx has one sheet per stage and columns for verdicts; filled in, `ordervet ingest` takes it back.

    Example: ordervet score orders.csv --history history --capacity 300 --out queue.xlsx --report queue.html
    """
    session = Session(lang, json=json, threads=threads)
    files = files or []
    if source is not None:
        check_only_source(files, mapping=mapping, format_=format_, time_zone=time_zone, shop=shop, currency=currency)
    elif not files:
        raise ContractError("give files, or a --source", hint="ordervet score FILE... --history DIR")
    if claims:
        check_alone(
            source=source, sink=sink, since=since, again=again, now=now, all=all_, hold_list=hold_list,
        )  # fmt: skip
        how_claims = {
            "format_name": format_, "formats_dir": formats, "time_zone": time_zone, "shop": shop, "currency": currency,
        }  # fmt: skip
        score_claims(
            session, files, history=history, mapping=mapping, models=models, policy=policy,
            targets=check_targets(out_path, report, None, quarantine), capacity=(capacity, _read_shifts(shifts)),
            top=top, dry_run=dry_run, scripts=scripts, how=how_claims,
        )  # fmt: skip
        return
    queries = SourceReader.open(source, "score", formats) if source else None
    sink_table = load_source(sink) if sink else None
    targets = check_targets(out_path, report, hold_list, quarantine)
    rules = session.load_policy(policy).with_capacity(capacity, _read_shifts(shifts))
    known_scripts = load_scripts(scripts)
    model = session.load_model(models)
    started = time.perf_counter()
    is_plain = not (
        history
        or mapping
        or time_zone
        or shop
        or currency
        or since
        or again
        or rules.capacity
        or rules.quotas
        or hold_list
        or source
        or sink
        or targets.needs_queue
    )
    large = find_streamable(files) if is_plain and format_ in {AUTO, NATIVE} else None
    if large:
        parts = open_parts(model, rules, session.key, lang=session.lang, n_threads=session.n_threads)
        at_us = read_time_us("--now", now) or clock.now_us()
        found = _stream(large, replace(parts, keeps_all=all_, explains_all=all_ and explain_all, now_us=at_us), targets)
        if found:
            elapsed_s = time.perf_counter() - started
            print_found(session, found, Shown(model, targets, known_scripts, DEFAULT_TIME_ZONE, elapsed_s, top))
            return
    how: dict[str, Any] = {
        "format_name": format_,
        "formats_dir": formats,
        "time_zone": time_zone if queries is None else queries.source.time_zone,
        "shop": shop,
        "currency": currency,
    }
    positions: dict[str, int] = {}
    with session.progress() as report_step:
        report_step("reading")
        if queries is not None:
            store = session.find_history(history) if history else None
            reads = queries.read(store, report_step)
            how["pieces"] = list(queries.iter_pieces(reads, in_one=True))
            positions = queries.list_positions(reads)
            mapping = queries.mapping_name
            if not any(piece.events.orders.num_rows for piece in how["pieces"]) and store is not None:
                _take_on_without_orders(session, store, how["pieces"], positions, dry_run=dry_run)
                return
        preview = preview_files(session, files, history, mapping, dry_run=dry_run, **how) if history else None
        intake = preview.intake if preview else read_files(session, files, mapping, **how)
        order_ids = preview.order_ids if preview else None
        first = read_time_us("--since", since, intake.time_zone)
        report_step(f"scoring {intake.events.orders.num_rows if order_ids is None else len(order_ids):,} orders")
        events = intake.events
        given_us = read_time_us("--now", now, intake.time_zone)
        now_us = _find_now(events, given_us) if again else given_us
        desk = _recall(preview, events, now_us) if preview else None
        scorer = Scorer(model, rules, session.key, lang=session.lang, n_jobs=session.n_threads)
        scored = scorer.score_events(
            events,
            since_us=first,
            order_ids=order_ids,
            explain_all=all_ and explain_all,
            desk=desk,
            again_at_us=now_us if again else None,
            outcomes=events.outcomes,
            now_us=given_us,
        )
        if sink_table is not None:
            # NOTE: before the history knows how far the source is read: an interruption in between writes them again.
            report_step(f"writing {len(scored):,} decisions")
            write_decisions(sink_table, scored.build_table().append_column("shop_id", scored.orders["shop_id"]))
        if preview and desk and not dry_run:
            report_step("ingesting")
            with preview.store.staging() as staging:
                staging.add_rows(preview.batch.rows)
                staging.move_on(positions)
            keep_policy(rules, preview.store.path)
            preview.store.record_handed(list_handed(scored, desk.now_us))
        flagged = scored.rank_flagged()
        report_step(f"writing {len(flagged):,} flagged orders")
        if targets.needs_queue:
            queue = build_desk_queue(scored, flagged, events.orders, model, intake.time_zone, known_scripts)
            write_desk_queue(queue, scored, targets, session.lang, with_passed=all_)
        if targets.out and not targets.is_book:
            write_table(scored.build_table(None if all_ else flagged), targets.out, time_zone=intake.time_zone)
        if targets.quarantine and intake.failures.num_rows:
            write_table(intake.failures, targets.quarantine)
        handed = update_hold_list(hold_list, scored, events, rules) if hold_list else None
    found = Found(scored, flagged, len(scored), intake.accounts, intake.failures.num_rows, handed)
    shown = Shown(model, targets, known_scripts, intake.time_zone, time.perf_counter() - started, top)
    print_found(session, found, shown)
    if found.n_failures:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


def _take_on_without_orders(
    session: Session, store: History, pieces: Sequence[FilePiece], positions: dict[str, int], *, dry_run: bool
) -> None:
    """Ingest what a source has where no order of it is new, and say so."""
    if not dry_run:
        with store.staging() as staging:
            staging.add([piece.events for piece in pieces])
            staging.move_on(positions)
    if session.json:
        session.print_json({"n_orders": 0, "n_flagged": 0, "flagged": []})
    else:
        session.print(session.text("score.nothing_new"))


def _find_now(events: KeyedEvents, now_us: int | None) -> int:
    """Find a time after all that is known: the time given, or a microsecond after the newest event.

    Raises
    ------
    ContractError
        Something is known from after the time given.
    """
    newest_us = find_latest(events)
    if now_us is None:
        return newest_us + 1
    if now_us <= newest_us:
        newest = datetime.fromtimestamp(newest_us / 1e6, UTC).replace(microsecond=0, tzinfo=None)
        raise ContractError(
            f"--now: something is known from {newest} UTC, which is not before it",
            hint="give a later time, or leave --now out",
        )
    return now_us


def _recall(preview: Preview, events: KeyedEvents, now_us: int | None) -> DeskMemory:
    """Recall what the desk knows; without a time it is that of the newest order of the files."""
    orders = events.orders
    if now_us is None:
        placed = orders.filter(pc.is_in(orders["order_id"], preview.order_ids))["seen_at"]
        now_us = int(pc.max(placed).cast(pa.int64()).as_py())
    return recall_desk(preview.store.path, events.verdicts, events.corrections, now_us)


def _stream(path: Path, parts: StreamParts, targets: Targets) -> Found | None:
    """Score one large file in chunks; None where it has to be read whole."""
    streamed = stream_file(path, parts, targets.out)
    if streamed is None:
        return None
    return Found(streamed.scored, streamed.scored.rank_flagged(), streamed.n_orders, [streamed.account], 0)


def _read_shifts(text: str | None) -> tuple[Shift, ...] | None:
    if text is None:
        return None
    try:
        return parse_shifts(text)
    except ValueError:
        raise ContractError(
            f"--shifts: got {text[:60]}, expected times of day", hint="--shifts 09:00-18:00,20:00-24:00"
        ) from None
