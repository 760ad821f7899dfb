"""Rings at work: accounts are opened as their plan says, and their orders are drafted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.addresses import PlaceKind, contradict_regions, draw_honest_writings, draw_jigged_writings
from ordervet.lab.simulate.catalogue import COUPON_SITE, draw_partner_apps
from ordervet.lab.simulate.dice import group_sizes
from ordervet.lab.simulate.drafts import Fate, Fault, draft_orders, some
from ordervet.lab.simulate.people import NONE
from ordervet.lab.simulate.population import draw_ages, draw_line_counts, draw_quantities
from ordervet.lab.simulate.ring_kinds import CHEAP_INSURED, HEROES, LIMITED, RING_PLANS
from ordervet.lab.simulate.season import DAY_S, MINUTE_S

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Flags, Ints
    from ordervet.lab.simulate.drafts import Draft, World
    from ordervet.lab.simulate.ring_kinds import RingPlan

_MIN_ORDERS_PER_KIND = 4
_STATION_RATE = 0.5
_OWNER_RING_RATE = 0.15
_STATIONS_PER_OWNER = 100
_TAKEN_OVER_RATE = 0.5
_OWN_CHANNEL_RATE = 0.5
_VIRTUAL_RATE = 0.5
_OPENER_SHARE = 0.7
_CONTRADICTORY_RATE = 0.5


@dataclass(frozen=True)
class Crew:
    """The accounts of all rings of one kind, before they are opened."""

    ring: Ints  # shape (n_accounts,), the ring of each account
    place_in_ring: Ints  # shape (n_accounts,), 0, 1, … within the ring
    is_careful: Flags  # shape (n_accounts,), the account shares nothing and is old
    n_rings: int  # number of rings


def count_ring_orders(world: World) -> dict[str, int]:
    """Count the orders that the rings of each kind place, honest-looking ones included."""
    settings = world.settings
    n_malicious = settings.n_orders * settings.malicious_share
    total = sum(settings.kind_weights.values())
    counts = {}
    for kind, plan in RING_PLANS.items():
        wanted = n_malicious * settings.kind_weights[kind] / total
        if wanted > 0:
            counts[kind] = max(_MIN_ORDERS_PER_KIND, round(wanted / (1.0 - plan.quiet_share)))
    return counts


def draft_malice(world: World, counts: dict[str, int], stations: Ints, victims: Ints) -> list[Draft]:
    """Draft the orders of all rings with their kind; those that are honest in fact carry none.

    `counts` holds orders by kind, `stations` the doors of honest pick-up stations, whose first owners run rings of
    their own, and `victims` honest accounts that can be taken over.
    """
    drafts: list[Draft] = []
    for kind, n in counts.items():
        drafts.append(_draft_kind(world, kind, n, stations, victims, first_ring=_count_rings(drafts)))
    return drafts


def _count_rings(drafts: list[Draft]) -> int:
    return 1 + max((int(draft.ring.max()) for draft in drafts), default=NONE)


def _draft_kind(world: World, kind: str, n: int, stations: Ints, victims: Ints, *, first_ring: int) -> Draft:
    dice, plan = world.dice, RING_PLANS[kind]
    sizes = group_sizes(dice, n, *plan.orders)
    accounts_per_ring = -(-sizes // plan.orders_per_account)
    ring, at = _spread(sizes)
    crew = _gather_crew(world, accounts_per_ring)
    buyers = _open_accounts(world, plan, kind, crew, stations)
    first_account = np.cumsum(accounts_per_ring) - accounts_per_ring
    buyer = buyers[first_account[ring] + at % accounts_per_ring[ring]]
    placed_s = _draw_times(world, plan, sizes, ring, at)
    quantity = draw_quantities(dice, n) if plan.quantity is None else dice.between(*plan.quantity, n)
    draft = draft_orders(
        world,
        buyer,
        placed_s,
        _draw_items(world, plan, len(sizes), ring),
        quantity=quantity,
        n_lines=np.minimum(quantity, draw_line_counts(dice, n)),
        fault=int(Fault.ABUSE),
        kind=list(world.settings.kind_weights).index(kind),
        ring=first_ring + ring,
        fate=np.array(list(plan.fates), dtype=np.int64)[dice.pick(tuple(plan.fates.values()), n)],
    )
    draft = _dress(world, plan, kind, draft)
    if kind == "stolen_payment":
        draft = _take_over(world, draft, ring, victims)
    return _keep_quiet(world, plan, draft, at < accounts_per_ring[ring])


def _spread(sizes: Ints) -> tuple[Ints, Ints]:
    """Return each member's group, and its place in the group."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.cumsum(sizes) - sizes
    return group, np.arange(len(group)) - starts[group]


