"""A scorer on a history store: what it acknowledges is kept, and what it served is what a replay gives."""

from __future__ import annotations

import logging
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ordervet.contract import Correction, Outcome, Verdict
from ordervet.contract.order_reader import read_order
from ordervet.entities import Key
from ordervet.errors import HistoryError, HistoryLockedError
from ordervet.features import build_spec
from ordervet.history import History, delta
from ordervet.history.places import Places
from ordervet.history.snapshots import list_snapshots
from ordervet.policy import DecisionCode, load_policy
from ordervet.score import Scorer, durable_state, online_state
from ordervet.score.durable_state import DurableState
from ordervet.score.online_state import OnlineState

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from deltalake import DeltaTable
    from numpy.typing import NDArray
    from pyarrow.dataset import Dataset

    from ordervet.features import FeatureSpec
    from ordervet.model import Model

KEY = Key(bytes(range(16)))
START_US = 1_768_464_000_000_000
HOUR_US = 3_600_000_000
LATER_US = START_US + 1_000 * HOUR_US
SPEC = build_spec()


class Recorder(DurableState):
    """A durable state that keeps what it served."""

    served: dict[str, NDArray[np.float32]]

    def add_new(self, ones):
        matrices = super().add_new(ones)
        self.served |= {one.order.order_id: matrix[0].copy() for one, matrix in zip(ones, matrices, strict=True)}
        return matrices

    def add_order(self, one):
        taken = super().add_order(one)
        if taken.matrix is not None:
            self.served[one.order.order_id] = taken.matrix[0].copy()
        return taken


class Clock:
    """Now and then stands still, so that there are ties."""

    def __init__(self) -> None:
        self.now = START_US

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    History.open(tmp_path / "history", KEY, create=True)
    return tmp_path / "history"


def open_state(folder: Path, **options: Any) -> DurableState:
    settings = {"snapshot_from": 1, "clock": lambda: LATER_US} | options
    return DurableState(History.open(folder, KEY), KEY, SPEC, **settings)


def open_scorer(model: Model | None, folder: Path, clock: Clock, **options: Any) -> Scorer:
    settings = {"snapshot_from": 1, "clock": clock} | options
    state = DurableState(History.open(folder, KEY), KEY, model.spec if model else None, **settings)
    return Scorer(model, load_policy(), KEY, clock=clock, state=state)


def draw_order(rng: np.random.Generator, name: str) -> dict[str, Any]:
    return {
        "order_id": name,
        "placed_at": "2026-01-15 16:00",
        "amount_minor": int(rng.integers(100, 90_000)),
        "currency": ["CNY", "USD", "JPY"][int(rng.integers(3))],
        "buyer_id": f"b{rng.integers(6)}",
        "phone": f"1990000{rng.integers(4):04d}",
        "device_id": f"dev{rng.integers(5)}",
        "item_id": f"sku{rng.integers(3)}",
    }


def draw_later(rng: np.random.Generator, name: str, n: int) -> Outcome | Verdict | Correction:
    happened_at = f"2026-01-15 16:00:{n % 60:02d}"
    choice = rng.integers(4)
    if choice == 0:
        return Verdict(order_id=name, verdict=["malicious", "innocent", "unsure"][n % 3], decided_at=happened_at)
    if choice == 1:
        return Correction(order_id=name, corrected_at=happened_at)
    blame = [None, "buyer", "seller"][n % 3]
    return Outcome(
        order_id=name, kind="refund_completed", outcome_id=f"r{n}", happened_at=happened_at, amount_minor=n, blame=blame
    )


def drive(scorer: Scorer, clock: Clock, rng: np.random.Generator, first: int, n: int) -> None:
    """Let orders, later events, repeats and events of unknown orders arrive."""
    for at in range(first, first + n):
        clock.now += int(rng.integers(0, 3)) * HOUR_US
        if at % 5 == 4:
            batch = [draw_order(rng, f"t{at}-{k}") for k in range(3)]
            scorer.score_many([*batch, batch[0]])
        else:
            scorer.score(draw_order(rng, f"t{at}"))
        for _ in range(int(rng.integers(0, 3))):
            about = int(rng.integers(0, at + 3))
            event = draw_later(rng, f"t{about}", int(rng.integers(0, 90)))
            scorer.observe(event)
            scorer.observe(event)


