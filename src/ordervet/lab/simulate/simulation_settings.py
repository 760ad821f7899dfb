"""Every setting of the simulated merchant, with its unit and its default."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KIND_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "refund_only_abuse": 0.17,
        "return_swap": 0.07,
        "fake_return": 0.07,
        "freight_insurance_fraud": 0.12,
        "coupon_farming": 0.20,
        "unpaid_hoarding": 0.08,
        "rival_bulk_refund": 0.07,
        "professional_claim": 0.04,
        "review_extortion": 0.04,
        "scalping": 0.08,
        "delivery_refusal": 0.03,
        "stolen_payment": 0.03,
    }
)
"""Share of each kind among malicious orders."""

LOOK_ALIKE_SHARES: Mapping[str, float] = MappingProxyType(
    {
        "pickup_station": 0.055,
        "dormitory": 0.022,
        "office": 0.028,
        "family": 0.025,
        "heavy_returner": 0.030,
        "gift_buyer": 0.012,
        "group_leader": 0.008,
        "newcomer": 0.030,
        "wholesale": 0.008,
        "rural_address": 0.018,
        "fault_wave": 0.015,
        "live_burst": 0.015,
        "top_up_return": 0.012,
        "presale_unpaid": 0.012,
        "packing_error": 0.002,
        "courier_error": 0.002,
        "safety_claim": 0.001,
        "honest_bad_review": 0.004,
    }
)
"""Share of each honest look-alike among all orders."""

PLATFORM_SHARES: Mapping[str, float] = MappingProxyType(
    {"tmall": 0.42, "douyin": 0.20, "jd": 0.13, "pdd": 0.12, "wechat": 0.08, "own": 0.05}
)
"""Share of each selling platform among buyers."""

MASKED_RATES: Mapping[str, float] = MappingProxyType(
    {"tmall": 0.15, "douyin": 0.25, "jd": 0.08, "pdd": 0.20, "wechat": 0.12, "own": 0.0}
)
"""Share of each platform's buyers whose orders come without recipient, phone and address."""

DEVICE_RATES: Mapping[str, float] = MappingProxyType(
    {"tmall": 0.75, "douyin": 0.70, "jd": 0.75, "pdd": 0.65, "wechat": 0.85, "own": 0.97}
)
"""Share of each platform's buyers whose orders come with a device, and, drawn apart, with an IP."""

GROUP_KEY_RATES: Mapping[str, float] = MappingProxyType(
    {"tmall": 0.90, "douyin": 0.50, "jd": 0.30, "pdd": 0.40, "wechat": 0.95, "own": 0.0}
)
"""Share of each platform's masked buyers whose orders carry the platform's equality keys of address and phone."""

MIN_ORDERS = 500
_MIN_DAYS = 14
ZONE = ZoneInfo("Asia/Shanghai")
"""Where the merchant's days begin and end."""


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """Describe one simulated merchant. The same settings always give the same bytes.

    Parameters
    ----------
    n_orders : orders to simulate, exactly; at least 500
    seed : non-negative integer
    start : first day of the season (presale), local date in Asia/Shanghai
    history_days : days of ordinary trade before `start`; at least 14
    season_days : days from `start` to the end of the campaign; at least 5
    opening_day : days from `start` to the opening evening (20:00 to 24:00 local); None = two before the season's last
    after_days : days of ordinary trade after the season
    history_share, after_share : share of all orders placed before and after the season
    opening_share : share of the season's orders placed on the opening evening
    orders_until : every order is placed before this time (with a zone); None = the last day's end
    known_until : outcomes, verdicts and corrections from this time on (with a zone) are dropped; None = all kept
    malicious_share : share of orders that are malicious
    kind_weights : share of each kind among malicious orders
    look_alike_shares : share of each look-alike among all orders
    orders_per_buyer : mean number of orders of a plain buyer over the whole time
    platform_shares : share of each platform among buyers
    masked_rates : share of buyers whose orders come without recipient, phone and address, per platform
    device_rates : share of buyers whose orders come with a device, and, drawn apart, with an IP, per platform
    group_key_rates : share of masked buyers whose orders carry equality keys of address and phone, per platform
    swap_share : share of disguised addresses whose names have characters that sound or look alike in place of their own
    careful_share : share of ring accounts that are old and share no door, phone, device, IP or payment account
    price_drift : largest relative move of a category's prices over the whole time
    fault_blame_rate : share of faulty-batch refunds on which the seller's blame is recorded
    review_rate : share of malicious orders that get a verdict in the end
    look_alike_review_rate : share of look-alikes that the desk reviews
    audit_rate : share of all other orders that are reviewed at random
    unsure_rate : share of reviews that end unsure
    desk_error_rate : share of reviews that end wrong
    appeal_rate : share of wrong malicious verdicts that an appeal corrects
    verdict_delay_days : median days from the event that drew attention to the verdict

    Raises
    ------
    ContractError
        A value is outside its bounds; all such values are named at once.
    """

    n_orders: int = 200_000
    seed: int = 20251111
    start: date = date(2025, 10, 20)
    history_days: int = 90
    season_days: int = 24
    opening_day: int | None = None
    after_days: int = 28
    history_share: float = 0.36
    after_share: float = 0.10
    opening_share: float = 0.25
    orders_until: datetime | None = None
    known_until: datetime | None = None
    malicious_share: float = 0.022
    kind_weights: Mapping[str, float] = field(default_factory=lambda: KIND_WEIGHTS)
    look_alike_shares: Mapping[str, float] = field(default_factory=lambda: LOOK_ALIKE_SHARES)
    orders_per_buyer: float = 2.4
    platform_shares: Mapping[str, float] = field(default_factory=lambda: PLATFORM_SHARES)
    masked_rates: Mapping[str, float] = field(default_factory=lambda: MASKED_RATES)
    device_rates: Mapping[str, float] = field(default_factory=lambda: DEVICE_RATES)
    group_key_rates: Mapping[str, float] = field(default_factory=lambda: GROUP_KEY_RATES)
    swap_share: float = 0.0
    careful_share: float = 0.08
    price_drift: float = 0.15
    fault_blame_rate: float = 0.75
    review_rate: float = 0.9
    look_alike_review_rate: float = 0.06
    audit_rate: float = 0.01
    unsure_rate: float = 0.03
    desk_error_rate: float = 0.02
    appeal_rate: float = 0.4
    verdict_delay_days: float = 6.0

    def __post_init__(self) -> None:
        problems = list(_find_problems(self))
        if problems:
            lines = "\n".join(f" - {line}" for line in problems)
            raise ContractError(
                f"{len(problems)} of {len(fields(self))} settings failed in SimulationSettings\n{lines}",
                hint="SimulationSettings() has working defaults; change one value at a time",
            )

    @property
    def opening_offset_days(self) -> int:
        """Days from `start` to the opening evening."""
        return self.season_days - 3 if self.opening_day is None else self.opening_day


