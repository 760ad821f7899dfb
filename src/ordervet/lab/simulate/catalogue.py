"""What is sold, and through which channels: items with a drifting price, a return rate and a popularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ordervet.lab.simulate.season import PHASES

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Dice, Flags, Floats, Ints


class Category(NamedTuple):
    """One category: prices in yuan, rates per order, popularity relative."""

    name: str
    price: float
    price_spread: float
    return_rate: float
    campaign_return_rate: float
    insured_rate: float
    weight: float


CATEGORIES = (
    Category("womenswear", 189.0, 0.6, 0.42, 0.72, 0.75, 0.20),
    Category("menswear", 169.0, 0.5, 0.20, 0.36, 0.60, 0.10),
    Category("shoes", 259.0, 0.5, 0.22, 0.38, 0.60, 0.08),
    Category("cosmetics", 219.0, 0.7, 0.05, 0.08, 0.20, 0.13),
    Category("food", 69.0, 0.5, 0.02, 0.03, 0.05, 0.14),
    Category("supplements", 159.0, 0.6, 0.03, 0.05, 0.05, 0.06),
    Category("phones", 2899.0, 0.5, 0.04, 0.06, 0.20, 0.04),
    Category("computers", 3999.0, 0.5, 0.05, 0.07, 0.20, 0.03),
    Category("appliances", 599.0, 0.8, 0.06, 0.09, 0.20, 0.06),
    Category("home", 99.0, 0.8, 0.06, 0.10, 0.30, 0.09),
    Category("baby", 149.0, 0.6, 0.05, 0.08, 0.30, 0.05),
    Category("liquor", 699.0, 0.6, 0.01, 0.02, 0.05, 0.02),
)
"""Womenswear comes back up to nine times in ten at a campaign; food hardly ever."""

CLOTHING = ("womenswear", "menswear", "shoes")
DEAR = ("phones", "computers", "appliances", "liquor")
EDIBLE = ("food", "supplements")
STAPLES = ("home", "food", "baby")

_MIN_ITEMS = 120
_ORDERS_PER_ITEM = 500
_MAX_ITEMS = 2000
_MAX_RETURN_RATE = 0.9
_N_HEROES = 6
_N_LIMITED = 4
_N_CHEAP_INSURED = 12
_FEN = 100


@dataclass(frozen=True)
class Catalogue:
    """The items, as arrays of shape (n_items,)."""

    category: Ints  # position in `CATEGORIES`
    price_minor: Ints  # list price in fen
    #: return_rate, campaign_return_rate: chance that an order of the item comes back
    return_rate: Floats
    campaign_return_rate: Floats
    weight: Floats  # popularity, relative
    #: heroes, limited, cheap_insured: items of the deep discounts, of scarce stock, and cheap ones with freight
    #: insurance
    heroes: Ints
    limited: Ints
    cheap_insured: Ints
    drift: Floats  # shape (n_categories,), relative price move over the whole time

    def items_of(self, names: tuple[str, ...]) -> Ints:
        """Return the items of the named categories."""
        return np.flatnonzero(self.is_of(np.arange(len(self.category)), names))

    def is_of(self, items: Ints, names: tuple[str, ...]) -> Flags:
        """Return which of these items belong to the named categories."""
        wanted = [i for i, category in enumerate(CATEGORIES) if category.name in names]
        return np.isin(self.category[items], wanted)

    def draw(self, dice: Dice, n: int, among: Ints | None = None) -> Ints:
        """Draw `n` items by popularity, of all or among the given ones."""
        if among is None:
            return dice.pick(self.weight, n)
        return among[dice.pick(self.weight[among], n)]


def build_catalogue(dice: Dice, n_orders: int, price_drift: float) -> Catalogue:
    """Draw the items of a merchant of this size."""
    n = int(np.clip(n_orders // _ORDERS_PER_ITEM, _MIN_ITEMS, _MAX_ITEMS))
    category = np.concatenate(
        [np.arange(len(CATEGORIES)), dice.pick([c.weight for c in CATEGORIES], n - len(CATEGORIES))],
    )
    price = np.zeros(n)
    for code, entry in enumerate(CATEGORIES):
        mine = np.flatnonzero(category == code)
        price[mine] = dice.log_normal(entry.price, entry.price_spread, len(mine))
    price_minor = (np.maximum(np.rint(price), 10.0)).astype(np.int64) * _FEN - 10
    factor = 0.6 + 0.65 * dice.unit(n)
    rank = np.argsort(dice.unit(n), kind="stable") + 1
    weight = (1.0 / (rank + 3.0)).astype(np.float64)
    heroes, limited, cheap = _choose_special(category, price_minor)
    weight[heroes] = weight.max() * 0.8
    weight[limited] = weight.max() * 0.3
    return Catalogue(
        category=category,
        price_minor=price_minor,
        return_rate=np.minimum(_column("return_rate")[category] * factor, _MAX_RETURN_RATE),
        campaign_return_rate=np.minimum(_column("campaign_return_rate")[category] * factor, _MAX_RETURN_RATE),
        weight=weight,
        heroes=heroes,
        limited=limited,
        cheap_insured=cheap,
        drift=(2.0 * dice.unit(len(CATEGORIES)) - 1.0) * price_drift,
    )


def _choose_special(category: Ints, price_minor: Ints) -> tuple[Ints, Ints, Ints]:
    """Choose the heroes, the limited items and the cheap insured ones."""
    names = np.array([entry.name for entry in CATEGORIES])[category]
    heroes = np.flatnonzero(np.isin(names, ["cosmetics", "food", "home", "baby"]))
    limited = np.flatnonzero(np.isin(names, ["liquor", "phones", "shoes"]))
    clothes = np.flatnonzero(np.isin(names, list(CLOTHING)))
    cheap = clothes[np.argsort(price_minor[clothes], kind="stable")]
    return heroes[:_N_HEROES], limited[:_N_LIMITED], cheap[:_N_CHEAP_INSURED]


def _column(name: str) -> Floats:
    return np.array([getattr(category, name) for category in CATEGORIES], dtype=np.float64)


INSURED_RATES = _column("insured_rate")

_PARTNER_APPS = tuple(f"partner_app_{i:02d}" for i in range(1, 25))
CHANNELS = (
    *("search", "recommendation", "live_room", "short_video", "splash_ad", "coupon_site", "subsidy", "group_share"),
    *("mini_program", "website", "app", "newsletter", *_PARTNER_APPS),
)
COUPON_SITE = CHANNELS.index("coupon_site")
LIVE_ROOM = CHANNELS.index("live_room")
SPLASH_AD = CHANNELS.index("splash_ad")
GROUP_SHARE = CHANNELS.index("group_share")
FIRST_PARTNER_APP = CHANNELS.index(_PARTNER_APPS[0])
N_PARTNER_APPS = len(_PARTNER_APPS)

_PARTNERS = "partner apps"
_MIX = {
    "tmall": {"search": 45, "recommendation": 25, "live_room": 14, "splash_ad": 4, "coupon_site": 5, _PARTNERS: 7},
    "douyin": {"live_room": 50, "short_video": 30, "search": 14, "splash_ad": 6},
    "jd": {"search": 60, "recommendation": 30, "coupon_site": 10},
    "pdd": {"subsidy": 30, "recommendation": 40, "group_share": 30},
    "wechat": {"mini_program": 55, "group_share": 35, _PARTNERS: 10},
    "own": {"website": 45, "app": 40, "newsletter": 15},
}
"""Orders by channel in ordinary weeks, percent, by platform."""

_GROWTH = {
    "live_room": (1.0, 1.1, 1.2, 1.6, 1.3, 1.2),
    "splash_ad": (0.2, 0.5, 1.5, 6.0, 3.0, 1.0),
    "coupon_site": (1.0, 1.0, 1.3, 1.5, 1.3, 1.0),
    _PARTNERS: (0.6, 0.9, 1.4, 2.5, 2.0, 1.2),
}
"""Growth of a channel's weight, by phase; the others keep theirs."""

