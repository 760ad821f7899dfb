"""What a night learns from: the features of the orders it keeps, by replay of everything that was seen before it.

All judged orders are kept, and of the others as many as the budget allows. A sampled order stands for a whole number of
orders of its own day; the weights add up to the day's orders exactly, so that the calibration stays what it was. The
replay goes slice by slice through the engine that serves, and of each slice only the kept orders' rows stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.contract import Decider
from ordervet.contract.schemas import INSTANT
from ordervet.entities import load_key
from ordervet.entities.keyed import ID, ORDER_ID
from ordervet.errors import TrainingError
from ordervet.features import FeatureEngine, OrderEvents
from ordervet.features.claim_features import build_claim_spec
from ordervet.features.events import SHARED_PLACE_BIT
from ordervet.features.spec import GROUP_KEYS, SPEC_PROTOCOL
from ordervet.history.stored_rows import read_ints
from ordervet.learn.claim_replay import RequestReplay
from ordervet.learn.intervals import number_buyers
from ordervet.learn.labels import DAY_US, MALICIOUS, MIN_VERDICTS, label_orders
from ordervet.learn.rings import read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities import Key, KeyedEvents
    from ordervet.features import FeatureSpec, LaterEvents
    from ordervet.history.slices import HistorySlices, Timeline
    from ordervet.learn.claim_replay import ReplayedRequests
    from ordervet.learn.labels import Labels
    from ordervet.learn.night_settings import NightSettings


#: Early labels of days of which less than this share of the malice is known teach more noise than malice.
LEAST_KNOWN_SHARE = 0.1
#: Share of the earlier orders that is beyond either end of a feature's range.
_BEYOND = 0.005
#: A kind's delays count beside so many verdicts that come as those of all kinds do; the most that they change a weight.
_PRIOR_VERDICTS, _MOST_TIMES = 20, 3.0


_ROW_ENTITIES = ("buyer", "channel", *GROUP_KEYS)

#: What is known of an order besides its features, in rows that another engine built; ids are their bits.
ROW_SCHEMA = pa.schema(
    {
        "order_id": pa.string(),
        ORDER_ID: pa.int64(),
        "seen_at": INSTANT,
        "amount_minor": pa.int64(),
        "worth_minor": pa.int64(),
        "label": pa.int8(),
        "kind": pa.string(),
        "is_audited": pa.bool_(),
        "channel": pa.string(),
        "is_shared_place": pa.bool_(),
        **{f"{ID}{entity}": pa.int64() for entity in _ROW_ENTITIES},
        "made_with": pa.string(),
    }
)
_BATCH_ROWS = 131_072


@dataclass(frozen=True, slots=True)
class Plan:
    """Which orders are kept, and for what; every array of shape (n,)."""

    rows: NDArray[np.int64]  # positions in the timeline, ascending
    #: label, verdict, verdict_at: see `labels.Labels`
    label: NDArray[np.int8]
    verdict: NDArray[np.int8]
    verdict_at: NDArray[np.int64]
    weight: NDArray[np.int64]  # how many labelled orders a row stands for; 0 for rows without a label
    known_share: NDArray[np.float64]  # see `labels.Labels`; the label of a row below 1 is an early one
    is_reference: NDArray[np.bool_]  # among the newest days' orders, mature or not


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The kept orders, the oldest first; every array of shape (n,) or (n, n_features)."""

    plan: Plan  # which they are
    features: NDArray[np.float32]  # as of each order's own time
    #: seen_at, amount_minor: UTC microseconds, minor units
    seen_at: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    buyer: NDArray[np.int64]  # numbers from 0, see `number_buyers`
    channel: NDArray[np.uint64]  # keyed ids; 0 is not known
    kind: NDArray[np.str_]  # the kind of malice that the latest verdict names; empty where none does
    is_audited: NDArray[np.bool_]  # a verdict of the audit stands on it: it had passed
    #: shape (n_audited,), keyed ids of all orders with a verdict of the audit, kept or not, ascending
    audited: NDArray[np.uint64]
    keys: NDArray[np.uint64]  # shape (n, 4), what links orders, see `rings.read_keys`
    channel_names: dict[int, str] = field(default_factory=dict)  # keyed id to name
    #: per UTC day, the share of its orders that repeat buyer, time and amount of another order
    duplicate_share: dict[int, float] = field(default_factory=dict)
    requests: ReplayedRequests | None = None  # of the orders that were asked about on the way


