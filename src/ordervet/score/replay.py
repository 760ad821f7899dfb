"""A decision made again, from the history, model and policy it names."""

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

if TYPE_CHECKING:
    from ordervet.entities import KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Decision, Lang, Policy


def replay_decision(
    decision: Decision, events: KeyedEvents, model: Model, policy: Policy, *, lang: Lang = "zh"
) -> Decision:
    """Make a decision again, as of the instant it was made.

    Parameters
    ----------
    decision : of an order that came alone or at a pace; where a batch was cut to a capacity, score the batch again
    events : of the history, as it was or with what came later: nothing seen since plays a part
    model, policy : those the decision names
    lang : language of its reasons

    Returns
    -------
    the same decision

    Raises
    ------
    ModelError, PolicyError
        The model or policy is another one, or the order was cut together with a batch.
    ContractError
        The decision was not scored, or the history has no such order at that instant.
    """
    if decision.code is not DecisionCode.SCORED or decision.seen_at is None:
        raise ContractError("only a scored decision can be made again", hint="it passed because it was not scored")
    if decision.model_id != model.model_id:
        raise ModelError(f"the decision was made by model {decision.model_id}", hint="load that model")
    if decision.policy_id != policy.policy_id:
        raise PolicyError(f"the decision was made under policy {decision.policy_id}", hint="load that policy file")
    if policy.capacity is not None and decision.pace is None:
        raise PolicyError("the order was cut together with its batch", hint="score the whole batch again")
    orders = events.orders.filter(pc.less_equal(events.orders["seen_at"], pa.scalar(decision.seen_at)))
    rows = np.flatnonzero(np.asarray(pc.equal(orders["order_id"], decision.order_id)))
    if len(rows) != 1 or orders["seen_at"][int(rows[0])].as_py() != decision.seen_at:
        raise ContractError("the history has no such order at that instant", hint="flush the scorer, then read again")
    order_events = build_order_events(orders, model.spec)
    features = FeatureEngine(model.spec).advance(order_events, build_later_events(events))
    return score_batch(
        orders.take(pa.array(rows)),
        order_events.take(rows),
        features[rows],
        model=model,
        predictor=ForestPredictor(model.booster_text),
        policy=policy,
        lang=lang,
        pace=decision.pace,
        history_version=decision.history_version,
    ).build_decision(0)
