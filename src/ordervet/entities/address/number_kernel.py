"""Reading and counting the numbers of a folded address in a kernel.

Truth: ``address_numbers.py`` and the counting in ``address.py``; each function here says which of theirs it is. No
function checks anything: the caller is ``address_scan_kernel.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ordervet.entities.address.arrays import (
    CLASS,
    LETTER_F,
    UNIT_SECOND,
    UNIT_SHIFT,
    UNIT_START,
    UNIT_TRAP,
    UNIT_WORDS,
    VALUE_SHIFT,
)
from ordervet.entities.address.trie_kernel import follow_edge
from ordervet.entities.kernel_layout import (
    AFTER_ROAD,
    BUILDING,
    DIGIT,
    FLOOR,
    IS_ARABIC,
    IS_F,
    LANE,
    LAST,
    LETTER,
    N_DIGITS,
    N_NUMBERS,
    N_PREFIX,
    N_SOURCE,
    N_SUFFIX,
    NAME,
    NOTHING,
    NUMBER,
    NUMBER_END,
    NUMERAL,
    ONE,
    ROOM,
    SECTION,
    SOURCE_END,
    STAIR,
    TEXT_AT,
    TEXT_END,
    UNITS_SEEN,
    ZERO,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Record, Scalar

__all__ = ["count_group", "count_plain", "is_number", "read_element", "read_plain_unit", "read_unit", "skip_classes"]


_DASH = ord("-")
_ZERO = ord("0")


@njit(nogil=True, cache=True)
def skip_classes(marks: NDArray[np.int32], at: Scalar, low: Scalar, high: Scalar) -> Scalar:
    """Find where characters of the classes low to high end."""
    while low <= marks[np.uint32(at)] & CLASS <= high:
        at += 1
    return at


@njit(nogil=True, cache=True)
def _write_decimal(target: NDArray[np.int32], at: Scalar, number: Scalar) -> Scalar:
    n_digits, rest = 1, number // 10
    while rest > 0:
        n_digits += 1
        rest //= 10
    for i in range(at + n_digits - 1, at - 1, -1):
        target[i] = _ZERO + number % 10
        number //= 10
    return at + n_digits


@njit(nogil=True, cache=True)
def _evaluate(tables: Record, scratch: Record, start: Scalar, stop: Scalar, at: Scalar) -> Scalar:
    """``address_numbers._evaluate``: write the digits to the elements; where they end, or -1."""
    is_multiplied = False
    for i in range(start, stop):
        is_multiplied |= tables.values[(scratch.marks[i] >> VALUE_SHIFT) & 15] >= 10  # noqa: PLR2004 -- ten
    if not is_multiplied:
        begin = at
        for i in range(start, stop):
            digit = tables.values[(scratch.marks[i] >> VALUE_SHIFT) & 15]
            if at > begin or digit > 0:
                scratch.elements[at] = _ZERO + digit
                at += 1
        if at == begin:
            scratch.elements[at] = _ZERO
            at += 1
        return at
    if stop - start > 7:  # noqa: PLR2004 -- address_numbers._MAX_MULTIPLIED
        return -1
    total, pending = np.int64(0), np.int64(0)
    for i in range(start, stop):
        value = tables.values[(scratch.marks[i] >> VALUE_SHIFT) & 15]
        if value < 10:  # noqa: PLR2004 -- ten
            pending = pending * 10 + value
        elif value == 20 or value == 30:  # noqa: PLR1714, PLR2004 -- 廿 and 卅 add
            total += value
        else:
            total += max(pending, np.int64(1)) * value
            pending = np.int64(0)
    return _write_decimal(scratch.elements, at, total + pending)


@njit(nogil=True, cache=True)
def read_element(tables: Record, scratch: Record, at: Scalar, index: Scalar, text_at: Scalar) -> Scalar:
    """``address_numbers._read_element``: fill a row of elements; where the text ends, or -1 for no element."""
    marks, points, elements = scratch.marks, scratch.points, scratch.elements
    row = scratch.element_rows[index]
    if marks[at] & CLASS == DIGIT:  # SPEED: most numbers are plain digits (bench_addresses.py)
        end, text_end = at, text_at
        while marks[end] & CLASS == DIGIT:
            elements[text_end] = points[end]
            text_end += 1 if text_end > text_at or points[end] != _ZERO else 0
            end += 1
        if marks[end] & CLASS != NUMERAL and marks[end] & CLASS != LETTER:
            if text_end == text_at:
                text_end += 1
            row[TEXT_AT], row[TEXT_END], row[SOURCE_END] = text_at, text_end, end
            row[N_DIGITS], row[N_SOURCE], row[IS_ARABIC] = text_end - text_at, end - at, 1
            row[N_PREFIX], row[N_SUFFIX], row[IS_F] = 0, 0, 0
            return text_end
    digits_at = skip_classes(marks, at, LETTER, LETTER)
    n_prefix = digits_at - at
    if n_prefix > 2:  # noqa: PLR2004 -- address_numbers._MAX_LETTERS
        return -1
    digits_end = skip_classes(marks, digits_at, DIGIT, NUMERAL)
    is_arabic = False
    for i in range(digits_at, digits_end):
        is_arabic |= marks[i] & CLASS == DIGIT
    text_end = text_at
    for i in range(at, digits_at):
        elements[text_end] = points[i]
        text_end += 1
    row[TEXT_AT], row[N_PREFIX], row[N_SUFFIX], row[IS_F] = text_at, n_prefix, 0, 0
    if digits_end == digits_at or (n_prefix > 0 and not is_arabic):
        row[TEXT_END], row[SOURCE_END], row[N_DIGITS], row[N_SOURCE], row[IS_ARABIC] = text_end, digits_at, 0, 0, 0
        return text_end if n_prefix > 0 else -1
    digits_text_at = text_end
    text_end = _evaluate(tables, scratch, digits_at, digits_end, text_end)
    if text_end < 0:
        return -1
    n_digits = text_end - digits_text_at
    end = skip_classes(marks, digits_end, LETTER, LETTER)
    if end - digits_end > 2:  # noqa: PLR2004 -- address_numbers._MAX_LETTERS
        end = digits_end
    for i in range(digits_end, end):
        elements[text_end] = points[i]
        text_end += 1
    row[TEXT_END], row[SOURCE_END], row[N_DIGITS], row[N_SOURCE] = text_end, end, n_digits, digits_end - digits_at
    row[IS_ARABIC], row[N_SUFFIX] = is_arabic, end - digits_end
    row[IS_F] = end - digits_end == 1 and points[digits_end] == LETTER_F
    return text_end


@njit(nogil=True, cache=True)
def read_unit(tables: Record, scratch: Record, at: Scalar, last: Scalar) -> tuple[Scalar, Scalar]:
    """``address_numbers._read_unit``: number of the word or -1, and its length (-1 if it is part of a name)."""
    if scratch.marks[at] & UNIT_START == 0:
        return NOTHING, 0
    node, length = np.int64(tables.lists[UNIT_WORDS]), 0
    word, word_length = np.int64(-1), 0
    if scratch.marks[at + 1] & UNIT_SECOND == 0:  # SPEED: most units are one character (bench_addresses.py)
        word, word_length, node = np.int64(scratch.marks[at] >> UNIT_SHIFT) - 1, 1, NOTHING
        if word < 0 or (tables.unit_words[word, 2] & 4 and last != BUILDING):
            return NOTHING, 0
    while node >= 0:
        node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.points[at + length])
        if node < 0:
            break
        length += 1
        if payload >= 0 and (tables.unit_words[payload, 2] & 4 == 0 or last == BUILDING):
            word, word_length = payload, length
    if word >= 0 and scratch.marks[at + word_length] & UNIT_TRAP:
        return np.int64(-1), -1
    return word, word_length


@njit(nogil=True, cache=True)
def is_number(
    tables: Record,
    scratch: Record,
    n: Scalar,
    unit: Scalar,
    word: Scalar,
    end: Scalar,
    is_trapped: Scalar,
    is_dashed: Scalar,
    last: Scalar,
) -> Scalar:
    """``address_numbers._is_number``: its questions, in its order."""
    first = scratch.element_rows[0]
    if word >= 0 and tables.unit_words[word, 2] & 2 and first[IS_ARABIC] == 0 and first[N_SOURCE] > 1:
        stop = first[SOURCE_END] - first[N_SUFFIX]
        is_date = True
        for i in range(stop - first[N_SOURCE], stop):
            is_date &= tables.values[(scratch.marks[i] >> VALUE_SHIFT) & 15] < 10  # noqa: PLR2004 -- ten
        if is_date:
            return False
    if first[IS_ARABIC] or unit >= 0:
        return True
    if first[N_DIGITS] == 0:
        return n > 1 and scratch.element_rows[1, IS_ARABIC] != 0
    if is_dashed:
        return True
    if last == NOTHING or is_trapped or scratch.marks[end] & UNIT_TRAP:
        return False
    return first[N_SOURCE] >= (3 if scratch.marks[end] & CLASS == NAME else 2)


@njit(nogil=True, cache=True)
def _add(scratch: Record, unit: Scalar, start: Scalar, stop: Scalar, word_end: Scalar) -> None:
    """``_Scan._add``: elements start to stop count a unit; a word's last character, or 0, is part of the number."""
    state, numbers = scratch.state, scratch.numbers
    end = state[NUMBER_END]
    row = scratch.number_rows[state[N_NUMBERS]]
    row[0], row[1] = unit, end
    for index in range(start, stop):
        if index > start:
            numbers[end] = _DASH
            end += 1
        for i in range(scratch.element_rows[index, TEXT_AT], scratch.element_rows[index, TEXT_END]):
            numbers[end] = scratch.elements[i]
            end += 1
    if word_end > 0:
        numbers[end] = word_end
        end += 1
    row[2] = end
    state[NUMBER_END] = end
    state[N_NUMBERS] += 1
    state[UNITS_SEEN] |= 1 << unit
    state[LAST] = unit


