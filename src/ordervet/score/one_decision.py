"""The decision about one order, without tables: what `score_batch` decides about a batch of one."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import floor
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from ordervet.contract import MaliceKind
from ordervet.policy import ACTIONS, BANDS, Action, DecisionCode, find_spec, script_for_reasons
from ordervet.policy.decision import fill_decision
from ordervet.policy.missing import name_missing
from ordervet.policy.reasons import OneReasoner
from ordervet.policy.thresholds import Explicit
from ordervet.score.batch import MISSING_ENTITIES, count_known_orders

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.model import Curve, ForestPredictor, Model
    from ordervet.policy import Decision, Lang, Policy, Reason
    from ordervet.score.one_order import OneOrder

__all__ = ["OneCurve", "OneDecider"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PASS = ACTIONS.index(Action.PASS)
_KIND_ROWS = {None: 0} | {kind: row for row, kind in enumerate(MaliceKind, start=1)}


class OneCurve:
    """A curve asked for one value at a time; the same bits as `Curve`.

    Parameters
    ----------
    curve : what it is a twin of
    """

    def __init__(self, curve: Curve) -> None:
        self._x: list[float] = curve.x.tolist()
        self._y: list[float] = curve.y.tolist()
        first, last = curve(curve.x[[0, -1]]).tolist()
        self._ends: tuple[float, float] = first, last

    def __call__(self, value: float) -> float:
        """Evaluate at one value, not NaN."""
        x, y = self._x, self._y
        if value <= x[0]:
            return self._ends[0]
        if value >= x[-1]:
            return self._ends[1]
        right = bisect_right(x, value)
        low, high, start = y[right - 1], y[right], x[right - 1]
        found = low + (value - start) / (x[right] - start) * (high - low)
        return low if found < low else min(found, high)


class OneDecider:
    """Decides about single orders, where the policy looks at nothing but the order itself.

    Parameters
    ----------
    model, predictor, policy : what decides; `serves` says whether it can
    lang : language of the reasons
    history_version : of the store that is open
    """

    def __init__(
        self, model: Model, predictor: ForestPredictor, policy: Policy, lang: Lang, history_version: int | None
    ) -> None:
        self.model, self.policy = model, policy
        self.serves = not (policy.capacity or policy.lists.entries or policy.rules or policy.allow_test_orders)
        self._predictor, self._lang, self._history_version = predictor, lang, history_version
        self._calibration, self._risk_scale = OneCurve(model.calibration), OneCurve(model.risk_scale)
        self._ids = (model.model_id, policy.policy_id)
        self._severities: list[list[int]] = policy.severities.tolist()
        self._fixed_cuts: list[float] | None = (
            policy.bands.build_cuts(1)[0].tolist() if isinstance(policy.bands, Explicit) else None
        )
        self._told = tuple(name for name in MISSING_ENTITIES if name in model.spec.entities)
        self._missing: dict[tuple[int, ...] | int, tuple[str, ...]] = {}
        self._reasoner: OneReasoner | None = None

    def decide(self, one: OneOrder, matrix: NDArray[np.float32]) -> Decision:
        """Decide about one order; only where `serves`.

        Parameters
        ----------
        one : the order
        matrix : shape (1, n_features), its features

        References
        ----------
        Truth: `score_batch`.
        """
        raw = self._predictor.predict_one(matrix)
        p = self._calibration(raw)
        cuts = self._find_cuts(one.order.amount_minor)
        band = bisect_right(cuts, p)
        severity = self._severities[0][band]
        if band == 0 and severity == _PASS:
            return self._build(one, raw, p, band, severity)
        shares: list[float] = self._predictor.explain(matrix)[0, :-1].tolist()
        reasoner = self._find_reasoner()
        sums = reasoner.add_up(shares)
        if count_known_orders(self.model, matrix)[0] < self.policy.evidence.min_orders:
            without = min(p, self._calibration(raw - reasoner.find_own_history(sums)))
            band = bisect_right(cuts, without)
            severity = self._severities[0][band]
        if severity == _PASS:
            return self._build(one, raw, p, band, severity)
        reasons = reasoner.find_reasons(sums, shares, matrix[0].tolist())
        kind = self._name_kind(matrix, reasons)
        return self._build(one, raw, p, band, self._severities[_KIND_ROWS[kind]][band], kind, reasons)

    def _build(
        self,
        one: OneOrder,
        raw: float,
        p: float,
        band: int,
        severity: int,
        kind: MaliceKind | None = None,
        reasons: tuple[Reason, ...] = (),
    ) -> Decision:
        return fill_decision(
            one.order.order_id.strip(), ACTIONS[severity], BANDS[band], p, floor(self._risk_scale(raw)), kind, reasons,
            script_for_reasons(reasons, kind).id if severity != _PASS else None, self._list_missing(one), *self._ids,
            DecisionCode.SCORED, _EPOCH + timedelta(microseconds=one.seen_at), self._history_version, None, None, (),
        )  # fmt: skip

    def _find_cuts(self, amount_minor: int) -> list[float]:
        """Give the least probability of each band above the lowest."""
        if self._fixed_cuts is not None:
            return self._fixed_cuts
        cuts: list[float] = self.policy.bands.build_cuts(1, np.array([amount_minor]))[0].tolist()
        return cuts

    def _find_reasoner(self) -> OneReasoner:
        if self._reasoner is None:
            self._reasoner = OneReasoner(self.model.spec.names, self._lang)
        return self._reasoner

    def _name_kind(self, matrix: NDArray[np.float32], reasons: tuple[Reason, ...]) -> MaliceKind | None:
        """Name the kind: by the model of kinds, else by the strongest reason that points to one."""
        if self.model.kinds and (name := self.model.kinds.name_kinds(matrix)[0]):
            return MaliceKind(name)
        return next((kind for reason in reasons if (kind := find_spec(reason.code).kind)), None)

    def _list_missing(self, one: OneOrder) -> tuple[str, ...]:
        if not self._told:
            return ()
        states = _find_told(one.keyed.names, self._told)(one.keyed.codes)
        words = self._missing.get(states)
        if words is None:
            told = states if isinstance(states, tuple) else (states,)
            words = self._missing[states] = name_missing(self._told, told)
        return words


@lru_cache(maxsize=64)
def _find_told(names: tuple[str, ...], told: tuple[str, ...]) -> itemgetter[tuple[int, ...] | int]:
    """Make what picks the codes of the entities whose absence is told from those of a `KeyedOrder`."""
    return itemgetter(*map(names.index, told))
