"""Orders in chunks are decided as they are all at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ordervet.entities import key_events, new_key
from ordervet.errors import ContractError, HistoryError, PolicyError
from ordervet.features import FeatureEngine, build_later_events
from ordervet.model import ForestPredictor
from ordervet.policy import Capacity, load_policy
from ordervet.score import Scorer
from ordervet.score.stream import StreamParts, stream_scores

if TYPE_CHECKING:
    from ordervet.contract import Events
    from ordervet.model import Model

KEY = new_key()


def build_parts(model: Model) -> StreamParts:
    return StreamParts(model, ForestPredictor(model.booster_text), load_policy(), FeatureEngine(model.spec), KEY)


def cut(orders: pa.Table, seed: int) -> list[pa.Table]:
    at = np.sort(np.random.default_rng(seed).integers(0, len(orders) + 1, 6)).tolist()
    return [orders.slice(low, high - low) for low, high in zip([0, *at], [*at, len(orders)], strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_chunks_are_decided_as_all_orders_at_once(merchant: Events, model: Model, seed: int) -> None:
    orders = merchant.orders.sort_by("seen_at")
    later = build_later_events(key_events(merchant, KEY))
    whole = Scorer(model, load_policy(), KEY).score_events(replace(merchant, orders=orders))

    chunks = list(stream_scores(cut(orders, seed), later, build_parts(model)))

    starts = np.cumsum([0, *(chunk.n_orders for chunk in chunks)])
    kept = {
        int(start + row): chunk.scored.build_decision(at)
        for start, chunk in zip(starts, chunks, strict=False)
        for at, row in enumerate(chunk.rows)
    }
    assert starts[-1] == len(orders)
    assert kept == {row: whole.build_decision(row) for row in kept}
    assert set(np.flatnonzero((whole.actions > 0) | (whole.bands > 0)).tolist()) <= set(kept)
    assert len(kept) > 100


def test_chunks_out_of_time_are_refused(merchant: Events, model: Model) -> None:
    orders = merchant.orders.sort_by("seen_at")
    later = build_later_events(key_events(merchant, KEY))

    with pytest.raises(HistoryError, match="not in order of time"):
        list(stream_scores([orders.slice(100), orders.slice(0, 100)], later, build_parts(model)))


def test_a_broken_row_ends_the_stream_with_its_own_error(merchant: Events, model: Model) -> None:
    orders = merchant.orders.sort_by("seen_at")
    broken = orders.set_column(
        orders.column_names.index("amount_minor"), "amount_minor", pa.array([-1] * len(orders), pa.int64())
    )
    later = build_later_events(key_events(merchant, KEY))

    with pytest.raises(ContractError, match="amount_minor"):
        list(stream_scores([orders.slice(0, 10), broken.slice(10)], later, build_parts(model)))


def test_a_capacity_is_refused(merchant: Events, model: Model) -> None:
    limited = load_policy().model_copy(update={"capacity": Capacity(n=10)})
    parts = replace(build_parts(model), policy=limited)
    later = build_later_events(key_events(merchant, KEY))

    with pytest.raises(PolicyError, match="all orders at once"):
        list(stream_scores([merchant.orders], later, parts))
