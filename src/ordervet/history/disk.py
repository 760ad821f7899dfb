"""What the store asks of the disk: clear errors, bytes that are really written, files that are really gone."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from ordervet.errors import HistoryError
from ordervet.storage import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG_FOLDER = "_delta_log"
#: How Delta names data files, finished or cut off while being written.
_DATA_FILE = re.compile(r"^part-.*\.parquet(#\d+)?$")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_DAY_MS = 86_400_000
_ADVICE = {
    "read": ("check its path and permissions; if it is damaged, restore its folder from a backup", ""),
    "written": ("free some space, or check the permissions of its folder", "; its last version stands"),
}


@contextmanager
def told_clearly(folder: Path, action: Literal["read", "written"]) -> Iterator[None]:
    """Turn whatever Delta, Arrow or the system say into one clear error.

    Parameters
    ----------
    folder : of the store
    action : what is being done to it, as in "cannot be {action}"

    Raises
    ------
    HistoryError
        The store cannot be read or written; its last version stands.
    """
    from deltalake.exceptions import DeltaError  # noqa: PLC0415 - only whoever has a store waits for the import

    try:
        yield
    except (DeltaError, pa.ArrowException, OSError) as error:
        hint, more = _ADVICE[action]
        raise HistoryError(
            f"the history {folder.name} cannot be {action}: {_explain(error)}{more}", hint=hint
        ) from None


def list_data_files(folder: Path) -> set[str]:
    """Name the data files that lie in a store's folder, in use or not."""
    return {entry.name for entry in os.scandir(folder) if _DATA_FILE.match(entry.name)}


def bring_to_disk(folder: Path, names: set[str], first_version: int) -> None:
    """Have the system write data files, and the log from a version on, so that a power cut does not lose them."""
    logs = [path for path in (folder / LOG_FOLDER).glob("*.json") if _version_of(path) >= first_version]
    sync(*(folder / name for name in names), *logs, folder / LOG_FOLDER, folder)


def remove_unused(folder: Path, live: set[str], keep_days: float) -> list[str]:
    """Remove data files that the newest version does not use.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    live : names that the newest version uses
    keep_days : files that a version used until so many days ago stay, so that it can still be read; what no version
        ever used is left over from a writer that died, and goes

    Returns
    -------
    names of the removed files
    """
    # NOT: Delta's own vacuum. In full it removes any file it does not know, also one that is not its own; otherwise it
    # leaves what a killed writer left behind.
    kept_from = time.time_ns() // 1_000_000 - keep_days * _DAY_MS
    recent = {name for name, removed_at in _read_removals(folder) if removed_at > kept_from}
    unused = sorted(list_data_files(folder) - live - recent)
    for name in unused:
        (folder / name).unlink(missing_ok=True)
    return unused


def _read_removals(folder: Path) -> Iterator[tuple[str, int]]:
    """Read from the log which data file went out of use when (milliseconds)."""
    for path in (folder / LOG_FOLDER).glob("*.json"):
        for line in path.read_text(encoding="utf-8").splitlines():
            removal = json.loads(line).get("remove")
            if removal:
                yield removal["path"], removal["deletionTimestamp"]


def _version_of(log: Path) -> int:
    return int(log.stem) if log.stem.isdigit() else -1


def _explain(error: Exception) -> str:
    """Say what is wrong in a few words of the system's, without paths."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    found = _OS_ERROR.search(str(error))
    return os.strerror(int(found[1])) if found else f"it is damaged ({type(error).__name__})"
