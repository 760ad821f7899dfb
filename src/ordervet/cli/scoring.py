"""The command that scores: orders in; flags, the desk's queue and its page out."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ordervet.cli import options
from ordervet.cli.history import preview_files
from ordervet.cli.intake import choose_threads, read_files
from ordervet.cli.scored_files import Targets, build_desk_queue, check_targets, write_desk_queue
from ordervet.cli.scored_screen import Ending, tell_ending
from ordervet.cli.screen import ExitCode, choose_lang, show_progress
from ordervet.cli.streaming import find_streamable, stream_file
from ordervet.contract import parse_instant, write_table
from ordervet.contract.file_events import AUTO, NATIVE
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities import KeyedEvents, key_events, load_key
from ordervet.errors import ContractError
from ordervet.model import find_live_model, load_model
from ordervet.policy import keep_policy, load_policy, load_scripts, parse_shifts
from ordervet.score import Scorer, find_bundled_models
from ordervet.score.handover import update_hold_list
from ordervet.score.stream import open_parts

if TYPE_CHECKING:
    from ordervet.policy import Shift
    from ordervet.score.stream import StreamParts


def score(
    files: options.Files,
    history: options.HistoryFolder = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --history: leave the history as it is; do not bring the files in.")
    ] = False,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    models: options.Models = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file; without it, the default policy.")] = None,
    scripts: options.ScriptsDir = None,
    since: Annotated[
        str | None, typer.Option(help="Score only orders placed at or after this time; earlier ones are history.")
    ] = None,
    capacity: Annotated[int | None, typer.Option(min=0, help="How many orders the desk can look at.")] = None,
    shifts: Annotated[
        str | None, typer.Option(help="When the desk works, such as 09:00-18:00,20:00-24:00; capacity is by day then.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Write every order, not only flagged ones.")] = False,
    explain_all: Annotated[
        bool, typer.Option("--explain-all", help="With --all: give reasons for orders that pass, too.")
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
            ".parquet; brought up to date by each run, with the release list NAME.released beside it."
        ),
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(help="Where to write rows that were set aside; by default beside --out, as NAME.quarantine.csv."),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many flagged orders to print.")] = 15,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Score orders and rank those to look at, with reasons and scripts.

    Every order is scored by what was known before its own instant, wherever it stands in the files. With a history,
    what it holds is known too; only the orders of the files are scored, and then the files are brought into it.

    A queue.xlsx has one sheet per stage and columns for verdicts; filled in, `ordervet ingest` takes it back.

    Example: ordervet score orders.csv --history history --capacity 300 --out queue.xlsx --report queue.html
    """
    targets = check_targets(out_path, report, hold_list, quarantine)
    spoken = choose_lang(lang)
    rules = load_policy(policy).with_capacity(capacity, _read_shifts(shifts))
    known_scripts = load_scripts(scripts)
    model = load_model(find_live_model(models or find_bundled_models()))
    started = time.perf_counter()
    is_plain = not (history or mapping or since or rules.capacity or hold_list or targets.needs_queue)
    large = find_streamable(files) if is_plain and format_ in {AUTO, NATIVE} else None
    if large:
        n_threads = choose_threads(threads)
        parts = open_parts(model, rules, load_key(), lang=spoken, n_threads=n_threads)
        ending = _stream(large, replace(parts, keeps_all=all_, explains_all=all_ and explain_all), targets)
        if ending:
            elapsed_s = time.perf_counter() - started
            tell_ending(ending, model, targets, elapsed_s, top, spoken, DEFAULT_TIME_ZONE, known_scripts, json=json)
            return
    with show_progress() as report_step:
        report_step("reading")
        preview = (
            preview_files(files, history, mapping, dry_run=dry_run, format_name=format_, formats_dir=formats)
            if history
            else None
        )
        intake = preview.intake if preview else read_files(files, mapping, format_name=format_, formats_dir=formats)
        order_ids = preview.order_ids if preview else None
        first = _read_since(since, intake.time_zone)
        report_step(f"scoring {intake.events.orders.num_rows if order_ids is None else len(order_ids):,} orders")
        key = load_key()
        events = intake.events if isinstance(intake.events, KeyedEvents) else key_events(intake.events, key)
        scorer = Scorer(model, rules, key, lang=spoken, n_jobs=choose_threads(threads))
        scored = scorer.score_events(events, since_us=first, order_ids=order_ids, explain_all=all_ and explain_all)
        if preview and not dry_run:
            report_step("bringing into the history")
            preview.store.ingest_all(preview.parts)
            keep_policy(rules, preview.store.path)
        flagged = scored.rank_flagged()
        report_step(f"writing {len(flagged):,} flagged orders")
        if targets.needs_queue:
            queue = build_desk_queue(scored, flagged, events.orders, model, intake.time_zone, known_scripts)
            write_desk_queue(queue, scored, targets, spoken, with_passed=all_)
        if targets.out and not targets.is_book:
            write_table(scored.build_table(None if all_ else flagged), targets.out)
        if targets.quarantine and intake.failures.num_rows:
            write_table(intake.failures, targets.quarantine)
        handed = update_hold_list(hold_list, scored, events, rules) if hold_list else None
    ending = Ending(scored, flagged, len(scored), intake.list_accounts(events.orders), intake.failures.num_rows, handed)
    tell_ending(
        ending, model, targets, time.perf_counter() - started, top, spoken, intake.time_zone, known_scripts, json=json
    )
    if ending.n_failures:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


def _stream(path: Path, parts: StreamParts, targets: Targets) -> Ending | None:
    """Score one large file in chunks; None where it has to be read whole."""
    streamed = stream_file(path, parts, targets.out)
    if streamed is None:
        return None
    return Ending(streamed.scored, streamed.scored.rank_flagged(), streamed.n_orders, [streamed.account], 0)


def _read_shifts(text: str | None) -> tuple[Shift, ...] | None:
    if text is None:
        return None
    try:
        return parse_shifts(text)
    except ValueError:
        raise ContractError(
            f"--shifts: got {text[:60]}, expected times of day", hint="--shifts 09:00-18:00,20:00-24:00"
        ) from None


def _read_since(since: str | None, time_zone: str) -> int | None:
    if since is None:
        return None
    try:
        instant = parse_instant(since, time_zone=time_zone)
    except ContractError:
        raise ContractError(f"--since: got {since}, expected a time", hint='--since "2025-11-11 20:00"') from None
    return int(instant.astimezone(UTC).timestamp() * 1_000_000)
