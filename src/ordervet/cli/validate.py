"""The command validate: check files, score nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ordervet.cli import options
from ordervet.cli.intake import read_files
from ordervet.cli.row_accounts import print_accounts
from ordervet.cli.screen import ExitCode
from ordervet.cli.session import Session
from ordervet.contract import check_out_path, write_table
from ordervet.contract.files.pieces import AUTO
from ordervet.reports import build_failure_table, count_failures
from ordervet.words import join_words


def validate(
    files: options.Files,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    time_zone: options.TimeZone = None,
    shop: options.Shop = None,
    currency: options.Currency = None,
    out_path: Annotated[Path | None, typer.Option("--out", help="Where to write the rows that fail.")] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Check files against the contract, row by row; nothing is scored.

    Example: ordervet validate orders.csv verdicts.csv --out wrong-rows.csv
    """
    if out_path is not None:
        check_out_path(out_path)
    session = Session(lang, json=json)
    with session.progress() as report_step:
        report_step("checking")
        intake = read_files(
            session,
            files,
            mapping,
            format_name=format_,
            formats_dir=formats,
            time_zone=time_zone,
            shop=shop,
            currency=currency,
            are_orders_needed=False,
        )
    n_failed = intake.failures.num_rows
    if out_path is not None and n_failed:
        write_table(intake.failures, out_path)
    accounts = intake.accounts
    if json:
        session.print_json(
            {
                "good": intake.n_good,
                "files": [each.as_dict() for each in accounts],
                "n_set_aside": sum(each.n_quarantined for each in accounts),
                "n_failures": n_failed,
                "failures": count_failures(intake.failures),
            }
        )
    else:
        print_accounts(session, accounts)
        found = {kind: n for kind, n in intake.n_good.items() if n} or {"orders": 0}
        good = [session.text(f"files.{kind}", n=n) for kind, n in found.items()]
        n_good = sum(each.n_read - each.n_quarantined for each in accounts)
        rows = "files.good_of_one" if n_good == 1 else "files.good"
        session.print(session.text(rows, n=n_good, what=join_words(good, session.lang)))
        if n_failed:
            session.print(session.text("files.failures", n=n_failed))
            session.print(build_failure_table(intake.failures, session.lang))
    if n_failed:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)
