"""Things that happen to honest orders and make them look bad: faulty batches, live-stream bursts, top-up returns, …."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.catalogue import DEAR, EDIBLE, LIVE_ROOM
from ordervet.lab.simulate.dice import group_sizes
from ordervet.lab.simulate.drafts import Fate, Fault, some
from ordervet.lab.simulate.season import DAY_S, HOUR_S, MINUTE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.lab.simulate.drafts import Draft, World

_FAULT_REFUND_RATE = 0.6
_WAVE_DAYS = 5
_ORDERS_PER_WAVE = 60, 900
_ORDERS_PER_BURST = 25, 120


def strike_plain_orders(world: World, plain: Draft, counts: dict[str, int]) -> list[Draft]:
    """Let accidents happen to some plain orders, `counts` of each look-alike that is an accident.

    Returns as many orders as given, those that were spared first; those struck are changed and carry their label.
    """
    labels = list(world.settings.look_alike_shares)
    n_touched = {name: _n_touched(name, n) for name, n in counts.items()}
    chosen = np.argsort(world.dice.unit(len(plain)), kind="stable")[: sum(n_touched.values())]
    is_spared = np.ones(len(plain), dtype=np.bool_)
    is_spared[chosen] = False
    parts, used = [plain.take(np.flatnonzero(is_spared))], 0
    for name, strike in _ACCIDENTS.items():
        rows = chosen[used : used + n_touched[name]]
        used += len(rows)
        if len(rows):
            parts.append(strike(world, plain.take(rows), labels.index(name)))
    return parts


def _n_touched(name: str, n_labelled: int) -> int:
    """Count the orders an accident touches: of a faulty batch, some buyers never complain."""
    return round(n_labelled / _FAULT_REFUND_RATE) if name == "fault_wave" else n_labelled


def _strike_fault_wave(world: World, draft: Draft, label: int) -> Draft:
    """Make these orders buy a faulty batch: one item, a few days, refunds without return, the seller to blame."""
    dice, season, n = world.dice, world.season, len(draft)
    sizes = group_sizes(dice, n, *_ORDERS_PER_WAVE)
    wave = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.minimum(season.draw(dice, len(sizes)), season.end_s - _WAVE_DAYS * DAY_S)[wave]
    complains = dice.chance(_FAULT_REFUND_RATE, n)
    return draft.change(
        placed_s=season.draw(dice, n, from_s=starts, to_s=starts + _WAVE_DAYS * DAY_S),
        item=world.catalogue.draw(dice, len(sizes))[wave],
        look_alike=some(complains, label),
        fate=some(complains, Fate.REFUND_ONLY, Fate.ORDINARY),
        lag_s=some(complains, 0) + complains * dice.log_normal(14.0 * HOUR_S, 0.9, n).astype(np.int64),
        fault=some(complains, Fault.SELLER, Fault.ORDINARY),
    )


def _strike_live_burst(world: World, draft: Draft, label: int) -> Draft:
    """Make these orders answer a live stream: one item, within a minute or two, from everywhere."""
    dice, season, n = world.dice, world.season, len(draft)
    sizes = group_sizes(dice, n, *_ORDERS_PER_BURST)
    burst = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.minimum(season.draw(dice, len(sizes)), season.end_s - HOUR_S)[burst]
    return draft.change(
        placed_s=np.minimum(starts + dice.exponential(35.0, n).astype(np.int64), season.end_s - 1),
        item=world.catalogue.draw(dice, len(sizes), world.catalogue.heroes)[burst],
        quantity=1,
        n_lines=1,
        discount_share=0.4 + 0.2 * dice.unit(n),
        channel=LIVE_ROOM,
        look_alike=label,
    )


def _strike_top_up(world: World, draft: Draft, label: int) -> Draft:
    """Make these orders top up to a discount step; the buyer cancels what was only there to reach it."""
    dice, season, n = world.dice, world.season, len(draft)
    lines = dice.between(2, 5, n)
    return draft.change(
        placed_s=season.draw(dice, n, from_s=min(season.start_s, season.end_s - DAY_S)),
        n_lines=lines,
        quantity=lines,
        fate=int(Fate.REFUND_BEFORE_SHIPPING),
        lag_s=dice.log_normal(70.0 * MINUTE_S, 1.3, n).astype(np.int64) + 90,
        look_alike=label,
    )


def _strike_presale_unpaid(world: World, draft: Draft, label: int) -> Draft:
    """Make these orders presale carts that are never paid."""
    dice, season, n = world.dice, world.season, len(draft)
    to_s = min(season.opening_end_s, season.end_s)
    return draft.change(
        placed_s=season.draw(dice, n, from_s=min(season.start_s, to_s - DAY_S), to_s=to_s),
        fate=int(Fate.CANCELLED_UNPAID),
        lag_s=dice.between(24 * MINUTE_S, 24 * HOUR_S, n),
        look_alike=label,
    )


def _strike_packing_error(world: World, draft: Draft, label: int) -> Draft:
    """Make the warehouse pack the wrong thing: a dear item comes back, the seller to blame."""
    n = len(draft)
    return draft.change(
        item=world.catalogue.draw(world.dice, n, world.catalogue.items_of(DEAR)),
        fate=int(Fate.RETURN),
        fault=int(Fault.SELLER),
        look_alike=label,
    )


def _strike_courier_error(world: World, draft: Draft, label: int) -> Draft:
    """Make the courier mistype the waybill: the return seems never to arrive."""
    return draft.change(
        fate=some(world.dice.chance(0.7, len(draft)), Fate.EMPTY_RETURN, Fate.RETURN),
        fault=int(Fault.CARRIER),
        look_alike=label,
    )


def _strike_safety_claim(world: World, draft: Draft, label: int) -> Draft:
    """Make food or a supplement really bad: a claim that is right."""
    dice, n = world.dice, len(draft)
    return draft.change(
        item=world.catalogue.draw(dice, n, world.catalogue.items_of(EDIBLE)),
        fate=int(Fate.CLAIM),
        lag_s=dice.log_normal(6.0 * DAY_S, 1.0, n).astype(np.int64),
        fault=int(Fault.SELLER),
        look_alike=label,
    )


def _strike_bad_review(world: World, draft: Draft, label: int) -> Draft:
    """Make the buyer honestly unhappy; some also want their money back."""
    wants_money = world.dice.chance(0.25, len(draft))
    return draft.change(fate=some(wants_money, Fate.BAD_REVIEW_AND_REFUND, Fate.BAD_REVIEW), look_alike=label)


_ACCIDENTS: dict[str, Callable[[World, Draft, int], Draft]] = {
    "fault_wave": _strike_fault_wave,
    "live_burst": _strike_live_burst,
    "top_up_return": _strike_top_up,
    "presale_unpaid": _strike_presale_unpaid,
    "packing_error": _strike_packing_error,
    "courier_error": _strike_courier_error,
    "safety_claim": _strike_safety_claim,
    "honest_bad_review": _strike_bad_review,
}
ACCIDENT_NAMES = tuple(_ACCIDENTS)
