"""What can befall a running scorer: full disks, read-only folders, torn journals, clocks that jump back."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ordervet.contract import Outcome, read_table
from ordervet.entities import Key
from ordervet.errors import FileError, HistoryError, HistoryLockedError
from ordervet.features import build_spec
from ordervet.history import History
from ordervet.history.journal import Entry, create_journal, list_journals, read_journal
from ordervet.history.snapshots import list_snapshots
from ordervet.policy import DecisionCode, load_policy
from ordervet.score import Scorer
from ordervet.score.clock import now_us
from ordervet.score.durable_state import DurableState
from ordervet.score.online_state import OnlineState
from ordervet.score.open_scorer import open_state

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = Key(bytes(range(16)))
SPEC = build_spec(use_defaults=False, names=("buyer__count__order__90d",))
START_US = 1_768_464_000_000_000
YEAR_US = 365 * 86_400_000_000


def draw_order(name: str) -> dict[str, Any]:
    return {"order_id": name, "placed_at": "2026-01-15 16:00", "amount_minor": 100, "buyer_id": "b"}


def open_scorer(folder: Path, now: list[int] | None = None, **options: Any) -> Scorer:
    state = DurableState(History.open(folder, KEY), KEY, SPEC, **{"flush_after_s": 3600, "snapshot_from": 1} | options)
    return Scorer(None, load_policy(), KEY, clock=lambda: now[0] if now else START_US, state=state)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    History.open(tmp_path / "history", KEY, create=True)
    return tmp_path / "history"


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def read_orders(folder: Path) -> list[str]:
    return History.open(folder, KEY).read().orders["order_id"].to_pylist()


def test_order_that_cannot_be_journalled_passes_and_is_not_taken(folder: Path, caplog) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order("before"))
    scorer.observe(Outcome(order_id="before", kind="fulfilled", happened_at="2026-01-15 16:00"))

    with full_disk(10_000):
        decisions = [scorer.score(draw_order(f"full-{n}")) for n in range(40)]
        with pytest.raises(HistoryError, match=r"cannot be written.*the event was not accepted\nhint: free some space"):
            scorer.observe(Outcome(order_id="before", kind="claim", happened_at="2026-01-15 17:00"))
    scorer.score(draw_order("after"))
    scorer.close()

    taken = [d.order_id for d in decisions if d.code is DecisionCode.UNSCORED_NO_MODEL]
    assert {d.code for d in decisions[len(taken) :]} == {DecisionCode.UNSCORED_BROKEN_HISTORY}
    assert sorted(read_orders(folder)) == sorted(["before", *taken, "after"])
    assert "the event was not accepted" in caplog.text


def test_what_cannot_be_flushed_stays_in_the_journal(folder: Path, caplog) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order("t1"))

    with full_disk(500), caplog.at_level(logging.ERROR):
        with pytest.raises(HistoryError, match="cannot be"):
            scorer.flush()
        scorer.close()

    assert "it stays in the journal for the next writer" in caplog.text
    assert read_orders(folder) == []
    open_scorer(folder).close()
    assert read_orders(folder) == ["t1"]


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ENOMEM], ids=errno.errorcode.get
)
def test_flush_is_tried_again_and_nothing_is_doubled(
    number: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order("t1"))

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ordervet.history.delta.sync_table", fail)
    with pytest.raises(HistoryError, match=os.strerror(number)):
        scorer.flush()
    monkeypatch.undo()
    scorer.score(draw_order("t2"))
    scorer.flush()

    assert sorted(read_orders(folder)) == ["t1", "t2"]
    assert len(list_journals(folder)) == 1
    scorer.close()


class Refusing:
    """A connection of SQLite that refuses what is written, as on a bad disk or after a remount."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.fault = connection, ""

    def execute(self, text: str, *values: Any) -> Any:
        if self.fault and text.startswith("INSERT"):
            raise sqlite3.OperationalError(self.fault)
        return self.connection.execute(text, *values)

    def close(self) -> None:
        self.connection.close()


