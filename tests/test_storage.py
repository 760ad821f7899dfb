from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ordervet import storage
from ordervet.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path


def run_in_child(check: object) -> int:
    """Fork, call `check` in the child; return 0 if it returned true."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if check() else 1)  # type: ignore[operator]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_lock_refuses_a_second_holder_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    with storage.hold_lock(path, FileError("busy")):
        assert storage.acquire_lock(path) is None
        assert run_in_child(lambda: storage.acquire_lock(path) is None) == 0
        with pytest.raises(FileError, match="busy"), storage.hold_lock(path, FileError("busy")):
            pass

    with storage.hold_lock(path, FileError("busy")):
        pass


def test_child_of_a_fork_neither_holds_nor_releases_its_parents_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    lock = storage.acquire_lock(path)
    assert lock is not None

    def release_in_child() -> bool:
        lock.release(force=True)
        return storage.acquire_lock(path) is None

    assert run_in_child(release_in_child) == 0
    assert storage.acquire_lock(path) is None
    lock.release()


def test_failed_write_leaves_what_stood_there_and_no_draft(tmp_path: Path) -> None:
    storage.write_text(tmp_path / "file", "before")

    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        storage.write_file(tmp_path / "file", fail)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]


def test_swap_exchanges_two_folders(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()

    storage.swap_folders(tmp_path / "one", tmp_path / "other")

    assert (tmp_path / "one" / "other").exists()
    assert (tmp_path / "other" / "one").exists()


def test_file_in_the_place_of_a_private_one_is_as_private(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_text("{}")
    path.chmod(0o600)

    storage.write_text(path, "[]")

    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("[]", 0o600)
