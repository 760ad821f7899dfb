"""Kill whatever writes, at random times; after each death nothing acknowledged may be lost, or be there twice.

    PYTHONPATH=tests:tests/reference python tests/kills.py [N_KILLS] [SEED]

Each kind of writer gets its share of the kills. Those of `ingest`, `rotate` and `publish` are here; of a scorer (it
scores, flushes, compacts, erases, writes snapshots), a retrain and the service each has a driver of its own. Only what
was killed before it came to its end counts.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crash_retrain
import crash_serve
from history_events import build_events, order, outcome
from ordervet.cli import run as run_command
from ordervet.contract.files import csv_rows, opening
from ordervet.contract.files.event_files import read_counted_events
from ordervet.entities import Key, key_events
from ordervet.errors import KeyMismatchError
from ordervet.history import History, delta
from ordervet.history.publish import publish
from ordervet.history.rotate import rotate_key
from ordervet.object_stores import find_place
from score import crash_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ordervet.contract import Events

KEYS = (Key(bytes(range(16))), Key(bytes(range(16, 32))))
N_ORDERS = 200
"""Of a batch, with an outcome each."""


def start(act: Callable[[], Any], said: int | None = None) -> int:
    """Do something in a process of its own, which starts its threads itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            found = act()
            if said is not None:
                os.write(said, json.dumps(found).encode())
        except BaseException:  # noqa: BLE001 - told, whatever it is
            os.write(2, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)
    return pid


def finish(act: Callable[[], Any]) -> Any:
    """Do something to its end, and return what it found."""
    reader, writer = os.pipe()
    pid = start(act, writer)
    os.close(writer)
    text = b""
    while part := os.read(reader, 65_536):
        text += part
    os.close(reader)
    assert os.waitpid(pid, 0)[1] == 0, "it failed"
    return json.loads(text)


def kill(act: Callable[[], Any], after_s: float) -> bool:
    """Do something, kill it after a time, and return whether it had not ended."""
    pid = start(act)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, "it failed"
    return os.WIFSIGNALED(status)


class Delays:
    """Draws when to kill: any time within what it takes, or a little later."""

    def __init__(self, seed: int, took_s: float) -> None:
        self._dice, self._longest = random.Random(seed), took_s  # noqa: S311 - kills need no secrecy

    def draw(self) -> float:
        return self._dice.uniform(0.0, 1.1) * self._longest

    def note(self, *, is_killed: bool) -> None:
        """Take note of how it went: where hardly any is killed, kill earlier."""
        self._longest *= 1.03 if is_killed else 0.96


def time_of(act: Callable[[], Any]) -> float:
    started = time.monotonic()
    finish(act)
    return time.monotonic() - started


def warm_up() -> None:
    """Load once what every process would load by itself."""
    importlib.import_module("ordervet.cli.ingest")
    key_events(build_batch(0), KEYS[0])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "orders.csv"
        file.write_text("order_id,placed_at,amount_minor\na,2025-11-01,1\n", encoding="utf-8")
        read_counted_events([file], are_orders_needed=False)


def name_batch(batch: int) -> list[str]:
    return [f"{batch}-{at}" for at in range(N_ORDERS)]


def build_batch(batch: int) -> Events:
    names = name_batch(batch)
    orders = [order(name, buyer_id=f"b{at % 17}") for at, name in enumerate(names)]
    return build_events(orders=orders, outcomes=[outcome(name) for name in names])


def create(path: Path) -> None:
    History.open(path, KEYS[0], create=True)


def count_batches(order_ids: list[str], what: str) -> int:
    """Check that batches are there whole, from the first on, each event once; return how many."""
    times = Counter(order_ids)
    assert set(times.values()) <= {1}, f"{what}: some are there twice"
    n_batches, rest = divmod(len(times), N_ORDERS)
    assert rest == 0, f"{what}: {rest} of a batch"
    assert set(times) == {name for batch in range(n_batches) for name in name_batch(batch)}, f"{what}: others"
    return n_batches


def count_stored(path: Path, key: Key = KEYS[0]) -> int:
    events = History.open(path, key).read()
    n_batches = count_batches(events.orders["order_id"].to_pylist(), "orders")
    assert count_batches(events.outcomes["order_id"].to_pylist(), "outcomes") == n_batches, "half of a batch"
    return n_batches


