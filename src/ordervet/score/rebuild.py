"""Build the state of the features anew from a history store, without computing a feature of the orders in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ordervet.entities.keyed import ID, ORDER_ID
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.history.rows import split_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from ordervet.features import FeatureSpec

_OF_ALL = ("event", "event_id", ORDER_ID, "seen_at")
_OF_ORDERS = (*_OF_ALL, "happened_at", "amount_minor", "buyer_registered_at", "place_type")
_OF_LATER = (*_OF_ALL, "outcome", "refund_type", "amount_minor", "blame", "verdict")


def list_state_columns(spec: FeatureSpec) -> tuple[list[str], list[str]]:
    """List the columns of a store that the state of some features is made of: of orders, and of what came later."""
    return [*_OF_ORDERS, *(f"{ID}{entity}" for entity in spec.entities)], list(_OF_LATER)


def build_state(orders: pa.Table, later: pa.Table, spec: FeatureSpec, key_id: str, *, n_jobs: int = 1) -> FeatureEngine:
    """Build a state.

    Parameters
    ----------
    orders, later : rows of the store with the columns of `list_state_columns`, in any order
    spec : the features
    key_id : of the key that made the ids
    n_jobs : threads

    Returns
    -------
    the engine, as if it had answered every order
    """
    # SPEED: benchmarks/bench_reopen.py. The features of the orders themselves are no part of the state; and the engine
    # itself leaves out what is of no known order.
    bare = replace(spec, names=tuple(name for name in spec.names if not name.startswith("order__")))
    order_events = build_order_events(split_rows(orders, key_id).orders, bare)
    engine = FeatureEngine(spec, n_jobs=n_jobs)
    engine.remember(order_events, build_later_events(split_rows(later, key_id)))
    return engine
