"""What a refund request is answered with: paid at once, goods first, evidence first, or a person; never a refusal."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ordervet.contract.model import Blame, RefundReason, RefundType
from ordervet.policy.capacity import Capacity
from ordervet.policy.codes import GENERAL, DecisionCode, Stage
from ordervet.policy.desk import MARK_CODES, STANDING_CODES, Mark, Standing
from ordervet.words import format_text

if TYPE_CHECKING:
    from ordervet.contract import Outcome
    from ordervet.policy.reasons import Reason
    from ordervet.words import Lang


class ClaimAnswer(StrEnum):
    """What the service desk is asked to answer a refund request with; suggestions that a person may overrule.

    ``pay_now`` refunds at once, ``return_first`` refunds when the goods are back, ``evidence`` asks for pictures or a
    video, ``person`` has a person decide. None of them refuses.
    """

    PAY_NOW = "pay_now"
    RETURN_FIRST = "return_first"
    EVIDENCE = "evidence"
    PERSON = "person"


MOST_URGENT: Final = (ClaimAnswer.PERSON, ClaimAnswer.EVIDENCE, ClaimAnswer.RETURN_FIRST, ClaimAnswer.PAY_NOW)
"""The answers in the order in which a desk works them."""

FOOD: Final = (
    "food", "grocer", "supplement", "formula", "snack", "beverage", "食品", "食物", "生鲜", "水果", "零食", "饮料",
    "奶粉", "粮油", "茶叶", "酒", "保健", "营养品",
)  # fmt: skip
"""What names of categories of food contain."""


class ClaimSettings(BaseModel):
    """When a refund request is paid at once, and when a person decides.

    Parameters
    ----------
    pay_below : probability of malice below which a request is paid at once
    pay_trusted_below : the same for a trusted buyer (docs/definitions.md D13); None as for everybody
    person_from : probability from which a person decides, whatever is asked for
    pay_up_to_minor : most that is paid at once, fen; None for no limit
    food : categories of food contain one of these texts, in whatever case; what is asked of such an order is never kept
        from a person by a full desk
    capacity : how many requests people can look at, by day or shift; None for any number
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pay_below: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    pay_trusted_below: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    person_from: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    pay_up_to_minor: Annotated[int, Field(ge=0)] | None = None
    food: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(strict=False, max_length=1000)
    ] = FOOD
    capacity: Capacity | None = None

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.person_from < self.pay_below:
            raise ValueError("person_from is below pay_below")
        if not self.pay_below <= self.find_most(is_trusted=True) <= self.person_from:
            raise ValueError("pay_trusted_below is not between pay_below and person_from")
        if self.capacity is not None and not (self.capacity.count_holds and self.capacity.backlog is None):
            raise ValueError("count_holds and backlog say nothing of refund requests")
        return self

    def find_most(self, *, is_trusted: bool) -> float:
        """Return the probability below which a request is paid at once."""
        return self.pay_trusted_below if is_trusted and self.pay_trusted_below is not None else self.pay_below

    def is_food(self, category: str | None) -> bool:
        """Return whether a category is one of food."""
        folded = (category or "").casefold()
        return any(each.casefold() in folded for each in self.food)


