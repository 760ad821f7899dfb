"""Marked people, and how to find them again: in any coding, and inside files that are packed."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import shutil
import sqlite3
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What an order of a marked person holds. No mark is part of another, of a word, or of a number that code makes.
MARKS = {
    "buyer_id": "kanari-kaufer-71",
    "recipient": "邝鸢翮",
    "address": "江苏省南京市江宁区鸢翮罾路517号鹔鹴苑3栋502室",
    "address_group": "kanari-tur-72",
    "phone": "19953717391",
    "phone_group": "kanari-ruf-73",
    "device_id": "kanari-gerat-74",
    "ip": "8.117.93.71",
    "payment_account": "kanari-zahlung-75",
}
#: A part of each, which gives it away as the whole does.
TELLING = ("kanari", "鸢翮", "鹔鹴", "953717391", "8.117.93.")


def encode_mark(mark: str) -> set[bytes]:
    """The mark in every coding that a file, a log or a document could have it in."""
    plain = {mark.encode(name) for name in ("utf-8", "gb18030", "utf-16-le", "utf-16-be", "utf-32-le")}
    escaped = {json.dumps(mark)[1:-1].encode(), quote(mark).encode(), quote(mark.encode("gb18030")).encode()}
    points = "".join(f"&#{ord(sign)};" for sign in mark).encode()
    packed = set().union(*(_encode_base64(each) for each in plain))
    hexadecimal = {each.hex().encode() for each in plain}
    return plain | escaped | _change_case(escaped) | {points} | packed | hexadecimal


def _change_case(escaped: set[bytes]) -> set[bytes]:
    """The same escapes with the other case of their hexadecimal digits."""
    return {each.replace(b"\\u", b"\0").upper().replace(b"\0", b"\\u") for each in escaped} | {
        each.lower() for each in escaped
    }


def _encode_base64(text: bytes) -> set[bytes]:
    """Its base64 wherever it begins in what is encoded, less the signs that it shares with its neighbours."""
    coded = set()
    for n_before in range(3):
        whole = base64.b64encode(bytes(n_before) + text)
        first = -(-8 * n_before // 6)
        last = (8 * (n_before + len(text))) // 6
        coded |= {whole[first:last], whole[first:last].replace(b"+", b"-").replace(b"/", b"_")}
    return coded


#: Digests of files in which nothing was found: many tests meet the same ones.
_CLEAN: set[bytes] = set()
_CODED = {coded: mark for mark in TELLING for coded in encode_mark(mark) if len(coded) > 3}


def find_marks(data: bytes) -> set[str]:
    """Which marks are in some bytes, by their telling parts."""
    return {mark for coded, mark in _CODED.items() if coded in data}


def find_marks_in(folder: Path) -> dict[str, set[str]]:
    """File → the marks in its name or in what it holds, for all files below a folder that hold any."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(path.relative_to(folder)): find_marks(str(path).encode()) | _find_within(path) for path in paths}
    return {name: marks for name, marks in found.items() if marks}


def _find_within(path: Path) -> set[str]:
    data = path.read_bytes()
    digest = hashlib.sha256(data).digest()
    if digest in _CLEAN:
        return set()
    inside = _look_into_database(path) if data[:15] == b"SQLite format 3" else ()
    marks = set().union(*(find_marks(each) for each in (*look_into(data), *inside)))
    if not marks:
        _CLEAN.add(digest)
    return marks


def look_into(data: bytes) -> Iterator[bytes]:
    """Bytes as they are, and unpacked."""
    yield data
    if data[:4] == b"PAR1" and data[-4:] == b"PAR1":
        yield from _look_into_parquet(data)
    elif data[:4] == b"PK\3\4" and zipfile.is_zipfile(BytesIO(data)):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from look_into(archive.read(name))
    elif data[:2] == b"\x1f\x8b":
        yield from look_into(gzip.decompress(data))
    elif data[:6] == b"ARROW1":
        yield repr(pa.ipc.open_file(data).read_all().to_pylist()).encode()


def _look_into_parquet(data: bytes) -> Iterator[bytes]:
    file = pq.ParquetFile(BytesIO(data))
    yield repr(file.schema_arrow.metadata).encode() + repr(file.metadata.to_dict()).encode()
    yield repr(file.read().to_pylist()).encode()


def _look_into_database(path: Path) -> Iterator[bytes]:
    """What a SQLite database holds, with what still lies in its write-ahead log."""
    with tempfile.TemporaryDirectory() as folder:
        for each in path.parent.glob(path.name + "*"):
            shutil.copy(each, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for row in (row for table in tables for row in database.execute(f'SELECT * FROM "{table}"')):
                yield repr(row).encode()
                yield from (b for cell in row if isinstance(cell, bytes) for b in _look_into_blob(cell))


def _look_into_blob(blob: bytes) -> Iterator[bytes]:
    yield from look_into(blob)
    try:
        yield repr(pa.ipc.open_stream(blob).read_all().to_pylist()).encode()
    except pa.ArrowInvalid:
        return


def mark_orders(orders: pa.Table, n_marked: int) -> pa.Table:
    """Put marked people into the first orders."""
    for name, mark in MARKS.items():
        place = orders.schema.get_field_index(name)
        values: list[Any] = orders[name].to_pylist()
        column = pa.array([mark] * n_marked + values[n_marked:], orders.schema.field(place).type)
        orders = orders.set_column(place, orders.schema.field(place), column)
    return orders
