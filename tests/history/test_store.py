"""The store on disk: versions, keys, one writer, clean-up, erasure, and what any other engine finds there."""

from __future__ import annotations

import os
import re
import shutil
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyarrow import parquet

from history_events import KINDS, build_events, ids, order, outcome, plain, verdict
from ordervet.entities import Key, key_events, load_key
from ordervet.errors import FileError, HistoryError, KeyMismatchError
from ordervet.history import Erased, History, delta, is_history
from ordervet.history.handed import HandedOrder
from ordervet.history.journal import Entry, create_journal
from ordervet.history.lock import WriterLock
from ordervet.history.snapshots import save_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events

PERSONAL = {
    "buyer_id": "canary-buyer-1",
    "recipient": "金丝雀",
    "address": "浙江省杭州市西湖区金丝雀路 99 号 3 栋 502",
    "address_group": "canary-door-2",
    "phone": "19912345678",
    "phone_group": "canary-phone-3",
    "device_id": "canary-device-4",
    "ip": "203.0.113.77",
    "payment_account": "canary-pay-5",
    "entity__terminal": "canary-terminal-6",
}


def read_bytes(folder: Path) -> dict[Path, bytes]:
    """Every file of a folder; Parquet is also written out plainly, so that compression hides nothing."""
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in list(files):
        if path.suffix == ".parquet":
            table = parquet.ParquetFile(path).read()
            sink = pa.BufferOutputStream()
            parquet.write_table(table, sink, compression="none", use_dictionary=False)
            files[path] += sink.getvalue().to_pybytes() + repr(table.to_pydict()).encode()
    return files


def find_files(folder: Path, text: bytes) -> list[Path]:
    return [path for path, data in read_bytes(folder).items() if text in data]


def test_nothing_personal_is_stored(history: History, key: Key, tmp_path: Path) -> None:
    events = build_events(orders=[order("canary-order", shop_id="canary-shop", **PERSONAL)], outcomes=[outcome("X")])
    history.ingest(events)
    history.erase_buyer("somebody else")
    history.export(tmp_path / "export.parquet")

    assert find_files(tmp_path, b"canary-order")
    assert find_files(tmp_path, b"canary-shop")
    for value in (*PERSONAL.values(), "西湖区", key.to_hex()):
        assert find_files(tmp_path, value.encode()) == []
        assert value not in repr(history.read())


def test_ids_are_stored_bit_by_bit(history: History, season: Events, key: Key) -> None:
    history.ingest(season)

    buyers = key_events(season, key).orders["id__buyer"].to_pylist()

    assert max(buyers) >= 2**63
    assert sorted(history.read().orders["id__buyer"].to_pylist()) == sorted(buyers)


def test_any_engine_reads_the_files(history: History, season: Events) -> None:
    history.ingest(season)
    history.ingest(build_events(orders=[order("A", number__weight=2.5)], outcomes=[outcome("A")]))
    files = [str(path) for path in history.list_files()]

    counted = duckdb.sql(
        f"""select event, count(*), min(seen_at) <= max(seen_at), max(number__weight)
            from read_parquet({files}, union_by_name = true) group by event order by event"""
    ).fetchall()

    read = history.read()
    assert counted == [
        ("correction", read.corrections.num_rows, True, None),
        ("order", read.orders.num_rows, True, 2.5),
        ("outcome", read.outcomes.num_rows, True, None),
        ("verdict", read.verdicts.num_rows, True, None),
    ]


def test_read_until_an_instant_sees_only_what_was_seen_before_it(history: History) -> None:
    history.ingest(build_events(orders=[order("A")], outcomes=[outcome("A", happened_at="2025-11-05 10:00")]))

    counts = [
        history.read(until=until).outcomes.num_rows
        for until in ("2025-11-05 10:00", "2025-11-05 10:00:00.000001", "2025-11-05 02:00:01Z")
    ]

    assert counts == [0, 1, 1]