def _gather_crew(world: World, accounts_per_ring: Ints) -> Crew:
    ring, at = _spread(accounts_per_ring)
    careful = world.dice.chance(world.settings.careful_share, len(ring))
    return Crew(ring=ring, place_in_ring=at, is_careful=careful, n_rings=len(accounts_per_ring))


def _open_accounts(world: World, plan: RingPlan, kind: str, crew: Crew, stations: Ints) -> Ints:
    dice, people, n = world.dice, world.people, len(crew.ring)
    shared = {
        name: _share(world, name, crew, per)
        for name, per in (
            ("phone", plan.per_phone),
            ("device", plan.per_device),
            ("ip", plan.per_ip),
            ("payment", plan.per_payment),
        )
    }
    shared["platform"] = people.draw_platforms(dice, crew.n_rings)[crew.ring]
    if kind == "delivery_refusal":
        shared["extension"] = people.draw_extensions(dice, dice.chance(_VIRTUAL_RATE, n))
    old = dice.chance(plan.aged_share, n) | crew.is_careful
    fresh_s = dice.log_normal(plan.age_days * DAY_S, 1.2, n).astype(np.int64) + MINUTE_S
    return people.add(
        dice,
        doors=_choose_doors(world, plan, crew, stations),
        writings=_draw_writings(world, plan, kind, crew),
        age_s=np.where(old, draw_ages(dice, n, 0.0), fresh_s),
        **shared,
    )


def _share(world: World, name: str, crew: Crew, per: int) -> Ints:
    """Issue one number for every `per` accounts of a ring; careful accounts have their own."""
    own = world.people.issue(name, len(crew.ring))
    if per == 1:
        return own
    slot, _ = _slots(crew, per)
    return np.where(crew.is_careful, own, world.people.issue(name, int(slot.max()) + 1)[slot])


def _slots(crew: Crew, per: int) -> tuple[Ints, Ints]:
    """Group every `per` accounts of a ring; give each account's group, and each group's ring."""
    is_first = crew.place_in_ring % per == 0
    return np.cumsum(is_first) - 1, crew.ring[is_first]


def _choose_doors(world: World, plan: RingPlan, crew: Crew, stations: Ints) -> Ints:
    """Choose where the parcels of each account go."""
    dice, book = world.dice, world.book
    slot, ring_of_slot = _slots(crew, plan.per_door)
    if plan.place == "near":
        buildings = book.add_places(dice, PlaceKind.HOME, crew.n_rings)
        doors = book.add_doors(dice, buildings[ring_of_slot])[slot]
    else:
        doors = book.add_homes(dice, len(ring_of_slot), homes_per_building=1)[slot]
    if plan.place in {"station", "own_station"} and len(stations):
        doors = _move_to_stations(world, plan, crew, stations, doors)
    own = book.add_homes(dice, len(crew.ring), homes_per_building=3)
    return np.where(crew.is_careful, own, doors)


