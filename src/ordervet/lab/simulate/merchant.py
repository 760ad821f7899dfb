"""From settings to a simulated merchant, in seven steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.accidents import ACCIDENT_NAMES, strike_plain_orders
from ordervet.lab.simulate.aftermath import draw_outcomes, draw_verdicts
from ordervet.lab.simulate.drafts import build_world, join_drafts, place_orders
from ordervet.lab.simulate.malice import count_ring_orders, draft_malice
from ordervet.lab.simulate.people import NONE
from ordervet.lab.simulate.population import PERSONA_NAMES, draft_population
from ordervet.lab.simulate.season import DAY_S, to_seconds
from ordervet.lab.simulate.simulated_tables import build_simulation
from ordervet.lab.simulate.simulation_settings import SimulationSettings

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Ints
    from ordervet.lab.simulate.drafts import Draft, World
    from ordervet.lab.simulate.simulated_tables import Simulation

_ESTABLISHED_S = 365 * DAY_S


def simulate(settings: SimulationSettings | None = None) -> Simulation:
    """Simulate one merchant's season.

    Numbers measured on the result prove behaviour, not accuracy.

    Parameters
    ----------
    settings : the merchant; None = the defaults

    Returns
    -------
    exactly `n_orders` orders with their outcomes, verdicts, corrections and the truth

    Examples
    --------
    >>> simulation = simulate(SimulationSettings(n_orders=500, seed=1))
    >>> simulation.orders.num_rows
    500
    """
    world = build_world(settings or SimulationSettings())
    known_until = world.settings.known_until
    known_until_s = None if known_until is None else to_seconds(known_until)
    placed = place_orders(world, _draft_everybody(world))
    outcomes = draw_outcomes(world, placed, known_until_s)
    verdicts = draw_verdicts(world, placed, outcomes)
    return build_simulation(world, placed, outcomes, verdicts, known_until_s)


def _draft_everybody(world: World) -> Draft:
    settings = world.settings
    ring_orders = count_ring_orders(world)
    counts = {name: round(share * settings.n_orders) for name, share in settings.look_alike_shares.items()}
    n_personas = sum(counts[name] for name in PERSONA_NAMES)
    n_plain = settings.n_orders - n_personas - sum(ring_orders.values())
    plain, personas = draft_population(world, {name: counts[name] for name in PERSONA_NAMES}, n_plain)
    victims = _find_established(world, plain)
    stations = _find_stations(world, personas)
    plain_parts = strike_plain_orders(world, plain, {name: counts[name] for name in ACCIDENT_NAMES})
    malice = draft_malice(world, ring_orders, stations, victims)
    return join_drafts([*plain_parts, *personas, *malice])


def _find_established(world: World, plain: Draft) -> Ints:
    """Find plain accounts older than a year."""
    buyers = plain.buyer[np.flatnonzero(np.diff(plain.buyer, prepend=NONE))]  # NOTE: an account's orders stand together
    return buyers[world.people.column("age_s")[buyers] > _ESTABLISHED_S]


def _find_stations(world: World, personas: list[Draft]) -> Ints:
    """Find the doors of honest people's pick-up stations."""
    label = list(world.settings.look_alike_shares).index("pickup_station")
    doors = [draft.door[draft.look_alike == label] for draft in personas]
    return np.unique(np.concatenate([*doors, np.zeros(0, dtype=np.int64)]))
