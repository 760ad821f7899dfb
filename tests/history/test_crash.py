"""Writers that die, disks that are full, folders that cannot be written: the last version stands."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from history_events import build_events, ids, order, outcome
from ordervet.errors import HistoryError
from ordervet.history import History, IngestStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordervet.contract import Events
    from ordervet.entities import Key

N_ORDERS = 40
DELAYS_S = (0.0, 0.004, 0.011, 0.019, 0.03, 0.043)
#: Per line, starts a writer that ingests batch after batch from that number on, now and then compacts and cleans up,
#: and says when a batch is in. SPEED: imports once for all writers.
NURSERY = """
import os
import sys
from itertools import count
sys.path.insert(0, sys.argv[2])
from test_crash import build_batch
from ordervet.entities import Key, key_events
from ordervet.history import History

key = Key(bytes(range(16)))
key_events(build_batch(0), key)

def write(n_first):
    history = History.open(sys.argv[1], key)
    for n in count(n_first):
        history.ingest(build_batch(n))
        print("in", flush=True)
        if n % 3 == 2:
            history.compact()
            history.vacuum(keep_days=0)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write(int(line))
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""


def build_batch(n: int) -> Events:
    """Orders, and as many later events of orders of the batch before, which get another blame one batch later still."""
    names = [f"{n}-{at}" for at in range(N_ORDERS)]
    older = [outcome(f"{n - 1}-{at}", blame=None) for at in range(N_ORDERS)]
    found = [outcome(f"{n - 2}-{at}", blame="seller") for at in range(N_ORDERS)]
    return build_events(orders=[order(name) for name in names], outcomes=older + found)


@pytest.fixture
def nursery(history: History) -> Iterator[subprocess.Popen[str]]:
    here = Path(__file__).resolve().parent
    paths = [str(here.parents[0]), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(history.path), str(here)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    with process:
        yield process
        process.communicate()
    assert process.returncode == 0


def run_and_kill(nursery: subprocess.Popen[str], n_first: int, n_batches: int, delay_s: float) -> int:
    """Let a writer bring in so many batches, kill it a moment later, and count the batches that it said are in."""
    assert nursery.stdin
    assert nursery.stdout
    nursery.stdin.write(f"{n_first}\n")
    nursery.stdin.flush()
    said = [nursery.stdout.readline().strip() for _ in range(1 + n_batches)]
    (pid,) = (int(line) for line in said if line.isdigit())
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)
    while said[-1] != "dead":
        said.append(nursery.stdout.readline().strip())
    return said.count("in")


def test_killed_writer_leaves_whole_batches_and_all_that_it_reported(
    history: History, nursery: subprocess.Popen[str]
) -> None:
    n_done = 0
    for at, delay_s in enumerate(DELAYS_S):
        n_reported = n_done + run_and_kill(nursery, n_done, 1 + at % 2, delay_s)

        n_orders = history.read().orders.num_rows

        assert n_orders % N_ORDERS == 0
        assert n_reported <= n_orders // N_ORDERS <= n_reported + 1
        n_done = n_orders // N_ORDERS

    history.vacuum(keep_days=0)
    again = [history.ingest(build_batch(n)).count(IngestStatus.ACCEPTED) for n in range(n_done)]

    assert again == [0] * n_done
    read = history.read()
    assert sorted(ids(read, "orders")) == sorted(f"{n}-{at}" for n in range(n_done) for at in range(N_ORDERS))
    blames = read.outcomes["blame"].to_pylist()
    assert (blames.count("seller"), blames.count(None)) == (N_ORDERS * (n_done - 2), N_ORDERS)


def test_full_disk_is_one_clear_error_and_nothing_is_half_visible(history: History, season: Events) -> None:
    history.ingest(build_events(orders=[order("A")]))
    before, version = history.read(), history.version
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, limits[1]))

    try:
        with pytest.raises(
            HistoryError, match=r"cannot be written: File too large; its last version is unchanged\nhint: free"
        ):
            history.ingest(season)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (history.read(), history.version) == (before, version)
    assert history.ingest(season).count(IngestStatus.ACCEPTED) > 0


@pytest.fixture
def locked_history(key: Key) -> Iterator[History]:
    """A history that this process may read and not write, even where the tests run as root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    history = History.open(folder / "history", key, create=True)
    history.ingest(build_events(orders=[order("A")]))
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    yield history
    if is_root:
        os.seteuid(0)
    for path in paths:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(folder)


def test_read_only_history_is_read_and_not_written(locked_history: History, key: Key) -> None:
    writes = (
        lambda: locked_history.ingest(build_events(orders=[order("B")])),
        locked_history.compact,
        locked_history.vacuum,
        lambda: locked_history.erase_buyer("b"),
        lambda: History.open(locked_history.path.parent / "new", key, create=True),
    )

    for write in writes:
        with pytest.raises(HistoryError, match=r"cannot be written: Permission denied"):
            write()
    assert ids(History.open(locked_history.path, key).read(), "orders") == ["A"]
