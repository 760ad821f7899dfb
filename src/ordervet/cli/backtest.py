"""The command backtest: measure the method on past data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import typer
from pyarrow import csv, parquet

from ordervet.cli import options
from ordervet.cli.intake import build_history_intake, read_events_of, read_settings
from ordervet.cli.retrain import build_lookalikes, choose_cut_off
from ordervet.cli.session import Session, read_time
from ordervet.contract.files.outputs import drop_nan, write_text
from ordervet.contract.files.pieces import AUTO, FILE_FAILURE_SCHEMA
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.errors import ContractError, TrainingError
from ordervet.history.slices import HistorySlices
from ordervet.lab.backtest.report import build_report, check_truth
from ordervet.lab.backtest.splits import run_backtest
from ordervet.lab.past_nights import replay_nights, sum_up_nights, sum_up_rings
from ordervet.learn.labels import DAY_US
from ordervet.learn.night_settings import load_night_settings
from ordervet.reports import average_splits, build_backtest_table
from ordervet.reports.backtest import build_evaluation_tables, describe_baselines, describe_claims
from ordervet.reports.backtest_page import build_backtest_page
from ordervet.reports.nights import (
    build_nights_page,
    build_nights_table,
    build_rings_table,
    describe_nights,
    describe_reasons,
)
from ordervet.words import find_words

if TYPE_CHECKING:
    from ordervet.learn.night_settings import NightSettings

#: Days that are measured after a replayed night.
_DAYS_AFTER = 7


def backtest(
    files: options.FilesOrHistory = None,
    history: options.HistoryFolder = None,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    settings: options.SettingsFile = None,
    maturity_days: options.Maturity = 30.0,
    more_train_days: Annotated[
        int, typer.Option(min=0, help="Also train on this many days before each split's start.")
    ] = 0,
    test_from: Annotated[
        str | None,
        typer.Option(help="Start of the test period, such as 2025-11-10T20:00; what was known before trains."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="The truth of a simulation: to test against, never to train on.")
    ] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="Orders the desk can review per day.")] = None,
    baseline: Annotated[
        bool, typer.Option(help="Measure baselines too: points and rules, the best single count, no history.")
    ] = False,
    ablation: Annotated[bool, typer.Option(help="Refit without each family of features in turn; slow.")] = False,
    nights: Annotated[
        int | None,
        typer.Option(min=1, help="Replay the last nights of --history whose next days have mature labels."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="With --nights: days from one night to the next.")] = 1,
    night_settings: Annotated[
        Path | None, typer.Option(help="With --nights: TOML file as for `ordervet retrain --settings`.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page with intervals, parts and plots.")] = None,
    simulated: options.Simulated = False,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Measure the method on past data: train on what was known, test on what came after.

    With a [backtest] part in the mapping its protocol is followed; otherwise the newest fifth is the test.

    With --nights the retraining itself is replayed, night by night, on a history, and what served after each night is
    measured on the seven days after it.

    Example: ordervet backtest transactions.parquet --mapping handbook.toml --report backtest.html
    """
    if nights is not None:
        session = Session(lang, json=json, threads=threads, leaves_room=True)
        _check_nights(session, files, history, truth)
        told = load_night_settings(night_settings)
        _replay(session, history, mapping, told, nights, every, report, is_simulated=simulated)
        return
    fit = read_settings(settings)
    known = _read_truth(truth) if truth else None
    session = Session(lang, json=json, threads=threads)
    with session.progress() as report_step:
        report_step("reading")
        intake = read_events_of(session, files, history, mapping, format_name=format_, formats_dir=formats)
        protocol = intake.protocol
        if protocol and more_train_days:
            protocol = protocol.model_copy(update={"more_train_days": more_train_days})
        from_time = read_time("--test-from", test_from, intake.time_zone)
        results = run_backtest(
            intake.events, intake.spec, protocol, settings=fit, maturity_days=maturity_days,
            test_from=from_time.astimezone(ZoneInfo(intake.time_zone)) if from_time else None, truth=known,
            with_baseline=baseline, with_ablation=ablation, n_jobs=session.n_threads, report_step=report_step,
        )  # fmt: skip
        report_step("evaluating")
        n_features, is_simulated = len(intake.spec.names), simulated or known is not None
        judged = build_report(results, n_features=n_features, is_simulated=is_simulated, capacity=capacity)
    splits = [result.as_dict() for result in results]
    if report is not None:
        write_text(build_backtest_page(judged, lang=session.lang), report)
    if json:
        session.print_json({"splits": splits, "mean": average_splits(splits)} | judged)
    else:
        _print_backtest(session, splits, judged, protocol.top_k if protocol else None)
        if report is not None:
            session.print(session.text("written", path=report))
    session.end_with_rows_set_aside(intake.failures.num_rows)