@pytest.mark.parametrize("fault", ["disk I/O error", "attempt to write a readonly database", "out of memory"])
def test_journal_that_cannot_be_written_takes_nothing_until_it_can(fault: str, folder: Path, caplog) -> None:
    scorer = open_scorer(folder)
    codes = [scorer.score(draw_order("t1")).code]
    journal = scorer._state._live._segments[-1].journal  # type: ignore[attr-defined]
    journal._connection = refusing = Refusing(journal._connection)

    refusing.fault = fault
    codes += [scorer.score(draw_order(name)).code for name in ("t2", "t3")]
    with pytest.raises(HistoryError, match=rf"cannot be written: {fault}; the event was not accepted\nhint: free some"):
        scorer.observe(Outcome(order_id="t1", kind="claim", happened_at="2026-01-15 17:00"))
    refusing.fault = ""
    codes += [scorer.score(draw_order(name)).code for name in ("t3", "t4")]
    scorer.close()

    taken, refused = DecisionCode.UNSCORED_NO_MODEL, DecisionCode.UNSCORED_BROKEN_HISTORY
    assert codes == [taken, refused, refused, taken, taken]
    assert sorted(read_orders(folder)) == ["t1", "t3", "t4"]
    assert caplog.text.count(fault) == 2


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open no further file."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as opened:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 1, limits[1])
        )
        try:
            with suppress(OSError):
                while True:
                    opened.enter_context(Path(os.devnull).open())
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_scorer_without_a_free_file_goes_on_and_flushes_when_there_is_one(folder: Path) -> None:
    scorer = open_scorer(folder)
    codes = [scorer.score(draw_order("t1")).code]

    with no_more_files():
        codes += [scorer.score(draw_order(name)).code for name in ("t2", "t3")]
        with pytest.raises(HistoryError, match="the history history cannot be"):
            scorer.flush()
        with pytest.raises(FileError, match="cannot be read: Too many open files"):
            read_table(folder / "orders.csv")
        codes.append(scorer.score(draw_order("t4")).code)
    scorer.flush()

    assert set(codes) == {DecisionCode.UNSCORED_NO_MODEL}
    assert sorted(read_orders(folder)) == ["t1", "t2", "t3", "t4"]
    scorer.close()


def test_order_is_known_while_the_table_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = open_scorer(folder)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ordervet.history.writer.commit_entries", fail)
    for name in ("t1", "t2", "t3"):
        scorer.score(draw_order(name))
        with pytest.raises(HistoryError, match="No space left"):
            scorer.flush()
        for known in ("t1", name):
            assert [row["event"] for row in scorer._state.read_rows(known)] == ["order"]
    monkeypatch.undo()
    scorer.flush()

    assert [row["event"] for row in scorer._state.read_rows("t1")] == ["order"]
    scorer.close()
    assert sorted(read_orders(folder)) == ["t1", "t2", "t3"]


def test_snapshot_that_cannot_be_written_is_logged_and_nothing_is_lost(folder: Path, caplog) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order("t1"))
    scorer.flush()

    with full_disk(2_000), caplog.at_level(logging.ERROR):
        scorer._state.save_snapshot(waits=True)  # type: ignore[attr-defined]

    assert "the snapshot of the history history cannot be written: File too large" in caplog.text
    assert list_snapshots(folder) == []
    scorer.close()


def test_journal_with_a_torn_tail_gives_its_whole_entries_and_says_so(folder: Path, caplog) -> None:
    journal = create_journal(folder, "batch")
    entries = [Entry(is_repeat=False, lines=b'{"n":%d}\n' % n) for n in range(5)]
    for entry in entries:
        journal.append(entry)
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    journal.remove()
    (path,) = list_journals(copy)
    wal = path.with_name(path.name + "-wal")

    os.truncate(wal, wal.stat().st_size - 100)

    assert read_journal(path).entries == entries[:-1]
    assert "ends in a torn entry; its 4 whole entries are kept" in caplog.text


def test_journal_that_is_no_journal_is_one_clear_error(folder: Path) -> None:
    (folder / "_journal-00000001.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(
        HistoryError, match=r"the journal of the history history is damaged.*\nhint: move _journal-0000"
    ):
        open_scorer(folder)

    assert History.open(folder, KEY).read().orders.num_rows == 0


