"""Time how long a scorer takes to open on a history: python benchmarks/bench_reopen.py [--orders 2050000].

A simulated history of about 2.4 events an order is brought into a store; a scorer is opened without a snapshot, which
replays everything, and again with the one that the first wrote. Both must then serve the same features. Every opening
is a process of its own. Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from ordervet import Order
from ordervet.contract import Events
from ordervet.entities import Key
from ordervet.history import History
from ordervet.history.delta import read_identities
from ordervet.history.snapshots import FOLDER
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.model import find_live_model, load_model
from ordervet.score import find_bundled_models
from ordervet.score.durable_state import DurableState
from ordervet.score.live_order import LiveOrderReader
from ordervet.score.online_state import advance_one

if TYPE_CHECKING:
    import pyarrow as pa

KEY = Key(bytes(range(16)))
SNAPSHOT_WANTED_S, REPLAY_WANTED_S = 3.0, 30.0
SEASONS = 10


def build_history(folder: Path, n_orders: int) -> None:
    """Bring a simulated history into a store, season by season."""
    history = History.open(folder, KEY, create=True)
    for season in range(SEASONS):
        merchant = simulate(SimulationSettings(n_orders=n_orders // SEASONS, seed=100 + season))
        tables = (merchant.orders, merchant.outcomes, merchant.verdicts, merchant.corrections)
        history.ingest(Events(*(_rename(table, season) for table in tables)))


def _rename(table: pa.Table, season: int) -> pa.Table:
    """Give the orders of a season ids of their own; buyers and addresses are those of all seasons."""
    at = table.column_names.index("order_id")
    return table.set_column(at, "order_id", pc.binary_join_element_wise(f"{season}", table["order_id"], "-"))


def open_once(folder: Path) -> None:
    """Open a state on a store, serve one order, and print what it took as JSON."""
    model = load_model(find_live_model(find_bundled_models()))
    started, started_cpu = time.perf_counter(), time.process_time()
    state = DurableState(History.open(folder, KEY), KEY, model.claim_spec)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    order = Order(order_id="new", placed_at="2027-06-01 12:00", amount_minor=1_000, buyer_id="b-1", item_id="sku-1")
    one = LiveOrderReader(KEY).read(order, (state.last_seen_at or 0) + 1)
    features = advance_one(state._engine, one)  # noqa: SLF001 - not journalled: the next opening finds the same store
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    told = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gib": peak}
    print(json.dumps(told | {"features": np.nan_to_num(features, nan=-1).tolist()}), flush=True)
    state._join_saving()  # noqa: SLF001 - the snapshot is what the next opening is about
    os._exit(0)  # without a last snapshot, as after a crash


def run_open(folder: Path) -> dict[str, object]:
    told = subprocess.run([sys.executable, __file__, "--open", folder], capture_output=True, text=True, check=True)
    return json.loads(told.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=2_050_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="keep the store in this folder, or use the one that is there")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.open:
        open_once(asked.open)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow", "deltalake"))
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, {versions}")
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name) / "history"
        if not folder.exists():
            build_history(folder, asked.orders)
        n_events = read_identities(folder).num_rows
        told: dict[str, list[dict[str, object]]] = {"replay": [], "snapshot": []}
        for _ in range(asked.rounds):
            shutil.rmtree(folder / FOLDER, ignore_errors=True)
            told["replay"].append(run_open(folder))
            told["snapshot"].append(run_open(folder))
    served = {json.dumps(each["features"]) for rounds in told.values() for each in rounds}
    if len(served) != 1:
        raise AssertionError("the openings serve different features")
    medians = {}
    for way, rounds in told.items():
        figures = [[each[name] for name in ("seconds", "cpu_seconds", "peak_gib")] for each in rounds]
        medians[way], cpu, peak = np.median(figures, axis=0).tolist()
        print(
            f"{n_events:,} simulated events, by {way}: {medians[way]:.2f} s, processor time {cpu:.2f} s,"
            f" peak {peak:.1f} GiB"
        )
    return 0 if medians["snapshot"] <= SNAPSHOT_WANTED_S and medians["replay"] <= REPLAY_WANTED_S else 1


if __name__ == "__main__":
    sys.exit(main())
