"""Through which door orders come, and how that mix drifts until the opening evening."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.season import PHASES

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Dice, Ints

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
    """Draw the channel of each order by its platform and the phase of the calendar.

    Parameters
    ----------
    dice : source of chance
    platform : shape (n,), positions in `platforms`
    phase : shape (n,), positions in `PHASES`
    platforms : names of the platforms

    Returns
    -------
    shape (n,), positions in `CHANNELS`
    """
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
