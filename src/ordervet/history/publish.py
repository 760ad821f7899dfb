"""A copy of the history where other engines read it: an object store, or another folder.

The copy is a Delta table of its own. Only files that are new travel; they are written first, and one entry in the log,
put there only if nobody else has put one, makes all of them visible: whoever reads sees a whole version, the last or
the one before, whenever the publisher is killed. Files that the history itself no longer has are removed after that, so
that what is erased here is erased there.
"""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ordervet.errors import HistoryError
from ordervet.history import delta
from ordervet.history.damage import Checked
from ordervet.history.delta import describe_errors as describe_history_errors
from ordervet.history.digests import check_files, read_digests
from ordervet.history.ingest import describe_file
from ordervet.history.snapshots import FOLDER, list_snapshots
from ordervet.object_stores import describe_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ordervet.history.damage import State
    from ordervet.history.store import History
    from ordervet.object_stores import Place

_THREADS = 4
_PIECE = 8 * 2**20
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Published:
    """What was published.

    Parameters
    ----------
    version : of the history
    n_files, n_bytes : data files that travelled
    n_live : data files of the version
    n_removed : data files that were removed
    n_snapshots : files of snapshots that travelled
    """

    version: int
    n_files: int
    n_bytes: int
    n_live: int
    n_removed: int
    n_snapshots: int


def publish(history: History, place: Place, *, with_snapshots: bool = False) -> Published:
    """Publish the newest version of a history; it may be written meanwhile.

    Parameters
    ----------
    history : to be published
    place : a folder that is empty, missing, or has what was published of this history before
    with_snapshots : publish the saved states of scorers too

    Raises
    ------
    HistoryError
        The place has something else, or the history was made with another key than what is there.
    SourceError
        The place cannot be read or written; what was published before is unchanged.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _publish(history, place, with_snapshots=with_snapshots)
        except _GoneError:
            # NOTE: a vacuum or an erasure removed files of the version; the newest has its own.
            continue
    raise HistoryError(
        f"the history {history.path.name} changes faster than it can be published", hint="publish it again"
    )


def check_copy(history: History, place: Place) -> list[Checked]:
    """Check the data files of what was published, by the digests that the history has of them; nothing is changed.

    Parameters
    ----------
    history : that was published, whose files an earlier version of it may no longer be among
    place : where it was published

    Raises
    ------
    HistoryError
        Nothing was published there.
    KeyMismatchError
        It is of another history.
    SourceError
        The place cannot be read.
    """
    digests = read_digests(history.path).of
    with describe_errors(place.address):
        copy = delta.open_copy(place.delta_address, place.delta_options)
        if copy is None:
            raise HistoryError(
                f"nothing is published at {place.address}",
                hint="publish it first: ordervet history publish ADDRESS --history DIR",
            )
        delta.check_table(copy.metadata().configuration, history.key, history.path)
        there = _list_sizes(place, place.path)

        def check(name: str) -> Checked:
            if name not in there:
                state: State = "missing"
            elif name not in digests:
                state = "believed"
            else:
                with place.files.open_input_stream(f"{place.path}/{name}") as source:
                    is_whole = hashlib.file_digest(source, "sha256").digest() == digests[name]
                state = "whole" if is_whole else "damaged"
            return Checked("published", f"{place.address.rstrip('/')}/{name}", state)

        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(check, sorted(delta.live_files(copy))))


class _GoneError(Exception):
    """A file of the version was removed while it was being copied."""


def _publish(history: History, place: Place, *, with_snapshots: bool) -> Published:
    folder = history.path
    with describe_history_errors(folder, "read"):
        table = delta.load_table(folder)
        version, live = int(table.version()), delta.live_files(table)
    with describe_errors(place.address):
        there = _list_sizes(place, place.path)
        with _committing(place) as (address, options):
            remote = delta.open_copy(address, options)
            if remote is None and not all(map(delta.is_data_file, there)):
                raise HistoryError(f"{place.address} has other files in it", hint="name an empty folder")
            published = set() if remote is None else delta.live_files(remote)
            if remote is not None:
                delta.check_table(remote.metadata().configuration, history.key, folder)
            new = sorted(live - published)
            check_files(folder, new)  # a copy of damage would have no digest
            described = [_describe(folder / name) for name in new]
            missing = [each for each in described if there.get(each.name) != each.size]
            _copy_all(place, folder, [each.name for each in missing])
            delta.commit_copy(address, options, remote, table, described, sorted(published - live), version)
        kept = live | delta.list_data_files(folder)
        gone = [name for name in there if delta.is_data_file(name) and name not in kept]
        for name in gone:
            _remove(place, name)
        n_snapshots = _publish_snapshots(folder, place) if with_snapshots else 0
    n_bytes = sum(each.size for each in missing)
    return Published(version, len(missing), n_bytes, len(live), len(gone), n_snapshots)


@contextmanager
def _committing(place: Place) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the address of the copy's log, and what opens it; what was committed is visible at the end.

    Delta Lake writes an entry on the condition that there is none. For a store that refuses this the log is fetched,
    and what is new in it is sent, entries in their order: whoever reads sees whole versions, but of two who publish at
    the same moment the later one would win.
    """
    if not place.refuses_conditions:
        yield place.delta_address, place.delta_options
        return
    with TemporaryDirectory(prefix="ordervet-") as temporary:
        log = Path(temporary) / delta.LOG_FOLDER
        log.mkdir()
        there = f"{place.path}/{delta.LOG_FOLDER}"
        known = _list_sizes(place, there)
        for name in known:
            with place.files.open_input_stream(f"{there}/{name}") as source:
                (log / name).write_bytes(source.read())
        yield temporary, {}
        # Entries, then checkpoints, then what names the last of these, which alone is overwritten.
        sent = [each for each in log.iterdir() if each.name not in known or not each.suffix]
        for file in sorted(sent, key=lambda each: (each.suffix != ".json", not each.suffix, each.name)):
            _copy(place, file, f"{there}/{file.name}")


