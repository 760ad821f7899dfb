"""Commands around a campaign: plan before it, watch during it, review after it."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from ordervet.cli import options
from ordervet.cli.screen import EXIT_CODES_HELP
from ordervet.cli.session import Session, read_time_us, to_us
from ordervet.contract import check_out_path
from ordervet.contract.files.outputs import check_place, write_text
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.errors import ContractError, FileError, PolicyError
from ordervet.history.handed import read_handed
from ordervet.policy.lists import read_list
from ordervet.reports.board import Board, build_board_lines, build_board_page, describe_board, write_board_book
from ordervet.reports.campaign_parts import Setting
from ordervet.reports.campaign_plan import ListedKeys, PlanFor, Readiness, build_plan, find_busiest
from ordervet.reports.campaign_requests import build_requests
from ordervet.reports.campaign_review import build_review
from ordervet.reports.campaign_watch import build_watch
from ordervet.reports.period import DAY_US, HOUR_US, Period, build_period
from ordervet.score import Scorer
from ordervet.score.claim_batch import judge_claims

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.entities import Key, KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Policy
    from ordervet.reports.board import Section

OutBook = Annotated[Path | None, typer.Option("--out", help="Where to write the tables: one .xlsx file.")]
Page = Annotated[Path | None, typer.Option(help="Where to write the page: one .html file that works offline.")]
Minutes = Annotated[float, typer.Option(min=0.1, max=120, help="Minutes the desk needs per order.")]

_SHOWN_EVIDENCE = ("phone", "address", "device", "ip")
_RECENT_DAYS, _OPEN_DAYS = 30, 14

campaign_app = typer.Typer(
    help="Tables before, during and after a campaign.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)


@campaign_app.command("plan", epilog=EXIT_CODES_HELP)
def plan(
    history: options.History,
    start: Annotated[str | None, typer.Option(help="When it begins; by default the day after the last order.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=24 * 31, help="How many hours it lasts.")] = 4,
    like: Annotated[
        str | None, typer.Option(help="Start of the past hours it will resemble; by default the busiest.")
    ] = None,
    growth: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Growth factor: orders expected per order of those hours.")
    ] = 1.0,
    capacity: Annotated[int | None, typer.Option(min=1, help="Orders that the desk can review in all.")] = None,
    minutes: Minutes = 3.0,
    shift_hours: Annotated[float, typer.Option(min=0.5, max=24, help="Hours of one person's shift.")] = 4.0,
    key_list: Annotated[
        list[Path] | None, typer.Option("--list", help="Allow and deny lists, to check what expires.")
    ] = None,
    models: options.Models = None,
    policy: options.Policy = None,
    out_path: OutBook = None,
    report: Page = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Before: expected orders and flags by the hour, shifts, thresholds, records to clean, a checklist.

    Keep what --json prints: `ordervet campaign watch --plan` compares with it.

    Example: ordervet campaign plan --history history --start "2026-11-10 20:00" --growth 1.4 --capacity 300
    """
    session = Session(lang, json=json, threads=threads)
    check_board_targets(out_path, report)
    with session.progress() as report_step:
        known = _score_history(session, history, models, policy, minutes, None, report_step)
        like_us = read_time_us("--like", like) or find_busiest(known.period, hours)
        planned = PlanFor(
            start_us=read_time_us("--start", start) or _same_clock_after(like_us, known.last_us),
            like_us=like_us, n_hours=hours, growth=growth, capacity=capacity, shift_hours=shift_hours,
        )  # fmt: skip
        if not len(known.period.between(like_us, like_us + hours * HOUR_US)):
            raise ContractError(
                "--like: the history has no order in those hours", hint="leave --like out to take the busiest hours"
            )
        lists = _count_lists(key_list, planned, session.key) if key_list else None
        board = build_plan(known.period, planned, _find_readiness(known, lists), known.setting)
        write_board(board, out_path, report)
    print_board(session, board, out_path, report)


