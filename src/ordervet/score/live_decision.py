"""Deciding about live orders: one order without tables, and the pace of the review desk."""

from __future__ import annotations

import logging
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from math import floor
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ordervet.contract import MaliceKind, Outcome, Verdict
from ordervet.contract.values import TRIMMED
from ordervet.errors import HistoryError
from ordervet.late_imports import pa
from ordervet.policy import (
    ACTIONS,
    BANDS,
    STRICTEST,
    Action,
    Decision,
    DecisionCode,
    Standing,
    name_script,
)
from ordervet.policy.decided import decide_one
from ordervet.policy.decision import fill_decision
from ordervet.policy.desk import MARK_CODES, STANDING_CODES, Mark
from ordervet.policy.forcing import PREFIX, find_test_order
from ordervet.policy.missing import MISSING_ENTITIES, name_missing
from ordervet.policy.policy import HUMAN_KINDS
from ordervet.policy.rules import TEXT_FIELDS
from ordervet.policy.thresholds import Explicit
from ordervet.policy.trust import TrustGate, name_trust
from ordervet.score.live_order import compute_worth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.contract import Correction
    from ordervet.history import History
    from ordervet.history.handed import HandedOrder
    from ordervet.model import Curve, ForestPredictor, Model
    from ordervet.policy import Lang, Pace, Pacer, Policy, Reason, Stage
    from ordervet.policy.capacity import Capacity
    from ordervet.policy.overlay import LiveOverlay, OneOverlay
    from ordervet.policy.reasons import OneReasoner
    from ordervet.score.live_order import LiveOrder

_log = logging.getLogger("ordervet")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PASS = ACTIONS.index(Action.PASS)
_STRICTEST: dict[Stage, int] = {stage: ACTIONS.index(action) for stage, action in STRICTEST.items()}
_KIND_ROWS = {None: 0} | {kind: row for row, kind in enumerate(MaliceKind, start=1)}
_N_REFERENCE = 200

#: Earlier orders of the buyer on record: the feature behind the rule of minimum evidence.
_N_KNOWN = "buyer__count__order__90d"
_SCORE_PER_TENTH = 250.0


