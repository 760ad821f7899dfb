"""Folding UTF-8 text in a kernel. Truth: ``characters.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ordervet.entities.address.arrays import CLASS, HAN_ONE, MARK_SHIFT, SECOND_SHIFT
from ordervet.entities.characters import MAX_CHARS
from ordervet.entities.kernel_layout import COMMA, DIGIT, END, HASH, HYPHEN, JUNK, LETTER, NAME, SPACE, STAR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Record, Scalar

__all__ = ["fold_bytes"]

_POINT = np.uint64((1 << 21) - 1)
_MARK = np.uint64((1 << (SECOND_SHIFT - MARK_SHIFT)) - 1)
_PAGE_BITS = 8
_HASH, _DOLLAR, _TILDE, _PLUS, _EQUALS = (np.uint8(ord(sign)) for sign in "#$~+=")


@njit(nogil=True, cache=True)
def _entry_of(tables: Record, point: Scalar) -> Scalar:
    page = tables.pages[np.uint32(point >> _PAGE_BITS)]
    if page < 0:
        return np.uint64(point)
    return tables.folds[np.uint32((np.int64(page) << _PAGE_BITS) + (point & 255))]


@njit(nogil=True, cache=True)
def _decode(data: NDArray[np.uint8], at: Scalar, stop: Scalar) -> tuple[Scalar, Scalar]:
    """Decode one UTF-8 character; Arrow's text is valid, so only its end is checked."""
    first = np.int64(data[np.uint64(at)])
    if 0xE0 <= first < 0xF0 and at + 2 < stop:  # noqa: PLR2004 -- SPEED: most characters are Chinese (bench_addresses.py)
        high = ((first & 0x0F) << 12) | ((np.int64(data[np.uint64(at + 1)]) & 0x3F) << 6)
        return high | (np.int64(data[np.uint64(at + 2)]) & 0x3F), at + 3
    if first < 0x80:  # noqa: PLR2004 -- UTF-8
        return first, at + 1
    if first < 0xE0 and at + 1 < stop:  # noqa: PLR2004 -- UTF-8
        return ((first & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F), at + 2
    if at + 3 < stop:
        point = ((first & 0x07) << 18) | ((np.int64(data[at + 1]) & 0x3F) << 12)
        return (point | ((np.int64(data[at + 2]) & 0x3F) << 6) | (np.int64(data[at + 3]) & 0x3F)) & 0x1FFFFF, at + 4
    return np.int64(0), stop


@njit(nogil=True, cache=True)
def _is_cipher(data: NDArray[np.uint8], start: Scalar, stop: Scalar) -> Scalar:
    """Say whether bytes are a platform's cipher. Truth: `characters.is_cipher`."""
    n = stop - start
    if n < 2:  # noqa: PLR2004 -- the shortest are ## and $$
        return False
    first = data[start]
    if first == data[start + 1] and first in (_HASH, _DOLLAR):
        return True
    if n == 2 or first != data[stop - 1] or first not in (_TILDE, _DOLLAR):  # noqa: PLR2004 -- likewise
        return False
    for at in range(start, stop):
        sign = data[at]
        is_letter = 65 <= (sign & 0xDF) <= 90  # noqa: PLR2004 -- A to Z, whatever the case
        is_digit_or_slash = 47 <= sign <= 57  # noqa: PLR2004 -- / and 0 to 9
        if not (is_letter or is_digit_or_slash or sign in (_TILDE, _DOLLAR, _PLUS, _EQUALS)):
            return False
    return True


@njit(nogil=True, cache=True)
def fold_bytes(
    data: NDArray[np.uint8], start: Scalar, stop: Scalar, tables: Record, scratch: Record
) -> tuple[Scalar, Scalar]:
    """Fold ``data[start:stop]`` into the scratch. No checks: the caller is the address kernel.

    Parameters
    ----------
    data : shape (n_bytes,), UTF-8
    start, stop : 0 <= start <= stop <= n_bytes
    tables : what to look up
    scratch : points and marks are written, and closed by a character of class END

    Returns
    -------
    how many characters there are, and whether the text is masked
    """
    points, marks = scratch.points, scratch.marks
    joiner: Scalar = 0
    n, is_after_star = 0, False
    is_hidden = _is_cipher(data, start, stop)
    at = start
    before: Scalar = END
    while at < stop:
        raw, at = _decode(data, at, stop)
        entry = _entry_of(tables, raw)
        second = np.int64(entry >> np.uint64(SECOND_SHIFT))
        mark = np.int64((entry >> np.uint64(MARK_SHIFT)) & _MARK)
        kind = mark & CLASS
        if kind == NAME and joiner == 0 and second == 0:  # SPEED: most characters are such (bench_addresses.py)
            is_after_star = False
            if n < MAX_CHARS - 1:
                points[np.uint32(n)] = np.int64(entry & _POINT)
                marks[np.uint32(n)] = mark
                n += 1
                before = NAME
            continue
        for turn in range(2):
            if turn == 1:
                if second == 0:
                    break
                entry = _entry_of(tables, second)
                mark = np.int64((entry >> np.uint64(MARK_SHIFT)) & _MARK)
                kind = mark & CLASS
            if kind == JUNK:
                continue
            if kind == STAR:
                is_hidden |= is_after_star
                is_after_star = True
                continue
            is_after_star = False
            is_after_alnum = DIGIT <= before <= LETTER
            if n >= MAX_CHARS - 1 or (kind == HASH and not is_after_alnum):
                continue
            if kind == SPACE or kind == HYPHEN or kind == COMMA:  # noqa: PLR1714, SIM109 -- SPEED: bench_addresses.py
                if joiner != HYPHEN and (joiner != COMMA or kind == HYPHEN):
                    joiner = kind
                continue
            point = np.int64(entry & _POINT)
            if joiner != 0 and is_after_alnum and DIGIT <= kind <= LETTER:
                is_dash = joiner == HYPHEN
                points[n] = 45 if is_dash else 32
                marks[n] = HYPHEN if is_dash else SPACE
                n += 1
            elif joiner == COMMA:
                points[n], marks[n] = 44, COMMA
                n += 1
            elif kind == DIGIT and n > 1 and points[n - 1] == HAN_ONE and marks[n - 2] & CLASS == DIGIT:
                points[n - 1], marks[n - 1] = 45, HYPHEN
            joiner = 0
            points[n] = point
            marks[n] = mark
            n += 1
            before = kind
    for i in range(n, n + 4):
        points[i], marks[i] = 0, END
    return n, is_hidden
