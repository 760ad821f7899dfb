"""A history under a new key: the same history, or nothing is changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from history_events import build_events, ids, order, outcome, verdict
from ordervet.entities import Key, new_key
from ordervet.errors import HistoryError, KeyMismatchError
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History, IngestStatus
from ordervet.history.handed import HandedOrder, read_handed, record_handed
from ordervet.history.rotate import rotate_key

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.contract import Events

NEW = Key(bytes(range(16, 32)))
#: Rotates a history, and is killed before a step: `swap_folders`, or the removal that follows it.
DYING = """
import os, shutil, signal, sys
import pyarrow.parquet as pq
from ordervet.entities import Key
from ordervet.history import rotate

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

path, orders, step = sys.argv[1:]
if step == "swap_folders":
    rotate.swap_folders = die
else:
    swap = rotate.swap_folders
    rotate.swap_folders = lambda *those: (swap(*those), setattr(shutil, "rmtree", die))
rotate.rotate_key(path, Key(bytes(range(16))), Key(bytes(range(16, 32))), [pq.read_table(orders)])
"""


def compute_features(path: Path, key: Key) -> dict[str, NDArray[np.float32]]:
    events, spec = History.open(path, key).read(), build_spec()
    orders = build_order_events(events.orders, spec)
    features = FeatureEngine(spec).advance(orders, build_later_events(events))
    return dict(zip(events.orders["order_id"].to_pylist(), features, strict=True))


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rotated_history_gives_the_same_features(history: History, key: Key, season: Events) -> None:
    history.ingest(season)
    before = compute_features(history.path, key)

    rotated = rotate_key(history.path, key, NEW, [season.orders])

    after = compute_features(history.path, NEW)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[order_id], after[order_id], equal_nan=True) for order_id in before)
    assert (rotated.n_orders, rotated.n_dropped_orders) == (season.orders.num_rows, 0)
    assert list_names(history.path.parent) == ["history"]


def test_rotated_history_holds_no_id_of_the_old_key(history: History, key: Key, season: Events) -> None:
    history.ingest(season)
    old = history.read()

    rotate_key(history.path, key, NEW, [season.orders])

    new = History.open(history.path, NEW).read()
    for name in ("id__order", "id__buyer", "id__address", "id__phone", "id__item"):
        shared = set(old.orders[name].to_pylist()) & set(new.orders[name].to_pylist())
        assert shared <= {0}, name
    assert new.orders["seen_at"].equals(old.orders["seen_at"])
    with pytest.raises(KeyMismatchError, match="was made with key"):
        History.open(history.path, key)


def test_rotated_history_knows_what_it_had(history: History, key: Key, season: Events) -> None:
    twice = build_events(orders=[order("A")], outcomes=[outcome("A"), outcome("A"), outcome("Z")])
    history.ingest_all([season, twice])
    rotate_key(history.path, key, NEW, [season.orders, twice.orders])

    again = History.open(history.path, NEW).ingest_all([season, twice])

    assert [each.count(IngestStatus.ACCEPTED) + each.count(IngestStatus.MERGED) for each in again] == [0, 0]


def test_orders_in_no_file_refuse_a_rotation(history: History, key: Key) -> None:
    history.ingest(build_events(orders=[order("A", buyer_id="a"), order("B", buyer_id="b")], verdicts=[verdict("B")]))
    files = [build_events(orders=[order("A", buyer_id="a"), order("C")]).orders]
    before, version = history.read(), history.version

    with pytest.raises(HistoryError) as refused:
        rotate_key(history.path, key, NEW, files)

    assert "1 of 2 orders of the history history are not in the files" in refused.value.message
    assert "not in the files: 1; there with other personal details: 0" in refused.value.message
    assert "placed from 2025-11-01 02:00 to 2025-11-01 02:00 (UTC); 1 later events" in refused.value.message
    assert (history.read(), history.version) == (before, version)
    assert list_names(history.path.parent) == ["history"]


def test_orders_with_other_details_refuse_a_rotation(history: History, key: Key) -> None:
    history.ingest(build_events(orders=[order("A", buyer_id="a", phone="13812345678")]))

    with pytest.raises(HistoryError, match="there with other personal details: 1"):
        rotate_key(
            history.path, key, NEW, [build_events(orders=[order("A", buyer_id="a", phone="138****5678")]).orders]
        )


def test_uncovered_orders_are_dropped_where_that_is_asked_for(history: History, key: Key) -> None:
    events = build_events(
        orders=[order("A", buyer_id="a"), order("B", buyer_id="b")], outcomes=[outcome("A"), outcome("B"), outcome("Z")]
    )
    history.ingest(events)

    rotated = rotate_key(history.path, key, NEW, [events.orders.slice(0, 1)], drop_uncovered=True)

    read = History.open(history.path, NEW).read()
    assert (rotated.n_orders, rotated.n_later, rotated.n_dropped_orders, rotated.n_dropped_later) == (1, 2, 1, 1)
    assert (ids(read, "orders"), ids(read, "outcomes")) == (["A"], ["A"])


def test_rotated_history_keeps_the_policies_that_its_decisions_name(history: History, key: Key) -> None:
    events = build_events(orders=[order("A")])
    history.ingest(events)
    (history.path / "_policies").mkdir()
    (history.path / "_policies" / "p-1.toml").write_text("protocol = 1\n", encoding="utf-8")

    rotate_key(history.path, key, NEW, [events.orders])

    assert (history.path / "_policies" / "p-1.toml").read_text(encoding="utf-8") == "protocol = 1\n"


def test_erased_orders_stay_erased(history: History, key: Key) -> None:
    events = build_events(orders=[order("A", buyer_id="a"), order("B", buyer_id="b")])
    history.ingest(events)
    history.erase_buyer("b")

    rotate_key(history.path, key, NEW, [events.orders])

    assert ids(History.open(history.path, NEW).read(), "orders") == ["A"]


def test_erasures_and_what_was_handed_on_go_over_to_the_new_key(history: History, key: Key) -> None:
    kept, gone = [order("A", buyer_id="a")], [order("B", buyer_id="b"), order("C", buyer_id="c")]
    events = build_events(orders=kept + gone)
    history.ingest(events)
    for buyer in ("b", "c", "stranger"):
        history.erase_buyer(buyer)
    handed = [HandedOrder("A", 1, 2, takes_slot=True)]
    record_handed(history.path, handed)

    rotated = rotate_key(history.path, key, NEW, [events.orders.slice(0, 2)])
    there = History.open(history.path, NEW)
    again = there.ingest(events)

    assert rotated.n_dropped_erasures == 2
    assert read_handed(history.path) == handed
    assert sorted(ids(there.read(), "orders")) == ["A", "C"]
    assert again.count(IngestStatus.ERASED) == 1


def test_empty_history_is_rotated(history: History, key: Key) -> None:
    rotate_key(history.path, key, NEW, [])

    assert History.open(history.path, NEW).read().orders.num_rows == 0


def test_wrong_keys_are_refused(history: History, key: Key) -> None:
    for old, new, said in (
        (NEW, Key(bytes(16)), "was made with key"),
        (key, key, "is under key .* already"),
        (key, Key(bytes(16), is_ephemeral=True), "outlives this process"),
    ):
        with pytest.raises(KeyMismatchError, match=said):
            rotate_key(history.path, old, new, [])


def test_journals_and_snapshots_go_with_the_old_key(history: History, key: Key, season: Events) -> None:
    history.ingest(season)
    (history.path / "snapshots").mkdir()
    (history.path / "snapshots" / "state.npy").write_bytes(b"old")

    rotate_key(history.path, key, NEW, [season.orders])

    left = {name for name in list_names(history.path) if not name.startswith("part-")}
    assert left == {"_delta_log", "_digests.txt", "_writer.lock"}


def test_history_stays_as_it_is_where_folders_cannot_change_places(
    history: History, key: Key, season: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.ingest(season)
    before = history.read()
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())

    with pytest.raises(HistoryError, match="cannot be exchanged here"):
        rotate_key(history.path, key, NEW, [season.orders])

    assert history.read() == before
    assert list_names(history.path.parent) == ["history"]


def test_another_writer_refuses_a_rotation(history: History, key: Key) -> None:
    with history.staging(), pytest.raises(HistoryError, match="is being written"):
        rotate_key(history.path, key, NEW, [])


@pytest.mark.parametrize("step", ["swap_folders", "rmtree"])
def test_killed_rotation_leaves_a_whole_history(
    history: History, key: Key, season: Events, tmp_path: Path, step: str
) -> None:
    history.ingest(season)
    n_orders = history.read().orders.num_rows
    pq.write_table(season.orders, tmp_path / "orders.parquet")

    killed = subprocess.run(
        [sys.executable, "-c", DYING, str(history.path), str(tmp_path / "orders.parquet"), step],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    # Before the folders change places it is the old history, afterwards the new one; each whole.
    found = History.open(history.path, key if step == "swap_folders" else NEW).read()

    assert killed.returncode == -signal.SIGKILL
    assert found.orders.num_rows == n_orders
    assert ".history.rotation" in list_names(tmp_path)
    if step == "rmtree":
        with pytest.raises(KeyMismatchError, match="already; there is nothing to do"):
            rotate_key(history.path, key, NEW, [season.orders])
        assert ".history.rotation" not in list_names(tmp_path)


def test_what_a_killed_rotation_left_is_removed_by_the_next(history: History, key: Key, season: Events) -> None:
    history.ingest(season)
    left = history.path.with_name(".history.rotation")
    shutil.copytree(history.path, left)
    other = new_key()

    rotate_key(history.path, key, other, [season.orders])

    assert not left.exists()
    assert pc.sum(pa.array(History.open(history.path, other).read().orders["amount_minor"])).as_py() > 0