def plan_training_data(timeline: Timeline, labels: Labels, *, as_of_us: int, settings: NightSettings) -> Plan:
    """Choose the orders to keep: labelled ones within the budget, the newest verdicts, and the reference."""
    learning = settings.learning
    seen_at, order_id = timeline.order_seen_at, timeline.order_id
    first_us = as_of_us - int((settings.maturity.order_days + learning.train_days) * DAY_US)
    is_early = labels.known_share < 1
    label = np.where(is_early & (labels.known_share >= LEAST_KNOWN_SHARE), labels.early, labels.label)
    labelled = np.flatnonzero((label >= 0) & (seen_at >= first_us))
    judged = labels.is_judged[labelled]
    chosen, weight = sample_rows(
        order_id[labelled], seen_at[labelled] // DAY_US, judged, max_rows=learning.max_rows, seed=settings.seed
    )
    newest = np.flatnonzero(labels.is_judged & (labels.verdict_at >= as_of_us - learning.holdout_days * DAY_US))
    recent = np.flatnonzero(seen_at >= as_of_us - learning.reference_days * DAY_US)
    if len(recent) > learning.max_reference_rows:
        drawn = draw_numbers(order_id[recent], settings.seed + 1)
        recent = recent[np.argsort(drawn, kind="stable")[: learning.max_reference_rows]]
    rows = np.unique(np.concatenate([labelled[chosen], newest, recent]))
    weights = np.zeros(len(seen_at), np.int64)
    weights[labelled[chosen]] = weight
    return Plan(
        rows=rows,
        label=label[rows],
        verdict=labels.verdict[rows],
        verdict_at=labels.verdict_at[rows],
        weight=weights[rows],
        known_share=labels.known_share[rows],
        is_reference=np.isin(rows, recent),
    )