_LOWER_BOUNDS: Mapping[str, float] = {
    "n_orders": MIN_ORDERS,
    "seed": 0,
    "history_days": _MIN_DAYS,
    "season_days": 5,
    "after_days": 0,
    "orders_per_buyer": 1,
    "verdict_delay_days": 0.1,
}
_WHOLE = ("n_orders", "seed", "history_days", "season_days", "after_days")
_SHARES = (
    *("history_share", "after_share", "opening_share", "malicious_share", "swap_share", "careful_share"),
    "price_drift",
    *("fault_blame_rate", "review_rate", "look_alike_review_rate", "audit_rate", "unsure_rate", "desk_error_rate"),
    "appeal_rate",
)
_TABLES: Mapping[str, Mapping[str, float]] = {
    "kind_weights": KIND_WEIGHTS,
    "look_alike_shares": LOOK_ALIKE_SHARES,
    "platform_shares": PLATFORM_SHARES,
    "masked_rates": MASKED_RATES,
    "device_rates": DEVICE_RATES,
    "group_key_rates": GROUP_KEY_RATES,
}
_MOST_MALICE = 0.3
_MOST_LOOK_ALIKES = 0.5


def _find_problems(settings: SimulationSettings) -> Iterator[str]:
    for name, low in _LOWER_BOUNDS.items():
        value = getattr(settings, name)
        if name in _WHOLE and not isinstance(value, int):
            yield f"'{name}': got {value}, expected a whole number"
        elif not value >= low:
            yield f"'{name}': got {value}, expected at least {low:g}"
    for name in _SHARES:
        value = getattr(settings, name)
        if not 0 <= value <= 1:
            yield f"'{name}': got {value}, expected 0 to 1"
    for name, default in _TABLES.items():
        yield from _find_table_problems(name, getattr(settings, name), default)
    if not settings.malicious_share <= _MOST_MALICE:
        yield f"'malicious_share': got {settings.malicious_share}, expected at most {_MOST_MALICE}"
    if not sum(settings.look_alike_shares.values()) <= _MOST_LOOK_ALIKES:
        yield f"'look_alike_shares': they sum to more than {_MOST_LOOK_ALIKES}"
    if not settings.history_share + settings.after_share < 1:
        yield "'history_share': with 'after_share' it leaves nothing for the season"
    if not 1 <= settings.opening_offset_days < settings.season_days:
        yield f"'opening_day': got {settings.opening_day}, expected 1 to {settings.season_days - 1}"
    yield from _find_time_problems(settings)


def _find_time_problems(settings: SimulationSettings) -> Iterator[str]:
    first = datetime.combine(settings.start, time(), ZONE) - timedelta(days=settings.history_days)
    for name in ("orders_until", "known_until"):
        until = getattr(settings, name)
        if until is None:
            continue
        if until.tzinfo is None:
            yield f"'{name}': got a time without a zone, expected one with a zone"
        elif until < first + timedelta(days=_MIN_DAYS):
            yield f"'{name}': got {until.isoformat()}, expected {_MIN_DAYS} days after the first order or later"


def _find_table_problems(name: str, table: Mapping[str, float], default: Mapping[str, float]) -> Iterator[str]:
    if set(table) != set(default):
        yield f"'{name}': got {sorted(table)}, expected exactly {sorted(default)}"
    elif not all(0 <= value <= 1 for value in table.values()):
        yield f"'{name}': got a value outside 0 to 1"
    elif name in {"kind_weights", "platform_shares"} and not sum(table.values()) > 0:
        yield f"'{name}': every value is 0"
