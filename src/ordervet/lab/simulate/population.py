"""Honest people: plain buyers, and those whose circumstances make them look like abusers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.addresses import PlaceKind, draw_honest_writings
from ordervet.lab.simulate.catalogue import CLOTHING, DEAR, GROUP_SHARE, SPLASH_AD, STAPLES, draw_partner_apps
from ordervet.lab.simulate.dice import geometric_sizes, group_sizes
from ordervet.lab.simulate.drafts import Fate, draft_orders, some
from ordervet.lab.simulate.season import DAY_S, HOUR_S, MINUTE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.lab.simulate.dice import Dice, Ints
    from ordervet.lab.simulate.drafts import Draft, World

_YEAR_S = 365 * DAY_S
_FRESH_SHARE = 0.15
_CARRIER_IP_RATE = 0.25
_ACCOUNTS_PER_CARRIER_IP = 24
_HEAVY_RETURN_RATE = 0.7
_GIFT_RATE = 0.6
_HERO_RATE = 0.5
_NEWCOMER_TIMES = (0.3, 0.3, 0.4)
"""Share of newcomers who come from the opening on, from the presale on, and at any time."""
_BUYERS_PER_PLACE = {PlaceKind.STATION: 50, PlaceKind.DORMITORY: 80, PlaceKind.OFFICE: 40, PlaceKind.VILLAGE: 12}
_DOORS_PER_PLACE = {PlaceKind.STATION: 1, PlaceKind.DORMITORY: 30, PlaceKind.OFFICE: 12, PlaceKind.VILLAGE: 12}
_SHARED_IP = (PlaceKind.DORMITORY, PlaceKind.OFFICE)
_PIECES = (0.0, 0.66, 0.21, 0.08, 0.03, 0.02)
_LINES = (0.0, 0.5, 0.3, 0.15, 0.05)
_VILLAGE_REFUSAL_RATE = 0.05


def draw_ages(dice: Dice, n: int, fresh_share: float = _FRESH_SHARE) -> Ints:
    """Draw account ages at the first order, seconds: most of years, some of minutes to days."""
    old = dice.between(60 * DAY_S, 8 * _YEAR_S, n)
    fresh = dice.log_normal(8.0 * HOUR_S, 1.4, n).astype(np.int64) + MINUTE_S
    return np.where(dice.chance(fresh_share, n), fresh, old)


def draw_quantities(dice: Dice, n: int) -> Ints:
    """Draw how many pieces ordinary orders have."""
    return dice.pick(_PIECES, n)


def draw_line_counts(dice: Dice, n: int) -> Ints:
    """Draw how many lines ordinary orders have, where they have as many pieces."""
    return dice.pick(_LINES, n)


def draft_population(world: World, counts: dict[str, int], n_plain: int) -> tuple[Draft, list[Draft]]:
    """Draft the orders of plain buyers, and one draft per look-alike that is a way of living, with its label."""
    plain = _draft_plain(world, n_plain)
    labels = list(world.settings.look_alike_shares)
    drafts = []
    for name, draft_persona in _PERSONAS.items():
        if counts[name] > 0:
            drafts.append(draft_persona(world, counts[name]).change(look_alike=labels.index(name)))
    return plain, drafts


def _draft_plain(world: World, n: int) -> Draft:
    orders = geometric_sizes(world.dice, n, world.settings.orders_per_buyer)
    homes = world.book.add_homes(world.dice, len(orders))
    buyers = _open_accounts(world, homes)
    return _draft_repeated(world, buyers, orders)


def _open_accounts(world: World, doors: Ints, **shared: Ints) -> Ints:
    """Open an honest account for each door."""
    n = len(doors)
    shared.setdefault("age_s", draw_ages(world.dice, n))
    if "ip" not in shared:
        shared["ip"] = _draw_ips(world, n)
    return world.people.add(world.dice, doors=doors, writings=draw_honest_writings(world.dice, n), **shared)


def _draw_ips(world: World, n: int) -> Ints:
    """Return each account an IP of its own, or one that a carrier gives to several strangers."""
    carrier = world.people.issue("ip", n // _ACCOUNTS_PER_CARRIER_IP + 1)
    drawn = carrier[world.dice.below(len(carrier), n)]
    return np.where(world.dice.chance(_CARRIER_IP_RATE, n), drawn, world.people.issue("ip", n))


def _draft_repeated(world: World, buyers: Ints, orders: Ints) -> Draft:
    """Draft `orders` orders of each buyer, at any time, of any item."""
    dice, n = world.dice, int(orders.sum())
    quantity = draw_quantities(dice, n)
    return draft_orders(
        world,
        np.repeat(buyers, orders),
        world.season.draw(dice, n),
        world.catalogue.draw(dice, n),
        quantity=quantity,
        n_lines=np.minimum(quantity, draw_line_counts(dice, n)),
    )


def _draft_at(kind: PlaceKind) -> Callable[[World, int], Draft]:
    """Return a function that drafts orders of people who live, work or collect at places of this kind."""

    def draft(world: World, n: int) -> Draft:
        dice, book = world.dice, world.book
        orders = geometric_sizes(dice, n, world.settings.orders_per_buyer)
        n_buyers = len(orders)
        places = book.add_places(dice, kind, n_buyers // _BUYERS_PER_PLACE[kind] + 2)
        doors = book.add_doors(dice, np.repeat(places, _DOORS_PER_PLACE[kind]))
        at = dice.below(len(doors), n_buyers)
        shared = {}
        if kind in _SHARED_IP:
            house = world.people.issue("ip", len(places))[at // _DOORS_PER_PLACE[kind]]
            shared["ip"] = np.where(dice.chance(0.5, n_buyers), house, world.people.issue("ip", n_buyers))
        drafted = _draft_repeated(world, _open_accounts(world, doors[at], **shared), orders)
        if kind is PlaceKind.VILLAGE:
            return drafted.change(fate=some(dice.chance(_VILLAGE_REFUSAL_RATE, n), Fate.REFUSED, Fate.ORDINARY))
        return drafted

    return draft


def _draft_families(world: World, n: int) -> Draft:
    """Draft households: two to four accounts at one door, each writing it their own way, sharing things."""
    dice, people = world.dice, world.people
    orders = geometric_sizes(dice, n, world.settings.orders_per_buyer)
    members = group_sizes(dice, len(orders), 2, 4)
    family = np.repeat(np.arange(len(members)), members)
    shared = {"ip": people.issue("ip", len(members))[family]}
    for name, rate in (("device", 0.3), ("phone", 0.3), ("payment", 0.35)):
        common = people.issue(name, len(members))[family]
        shared[name] = np.where(dice.chance(rate, len(orders)), common, people.issue(name, len(orders)))
    shared["platform"] = people.draw_platforms(dice, len(members))[family]
    doors = world.book.add_homes(dice, len(members))[family]
    return _draft_repeated(world, _open_accounts(world, doors, **shared), orders)


def _draft_heavy_returners(world: World, n: int) -> Draft:
    """Draft people who order clothes in three sizes and send most of them back."""
    dice, catalogue = world.dice, world.catalogue
    orders = geometric_sizes(dice, n, 5.0)
    buyers = _open_accounts(world, world.book.add_homes(dice, len(orders)))
    clothes = catalogue.draw(dice, n, catalogue.items_of(CLOTHING))
    draft = _draft_repeated(world, buyers, orders)
    fate = some(dice.chance(_HEAVY_RETURN_RATE, n), Fate.RETURN, Fate.ORDINARY)
    return draft.change(item=clothes, fate=fate, insured=dice.chance(0.8, n).astype(np.int64))


def _draft_gift_buyers(world: World, n: int) -> Draft:
    """Draft people who send dear things to somebody else's door and phone."""
    dice = world.dice
    orders = geometric_sizes(dice, n, world.settings.orders_per_buyer)
    buyers = _open_accounts(world, world.book.add_homes(dice, len(orders)))
    draft = _draft_repeated(world, buyers, orders)
    is_gift = dice.chance(_GIFT_RATE, n)
    dear = world.catalogue.draw(dice, n, world.catalogue.items_of(DEAR))
    return draft.change(
        item=np.where(is_gift, dear, draft.item),
        door=np.where(is_gift, world.book.add_homes(dice, n), draft.door),
        phone=np.where(is_gift, world.people.issue("phone", n), draft.phone),
        recipient=np.where(is_gift, world.people.issue("recipient", n), draft.recipient),
    )


