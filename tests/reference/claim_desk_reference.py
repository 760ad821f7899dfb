"""Which refund requests get a place of the desk, each worked out anew from all before it: slow, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from ordervet.policy.claim_desk import _guess_p
from ordervet.policy.pacing import PRIOR_ORDERS, Pacer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.policy.capacity import Capacity

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class PlainRequest:
    """A request that is answered.

    Parameters
    ----------
    seen_at : UTC microseconds
    wants_person : whether it is for a person, if the desk has a place
    is_forced : whether it is for a person then, however full the desk
    was_handed : whether it is with a person already
    """

    seen_at: int
    name: str
    p_malicious: float
    worth_minor: int
    wants_person: bool
    is_forced: bool = False
    was_handed: bool = False


def hand_out(capacity: Capacity, requests: Sequence[PlainRequest]) -> list[str]:
    """Tell of requests, in the order seen, what the desk did: "", "place", "full", "beyond" or "handed"."""
    told: list[str] = []
    for at, one in enumerate(requests):
        if not one.wants_person or one.was_handed:
            told.append("handed" if one.wants_person else "")
        elif _has_place(capacity, one, list(zip(requests[:at], told, strict=True))):
            told.append("place")
        else:
            told.append("beyond" if one.is_forced else "full")
    return told


def find_start(capacity: Capacity, at_us: int) -> int:
    """Find the last end of a shift, or of a day without shifts, up to a time; UTC microseconds."""
    zone = ZoneInfo(capacity.time_zone)
    local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = [shift.end_min for shift in capacity.shifts] or [24 * 60]
    ends = [midnight + timedelta(days=days, minutes=each) for days in (-2, -1, 0) for each in minutes]
    return round((max(each for each in ends if each <= local) - _EPOCH) / timedelta(microseconds=1))


def _has_place(capacity: Capacity, one: PlainRequest, earlier: list[tuple[PlainRequest, str]]) -> bool:
    start_us = find_start(capacity, one.seen_at)
    before = [each for each, _ in earlier if start_us - 28 * 86_400_000_000 <= each.seen_at < start_us]
    shares = (np.arange(PRIOR_ORDERS) + 0.5) / PRIOR_ORDERS
    if len(before) < 50:
        pacer = Pacer(capacity, _guess_p(shares))
    else:
        p, worth = [each.p_malicious for each in before], [each.worth_minor for each in before]
        pacer = Pacer(capacity, np.quantile(p, shares), np.array(worth, np.int64))
    pacer.resume(start_us, np.array([each.seen_at for each in before], np.int64), 0)
    for each, told in earlier:
        if each.seen_at >= start_us:
            rank = capacity.rank_order(each.p_malicious, each.worth_minor)
            pacer.record(each.seen_at, [rank], int(told in ("place", "beyond")))
    pace = pacer.find_pace(one.seen_at)
    return pace.slots > 0 and pace.admits_one(capacity.rank_order(one.p_malicious, one.worth_minor), one.name)
