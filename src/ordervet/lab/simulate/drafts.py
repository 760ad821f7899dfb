"""Orders before they are written down: one array per property, running numbers instead of text."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.lab.simulate.addresses import AddressBook
from ordervet.lab.simulate.catalogue import build_catalogue
from ordervet.lab.simulate.dice import Dice
from ordervet.lab.simulate.people import NONE, People
from ordervet.lab.simulate.season import Season

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.lab.simulate.catalogue import Catalogue
    from ordervet.lab.simulate.dice import Flags, Floats, Ints
    from ordervet.lab.simulate.settings import SimulationSettings


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
    """Drafted orders, every array of shape (n,).

    Parameters
    ----------
    placed_s : seconds since 1970, UTC
    buyer, door, writing, recipient, phone, extension, device, ip, payment : running numbers, -1 = none
    item, quantity, n_lines : what is ordered
    discount_share : share of the list price; -1 = drawn by the campaign
    channel : position in `channels.CHANNELS`; -1 = drawn by platform and phase
    insured : 1, 0; -1 = drawn by the category
    kind, look_alike : positions in the settings' tables; -1 = neither
    fate : a `Fate`
    lag_s : seconds from the order (before shipping) or from its delivery to the fate's first event; -1 = drawn
    fault : a `Fault`
    """

    placed_s: Ints
    buyer: Ints
    door: Ints
    writing: Ints
    recipient: Ints
    phone: Ints
    extension: Ints
    device: Ints
    ip: Ints
    payment: Ints
    item: Ints
    quantity: Ints
    n_lines: Ints
    discount_share: Floats
    channel: Ints
    insured: Ints
    kind: Ints
    look_alike: Ints
    fate: Ints
    lag_s: Ints
    fault: Ints

    def __len__(self) -> int:
        return len(self.placed_s)

    def take(self, rows: Ints) -> Draft:
        """Give these rows, in this order."""
        return Draft(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def change(self, **columns: Ints | Floats | int) -> Draft:
        """Give the same orders with other values in these columns; a number stands for a whole column."""
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
        fate=_repeat(int(Fate.ORDINARY), n),
        lag_s=_repeat(NONE, n),
        fault=_repeat(int(Fault.ORDINARY), n),
        **own,
    )
    return draft.change(**columns)


def _repeat(value: int, n: int) -> Ints:
    """Give a column of one value. SPEED: it takes no memory until it is changed or joined."""
    return np.broadcast_to(np.int64(value), n)


def join_drafts(drafts: Sequence[Draft]) -> Draft:
    """Put drafts together, oldest order first; orders of the same second keep the drafts' order."""
    oldest_first = np.argsort(np.concatenate([draft.placed_s for draft in drafts]), kind="stable")
    # SPEED: column by column, so that no second copy of everything is in memory.
    return Draft(
        **{f.name: np.concatenate([getattr(draft, f.name) for draft in drafts])[oldest_first] for f in fields(Draft)}
    )


def some(flags: Flags, value: int, other: Ints | int = NONE) -> Ints:
    """Give `value` where the flag is set and `other` elsewhere."""
    return np.where(flags, value, other).astype(np.int64)
