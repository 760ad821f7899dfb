"""Judging refund requests in bulk: each by what was known when it was made, by one replay of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract import Outcome, OutcomeKind
from ordervet.errors import ModelError
from ordervet.features import FeatureEngine, OrderEvents, build_later_events, build_order_events
from ordervet.features.claims import CLAIM_NAMES, ask_orders, build_claim_events, build_claim_features
from ordervet.model import ForestPredictor
from ordervet.policy.claims import ClaimAnswer, ClaimDecision, answer_claim, name_claim_script
from ordervet.policy.codes import DecisionCode
from ordervet.policy.reasons import OneReasoner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities import KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Lang, Policy, Reason

CLAIM_SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("outcome_id", pa.string()),
        ("happened_at", pa.timestamp("us", tz="UTC")),
        ("refund_type", pa.string()),
        ("amount_minor", pa.int64()),
        ("answer", pa.string()),
        ("p_malicious", pa.float64()),
        ("reasons", pa.list_(pa.string())),
        ("script", pa.string()),
        ("applied", pa.list_(pa.string())),
        ("code", pa.string()),
    ]
)
_MOST_URGENT = (ClaimAnswer.PERSON, ClaimAnswer.EVIDENCE, ClaimAnswer.RETURN_FIRST, ClaimAnswer.PAY_NOW)


def judge_claims(
    events: KeyedEvents, model: Model, policy: Policy, *, lang: Lang = "zh", n_threads: int = 1
) -> tuple[pa.Table, list[ClaimDecision]]:
    """Judge all refund requests among events.

    What an order was given is what the model gives it by what was known before it was placed.

    Returns
    -------
    the requests as they are among the outcomes, and a decision about each

    Raises
    ------
    ModelError
        The model has none of claims.

    References
    ----------
    `Scorer.score_claim` gives the same, one by one.
    """
    if model.claims is None:
        raise ModelError("there is no model of claims", hint="ordervet train makes one, and the starter has one")
    requests = events.outcomes.filter(pc.equal(events.outcomes["kind"], OutcomeKind.REFUND_REQUESTED))
    orders, claims = build_order_events(events.orders, model.spec), build_claim_events(requests)
    asked, row, place = ask_orders(orders, claims)
    engine = FeatureEngine(model.spec, n_jobs=n_threads)
    every = engine.advance(OrderEvents.concat([orders, asked]), build_later_events(events))
    own = orders.take(row)
    raw = ForestPredictor(model.booster_text).predict_raw(np.ascontiguousarray(every[row]), n_threads=n_threads)
    of_claims = build_claim_features(claims.take(place), own, model.calibration(raw))
    features = np.ascontiguousarray(np.hstack([every[len(orders) :], of_claims]))
    p = model.claims.predict(features, n_threads=n_threads)
    worth = np.where(claims.amount_minor >= 0, claims.amount_minor, np.nan)[place] * own.read_rate()
    rows = requests.to_pylist()
    told = [Outcome(**{name: value for name, value in row.items() if name in Outcome.model_fields}) for row in rows]
    decisions = [
        ClaimDecision.unscored(
            claim.order_id, DecisionCode.UNSCORED_INVALID_ORDER, model_id=model.model_id, policy_id=policy.policy_id,
            applied=("unknown_order",),
        )
        for claim in told
    ]  # fmt: skip
    answers = [
        answer_claim(policy.claims, p_one, told[at], worth_one)
        for at, p_one, worth_one in zip(place.tolist(), p.tolist(), worth.tolist(), strict=True)
    ]
    reasons = _find_reasons(model, features, [answer for answer, _ in answers], lang, n_threads)
    for at, (answer, applied), p_one, why in zip(place.tolist(), answers, p.tolist(), reasons, strict=True):
        decisions[at] = ClaimDecision(
            order_id=told[at].order_id, outcome_id=told[at].outcome_id, answer=answer, p_malicious=p_one, reasons=why,
            applied=applied, script=name_claim_script(answer), model_id=model.model_id, policy_id=policy.policy_id,
            seen_at=told[at].seen_at,
        )  # fmt: skip
    return requests, decisions


def build_claim_table(requests: pa.Table, decisions: list[ClaimDecision]) -> pa.Table:
    """Build the table of judged requests: those for a person first, of each answer the likeliest malicious."""
    by_urgency = sorted(
        range(len(decisions)),
        key=lambda at: (_MOST_URGENT.index(decisions[at].answer), -(decisions[at].p_malicious or 0.0), at),
    )
    ranked = [decisions[at] for at in by_urgency]
    told = requests.take(pa.array(by_urgency, pa.int64()))
    columns = {name: told[name] for name in ("order_id", "outcome_id", "happened_at", "refund_type", "amount_minor")}
    columns |= {
        "answer": [str(each.answer) for each in ranked],
        "p_malicious": [each.p_malicious for each in ranked],
        "reasons": [[reason.text for reason in each.reasons] for each in ranked],
        "script": [each.script for each in ranked],
        "applied": [list(each.applied) for each in ranked],
        "code": [str(each.code) for each in ranked],
    }
    return pa.table(columns, schema=CLAIM_SCHEMA)


def _find_reasons(
    model: Model, features: NDArray[np.float32], answers: list[ClaimAnswer], lang: Lang, n_threads: int
) -> list[tuple[Reason, ...]]:
    """Find the reasons of what is not paid at once."""
    assert model.claims is not None  # noqa: S101 - told apart by the caller
    rows = [row for row, answer in enumerate(answers) if answer is not ClaimAnswer.PAY_NOW]
    reasoner = OneReasoner((*model.spec.names, *CLAIM_NAMES), lang)
    found: list[tuple[Reason, ...]] = [()] * len(answers)
    shares = model.claims.predictor.explain(features[rows], n_threads=n_threads)[:, :-1].tolist() if rows else []
    for row, of_one in zip(rows, shares, strict=True):
        found[row] = reasoner.find_reasons(reasoner.add_up(of_one), of_one, features[row].tolist())
    return found
