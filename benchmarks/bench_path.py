"""The whole path, a Parquet file of raw orders to flags on disk, against what a good engineer writes in an afternoon.

python benchmarks/bench_path.py [--orders 5000000] [--file ORDERS.parquet] [--stack-orders 200000] [--rounds 3]

The sensible stack: pydantic rows, pandas with groupby and rolling, LightGBM's predict. It knows nothing of addresses,
so both get orders whose doors and phones a platform has grouped, and one model whose features pandas can roll. The same
flags are asserted first. The whole path is then timed with the bundled model and all its features, stage by stage on
one thread and as a whole on two, beside what bounds it: bytes an order, and what pyarrow alone needs to read the file.

Everything is warm: the file was read before. All orders are simulated: numbers prove speed, not accuracy.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ordervet.cli.freed_memory import keep_freed_memory
from ordervet.contract import Events, validate_events
from ordervet.contract.files.arrow_rows import CHUNK_ROWS, count_rows, iter_chunks
from ordervet.entities import key_orders, new_key
from ordervet.entities.keyed import count_evidence
from ordervet.features import LaterEvents, build_order_events, build_spec
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.train import learn_model
from ordervet.model import FitSettings, find_live_model, load_model
from ordervet.policy import load_policy
from ordervet.score import find_bundled_models
from ordervet.score.stream import find_candidates, open_parts, score_rows, stream_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ordervet.model import Model
    from ordervet.score.stream import StreamParts

WARM_CHUNKS = 2
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
    import lightgbm

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


def score_by_path(path: Path, out: Path, parts: StreamParts, *, n_chunks: int | None = None) -> list[str]:
    """Read, check, key, build features, score, decide, give reasons and scripts, write."""
    tables = islice(iter_chunks(path, CHUNK_ROWS), n_chunks)
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
    model = learn_model([events], spec, FitSettings(num_rounds=200)).model
    parts = [build_parts(model, 2) for _ in range(n_rounds + 1)]
    threshold = load_policy().bands.build_cuts(1, None)[0, 1]  # from "high" on, orders are looked at
    ours = score_by_path(path, folder / "ours.parquet", parts.pop())
    stack = score_sensibly(path, folder / "stack.parquet", model, threshold)
    if ours != stack:
        raise AssertionError(f"{len(set(ours) ^ set(stack))} orders are flagged by one alone")
    print(f"equal flags: {len(ours):,} of {n_orders:,} orders; {len(spec.names)} features")
    slow = time_median(lambda: score_sensibly(path, folder / "stack.parquet", model, threshold), 1)
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

    tables = iter_chunks(path, CHUNK_ROWS)
    while (table := clock("read", lambda: next(tables, None))) is not None:
        checked = clock("validate", lambda: validate_events("orders", table, keeps_codes=True))
        keyed = clock("key", lambda checked=checked: key_orders(checked, parts.key))
        events = clock("arrays", lambda keyed=keyed: build_order_events(keyed, model.spec))
        features = clock("features", lambda events=events: parts.engine.advance(events, LaterEvents.empty()))
        built = (keyed, events, features)
        rows = clock("score and band", lambda built=built: find_candidates(*built, parts))  # type: ignore[call-arg]
        clock("count evidence", lambda keyed=keyed: count_evidence(keyed))
        scored = clock("decide, explain", lambda built=built, rows=rows: score_rows(*built, rows, parts))  # type: ignore[call-arg]
        clock("write flags", lambda scored=scored: scored.build_table(scored.rank_flagged()))
        n_orders += len(events)
    for stage, seconds in totals.items():
        print(f"  {stage:15} {seconds / n_orders * 1e9:8,.0f} ns of processor time an order")
    print(f"  {'sum':15} {sum(totals.values()) / n_orders * 1e9:8,.0f} ns")
    started = time.process_time()
    n_bytes = pq.read_table(path, use_threads=False).nbytes
    print(
        f"  floor: {path.stat().st_size / n_orders:.0f} bytes an order in the file, {n_bytes / n_orders:.0f} as Arrow, "
        f"{4 * len(model.spec.names)} of features; pyarrow alone reads the file in "
        f"{(time.process_time() - started) / n_orders * 1e9:,.0f} ns an order"
    )
    pa.set_cpu_count(os.cpu_count() or 1)


@contextmanager
def watch_memory() -> Iterator[list[float]]:
    """Give a list that gets the largest resident memory of the block above that of its start, in GiB."""
    page, peak, is_over = os.sysconf("SC_PAGE_SIZE"), 0, threading.Event()

    def read() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * page

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.02):
            peak = max(peak, read())

    start, told = read(), []
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield told
    finally:
        is_over.set()
        watcher.join()
        told.append((peak - start) / 2**30)


def measure_path(path: Path, folder: Path, n_rounds: int) -> float:
    """Give orders per second of the whole path, bundled model, two threads."""
    model, n_orders = load_model(find_live_model(find_bundled_models())), count_rows(path)
    keep_freed_memory()  # as `ordervet score` does for a large file
    score_by_path(path, folder / "flags.parquet", build_parts(model, 2), n_chunks=WARM_CHUNKS)
    seconds, memory = [], []
    for _ in range(n_rounds):
        parts = build_parts(model, 2)
        with watch_memory() as peak:
            started, used = time.perf_counter(), time.process_time()
            flagged = score_by_path(path, folder / "flags.parquet", parts)
            seconds.append(time.perf_counter() - started)
            used = time.process_time() - used
        memory.append(peak[0])
        state = sum(array.nbytes for array in parts.engine.export_state()[0].values()) / 2**30
    del parts
    profile_stages(path, model)
    rate = n_orders / statistics.median(seconds)
    print(
        f"whole path: {n_orders:,} orders, {len(flagged):,} flagged ({len(flagged) / n_orders:.1%}), "
        f"{len(model.spec.names)} features, two threads, warm: {rate:,.0f} orders/s, {RATE_WANTED:,} wanted; "
        f"{used / n_orders * 1e9:,.0f} ns of processor time an order\n"
        f"memory above that of the start: {memory[0]:.2f} GiB, of which the state of the features {state:.2f} GiB; "
        f"chunks of {CHUNK_ROWS:,} orders"
    )
    return rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5_000_000)
    parser.add_argument("--file", type=Path, help="orders to score, sorted by time, in place of simulated ones")
    parser.add_argument("--stack-orders", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("stack", "path"), help="one of the measurements")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "pyarrow", "lightgbm"))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} CPUs, load {load}; Python {platform.python_version()}, {versions}")
    ratio, rate = np.inf, np.inf
    with tempfile.TemporaryDirectory() as name:
        if options.only != "path":
            ratio = compare_with_stack(Path(name), options.stack_orders, options.rounds)
        if options.only != "stack":
            path = options.file or Path(name, "orders.parquet")
            if options.file is None:
                # In a process of its own: what it takes is not what scoring takes.
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as writer:
                    writer.submit(write_orders, path, options.orders, is_grouped=False).result()
            rate = measure_path(path, Path(name), options.rounds)
    return 0 if ratio >= RATIO_WANTED and rate >= RATE_WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
