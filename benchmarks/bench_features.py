"""Compare the built-in features with DuckDB's window functions, polars and pandas: python benchmarks/bench_features.py.

Equal values of every column are asserted first. One thread each; medians of ``--rounds``; each rival is compared on the
columns that it can say, which our engine then computes alone. 60 % of the orders lie over 90 days, 40 % in one evening
of four hours; they have buyer, address, place, phone, device and item. No two events share an instant, because pandas
has no way to leave ties out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd

os.environ["POLARS_MAX_THREADS"] = "1"  # polars asks when it is imported
import polars as pl

from ordervet.features import FeatureEngine, LaterEvents, OrderEvents, build_spec
from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.spec import LONG_WINDOW, SELECTOR_BIT, WINDOWS_US, Statistic

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.features.spec import Aggregation, FeatureSpec

ENTITIES = ("buyer", "address", "place", "phone", "device", "item")
SECOND = 1_000_000
DAY = 86_400 * SECOND
KINDS = ("cancelled_unpaid", "refund_requested", "refund_completed", "fulfilled", "malicious")


def draw_events(n: int, spec: FeatureSpec, seed: int = 1) -> tuple[OrderEvents, LaterEvents]:
    """Draw a season of orders, a third as many later events, and no instant twice."""
    rng = np.random.default_rng(seed)
    n_later, n_evening, n_buyers = n // 3, n * 2 // 5, max(n * 9 // 20, 8)
    spread = rng.integers(0, 90 * DAY, n - n_evening)
    evening = 89 * DAY + 20 * 3_600 * SECOND + rng.integers(0, 4 * 3_600 * SECOND, n_evening)
    placed = np.sort(np.concatenate([spread, evening]))
    about = rng.permutation(n)[:n_later]
    seen = placed[about] + rng.integers(60 * SECOND, 10 * DAY, n_later)
    rank = np.empty(n + n_later, np.int64)
    rank[np.argsort(np.concatenate([placed, seen]), kind="stable")] = np.arange(n + n_later)
    instants = np.concatenate([placed, seen]) + rank
    buyer = rng.permutation(n_buyers)[np.minimum(rng.pareto(1.3, n) * n_buyers / 6, n_buyers - 1).astype(np.int64)]
    address = np.where(rng.random(n) < 0.1, rng.integers(0, n_buyers, n), buyer)
    drawn = {
        "buyer": buyer,
        "address": address,
        "place": address // 8,
        "phone": np.where(rng.random(n) < 0.05, rng.integers(0, n_buyers, n), buyer),
        "device": np.where(rng.random(n) < 0.15, rng.integers(0, n_buyers, n), buyer),
        "item": np.minimum(rng.pareto(1.1, n) * 50, max(n // 200, 5)).astype(np.int64),
    }
    ids = {name: (drawn[name] + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) for name in ENTITIES}
    none = np.zeros(n, np.uint64)
    orders = OrderEvents(
        order_id=rng.permutation(n).astype(np.uint64) + np.uint64(1),
        seen_at=instants[:n],
        amount_minor=rng.integers(1_000, 100_000, n),
        ids={name: ids.get(name, none) for name in spec.entities},
        own=np.zeros((n, len(spec.order_columns)), np.float32),
    )
    kind = rng.choice(len(KINDS), n_later, p=[0.2, 0.3, 0.2, 0.25, 0.05])
    bits = np.array([SELECTOR_BIT[name] for name in KINDS])
    bits[-1] |= SELECTOR_BIT["verdict"] | JUDGEMENT_BIT
    by_time = np.argsort(instants[n:])
    later = LaterEvents(
        order_id=orders.order_id[about][by_time],
        seen_at=instants[n:][by_time],
        mask=bits[kind][by_time],
        amount_minor=np.where(kind == KINDS.index("refund_completed"), 5_000, 0)[by_time],
        rank=np.where(kind == KINDS.index("malicious"), 2, 1).astype(np.uint8)[by_time],
    )
    return orders, later


def build_frame(orders: OrderEvents, later: LaterEvents) -> pd.DataFrame:
    """Lay orders and later events out as one table, as an analyst would have them."""
    row_of = pd.Series(np.arange(len(orders)), index=orders.order_id)
    about = row_of[later.order_id].to_numpy()
    rows = np.concatenate([np.arange(len(orders)), about])
    frame = pd.DataFrame({name: orders.ids[name][rows] for name in ENTITIES})
    frame["t"] = np.concatenate([orders.seen_at, later.seen_at])
    frame["x"] = np.concatenate([orders.amount_minor, later.amount_minor]).astype(np.float64)
    mask = np.concatenate([orders.read_mask(), later.mask])
    for selector, bit in SELECTOR_BIT.items():
        frame[f"is_{selector}"] = (mask & bit) != 0
    frame["row"] = np.concatenate([np.arange(len(orders)), np.full(len(later), -1)])
    return frame


def write_column(aggregation: Aggregation) -> str:
    """One feature as an expression over window functions."""
    column, window = aggregation.column, aggregation.window

    def count(selector: str, over: str = window) -> str:
        return f"count(*) filter (where is_{selector}) over w{over}"

    def total(over: str = window) -> str:
        return f"coalesce(sum(x) filter (where is_order) over w{over}, 0)"

    whole = "verdict" if column in ("malicious", "innocent") else "order"
    mean = f"{total()} / nullif({count('order')}, 0)"
    return {
        Statistic.COUNT: lambda: count(column),
        Statistic.SUM: total,
        Statistic.MEAN: lambda: mean,
        Statistic.SHARE: lambda: f"{count(column)}::double / nullif({count(whole)}, 0)",
        Statistic.RATIO: lambda: f"x / nullif({mean}, 0)",
        Statistic.DRIFT: lambda: (
            f"({mean}) / nullif({total(LONG_WINDOW)} / nullif({count('order', LONG_WINDOW)}, 0), 0)"
        ),
        Statistic.DISTINCT: lambda: f"count(distinct {column}) filter (where is_order) over w{window}",
        Statistic.RECENCY: lambda: f"(t - max(t) filter (where is_{column}) over wall) / 1e6",
        Statistic.AGE: lambda: f"(t - min(t) filter (where is_{column}) over wall) / 1e6",
    }[aggregation.statistic]()


def run_duckdb(connection: duckdb.DuckDBPyConnection, spec: FeatureSpec, n_orders: int) -> np.ndarray:
    """Compute a spec by one query per entity."""
    out = np.full((n_orders, len(spec.names)), np.nan, np.float32)
    for entity in ENTITIES:
        members = [(at, each) for at, each in spec.aggregations if each.entity == entity]
        if not members:
            continue
        part = f"partition by {entity} order by t range between"
        windows = [f"w{name} as ({part} {us} preceding and 1 preceding)" for name, us in WINDOWS_US.items()]
        windows.append(f"wall as ({part} unbounded preceding and 1 preceding)")
        columns = ", ".join(f"({write_column(each)})::float as c{at}" for at, each in members)
        used = ", ".join(window for window in windows if f"over {window.split()[0]}" in columns)
        told = connection.execute(
            f"select * from (select row, is_order, {columns} from events window {used}) where is_order"
        ).fetchnumpy()
        for at, _ in members:
            out[told["row"], at] = np.ma.filled(told[f"c{at}"], np.nan)
    return out


def run_pandas(frame: pd.DataFrame, spec: FeatureSpec, n_orders: int) -> np.ndarray:
    """Compute counts and sums by groupby and rolling."""
    out = np.full((n_orders, len(spec.names)), np.nan, np.float32)
    frame = frame.sort_values("t", ignore_index=True)
    frame["at"] = pd.to_datetime(frame["t"], unit="us")
    is_order, rows = frame["is_order"].to_numpy(), frame["row"].to_numpy()
    for at, each in spec.aggregations:
        value = (
            frame["x"].where(frame["is_order"], 0.0) if each.column == "amount" else frame[f"is_{each.column}"] * 1.0
        )
        keyed = pd.DataFrame({"entity": frame[each.entity], "at": frame["at"], "value": value})
        window = pd.Timedelta(WINDOWS_US[each.window], "us")
        rolled = keyed.groupby("entity").rolling(window, on="at", closed="left")["value"].sum()
        values = rolled.droplevel(0).sort_index().fillna(0.0).to_numpy()
        out[rows[is_order], at] = values[is_order]
    return out


def run_polars(frame: pl.DataFrame, spec: FeatureSpec, n_orders: int) -> np.ndarray:
    """Compute counts and sums by rolling groups, all of an entity and a window at once."""
    out = np.full((n_orders, len(spec.names)), np.nan, np.float32)
    members: dict[tuple[str, str], list[tuple[int, Aggregation]]] = {}
    for at, each in spec.aggregations:
        members.setdefault((each.entity, each.window), []).append((at, each))
    is_order, rows = frame["is_order"].to_numpy(), frame["row"].to_numpy()
    for (entity, window), asked in members.items():
        columns = [
            (pl.col("x").filter(pl.col("is_order")) if each.column == "amount" else pl.col(f"is_{each.column}"))
            .sum()
            .cast(pl.Float32)
            .alias(f"c{at}")
            for at, each in asked
        ]
        rolled = frame.rolling("t", period=f"{WINDOWS_US[window]}i", closed="left", group_by=entity).agg(columns)
        rolled = rolled.sort("t")  # no two events share an instant, so these are the frame's rows
        for at, _ in asked:
            out[rows[is_order], at] = rolled[f"c{at}"].to_numpy()[is_order]
    return out


def measure(action: Callable[[], object], rounds: int) -> float:
    """Give the median seconds of an action."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def select(spec: FeatureSpec, statistics_: tuple[Statistic, ...]) -> FeatureSpec:
    """Keep the features of the entities at hand that have one of these statistics."""
    kept = [each.name for _, each in spec.aggregations if each.entity in ENTITIES and each.statistic in statistics_]
    return build_spec(use_defaults=False, names=tuple(kept))


