"""`ordervet score --claims`: refund requests in; what to answer each, why, and with which script out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import typer

from ordervet.cli.intake import preview_files, read_files
from ordervet.cli.row_accounts import print_accounts
from ordervet.cli.screen import ExitCode
from ordervet.contract import OutcomeKind, check_out_path, write_table
from ordervet.errors import ContractError
from ordervet.history.stored_rows import read_ints
from ordervet.policy.claims import ClaimAnswer
from ordervet.policy.scripts import load_scripts
from ordervet.score.claims import build_claim_table, judge_claims

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.cli.intake import Intake
    from ordervet.cli.session import Session
    from ordervet.history.ingest import Batch


def score_claims(
    session: Session,
    files: Sequence[Path],
    *,
    history: Path | None,
    mapping: str | None,
    models: Path | None,
    policy: Path | None,
    out_path: Path | None,
    top: int,
    dry_run: bool,
    scripts: Path | None,
    how: dict[str, Any],
) -> None:
    """Judge the refund requests of files, each by what was known when it was made.

    Parameters
    ----------
    session, files, history, mapping, models, policy, out_path, top, dry_run, scripts : as the options of `score`
    how : format, time zone, shop and currency of the files, as of `read_files`

    Raises
    ------
    ContractError, MappingError, HistoryError, KeyMismatchError, ModelError
        As of `ordervet score`; or the files have no refund request.
    """
    if out_path is not None:
        check_out_path(out_path)
    rules, model, known_scripts = session.load_policy(policy), session.load_model(models), load_scripts(scripts)
    with session.progress() as report_step:
        report_step("reading")
        preview = None
        if history is None:
            intake = read_files(session, files, mapping, **how)
        else:
            session.open_history(history)  # NOT: made, where it is missing. There would be no orders
            preview = preview_files(session, files, history, mapping, dry_run=dry_run, are_orders_needed=False, **how)
            intake = preview.intake
        report_step("judging")
        own = None if preview is None else _find_own(intake.events.outcomes, preview.batch)
        requests, decisions = judge_claims(
            intake.events, model, rules, is_asked=own, lang=session.lang, n_threads=session.n_threads
        )
        if not decisions:
            raise ContractError(
                f"there is no refund request in {', '.join(path.name for path in files)}",
                hint="ordervet validate FILE... says what is in them",
            )
        table = build_claim_table(
            requests, decisions, intake.events.orders, known_scripts, lang=session.lang, time_zone=intake.time_zone
        )
        if out_path is not None:
            report_step(f"writing {table.num_rows:,} requests")
            write_table(table, out_path, time_zone=intake.time_zone)
        if preview is not None and not dry_run:
            report_step("ingesting")
            with preview.store.staging() as staging:
                staging.add_rows(preview.batch.rows)
    _print(session, table, intake, out_path, top)
    if intake.failures.num_rows:
        raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


def check_alone(**options: object) -> None:
    """Check that no option is given that says nothing of refund requests.

    Raises
    ------
    ContractError
        One is; the first is named.
    """
    for name, value in options.items():
        if value:
            raise ContractError(
                f"--claims does not go with --{name.replace('_', '-')}",
                hint="ordervet score refunds.csv --claims --history DIR --out claims.csv",
            )


def _find_own(outcomes: pa.Table, batch: Batch) -> NDArray[np.bool_]:
    """Find the outcomes that are of the order and time of a request that the files hold, shape (n_outcomes,)."""
    rows = batch.rows.filter(pc.equal(batch.rows["outcome"], OutcomeKind.REFUND_REQUESTED))
    own = set(zip(rows["order_id"].to_pylist(), read_ints(rows["happened_at"]).tolist(), strict=True))
    told = zip(outcomes["order_id"].to_pylist(), read_ints(outcomes["happened_at"]).tolist(), strict=True)
    return np.fromiter((each in own for each in told), np.bool_, outcomes.num_rows)


def _print(session: Session, table: pa.Table, intake: Intake, out_path: Path | None, top: int) -> None:
    counts = Counter(table["answer"].to_pylist())
    if session.json:
        session.print_json(
            {
                "n_claims": table.num_rows,
                "answers": {str(answer): counts[answer] for answer in ClaimAnswer},
                "claims": [
                    row | {"happened_at": row["happened_at"].isoformat()} for row in table.slice(0, top).to_pylist()
                ],
                "files": [each.as_dict() for each in intake.accounts],
                "n_failures": intake.failures.num_rows,
            }
        )
        return
    for row in table.slice(0, top).to_pylist():
        p = "" if row["p_malicious"] is None else f"{row['p_malicious']:.1%}"
        answer = session.text(f"claims.{row['answer']}")
        session.print(f"{row['order_id']}  {answer}  {p}")
        for line in row["reasons"]:
            session.print(f"    {line}", style="dim")
    told = ", ".join(f"{session.text(f'claims.{answer}')} {counts[answer]:,}" for answer in ClaimAnswer)
    session.print(session.text("claims.found", n=table.num_rows, answers=told))
    print_accounts(session, intake.accounts)
    if out_path is not None:
        session.print(session.text("written", path=out_path))
