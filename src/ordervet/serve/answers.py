"""What goes over the wire: the answers as pydantic models, and the OpenAPI document of them and of the contract."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ordervet.contract import Correction, MaliceKind, Order, Outcome, OutcomeKind, Verdict
from ordervet.policy import Action, Band, DecisionCode
from ordervet.policy.claims import ClaimAnswer

EVENTS: Final[dict[str, type[Outcome | Verdict | Correction]]] = {
    "outcome": Outcome,
    "verdict": Verdict,
    "correction": Correction,
}
"""By the word in the field ``event``."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReasonDocument(_Document):
    """One reason, for the desk only."""

    code: str
    name: str
    contribution: float
    text: str


class PaceDocument(_Document):
    """What was handed on to the desk at that time."""

    least: float
    tie_from: float
    slots: int


class DecisionDocument(_Document):
    """One order's decision; a suggestion that a person may overrule."""

    order_id: str
    action: Action
    band: Band | None
    p_malicious: float | None
    risk_score: int | None
    kind: MaliceKind | None
    is_kind_guess: bool
    reasons: list[ReasonDocument]
    script: str | None
    missing: list[str]
    model_id: str | None
    policy_id: str | None
    code: DecisionCode
    seen_at: str | None
    history_version: int | None
    pace: PaceDocument | None
    route: str | None
    applied: list[str]


class ClaimDecisionDocument(_Document):
    """What to answer one refund request with; a suggestion that a person may overrule."""

    order_id: str
    outcome_id: str | None
    answer: ClaimAnswer
    p_malicious: float | None
    reasons: list[ReasonDocument]
    applied: list[str]
    worth_minor: int | None
    script: str | None
    model_id: str | None
    policy_id: str | None
    seen_at: str | None
    code: DecisionCode


class PartDocument(_Document):
    """What one feature adds to a score; a value of null is not known."""

    feature: str
    value: float | None
    contribution: float


class ExplanationDocument(_Document):
    """An order's last decision, and what each feature adds to its score by what is known now, the largest first."""

    decision: DecisionDocument
    parts: list[PartDocument]


class ObservedDocument(_Document):
    """How many events are remembered now; those that were known before are among them."""

    n_events: int


class StateDocument(_Document):
    """Whether the service is alive, or ready."""

    state: Literal["alive", "stuck", "ready", "no_model", "stopping"]


class ErrorDocument(_Document):
    """What failed, and what to do about it."""

    message: str
    hint: str


_ORDER: Final = {
    "order_id": "T20251112000001",
    "placed_at": "2025-12-12 20:03:07",
    "amount_minor": 12_900,
    "buyer_id": "b-1029",
    "address": "浙江省杭州市西湖区文三路 99 号 3 栋 502",
    "phone": "19900001234",
    "item_id": "sku-7",
    "channel": "live",
}
_OUTCOME: Final = {
    "event": "outcome",
    "order_id": "T20251112000001",
    "kind": "refund_requested",
    "happened_at": "2025-12-13 09:00:00",
}
_DECISION: Final = {
    "order_id": "T20251112000001",
    "action": "pass",
    "band": "low",
    "p_malicious": 0.004,
    "risk_score": 120,
    "kind": None,
    "is_kind_guess": False,
    "reasons": [],
    "script": None,
    "missing": [],
    "model_id": "m-20251112",
    "policy_id": "0123456789ab",
    "code": "SCORED",
    "seen_at": "2025-12-12T12:03:08+00:00",
    "history_version": 7,
    "pace": None,
    "route": None,
    "applied": [],
}
_CLAIM: Final = {
    "order_id": "T20251112000001",
    "outcome_id": "R1",
    "happened_at": "2025-12-13 09:00:00",
    "refund_type": "refund_only",
    "amount_minor": 12_900,
    "reason": "damaged",
    "has_evidence": True,
}
_CLAIM_DECISION: Final = {
    "order_id": "T20251112000001",
    "outcome_id": "R1",
    "answer": "pay_now",
    "p_malicious": 0.004,
    "reasons": [],
    "applied": [],
    "worth_minor": 12_900,
    "script": "pay_now.claim",
    "model_id": "m-20251112",
    "policy_id": "0123456789ab",
    "seen_at": "2025-12-13T01:00:01+00:00",
    "code": "SCORED",
}
_JSON: Final = "application/json"
_MODELS: Final = (
    DecisionDocument, ClaimDecisionDocument, ExplanationDocument, ObservedDocument, StateDocument, ErrorDocument, Order,
    Outcome, Verdict, Correction,
)  # fmt: skip
_ERRORS: Final = {
    "400": "The body is not JSON, or not UTF-8.",
    "401": "The token is missing or wrong.",
    "408": "The request did not arrive in time.",
    "413": "The body, or the number of orders in it, is too large.",
    "422": "The body breaks the contract; nothing of it was remembered.",
    "429": "Too many requests wait; Retry-After says when to send it again.",
    "503": "The history cannot be written, or the service was too late or is stopping; send it again.",
}


