"""The tables behind canonical addresses, as plain arrays for the core: src/core/address.

Characters: one 64-bit entry per code point, in pages of 256. Words: one trie of hashed edges for all lists of words,
each list under a root of its own; every division is the root of the names that may follow it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet import _core
from ordervet.entities.address.data import load_address_data
from ordervet.entities.address.divisions import COUNTRY, TOWN, load_divisions
from ordervet.entities.address.lexicon import (
    CAREFUL_TRAP_WORDS,
    ESTATE_ENDINGS,
    ESTATE_WORDS,
    EXTENSION_WORDS,
    FULL_TRAP,
    GENERIC_ENDINGS,
    NOTE_STARTS,
    NUMERALS,
    PLACE_WORDS,
    RECIPIENT_WORDS,
    ROAD_AFTER_WORDS,
    ROAD_ENDINGS,
    SKIPPED_NAMES,
    SKIPPED_REGION_WORDS,
    STAIR_WORDS,
    TRAP_WORDS,
    UNIT_TRAPS,
    UNITS,
    ZONE_WORDS,
    CharClass,
)
from ordervet.entities.address.region_slots import build_slots
from ordervet.entities.address.western_arrays import build_western
from ordervet.entities.characters import classify, fold_char

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from ordervet.entities.address.divisions import Divisions

__all__ = ["build_tables", "load_tables", "read_arrays", "save_tables"]

MARKS: Final = _core.ADDRESS_MARKS
"""The flags of a character by name, and where the parts of its entry begin: src/core/address/marks.hpp."""

VALUES: Final = (*range(10), 10, 100, 1000, 20, 30)
"""What the code of a numeral stands for."""

NUMBER_WORD: Final = "号"

(
    SKIPPED_REGION,
    TRAPS,
    UNIT_WORDS,
    ENDINGS,
    SKIPPED,
    PLACES,
    CAREFUL_TRAPS,
    GENERICS,
    EXTENSIONS,
    RECIPIENTS,
    ZONES,
    N_LISTS,
) = range(12)

_PAGE: Final = 256
_N_PAGES: Final = 0x110000 // _PAGE
_EDGE_BITS: Final = 18
_START_BITS: Final = 20


TABLES_FILE: Final = Path(__file__).with_name("tables.npz")


@cache
def load_tables() -> _core.AddressTables:
    """Read the tables of addresses, once per process.

    Returns
    -------
    the tables, shared by all who read addresses
    """
    return _core.AddressTables(read_arrays())


def read_arrays(*names: str) -> dict[str, NDArray[Any]]:
    """Read the shipped arrays of `build_tables`: those named, or all."""
    # SPEED: to build them takes a second, which every new process would wait (make bench, first_score).
    with np.load(TABLES_FILE, allow_pickle=False) as arrays:
        return {name: arrays[name].ravel() for name in names or arrays.files}


def build_tables() -> dict[str, NDArray[Any]]:
    """Build the core's tables from the words and divisions.

    Returns
    -------
    arrays by name. pages: code point // 256 → page; folds: entries; nodes, edges, starts: the
    trie, and the filter of the first characters of regions; region_slots: the commonest regions; lists, list_starts:
    first nodes of the word lists, and filters of the characters that they begin with; exceptions: for each ending, the
    root of the characters that undo it; parents, levels, traits: of divisions (traits: 1 district, 2 subdistrict);
    codes: six digits of each division; town_bytes, town_offsets: names of towns in UTF-8; unit_words: for each unit
    word what it counts, its last character, and whether it is 号, 巷, a word for stairs or 楼; place_types: in order of
    rank; values: of numerals; and those of `build_western`.
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
        "list_starts": _list_starts(),
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
        **build_western(),
    }


def save_tables() -> None:
    """Write the tables again, after a change of words, divisions or layout: make address-tables."""
    np.savez_compressed(TABLES_FILE, **build_tables())  # type: ignore[arg-type]  # no table is named allow_pickle


def _build_edges(
    words: list[tuple[int, str, int]], n_roots: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint8]]:

    points = np.frombuffer("".join(word for _, word, _ in words).encode("utf-32-le"), dtype=np.uint32)
    offsets = np.cumsum([0, *(len(word) for _, word, _ in words)], dtype=np.int64)
    roots = np.array([root for root, _, _ in words], dtype=np.int32)
    payloads = np.array([payload for _, _, payload in words], dtype=np.int32)
    nodes, edges = _core.build_trie(points, offsets, roots, payloads, n_roots, _EDGE_BITS)
    n_names = int(np.count_nonzero(roots < n_roots - N_LISTS - len(_endings())))
    return nodes, edges, _core.build_starts(points, offsets, roots[:n_names], _START_BITS)


def _division_words(divisions: Divisions) -> Iterator[tuple[int, str, int]]:
    for parent, below in divisions.names.items():
        for name, (number, kind) in below.items():
            yield parent, name, 4 * number + kind