def compare(name: str, n: int, statistics_: tuple[Statistic, ...], rounds: int) -> None:
    """Assert that a rival says the same, then time both."""
    spec = select(build_spec(), statistics_)
    orders, later = draw_events(n, spec)
    frame = build_frame(orders, later)
    connection = duckdb.connect()
    connection.execute("PRAGMA threads=1")
    connection.register("frame", frame)
    connection.execute("create table events as select * from frame")
    by_time = pl.from_pandas(frame).sort("t")
    rival = {
        "polars": lambda: run_polars(by_time, spec, n),
        "DuckDB": lambda: run_duckdb(connection, spec, n),
        "pandas": lambda: run_pandas(frame, spec, n),
    }[name]
    ours = FeatureEngine(spec).advance(orders, later)
    started = time.perf_counter()
    told = rival()
    theirs_s = time.perf_counter() - started
    np.testing.assert_array_equal(told, ours)
    ours_s = measure(lambda: FeatureEngine(spec).advance(orders, later), rounds)
    if rounds > 1 and theirs_s < 60:
        theirs_s = measure(rival, rounds)
    print(
        f"{len(spec.names)} columns, {n:,} orders, {len(later):,} later events: ordervet {ours_s:.2f} s"
        f" ({n / ours_s:,.0f} orders/s), {name} {theirs_s:.2f} s, {theirs_s / ours_s:.1f} times; equal values",
        flush=True,
    )


