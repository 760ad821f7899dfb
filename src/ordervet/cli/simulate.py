"""The command simulate: simulate a merchant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ordervet.cli import options
from ordervet.cli.session import Session
from ordervet.lab.simulate import SimulationSettings, mask_simulation, write_simulation
from ordervet.lab.simulate import simulate as build_simulation


def simulate(
    out_path: Annotated[Path, typer.Option("--out", help="Folder to write into.", show_default=False)],
    orders: Annotated[int, typer.Option(min=500, help="Orders to simulate.")] = 200_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 20251111,
    format_: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="File format.")] = "csv",
    truth: Annotated[bool, typer.Option(help="Write the truth too: for evaluation, never as input.")] = True,
    mask: Annotated[bool, typer.Option("--mask", help="Leave out names, phones, devices and IP addresses.")] = False,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Simulate a merchant with a Double-11 evening: orders, outcomes, verdicts, and the truth about them.

    Example: ordervet simulate --out merchant --orders 100000 --format parquet
    """
    session = Session(lang, json=json)
    with session.progress() as report_step:
        report_step(f"simulating {orders:,} orders")
        simulation = build_simulation(SimulationSettings(n_orders=orders, seed=seed))
        if mask:
            simulation = mask_simulation(simulation)
        report_step("writing")
        paths = write_simulation(simulation, out_path, format=format_, truth=truth)
    if json:
        session.print_json(
            {"files": [str(path) for path in paths], "n_orders": simulation.orders.num_rows, "seed": seed}
        )
        return
    for path in paths:
        session.print(session.text("written", path=path))
    session.print_simulated()
