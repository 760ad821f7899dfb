"""2,000 flipped bits each of a snapshot and of a journal: one clear error, or nothing has changed."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

import numpy as np

from ordervet.errors import HistoryError
from ordervet.history.journal import Entry, create_journal, read_journal
from ordervet.history.snapshots import load_snapshot, save_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

N_FLIPS = 2_000
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
    folder = save_snapshot(tmp_path, arrays, {"last_seen_at": 7})

    def read() -> bool:
        got = load_snapshot(folder)
        return got.header == {"last_seen_at": 7} and all(
            np.array_equal(got.arrays[name], arrays[name]) for name in arrays
        )

    assert count_refused(folder / "header.json", N_FLIPS // 2, read) > 0.99 * N_FLIPS // 2  # the last line's end
    assert count_refused(folder / "arrays.bin", N_FLIPS // 2, read) > 0.9 * N_FLIPS // 2  # but for what aligns


def test_flipped_bit_of_a_journal_is_found(tmp_path: Path) -> None:
    journal = create_journal(tmp_path, "batch")
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()  # SQLite moves the entries from the log, which has checksums, to the table, which has none

    n_refused = count_refused(journal.path, N_FLIPS, lambda: read_journal(journal.path) == ENTRIES)

    assert n_refused > 0.7 * N_FLIPS


def test_flipped_bit_of_a_journal_that_was_left_open_leaves_what_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "left").mkdir()
    journal = create_journal(tmp_path / "left", "batch")
    for entry in ENTRIES:
        journal.append(entry)
    journal.sync()
    left = {path.name: path.read_bytes() for path in (tmp_path / "left").iterdir()}
    log = next(tmp_path / name for name in left if name.endswith("-wal"))

    def restore() -> None:
        for name, content in left.items():
            (tmp_path / name).write_bytes(content)

    restore()
    for _ in flip_bits(log, N_FLIPS // 10):
        flipped = log.read_bytes()
        restore()
        log.write_bytes(flipped)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "ordervet"):
            entries = read_journal(tmp_path / journal.path.name)
        assert entries == ENTRIES[: len(entries)]
        assert len(entries) == len(ENTRIES) or "torn entry" in caplog.text


def test_journal_from_before_there_were_chains_is_read(tmp_path: Path) -> None:
    path = tmp_path / "_journal-00000001.sqlite"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE entry (position INTEGER PRIMARY KEY, is_repeat INTEGER NOT NULL, lines BLOB NOT NULL)"
        )
        old.executemany("INSERT INTO entry (is_repeat, lines) VALUES (?, ?)", ENTRIES)
    old.close()

    assert read_journal(path) == ENTRIES
