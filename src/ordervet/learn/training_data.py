"""What a night learns from: the features of the orders it keeps, by replay of everything that was seen before it.

The replay goes slice by slice through the kernel that serves, and of each slice only the kept orders' rows stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.learn.figures import number_groups
from ordervet.learn.labels import DAY_US
from ordervet.learn.sample import draw_numbers, sample_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities import KeyedEvents
    from ordervet.features import FeatureSpec, OrderEvents
    from ordervet.history.slices import HistorySlices, Timeline
    from ordervet.learn.labels import Labels
    from ordervet.learn.night_settings import NightSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """Which orders are kept, and for what; rows are positions in the timeline.

    Parameters
    ----------
    rows : shape (n,), ascending
    label, verdict, verdict_at : shape (n,), see `labels.Labels`
    weight : shape (n,), how many ripe orders a row stands for; 0 for rows that are not ripe
    is_reference : shape (n,), among the newest days' orders, ripe or not
    """

    rows: NDArray[np.int64]
    label: NDArray[np.int8]
    verdict: NDArray[np.int8]
    verdict_at: NDArray[np.int64]
    weight: NDArray[np.int64]
    is_reference: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Material:
    """The kept orders, the oldest first.

    Parameters
    ----------
    plan : which they are
    features : shape (n, n_features), float32, as of each order's own instant
    seen_at, amount_minor : shape (n,), UTC microseconds, minor units
    group : shape (n,), buyers as numbers from 0; an order whose buyer is not known stands alone
    channel : shape (n,), uint64 keyed ids; 0 is not known
    kind : shape (n,), the kind of malice that the latest verdict names; empty where none does
    channel_names : keyed id to name
    twin_share : per UTC day, the share of its orders that repeat buyer, instant and amount of another order
    """

    plan: Plan
    features: NDArray[np.float32]
    seen_at: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    group: NDArray[np.int64]
    channel: NDArray[np.uint64]
    kind: NDArray[np.str_]
    channel_names: dict[int, str] = field(default_factory=dict)
    twin_share: dict[int, float] = field(default_factory=dict)

    @property
    def day(self) -> NDArray[np.int64]:
        """Days since 1970 in UTC, shape (n,)."""
        return self.seen_at // DAY_US


def plan_material(timeline: Timeline, labels: Labels, *, as_of_us: int, settings: NightSettings) -> Plan:
    """Choose the orders to keep: ripe ones within the budget, the newest verdicts, and the reference.

    Parameters
    ----------
    timeline, labels : everything known at the cut-off
    as_of_us : the cut-off, UTC microseconds
    settings : budgets and days
    """
    learning = settings.learning
    seen_at, order_id = timeline.order_seen_at, timeline.order_id
    first_us = as_of_us - int((settings.maturity.order_days + learning.train_days) * DAY_US)
    ripe = np.flatnonzero((labels.label >= 0) & (seen_at >= first_us))
    judged = labels.is_judged[ripe]
    chosen, weight = sample_rows(
        order_id[ripe], seen_at[ripe] // DAY_US, judged, max_rows=learning.max_rows, seed=settings.seed
    )
    newest = np.flatnonzero(labels.is_judged & (labels.verdict_at >= as_of_us - learning.holdout_days * DAY_US))
    recent = np.flatnonzero(seen_at >= as_of_us - learning.reference_days * DAY_US)
    if len(recent) > learning.max_reference_rows:
        drawn = draw_numbers(order_id[recent], settings.seed + 1)
        recent = recent[np.argsort(drawn, kind="stable")[: learning.max_reference_rows]]
    rows = np.unique(np.concatenate([ripe[chosen], newest, recent]))
    weights = np.zeros(len(seen_at), np.int64)
    weights[ripe[chosen]] = weight
    return Plan(
        rows=rows,
        label=labels.label[rows],
        verdict=labels.verdict[rows],
        verdict_at=labels.verdict_at[rows],
        weight=weights[rows],
        is_reference=np.isin(rows, recent),
    )


def replay_material(
    slices: HistorySlices,
    spec: FeatureSpec,
    plan: Plan,
    *,
    settings: NightSettings,
    as_of_us: int,
    scratch: Path,
    n_threads: int,
    report_step: Callable[[str], None],
) -> Material:
    """Replay a history and keep the features of the planned orders.

    Parameters
    ----------
    slices : one version of the history
    spec : the features to compute
    plan : the orders to keep
    settings : size of a slice, days of the reference
    as_of_us : the cut-off
    scratch : a folder to sort the history in, removed afterwards
    n_threads : threads; the result does not depend on it
    report_step : is told how far it is
    """
    n, timeline = len(plan.rows), slices.timeline
    features = np.empty((n, len(spec.names)), np.float32)
    amount, buyer, channel = np.zeros(n, np.int64), np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    names: dict[int, str] = {}
    kinds: dict[int, str] = {}
    twins: dict[int, list[int]] = {}
    engine = FeatureEngine(spec, n_jobs=n_threads)
    n_done, n_all = 0, len(timeline.order_id)
    report_step(f"sorting {n_all:,} orders by time")
    for events in slices.read_in_turn(settings.learning.slice_orders, scratch):
        orders = build_order_events(events.orders, spec)
        found = engine.advance(orders, build_later_events(events))
        kept, at = _find_kept(orders, timeline, plan)
        features[at], amount[at] = found[kept], orders.amount_minor[kept]
        buyer[at], channel[at] = _ids(orders, "buyer")[kept], _ids(orders, "channel")[kept]
        names |= _name_channels(events)
        kinds |= _list_kinds(events)
        _count_twins(orders, as_of_us - settings.learning.reference_days * DAY_US, twins)
        n_done += len(orders)
        report_step(f"replaying {n_done:,} of {n_all:,} orders")
    kind = np.array([kinds.get(each, "") for each in timeline.order_id[plan.rows].tolist()], "U40")
    shares = {day: n_twins / n_orders for day, (n_orders, n_twins) in sorted(twins.items())}
    return Material(
        plan, features, timeline.order_seen_at[plan.rows], amount, number_groups(buyer), channel, kind, names, shares
    )


def _find_kept(orders: OrderEvents, timeline: Timeline, plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find which of a slice's orders are kept, and at which place of the plan."""
    if len(orders) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, high = np.searchsorted(timeline.order_seen_at[plan.rows], [orders.seen_at.min(), orders.seen_at.max() + 1])
    wanted = timeline.order_id[plan.rows[low:high]]
    sorter = np.argsort(orders.order_id, kind="stable")
    at = np.searchsorted(orders.order_id, wanted, sorter=sorter)
    return sorter[at], np.arange(low, high)


