"""Judging live refund requests, one at a time and without tables."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract import Outcome, OutcomeKind
from ordervet.contract.order_reader import read_outcome
from ordervet.contract.values import floor_minute
from ordervet.entities.keyed import ORDER_ID
from ordervet.errors import ContractError, ModelError
from ordervet.features.claims import CLAIM_NAMES, build_one_claim
from ordervet.history.views import DECISION
from ordervet.policy.claims import ClaimAnswer, ClaimDecision, answer_claim, name_claim_script
from ordervet.policy.reasons import OneReasoner
from ordervet.score.live_decision import ScalarCurve
from ordervet.score.live_order import find_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.history.views import Row
    from ordervet.model import Model
    from ordervet.policy import Lang, Policy, Reason
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
        self._reasoner = OneReasoner((*model.claim_spec.names, *CLAIM_NAMES), lang)

    def judge(self, claim: Outcome, order: LiveOrder, matrix: NDArray[np.float32], order_p: float) -> ClaimDecision:
        """Judge a request.

        Parameters
        ----------
        claim : the request
        order : its order, as it is known now; its `seen_at` is now
        matrix : shape (1, n_features), the order's features as of now, by `Model.claim_spec`, without its own events
        order_p : the probability of malice that it was given when it was placed; NaN where it has none
        """
        rate = find_rate(order, self.model.spec)
        own = build_one_claim(
            claim, placed_at=floor_minute(order.kept.placed_us),
            amount_minor=order.order.amount_minor, rate=rate, order_p=order_p,
        )  # fmt: skip
        row = np.concatenate([matrix[0], np.array(own, np.float32)])[None]
        return self.decide(claim, row, rate, _EPOCH + timedelta(microseconds=order.seen_at))

    def decide(self, claim: Outcome, row: NDArray[np.float32], rate: float, seen_at: datetime) -> ClaimDecision:
        """Decide about a request by its features.

        Parameters
        ----------
        row : shape (1, n_features), those of the order as of then, then the request's own
        rate : what a minor unit of its order's currency is worth
        seen_at : the instant whose history is known
        """
        p = self._calibration(self._predictor.predict_one(row))
        asked = math.nan if claim.amount_minor is None else claim.amount_minor * rate
        answer, applied = answer_claim(self.policy.claims, p, claim, asked)
        reasons: tuple[Reason, ...] = ()
        if answer is not ClaimAnswer.PAY_NOW:
            shares = self._predictor.explain_one(row)
            reasons = self._reasoner.find_reasons(self._reasoner.add_up(shares), shares, row[0].tolist())
        return ClaimDecision(
            order_id=claim.order_id, outcome_id=claim.outcome_id, answer=answer, p_malicious=p, reasons=reasons,
            applied=applied, script=name_claim_script(answer), model_id=self.model.model_id,
            policy_id=self._policy_id, seen_at=seen_at,
        )  # fmt: skip


def find_order_p(rows: Sequence[Row], order_id: int) -> float:
    """Find the probability that an order was given when it was first decided about; NaN where nothing was kept.

    Parameters
    ----------
    rows : all that there is of its order id
    order_id : keyed id that it is known by, signed
    """
    decided = [row for row in rows if row["event"] == DECISION and row[ORDER_ID] == order_id]
    if not decided:
        return math.nan
    p = json.loads(min(decided, key=lambda row: row["seen_at"])["decision"]).get("p_malicious")
    return math.nan if p is None else float(p)