def kill_ingests(n_kills: int, seed: int, folder: Path) -> str:
    """Kill `ordervet ingest` of files that are read in pieces: all of them are in, or none."""
    path = folder / "history"
    finish(lambda: create(path))

    def ingest(batch: int) -> None:
        opening.MAX_PIECE, csv_rows._LONG_BLOCK = 0, 2**10
        os.environ["ORDERVET_KEY"] = KEYS[0].to_hex()
        names = name_batch(batch)
        files = {
            "orders": ["order_id,placed_at,amount_minor", *(f"{name},2025-11-01 10:00,100" for name in names)],
            "outcomes": ["order_id,kind,happened_at", *(f"{name},claim,2025-11-05 10:00" for name in names)],
        }
        for name, lines in files.items():
            (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        sys.argv = [
            "ordervet",
            "ingest",
            str(folder / "orders.csv"),
            str(folder / "outcomes.csv"),
            "--history",
            str(path),
        ]
        with Path(os.devnull).open("w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
            code = 0
            try:
                run_command()
            except SystemExit as ended:
                code = int(ended.code or 0)
        assert not code, f"exit code {code}"

    delays = Delays(seed, time_of(lambda: ingest(0)))
    batch, n_killed, n_in = 1, 0, 0
    while n_killed < n_kills:
        is_killed = kill(lambda batch=batch: ingest(batch), delays.draw())
        delays.note(is_killed=is_killed)
        n_killed += is_killed
        n_batches = finish(lambda: count_stored(path))
        assert n_batches == batch + 1 or (is_killed and n_batches == batch), f"{n_batches} batches, not {batch}"
        n_in += is_killed and n_batches > batch
        batch = n_batches
    for _ in range(2):  # the second time nothing is new
        finish(lambda: ingest(batch))
    assert finish(lambda: count_stored(path)) == batch + 1
    return f"{n_in} after all was in; every run was in whole or not at all"


def kill_rotations(n_kills: int, seed: int, folder: Path) -> str:
    """Kill changes of the key, to and fro: the history is under one of the two, whole."""
    path = folder / "home" / "history"
    finish(lambda: create(path))
    finish(lambda: History.open(path, KEYS[0]).ingest(build_batch(0)) and None)

    def rotate(at: int) -> None:
        rotate_key(path, KEYS[at], KEYS[1 - at], [build_batch(0).orders])

    def look() -> list[Any]:
        """The number of the key that the history is under, and its buyers' ids."""
        found = []
        for at, key in enumerate(KEYS):
            try:
                count_stored(path, key)
            except KeyMismatchError:
                continue
            buyers = History.open(path, key).read().orders["id__buyer"].to_pylist()
            found.append([at, sorted(map(str, set(buyers)))])
        assert len(found) == 1, "it is under no key, or under both"
        return found[0]

    ids = {0: finish(look)[1]}
    delays = Delays(seed, time_of(lambda: rotate(0)))
    ids[1] = finish(look)[1]
    at, n_killed, n_changed = 1, 0, 0
    while n_killed < n_kills:
        is_killed = kill(lambda at=at: rotate(at), delays.draw())
        delays.note(is_killed=is_killed)
        n_killed += is_killed
        now, buyers = finish(look)
        assert buyers == ids[now], "ids of another key"
        assert is_killed or now == 1 - at
        n_changed += is_killed and now != at
        at = now
    finish(lambda: rotate(at))
    assert [each.name for each in path.parent.iterdir()] == ["history"], "something is left over"
    return f"{n_changed} after the change; it was always whole under one key"


def kill_publications(n_kills: int, seed: int, folder: Path) -> str:
    """Kill `history publish` while the history grows: whoever reads the copy sees a whole version."""
    path, copy = folder / "history", folder / "copy"
    finish(lambda: create(path))

    def grow(batch: int) -> None:
        history = History.open(path, KEYS[0])
        history.ingest(build_batch(batch))
        if batch % 5 == 4:
            history.compact()
            history.vacuum(keep_days=0)

    def send() -> None:
        publish(History.open(path, KEYS[0]), find_place(f"file://{copy}"))

    def look() -> int:
        rows = delta.open_dataset(copy, delta.load_table(copy)).to_table(["order_id", "event"])
        of_kind = {kind: [] for kind in ("order", "outcome")}
        for row in rows.to_pylist():
            of_kind[row["event"]].append(row["order_id"])
        n_batches = count_batches(of_kind["order"], "orders")
        assert count_batches(of_kind["outcome"], "outcomes") == n_batches, "half of a version"
        return n_batches

    finish(lambda: grow(0))
    delays = Delays(seed, time_of(send))
    batch, n_killed, n_seen, n_new = 1, 0, finish(look), 0
    while n_killed < n_kills:
        finish(lambda batch=batch: grow(batch))
        is_killed = kill(send, delays.draw())
        delays.note(is_killed=is_killed)
        n_killed += is_killed
        n_before, n_seen = n_seen, finish(look)
        assert n_before <= n_seen <= batch + 1, "an older version"
        assert is_killed or n_seen == batch + 1
        n_new += is_killed and n_seen == batch + 1
        batch += 1
    finish(send)
    assert finish(look) == batch
    left = finish(lambda: sorted({each.name for each in copy.iterdir() if delta.is_data_file(each.name)}
                                 ^ delta.list_data_files(copy)))  # fmt: skip
    assert left == [], "files are left over"
    return f"{n_new} after the new version was visible; readers always saw a whole version"


DRIVERS: dict[str, tuple[int, Callable[..., str]]] = {
    "scorer": (40, lambda n_kills, seed, _: crash_driver.run(n_kills, seed)),
    "ingest": (18, kill_ingests),
    "rotate": (13, kill_rotations),
    "publish": (13, kill_publications),
    "retrain": (8, lambda n_kills, seed, _: crash_retrain.run(n_kills, seed)),
    "serve": (8, lambda n_kills, seed, _: crash_serve.run(n_kills, seed)),
}
"""Per kind its share of a hundred kills, and what does them. Those that start threads in this process come last."""


def run(n_kills: int, seed: int) -> Iterator[str]:
    """Kill so many, kind after kind; yield what there is to say about each."""
    warm_up()
    total = 0
    for kind, (share, drive) in DRIVERS.items():
        n, started = max(n_kills * share // 100, 1), time.monotonic()
        with tempfile.TemporaryDirectory(prefix="ordervet-kills-", ignore_cleanup_errors=True) as folder:
            said = drive(n, seed, Path(folder))
        total += n
        yield f"{kind}: {n} kills in {time.monotonic() - started:.0f} s: {said}"
    yield f"{total} kills: nothing acknowledged was lost, and nothing was there twice"


if __name__ == "__main__":
    for line in run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, int(sys.argv[2]) if len(sys.argv) > 2 else 7):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