class ScalarCurve:
    """A curve for one value at a time; the same bits as `Curve`.

    Parameters
    ----------
    curve : the curve to evaluate
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


class LiveDecided(NamedTuple):
    """What was decided about one live order.

    Parameters
    ----------
    decision : about it
    takes_slot : whether it takes a slot of the desk
    rank : of the order for the desk's slots
    is_handed_on : whether it is handed on now
    pace, standing : as they were for this order
    """

    decision: Decision
    takes_slot: bool
    rank: float
    is_handed_on: bool
    pace: Pace | None
    standing: Standing


class LiveDecider:
    """Decides about single orders, without tables.

    Parameters
    ----------
    model, predictor, policy : what decides
    lang : language of the reasons
    history_version : of the open store
    """

    def __init__(
        self, model: Model, predictor: ForestPredictor, policy: Policy, lang: Lang, history_version: int | None
    ) -> None:
        self.model, self.policy = model, policy
        self._has_overlay = bool(policy.lists.entries or policy.rules or policy.audit)
        self._place = {name: at for at, name in enumerate(model.spec.names)}
        self._predictor, self._lang, self._history_version = predictor, lang, history_version
        self._calibration, self._risk_scale = ScalarCurve(model.calibration), ScalarCurve(model.risk_scale)
        self._ids = (model.model_id, policy.policy_id)
        self._severities: list[list[int]] = policy.severities.tolist()
        self._fixed_cuts: list[float] | None = (
            policy.bands.build_cuts(1)[0].tolist() if isinstance(policy.bands, Explicit) else None
        )
        self._entities = tuple(name for name in MISSING_ENTITIES if name in model.spec.entities)
        self._known_at = model.spec.names.index(_N_KNOWN) if _N_KNOWN in model.spec.names else None
        self._missing: dict[tuple[int, ...] | int, tuple[str, ...]] = {}
        self._reasoner: OneReasoner | None = None
        self._overlay: LiveOverlay | None = None
        self._trust = (
            None if policy.trust is None else TrustGate.of(policy.trust, model.metrics.get("trust"), model.spec.names)
        )

    def decide(
        self,
        one: LiveOrder,
        matrix: NDArray[np.float32],
        pace: Pace | None = None,
        standing: Standing = Standing.NEW,
        *,
        is_explained: bool = False,
        beyond: tuple[str, ...] = (),
    ) -> LiveDecided:
        """Decide about one order.

        Parameters
        ----------
        one : the order
        matrix : shape (1, n_features), its features
        pace : what is handed on now; only where the policy has a capacity
        standing : where it stands with the desk
        is_explained : give reasons even where it passes
        beyond : codes of the quotas that it is beyond

        References
        ----------
        Truth: `score_batch`.
        """
        name = one.kept.order_name
        is_test = self.policy.allow_test_orders and name.startswith(PREFIX)
        test = find_test_order(name) if is_test else None
        raw = self._predictor.predict_one(matrix)
        p = p_band = self._calibration(raw) if test is None else 0.0  # it uses no capacity
        risk_score = floor(self._risk_scale(raw))
        worth = compute_worth(one, self.model.spec)
        cuts = self._find_cuts(worth)
        band = bisect_right(cuts, p)
        overlay = self._find_overlay(one, matrix, beyond) if self._has_overlay or beyond else None
        stage = one.stage
        act = partial(
            decide_one, self.policy, worth_minor=worth, order_id=name, overlay=overlay, pace=pace,
            strictest=_STRICTEST[stage], standing=standing,
        )  # fmt: skip
        severity, mark = act(p_band, self._severities[0][band], is_human=False)
        kind: MaliceKind | None = None
        reasons: tuple[Reason, ...] = ()
        if band or severity != _PASS or test is not None or is_explained:
            shares = self._predictor.explain_one(matrix)
            reasoner = self._find_reasoner()
            sums = reasoner.add_up(shares)
            if self._is_thin(matrix):
                p_band = min(p, self._calibration(raw - reasoner.find_own_history(sums)))
                band = bisect_right(cuts, p_band)
                severity, mark = act(p_band, self._severities[0][band], is_human=False)
            if severity != _PASS or test is not None or is_explained:
                reasons = reasoner.find_reasons(sums, shares, matrix[0].tolist())
            if severity != _PASS and mark is not Mark.AUDIT:
                kind = self._name_kind(matrix, reasons)
                severity, mark = act(p_band, self._severities[_KIND_ROWS[kind]][band], is_human=kind in HUMAN_KINDS)
        takes_slot = severity != _PASS and mark is not Mark.FREE and standing is Standing.NEW
        route, applied = (None, ()) if overlay is None else (overlay.route, overlay.applied)
        trusted: tuple[str, ...] = ()
        if self._trust is not None:
            is_low = band == 0 and severity == _PASS
            trusted = name_trust(applied, standing, earns=is_low and self._trust.earns_one(matrix, p))
        applied = (*applied, *filter(None, (STANDING_CODES[standing], MARK_CODES[mark])), *trusted)
        if test is not None:
            if test.band is None:
                decision = Decision.unscored(name, test.code, model_id=self._ids[0], policy_id=self._ids[1])
                return LiveDecided(decision, takes_slot, p, False, pace, standing)  # noqa: FBT003 - a plain tuple
            p, risk_score, band, kind = test.p_malicious, test.risk_score, BANDS.index(test.band), test.kind
            severity, mark = ACTIONS.index(self.policy.actions_for(kind)[test.band]), Mark.NONE
            route, applied = None, ()
        is_flagged = severity != _PASS
        decision = fill_decision(
            name, ACTIONS[severity], BANDS[band], p, risk_score, kind, reasons,
            name_script(kind, BANDS[band], stage, applied) if is_flagged else None, self._list_missing(one), *self._ids,
            DecisionCode.SCORED, _EPOCH + timedelta(microseconds=one.seen_at), self._history_version,
            None if pace is None else pace.with_slots(int(is_flagged and mark is not Mark.BEYOND)), route, applied,
        )  # fmt: skip
        capacity = self.policy.capacity
        rank = p if capacity is None else capacity.rank_order(p, worth)
        return LiveDecided(decision, takes_slot, rank, is_flagged and standing is Standing.NEW, pace, standing)

    def _find_overlay(self, one: LiveOrder, matrix: NDArray[np.float32], beyond: tuple[str, ...]) -> OneOverlay | None:
        """Find what lists, rules and quotas say about one order."""

        def read(name: str) -> float | str | None:
            at = self._place.get(name)
            if at is not None:
                return float(matrix[0, at])
            if name in TEXT_FIELDS:
                return (one.order.__dict__[name] or "").strip(TRIMMED) or None
            value: float | None = one.order.__dict__.get(name)
            return None if value is None else float(value)

        if self._overlay is None:
            from ordervet.policy.overlay import LiveOverlay  # NOT: at the top. Most policies have neither.

            self._overlay = LiveOverlay(self.policy)
        return self._overlay.find(one.seen_at, one.order_id, one.keyed, read, beyond)

    def _is_thin(self, matrix: NDArray[np.float32]) -> bool:
        """Return whether fewer orders of the buyer are on record than its history needs to count."""
        if self._known_at is None:
            return False
        n_known = matrix.item(0, self._known_at)
        return (0 if n_known != n_known else int(n_known)) < self.policy.evidence.min_orders  # noqa: PLR0124 - NaN

    def _find_cuts(self, amount_minor: int) -> list[float]:
        """Return the least probability of each band above the lowest."""
        if self._fixed_cuts is not None:
            return self._fixed_cuts
        cuts: list[float] = self.policy.bands.build_cuts(1, np.array([amount_minor]))[0].tolist()
        return cuts

    def _find_reasoner(self) -> OneReasoner:
        if self._reasoner is None:
            from ordervet.policy.reasons import OneReasoner  # NOT: at the top. Only flagged orders have reasons.

            self._reasoner = OneReasoner(self.model.spec.names, self._lang)
        return self._reasoner

    def _name_kind(self, matrix: NDArray[np.float32], reasons: tuple[Reason, ...]) -> MaliceKind | None:
        """Name the kind: by the model of kinds, else by the strongest reason that points to one."""
        if self.model.kinds and (name := self.model.kinds.name_kinds(matrix)[0]):
            return MaliceKind(name)
        from ordervet.policy import find_spec

        return next((kind for reason in reasons if (kind := find_spec(reason.code).kind)), None)

    def _list_missing(self, one: LiveOrder) -> tuple[str, ...]:
        if not self._entities:
            return ()
        states = _find_codes(one.keyed.names, self._entities)(one.keyed.codes)
        words = self._missing.get(states)
        if words is None:
            each = states if isinstance(states, tuple) else (states,)
            words = self._missing[states] = name_missing(self._entities, each)
        return words


@lru_cache(maxsize=64)
def _find_codes(names: tuple[str, ...], entities: tuple[str, ...]) -> itemgetter[tuple[int, ...] | int]:
    """Return the getter of these entities' codes among those of a `KeyedOrder`."""
    return itemgetter(*map(names.index, entities))


