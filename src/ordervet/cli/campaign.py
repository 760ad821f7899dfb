"""Commands around a campaign: plan before it, watch during it, review after it."""

from __future__ import annotations

import json as json_text
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from ordervet.cli import options
from ordervet.cli.known_history import find_readiness, score_history, to_us
from ordervet.cli.screen import EXIT_CODES_HELP, out, print_json, show_progress
from ordervet.cli.words import word
from ordervet.contract import check_out_path, parse_instant
from ordervet.contract.outputs import check_place, write_text
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities import load_key
from ordervet.errors import ContractError, FileError, PolicyError
from ordervet.policy.lists import read_list
from ordervet.reports.board import Board, build_board_lines, build_board_page, describe_board, write_board_book
from ordervet.reports.campaign_plan import ListedKeys, PlanFor, build_plan, find_busiest
from ordervet.reports.campaign_review import build_review
from ordervet.reports.campaign_watch import build_watch
from ordervet.reports.period import DAY_US, HOUR_US

HistoryFolder = Annotated[Path, typer.Option(help="Folder of the history.", show_default=False)]
PolicyFile = Annotated[Path | None, typer.Option(help="Policy file; without it, the default policy.")]
OutBook = Annotated[Path | None, typer.Option("--out", help="Where to write the tables: one .xlsx file.")]
Page = Annotated[Path | None, typer.Option(help="Where to write the page: one .html file that works offline.")]
Minutes = Annotated[float, typer.Option(min=0.1, max=120, help="Minutes that the desk needs for one order.")]

_LEAST_WIDTH = 100

