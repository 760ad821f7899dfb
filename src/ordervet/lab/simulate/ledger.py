"""Drafts become orders: priced, and given what depends on the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.catalogue import INSURED_RATES
from ordervet.lab.simulate.channels import draw_channels
from ordervet.lab.simulate.people import NONE
from ordervet.lab.simulate.season import PHASES

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Dice, Floats, Ints
    from ordervet.lab.simulate.drafts import Draft, World

_BASE_DISCOUNT = (0.03, 0.04, 0.12, 0.22, 0.18, 0.05)
"""Mean share of the list price taken off, by phase."""
_COUPON_RATE = 0.35
_STEP_MINOR, _STEP_OFF_MINOR = 30_000, 5_000  # 满300减50, on campaign days
_SHIPPING_MINOR = (0, 600, 800, 1200)
_SHIPPING_WEIGHTS = (0.82, 0.08, 0.06, 0.04)
_MAX_AMOUNT_MINOR = 10**13
CAMPAIGN_PHASES = tuple(PHASES.index(name) for name in ("presale", "opening", "day"))


@dataclass(frozen=True)
class Ledger:
    """Placed orders, oldest first, every array of shape (n_orders,).

    Parameters
    ----------
    draft : the orders as drafted, oldest first
    phase : position in `PHASES`
    platform : position in the settings' platforms
    registered_s : seconds since 1970, UTC, of the account's registration
    channel : position in `CHANNELS`
    insured : 1 or 0
    amount_minor, discount_minor, shipping_minor : fen; the amount is what the buyer pays
    """

    draft: Draft
    phase: Ints
    platform: Ints
    registered_s: Ints
    channel: Ints
    insured: Ints
    amount_minor: Ints
    discount_minor: Ints
    shipping_minor: Ints

    def __len__(self) -> int:
        return len(self.draft)


def build_ledger(world: World, draft: Draft) -> Ledger:
    """Price drafted orders, oldest first, and give them what depends on the calendar."""
    dice, n = world.dice, len(draft)
    phase = world.season.phase_of(draft.placed_s)
    platform = world.people.column("platform")[draft.buyer]
    drawn_channel = draw_channels(dice, platform, phase, tuple(world.settings.platform_shares))
    drawn_insured = dice.chance(INSURED_RATES[world.catalogue.category[draft.item]], n).astype(np.int64)
    amount, discount, shipping = _price(world, draft, phase)
    return Ledger(
        draft=draft,
        phase=phase,
        platform=platform,
        registered_s=_find_registrations(world, draft),
        channel=np.where(draft.channel == NONE, drawn_channel, draft.channel),
        insured=np.where(draft.insured == NONE, drawn_insured, draft.insured),
        amount_minor=amount,
        discount_minor=discount,
        shipping_minor=shipping,
    )


def _price(world: World, draft: Draft, phase: Ints) -> tuple[Ints, Ints, Ints]:
    dice, catalogue, n = world.dice, world.catalogue, len(draft)
    drift = catalogue.drift[catalogue.category[draft.item]] * world.season.progress_of(draft.placed_s)
    price = np.rint(catalogue.price_minor[draft.item] * (1.0 + drift)).astype(np.int64)
    extra_lines = draft.n_lines - 1
    extra = np.rint(extra_lines * dice.log_normal(6000.0, 0.6, n)).astype(np.int64)
    goods = np.minimum(price * np.maximum(draft.quantity - extra_lines, 1) + extra, _MAX_AMOUNT_MINOR)
    share = np.where(draft.discount_share < 0, _draw_discounts(dice, phase), draft.discount_share)
    steps = np.where(np.isin(phase, CAMPAIGN_PHASES), goods // _STEP_MINOR, 0) * (draft.discount_share < 0)
    discount = np.rint(goods * share).astype(np.int64) + np.minimum(steps, 10) * _STEP_OFF_MINOR
    shipping = np.array(_SHIPPING_MINOR, dtype=np.int64)[dice.pick(_SHIPPING_WEIGHTS, n)]
    return goods - discount + shipping, discount, shipping


def _draw_discounts(dice: Dice, phase: Ints) -> Floats:
    """Draw the share taken off the list price: coupons on some orders, more at the campaign."""
    n = len(phase)
    mean = np.array(_BASE_DISCOUNT)[phase]
    coupon = dice.chance(_COUPON_RATE, n) * 0.15 * dice.unit(n)
    return np.minimum(mean * (0.4 + 1.2 * dice.unit(n)) + coupon, 0.6)


def _find_registrations(world: World, draft: Draft) -> Ints:
    """Find when each order's account was registered: its age before its first order."""
    first_s = np.zeros(world.people.n, dtype=np.int64)
    first_s[draft.buyer[::-1]] = draft.placed_s[::-1]  # NOTE: orders are sorted; of equal places the last write stays
    return (first_s - world.people.column("age_s"))[draft.buyer]