def _draft_group_leaders(world: World, n: int) -> Draft:
    """Draft leaders who collect orders for neighbours: bursts of one item, many recipients, doors near each other."""
    dice, book = world.dice, world.book
    orders = group_sizes(dice, n, 8, 30)
    leader = np.repeat(np.arange(len(orders)), orders)
    estates = book.add_places(dice, PlaceKind.HOME, len(orders))
    buyers = _open_accounts(world, book.add_doors(dice, estates), age_s=draw_ages(dice, len(orders), 0.0))
    n_bursts = 3
    burst = leader * n_bursts + dice.below(n_bursts, n)
    starts = world.season.draw(dice, len(orders) * n_bursts)
    items = world.catalogue.draw(
        dice, len(orders) * n_bursts, np.concatenate([world.catalogue.limited, world.catalogue.items_of(STAPLES)])
    )
    late = np.minimum(starts[burst] + dice.exponential(20.0 * MINUTE_S, n).astype(np.int64), world.season.end_s - 1)
    is_neighbour = dice.chance(0.5, n)
    draft = draft_orders(world, buyers[leader], late, items[burst], quantity=dice.between(2, 12, n))
    return draft.change(
        door=np.where(is_neighbour, book.add_doors(dice, estates[leader]), draft.door),
        recipient=np.where(is_neighbour, world.people.issue("recipient", n), draft.recipient),
        channel=some(dice.chance(0.5, n), GROUP_SHARE),
    )


