"""Kill `ordervet history publish` to an object store at random times: whoever reads it sees a whole version.

    PYTHONPATH=tests:tests/reference python tests/crash_publish.py N_KILLS [SEED]

The history grows meanwhile, and is compacted and vacuumed now and then. The store is a real one, SeaweedFS, and polars
reads it. At the end a last run must leave the rows of the history, and no other file.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pyarrow.fs import FileSelector

from kills import KEYS, build_batch, count_batches
from object_store import BUCKET, running
from ordervet.history import History, delta

if TYPE_CHECKING:
    from object_store import ObjectStore

ADDRESS = f"s3://{BUCKET}/published"


def grow(path: Path, batch: int) -> None:
    history = History.open(path, KEYS[0], create=True)
    history.ingest(build_batch(batch))
    if batch % 5 == 4:
        history.compact()
        history.vacuum(keep_days=0)


def look(store: ObjectStore) -> int:
    """Read the copy; return how many batches its version has, whole."""
    rows = pl.read_delta(ADDRESS, storage_options=store.options).select("order_id", "event")
    orders, outcomes = (rows.filter(event=kind)["order_id"].to_list() for kind in ("order", "outcome"))
    n_batches = count_batches(orders, "orders")
    assert count_batches(outcomes, "outcomes") == n_batches, "half of a version"
    return n_batches


def list_files(store: ObjectStore) -> set[str]:
    found = store.open().get_file_info(FileSelector(f"{BUCKET}/published"))
    return {each.base_name for each in found if delta.is_data_file(each.base_name)}


def crash(n_kills: int, seed: int, folder: Path, store: ObjectStore) -> None:
    path = folder / "history"
    command = [sys.executable, "-m", "ordervet", "history", "publish", ADDRESS, "--history", str(path)]
    environment = os.environ | store.environment | {"ORDERVET_KEY": KEYS[0].to_hex()}

    def publish(after_s: float) -> bool:
        """Publish, kill it after a time, and return whether it had not ended."""
        sending = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            sending.wait(after_s)
        except subprocess.TimeoutExpired:
            sending.kill()
        assert sending.wait() in {0, -signal.SIGKILL}
        return sending.returncode != 0

    grow(path, 0)
    started = time.monotonic()
    publish(60.0)
    longest, dice = time.monotonic() - started, random.Random(seed)  # noqa: S311 - kills need no secrecy
    batch, n_killed, n_seen, n_new = 1, 0, look(store), 0
    while n_killed < n_kills:
        grow(path, batch)
        is_killed = publish(dice.uniform(0.4, 1.1) * longest)  # it has only begun to load before that
        longest *= 1.03 if is_killed else 0.96
        n_before, n_seen = n_seen, look(store)
        assert n_before <= n_seen <= batch + 1, "an older version"
        assert is_killed or n_seen == batch + 1
        n_killed += is_killed
        n_new += is_killed and n_seen == batch + 1
        batch += 1
    publish(60.0)
    assert look(store) == batch
    assert list_files(store) == delta.list_data_files(path), "files are left over, or lack"
    sys.stdout.write(
        f"publish to S3: {n_kills} kills, {n_new} after the new version was visible; it was always whole\n"
    )


def main() -> None:
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, running(Path(folder) / "store") as store:
        crash(n_kills, seed, Path(folder), store)


if __name__ == "__main__":
    main()