def test_replay_gives_exactly_what_was_served_one_by_one(model: Model, folder: Path) -> None:
    clock = Clock()
    rng = np.random.default_rng(1)
    served: dict[str, NDArray[np.float32]] = {}
    for round_ in range(3):
        state = Recorder(History.open(folder, KEY), KEY, model.spec, snapshot_from=1, clock=clock)
        state.served = served
        with Scorer(model, load_policy(), KEY, clock=clock, state=state) as scorer:
            drive(scorer, clock, rng, 40 * round_, 40)

    replayed = OnlineState(KEY, model.spec, clock=clock).add_past(History.open(folder, KEY).read())

    ids = replayed.orders["order_id"].to_pylist()
    assert sorted(ids) == sorted(served)
    assert np.array_equal(replayed.matrix, np.array([served[each] for each in ids]), equal_nan=True)


def test_reopened_scorer_decides_as_one_that_never_stopped(model: Model, folder: Path, tmp_path: Path) -> None:
    History.open(tmp_path / "other", KEY, create=True)
    clock, rng = Clock(), np.random.default_rng(2)
    stopped, whole = open_scorer(model, folder, clock), open_scorer(model, tmp_path / "other", clock)
    drive(stopped, clock, np.random.default_rng(3), 0, 30)
    clock.now = START_US
    drive(whole, clock, np.random.default_rng(3), 0, 30)

    stopped.close()
    stopped = open_scorer(model, folder, clock)
    clock.now += HOUR_US
    orders = [draw_order(rng, f"next{n}") for n in range(20)]
    decisions = [(stopped.score(order), whole.score(order)) for order in orders]

    assert all(one == other for one, other in decisions)
    stopped.close()
    whole.close()


def test_what_was_acknowledged_is_there_once_when_the_scorer_was_never_closed(model: Model, folder: Path) -> None:
    clock = Clock()
    scorer = open_scorer(model, folder, clock, flush_after_s=3600)
    drive(scorer, clock, np.random.default_rng(4), 0, 20)
    abandon(scorer)

    History.open(folder, KEY).compact()

    orders = History.open(folder, KEY).read().orders["order_id"].to_pylist()
    assert len(orders) == len(set(orders)) == 16 + 4 * 3
    assert not list(folder.glob("_journal*"))


@pytest.mark.parametrize("at_once", [10**9, -1], ids=["at once", "beside"])
def test_state_with_amended_events_is_that_of_the_table(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, at_once: int
) -> None:
    monkeypatch.setattr(online_state, "AT_ONCE", at_once)
    monkeypatch.setattr(durable_state, "REST", 0)
    clock, rng = Clock(), np.random.default_rng(20)
    scorer = open_scorer(model, folder, clock, flush_after_s=3600)
    for at in range(6):
        drive(scorer, clock, rng, 4 * at, 4)
        edited = draw_later(rng, f"t{rng.integers(4 * at + 4)}", int(rng.integers(90)))
        for n in (1, 2) if isinstance(edited, Outcome) else ():
            scorer.observe(edited.model_copy(update={"amount_minor": 7_000 * n, "outcome_id": "edited"}))
        scorer.score(draw_order(rng, f"t{4 * rng.integers(at + 1)}"))
    state, deadline = scorer._state, time.monotonic() + 30
    assert isinstance(state, DurableState)
    while (state._recount or state._n_amended) and time.monotonic() < deadline:
        state._count_amended()
    scorer.flush()

    past = History.open(folder, KEY).read()
    expected = OnlineState(KEY, model.spec, clock=clock)
    expected.add_past(past)
    clock.now += HOUR_US
    again = expected.ask_again(past.orders, clock.now).matrix
    assert np.array_equal(scorer._state.ask_again(past.orders, clock.now).matrix, again, equal_nan=True)
    with caplog.at_level(logging.INFO, logger="ordervet"):
        scorer.close()
        scorer = open_scorer(model, folder, clock)
    assert "ignored" not in caplog.text
    assert np.array_equal(scorer._state.ask_again(past.orders, clock.now).matrix, again, equal_nan=True)
    scorer.close()


def abandon(scorer: Scorer) -> None:
    """Leave the history as a process does that is killed: journal and all."""
    live = scorer._state._live  # type: ignore[attr-defined]
    live._stop.set()
    live._wake.set()
    live._thread.join()
    for segment in live._segments:
        segment.journal.close()
    live._history.lock.release()


def test_events_reach_the_table_in_the_background(model: Model, folder: Path) -> None:
    scorer = open_scorer(model, folder, Clock(), flush_after_s=0.1)
    scorer.score(draw_order(np.random.default_rng(5), "t1"))
    deadline = time.monotonic() + 30

    while not History.open(folder, KEY).read().orders.num_rows and time.monotonic() < deadline:
        time.sleep(0.05)

    assert History.open(folder, KEY).read().orders["order_id"].to_pylist() == ["t1"]
    scorer.close()


