"""Judging refund requests in bulk: each by what was known when it was made, by one replay of everything."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract import Outcome, OutcomeKind
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities.ids import hash_texts
from ordervet.entities.keyed import ORDER_ID
from ordervet.features import FeatureEngine, OrderEvents, build_later_events, build_order_events
from ordervet.features.claim_features import ask_orders, build_claim_events, build_claim_features
from ordervet.history.identity import identify
from ordervet.history.stored_rows import from_plain, to_plain, to_rows
from ordervet.model import ForestPredictor
from ordervet.policy.claims import MOST_URGENT, ClaimAnswer, ClaimDecision
from ordervet.policy.codes import DecisionCode
from ordervet.policy.scripts import load_scripts, write_messages
from ordervet.policy.slots import SLOTS
from ordervet.score.batch import read_ids
from ordervet.score.live_claim import (
    ClaimJudge,
    ClaimOrder,
    find_same,
    list_answers,
    open_desk,
    rank_by_time,
    read_answer,
    read_asked,
)
from ordervet.score.online_state import Answered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ordervet.entities import Key, KeyedEvents
    from ordervet.history.views import Row
    from ordervet.model import Model
    from ordervet.policy import Lang, Policy, Script
    from ordervet.policy.claim_desk import ClaimDesk

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


@dataclass(frozen=True, slots=True)
class JudgedClaims:
    """Refund requests and what they are answered.

    Parameters
    ----------
    requests : keyed, n of them as they are among the outcomes
    decisions : n of them
    is_new : shape (n,), whether it was answered now, and not before
    """

    requests: pa.Table
    decisions: list[ClaimDecision]
    is_new: NDArray[np.bool_]

    def rank(self) -> JudgedClaims:
        """Rank them: those for a person first, of each answer the likeliest malicious."""
        answers, p = ([getattr(each, name) for each in self.decisions] for name in ("answer", "p_malicious"))
        order = sorted(range(len(answers)), key=lambda at: (MOST_URGENT.index(answers[at]), -(p[at] or 0.0), at))
        rows = np.array(order, np.int64)
        return JudgedClaims(self.requests.take(pa.array(rows)), [self.decisions[at] for at in order], self.is_new[rows])


def judge_claims(
    events: KeyedEvents,
    model: Model,
    policy: Policy,
    *,
    is_asked: NDArray[np.bool_] | None = None,
    answers: Sequence[Row] = (),
    lang: Lang = "zh",
    n_threads: int = 1,
) -> JudgedClaims:
    """Judge refund requests among events, one after the other as they came.

    What an order was given is what the model gives it by what was known before it was placed.

    Parameters
    ----------
    is_asked : shape (n_outcomes,), whether it is judged if it is a request; None judges all
    answers : of `History.read_answers`: what was answered before stands, and has its places of the desk

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
    order_p = model.calibration(raw)
    of_claims = build_claim_features(claims.take(place), own, order_p)
    features = np.hstack([every[len(orders) :], of_claims])
    at = dict(zip(place.tolist(), range(len(place)), strict=True))
    categories = events.orders["category"].take(pa.array(row)).to_pylist()
    told = zip(order_p.tolist(), own.read_rate().tolist(), own.amount_minor.tolist(), categories, strict=True)
    ids = read_ids(policy, events.orders)
    of_orders = [
        ClaimOrder(p, partial(_read_id, ids, at), *rest) for at, (p, *rest) in zip(row.tolist(), told, strict=True)
    ]
    given, plain = requests.to_pylist(), to_plain(to_rows(replace(events, outcomes=requests), "outcomes"))
    known = _Known(answers)
    desk = open_desk(policy.claims.capacity, ())
    decisions: dict[int, ClaimDecision] = {}
    is_new = np.zeros(len(given), bool)
    seen_at = claims.seen_at.tolist()
    by_time = [(seen_at[number], each["order_id"], each["outcome_id"] or "") for number, each in enumerate(given)]
    for number in sorted(range(len(given)), key=by_time.__getitem__):
        before = known.list_answers(plain[number])
        if desk is not None:
            known.record(desk, until=by_time[number])
        if (same := find_same(before, plain[number])) is not None:
            decisions[number] = same
            continue
        claim = Outcome(**{name: value for name, value in given[number].items() if name in Outcome.model_fields})
        is_new[number] = number in at
        if number not in at:
            decisions[number] = ClaimDecision.unscored(
                claim.order_id, DecisionCode.UNSCORED_INVALID_ORDER, model_id=model.model_id,
                policy_id=policy.policy_id, applied=("unknown_order",),
            )  # fmt: skip
            continue
        one = at[number]
        was_handed = any(decision.answer is ClaimAnswer.PERSON for _, decision in before)
        decisions[number] = judge.decide(
            claim, features[one : one + 1], of_orders[one], seen_at[number], desk, was_handed=was_handed
        )
    return JudgedClaims(requests, [decisions[number] for number in range(len(given))], is_new)


