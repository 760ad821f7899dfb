"""Replaying a decision, from the history, model and policy it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.errors import ContractError, ModelError, PolicyError
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.model import ForestPredictor
from ordervet.policy import DecisionCode
from ordervet.score.batch import score_batch
from ordervet.score.quota_ledger import find_beyond
from ordervet.score.stages import STATUS_STAGES

if TYPE_CHECKING:
    from ordervet.entities import KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Decision, Lang, Policy


def replay_decision(
    decision: Decision,
    events: KeyedEvents,
    model: Model,
    policy: Policy,
    *,
    lang: Lang = "zh",
    now_us: int | None = None,
) -> Decision:
    """Replay a decision, as of the time it was made.

    Parameters
    ----------
    decision : of a single or paced order; if a batch was cut to a capacity, score the batch again
    events : of the history, as it was then or later: nothing seen since matters
    model, policy : as named by the decision
    lang : language of its reasons
    now_us : when a table or file with the order was scored, by which lists and rules end, UTC microseconds; None for an
        order that came live

    Returns
    -------
    the same decision

    Raises
    ------
    ModelError, PolicyError
        The model or policy is another one, or the order was cut with a batch.
    ContractError
        The decision was not scored, or the history has no such order at that time.
    """
    if decision.code is not DecisionCode.SCORED or decision.seen_at is None:
        raise ContractError("only a scored decision can be replayed", hint="it passed because it was not scored")
    if decision.model_id != model.model_id:
        raise ModelError(f"the decision was made by model {decision.model_id}", hint="load that model")
    if decision.policy_id != policy.policy_id:
        raise PolicyError(f"the decision was made under policy {decision.policy_id}", hint="load that policy file")
    if policy.capacity is not None and decision.pace is None:
        raise PolicyError("the order was cut with its batch", hint="score the whole batch again")
    orders = events.orders.filter(pc.less_equal(events.orders["seen_at"], pa.scalar(decision.seen_at)))
    rows = np.flatnonzero(np.asarray(pc.equal(orders["order_id"], decision.order_id)))
    if len(rows) != 1 or orders["seen_at"][int(rows[0])].as_py() != decision.seen_at:
        raise ContractError("the history has no such order at that time", hint="flush the scorer, then read again")
    order_events = build_order_events(orders, model.spec)
    features = FeatureEngine(model.spec).advance(order_events, build_later_events(events))
    return score_batch(
        _at_stage_of(decision, orders.take(pa.array(rows))),
        order_events.take(rows),
        features[rows],
        model=model,
        predictor=ForestPredictor(model.booster_text),
        policy=policy,
        lang=lang,
        pace=decision.pace,
        history_version=decision.history_version,
        now_us=now_us,
        beyond=find_beyond(policy, orders, events.outcomes),
    ).build_decision(0)


def _at_stage_of(decision: Decision, order: pa.Table) -> pa.Table:
    """Put an order back to the stage it was in: a later export may have told of its shipping.

    Parameters
    ----------
    decision : whose script names the stage; one without a script passes at any stage
    order : shape (1, n_columns), as it is known now
    """
    if decision.script is None:
        return order
    stage = decision.script.rpartition(".")[2]
    status = next((str(status) for status, of in STATUS_STAGES.items() if of == stage), None)
    at = order.schema.get_field_index("status")
    field = order.schema.field(at)
    return order.set_column(at, field, pa.array([status], pa.string()).cast(field.type))
