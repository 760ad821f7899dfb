"""What an order, an outcome, a verdict and a correction are: every field, unit, bound and set of values, once.

Texts are trimmed and a blank one counts as not given. Instants are UTC. Amounts are whole minor units (分). Tables are
checked by rules read off these models (`fields.py`), so a bound is changed here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from ordervet.contract.fields import NotBefore, OnlyWith, Personal, Reads, SameAs, fields_of, same_as
from ordervet.contract.values import is_missing
from ordervet.currencies import PER_DOLLAR

if TYPE_CHECKING:
    from collections.abc import Iterator

# Names an extra entity or category cannot take: they name the built-in entities and the order itself.
RESERVED_NAMES = frozenset(
    {
        "buyer",
        "address",
        "place",
        "phone",
        "device",
        "ip",
        "payment",
        "recipient",
        "item",
        "category",
        "shop",
        "channel",
        "campaign",
        "order",
        "group",
    }
)
EXTRA_PREFIXES = {"entity__": "entities", "number__": "numbers", "category__": "categories"}
_EXTRA_NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
_MAX_EXTRA_NAME = 32


class OrderStatus(StrEnum):
    """How far an order has come: placed and not paid, paid, shipped, or received by the buyer."""

    UNPAID = "unpaid"
    PAID = "paid"
    SHIPPED = "shipped"
    RECEIVED = "received"


class OutcomeKind(StrEnum):
    """What became of an order, as it became known."""

    CANCELLED_UNPAID = "cancelled_unpaid"
    CANCELLED_PAID = "cancelled_paid"
    REFUND_REQUESTED = "refund_requested"
    REFUND_COMPLETED = "refund_completed"
    REFUND_REJECTED = "refund_rejected"
    RETURN_RECEIVED = "return_received"
    DELIVERY_REFUSED = "delivery_refused"
    CLAIM = "claim"
    BAD_REVIEW = "bad_review"
    CHARGEBACK = "chargeback"
    FULFILLED = "fulfilled"


class RefundType(StrEnum):
    """What a refund asks for."""

    RETURN_AND_REFUND = "return_and_refund"
    REFUND_ONLY = "refund_only"
    BEFORE_SHIPPING = "before_shipping"
    EXCHANGE = "exchange"
    PRICE_PROTECTION = "price_protection"
    FREIGHT = "freight"
    OTHER = "other"


class RefundReason(StrEnum):
    """What the buyer gives as the reason of a refund."""

    NOT_RECEIVED = "not_received"
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    MISSING_PARTS = "missing_parts"
    QUALITY = "quality"
    SAFETY = "safety"
    LATE = "late"
    CHANGED_MIND = "changed_mind"
    OTHER = "other"


class Blame(StrEnum):
    """Whose fault an outcome was found to be."""

    BUYER = "buyer"
    SELLER = "seller"
    CARRIER = "carrier"
    PLATFORM = "platform"
    UNKNOWN = "unknown"


class VerdictValue(StrEnum):
    """What someone decided an order to be."""

    MALICIOUS = "malicious"
    INNOCENT = "innocent"
    UNSURE = "unsure"


class Decider(StrEnum):
    """Who decided; ``audit`` is the desk on an order of the random audit, which would have passed."""

    DESK = "desk"
    PLATFORM = "platform"
    RULE = "rule"
    AUDIT = "audit"


class MaliceKind(StrEnum):
    """The kinds of malice an order can have."""

    REFUND_ONLY_ABUSE = "refund_only_abuse"
    RETURN_SWAP = "return_swap"
    FAKE_RETURN = "fake_return"
    FREIGHT_INSURANCE_FRAUD = "freight_insurance_fraud"
    COUPON_FARMING = "coupon_farming"
    UNPAID_HOARDING = "unpaid_hoarding"
    RIVAL_BULK_REFUND = "rival_bulk_refund"
    PROFESSIONAL_CLAIM = "professional_claim"
    REVIEW_EXTORTION = "review_extortion"
    SCALPING = "scalping"
    DELIVERY_REFUSAL = "delivery_refusal"
    STOLEN_PAYMENT = "stolen_payment"


MAX_EXTRAS = 512
"""How many entities, numbers and categories of its own an order may have, of each. The longest row that a history
stores of an order then stays under half a mebibyte."""


def check_extras(extras: dict[str, Any]) -> dict[str, Any]:
    """Check how many extras of one kind an order has."""
    if len(extras) > MAX_EXTRAS:
        raise PydanticCustomError("too_many", f"at most {MAX_EXTRAS} of a kind")
    return extras


def check_extra_name(name: str) -> str:
    """Check the name of an extra number: lower-case words joined by single underscores, at most 32 characters."""
    if len(name) > _MAX_EXTRA_NAME or not _EXTRA_NAME.match(name):
        raise PydanticCustomError("name", "use lower-case words joined by single underscores, at most 32 characters")
    return name


def check_entity_name(name: str) -> str:
    """Check the name of an extra entity or category, which also may not be that of a built-in one."""
    if name in RESERVED_NAMES:
        raise PydanticCustomError("name", "this is the name of a built-in entity")
    return check_extra_name(name)


REFUND_KINDS = frozenset({OutcomeKind.REFUND_REQUESTED, OutcomeKind.REFUND_COMPLETED, OutcomeKind.REFUND_REJECTED})

_Text = Annotated[str, Reads("text")]
_Id = Annotated[_Text, MaxLen(64)]
_Label = Annotated[_Text, MaxLen(64)]
_Text32 = Annotated[_Text, MaxLen(32)]
_Text128 = Annotated[_Text, MaxLen(128)]
_Personal64 = Annotated[_Text, MaxLen(64), Personal()]
_Personal128 = Annotated[_Text, MaxLen(128), Personal()]
_Personal512 = Annotated[_Text, MaxLen(512), Personal()]
_Currency = Annotated[str, Reads("text", is_upper=True), StringConstraints(pattern=f"^({'|'.join(PER_DOLLAR)})$")]
_Instant = Annotated[datetime, Reads("instant")]
_Money = Annotated[int, Reads("integer"), Ge(0), Le(10**13)]
_Number = Annotated[float, Reads("number")]
_FewExtras = AfterValidator(check_extras)
_YesNo = Annotated[bool, Reads("boolean")]
ExtraName = Annotated[str, AfterValidator(check_extra_name)]
EntityName = Annotated[str, AfterValidator(check_entity_name)]


@lru_cache(maxsize=16)
def _defaults_of(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """List the fields that take the value of another one when they are not given, and which one."""
    return tuple((field.name, field.default_from) for field in fields_of(model) if field.default_from)


class Event(BaseModel):
    """What every event has: values that do not change, no unknown field, nothing personal when shown."""

    # SPEED: `order_reader.py` reads live orders; the validators of the models are built when one is used.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
    instant_field: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _drop_missing(cls, data: object) -> object:
        """Leave out values that are not given and fold flat extra columns (``entity__terminal``) into their dicts."""
        if not isinstance(data, Mapping):
            return data
        given: dict[str, Any] = {}
        for name, value in data.items():
            if isinstance(value, dict):
                extras = {key: extra for key, extra in value.items() if not is_missing(extra)}
                given[name] = given.get(name, {}) | extras
            elif not is_missing(value):
                if not isinstance(name, str) or "__" not in name:
                    given[name] = value
                    continue
                prefix, joint, bare = name.partition("__")
                extras_field = EXTRA_PREFIXES.get(prefix + joint)
                if extras_field in cls.model_fields:
                    given.setdefault(extras_field, {})[bare] = value
                else:
                    given[name] = value
        return given

    @model_validator(mode="after")
    def _fill_from_other_fields(self) -> Self:
        for name, other in _defaults_of(type(self)):
            if isinstance(self.__dict__[name], SameAs):
                self.__dict__[name] = self.__dict__[other]
        return self

    def to_row(self) -> dict[str, Any]:
        """Return the values as one flat row in contract columns; what is not given is left out."""
        row: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, dict):
                prefix = next(p for p, field in EXTRA_PREFIXES.items() if field == name)
                row.update({prefix + key: extra for key, extra in value.items()})
            elif value is not None:
                row[name] = value
        return row

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what is given, except anything personal."""
        for field in fields_of(type(self)):
            value = getattr(self, field.name)
            if value is not None and value != {} and not field.is_personal:
                yield field.name, value