def _ids(orders: OrderEvents, entity: str) -> NDArray[np.uint64]:
    return orders.ids.get(entity, np.zeros(len(orders), np.uint64))


def _name_channels(events: KeyedEvents) -> dict[int, str]:
    table = events.orders
    if "channel" not in table.column_names or "id__channel" not in table.column_names:
        return {}
    pairs = pa.table({"id": table["id__channel"], "name": table["channel"]}).group_by(["id", "name"]).aggregate([])
    return {row["id"]: row["name"] for row in pairs.to_pylist() if row["id"] and row["name"]}


def _list_kinds(events: KeyedEvents) -> dict[int, str]:
    """List the kinds of malice that verdicts name; the latest verdict on an order comes last."""
    named = events.verdicts.filter(pc.is_valid(events.verdicts["kind"]))
    return dict(zip(named["id__order"].to_pylist(), named["kind"].to_pylist(), strict=True))


def _count_twins(orders: OrderEvents, since_us: int, twins: dict[int, list[int]]) -> None:
    """Add, per day since an instant, its orders with a buyer, and those that repeat another in all but the order id."""
    buyer = _ids(orders, "buyer")
    rows = np.flatnonzero((orders.seen_at >= since_us) & (buyer != 0))
    rows = rows[np.lexsort((orders.amount_minor[rows], orders.seen_at[rows], buyer[rows]))]
    same = np.zeros(len(rows), bool)
    for values in (buyer, orders.seen_at, orders.amount_minor):
        ordered = values[rows]
        same[1:] = (ordered[1:] == ordered[:-1]) if values is buyer else same[1:] & (ordered[1:] == ordered[:-1])
    day = orders.seen_at[rows] // DAY_US
    for each in np.unique(day):
        counts = twins.setdefault(int(each), [0, 0])
        counts[0] += int((day == each).sum())
        counts[1] += int(same[day == each].sum())