def test_earlier_version_is_read_until_its_files_are_removed(history: History) -> None:
    history.ingest(build_events(orders=[order("A")], outcomes=[outcome("A")]))
    first = history.version
    history.ingest(build_events(orders=[order("B")], outcomes=[outcome("A", blame="seller")]))
    history.compact()

    history.vacuum(keep_days=1)
    kept = history.read(version=first)
    history.vacuum(keep_days=0)

    assert (ids(kept, "orders"), kept.outcomes["blame"].to_pylist()) == (["A"], [None])
    assert sorted(ids(history.read(), "orders")) == ["A", "B"]
    with pytest.raises(HistoryError, match=f"files of version {first} have been removed"):
        history.read(version=first)
    with pytest.raises(HistoryError, match="has no version 99"):
        history.read(version=99)


def test_compacting_changes_files_and_nothing_else(history: History) -> None:
    for name in "ABCD":
        history.ingest(build_events(orders=[order(name)], outcomes=[outcome(name)]))
    before, n_files = history.read(), len(history.list_files())

    history.compact()

    assert (n_files, len(history.list_files())) == (4, 1)
    assert history.read() == before


def test_vacuum_removes_what_a_killed_writer_left_and_no_strangers_file(history: History) -> None:
    history.ingest(build_events(orders=[order("A")]))
    left = [history.path / name for name in ("part-0-x-c000.zstd.parquet", "part-0-y-c000.zstd.parquet#1")]
    strangers = [history.path / name for name in ("builder.txt", "other.parquet", "_mark")]
    for path in (*left, *strangers):
        path.write_bytes(b"x")

    n_removed = history.vacuum()

    assert n_removed == 2
    assert [path.exists() for path in left + strangers] == [False] * 2 + [True] * 3
    assert ids(history.read(), "orders") == ["A"]


def test_vacuum_refuses_days_that_the_log_does_not_reach(history: History) -> None:
    with pytest.raises(HistoryError, match="keep_days: got 90, expected 0 to 28"):
        history.vacuum(keep_days=90)


def test_erased_buyer_is_in_no_byte_and_all_others_are_untouched(history: History, key: Key) -> None:
    gone = [order("gone-1", buyer_id="canary-buyer-1"), order("gone-2", buyer_id=" canary-buyer-1 ")]
    kept = [order("kept-1", buyer_id="another"), order("kept-2")]
    erased_id = key_events(build_events(orders=gone), key).orders["id__buyer"].to_numpy()[0]
    marks = [b"gone-1", b"gone-2", str(erased_id.view("int64")).encode(), erased_id.tobytes()]
    history.ingest(build_events(orders=[*gone, *kept], verdicts=[verdict("gone-2"), verdict("kept-1")]))
    history.ingest(build_events(outcomes=[outcome("gone-1", blame="buyer"), outcome("kept-1"), outcome("kept-2")]))
    others = {"orders": kept, "outcomes": [outcome("kept-1"), outcome("kept-2")], "verdicts": [verdict("kept-1")]}
    found_before = [len(find_files(history.path, mark)) for mark in marks]

    erased = history.erase_buyer("canary-buyer-1")

    assert all(found_before)
    assert erased == Erased(n_orders=2, n_later=2)
    assert [find_files(history.path, mark) for mark in marks] == [[]] * len(marks)
    assert plain(history.read()) == plain(key_events(build_events(**others), key))
    assert history.erase_buyer("canary-buyer-1") == Erased(0, 0)


def test_erasing_nobody_erases_nothing(history: History) -> None:
    history.ingest(build_events(orders=[order("A"), order("B", buyer_id="b")]))

    erased = [history.erase_buyer(buyer_id) for buyer_id in ("", "nobody")]

    assert erased == [Erased(0, 0)] * 2
    assert ids(history.read(), "orders") in (["A", "B"], ["B", "A"])


def test_export_is_brought_in_once(history: History, season: Events, key: Key, tmp_path: Path) -> None:
    history.ingest(season)
    history.ingest(build_events(outcomes=[outcome("waiting")]))
    n_rows = history.export(tmp_path / "export.parquet")
    other = History.open(tmp_path / "other", key, create=True)

    added = [other.ingest_export(tmp_path / "export.parquet") for _ in range(2)]

    assert added == [n_rows, 0]
    assert other.read() == history.read()
    other.ingest(build_events(orders=[order("waiting")]))
    assert "waiting" in ids(other.read(), "outcomes")


