"""Flipped bits of a snapshot and of a journal: one clear error, or nothing has changed; no entry takes others along."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from history_events import build_events, ids, order
from ordervet.entities import Key
from ordervet.errors import HistoryError
from ordervet.history import History
from ordervet.history.ingest import build_batch
from ordervet.history.journal import Entry, Found, commit_entries, create_journal, read_journal
from ordervet.history.snapshots import load_snapshot, save_snapshot
from ordervet.history.stored_rows import read_lines, to_plain, write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


KEY = Key(bytes(range(16)))
N_FLIPS, N_JOURNAL_FLIPS = 2_000, 300
ENTRIES = [Entry(number % 5 == 0, b'{"event":"order","event_id":%d}\n' % number * 40) for number in range(24)]


def flip_bits(path: Path, n_flips: int) -> Iterator[None]:
    """Flip one bit of a file after the other, each alone."""
    whole = path.read_bytes()
    for bit in np.random.default_rng(7).integers(0, 8 * len(whole), n_flips).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(flipped))
        yield
    path.write_bytes(whole)


def count_refused(path: Path, n_flips: int, read: Callable[[], bool]) -> int:
    """Count the flips that are refused as damage; any other has to read the same."""
    refused = []
    for _ in flip_bits(path, n_flips):
        try:
            is_same = read()
        except HistoryError as error:
            refused.append(error)
        else:
            assert is_same
    assert all(error.hint and "is damaged" in error.message for error in refused)
    return len(refused)


def test_flipped_bit_of_a_snapshot_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays = {name: rng.integers(0, 256, (50, width), np.uint8) for name, width in (("ids", 8), ("events", 28))}
    folder = save_snapshot(tmp_path, arrays, {"last_seen_at": 7}, KEY)

    def read() -> bool:
        got = load_snapshot(folder, KEY)
        return got.header == {"last_seen_at": 7} and all(
            np.array_equal(got.arrays[name], arrays[name]) for name in arrays
        )

    assert count_refused(folder / "header.json", N_FLIPS // 2, read) > 0.99 * N_FLIPS // 2  # the last line's end
    assert count_refused(folder / "arrays.bin", N_FLIPS // 2, read) > 0.9 * N_FLIPS // 2  # but for what aligns


def test_snapshot_that_another_key_has_sealed_is_refused(tmp_path: Path) -> None:
    folder = save_snapshot(tmp_path, {"ids": np.zeros((3, 8), np.uint8)}, {}, Key(bytes(range(1, 17))))
    text, _ = (folder / "header.json").read_text("ascii").splitlines()
    (folder / "header.json").write_text(f"{text}\n{sha256(text.encode()).hexdigest()}\n", "ascii")

    with pytest.raises(HistoryError, match="is damaged"):
        load_snapshot(folder, KEY)


def test_flipped_bit_of_a_journal_costs_no_other_entry(tmp_path: Path) -> None:
    journal = create_journal(tmp_path, "batch")
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()  # SQLite moves the entries from the log, which has checksums, to the table, which has none
    n_lost, n_unreadable = [], 0

    for _ in flip_bits(journal.path, N_FLIPS):
        try:
            found = read_journal(journal.path)
        except HistoryError:
            n_unreadable += 1
            continue
        assert [entry for entry in found.entries if entry not in ENTRIES] == []
        assert found.entries == sorted(found.entries, key=ENTRIES.index)
        n_lost.append(len(ENTRIES) - len(found.entries))
        assert len(found.damaged) >= n_lost[-1]

    assert sum(n == 1 for n in n_lost) > 0.6 * N_FLIPS
    assert sum(n > 1 for n in n_lost) < 0.05 * N_FLIPS  # the page's own list of what is where
    assert n_unreadable < 0.02 * N_FLIPS
    assert (tmp_path / "_damaged-00000001.sqlite").exists()


def test_flipped_bit_of_a_journal_that_was_left_open_drops_no_tail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "left").mkdir()
    journal = create_journal(tmp_path / "left", "batch")
    for entry in ENTRIES:
        journal.append(entry)
    journal.sync()
    left = {path.name: path.read_bytes() for path in (tmp_path / "left").iterdir()}
    journal.close()
    log = next(tmp_path / name for name in left if name.endswith("-wal"))

    def restore() -> None:
        for name, content in left.items():
            (tmp_path / name).write_bytes(content)

    restore()
    n_all = 0
    for _ in flip_bits(log, N_JOURNAL_FLIPS):
        flipped = log.read_bytes()
        restore()
        log.write_bytes(flipped)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "ordervet"):
            found = read_journal(tmp_path / journal.path.name)
        n_lost = len(ENTRIES) - len(found.entries)
        assert [entry for entry in found.entries if entry not in ENTRIES] == []
        assert n_lost <= max(len(found.damaged), 1)
        assert n_lost == 0 or "damage" in caplog.text or "torn entry" in caplog.text
        n_all += n_lost == 0

    assert n_all > 0.9 * N_JOURNAL_FLIPS


def test_entry_whose_position_the_disk_has_changed_keeps_its_place(tmp_path: Path) -> None:
    journal = create_journal(tmp_path, "batch")
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()
    with contextlib.closing(sqlite3.connect(journal.path)) as changed, changed:
        changed.execute("UPDATE entry SET position = 92 WHERE position = 24")
    changed.close()

    assert read_journal(journal.path) == Found(ENTRIES, [])


def test_journal_from_before_there_were_chains_is_read(tmp_path: Path) -> None:
    path = tmp_path / "_journal-00000001.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old, old:
        old.execute(
            "CREATE TABLE entry (position INTEGER PRIMARY KEY, is_repeat INTEGER NOT NULL, lines BLOB NOT NULL)"
        )
        old.executemany("INSERT INTO entry (is_repeat, lines) VALUES (?, ?)", ENTRIES)
    old.close()

    assert read_journal(path) == Found(ENTRIES, [])


def build_row(order_id: str) -> dict[str, Any]:
    rows = build_batch([build_events(orders=[order(order_id)])], KEY, 0).rows.drop_columns(["source"])
    return {name: value for name, value in to_plain(rows)[0].items() if value is not None}


def test_line_that_cannot_be_stored_is_set_aside_with_its_order_and_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    History.open(tmp_path / "history", KEY, create=True)
    rows = [build_row(f"T{number}") for number in range(3)]
    poisoned = write_line(rows[1])[:-2] + b',"n_lines":"many"}\n'
    entries = [Entry(is_repeat=False, lines=lines) for lines in (write_line(rows[0]) + poisoned, write_line(rows[2]))]

    with caplog.at_level(logging.ERROR, "ordervet"):
        commit_entries(tmp_path / "history", entries, KEY)

    stored = History.open(tmp_path / "history", KEY).read()
    assert sorted(ids(stored, "orders")) == ["T0", "T2"]
    assert (tmp_path / "history" / "_set_aside.jsonl").read_bytes() == poisoned
    assert "orders T1" in caplog.text
    History.open(tmp_path / "history", KEY).erase_buyer("nobody-1")
    assert not (tmp_path / "history" / "_set_aside.jsonl").exists()


def test_category_that_looks_like_a_time_in_some_lines_stays_a_text() -> None:
    values = ["2025-01-01", "2025-01-01T00:00:00", "red", "12"] * 900
    values = [*values[::4] * 4, *values]  # as times alone for more than the parser looks at before it decides
    row = build_row("T1")
    lines = [write_line(row | {"category__colour": value}) for value in values]

    for some in (lines, lines[:2], lines[:1]):
        assert read_lines(some)["category__colour"].to_pylist() == values[: len(some)]
