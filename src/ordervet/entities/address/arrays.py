"""The tables behind canonical addresses, as plain arrays for the kernel.

Characters: one 64-bit entry per code point, in pages of 256. Words: one trie of hashed edges for all lists of words,
each list under a root of its own; every division is the root of the names that may follow it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet.entities.address.data import load_address_data
from ordervet.entities.address.divisions import COUNTRY, TOWN, load_divisions
from ordervet.entities.address.lexicon import (
    ESTATE_ENDINGS,
    ESTATE_WORDS,
    FULL_TRAP,
    NOTE_STARTS,
    NUMERALS,
    PLACE_WORDS,
    ROAD_ENDINGS,
    SKIPPED_NAMES,
    SKIPPED_REGION_WORDS,
    STAIR_WORDS,
    TRAP_WORDS,
    UNIT_TRAPS,
    UNITS,
    CharClass,
)
from ordervet.entities.address.region_slots import build_slots
from ordervet.entities.characters import MAX_CHARS, classify, fold_char

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from ordervet.entities.address.divisions import Divisions

__all__ = ["build_tables", "load_tables", "make_scratch", "save_tables"]

MARK_SHIFT: Final = 21
SECOND_SHIFT: Final = 48
"""Where in a character's entry its mark and its second character begin."""

CLASS: Final = 15
"""The bits of a mark that hold the class; the flags and a numeral's value lie above."""

UNIT_TRAP, ESTATE_ENDING, NOTE_START, PLACE_START, PLACE_SECOND, NAME_END, UNDOES_END = (
    1 << bit for bit in range(4, 11)
)
VILLAGE_END, FULL_TRAP_FLAG, SKIP_START, UNIT_START, UNIT_SECOND, REGION_START = (1 << bit for bit in range(11, 17))
VALUE_SHIFT, UNIT_SHIFT = 17, 21
"""Where a numeral's value begins, and the number, plus one, of the unit word that is this character alone."""

VALUES: Final = (*range(10), 10, 100, 1000, 20, 30)
"""What the code of a numeral stands for."""

LETTER_F: Final = ord("f")
HAN_ONE: Final = ord("一")
HAN_TEN: Final = ord("十")
NUMBER_WORD: Final = "号"

SKIPPED_REGION, TRAPS, UNIT_WORDS, ENDINGS, SKIPPED, PLACES, N_LISTS = range(7)

_PAGE: Final = 256
_N_PAGES: Final = 0x110000 // _PAGE
_EDGE_BITS: Final = 18
_START_BITS: Final = 20


_SCRATCH: Final = np.dtype(
    [
        ("points", np.int32, MAX_CHARS + 64),
        ("marks", np.int32, MAX_CHARS + 64),
        ("names", np.int32, 4 * MAX_CHARS),
        ("name_marks", np.int32, 4 * MAX_CHARS),
        ("name_rows", np.int32, (MAX_CHARS + 1, 4)),
        ("numbers", np.int32, 16 * MAX_CHARS),
        ("number_rows", np.int32, (2 * MAX_CHARS, 3)),
        ("elements", np.int32, 16 * MAX_CHARS),
        ("element_rows", np.int32, (MAX_CHARS + 1, 9)),
        ("order", np.int32, MAX_CHARS + 1),
        ("state", np.int64, 16),
        ("out", np.uint8, 128 * MAX_CHARS),
    ],
    align=True,
)
"""The kernel's working memory, for one address at a time.

points, marks: the folded address; names, name_marks, name_rows: characters of names and their marks, and of each name
its start, end, whether it is a road, and the groups before it; numbers, number_rows: characters of numbers,
and of each what it counts, its start and end; elements, element_rows: of the group being read; order: for sorting;
state: the counters of the scan; out: canonical text.
"""


TABLES_FILE: Final = Path(__file__).with_name("tables.npz")


def make_scratch() -> np.void:
    """Make working memory; each thread needs its own.

    Returns
    -------
    a record large enough for any address of ``MAX_CHARS`` folded characters
    """
    # SPEED: a record is one pointer to a kernel, and its arrays are not counted; a tuple of arrays costs as much as
    # 50 times the work (bench_addresses.py).
    return np.void(np.zeros(1, dtype=_SCRATCH)[0])


@cache
def load_tables() -> np.void:
    """Read the kernel's tables, once per process.

    Returns
    -------
    a record, shared, so not to be changed: the arrays of `build_tables`
    """
    # SPEED: to build them takes a second, which every new process would wait (make bench, first_score).
    with np.load(TABLES_FILE, allow_pickle=False) as arrays:
        return _pack(**{name: arrays[name] for name in arrays.files})