def _draft_newcomers(world: World, n: int) -> Draft:
    """Draft first-time buyers whom a splash ad or a partner app brings, many of them for the discounted item."""
    dice = world.dice
    orders = group_sizes(dice, n, 1, 2)
    homes = world.book.add_homes(dice, len(orders))
    buyers = _open_accounts(world, homes, age_s=draw_ages(dice, len(orders), 1.0))
    is_hero = dice.chance(_HERO_RATE, n)
    season = world.season
    latest_s = season.end_s - DAY_S
    starts = np.array([season.opening_s, season.start_s, season.begin_s])
    from_s = np.minimum(starts, latest_s)[dice.pick(_NEWCOMER_TIMES, n)]
    draft = _draft_repeated(world, buyers, orders)
    return draft.change(
        placed_s=season.draw(dice, n, from_s=from_s),
        item=np.where(is_hero, world.catalogue.draw(dice, n, world.catalogue.heroes), draft.item),
        discount_share=np.where(is_hero, 0.35 + 0.2 * dice.unit(n), -1.0),
        channel=np.where(dice.chance(0.6, n), SPLASH_AD, draw_partner_apps(dice, n)),
    )


def _draft_wholesalers(world: World, n: int) -> Draft:
    """Draft shops that buy in bulk, again and again, to one office."""
    dice = world.dice
    orders = group_sizes(dice, n, 6, 40)
    towers = world.book.add_places(dice, PlaceKind.OFFICE, len(orders))
    ages = draw_ages(dice, len(orders), 0.05)
    buyers = _open_accounts(world, world.book.add_doors(dice, towers), age_s=ages)
    draft = _draft_repeated(world, buyers, orders)
    staples = world.catalogue.items_of(STAPLES)
    usual = world.catalogue.draw(dice, len(orders), staples)
    return draft.change(
        item=np.where(dice.chance(0.6, n), np.repeat(usual, orders), world.catalogue.draw(dice, n, staples)),
        quantity=dice.log_normal(40.0, 0.8, n).astype(np.int64) + 6,
    )


_PERSONAS: dict[str, Callable[[World, int], Draft]] = {
    "pickup_station": _draft_at(PlaceKind.STATION),
    "dormitory": _draft_at(PlaceKind.DORMITORY),
    "office": _draft_at(PlaceKind.OFFICE),
    "rural_address": _draft_at(PlaceKind.VILLAGE),
    "family": _draft_families,
    "heavy_returner": _draft_heavy_returners,
    "gift_buyer": _draft_gift_buyers,
    "group_leader": _draft_group_leaders,
    "newcomer": _draft_newcomers,
    "wholesale": _draft_wholesalers,
}
PERSONA_NAMES = tuple(_PERSONAS)
