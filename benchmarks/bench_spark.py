"""Compare Spark on this machine with one machine: processor time and memory, after equal scores are asserted.

    python benchmarks/bench_spark.py [--orders 2000000] [--partitions 16] [--master local[2]] [--apart]

Orders are data/samples (simulated) copied so often, each copy with orders, people and devices of its own, some
minutes later, with its outcomes and verdicts; one item in 30 % of all orders. `--apart` gives each copy shops, items,
categories, channels and campaigns of its own, so that no id has more events where there are more orders. Both score
from Parquet files to Parquet files. The processor time of Spark is that of all its processes, Java's and Python's, from
start to end; memory is the largest of one Python process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ordervet.contract import Events, read_events
from ordervet.contract.schemas import INSTANT
from ordervet.entities import Key, key_events
from ordervet.model import load_starter
from ordervet.policy import load_policy
from ordervet.score import Scorer

KEY = Key(bytes(range(16)))
SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
KINDS = ("orders", "outcomes", "verdicts", "corrections")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
OWN = ("order_id", "buyer_id", "device_id", "ip", "payment_account", "recipient", "address_group", "phone_group")
SHARED = ("shop_id", "item_id", "category", "channel", "platform", "campaign")
_COPIES_A_FILE = 20
#: As docs/scale.md advises: what is shuffled is compressed, and compiling takes longer than what it saves.
SETTINGS = {"spark.sql.codegen.wholeStage": "false", "spark.shuffle.compress": "false"}
_TICKS = os.sysconf("SC_CLK_TCK")


def write_copies(folder: Path, n_orders: int, *, apart: bool = False) -> None:
    """Write so many orders, with what became of them; if apart, of shops of their own."""
    events, _ = read_events(sorted(SAMPLES.glob("*.csv")))
    n_copies = -(-n_orders // events.orders.num_rows)
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for start in range(0, n_copies, _COPIES_A_FILE):
            copies = range(start, min(start + _COPIES_A_FILE, n_copies))
            table = pa.concat_tables([copy_events(getattr(events, kind), each, apart=apart) for each in copies])
            pq.write_table(table, folder / kind / f"{start:06d}.parquet")


def copy_events(table: pa.Table, number: int, *, apart: bool) -> pa.Table:
    """Copy events for people of their own; if apart, of shops of their own, else with one item in many orders."""
    for at, field in enumerate(table.schema):
        column = table.column(at)
        if field.name in OWN or (apart and field.name in SHARED):
            column = pc.binary_join_element_wise(column, str(number), "-")
        elif field.name == "phone":
            column = pc.binary_join_element_wise(pc.utf8_slice_codeunits(column, 0, 3), f"{number:08d}", "")
        elif field.name == "item_id":
            is_hot = pa.array([row % 10 < 3 for row in range(table.num_rows)])
            column = pc.if_else(is_hot, pa.scalar("sku-hot"), column)
        elif field.type == INSTANT:
            column = pc.add(column, pa.scalar(timedelta(minutes=7 * number), pa.duration("us"))).cast(INSTANT)
        table = table.set_column(at, field, column)
    return table


def score_here(folder: Path, out: Path) -> None:
    """Score on one machine, in one process."""
    events = Events(**{kind: pq.read_table(folder / kind) for kind in KINDS})
    scorer = Scorer(load_starter(), load_policy(), KEY, lang="en")
    scored = scorer.score_events(key_events(events, KEY), now_us=int(NOW.timestamp() * 1e6))
    pq.write_table(scored.build_table(), out)


def score_on_spark(folder: Path, out: Path, master: str, partitions: int) -> None:
    """Score on Spark."""
    from pyspark.sql import SparkSession

    from ordervet.spark import score

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(master).config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.memory", "3g")
    builder = builder.config("spark.sql.shuffle.partitions", str(partitions)).config("spark.local.dir", str(folder))
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    frames = {kind: session.read.parquet(str(folder / kind)) for kind in KINDS}
    score(**frames, key=KEY, lang="en", now=NOW, n_partitions=partitions).write.parquet(str(out))
    session.stop()


def measure(arguments: list[str]) -> tuple[float, float, float]:
    """Run this file in a session of its own; return processor s, MiB of its largest Python, s of the clock."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, *arguments], start_new_session=True)
    seconds: dict[str, float] = {}
    largest = 0
    while process.poll() is None:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = stat.read_text().rpartition(")")
                fields = rest.split()
                if int(fields[3]) == process.pid:
                    seconds[stat.parent.name] = (int(fields[11]) + int(fields[12])) / _TICKS
                    largest = max(largest, int(fields[21]) if "python" in name else 0)
            except (OSError, IndexError):  # it has ended
                continue
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{arguments[0]} failed")
    return sum(seconds.values()), largest * resource.getpagesize() / 2**20, time.monotonic() - started


def read_sorted(path: Path) -> pa.Table:
    return pq.read_table(path).sort_by("order_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=2_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        where, folder, out = asked.run
        if where == "here":
            score_here(Path(folder), Path(out))
        else:
            score_on_spark(Path(folder), Path(out), asked.master, asked.partitions)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_copies(folder, asked.orders, apart=asked.apart)
        here, spark = str(folder / "here.parquet"), str(folder / "spark.parquet")
        one = measure(["--run", "here", temporary, here])
        many = measure([
            "--run", "spark", temporary, spark, "--master", asked.master, "--partitions", str(asked.partitions),
        ])  # fmt: skip
        told, known = read_sorted(Path(spark)), read_sorted(Path(here))
        assert told.equals(known.cast(told.schema)), "the scores differ"
        n, load = known.num_rows / 1e6, os.getloadavg()[0]
        print(f"{known.num_rows:,} simulated orders, equal scores, load {load:.0f}")
        for name, (processor, memory, clock) in (("one machine", one), (asked.master, many)):
            print(f"{name}: {processor / n:.1f} processor s a million orders, {memory:.0f} MiB, clock {clock:.0f} s")
        print(f"ratio: {many[0] / one[0]:.2f}")


if __name__ == "__main__":
    main()