def _describe(file: Path) -> delta.DataFile:
    try:
        return describe_file(file)
    except FileNotFoundError:
        raise _GoneError from None


def _list_sizes(place: Place, path: str) -> dict[str, int]:
    """List the files in a folder of a store, and their bytes."""
    from pyarrow.fs import FileSelector, FileType

    found = place.files.get_file_info(FileSelector(path, allow_not_found=True))
    return {each.base_name: each.size for each in found if each.type is FileType.File}


def _copy_all(place: Place, folder: Path, names: Iterable[str], below: str = "") -> None:
    place.files.create_dir(f"{place.path}/{below}".rstrip("/"), recursive=True)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda name: _copy(place, folder / name, f"{place.path}/{below}{name}"), names))


def _copy(place: Place, file: Path, target: str) -> None:
    # NOTE: one that is cut off has fewer bytes, no entry in the log names it, and the next run writes it again.
    try:
        source = file.open("rb")
    except FileNotFoundError:
        raise _GoneError from None
    with source, place.files.open_output_stream(target) as stream:
        shutil.copyfileobj(source, stream, _PIECE)


def _remove(place: Place, name: str) -> None:
    place.files.delete_file(f"{place.path}/{name}")


def _publish_snapshots(folder: Path, place: Place) -> int:
    """Copy the snapshots that are new, and remove those that are gone; a header comes after what it describes."""
    from pyarrow.fs import FileSelector, FileType

    found = place.files.get_file_info(FileSelector(f"{place.path}/{FOLDER}", allow_not_found=True))
    there = {each.base_name for each in found if each.type is FileType.Directory}
    snapshots = list_snapshots(folder)
    n_copied = 0
    for snapshot in snapshots:
        sizes = _list_sizes(place, f"{place.path}/{FOLDER}/{snapshot.name}")
        for file in sorted(snapshot.iterdir()):
            if sizes.get(file.name) != file.stat().st_size:
                _copy_all(place, snapshot, [file.name], f"{FOLDER}/{snapshot.name}/")
                n_copied += 1
    for name in there - {snapshot.name for snapshot in snapshots}:
        place.files.delete_dir(f"{place.path}/{FOLDER}/{name}")
    return n_copied
