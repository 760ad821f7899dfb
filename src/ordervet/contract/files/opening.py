"""Open files: their kinds, encodings and sizes, and one clear error for whatever is wrong before the first row."""

from __future__ import annotations

import codecs
import gzip
import re
import stat
import zlib
from contextlib import suppress
from itertools import islice
from typing import IO, TYPE_CHECKING, Literal, cast

from ordervet.contract.files.limits import check_unpacked
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path, PurePath

READABLE = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".arrow", ".feather", ".xlsx", ".xls")
PACKED = (".gz", ".zip")
SEPARATED = (".csv", ".tsv", ".txt", ".csv.gz")
SHEETS = (".xlsx", ".xls")
TEXTS = (".csv", ".tsv", ".txt", ".json", ".jsonl")
MAX_ROW = 16 * 2**20  # bytes: no row of a text file may be longer
_HEAD = 2**20
_READ_WHOLE = (".json", *SHEETS)  # by their nature; every other kind is also read in pieces
_ABOVE_ASCII = re.compile(rb"[\x80-\xff]+")
_MAX_RUNS = 10_000  # of bytes above ASCII, by which an encoding is guessed
_MAX_WHOLE = 512 * 2**20  # bytes of a file that is always read whole
MAX_PIECE = 64 * 2**20  # bytes of plain text; a longer file is read in pieces
#: About how many times its size a file takes as plain text.
_EXPANSION = {".csv": 1, ".tsv": 1, ".txt": 1, ".csv.gz": 8, ".jsonl": 1, ".parquet": 8, ".arrow": 1, ".feather": 2}
# How other formats begin; a text file never does.
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"PK\x03\x04": "a zip archive, such as xlsx",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "an old Office file (xls)",
    b"%PDF": "PDF",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"<": "HTML or XML",
}

Encoding = Literal["utf-8", "gb18030", "cp1252"]


def check_ending(path: Path) -> None:
    """Check that a file's name has an ending that `open_rows` knows.

    Raises
    ------
    FileError
        It has none of them, or is a pipe or a device, which nobody may ever write to, or which never ends.
    """
    with suppress(OSError):
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise FileError(f"{path.name} is a pipe or a device", hint="write what it gives to a file first")
    name = path.name.lower()
    if not is_readable(path) and not name.endswith(".zip"):
        raise FileError(f"{path.name} has no known ending", hint=f"use one of {', '.join((*READABLE, *PACKED))}")


def is_readable(path: PurePath) -> bool:
    """Return whether a file's name has the ending of a file of rows, zipped by gzip or not."""
    return path.name.lower().removesuffix(".gz").endswith((*READABLE, ".json"))


def is_long(path: Path) -> bool:
    """Return whether a file is to be read in pieces.

    Raises
    ------
    FileError
        There is no such file.
    """
    name = path.name.lower()
    expansion = next((times for ending, times in _EXPANSION.items() if name.endswith(ending)), 0)
    try:
        return path.stat().st_size * expansion > MAX_PIECE
    except OSError as error:
        raise open_error(path, error) from None


