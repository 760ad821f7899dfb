"""The files that scoring writes: checked before any work, and the desk's queue among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.contract import check_out_path
from ordervet.contract.outputs import check_place, write_text
from ordervet.reports.holds import check_hold_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.model import Model
    from ordervet.policy import Lang, Script
    from ordervet.reports.queue import Queue
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
) -> Queue:
    """Gather what the desk needs of flagged orders; `orders` may hold further ones, which links may lead to."""
    from ordervet.reports.queue import build_queue  # noqa: PLC0415 -- only who wants a queue waits for it

    return build_queue(
        [scored.build_decision(int(row)) for row in flagged],
        orders,
        n_scored=len(scored),
        is_simulated=bool(model.origin.get("is_simulated")),
        time_zone=time_zone,
        scripts=scripts,
    )


def write_desk_queue(queue: Queue, scored: ScoredOrders, targets: Targets, lang: Lang, *, with_passed: bool) -> None:
    """Write the queue as a workbook, as a page, or both; the workbook lists orders that pass, if asked."""
    from ordervet.reports.queue_book import write_queue_book  # noqa: PLC0415 -- only who wants a queue waits for it
    from ordervet.reports.queue_page import build_queue_page  # noqa: PLC0415 -- likewise

    if targets.out and targets.is_book:
        rows = np.flatnonzero(scored.actions == 0).tolist() if with_passed else []
        write_queue_book(queue, targets.out, lang=lang, passed=[scored.build_decision(row) for row in rows])
    if targets.page:
        write_text(build_queue_page(queue, lang=lang), targets.page)