def measure_growth(small: int, large: int) -> None:
    """Compare the cost per order of many orders with that of fewer, all built-in features."""
    spec, costs = build_spec(), []
    for n in (small, large):
        orders, later = draw_events(n, spec)
        costs.append(measure(lambda: FeatureEngine(spec).advance(orders, later), 1) / n)  # noqa: B023 - called at once
    print(
        f"{len(spec.names)} built-in columns: {costs[0] * 1e6:.2f} us an order at {small:,},"
        f" {costs[1] * 1e6:.2f} us at {large:,}: {costs[1] / costs[0]:.2f} times",
        flush=True,
    )


def measure_live(n_past: int, n_live: int) -> None:
    """Time orders that come one by one after a history, all built-in features and the state's update."""
    spec = build_spec()
    orders, later = draw_events(n_past * 3 // 4, spec)
    engine = FeatureEngine(spec)
    engine.advance(orders, later)
    now, nothing = engine.last_seen_at, LaterEvents.empty()
    some = np.random.default_rng(2).integers(0, len(orders), n_live)
    nanoseconds = []
    for at, row in enumerate(some):
        one = orders.take(np.array([row]))
        one = OrderEvents(np.array([2**40 + at], np.uint64), np.array([now + at * SECOND]), one.amount_minor, one.ids,
                          one.own, mask=one.read_mask())  # fmt: skip
        started = time.perf_counter_ns()
        engine.advance(one, nothing)
        nanoseconds.append(time.perf_counter_ns() - started)
    p50, p99 = np.percentile(nanoseconds, [50, 99]) / 1e3
    print(
        f"live order, {len(spec.names)} columns, after {len(orders) + len(later):,} events:"
        f" p50 {p50:.1f} us, p99 {p99:.1f} us ({n_live:,} orders)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--pandas-orders", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--past", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", choices=("duckdb", "polars", "pandas", "growth", "live"), help="one of the measurements"
    )
    asked = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "duckdb", "polars", "pandas"))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, one thread each; {versions}")
    countable = (Statistic.COUNT, Statistic.SUM)
    plain = (*countable, Statistic.MEAN, Statistic.SHARE, Statistic.RATIO, Statistic.DRIFT, Statistic.RECENCY,
             Statistic.AGE, Statistic.DISTINCT)  # fmt: skip
    if asked.only in (None, "duckdb"):
        compare("DuckDB", asked.orders, plain, asked.rounds)
    if asked.only in (None, "polars"):
        compare("polars", asked.orders, countable, asked.rounds)
    if asked.only in (None, "pandas"):
        compare("pandas", asked.pandas_orders, countable, asked.rounds)
    if asked.only in (None, "growth"):
        measure_growth(asked.orders, asked.large)
    if asked.only in (None, "live"):
        measure_live(asked.past, 20_000)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
