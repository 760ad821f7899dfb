"""Where the command score writes what it found, and how it shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ordervet.cli.row_accounts import format_set_aside, print_accounts
from ordervet.contract import check_out_path
from ordervet.contract.files.outputs import check_place, write_text
from ordervet.policy import ACTIONS, Action, Standing
from ordervet.reports import build_flag_lines, build_score_summary, name_model
from ordervet.reports.holds import check_hold_path, describe_holds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.cli.session import Session
    from ordervet.contract import FileAccount
    from ordervet.model import Model
    from ordervet.policy import Lang, Script
    from ordervet.reports.holds import HoldCounts
    from ordervet.reports.queue import Queue, QueueItem
    from ordervet.score import ScoredOrders


@dataclass(frozen=True, slots=True)
class Targets:
    """Files to write, checked before any work is done.

    Parameters
    ----------
    out : decisions
    page : the queue as a page
    holds : the hold list
    quarantine : rows that were set aside
    """

    out: Path | None
    page: Path | None
    holds: Path | None
    quarantine: Path | None

    @property
    def is_book(self) -> bool:
        """Whether the orders go into a workbook, which is the desk's queue."""
        return self.out is not None and self.out.suffix.lower() == ".xlsx"

    @property
    def needs_queue(self) -> bool:
        """Whether a queue has to be built."""
        return self.is_book or self.page is not None


def check_targets(out_path: Path | None, page: Path | None, holds: Path | None, quarantine: Path | None) -> Targets:
    """Check where things are to be written.

    Raises
    ------
    FileError
        One of the files cannot be written.
    """
    if quarantine is None and out_path is not None:
        quarantine = out_path.with_name(out_path.stem + ".quarantine.csv")
    for path in (out_path, quarantine):
        if path is not None:
            check_out_path(path)
    if page is not None:
        check_place(page, (".html",))
    if holds is not None:
        check_hold_path(holds)
    return Targets(out_path, page, holds, quarantine)


def build_desk_queue(
    scored: ScoredOrders,
    flagged: NDArray[np.int64],
    orders: pa.Table,
    model: Model,
    time_zone: str,
    scripts: Mapping[str, Script],
) -> Queue[QueueItem]:
    """Gather what the desk needs of flagged orders; `orders` may hold further ones, which links may lead to."""
    from ordervet.reports.queue import build_queue

    return build_queue(
        [scored.build_decision(int(row)) for row in flagged],
        orders,
        n_scored=len(scored),
        is_simulated=bool(model.origin.get("is_simulated")),
        time_zone=time_zone,
        scripts=scripts,
    )


def write_desk_queue(
    queue: Queue[QueueItem], scored: ScoredOrders, targets: Targets, lang: Lang, *, with_passed: bool
) -> None:
    """Write the queue as a workbook, as a page, or both; the workbook lists orders that pass, if asked."""
    from ordervet.reports.queue_book import write_queue_book
    from ordervet.reports.queue_page import build_queue_page

    if targets.out and targets.is_book:
        rows = np.flatnonzero(scored.actions == 0).tolist() if with_passed else []
        write_queue_book(queue, targets.out, lang=lang, passed=[scored.build_decision(row) for row in rows])
    if targets.page:
        write_text(build_queue_page(queue, lang=lang), targets.page)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of scoring.

    Parameters
    ----------
    scored : decisions about all orders, or about those that do not plainly pass
    flagged : shape (n_flagged,), rows of `scored`, ranked
    n_orders : orders scored
    accounts : what became of the rows of each file
    n_failures : lines of failures
    handed : what became of the hold list
    """

    scored: ScoredOrders
    flagged: NDArray[np.int64]
    n_orders: int
    accounts: list[FileAccount]
    n_failures: int
    handed: HoldCounts | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What it is shown with.

    Parameters
    ----------
    top : how many flagged orders to print
    """

    model: Model
    targets: Targets
    scripts: Mapping[str, Script]
    time_zone: str
    elapsed_s: float
    top: int


def print_found(session: Session, found: Found, shown: Shown) -> None:
    """Print what was found: flags, counts, the model, the rows of each file, and where everything was written."""
    if session.json:
        session.print_json(_build_summary(found, shown))
        return
    lang, targets = session.lang, shown.targets
    _print_flags(session, found.scored, found.flagged[: shown.top], shown)
    counts = Counter(found.scored.actions[found.flagged].tolist())
    session.print("\n" + build_score_summary(found.n_orders, counts, shown.elapsed_s, lang))
    if n_before := int((found.scored.standings[found.flagged] == Standing.HANDED).sum()):
        session.print(session.text("score.handed_before", n=n_before))
    origin = shown.model.origin
    is_simulated = bool(origin.get("is_simulated"))
    for line in name_model(shown.model.model_id, origin.get("about"), is_simulated=is_simulated, lang=lang):
        session.print(line, style="dim")
    print_accounts(session, found.accounts)
    for path in (targets.out, targets.page):
        if path:
            session.print(session.text("written", path=path))
    if found.n_failures:
        where = (
            session.text("files.see", path=targets.quarantine) if targets.quarantine else session.text("files.validate")
        )
        n_aside = sum(each.n_quarantined for each in found.accounts)
        session.warn(session.label(format_set_aside(session, n_aside, found.n_failures), where))
    if targets.holds and found.handed:
        session.print(session.label(describe_holds(found.handed, lang), targets.holds))


def _print_flags(session: Session, scored: ScoredOrders, rows: NDArray[np.int64], shown: Shown) -> None:
    placed_at = scored.placed_at.take(pa.array(rows, pa.int64())).to_pylist()
    for rank, (row, at) in enumerate(zip(rows.tolist(), placed_at, strict=True), start=1):
        decision = scored.build_decision(row)
        session.print(
            build_flag_lines(decision, at, rank, lang=session.lang, time_zone=shown.time_zone, scripts=shown.scripts)
        )


def _build_summary(found: Found, shown: Shown) -> dict[str, Any]:
    scored, flagged = found.scored, found.flagged
    counts = np.bincount(scored.actions[flagged], minlength=len(ACTIONS))
    counts[ACTIONS.index(Action.PASS)] = found.n_orders - len(flagged)
    summary = {
        "n_orders": found.n_orders,
        "n_flagged": len(flagged),
        "n_handed_before": int((scored.standings[flagged] == Standing.HANDED).sum()),
        "actions": {str(action): int(n) for action, n in zip(ACTIONS, counts, strict=True)},
        "model_id": shown.model.model_id,
        "is_model_simulated": bool(shown.model.origin.get("is_simulated")),
        "elapsed_s": round(shown.elapsed_s, 3),
        "flagged": [scored.build_decision(int(row)).as_dict() for row in flagged[: shown.top]],
        "files": [each.as_dict() for each in found.accounts],
        "n_set_aside": sum(each.n_quarantined for each in found.accounts),
        "n_failures": found.n_failures,
    }
    return summary | ({"hold_list": asdict(found.handed)} if found.handed else {})