@campaign_app.command("watch", epilog=EXIT_CODES_HELP)
def watch(
    history: options.History,
    start: Annotated[str | None, typer.Option(help="When it began; by default the plan's start, or 24 h ago.")] = None,
    now: Annotated[str | None, typer.Option(help="Show it as of this time; by default the newest event.")] = None,
    plan_file: Annotated[Path | None, typer.Option("--plan", help="What `campaign plan --json` printed.")] = None,
    minutes: Minutes = 3.0,
    models: options.Models = None,
    policy: options.Policy = None,
    out_path: OutBook = None,
    report: Page = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """During: orders, flags, holds, backlog, pace against the plan, rings, items, channels. Call it again to refresh.

    Example: ordervet campaign watch --history history --plan plan.json --report board.html
    """
    session = Session(lang, json=json, threads=threads)
    check_board_targets(out_path, report)
    planned = _read_plan(plan_file) if plan_file else None
    until = read_time_us("--now", now)
    with session.progress() as report_step:
        known = _score_history(session, history, models, policy, minutes, until, report_step)
        now_us = until or known.last_us
        start_us = read_time_us("--start", start) or (planned["start_us"] if planned else now_us - DAY_US)
        _check_span("--start", start_us, now_us)
        board = build_watch(known.period, start_us, now_us, planned, known.setting)
        write_board(board, out_path, report)
    print_board(session, board, out_path, report)


@campaign_app.command("review", epilog=EXIT_CODES_HELP)
def review(
    history: options.History,
    start: Annotated[str, typer.Option(help="When it began.", show_default=False)],
    end: Annotated[str | None, typer.Option(help="When it ended; by default the last order.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Use verdicts up to this time; by default all.")] = None,
    maturity_days: options.Maturity = 30.0,
    minutes: Minutes = 3.0,
    models: options.Models = None,
    policy: options.Policy = None,
    out_path: OutBook = None,
    report: Page = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """After: money held, confirmed, wrongly flagged, missed, by kind and channel; rings; what to change next time.

    Example: ordervet campaign review --history history --start "2025-11-10 20:00" --end 2025-11-12 --out review.xlsx
    """
    session = Session(lang, json=json, threads=threads)
    check_board_targets(out_path, report)
    until = read_time_us("--as-of", as_of)
    start_us = read_time_us("--start", start) or 0
    with session.progress() as report_step:
        known = _score_history(session, history, models, policy, minutes, until, report_step)
        end_us = read_time_us("--end", end) or int(known.period.placed_us[-1]) + 1
        _check_span("--start", start_us, end_us)
        as_of_us = until or known.last_us
        report_step("judging refund requests")
        requests = _judge_requests(session, history, known)
        board = build_review(known.period, start_us, end_us, as_of_us, maturity_days, known.setting, requests)
        write_board(board, out_path, report)
    print_board(session, board, out_path, report)


def _judge_requests(session: Session, folder: Path, known: _ScoredHistory) -> Callable[[Period], Section] | None:
    """Judge the refund requests of a history, those answered before as they were; None without a model of claims."""
    if known.model.claims is None:
        return None
    answers = session.open_history(folder).read_answers(0)
    judged = judge_claims(
        known.events, known.model, known.rules, answers=answers, lang=session.lang, n_threads=session.n_threads
    )  # fmt: skip
    return lambda orders: build_requests(
        orders, judged.requests, judged.decisions, known.events.outcomes, known.setting
    )


def _count_lists(paths: list[Path], planned: PlanFor, key: Key) -> ListedKeys:
    entries, problems = [], []
    for path in paths:
        found, wrong = read_list(path, key)
        entries += found
        problems += wrong
    if problems:
        raise PolicyError("\n".join(f"{each.where}: {each.what}" for each in problems[:20]), hint="correct these rows")
    ends = [to_us(entry.expires) for entry in entries]
    over = planned.start_us + planned.n_hours * HOUR_US
    n_expired = sum(end <= planned.start_us for end in ends)
    return ListedKeys(len(entries), n_expired, sum(end <= over for end in ends) - n_expired)


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json_text.loads(path.read_text(encoding="utf-8"))
        is_plan = found["board"] == "plan" and len(found["hours"]) == found["n_hours"] > 0
        found["start_us"], found["capacity"] = int(found["start_us"]), int(found["capacity"])
        found["hours"] = [{name: float(hour[name]) for name in ("orders", "flags")} for hour in found["hours"]]
    except OSError as error:
        raise FileError(f"cannot read {path.name}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        is_plan = False
    if not is_plan:
        hint = "ordervet campaign plan --history DIR --json > plan.json"
        raise FileError(f"{path.name} is no plan", hint=hint)
    return found


def _same_clock_after(like_us: int, last_us: int) -> int:
    """Return the first time after the last event that has the time of day of another one."""
    zone = ZoneInfo(DEFAULT_TIME_ZONE)
    like = datetime.fromtimestamp(like_us / 1e6, UTC).astimezone(zone)
    last = datetime.fromtimestamp(last_us / 1e6, UTC).astimezone(zone)
    return to_us(datetime.combine(last.date() + timedelta(days=1), like.time(), tzinfo=zone))


def _check_span(name: str, start_us: int, end_us: int) -> None:
    if start_us >= end_us:
        raise ContractError(f"{name}: the campaign would begin after its end", hint="name an earlier time")


def check_board_targets(out_path: Path | None, report: Path | None) -> None:
    """Check, before any work, where a board is to be written.

    Raises
    ------
    FileError
        One of the files cannot be written.
    """
    if out_path is not None:
        check_place(check_out_path(out_path), (".xlsx",))
    if report is not None:
        check_place(report, (".html",))


def write_board(board: Board, out_path: Path | None, report: Path | None) -> None:
    """Write a board as a workbook, as a page, or both."""
    if out_path is not None:
        write_board_book(board, out_path)
    if report is not None:
        write_text(build_board_page(board), report)


def print_board(session: Session, board: Board, out_path: Path | None, report: Path | None) -> None:
    """Print a board, and where it was written."""
    if session.json:
        session.print_json(describe_board(board))
        return
    for part in build_board_lines(board):
        session.print(part)
    for path in (out_path, report):
        if path is not None:
            session.print(session.text("written", path=path))


@dataclass(frozen=True, slots=True)
class _ScoredHistory:
    """The history, scored.

    Parameters
    ----------
    period : all its orders
    events : all its events
    last_us : the newest event that was told, UTC microseconds
    model, rules : what scored
    setting : for boards
    """

    period: Period
    events: KeyedEvents
    last_us: int
    model: Model
    rules: Policy
    setting: Setting


def _score_history(
    session: Session,
    folder: Path,
    models: Path | None,
    policy: Path | None,
    minutes: float,
    until_us: int | None,
    report_step: Callable[[str], None],
) -> _ScoredHistory:
    """Read a history and score every order in it, each by what was known when it was placed.

    Parameters
    ----------
    session : of the command
    folder, models, policy, minutes : as on the command line
    until_us : see nothing later, UTC microseconds; None sees all
    report_step : told what is being done

    Raises
    ------
    ContractError, HistoryError, KeyMismatchError, ModelError, PolicyError
        There is no order, or one of them is missing or damaged.
    """
    model = session.load_model(models)
    report_step("reading the history")
    until = None if until_us is None else datetime.fromtimestamp(until_us / 1e6, UTC) + timedelta(microseconds=1)
    events = session.open_history(folder).read(until=until)
    if events.orders.num_rows == 0:
        raise ContractError(
            f"the history {folder.name} has no order" + (" until then" if until else ""),
            hint="ordervet ingest FILE... --history DIR brings orders in",
        )
    report_step(f"scoring {events.orders.num_rows:,} orders")
    rules = session.load_policy(policy)
    scorer = Scorer(model, rules, session.key, lang=session.lang, n_jobs=session.n_threads)
    scored = scorer.score_events(events, as_of_orders=True)
    period = build_period(
        scored.orders, p_malicious=scored.p_malicious, risk_score=scored.risk_score, actions=scored.actions,
        bands=scored.bands, kinds=scored.kinds, applied=scored.applied,
        verdicts=events.verdicts, corrections=events.corrections,
        handed_us={each.order_id: each.handed_at for each in read_handed(folder)},
    )  # fmt: skip
    # NOTE: a deadline is not yet an event: it may lie days ahead.
    told = events.outcomes.filter(pc.invert(pc.fill_null(events.outcomes["is_inferred"], fill_value=False)))
    tables = (events.orders, told, events.verdicts, events.corrections)
    last_us = max(pc.max(table["seen_at"].cast(pa.int64())).as_py() or 0 for table in tables)
    setting = Setting(
        lang=session.lang, time_zone=DEFAULT_TIME_ZONE, model_id=model.model_id,
        is_simulated=bool(model.origin.get("is_simulated")), minutes=minutes,
        currencies=_list_currencies(events.orders), capacity=rules.capacity,
    )  # fmt: skip
    return _ScoredHistory(period, events, int(last_us), model, rules, setting)


def _list_currencies(orders: pa.Table) -> tuple[str, ...]:
    counts = sorted(pc.value_counts(orders["currency"]).to_pylist(), key=lambda each: -each["counts"])
    return tuple(each["values"] for each in counts if each["values"]) or ("CNY",)


def _find_readiness(known: _ScoredHistory, lists: ListedKeys | None) -> Readiness:
    """Gather what a checklist needs to know.

    Parameters
    ----------
    known : the history
    lists : entries of allow and deny lists, if any were given
    """
    period, now_us = known.period, int(known.period.placed_us[-1])
    last = known.model.origin.get("last_order_at")
    learned_us = to_us(datetime.fromisoformat(str(last))) if last else None
    is_recent = period.placed_us > now_us - _OPEN_DAYS * DAY_US
    missing = {}
    for name in _SHOWN_EVIDENCE:
        share = float(np.mean(period.orders[f"evidence__{name}"].to_numpy() != 0))
        if share > 0:
            missing[name] = share
    return Readiness(
        model_age_days=None if learned_us is None else max(0.0, (now_us - learned_us) / DAY_US),
        n_recent_verdicts=int((period.decided_us > now_us - _RECENT_DAYS * DAY_US).sum()),
        n_open=int((period.is_flagged & is_recent & (period.decided_us == 0)).sum()),
        missing=missing,
        lists=lists,
    )
