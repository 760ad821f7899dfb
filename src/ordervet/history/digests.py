"""Digests of the store's files, so that what the disk has changed is found before anything in it is believed.

    _digests.txt    one line per data file and per file of the log: SHA-256, name, and the CRC-32 of both

Data files and files of the log never change once they are written. A file has its line when the commit that added it
returns; one that a writer added and died, or another engine, gets its line at the next commit. A file without a line is
believed.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ordervet.errors import HistoryError
from ordervet.storage import PRIVATE, write_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import IO

# NOTE: to Delta, files that begin with an underscore are not data: no engine reads this one, no vacuum removes it.
DIGESTS = "_digests.txt"
_THREADS = 2
_MAX_NAMED = 5
_MAX_CHECKED = 2**15


@dataclass(slots=True)
class Digests:
    """What was read of a store's digests.

    Parameters
    ----------
    of : by name, 32 bytes
    n_damaged : lines that are not as they were written
    n_bytes : how many were read
    inode : of the file
    """

    of: dict[str, bytes] = field(default_factory=dict)
    n_damaged: int = 0
    n_bytes: int = 0
    inode: int = 0


_Signature: TypeAlias = tuple[int, int, int, bytes]

_CHECKED: dict[str, _Signature] = {}
"""By path, what a file was when it was checked: inode, size, time of change, digest."""
_READ: dict[Path, Digests] = {}
_TURN = threading.Lock()


def read_digests(folder: Path, *, from_start: bool = False) -> Digests:
    """Read the digests of a store; the end of a line that is being written is left for the next time.

    Parameters
    ----------
    folder : of the store
    from_start : read also again what was read before
    """
    try:
        with _TURN, (folder / DIGESTS).open("rb") as file:
            if from_start:
                _READ.pop(folder, None)
            return _read_on(folder, file)
    except FileNotFoundError:
        return Digests()


def check_files(folder: Path, names: Iterable[str], sizes: Mapping[str, int] | None = None) -> None:
    """Check that files are as they were written; a file that is missing is no business of this function.

    SPEED: a file is read once, and again when its time or size has changed.

    Parameters
    ----------
    folder : of the store
    names : in the folder
    sizes : of files, in bytes, as far as they are known

    Raises
    ------
    HistoryError
        Some are not.
    """
    if damaged := find_damaged(folder, names, sizes):
        raise describe_damage(folder, damaged)


def describe_damage(folder: Path, names: list[str], *, is_missing: bool = False) -> HistoryError:
    """Build the error for files that differ from what was written, or are missing."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    listed = ", ".join(names[:_MAX_NAMED]) + more
    return HistoryError(
        f"the history {folder.name} is damaged: {listed} is missing"
        if is_missing
        else f"the history {folder.name} is damaged: {listed} differs from what was written",
        hint="ordervet history verify --history DIR names all that is damaged; --repair, with --backup DIR where there "
        "is one, repairs it",
    )


def find_damaged(folder: Path, names: Iterable[str], sizes: Mapping[str, int] | None = None) -> list[str]:
    """List the files, among some, that differ from what was written; missing ones are not listed."""
    known, sizes = read_digests(folder).of, sizes or {}
    damaged: list[str] = []
    unchecked: list[tuple[str, str, _Signature]] = []
    for name in names:
        path = f"{folder}{os.sep}{name}"
        try:
            status = os.stat(path)  # noqa: PTH116 - of hundreds of files at each reading
        except FileNotFoundError:
            continue
        if sizes.get(name, status.st_size) != status.st_size:
            damaged.append(name)
        elif name in known:
            signature = (status.st_ino, status.st_size, status.st_mtime_ns, known[name])
            if _CHECKED.get(path) != signature:
                unchecked.append((name, path, signature))
    if not unchecked:
        return damaged
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda each: digest_file(Path(each[1])), unchecked))
    if len(_CHECKED) > _MAX_CHECKED:
        _CHECKED.clear()
    _CHECKED.update(
        (path, signature) for (_, path, signature), now in zip(unchecked, found, strict=True) if now == signature[-1]
    )
    pairs = zip(unchecked, found, strict=True)
    return damaged + [name for (name, _, signature), now in pairs if now not in (signature[-1], None)]


def record_digests(folder: Path, names: Collection[str]) -> None:
    """Add the digests of files that have none.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    names : in the folder
    """
    known, path = read_digests(folder), folder / DIGESTS
    fresh = {name: digest for name in sorted(set(names) - set(known.of)) if (digest := digest_file(folder / name))}
    is_cut = path.exists() and path.stat().st_size != known.n_bytes
    if known.n_damaged or is_cut or not path.exists():
        _rewrite(folder, known.of | fresh)
    elif fresh:
        with path.open("ab") as file:
            file.write(_format(fresh))
            file.flush()
            os.fsync(file.fileno())


def mend_digests(folder: Path) -> None:
    """Write the digests again without lines that are damaged; their files get new ones at the next commit."""
    known = read_digests(folder)
    if known.n_damaged:
        _rewrite(folder, known.of)


def forget_digests(folder: Path) -> None:
    """Remove the digests of files that are gone."""
    known = read_digests(folder).of
    kept = {name: digest for name, digest in known.items() if (folder / name).exists()}
    if len(kept) < len(known):
        _rewrite(folder, kept)


def _rewrite(folder: Path, digests: dict[str, bytes]) -> None:
    def write(file: IO[bytes]) -> None:
        file.write(_format(digests))

    write_file(folder / DIGESTS, write, mode=PRIVATE)


def _format(digests: dict[str, bytes]) -> bytes:
    lines = (f"{digest.hex()}  {name}".encode() for name, digest in digests.items())
    return b"".join(b"%s  %08x\n" % (line, zlib.crc32(line)) for line in lines)


def _read_on(folder: Path, file: IO[bytes]) -> Digests:
    """Read what has been added since the last time."""
    status = os.fstat(file.fileno())
    read = _READ.get(folder)
    if read is None or read.inode != status.st_ino or status.st_size < read.n_bytes:
        read = _READ[folder] = Digests(inode=status.st_ino)
    if status.st_size > read.n_bytes:
        file.seek(read.n_bytes)
        whole, newline, _ = file.read().rpartition(b"\n")
        read.n_bytes += len(whole) + len(newline)
        for line in whole.splitlines():
            content, _, sum_ = line.rpartition(b"  ")
            digest, _, name = content.partition(b"  ")
            if sum_ == b"%08x" % zlib.crc32(content):
                read.of[name.decode()] = bytes.fromhex(digest.decode())
            else:
                read.n_damaged += 1
    return read


def digest_file(path: Path) -> bytes | None:
    """Digest a file as it is now; None where it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return None
