"""What the desk knows of the orders of a history: verdicts, and what was handed on before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.contract.verdicts import CORRECTED, INNOCENT, MALICIOUS, UNSURE, find_standing_verdicts
from ordervet.history.handed import HandedOrder, read_handed
from ordervet.policy import ACTIONS, Action, DeskMemory, Standing

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from ordervet.score.scored_orders import ScoredOrders

_PASS: Final = ACTIONS.index(Action.PASS)
STANDINGS: Final = {
    MALICIOUS: Standing.MALICIOUS,
    UNSURE: Standing.UNSURE,
    INNOCENT: Standing.RELEASED,
    CORRECTED: Standing.RELEASED,
}


def recall_desk(history: Path, verdicts: pa.Table, corrections: pa.Table, now_us: int) -> DeskMemory:
    """Recall what the desk knows.

    Parameters
    ----------
    history : folder of the history
    verdicts, corrections : of the history and of what is being scored: order_id, seen_at and, of verdicts, verdict
    now_us : the time it is, UTC microseconds
    """
    handed = read_handed(history)
    standings = dict.fromkeys((each.order_id for each in handed), Standing.HANDED)
    for order_id, (verdict, _) in find_standing_verdicts(verdicts, corrections).items():
        standings[order_id] = STANDINGS[verdict]
    return DeskMemory(now_us, standings, handed)


def list_handed(scored: ScoredOrders, now_us: int) -> list[HandedOrder]:
    """List the flagged orders that are handed on now, for the first time.

    Parameters
    ----------
    scored : decisions, made with what the desk knew
    now_us : the time it is, UTC microseconds
    """
    rows = np.flatnonzero((scored.actions != _PASS) & (scored.standings == Standing.NEW)).tolist()
    seen_at = scored.orders["seen_at"].cast("int64").to_numpy()
    return [HandedOrder(scored.order_ids[row], int(seen_at[row]), now_us, bool(scored.takes_slot[row])) for row in rows]
