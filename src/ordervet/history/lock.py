"""One writer at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ordervet.errors import HistoryError, HistoryLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# NOTE: files that begin with an underscore are no data to Delta; no engine reads this one, no clean-up removes it.
LOCK_NAME = "_writer.lock"


class WriterLock:
    """The right to write one store: held for the length of a block, or kept for longer.

    The system frees it when the process dies, however it dies. Threads of one process take turns.

    Parameters
    ----------
    folder : of the store
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = threading.RLock()
        self._descriptor: int | None = None

    @property
    def is_kept(self) -> bool:
        """Whether this process keeps the lock beyond single blocks."""
        return self._descriptor is not None

    def keep(self) -> None:
        """Keep every other process out until `release`.

        Raises
        ------
        HistoryLockedError
            Another writer holds the lock.
        HistoryError
            The system has no such locks.
        OSError
            The folder cannot be written.
        """
        with self._turn:
            if self._descriptor is None:
                self._descriptor = _lock(self._folder)

    def release(self) -> None:
        """Let others write again."""
        with self._turn:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other writer out while the block runs; errors are those of `keep`."""
        with self._turn:
            if self._descriptor is not None:
                yield
                return
            descriptor = _lock(self._folder)
            try:
                yield
            finally:
                os.close(descriptor)


@contextmanager
def hold_writer_lock(folder: Path) -> Iterator[None]:
    """Keep every other writer out while the block runs; errors are those of `WriterLock.keep`.

    Parameters
    ----------
    folder : of the store
    """
    with WriterLock(folder).held():
        yield


def _lock(folder: Path) -> int:
    try:
        import fcntl  # noqa: PLC0415 - Windows has none, and yet must be able to import this module and read
    except ImportError:
        raise HistoryError("a history is written on Linux or macOS", hint="on Windows, read it, or use WSL") from None
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        who = f"process {holder}" if holder.isdigit() else "another process"
        raise HistoryLockedError(
            f"the history {folder.name} is being written by {who}",
            hint="one writer at a time: run it again when the other has finished; reading is always possible "
            "(score --dry-run, Scorer.open(read_only=True))",
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    with contextlib.suppress(OSError):  # on a full disk the lock holds all the same, without a name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor
