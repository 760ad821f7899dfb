"""Zipped files, UTF-16 text and files of object stores become plain files in a private folder of their own.

It goes away with the reader.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import lzma
import shutil
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections import Counter
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from ordervet.contract.files.limits import check_unpacked
from ordervet.contract.files.opening import SHEETS, TEXTS, check_ending, is_readable, open_error, wrong_format
from ordervet.errors import FileError
from ordervet.object_stores import fetch_file, find_address, find_place

if TYPE_CHECKING:
    from typing import IO

_PIECE = 2**20
_START = 2**12
_FEWEST_ZEROS = 4
_MOST_BYTES_A_ZERO = 40  # of UTF-16 text: one plain sign, such as a separator, in twenty
_MOST_OTHERS = 8  # times as many plain signs as others with a zero, such as 一
# What the standard library raises on damaged archives, names and sizes in them included.
_DAMAGES = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, ValueError, OverflowError, LookupError, struct.error),
)
_UTF8_NAMES = 0x800  # the flag of a zip archive's entry


class Unpacker:
    """Unpacks files that cannot be read as they are; keep it as long as the files that it gives."""

    def unpack(self, path: Path) -> list[Path]:
        """Return the files to be read instead of a file: those in a zip archive, or the file itself.

        Raises
        ------
        FileError
            The file is missing, damaged, locked, or an archive without a file that can be read.
        """
        check_ending(path)
        if address := find_address(path):
            place = find_place(address)
            path = self._new_path(place.name)
            fetch_file(place, path)
        name = path.name.lower()
        if name.endswith(".zip"):
            return [self._as_plain_text(member) for member in self._unzip(path)]
        if name.endswith(".gz") and not name.endswith(".csv.gz"):
            return [self._as_plain_text(self._gunzip(path))]
        return [self._as_plain_text(path)]

    @cached_property
    def _folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="ordervet-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _new_path(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder)) / name

    def _unzip(self, path: Path) -> list[Path]:
        try:
            with zipfile.ZipFile(path) as archive:
                readable = _name_readable(archive)
                if not readable:
                    raise FileError(f"{path.name} holds no file that can be read", hint="zip the exports themselves")
                check_unpacked(path, sum(entry.file_size for entry in readable.values()))
                return [self._copy(archive.open(readable[name]), f"{path.stem} - {name}", path) for name in readable]
        except _DAMAGES:
            raise wrong_format(path, "a whole zip archive", path.read_bytes()[:64]) from None
        except RuntimeError:
            raise FileError(f"{path.name} is locked by a password", hint="save it without one") from None
        except OSError as error:
            raise open_error(path, error) from None

    def _gunzip(self, path: Path) -> Path:
        try:
            return self._copy(cast("IO[bytes]", gzip.open(path)), path.name[: -len(".gz")], path)
        except _DAMAGES:
            raise wrong_format(path, "a whole gzip file", path.read_bytes()[:64]) from None
        except OSError as error:
            raise open_error(path, error) from None

    def _copy(self, source: IO[bytes], name: str, path: Path) -> Path:
        """Copy what an archive holds; one that unpacks to more than it says, or without an end, is refused."""
        target = self._new_path(name)
        with source, target.open("wb") as file:
            for piece in iter(lambda: source.read(_PIECE), b""):
                file.write(piece)
                check_unpacked(path, file.tell())
        return target

    def _as_plain_text(self, path: Path) -> Path:
        """Write UTF-16 text as UTF-8; anything else stays as it is."""
        if not path.name.lower().endswith((*TEXTS, *SHEETS)):
            return path
        try:
            with path.open("rb") as file:
                encoding = _find_utf16(file.read(_START))
        except OSError as error:
            raise open_error(path, error) from None
        if encoding is None:
            return path
        target = self._new_path(path.name)
        with (
            path.open(encoding=encoding, errors="replace", newline="") as source,
            target.open("w", encoding="utf-8", newline="") as file,
        ):
            shutil.copyfileobj(source, file, _PIECE)
        return target


def _find_utf16(start: bytes) -> str | None:
    """Tell from its first bytes how text is UTF-16, if it is: by its mark, or by the zero byte of plain signs."""
    if len(start) < len("ab"):
        return None
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [start[side::2].count(0) for side in (0, 1)]
    least = max(_FEWEST_ZEROS, len(start) // _MOST_BYTES_A_ZERO, _MOST_OTHERS * min(zeros) + 1)
    if max(zeros) < least:
        return None
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _name_readable(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Name the zipped files that can be read, with their folders where two have one name; hidden ones are left out."""
    paths = {_path_of(entry): entry for entry in archive.infolist() if not entry.is_dir()}
    found = {path: paths[path] for path in sorted(paths) if is_readable(path) and not any(map(_is_hidden, path.parts))}
    times = Counter(path.name for path in found)
    return {path.name if times[path.name] == 1 else " - ".join(path.parts): entry for path, entry in found.items()}


def _is_hidden(part: str) -> bool:
    return part.startswith((".", "~$")) or part == "__MACOSX"


def _path_of(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of a zipped file within its archive; Chinese programs write it in GB18030 without saying so."""
    name = entry.filename
    if not entry.flag_bits & _UTF8_NAMES:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("gb18030")
    return PurePosixPath(*(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")))
