"""The features by their definitions, one order at a time, in plain Python: slow, and the truth.

Nothing here is shared with the kernel but the spec. Every other path must give the same numbers, `==`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.spec import (
    LONG_WINDOW,
    SELECTOR_BIT,
    SUM_COLUMNS,
    WINDOWS_US,
    Statistic,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features.events import LaterEvents, OrderEvents
    from ordervet.features.spec import (
        Aggregation,
        FeatureSpec,
    )


@dataclass(frozen=True, slots=True)
class PastEvent:
    """One event as the definitions see it; `order` is the row of the order it is about."""

    seen_at: int
    rank: int
    mask: int
    amount_minor: int
    order: int


def compute_features(orders: OrderEvents, later: LaterEvents, spec: FeatureSpec) -> NDArray[np.float32]:
    """Compute every feature of every order by the definitions.

    Returns
    -------
    shape (len(orders), n_features), float32
    """
    row_of = {int(order_id): row for row, order_id in enumerate(orders.order_id)}
    events = [
        PastEvent(int(orders.seen_at[row]), 0, SELECTOR_BIT["order"], int(orders.amount_minor[row]), row)
        for row in range(len(orders))
    ]
    events += [
        PastEvent(int(later.seen_at[at]), int(later.rank[at]), int(later.mask[at]), int(later.amount_minor[at]), row)
        for at in range(len(later))
        if (row := row_of.get(int(later.order_id[at]))) is not None
    ]
    events.sort(key=lambda event: (event.seen_at, event.rank))
    out = np.empty((len(orders), len(spec.names)), np.float32)
    for at, (column, _) in enumerate(spec.order_columns):
        out[:, column] = orders.own[:, at]
    for row in range(len(orders)):
        known = _select_standing([event for event in events if event.seen_at < orders.seen_at[row]])
        for column, aggregation in spec.aggregations:
            out[row, column] = _compute_one(aggregation, row, known, orders)
    return out


def _select_standing(events: list[PastEvent]) -> list[PastEvent]:
    """Drop every verdict that a later verdict or correction of its order has taken back."""
    latest = {event.order: at for at, event in enumerate(events) if event.mask & JUDGEMENT_BIT}
    return [event for at, event in enumerate(events) if not event.mask & JUDGEMENT_BIT or latest[event.order] == at]


def _compute_one(aggregation: Aggregation, row: int, known: list[PastEvent], orders: OrderEvents) -> float:
    ids, own_id, now = orders.ids[aggregation.entity], orders.ids[aggregation.entity][row], int(orders.seen_at[row])
    if own_id == 0:
        return float("nan")
    column, statistic = aggregation.column, aggregation.statistic
    past = [event for event in known if ids[event.order] == own_id]
    if statistic in (Statistic.RECENCY, Statistic.AGE):
        instants = [event.seen_at for event in past if event.mask & SELECTOR_BIT[column]]
        if not instants:
            return float("nan")
        return (now - (max(instants) if statistic is Statistic.RECENCY else min(instants))) / 1e6
    long_past = [event for event in past if now - WINDOWS_US[LONG_WINDOW] <= event.seen_at < now]
    past = [event for event in past if now - WINDOWS_US[aggregation.window] <= event.seen_at < now]
    if statistic is Statistic.DISTINCT:
        counted = [orders.ids[column][event.order] for event in past if event.mask & SELECTOR_BIT["order"]]
        return float(len({value for value in counted if value != 0}))
    if statistic is Statistic.COUNT:
        return float(_count(past, column))
    if statistic is Statistic.SHARE:
        whole = _count(past, "verdict" if column in ("malicious", "innocent") else "order")
        return _count(past, column) / whole if whole else float("nan")
    total, n = _add_up(past, SUM_COLUMNS[column])
    if statistic is Statistic.SUM:
        return float(total)
    if statistic is Statistic.MEAN:
        return total / n if n else float("nan")
    if statistic is Statistic.RATIO:
        return int(orders.amount_minor[row]) / (total / n) if total else float("nan")
    long_total, long_n = _add_up(long_past, SUM_COLUMNS[column])
    return (total / n) / (long_total / long_n) if n and long_total else float("nan")


def _add_up(events: list[PastEvent], selector: str) -> tuple[int, int]:
    return sum(e.amount_minor for e in events if e.mask & SELECTOR_BIT[selector]), _count(events, selector)


def _count(events: list[PastEvent], selector: str) -> int:
    return sum(1 for event in events if event.mask & SELECTOR_BIT[selector])
