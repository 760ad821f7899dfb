"""Orders as they are drafted, then placed: one array per property, running numbers instead of text."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.lab.simulate.addresses import AddressBook
from ordervet.lab.simulate.catalogue import INSURED_RATES, build_catalogue, draw_channels
from ordervet.lab.simulate.dice import Dice
from ordervet.lab.simulate.people import NONE, People
from ordervet.lab.simulate.season import PHASES, Season

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.lab.simulate.catalogue import Catalogue
    from ordervet.lab.simulate.dice import Flags, Floats, Ints
    from ordervet.lab.simulate.simulation_settings import SimulationSettings

_BASE_DISCOUNT = (0.03, 0.04, 0.12, 0.22, 0.18, 0.05)
"""Mean share of the list price taken off, by phase."""
_COUPON_RATE = 0.35
_STEP_MINOR, _STEP_OFF_MINOR = 30_000, 5_000  # 满300减50, on campaign days
_SHIPPING_MINOR = (0, 600, 800, 1200)
_SHIPPING_WEIGHTS = (0.82, 0.08, 0.06, 0.04)
_MAX_AMOUNT_MINOR = 10**13
CAMPAIGN_PHASES = tuple(PHASES.index(name) for name in ("presale", "opening", "day"))


class Fate(IntEnum):
    """What becomes of an order."""

    ORDINARY = -1  # drawn by the item's and the campaign's rates
    FULFILLED = 0
    CANCELLED_UNPAID = 1
    CANCELLED_PAID = 2
    REFUND_BEFORE_SHIPPING = 3
    RETURN = 4
    EMPTY_RETURN = 5  # a return that never arrives
    REFUND_ONLY = 6
    EXCHANGE = 7
    PRICE_PROTECTION = 8
    FREIGHT_CLAIM = 9
    REFUSED = 10
    CLAIM = 11
    BAD_REVIEW = 12
    BAD_REVIEW_AND_REFUND = 13
    CHARGEBACK = 14


class Fault(IntEnum):
    """How blame is recorded on an order's refund."""

    ORDINARY = 0
    SELLER = 1
    CARRIER = 2
    ABUSE = 3


@dataclass(frozen=True)
class World:
    """What a simulation is made of while it runs."""

    settings: SimulationSettings
    dice: Dice
    season: Season
    catalogue: Catalogue
    book: AddressBook
    people: People


def build_world(settings: SimulationSettings) -> World:
    """Set up an empty merchant: a calendar and a catalogue, nobody in it yet."""
    dice = Dice(settings.seed)
    return World(
        settings=settings,
        dice=dice,
        season=Season(settings),
        catalogue=build_catalogue(dice, settings.n_orders, settings.price_drift),
        book=AddressBook(),
        people=People(settings),
    )


@dataclass(frozen=True)
class Draft:
    """Drafted orders, every array of shape (n,)."""

    placed_s: Ints  # seconds since 1970, UTC
    #: buyer, door, writing, recipient, phone, extension, device, ip, payment: running numbers, -1 = none
    buyer: Ints
    door: Ints
    writing: Ints
    recipient: Ints
    phone: Ints
    extension: Ints
    device: Ints
    ip: Ints
    payment: Ints
    #: item, quantity, n_lines: what is ordered
    item: Ints
    quantity: Ints
    n_lines: Ints
    discount_share: Floats  # share of the list price; -1 = drawn by the campaign
    channel: Ints  # position in `channels.CHANNELS`; -1 = drawn by platform and phase
    insured: Ints  # 1, 0; -1 = drawn by the category
    #: kind, look_alike: positions in the settings' tables; -1 = neither
    kind: Ints
    look_alike: Ints
    ring: Ints  # number of the ring behind a malicious order, none twice; -1 = none
    fate: Ints  # a `Fate`
    lag_s: Ints  # seconds from the order (before shipping) or from its delivery to the fate's first event; -1 = drawn
    fault: Ints  # a `Fault`

    def __len__(self) -> int:
        return len(self.placed_s)

    def take(self, rows: Ints) -> Draft:
        """Return these rows, in this order."""
        return Draft(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def change(self, **columns: Ints | Floats | int) -> Draft:
        """Return the same orders with other values in these columns; a number stands for a whole column."""
        full: dict[str, Any] = {
            name: value if isinstance(value, np.ndarray) else np.broadcast_to(np.asarray(value), len(self))
            for name, value in columns.items()
        }
        return replace(self, **full)


def draft_orders(world: World, buyer: Ints, placed_s: Ints, item: Ints, **columns: Ints | Floats | int) -> Draft:
    """Draft ordinary orders of these accounts: own door and devices, one piece, drawn discount, channel and fate."""
    people, n = world.people, len(buyer)
    own = {
        name: people.column(name)[buyer]
        for name in ("door", "writing", "recipient", "phone", "extension", "device", "ip", "payment")
    }
    draft = Draft(
        placed_s=placed_s,
        buyer=buyer,
        item=item,
        quantity=_repeat(1, n),
        n_lines=_repeat(1, n),
        discount_share=np.broadcast_to(-1.0, n),
        channel=_repeat(NONE, n),
        insured=_repeat(NONE, n),
        kind=_repeat(NONE, n),
        look_alike=_repeat(NONE, n),
        ring=_repeat(NONE, n),
        fate=_repeat(int(Fate.ORDINARY), n),
        lag_s=_repeat(NONE, n),
        fault=_repeat(int(Fault.ORDINARY), n),
        **own,
    )
    return draft.change(**columns)


def _repeat(value: int, n: int) -> Ints:
    """Return a column of one value. SPEED: it takes no memory until it is changed or joined."""
    return np.broadcast_to(np.int64(value), n)


def join_drafts(drafts: Sequence[Draft]) -> Draft:
    """Put drafts together, oldest order first; orders of the same second keep the drafts' order."""
    oldest_first = np.argsort(np.concatenate([draft.placed_s for draft in drafts]), kind="stable")
    # SPEED: column by column, so that no second copy of everything is in memory.
    return Draft(
        **{f.name: np.concatenate([getattr(draft, f.name) for draft in drafts])[oldest_first] for f in fields(Draft)}
    )


def some(flags: Flags, value: int, other: Ints | int = NONE) -> Ints:
    """Return `value` where the flag is set and `other` elsewhere."""
    return np.where(flags, value, other).astype(np.int64)


@dataclass(frozen=True)
class PlacedOrders:
    """Placed orders, oldest first, every array of shape (n_orders,)."""

    draft: Draft  # the orders as drafted, oldest first
    phase: Ints  # position in `PHASES`
    platform: Ints  # position in the settings' platforms
    registered_s: Ints  # seconds since 1970, UTC, of the account's registration
    channel: Ints  # position in `CHANNELS`
    insured: Ints  # 1 or 0
    #: amount_minor, discount_minor, shipping_minor: fen; the amount is what the buyer pays
    amount_minor: Ints
    discount_minor: Ints
    shipping_minor: Ints

    def __len__(self) -> int:
        return len(self.draft)


def place_orders(world: World, draft: Draft) -> PlacedOrders:
    """Price drafted orders, oldest first, and give them what depends on the calendar."""
    dice, n = world.dice, len(draft)
    phase = world.season.phase_of(draft.placed_s)
    platform = world.people.column("platform")[draft.buyer]
    drawn_channel = draw_channels(dice, platform, phase, tuple(world.settings.platform_shares))
    drawn_insured = dice.chance(INSURED_RATES[world.catalogue.category[draft.item]], n).astype(np.int64)
    amount, discount, shipping = _price(world, draft, phase)
    return PlacedOrders(
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
