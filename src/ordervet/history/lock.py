"""One writer per store at a time."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ordervet.errors import HistoryError, HistoryLockedError
from ordervet.storage import acquire_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import BaseFileLock

# NOTE: to Delta, files that begin with an underscore are not data: no engine reads this one, no vacuum removes it.
LOCK_NAME = "_writer.lock"


class WriterLock:
    """The right to write to a store, held for a block or kept until released.

    The system frees it when the process dies, however it dies. Threads of one process take turns.

    Parameters
    ----------
    folder : of the store
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = threading.RLock()
        self._kept: BaseFileLock | None = None

    @property
    def is_kept(self) -> bool:
        """Whether this process keeps the lock beyond single blocks."""
        return self._kept is not None and self._kept.is_locked

    def keep(self) -> None:
        """Keep every other process out until `release`.

        Raises
        ------
        HistoryLockedError
            Another writer holds the lock.
        HistoryError
            Histories are not written on this system.
        OSError
            The folder cannot be written.
        """
        with self._turn:
            if not self.is_kept:
                self._kept = _lock(self._folder)

    def release(self) -> None:
        """Let others write again."""
        with self._turn:
            if self._kept is not None:
                self._kept.release()
                self._kept = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other writer out while the block runs; errors are those of `keep`."""
        with self._turn:
            if self.is_kept:
                yield
                return
            lock = _lock(self._folder)
            try:
                yield
            finally:
                lock.release()


def _lock(folder: Path) -> BaseFileLock:
    if os.name != "posix":
        raise HistoryError("a history is written on Linux or macOS", hint="on Windows, read it, or use WSL")
    path = folder / LOCK_NAME
    lock = acquire_lock(path)
    if lock is None:
        holder = path.read_text(encoding="ascii", errors="replace").strip()
        who = f"process {holder}" if holder.isdigit() else "another process"
        raise HistoryLockedError(
            f"the history {folder.name} is being written by {who}",
            hint="one writer at a time: run it again when the other has finished, or let `ordervet serve` write, "
            "through which others may; reading is always possible (score --dry-run, Scorer.open(read_only=True))",
        )
    with suppress(OSError):  # on a full disk the lock still holds, without a name
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    return lock