def build_tables() -> dict[str, NDArray[Any]]:
    """Build the kernel's tables from the words and divisions.

    Returns
    -------
    arrays by name. pages: code point // 256 → page; folds: entries; nodes, edges, starts: the
    trie, and the filter of the first characters of regions; region_slots: the commonest regions; lists: first nodes of
    the word lists; exceptions: for each ending, the root of the characters that undo it; parents, levels, traits: of
    divisions (traits: 1 district, 2 subdistrict); codes: six digits of each division; town_bytes, town_offsets: names
    of towns in UTF-8; unit_words: for each unit word what it counts, its last character, and whether it is 号, 巷 or a
    word for stairs; place_types: in order of rank; values: of numerals.
    """
    divisions = load_divisions()
    pages, folds = _build_folds()
    first_list = len(divisions.all)
    n_roots = first_list + N_LISTS + len(_endings())
    nodes, edges, starts = _build_edges([*_division_words(divisions), *_lexicon_words(first_list)], n_roots)
    towns = [(division.name if division.level == TOWN else "").encode() for division in divisions.all]
    return {
        "pages": pages,
        "folds": folds,
        "nodes": nodes,
        "edges": edges,
        "starts": starts,
        "region_slots": build_slots(divisions),
        "lists": np.arange(first_list, first_list + N_LISTS, dtype=np.int32),
        "exceptions": np.arange(first_list + N_LISTS, n_roots, dtype=np.int32),
        "parents": np.array([division.parent for division in divisions.all], dtype=np.int32),
        "levels": np.array([division.level for division in divisions.all], dtype=np.int8),
        "traits": np.array([d.is_district + 2 * d.is_subdistrict for d in divisions.all], dtype=np.int8),
        "codes": np.frombuffer(b"".join(d.code[:6].encode().ljust(6) for d in divisions.all), np.uint8).reshape(-1, 6),
        "town_bytes": np.frombuffer(b"".join(towns), dtype=np.uint8),
        "town_offsets": np.cumsum([0, *map(len, towns)], dtype=np.int32),
        "unit_words": _unit_words(),
        "place_types": np.array(list(PLACE_WORDS), dtype=np.int8),
        "values": np.array(VALUES, dtype=np.int64),
    }


def save_tables() -> None:
    """Write the tables anew, after a change of words, divisions or layout: make address-tables."""
    np.savez_compressed(TABLES_FILE, **build_tables())  # type: ignore[arg-type]  # no table is named allow_pickle


def _pack(**arrays: NDArray[Any]) -> np.void:
    kind = np.dtype([(name, array.dtype, array.shape) for name, array in arrays.items()], align=True)
    record = np.zeros(1, dtype=kind)
    for name, array in arrays.items():
        record[name][0] = array
    return np.void(record[0])


def _build_edges(
    words: list[tuple[int, str, int]], n_roots: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint8]]:
    from ordervet.entities.address.trie_kernel import build_starts, build_trie  # noqa: PLC0415 -- numba loads when a kernel is needed

    points = np.frombuffer("".join(word for _, word, _ in words).encode("utf-32-le"), dtype=np.int32)
    offsets = np.cumsum([0, *(len(word) for _, word, _ in words)], dtype=np.int64)
    roots = np.array([root for root, _, _ in words], dtype=np.int32)
    payloads = np.array([payload for _, _, payload in words], dtype=np.int32)
    nodes, edges = build_trie(points, offsets, roots, payloads, n_roots, _EDGE_BITS)
    n_names = int(np.count_nonzero(roots < n_roots - N_LISTS - len(_endings())))
    return nodes, edges, build_starts(points, offsets, roots[:n_names], _START_BITS)


def _division_words(divisions: Divisions) -> Iterator[tuple[int, str, int]]:
    for parent, below in divisions.names.items():
        for name, (number, is_short) in below.items():
            yield parent, name, 2 * number + is_short