_LOT = 1024


def draw_channels(dice: Dice, platform: Ints, phase: Ints, platforms: tuple[str, ...]) -> Ints:
    """Draw the channel of each order, a position in `CHANNELS`, by its platform and the phase of the calendar."""
    lots = np.stack([[_fill_lot(_MIX[name], at) for name in platforms] for at in range(len(PHASES))])
    drawn: Ints = lots[phase, platform, dice.below(_LOT, len(platform))]
    return drawn


def draw_partner_apps(dice: Dice, n: int) -> Ints:
    """Draw partner apps, every one as likely."""
    return FIRST_PARTNER_APP + dice.below(N_PARTNER_APPS, n)


def _fill_lot(mix: dict[str, int], phase: int) -> Ints:
    """Fill a lot of `_LOT` channels so that a uniform draw from it follows the mix."""
    weights = np.zeros(len(CHANNELS))
    for name, share in mix.items():
        weight = share * _GROWTH.get(name, (1.0,) * len(PHASES))[phase]
        if name == _PARTNERS:
            weights[FIRST_PARTNER_APP:] = weight / N_PARTNER_APPS
        else:
            weights[CHANNELS.index(name)] = weight
    ends = np.cumsum(weights)
    points = (np.arange(_LOT) + 0.5) / _LOT * ends[-1]
    lot: Ints = np.searchsorted(ends, points, side="right").astype(np.int64)
    return lot
