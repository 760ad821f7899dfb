"""Queues to write, look at and break."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ordervet.contract import Events, MaliceKind, Outcome, RefundReason, RefundType, validate_events
from ordervet.entities import Key, key_events, key_orders
from ordervet.policy import STAGES, Action, Band, Decision, DecisionCode, assign_reasons, name_script
from ordervet.policy.claims import MOST_URGENT, ClaimDecision, name_claim_script
from ordervet.reports.queue import build_queue, build_request_queue

if TYPE_CHECKING:
    import pyarrow as pa

    from ordervet.reports.queue import Queue, QueueItem, RequestItem

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


def make_queue(
    n_orders: int, *, n_flagged: int | None = None, orders: list[dict[str, Any]] | None = None
) -> Queue[QueueItem]:
    """Make a queue of the first orders of several."""
    rows = orders if orders is not None else [make_order(number) for number in range(n_orders)]
    keyed = make_orders(rows)
    ids = keyed["order_id"].to_pylist()[:n_flagged]
    decisions = [make_decision(order_id, number) for number, order_id in enumerate(ids)]
    return build_queue(decisions, keyed, n_scored=n_orders, is_simulated=True, time_zone="Asia/Shanghai")


def make_hostile_queue() -> Queue[QueueItem]:
    """Make a queue whose order fields hold what could wake something up."""
    fields = ("order_id", "item_id", "channel", "category", "shop_id", "campaign")
    rows = [
        make_order(number, **{name: text[:32] + f" {number}" if name == "order_id" else text for name in fields}
                   | {"platform": text[:32]})
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip
    return make_queue(len(rows), orders=rows)


def make_request_queue(n_requests: int, *, is_hostile: bool = False) -> Queue[RequestItem]:
    """Make a queue of refund requests: every answer, type and reason, one of an order that is not known."""
    texts = HOSTILE if is_hostile else ("",)
    names = [f"t{number:06d}{texts[number % len(texts)][:32]}" for number in range(n_requests)]
    types, reasons = (None, *RefundType), (None, *RefundReason)
    claims = [
        Outcome(
            order_id=name, kind="refund_requested", happened_at=START + timedelta(days=3, minutes=number),
            outcome_id=f"R{number}{texts[number % len(texts)]}"[:64], refund_type=types[number % len(types)],
            reason=reasons[number % len(reasons)], amount_minor=None if number % 11 == 0 else 900 + number,
            has_evidence=(None, True, False)[number % 3],
            delivered_at=START + timedelta(days=1) if number % 2 else None,
        )
        for number, name in enumerate(names)
    ]  # fmt: skip
    reasons_of = assign_reasons(NAMES, [[1.5, 0.7, 0.2]], [[6.0, 20.0, 0.4]])[0]
    decisions = [
        ClaimDecision(
            order_id=claim.order_id, outcome_id=claim.outcome_id, answer=MOST_URGENT[number % 4],
            p_malicious=0.9 - number % 70 / 100, reasons=tuple(reasons_of) if number % 4 < 3 else (),
            applied=("capacity_full",) if number % 4 == 1 else (), worth_minor=900 + number,
            script=name_claim_script(MOST_URGENT[number % 4]), model_id="m-1", policy_id="p-1",
        )
        for number, claim in enumerate(claims)
    ]  # fmt: skip
    orders = make_orders([make_order(number, order_id=name) for number, name in enumerate(names[1:], start=1)])
    empty = Events.empty()
    events = key_events(replace(empty, outcomes=validate_events("outcomes", claims)), KEY)
    ranked = sorted(range(n_requests), key=lambda at: at % 4)
    requests = events.outcomes.take(ranked) if ranked else events.outcomes
    return build_request_queue(
        [decisions[at] for at in ranked], requests, orders, is_simulated=True, time_zone="Asia/Shanghai"
    )
