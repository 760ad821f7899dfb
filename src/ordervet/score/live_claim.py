"""Judging live refund requests, one at a time and without tables."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ordervet.contract import Outcome, OutcomeKind
from ordervet.contract.order_reader import read_outcome
from ordervet.contract.values import floor_minute, to_micros
from ordervet.entities.keyed import ORDER_ID
from ordervet.errors import ContractError, ModelError
from ordervet.features.claim_features import CLAIM_NAMES, build_one_claim
from ordervet.history.views import DECISION, is_covered, is_same_outcome
from ordervet.policy.claim_desk import Asked, ClaimDesk
from ordervet.policy.claims import ClaimAnswer, ClaimDecision, answer_claim, name_claim_script, settle_answer
from ordervet.policy.desk import MARK_CODES, STANDING_CODES, Mark, Standing
from ordervet.policy.reasons import OneReasoner
from ordervet.policy.trust import TrustGate, name_trust
from ordervet.score.live_decision import ScalarCurve
from ordervet.score.live_order import find_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from ordervet.history.views import Row
    from ordervet.model import Model
    from ordervet.policy import Lang, Policy, Reason
    from ordervet.policy.capacity import Capacity
    from ordervet.score.live_order import LiveOrder

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_claim(claim: Outcome | dict[str, Any]) -> Outcome:
    """Check a refund request: an outcome of that kind, or a dict of its fields, which may leave the kind out.

    Raises
    ------
    ContractError
        It is another kind of outcome, or neither.
    ValidationError
        It breaks the contract.
    """
    if isinstance(claim, dict):
        claim = read_outcome({"kind": OutcomeKind.REFUND_REQUESTED} | claim)
    if not isinstance(claim, Outcome) or claim.kind is not OutcomeKind.REFUND_REQUESTED:
        raise ContractError(
            "a claim is a refund request",
            hint='scorer.score_claim({"order_id": "t1", "happened_at": "2025-11-12", "refund_type": "refund_only"})',
        )
    return claim


class ClaimOrder(NamedTuple):
    """What is asked of the order of a request beside its features.

    Parameters
    ----------
    p : the probability of malice that it was given when it was placed; NaN where it has none
    read_id : entity → its keyed id, 0 where not known
    rate : what a minor unit of its currency is worth
    amount_minor : of the order, minor units
    category : as given
    """

    p: float
    read_id: Callable[[str], int]
    rate: float
    amount_minor: int
    category: str | None


class ClaimJudge:
    """Judges single refund requests.

    Parameters
    ----------
    model : whose features, and whose model of claims
    policy : what is paid at once, and what goes to a person
    lang : language of the reasons
    """

    def __init__(self, model: Model, policy: Policy, lang: Lang) -> None:
        if model.claims is None:
            raise ModelError("there is no model of claims", hint="ordervet train makes one, and the starter has one")
        self.model, self.policy = model, policy
        self._policy_id = policy.policy_id
        self._predictor = model.claims.predictor
        self._calibration = ScalarCurve(model.claims.calibration)
        self._trust = None
        if policy.trust is not None and policy.claims.pay_trusted_below is not None:
            self._trust = TrustGate.of(policy.trust, model.metrics.get("trust"), model.spec.names)
        self._reasoner = OneReasoner((*model.claim_spec.names, *CLAIM_NAMES), lang)

    def judge(
        self,
        claim: Outcome,
        order: LiveOrder,
        matrix: NDArray[np.float32],
        order_p: float,
        desk: ClaimDesk | None = None,
        *,
        was_handed: bool = False,
    ) -> ClaimDecision:
        """Judge a request.

        Parameters
        ----------
        claim : the request
        order : its order, as it is known now; its `seen_at` is now
        matrix : shape (1, n_features), the order's features as of now, by `Model.claim_spec`, without its own events
        order_p : the probability of malice that it was given when it was placed; NaN where it has none
        desk, was_handed : as of `decide`
        """
        rate, amount_minor = find_rate(order, self.model.spec), order.order.amount_minor
        own = build_one_claim(
            claim, placed_at=floor_minute(order.kept.placed_us), amount_minor=amount_minor, rate=rate, order_p=order_p
        )
        row = np.concatenate([matrix[0], np.array(own, np.float32)])[None]
        own_order = ClaimOrder(order_p, order.keyed.read_id, rate, amount_minor, order.order.category)
        return self.decide(claim, row, own_order, order.seen_at, desk, was_handed=was_handed)

    def judge_beside(
        self, claim: Outcome, order: LiveOrder, matrix: NDArray[np.float32], order_p: float, other: ClaimDecision
    ) -> ClaimDecision:
        """Judge a request that another model has answered, with the places of the desk that there were for it."""
        alone = self.judge(claim, order, matrix, order_p)
        was_full = bool({MARK_CODES[Mark.FULL], MARK_CODES[Mark.BEYOND]} & set(other.applied))
        answer, applied = settle_answer(
            self.policy.claims, claim, order.order.category, (alone.answer, alone.applied), has_place=not was_full,
            was_handed=STANDING_CODES[Standing.HANDED] in other.applied,
        )  # fmt: skip
        return replace(alone, answer=answer, applied=applied, script=name_claim_script(answer))

    def decide(
        self,
        claim: Outcome,
        row: NDArray[np.float32],
        order: ClaimOrder,
        seen_at: int,
        desk: ClaimDesk | None = None,
        *,
        was_handed: bool = False,
    ) -> ClaimDecision:
        """Decide about a request by its features.

        Parameters
        ----------
        row : shape (1, n_features), those of the order as of then, then the request's own
        order : what else is asked of its order
        seen_at : the instant whose history is known, UTC microseconds
        desk : whose places are handed out; None where there are any number
        was_handed : whether it is with a person already, as it was asked before
        """
        p = self._calibration(self._predictor.predict_one(row))
        asked = math.nan if claim.amount_minor is None else claim.amount_minor * order.rate
        worth_minor = round(order.amount_minor * order.rate if claim.amount_minor is None else asked)
        trusted = () if self._trust is None else self._name_trust(self._trust, row, order, seen_at)
        answered = answer, applied = answer_claim(self.policy.claims, p, claim, asked, trusted)
        one = Asked(seen_at, claim.order_id, p, worth_minor)
        if desk is not None:
            is_due = answer is ClaimAnswer.PERSON and not was_handed
            answer, applied = settle_answer(
                self.policy.claims, claim, order.category, answered, has_place=is_due and desk.has_place(one),
                was_handed=was_handed,
            )  # fmt: skip
        reasons: tuple[Reason, ...] = ()
        if answer is not ClaimAnswer.PAY_NOW:
            shares = self._predictor.explain_one(row)
            reasons = self._reasoner.find_reasons(self._reasoner.add_up(shares), shares, row[0].tolist())
        decision = ClaimDecision(
            order_id=claim.order_id, outcome_id=claim.outcome_id, answer=answer, p_malicious=p, reasons=reasons,
            applied=applied, worth_minor=worth_minor, script=name_claim_script(answer), model_id=self.model.model_id,
            policy_id=self._policy_id, seen_at=_EPOCH + timedelta(microseconds=seen_at),
        )  # fmt: skip
        if desk is not None:
            desk.record(one, takes_place=decision.takes_place)
        return decision

    def _name_trust(
        self, gate: TrustGate, row: NDArray[np.float32], order: ClaimOrder, seen_at: int
    ) -> tuple[str, ...]:
        """Return the code of the buyer's trust at an instant, if any (docs/definitions.md D13)."""
        listed = [f"{name}_{entity}" for name, entity in self.policy.key_lists.find_one(order.read_id, seen_at)]
        worth = np.array([round(order.amount_minor * order.rate)])
        is_low = order.p < self.policy.bands.build_cuts(1, worth)[0, 0]
        return name_trust(listed, Standing.NEW, earns=is_low and gate.earns_one(row, order.p))


