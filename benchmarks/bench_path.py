"""The whole path, a Parquet file of raw orders to flags on disk, against what a good engineer writes in an afternoon.

python benchmarks/bench_path.py [--orders 1000000] [--stack-orders 20000] [--rounds 3]

The sensible stack: pydantic rows, pandas with groupby and rolling, LightGBM's predict. It knows nothing of addresses,
so both get orders whose doors and phones a platform has grouped, and one model whose features pandas can roll. The same
flags are asserted first. The whole path is then timed with the bundled model and all its features, stage by stage on
one thread and as a whole on two. All orders are simulated: numbers prove speed, not accuracy.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ordervet.contract import Events, validate_events
from ordervet.entities import key_orders, new_key
from ordervet.features import LaterEvents, build_order_events, build_spec
from ordervet.model import FitSettings, load_model
from ordervet.model.registry import find_live_model
from ordervet.policy import load_policy
from ordervet.retrain import train_model
from ordervet.score import find_bundled_models
from ordervet.score.stream import find_candidates, open_parts, stream_scores
from ordervet.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.model import Model
    from ordervet.score.stream import StreamParts

CHUNK_ROWS = 131_072
RATE_WANTED, RATIO_WANTED = 583_000, 40
SHARED = {
    "buyer": "buyer_id",
    "address": "address_group",
    "phone": "phone_group",
    "device": "device_id",
    "item": "item_id",
}
WINDOWS = ("1h", "1d", "7d", "30d")
FEATURES = (
    "order__value__{amount,quantity,discount_share,account_age_days,hour}",
    "{buyer,address,phone,device,item}__count__order__{1h,1d,7d,30d}",
    "{buyer,address,phone,device,item}__mean__amount__{1d,30d}",
    "{buyer,address,phone,device,item}__recency__order",
)


class SensibleOrder(BaseModel):
    """What the afternoon's engineer checks, row by row."""

    model_config = ConfigDict(extra="ignore")

    order_id: str
    placed_at: datetime
    amount_minor: int
    discount_minor: int | None = None
    quantity: int | None = None
    buyer_id: str | None = None
    buyer_registered_at: datetime | None = None
    address_group: str | None = None
    phone_group: str | None = None
    device_id: str | None = None
    item_id: str | None = None


def score_sensibly(path: Path, out: Path, model: Model, threshold: float) -> list[str]:
    """Read, check, build features, predict, write: pydantic, pandas, LightGBM."""
    import lightgbm  # noqa: PLC0415 - only the rival needs it

    rows = [SensibleOrder.model_validate(row).model_dump() for row in pq.read_table(path).to_pylist()]
    orders = pd.DataFrame(rows)
    placed_at = orders["placed_at"].dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    columns = {
        "order__value__amount": orders["amount_minor"],
        "order__value__quantity": orders["quantity"],
        "order__value__discount_share": orders["discount_minor"] / (orders["amount_minor"] + orders["discount_minor"]),
        "order__value__account_age_days": (placed_at - orders["buyer_registered_at"]).dt.total_seconds() / 86_400,
        "order__value__hour": placed_at.dt.tz_convert("Asia/Shanghai").dt.hour,
    }
    for entity, column in SHARED.items():
        known = pd.DataFrame(
            {"key": orders[column], "placed_at": placed_at, "amount": orders["amount_minor"].astype(float)}
        ).dropna(subset="key")
        grouped = known.set_index("placed_at").groupby("key")["amount"]
        order = known.sort_values(["key", "placed_at"], kind="stable").index
        for window in WINDOWS:
            rolled = grouped.rolling(window.replace("d", "D"), closed="left")
            columns[f"{entity}__count__order__{window}"] = _place(rolled.count().fillna(0), order, len(orders))
            if window in {"1d", "30d"}:
                columns[f"{entity}__mean__amount__{window}"] = _place(rolled.sum() / rolled.count(), order, len(orders))
        gap = known.groupby("key")["placed_at"].diff().dt.total_seconds()
        columns[f"{entity}__recency__order"] = gap.reindex(range(len(orders)))
    features = pd.DataFrame(columns)[list(model.spec.names)].astype(np.float32)
    booster = lightgbm.Booster(model_str=model.booster_text)
    p = model.calibration(booster.predict(features, raw_score=True, num_threads=2))
    flags = orders.loc[p >= threshold, ["order_id"]].assign(p=p[p >= threshold])
    flags.to_parquet(out)
    return sorted(flags["order_id"])


def _place(values: pd.Series, order: pd.Index, n: int) -> pd.Series:
    return pd.Series(values.to_numpy(), index=order).reindex(range(n))


def score_by_path(path: Path, out: Path, parts: StreamParts) -> list[str]:
    """Read, check, key, build features, score, decide, give reasons and scripts, write."""
    tables = (pa.Table.from_batches([batch]) for batch in pq.ParquetFile(path).iter_batches(CHUNK_ROWS))
    chunks = stream_scores(tables, LaterEvents.empty(), parts)
    flagged = [chunk.scored.build_table(chunk.scored.rank_flagged()) for chunk in chunks]
    whole = pa.concat_tables(flagged).sort_by([("action", "ascending"), ("p_malicious", "descending")])
    pq.write_table(whole, out)
    return sorted(whole["order_id"].to_pylist())


def build_parts(model: Model, n_threads: int) -> StreamParts:
    return open_parts(model, load_policy(), new_key(), n_threads=n_threads)


