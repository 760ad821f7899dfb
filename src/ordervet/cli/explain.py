"""The command explain: what one order's score is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer

from ordervet.cli import options
from ordervet.cli.intake import read_events_of
from ordervet.cli.session import Session
from ordervet.contract.files.outputs import check_place, write_text
from ordervet.contract.files.pieces import AUTO
from ordervet.entities import KeyedEvents, key_events
from ordervet.policy import explain_missing
from ordervet.reports import build_flag_lines
from ordervet.reports.notice import build_notice
from ordervet.score import Scorer

_SHOWN_FEATURES = 12


def explain(
    order_id: Annotated[str, typer.Argument(help="The order to explain.", show_default=False)],
    files: options.FilesOrHistory = None,
    history: options.HistoryFolder = None,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    models: options.Models = None,
    policy: options.Policy = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Write the page a buyer may ask for, without reasons or score: one .html file."),
    ] = None,
    contact: Annotated[str | None, typer.Option(help="With --page: how the buyer reaches the shop.")] = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Explain one order's score: decision, reasons, and what each feature added.

    The output is for the desk. The page is for the buyer: which kinds of data were used, that a person decides, and
    how to object; it gives no reason.

    Example: ordervet explain T20251111000042 orders.csv outcomes.csv verdicts.csv
    """
    if page is not None:
        check_place(page, (".html",))
    session = Session(lang, json=json, threads=threads)
    model = session.load_model(models)
    with session.progress() as report_step:
        report_step("reading")
        intake = read_events_of(session, files, history, mapping, format_name=format_, formats_dir=formats)
        report_step("scoring")
        events = intake.events if isinstance(intake.events, KeyedEvents) else key_events(intake.events, session.key)
        scorer = Scorer(model, session.load_policy(policy), session.key, lang=session.lang, n_jobs=session.n_threads)
        decision, parts = scorer.explain_events(events, order_id)
    row = pc.index(events.orders["order_id"], order_id).as_py()
    order = events.orders.slice(row, 1).to_pylist()[0]
    if page is not None:
        notice = build_notice(
            decision, order, lang=session.lang, time_zone=intake.time_zone, contact=contact,
            has_extras=any(events.extras.values()),
        )  # fmt: skip
        write_text(notice, page)
    if json:
        features = [dict(zip(("feature", "value", "contribution"), part, strict=True)) for part in parts]
        session.print_json(decision.as_dict() | {"features": features})
        return
    session.print(build_flag_lines(decision, order["placed_at"], 1, lang=session.lang, time_zone=intake.time_zone))
    missing = [explain_missing(code, session.lang) for code in decision.missing]
    named = session.text("explain.separator").join(missing) or session.text("explain.none")
    session.print(session.text("explain.missing") + named)
    for name, value, contribution in parts[:_SHOWN_FEATURES]:
        session.print(f"  {contribution:+8.3f}  {name} = {value:g}")
    session.print(session.text("explain.model", id=model.model_id), style="dim")
    if page is not None:
        session.print(session.text("written", path=page))