@njit(nogil=True, cache=True)
def _count_bare(scratch: Record, start: Scalar, stop: Scalar) -> None:
    """``_Scan._count_bare``."""
    state = scratch.state
    has_building = state[UNITS_SEEN] & (1 << BUILDING) != 0
    if state[AFTER_ROAD]:
        _add(scratch, NUMBER, start, start + 1, ZERO)
        start, has_building = start + 1, True
        if start == stop:
            return
    has_long_start = scratch.element_rows[start, N_DIGITS] >= 3  # noqa: PLR2004 -- address._ROOM_DIGITS
    n = stop - start
    if n == 1:
        is_room = has_building or state[LAST] != NOTHING or has_long_start
        _add(scratch, ROOM if is_room else BUILDING, start, stop, ZERO)
    elif has_long_start or (has_building and state[UNITS_SEEN] & (1 << STAIR) != 0):
        _add(scratch, ROOM, start, stop, ZERO)
    else:
        _add(scratch, STAIR if has_building else BUILDING, start, start + 1, ZERO)
        if n > 2:  # noqa: PLR2004 -- building, stair, room
            _add(scratch, FLOOR if has_building else STAIR, start + 1, start + 2, ZERO)
            start += 1
        _add(scratch, ROOM, start + 1, stop, ZERO)


