"""The twelve kinds of malice as data: how each ring is made up, what it orders, and how it ends.

The signals are those of docs/simulation.md; nothing here is a column of its own, everything leaves through the fields
of an ordinary order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ordervet.lab.simulate.catalogue import CATEGORIES, CLOTHING, DEAR, EDIBLE
from ordervet.lab.simulate.drafts import Fate
from ordervet.lab.simulate.season import DAY_S, HOUR_S, MINUTE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALL = tuple(category.name for category in CATEGORIES)
HEROES = "heroes"
LIMITED = "limited"
CHEAP_INSURED = "cheap_insured"


@dataclass(frozen=True, kw_only=True)
class RingPlan:
    """How the rings of one kind are made."""

    orders: tuple[int, int]  # fewest and most orders of a ring
    orders_per_account: int = 1  # orders of each account
    #: per_phone, per_device, per_ip, per_payment, per_door: accounts that share one
    per_phone: int = 1
    per_device: int = 1
    per_ip: int = 1
    per_payment: int = 1
    per_door: int = 1
    #: "homes" (unrelated), "near" (doors of one building), "station" (a pick-up station, sometimes), "own_station"
    #: (likewise, and some of its rings are a station owner's)
    place: str = "homes"
    jigged_share: float = 0.0  # share of accounts that disguise their address
    age_days: float = 20.0  # median age of a fresh account at its first order
    aged_share: float = 0.3  # share of accounts that are old all the same
    span_days: float = 0.0  # a ring's orders are spread as busily as the calendar over this many days; 0 = a burst
    gap_s: float = 60.0  # mean seconds between the orders of a burst
    is_regular: bool = False  # the gaps of a burst are all alike
    items: tuple[str, ...] | str = _ALL  # names of categories, or one of the special groups of the catalogue
    is_one_item: bool = False  # a ring orders a single item
    quantity: tuple[int, int] | None = None  # fewest and most pieces; None = as anybody
    discount_share: tuple[float, float] | None = None  # lowest and highest share; None = as anybody
    insured: bool = False  # always insured
    fates: Mapping[Fate, float]  # what becomes of the orders, with weights
    lag_s: float | None = None  # median seconds to the fate's first event; None = as anybody
    #: share of the accounts' orders, mostly their first, that are honest in appearance and in fact
    quiet_share: float = 0.0


# fmt: off
RING_PLANS: Mapping[str, RingPlan] = {
    "refund_only_abuse": RingPlan(
        orders=(10, 36), orders_per_account=9, per_phone=2, per_device=3, per_ip=3, per_payment=2, per_door=3,
        jigged_share=0.5, age_days=60.0, aged_share=0.5, span_days=45.0, fates={Fate.REFUND_ONLY: 1.0},
        lag_s=5.0 * HOUR_S, quiet_share=0.12,
    ),
    "return_swap": RingPlan(
        orders=(8, 24), per_phone=5, per_device=5, per_ip=6, per_payment=3, per_door=6, place="station",
        jigged_share=0.5, age_days=5.0, aged_share=0.1, span_days=30.0, items=DEAR, quantity=(1, 1),
        fates={Fate.RETURN: 1.0}, lag_s=3.0 * DAY_S,
    ),
    "fake_return": RingPlan(
        orders=(10, 30), orders_per_account=3, per_phone=3, per_device=5, per_ip=5, per_payment=3, per_door=5,
        jigged_share=0.6, age_days=8.0, aged_share=0.15, span_days=25.0,
        items=(*CLOTHING, "cosmetics", "appliances"), fates={Fate.EMPTY_RETURN: 0.75, Fate.RETURN: 0.25},
        lag_s=1.5 * DAY_S, quiet_share=0.05,
    ),
    "freight_insurance_fraud": RingPlan(
        orders=(15, 50), orders_per_account=4, per_phone=2, per_device=4, per_ip=6, per_payment=3, per_door=6,
        place="own_station", jigged_share=0.4, age_days=15.0, aged_share=0.2, span_days=20.0, items=CHEAP_INSURED,
        quantity=(1, 2), insured=True, fates={Fate.RETURN: 0.8, Fate.FREIGHT_CLAIM: 0.2}, lag_s=3.0 * HOUR_S,
        quiet_share=0.04,
    ),
    "coupon_farming": RingPlan(
        orders=(12, 60), per_phone=1, per_device=4, per_ip=10, per_payment=6, per_door=10, place="near",
        jigged_share=0.8, age_days=0.6, aged_share=0.1, gap_s=14.0, items=HEROES, is_one_item=True, quantity=(1, 1),
        discount_share=(0.45, 0.65), fates={Fate.FULFILLED: 0.9, Fate.CANCELLED_PAID: 0.1},
    ),
    "unpaid_hoarding": RingPlan(
        orders=(10, 40), orders_per_account=5, per_phone=2, per_device=4, per_ip=4, per_door=4, age_days=30.0,
        gap_s=9.0 * MINUTE_S, is_one_item=True, quantity=(5, 60), fates={Fate.CANCELLED_UNPAID: 1.0},
        lag_s=28.5 * MINUTE_S,
    ),
    "rival_bulk_refund": RingPlan(
        orders=(15, 45), orders_per_account=3, per_device=3, per_ip=8, per_payment=6, age_days=40.0, aged_share=0.4,
        gap_s=5.0 * MINUTE_S, is_regular=True, is_one_item=True, quantity=(1, 3),
        fates={Fate.REFUND_BEFORE_SHIPPING: 1.0}, lag_s=4.0 * MINUTE_S,
    ),
    "professional_claim": RingPlan(
        orders=(10, 30), orders_per_account=5, per_phone=2, per_device=3, per_ip=4, per_payment=2, per_door=3,
        place="near", age_days=60.0, aged_share=0.4, span_days=40.0, items=EDIBLE, quantity=(2, 10),
        fates={Fate.CLAIM: 0.9, Fate.REFUND_ONLY: 0.1}, lag_s=6.0 * DAY_S, quiet_share=0.05,
    ),
    "review_extortion": RingPlan(
        orders=(8, 24), orders_per_account=3, per_phone=4, per_device=3, per_ip=4, per_payment=2, per_door=2,
        jigged_share=0.3, age_days=45.0, aged_share=0.4, span_days=35.0, fates={Fate.BAD_REVIEW_AND_REFUND: 1.0},
        lag_s=10.0 * HOUR_S, quiet_share=0.05,
    ),
    "scalping": RingPlan(
        orders=(12, 50), orders_per_account=2, per_phone=1, per_device=4, per_ip=10, per_payment=5, per_door=4,
        place="near", jigged_share=0.5, age_days=10.0, aged_share=0.3, gap_s=25.0, items=LIMITED, is_one_item=True,
        quantity=(2, 4), fates={Fate.FULFILLED: 1.0},
    ),
    "delivery_refusal": RingPlan(
        orders=(10, 30), orders_per_account=5, per_phone=2, per_device=4, per_ip=4, per_payment=3, per_door=2,
        age_days=20.0, span_days=40.0, fates={Fate.REFUSED: 1.0}, quiet_share=0.04,
    ),
    "stolen_payment": RingPlan(
        orders=(8, 20), per_device=6, per_ip=8, per_phone=5, per_door=6, age_days=2.0, gap_s=7.0 * MINUTE_S,
        items=DEAR, quantity=(1, 3), fates={Fate.CHARGEBACK: 0.9, Fate.CANCELLED_PAID: 0.1}, lag_s=14.0 * DAY_S,
    ),
}
# fmt: on
"""Rings by kind; the order is that of the settings' `kind_weights`."""