def _read_id(ids: Mapping[str, NDArray[np.uint64]], row: int, entity: str) -> int:
    """Return the keyed id of one order's entity, 0 where not known."""
    return int(ids[entity][row]) if entity in ids else 0


class _Known:
    """What was answered before.

    Parameters
    ----------
    answers : rows of the store
    """

    def __init__(self, answers: Sequence[Row]) -> None:
        self._of_order: dict[int, list[Row]] = defaultdict(list)
        for row in answers:
            self._of_order[row[ORDER_ID]].append(row)
        self._in_order = deque(sorted(map(read_answer, answers), key=rank_by_time))

    def list_answers(self, request: Row) -> list[tuple[Row, ClaimDecision]]:
        """List what a request was answered, the latest last."""
        return list_answers(self._of_order.get(request[ORDER_ID], ()), request)

    def record(self, desk: ClaimDesk, until: tuple[int, str, str]) -> None:
        """Record with the desk what was answered up to a request that comes now, see `rank_by_time`."""
        while self._in_order and rank_by_time(self._in_order[0]) <= until:
            decision = self._in_order.popleft()
            desk.record(read_asked(decision), takes_place=decision.takes_place)


def build_answer_rows(events: KeyedEvents, judged: JudgedClaims, key: Key) -> pa.Table:
    """Build the rows of the store that remember what was answered now, for `Staging.add_rows`.

    Parameters
    ----------
    events : that the requests are among
    judged : of `judge_claims`
    key : the identifier key
    """
    requests = judged.requests.filter(pa.array(judged.is_new))
    decisions = [each for each, is_new in zip(judged.decisions, judged.is_new, strict=True) if is_new]
    rows = identify(to_rows(replace(events, outcomes=requests), "outcomes"), key)
    names = hash_texts(rows["order_id"], key, "order").view(np.int64).tolist()
    answered = [
        Answered(
            decision, {column: value for column, value in row.items() if value is not None}, name, row[ORDER_ID]
        ).row
        for decision, row, name in zip(decisions, to_plain(rows), names, strict=True)
    ]
    built = from_plain(answered, rows.schema)
    at = built.schema.get_field_index("recorded_at")
    recorded = pa.repeat(time.time_ns() // 1_000, built.num_rows).cast(built.schema.field(at).type)
    built = built.set_column(at, built.schema.field(at), recorded)
    return built.append_column("source", pa.repeat(0, built.num_rows))


def build_claim_table(
    judged: JudgedClaims,
    orders: pa.Table,
    scripts: Mapping[str, Script] | None = None,
    *,
    lang: Lang = "zh",
    time_zone: str = DEFAULT_TIME_ZONE,
) -> pa.Table:
    """Build the table of judged requests, in their order.

    Parameters
    ----------
    judged : of `judge_claims`
    orders : keyed, which the messages to the customers quote; of an order that is not there they are missing
    scripts : of `load_scripts`; None takes the shipped ones
    lang : language of the messages
    time_zone : IANA name of the zone in which they name a time
    """
    told, ranked = judged.requests, judged.decisions
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
