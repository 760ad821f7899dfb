"""The desk while orders come one by one: what it can still take, window after window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.policy import ACTIONS, Action, Pacer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.model import Model
    from ordervet.policy import Pace, Policy
    from ordervet.score.batch import ScoredOrders

_PASS = ACTIONS.index(Action.PASS)
_N_REFERENCE = 200
_SCORE_PER_TENTH = 250.0


class Desk:
    """Keeps the pace of a policy's review capacity; begins anew with another policy or model."""

    def __init__(self) -> None:
        self._pacer: Pacer | None = None
        self._serves: tuple[Policy, Model] | None = None

    def find_pace(self, at_us: int, policy: Policy, model: Model) -> Pace | None:
        """Say what is handed on now.

        Parameters
        ----------
        at_us : UTC microseconds
        policy, model : what decides

        Returns
        -------
        the pace of this instant; None where the policy has no capacity
        """
        if policy.capacity is None:
            return None
        is_served = self._serves is not None and self._serves[0] is policy and self._serves[1] is model
        if self._pacer is None or not is_served:
            self._pacer, self._serves = Pacer(policy.capacity, draw_reference(model)), (policy, model)
        return self._pacer.find_pace(at_us)

    def note(self, at_us: int, scored: ScoredOrders) -> None:
        """Remember what was decided at the last pace; nothing where there was none."""
        if self._pacer is not None and scored.pace is not None:
            capacity = self._serves[0].capacity if self._serves else None
            amounts = scored.orders["amount_minor"].to_numpy()
            ranks = scored.p_malicious if capacity is None else capacity.rank_orders(scored.p_malicious, amounts)
            self._pacer.record(at_us, ranks, int((scored.actions != _PASS).sum()))


def draw_reference(model: Model) -> NDArray[np.float64]:
    """Give probabilities spread as over the model's reference orders, shape (200,): the risk scale is their rarity.

    References
    ----------
    docs/definitions.md M3.
    """
    shares = (np.arange(_N_REFERENCE) + 0.5) / _N_REFERENCE
    scale = model.risk_scale
    raw = np.interp(-_SCORE_PER_TENTH * np.log10(shares), scale.y, scale.x)
    reference: NDArray[np.float64] = model.calibration(raw)
    return reference