campaign_app = typer.Typer(
    help="Tables before, during and after a campaign.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)


@campaign_app.command("plan", epilog=EXIT_CODES_HELP)
def plan(
    history: HistoryFolder,
    start: Annotated[str | None, typer.Option(help="When it begins; by default the day after the last order.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=24 * 31, help="How many hours it lasts.")] = 4,
    like: Annotated[
        str | None, typer.Option(help="Begin of the past hours it will be like; by default the busiest ones.")
    ] = None,
    growth: Annotated[float, typer.Option(min=0.01, max=1000, help="Orders expected for each order then.")] = 1.0,
    capacity: Annotated[int | None, typer.Option(min=1, help="Orders that the desk can look at in all.")] = None,
    minutes: Minutes = 3.0,
    shift_hours: Annotated[float, typer.Option(min=0.5, max=24, help="Hours of one person's shift.")] = 4.0,
    key_list: Annotated[
        list[Path] | None, typer.Option("--list", help="Allow and deny lists, to see what expires.")
    ] = None,
    models: options.Models = None,
    policy: PolicyFile = None,
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
    _check_targets(out_path, report)
    with show_progress() as report_step:
        known = score_history(history, models, policy, lang, minutes, threads, None, report_step)
        like_us = _read_instant("--like", like) or find_busiest(known.period, hours)
        planned = PlanFor(
            start_us=_read_instant("--start", start) or _same_clock_after(like_us, known.last_us),
            like_us=like_us, n_hours=hours, growth=growth, capacity=capacity, shift_hours=shift_hours,
        )  # fmt: skip
        if not len(known.period.between(like_us, like_us + hours * HOUR_US)):
            raise ContractError(
                "--like: the history has no order in those hours", hint="leave --like out to take the busiest hours"
            )
        lists = _count_lists(key_list, planned) if key_list else None
        board = build_plan(known.period, planned, find_readiness(known, lists), known.setting)
        _write(board, out_path, report)
    _tell(board, out_path, report, json=json)


@campaign_app.command("watch", epilog=EXIT_CODES_HELP)
def watch(
    history: HistoryFolder,
    start: Annotated[str | None, typer.Option(help="When it began; by default the plan's start, or 24 h ago.")] = None,
    now: Annotated[str | None, typer.Option(help="Show it as it stood then; by default the newest event.")] = None,
    plan_file: Annotated[Path | None, typer.Option("--plan", help="What `campaign plan --json` printed.")] = None,
    minutes: Minutes = 3.0,
    models: options.Models = None,
    policy: PolicyFile = None,
    out_path: OutBook = None,
    report: Page = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """During: orders, flags, holds, backlog, pace against the plan, rings, items, channels. Call it again to refresh.

    Example: ordervet campaign watch --history history --plan plan.json --report board.html
    """
    _check_targets(out_path, report)
    planned = _read_plan(plan_file) if plan_file else None
    until = _read_instant("--now", now)
    with show_progress() as report_step:
        known = score_history(history, models, policy, lang, minutes, threads, until, report_step)
        now_us = until or known.last_us
        start_us = _read_instant("--start", start) or (planned["start_us"] if planned else now_us - DAY_US)
        _check_span("--start", start_us, now_us)
        board = build_watch(known.period, start_us, now_us, planned, known.setting)
        _write(board, out_path, report)
    _tell(board, out_path, report, json=json)


@campaign_app.command("review", epilog=EXIT_CODES_HELP)
def review(
    history: HistoryFolder,
    start: Annotated[str, typer.Option(help="When it began.", show_default=False)],
    end: Annotated[str | None, typer.Option(help="When it was over; by default the last order.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Know verdicts until then; by default all.")] = None,
    maturity_days: options.Maturity = 30.0,
    minutes: Minutes = 3.0,
    models: options.Models = None,
    policy: PolicyFile = None,
    out_path: OutBook = None,
    report: Page = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """After: money held, confirmed, wrongly flagged, missed, by kind and channel; rings; what to change next time.

    Example: ordervet campaign review --history history --start "2025-11-10 20:00" --end 2025-11-12 --out review.xlsx
    """
    _check_targets(out_path, report)
    until = _read_instant("--as-of", as_of)
    start_us = _read_instant("--start", start) or 0
    with show_progress() as report_step:
        known = score_history(history, models, policy, lang, minutes, threads, until, report_step)
        end_us = _read_instant("--end", end) or int(known.period.placed_us[-1]) + 1
        _check_span("--start", start_us, end_us)
        as_of_us = until or known.last_us
        board = build_review(known.period, start_us, end_us, as_of_us, maturity_days, known.setting)
        _write(board, out_path, report)
    _tell(board, out_path, report, json=json)


def _count_lists(paths: list[Path], planned: PlanFor) -> ListedKeys:
    entries, problems = [], []
    for path in paths:
        found, wrong = read_list(path, load_key())
        entries += found
        problems += wrong
    if problems:
        raise PolicyError("\n".join(f"{each.where}: {each.what}" for each in problems[:20]), hint="mend these rows")
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


def _read_instant(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return to_us(parse_instant(text, time_zone=DEFAULT_TIME_ZONE))
    except ContractError:
        raise ContractError(f"{name}: got {text}, expected a time", hint=f'{name} "2025-11-10 20:00"') from None


def _same_clock_after(like_us: int, last_us: int) -> int:
    """Give the first instant after the last event that has the time of day of another one."""
    zone = ZoneInfo(DEFAULT_TIME_ZONE)
    like = datetime.fromtimestamp(like_us / 1e6, UTC).astimezone(zone)
    last = datetime.fromtimestamp(last_us / 1e6, UTC).astimezone(zone)
    return to_us(datetime.combine(last.date() + timedelta(days=1), like.time(), tzinfo=zone))


def _check_span(name: str, start_us: int, end_us: int) -> None:
    if start_us >= end_us:
        raise ContractError(f"{name}: the campaign would begin after its end", hint="name an earlier time")


def _check_targets(out_path: Path | None, report: Path | None) -> None:
    if out_path is not None:
        check_place(check_out_path(out_path), (".xlsx",))
    if report is not None:
        check_place(report, (".html",))


def _write(board: Board, out_path: Path | None, report: Path | None) -> None:
    if out_path is not None:
        write_board_book(board, out_path)
    if report is not None:
        write_text(build_board_page(board), report)


def _tell(board: Board, out_path: Path | None, report: Path | None, *, json: bool) -> None:
    if json:
        print_json(describe_board(board))
        return
    for part in build_board_lines(board):
        out.print(part, width=max(out.width, _LEAST_WIDTH) if isinstance(part, Table) else None)
    for path in (out_path, report):
        if path is not None:
            out.print(word("written", board.lang, path=path), markup=False)
