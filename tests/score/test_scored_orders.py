"""Tables of decisions say what the decisions say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ordervet.entities import new_key
from ordervet.policy import find_reasons, list_test_orders, load_policy
from ordervet.policy.rules import Rule
from ordervet.score import DECISION_SCHEMA, ScoredOrders, Scorer
from ordervet.score.scored_orders import RowReasons

if TYPE_CHECKING:
    from ordervet.contract import Events
    from ordervet.model import Model
    from ordervet.policy import Lang

RULE = Rule(name="dear", when="order__value__amount >= 200000", action="review", route="lead", owner="x")
NAMES = ("buyer__count__order__1d", "address__distinct__buyer__7d", "order__value__amount")


def tabulate_slowly(scored: ScoredOrders, rows: list[int]) -> pa.Table:
    """Write the decisions down one by one."""
    decisions = [scored.build_decision(row) for row in rows]
    placed_at = scored.placed_at.to_pylist()
    told = [
        {
            "order_id": each.order_id, "placed_at": placed_at[row], "p_malicious": each.p_malicious,
            "risk_score": each.risk_score, "band": each.band and str(each.band), "action": str(each.action),
            "kind": each.kind and str(each.kind), "is_kind_guess": each.is_kind_guess if each.kind else None,
            "reasons": " | ".join(f"{reason.code} {reason.text}" for reason in each.reasons) or None,
            "script": each.script, "missing": " ".join(each.missing) or None, "model_id": each.model_id,
            "code": str(each.code), "route": each.route, "applied": " ".join(each.applied) or None,
        }
        for row, each in zip(rows, decisions, strict=True)
    ]  # fmt: skip
    return pa.Table.from_pylist(told, schema=DECISION_SCHEMA)


@pytest.fixture(scope="module")
def with_test_orders(merchant: Events) -> Events:
    ids = merchant.orders["order_id"].to_pylist()
    ids[: len(list_test_orders())] = list(list_test_orders())
    orders = merchant.orders.set_column(merchant.orders.column_names.index("order_id"), "order_id", pa.array(ids))
    return replace(merchant, orders=orders)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_table_says_what_the_decisions_say(with_test_orders: Events, model: Model, lang: Lang) -> None:
    policy = load_policy().model_copy(update={"rules": (RULE,), "allow_test_orders": True})
    scored = Scorer(model, policy, new_key(), lang=lang).score_events(with_test_orders)
    flagged = scored.rank_flagged()

    assert len(flagged) > 100
    assert scored.applied
    assert scored.codes
    assert scored.build_table(flagged).equals(tabulate_slowly(scored, flagged.tolist()))
    assert scored.build_table().equals(tabulate_slowly(scored, list(range(len(scored)))))


def test_batches_behind_each_other_keep_their_reasons(merchant: Events, model: Model) -> None:
    key = new_key()
    one = Scorer(model, load_policy(), key).score_events(merchant)
    other = Scorer(model, load_policy(), key).score_events(merchant, explain_all=True)

    whole = ScoredOrders.concat([one, other])

    assert dict(whole.reasons) == dict(one.reasons) | {len(one) + row: each for row, each in other.reasons.items()}


def test_some_rows_are_decided_as_among_all(with_test_orders: Events, model: Model) -> None:
    policy = load_policy().model_copy(update={"rules": (RULE,), "allow_test_orders": True})
    scored = Scorer(model, policy, new_key()).score_events(with_test_orders)
    rows = np.append(np.arange(20), np.flatnonzero(scored.actions)[-50:])

    some = scored.take(rows)

    assert [some.build_decision(row) for row in range(len(some))] == [scored.build_decision(row) for row in rows]
    assert some.build_table().equals(scored.build_table(rows))
    assert len(scored.take(rows[:0])) == 0


def test_rows_that_were_not_explained_have_no_reasons() -> None:
    found = find_reasons(NAMES, np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]), np.array([[3.0, np.nan, 1.0]] * 2))
    reasons = RowReasons(np.array([4, 9]), found)

    rows = np.array([9, 4, 7, 12])

    lines, codes = reasons.write_lines(rows), reasons.list_codes(rows)

    assert lines == [None, " | ".join(f"{each.code} {each.text}" for each in reasons[4]), None, None]
    assert codes == [(), tuple(each.code for each in reasons[4]), (), ()]
    assert [row in reasons for row in (4, 7, 9, 12)] == [True, False, True, False]
    assert dict(reasons.take(np.array([3, 4, 12]))) == {1: reasons[4]}
