"""The command lookalikes: tell whether a model is fair to honest buyers who look like abusers."""

from __future__ import annotations

from typing import Annotated

import typer

from ordervet.cli import options
from ordervet.cli.intake import choose_threads
from ordervet.cli.screen import ExitCode, out, print_json, show_progress
from ordervet.lab.lookalikes import SCENARIOS, measure_lookalikes
from ordervet.model import find_live_model, load_model
from ordervet.reports import SIMULATED
from ordervet.reports.terminal import build_lookalike_table, sum_up_lookalikes
from ordervet.score import find_bundled_models


def lookalikes(
    models: options.Models = None,
    orders: Annotated[int, typer.Option(min=500, help="Simulated orders of each scenario.")] = 4_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same orders.")] = 20251111,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Measure the live model on honest look-alikes of malice, and on the malice they are taken for.

    Every look-alike has a simulated merchant of its own. One that is flagged more often than plain honest buyers, or
    whose malicious twin is missed, fails, and the command ends with code 6.

    Example: ordervet lookalikes --models models
    """
    model = load_model(find_live_model(models or find_bundled_models()))
    with show_progress() as report_step:
        report_step(f"scoring {len(SCENARIOS)} simulated merchants of {orders:,} orders")
        report = measure_lookalikes(model, n_orders=orders, seed=seed, n_jobs=choose_threads(threads))
    if json:
        print_json(report.as_dict())
    else:
        out.print(build_lookalike_table(report.as_dict()))
        out.print(sum_up_lookalikes(report.as_dict()))
        out.print(f"model {report.model_id}. {SIMULATED}", style="dim")
    if not report.passed:
        raise typer.Exit(ExitCode.REFUSED)
