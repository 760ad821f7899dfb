"""The command lookalikes: tell whether a model is fair to honest buyers who look like abusers."""

from __future__ import annotations

from typing import Annotated

import typer

from ordervet.cli import options
from ordervet.cli.screen import ExitCode
from ordervet.cli.session import Session
from ordervet.lab.lookalikes import SCENARIOS, measure_lookalikes
from ordervet.reports.terminal import build_lookalike_table, sum_up_lookalikes
from ordervet.words import format_text


def lookalikes(
    models: options.Models = None,
    orders: Annotated[int, typer.Option(min=500, help="Simulated orders of each scenario.")] = 4_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same orders.")] = 20251111,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Measure the live model on honest look-alikes of malice, and on their malicious twins.

    Each look-alike has a simulated merchant of its own. It fails if it is flagged more often than plain honest buyers,
    or if its malicious twin is missed; the command then ends with code 6.

    Example: ordervet lookalikes --models models
    """
    session = Session(lang, json=json, threads=threads)
    model = session.load_model(models)
    with session.progress() as report_step:
        report_step(f"scoring {len(SCENARIOS)} simulated merchants of {orders:,} orders")
        report = measure_lookalikes(model, n_orders=orders, seed=seed, n_jobs=session.n_threads)
    if json:
        session.print_json(report.as_dict())
    else:
        session.print(build_lookalike_table(report.as_dict(), session.lang))
        session.print(sum_up_lookalikes(report.as_dict(), session.lang))
        session.print(format_text("lookalikes.model", session.lang, id=report.model_id), style="dim")
        session.print_simulated()
    if not report.passed:
        raise typer.Exit(ExitCode.REFUSED)
