"""`ordervet score --claims`: refund requests in; what to answer each, why, and with which script out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import typer

from ordervet.cli.intake import preview_files, read_files
from ordervet.cli.row_accounts import format_set_aside, print_accounts
from ordervet.cli.screen import ExitCode
from ordervet.contract import OutcomeKind, write_table
from ordervet.contract.files.outputs import write_text
from ordervet.errors import ContractError
from ordervet.history.stored_rows import read_ints
from ordervet.policy import keep_policy
from ordervet.policy.claim_desk import KEPT_US
from ordervet.policy.claims import ClaimAnswer
from ordervet.policy.scripts import load_scripts
from ordervet.score.claim_batch import build_answer_rows, build_claim_table, judge_claims
from ordervet.words import find_words, format_text, join_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.cli.flags import Targets
    from ordervet.cli.intake import Intake, Preview
    from ordervet.cli.session import Session
    from ordervet.history.ingest import Batch
    from ordervet.history.views import Row
    from ordervet.model import Model
    from ordervet.policy import Script, Shift
    from ordervet.score.claim_batch import JudgedClaims


def score_claims(
    session: Session,
    files: Sequence[Path],
    *,
    history: Path | None,
    mapping: str | None,
    models: Path | None,
    policy: Path | None,
    targets: Targets,
    capacity: tuple[int | None, tuple[Shift, ...] | None],
    top: int,
    dry_run: bool,
    scripts: Path | None,
    how: dict[str, Any],
) -> None:
    """Judge the refund requests of files, each by what was known when it was made.

    Parameters
    ----------
    session, files, history, mapping, models, policy, top, dry_run, scripts : as the options of `score`
    targets : where to write the requests, and their queue as a page
    capacity : how many requests people can look at, and their shifts; None for those of the policy
    how : format, time zone, shop and currency of the files, as of `read_files`

    Raises
    ------
    ContractError, MappingError, HistoryError, KeyMismatchError, ModelError
        As of `ordervet score`; or the files have no refund request.
    """
    rules = session.load_policy(policy).with_claim_capacity(*capacity)
    model, known_scripts = session.load_model(models), load_scripts(scripts)
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
        own: NDArray[np.bool_] | None = None
        known: list[Row] = []
        if preview is not None:
            own = _find_own(intake.events.outcomes, preview.batch)
            known = _read_answers(preview, own)
        judged = judge_claims(
            intake.events, model, rules, is_asked=own, answers=known, lang=session.lang, n_threads=session.n_threads
        ).rank()
        if not judged.decisions:
            raise ContractError(
                f"there is no refund request in {', '.join(path.name for path in files)}",
                hint="ordervet validate FILE... says what is in them",
            )
        table = build_claim_table(
            judged, intake.events.orders, known_scripts, lang=session.lang, time_zone=intake.time_zone
        )
        report_step(f"writing {table.num_rows:,} requests")
        if targets.out is not None and not targets.is_book:
            write_table(table, targets.out, time_zone=intake.time_zone)
        if targets.needs_queue:
            _write_queue(session, judged, intake, model, known_scripts, targets)
        if targets.quarantine is not None and intake.failures.num_rows:
            write_table(intake.failures, targets.quarantine)
        if preview is not None and not dry_run:
            report_step("ingesting")
            with preview.store.staging() as staging:
                staging.add_rows(preview.batch.rows)
                if judged.is_new.any():
                    staging.add_rows(build_answer_rows(intake.events, judged, session.key))
            keep_policy(rules, preview.store.path)
    _print(session, table, intake, targets, top)
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


def _read_answers(preview: Preview, own: NDArray[np.bool_]) -> list[Row]:
    """Read what was answered before, as far as it matters to the requests of the files."""
    seen_at = read_ints(preview.intake.events.outcomes["seen_at"])[own]
    return preview.store.read_answers(int(seen_at.min()) - KEPT_US) if len(seen_at) else []


def _find_own(outcomes: pa.Table, batch: Batch) -> NDArray[np.bool_]:
    """Find the outcomes that are of the order and time of a request that the files hold, shape (n_outcomes,)."""
    rows = batch.rows.filter(pc.equal(batch.rows["outcome"], OutcomeKind.REFUND_REQUESTED))
    own = set(zip(rows["order_id"].to_pylist(), read_ints(rows["happened_at"]).tolist(), strict=True))
    told = zip(outcomes["order_id"].to_pylist(), read_ints(outcomes["happened_at"]).tolist(), strict=True)
    return np.fromiter((each in own for each in told), np.bool_, outcomes.num_rows)


def _write_queue(
    session: Session,
    judged: JudgedClaims,
    intake: Intake,
    model: Model,
    scripts: Mapping[str, Script],
    targets: Targets,
) -> None:
    """Write the requests as a workbook, as a page, or both."""
    from ordervet.reports.queue import build_request_queue
    from ordervet.reports.queue_book import write_request_book
    from ordervet.reports.queue_page import build_request_page

    queue = build_request_queue(
        judged.decisions, judged.requests, intake.events.orders,
        is_simulated=bool(model.origin.get("is_simulated")), time_zone=intake.time_zone, scripts=scripts,
    )  # fmt: skip
    if targets.out is not None and targets.is_book:
        write_request_book(queue, targets.out, lang=session.lang)
    if targets.page is not None:
        write_text(build_request_page(queue, lang=session.lang), targets.page)


def _print(session: Session, table: pa.Table, intake: Intake, targets: Targets, top: int) -> None:
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
        answer = format_text(f"answers.{row['answer']}", session.lang)
        session.print(f"{row['order_id']}  {answer}  {p}")
        for line in row["reasons"]:
            session.print(f"    {line}", style="dim")
    words = find_words("answers", session.lang)
    told = join_words((f"{words[answer]} {counts[answer]:,}" for answer in ClaimAnswer), session.lang)
    session.print(session.text("claims.found", n=table.num_rows, answers=told))
    print_accounts(session, intake.accounts)
    for path in (targets.out, targets.page):
        if path is not None:
            session.print(session.text("written", path=path))
    if n_failures := intake.failures.num_rows:
        where = (
            session.text("files.see", path=targets.quarantine) if targets.quarantine else session.text("files.validate")
        )
        n_aside = sum(each.n_quarantined for each in intake.accounts)
        session.warn(session.label(format_set_aside(session, n_aside, n_failures), where))
