"""Prove that every path gives the same features: python tests/feature_parity.py [EVENTS].

One by one = random micro-batches = one batch, in pieces of random events (bursts, ties, late arrivals, absent keys,
huge places) until so many events are through; of every piece a small part = the reference; `==`, no tolerance. The same
definitions in SQL are compared by tests/features/test_sql_oracle.py.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np
from features_reference import compute_features

from ordervet.features import FeatureEngine
from random_events import SPEC, draw_events, list_cuts, sort_events

if TYPE_CHECKING:
    from ordervet.features import LaterEvents, OrderEvents

DAY = 86_400
SPANS = (2 * 3_600, 3 * DAY, 40 * DAY, 200 * DAY)
GRAINS = (1, 60, 3_600)
N_REFERENCE = 60


def replay(orders: OrderEvents, later: LaterEvents, order: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Serve the events in the order given, cut into calls that end before `ends`."""
    engine = FeatureEngine(SPEC)
    served = np.full((len(orders), len(SPEC.names)), -1, np.float32)
    begin = 0
    for end in (*ends, len(order)):
        called = order[begin:end]
        rows, marks = called[called < len(orders)], called[called >= len(orders)] - len(orders)
        served[rows] = engine.advance(orders.take(rows), later.take(marks))
        begin = end
    return served


def compare_paths(seed: int, n_orders: int) -> int:
    """Compare all paths on one draw; give the number of events.

    Raises
    ------
    AssertionError
        Two paths differ.
    """
    rng = np.random.default_rng(seed)
    span_s, grain_s = int(rng.choice(SPANS)), int(rng.choice(GRAINS))
    drawn = {"span_s": span_s, "grain_s": grain_s}
    orders, later = draw_events(rng, n_orders=n_orders, n_later=2 * n_orders, n_ids=int(rng.choice([4, 40])), **drawn)
    whole = FeatureEngine(SPEC, n_jobs=2).advance(orders, later)
    order = sort_events(orders, later)
    n = len(order)

    every_cut = list_cuts(orders, later, order)
    one_by_one = replay(orders, later, order, every_cut)
    np.testing.assert_array_equal(one_by_one, whole, err_msg=f"one by one, seed {seed}")
    cuts = np.sort(rng.choice(every_cut, min(len(every_cut), 40), replace=False))
    np.testing.assert_array_equal(replay(orders, later, order, cuts), whole, err_msg=f"micro-batches, seed {seed}")
    few = np.sort(rng.choice(len(orders), min(len(orders), N_REFERENCE), replace=False))
    about = np.flatnonzero(np.isin(later.order_id, orders.order_id[few]))
    part = orders.take(few), later.take(about)
    np.testing.assert_array_equal(
        FeatureEngine(SPEC).advance(*part), compute_features(*part, SPEC), err_msg=f"reference, seed {seed}"
    )
    return n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=int, nargs="?", default=2_000_000)
    parser.add_argument(
        "--piece", type=int, default=20_000, help="orders of a piece; a piece has three events an order"
    )
    asked = parser.parse_args()
    done, seed = 0, 0
    while done < asked.events:
        done += compare_paths(seed, asked.piece)
        seed += 1
        sys.stdout.write(f"{done:,} of {asked.events:,} events, {len(SPEC.names)} features: no mismatch\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