_NOTHING_TO_SHOW: Final = (RefundType.PRICE_PROTECTION, RefundType.FREIGHT, RefundType.BEFORE_SHIPPING)
_COMES_BACK: Final = (RefundType.RETURN_AND_REFUND, RefundType.EXCHANGE)
_NOT_HELD: Final = (RefundReason.NOT_RECEIVED, RefundReason.MISSING_PARTS)
_RETURN_WITHIN: Final = timedelta(days=8)


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
        ``trust_earned``, ``trust_granted``, ``limit``), of what the desk's capacity did (``capacity_full``: in place of
        a person; ``capacity_beyond``: a person although the desk is full; ``desk_handed``: with a person before), or of
        why there was nothing to judge (``unknown_order``, ``invalid_FIELD``)
    worth_minor : what is asked for, fen; None where the request was not scored
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
    worth_minor: int | None = None
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

    @property
    def takes_place(self) -> bool:
        """Whether it takes a place of the desk: it goes to a person, and not for the second time."""
        is_new = STANDING_CODES[Standing.HANDED] not in self.applied
        return self.code is DecisionCode.SCORED and self.answer is ClaimAnswer.PERSON and is_new

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
    settings: ClaimSettings, p_malicious: float, claim: Outcome, worth_minor: float, trusted: tuple[str, ...] = ()
) -> tuple[ClaimAnswer, tuple[str, ...]]:
    """Answer a refund request.

    A request about safety always reaches a person. What was not shipped, or is the shop's own fault, is paid; so is
    what is below `pay_below`, of a trusted buyer below `pay_trusted_below`. Otherwise goods that are to come back come
    back first, and a person decides about what is likely malicious, or came with evidence that somebody has to look at.

    Parameters
    ----------
    p_malicious : calibrated probability
    claim : the request
    worth_minor : what is asked for, fen; NaN where that is not told
    trusted : the code of the buyer's trust, if any

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
    elif settings.pay_below <= p_malicious < settings.find_most(is_trusted=bool(trusted)):
        applied = trusted
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


def is_for_person(settings: ClaimSettings, claim: Outcome, category: str | None) -> bool:
    """Return whether a request that is for a person stays so, however full the desk.

    Safety and food are; so is a return within the seven days of the law, which begin the day after delivery, or where
    nobody knows of a delivery; and what there is nothing else to ask of: not shipped, or the shop's own fault.

    Parameters
    ----------
    claim : the request
    category : of its order
    """
    is_return = claim.refund_type in _COMES_BACK
    return (
        claim.reason is RefundReason.SAFETY
        or claim.refund_type is RefundType.BEFORE_SHIPPING
        or claim.blame is Blame.SELLER
        or settings.is_food(category)
        or (is_return and (claim.delivered_at is None or claim.happened_at < claim.delivered_at + _RETURN_WITHIN))
    )


def answer_when_full(claim: Outcome) -> ClaimAnswer:
    """Answer in place of a person: the goods first where they are to come back or were shown; else evidence."""
    if claim.refund_type in _COMES_BACK:
        return ClaimAnswer.RETURN_FIRST
    can_come_back = claim.refund_type not in _NOTHING_TO_SHOW and claim.reason not in _NOT_HELD
    return ClaimAnswer.RETURN_FIRST if claim.has_evidence and can_come_back else ClaimAnswer.EVIDENCE


def settle_answer(
    settings: ClaimSettings,
    claim: Outcome,
    category: str | None,
    answered: tuple[ClaimAnswer, tuple[str, ...]],
    *,
    has_place: bool,
    was_handed: bool,
) -> tuple[ClaimAnswer, tuple[str, ...]]:
    """Settle what a request is answered by what the desk can take on.

    Parameters
    ----------
    claim : the request
    category : of its order
    answered : of `answer_claim`
    has_place : whether the desk has a place for it
    was_handed : whether it is with a person already, as it was asked before

    Returns
    -------
    the answer, and the codes
    """
    answer, applied = answered
    if answer is not ClaimAnswer.PERSON:
        return answered
    if was_handed:
        return answer, (*applied, STANDING_CODES[Standing.HANDED])
    if has_place:
        return answered
    if is_for_person(settings, claim, category):
        return answer, (*applied, MARK_CODES[Mark.BEYOND])
    return answer_when_full(claim), (*applied, MARK_CODES[Mark.FULL])


def name_claim_script(answer: ClaimAnswer) -> str:
    """Return the id of the script for an answer: for a person the general one."""
    return f"{GENERAL if answer is ClaimAnswer.PERSON else answer}.{Stage.CLAIM}"


def explain_claim_code(code: str, lang: Lang = "zh") -> str:
    """Explain in a few words what decided about a request in place of the probability.

    Parameters
    ----------
    code : one of a decision's ``applied``, such as ``seller_fault``
    lang : "zh" or "en"

    Returns
    -------
    one clause, for the desk only
    """
    what, _, name = code.partition("_")
    return format_text(f"claim_codes.{'invalid' if what == 'invalid' else code}", lang, name=name)
