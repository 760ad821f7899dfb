"""Foreign worlds: merchants that the first simulation, the features and the starter know nothing of.

Written from what is known of the field alone (the kinds of malice, their signals, the innocents who look like them). It
shares no code, no distribution and no setting with `simulate`: people here act one after the other on their own clocks,
and each world draws its own prices, calendar, base rate, columns, desk and mix of malice. What a night does on such a
world is what it does for a merchant that nobody simulated beforehand, as far as a simulation can tell.

Numbers on simulated orders prove behaviour, not accuracy.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

from ordervet.contract import Events, validate_events
from ordervet.errors import ContractError

#: Seeds that settings and rules may be tried on.
TUNING_SEEDS = tuple(range(1, 7))

_DAY_S, _HOUR_S, _MINUTE_S = 86_400.0, 3_600.0, 60.0
_START_S = 1_740_787_200.0  # 2025-03-01 00:00 UTC
_KINDS = (
    "coupon_farming", "refund_only_abuse", "return_swap", "stolen_payment", "unpaid_hoarding", "scalping",
    "freight_insurance_fraud", "rival_bulk_refund",
)  # fmt: skip
#: Columns that a merchant's export may lack, each with its chance.
_LACKING = {
    "device_id": 0.5, "ip": 0.5, "payment_account": 0.6, "phone": 0.35, "address": 0.25, "recipient": 0.6,
    "buyer_registered_at": 0.4, "channel": 0.4, "item_id": 0.15, "discount_minor": 0.4, "is_insured": 0.6,
    "category": 0.3,
}  # fmt: skip
_CITIES = (
    ("四川省", "成都市", "武侯区", "人民南路"), ("湖北省", "武汉市", "洪山区", "珞喻路"),
    ("广东省", "佛山市", "禅城区", "汾江中路"), ("山东省", "青岛市", "市南区", "香港中路"),
    ("福建省", "厦门市", "思明区", "湖滨南路"), ("陕西省", "西安市", "雁塔区", "小寨东路"),
)  # fmt: skip
_STREETS = ("Maple Street", "Oak Avenue", "Station Road", "High Street", "Park Lane", "Mill Road", "Church Street")
_TOWNS = ("Springfield, IL 62701", "Dayton, OH 45402", "Albany, NY 12207", "Boise, ID 83702", "Tampa, FL 33602")
_SOURCES = ("search", "live", "ads", "direct", "partner")


@dataclass(frozen=True, kw_only=True)
class ForeignSettings:
    """One foreign merchant. The same settings give the same orders.

    Parameters
    ----------
    seed : of every draw
    n_orders : about how many orders honest buyers place
    n_days : how long the merchant is watched
    base_rate : share of malicious orders
    judged_share : share of malicious orders that the desk finds in the end
    masked_share : share of buyers whose phone and address come masked
    lacking : columns that the export does not have
    is_western : addresses, phones, hours and weekdays of a western shop
    price_minor, price_spread : median price, and the standard deviation of its logarithm over items
    campaigns : days with several times the usual orders, and how many times
    kinds : weight of each kind of malice
    care : share of malicious accounts that are old and share nothing
    """

    seed: int
    n_orders: int = 20_000
    n_days: int = 120
    base_rate: float = 0.02
    judged_share: float = 0.8
    masked_share: float = 0.1
    lacking: frozenset[str] = frozenset()
    is_western: bool = False
    price_minor: float = 8_000.0
    price_spread: float = 0.9
    campaigns: tuple[tuple[int, float], ...] = ()
    kinds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_KINDS, 1.0))
    care: float = 0.15

    def __post_init__(self) -> None:
        unknown = sorted(set(self.lacking) - set(_LACKING)) + sorted(set(self.kinds) - set(_KINDS))
        if unknown:
            raise ContractError(f"a foreign world has no {', '.join(unknown)}", hint="see lab/foreign.py")


def draw_foreign_settings(seed: int, *, n_orders: int = 20_000, n_days: int = 120) -> ForeignSettings:
    """Draw a merchant: base rates from 0.2 to 7 %, missing columns, a western shop in three, prices and days."""
    dice = random.Random(f"settings {seed}")  # noqa: S311 - a simulation
    weights = [dice.expovariate(1.0) for _ in _KINDS]
    days = sorted(dice.sample(range(20, n_days - 5), dice.randint(0, 3)))
    return ForeignSettings(
        seed=seed,
        n_orders=n_orders,
        n_days=n_days,
        base_rate=math.exp(dice.uniform(math.log(0.002), math.log(0.07))),
        judged_share=dice.uniform(0.3, 0.95),
        masked_share=dice.choice((0.0, 0.05, 0.3)),
        lacking=frozenset(name for name, chance in _LACKING.items() if dice.random() < chance),
        is_western=dice.random() < 1 / 3,
        price_minor=math.exp(dice.uniform(math.log(1_500), math.log(60_000))),
        price_spread=dice.uniform(0.4, 1.3),
        campaigns=tuple((day, dice.uniform(2, 6)) for day in days),
        kinds=dict(zip(_KINDS, weights, strict=True)),
        care=dice.uniform(0.05, 0.35),
    )


@dataclass(frozen=True, slots=True)
class ForeignWorld:
    """What happened, and the truth about each order, in the order of ``events.orders``.

    Parameters
    ----------
    settings : of the merchant
    events : orders, outcomes and verdicts
    is_malicious : shape (n_orders,)
    group : shape (n_orders,), the kind of malice, or the honest look-alike that a buyer is; empty for plain buyers
    """

    settings: ForeignSettings
    events: Events
    is_malicious: np.ndarray[Any, np.dtype[np.bool_]]
    group: np.ndarray[Any, np.dtype[np.str_]]


@dataclass(slots=True)
class _Person:
    name: str
    address: str
    phone: str
    device: str
    ip: str
    payment: str
    registered_s: float
    is_masked: bool = False
    group: str = ""
    return_bias: float = 1.0


class _Town:
    """Everything that one world consists of while it is made."""

    def __init__(self, settings: ForeignSettings) -> None:
        self.settings, self.dice = settings, random.Random(f"world {settings.seed}")  # noqa: S311 - a simulation
        self.orders: list[dict[str, Any]] = []
        self.outcomes: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []
        self.truth: dict[str, tuple[bool, str]] = {}
        self.n_people = 0
        dice = self.dice
        self.items = [
            (f"art-{number}", round(settings.price_minor * math.exp(dice.gauss(0, settings.price_spread))) + 100)
            for number in range(150)
        ]
        self.dear = sorted(self.items, key=lambda item: -item[1])[:12]
        self.cheap = sorted(self.items, key=lambda item: item[1])[:40]
        self.popularity = list(accumulate(1 / (rank + 3) for rank in range(len(self.items))))
        self.kinds_of_goods = [f"range-{dice.randrange(9)}" for _ in self.items]
        self.return_rate = {f"range-{n}": dice.choice((0.03, 0.08, 0.2, 0.45)) for n in range(9)}
        self.faulty = {dice.randrange(40): dice.uniform(10, settings.n_days - 20) for _ in range(2)}
        self.shared_doors = [(self.draw_address(), kind) for kind in ("station", "dormitory", "office") for _ in "123"]
        loads = [1.0] * settings.n_days
        weekday = [dice.uniform(0.7, 1.4) for _ in range(7)]
        for day in range(settings.n_days):
            loads[day] *= weekday[day % 7] * (1 + 0.3 * day / settings.n_days)
        for day, times in settings.campaigns:
            loads[day] *= times
        self.loads = list(accumulate(loads))
        self.peak_hour = dice.uniform(11, 21)

    def draw_address(self) -> str:
        dice = self.dice
        if self.settings.is_western:
            street = f"{dice.randint(1, 2400)} {dice.choice(_STREETS)}"
            unit = f", Apt {dice.randint(1, 60)}" if dice.random() < 0.4 else ""
            return f"{street}{unit}, {dice.choice(_TOWNS)}"
        *region, road = dice.choice(_CITIES)
        return (
            f"{''.join(region)}{road}{dice.randint(1, 900)}号{dice.randint(1, 30)}栋"
            f"{dice.randint(1, 3)}单元{dice.randint(1, 30)}0{dice.randint(1, 4)}室"
        )

    def draw_phone(self) -> str:
        digits = "".join(self.dice.choice("0123456789") for _ in range(8))
        return (
            f"+1 {self.dice.randint(201, 989)} {digits[:3]} {digits[3:7]}"
            if self.settings.is_western
            else f"135{digits}"
        )

    def draw_person(self, *, age_days: float, at_s: float, address: str | None = None, group: str = "") -> _Person:
        self.n_people += 1
        number, dice = self.n_people, self.dice
        return _Person(
            f"user{number}-{self.settings.seed}", address or self.draw_address(), self.draw_phone(), f"hw-{number:x}",
            f"{dice.randint(11, 220)}.{dice.randint(0, 255)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}",
            f"acct-{number:x}", at_s - age_days * _DAY_S, dice.random() < self.settings.masked_share, group,
        )  # fmt: skip

    def draw_time(self) -> float:
        day = bisect(self.loads, self.dice.random() * self.loads[-1])
        hour = self.dice.gauss(self.peak_hour, 3.5) % 24
        return _START_S + min(day, self.settings.n_days - 1) * _DAY_S + hour * _HOUR_S

    def order(
        self, who: _Person, at_s: float, item: int, *, quantity: int = 1, discount: float = 0.0, source: str = "",
        kind: str = "", is_insured: bool = False, **other: Any,
    ) -> str:  # fmt: skip
        order_id = f"F{self.settings.seed}-{len(self.orders)}"
        name, price = self.items[item]
        row = {
            "order_id": order_id, "placed_at": at_s, "buyer_id": who.name, "buyer_registered_at": who.registered_s,
            "amount_minor": max(round(price * quantity * (1 - discount)), 1),
            "discount_minor": round(price * quantity * discount), "quantity": quantity, "item_id": name,
            "category": self.kinds_of_goods[item], "address": who.address, "phone": who.phone,
            "device_id": who.device, "ip": who.ip, "payment_account": who.payment,
            "recipient": f"recipient of {who.name}", "channel": source or self.dice.choice(_SOURCES),
            "is_insured": is_insured,
        } | other  # fmt: skip
        if who.is_masked:
            row |= {"address": None, "phone": None, "recipient": None}
        self.orders.append(row)
        self.truth[order_id] = (bool(kind), kind or who.group)
        return order_id

    def happen(self, order_id: str, kind: str, at_s: float, **more: Any) -> None:
        self.outcomes.append({"order_id": order_id, "kind": kind, "happened_at": at_s} | more)

    def refund(self, order_id: str, at_s: float, refund_type: str, *, blame: str = "unknown") -> None:
        self.happen(order_id, "refund_requested", at_s, refund_type=refund_type, blame=blame)
        self.happen(
            order_id,
            "refund_completed",
            at_s + self.dice.uniform(0.2, 4) * _DAY_S,
            refund_type=refund_type,
            blame=blame,
        )


def build_foreign_world(settings: ForeignSettings) -> ForeignWorld:
    """Let a foreign merchant's buyers, rings and desk act, and return what happened."""
    town = _Town(settings)
    _live_honestly(town)
    n_honest = len(town.orders)
    wanted = n_honest * settings.base_rate / (1 - settings.base_rate)
    total = sum(settings.kinds.values())
    for kind, weight in settings.kinds.items():
        target = len(town.orders) + wanted * weight / total
        while len(town.orders) + 0.5 < target:
            _ACTS[kind](town, round(target) - len(town.orders))
    _judge(town, n_honest)
    return _close(town)


