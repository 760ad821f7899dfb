"""Kill what publishes a history, at random times: whoever reads the copy always sees a whole version.

    PYTHONPATH=tests python tests/crash_publish.py [N_KILLS] [SEED]

The history grows, is compacted and vacuumed in between. After each kill the copy in the object store must be, row for
row, one of the versions that there were; after a run to its end it must be the newest, and no file is left over.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
from pyarrow.fs import FileSelector

from object_store import BUCKET, running
from ordervet.contract import Events
from ordervet.entities import Key
from ordervet.history import History, delta
from ordervet.lab.simulate import SimulationSettings, simulate

KEY = Key(bytes(range(16)))
ROWS = 200


def read(address: str, options: dict[str, str] | None = None) -> pl.DataFrame:
    frame = pl.read_delta(address, storage_options=options)
    return frame.select(sorted(frame.columns)).sort("event_id", "view")


def main() -> None:
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 7)  # noqa: S311 - kills need no secrecy
    season = simulate(SimulationSettings(n_orders=ROWS * (n_kills + 1), seed=5))
    address = f"s3://{BUCKET}/published"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, running(Path(name) / "store") as store:
        history = History.open(Path(name) / "history", KEY, create=True)
        command = [sys.executable, "-m", "ordervet", "history", "publish", address, "--history", str(history.path)]
        environment = os.environ | store.environment | {"ORDERVET_KEY": KEY.to_hex()}
        versions = [read(str(history.path))]
        started = time.monotonic()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        longest, n_new = time.monotonic() - started, 0
        for kill in range(n_kills):
            history.ingest(replace(Events.empty(), orders=season.orders.slice(kill * ROWS, ROWS)))
            if kill % 5 == 4:
                history.compact()
                history.vacuum(keep_days=0)
            versions.append(read(str(history.path)))
            started = time.monotonic()
            publishing = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            try:
                publishing.wait(dice.uniform(0.4, 1.1) * longest)
                longest = time.monotonic() - started
            except subprocess.TimeoutExpired:
                publishing.kill()
                publishing.wait()
                longest *= 1.02
            seen = read(address, store.options)
            assert any(seen.equals(version) for version in reversed(versions)), f"kill {kill}: no whole version"
            n_new += seen.equals(versions[-1])
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert read(address, store.options).equals(versions[-1])
        files = store.open().get_file_info(FileSelector(f"{BUCKET}/published"))
        there = {each.base_name for each in files if delta.is_data_file(each.base_name)}
        assert there == delta.list_data_files(history.path)
    said = f"{n_kills} kills, {n_new} of them after the new version was visible"
    sys.stdout.write(f"{said}; readers always saw a whole version\n")


if __name__ == "__main__":
    main()
