"""What buyers say when they ask for their money back: a reason, and pictures or none.

Malice says what pays: that nothing came, or that it came broken. Half of its requests bring pictures, which anybody can
have made, so that evidence alone tells little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.contract import RefundReason
from ordervet.lab.simulate.dice import Dice
from ordervet.lab.simulate.drafts import Fate, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.lab.simulate.dice import Ints
    from ordervet.lab.simulate.drafts import PlacedOrders, World

REASONS: Final = tuple(str(reason) for reason in RefundReason)

_NOT_RECEIVED, _DAMAGED, _WRONG_ITEM, _MISSING_PARTS, _QUALITY, _SAFETY, _LATE, _CHANGED_MIND, _OTHER = REASONS
_COMES_BACK = {_CHANGED_MIND: 0.55, _QUALITY: 0.2, _WRONG_ITEM: 0.06, _DAMAGED: 0.05, _LATE: 0.04, _OTHER: 0.1}
_HONEST: Mapping[Fate, Mapping[str, float]] = {
    Fate.REFUND_BEFORE_SHIPPING: {_CHANGED_MIND: 0.7, _LATE: 0.1, _OTHER: 0.2},
    Fate.RETURN: _COMES_BACK,
    Fate.EMPTY_RETURN: _COMES_BACK,
    Fate.REFUND_ONLY: {
        _NOT_RECEIVED: 0.22, _DAMAGED: 0.24, _MISSING_PARTS: 0.16, _QUALITY: 0.22, _WRONG_ITEM: 0.06, _SAFETY: 0.02,
        _OTHER: 0.08,
    },
    Fate.EXCHANGE: {_WRONG_ITEM: 0.3, _QUALITY: 0.3, _DAMAGED: 0.2, _CHANGED_MIND: 0.2},
    Fate.PRICE_PROTECTION: {_OTHER: 1.0},
    Fate.FREIGHT_CLAIM: {_OTHER: 1.0},
    Fate.BAD_REVIEW_AND_REFUND: {_QUALITY: 0.6, _DAMAGED: 0.2, _OTHER: 0.2},
}  # fmt: skip
_AT_FAULT: Mapping[Fault, Mapping[str, float]] = {
    Fault.SELLER: {_QUALITY: 0.5, _WRONG_ITEM: 0.15, _MISSING_PARTS: 0.15, _DAMAGED: 0.1, _OTHER: 0.1},
    Fault.CARRIER: {_NOT_RECEIVED: 0.45, _DAMAGED: 0.35, _LATE: 0.2},
}
_MALICIOUS: Mapping[Fate, Mapping[str, float]] = {
    Fate.REFUND_ONLY: {_NOT_RECEIVED: 0.34, _DAMAGED: 0.26, _QUALITY: 0.22, _MISSING_PARTS: 0.12, _OTHER: 0.06},
}
_SHOWN_RATES = {_DAMAGED: 0.75, _WRONG_ITEM: 0.7, _MISSING_PARTS: 0.6, _QUALITY: 0.6, _SAFETY: 0.7}
_SHOWN_OTHERWISE, _SHOWN_BY_MALICE = 0.08, 0.5


def draw_requests(world: World, placed: PlacedOrders, row: Ints, fate: Ints) -> tuple[Ints, Ints]:
    """Draw the reasons of refund requests, and whether pictures came with them.

    Parameters
    ----------
    row, fate : shape (n,), of which order, and what becomes of it

    Returns
    -------
    positions in `REASONS`, and 1 or 0, each of shape (n,)
    """
    # NOTE: dice of their own, so that all other draws of a seed stay what they were.
    dice = Dice(world.settings.seed ^ 0x0C1A1)
    fault, is_malicious = placed.draft.fault[row], placed.draft.kind[row] >= 0
    reason = np.zeros(len(row), np.int64)
    for of_fate, weights in _HONEST.items():
        _draw(dice, reason, fate == of_fate, weights)
    for of_fault, weights in _AT_FAULT.items():
        _draw(dice, reason, (fault == of_fault) & (fate != Fate.REFUND_BEFORE_SHIPPING), weights)
    for of_fate, weights in _MALICIOUS.items():
        _draw(dice, reason, (fate == of_fate) & is_malicious, weights)
    rates = np.array([_SHOWN_RATES.get(name, _SHOWN_OTHERWISE) for name in REASONS])[reason]
    rates = np.where(is_malicious & (rates > _SHOWN_OTHERWISE), _SHOWN_BY_MALICE, rates)
    return reason, dice.chance(rates, len(row)).astype(np.int64)


def _draw(dice: Dice, reason: Ints, rows: np.ndarray, weights: Mapping[str, float]) -> None:
    names = list(weights)
    drawn = dice.pick(list(weights.values()), int(rows.sum()))
    reason[rows] = np.array([REASONS.index(name) for name in names])[drawn]
