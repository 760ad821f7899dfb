"""What a refund request is answered with: paid at once, goods first, evidence first, or a person; never a refusal."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ordervet.contract.model import Blame, RefundReason, RefundType
from ordervet.policy.codes import GENERAL, DecisionCode, Stage

if TYPE_CHECKING:
    from ordervet.contract import Outcome
    from ordervet.policy.reasons import Reason


class ClaimAnswer(StrEnum):
    """What the service desk is asked to answer a refund request with; suggestions that a person may overrule.

    ``pay_now`` refunds at once, ``return_first`` refunds when the goods are back, ``evidence`` asks for pictures or a
    video, ``person`` has a person decide. None of them refuses.
    """

    PAY_NOW = "pay_now"
    RETURN_FIRST = "return_first"
    EVIDENCE = "evidence"
    PERSON = "person"


class ClaimSettings(BaseModel):
    """When a refund request is paid at once, and when a person decides.

    Parameters
    ----------
    pay_below : probability of malice below which a request is paid at once
    person_from : probability from which a person decides, whatever is asked for
    pay_up_to_minor : most that is paid at once, fen; None for no limit
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pay_below: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    person_from: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    pay_up_to_minor: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.person_from < self.pay_below:
            raise ValueError("person_from is below pay_below")
        return self


_NOTHING_TO_SHOW: Final = (RefundType.PRICE_PROTECTION, RefundType.FREIGHT, RefundType.BEFORE_SHIPPING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDecision:
    """What to answer one refund request with, and why; a suggestion that a person may overrule.

    Parameters
    ----------
    order_id, outcome_id : of the request
    answer : what the desk is asked to answer
    p_malicious : calibrated probability, 0..1; None when the request was not scored
    reasons : at most four, the strongest first; for the desk alone
    applied : codes of what decided in place of the probability (``not_shipped``, ``seller_fault``, ``safety``,
        ``limit``), or of why there was nothing to judge (``unknown_order``, ``invalid_FIELD``)
    script : id of the support script
    model_id, policy_id : what the decision was made with
    seen_at : the instant whose history was known, with a zone
    code : how the decision came about; a request that was not scored goes to a person
    """

    order_id: str
    answer: ClaimAnswer
    outcome_id: str | None = None
    p_malicious: float | None = None
    reasons: tuple[Reason, ...] = ()
    applied: tuple[str, ...] = ()
    script: str | None = None
    model_id: str | None = None
    policy_id: str | None = None
    seen_at: datetime | None = None
    code: DecisionCode = DecisionCode.SCORED

    def __post_init__(self) -> None:
        if (self.code is DecisionCode.SCORED) == (self.p_malicious is None):
            raise ValueError("a request has a probability if and only if it was scored")
        if self.p_malicious is None and self.answer is not ClaimAnswer.PERSON:
            raise ValueError("a request that was not scored goes to a person")

    @classmethod
    def unscored(
        cls,
        order_id: str,
        code: DecisionCode,
        *,
        model_id: str | None,
        policy_id: str | None,
        applied: tuple[str, ...] = (),
    ) -> Self:
        """Leave a request that could not be judged to a person, and say why."""
        person = ClaimAnswer.PERSON
        return cls(
            order_id=order_id, answer=person, code=code, applied=applied, script=name_claim_script(person),
            model_id=model_id, policy_id=policy_id,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Self:
        """Make a decision of what `as_dict` returned; its reasons keep their text, in the language it was in.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is something else.
        """
        from ordervet.policy.reasons import Reason

        return cls(
            **row
            | {
                "answer": ClaimAnswer(row["answer"]),
                "reasons": tuple(Reason(**each) for each in row["reasons"]),
                "applied": tuple(row["applied"]),
                "seen_at": None if row["seen_at"] is None else datetime.fromisoformat(row["seen_at"]),
                "code": DecisionCode(row["code"]),
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as plain values, ready for JSON."""
        row = {each.name: getattr(self, each.name) for each in fields(self)}
        return row | {
            "answer": str(self.answer),
            "reasons": [reason.as_dict() for reason in self.reasons],
            "applied": list(self.applied),
            "seen_at": None if self.seen_at is None else self.seen_at.isoformat(),
            "code": str(self.code),
        }


def answer_claim(
    settings: ClaimSettings, p_malicious: float, claim: Outcome, worth_minor: float
) -> tuple[ClaimAnswer, tuple[str, ...]]:
    """Answer a refund request.

    A request about safety always reaches a person. What was not shipped, or is the shop's own fault, is paid; so is
    what is below `pay_below`. Otherwise goods that are to come back come back first, and a person decides about what is
    likely malicious, or came with evidence that somebody has to look at.

    Parameters
    ----------
    p_malicious : calibrated probability
    claim : the request
    worth_minor : what is asked for, fen; NaN where that is not told

    Returns
    -------
    the answer, and codes of what decided in place of the probability
    """
    if claim.reason is RefundReason.SAFETY:
        return ClaimAnswer.PERSON, ("safety",)
    is_within = settings.pay_up_to_minor is None or worth_minor <= settings.pay_up_to_minor
    applied: tuple[str, ...] = ()
    if claim.refund_type is RefundType.BEFORE_SHIPPING:
        applied = ("not_shipped",)
    elif claim.blame is Blame.SELLER:
        applied = ("seller_fault",)
    if applied or p_malicious < settings.pay_below:
        if is_within:
            return ClaimAnswer.PAY_NOW, applied
        applied = (*applied, "limit")
    if p_malicious >= settings.person_from:
        return ClaimAnswer.PERSON, applied
    if claim.refund_type in (RefundType.RETURN_AND_REFUND, RefundType.EXCHANGE):
        return ClaimAnswer.RETURN_FIRST, applied
    if claim.has_evidence or claim.refund_type in _NOTHING_TO_SHOW:
        return ClaimAnswer.PERSON, applied
    return ClaimAnswer.EVIDENCE, applied


def name_claim_script(answer: ClaimAnswer) -> str:
    """Return the id of the script for an answer: for a person the general one."""
    return f"{GENERAL if answer is ClaimAnswer.PERSON else answer}.{Stage.CLAIM}"
