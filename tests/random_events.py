"""Random events for parity tests: bursts, ties, absent ids, huge places, verdicts that replace each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.features import LaterEvents, OrderEvents, build_spec
from ordervet.features.events import (
    AMOUNT_KNOWN_BIT,
    EXCHANGE_BIT,
    EXCUSED_BIT,
    JUDGEMENT_BIT,
    MINOR_REFUND_BIT,
    SHARED_PLACE_BIT,
)
from ordervet.features.spec import SELECTOR_BIT

if TYPE_CHECKING:
    from ordervet.features import FeatureSpec

SECOND = 1_000_000
ENTITIES = ("buyer", "address", "item", "channel", "terminal", "phone", "device")

#: How often an entity has an id of its own, in place of one of a few.
RARE = {"buyer": 0.3, "phone": 0.6, "device": 0.7}

#: Every statistic, every window, every kind of column.
SPEC = build_spec(
    use_defaults=False,
    entities=("terminal",),
    names=(
        "buyer__count__order__{10m,1h,1d,7d,30d,90d}",
        "buyer__{sum,mean,ratio,drift}__amount__{1h,30d}",
        "buyer__sum__refund_amount__90d",
        "buyer__distinct__{address,item,terminal}__{1h,1d,30d}",
        "buyer__{recency,age}__{order,refund_requested}",
        "buyer__share__{refund_requested,cancelled_unpaid,malicious}__{1d,90d}",
        "address__distinct__buyer__{10m,7d}",
        "address__count__{order,malicious,innocent,verdict,refund_unexcused,seller_fault}__{1d,7d}",
        "address__age__order",
        "item__share__{refund_only,malicious}__{1h,7d,30d}",
        "item__distinct__item__1d",
        "terminal__count__{fulfilled,claim,chargeback}__7d",
        "terminal__recency__claim",
        "buyer__{excess,expected,lift}__refund_requested__{item,channel}__{1d,30d}",
        "address__excess__{cancelled_unpaid,refund_only,refund_completed}__item__{1h,90d}",
        "address__sameness__{item,buyer}__{1h,7d}",
        "item__burst__order__{10m,1h,7d}",
        "item__expected__refund_completed__channel__30d",
        "address__synchrony__refund_requested__{1d,30d}",
        "{address,channel}__{count,share}__{new_account,first_order}__{1h,30d}",
        "item__age__first_order",
        "{buyer,address}__{run,run_age,recency}__{malicious,innocent}__{1h,7d,30d}",
        "buyer__{peak,spikes}__amount__{1h,30d}",
        "channel__{peak,spikes}__amount__7d",
        "group__size__buyer",
        "group__count__{order,malicious,innocent,refund_requested}",
        "group__share__malicious",
    ),
)


def draw_events(
    rng: np.random.Generator, *, n_orders: int, n_later: int, span_s: int, n_ids: int = 8, grain_s: int = 60
) -> tuple[OrderEvents, LaterEvents]:
    """Draw orders and later events; a coarse grain makes ties, a small n_ids makes huge places."""
    seen_at = _draw_instants(rng, n_orders, span_s, grain_s)
    ids = {}
    for entity in ENTITIES:
        drawn = np.minimum(rng.geometric(1.5 / n_ids, n_orders), n_ids).astype(np.uint64) * np.uint64(
            0x1234567890ABCDEF
        )
        own = rng.integers(0, 2 * n_orders + 1, n_orders).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        drawn = np.where(rng.random(n_orders) < RARE.get(entity, 0), own, drawn)
        drawn[rng.random(n_orders) < 0.1] = 0
        ids[entity] = drawn
    orders = OrderEvents(
        order_id=rng.permutation(n_orders).astype(np.uint64) + np.uint64(1),
        seen_at=seen_at,
        amount_minor=rng.integers(0, 100_000, n_orders),
        ids=_fill_absent(ids, SPEC, n_orders),
        own=np.zeros((n_orders, 0), np.float32),
        mask=np.int64(SELECTOR_BIT["order"])
        | np.where(rng.random(n_orders) < 0.3, SELECTOR_BIT["new_account"], 0)
        | np.where(rng.random(n_orders) < 0.5, SHARED_PLACE_BIT, 0),
        rate=rng.choice([1.0, 7.12 / 0.85, 7.12 / 1.4739], n_orders, p=[0.7, 0.15, 0.15]),
    )
    about = rng.integers(0, max(n_orders, 1), n_later) if n_orders else np.zeros(0, np.int64)
    kinds = np.array([0b10 << k for k in range(11)] + [JUDGEMENT_BIT] * 6)[rng.integers(0, 17, len(about))]
    is_verdict = kinds == JUDGEMENT_BIT
    value = rng.integers(0, 4, len(about))
    mask, rank = kinds.copy(), np.ones(len(about), np.uint8)
    for code, (bits, at_rank) in enumerate(
        [
            (SELECTOR_BIT["malicious"] | SELECTOR_BIT["verdict"], 2),
            (0, 3),
            (SELECTOR_BIT["innocent"] | SELECTOR_BIT["verdict"], 4),
            (0, 5),
        ]
    ):
        chosen = is_verdict & (value == code)
        mask[chosen] |= bits
        rank[chosen] = at_rank
    completed = kinds == SELECTOR_BIT["refund_completed"]
    mask[completed] |= np.where(value[completed] > 0, SELECTOR_BIT["refund_unexcused"], SELECTOR_BIT["seller_fault"])
    requested = kinds == SELECTOR_BIT["refund_requested"]
    mask[requested & (value == 0)] |= SELECTOR_BIT["refund_only"]
    mask[~is_verdict & (rng.random(len(about)) < 0.2)] |= EXCUSED_BIT
    for bit, share in ((AMOUNT_KNOWN_BIT, 0.7), (MINOR_REFUND_BIT, 0.2), (EXCHANGE_BIT, 0.05)):
        mask[(completed | requested) & (rng.random(len(about)) < share)] |= bit
    delay = rng.integers(0, 3, len(about)) * rng.integers(0, max(span_s // 4, 1), len(about)) // grain_s * grain_s
    happened_at = seen_at[about] + delay * SECOND
    # Some are known before their order is, a few of them from before it was placed.
    early = np.where(rng.random(len(about)) < 0.05, rng.integers(0, 3, len(about)), 0) * grain_s * SECOND
    later = LaterEvents(
        order_id=orders.order_id[about],
        seen_at=np.maximum(happened_at - early, 0),
        mask=mask,
        amount_minor=np.where(is_verdict, 0, rng.integers(0, 50_000, len(about))),
        rank=rank,
        happened_at=np.where(rng.random(len(about)) < 0.1, happened_at - early, happened_at),
    )
    return orders, later


def _draw_instants(rng: np.random.Generator, n: int, span_s: int, grain_s: int) -> np.ndarray:
    """Half spread out, half in one burst of a fiftieth of the span."""
    spread = rng.integers(0, span_s, n)
    burst = span_s // 2 + rng.integers(0, max(span_s // 50, 1), n)
    return np.where(rng.random(n) < 0.5, spread, burst) // grain_s * grain_s * SECOND


def _fill_absent(ids: dict[str, np.ndarray], spec: FeatureSpec, n: int) -> dict[str, np.ndarray]:
    return {entity: ids.get(entity, np.zeros(n, np.uint64)) for entity in spec.entities}


def sort_events(orders: OrderEvents, later: LaterEvents) -> np.ndarray:
    """Number orders, then later events, in the order in which they count, at one instant as if they came together."""
    none = np.zeros(len(orders), np.int64)
    keys = (
        np.concatenate([none, later.mask]),
        np.concatenate([none, -later.amount_minor]),
        np.concatenate([none, later.rank]),
        np.concatenate([orders.seen_at, later.seen_at]),
    )
    return np.lexsort(keys)


def list_cuts(orders: OrderEvents, later: LaterEvents, order: np.ndarray) -> np.ndarray:
    """List where events in this order can be cut into calls: where the instant changes, and between orders alone.

    A live event of the instant of its order comes a microsecond later.
    """
    seen_at = np.concatenate([orders.seen_at, later.seen_at])[order]
    is_alone = (order[1:] < len(orders)) & ~np.isin(seen_at[1:], later.seen_at)
    return 1 + np.flatnonzero((np.diff(seen_at) > 0) | is_alone)
