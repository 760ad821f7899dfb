"""The command that explains one order's score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ordervet.cli import options
from ordervet.cli.intake import choose_threads, read_events_of
from ordervet.cli.screen import choose_lang, out, print_json, show_progress
from ordervet.contract.file_events import AUTO
from ordervet.entities import load_key
from ordervet.model import find_live_model, load_model
from ordervet.policy import load_policy
from ordervet.reports import build_flag_lines
from ordervet.score import Scorer, find_bundled_models

_SHOWN_FEATURES = 12


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
