"""What docs/definitions.md R1 to R4 mean, one order at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RingOrder:
    """One order: who placed it, when, and what is known of it."""

    seen_at: int
    buyer: int
    keys: tuple[int, ...]  # 0 is none
    is_malicious: bool
    is_measured: bool
    is_flagged: bool
    is_denied: bool
    amount_minor: int
    kind: str


def are_linked(one: RingOrder, other: RingOrder) -> bool:
    """Whether two orders share their buyer or a key."""
    return one.buyer == other.buyer or any(a == b != 0 for a, b in zip(one.keys, other.keys, strict=True))


def find_rings(orders: list[RingOrder]) -> list[list[RingOrder]]:
    """Gather malicious orders that are linked, directly or through others."""
    rings: list[list[RingOrder]] = []
    for order in orders:
        if order.is_malicious:
            mine = [ring for ring in rings if any(are_linked(order, each) for each in ring)]
            rings = [ring for ring in rings if ring not in mine] + [[order, *(each for ring in mine for each in ring)]]
    return rings


def measure_kind(orders: list[RingOrder], kind: str) -> dict[str, int]:
    """Count what became of the new rings of a kind; "" stands for all kinds."""
    found = dict.fromkeys(("n_rings", "n_orders", "first", "second", "third", "ever"), 0)
    found |= dict.fromkeys(("orders_before", "minor_before", "n_alerts", "n_denied"), 0)
    for ring in find_rings(orders):
        begin = min(order.seen_at for order in ring)
        measured = [order for order in ring if order.is_measured]
        if not any(order.seen_at == begin for order in measured):
            continue
        named = sorted((order.seen_at, order.kind) for order in measured if order.kind)
        if kind and (not named or named[0][1] != kind):
            continue
        flagged_at = min((order.seen_at for order in measured if order.is_flagged), default=None)
        before = [order for order in measured if flagged_at is None or order.seen_at < flagged_at]
        found["n_rings"] += 1
        found["n_orders"] += len(measured)
        found["orders_before"] += len(before)
        found["minor_before"] += sum(order.amount_minor for order in before)
        if flagged_at is not None:
            found["ever"] += 1
            place = sum(order.seen_at < flagged_at for order in ring)
            for at, name in enumerate(("first", "second", "third")):
                found[name] += place <= at
    for order in orders:
        if order.is_measured and order.is_flagged and (not kind or (order.is_malicious and order.kind == kind)):
            found["n_alerts"] += 1
            found["n_denied"] += order.is_denied
    return found
