"""Commands about learning: train, simulate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ordervet.cli import options
from ordervet.cli.intake import choose_threads, read_events_of, read_settings
from ordervet.cli.screen import ExitCode, choose_lang, err, out, print_json, show_progress
from ordervet.contract.file_events import AUTO
from ordervet.lab.simulate import SimulationSettings, mask_simulation, write_simulation
from ordervet.lab.simulate import simulate as build_simulation
from ordervet.learn.night_settings import NightSettings
from ordervet.learn.skill import check_learned
from ordervet.learn.train import learn_model
from ordervet.model import FitSettings, promote_model, save_model
from ordervet.reports import SIMULATED, build_card
from ordervet.reports.nightly import word_gate

if TYPE_CHECKING:
    from ordervet.model import Model
    from ordervet.policy import Lang


_PROMOTE = "ordervet models promote {model_id} --models {models}"


def train(
    models: Annotated[Path, typer.Option(help="Folder that the model is written into.", show_default=False)],
    files: options.FilesOrHistory = None,
    history: options.HistoryFolder = None,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    settings: options.SettingsFile = None,
    maturity_days: options.Maturity = 30.0,
    about: Annotated[str, typer.Option(help="What the data is; goes into the manifest and the card.")] = "",
    simulated: Annotated[bool, typer.Option(help="The data is simulated: every figure will say so.")] = False,
    promote: Annotated[bool, typer.Option(help="Make it the model that serves, if it has skill.")] = True,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Train a model on orders, outcomes and verdicts, and measure it on the newest fifth.

    A model that ranks no better than chance, or than one without the history, is written and does not serve: code 7.

    Example: ordervet train orders.parquet outcomes.parquet verdicts.parquet --models models
    """
    fit = read_settings(settings) or FitSettings()
    origin = ({"about": about} if about else {}) | {"is_simulated": simulated}
    with show_progress() as report_step:
        report_step("reading")
        intake = read_events_of(files, history, mapping, format_name=format_, formats_dir=formats)
        report_step(f"training on {intake.events.orders.num_rows:,} orders")
        n_threads = choose_threads(threads)
        learned = learn_model(
            intake.events,
            intake.spec,
            fit,
            maturity_days=maturity_days,
            origin=origin | intake.origin,
            n_jobs=n_threads,
        )
        report_step("measuring what the history adds")
        bounds = NightSettings()
        gates = check_learned(learned, fit, bounds.gates, seed=bounds.seed, n_threads=n_threads)
        told = [gate.as_dict() for gate in gates]
        model = replace(learned.model, metrics=learned.model.metrics | {"gates": told})
        folder = save_model(model, models, card=build_card(model))
        is_live = promote and all(gate.passed for gate in gates)
        if is_live:
            promote_model(models, model.model_id)
    if json:
        print_json({"model_id": model.model_id, "is_live": is_live, "origin": model.origin, "metrics": model.metrics})
    else:
        _print_trained(model, folder, is_live=is_live, is_simulated=simulated)
    _report_refusal(told, models, model.model_id, choose_lang(lang), was_asked=promote)
    _report_failures(intake.failures.num_rows)


def simulate(
    out_path: Annotated[Path, typer.Option("--out", help="Folder to write into.", show_default=False)],
    orders: Annotated[int, typer.Option(min=500, help="Orders to simulate.")] = 200_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 20251111,
    format_: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="Kind of file.")] = "csv",
    truth: Annotated[bool, typer.Option(help="Write the truth too: for evaluation only, never an input.")] = True,
    mask: Annotated[bool, typer.Option("--mask", help="Without names, phones, devices and IP addresses.")] = False,
    json: options.Json = False,
) -> None:
    """Simulate a merchant with a Double-11 evening: orders, outcomes, verdicts, and the truth about them.

    Example: ordervet simulate --out merchant --orders 100000 --format parquet
    """
    with show_progress() as report_step:
        report_step(f"simulating {orders:,} orders")
        simulation = build_simulation(SimulationSettings(n_orders=orders, seed=seed))
        if mask:
            simulation = mask_simulation(simulation)
        report_step("writing")
        paths = write_simulation(simulation, out_path, format=format_, truth=truth)
    if json:
        print_json({"files": [str(path) for path in paths], "n_orders": simulation.orders.num_rows, "seed": seed})
        return
    for path in paths:
        out.print(f"written: {path}", markup=False)
    out.print(SIMULATED, style="dim")


def _print_trained(model: Model, folder: Path, *, is_live: bool, is_simulated: bool) -> None:
    out.print(f"model {model.model_id}{' is live' if is_live else ''}: {folder}", markup=False)
    metrics = model.metrics
    out.print(
        f"on the newest {metrics['n_orders']:,} labelled orders ({metrics['n_malicious']:,} malicious): "
        f"AP {metrics['ap']:.3f}, AUC {metrics['auc']:.3f}"
    )
    if is_simulated:
        out.print(SIMULATED, style="dim")


def _report_refusal(gates: list[dict[str, Any]], models: Path, model_id: str, lang: Lang, *, was_asked: bool) -> None:
    """Say which gates were not passed; end with their code where the model was to serve."""
    failed = [gate for gate in gates if not gate["passed"]]
    for gate in failed:
        name, note = word_gate(gate, lang)
        err.print(f"✗ {name}: {note}", style="red", markup=False)
    if failed and was_asked:
        err.print("no skill beyond chance: the model does not serve, and what served stays", style="red")
        err.print(
            f"hint: bring in more history and verdicts; to let it serve all the same: {_PROMOTE}".format(
                model_id=model_id, models=models
            ),
            markup=False,
        )
        raise typer.Exit(ExitCode.REFUSED_BY_GATES)


def _report_failures(n_failures: int) -> None:
    if n_failures:
        err.print(f"{n_failures:,} rows were set aside: ordervet validate FILE... lists them", style="yellow")
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)