class Order(Event):
    """One order as placed: who, where, what, for how much, and through which channel.

    Only `order_id`, `placed_at` and `amount_minor` are required; whatever else is absent counts as missing evidence,
    never as guilt. Nothing that became known after the order was placed belongs here, but for `status`: how far the
    order had come when its row was written. It chooses what the desk may say, and no feature reads it.
    """

    instant_field: ClassVar[str] = "placed_at"

    order_id: _Id
    order_uid: _Id | None = None
    placed_at: _Instant
    seen_at: Annotated[_Instant, NotBefore("placed_at")] = same_as("placed_at")
    amount_minor: _Money
    discount_minor: _Money | None = None
    shipping_minor: _Money | None = None
    currency: _Currency = "CNY"
    quantity: Annotated[int, Reads("integer"), Ge(1), Le(1_000_000)] | None = None
    n_lines: Annotated[int, Reads("integer"), Ge(1), Le(10_000)] | None = None
    buyer_id: _Personal128 | None = None
    buyer_registered_at: _Instant | None = None
    recipient: _Personal128 | None = None
    address: _Personal512 | None = None
    address_group: _Personal128 | None = None
    phone: _Personal64 | None = None
    phone_group: _Personal128 | None = None
    country: _Personal64 | None = None
    device_id: _Personal128 | None = None
    ip: _Personal64 | None = None
    payment_account: _Personal128 | None = None
    item_id: _Text128 | None = None
    category: _Text128 | None = None
    shop_id: _Text128 | None = None
    updated_at: _Instant | None = None
    channel: _Label | None = None
    platform: _Text32 | None = None
    campaign: _Label | None = None
    is_insured: _YesNo | None = None
    status: Annotated[OrderStatus, Reads("text")] | None = None
    entities: Annotated[dict[EntityName, _Personal512], _FewExtras] = Field(default_factory=dict)
    numbers: Annotated[dict[ExtraName, _Number], _FewExtras] = Field(default_factory=dict)
    categories: Annotated[dict[EntityName, _Text128], _FewExtras] = Field(default_factory=dict)


