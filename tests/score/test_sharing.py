"""One scorer among threads, forks, copies and readers: it cannot be misused without being told."""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ordervet.contract import Outcome
from ordervet.entities import Key
from ordervet.errors import ForkedError, HistoryError, KeyMismatchError
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History
from ordervet.history.journal import list_journals
from ordervet.policy import DecisionCode, load_policy
from ordervet.score import Scorer
from ordervet.score.durable_state import DurableState
from ordervet.score.shadow import ShadowLog
from service_makers import draw_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ordervet.model import Model

KEY, OTHER = Key(bytes(range(16))), Key(bytes(range(16, 32)))
SPEC = build_spec(use_defaults=False, names=("buyer__count__order__90d", "phone__distinct__buyer__90d"))
N_THREADS = 16

#: A child that is left to its interpreter: it collects, exits as programs do, and prints what it was answered.
FORKING = """
import gc, os, sys
from ordervet.score import Scorer

scorer = Scorer.open(history=sys.argv[1])
order = {"order_id": "t1", "placed_at": "2026-01-15 16:00", "amount_minor": 100}
print(scorer.score(order).code, flush=True)
if os.fork() == 0:
    with scorer:
        print(scorer.score(order | {"order_id": "t2"}).code, flush=True)
    if sys.argv[2] == "collect":
        del scorer
        gc.collect()
    sys.exit(0)
os.wait()
print(scorer.score(order | {"order_id": "t3"}).code, flush=True)
os.kill(os.getpid(), 9)  # what the journal holds now is all there is
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    History.open(tmp_path / "history", KEY, create=True)
    return tmp_path / "history"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> Key:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    return KEY


def open_scorer(folder: Path, *, flush_after_s: float = 3600.0) -> Scorer:
    state = DurableState(History.open(folder, KEY), KEY, SPEC, flush_after_s=flush_after_s, flush_after=200)
    return Scorer(None, load_policy(), KEY, state=state)


def read_orders(folder: Path) -> list[str]:
    return sorted(History.open(folder, KEY).read().orders["order_id"].to_pylist())


def run_in_child(check: Callable[[], object]) -> int:
    """Fork, and return 0 if the check came out true in the child."""
    pid = os.fork()
    if pid == 0:
        is_right = False
        try:
            is_right = bool(check())
        finally:
            os._exit(0 if is_right else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_threads_take_turns_and_every_event_is_in_the_table_once(folder: Path) -> None:
    scorer = open_scorer(folder, flush_after_s=0.05)
    per_thread = 100
    start = threading.Barrier(N_THREADS)

    def work(thread: int) -> None:
        start.wait()
        for at in range(per_thread):
            number = thread * per_thread + at
            if at % 10 == 9:
                scorer.score_many([draw_order(number), draw_order(number + 100_000)])
            else:
                scorer.score(draw_order(number))
            if at % 4 == 0:
                scorer.observe(Outcome(order_id=f"t{number}", kind="claim", happened_at="2026-01-15 17:00"))

    with ThreadPoolExecutor(N_THREADS) as pool:
        list(pool.map(work, range(N_THREADS)))
    scorer.close()

    kept = History.open(folder, KEY).read()
    n_orders = N_THREADS * per_thread * 11 // 10
    assert sum(scorer.codes.values()) == kept.orders.num_rows == n_orders == len(set(read_orders(folder)))
    assert kept.outcomes.num_rows == N_THREADS * per_thread // 4


def test_features_that_threads_were_served_equal_a_replay(model: Model, folder: Path) -> None:
    served: dict[int, np.ndarray] = {}

    class Recorder(DurableState):
        def add_order(self, one: Any) -> Any:
            taken = super().add_order(one)
            served[one.keyed.order_id] = taken.matrix.copy()
            return taken

    scorer = Scorer(model, load_policy(), KEY, state=Recorder(History.open(folder, KEY), KEY, model.spec))
    with ThreadPoolExecutor(8) as pool:
        codes = set(pool.map(lambda number: scorer.score(draw_order(number)).code, range(400)))
    scorer.close()

    kept = History.open(folder, KEY).read()
    orders = build_order_events(kept.orders, model.spec)
    replayed = FeatureEngine(model.spec).advance(orders, build_later_events(kept))
    assert codes == {DecisionCode.SCORED}
    for order_id, row in zip(orders.order_id.tolist(), replayed, strict=True):
        np.testing.assert_array_equal(served[order_id][0], row)


def test_forked_child_passes_orders_with_a_code_and_logs_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order(1))

    def check() -> bool:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            codes = {scorer.score(draw_order(number)).code for number in range(2, 9)}
            codes |= {decision.code for decision in scorer.score_many([draw_order(9), {"order_id": "t10"}])}
        return codes == {DecisionCode.UNSCORED_FORKED} and len(caplog.records) == 1

    assert run_in_child(check) == 0
    assert scorer.score(draw_order(11)).code is DecisionCode.UNSCORED_NO_MODEL
    scorer.close()
    assert read_orders(folder) == ["t1", "t11"]


@pytest.mark.parametrize(
    "call",
    [
        lambda scorer: scorer.observe(Outcome(order_id="t1", kind="claim", happened_at="2026-01-15 17:00")),
        lambda scorer: scorer.flush(),
        lambda scorer: scorer.erase_buyer("b1"),
        lambda scorer: scorer.refresh(),
        lambda scorer: scorer.reload_if_changed(),
    ],
)
def test_other_methods_raise_in_a_forked_child(folder: Path, call: Callable[[Scorer], object]) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order(1))

    def check() -> bool:
        with pytest.raises(ForkedError, match="open scorers only after the fork"):
            call(scorer)
        return True

    assert run_in_child(check) == 0
    scorer.close()
    assert read_orders(folder) == ["t1"]


def test_fork_while_another_thread_is_scoring_hangs_no_child(folder: Path) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order(0))

    with scorer._lock:  # as another thread would hold it
        status = run_in_child(lambda: scorer.score(draw_order(1)).code is DecisionCode.UNSCORED_FORKED)

    assert status == 0
    scorer.close()


@pytest.mark.parametrize("end", ["collect", "exit"])
@pytest.mark.usefixtures("keyed")
def test_end_of_a_child_leaves_the_journal_to_its_parent(folder: Path, end: str) -> None:
    ran = subprocess.run([sys.executable, "-c", FORKING, folder, end], check=False, capture_output=True, text=True)

    assert ran.returncode == -9, ran.stderr
    assert ran.stdout.split() == ["SCORED", "UNSCORED_FORKED", "SCORED"]
    assert len(list_journals(folder)) == 1
    assert read_orders(folder) == []
    with open_scorer(folder):
        pass
    assert read_orders(folder) == ["t1", "t3"]


def test_child_neither_closes_nor_collects_what_its_parent_has_open(folder: Path, tmp_path: Path) -> None:
    scorer = open_scorer(folder)
    scorer._shadow = ShadowLog(tmp_path / "shadow.sqlite")  # type: ignore[assignment]
    scorer.score(draw_order(1))
    connection = scorer._state._live._segments[-1].journal._connection  # type: ignore[attr-defined]
    before = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}

    def check() -> bool:
        nonlocal scorer, connection
        scorer.close()
        scorer._state._live.close()  # type: ignore[attr-defined]
        n_references = sys.getrefcount(connection)
        del scorer, connection
        gc.collect()
        return n_references > 1 and before == {
            path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()
        }

    assert run_in_child(check) == 0
    scorer.score(draw_order(2))
    scorer.close()
    assert read_orders(folder) == ["t1", "t2"]


def test_child_that_outlives_a_scorer_does_not_keep_its_lock(folder: Path) -> None:
    scorer = open_scorer(folder)
    scorer.score(draw_order(1))
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write_end)
        os.read(read_end, 1)  # until the parent closes its end
        os._exit(0)
    scorer.close()

    with open_scorer(folder) as again:
        again.score(draw_order(2))

    os.close(write_end)
    os.close(read_end)
    assert os.waitpid(pid, 0)[1] == 0
    assert read_orders(folder) == ["t1", "t2"]


@pytest.mark.usefixtures("keyed")
def test_history_that_is_opened_in_a_child_after_its_parent_has_opened_one_is_refused(
    models_dir: Path, folder: Path
) -> None:
    with open_scorer(folder) as scorer:
        scorer.score(draw_order(1))

    def check() -> bool:
        with pytest.raises(ForkedError, match=r"forked after its parent opened a history.*\nhint: open histories only"):
            Scorer.open(models_dir, history=folder, read_only=True)
        return True

    assert run_in_child(check) == 0


@pytest.mark.parametrize("make_copy", [pickle.dumps, copy.copy, copy.deepcopy])
def test_scorer_refuses_to_be_pickled_or_copied(folder: Path, make_copy: Callable[[object], object]) -> None:
    with (
        open_scorer(folder) as scorer,
        pytest.raises(TypeError, match=r"cannot be pickled or copied.*\nhint: call Scorer"),
    ):
        make_copy(scorer)


@pytest.mark.usefixtures("keyed")
def test_reader_refreshes_what_the_writer_has_stored_since(models_dir: Path, folder: Path) -> None:
    now = [1_768_464_000_000_000]
    writer = Scorer.open(models_dir, history=folder, clock=lambda: now[0])
    writer.score(draw_order(5))
    writer.flush()
    now[0] += 1_000_000
    reader = Scorer.open(models_dir, history=folder, read_only=True, clock=lambda: now[0])
    seen_by_both, claim = draw_order(25), Outcome(order_id="t25", kind="claim", happened_at="2026-01-15 17:00")
    for scorer in (reader, writer):
        scorer.score(seen_by_both)
    now[0] += 1_000_000
    for scorer in (reader, writer):
        scorer.observe(claim)

    is_newer = [reader.refresh()]
    writer.score(draw_order(45))
    writer.flush()
    now[0] += 1_000_000
    is_newer += [reader.refresh(), reader.refresh(), writer.refresh()]
    answers = [scorer.score(draw_order(65)) for scorer in (reader, writer)]

    past = [name for part in reader._state._list_past() for name in part.orders["order_id"].to_pylist()]
    assert is_newer == [False, True, False, False]
    assert (answers[0].p_malicious, answers[0].missing) == (answers[1].p_malicious, answers[1].missing)
    assert sorted(past) == ["t25", "t45", "t5", "t65"]
    assert sum(part.outcomes.num_rows for part in reader._state._list_past()) == 1
    writer.close()


@pytest.mark.usefixtures("keyed")
def test_scorer_without_a_store_has_nothing_to_refresh(models_dir: Path) -> None:
    with pytest.raises(HistoryError, match="reads no history store"):
        Scorer.open(models_dir).refresh()


@pytest.mark.parametrize("read_only", [False, True])
def test_missing_or_other_key_is_told_when_a_store_is_opened(
    models_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *, read_only: bool
) -> None:
    monkeypatch.delenv("ORDERVET_KEY", raising=False)
    with pytest.raises(KeyMismatchError, match="needs a key that outlives this process"):
        Scorer.open(models_dir, history=folder, read_only=read_only)
    monkeypatch.setenv("ORDERVET_KEY", OTHER.to_hex())
    with pytest.raises(KeyMismatchError, match=f"was made with key {KEY.key_id}, but key {OTHER.key_id} is in use"):
        Scorer.open(models_dir, history=folder, read_only=read_only)
    monkeypatch.delenv("ORDERVET_KEY")
    monkeypatch.setenv("ORDERVET_KEY_FILE", str(folder.with_name("nowhere.key")))
    with pytest.raises(KeyMismatchError, match=r"nowhere\.key"):
        Scorer.open(models_dir, history=folder, read_only=read_only)


@pytest.mark.usefixtures("keyed")
@pytest.mark.parametrize("read_only", [False, True])
def test_missing_or_empty_history_is_an_error_by_its_name(models_dir: Path, tmp_path: Path, *, read_only: bool) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(HistoryError, match=r"there is no history .*histroy\nhint: create one: ordervet ingest"):
        Scorer.open(models_dir, history=tmp_path / "histroy", read_only=read_only)
    with pytest.raises(HistoryError, match=r"the folder .*empty holds no history"):
        Scorer.open(models_dir, history=str(tmp_path / "empty"), read_only=read_only)
    with pytest.raises(HistoryError, match=r"there is no history .*orders\.csv"):
        Scorer.open(models_dir, history=[tmp_path / "orders.csv"], read_only=read_only)


@pytest.mark.usefixtures("keyed")
def test_new_shop_begins_with_an_empty_history_if_asked(models_dir: Path, tmp_path: Path, caplog) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "orders.csv").write_text("order_id,placed_at,amount_minor\nT1,2026-01-15 16:00,100\n")
    folder = tmp_path / "new" / "history"

    with Scorer.open(models_dir, history=folder, create=True) as scorer:
        first = scorer.score(draw_order(1))
    said = [record.getMessage() for record in caplog.records if "an empty one was created" in record.getMessage()]
    with Scorer.open(models_dir, history=folder, create=True) as scorer:
        again = scorer.score(draw_order(1))

    assert again == first
    assert said == [f"there was no history in {folder}: an empty one was created"]
    with pytest.raises(HistoryError, match="files has other files in it"):
        Scorer.open(models_dir, history=tmp_path / "files", create=True)
    with pytest.raises(HistoryError, match="only a folder can become a history"):
        Scorer.open(models_dir, history=[tmp_path / "files" / "orders.csv"], create=True)
