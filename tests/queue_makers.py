"""Queues to write, look at and break."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ordervet.contract import MaliceKind, validate_events
from ordervet.entities import Key, key_orders
from ordervet.policy import STAGES, Action, Band, Decision, DecisionCode, assign_reasons, name_script
from ordervet.reports.queue import build_queue

if TYPE_CHECKING:
    import pyarrow as pa

    from ordervet.reports.queue import Queue

KEY = Key(bytes(range(16)))
START = datetime(2025, 11, 11, 12, tzinfo=UTC)

#: Texts that a page or a sheet could take for something else than a text.
HOSTILE = (
    "</script><script>window.broken=1</script>",
    "<img src=x onerror=window.broken=1>",
    '"><svg onload=window.broken=1>',
    '=HYPERLINK("http://203.0.113.9/","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "{{ 7*7 }}{% raw %}",
    "\u2028\u2029<!--",
    "javascript:window.broken=1",
    "\ue0000\ue001",
)  # fmt: skip

NAMES = ("address__distinct__buyer__7d", "item__count__order__10m", "order__value__discount_share")
_LOOKS = ((Band.SEVERE, Action.HOLD), (Band.HIGH, Action.REVIEW), (Band.HIGH, Action.CONFIRM))
_CHANNELS = ("live", "search", "coupon_site", "group_share")


def make_order(number: int, **fields: Any) -> dict[str, Any]:
    """Make one order; three in a row share a door, two a phone."""
    return {
        "order_id": f"t{number:06d}",
        "placed_at": START + timedelta(seconds=7 * number),
        "amount_minor": 1_000 + 37 * number,
        "buyer_id": f"b{number}",
        "address": f"浙江省杭州市西湖区文三路{number // 3 + 1}号3栋502室",
        "phone": f"1550000{number // 2:04d}",
        "item_id": f"i{number % 50}",
        "channel": _CHANNELS[number % len(_CHANNELS)],
        "platform": "douyin",
    } | fields


def make_orders(rows: list[dict[str, Any]]) -> pa.Table:
    """Check orders and key them."""
    return key_orders(validate_events("orders", rows), KEY)


def make_decision(order_id: str, number: int) -> Decision:
    """Decide about an order, one kind after the other."""
    kinds = (*MaliceKind, None)
    kind = kinds[number % len(kinds)]
    band, action = _LOOKS[number % len(_LOOKS)]
    reasons = assign_reasons(NAMES, [[1.5, 0.7 + number % 5 / 10, 0.2]], [[6.0, 20.0 + number % 90, 0.4]])[0]
    return Decision(
        order_id=order_id,
        action=action,
        band=band,
        p_malicious=0.9 - number % 70 / 100,
        risk_score=900 - number % 300,
        kind=kind,
        reasons=tuple(reasons),
        script=name_script(kind, band, STAGES[number // 3 % len(STAGES)]),
        missing=("device_absent", "ip_masked"),
        route="legal" if number % 5 == 0 else None,
        applied=("deny_phone",) if number % 5 == 0 else (),
        model_id="m-1",
        policy_id="p-1",
        code=DecisionCode.SCORED,
    )


def make_queue(n_orders: int, *, n_flagged: int | None = None, orders: list[dict[str, Any]] | None = None) -> Queue:
    """Make a queue of the first orders of several."""
    rows = orders if orders is not None else [make_order(number) for number in range(n_orders)]
    keyed = make_orders(rows)
    ids = keyed["order_id"].to_pylist()[:n_flagged]
    decisions = [make_decision(order_id, number) for number, order_id in enumerate(ids)]
    return build_queue(decisions, keyed, n_scored=n_orders, is_simulated=True, time_zone="Asia/Shanghai")


def make_hostile_queue() -> Queue:
    """Make a queue whose order fields hold what could wake something up."""
    fields = ("order_id", "item_id", "channel", "category", "shop_id", "campaign")
    rows = [
        make_order(number, **{name: text[:32] + f" {number}" if name == "order_id" else text for name in fields}
                   | {"platform": text[:32]})
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip
    return make_queue(len(rows), orders=rows)