def test_second_writer_is_told_who_writes_and_a_reader_is_welcome(
    models_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    with Scorer.open(models_dir, history=folder) as scorer:
        scorer.score(draw_order(np.random.default_rng(6), "t1"))

        with pytest.raises(HistoryLockedError, match=rf"by process {os.getpid()}\n.*read_only=True"):
            Scorer.open(models_dir, history=folder)
        scorer.flush()
        reader = Scorer.open(models_dir, history=folder, read_only=True)

    assert reader.score(draw_order(np.random.default_rng(6), "t2")).code is DecisionCode.SCORED
    assert History.open(folder, KEY).read().orders["order_id"].to_pylist() == ["t1"]


def test_orders_are_kept_when_there_is_no_model(folder: Path) -> None:
    with open_scorer(None, folder, Clock()) as scorer:
        decision = scorer.score(draw_order(np.random.default_rng(7), "t1"))
        scorer.observe(Outcome(order_id="t1", kind="claim", happened_at="2026-01-15 17:00"))

    kept = History.open(folder, KEY).read()
    assert decision.code is DecisionCode.UNSCORED_NO_MODEL
    assert (kept.orders.num_rows, kept.outcomes.num_rows) == (1, 1)


def test_past_table_is_brought_in_once_and_scored_as_of_its_own_instant(model: Model, folder: Path, merchant) -> None:
    orders = merchant.orders.sort_by("placed_at")
    early, late = orders.slice(0, 60), orders.slice(60, 60)
    expected = Scorer(model, load_policy(), KEY).score_table(orders.slice(0, 120))
    clock = Clock()
    scorer = open_scorer(model, folder, clock)

    scorer.score(draw_order(np.random.default_rng(8), "live"))
    tables = [scorer.score_table(part) for part in (late, early, early)]

    assert tables[1] == tables[2] == expected.slice(0, 60)
    assert scorer.score_table(late) == expected.slice(60, 60)
    scorer.close()
    assert History.open(folder, KEY).read().orders.num_rows == 121


def test_blame_that_is_found_later_is_kept_and_counts_after_a_restart(folder: Path) -> None:
    outcome = {"order_id": "t1", "kind": "refund_completed", "happened_at": "2026-01-15 17:00"}
    first = open_state(folder)
    scorer = Scorer(None, load_policy(), KEY, clock=Clock(), state=first)
    scorer.score(draw_order(np.random.default_rng(9), "t1"))
    scorer.observe(Outcome(**outcome))
    scorer.close()
    second = Scorer(None, load_policy(), KEY, clock=Clock(), state=open_state(folder))
    second.observe(Outcome(**outcome, blame="seller"))
    second.observe(Outcome(**outcome, blame="buyer"))
    second.close()

    third = open_state(folder)

    past = History.open(folder, KEY).read()
    assert past.outcomes["blame"].to_pylist() == ["buyer"]
    replayed = OnlineState(KEY, SPEC, clock=lambda: LATER_US)
    replayed.add_past(past)
    expected = replayed.ask_again(past.orders, LATER_US).matrix
    assert np.array_equal(third.ask_again(past.orders, LATER_US).matrix, expected, equal_nan=True)
    third.close()


def test_running_scorer_writes_a_snapshot_every_so_many_events(folder: Path) -> None:
    clock, rng = Clock(), np.random.default_rng(13)
    state = open_state(folder, snapshot_after=6)
    scorer = Scorer(None, load_policy(), KEY, clock=clock, state=state)
    state._join_saving()
    before = list_snapshots(folder)
    for n in range(2):
        clock.now += HOUR_US
        scorer.score(draw_order(rng, f"t{n}"))
        scorer.score_many([draw_order(rng, f"t{n}-{k}") for k in range(2)])
        scorer.observe(Outcome(order_id=f"t{n}", kind="claim", happened_at="2026-01-15 16:00"))
    state._join_saving()

    assert list_snapshots(folder) != before
    scorer.close()


def count_restores(folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether the next scorer opens from a snapshot."""
    replays = []
    monkeypatch.setattr(DurableState, "_rebuild", lambda *_: replays.append(1))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        open_state(folder).close()
    monkeypatch.undo()
    return not replays


@pytest.fixture
def with_snapshot(folder: Path) -> Path:
    clock = Clock()
    scorer = Scorer(None, load_policy(), KEY, clock=clock, state=open_state(folder))
    drive(scorer, clock, np.random.default_rng(10), 0, 12)
    scorer.close()
    assert list_snapshots(folder)
    return folder


def test_snapshot_is_opened_when_it_fits(with_snapshot: Path, caplog, monkeypatch) -> None:
    assert count_restores(with_snapshot, caplog, monkeypatch)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", ["header.json", "arrays.bin"])
def test_snapshot_with_a_flipped_bit_is_left_out(with_snapshot: Path, caplog, monkeypatch, name, place) -> None:
    path = list_snapshots(with_snapshot)[0] / name
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0x10
    path.write_bytes(data)

    is_restored = count_restores(with_snapshot, caplog, monkeypatch)

    # NOTE: between two arrays lie a few bytes that mean nothing; a flip there is no damage.
    assert is_restored == ("is damaged; it is ignored" not in caplog.text)
    assert not is_restored or (name, place) == ("arrays.bin", 0.999)


def test_truncated_snapshot_is_left_out(with_snapshot: Path, caplog, monkeypatch) -> None:
    path = list_snapshots(with_snapshot)[0] / "arrays.bin"
    os.truncate(path, path.stat().st_size // 2)

    assert not count_restores(with_snapshot, caplog, monkeypatch)
    assert "is damaged; it is ignored" in caplog.text


def test_snapshot_of_other_features_is_left_out(with_snapshot: Path) -> None:
    spec = build_spec(use_defaults=False, names=("buyer__count__order__90d",))

    state = DurableState(History.open(with_snapshot, KEY), KEY, spec, snapshot_from=1, clock=lambda: LATER_US)

    assert state._engine.spec == spec
    state.close()


def test_past_events_make_newer_snapshots_stale(with_snapshot: Path, merchant, caplog, monkeypatch) -> None:
    history = History.open(with_snapshot, KEY)

    history.ingest(merchant)

    assert not count_restores(with_snapshot, caplog, monkeypatch)
    assert "is of another state of the history" in caplog.text


def test_view_amended_after_the_snapshot_does_not_make_it_stale(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, rng = Clock(), np.random.default_rng(3)
    refund = Outcome(order_id="t0", kind="refund_completed", outcome_id="r", happened_at="2026-01-15 16:00")
    with open_scorer(model, folder, clock) as scorer:
        drive(scorer, clock, rng, 0, 12)
        clock.now += 1
        scorer.observe(refund.model_copy(update={"amount_minor": 1}))
    shutil.copytree(folder / "_snapshots", folder.with_name("snapshots"))
    with open_scorer(model, folder, clock) as scorer:
        for amount in (50_000, 60_000):
            clock.now += 1
            scorer.observe(refund.model_copy(update={"amount_minor": amount}))
        clock.now += 1
        scorer.score(draw_order(rng, "t90"))
    shutil.rmtree(folder / "_snapshots")
    shutil.copytree(folder.with_name("snapshots"), folder / "_snapshots")
    asked = draw_order(rng, "t91") | {"buyer_id": "b0"}
    clock.now += 1

    def open_and_ask() -> tuple[int, list[float]]:
        replays: list[int] = []
        rebuild = DurableState._rebuild

        def spy(state: DurableState, spec: FeatureSpec) -> None:
            replays.append(1)
            rebuild(state, spec)

        monkeypatch.setattr(DurableState, "_rebuild", spy)
        copied = folder.with_name(f"{folder.name}-{'with' if list_snapshots(folder) else 'without'}")
        shutil.copytree(folder, copied)
        with open_scorer(model, copied, clock) as scorer:
            n_replays = len(replays)
            taken = scorer._state.add_order(scorer._read_live(read_order(asked)))
        monkeypatch.undo()
        assert taken.matrix is not None
        return n_replays, np.nan_to_num(taken.matrix[0], nan=-1).tolist()

    restored = open_and_ask()
    shutil.rmtree(folder / "_snapshots")
    replayed = open_and_ask()

    assert (restored[0], replayed[0]) == (0, 1)
    assert restored[1] == replayed[1]


def test_files_that_a_snapshot_names_are_read_when_they_are_needed_and_found_damaged_before(
    model: Model, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, rng, read = Clock(), np.random.default_rng(4), list[str]()
    for first in (0, 12):
        with open_scorer(model, folder, clock) as scorer:
            drive(scorer, clock, rng, first, 12)
        clock.now += 1
    table = delta.load_table(folder)
    oldest = min(delta.live_files(table), key=lambda name: (folder / name).stat().st_mtime_ns)
    damaged = bytearray((folder / oldest).read_bytes())
    damaged[len(damaged) // 3] ^= 1
    (folder / oldest).write_bytes(damaged)
    open_dataset = delta.open_dataset

    def spy(folder: Path, table: DeltaTable, names: Collection[str] | None = None) -> Dataset:
        read.extend(names or ())
        return open_dataset(folder, table, names)

    monkeypatch.setattr(delta, "open_dataset", spy)
    monkeypatch.setattr(Places, "look", lambda *_: None)

    scorer = open_scorer(model, folder, clock)
    codes = [scorer.score(draw_order(rng, name)).code for name in ("t0", "new")]
    scorer._state._live._look()  # type: ignore[attr-defined]
    scorer.close()

    assert read
    assert oldest not in read
    assert codes == ["UNSCORED_BROKEN_HISTORY", "SCORED"]
    assert f"is damaged: {oldest} differs from what was written" in caplog.text


def test_erased_buyer_is_in_no_byte_of_snapshots_and_journal(folder: Path) -> None:
    clock = Clock()
    scorer = Scorer(None, load_policy(), KEY, clock=clock, state=open_state(folder))
    rng = np.random.default_rng(11)
    for name in ("kept-1", "gone-1", "gone-2"):
        scorer.score(draw_order(rng, name) | {"buyer_id": name[:4]})
        clock.now += HOUR_US
    scorer.flush()
    scorer._state.save_snapshot(waits=True)  # type: ignore[attr-defined]
    scorer.score(draw_order(rng, "gone-3") | {"buyer_id": "gone"})
    buyer = History.open(folder, KEY).read().orders["id__buyer"].to_pylist()[1]
    order_ids = History.open(folder, KEY).read().orders["id__order"].to_pylist()[1:]
    marks = [b"gone-", str(buyer).encode(), str(buyer - 2**64).encode()]
    marks += [each.to_bytes(8, end) for each in (buyer, *order_ids) for end in ("little", "big")]
    assert any(marks[0] in path.read_bytes() for path in folder.glob("_journal*"))
    assert any(marks[3] in path.read_bytes() for path in folder.rglob("arrays.bin"))

    erased = scorer.erase_buyer("gone")

    for _ in range(2):
        found = [
            path.name for path in folder.rglob("*") if path.is_file() for mark in marks if mark in path.read_bytes()
        ]
        assert found == []
        scorer.close()
    assert (erased.n_orders, erased.n_later) == (3, 0)
    assert History.open(folder, KEY).read().orders["order_id"].to_pylist() == ["kept-1"]


def test_scorer_without_a_store_refuses_to_erase(model: Model) -> None:
    with pytest.raises(HistoryError, match="this scorer has no history store"):
        Scorer(model, load_policy(), KEY).erase_buyer("b")


def test_orders_scored_together_are_scored_as_one_after_the_other(model: Model, folder: Path, tmp_path: Path) -> None:
    History.open(tmp_path / "other", KEY, create=True)
    orders = [draw_order(np.random.default_rng(n), f"t{n}") for n in range(12)]
    orders[7:7] = [orders[2], {"order_id": "bad"}, orders[2]]

    with open_scorer(model, folder, Clock()) as together, open_scorer(model, tmp_path / "other", Clock()) as alone:
        decisions = together.score_many(orders)

        assert decisions == [alone.score(order) for order in orders]
        assert together.codes == alone.codes
    assert together.score_many([]) == []
    assert History.open(folder, KEY).read().orders.num_rows == 12


def test_other_features_are_built_from_the_history_before_they_serve(folder: Path) -> None:
    spec = build_spec(use_defaults=False, names=("buyer__count__order__90d", "phone__distinct__buyer__7d"))
    clock = Clock()
    scorer = Scorer(None, load_policy(), KEY, clock=clock, state=open_state(folder))
    drive(scorer, clock, np.random.default_rng(12), 0, 15)

    scorer._state.rebuild(spec)

    expected = OnlineState(KEY, spec, clock=lambda: LATER_US)
    expected.add_past(History.open(folder, KEY).read())
    assert scorer._state._engine.spec == spec
    served = scorer._state._engine.export_state()[0]
    for name, array in expected._engine.export_state()[0].items():
        if name != "log/waiting":  # it also has room for what has come since
            assert np.array_equal(served[name], array), name
    scorer.close()
