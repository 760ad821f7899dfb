"""Snapshots: a state built from the history, saved beside it so that the next scorer need not build it again.

    _snapshots/NUMBER/header.json     what the state covers; offset, type, shape, digest of each array; its own seal
    _snapshots/NUMBER/arrays.bin      the arrays, concatenated

A snapshot is written to a temporary folder, synced and renamed. It is optional: whoever cannot read one, or finds that
it is stale, replays the history. The seal is made with the identifier key: nobody without it can make a snapshot that
is believed. This module does not know what a state is: arrays and a header go in and come back.
"""

from __future__ import annotations

import hmac
import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ordervet.errors import HistoryError
from ordervet.storage import PRIVATE_FOLDER, sync, write_file, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities.keys import Key

SNAPSHOT_PROTOCOL = 3
"""Increased when the layout on disk changes, or what is in one; older snapshots are ignored."""

FOLDER = "_snapshots"
_HEADER, _ARRAYS, _BESIDE = "header.json", "arrays.bin", ".beside"
_ALIGNMENT = 64
_KEPT = 2
_THREADS = 2


class Snapshot(NamedTuple):
    """A saved state.

    Parameters
    ----------
    arrays : by name
    header : as passed to `save_snapshot`
    """

    arrays: dict[str, NDArray[Any]]
    header: dict[str, Any]


def save_snapshot(store: Path, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any], key: Key) -> Path:
    """Write a snapshot, whole or not at all, and remove all but the newest.

    Parameters
    ----------
    store : folder of the store; the caller holds the writer's lock
    arrays : by name
    header : whatever JSON can hold
    key : the identifier key, which seals it

    Returns
    -------
    the snapshot's folder

    Raises
    ------
    OSError
        It cannot be written; existing ones are unchanged.
    """
    folder = store / FOLDER
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    beside = folder / _BESIDE
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        listed = _write_arrays(beside / _ARRAYS, arrays)
        _write_header(beside / _HEADER, {"protocol": SNAPSHOT_PROTOCOL, "header": dict(header), "arrays": listed}, key)
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
    """List the snapshots of a store, newest first, valid or not."""
    folder = store / FOLDER
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), reverse=True)


def load_header(snapshot: Path, key: Key) -> dict[str, Any]:
    """Read the header of a snapshot.

    Raises
    ------
    HistoryError
        It is damaged, was not sealed with this key, or has another protocol.
    """
    return dict(_read_listing(snapshot, key)["header"])


def load_snapshot(snapshot: Path, key: Key) -> Snapshot:
    """Read a snapshot and verify every bit of it; its arrays may be changed without changing the file.

    Raises
    ------
    HistoryError
        It is damaged, was not sealed with this key, or has another protocol.
    """
    listing = _read_listing(snapshot, key)
    try:
        # SPEED: mapped rather than read, since new memory costs more than all the rest. Copy-on-write: later changes
        # to the arrays stay in memory.
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
    """Remove all snapshots of a store, unfinished ones too.

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
    """Write arrays one after another; return the offset, type, shape and digest of each."""
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
    # SPEED: CPUs have SHA-256 instructions; the bytes are hashed without a copy, outside the interpreter's lock.
    hashed = sha256(f"{array.dtype.str}{array.shape}".encode())
    hashed.update(_view_bytes(array))
    return hashed.hexdigest()


def _write_header(path: Path, content: dict[str, Any], key: Key) -> None:
    text = json.dumps(content)
    write_text(path, f"{text}\n{_seal(text, key)}\n")


def _seal(text: str, key: Key) -> str:
    return hmac.new(key.subkey("snapshot"), text.encode(), sha256).hexdigest()


def _read_listing(snapshot: Path, key: Key) -> dict[str, Any]:
    try:
        text, seal = (snapshot / _HEADER).read_bytes().decode("ascii").rstrip("\n").rsplit("\n", 1)
    except (OSError, ValueError):
        raise _damaged(snapshot) from None
    if not hmac.compare_digest(_seal(text, key), seal):
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
