"""What a night costs: time and peak memory of `ordervet retrain` on histories of several sizes.

    python benchmarks/bench_retrain.py [--orders 1000000 5000000] [--threads 2] [--keep DIR]

Each history is made of simulated merchants, brought in by `History.ingest`, in one process, and retrained on by the
command in another, with the built-in features and default settings but for the look-alikes, whose cost does not depend
on the history. Printed: orders, seconds of the clock and of the processor, in all and without the feature engine, peak
GiB, and seconds per million orders.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import pyarrow.compute as pc

from ordervet.contract import Events
from ordervet.entities import Key
from ordervet.history import History
from ordervet.lab.simulate import SimulationSettings, simulate

KEY = bytes(range(16))
PART = 500_000
#: 2025-12-11 in Asia/Shanghai: the day after the last order.
CUT_OFF_US = 1_765_382_400_000_000
NIGHT = """
import json, resource, sys, time
from pathlib import Path
from ordervet.entities import Key
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.features import FeatureEngine, build_spec
from ordervet.learn.night import run_night
from ordervet.learn.night_settings import NightSettings

spec = build_spec()
folder, models, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
base = NightSettings()
settings = base.model_copy(update={"gates": base.gates.model_copy(update={"lookalike_orders": 0})})
advance, engine = FeatureEngine.advance, [0.0, 0.0]
def timed(self, orders, later):
    clock, processor = time.perf_counter(), time.process_time()
    found = advance(self, orders, later)
    engine[0] += time.perf_counter() - clock
    engine[1] += time.process_time() - processor
    return found
FeatureEngine.advance = timed
started = time.perf_counter()
steps = []
def note(step):
    steps.append((round(time.perf_counter() - started, 1), step))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    spent = f"{steps[-1][0]:8.1f} s {time.process_time():8.1f} s cpu {peak:6.2f} GiB"
    print(f"{spent}  {step}", file=sys.stderr, flush=True)
history = History.open(folder, Key(bytes(range(16))))
slices = HistorySlices.open(history, until_us=int(sys.argv[4]))
night = run_night(slices, Path(models), spec, settings=settings, n_threads=threads, report_step=note)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({
    "seconds": round(time.perf_counter() - started, 1), "cpu_seconds": round(time.process_time(), 1),
    "engine_seconds": round(engine[0], 1), "engine_cpu_seconds": round(engine[1], 1),
    "peak_gib": round(peak, 2), "outcome": night.outcome, "rows": night.record["counts"],
    "n_features": len(spec.names),
}))
"""


def build_history(folder: Path, n_orders: int) -> None:
    """Merchants of the same season, one after the other, whose ids differ."""
    history = History.open(folder, Key(KEY), create=True)
    for part, first in enumerate(range(0, n_orders, PART)):
        n = min(PART, n_orders - first)
        events = simulate(SimulationSettings(n_orders=n, seed=part, start=date(2025, 10, 20))).events
        tables = {}
        for kind in ("orders", "outcomes", "verdicts", "corrections"):
            table = getattr(events, kind)
            for name in ("order_id", "buyer_id", "device_id", "payment_account"):
                if name in table.column_names:
                    at = table.schema.get_field_index(name)
                    marked = pc.binary_join_element_wise(table[name], str(part), "-")
                    table = table.set_column(at, table.schema.field(at), marked)
            tables[kind] = table
        history.ingest(Events(**tables))
        print(f"{first + n:,} of {n_orders:,} orders are in", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="keep the histories here, and use those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordervet-bench-") as scratch:
        for n_orders in options.orders:
            folder = (options.keep or Path(scratch)) / f"history-{n_orders}"
            if not folder.exists():
                started = time.perf_counter()
                build_history(folder, n_orders)
                print(f"brought in within {time.perf_counter() - started:.0f} s", file=sys.stderr)
            models = Path(scratch) / f"models-{n_orders}"
            ended = subprocess.run(
                [sys.executable, "-c", NIGHT, str(folder), str(models), str(options.threads), str(CUT_OFF_US)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env={"OMP_WAIT_POLICY": "PASSIVE"} | os.environ,  # as `ordervet retrain` does
            )
            told = json.loads(ended.stdout)
            per_million = {"seconds_per_million": round(told["seconds"] / n_orders * 1e6, 1)}
            load = [round(each, 1) for each in os.getloadavg()]
            print(json.dumps({"orders": n_orders, "threads": options.threads, "load": load} | told | per_million))


if __name__ == "__main__":
    main()
