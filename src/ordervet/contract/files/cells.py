"""Cells as the platforms write them: encodings, quotes for Excel, words for nothing.

A cell stays bytes until it is known which columns are read at all; then each column is decoded as one text. A byte that
its encoding does not know becomes U+FFFD in its cell, so that one garbled cell does not cost the file.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from ordervet.contract.files.opening import Encoding

BLANKS = ("-", "--", "—", "——", "/", "null", "NULL", "None", "none", "N/A", "#N/A", "\\N", "0000-00-00 00:00:00")
_BLANK_LENGTHS = sorted({len(blank.encode()) for blank in BLANKS})
_SEPARATOR = "\x1e"  # NOTE: no trail byte of GB18030 is below 0x30, so a cell's last byte never takes it in
_FLOAT = r"^(?:[0-9](?:\.[0-9]+)?[eE]\+[0-9]+|[0-9]+\.0+)$"  # 2.3E+18, 123.0
_SPACE = (0x09, 0x0A, 0x0D, 0x20)
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\t\n\r '\"="))


_PLAIN_UNITS = ("(元)", "(件)")
"""What a platform writes behind a column's name without a change of its meaning."""


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """Normalize a column name, or a state, for comparison: one width, small letters, no spaces, quotes or plain unit.

    Examples
    --------
    >>> plain_name(" 商品总价（元）") == plain_name("商品总价(元)") == plain_name("商品总价")
    True
    """
    plain = "".join(unicodedata.normalize("NFKC", name).casefold().translate(_UNSEEN).split())
    return plain if plain in _PLAIN_UNITS else plain.removesuffix(_PLAIN_UNITS[0]).removesuffix(_PLAIN_UNITS[1])


def decode_cells(cells: pa.Array, encoding: Encoding) -> pa.Array:
    """Decode a column of bytes and remove what was added for Excel.

    Parameters
    ----------
    cells : shape (n,), binary, without nulls
    encoding : of the file

    Returns
    -------
    shape (n,), strings; "" where nothing is given
    """
    return blank_out(_decode(unquote_cells(_trim(cells)), encoding))


def decode_text_cells(cells: pa.Array, encoding: Encoding) -> pa.Array:
    """Decode a column of bytes, shape (n,), and leave the texts as they are."""
    return _decode(_as_texts(cells), encoding)


def _as_texts(cells: pa.Array) -> pa.Array:
    """View bytes as a string column without looking at them."""
    return pa.Array.from_buffers(pa.string(), len(cells), cells.buffers(), offset=cells.offset)


