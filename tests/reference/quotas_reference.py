"""What orders are beyond quotas by the definitions (Q1 to Q6), in plain Python: slow, and the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.policy.quotas import Quota

DAY_US, MINUTE_US = 86_400_000_000, 60_000_000
MAX_LINKED = 8
KEYS = ("phone", "address", "device", "payment")


@dataclass
class PlainOrder:
    """An order with what quotas look at; times in UTC microseconds, ids 0 where not known."""

    order_id: int
    seen_at: int
    placed_at: int
    ids: dict[str, int]  # buyer and keys
    is_shared_place: bool
    values: dict[str, str | None]
    quantity: int | None = None
    n_lines: int | None = None
    cancelled: list[tuple[int, int]] = field(default_factory=list)  # seen, happened

    @property
    def keys(self) -> list[tuple[str, int]]:
        """The keys that can link it."""
        return [
            (key, self.ids[key]) for key in KEYS if self.ids[key] and not (key == "address" and self.is_shared_place)
        ]

    @property
    def buyer(self) -> tuple[str, int] | None:
        """Who places it: the buyer, or of a guest the first key."""
        return ("buyer", self.ids["buyer"]) if self.ids["buyer"] else next(iter(self.keys), None)

    @property
    def gone_at(self) -> float:
        """When it gives its places back."""
        minute = self.placed_at // MINUTE_US * MINUTE_US
        return min(
            (
                max(seen, self.seen_at)
                for seen, happened in self.cancelled
                if seen >= self.seen_at or happened >= minute
            ),
            default=float("inf"),
        )

    def count(self, quota: Quota) -> tuple[str, int] | None:
        """The value that a quota counts, and how many; None where it is not about this order."""
        since, until = (None if at is None else round(at.timestamp() * 1e6) for at in (quota.since, quota.until))
        value = (self.values.get(quota.of) or "").strip()
        if not value or (quota.ids and value not in quota.ids):
            return None
        if (since is not None and self.seen_at < since) or (until is not None and self.seen_at >= until):
            return None
        counts = quota.counts or ("pieces" if quota.of in ("item_id", "category") else "orders")
        is_of_one = quota.of in ("item_id", "category") and (self.n_lines or 1) > 1
        n = 1 if counts == "orders" or self.quantity is None or is_of_one else self.quantity
        return ("" if quota.ids else value, n)


def find_beyond(quotas: Sequence[Quota], orders: Sequence[PlainOrder]) -> dict[int, tuple[str, ...]]:
    """Find the orders that are beyond quotas: id → codes."""
    ranked = sorted(orders, key=lambda one: (one.seen_at, one.order_id))
    beyond: dict[int, tuple[str, ...]] = {}
    for at, one in enumerate(ranked):
        reached = _find_household(one, ranked[:at])
        codes = []
        for quota in quotas:
            asked = one.count(quota)
            if asked is None:
                continue
            taken = 0
            for other in ranked[:at]:
                told = other.count(quota)
                is_counted = other.order_id not in beyond and other.buyer in reached and other.gone_at >= one.seen_at
                is_inside = quota.days is None or other.seen_at >= one.seen_at - quota.days * DAY_US
                if told is not None and told[0] == asked[0] and is_counted and is_inside:
                    taken += told[1]
            if taken + asked[1] > quota.most:
                codes.append(f"quota_{quota.most}_{quota.name}")
        if codes:
            beyond[one.order_id] = tuple(codes)
    return beyond


def _find_household(one: PlainOrder, before: Sequence[PlainOrder]) -> set[tuple[str, int]]:
    """Everybody linked to the buyer of an order or to who uses its keys, by the orders before it."""
    users: dict[tuple[str, int], list[tuple[str, int]]] = {}
    links: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for other in before:
        if other.buyer is None:
            continue
        for key in other.keys:
            of_key = users.setdefault(key, [])
            if other.buyer not in of_key:
                of_key.append(other.buyer)
            if len(of_key) <= MAX_LINKED:
                for user in of_key:
                    links.setdefault(user, set()).add(other.buyer)
                    links.setdefault(other.buyer, set()).add(user)
    reached = set() if one.buyer is None else {one.buyer}
    for key in one.keys:
        if len(users.get(key, ())) <= MAX_LINKED:
            reached |= set(users.get(key, ()))
    waiting = list(reached)
    while waiting:
        new = links.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached
