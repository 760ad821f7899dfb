"""Files that survive crashes and other processes: one lock, one write that is whole or not at all, one atomic swap."""

from __future__ import annotations

import ctypes
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filelock import BaseFileLock

    from ordervet.errors import OrdervetError

PRIVATE, PRIVATE_FOLDER = 0o640, 0o750
"""Modes of what holds ids: only the owner writes, and others than the group read nothing."""
DRAFT_PATTERN = ".*.part"
"""Matches what a writer that was killed leaves beside the file it was writing."""

# Arguments of renameat2 (Linux) and renamex_np (macOS): relative to the working directory, and exchange.
_AT_FDCWD, _EXCHANGE = -100, 2


_HOLDERS: WeakSet[object] = WeakSet()


def leave_open_in_children(holder: object) -> None:
    """Let no forked child finalize an object: the files it holds open are the parent's.

    A child must not close a SQLite database of its parent, neither when it collects garbage nor when it exits: closing
    checkpoints and removes the write-ahead log that the parent goes on writing.
    """
    _HOLDERS.add(holder)


def _pin_holders() -> None:
    for holder in _HOLDERS:
        # NOT: a reference from a module. When the interpreter exits, those are dropped.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(holder))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pin_holders)


def acquire_lock(path: Path, *, wait_s: float = 0.0) -> BaseFileLock | None:
    """Lock a file against every other process and every other caller; None where somebody holds it.

    The system frees the lock when the process dies. A forked child does not inherit it, and cannot release it.

    Parameters
    ----------
    path : the lock file; created if need be, never removed
    wait_s : how long to wait for another holder

    Raises
    ------
    OSError
        The file cannot be created.
    """
    from filelock import FileLock, Timeout

    # NOTE: not local to a thread, since a scorer may be closed by another thread than the one that opened it.
    lock = FileLock(path, timeout=wait_s, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout:
        return None
    return lock


@contextmanager
def hold_lock(path: Path, refusal: OrdervetError, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock while the block runs; raise `refusal` where somebody else holds it. See `acquire_lock`."""
    lock = acquire_lock(path, wait_s=wait_s)
    if lock is None:
        raise refusal
    try:
        yield
    finally:
        lock.release()


def write_file(path: Path, write: Callable[[IO[bytes]], None], *, mode: int = 0o666) -> None:
    """Write a file beside its place, sync it to the disk and rename it; on any error nothing changes.

    Parameters
    ----------
    path : where the file goes; its folder is created if need be
    write : called once with the open file
    mode : of a new file, less what the umask takes; a file that is replaced keeps its own

    Raises
    ------
    OSError
        The system refuses: no permission, no space.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb+") as file:
            if hasattr(os, "fchmod"):
                with suppress(FileNotFoundError):
                    os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
            write(file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a text file as UTF-8, whole or not at all; see `write_file`."""

    def write(file: IO[bytes]) -> None:
        file.write(text.encode())

    write_file(path, write, mode=mode)


def create_private(path: Path) -> None:
    """Create an empty file that others than its owner and group cannot read, unless there is one."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, PRIVATE))


def sync(*paths: Path) -> None:
    """Sync files to the disk, or a folder's entries, so that a rename survives a power cut."""
    for path in paths:
        if os.name != "posix" and path.is_dir():  # elsewhere a folder cannot be opened
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def swap_folders(one: Path, other: Path) -> None:
    """Exchange two folders that lie side by side, in one step that is on the disk when this returns.

    Raises
    ------
    OSError
        The system, or the file system, has no such step; nothing was changed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    # NOT: two renames. Between them there would be no folder under the name that readers know.
    if hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
    elif hasattr(library, "renamex_np"):
        failed = library.renamex_np(*names, _EXCHANGE)
    else:
        failed = -1
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number) if number else "the system cannot exchange folders")
    sync(other.parent)