def test_every_acknowledged_event_is_on_the_disk_when_that_is_asked_for(folder: Path) -> None:
    scorer = open_scorer(folder, durability="always")
    scorer.score(draw_order("t1"))

    assert scorer._state._live._segments[-1].journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # type: ignore[attr-defined]

    scorer.close()
    assert read_orders(folder) == ["t1"]


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A history that this process may read and not write, even where the tests run as root."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    History.open(root / "history", KEY, create=True)
    paths = [root, *root.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    yield root / "history"
    if is_root:
        os.seteuid(0)
    for path in paths:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(root)


def test_history_in_a_read_only_folder_is_read_when_that_is_asked_for(locked_folder: Path) -> None:
    options = {"n_jobs": 1, "durability": "batch", "clock": now_us}

    with pytest.raises(HistoryLockedError, match=r"cannot be written: Permission denied\nhint: .*read_only=True"):
        open_state(locked_folder, KEY, SPEC, is_read_only=False, **options)

    assert type(open_state(locked_folder, KEY, SPEC, is_read_only=True, **options)) is OnlineState


def test_folder_that_becomes_read_only_under_a_scorer_takes_the_flush_when_it_may() -> None:
    root = Path(tempfile.mkdtemp())
    root.chmod(0o777)
    folder = root / "history"
    with as_nobody():
        History.open(folder, KEY, create=True)
        scorer = open_scorer(folder)
        codes = [scorer.score(draw_order("t1")).code]
        locked = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        for path in locked:
            path.chmod(0o500)

        codes += [scorer.score(draw_order("t2")).code]
        with pytest.raises(HistoryError, match=r"history cannot be (created|written).*\nhint: .*permissions"):
            scorer.flush()
        for path in locked:
            path.chmod(0o700)
        scorer.flush()
        scorer.close()

        assert set(codes) == {DecisionCode.UNSCORED_NO_MODEL}
        assert sorted(read_orders(folder)) == ["t1", "t2"]
    shutil.rmtree(root)


def test_folder_that_may_not_be_looked_into_is_one_clear_error() -> None:
    root = Path(tempfile.mkdtemp())
    History.open(root / "history", KEY, create=True)

    with as_nobody(), pytest.raises(HistoryError, match="the history history cannot be read: Permission denied"):
        History.open(root / "history", KEY)

    shutil.rmtree(root)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be bound by permissions, also where the tests run as root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize("jump_us", [YEAR_US, -YEAR_US], ids=["forward", "back"])
def test_clock_that_jumps_a_year_and_returns_loses_nothing_and_replays(jump_us: int, folder: Path, caplog) -> None:
    now = [START_US]
    scorer = open_scorer(folder, now)
    served = []
    for n, offset in enumerate([0, 60, jump_us // 10**6, jump_us // 10**6 + 60, 120, 180]):
        now[0] = START_US + offset * 10**6
        served.append(scorer.score(draw_order(f"t{n}")))
        if n % 2:
            scorer.flush()
    scorer.observe(Outcome(order_id="t0", kind="claim", happened_at="2026-01-15 17:00"))
    state = scorer._state._engine.export_state()[0]  # type: ignore[union-attr]
    scorer.close()

    read = History.open(folder, KEY).read()
    seen_at = read.orders["seen_at"].cast("int64").to_pylist()
    assert {each.code for each in served} == {DecisionCode.UNSCORED_NO_MODEL}
    assert sorted(read.orders["order_id"].to_pylist()) == [f"t{n}" for n in range(6)]
    assert len(read.outcomes) == 1
    assert seen_at == sorted(seen_at)
    assert caplog.text.count("behind the last event") == 1
    again = open_scorer(folder, now, snapshot_from=10**9)
    replayed = again._state._engine.export_state()[0]  # type: ignore[union-attr]
    assert {name: each.tobytes() for name, each in replayed.items()} == {
        name: each.tobytes() for name, each in state.items()
    }
    again.close()


def test_clock_that_jumps_back_is_told_once_and_arrivals_go_on(folder: Path, caplog) -> None:
    now = [START_US]
    scorer = open_scorer(folder, now)
    scorer.score(draw_order("t1"))
    now[0] -= 3_600_000_000

    for n in range(2, 5):
        scorer.score(draw_order(f"t{n}"))
    now[0] = START_US + 10
    scorer.score(draw_order("t5"))
    scorer.close()

    seen_at = History.open(folder, KEY).read().orders["seen_at"].cast("int64").to_pylist()
    assert seen_at == [START_US, START_US + 1, START_US + 2, START_US + 3, START_US + 10]
    assert caplog.text.count("the clock is 3600.0 s behind the last event") == 1


def test_event_before_its_order_and_verdicts_of_one_instant_are_served_as_a_replay_serves_them(folder: Path) -> None:
    scorer = open_scorer(folder)
    scorer.observe(Outcome(order_id="t1", kind="claim", happened_at="2026-01-15 16:00"))
    scorer.score(draw_order("t1"))
    scorer.score(draw_order("t2"))
    scorer.close()

    read = History.open(folder, KEY).read()

    assert read.outcomes["order_id"].to_pylist() == ["t1"]
    assert read.orders["seen_at"].cast("int64").to_pylist() == [START_US, START_US]


def test_folder_that_vanishes_under_a_scorer_is_noticed_and_service_resumes_with_it(folder: Path) -> None:
    scorer = open_scorer(folder)
    codes = [scorer.score(draw_order("before")).code]
    folder.rename(folder.with_name("elsewhere"))

    codes += [scorer.score(draw_order(f"gone-{n}")).code for n in range(2)]
    with pytest.raises(HistoryError, match="the journal of the history history is gone; the event was not accepted"):
        scorer.observe(Outcome(order_id="before", kind="claim", happened_at="2026-01-15 17:00"))
    with pytest.raises(HistoryError):
        scorer.flush()
    folder.with_name("elsewhere").rename(folder)
    codes.append(scorer.score(draw_order("after")).code)
    scorer.close()

    refused = DecisionCode.UNSCORED_BROKEN_HISTORY
    assert codes == [DecisionCode.UNSCORED_NO_MODEL, refused, refused, DecisionCode.UNSCORED_NO_MODEL]
    assert sorted(read_orders(folder)) == ["after", "before"]


def test_folder_that_was_removed_and_made_again_is_another(folder: Path) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order("before"))
    shutil.rmtree(folder)
    History.open(folder, KEY, create=True)

    assert scorer.score(draw_order("t")).code is DecisionCode.UNSCORED_BROKEN_HISTORY
    scorer.close()


@pytest.mark.parametrize("how", ["score", "rescore"])
def test_order_that_there_is_no_memory_to_read_passes(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    scorer = open_scorer(folder)
    monkeypatch.setattr("ordervet.score.scorer.read_order", fail)

    decision = getattr(scorer, how)(draw_order("t"))

    assert (decision.order_id, decision.code, decision.action) == ("t", DecisionCode.UNSCORED_ERROR, "pass")
    scorer.close()


#: Scores under a limit of memory: says which orders are acknowledged, until they no longer are, and then without it.
HUNGRY = """
import resource, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_accidents import draw_order, open_scorer
scorer = open_scorer(Path(sys.argv[1]))
scorer.score(draw_order("first"))
scorer.flush()
orders = [draw_order(f"t{n}") for n in range(400)]
limits = resource.getrlimit(resource.RLIMIT_AS)
size = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (size * 1024, limits[1]))
ballast = []
for n, order in enumerate(orders):
    try:
        while n > 20:
            ballast.append(bytearray(2**16))
    except MemoryError:
        pass
    try:
        code = scorer.score(order).code
    except MemoryError as error:  # Python had no memory to call it with
        if error.__traceback__.tb_next is not None:
            raise
        continue
    if code == "UNSCORED_NO_MODEL":
        print(f"t{n}", flush=True)
ballast.clear()
resource.setrlimit(resource.RLIMIT_AS, limits)
assert scorer.score(draw_order("last")).code == "UNSCORED_NO_MODEL"
print("last", flush=True)
scorer.close()
"""


def test_scorer_without_memory_loses_nothing(folder: Path) -> None:
    paths = [str(Path(__file__).parent), *sys.path]

    ended = subprocess.run([sys.executable, "-c", HUNGRY, folder, *paths], capture_output=True, text=True, check=False)
    open_scorer(folder).close()

    acknowledged = ended.stdout.split()
    assert ended.returncode in (0, -signal.SIGABRT), ended.stderr  # Delta's engine ends a process without memory
    assert len(acknowledged) > 20, ended.stderr
    there = read_orders(folder)
    assert len(there) == len(set(there))
    assert {"first", *acknowledged} <= set(there)