def _check_nights(session: Session, files: list[Path] | None, history: Path | None, truth: Path | None) -> None:
    if files or truth is not None or history is None:
        raise typer.BadParameter(session.text("backtest.nights_alone"))


def _replay(
    session: Session,
    history: Path | None,
    mapping: str | None,
    settings: NightSettings,
    n_nights: int,
    every: int,
    report: Path | None,
    *,
    is_simulated: bool,
) -> None:
    found, rules = session.load_mapping(mapping), session.load_policy(None)
    with session.progress() as report_step:
        report_step("reading the timeline")
        store = session.open_history(history or Path())
        last_us = choose_cut_off(None, found.source.time_zone if found else DEFAULT_TIME_ZONE)
        slices = HistorySlices.open(store, until_us=last_us)
        seen_at = slices.timeline.order_seen_at
        intake = build_history_intake(slices.read_first(), FILE_FAILURE_SCHEMA.empty_table(), found)
        wait_days = math.ceil(settings.maturity.order_days) + _DAYS_AFTER
        newest_us = last_us - ((last_us - int(seen_at.max())) // DAY_US + wait_days) * DAY_US
        cut_offs = [newest_us - every * back * DAY_US for back in reversed(range(n_nights))]
        cut_offs = [each for each in cut_offs if each > seen_at.min()]
        if not cut_offs:
            raise TrainingError(
                f"the history is shorter than the {wait_days} days after which a night can be measured",
                hint="ordervet ingest FILE... --history DIR brings in more",
            )
        measured = replay_nights(
            store, cut_offs, intake.spec, settings=settings, days_after=_DAYS_AFTER, known_until_us=last_us,
            policy=rules,
            measure_lookalikes=build_lookalikes(settings, rules, session.n_threads), n_threads=session.n_threads,
            report_step=report_step,
        )  # fmt: skip
    nights = drop_nan([each.as_dict() for each in measured])
    summary, rings = sum_up_nights(measured), drop_nan(sum_up_rings(measured))
    if report is not None:
        write_text(build_nights_page(nights, summary, rings, is_simulated=is_simulated, lang=session.lang), report)
    if session.json:
        session.print_json({"summary": summary, "is_simulated": is_simulated, "nights": nights} | rings)
        return
    session.print(build_nights_table(nights, session.lang))
    session.print()
    session.print(find_words("nights", session.lang)["rings"], style="bold")
    session.print(build_rings_table(nights, session.lang))
    session.print(find_words("nights", session.lang)["rings_note"], style="dim")
    if why := describe_reasons(nights, session.lang):
        session.print(why)
    session.print(describe_nights(summary, session.lang))
    if is_simulated:
        session.print_simulated()
    if report is not None:
        session.print(session.text("written", path=report))


def _print_backtest(session: Session, splits: list[dict[str, Any]], judged: dict[str, Any], top_k: int | None) -> None:
    session.print(build_backtest_table(splits, session.lang, top_k=top_k))
    for title, table in build_evaluation_tables(judged, session.lang):
        session.print()
        session.print(title, style="bold")
        session.print(table)
    for sentence in filter(None, (*describe_baselines(judged, session.lang), describe_claims(judged, session.lang))):
        session.print()
        session.print(sentence)
    if judged["is_simulated"]:
        session.print_simulated()


def _read_truth(path: Path) -> pa.Table:
    try:
        table = parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(
            f"{path.name} cannot be read ({type(error).__name__})", hint="give truth.csv or truth.parquet"
        ) from None
    return check_truth(table)