def _move_to_stations(world: World, plan: RingPlan, crew: Crew, stations: Ints, doors: Ints) -> Ints:
    """Send the parcels of some rings to honest people's stations, or to one whose owner is of the ring."""
    dice = world.dice
    chosen = stations[dice.below(len(stations), crew.n_rings)]
    uses_station = dice.chance(_STATION_RATE, crew.n_rings)
    if plan.place == "own_station":
        owned = stations[: 1 + len(stations) // _STATIONS_PER_OWNER]
        is_owners = dice.chance(_OWNER_RING_RATE, crew.n_rings)
        is_owners[0] = True  # NOTE: even the smallest merchant has one such ring
        chosen = np.where(is_owners, owned[dice.below(len(owned), crew.n_rings)], chosen)
        uses_station |= is_owners
    return np.where(uses_station[crew.ring], chosen[crew.ring], doors)


def _draw_writings(world: World, plan: RingPlan, kind: str, crew: Crew) -> Ints:
    dice, n = world.dice, len(crew.ring)
    plain = draw_honest_writings(dice, n)
    jigged = dice.chance(plan.jigged_share, n) & ~crew.is_careful
    writings = np.where(jigged, draw_jigged_writings(dice, n, world.settings.swap_share), plain)
    if kind == "delivery_refusal":
        writings = np.where(dice.chance(_CONTRADICTORY_RATE, n), contradict_regions(writings), writings)
    return writings


def _draw_times(world: World, plan: RingPlan, sizes: Ints, ring: Ints, at: Ints) -> Ints:
    dice, season, n = world.dice, world.season, len(ring)
    if plan.span_days:
        span_s = int(plan.span_days * DAY_S)
        starts = season.draw(dice, len(sizes)) - dice.below(span_s, len(sizes))
        drawn = season.draw(dice, n, from_s=starts[ring], to_s=starts[ring] + span_s)
        return drawn[np.lexsort((drawn, ring))]
    gaps = dice.exponential(plan.gap_s, n)
    if plan.is_regular:
        gaps = np.full(n, plan.gap_s) + 4.0 * dice.unit(n)
    since = np.cumsum(np.where(at == 0, 0.0, gaps).astype(np.int64))
    since -= since[np.cumsum(sizes) - sizes][ring]
    longest = since[np.cumsum(sizes) - 1]
    starts = np.minimum(season.draw(dice, len(sizes)), season.end_s - 1 - longest)
    return starts[ring] + since


def _draw_items(world: World, plan: RingPlan, n_rings: int, ring: Ints) -> Ints:
    catalogue = world.catalogue
    special = {HEROES: catalogue.heroes, LIMITED: catalogue.limited, CHEAP_INSURED: catalogue.cheap_insured}
    pool = special[plan.items] if isinstance(plan.items, str) else catalogue.items_of(plan.items)
    if plan.is_one_item:
        return catalogue.draw(world.dice, n_rings, pool)[ring]
    return catalogue.draw(world.dice, len(ring), pool)


def _dress(world: World, plan: RingPlan, kind: str, draft: Draft) -> Draft:
    """Return the orders the discount, channel, insurance and pace of their kind."""
    dice, n = world.dice, len(draft)
    if plan.discount_share is not None:
        low, high = plan.discount_share
        draft = draft.change(discount_share=low + (high - low) * dice.unit(n))
    if plan.insured:
        draft = draft.change(insured=dice.chance(0.97, n).astype(np.int64))
    if plan.lag_s is not None:
        draft = draft.change(lag_s=dice.log_normal(plan.lag_s, 0.05 if plan.is_one_item else 0.8, n).astype(np.int64))
    if kind == "coupon_farming":
        apps = draw_partner_apps(dice, n)
        own = np.where(dice.chance(0.5, n), COUPON_SITE, apps)
        draft = draft.change(channel=np.where(dice.chance(_OWN_CHANNEL_RATE, n), own, draft.channel))
    return draft


def _take_over(world: World, draft: Draft, ring: Ints, victims: Ints) -> Draft:
    """Place some orders through honest people's accounts: their payment account, but the thief's device and door."""
    dice, n = world.dice, len(draft)
    if not len(victims):
        return draft
    victim = victims[dice.below(len(victims), n)]
    is_taken = dice.chance(_TAKEN_OVER_RATE, int(ring.max()) + 1)[ring]
    return draft.change(
        buyer=np.where(is_taken, victim, draft.buyer),
        payment=np.where(is_taken, world.people.column("payment")[victim], draft.payment),
    )


def _keep_quiet(world: World, plan: RingPlan, draft: Draft, is_first: Flags) -> Draft:
    """Let some orders of the ring be what they seem, the first of an account above all."""
    k, n = plan.orders_per_account, len(draft)
    per_account = plan.quiet_share * k
    later = (1.0 - _OPENER_SHARE) * per_account / max(k - 1, 1)
    is_quiet = world.dice.chance(np.where(is_first, _OPENER_SHARE * per_account, later), n)
    return draft.change(
        kind=np.where(is_quiet, NONE, draft.kind),
        ring=np.where(is_quiet, NONE, draft.ring),
        fate=some(is_quiet, Fate.ORDINARY, draft.fate),
        lag_s=some(is_quiet, NONE, draft.lag_s),
        fault=some(is_quiet, Fault.ORDINARY, draft.fault),
    )
