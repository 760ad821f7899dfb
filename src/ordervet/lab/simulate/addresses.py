"""Where parcels go: invented places in real regions, and the ways one door is written.

A *place* is a building, a *door* is a home in it, and a *writing* is a way to write a door down. Abusers write the same
door differently each time; honest people vary a little too.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ordervet.lab.simulate import address_words as words
from ordervet.lab.simulate.text_columns import join, pick, replace_where, take, trim

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Dice, Ints
    from ordervet.lab.simulate.text_columns import Column


class PlaceKind(IntEnum):
    """What a building is."""

    HOME = 0
    STATION = 1
    DORMITORY = 2
    OFFICE = 3
    VILLAGE = 4


class Writing(NamedTuple):
    """The choices that make one written form; every field is an array or a number."""

    numeral: Ints
    unit_word: Ints
    junk: Ints
    is_reordered: Ints
    region: Ints
    suffix: Ints
    respelling: Ints  # 0 none, 1 respelt, from 2 on one of the swaps, of roads too


_BASES = (
    len(words.NUMERALS),
    len(words.UNIT_WORDS[0]),
    len(words.JUNK),
    2,
    len(words.REGION_FORMS),
    len(words.SUFFIXES),
    2 + words.N_SWAPS,
)
N_WRITINGS = int(np.prod(_BASES))
_CONTRADICTORY = words.REGION_FORMS.index("contradictory")
_FAR_REGION = 7  # regions on: another province for every region of the list


class AddressBook:
    """All places and doors; grows while people are invented, then writes addresses as text."""

    def __init__(self) -> None:
        self._places: list[Ints] = []
        self._doors: list[Ints] = []
        self._n_places = 0
        self._n_doors = 0

    def add_places(self, dice: Dice, kind: PlaceKind, n: int, *, region: Ints | None = None) -> Ints:
        """Invent `n` buildings of this kind and give their numbers."""
        names = words.NAMES[kind]
        columns = np.empty((n, 6), dtype=np.int64)
        columns[:, 0] = kind
        columns[:, 1] = dice.below(len(words.REGIONS), n) if region is None else region
        columns[:, 2] = dice.below(len(words.ROADS), n)
        columns[:, 3] = dice.between(1, 899, n)
        columns[:, 4] = dice.below(len(names), n)
        columns[:, 5] = dice.between(1, 28, n)
        self._places.append(columns)
        self._n_places += n
        return np.arange(self._n_places - n, self._n_places)

    def add_doors(self, dice: Dice, places: Ints) -> Ints:
        """Invent one door in each of these buildings (repeat a building for several doors) and give their numbers."""
        n = len(places)
        columns = np.empty((n, 3), dtype=np.int64)
        columns[:, 0] = places
        columns[:, 1] = dice.between(1, 4, n)
        columns[:, 2] = dice.between(1, 26, n) * 100 + dice.between(1, 8, n)
        self._doors.append(columns)
        self._n_doors += n
        return np.arange(self._n_doors - n, self._n_doors)

    def add_homes(self, dice: Dice, n: int, *, homes_per_building: int = 3) -> Ints:
        """Invent `n` homes, a few to a building."""
        buildings = self.add_places(dice, PlaceKind.HOME, n // homes_per_building + 1)
        return self.add_doors(dice, buildings[dice.below(len(buildings), n)])

    def write(self, doors: Ints, writings: Ints) -> Column:
        """Write each door in its writing, shape (n,), string."""
        door = np.concatenate(self._doors)[doors]
        place = np.concatenate(self._places)[door[:, 0]]
        way = Writing(*np.unravel_index(writings, _BASES))
        head, tail = _write_head(place, way), _write_tail(place, door, way)
        region = _write_region(place[:, 1], way.region)
        usual = join(region, head, pick(words.JUNK, way.junk), tail)
        is_turned = way.is_reordered == 1
        rows = np.flatnonzero(is_turned)
        turned = join(take(tail, rows), " ", take(region, rows), take(head, rows))
        return trim(join(replace_where(usual, is_turned, turned), pick(words.SUFFIXES, way.suffix)))


def draw_honest_writings(dice: Dice, n: int) -> Ints:
    """Draw ways in which honest people write their door: nearly always the plain one."""
    none = np.zeros(n, dtype=np.int64)
    return _number(
        Writing(
            numeral=dice.pick(words.HONEST_NUMERALS, n),
            unit_word=dice.pick((0.6, 0.15, 0.2, 0.05), n),
            junk=(dice.unit(n) < words.HONEST_SPACE_RATE).astype(np.int64),
            is_reordered=none,
            region=dice.pick((0.85, 0.1, 0.05, 0.0), n),
            suffix=dice.pick(words.HONEST_SUFFIXES, n),
            respelling=none,
        )
    )


def draw_jigged_writings(dice: Dice, n: int, swap_share: float = 0.0) -> Ints:
    """Draw ways in which abusers disguise a door: numerals, junk, order, suffixes, homophones; a share has swaps."""
    way = _draw_jigged(dice, n)
    if swap_share > 0:  # NOTE: without swaps nothing is drawn for them, so that simulations keep their bytes
        is_swapped, variant = dice.chance(swap_share, n), 2 + dice.below(words.N_SWAPS, n)
        way = way._replace(respelling=np.where(is_swapped, variant, way.respelling))
    return _number(way)


def _draw_jigged(dice: Dice, n: int) -> Writing:
    return Writing(
        numeral=dice.below(len(words.NUMERALS), n),
        unit_word=dice.below(len(words.UNIT_WORDS[0]), n),
        junk=dice.below(len(words.JUNK), n),
        is_reordered=dice.chance(0.15, n).astype(np.int64),
        region=dice.pick((0.5, 0.25, 0.25, 0.0), n),
        suffix=dice.below(len(words.SUFFIXES), n),
        respelling=dice.chance(0.1, n).astype(np.int64),
    )


def contradict_regions(writings: Ints) -> Ints:
    """Put a wrong region before the right one in each writing."""
    way = Writing(*np.unravel_index(writings, _BASES))
    return _number(way._replace(region=np.full(len(writings), _CONTRADICTORY)))


def _number(way: Writing) -> Ints:
    return np.ravel_multi_index(tuple(way), _BASES).astype(np.int64)


def _write_region(region: Ints, form: Ints) -> Column:
    texts = [words.write_region(i, name, _FAR_REGION) for i in range(len(words.REGIONS)) for name in words.REGION_FORMS]
    return pick(texts, region * len(words.REGION_FORMS) + form)


def _write_head(place: Ints, way: Writing) -> Column:
    """Write road, number and the name of the estate, tower, campus or village."""
    kind = place[:, 0]
    has_road = np.isin(kind, (PlaceKind.HOME, PlaceKind.STATION, PlaceKind.OFFICE))
    roads, names = words.list_spellings()
    road = pick(("", *roads), np.where(has_road, place[:, 2] + 1 + way.respelling * len(words.ROADS), 0))
    wide = np.where(way.numeral == 1, 1, 0)
    number = _pick_numeral(np.where(has_road, place[:, 3], 0), wide)
    sign = pick(("", "号", "號"), np.where(has_road, 1 + (way.unit_word == words.VARIANT), 0))
    offsets = np.cumsum([0, *map(len, words.NAMES)])
    name = pick(names, offsets[kind] + place[:, 4] + way.respelling * offsets[-1])
    return join(road, number, sign, name)


def _write_tail(place: Ints, door: Ints, way: Writing) -> Column:
    """Write building, unit and room; a pick-up station has none."""
    kind, synonym = place[:, 0], way.unit_word
    inside = kind != PlaceKind.STATION
    has_unit = kind == PlaceKind.HOME
    words_at = kind * len(words.UNIT_WORDS[0]) + synonym
    flat = [[entry[slot] for forms in words.UNIT_WORDS for entry in forms] for slot in range(3)]
    return join(
        _pick_numeral(np.where(inside, place[:, 5], 0), way.numeral),
        pick(flat[0], words_at),
        _pick_numeral(np.where(has_unit, door[:, 1], 0), way.numeral),
        pick(flat[1], words_at),
        pick(words.INNER_JUNK, way.junk),
        _pick_numeral(np.where(inside, door[:, 2], 0), way.numeral),
        pick(flat[2], words_at),
    )


def _pick_numeral(number: Ints, form: Ints) -> Column:
    return pick(words.list_numerals(), form * words.N_NUMBERS + number)
