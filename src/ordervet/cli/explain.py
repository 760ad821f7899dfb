"""The command explain: what one order's score is made of, or all that is known of a buyer or a ring."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from ordervet.cli import options
from ordervet.cli.campaign import check_board_targets, print_board, write_board
from ordervet.cli.intake import read_events_of
from ordervet.cli.session import Session
from ordervet.contract.files.outputs import check_place, write_text
from ordervet.contract.files.pieces import AUTO
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities import KeyedEvents
from ordervet.errors import ContractError
from ordervet.history.handed import read_handed
from ordervet.policy import explain_missing
from ordervet.policy.lists import key_buyer
from ordervet.reports import build_flag_lines
from ordervet.reports.campaign_parts import Setting
from ordervet.reports.links import pseudonym
from ordervet.reports.notice import build_notice
from ordervet.reports.person import PersonFacts, build_person, find_ring
from ordervet.score import Scorer
from ordervet.words import format_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOWN_FEATURES = 12


def explain(
    order_id: Annotated[str | None, typer.Argument(help="The order to explain.", show_default=False)] = None,
    files: options.FilesOrHistory = None,
    history: options.HistoryFolder = None,
    buyer: Annotated[
        str | None, typer.Option(help="Show a buyer of the history instead; - reads the id from standard input.")
    ] = None,
    ring: Annotated[str | None, typer.Option(help="Show everyone linked to this order instead.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="With --buyer or --ring: where to write the desk's page: one .html file.")
    ] = None,
    out_path: Annotated[
        Path | None, typer.Option("--out", help="With --buyer or --ring: where to write the tables: one .xlsx file.")
    ] = None,
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

    With --buyer or --ring it shows, for the desk, everything a history knows of a buyer, or of everyone linked to an
    order: orders, outcomes, decisions, verdicts, links by pseudonym, and on which lists they are.

    Example: ordervet explain T20251111000042 orders.csv outcomes.csv verdicts.csv
    """
    if buyer is not None or ring is not None:
        session = Session(lang, json=json, threads=threads)
        if history is None or order_id is not None or files or (buyer is not None and ring is not None):
            raise ContractError(
                "--buyer or --ring takes a history alone", hint="ordervet explain --ring ORDER --history DIR"
            )
        _show_person(session, history, buyer, ring, models, policy, _Targets(report, out_path))
        return
    if order_id is None:
        raise ContractError("no order was given", hint="ordervet explain ORDER FILE... or --history DIR")
    if page is not None:
        check_place(page, (".html",))
    session = Session(lang, json=json, threads=threads)
    model = session.load_model(models)
    with session.progress() as report_step:
        report_step("reading")
        intake = read_events_of(session, files, history, mapping, format_name=format_, formats_dir=formats)
        report_step("scoring")
        events = intake.events
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


@dataclass(frozen=True, slots=True)
class _Targets:
    """Where a board goes: a page, a workbook."""

    page: Path | None
    book: Path | None


def _show_person(
    session: Session,
    history: Path,
    buyer: str | None,
    ring: str | None,
    models: Path | None,
    policy: Path | None,
    targets: _Targets,
) -> None:
    """Show everything that a history knows of a buyer, or of everyone linked to an order."""
    check_board_targets(targets.book, targets.page)
    model, rules = session.load_model(models), session.load_policy(policy)
    with session.progress() as report_step:
        report_step("reading the history")
        events = session.open_history(history).read()
        rows, title = _find_person(events, session, buyer, ring)
        report_step(f"scoring {events.orders.num_rows:,} orders")
        scorer = Scorer(model, rules, session.key, lang=session.lang, n_jobs=session.n_threads)
        ids = events.orders["order_id"].take(pa.array(rows)).combine_chunks()
        scored = scorer.score_events(events, order_ids=ids, outcomes=events.outcomes, as_of_orders=True)
        decisions = {order_id: scored.build_decision(at) for at, order_id in enumerate(scored.order_ids)}
        facts = PersonFacts(events, rows, decisions, read_handed(history), rules.lists.entries)
        setting = Setting(
            session.lang, DEFAULT_TIME_ZONE, model.model_id, is_simulated=bool(model.origin.get("is_simulated")),
            minutes=0.0,
        )  # fmt: skip
        board = build_person(facts, title, setting)
        write_board(board, targets.book, targets.page)
    print_board(session, board, targets.book, targets.page)


def _find_person(
    events: KeyedEvents, session: Session, buyer: str | None, ring: str | None
) -> tuple[NDArray[np.int64], str]:
    """Find the orders of a buyer, or of everyone linked to an order, and what to call them."""
    orders = events.orders
    if buyer is not None:
        keyed = key_buyer((sys.stdin.readline() if buyer == "-" else buyer).strip(), session.key)
        rows = np.flatnonzero(orders["id__buyer"].to_numpy() == keyed) if keyed else np.zeros(0, np.int64)
        if not len(rows):
            raise ContractError(
                "the history has no order of this buyer", hint="give the buyer as in the files, with its case"
            )
        return rows, format_text("person.buyer", session.lang, code=pseudonym("buyer", keyed))
    row = pc.index(orders["order_id"], ring).as_py()
    if row < 0:
        raise ContractError(
            f"there is no order {ring} in the history",
            hint="copy the id as it stands in the export, with its case; ordervet ingest brings orders in",
        )
    return find_ring(orders, row), format_text("person.ring", session.lang, order_id=ring)