def _live_honestly(town: _Town) -> None:
    dice, settings = town.dice, town.settings
    end_s = _START_S + settings.n_days * _DAY_S
    while len(town.orders) < settings.n_orders:
        first_s = town.draw_time()
        group = dice.choices(
            ("", "shared door", "family", "heavy returner", "newcomer", "wholesale", "gift giver"),
            (60, 14, 7, 5, 9, 2, 3),
        )[0]
        age = dice.uniform(0, 2) if group == "newcomer" else dice.expovariate(1 / 500) + 3
        door = dice.choice(town.shared_doors)[0] if group == "shared door" else None
        people = [town.draw_person(age_days=age, at_s=first_s, address=door, group=group)]
        if group == "family":
            people.append(town.draw_person(age_days=age * 0.7, at_s=first_s, address=people[0].address, group=group))
            people[1].device = people[0].device if dice.random() < 0.6 else people[1].device
            people[1].ip = people[0].ip
        if group == "heavy returner":
            people[0].return_bias = 3.0
        pause = dice.uniform(5, 60) * _DAY_S
        at_s = first_s
        while at_s < end_s:
            who = dice.choice(people)
            _buy(town, who, at_s)
            at_s += dice.expovariate(1 / pause)


def _buy(town: _Town, who: _Person, at_s: float) -> None:
    dice = town.dice
    item = bisect(town.popularity, dice.random() * town.popularity[-1])
    quantity = dice.randint(8, 60) if who.group == "wholesale" else 1 + (dice.random() < 0.2)
    day = int((at_s - _START_S) // _DAY_S)
    is_campaign = any(each == day for each, _ in town.settings.campaigns)
    other = {"address": town.draw_address()} if who.group == "gift giver" and dice.random() < 0.7 else {}
    if dice.random() < 0.1:
        who.ip = f"{dice.randint(11, 220)}.{dice.randint(0, 255)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}"
    discount = dice.choice((0.0, 0.0, 0.1, 0.3)) if not is_campaign else dice.choice((0.1, 0.3, 0.5))
    order_id = town.order(
        who, at_s, item, quantity=quantity, discount=discount, is_insured=dice.random() < 0.3,
        source="ads" if is_campaign and dice.random() < 0.5 else "", **other,
    )  # fmt: skip
    if dice.random() < 0.04:
        town.happen(order_id, "cancelled_unpaid", at_s + dice.uniform(0.1, 24) * _HOUR_S)
        return
    arrived_s = at_s + dice.uniform(2, 7) * _DAY_S
    fault_s = (town.faulty.get(item, 1e9)) * _DAY_S + _START_S
    if 0 <= at_s - fault_s < 6 * _DAY_S and dice.random() < 0.6:
        town.refund(
            order_id, arrived_s + dice.uniform(0, 2) * _DAY_S, "refund_only", blame=dice.choice(("seller", "unknown"))
        )
    elif dice.random() < min(town.return_rate[town.kinds_of_goods[item]] * who.return_bias, 0.9):
        town.refund(order_id, arrived_s + dice.uniform(0, 6) * _DAY_S, "return_and_refund")
        town.happen(order_id, "return_received", arrived_s + dice.uniform(7, 12) * _DAY_S)
    elif dice.random() < 0.008:
        town.refund(order_id, arrived_s + _DAY_S, "refund_only")
    else:
        town.happen(order_id, "fulfilled", arrived_s + dice.uniform(0, 9) * _DAY_S)


def _gang(town: _Town, n: int, at_s: float) -> list[_Person]:
    """Accounts of one operator: young or bought, on a few devices, behind a few doors written in several ways."""
    dice = town.dice
    doors = [town.draw_address() for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.3:
        doors = [dice.choice(town.shared_doors)[0]]
    machines = [f"box-{dice.getrandbits(40):x}" for _ in range(max(n // 4, 1))]
    gang = []
    for _ in range(n):
        is_careful = dice.random() < town.settings.care
        member = town.draw_person(
            age_days=dice.expovariate(1 / 300) + 60 if is_careful else dice.uniform(0, 25), at_s=at_s
        )
        if not is_careful:
            member.device, member.address = dice.choice(machines), _disguise(town, dice.choice(doors))
            member.ip = f"100.{dice.randrange(64)}.7.{dice.randrange(4)}"
        gang.append(member)
    return gang


def _disguise(town: _Town, address: str) -> str:
    dice = town.dice
    if town.settings.is_western:
        return address.replace(" Street", dice.choice((" Street", " St", " St."))).replace(
            "Apt", dice.choice(("Apt", "Unit", "#"))
        )
    return address.replace("室", dice.choice(("室", "", "A", "（放门口）"))).replace(
        "栋", dice.choice(("栋", "幢", "号楼"))
    )


def _farm_coupons(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    item = town.items.index(dice.choice(town.cheap))
    for member in _gang(town, min(n, dice.randint(4, 25)), at_s):
        at_s += dice.expovariate(1 / 40)
        order_id = town.order(
            member, at_s, item, discount=dice.uniform(0.4, 0.8), source="partner", kind="coupon_farming"
        )
        town.happen(order_id, "fulfilled", at_s + dice.uniform(5, 12) * _DAY_S)


def _abuse_refunds(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    who = town.draw_person(age_days=dice.uniform(5, 700), at_s=at_s)
    for number in range(min(n, dice.randint(2, 9))):
        if number and dice.random() < 0.2:
            again = town.draw_person(age_days=dice.uniform(0, 10), at_s=at_s, address=who.address)
            again.phone, who = who.phone, again
        item = bisect(town.popularity, dice.random() * town.popularity[-1])
        order_id = town.order(who, at_s, item, kind="refund_only_abuse")
        town.refund(order_id, at_s + dice.uniform(2, 6) * _DAY_S, "refund_only")
        at_s += dice.uniform(1, 12) * _DAY_S


def _swap(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    shared = town.draw_person(age_days=3, at_s=at_s)
    for member in _gang(town, min(n, dice.randint(1, 5)), at_s):
        member.payment = shared.payment if dice.random() < 0.6 else member.payment
        order_id = town.order(member, at_s, town.items.index(dice.choice(town.dear)), kind="return_swap")
        town.refund(order_id, at_s + dice.uniform(3, 8) * _DAY_S, "return_and_refund")
        town.happen(order_id, "return_received", at_s + dice.uniform(8, 14) * _DAY_S)
        at_s += dice.uniform(0.2, 6) * _DAY_S


def _steal(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    victim = town.draw_person(age_days=dice.uniform(200, 1500), at_s=at_s)
    if dice.random() < 0.7:
        for _ in range(dice.randint(1, 3)):
            _buy(town, victim, max(at_s - dice.uniform(5, 80) * _DAY_S, _START_S + dice.random() * _DAY_S))
    victim.device, victim.ip, victim.address = f"new-{dice.getrandbits(40):x}", "185.220.101.9", town.draw_address()
    for _ in range(min(n, dice.randint(1, 4))):
        order_id = town.order(victim, at_s, town.items.index(dice.choice(town.dear)), kind="stolen_payment")
        town.happen(order_id, "chargeback", at_s + dice.uniform(10, 45) * _DAY_S)
        at_s += dice.expovariate(1 / (12 * _MINUTE_S))


def _hoard(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    item = dice.randrange(len(town.items))
    for member in _gang(town, min(n, dice.randint(2, 8)), at_s):
        order_id = town.order(member, at_s, item, quantity=dice.randint(5, 40), kind="unpaid_hoarding")
        town.happen(order_id, "cancelled_unpaid", at_s + dice.uniform(20, 24) * _HOUR_S)
        at_s += dice.expovariate(1 / (6 * _MINUTE_S))


def _scalp(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    item = town.items.index(dice.choice(town.dear))
    for member in _gang(town, min(n, dice.randint(5, 20)), at_s):
        order_id = town.order(member, at_s, item, quantity=dice.randint(1, 2), kind="scalping")
        town.happen(order_id, "fulfilled", at_s + dice.uniform(4, 10) * _DAY_S)
        at_s += dice.uniform(1, 20)


def _milk_insurance(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    gang = _gang(town, dice.randint(2, 5), at_s)
    for _ in range(min(n, dice.randint(4, 20))):
        item = town.items.index(dice.choice(town.cheap))
        order_id = town.order(dice.choice(gang), at_s, item, is_insured=True, kind="freight_insurance_fraud")
        town.refund(order_id, at_s + dice.uniform(1, 3) * _DAY_S, "return_and_refund")
        at_s += dice.uniform(0.05, 1.5) * _DAY_S


def _order_for_a_rival(town: _Town, n: int) -> None:
    dice, at_s = town.dice, town.draw_time()
    pause = dice.uniform(3, 15) * _MINUTE_S
    for _ in range(min(n, dice.randint(5, 18))):
        who = town.draw_person(age_days=dice.uniform(1, 200), at_s=at_s)
        order_id = town.order(who, at_s, dice.randrange(30), kind="rival_bulk_refund")
        town.refund(order_id, at_s + dice.uniform(2, 40) * _MINUTE_S, "before_shipping")
        at_s += pause


_ACTS = {
    "coupon_farming": _farm_coupons, "refund_only_abuse": _abuse_refunds, "return_swap": _swap,
    "stolen_payment": _steal, "unpaid_hoarding": _hoard, "scalping": _scalp,
    "freight_insurance_fraud": _milk_insurance, "rival_bulk_refund": _order_for_a_rival,
}  # fmt: skip


def _judge(town: _Town, n_honest: int) -> None:
    """Let the desk judge: most malice in the end, a few of those who sent something back, very few of all others."""
    dice, settings = town.dice, town.settings
    has_refund = {each["order_id"] for each in town.outcomes if each["kind"] == "refund_requested"}
    for at, order in enumerate(town.orders):
        order_id, at_s = order["order_id"], order["placed_at"]
        is_malicious, group = town.truth[order_id]
        chance = settings.judged_share if is_malicious else 0.05 if order_id in has_refund else 0.005
        if dice.random() >= chance:
            continue
        is_found = is_malicious ^ (dice.random() < 0.015)
        delay_s = dice.lognormvariate(math.log(5), 0.7) * _DAY_S
        verdict = {
            "order_id": order_id,
            "verdict": "malicious" if is_found else "innocent",
            "decided_at": at_s + delay_s,
        }
        town.verdicts.append(verdict | ({"kind": group} if is_malicious and is_found and at >= n_honest else {}))


def _close(town: _Town) -> ForeignWorld:
    town.orders.sort(key=lambda row: (row["placed_at"], row["order_id"]))
    tables = {
        "orders": _tabulate("orders", town.orders, town.settings.lacking),
        "outcomes": _tabulate("outcomes", town.outcomes),
        "verdicts": _tabulate("verdicts", town.verdicts),
    }
    truth = [town.truth[row["order_id"]] for row in town.orders]
    return ForeignWorld(
        town.settings,
        Events(corrections=Events.empty().corrections, **tables),
        np.array([is_malicious for is_malicious, _ in truth]),
        np.array([group for _, group in truth]),
    )


def _tabulate(kind: Any, rows: list[dict[str, Any]], lacking: frozenset[str] = frozenset()) -> pa.Table:
    """Write rows as a canonical table; times are seconds since 1970, and what lies past the watch is kept."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in lacking]
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name.endswith("_at"):
            micros = [None if value is None else round(value * 1_000_000) for value in values]
            columns[name] = pa.array(micros, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        else:
            columns[name] = pa.array(values)
    return validate_events(kind, pa.table(columns) if rows else Events.empty().__dict__[kind])
