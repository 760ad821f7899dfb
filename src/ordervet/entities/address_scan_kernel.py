"""Reading regions, names and numbers of a folded address in a kernel.

Truth: ``address.py``, ``address_numbers.py`` and ``address_regions.py``; each function here says which of theirs it is.
No function checks its arguments: the caller is ``address_kernel.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ordervet.entities.address_arrays import (
    CLASS,
    ENDINGS,
    ESTATE_ENDING,
    FULL_TRAP_FLAG,
    LETTER_F,
    NAME_END,
    SKIP_START,
    SKIPPED,
    SKIPPED_REGION,
    TRAPS,
    UNIT_START,
    UNIT_TRAP,
    UNIT_WORDS,
    VALUE_SHIFT,
)
from ordervet.entities.address_fold_kernel import (
    BREAK,
    COMMA,
    DIGIT,
    HASH,
    HYPHEN,
    LETTER,
    NAME,
    NUMERAL,
    SPACE,
)
from ordervet.entities.address_trie_kernel import follow_edge, may_start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_types import Record, Scalar

__all__ = ["scan_address"]

# SPEED: numba compiles a function anew for each literal passed to it, but not for each np.int64.
NUMBER, LANE, SECTION, GROUP, BUILDING, STAIR, FLOOR, ROOM = map(np.int64, range(8))
NOTHING = np.int64(-1)
ZERO, ONE = np.int64(0), np.int64(1)
FULL_ONLY, OR_SHORT = np.int64(0), np.int64(1)

# The counters in Scratch.state.
REGION, REST_AT, N_NAMES, N_NUMBERS, N_GROUPS, RUN_AT, RUN_END, LAST, AFTER_ROAD, NUMBER_END, UNITS_SEEN = range(11)

# The columns of Scratch.element_rows.
TEXT_AT, TEXT_END, SOURCE_END, N_DIGITS, N_SOURCE, IS_ARABIC, N_PREFIX, N_SUFFIX, IS_F = range(9)
_DASH = ord("-")
_HAN_DIGITS = tuple(ord(char) for char in "零一二三四五六七八九")
_HAN_TEN = ord("十")
_ZERO = ord("0")


@njit(nogil=True, cache=True)
def _starts_with(tables: Record, scratch: Record, root: Scalar, at: Scalar) -> Scalar:
    """Length of the longest word of a list that stands here, 0 for none."""
    node, length, longest = np.int64(root), 0, 0
    while True:
        node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.points[at + length])
        if node < 0:
            return longest
        length += 1
        if payload >= 0:
            longest = length


@njit(nogil=True, cache=True)
def _match(tables: Record, scratch: Record, parent: Scalar, at: Scalar, shortness: Scalar) -> tuple[Scalar, Scalar]:
    """``address_regions._match``: the division, and where its name ends."""
    if not may_start(tables.starts, parent, scratch.points[at]):
        return parent, at
    node, end = np.int64(parent), at
    best, best_end = np.int64(parent), at
    while True:
        node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.points[end])
        if node < 0:
            return best, best_end
        end += 1
        if payload < 0:
            continue
        if payload & 1:
            is_named = shortness == OR_SHORT and _starts_with(tables, scratch, tables.lists[TRAPS], end) == 0
        else:
            is_named = scratch.marks[end] & FULL_TRAP_FLAG == 0
        if is_named:
            best, best_end = payload >> 1, end


@njit(nogil=True, cache=True)
def _is_within(tables: Record, inner: Scalar, outer: Scalar) -> Scalar:
    while inner != 0:
        if inner == outer:
            return True
        inner = np.int64(tables.parents[inner])
    return False


@njit(nogil=True, cache=True)
def _read_region(
    tables: Record, scratch: Record, at: Scalar, region: Scalar, shortness: Scalar
) -> tuple[Scalar, Scalar]:
    """``address_regions.read_region``."""
    above = region
    while True:
        if scratch.marks[at] & SKIP_START:
            skipped = _starts_with(tables, scratch, tables.lists[SKIPPED_REGION], at)
            if skipped > 0:
                at += skipped
                continue
        found, end = _match(tables, scratch, above, at, shortness)
        if end == at and above != 0:
            found, end = _match(tables, scratch, ZERO, at, FULL_ONLY)
        if end == at:
            return region, at
        is_repeated = _is_within(tables, region, found)
        if not is_repeated and region != 0 and not _is_within(tables, found, region):
            return region, at
        above, at = found, end
        if not is_repeated:
            region = found


@njit(nogil=True, cache=True)
def _skip(marks: NDArray[np.int32], at: Scalar, low: Scalar, high: Scalar) -> Scalar:
    while low <= marks[at] & CLASS <= high:
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
def _read_element(tables: Record, scratch: Record, at: Scalar, index: Scalar, text_at: Scalar) -> Scalar:
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
    digits_at = _skip(marks, at, LETTER, LETTER)
    n_prefix = digits_at - at
    if n_prefix > 2:  # noqa: PLR2004 -- address_numbers._MAX_LETTERS
        return -1
    digits_end = _skip(marks, digits_at, DIGIT, NUMERAL)
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
    end = _skip(marks, digits_end, LETTER, LETTER)
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
def _read_unit(tables: Record, scratch: Record, at: Scalar, last: Scalar) -> tuple[Scalar, Scalar]:
    """``address_numbers._read_unit``: number of the word or -1, and its length (-1 if it is part of a name)."""
    if scratch.marks[at] & UNIT_START == 0:
        return NOTHING, 0
    node, length = np.int64(tables.lists[UNIT_WORDS]), 0
    word, word_length = np.int64(-1), 0
    while True:
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
def _is_number(  # the questions of address_numbers._is_number, in its order
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
def _close_run(tables: Record, scratch: Record, is_road: Scalar) -> None:
    """``_Scan._close_run``."""
    state = scratch.state
    start, stop = state[RUN_AT], state[RUN_END]
    if start == stop:
        return
    node, payload, at = np.int64(tables.lists[SKIPPED]), NOTHING, start
    if stop - start > 2:  # noqa: PLR2004 -- the longest of SKIPPED_NAMES
        node = NOTHING
    while at < stop and node >= 0:
        node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.names[at])
        at += 1
    if payload >= 0:
        state[RUN_END] = start
    else:
        row = scratch.name_rows[state[N_NAMES]]
        row[0], row[1], row[2], row[3] = start, stop, is_road, state[N_GROUPS]
        state[N_NAMES] += 1
        state[RUN_AT] = stop
    state[LAST] = NOTHING
    state[AFTER_ROAD] = is_road


@njit(nogil=True, cache=True)
def _close_if_ended(tables: Record, scratch: Record, next_at: Scalar) -> None:
    """``_Scan._append``: close the run if it ends a road or an estate, unless the next character undoes that."""
    state = scratch.state
    node, at = np.int64(tables.lists[ENDINGS]), state[RUN_END]
    while at > state[RUN_AT]:
        node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.names[at - 1])
        if node < 0:
            return
        at -= 1
        if payload >= 0 and at > state[RUN_AT]:
            exceptions = np.int64(tables.exceptions[payload >> 1])
            if follow_edge(tables.nodes, tables.edges, exceptions, scratch.points[next_at])[0] < 0:
                _close_run(tables, scratch, payload & 1)
                return


@njit(nogil=True, cache=True)
def _append_raw(scratch: Record, start: Scalar, stop: Scalar) -> None:
    end = scratch.state[RUN_END]
    for i in range(start, stop):
        scratch.names[end] = scratch.points[i]
        scratch.name_marks[end] = scratch.marks[i]
        end += 1
    scratch.state[RUN_END] = end


@njit(nogil=True, cache=True)
def _append_number(scratch: Record, start: Scalar, stop: Scalar) -> None:
    """``address_numbers.name_number``."""
    points, names, end = scratch.points, scratch.names, scratch.state[RUN_END]
    is_plain = stop - start <= 2  # noqa: PLR2004 -- two digits
    for i in range(start, stop):
        is_plain &= scratch.marks[i] & CLASS == DIGIT
    if not is_plain:
        _append_raw(scratch, start, stop)
        return
    tens = np.int64(points[start]) - _ZERO if stop - start == 2 else np.int64(0)  # noqa: PLR2004 -- two digits
    ones = np.int64(points[stop - 1]) - _ZERO
    scratch.name_marks[end : end + 3] = 0
    if tens > 1:
        names[end] = _HAN_DIGITS[tens]
        end += 1
    if tens > 0:
        names[end] = _HAN_TEN
        end += 1
    if ones > 0 or tens == 0:
        names[end] = _HAN_DIGITS[ones]
        end += 1
    scratch.state[RUN_END] = end


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
def _count(tables: Record, scratch: Record, n: Scalar, first_with_unit: Scalar, unit: Scalar, word: Scalar) -> None:
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


@njit(nogil=True, cache=True)
def _is_embedded(scratch: Record, n: Scalar, is_trapped: Scalar, last_of_run: Scalar) -> Scalar:
    """``_Scan._is_embedded``; last_of_run: flags of the last character before, if a name is being read."""
    state = scratch.state
    if is_trapped:
        return n == 1
    if n > 1 or scratch.marks[scratch.element_rows[0, SOURCE_END]] & CLASS != NAME:
        return False
    if state[RUN_END] > state[RUN_AT]:
        return last_of_run & ESTATE_ENDING == 0
    return state[LAST] == NOTHING and state[AFTER_ROAD] == 0


@njit(nogil=True, cache=True)
def _read_number(tables: Record, scratch: Record, at: Scalar) -> Scalar:
    """``read_group`` and ``_Scan._read_number``: where the text goes on, or -1 if here is (part of) a name."""
    state, marks, rows = scratch.state, scratch.marks, scratch.element_rows
    has_run = state[RUN_END] > state[RUN_AT]
    last = NOTHING if has_run else state[LAST]
    text_end = _read_element(tables, scratch, at, ZERO, ZERO)
    if text_end < 0:
        return -1
    n, end, is_dashed, first_with_unit = ONE, np.int64(rows[0, SOURCE_END]), False, ZERO
    is_long = rows[0, N_DIGITS] >= 7  # noqa: PLR2004 -- address_numbers._PHONE_DIGITS
    while marks[end] & CLASS == HYPHEN or marks[end] & CLASS == SPACE:
        text_end = _read_element(tables, scratch, end + 1, n, text_end)
        if text_end < 0:
            break
        if marks[end] & CLASS == HYPHEN:
            is_dashed = True
        else:
            first_with_unit = n
        end = np.int64(rows[n, SOURCE_END])
        is_long |= rows[n, N_DIGITS] >= 7  # noqa: PLR2004 -- address_numbers._PHONE_DIGITS
        n += 1
    word, word_length = _read_unit(tables, scratch, end, last)
    is_trapped = word_length < 0
    unit = np.int64(tables.unit_words[word, 0]) if word >= 0 else np.int64(NOTHING)
    if word < 0 and not is_trapped and rows[n - 1, IS_F] and rows[n - 1, N_DIGITS] > 0:
        rows[n - 1, TEXT_END] -= 1
        unit = np.int64(FLOOR)
    if unit == FLOOR and rows[n - 1, N_DIGITS] == 0:
        unit = np.int64(BUILDING)
    group_end = end + max(word_length, 0)
    if not _is_number(tables, scratch, n, unit, word, group_end, is_trapped, is_dashed, last):
        return -1
    n_letters = rows[0, N_PREFIX] + rows[0, N_SUFFIX]
    if is_long or (unit < 0 and n == 1 and n_letters == 0 and rows[0, N_DIGITS] == 6):  # noqa: PLR2004 -- postcode
        _close_run(tables, scratch, ZERO)
        state[LAST], state[AFTER_ROAD] = NOTHING, 0
        return group_end
    flags_before = scratch.marks[at - 1] if at > 0 else 0
    if unit < 0 and _is_embedded(scratch, n, is_trapped, flags_before):
        stop = np.int64(rows[0, SOURCE_END])
        _append_number(scratch, at, stop)
        _close_if_ended(tables, scratch, stop)
        return stop
    _close_run(tables, scratch, ZERO)
    _count(tables, scratch, n, first_with_unit, unit, word)
    state[N_GROUPS] += 1
    state[AFTER_ROAD] = 0
    return group_end


@njit(nogil=True, cache=True)
def scan_address(n: Scalar, tables: Record, scratch: Record) -> None:
    """Read a folded address into the scratch: region, names and numbers.

    Parameters
    ----------
    n : characters folded into the scratch
    tables : what to look up
    scratch : state, names, name_rows, numbers and number_rows are written

    References
    ----------
    Truth: ``address._Scan.read``.
    """
    state, marks = scratch.state, scratch.marks
    state[:] = 0
    state[LAST] = NOTHING
    state[REGION], at = _read_region(tables, scratch, ZERO, ZERO, OR_SHORT)
    state[REST_AT] = at
    while at < n:
        kind = marks[at] & CLASS
        if kind == BREAK or kind == COMMA:  # noqa: PLR1714, SIM109 -- SPEED: bench_addresses.py
            _close_run(tables, scratch, ZERO)
            if kind == BREAK:
                state[LAST], state[AFTER_ROAD] = NOTHING, 0
            at += 1
            continue
        if kind == HYPHEN or kind == SPACE or kind == HASH:  # noqa: PLR1714, SIM109 -- SPEED: bench_addresses.py
            at += 1
            continue
        if state[RUN_END] == state[RUN_AT]:
            region, end = _read_region(tables, scratch, at, state[REGION], FULL_ONLY)
            if end > at:
                state[REGION], state[LAST], state[AFTER_ROAD] = region, NOTHING, 0
                at = end
                continue
        if kind == NAME:
            start = at
            while marks[at] & (CLASS | NAME_END) == NAME:
                at += 1
            is_end = marks[at] & (CLASS | NAME_END) == NAME_END
            at += is_end
            _append_raw(scratch, start, at)
            if is_end:
                _close_if_ended(tables, scratch, at)
            continue
        end = _read_number(tables, scratch, at)
        if end < 0:
            end = _skip(marks, at, LETTER, LETTER) if kind == LETTER else _skip(marks, at, DIGIT, NUMERAL)
            _append_raw(scratch, at, end)
            _close_if_ended(tables, scratch, end)
        at = end
    _close_run(tables, scratch, ZERO)