def time_median(run: Callable[[], object], n_rounds: int) -> float:
    seconds = []
    for _ in range(n_rounds):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def write_orders(path: Path, n_orders: int, *, is_grouped: bool) -> None:
    """Write simulated orders; grouped: a platform's groups in place of door and phone, one order an instant."""
    orders = simulate(SimulationSettings(n_orders=n_orders, seed=5)).orders.sort_by("placed_at")
    if is_grouped:
        instants = orders["placed_at"].cast(pa.int64()).to_numpy() + np.arange(len(orders))
        texts = {"address_group": "address", "phone_group": "phone"}
        for group, text in texts.items():
            orders = orders.set_column(orders.column_names.index(group), group, orders[text])
        unique = pa.array(instants).cast(pa.timestamp("us", "UTC"))
        orders = orders.set_column(orders.column_names.index("placed_at"), "placed_at", unique)
        orders = orders.drop_columns([*texts.values(), "recipient", "ip", "payment_account", "seen_at"])
    pq.write_table(orders, path)


def compare_with_stack(folder: Path, n_orders: int, n_rounds: int) -> float:
    """Give how many times as fast the path is, with equal flags."""
    path = folder / "grouped.parquet"
    write_orders(path, n_orders, is_grouped=True)
    spec = build_spec(names=FEATURES, use_defaults=False)
    merchant = simulate(SimulationSettings(n_orders=20_000, seed=6))
    events = Events(merchant.orders, merchant.outcomes, merchant.verdicts, merchant.corrections)
    model = train_model(events, spec, FitSettings(num_rounds=200))
    parts = [build_parts(model, 2) for _ in range(2 * n_rounds + 1)]
    threshold = load_policy().bands.build_cuts(1, None)[0, 1]  # from "high" on, orders are looked at
    ours = score_by_path(path, folder / "ours.parquet", parts.pop())
    stack = score_sensibly(path, folder / "stack.parquet", model, threshold)
    if ours != stack:
        raise AssertionError(f"{len(set(ours) ^ set(stack))} orders are flagged by one alone")
    print(f"equal flags: {len(ours):,} of {n_orders:,} orders; {len(spec.names)} features")
    slow = time_median(lambda: score_sensibly(path, folder / "stack.parquet", model, threshold), n_rounds)
    fast = time_median(lambda: score_by_path(path, folder / "ours.parquet", parts.pop()), n_rounds)
    print(f"sensible stack  {n_orders / slow:12,.0f} orders/s")
    print(
        f"ordervet        {n_orders / fast:12,.0f} orders/s, two threads; "
        f"{slow / fast:.1f} times, {RATIO_WANTED} wanted"
    )
    return slow / fast


def profile_stages(path: Path, model: Model) -> None:
    """Print what each stage costs alone, on one thread."""
    parts = build_parts(model, 1)
    pa.set_cpu_count(1)
    totals: dict[str, float] = {}
    n_orders = 0

    def clock(stage: str, run: Callable[[], object]) -> object:
        started = time.process_time()
        result = run()
        totals[stage] = totals.get(stage, 0.0) + time.process_time() - started
        return result

    batches = pq.ParquetFile(path).iter_batches(CHUNK_ROWS)
    while (batch := clock("read", lambda: next(batches, None))) is not None:
        table = pa.Table.from_batches([batch])
        checked = clock("validate", lambda table=table: validate_events("orders", table))
        keyed = clock("key", lambda checked=checked: key_orders(checked, parts.key))
        events = clock("arrays", lambda keyed=keyed: build_order_events(keyed, model.spec))
        features = clock("features", lambda events=events: parts.engine.advance(events, LaterEvents.empty()))
        clock(
            "score and band",
            lambda keyed=keyed, events=events, features=features: find_candidates(keyed, events, features, parts),
        )
        n_orders += len(events)
    for stage, seconds in totals.items():
        print(f"  {stage:15} {seconds / n_orders * 1e9:8,.0f} ns of processor time an order")
    print(
        f"  {'sum':15} {sum(totals.values()) / n_orders * 1e9:8,.0f} ns; "
        f"{path.stat().st_size / n_orders:.0f} bytes an order in the file"
    )
    pa.set_cpu_count(os.cpu_count() or 1)


def measure_path(folder: Path, n_orders: int, n_rounds: int) -> float:
    """Give orders per second of the whole path, bundled model, two threads."""
    path = folder / "orders.parquet"
    write_orders(path, n_orders, is_grouped=False)
    model = load_model(find_live_model(find_bundled_models()))
    profile_stages(path, model)
    parts = [build_parts(model, 2) for _ in range(n_rounds)]
    flagged: list[int] = []
    seconds = time_median(
        lambda: flagged.append(len(score_by_path(path, folder / "flags.parquet", parts.pop()))), n_rounds
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rate = n_orders / seconds
    print(
        f"whole path: {n_orders:,} orders, {flagged[0]:,} flagged, {len(model.spec.names)} features, two threads: "
        f"{rate:,.0f} orders/s, {RATE_WANTED:,} wanted; peak memory of the run {peak:.1f} GiB"
    )
    return rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--stack-orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "pyarrow", "numba", "lightgbm"))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} CPUs, load {load}; Python {platform.python_version()}, {versions}")
    with tempfile.TemporaryDirectory() as name:
        ratio = compare_with_stack(Path(name), options.stack_orders, options.rounds)
        rate = measure_path(Path(name), options.orders, options.rounds)
    return 0 if ratio >= RATIO_WANTED and rate >= RATE_WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