def weigh_early(plan: Plan, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weigh planned orders to learn from: of a day of which half of the malice is known, half of the others count.

    So every day's share of malice is what it will be once all of it is known, and a young day counts for less.

    Returns
    -------
    shape (len(rows),)
    """
    share = np.where(plan.label[rows] == MALICIOUS, 1.0, plan.known_share[rows])
    return plan.weight[rows].astype(np.float64) * share


def weigh_kinds(data: TrainingData, *, as_of_us: int, verdict_days: float) -> NDArray[np.float64]:
    """Weigh early malicious orders by their kind, so that kinds that are found late are as common as they will be.

    Where of all malice the share k is known by an age, and of one kind only k / 3, each known order of that kind stands
    for three; of a kind that is found at once, for fewer than one. A day's malicious orders weigh the same together.

    Parameters
    ----------
    data : with the kinds that verdicts name
    as_of_us : the cut-off, UTC microseconds
    verdict_days : how long a malicious verdict must have stood

    Returns
    -------
    shape (n,); 1 where the order is mature or innocent, where no verdict names its kind, or where fewer than
    `MIN_VERDICTS` mature ones do
    """
    plan, weight = data.plan, np.ones(len(data.seen_at))
    is_named = (plan.weight > 0) & (plan.label == MALICIOUS) & (data.kind != "")
    is_mature, is_early = is_named & (plan.known_share == 1), is_named & (plan.known_share < 1)
    known_after = plan.verdict_at - data.seen_at + int(verdict_days * DAY_US)
    for kind in np.unique(data.kind[is_early]):
        of_kind = data.kind == kind
        delays, early = np.sort(known_after[is_mature & of_kind]), np.flatnonzero(is_early & of_kind)
        if len(delays) >= MIN_VERDICTS:
            share = plan.known_share[early]
            n_known = np.searchsorted(delays, as_of_us - data.seen_at[early], side="right")
            of_kind_known = (n_known + _PRIOR_VERDICTS * share) / (len(delays) + _PRIOR_VERDICTS)
            weight[early] = np.clip(share / of_kind_known, 1 / _MOST_TIMES, _MOST_TIMES)
    return weight


def find_ranges(
    features: NDArray[np.float32], rows: NDArray[np.int64], n_features: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the range of each of the first features that own trees read: that of the earlier half of the orders.

    What leaves it later says more of the time of the year than of malice. Ages and recencies count from the first event
    on record, so a history's first orders are all young, and its last ones alone are old: beyond what the earlier half
    could have, an age grows with every day that passes. Rates of a campaign are unlike those of the months before it.

    Parameters
    ----------
    features : shape (n, n_columns)
    rows : to learn from, the oldest first
    n_features : of the columns

    Returns
    -------
    the least and the most of each, infinite where no value is known
    """
    least, most = np.full(n_features, -np.inf, np.float32), np.full(n_features, np.inf, np.float32)
    earlier = rows[: len(rows) // 2]
    for at in range(n_features):
        column = features[earlier, at]
        known = column[~np.isnan(column)]
        if len(known):
            least[at], most[at] = np.quantile(known, [_BEYOND, 1 - _BEYOND], method="nearest")
    return least, most


class SeenOrders(NamedTuple):
    """Some orders and their features as of their own time; every array of shape (n,), features (n, n_features)."""

    orders: OrderEvents  # ids of buyer, channel and keys
    features: NDArray[np.float32]
    channel_names: dict[int, str]  # keyed id to name
    kinds: dict[int, str]  # keyed id of an order to the kind of malice that its latest verdict names
    audited: NDArray[np.uint64]  # orders with a verdict of the audit
    worth: NDArray[np.int64]  # amounts in the currency of the features


def replay_training_data(
    slices: HistorySlices,
    spec: FeatureSpec,
    plan: Plan,
    *,
    settings: NightSettings,
    as_of_us: int,
    scratch: Path,
    n_threads: int,
    report_step: Callable[[str], None],
    asked: NDArray[np.uint64] | None = None,
) -> TrainingData:
    """Replay a history and keep the features of the planned orders, and the refund requests on those of `asked`.

    The history is sorted in the folder `scratch`, which is removed again; the result does not depend on `n_threads`.
    """
    report_step(f"sorting {len(slices.timeline.order_id):,} orders by time")
    parts = slices.read_in_turn(settings.learning.slice_orders, scratch)
    order_ids = np.zeros(0, np.uint64) if asked is None else asked
    engine = FeatureEngine(build_claim_spec(spec) if len(order_ids) else spec, n_jobs=n_threads)
    replay = RequestReplay(engine, order_ids)
    seen = (_replay_slice(replay, events, len(spec.names)) for events in parts)
    data = gather_training_data(
        seen, slices.timeline, plan, spec, settings=settings, as_of_us=as_of_us, report_step=report_step
    )
    return replace(data, requests=replay.build_requests())


def _replay_slice(replay: RequestReplay, events: KeyedEvents, n_features: int) -> SeenOrders:
    orders, features = replay.advance(events)
    features = features[:, :n_features]
    return SeenOrders(
        orders, features, _name_channels(events), _list_kinds(events), _list_audited(events), orders.compute_worth()
    )


def read_training_data(
    path: Path,
    timeline: Timeline,
    plan: Plan,
    spec: FeatureSpec,
    *,
    settings: NightSettings,
    as_of_us: int,
    report_step: Callable[[str], None],
) -> TrainingData:
    """Read the features of the planned orders from rows that `ordervet.spark.build_training_rows` built.

    Parameters
    ----------
    path : a Parquet file, or a folder of them

    Raises
    ------
    TrainingError
        There are no such rows, they were built with another key, zone or rates, or a feature or a planned order is not
        among them.
    """
    try:
        rows = ds.dataset(path, format="parquet")
        missing = {*ROW_SCHEMA.names, *spec.names} - {*rows.schema.names}
        if missing:
            raise TrainingError(
                f"the rows of {path.name} lack {len(missing)} columns: {', '.join(sorted(missing)[:5])}",
                hint="build them with ordervet.spark.build_training_rows, with a spec that has the features",
            )
        seen = (_read_seen(batch, spec, path.name) for batch in rows.to_batches(batch_size=_BATCH_ROWS))
        return gather_training_data(
            seen, timeline, plan, spec, settings=settings, as_of_us=as_of_us, report_step=report_step
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise TrainingError(
            f"the rows of {path.name} cannot be read: {type(error).__name__}",
            hint="--rows names the Parquet folder that ordervet.spark.build_training_rows was written to",
        ) from None


def build_rows(
    table: pa.Table, orders: OrderEvents, later: LaterEvents, *, made_with: str, as_of_us: int, maturity_us: int
) -> pa.Table:
    """Build rows of what is known of orders besides their features, `ROW_SCHEMA`.

    Parameters
    ----------
    table : keyed orders, with the columns `kind` and `is_audited` of their verdicts
    orders, later : the same orders, and what is known of them
    made_with : of `describe_making`
    as_of_us, maturity_us : as for `label_orders`
    """
    ids = {ORDER_ID: orders.order_id} | {f"{ID}{entity}": orders.ids[entity] for entity in _ROW_ENTITIES}
    arrays = {name: pa.array(values.view(np.int64)) for name, values in ids.items()}
    arrays |= {
        "seen_at": pa.array(orders.seen_at),
        "amount_minor": pa.array(orders.amount_minor),
        "worth_minor": pa.array(orders.compute_worth()),
        "is_shared_place": pa.array((orders.read_mask() & SHARED_PLACE_BIT) != 0),
        "label": pa.array(label_orders(orders, later, as_of=as_of_us, maturity_us=maturity_us)),
    }
    arrays |= {name: table[name] for name in ("order_id", "channel", "kind", "is_audited")}
    arrays["made_with"] = pa.repeat(made_with, len(orders))
    return pa.table([arrays[field.name].cast(field.type) for field in ROW_SCHEMA], schema=ROW_SCHEMA)


def describe_making(spec: FeatureSpec, key: Key) -> str:
    """Describe what gives features their meaning besides their names, and what ids are made with."""
    rates = ", ".join(f"{code} {rate}" for code, rate in spec.rates) or "usual rates"
    return f"features {SPEC_PROTOCOL}, {spec.time_zone}, {rates}, key {key.key_id}"


def _read_seen(batch: pa.RecordBatch, spec: FeatureSpec, where: str) -> SeenOrders:
    made_with, expected = pc.unique(batch["made_with"]).to_pylist(), describe_making(spec, load_key())
    if wrong := [each for each in made_with if each != expected]:
        raise TrainingError(
            f"the rows of {where} were made with {wrong[0]}, expected {expected}",
            hint="build them again with the key, time zone and [rates] of this history",
        )
    ids = {
        name.removeprefix(ID): read_ints(batch[name]).view(np.uint64)
        for name in ROW_SCHEMA.names
        if name.startswith(ID)
    }
    is_shared = np.asarray(batch["is_shared_place"])
    times = batch["seen_at"]  # NOTE: Spark may write nanoseconds
    seen_at = read_ints(times.cast(pa.timestamp("us", times.type.tz)))
    orders = OrderEvents(
        ids.pop("order"), seen_at, read_ints(batch["amount_minor"]), ids,
        np.zeros((len(batch), 0), np.float32), mask=np.where(is_shared, SHARED_PLACE_BIT, 0),
    )  # fmt: skip
    features = np.column_stack([np.asarray(batch[name], np.float32) for name in spec.names])
    channels = zip(ids["channel"].tolist(), batch["channel"].to_pylist(), strict=True)
    kinds = zip(orders.order_id.tolist(), batch["kind"].to_pylist(), strict=True)
    return SeenOrders(
        orders,
        features,
        {channel: name for channel, name in channels if channel and name},
        {order: kind for order, kind in kinds if kind},
        orders.order_id[np.asarray(batch["is_audited"])],
        read_ints(batch["worth_minor"]),
    )


def gather_training_data(
    seen: Iterable[SeenOrders],
    timeline: Timeline,
    plan: Plan,
    spec: FeatureSpec,
    *,
    settings: NightSettings,
    as_of_us: int,
    report_step: Callable[[str], None],
) -> TrainingData:
    """Keep the planned ones of all orders that were seen, which may come in any order.

    Raises
    ------
    TrainingError
        A planned order is not among them.
    """
    n, n_all = len(plan.rows), len(timeline.order_id)
    features = np.empty((n, len(spec.names)), np.float32)
    amount, buyer, channel = np.zeros(n, np.int64), np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    keys = np.zeros((n, len(GROUP_KEYS)), np.uint64)
    names: dict[int, str] = {}
    kinds: dict[int, str] = {}
    audits = [np.zeros(0, np.uint64)]
    is_found = np.zeros(n, bool)
    recent = []
    n_done = 0
    for orders, found, named, of_kind, audited, worth in seen:
        kept, at = _find_kept(orders, timeline, plan)
        is_found[at] = True
        features[at], amount[at] = found[kept], worth[kept]
        buyer[at], channel[at] = _ids(orders, "buyer")[kept], _ids(orders, "channel")[kept]
        keys[at] = read_keys(orders, spec.names, found)[kept]
        names |= named
        kinds |= of_kind
        audits.append(audited)
        recent.append(_select_recent(orders, as_of_us - settings.learning.reference_days * DAY_US))
        n_done += len(orders)
        report_step(f"replaying {n_done:,} of {n_all:,} orders")
    if not is_found.all():
        raise TrainingError(
            f"{n - int(is_found.sum()):,} of {n:,} orders to learn from have no features",
            hint="build the rows from all events of this history up to the same cut-off",
        )
    kind = np.array([kinds.get(each, "") for each in timeline.order_id[plan.rows].tolist()], "U40")
    seen_at = timeline.order_seen_at[plan.rows]
    # NOTE: orders of one time stand in the order of their keyed ids, which the numbers of buyers must not depend on.
    order, number = np.lexsort((amount, seen_at)), np.empty(n, np.int64)
    number[order] = number_buyers(buyer[order])
    audited = np.unique(np.concatenate(audits))
    is_audited = np.isin(timeline.order_id[plan.rows], audited)
    return TrainingData(
        plan, features, seen_at, amount, number, channel, kind, is_audited, audited, keys, names,
        _count_duplicates(recent),
    )  # fmt: skip


def draw_numbers(order_id: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Draw a number for each order that depends on its id and the seed alone, by SplitMix64's mixing.

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    with np.errstate(over="ignore"):
        mixed = order_id + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        drawn: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return drawn


def sample_rows(
    order_id: NDArray[np.uint64],
    day: NDArray[np.int64],
    is_kept: NDArray[np.bool_],
    *,
    max_rows: int,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sample orders within a budget, of each day the same share and at least one.

    Orders of `is_kept` are kept whatever the budget and stand for themselves. The same seed keeps the same orders, in
    any order of rows.

    Returns
    -------
    rows, ascending, and how many orders each stands for: of each day, and of kept and sampled orders apart, the weights
    add up to the number of orders
    """
    n = len(order_id)
    kept, others = np.flatnonzero(is_kept), np.flatnonzero(~is_kept)
    budget = max(max_rows - len(kept), 0)
    if len(others) <= budget:
        return np.arange(n), np.ones(n, np.int64)
    order = others[np.lexsort((draw_numbers(order_id[others], seed), day[others]))]
    _, first, size = np.unique(day[order], return_index=True, return_counts=True)
    n_sampled = np.maximum(size * budget // len(others), 1)
    place = np.arange(len(order)) - np.repeat(first, size)
    is_sampled = place < np.repeat(n_sampled, size)
    least, more = size // n_sampled, size % n_sampled
    weight = np.repeat(least, size) + (place < np.repeat(more, size))
    rows = np.concatenate([kept, order[is_sampled]])
    weights = np.concatenate([np.ones(len(kept), np.int64), weight[is_sampled]])
    ascending = np.argsort(rows, kind="stable")
    return rows[ascending], weights[ascending]


def _find_kept(orders: OrderEvents, timeline: Timeline, plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find which of some orders are kept, and at which place of the plan."""
    if len(orders) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, high = np.searchsorted(timeline.order_seen_at[plan.rows], [orders.seen_at.min(), orders.seen_at.max() + 1])
    wanted = timeline.order_id[plan.rows[low:high]]
    sorter = np.argsort(orders.order_id, kind="stable")
    at = sorter[np.minimum(np.searchsorted(orders.order_id, wanted, sorter=sorter), len(orders) - 1)]
    is_there = orders.order_id[at] == wanted
    return at[is_there], np.arange(low, high)[is_there]


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


def _list_audited(events: KeyedEvents) -> NDArray[np.uint64]:
    """List the orders with a verdict of the audit."""
    ids = events.verdicts.filter(pc.equal(events.verdicts["by"], Decider.AUDIT))["id__order"]
    audited: NDArray[np.uint64] = ids.to_numpy().astype(np.uint64)
    return audited


def _select_recent(
    orders: OrderEvents, since_us: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Return buyer, time and amount of the orders since a time that have a buyer."""
    buyer = _ids(orders, "buyer")
    rows = np.flatnonzero((orders.seen_at >= since_us) & (buyer != 0))
    return buyer[rows], orders.seen_at[rows], orders.amount_minor[rows]


def _count_duplicates(
    recent: Sequence[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]],
) -> dict[int, float]:
    """Return, per day, the share of its orders that repeat buyer, time and amount of another."""
    if not recent:
        return {}
    buyer, seen_at, amount = (np.concatenate(parts) for parts in zip(*recent, strict=True))
    order = np.lexsort((amount, seen_at, buyer))
    same = np.zeros(len(order), bool)
    same[1:] = np.logical_and.reduce([np.diff(values[order]) == 0 for values in (buyer, seen_at, amount)])
    day = seen_at[order] // DAY_US
    return {int(each): int(same[day == each].sum()) / int((day == each).sum()) for each in np.unique(day)}
