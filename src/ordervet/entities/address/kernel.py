"""Canonical addresses and their ids, straight from the bytes of an Arrow text column. Truth: ``address.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ordervet.entities.address.arrays import ESTATE_ENDING, NOTE_START, PLACE_SECOND, PLACE_START, PLACES, VILLAGE_END
from ordervet.entities.address.fold_kernel import fold_bytes
from ordervet.entities.address.scan_kernel import scan_address
from ordervet.entities.address.trie_kernel import follow_edge
from ordervet.entities.kernel_layout import (
    BUILDING,
    GROUP,
    LANE,
    N_GROUPS,
    N_NAMES,
    N_NUMBERS,
    NUMBER,
    ONE,
    REGION,
    REST_AT,
    ROOM,
    SECTION,
    STAIR,
    UNITS_SEEN,
    ZERO,
)
from ordervet.entities.siphash_lanes_kernel import LANES, LONGEST, flush_lanes, make_lanes, put_in_lane
from ordervet.entities.siphash_round_kernel import hash_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.kernel_layout import Record, Scalar

__all__ = ["key_addresses", "read_folded", "rewrite_region", "write_texts"]

ABSENT, MASKED, UNUSABLE = 1, 2, 3
HOUSEHOLD, VILLAGE = 1, 10
TOWN = 3
_BAR, _COMMA_SIGN = ord("|"), ord(",")
_NO_RANK = 99


@njit(nogil=True, cache=True)
def _is_note(scratch: Record, name: Scalar) -> Scalar:
    """``_Scan._is_note``."""
    row, state = scratch.name_rows[name], scratch.state
    if state[REGION] == 0 or row[2] != 0 or state[N_GROUPS] == 0 or row[3] != state[N_GROUPS]:
        return False
    return scratch.name_marks[row[0]] & NOTE_START != 0 or scratch.name_marks[row[1] - 1] & ESTATE_ENDING == 0


@njit(nogil=True, cache=True)
def _precedes(points: NDArray[np.int32], a: NDArray[np.int32], b: NDArray[np.int32]) -> Scalar:
    """Whether slice a comes before slice b by code points."""
    for i in range(min(a[1] - a[0], b[1] - b[0])):
        if points[a[0] + i] != points[b[0] + i]:
            return points[a[0] + i] < points[b[0] + i]
    return a[1] - a[0] < b[1] - b[0]


@njit(nogil=True, cache=True)
def _is_equal(points: NDArray[np.int32], a_start: Scalar, a_stop: Scalar, b_start: Scalar, b_stop: Scalar) -> Scalar:
    if a_stop - a_start != b_stop - b_start:
        return False
    for i in range(a_stop - a_start):  # noqa: SIM110 -- numba knows no generators
        if points[a_start + i] != points[b_start + i]:
            return False
    return True


@njit(nogil=True, cache=True)
def _sort_names(scratch: Record) -> tuple[Scalar, Scalar]:
    """``_Scan.split_notes``: order holds the names, sorted, then the notes, sorted; how many there are of each."""
    n, rows, order = scratch.state[N_NAMES], scratch.name_rows, scratch.order
    n_names, n_sorted = np.int64(0), np.int64(0)
    for name in range(n):
        is_note = _is_note(scratch, name)
        first, at = n_names if is_note else 0, n_sorted
        while at > first:
            # A name goes in before all notes.
            is_past_note = not is_note and at > n_names
            if not (is_past_note or _precedes(scratch.names, rows[name], rows[order[at - 1]])):
                break
            order[at] = order[at - 1]
            at -= 1
        order[at] = name
        n_sorted += 1
        n_names += not is_note
    if n_names == 0:
        return n_sorted, np.int64(0)
    return n_names, n_sorted - n_names


@njit(nogil=True, cache=True)
def _write_points(out: NDArray[np.uint8], at: Scalar, points: NDArray[np.int32], start: Scalar, stop: Scalar) -> Scalar:
    """Encode code points as UTF-8."""
    for i in range(np.uint32(start), np.uint32(stop)):
        point = points[i]
        if 0x800 <= point < 0x10000:  # noqa: PLR2004 -- UTF-8
            out[np.uint32(at)], out[np.uint32(at + 1)], out[np.uint32(at + 2)] = (
                0xE0 | (point >> 12),
                0x80 | ((point >> 6) & 0x3F),
                0x80 | (point & 0x3F),
            )
            at += 3
        elif point < 0x80:  # noqa: PLR2004 -- UTF-8
            out[np.uint32(at)] = point
            at += 1
        elif point < 0x800:  # noqa: PLR2004 -- UTF-8
            out[np.uint32(at)], out[np.uint32(at + 1)] = 0xC0 | (point >> 6), 0x80 | (point & 0x3F)
            at += 2
        else:
            out[np.uint32(at)], out[np.uint32(at + 1)] = 0xF0 | (point >> 18), 0x80 | ((point >> 12) & 0x3F)
            out[np.uint32(at + 2)], out[np.uint32(at + 3)] = 0x80 | ((point >> 6) & 0x3F), 0x80 | (point & 0x3F)
            at += 4
    return at


@njit(nogil=True, cache=True)
def _write_names(scratch: Record, at: Scalar, first: Scalar, stop: Scalar) -> Scalar:
    out, rows = scratch.out, scratch.name_rows
    for position in range(first, stop):
        row = rows[scratch.order[position]]
        if position > first:
            before = rows[scratch.order[position - 1]]
            if _is_equal(scratch.names, before[0], before[1], row[0], row[1]):
                continue
            out[at] = _COMMA_SIGN
            at += 1
        at = _write_points(out, at, scratch.names, row[0], row[1])
    return at


@njit(nogil=True, cache=True)
def _write_numbers(scratch: Record, at: Scalar, unit: Scalar) -> Scalar:
    """Write the numbers of a unit in their order, each once."""
    rows, n, is_first = scratch.number_rows, scratch.state[N_NUMBERS], True
    for i in range(n):
        if rows[i, 0] != unit:
            continue
        is_repeated = False
        for j in range(i):
            is_repeated |= rows[j, 0] == unit and _is_equal(
                scratch.numbers, rows[j, 1], rows[j, 2], rows[i, 1], rows[i, 2]
            )
        if is_repeated:
            continue
        if not is_first:
            scratch.out[at] = _COMMA_SIGN
            at += 1
        at = _write_points(scratch.out, at, scratch.numbers, rows[i, 1], rows[i, 2])
        is_first = False
    return at


@njit(nogil=True, cache=True)
def _choose_region(tables: Record, scratch: Record, has_road: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """``_Scan._region_text``: the regions of the door text and of the place text, and the town of both, or 0."""
    state = scratch.state
    region, town = state[REGION], np.int64(0)
    if tables.levels[region] == TOWN:
        region, town = np.int64(tables.parents[region]), region
    place_region = region
    is_numbered = state[UNITS_SEEN] & ((ONE << NUMBER) | (ONE << LANE)) != 0
    if tables.traits[region] & 1 and has_road and is_numbered:
        place_region = np.int64(tables.parents[region])
    if town and tables.traits[town] & 2 and (has_road or state[UNITS_SEEN] & (ONE << BUILDING) != 0):
        town = np.int64(0)
    return region, place_region, town


@njit(nogil=True, cache=True)
def _write_region(tables: Record, scratch: Record, region: Scalar, town: Scalar) -> Scalar:
    out, at = scratch.out, np.int64(0)
    if region:
        for i in range(6):
            out[i] = tables.codes[region, i]
        at = np.int64(6)
    if town:
        for i in range(tables.town_offsets[town], tables.town_offsets[town + 1]):
            out[at] = tables.town_bytes[i]
            at += 1
    return at


@njit(nogil=True, cache=True)
def write_texts(tables: Record, scratch: Record) -> tuple[Scalar, Scalar, Scalar]:
    """Write the door text of the scanned address to ``scratch.out``.

    The place text is its beginning but for the region's code, which ``rewrite_region`` puts in.

    Parameters
    ----------
    tables : what to look up
    scratch : as ``scan_address`` left it

    Returns
    -------
    bytes of the door text and of the place text, 0 where there is none; and the region of the place text

    References
    ----------
    Truth: ``_Scan.door_text`` and ``_Scan.place_text``.
    """
    state, out = scratch.state, scratch.out
    n_names, n_notes = _sort_names(scratch)
    if n_names == 0:
        return np.int64(0), np.int64(0), np.int64(0)
    has_road = np.int64(0)
    for position in range(n_names):
        has_road |= scratch.name_rows[scratch.order[position], 2]
    region, place_region, town = _choose_region(tables, scratch, has_road)
    at = _write_region(tables, scratch, region, town)
    out[at] = _BAR
    at = _write_names(scratch, at + 1, ZERO, n_names)
    n_place = at
    for unit in range(ROOM + 1):
        out[at] = _BAR
        at = _write_numbers(scratch, at + 1, unit) if state[UNITS_SEEN] & (ONE << unit) else at + 1
        if unit == BUILDING:
            n_place = at
    out[at] = _BAR
    at += 1
    if state[UNITS_SEEN] & (ONE << ROOM) == 0:
        at = _write_names(scratch, at, n_names, n_names + n_notes)
    if state[UNITS_SEEN] & ~(ONE << SECTION) == 0:
        at = np.int64(0)
    return at, n_place, place_region


@njit(nogil=True, cache=True)
def rewrite_region(tables: Record, scratch: Record, region: Scalar) -> None:
    """Put another region's code at the beginning of ``scratch.out``: codes are equally long.

    Parameters
    ----------
    tables : what to look up
    scratch : as ``write_texts`` left it
    region : of the place text; 0 leaves the text as it is
    """
    if region:
        for i in range(6):
            scratch.out[i] = tables.codes[region, i]


@njit(nogil=True, cache=True)
def _find_place_word(scratch: Record, start: Scalar, stop: Scalar) -> Scalar:
    """Find where the first word that tells a kind of place may stand, or stop."""
    # SPEED: a loop without an early end looks at eight characters at once (bench_addresses.py). PLACE_SECOND is the bit
    # above PLACE_START.
    marks, begin, found = scratch.marks, np.uint64(start), np.int32(0)
    for i in range(np.uint64(stop) - begin):
        at = begin + i
        found |= marks[at] & (marks[at + np.uint64(1)] >> 1)
    return start if found & PLACE_START else stop


@njit(nogil=True, cache=True)
def _type_place(n: Scalar, tables: Record, scratch: Record) -> Scalar:
    """``_Scan.place_type``."""
    state, best = scratch.state, np.int64(_NO_RANK)
    first = _find_place_word(scratch, state[REST_AT], n)
    for start in range(first, n):
        if scratch.marks[start] & PLACE_START == 0 or scratch.marks[start + 1] & PLACE_SECOND == 0:
            continue
        node, at = np.int64(tables.lists[PLACES]), start
        while True:
            node, payload = follow_edge(tables.nodes, tables.edges, node, scratch.points[at])
            if node < 0:
                break
            if payload >= 0:
                best = min(best, payload)
            at += 1
    if best != _NO_RANK:
        return np.int64(tables.place_types[best])
    if state[UNITS_SEEN] & ((ONE << BUILDING) | (ONE << STAIR) | (ONE << ROOM)):
        return np.int64(HOUSEHOLD)
    is_village = state[UNITS_SEEN] & (ONE << GROUP) != 0
    for name in range(state[N_NAMES]):
        is_village |= scratch.name_marks[scratch.name_rows[name, 1] - 1] & VILLAGE_END != 0
    return np.int64(VILLAGE) if is_village else np.int64(0)


@njit(nogil=True, cache=True)
def read_folded(n: Scalar, tables: Record, scratch: Record) -> Scalar:
    """Read the folded address in the scratch: names, numbers, region. No checks: the caller is ``addresses.py``.

    Parameters
    ----------
    n : characters folded into the scratch
    tables : what to look up
    scratch : working memory, as ``fold_bytes`` left it

    Returns
    -------
    kind of place
    """
    scan_address(n, tables, scratch)
    return _type_place(n, tables, scratch)


@njit(nogil=True, cache=True)
def key_addresses(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    tables: Record,
    scratch: Record,
    subkeys: NDArray[np.uint64],
    ids: NDArray[np.uint64],
    evidence: NDArray[np.int8],
    place_types: NDArray[np.int8],
) -> None:
    """Key every address of a column. No checks: the caller is ``addresses.py``.

    Parameters
    ----------
    data : shape (n_bytes,), UTF-8
    offsets : shape (n_rows + 1,); row i is ``data[offsets[i]:offsets[i + 1]]``
    tables : what to look up
    scratch : working memory
    subkeys : shape (2, 2), of doors and of places
    ids : shape (2, n_rows), written: door and place ids, 0 = no key
    evidence : shape (2, n_rows), written: codes of ``Evidence`` of doors and of places
    place_types : shape (n_rows,), written: codes of ``PlaceType``

    References
    ----------
    Truth: ``address.parse_address`` and ``ids.hash_text``.
    """
    out, doors, places = scratch.out, ids[0], ids[1]
    door_lanes, n_door_lanes = make_lanes(place_types.shape[0]), 0
    place_lanes, n_place_lanes = make_lanes(place_types.shape[0]), 0
    for row in range(place_types.shape[0]):
        doors[row], places[row], place_types[row] = 0, 0, 0
        if offsets[row] == offsets[row + 1]:
            evidence[0, row], evidence[1, row] = ABSENT, ABSENT
            continue
        # NOT: both in one function. It would count who holds the data anew for each row (bench_addresses.py).
        n, is_hidden = fold_bytes(data, offsets[row], offsets[row + 1], tables, scratch)
        place_types[row] = read_folded(n, tables, scratch)
        if is_hidden:
            evidence[0, row], evidence[1, row] = MASKED, MASKED
            continue
        n_door, n_place, region = write_texts(tables, scratch)
        evidence[0, row] = 0 if n_door else UNUSABLE
        evidence[1, row] = 0 if n_place else UNUSABLE
        if n_door >= LONGEST or (n_door and len(door_lanes) == 0):
            doors[row] = hash_bytes(out, 0, n_door, subkeys[0, 0], subkeys[0, 1])
        elif n_door:
            put_in_lane(out, 0, n_door, row, n_door_lanes, door_lanes)
            n_door_lanes += 1
        if n_place:
            rewrite_region(tables, scratch, region)
        if n_place >= LONGEST or (n_place and len(place_lanes) == 0):
            places[row] = hash_bytes(out, 0, n_place, subkeys[1, 0], subkeys[1, 1])
        elif n_place:
            put_in_lane(out, 0, n_place, row, n_place_lanes, place_lanes)
            n_place_lanes += 1
        if n_door_lanes == LANES:
            flush_lanes(n_door_lanes, subkeys[0, 0], subkeys[0, 1], door_lanes, doors)
            n_door_lanes = 0
        if n_place_lanes == LANES:
            flush_lanes(n_place_lanes, subkeys[1, 0], subkeys[1, 1], place_lanes, places)
            n_place_lanes = 0
    flush_lanes(n_door_lanes, subkeys[0, 0], subkeys[0, 1], door_lanes, doors)
    flush_lanes(n_place_lanes, subkeys[1, 0], subkeys[1, 1], place_lanes, places)
