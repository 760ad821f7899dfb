"""The decision about one order that plainly passes, without arrays; all others take the way of a table of one."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from math import floor
from typing import TYPE_CHECKING

from ordervet.policy import Action, Decision, DecisionCode
from ordervet.policy.codes import Band
from ordervet.policy.thresholds import Explicit
from ordervet.score.batch import EVIDENCE_WORDS, MISSING_ENTITIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ordervet.model import Curve, ForestPredictor, Model
    from ordervet.policy import Policy
    from ordervet.score.one_order import OneOrder

__all__ = ["OneCurve", "OneDecider"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OneCurve:
    """A curve asked for one value at a time; the same bits as `Curve`.

    Parameters
    ----------
    curve : what it is a twin of
    """

    def __init__(self, curve: Curve) -> None:
        self._x: list[float] = curve.x.tolist()
        self._y: list[float] = curve.y.tolist()

    def __call__(self, value: float) -> float:
        """Evaluate at one value."""
        x, y = self._x, self._y
        if len(x) == 1:
            return y[0]
        right = min(max(bisect_right(x, value), 1), len(x) - 1)
        left = right - 1
        inside = min(max(value, x[0]), x[-1])
        along = (inside - x[left]) / (x[right] - x[left])
        return min(max(y[left] + along * (y[right] - y[left]), y[left]), y[right])


class OneDecider:
    """Decides about single orders that pass whatever else is known of them.

    That is so below the first band, when the policy looks at nothing but the score: no capacity to fill, no lists, no
    rules.

    Parameters
    ----------
    model, predictor, policy : what decides
    history_version : version of the history store that is open

    References
    ----------
    Truth: `score_batch`.
    """

    def __init__(
        self, model: Model, predictor: ForestPredictor, policy: Policy, history_version: int | None = None
    ) -> None:
        self.model, self.policy = model, policy
        self._predictor = predictor
        self._calibration, self._risk_scale = OneCurve(model.calibration), OneCurve(model.risk_scale)
        self._model_id, self._policy_id = model.model_id, policy.policy_id
        self._history_version = history_version
        self._below = _find_first_cut(policy)
        self._told = tuple(name for name in MISSING_ENTITIES if name in model.spec.entities)
        self._missing: dict[tuple[int, ...], tuple[str, ...]] = {}

    def decide(self, one: OneOrder, matrix: NDArray[np.float32]) -> Decision | None:
        """Decide about one order.

        Parameters
        ----------
        one : the order
        matrix : shape (1, n_features), its features

        Returns
        -------
        the decision; None where the order may not plainly pass
        """
        raw = self._predictor.predict_raw(matrix).item(0)
        p_malicious = self._calibration(raw)
        if p_malicious >= self._below:
            return None
        return Decision(
            order_id=one.order.order_id,
            action=Action.PASS,
            band=Band.LOW,
            p_malicious=p_malicious,
            risk_score=floor(self._risk_scale(raw)),
            missing=self._list_missing(one.keyed.evidence),
            model_id=self._model_id,
            policy_id=self._policy_id,
            code=DecisionCode.SCORED,
            seen_at=_EPOCH + timedelta(microseconds=one.seen_at),
            history_version=self._history_version,
        )

    def _list_missing(self, evidence: dict[str, int]) -> tuple[str, ...]:
        codes = tuple([evidence[name] for name in self._told])
        words = self._missing.get(codes)
        if words is None:
            pairs = zip(self._told, codes, strict=True)
            words = self._missing[codes] = tuple(f"{name}_{EVIDENCE_WORDS[code]}" for name, code in pairs if code)
        return words


def _find_first_cut(policy: Policy) -> float:
    """Give the probability below which an order passes whatever else is known; none is below 0."""
    is_plain = isinstance(policy.bands, Explicit) and policy.capacity is None and policy.actions.low is Action.PASS
    looks_further = policy.lists.entries or policy.rules or policy.allow_test_orders
    return policy.bands.elevated if is_plain and not looks_further and isinstance(policy.bands, Explicit) else 0.0
