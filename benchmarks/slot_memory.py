"""Measure the memory of each stage of scoring on Spark, without Spark: slot after slot, as a worker's Python has them.

    python benchmarks/slot_memory.py [--orders 300000] [--partitions 4] [--apart]

Each stage runs in a process of its own, and messages wait in files in between; memory is the largest of that process,
which held one slot at a time. Orders are those of bench_spark.py.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from bench_spark import KEY, KINDS, NOW, write_copies

from ordervet.spark import slot_stages
from ordervet.spark.frames import BatchDecider, key_batches, run_last
from ordervet.spark.messages import run_stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEYING = "key"
STAGES = ("settle", "find", "connect", "spread", "attach", "compute", "finish")
_BATCH_ROWS = 10_000


def post(batches: Iterable[pa.RecordBatch], folder: Path, sender: str) -> None:
    """Write each message into the folder of its slot."""
    number = 0
    for batch in batches:
        for row in range(batch.num_rows):
            message = batch.slice(row, 1)
            box = folder / message["stage"][0].as_py() / f"{message['slot'][0].as_py():06d}"
            box.mkdir(parents=True, exist_ok=True)
            with pa.ipc.new_stream(str(box / f"{sender}-{number}"), message.schema) as writer:
                writer.write_batch(message)
            number += 1


def take(folder: Path, stage: str) -> Iterator[pa.RecordBatch]:
    """Read the messages for a stage, slot after slot."""
    for box in sorted((folder / stage).iterdir()):
        for path in sorted(box.iterdir()):
            yield pa.ipc.open_stream(path.read_bytes()).read_next_batch()


def read_rows(folder: Path, kind: str) -> Iterator[pa.RecordBatch]:
    for path in sorted((folder / kind).iterdir()):
        yield from pq.ParquetFile(path).iter_batches(_BATCH_ROWS)


def run(folder: Path, name: str, n_partitions: int) -> None:
    """Run one stage on all slots, and print what it took."""
    decider = BatchDecider.load(None, None, lang="en", explain_all=False, now=NOW)
    layout = slot_stages.Layout(decider.model.claim_spec, n_partitions)
    if name == KEYING:
        for kind in KINDS:
            rows = read_rows(folder, kind)
            keyed = key_batches(rows, kind=kind, layout=layout, key=KEY, columns=(), until_us=None)
            post(keyed, folder, f"{name}-{kind}")
    elif name == slot_stages.FINISH:
        for _ in run_last(take(folder, name), layout=layout, finish_rows=decider.decide):
            pass
    else:
        post(run_stage(take(folder, name), partial(getattr(slot_stages, name), layout)), folder, name)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{name}: {usage.ru_maxrss / 1024:.0f} MiB, {usage.ru_utime + usage.ru_stime:.1f} processor s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=300_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--apart", action="store_true", help="each copy has shops and items of its own")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        run(Path(asked.run[0]), asked.run[1], asked.partitions)
        return
    with tempfile.TemporaryDirectory() as temporary:
        write_copies(Path(temporary), asked.orders, apart=asked.apart)
        for name in (KEYING, *STAGES):
            command = [sys.executable, __file__, "--partitions", str(asked.partitions), "--run", temporary, name]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
