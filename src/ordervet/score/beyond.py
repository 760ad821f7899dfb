"""What decides about orders beside their scores: lists, hard rules, and the ids of test orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.policy import build_overlay, find_test_order
from ordervet.policy.forcing import PREFIX
from ordervet.policy.rules import TEXT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec, OrderEvents
    from ordervet.policy import Overlay, Policy
    from ordervet.policy.forcing import TestOrder


def find_overlay(
    policy: Policy, orders: pa.Table, events: OrderEvents, features: NDArray[np.float32], spec: FeatureSpec
) -> Overlay | None:
    """Look orders up in the policy's lists and work out its rules.

    Parameters
    ----------
    policy : may have neither
    orders : keyed orders table
    events : the same orders as arrays, row by row
    features : shape (n_orders, n_features)
    spec : names the features; a rule about one it has not never holds

    Returns
    -------
    Overlay, shape (n_orders,); None without lists and rules
    """
    if not policy.lists.entries and not policy.rules:
        return None
    columns = _read_columns(policy, orders, features, spec)
    return build_overlay(policy, events.seen_at, ids=_read_ids(policy, orders), columns=columns)


def find_test_orders(policy: Policy, order_ids: Sequence[str]) -> dict[int, TestOrder]:
    """Find the orders whose ids name the decision they are to get.

    Parameters
    ----------
    policy : says whether there may be such orders
    order_ids : n_orders ids

    Returns
    -------
    row → what it is to get; empty where the policy does not allow test orders
    """
    if not policy.allow_test_orders:
        return {}
    found = ((row, find_test_order(each)) for row, each in enumerate(order_ids) if each.startswith(PREFIX))
    return {row: test for row, test in found if test is not None}


def _read_ids(policy: Policy, orders: pa.Table) -> dict[str, NDArray[np.uint64]]:
    entities = {entry.entity for entry in policy.lists.entries}
    names = [f"id__{entity}" for entity in sorted(entities) if f"id__{entity}" in orders.column_names]
    return {name.removeprefix("id__"): orders[name].to_numpy() for name in names}


def _read_columns(
    policy: Policy, orders: pa.Table, features: NDArray[np.float32], spec: FeatureSpec
) -> dict[str, NDArray[Any]]:
    position = {name: at for at, name in enumerate(spec.names)}
    columns: dict[str, NDArray[Any]] = {}
    for name in {name for rule in policy.rules for name in rule.expression.names}:
        if name in position:
            columns[name] = features[:, position[name]].astype(np.float64)
        elif name in orders.column_names:
            is_text = name in TEXT_FIELDS
            columns[name] = _read_texts(orders[name]) if is_text else _read_numbers(orders[name])
    return columns


def _read_texts(column: pa.ChunkedArray) -> NDArray[Any]:
    texts: NDArray[Any] = np.array([None, *column.cast(pa.string()).to_pylist()], object)[1:]
    return texts


def _read_numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return numbers
