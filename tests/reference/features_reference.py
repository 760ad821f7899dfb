"""The features by their definitions, one order at a time, in plain Python: slow, and the truth.

Nothing here is shared with the kernel but the spec. Every other path must give the same numbers, `==`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from groups_reference import compute_groups

from ordervet.features.events import (
    AMOUNT_KNOWN_BIT,
    EXCHANGE_BIT,
    EXCUSED_BIT,
    JUDGEMENT_BIT,
    MINOR_REFUND_BIT,
    SHARED_PLACE_BIT,
)
from ordervet.features.spec import (
    BASELINE_WINDOW,
    BURST_WINDOW,
    GROUP_NAMES,
    LONG_WINDOW,
    PRIOR_ORDERS,
    PRIOR_PPM,
    RELATIVE,
    RUN_VERDICTS,
    RUNS,
    SELECTOR_BIT,
    SIZED,
    SPIKE_FROM,
    SUM_COLUMNS,
    SYNCHRONY_WINDOW,
    USUAL,
    WINDOWS_US,
    Statistic,
    has_no_window,
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
    """One event as the definitions see it.

    `order` is the row of the order it is about; a refund has a `size`, and is the first of its order to be what
    `first_as` names.
    """

    seen_at: int
    rank: int
    mask: int
    amount_minor: int
    order: int
    size: int = 0
    first_as: frozenset[str] = frozenset()


def compute_features(orders: OrderEvents, later: LaterEvents, spec: FeatureSpec) -> NDArray[np.float32]:
    """Compute every feature of every order by the definitions.

    Returns
    -------
    shape (len(orders), n_features), float32
    """
    events = list_events(orders, later)
    return np.array(
        [
            compute_row(
                row, int(orders.seen_at[row]), [e for e in events if e.seen_at < orders.seen_at[row]], orders, spec
            )
            for row in range(len(orders))
        ],
        np.float32,
    ).reshape(len(orders), len(spec.names))


def compute_again(orders: OrderEvents, later: LaterEvents, spec: FeatureSpec, row: int, now: int) -> list[float]:
    """Compute the features of an order that is asked about again, without its own events (T7)."""
    return compute_row(
        row, now, [e for e in list_events(orders, later) if e.seen_at < now], orders, spec, is_again=True
    )


def list_events(orders: OrderEvents, later: LaterEvents) -> list[PastEvent]:
    """List everything that counts, in the order seen."""
    row_of = {int(order_id): row for row, order_id in enumerate(orders.order_id)}
    placed_at, happened_at = orders.read_placed_at(), later.read_happened_at()
    events = [
        PastEvent(int(orders.seen_at[row]), 0, int(mask), int(orders.amount_minor[row]), row)
        for row, mask in enumerate(orders.read_mask())
    ]
    for at in range(len(later)):
        row = row_of.get(int(later.order_id[at]))
        if row is None:
            continue
        seen_at = int(later.seen_at[at])
        if seen_at < orders.seen_at[row]:  # it waited for its order
            if happened_at[at] < placed_at[row]:
                continue
            seen_at = int(orders.seen_at[row])
        events.append(PastEvent(seen_at, int(later.rank[at]), int(later.mask[at]), int(later.amount_minor[at]), row))
    events.sort(key=lambda event: (event.seen_at, event.rank, -event.amount_minor if event.rank else 0, event.mask))
    measured = _measure_refunds(_mark_first_orders(events, orders), orders)
    return [replace(event, amount_minor=compute_worth(event.amount_minor, event.order, orders)) for event in measured]


def compute_worth(amount: int, row: int, orders: OrderEvents) -> int:
    """Compute what an amount of an order is worth in the currency of the features (W11)."""
    rate = float(orders.read_rate()[row])
    return amount if rate == 1 else min(math.floor(amount * rate + 0.5), 9 * 10**15)


def compute_row(
    row: int, now: int, before: list[PastEvent], orders: OrderEvents, spec: FeatureSpec, *, is_again: bool = False
) -> list[float]:
    """Compute the features of one order at a time, of the events from before it."""
    out = [float("nan")] * len(spec.names)
    for at, (column, _) in enumerate(spec.order_columns):
        out[column] = orders.own[row, at]
    own = {id(event) for event in before if is_again and event.order == row}
    everything = _select_standing(before)
    known = [event for event in everything if id(event) not in own]
    if spec.group_columns:
        longest_us = max(_find_longest(spec, entity) for entity in spec.entities)
        counted = [e for e in everything if id(e) not in own or now - e.seen_at > longest_us]
        of_group = compute_groups(everything, counted, row, orders.ids, (orders.read_mask() & SHARED_PLACE_BIT) != 0)
        for column, name in spec.group_columns:
            out[column] = of_group[GROUP_NAMES.index(name)]
    for column, aggregation in spec.aggregations:
        if has_no_window(aggregation.statistic, aggregation.column):
            out[column] = _compute_clock(aggregation, row, now, everything, own, orders, spec)
        elif aggregation.statistic in RUNS or (
            aggregation.column in RUN_VERDICTS and aggregation.statistic is Statistic.RECENCY
        ):
            out[column] = _compute_run(aggregation, row, now, known, orders)
        elif aggregation.statistic in USUAL:
            out[column] = _compute_usual(aggregation, row, now, known, everything, orders)
        elif aggregation.statistic in RELATIVE:
            out[column] = _compute_relative(aggregation, row, now, known, everything, orders)
        else:
            out[column] = _compute_one(aggregation, row, now, known, orders)
    return out


def _find_longest(spec: FeatureSpec, entity: str) -> int:
    """Find the longest window that is looked at for an entity; without any, that of all."""
    reaches = {Statistic.DRIFT: LONG_WINDOW, Statistic.BURST: BURST_WINDOW}
    of_entity: dict[str, list[int]] = {}
    for _, each in spec.aggregations:
        if each.window:
            window = reaches.get(each.statistic, each.window)
            of_entity.setdefault(each.entity, []).append(WINDOWS_US[window])
        if each.baseline:
            of_entity.setdefault(each.baseline, []).append(WINDOWS_US[BASELINE_WINDOW])
    every = max((max(lengths) for lengths in of_entity.values()), default=0)
    return max(of_entity.get(entity, [every]))


def _measure_refunds(events: list[PastEvent], orders: OrderEvents) -> list[PastEvent]:
    """Give each refund its part of its order, parts per million: at most what is left of it (W10)."""
    used: dict[tuple[int, str], int] = {}
    seen: set[tuple[int, str]] = set()
    measured = []
    for event in events:
        kind = next(
            (name for name in ("refund_requested", "refund_completed") if event.mask & SELECTOR_BIT[name]), None
        )
        if kind is None:
            measured.append(event)
            continue
        whole = int(orders.amount_minor[event.order])
        size = 0 if event.mask & MINOR_REFUND_BIT else 1_000_000
        if event.mask & EXCHANGE_BIT:
            size = 0
        elif event.mask & AMOUNT_KNOWN_BIT and whole > 0:
            size = min(event.amount_minor * 1_000_000 // whole, 1_000_000)
        size = min(size, 1_000_000 - used.get((event.order, kind), 0))
        used[event.order, kind] = used.get((event.order, kind), 0) + size
        names = {name for name in SIZED if event.mask & SELECTOR_BIT[name]}
        first_as = {name for name in names if (event.order, name) not in seen}
        if event.mask & (MINOR_REFUND_BIT | EXCHANGE_BIT):
            first_as = set()
        else:
            seen |= {(event.order, name) for name in names}
        measured.append(replace(event, size=size, first_as=frozenset(first_as)))
    return measured


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


def _compute_clock(
    aggregation: Aggregation,
    row: int,
    now: int,
    everything: list[PastEvent],
    own: set[int],
    orders: OrderEvents,
    spec: FeatureSpec,
) -> float:
    ids = orders.ids[aggregation.entity]
    if ids[row] == 0:
        return float("nan")
    longest_us = _find_longest(spec, aggregation.entity)
    past = [e for e in everything if ids[e.order] == ids[row] and e.mask & SELECTOR_BIT[aggregation.column]]
    if not past:
        return float("nan")
    first, last = min(e.seen_at for e in past), max(e.seen_at for e in past)
    recent = [event for event in past if now - event.seen_at <= longest_us]
    owns = {event.seen_at for event in recent if id(event) in own}
    others = [event.seen_at for event in recent if id(event) not in own]
    told: int | None
    if aggregation.statistic is Statistic.AGE:
        told = min(others, default=None) if first in owns else first
    else:
        told = max(others, default=None if first in owns else first) if last in owns else last
    return float("nan") if told is None else (now - told) / 1e6


def _compute_one(aggregation: Aggregation, row: int, now: int, known: list[PastEvent], orders: OrderEvents) -> float:
    ids, own_id = orders.ids[aggregation.entity], orders.ids[aggregation.entity][row]
    if own_id == 0:
        return float("nan")
    column, statistic = aggregation.column, aggregation.statistic
    past = [event for event in known if ids[event.order] == own_id]
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
        return float(sum(1 for e in past if column in e.first_as) if column in SIZED else _count(past, column))
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
        return compute_worth(int(orders.amount_minor[row]), row, orders) / (total / n) if total else float("nan")
    long_total, long_n = _add_up(long_past, SUM_COLUMNS[column])
    return (total / n) / (long_total / long_n) if n and long_total else float("nan")


def _compute_run(aggregation: Aggregation, row: int, now: int, known: list[PastEvent], orders: OrderEvents) -> float:
    """Compute of the standing verdicts of a window those that were seen after the last of the other."""
    ids, opened_at = orders.ids[aggregation.entity], now - WINDOWS_US[aggregation.window]
    if ids[row] == 0:
        return float("nan")
    past = [e for e in known if ids[e.order] == ids[row] and opened_at <= e.seen_at]
    (other,) = set(RUN_VERDICTS) - {aggregation.column}
    its_times = [event.seen_at for event in past if event.mask & SELECTOR_BIT[aggregation.column]]
    other_times = [event.seen_at for event in past if event.mask & SELECTOR_BIT[other]]
    run = [time for time in its_times if time > max(other_times, default=-(2**63))]
    if aggregation.statistic is Statistic.RUN:
        return float(len(run))
    told = min(run, default=None) if aggregation.statistic is Statistic.RUN_AGE else max(its_times, default=None)
    return float("nan") if told is None else (now - told) / 1e6


def _compute_usual(
    aggregation: Aggregation,
    row: int,
    now: int,
    known: list[PastEvent],
    everything: list[PastEvent],
    orders: OrderEvents,
) -> float:
    """Compute the largest amount of a window over the usual one, or how many orders were spikes when they were seen."""
    ids = orders.ids[aggregation.entity]
    if ids[row] == 0:
        return float("nan")
    parts: dict[int, int] = {}  # of each order, by row: how much of its amount is usual, parts per million

    def cap(event: PastEvent) -> int:
        return event.amount_minor * parts[event.order] // 1_000_000

    def find_usual(placed: list[PastEvent], at: int) -> float:
        past = [event for event in placed if at - WINDOWS_US[LONG_WINDOW] <= event.seen_at < at]
        return float(sum(cap(event) for event in past)) / len(past) if past else float("nan")

    def select_orders(events: list[PastEvent]) -> list[PastEvent]:
        return [e for e in events if e.mask & SELECTOR_BIT["order"] and ids[e.order] == ids[row]]

    placed = select_orders(everything)
    for event in placed:
        usual, amount = find_usual(placed, event.seen_at), event.amount_minor
        is_known = usual > 0 and amount > 0
        part = math.floor(SPIKE_FROM * 1e6 * usual / amount) if is_known else 1_000_000
        parts[event.order] = min(part, 1_000_000)
    others = select_orders(known)
    recent = [event for event in others if now - WINDOWS_US[aggregation.window] <= event.seen_at]
    if aggregation.statistic is Statistic.SPIKES:
        return float(sum(parts[event.order] < 1_000_000 for event in recent))
    usual = find_usual(others, now)
    return max(event.amount_minor for event in recent) / usual if recent and usual > 0 else float("nan")


def _compute_relative(
    aggregation: Aggregation,
    row: int,
    now: int,
    known: list[PastEvent],
    everything: list[PastEvent],
    orders: OrderEvents,
) -> float:
    ids = orders.ids[aggregation.entity]
    if ids[row] == 0:
        return float("nan")
    opened_at, bit = now - WINDOWS_US[aggregation.window], SELECTOR_BIT[aggregation.column]
    past = [event for event in known if ids[event.order] == ids[row] and opened_at <= event.seen_at]
    if aggregation.statistic is Statistic.EXCESS:
        unexcused = [event for event in past if event.mask & bit and not event.mask & EXCUSED_BIT]
        return sum(_exceed(aggregation, event, everything, orders) for event in unexcused) / 1e6
    placed = [event for event in past if event.mask & SELECTOR_BIT["order"]]
    expected = sum(_expect(aggregation, event, everything, orders) for event in placed) / 1e6
    return (
        expected
        if aggregation.statistic is Statistic.EXPECTED
        else (_count(past, aggregation.column) + 1) / (expected + 1)
    )


def _exceed(aggregation: Aggregation, event: PastEvent, everything: list[PastEvent], orders: OrderEvents) -> int:
    size = event.size if aggregation.column in SIZED else 1_000_000
    return size * (1_000_000 - _expect(aggregation, event, everything, orders)) // 1_000_000


def _expect(aggregation: Aggregation, event: PastEvent, known: list[PastEvent], orders: OrderEvents) -> int:
    """Compute the smoothed share of the baseline of an event's order, as known then, in parts per million."""
    prior, baseline = PRIOR_PPM[aggregation.column], orders.ids[aggregation.baseline]
    own_id, opened_at = baseline[event.order], event.seen_at - WINDOWS_US[BASELINE_WINDOW]
    past = [e for e in known if own_id and baseline[e.order] == own_id and opened_at <= e.seen_at < event.seen_at]
    n_ppm, n_orders = _count_ppm(past, aggregation.column), int(_count(past, "order"))
    return min((n_ppm + PRIOR_ORDERS * prior) // (n_orders + PRIOR_ORDERS), 1_000_000)


def _add_up(events: list[PastEvent], selector: str) -> tuple[int, int]:
    chosen = [event for event in events if event.mask & SELECTOR_BIT[selector]]
    return sum(event.amount_minor for event in chosen), len(chosen)


def _count(events: list[PastEvent], selector: str) -> float:
    """Weigh events: how many, refunds by their size."""
    n_ppm = _count_ppm(events, selector)
    return n_ppm / 1e6 if selector in SIZED else n_ppm // 1_000_000


def _count_ppm(events: list[PastEvent], selector: str) -> int:
    chosen = [event for event in events if event.mask & SELECTOR_BIT[selector]]
    return sum(event.size for event in chosen) if selector in SIZED else 1_000_000 * len(chosen)
