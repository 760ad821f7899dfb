"""What scoring tells: flagged orders, counts, files; for people or as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ordervet.cli.accounts import print_accounts, say_set_aside
from ordervet.cli.screen import err, out, print_json
from ordervet.cli.words import word
from ordervet.policy import ACTIONS, Action
from ordervet.reports import build_flag_lines, build_score_summary, name_model
from ordervet.reports.holds import say_holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ordervet.cli.accounts import FileAccount
    from ordervet.cli.scored_files import Targets
    from ordervet.model import Model
    from ordervet.policy import Lang, Script
    from ordervet.reports.holds import HoldCounts
    from ordervet.score import ScoredOrders


@dataclass(frozen=True, slots=True)
class Ending:
    """What there is to tell.

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


def tell_ending(
    ending: Ending,
    model: Model,
    targets: Targets,
    elapsed_s: float,
    top: int,
    lang: Lang,
    time_zone: str,
    scripts: Mapping[str, Script],
    *,
    json: bool,
) -> None:
    """Print what was found, for people or for programs."""
    n_aside = sum(each.n_quarantined for each in ending.accounts)
    if json:
        about_files = {
            "files": [each.as_dict() for each in ending.accounts],
            "n_set_aside": n_aside,
            "n_failures": ending.n_failures,
        }
        print_json(_build_summary(ending, model, elapsed_s, top) | about_files | _sum_up_holds(ending.handed))
        return
    _print_flags(ending.scored, ending.flagged[:top], lang, time_zone, scripts)
    _print_summary(ending, model, elapsed_s, lang)
    print_accounts(ending.accounts, lang)
    _print_written(targets, n_aside, ending.n_failures, lang)
    if targets.holds and ending.handed:
        out.print(f"{say_holds(ending.handed, lang)}: {targets.holds}", markup=False)


def _print_flags(
    scored: ScoredOrders, rows: NDArray[np.int64], lang: Lang, time_zone: str, scripts: Mapping[str, Script]
) -> None:
    placed_at = scored.placed_at.take(pa.array(rows, pa.int64())).to_pylist()
    for rank, (row, instant) in enumerate(zip(rows.tolist(), placed_at, strict=True), start=1):
        decision = scored.build_decision(row)
        out.print(build_flag_lines(decision, instant, rank, lang=lang, time_zone=time_zone, scripts=scripts))


def _print_summary(ending: Ending, model: Model, elapsed_s: float, lang: Lang) -> None:
    counts = Counter(ending.scored.actions[ending.flagged].tolist())
    out.print("\n" + build_score_summary(ending.n_orders, counts, elapsed_s, lang))
    is_simulated = bool(model.origin.get("is_simulated"))
    for line in name_model(model.model_id, model.origin.get("about"), is_simulated=is_simulated, lang=lang):
        out.print(line, style="dim", markup=False)


def _print_written(targets: Targets, n_aside: int, n_failures: int, lang: Lang) -> None:
    for path in (targets.out, targets.page):
        if path:
            out.print(word("written", lang, path=path), markup=False)
    if n_failures:
        where = word("see", lang, path=targets.quarantine) if targets.quarantine else word("validate", lang)
        err.print(f"{say_set_aside(n_aside, n_failures, lang)}: {where}", style="yellow", markup=False)


def _build_summary(ending: Ending, model: Model, elapsed_s: float, top: int) -> dict[str, Any]:
    scored, flagged = ending.scored, ending.flagged
    counts = np.bincount(scored.actions[flagged], minlength=len(ACTIONS))
    counts[ACTIONS.index(Action.PASS)] = ending.n_orders - len(flagged)
    return {
        "n_orders": ending.n_orders,
        "n_flagged": len(flagged),
        "actions": {str(action): int(n) for action, n in zip(ACTIONS, counts, strict=True)},
        "model_id": model.model_id,
        "is_model_simulated": bool(model.origin.get("is_simulated")),
        "elapsed_s": round(elapsed_s, 3),
        "flagged": [scored.build_decision(int(row)).as_dict() for row in flagged[:top]],
    }


def _sum_up_holds(handed: HoldCounts | None) -> dict[str, Any]:
    return {"hold_list": asdict(handed)} if handed else {}