def build_openapi(version: str) -> dict[str, Any]:
    """Build the OpenAPI 3.1 document.

    Parameters
    ----------
    version : of the package
    """
    schemas = _build_schemas()
    deadline = {
        "name": "Ordervet-Deadline-Ms", "in": "header", "required": False,
        "schema": {"type": "number", "exclusiveMinimum": 0},
        "description": "Answer within so many milliseconds, if that is less than what the service allows.",
    }  # fmt: skip
    many = {"type": "array", "items": _refer(Order), "maxItems": 1000}
    events = [_refer(model) for model in EVENTS.values()]
    claim = {"$ref": "#/components/schemas/Claim"}
    scored = {"oneOf": [_refer(DecisionDocument), {"type": "array", "items": _refer(DecisionDocument)}]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ordervet", "version": version,
            "description": "Scores e-commerce orders for malice. An order always gets a decision: where it cannot be "
            "scored, it passes with a code UNSCORED_….",
        },
        "paths": {
            "/v1/score": {"post": _operation(
                "score", "Score one order, or many that arrive together; an order sent again gets the same decision.",
                scored, "400 401 408 413 422 429", parameters=[deadline],
                body={"oneOf": [_refer(Order), many]}, examples={"one": _ORDER, "many": [_ORDER]}, answer=_DECISION,
            )},
            "/v1/rescore": {"post": _operation(
                "rescore", "Decide again by what is known now: the order as it is, or its order_id alone.",
                _refer(DecisionDocument), "400 401 408 413 422 429", parameters=[deadline],
                body={"oneOf": [_refer(Order), {
                    "type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"],
                    "additionalProperties": False,
                }]},
                examples={"id": {"order_id": "T20251112000001"}}, answer=_DECISION,
            )},
            "/v1/claims": {"post": _operation(
                "scoreClaim", "Judge refund requests as they are made, one or many, and remember them.",
                {"oneOf": [_refer(ClaimDecisionDocument), {"type": "array", "items": _refer(ClaimDecisionDocument)}]},
                "400 401 408 413 422 429", parameters=[deadline],
                body={"oneOf": [claim, {"type": "array", "items": claim, "maxItems": 1000}]},
                examples={"one": _CLAIM}, answer=_CLAIM_DECISION,
            )},
            "/v1/events": {"post": _operation(
                "observe", "Remember outcomes, verdicts and corrections, one or many; sent again they count once.",
                _refer(ObservedDocument), "400 401 408 413 422 429 503",
                body={"oneOf": [*events, {"type": "array", "items": {"oneOf": events}, "maxItems": 1000}]},
                examples={"one": _OUTCOME}, answer={"n_events": 1},
            )},
            "/v1/payloads/{format}": {"post": _operation(
                "observePayload", "Remember what a platform's message, such as a webhook, says became of orders.",
                _refer(ObservedDocument), "400 401 404 408 413 422 429 503",
                parameters=[
                    {"name": "format", "in": "path", "required": True, "schema": {"type": "string"},
                     "description": "A format that `ordervet formats` lists.", "example": "shopify_api_orders"},
                    {"name": "shop", "in": "query", "required": False, "schema": {"type": "string", "maxLength": 128},
                     "description": "Shop of orders in it that name none."},
                ],
                body={"type": ["object", "array"]},
            )},
            "/v1/orders/{order_id}/explanation": {"get": _operation(
                "explain", "Explain an order's decision.", _refer(ExplanationDocument), "401 404 422 429 503",
                parameters=[{"name": "order_id", "in": "path", "required": True, "schema": {"type": "string"}}],
            )},
            "/healthz": {"get": _operation("live", "Whether the service lives.", _refer(StateDocument), "503")},
            "/readyz": {"get": _operation("ready", "Whether the service can score.", _refer(StateDocument), "503")},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }  # fmt: skip


def _build_schemas() -> dict[str, Any]:
    # NOTE: what an answer has is what it always has; a request may leave out what has a default.
    _, definitions = TypeAdapter.json_schemas(
        [(model, "validation", TypeAdapter(model)) for model in _MODELS],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = definitions["$defs"]
    claim = schemas["Claim"] = deepcopy(schemas[Outcome.__name__])
    claim |= {"title": "Claim", "description": "A refund request.", "required": ["order_id", "happened_at"]}
    claim["properties"]["kind"] = {"const": OutcomeKind.REFUND_REQUESTED}
    for word, model in EVENTS.items():
        schema = schemas[model.__name__]
        schema["properties"] = {"event": {"const": word}, **schema["properties"]}
        schema["required"] = ["event", *schema["required"]]
    for name in ("Claim", Order.__name__, *(each.__name__ for each in EVENTS.values())):
        for field in schemas[name]["properties"].values():
            for part in (field, *field.get("anyOf", ())):
                _translate_bounds(part)
    return schemas


def _translate_bounds(schema: dict[str, Any]) -> None:
    """Say in JSON Schema what the contract's own marks say."""
    for bound, keyword in (("ge", "minimum"), ("le", "maximum")):
        if bound in schema:
            schema[keyword] = schema.pop(bound)
    if schema.pop("format", None):  # times are also read without an offset, and with a space for the T
        schema["description"] = "Such as 2025-11-11T20:03:07+08:00; without an offset, in Asia/Shanghai."


def _refer(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _operation(
    name: str,
    summary: str,
    answered: dict[str, Any],
    errors: str,
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    examples: dict[str, Any] | None = None,
    answer: object = None,
) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": answered}
    if answer is not None:
        content["example"] = answer
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": "Done.", "content": {_JSON: content}}},
    }
    for code in errors.split():
        is_state = name in ("live", "ready")
        text = "Not so." if is_state else _ERRORS.get(code, "There is none of this name.")
        schema = _refer(StateDocument if is_state else ErrorDocument)
        response: dict[str, Any] = {"description": text, "content": {_JSON: {"schema": schema}}}
        if code == "429":
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
        operation["responses"][code] = response
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        media: dict[str, Any] = {"schema": body}
        if examples:
            media["examples"] = {key: {"value": value} for key, value in examples.items()}
        operation["requestBody"] = {"required": True, "content": {_JSON: media}}
    return operation