@njit(nogil=True, cache=True)
def _resolve(scratch: Record) -> Scalar:
    """``_Scan._resolve``."""
    state = scratch.state
    if state[AFTER_ROAD]:
        return NUMBER
    if state[UNITS_SEEN] & (1 << LANE):
        return BUILDING
    if state[LAST] == BUILDING or state[LAST] == STAIR or state[LAST] == FLOOR:
        return ROOM
    return NUMBER


@njit(nogil=True, cache=True)
def read_plain_unit(tables: Record, scratch: Record, at: Scalar, end: Scalar) -> Scalar:
    """Tell the unit word of the plain digits from at to end, if it is the commonest kind, as in 502室; else -1."""
    marks = scratch.marks
    word = np.int64(marks[end] >> UNIT_SHIFT) - 1
    is_plain = word >= 0 and end - at < 7 and marks[end + 1] & (UNIT_SECOND | UNIT_TRAP) == 0  # noqa: PLR2004 -- address_numbers._PHONE_DIGITS
    if not is_plain or tables.unit_words[word, 0] == SECTION or tables.unit_words[word, 2] & 4:
        return NOTHING
    return word


@njit(nogil=True, cache=True)
def count_plain(tables: Record, scratch: Record, at: Scalar, end: Scalar, word: Scalar) -> None:
    """``_Scan._count`` for plain digits before a unit of one character."""
    state, points, numbers = scratch.state, scratch.points, scratch.numbers
    unit = _resolve(scratch) if tables.unit_words[word, 2] & 1 else np.int64(tables.unit_words[word, 0])
    while points[at] == _ZERO and at < end - 1:
        at += 1
    stop = state[NUMBER_END]
    row = scratch.number_rows[state[N_NUMBERS]]
    row[0], row[1] = unit, stop
    for i in range(at, end):
        numbers[stop] = points[i]
        stop += 1
    row[2] = stop
    state[NUMBER_END] = stop
    state[N_NUMBERS] += 1
    state[UNITS_SEEN] |= ONE << unit
    state[LAST] = unit


@njit(nogil=True, cache=True)
def count_group(
    tables: Record, scratch: Record, n: Scalar, first_with_unit: Scalar, unit: Scalar, word: Scalar
) -> None:
    """``_Scan._count``."""
    state = scratch.state
    if unit < 0:
        _count_bare(scratch, ZERO, n)
        return
    if first_with_unit > 0:
        _count_bare(scratch, ZERO, first_with_unit)
        state[AFTER_ROAD] = 0
    if word >= 0 and tables.unit_words[word, 2] & 1:
        unit = _resolve(scratch)
    n_with_unit = n - first_with_unit
    if unit == ROOM and n_with_unit > 1:
        _count_bare(scratch, first_with_unit, n)
    elif unit == STAIR and n_with_unit == 2 and state[UNITS_SEEN] & (1 << BUILDING) == 0:  # noqa: PLR2004 -- 3-2单元
        _add(scratch, BUILDING, first_with_unit, first_with_unit + 1, ZERO)
        _add(scratch, STAIR, first_with_unit + 1, n, ZERO)
    else:
        _add(scratch, unit, first_with_unit, n, np.int64(tables.unit_words[word, 1]) if unit == SECTION else ZERO)
