"""Commands about orders: score, explain, validate."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import typer

from ordervet.cli import options
from ordervet.cli.history import preview_files
from ordervet.cli.intake import Intake, choose_threads, read_events_of, read_files
from ordervet.cli.screen import ExitCode, choose_lang, err, out, print_json, show_progress
from ordervet.contract import check_out_path, parse_instant, write_table
from ordervet.contract.file_events import AUTO
from ordervet.entities import load_key
from ordervet.errors import ContractError
from ordervet.model import find_live_model, load_model
from ordervet.policy import ACTIONS, load_policy
from ordervet.reports import SIMULATED, build_failure_table, build_flag_lines, count_actions, count_failures
from ordervet.score import Scorer, find_bundled_models

_SHOWN_FEATURES = 12

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.model import Model
    from ordervet.policy import Lang
    from ordervet.score import ScoredOrders


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
    since: Annotated[
        str | None, typer.Option(help="Score only orders placed at or after this time; earlier ones are history.")
    ] = None,
    capacity: Annotated[int | None, typer.Option(min=0, help="How many orders the desk can look at.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Write every order, not only flagged ones.")] = False,
    out_path: Annotated[
        Path | None, typer.Option("--out", help="Where to write: .csv, .jsonl, .parquet or .xlsx.")
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

    Example: ordervet score orders.csv outcomes.csv verdicts.csv --capacity 300 --out flags.xlsx
    """
    targets = _check_targets(out_path, quarantine)
    spoken = choose_lang(lang)
    rules = load_policy(policy)
    model = load_model(find_live_model(models or find_bundled_models()))
    started = time.perf_counter()
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
        scorer = Scorer(model, rules, load_key(), lang=spoken, n_jobs=choose_threads(threads))
        scored = scorer.score_events(intake.events, since_us=first, order_ids=order_ids, capacity=capacity)
        if preview and not dry_run:
            report_step("bringing into the history")
            preview.store.ingest_all(preview.parts)
        flagged = scored.rank_flagged()
        report_step("writing")
        if targets.out:
            write_table(scored.build_table(None if all_ else flagged), targets.out)
        if targets.quarantine and intake.failures.num_rows:
            write_table(intake.failures, targets.quarantine)
    elapsed_s = time.perf_counter() - started
    if json:
        print_json(_build_summary(scored, flagged, model, intake, elapsed_s, top))
    else:
        _print_flags(scored, flagged[:top], spoken, intake.time_zone)
        _print_summary(scored, flagged, model, elapsed_s, spoken)
        _print_written(targets, intake.failures.num_rows)
    if intake.failures.num_rows:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