def _lexicon_words(first: int) -> Iterator[tuple[int, str, int]]:
    """List every word of the lexicon with the root of its list and its meaning there."""
    plain = ((SKIPPED_REGION, SKIPPED_REGION_WORDS), (TRAPS, TRAP_WORDS), (SKIPPED, SKIPPED_NAMES))
    for index, words in plain:
        yield from ((first + index, word, 0) for word in words)
    for number, (word, _) in enumerate(_units()):
        yield first + UNIT_WORDS, word, number
    for rank, words in enumerate(PLACE_WORDS.values()):
        yield from ((first + PLACES, word, rank) for word in words)
    for number, (ending, exceptions, is_road) in enumerate(_endings()):
        # NOTE: endings are looked up from their last character backwards.
        yield first + ENDINGS, ending[::-1], 2 * number + is_road
        yield from ((first + N_LISTS + number, exception, 0) for exception in exceptions)


def _endings() -> list[tuple[str, str, bool]]:
    roads = [(ending, exceptions, True) for ending, exceptions in ROAD_ENDINGS.items()]
    return roads + [(ending, exceptions, False) for ending, exceptions in ESTATE_WORDS.items()]


def _units() -> list[tuple[str, int]]:
    return [(word, int(unit)) for unit, words in UNITS.items() for word in words]


def _unit_words() -> NDArray[np.int32]:
    rows = [
        (unit, ord(word[-1]), (word == NUMBER_WORD) + 2 * (word == "巷") + 4 * (word in STAIR_WORDS), len(word))
        for word, unit in _units()
    ]
    return np.array(rows, dtype=np.int32)


def _build_folds() -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """Lay out what each code point folds to; pages where every character stands for itself share one pattern."""
    data = load_address_data()
    special = [*range(128), *map(ord, data["folds"]), *map(ord, _flagged())]
    junk = np.zeros(0x110000, dtype=bool)
    for start, stop in data["junk"]:
        junk[start : stop + 1] = True
    used = sorted({point // _PAGE for point in special} | set((np.flatnonzero(junk) // _PAGE).tolist()))
    return _fill_folds(special, junk, used)


def _fill_folds(
    special: Iterable[int], junk: NDArray[np.bool_], used: list[int]
) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    pages = np.zeros(_N_PAGES, dtype=np.int32)
    pages[used] = np.arange(len(used))
    folds = (np.repeat(np.array(used) * _PAGE, _PAGE) + np.tile(np.arange(_PAGE), len(used))).astype(np.uint64)
    folds[junk[folds.astype(np.int64)]] = CharClass.JUNK << MARK_SHIFT
    for point in special:
        at = pages[point // _PAGE] * _PAGE + point % _PAGE
        if not junk[point]:
            folds[at] = _entry(chr(point))
    # Page -1: every character stands for itself.
    unused = np.ones(_N_PAGES, dtype=bool)
    unused[used] = False
    pages[unused] = -1
    return pages, folds


def _entry(char: str) -> int:
    folded = fold_char(char)
    if not folded:
        return CharClass.JUNK << MARK_SHIFT
    entry = ord(folded[0]) | (classify(folded[0]) | _flagged().get(folded[0], 0)) << MARK_SHIFT
    return entry | ord(folded[1]) << SECOND_SHIFT if len(folded) > 1 else entry


@cache
def _flagged() -> dict[str, int]:
    flags: dict[str, int] = {}
    ends = {ending[-1] for ending, _, _ in _endings()}
    starts = {word[0] for words in PLACE_WORDS.values() for word in words}
    for chars, flag in (
        (UNIT_TRAPS, UNIT_TRAP),
        (ESTATE_ENDINGS, ESTATE_ENDING),
        (NOTE_STARTS, NOTE_START),
        (starts, PLACE_START),
        (ends, NAME_END),
        ("村庄", VILLAGE_END),
        (FULL_TRAP, FULL_TRAP_FLAG),
        ({word[0] for word in SKIPPED_REGION_WORDS}, SKIP_START),
        ({exception for _, exceptions, _ in _endings() for exception in exceptions}, UNDOES_END),
        ({word[1] for words in PLACE_WORDS.values() for word in words}, PLACE_SECOND),
        ({name[0] for name in load_divisions().names[COUNTRY]}, REGION_START),
        ({word[0] for word, _ in _units()}, UNIT_START),
        ({word[1] for word, _ in _units() if len(word) > 1}, UNIT_SECOND),
    ):
        for char in chars:
            flags[char] = flags.get(char, 0) | flag
    for number, (word, _) in enumerate(_units()):
        if len(word) == 1:
            flags[word] |= (number + 1) << UNIT_SHIFT
    for char, value in [*NUMERALS.items(), *((str(digit), digit) for digit in range(10))]:
        flags[char] = flags.get(char, 0) | VALUES.index(value) << VALUE_SHIFT
    return flags
