"""One live order as a table, and as the arrays that features are made of, as a batch has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.contract.values import floor_minute
from ordervet.entities import Evidence
from ordervet.features import OrderEvents
from ordervet.history.stored_rows import from_plain, split_rows
from ordervet.score.live_order import find_mask, find_rate, list_own_features

if TYPE_CHECKING:
    import pyarrow as pa

    from ordervet.features import FeatureSpec
    from ordervet.score.live_order import LiveOrder


def build_order_table(one: LiveOrder) -> pa.Table:
    """Build the keyed orders table of one order, shape (1, n_columns)."""
    return split_rows(from_plain([one.kept.row]), "").orders


def build_order_arrays(one: LiveOrder, spec: FeatureSpec) -> OrderEvents:
    """Build the arrays that features are made of from one order.

    Parameters
    ----------
    one : the order
    spec : the entities and order columns to build

    References
    ----------
    Truth: `features.build_order_events`.
    """
    ids, codes, entities = one.keyed.ids, one.keyed.evidence, spec.entities
    return OrderEvents(
        order_id=np.array([one.keyed.order_id], np.uint64),
        seen_at=np.array([one.seen_at], np.int64),
        amount_minor=np.array([one.order.amount_minor], np.int64),
        rate=np.array([find_rate(one, spec)]),
        ids={name: np.array([ids.get(name, 0)], np.uint64) for name in entities},
        own=np.array([list_own_features(one, spec)], np.float32).reshape(1, len(spec.order_columns)),
        evidence={name: np.array([codes.get(name, int(Evidence.ABSENT))], np.int8) for name in entities},
        mask=np.array([find_mask(one)], np.int64),
        placed_at=np.array([floor_minute(one.kept.placed_us)], np.int64),
    )
