"""From decisions to the orders to stop, and what was decided about these since."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.contract.verdicts import CORRECTED, INNOCENT, find_standing_verdicts
from ordervet.policy import ACTIONS, Action
from ordervet.reports.holds import Hold, update_holds

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.entities import KeyedEvents
    from ordervet.policy import Policy
    from ordervet.reports.holds import HoldCounts, Word
    from ordervet.score.scored_orders import ScoredOrders

_ZONE: Final = ZoneInfo(DEFAULT_TIME_ZONE)

#: Outcomes after which an order can no longer be stopped, or need not be; it is not released either.
_CLOSING: Final = ("cancelled_unpaid", "cancelled_paid", "fulfilled", "delivery_refused", "return_received")


def list_holds(scored: ScoredOrders, policy: Policy) -> list[Hold]:
    """List the orders to stop before shipping: those to hold, and those to confirm by phone first.

    Parameters
    ----------
    scored : decisions
    policy : how long after an order its audit is

    Returns
    -------
    one entry per order, in the order of the rows
    """
    stopping = [ACTIONS.index(Action.CONFIRM), ACTIONS.index(Action.HOLD)]
    rows = np.flatnonzero(np.isin(scored.actions, stopping))
    taken = pa.array(rows, pa.int64())
    has_platform = "platform" in scored.orders.column_names
    platforms = scored.orders["platform"].take(taken).to_pylist() if has_platform else [None] * len(rows)
    minutes = timedelta(minutes=policy.handover.minutes)
    return [
        Hold(
            order_id=scored.order_ids[row],
            platform=str(platform or ""),
            action=str(ACTIONS[scored.actions[row]]),
            deadline=(placed_at + minutes).astimezone(_ZONE).isoformat(timespec="seconds"),
        )
        for row, platform, placed_at in zip(
            rows.tolist(), platforms, scored.placed_at.take(taken).to_pylist(), strict=True
        )
    ]


def find_words(events: KeyedEvents) -> dict[str, Word]:
    """Find what is known of orders since: the latest verdict or correction, or that they were closed.

    A correction and the verdict innocent release an order; malicious and unsure take that back.

    Parameters
    ----------
    events : of a history, or of files

    Returns
    -------
    order id → word; only orders with any
    """
    outcomes = events.outcomes
    standing = find_standing_verdicts(events.verdicts, events.corrections)
    words: dict[str, Word] = {
        order_id: "release" if verdict in {INNOCENT, CORRECTED} else "hold"
        for order_id, (verdict, _) in standing.items()
    }
    is_closed = pc.is_in(outcomes["kind"], pa.array(_CLOSING))
    closed: dict[str, Word] = dict.fromkeys(outcomes["order_id"].filter(is_closed).to_pylist(), "close")
    return words | closed


def update_hold_list(path: Path, scored: ScoredOrders, events: KeyedEvents, policy: Policy) -> HoldCounts:
    """Update a hold list and its release list with decisions and what was decided since.

    Parameters
    ----------
    path : the hold list
    scored : decisions
    events : of a history, or of the files that were scored
    policy : batch size and deadline

    Returns
    -------
    counts of both lists

    Raises
    ------
    FileError
        As for `update_holds`.
    """
    holds, words = list_holds(scored, policy), find_words(events)
    return update_holds(path, holds, words, batch_size=policy.handover.batch_size, now=datetime.now(_ZONE))