def open_error(path: Path, error: OSError) -> FileError:
    """Build the error for a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return FileError(f"there is no file {path.name}", hint="check the path; a relative one starts here")
    if isinstance(error, IsADirectoryError):
        return FileError(f"{path.name} is a folder", hint="name the files in it")
    return FileError(f"{path.name} cannot be read: {error.strerror}", hint="check its permissions")


def empty_error(path: Path) -> FileError:
    """Build the error for a file without a header."""
    return FileError(f"{path.name} is empty", hint="export it again; even no orders have a header")


def wrong_format(path: Path, wanted: str, data: bytes) -> FileError:
    """Build the error for a file that is not what its ending says, naming what it looks like."""
    looks = _looks_like(data)
    if looks and looks in wanted:
        return FileError(f"{path.name} is damaged", hint="export it again")
    message = f"{path.name} is not {wanted}" + (f"; it looks like {looks}" if looks else "")
    return FileError(message, hint="export it again, or give it the ending of what it is")


def _looks_like(data: bytes) -> str:
    """Name the other format that the first bytes belong to; "" when they look like text."""
    start = data[:64].removeprefix(codecs.BOM_UTF8).lstrip()
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def looks_like_text(path: Path) -> bool:
    """Return whether a file named as a workbook is separated text, as some programs write it."""
    try:
        with path.open("rb") as file:
            start = file.read(2**12)
    except OSError as error:
        raise open_error(path, error) from None
    return bool(start) and not _looks_like(start) and b"\0" not in start


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    FileError
        It is missing, empty, unreadable, or of a kind that is always read whole and too large for that.
    """
    try:
        if path.suffix.lower() in _READ_WHOLE and path.stat().st_size > _MAX_WHOLE:
            raise FileError(
                f"{path.name} has more than {_MAX_WHOLE // 2**20} MiB, and such a file is read whole",
                hint="export it as CSV or JSON lines, or in parts",
            )
        data = path.read_bytes()
    except OSError as error:
        raise open_error(path, error) from None
    if not data:
        raise empty_error(path)
    return data


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file as it is, or what a .gz holds."""
    try:
        return cast("IO[bytes]", gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")
    except OSError as error:
        raise open_error(path, error) from None


def iter_bytes(path: Path, start: int = 0) -> Iterator[bytes]:
    """Read a file, or what a .gz holds, a megabyte at a time.

    Parameters
    ----------
    path : of the file
    start : bytes to leave out at the beginning

    Raises
    ------
    FileError
        It is missing or unreadable, or a .gz that is damaged or unpacks to more than the limits.
    """
    with open_bytes(path) as file:
        try:
            n_bytes = len(file.read(start))
            for piece in iter(lambda: file.read(_HEAD), b""):
                n_bytes += len(piece)
                check_unpacked(path, n_bytes)
                yield piece
        except (OSError, EOFError, zlib.error) as error:
            raise (
                damaged_gzip(path) if path.name.lower().endswith(".gz") else open_error(path, cast("OSError", error))
            ) from None


def damaged_gzip(path: Path) -> FileError:
    """Build the error for a .gz that ends too early or is none."""
    with path.open("rb") as file:
        return wrong_format(path, "a whole gzip file", file.read(64))


def read_head(path: Path, wanted: str) -> bytes:
    """Read the first megabyte of a text file.

    Raises
    ------
    FileError
        The file is missing, empty, unreadable, or does not look like text.
    """
    head = next(iter_bytes(path), b"")
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise empty_error(path)
    if _looks_like(head) or b"\0" in head:
        raise wrong_format(path, wanted, head)
    return head


def find_encoding(chunks: Iterable[bytes]) -> Encoding:
    """Guess whether text is UTF-8, GB18030 or Windows-1252, by the first chunk that is not plain ASCII.

    It is UTF-8 when more characters can be read as that than cannot, for text in the others hardly ever is. Nearly any
    bytes are GB18030; but Chinese characters fill two bytes above ASCII and stand side by side, while an accented
    letter fills one and stands between plain ones.

    Parameters
    ----------
    chunks : the text from its beginning, in pieces of any length
    """
    for chunk in chunks:
        if not chunk.isascii():
            # NOTE: a character that is cut at the end is left out.
            text = codecs.getincrementaldecoder("utf-8")("replace").decode(chunk)
            n_unreadable = text.count("\ufffd")
            n_readable = len(text) - len(text.encode("ascii", "ignore")) - n_unreadable
            if n_unreadable < max(n_readable, 1):
                return "utf-8"
            runs = [len(run[0]) for run in islice(_ABOVE_ASCII.finditer(chunk), _MAX_RUNS)]
            return "cp1252" if 2 * runs.count(1) > len(runs) else "gb18030"
    return "utf-8"


def find_exact_encoding(path: Path) -> Encoding:
    """Find the encoding in which every byte of a text file can be read.

    Raises
    ------
    FileError
        It is neither UTF-8 nor GB18030 nor Windows-1252.
    """
    guessed = find_encoding(iter_bytes(path))
    encodings: tuple[Encoding, ...] = ("utf-8", "gb18030" if guessed == "utf-8" else guessed)
    for encoding in encodings:
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            for piece in iter_bytes(path):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    raise FileError(f"{path.name} is neither UTF-8 nor GB18030 nor Windows-1252 text", hint="save it as UTF-8")
