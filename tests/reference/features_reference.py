"""The features by their definitions, one order at a time, in plain Python: slow, and the truth.

Nothing here is shared with the kernel but the spec. Every other path must give the same numbers, `==`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from groups_reference import compute_groups

from ordervet.features.events import EXCUSED_BIT, JUDGEMENT_BIT, SHARED_PLACE_BIT
from ordervet.features.spec import (
    BASELINE_WINDOW,
    BURST_WINDOW,
    GROUP_NAMES,
    LONG_WINDOW,
    PRIOR_ORDERS,
    PRIOR_PPM,
    RELATIVE,
    SELECTOR_BIT,
    SUM_COLUMNS,
    SYNCHRONY_WINDOW,
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
        PastEvent(int(orders.seen_at[row]), 0, int(mask), int(orders.amount_minor[row]), row)
        for row, mask in enumerate(orders.read_mask())
    ]
    events += [
        PastEvent(int(later.seen_at[at]), int(later.rank[at]), int(later.mask[at]), int(later.amount_minor[at]), row)
        for at in range(len(later))
        if (row := row_of.get(int(later.order_id[at]))) is not None
    ]
    events.sort(key=lambda event: (event.seen_at, event.rank))
    events = _mark_first_orders(events, orders)
    out = np.empty((len(orders), len(spec.names)), np.float32)
    for at, (column, _) in enumerate(spec.order_columns):
        out[:, column] = orders.own[:, at]
    for row in range(len(orders)):
        known = _select_standing([event for event in events if event.seen_at < orders.seen_at[row]])
        if spec.group_columns:
            of_group = compute_groups(known, row, orders.ids, (orders.read_mask() & SHARED_PLACE_BIT) != 0)
            for column, name in spec.group_columns:
                out[row, column] = of_group[GROUP_NAMES.index(name)]
        for column, aggregation in spec.aggregations:
            if aggregation.statistic in RELATIVE:
                out[row, column] = _compute_relative(aggregation, row, known, orders)
            else:
                out[row, column] = _compute_one(aggregation, row, known, orders)
    return out


def _mark_first_orders(events: list[PastEvent], orders: OrderEvents) -> list[PastEvent]:
    """Mark the orders of buyers of whom no order was seen before that instant."""
    if "buyer" not in orders.ids:
        return events
    buyers = orders.ids["buyer"]
    first: dict[int, int] = {}
    for event in events:
        if event.mask & SELECTOR_BIT["order"]:
            first.setdefault(int(buyers[event.order]), event.seen_at)
    return [
        replace(event, mask=event.mask | SELECTOR_BIT["first_order"])
        if event.mask & SELECTOR_BIT["order"]
        and buyers[event.order]
        and first[int(buyers[event.order])] == event.seen_at
        else event
        for event in events
    ]


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
    if statistic is Statistic.SAMENESS:
        ids_seen = [int(orders.ids[column][e.order]) for e in past if e.mask & SELECTOR_BIT["order"]]
        given = [value for value in ids_seen if value != 0]
        return 1 - (len(set(given)) - 1) / (len(given) - 1) if len(given) > 1 else float("nan")
    if statistic is Statistic.COUNT:
        return float(_count(past, column))
    if statistic is Statistic.SYNCHRONY:
        latest = [event for event in past if now - WINDOWS_US[SYNCHRONY_WINDOW] <= event.seen_at]
        return _count(latest, column) / _count(past, column) if _count(past, column) else float("nan")
    if statistic is Statistic.BURST:
        usual = [e for e in known if ids[e.order] == own_id and now - WINDOWS_US[BURST_WINDOW] <= e.seen_at < now]
        per_window = _count(usual, column) / (WINDOWS_US[BURST_WINDOW] // WINDOWS_US[aggregation.window])
        return (_count(past, column) + 1) / (per_window + 1)
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


def _compute_relative(aggregation: Aggregation, row: int, known: list[PastEvent], orders: OrderEvents) -> float:
    ids, now = orders.ids[aggregation.entity], int(orders.seen_at[row])
    if ids[row] == 0:
        return float("nan")
    opened_at, bit = now - WINDOWS_US[aggregation.window], SELECTOR_BIT[aggregation.column]
    past = [event for event in known if ids[event.order] == ids[row] and opened_at <= event.seen_at]
    if aggregation.statistic is Statistic.EXCESS:
        unexcused = [event for event in past if event.mask & bit and not event.mask & EXCUSED_BIT]
        return sum(1_000_000 - _expect(aggregation, event, known, orders) for event in unexcused) / 1e6
    placed = [event for event in past if event.mask & SELECTOR_BIT["order"]]
    expected = sum(_expect(aggregation, event, known, orders) for event in placed) / 1e6
    return (
        expected
        if aggregation.statistic is Statistic.EXPECTED
        else (_count(past, aggregation.column) + 1) / (expected + 1)
    )


def _expect(aggregation: Aggregation, event: PastEvent, known: list[PastEvent], orders: OrderEvents) -> int:
    """Compute the smoothed share of the baseline of an event's order, as known then, in parts per million."""
    prior, baseline = PRIOR_PPM[aggregation.column], orders.ids[aggregation.baseline]
    own_id, opened_at = baseline[event.order], event.seen_at - WINDOWS_US[BASELINE_WINDOW]
    past = [e for e in known if own_id and baseline[e.order] == own_id and opened_at <= e.seen_at < event.seen_at]
    n, n_orders = _count(past, aggregation.column), _count(past, "order")
    return min((n * 1_000_000 + PRIOR_ORDERS * prior) // (n_orders + PRIOR_ORDERS), 1_000_000)


def _add_up(events: list[PastEvent], selector: str) -> tuple[int, int]:
    return sum(e.amount_minor for e in events if e.mask & SELECTOR_BIT[selector]), _count(events, selector)


def _count(events: list[PastEvent], selector: str) -> int:
    return sum(1 for event in events if event.mask & SELECTOR_BIT[selector])
