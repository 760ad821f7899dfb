"""Judging refund requests in bulk: each by what was known when it was made, by one replay of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract import Outcome, OutcomeKind
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.features import FeatureEngine, OrderEvents, build_later_events, build_order_events
from ordervet.features.claims import ask_orders, build_claim_events, build_claim_features
from ordervet.model import ForestPredictor
from ordervet.policy.claims import ClaimAnswer, ClaimDecision
from ordervet.policy.codes import DecisionCode
from ordervet.policy.scripts import load_scripts, write_messages
from ordervet.policy.slots import SLOTS
from ordervet.score.live_claim import ClaimJudge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ordervet.entities import KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Lang, Policy, Script

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
        ("say_gentle", pa.string()),
        ("say_firm", pa.string()),
        ("applied", pa.list_(pa.string())),
        ("code", pa.string()),
    ]
)
_MOST_URGENT = (ClaimAnswer.PERSON, ClaimAnswer.EVIDENCE, ClaimAnswer.RETURN_FIRST, ClaimAnswer.PAY_NOW)


def judge_claims(
    events: KeyedEvents,
    model: Model,
    policy: Policy,
    *,
    is_asked: NDArray[np.bool_] | None = None,
    lang: Lang = "zh",
    n_threads: int = 1,
) -> tuple[pa.Table, list[ClaimDecision]]:
    """Judge refund requests among events.

    What an order was given is what the model gives it by what was known before it was placed.

    Parameters
    ----------
    is_asked : shape (n_outcomes,), whether it is judged if it is a request; None judges all

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
    judge = ClaimJudge(model, policy, lang)
    outcomes = events.outcomes if is_asked is None else events.outcomes.filter(pa.array(is_asked))
    requests = outcomes.filter(pc.equal(outcomes["kind"], OutcomeKind.REFUND_REQUESTED))
    orders, claims = build_order_events(events.orders, model.spec), build_claim_events(requests)
    asked, row, place = ask_orders(orders, claims)
    engine = FeatureEngine(model.claim_spec, n_jobs=n_threads)
    every = engine.advance(OrderEvents.concat([orders, asked]), build_later_events(events))
    own = orders.take(row)
    raw = ForestPredictor(model.booster_text).predict_raw(every[row, : len(model.spec.names)], n_threads=n_threads)
    of_claims = build_claim_features(claims.take(place), own, model.calibration(raw))
    features = np.hstack([every[len(orders) :], of_claims])
    at = dict(zip(place.tolist(), range(len(place)), strict=True))
    rates = own.read_rate().tolist()
    decisions = []
    for number, given in enumerate(requests.to_pylist()):
        claim = Outcome(**{name: value for name, value in given.items() if name in Outcome.model_fields})
        if number in at:
            one = at[number]
            decisions.append(judge.decide(claim, features[one : one + 1], rates[one], claim.seen_at))
        else:
            decisions.append(
                ClaimDecision.unscored(
                    claim.order_id, DecisionCode.UNSCORED_INVALID_ORDER, model_id=model.model_id,
                    policy_id=policy.policy_id, applied=("unknown_order",),
                )
            )  # fmt: skip
    return requests, decisions


def build_claim_table(
    requests: pa.Table,
    decisions: list[ClaimDecision],
    orders: pa.Table,
    scripts: Mapping[str, Script] | None = None,
    *,
    lang: Lang = "zh",
    time_zone: str = DEFAULT_TIME_ZONE,
) -> pa.Table:
    """Build the table of judged requests: those for a person first, of each answer the likeliest malicious.

    Parameters
    ----------
    requests, decisions : of `judge_claims`
    orders : keyed, which the messages to the customers quote; of an order that is not there they are missing
    scripts : of `load_scripts`; None takes the shipped ones
    lang : language of the messages
    time_zone : IANA name of the zone in which they name a time
    """
    by_urgency = sorted(
        range(len(decisions)),
        key=lambda at: (_MOST_URGENT.index(decisions[at].answer), -(decisions[at].p_malicious or 0.0), at),
    )
    ranked = [decisions[at] for at in by_urgency]
    told = requests.take(pa.array(by_urgency, pa.int64()))
    messages = _write_messages(told, ranked, orders, scripts or load_scripts(), lang, time_zone)
    columns = {name: told[name] for name in ("order_id", "outcome_id", "happened_at", "refund_type", "amount_minor")}
    columns |= {
        "answer": [str(each.answer) for each in ranked],
        "p_malicious": [each.p_malicious for each in ranked],
        "reasons": [[reason.text for reason in each.reasons] for each in ranked],
        "script": [each.script for each in ranked],
        "say_gentle": [None if each is None else each[0] for each in messages],
        "say_firm": [None if each is None else each[1] for each in messages],
        "applied": [list(each.applied) for each in ranked],
        "code": [str(each.code) for each in ranked],
    }
    return pa.table(columns, schema=CLAIM_SCHEMA)


def _write_messages(
    requests: pa.Table,
    decisions: list[ClaimDecision],
    orders: pa.Table,
    scripts: Mapping[str, Script],
    lang: Lang,
    time_zone: str,
) -> list[tuple[str, str] | None]:
    """Write the gentle and the firm message of each request's script."""
    wanted = pc.index_in(requests["id__order"], orders["id__order"])
    quoted = orders.select([name for name in (*SLOTS, "currency", "amount_minor") if name in orders.column_names])
    told = quoted.take(pc.fill_null(wanted, 0)).to_pylist() if orders.num_rows else [{}] * len(decisions)
    return [
        None if at is None or each.script is None
        else write_messages(scripts[each.script], order, lang=lang, time_zone=time_zone)
        for at, each, order in zip(wanted.to_pylist(), decisions, told, strict=True)
    ]  # fmt: skip