def test_export_of_another_key_or_program_is_refused(history: History, tmp_path: Path) -> None:
    other = History.open(tmp_path / "other", Key(bytes(16)), create=True)
    other.export(tmp_path / "export.parquet")
    parquet.write_table(pa.table({"event": ["order"]}), tmp_path / "foreign.parquet")

    with pytest.raises(KeyMismatchError, match="was made with key"):
        history.ingest_export(tmp_path / "export.parquet")
    with pytest.raises(HistoryError, match=r"foreign.parquet was not written by ordervet"):
        history.ingest_export(tmp_path / "foreign.parquet")
    with pytest.raises(FileError, match="there is no file"):
        history.ingest_export(tmp_path / "none.parquet")


def test_wrong_key_is_an_error(history: History) -> None:
    with pytest.raises(KeyMismatchError, match=r"the history history was made with key \w{12}, but key \w{12}"):
        History.open(history.path, Key(bytes(16)))


def test_key_of_this_process_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyMismatchError, match="ordervet key new"):
        History.open(tmp_path / "history", load_key(), create=True)

    assert not (tmp_path / "history").exists()


def test_folder_without_a_history_is_an_error(tmp_path: Path, key: Key) -> None:
    with pytest.raises(HistoryError, match="there is no history in nowhere"):
        History.open(tmp_path / "nowhere", key)

    assert not is_history(tmp_path / "nowhere")


def test_history_is_not_made_among_other_files(tmp_path: Path, key: Key) -> None:
    (tmp_path / "orders.csv").write_text("order_id\n")

    with pytest.raises(HistoryError, match="has other files in it"):
        History.open(tmp_path, key, create=True)

    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]


def test_table_of_another_program_or_protocol_is_refused(tmp_path: Path, key: Key) -> None:
    schema = pa.schema([("x", pa.int64())])
    DeltaTable.create(tmp_path / "foreign", schema)
    newer = {"ordervet.key_id": key.key_id, "ordervet.protocol": "3"}
    DeltaTable.create(tmp_path / "newer", schema, configuration=newer, raise_if_key_not_exists=False)

    with pytest.raises(HistoryError, match="foreign was not written by ordervet"):
        History.open(tmp_path / "foreign", key)
    with pytest.raises(HistoryError, match="protocol 3, expected 2"):
        History.open(tmp_path / "newer", key)


@pytest.mark.parametrize("rules", [None, "1", "2", "3", "5"])
def test_history_whose_ids_were_made_by_other_rules_is_refused(tmp_path: Path, key: Key, rules: str | None) -> None:
    settings = {"ordervet.key_id": key.key_id, "ordervet.protocol": "2"} | (
        {"ordervet.key_rules": rules} if rules else {}
    )
    schema = pa.schema([("x", pa.int64())])
    DeltaTable.create(tmp_path / "old", schema, configuration=settings, raise_if_key_not_exists=False)

    with pytest.raises(HistoryError, match=f"made by the rules {rules or 1} .* by the rules 4"):
        History.open(tmp_path / "old", key)


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("Ann.Lee+sale@Gmail.com", "annlee@gmail.com"),
        ("ANN@x.org", " ann@x.org "),
        ("示家", '="示家"'),
        ("m-7", "'m-7"),
        ("m-8", "\ufeffm-8"),
    ],
)
def test_buyer_is_erased_in_any_spelling(history: History, written: str, given: str) -> None:
    history.ingest(build_events(orders=[order("A", buyer_id=written), order("B", "2025-11-02", buyer_id="else")]))

    erased = history.erase_buyer(given)

    assert erased == Erased(1, 0)
    assert ids(history.read(), "orders") == ["B"]


def test_second_writer_is_told_and_readers_go_on(history: History, key: Key) -> None:
    history.ingest(build_events(orders=[order("A")]))
    second = History.open(history.path, key)

    with WriterLock(history.path).held():
        for write in (lambda: second.ingest(build_events()), second.compact, second.vacuum):
            with pytest.raises(HistoryError, match=rf"being written by process {os.getpid()}\n"):
                write()
        assert ids(second.read(), "orders") == ["A"]

    second.ingest(build_events(orders=[order("B", "2025-11-02")]))
    assert ids(history.read(), "orders") == ["A", "B"]


