"""The command train: learn a model from past orders, and measure it on the newest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordervet.cli import options
from ordervet.cli.intake import read_events_of, read_settings
from ordervet.cli.screen import ExitCode
from ordervet.cli.session import Session
from ordervet.contract.files.pieces import AUTO
from ordervet.learn.night_settings import NightSettings
from ordervet.learn.train import check_learned, learn_model
from ordervet.model import FitSettings, promote_model, save_model
from ordervet.reports import build_card
from ordervet.reports.nightly import describe_gate

if TYPE_CHECKING:
    from ordervet.model import Model


def train(
    models: Annotated[Path, typer.Option(help="Folder to write the model into.", show_default=False)],
    files: options.FilesOrHistory = None,
    history: options.HistoryFolder = None,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    settings: options.SettingsFile = None,
    maturity_days: options.Maturity = 30.0,
    about: options.About = "",
    simulated: options.Simulated = False,
    promote: Annotated[bool, typer.Option(help="Promote it, if it has skill.")] = True,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Train a model on orders, outcomes and verdicts, and measure it on the newest fifth.

    A model that ranks no better than chance, or than one without the history, is saved but not promoted: code 7.

    Example: ordervet train orders.parquet outcomes.parquet verdicts.parquet --models models
    """
    fit = read_settings(settings) or FitSettings()
    origin = ({"about": about} if about else {}) | {"is_simulated": simulated}
    session = Session(lang, json=json, threads=threads, leaves_room=True)
    with session.progress() as report_step:
        report_step("reading")
        intake = read_events_of(session, files, history, mapping, format_name=format_, formats_dir=formats)
        report_step(f"training on {intake.events.orders.num_rows:,} orders")
        learned = learn_model(
            [intake.events],
            intake.spec,
            fit,
            maturity_days=maturity_days,
            origin=origin | intake.origin,
            n_jobs=session.n_threads,
        )
        report_step("measuring what the history adds")
        bounds = NightSettings()
        gates = check_learned(learned, fit, bounds.gates, seed=bounds.seed, n_threads=session.n_threads)
        told = [gate.as_dict() for gate in gates]
        model = replace(learned.model, metrics=learned.model.metrics | {"gates": told})
        folder = save_model(model, models, card=build_card(model))
        is_live = promote and all(gate.passed for gate in gates)
        if is_live:
            promote_model(models, model.model_id)
    if json:
        session.print_json(
            {"model_id": model.model_id, "is_live": is_live, "origin": model.origin, "metrics": model.metrics}
        )
    else:
        _print_trained(session, model, folder, is_live=is_live, is_simulated=simulated)
    _report_refusal(session, told, models, model.model_id, was_asked=promote)
    session.end_with_rows_set_aside(intake.failures.num_rows)


def _print_trained(session: Session, model: Model, folder: Path, *, is_live: bool, is_simulated: bool) -> None:
    session.print(session.text("train.live" if is_live else "train.saved", id=model.model_id, folder=folder))
    metrics = model.metrics
    session.print(
        session.text("train.measured", **{name: metrics[name] for name in ("n_orders", "n_malicious", "ap", "auc")})
    )
    if is_simulated:
        session.print_simulated()


def _report_refusal(
    session: Session, gates: list[dict[str, Any]], models: Path, model_id: str, *, was_asked: bool
) -> None:
    """Say which gates were not passed; end with their code where the model was to serve."""
    failed = [gate for gate in gates if not gate["passed"]]
    for gate in failed:
        name, note = describe_gate(gate, session.lang)
        session.warn(f"✗ {session.label(name, note)}", style="red")
    if failed and was_asked:
        session.warn(session.text("train.no_skill"), style="red")
        hint = session.text("train.no_skill_hint", id=model_id, models=models)
        session.warn(session.text("hint", hint=hint), style="")
        raise typer.Exit(ExitCode.REFUSED_BY_GATES)
