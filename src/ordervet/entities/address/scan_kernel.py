"""Reading the names and numbers of a folded address in a kernel.

Truth: ``address._Scan``; each function here says which of its methods it is. No function checks anything: the caller
is ``address_kernel.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ordervet.entities.address.arrays import CLASS, ENDINGS, ESTATE_ENDING, NAME_END, SKIPPED, UNDOES_END
from ordervet.entities.address.number_kernel import (
    count_group,
    count_plain,
    is_number,
    read_element,
    read_plain_unit,
    read_unit,
    skip_classes,
)
from ordervet.entities.address.region_kernel import read_region
from ordervet.entities.address.trie_kernel import follow_edge
from ordervet.entities.kernel_layout import (
    AFTER_ROAD,
    BREAK,
    BUILDING,
    COMMA,
    DIGIT,
    FLOOR,
    FULL_ONLY,
    HASH,
    HYPHEN,
    IS_F,
    LAST,
    LETTER,
    N_DIGITS,
    N_GROUPS,
    N_NAMES,
    N_PREFIX,
    N_SUFFIX,
    NAME,
    NOTHING,
    NUMERAL,
    ONE,
    OR_SHORT,
    REGION,
    REST_AT,
    RUN_AT,
    RUN_END,
    SOURCE_END,
    SPACE,
    TEXT_END,
    ZERO,
)

if TYPE_CHECKING:
    from ordervet.entities.kernel_layout import Record, Scalar

__all__ = ["scan_address"]


_HAN_DIGITS = tuple(ord(char) for char in "零一二三四五六七八九")
_HAN_TEN = ord("十")
_ZERO = ord("0")


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
            is_free = scratch.marks[next_at] & UNDOES_END == 0
            if is_free or follow_edge(tables.nodes, tables.edges, exceptions, scratch.points[next_at])[0] < 0:
                _close_run(tables, scratch, payload & 1)
                return


@njit(nogil=True, cache=True)
def _append_raw(scratch: Record, start: Scalar, stop: Scalar) -> None:
    points, marks, names, name_marks = scratch.points, scratch.marks, scratch.names, scratch.name_marks
    end = np.uint32(scratch.state[RUN_END])
    # SPEED: unsigned indices need no check for counting from the end (bench_addresses.py).
    for i in range(np.uint32(start), np.uint32(stop)):
        names[end] = points[i]
        name_marks[end] = marks[i]
        end += np.uint32(1)
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
    if marks[at] & CLASS == DIGIT:  # SPEED: most numbers are digits and a unit of one character (bench_addresses.py)
        end = skip_classes(marks, at, DIGIT, DIGIT)
        word = read_plain_unit(tables, scratch, at, end)
        if word >= 0:
            _close_run(tables, scratch, ZERO)
            count_plain(tables, scratch, at, end, word)
            state[N_GROUPS] += 1
            state[AFTER_ROAD] = 0
            return end + 1
    text_end = read_element(tables, scratch, at, ZERO, ZERO)
    if text_end < 0:
        return -1
    n, end, is_dashed, first_with_unit = ONE, np.int64(rows[0, SOURCE_END]), False, ZERO
    while marks[end] & CLASS == HYPHEN or marks[end] & CLASS == SPACE:
        text_end = read_element(tables, scratch, end + 1, n, text_end)
        if text_end < 0 or rows[n, N_DIGITS] >= 7:  # noqa: PLR2004 -- address_numbers._PHONE_DIGITS
            break
        if marks[end] & CLASS == HYPHEN:
            is_dashed = True
        else:
            first_with_unit = n
        end = np.int64(rows[n, SOURCE_END])
        n += 1
    word, word_length = read_unit(tables, scratch, end, last)
    is_trapped = word_length < 0
    unit = np.int64(tables.unit_words[word, 0]) if word >= 0 else np.int64(NOTHING)
    if word < 0 and not is_trapped and rows[n - 1, IS_F] and rows[n - 1, N_DIGITS] > 0:
        rows[n - 1, TEXT_END] -= 1
        unit = np.int64(FLOOR)
    if unit == FLOOR and rows[n - 1, N_DIGITS] == 0:
        unit = np.int64(BUILDING)
    group_end = end + max(word_length, 0)
    if not is_number(tables, scratch, n, unit, word, group_end, is_trapped, is_dashed, last):
        return -1
    n_letters = rows[0, N_PREFIX] + rows[0, N_SUFFIX]
    is_phone = rows[0, N_DIGITS] >= 7  # noqa: PLR2004 -- address_numbers._PHONE_DIGITS
    if is_phone or (unit < 0 and n == 1 and n_letters == 0 and rows[0, N_DIGITS] == 6):  # noqa: PLR2004 -- postcode
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
    count_group(tables, scratch, n, first_with_unit, unit, word)
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
    state[REGION], at = read_region(tables, scratch, ZERO, ZERO, OR_SHORT)
    state[REST_AT] = at
    while at < n:
        kind = marks[np.uint32(at)] & CLASS
        if kind == BREAK or kind == COMMA:  # noqa: PLR1714, SIM109 -- SPEED: bench_addresses.py
            _close_run(tables, scratch, ZERO)
            if kind == BREAK:
                state[LAST], state[AFTER_ROAD] = NOTHING, 0
            at += 1
            continue
        if kind == HYPHEN or kind == SPACE or kind == HASH:  # noqa: PLR1714, SIM109 -- SPEED: bench_addresses.py
            at += 1
            continue
        if state[RUN_END] == state[RUN_AT] and (kind == NAME or kind == NUMERAL):  # noqa: PLR1714, SIM109 -- SPEED: bench_addresses.py
            # No region begins with a digit or a letter.
            region, end = read_region(tables, scratch, at, state[REGION], FULL_ONLY)
            if end > at:
                state[REGION], state[LAST], state[AFTER_ROAD] = region, NOTHING, 0
                at = end
                continue
        if kind == NAME:
            start = at
            while marks[np.uint32(at)] & (CLASS | NAME_END) == NAME:
                at += 1
            is_end = marks[at] & (CLASS | NAME_END) == NAME_END
            at += is_end
            _append_raw(scratch, start, at)
            if is_end:
                _close_if_ended(tables, scratch, at)
            continue
        end = _read_number(tables, scratch, at)
        if end < 0:
            end = skip_classes(marks, at, LETTER, LETTER) if kind == LETTER else skip_classes(marks, at, DIGIT, NUMERAL)
            _append_raw(scratch, at, end)
            _close_if_ended(tables, scratch, end)
        at = end
    _close_run(tables, scratch, ZERO)
