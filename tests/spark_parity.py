"""Prove that Spark gives the features and scores of one machine: python tests/spark_parity.py [ORDERS].

Of so many simulated orders (copies of data/samples, as benchmarks/bench_spark.py makes them): half of all events at
full hours, so that many tie; one item in 30 % of all orders; a tenth of all orders in one component, each sharing a
phone with the one before and a device with the next; a payment account of a fifth; orders sent again; verdicts
corrected; sellers to blame. Rows come shuffled. All built-in features for 1, 3, 8 and 64 slots, scores once; `==`. With
--epochs, features epoch after epoch in place of these.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from bench_spark import KINDS, SETTINGS, write_copies

from ordervet.contract import Events, validate_events
from ordervet.entities import Key, key_events
from ordervet.features import build_spec
from ordervet.model import load_starter
from ordervet.policy import load_policy
from ordervet.score import Scorer
from ordervet.spark import build_features, score
from spark_sessions import assert_same, compute_here, running_spark

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = Key(bytes(range(1, 17)))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TIMES = ("placed_at", "happened_at", "decided_at", "seen_at")
N_SLOTS = (1, 3, 8, 64)
N_SLOTS_OF_SCORES = 8


def make_events(folder: Path, n_orders: int) -> Events:
    """Make events in no order."""
    rng = np.random.default_rng(n_orders)
    write_copies(folder, n_orders)
    copies = {kind: tie_some(pq.read_table(folder / kind), rng) for kind in KINDS}
    orders, outcomes, verdicts = (copies[kind] for kind in ("orders", "outcomes", "verdicts"))
    orders = link_some(orders, rng)
    again = [orders.take(pa.array(rng.choice(orders.num_rows, orders.num_rows // 50))) for _ in range(2)]
    again = [set_column(each, "seen_at", add(each["seen_at"], days=2 + 30 * at)) for at, each in enumerate(again)]
    is_seller = (rng.random(outcomes.num_rows) < 0.2) & np.asarray(pc.equal(outcomes["kind"], "refund_completed"))
    outcomes = set_column(outcomes, "blame", pc.if_else(pa.array(is_seller), "seller", outcomes["blame"]))
    upheld = verdicts.filter(pa.array(rng.random(verdicts.num_rows) < 0.2))
    corrections = pa.table([upheld["order_id"], add(upheld["seen_at"], hours=1)], ["order_id", "corrected_at"])
    made = Events(pa.concat_tables([orders, *again]), outcomes, verdicts, validate_events("corrections", corrections))
    return Events(**{kind: shuffle(getattr(made, kind), rng) for kind in KINDS})


def tie_some(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Put half of all events at full hours."""
    is_tied = pa.array(rng.random(table.num_rows) < 0.5)
    for name in set(TIMES).intersection(table.column_names):
        hours = pc.floor_temporal(table[name], unit="hour").cast(table[name].type)
        table = set_column(table, name, pc.if_else(is_tied, hours, table[name]))
    return table


def link_some(orders: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Put a tenth of all orders into one component, and a fifth on one payment account."""
    n = orders.num_rows
    place = np.full(n, -1)
    place[rng.choice(n, n // 10, replace=False)] = np.arange(n // 10)
    for name, numbers in (("buyer_id", place), ("phone", place // 2), ("device_id", (place + 1) // 2)):
        linked = pa.array([f"139{at:08d}" for at in numbers.tolist()])
        orders = set_column(orders, name, pc.if_else(pa.array(place >= 0), linked, orders[name]))
    own_phone: Any = pc.if_else(pa.array(place >= 0), pa.scalar(None, pa.string()), orders["phone_group"])
    paid = pc.if_else(pa.array(rng.random(n) < 0.2), "everybody's", orders["payment_account"])
    return set_column(set_column(orders, "phone_group", own_phone), "payment_account", paid)


def set_column(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def add(times: pa.ChunkedArray, **delta: int) -> pa.ChunkedArray:
    return pc.add(times, pa.scalar(timedelta(**delta), pa.duration("us"))).cast(times.type)


def check_epochs(frames: dict[str, Any], here: pa.Table, folder: Path, days: int, n_epochs: int) -> None:
    """Check that so many epochs of so many days, from the middle order on, give what one go gives."""
    seen_at = here["seen_at"].sort()
    ends = [seen_at[len(seen_at) // 2].as_py() + timedelta(days=days * at) for at in range(n_epochs + 1)]
    ends = [*(end for end in ends if end < seen_at[-1].as_py()), seen_at[-1].as_py() + timedelta(seconds=1)]
    asked_for: dict[str, Any] = {"key": KEY, "n_partitions": 3, "states": folder}
    parts = [build_features(**frames, **asked_for, until=end).toArrow() for end in ends]
    assert min(part.num_rows for part in parts[:2]) > 0
    assert_same(pa.concat_tables(parts), here)


def shuffle(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    rows: NDArray[np.int64] = rng.permutation(table.num_rows)
    return table.take(pa.array(rows))


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("orders", type=int, nargs="?", default=400_000)
    parser.add_argument("--slots", type=int, nargs="*", default=N_SLOTS)
    parser.add_argument(
        "--epochs", nargs="*", help="prove this alone: 1x10 is 10 epochs of 1 day, with one before and one after"
    )
    asked = parser.parse_args()
    spec = build_spec()
    settings = {**SETTINGS, "spark.driver.memory": "3g", "spark.sql.execution.arrow.maxRecordsPerBatch": "10000"}
    with tempfile.TemporaryDirectory() as temporary, running_spark(Path(temporary), **settings) as session:
        folder = Path(temporary)
        events = make_events(folder / "copies", asked.orders)
        frames = {}
        for kind in KINDS:
            pq.write_table(getattr(events, kind), folder / f"{kind}.parquet", row_group_size=50_000)
            frames[kind] = session.read.parquet(str(folder / f"{kind}.parquet"))
        keyed = key_events(events, KEY)
        here = compute_here(keyed, spec)
        most = here["group__count__malicious"].to_numpy().max()
        write(f"{here.num_rows:,} simulated rows, {len(spec.names)} features, up to {most:,.0f} malicious of a group")
        for days, n_epochs in (map(int, each.split("x")) for each in asked.epochs or ()):
            started = time.monotonic()
            check_epochs(frames, here, folder / f"epochs-{days}", days, n_epochs)
            session.catalog.clearCache()
            write(f"{n_epochs} epochs of {days} days: equal features, {time.monotonic() - started:.0f} s")
        if asked.epochs:
            return
        for n_slots in asked.slots:
            started = time.monotonic()
            out = folder / f"features-{n_slots}"
            build_features(**frames, key=KEY, n_partitions=n_slots).write.parquet(str(out))
            assert_same(pq.read_table(out), here)
            session.catalog.clearCache()
            write(f"{n_slots} slots: equal features, {time.monotonic() - started:.0f} s")
        started = time.monotonic()
        scorer = Scorer(load_starter(), load_policy(), KEY, lang="en")
        scored = scorer.score_events(keyed, now_us=int(NOW.timestamp() * 1e6)).build_table()
        out = folder / "scores"
        asked_for: dict[str, Any] = {"key": KEY, "lang": "en", "now": NOW, "n_partitions": N_SLOTS_OF_SCORES}
        score(**frames, **asked_for).write.parquet(str(out))
        assert_same(pq.read_table(out), scored, by=tuple(scored.column_names))
        n_flagged = pc.sum(pc.not_equal(scored["action"], "pass")).as_py()
        write(f"equal scores and decisions, {n_flagged:,} flagged, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