def _bytes_of(cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets, shape (n + 1,), and the bytes they point into."""
    _, offsets, data = cells.buffers()
    at = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    return at, np.frombuffer(data if data is not None else b"", np.uint8)


def _ends_of(cells: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which rows have text, and the first and last byte of those rows."""
    at, data = _bytes_of(cells)
    rows = np.flatnonzero(at[1:] > at[:-1])
    return rows, data[at[:-1][rows]], data[at[1:][rows] - 1]


def _trim(cells: pa.Array) -> pa.Array:
    """Trim tabs and spaces at both ends; only ASCII is looked at, so the encoding does not matter."""
    if len(cells) == 0:
        return _as_texts(cells)
    _, first, last = _ends_of(cells)
    if not (np.isin(first, _SPACE).any() or np.isin(last, _SPACE).any()):
        return _as_texts(cells)
    return pc.ascii_trim(_as_texts(cells), characters="\t\n\r ")


def unquote_cells(cells: pa.Array) -> pa.Array:
    """Remove ``="…"`` and a leading ``'``, by which exports keep Excel from reading an id as a number.

    Parameters
    ----------
    cells : shape (n,), strings without nulls, trimmed
    """
    if len(cells) == 0:
        return cells
    rows, first, last = _ends_of(cells)
    at, data = _bytes_of(cells)
    lengths = np.diff(at)
    is_formula = (first == ord("=")) & (last == ord('"')) & (lengths[rows] > 3)
    is_apostrophe = first == ord("'")
    if not (is_formula.any() or is_apostrophe.any()):
        return cells
    formulas, apostrophes = rows[is_formula], rows[is_apostrophe]
    is_kept = np.ones(len(data), bool)
    for marks in (at[formulas], at[formulas] + 1, at[formulas + 1] - 1, at[apostrophes]):
        is_kept[marks] = False
    lengths[formulas] -= 3
    lengths[apostrophes] -= 1
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    bare = data[at[0] : at[-1]][is_kept[at[0] : at[-1]]]
    return pa.Array.from_buffers(pa.string(), len(cells), [None, pa.py_buffer(offsets), pa.py_buffer(bare)])


def blank_out(texts: pa.Array) -> pa.Array:
    """Replace by "" the placeholders that platforms write for nothing, such as ``-`` or ``null``."""
    if len(texts) == 0:
        return texts
    lengths = np.diff(_bytes_of(texts)[0])
    rows = np.flatnonzero(np.isin(lengths, _BLANK_LENGTHS))
    is_blank = pc.is_in(texts.take(pa.array(rows)), pa.array(BLANKS)).to_numpy(zero_copy_only=False)
    if not is_blank.any():
        return texts
    mask = np.zeros(len(texts), bool)
    mask[rows[is_blank]] = True
    return pc.if_else(pa.array(mask), "", texts)


def _decode(cells: pa.Array, encoding: Encoding) -> pa.Array:
    """Decode all cells of a column at once, joined by a character that none of them holds."""
    at, data = _bytes_of(cells)
    used = data[at[0] : at[-1]]
    if len(used) == 0 or used.max() < 128:
        return cells
    if encoding == "utf-8":
        try:
            return cells.cast(pa.binary()).cast(pa.string())  # NOTE: this direction checks every byte
        except pa.ArrowInvalid:
            pass
    if (used == ord(_SEPARATOR)).any():
        return _decode_singly(cells, encoding)
    whole = pa.ListArray.from_arrays(pa.array([0, len(cells)], pa.int32()), cells.cast(pa.binary()))
    joined = pc.binary_join(whole, _SEPARATOR.encode())[0].as_buffer()
    # NOTE: a character that the end cuts off would take a separator before the end in.
    text = str(b"".join((joined, _SEPARATOR.encode(), b"0")), encoding, "replace").encode()
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == ord(_SEPARATOR))
    if len(ends) != len(cells):
        raise AssertionError("a separator was lost or made by decoding")
    data, ends = data[: ends[-1]], ends[:-1]
    offsets = np.concatenate([[0], ends - np.arange(len(ends)), [len(data) - len(ends)]]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.delete(data, ends))]
    return pa.Array.from_buffers(pa.string(), len(cells), buffers)


def _decode_singly(cells: pa.Array, encoding: Encoding) -> pa.Array:
    texts = [cell.decode(encoding, errors="replace") for cell in cells.cast(pa.binary()).to_pylist()]
    return pa.array(texts, pa.string())


def repair_ids(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Repair ids that were once numbers, and drop those that have lost digits.

    Parameters
    ----------
    column : shape (n,), of any type; what is no text is left alone

    Returns
    -------
    ids : shape (n,); ``123.0`` is ``123``, and an id with an exponent, as 1.2E+17, is not given
    is_lost : shape (n,), where that is so
    """
    is_lost = np.zeros(len(column), bool)
    if not pa.types.is_string(column.type) or len(column) == 0:
        return column, is_lost
    rows = _find_floats(column)
    if len(rows) == 0:
        return column, is_lost
    texts = column.take(pa.array(rows))
    is_whole = pc.match_substring_regex(texts, r"^[0-9]{1,15}\.0+$").to_numpy(zero_copy_only=False)
    is_lost[rows] = ~is_whole
    repaired = column.to_pylist()
    for row in rows[is_whole]:
        repaired[row] = repaired[row].partition(".")[0]
    ids = pa.array(repaired, pa.string())
    return (pc.if_else(pa.array(is_lost), "", ids) if is_lost.any() else ids), is_lost


def _find_floats(texts: pa.Array) -> np.ndarray:
    """Find the rows whose text is a float, by a look at the bytes first."""
    at, data = _bytes_of(texts)
    used = data[at[0] : at[-1]]
    if not ((used == ord(".")) | (used == ord("+"))).any():
        return np.zeros(0, np.int64)
    return np.flatnonzero(pc.match_substring_regex(texts, _FLOAT).to_numpy(zero_copy_only=False))