def list_answers(rows: Iterable[Row], request: Row) -> list[tuple[Row, ClaimDecision]]:
    """List what a request was answered before, the latest last.

    Parameters
    ----------
    rows : of its order
    request : its own row
    """
    answers = [row for row in rows if is_answer(row) and is_same_outcome(row, request)]
    answers.sort(key=lambda row: row["seen_at"])
    return [(row, read_answer(row)) for row in answers]


def find_same(answers: Sequence[tuple[Row, ClaimDecision]], request: Row) -> ClaimDecision | None:
    """Find the latest answer to a request that said all that this one says, whenever it was asked; None for none."""
    said = {name: value for name, value in request.items() if name != "happened_at"}
    return next((decision for row, decision in reversed(answers) if is_covered(said, row)), None)


def is_answer(row: Row) -> bool:
    """Return whether a row holds what a refund request was answered."""
    return row["event"] == DECISION and row.get("outcome") is not None


def read_answer(row: Row) -> ClaimDecision:
    """Read the decision about a request from its row."""
    return ClaimDecision.from_dict(json.loads(row["decision"]))


def open_desk(capacity: Capacity | None, answers: Iterable[ClaimDecision]) -> ClaimDesk | None:
    """Open the desk of a capacity with what was answered before; None where there is no capacity."""
    if capacity is None:
        return None
    desk = ClaimDesk(capacity)
    for decision in sorted(answers, key=rank_by_time):
        desk.record(read_asked(decision), takes_place=decision.takes_place)
    return desk


def rank_by_time(decision: ClaimDecision) -> tuple[int, str, str]:
    """Return the place of an answered request among those that the desk was asked for."""
    return to_micros(decision.seen_at or _EPOCH), decision.order_id, decision.outcome_id or ""


def read_asked(decision: ClaimDecision) -> Asked:
    """Return an answered request as the desk saw it."""
    return Asked(
        to_micros(decision.seen_at or _EPOCH), decision.order_id, decision.p_malicious or 0.0, decision.worth_minor or 0
    )


def find_order_p(rows: Sequence[Row], order_id: int) -> float:
    """Find the probability that an order was given when it was first decided about; NaN where nothing was kept.

    Parameters
    ----------
    rows : all that there is of its order id
    order_id : keyed id that it is known by, signed
    """
    decided = [row for row in rows if row["event"] == DECISION and row[ORDER_ID] == order_id and not is_answer(row)]
    if not decided:
        return math.nan
    p = json.loads(min(decided, key=lambda row: row["seen_at"])["decision"]).get("p_malicious")
    return math.nan if p is None else float(p)