def explain(
    order_id: Annotated[str, typer.Argument(help="The order to explain.", show_default=False)],
    files: options.FilesOrHistory = None,
    history: options.HistoryFolder = None,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    models: options.Models = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file; without it, the default policy.")] = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Explain one order's score: decision, reasons, and what each feature added.

    Example: ordervet explain T20251111000042 orders.csv outcomes.csv verdicts.csv
    """
    spoken = choose_lang(lang)
    model = load_model(find_live_model(models or find_bundled_models()))
    with show_progress() as report_step:
        report_step("reading")
        intake = read_events_of(files, history, mapping, format_name=format_, formats_dir=formats)
        report_step("scoring")
        scorer = Scorer(model, load_policy(policy), load_key(), lang=spoken, n_jobs=choose_threads(threads))
        decision, parts = scorer.explain_events(intake.events, order_id)
    if json:
        features = [dict(zip(("feature", "value", "contribution"), part, strict=True)) for part in parts]
        print_json(decision.as_dict() | {"features": features})
        return
    row = intake.events.orders["order_id"].to_pylist().index(order_id)
    placed_at = intake.events.orders["placed_at"][row].as_py()
    out.print(build_flag_lines(decision, placed_at, 1, lang=spoken, time_zone=intake.time_zone))
    out.print(f"missing evidence: {', '.join(decision.missing) or 'none'}")
    for name, value, contribution in parts[:_SHOWN_FEATURES]:
        out.print(f"  {contribution:+8.3f}  {name} = {value:g}", markup=False)
    out.print(f"model {model.model_id}; contributions are log-odds and add up to the score", style="dim")


def validate(
    files: options.Files,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    out_path: Annotated[Path | None, typer.Option("--out", help="Where to write the rows that fail.")] = None,
    json: options.Json = False,
) -> None:
    """Check files against the contract, row by row; nothing is scored.

    Example: ordervet validate orders.csv verdicts.csv --out wrong-rows.csv
    """
    targets = _check_targets(out_path, None)
    with show_progress() as report_step:
        report_step("checking")
        intake = read_files(files, mapping, format_name=format_, formats_dir=formats)
    counts = {kind: getattr(intake.events, kind).num_rows for kind in ("orders", "outcomes", "verdicts", "corrections")}
    n_failed = intake.failures.num_rows
    if targets.out and n_failed:
        write_table(intake.failures, targets.out)
    if json:
        print_json({"good": counts, "n_failures": n_failed, "failures": count_failures(intake.failures)})
    else:
        out.print("good rows: " + ", ".join(f"{n:,} {kind}" for kind, n in counts.items() if n))
        if n_failed:
            out.print(f"{n_failed:,} failures:")
            out.print(build_failure_table(intake.failures))
    if n_failed:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


class _Targets:
    """Files to write, checked before any work is done."""

    def __init__(self, out_path: Path | None, quarantine: Path | None) -> None:
        self.out = out_path
        self.quarantine = quarantine


def _check_targets(out_path: Path | None, quarantine: Path | None) -> _Targets:
    if quarantine is None and out_path is not None:
        quarantine = out_path.with_name(out_path.stem + ".quarantine.csv")
    for path in (out_path, quarantine):
        if path is not None:
            check_out_path(path)
    return _Targets(out_path, quarantine)


def _read_since(since: str | None, time_zone: str) -> int | None:
    if since is None:
        return None
    try:
        instant = parse_instant(since, time_zone=time_zone)
    except ContractError:
        raise ContractError(f"--since: got {since}, expected a time", hint='--since "2025-11-11 20:00"') from None
    return int(instant.astimezone(UTC).timestamp() * 1_000_000)


def _print_flags(scored: ScoredOrders, rows: NDArray[np.int64], lang: Lang, time_zone: str) -> None:
    placed_at = scored.placed_at.take(pa.array(rows, pa.int64())).to_pylist()
    for rank, (row, instant) in enumerate(zip(rows.tolist(), placed_at, strict=True), start=1):
        out.print(build_flag_lines(scored.build_decision(row), instant, rank, lang=lang, time_zone=time_zone))


def _print_summary(
    scored: ScoredOrders, flagged: NDArray[np.int64], model: Model, elapsed_s: float, lang: Lang
) -> None:
    n, n_flagged = len(scored), len(flagged)
    counts = count_actions(Counter(scored.actions[flagged].tolist()), lang)
    out.print(
        f"\n{n:,} orders scored in {elapsed_s:.1f} s; {n_flagged:,} flagged ({n_flagged / max(n, 1):.1%})"
        + (f": {counts}" if counts else "")
    )
    about = model.origin.get("about")
    out.print(f"model {model.model_id}" + (f", learned from {about}" if about else ""), style="dim")
    if model.origin.get("is_simulated"):
        out.print(SIMULATED, style="dim")


def _print_written(targets: _Targets, n_failures: int) -> None:
    if targets.out:
        out.print(f"written: {targets.out}", markup=False)
    if n_failures:
        where = f"see {targets.quarantine}" if targets.quarantine else "ordervet validate FILE... lists them"
        err.print(f"{n_failures:,} rows were set aside: {where}", style="yellow", markup=False)


def _build_summary(
    scored: ScoredOrders,
    flagged: NDArray[np.int64],
    model: Model,
    intake: Intake,
    elapsed_s: float,
    top: int,
) -> dict[str, Any]:
    return {
        "n_orders": len(scored),
        "n_flagged": len(flagged),
        "actions": {str(action): int((scored.actions == at).sum()) for at, action in enumerate(ACTIONS)},
        "n_set_aside": intake.failures.num_rows,
        "model_id": model.model_id,
        "is_model_simulated": bool(model.origin.get("is_simulated")),
        "elapsed_s": round(elapsed_s, 3),
        "flagged": [scored.build_decision(int(row)).as_dict() for row in flagged[:top]],
    }