class Outcome(Event):
    """One thing that became of an order: a cancellation, a refund step, a refusal, a claim, or plain fulfilment.

    A refund that is asked for may say why (`reason`), whether pictures or a video came with it (`has_evidence`), and
    when the goods had been signed for (`delivered_at`).
    """

    instant_field: ClassVar[str] = "happened_at"

    order_id: _Id
    order_uid: _Id | None = None
    shop_id: _Text128 | None = None
    outcome_id: _Id | None = None
    line_id: _Id | None = None
    kind: Annotated[OutcomeKind, Reads("text")]
    happened_at: _Instant
    seen_at: Annotated[_Instant, NotBefore("happened_at")] = same_as("happened_at")
    refund_type: Annotated[RefundType, Reads("text"), OnlyWith("kind", REFUND_KINDS)] | None = None
    amount_minor: _Money | None = None
    reason: Annotated[RefundReason, Reads("text"), OnlyWith("kind", REFUND_KINDS)] | None = None
    has_evidence: _YesNo | None = None
    delivered_at: _Instant | None = None
    blame: Annotated[Blame, Reads("text")] | None = None
    is_inferred: _YesNo | None = None
    updated_at: _Instant | None = None


class Verdict(Event):
    """What someone decided an order to be, and since when that is known.

    `agent` is the desk's own word for who decided, such as a number or a nickname: it is kept as it is.
    """

    instant_field: ClassVar[str] = "decided_at"

    order_id: _Id
    order_uid: _Id | None = None
    shop_id: _Text128 | None = None
    verdict: Annotated[VerdictValue, Reads("text")]
    kind: Annotated[MaliceKind, Reads("text"), OnlyWith("verdict", frozenset({VerdictValue.MALICIOUS}))] | None = None
    by: Annotated[Decider, Reads("text")] = Decider.DESK
    agent: _Text32 | None = None
    decided_at: _Instant
    seen_at: Annotated[_Instant, NotBefore("decided_at")] = same_as("decided_at")


class Correction(Event):
    """An appeal that was upheld: from `seen_at` on the order's verdicts count no more."""

    instant_field: ClassVar[str] = "corrected_at"

    order_id: _Id
    order_uid: _Id | None = None
    shop_id: _Text128 | None = None
    corrected_at: _Instant
    seen_at: Annotated[_Instant, NotBefore("corrected_at")] = same_as("corrected_at")
