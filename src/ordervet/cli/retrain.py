"""The command retrain: the night."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
import typer

from ordervet import storage
from ordervet.cli import options
from ordervet.cli.intake import build_history_intake
from ordervet.cli.screen import ExitCode
from ordervet.cli.session import Session, read_time, to_us
from ordervet.contract.files.pieces import FILE_FAILURE_SCHEMA
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.errors import TrainingError
from ordervet.history.slices import HistorySlices
from ordervet.lab.lookalikes import measure_lookalikes
from ordervet.learn.night import run_night
from ordervet.learn.night_metrics import build_metrics
from ordervet.learn.night_settings import load_night_settings
from ordervet.reports.nightly import describe_audit, describe_claims, describe_gate, describe_outcome, is_decided
from ordervet.reports.terminal import WordTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.learn.night import Night
    from ordervet.learn.night_settings import NightSettings
    from ordervet.model import Model
    from ordervet.policy import Policy


#: What `--json` says first.
_DECISION = (
    "night", "was_done", "as_of", "passed", "missing", "serve_id", "starter_id", "model_id", "champion_id",
    "is_starter", "superseded_by", "champion_faults", "audit",
)  # fmt: skip


def retrain(
    history: options.History,
    models: Annotated[Path, typer.Option(help="Folder of models.", show_default=False)],
    as_of: Annotated[
        str | None,
        typer.Option(help="Cut-off: only what was seen before it is used. By default the last midnight, local time."),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="Parquet rows of the same events that ordervet.spark built: features are not replayed."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Learn and measure, and write nothing.")] = False,
    settings: Annotated[Path | None, typer.Option(help="TOML file; docs/nightly.md shows every setting.")] = None,
    mapping: options.Mapping = None,
    policy: options.Policy = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Accept that features of this pattern are new, constant or drifted; may be repeated."),
    ] = None,
    metrics: Annotated[Path | None, typer.Option(help="File of metrics for the Prometheus node exporter.")] = None,
    about: options.About = "",
    simulated: options.Simulated = False,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
    details: Annotated[
        bool, typer.Option("--details", help="With --json: drift, label flow, origin and reasons, too.")
    ] = False,
) -> None:
    """Train on the history, and promote the new model if it passes the gates; else say why not, and change nothing.

    Only mature labels are learned from, and only later ones are measured on. Running the same night twice
    changes nothing; a run that died is resumed by the next. A refusal is a normal end: code 7 and a report;
    so is too little to learn from: code 6 and a report that says what is missing. The bundled starter serves until
    a model of your own is better.

    Example: ordervet retrain --history history --models models
    """
    told = load_night_settings(settings)
    if accept:
        told = told.model_copy(
            update={"gates": told.gates.model_copy(update={"expected": (*told.gates.expected, *accept)})}
        )
    session = Session(lang, json=json, threads=threads, leaves_room=True)
    found = session.load_mapping(mapping)
    rules = session.load_policy(policy)
    with session.progress() as report_step:
        report_step("reading the timeline")
        store = session.open_history(history)
        cut_off = choose_cut_off(as_of, found.source.time_zone if found else DEFAULT_TIME_ZONE)
        slices = HistorySlices.open(store, until_us=cut_off)
        if len(slices.timeline.order_id) == 0:
            raise TrainingError(
                "the history holds no order from before the cut-off", hint="ordervet ingest FILE... --history DIR"
            )
        intake = build_history_intake(slices.read_first(), FILE_FAILURE_SCHEMA.empty_table(), found)
        night = run_night(
            slices, models, intake.spec, settings=told, policy=rules,
            about=({"about": about} if about else {}) | {"is_simulated": simulated},
            measure_lookalikes=build_lookalikes(told, rules, session.n_threads),
            dry_run=dry_run, n_threads=session.n_threads, report_step=report_step, rows=rows,
        )  # fmt: skip
    if metrics is not None:
        storage.write_text(metrics, build_metrics(night.record, is_dry_run=dry_run))
    if json:
        session.print_json(_order_record(night, has_details=details))
    else:
        _print_night(session, night, is_simulated=simulated)
    if night.record["missing"]:
        session.warn(session.text("hint", hint=_find_hint(session, night.record)), style="")
        raise typer.Exit(ExitCode.REFUSED)
    if not night.record["passed"]:
        raise typer.Exit(ExitCode.REFUSED_BY_GATES)


def choose_cut_off(as_of: str | None, time_zone: str) -> int:
    """Read the cut-off asked for, or take the last midnight in the zone; UTC microseconds.

    Raises
    ------
    ContractError
        It is no time.
    """
    zone = ZoneInfo(time_zone)
    return to_us(read_time("--as-of", as_of) or datetime.combine(datetime.now(zone).date(), time(), zone))


def build_lookalikes(
    settings: NightSettings, policy: Policy, n_threads: int
) -> Callable[[Model, frozenset[str]], dict[str, Any]] | None:
    """Give the look-alike suite as a night asks it; None where the settings leave it out."""
    n_orders = settings.gates.lookalike_orders
    if n_orders == 0:
        return None

    def measure(model: Model, lacking: frozenset[str]) -> dict[str, Any]:
        return measure_lookalikes(
            replace(model, metrics={}), n_orders=n_orders, seed=settings.seed, policy=policy, lacking=lacking,
            n_jobs=n_threads,
        ).as_dict()  # fmt: skip

    return measure


def _order_record(night: Night, *, has_details: bool) -> dict[str, Any]:
    """Put the decision first, and leave out what only a page of its own can show."""
    record: dict[str, Any] = {"outcome": night.outcome, "night": night.name, "was_done": night.was_done}
    record |= night.record
    first = ["outcome", *(name for name in _DECISION if name in record)]
    ordered = {name: record[name] for name in first}
    ordered["refused_by"] = [gate["name"] for gate in record["gates"] if not gate["passed"]]
    if record["metrics"]:
        blend = record["origin"]["blend"]
        ordered |= {"own_share": blend["share"], "num_rounds": blend["num_rounds"]}
        ordered |= {"ap": record["metrics"]["ap"], "champion_ap": record["champion_metrics"]["ap"]}
    if record.get("claims"):
        ordered["claims"] = record["claims"]
    ordered["is_simulated"] = bool(record["origin"].get("is_simulated"))
    ordered["gates"] = record["gates"]
    rest = {name: value for name, value in record.items() if name not in ordered}
    return ordered | (rest if has_details else {})


def _find_hint(session: Session, record: dict[str, Any]) -> str:
    """Say what helps where there is too little to learn from; waiting does not where the history has ended."""
    if any(each["what"] == "newest_orders" for each in record["missing"]):
        last = np.datetime64(record["last_order_at"].removesuffix("Z"), "D")
        return session.text("retrain.ended_hint", last=last, as_of=last + 1)
    return session.text("retrain.missing_hint")


def _print_night(session: Session, night: Night, *, is_simulated: bool) -> None:
    if night.was_done:
        session.print(session.text("retrain.was_done", name=night.name), style="dim")
    session.print(describe_outcome(night.record, session.lang))
    if said := describe_audit(night.record, session.lang):
        session.print(said)
    if said := describe_claims(night.record, session.lang):
        session.print(said)
    if night.record["gates"]:
        _print_gates(session, night)
    if night.folder is not None:
        session.print(session.text("retrain.report", path=night.folder / f"report.{session.lang}.html"))
    if is_simulated:
        session.print_simulated()


def _print_gates(session: Session, night: Night) -> None:
    rows, gates = [], night.record["gates"]
    for gate in gates:
        name, note = describe_gate(gate, session.lang)
        figures = ["–" if gate[key] is None else f"{gate[key]:.4g}" for key in ("figure", "bound")]
        rows.append([name, *figures, "✓" if gate["passed"] else "✗" if is_decided(gate) else "…", note])
    titles = [*(session.text(f"retrain.{title}") for title in ("gate", "figure", "bound")), "", ""]
    failed = {at: "red" for at, gate in enumerate(gates) if not gate["passed"]}
    session.print(WordTable(titles, rows, numbers=(1, 2), styles=failed))
