"""One writer at a time."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ordervet.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# NOTE: files that begin with an underscore are no data to Delta; no engine reads this one, no clean-up removes it.
LOCK_NAME = "_writer.lock"


@contextmanager
def hold_writer_lock(folder: Path) -> Iterator[None]:
    """Keep every other writer out while the block runs; the system frees the lock when a process dies.

    Parameters
    ----------
    folder : of the store

    Raises
    ------
    HistoryError
        Another writer holds the lock, or the system has no such locks.
    OSError
        The folder cannot be written.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows has none, and yet must be able to import this module and read
    except ImportError:
        raise HistoryError("a history is written on Linux or macOS", hint="on Windows, read it, or use WSL") from None
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HistoryError(
                f"the history {folder.name} is being written by another process",
                hint="one writer at a time: run it again when the other has finished; reading is always possible",
            ) from None
        yield
    finally:
        os.close(descriptor)