class Desk:
    """Paces a policy's review capacity while orders come one by one; remembers what was judged and handed on.

    Parameters
    ----------
    history : an existing store, whose writer this process is; None remembers as long as the process lives
    read_judgements : returns its verdicts and corrections
    """

    def __init__(
        self,
        history: History | None = None,
        read_judgements: Callable[[], tuple[pa.Table, pa.Table]] | None = None,
    ) -> None:
        self._history, self._read_judgements = history, read_judgements
        self._pacer: Pacer | None = None
        self._serves: tuple[Policy, Model] | None = None
        self._standings: dict[str, Standing] = {}
        self._handed: list[HandedOrder] = []
        self.recall_again()

    def recall_again(self) -> None:
        """Recall what was judged and handed on from the store, if there is one."""
        if self._history is not None and self._read_judgements is not None:
            from ordervet.score.desk_state import recall_desk

            known = recall_desk(self._history.path, *self._read_judgements(), 0)
            self._standings, self._handed = dict(known.standings), list(known.handed)

    def find_pace(self, at_us: int, policy: Policy, model: Model) -> Pace | None:
        """Return what may be passed to review now.

        Parameters
        ----------
        at_us : UTC microseconds
        policy, model : what decides

        Returns
        -------
        the pace at this time; None if the policy has no capacity
        """
        if policy.capacity is None:
            return None
        is_served = self._serves is not None and self._serves[0] is policy and self._serves[1] is model
        if self._pacer is None or not is_served:
            self._pacer, self._serves = self._open_pacer(policy.capacity, model, at_us), (policy, model)
        return self._pacer.find_pace(at_us)

    def _open_pacer(self, capacity: Capacity, model: Model, at_us: int) -> Pacer:
        """Begin with a window, or go on with it as an earlier process, or the policy before, was serving it."""
        from ordervet.features.events import read_worth
        from ordervet.policy import Pacer
        from ordervet.policy.pacing import USUAL_DAYS

        if self._history is None:
            return Pacer(capacity, draw_reference(model))
        came = self._history.read_recent_orders(_EPOCH + timedelta(microseconds=at_us, days=-USUAL_DAYS - 1))
        pacer = Pacer(capacity, draw_reference(model), read_worth(came, model.spec.find_rate))
        start_us = pacer.find_window_start(at_us)
        n_handed = sum(each.takes_slot and each.seen_at >= start_us for each in self._handed)
        pacer.resume(at_us, came["seen_at"].cast(pa.int64()).to_numpy(), n_handed)
        return pacer

    def find_standing(self, order_id: str) -> Standing:
        """Return where an order stands."""
        return self._standings.get(order_id, Standing.NEW)

    def knows(self, order_id: str) -> bool:
        """Return whether an order was judged or handed on before."""
        return order_id in self._standings

    def note(self, event: Outcome | Verdict | Correction) -> None:
        """Remember how an order was judged."""
        from ordervet.score.desk_state import STANDINGS

        if not isinstance(event, Outcome):
            verdict = str(event.verdict) if isinstance(event, Verdict) else "corrected"
            self._standings[event.order_id] = STANDINGS[verdict]

    @property
    def n_handed(self) -> int:
        """How many orders were handed on, as far as is remembered."""
        return len(self._handed)

    def withdraw(self, n_handed: int) -> None:
        """Take back what was handed on since there were `n_handed`: nobody was told of it."""
        withdrawn = self._handed[n_handed:]
        if not withdrawn:
            return
        del self._handed[n_handed:]
        order_ids = {each.order_id for each in withdrawn}
        for order_id in order_ids:
            self._standings.pop(order_id, None)
        if self._pacer is not None:
            self._pacer.release(sum(each.takes_slot for each in withdrawn))
        if self._history is not None:
            from ordervet.history.handed import forget_handed

            try:
                forget_handed(self._history.path, order_ids)
            except (OSError, HistoryError) as error:
                _log.error("what was handed on is not taken back: %s", type(error).__name__)

    def record(self, at_us: int, decided: LiveDecided) -> None:
        """Record what was decided about one order at the last pace, if there was one, and hand it on."""
        decision = decided.decision
        if self._pacer is not None and decision.pace is not None:
            self._pacer.record(at_us, [decided.rank], int(decided.takes_slot))
        if decided.is_handed_on:
            from ordervet.history.handed import HandedOrder

            self.hand_on([HandedOrder(decision.order_id, at_us, at_us, decided.takes_slot)])

    def hand_on(self, orders: Sequence[HandedOrder]) -> None:
        """Remember orders that are handed on now."""
        if not orders:
            return
        self._handed += orders
        self._standings |= dict.fromkeys((each.order_id for each in orders), Standing.HANDED)
        if self._history is not None:
            from ordervet.history.handed import record_handed

            try:
                record_handed(self._history.path, orders, syncs=False)
            except (OSError, HistoryError) as error:  # what is asked of the desk comes first
                _log.error("what was handed on is not remembered: %s", type(error).__name__)


def count_known_orders(model: Model, features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return how many earlier orders of the buyer are on record; without the feature, the maximum."""
    if _N_KNOWN not in model.spec.names:
        return np.full(len(features), np.iinfo(np.int64).max)
    return np.nan_to_num(features[:, model.spec.names.index(_N_KNOWN)], nan=0.0).astype(np.int64)


def draw_reference(model: Model) -> NDArray[np.float64]:
    """Return probabilities distributed as over the model's reference orders, shape (200,).

    The risk scale gives their rarity.

    References
    ----------
    docs/definitions.md M3.
    """
    shares = (np.arange(_N_REFERENCE) + 0.5) / _N_REFERENCE
    scale = model.risk_scale
    raw = np.interp(-_SCORE_PER_TENTH * np.log10(shares), scale.y, scale.x)
    reference: NDArray[np.float64] = model.calibration(raw)
    return reference
