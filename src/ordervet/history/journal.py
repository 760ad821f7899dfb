"""The journal: what a live scorer has acknowledged and has not brought into the table yet.

One SQLite file in WAL mode per stretch between two flushes. An entry is one micro-batch in one commit: JSON lines, one
row of the store each, nothing in them but what the table itself holds. A file is removed, as a whole, once the table
has all its entries; so nothing has to be wiped out of it.

    entry(position INTEGER PRIMARY KEY, is_repeat INTEGER, lines BLOB)

What `is_repeat` marks are events that the history had already, and that may bring a blame.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from ordervet.errors import HistoryError
from ordervet.storage import sync

if TYPE_CHECKING:
    from pathlib import Path

Durability: TypeAlias = Literal["batch", "always"]

_log = logging.getLogger("ordervet")

# NOTE: the name begins with an underscore, so no engine takes it for data.
_NAME = re.compile(r"^_journal-(\d{8})\.sqlite$")
_TABLE = (
    "CREATE TABLE IF NOT EXISTS entry (position INTEGER PRIMARY KEY, is_repeat INTEGER NOT NULL, lines BLOB NOT NULL)"
)
_INSERT = "INSERT INTO entry (is_repeat, lines) VALUES (?, ?)"
_WAL_HEADER, _FRAME_HEADER = 32, 24


class Entry(NamedTuple):
    """One micro-batch.

    Parameters
    ----------
    is_repeat : whether the history had its events before
    lines : JSON lines, one row of the store each
    """

    is_repeat: bool
    lines: bytes


class Journal:
    """One file of the journal, open for writing. Make one with `create_journal`; used by one thread at a time.

    Parameters
    ----------
    path : its file
    durability : "batch": an entry has reached the system when `append` returns, and the disk when `sync` does;
        "always": it has reached the disk when `append` returns
    """

    def __init__(self, path: Path, durability: Durability) -> None:
        self.path = path
        self._connection = _connect(path, durability)
        self._wal: int | None = None

    def append(self, entry: Entry) -> None:
        """Write one entry, whole or not at all.

        Raises
        ------
        HistoryError
            The disk is full, or the file cannot be written; the entry is not in the journal.
        """
        try:
            self._connection.execute(_INSERT, entry)
        except sqlite3.Error as error:
            raise HistoryError(
                f"the journal of the history {self.path.parent.name} cannot be written: {error}; "
                "the event was not taken",
                hint="free some space, or check the permissions of its folder; then send the event again",
            ) from None

    def sync(self) -> None:
        """Have the system bring all entries to the disk."""
        if self._wal is None:
            self._wal = os.open(_wal_of(self.path), os.O_RDONLY)
        os.fdatasync(self._wal)

    def close(self) -> None:
        """Close the file; its entries stay."""
        if self._wal is not None:
            os.close(self._wal)
            self._wal = None
        with contextlib.suppress(sqlite3.Error):  # on a full disk the entries stay where they are: in the WAL
            self._connection.close()

    def remove(self) -> None:
        """Close and delete the file."""
        self.close()
        remove_journal(self.path)


def create_journal(folder: Path, durability: Durability) -> Journal:
    """Begin a new file of the journal.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    durability : as for `Journal`

    Raises
    ------
    HistoryError
        The file cannot be made.
    """
    last = max((int(_NAME.fullmatch(path.name)[1]) for path in list_journals(folder)), default=0)  # type: ignore[index]
    path = folder / f"_journal-{last + 1:08d}.sqlite"
    journal: Journal | None = None
    try:
        journal = Journal(path, durability)
        sync(path, folder)
    except (sqlite3.Error, OSError) as error:
        if journal is not None:
            journal.close()
        remove_journal(path)
        raise HistoryError(
            f"the journal of the history {folder.name} cannot be made: {_explain(error)}",
            hint="free some space, or check the permissions of its folder",
        ) from None
    return journal


def list_journals(folder: Path) -> list[Path]:
    """List the files of the journal, the oldest first."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def read_journal(path: Path) -> list[Entry]:
    """Read what a scorer left behind when it died, in the order in which it was acknowledged.

    An entry that was being written at that moment had not been acknowledged; it is left out, and the log says so.

    Parameters
    ----------
    path : a file of the journal; the caller holds the writer's lock

    Raises
    ------
    HistoryError
        The file is damaged.
    """
    size = _wal_of(path).stat().st_size if _wal_of(path).exists() else 0
    try:
        with contextlib.closing(_connect(path, "batch")) as connection:
            page = int(connection.execute("PRAGMA page_size").fetchone()[0])
            n_frames = max(int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]), 0)
            found = connection.execute("SELECT is_repeat, lines FROM entry ORDER BY position").fetchall()
    except sqlite3.Error as error:
        raise HistoryError(
            f"the journal of the history {path.parent.name} is damaged: {error}",
            hint=f"move {path.name} and its -wal file out of the folder; the history opens without their events",
        ) from None
    entries = [Entry(bool(is_repeat), lines) for is_repeat, lines in found]
    if size > _WAL_HEADER and size != _WAL_HEADER + n_frames * (_FRAME_HEADER + page):
        _log.warning(
            "the journal of the history %s ends in a torn entry; its %d whole entries are kept",
            path.parent.name, len(entries),
        )  # fmt: skip
    return entries


def remove_journal(path: Path) -> None:
    """Delete one file of the journal and what SQLite keeps beside it."""
    for each in (path, _wal_of(path), path.with_name(path.name + "-shm")):
        each.unlink(missing_ok=True)


def _connect(path: Path, durability: Durability) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # SPEED: exclusive locking does without shared memory; the writer's lock keeps others out anyway.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'always' else 'OFF'}")
        connection.execute(_TABLE)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _explain(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