def _lexicon_words(first: int) -> Iterator[tuple[int, str, int]]:
    """List every word of the lexicon with the root of its list and its meaning there."""
    plain = (
        *((SKIPPED_REGION, SKIPPED_REGION_WORDS), (TRAPS, TRAP_WORDS), (SKIPPED, SKIPPED_NAMES)),
        *((CAREFUL_TRAPS, CAREFUL_TRAP_WORDS), (RECIPIENTS, RECIPIENT_WORDS)),
    )
    for index, words in plain:
        yield from ((first + index, word, 0) for word in words)
    yield from ((first + TRAPS, word, 1) for word in ROAD_AFTER_WORDS)
    # NOTE: what ends a name is looked up from its last character backwards.
    for index, words in ((GENERICS, GENERIC_ENDINGS), (EXTENSIONS, EXTENSION_WORDS), (ZONES, ZONE_WORDS)):
        yield from ((first + index, word[::-1], 0) for word in words)
    for number, (word, _) in enumerate(_units()):
        yield first + UNIT_WORDS, word, number
    for rank, words in enumerate(PLACE_WORDS.values()):
        yield from ((first + PLACES, word, rank) for word in words)
    for number, (ending, exceptions, is_road) in enumerate(_endings()):
        # NOTE: endings are looked up from their last character backwards.
        yield first + ENDINGS, ending[::-1], 2 * number + is_road
        yield from ((first + N_LISTS + number, exception, 0) for exception in exceptions)


def _list_starts() -> NDArray[np.uint64]:
    """Set for each list the bits of the characters that its words begin with, by their last eight bits."""
    starts = np.zeros((N_LISTS, 4), dtype=np.uint64)
    for root, word, _ in _lexicon_words(0):
        if root < N_LISTS:
            starts[root, ord(word[0]) >> 6 & 3] |= np.uint64(1 << (ord(word[0]) & 63))
    return starts


def _endings() -> list[tuple[str, str, bool]]:
    roads = [(ending, exceptions, True) for ending, exceptions in ROAD_ENDINGS.items()]
    return roads + [(ending, exceptions, False) for ending, exceptions in ESTATE_WORDS.items()]


def _units() -> list[tuple[str, int]]:
    return [(word, int(unit)) for unit, words in UNITS.items() for word in words]


def _unit_words() -> NDArray[np.int32]:
    rows = [
        (
            unit,
            ord(word[-1]),
            (word == NUMBER_WORD) + 2 * (word == "巷") + 4 * (word in STAIR_WORDS) + 8 * (word == "楼"),
            len(word),
        )
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
    folds[junk[folds.astype(np.int64)]] = CharClass.JUNK << MARKS["mark_shift"]
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
        return CharClass.JUNK << MARKS["mark_shift"]
    entry = ord(folded[0]) | (classify(folded[0]) | _flagged().get(folded[0], 0)) << MARKS["mark_shift"]
    return entry | ord(folded[1]) << MARKS["second_shift"] if len(folded) > 1 else entry


@cache
def _flagged() -> dict[str, int]:
    flags: dict[str, int] = {}
    ends = {ending[-1] for ending, _, _ in _endings()} | {word[-1] for word in ZONE_WORDS}
    starts = {word[0] for words in PLACE_WORDS.values() for word in words}
    for chars, flag in (
        (UNIT_TRAPS, MARKS["unit_trap"]),
        (ESTATE_ENDINGS, MARKS["estate_ending"]),
        (NOTE_STARTS, MARKS["note_start"]),
        (starts, MARKS["place_start"]),
        (ends, MARKS["name_end"]),
        ("村庄", MARKS["village_end"]),
        (FULL_TRAP, MARKS["full_trap"]),
        ({word[0] for word in SKIPPED_REGION_WORDS}, MARKS["skip_start"]),
        ({exception for _, exceptions, _ in _endings() for exception in exceptions}, MARKS["undoes_end"]),
        ({word[1] for words in PLACE_WORDS.values() for word in words}, MARKS["place_second"]),
        ({name[0] for name in load_divisions().names[COUNTRY]}, MARKS["region_start"]),
        ({word[0] for word, _ in _units()}, MARKS["unit_start"]),
        ({word[1] for word, _ in _units() if len(word) > 1}, MARKS["unit_second"]),
    ):
        for char in chars:
            flags[char] = flags.get(char, 0) | flag
    for number, (word, _) in enumerate(_units()):
        if len(word) == 1:
            flags[word] |= (number + 1) << MARKS["unit_shift"]
    for char, value in [*NUMERALS.items(), *((str(digit), digit) for digit in range(10))]:
        flags[char] = flags.get(char, 0) | VALUES.index(value) << MARKS["value_shift"]
    return flags
