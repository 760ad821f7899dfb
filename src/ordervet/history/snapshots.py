"""Snapshots: a state that was built from the history, kept beside it so that the next scorer need not build it again.

    _snapshots/NUMBER/header.json     what the state is of; place, type, shape and digest of each array; its own digest
    _snapshots/NUMBER/arrays.bin      the arrays behind each other

A snapshot is written beside its place, brought to the disk and renamed into it. It can always be left out: whoever
cannot read one, or finds it is of something else, replays the history. This module knows no state: arrays and a header
go in and come back.
"""

from __future__ import annotations

import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ordervet.errors import HistoryError
from ordervet.storage import sync, write_file, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SNAPSHOT_PROTOCOL = 1
"""Raised when the layout on disk changes; older snapshots are left out."""

FOLDER = "_snapshots"
_HEADER, _ARRAYS, _BESIDE = "header.json", "arrays.bin", ".beside"
_ALIGNMENT = 64
_KEPT = 2
_THREADS = 2


class Snapshot(NamedTuple):
    """A state as it was.

    Parameters
    ----------
    arrays : by name
    header : what was given to `save_snapshot`
    """

    arrays: dict[str, NDArray[Any]]
    header: dict[str, Any]


def save_snapshot(store: Path, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Path:
    """Write a snapshot, whole or not at all, and remove all but the newest ones.

    Parameters
    ----------
    store : folder of the store; the caller holds the writer's lock
    arrays : by name
    header : whatever JSON can hold

    Returns
    -------
    the snapshot's folder

    Raises
    ------
    OSError
        It cannot be written; what stood there stays.
    """
    folder = store / FOLDER
    folder.mkdir(exist_ok=True)
    beside = folder / _BESIDE
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        listed = _write_arrays(beside / _ARRAYS, arrays)
        _write_header(beside / _HEADER, {"protocol": SNAPSHOT_PROTOCOL, "header": dict(header), "arrays": listed})
        sync(beside)
        older = list_snapshots(store)
        place = folder / f"{int(older[0].name) + 1 if older else 1:08d}"
        beside.rename(place)
        sync(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    for path in older[_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
    return place


def list_snapshots(store: Path) -> list[Path]:
    """List the snapshots of a store, the newest first, good or not."""
    folder = store / FOLDER
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), reverse=True)


def load_header(snapshot: Path) -> dict[str, Any]:
    """Read what a snapshot is of.

    Raises
    ------
    HistoryError
        It is damaged, or of another protocol.
    """
    return dict(_read_listing(snapshot)["header"])


def load_snapshot(snapshot: Path) -> Snapshot:
    """Read a snapshot, and check every bit of it; what is written to its arrays is not written to the snapshot.

    Raises
    ------
    HistoryError
        It is damaged, or of another protocol.
    """
    listing = _read_listing(snapshot)
    try:
        # SPEED: mapped and not read, since memory that is new costs more than all the rest. What is written to the
        # arrays later stays in memory.
        data = np.memmap(snapshot / _ARRAYS, np.uint8, mode="c")
        arrays = {name: _view_array(data, *place) for name, (*place, _) in listing["arrays"].items()}
    except (OSError, ValueError, TypeError):
        raise _damaged(snapshot) from None
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = list(pool.map(_digest, arrays.values()))
    if digests != [entry[-1] for entry in listing["arrays"].values()]:
        raise _damaged(snapshot)
    return Snapshot(arrays, listing["header"])


def remove_snapshots(store: Path) -> None:
    """Remove all snapshots of a store, and what is left of one that was being written.

    Parameters
    ----------
    store : folder of the store; the caller holds the writer's lock
    """
    shutil.rmtree(store / FOLDER, ignore_errors=True)
    if (store / FOLDER).exists():
        raise HistoryError(
            f"the snapshots of the history {store.name} cannot be removed",
            hint=f"check the permissions of its folder {FOLDER}",
        )


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    """Write arrays behind each other; give the place, type, shape and digest of each."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = list(pool.map(_digest, plain.values()))
    listed: dict[str, list[Any]] = {}

    def write(file: IO[bytes]) -> None:
        for (name, array), digest in zip(plain.items(), digests, strict=True):
            file.write(bytes(-file.tell() % _ALIGNMENT))
            listed[name] = [file.tell(), array.dtype.str, list(array.shape), digest]
            file.write(_view_bytes(array))

    write_file(path, write)
    return listed


def _view_array(data: NDArray[np.uint8], offset: int, type_: str, shape: list[int]) -> NDArray[Any]:
    dtype = np.dtype(type_)
    stop = offset + dtype.itemsize * math.prod(shape)
    if stop > len(data):
        raise ValueError(stop)
    return np.frombuffer(data.data, dtype, math.prod(shape), offset).reshape(shape)


def _view_bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _digest(array: NDArray[Any]) -> str:
    """Hash type, shape and content."""
    # SPEED: SHA-256 has instructions of its own; the bytes are hashed without a copy, outside the interpreter's lock.
    hashed = sha256(f"{array.dtype.str}{array.shape}".encode())
    hashed.update(_view_bytes(array))
    return hashed.hexdigest()


def _write_header(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content)
    write_text(path, f"{text}\n{sha256(text.encode()).hexdigest()}\n")


def _read_listing(snapshot: Path) -> dict[str, Any]:
    try:
        text, digest = (snapshot / _HEADER).read_bytes().decode("ascii").rstrip("\n").rsplit("\n", 1)
    except (OSError, ValueError):
        raise _damaged(snapshot) from None
    if sha256(text.encode()).hexdigest() != digest:
        raise _damaged(snapshot)
    content: dict[str, Any] = json.loads(text)
    if content["protocol"] != SNAPSHOT_PROTOCOL:
        raise HistoryError(
            f"snapshot {snapshot.name} has protocol {content['protocol']}, expected {SNAPSHOT_PROTOCOL}",
            hint="the history is replayed instead",
        )
    return content


def _damaged(snapshot: Path) -> HistoryError:
    return HistoryError(f"snapshot {snapshot.name} is damaged", hint="the history is replayed instead")