def test_damaged_log_is_one_clear_error(history: History, key: Key) -> None:
    history.ingest(build_events(orders=[order("A")]))
    log = next((history.path / "_delta_log").glob("*1.json"))
    log.write_text("{garbage")

    for read in (lambda: History.open(history.path, key), history.read):
        with pytest.raises(HistoryError, match=f"is damaged: _delta_log/{log.name} differs") as caught:
            read()
        assert "garbage" not in str(caught.value)


def test_missing_data_file_is_one_clear_error(history: History) -> None:
    history.ingest(build_events(orders=[order("A")]))
    for path in history.list_files():
        path.unlink()

    with pytest.raises(HistoryError, match="files of the newest version have been removed"):
        history.read()


def test_reader_whose_files_are_cleaned_away_reads_the_newest_version(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.ingest(build_events(orders=[order("A")]))
    stale = DeltaTable(history.path)
    history.ingest(build_events(orders=[order("B", "2025-11-02")], outcomes=[outcome("A")]))
    history.compact()
    history.vacuum(keep_days=0)
    load, given = delta.load_table, [stale]
    monkeypatch.setattr(delta, "load_table", lambda *which: given.pop() if given else load(*which))

    read = history.read()

    assert given == []
    assert ids(read, "orders") == ["A", "B"]


def test_history_that_moved_is_read_where_it_is_now(history: History, key: Key, tmp_path: Path) -> None:
    history.ingest(build_events(orders=[order("A")]))

    shutil.move(history.path, tmp_path / "moved")

    assert ids(History.open(tmp_path / "moved", key).read(), "orders") == ["A"]


def test_log_holds_no_id_and_no_order(history: History, season: Events) -> None:
    history.ingest(season)

    log = b"".join(path.read_bytes() for path in (history.path / "_delta_log").glob("*.json")).decode()

    statistics = re.findall(r'"stats":"(.*?[^\\])"', log)
    assert statistics
    assert all("seen_at" in each and "order_id" not in each and "id__" not in each for each in statistics)


def test_kinds_are_all_there_in_an_empty_history(history: History) -> None:
    read = history.read()

    assert [getattr(read, kind).num_rows for kind in KINDS] == [0, 0, 0, 0]
    assert read.extras == {"entity": (), "category": (), "number": ()}


def test_files_with_ids_are_not_for_everybody_whatever_the_umask(tmp_path: Path, key: Key) -> None:
    before = os.umask(0)
    try:
        history = History.open(tmp_path / "history", key, create=True)
        history.ingest(build_events(orders=[order("A")]))
        history.record_handed([HandedOrder("A", 1, 2, takes_slot=True)])
        history.erase_buyer("b1")
        save_snapshot(history.path, {"ids": np.zeros(3, np.int64)}, {}, key)
        with closing(create_journal(history.path, "batch")) as journal:
            journal.append(Entry(is_repeat=False, lines=b"{}\n"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in history.path.glob("_*") if path.is_file()}
    finally:
        os.umask(before)

    assert stat.S_IMODE(history.path.stat().st_mode) == 0o750
    assert {mode for name, mode in modes.items() if name != "_writer.lock"} == {0o640}
    assert {"_digests.txt", "_erased.json", "_handed.jsonl", "_journal-00000001.sqlite-wal"} < set(modes)


def test_creation_that_was_cut_off_begins_again(tmp_path: Path, key: Key) -> None:
    log = tmp_path / "history" / "_delta_log"
    log.mkdir(parents=True)
    (log / "_commit_1f.json.tmp").write_bytes(b'{"protocol"')

    History.open(tmp_path / "history", key, create=True)

    assert History.open(tmp_path / "history", key).read().orders.num_rows == 0


def test_store_whose_log_is_gone_is_not_begun_again(tmp_path: Path, key: Key) -> None:
    history = History.open(tmp_path / "history", key, create=True)
    history.ingest(build_events(orders=[order("T1", "2025-11-01 10:00")]))
    for each in (history.path / "_delta_log").iterdir():
        each.unlink()

    with pytest.raises(HistoryError, match="has other files in it"):
        History.open(history.path, key, create=True)
