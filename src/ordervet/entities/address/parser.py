"""The definition of canonical addresses in Chinese characters, in plain Python.

``parse_address`` takes an address apart: region, names, numbers by what they count. From the parts come two canonical
texts: the door text (everything down to the room) and the place text (everything down to the building). Two addresses
share a key exactly when they share the text. The core does the same, fast; docs/addresses.md numbers the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ordervet.entities.address.address_numbers import name_number, read_group
from ordervet.entities.address.arrays import load_tables
from ordervet.entities.address.divisions import CITY, COUNTRY, COUNTY, PROVINCE, TOWN, load_divisions
from ordervet.entities.address.lexicon import (
    ESTATE_ENDINGS,
    ESTATE_WORDS,
    EXTENSION_WORDS,
    GENERIC_ENDINGS,
    NOTE_STARTS,
    PLACE_WORDS,
    RECIPIENT_WORDS,
    RELATIVE_SIGNS,
    ROAD_ENDINGS,
    SKIPPED_NAMES,
    ZONE_WORDS,
    CharClass,
    PlaceType,
    Unit,
)
from ordervet.entities.address.regions import is_trap, match_short, read_region
from ordervet.entities.characters import classify, fold_text, is_masked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordervet.entities.address.address_numbers import Element, NumberGroup
    from ordervet.entities.characters import Folded

__all__ = ["Address", "parse_address"]

_DOOR_UNITS = tuple(unit for unit in Unit if unit is not Unit.SECTION)
_PLACE_UNITS = (Unit.NUMBER, Unit.LANE, Unit.GROUP, Unit.BUILDING)
_ROOM_DIGITS = 3
_SKELETON_UNITS = (Unit.NUMBER, Unit.LANE, Unit.GROUP, Unit.BUILDING, Unit.STAIR, Unit.ROOM)
_FEWEST_OF_SKELETON = 3


@dataclass(frozen=True, slots=True)
class Address:
    """An address taken apart. Its repr shows nothing of it.

    Parameters
    ----------
    province, city, county, town : names of the divisions, in full; "" where not said and not implied
    roads, names : names of roads; of estates, villages and whatever else is named
    numbers : what is counted → the numbers, in order
    notes : what follows the last number and names no place: notes to the courier, a shop's name
    rest : folded text after the region, from which names, numbers and notes were read
    place_type : what kind of place it is
    is_masked : a platform has hidden part of it
    door_text, place_text : the canonical texts; "" where the address reaches no door, or names no place
    skeleton_text : region and numbers without names; "" where fewer than three numbers are told
    """

    province: str = field(repr=False)
    city: str = field(repr=False)
    county: str = field(repr=False)
    town: str = field(repr=False)
    roads: tuple[str, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    numbers: dict[Unit, tuple[str, ...]] = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    rest: str = field(repr=False)
    place_type: PlaceType
    is_masked: bool
    door_text: str = field(repr=False)
    place_text: str = field(repr=False)
    skeleton_text: str = field(repr=False)


def parse_address(text: str) -> Address:
    """Take an address apart and make its canonical texts.

    Parameters
    ----------
    text : an address as somebody wrote it; any text is welcome

    Returns
    -------
    the parts; of a masked address the canonical texts are empty

    References
    ----------
    docs/addresses.md A1 to A18.
    """
    folded, is_hidden = fold_text(text), is_masked(text)
    if _is_western(folded):
        return _parse_western(text, "".join(folded.chars), is_hidden=is_hidden)
    scan = _Scan(folded)
    scan.read()
    divisions = load_divisions()
    province, city, county, town = (
        divisions.all[number].name if number != COUNTRY else ""
        for number in (divisions.at_level(scan.region, level) for level in (PROVINCE, CITY, COUNTY, TOWN))
    )
    names, notes = scan.split_notes()
    return Address(
        province=province,
        city=city,
        county=county,
        town=town,
        roads=_unique(name.text for name in names if name.is_road),
        names=_unique(name.text for name in names if not name.is_road),
        numbers={unit: _unique(scan.numbers[unit]) for unit in Unit if scan.numbers[unit]},
        notes=_unique(note.text for note in notes),
        rest=scan.text[scan.rest_at :],
        place_type=scan.place_type(),
        is_masked=is_hidden,
        door_text="" if is_hidden else scan.door_text(),
        place_text="" if is_hidden else scan.place_text(),
        skeleton_text="" if is_hidden else scan.skeleton_text(),
    )


def _is_western(folded: Folded) -> bool:
    """Whether an address has words, and none of them in Chinese characters."""
    kinds = set(folded.classes)
    is_chinese = CharClass.NUMERAL in kinds or any(ord(char) in points for char in folded.chars for points in _HAN)
    return not is_chinese and bool(kinds & {CharClass.LETTER, CharClass.NAME})


def _parse_western(text: str, rest: str, *, is_hidden: bool) -> Address:
    """Take the parts from the core, whose slow twin is tests/reference/western_reference.py."""
    door, place, words, numbers, place_type = load_tables().read_western(text.encode("utf-8", "surrogatepass"))
    counted: dict[Unit, list[str]] = {}
    for unit, number in numbers:
        counted.setdefault(Unit(unit), []).append(_decode(number))
    return Address(
        *("", "", "", ""),
        roads=(),
        names=(_decode(words),) if words else (),
        numbers={unit: tuple(counted[unit]) for unit in Unit if unit in counted},
        notes=(),
        rest=rest,
        place_type=PlaceType(place_type),
        is_masked=is_hidden,
        door_text="" if is_hidden else _decode(door),
        place_text="" if is_hidden else _decode(place),
        skeleton_text="",
    )


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class _Name:
    text: str
    is_road: bool
    is_relative: bool  # it tells no more than a direction and a numeral
    is_place: bool
    n_groups_before: int


class _Scan:
    """One pass over a folded address, from left to right."""

    def __init__(self, folded: Folded) -> None:
        self.folded = folded
        self.text = "".join(folded.chars)
        self.region = COUNTRY
        self.rest_at = 0
        self.names: list[_Name] = []
        self.numbers: dict[Unit, list[str]] = {unit: [] for unit in Unit}
        self.n_groups = 0
        self.run = ""
        # What stands directly before: a number (what it counts), a road, or neither.
        self.last: Unit | None = None
        self.is_after_road = False
        # Whether a word that announces the recipient or a code stands before; whether the last floor may be a building.
        self.is_after_label = self.is_after_code = self.may_be_building = False
        # A zone right behind the region, and how it is written in the canonical texts.
        self.zone = self.short_zone = ""

    def read(self) -> None:
        self.region, self.rest_at = self._read_first_region(0, is_short_allowed=True)
        at = self.rest_at
        while at < len(self.text):
            kind = self.folded.classes[at]
            if kind is CharClass.BREAK:
                self._close_run()
                end = self._end_of_aside(at)
                if end == at:
                    self.last, self.is_after_road = None, False
                else:
                    self.is_after_code = False
                at = max(end, at + 1)
            elif kind is CharClass.COMMA:
                self._close_run()
                at += 1
            elif kind in {CharClass.HYPHEN, CharClass.SPACE, CharClass.HASH}:
                at += 1
            else:
                at = self._read_word(at, kind)
        self._close_run()
        if self.zone and not self.names:
            self.names.append(_Name(self.zone, is_road=False, is_relative=False, is_place=True, n_groups_before=0))
            self.zone = self.short_zone = ""

    def _read_first_region(self, at: int, *, is_short_allowed: bool) -> tuple[int, int]:
        """Read the region at the beginning, or behind a person's name that stands before it: 李芳南京市江宁区."""
        region, end = read_region(self.text, at, COUNTRY, is_short_allowed=is_short_allowed)
        divisions = load_divisions()
        for start in range(at + _SHORTEST_NAME, at + _LONGEST_PERSON + 1):
            if region != COUNTRY or any(kind is not CharClass.NAME for kind in self.folded.classes[at:start]):
                break
            found, stop = read_region(self.text, start, COUNTRY, is_short_allowed=False)
            if divisions.all[found].level >= CITY and self.text[start - 1] not in ESTATE_ENDINGS:
                region, end = found, stop
        return region, end

    def _end_of_aside(self, at: int) -> int:
        """Find the end of brackets that are no part of the address: a privacy code, or a road behind the building."""
        close = next((i for i in range(at, len(self.text)) if self.text[i] in _CLOSING), len(self.text))
        kinds, inside = self.folded.classes[at + 1 : close], self.text[at + 1 : close]
        if self.text[at] not in _OPENING or not inside:
            return at
        is_number = all(kind is CharClass.DIGIT for kind in kinds)
        is_code = is_number and len(inside) in _CODE_DIGITS and self.text[at] == "["
        is_code |= is_number and len(inside) == _PRIVACY_DIGITS and self.last not in _BEFORE_ROOM
        dialled = self.folded.classes[close + 1 : close + 1 + _PHONE_DIGITS]
        is_code |= is_number and len(dialled) == _PHONE_DIGITS and set(dialled) == {CharClass.DIGIT}  # (025)52112345
        has_number = CharClass.DIGIT in kinds
        is_behind = bool(self.numbers[Unit.ROOM]) or (bool(self.numbers[Unit.BUILDING]) and has_number)
        is_road = is_behind and any(ending in inside[1:] for ending in ROAD_ENDINGS)
        return min(close + 1, len(self.text)) if is_code or is_road else at

    def _read_word(self, at: int, kind: CharClass) -> int:
        if not self.run:
            region, end = read_region(self.text, at, self.region, is_short_allowed=False)
            if end > at:
                if self.region == COUNTRY:
                    self._drop_recipient()
                self.region, self.last, self.is_after_road = region, None, False
                return end
        if kind is CharClass.NAME:
            self._append(at, self.text[at])
            return at + 1
        group = read_group(self.folded, at, None if self.run else self.last)
        if group is None:
            end = self._end_of_run(at)
            self._append(end - 1, self.text[at:end])
            return end
        return self._read_number(at, group)

    def _end_of_run(self, at: int) -> int:
        """Find the end of the letters, or of the digits and numerals, that turn out to belong to a name."""
        is_letters = self.folded.classes[at] is CharClass.LETTER
        while at < len(self.text) and self.folded.classes[at] in _WORD_KINDS[is_letters]:
            at += 1
        return at

    def _read_number(self, at: int, group: NumberGroup) -> int:
        if group.is_dropped:
            if group.is_phone:
                self._strip_extension()
            self._close_run()
            self.last, self.is_after_road, self.is_after_label, self.is_after_code = None, False, False, False
            return self._restart(group.end) if group.is_phone and self.region == COUNTRY else group.end
        if group.unit is None and self._drop_extension(group):
            return group.end
        if group.unit is None and self._is_embedded(group):
            end = group.elements[0].end
            self._append(end - 1, name_number(self.folded.chars[at:end]))
            return end
        self.run = self.run.removesuffix("第")
        self._close_run()
        self._count(group)
        self.n_groups += 1
        self.is_after_road = self.is_after_label = self.is_after_code = False
        return group.end

    def _restart(self, at: int) -> int:
        """Read the region behind a phone number as if the address began there; the name before it is the recipient."""
        self._drop_recipient()
        while at < len(self.text) and self.folded.classes[at] in _SEPARATING:
            at += 1
        region, end = self._read_first_region(at, is_short_allowed=self.n_groups == 0 and not self.names)
        if end > at:
            self.region, self.rest_at = region, end
        return end

    def _drop_recipient(self) -> None:
        """Drop what stands before a phone or the region and can only be a person's name."""
        if self.n_groups == 0 and len(self.names) == 1:
            (name,) = self.names
            if not name.is_road and len(name.text) <= _NAME_LENGTH and not name.is_place:
                self.names.clear()

    def _drop_extension(self, group: NumberGroup) -> bool:
        """Drop 转7839, which belongs to a privacy number, and 取件码5-3-7839."""
        first = group.elements[0]
        is_code = len(group.elements) == 1 and first.text.isdigit() and first.n_source in _CODE_DIGITS
        word = self._extension()
        is_announced = self.is_after_code and not self.run
        if not is_announced and not (len(word) > 1 or (word and is_code)):
            return False
        self.run = self.run.removesuffix(word)
        self._close_run()
        self.is_after_code = False
        return True

    def _strip_extension(self) -> None:
        """Take from the run what only announces a number: 转, 电话."""
        self.run = self.run.removesuffix(self._extension())

    def _extension(self) -> str:
        return next((word for word in _LONGEST_EXTENSIONS if self.run.endswith(word)), "")

    def _is_embedded(self, group: NumberGroup) -> bool:
        """Whether a bare number is part of a name: 第3中学, 1912街区, 三号路."""
        first = group.elements[0]
        if group.is_trapped:
            return len(group.elements) == 1
        is_followed = first.end < len(self.text) and self.folded.classes[first.end] is CharClass.NAME
        if len(group.elements) > 1 or not is_followed:
            return False
        if self.run:
            return self.run[-1] not in ESTATE_ENDINGS
        return self.last is None and not self.is_after_road

    def _append(self, at: int, text: str) -> None:
        """Add to the name being read, and close it where it ends; ``at`` is the place of its last character."""
        self.run += text
        after = self.text[at + 1 : at + 2]
        if self._close_zone(at + 1):
            return
        for is_road, endings in ((True, ROAD_ENDINGS), (False, ESTATE_WORDS)):
            for ending, exceptions in endings.items():
                is_ended = self.run.endswith(ending) and len(self.run) > len(ending)
                if is_ended and not (after and after in exceptions):
                    self._close_run(is_road=is_road)
                    return

    def _close_zone(self, end: int) -> bool:
        """Close the run if it is a zone right behind the region: 苏州高新区."""
        is_behind_region = self.region != COUNTRY and not self.zone and not self.names and self.n_groups == 0
        word = next((word for word in _LONGEST_ZONES if self.run.endswith(word)), "") if is_behind_region else ""
        if not word or is_trap(self.text, end):
            return False
        at = max(0, end - len(self.run))
        city_end = match_short(self.region, self.text, at)
        n_city = city_end - at if city_end <= end - len(word) else 0
        self.zone = self.run
        self.short_zone = self.run[n_city : len(self.run) - len(word)] + word[0] + word[-1]
        self.run, self.last, self.is_after_road = "", None, False
        return True

    def _close_run(self, *, is_road: bool = False) -> None:
        if not self.run:
            return
        if not is_road and self._is_recipient():
            self.run, self.last, self.is_after_road = "", None, False
            return
        self.is_after_code = not is_road and self.run in EXTENSION_WORDS
        if self.is_after_code:
            self.run, self.last, self.is_after_road = "", None, False
            return
        if is_road and self.run[0] == "与" and self.names and self.names[-1].is_road:
            self.run = self.run[1:]  # 陇海路与大学路
        is_place = self.run[-1] in ESTATE_ENDINGS
        if self.run not in SKIPPED_NAMES and not is_road:
            ending = next((ending for ending in _LONGEST_GENERICS if self.run.endswith(ending)), "")
            if len(self.run) - len(ending) >= _SHORTEST_NAME:
                self.run = self.run.removesuffix(ending)
        if self.run not in SKIPPED_NAMES:
            self.names.append(_Name(self.run, is_road, _is_relative(self.run, is_road), is_place, self.n_groups))
        self.run = ""
        self.last, self.is_after_road = None, is_road

    def _is_recipient(self) -> bool:
        """Whether the run is a word that announces the recipient, or a person: 收件人李芳, 李芳收."""
        label = next((word for word in _LONGEST_RECIPIENTS if self.run.startswith(word)), "")
        rest, is_labelled = self.run.removeprefix(label), bool(label) or self.is_after_label
        self.is_after_label = bool(label) and not rest
        is_receiver = self.n_groups > 0 and rest[-1:] == "收" and len(rest) in _RECEIVER_LENGTH
        return self.is_after_label or (is_labelled and len(rest) <= _NAME_LENGTH) or is_receiver

    def _count(self, group: NumberGroup) -> None:
        """Say what each number of a group counts."""
        if group.unit is None:
            self._count_bare(group.elements)
            return
        first_with_unit = len(group.elements) - 1
        while first_with_unit and group.joiners[first_with_unit - 1] is CharClass.HYPHEN:
            first_with_unit -= 1
        if first_with_unit:
            self._count_bare(group.elements[:first_with_unit])
            self.is_after_road = False
        elements = group.elements[first_with_unit:]
        unit = self._resolve() if group.word == "号" else group.unit
        is_open = not self.numbers[Unit.BUILDING] and not self.numbers[Unit.ROOM]
        if is_open and group.word == "楼" and elements[-1].n_digits >= _ROOM_DIGITS:
            unit = Unit.BUILDING  # no house has as many floors: 305楼
        elif unit in {Unit.STAIR, Unit.ROOM}:
            self._settle_floor(elements, is_stair=unit is Unit.STAIR)
        self.may_be_building = is_open and group.word == "楼"
        if unit is Unit.ROOM and len(elements) > 1:
            self._count_bare(elements)
        elif unit is Unit.STAIR and len(elements) == 2 and not self.numbers[Unit.BUILDING]:
            self._add(Unit.BUILDING, elements[:1])
            self._add(Unit.STAIR, elements[1:])
        else:
            self._add(unit, elements, group.word[-1] if unit is Unit.SECTION else "")

    def _settle_floor(self, elements: list[Element], *, is_stair: bool = False) -> None:
        """Make a building of the 楼 before a stair, or before a room that no house has there: 12楼2单元, 12楼501."""
        if self.last is not Unit.FLOOR or not self.may_be_building:
            return
        floor, room = self.numbers[Unit.FLOOR][-1].rpartition("-")[-1], elements[-1]
        is_room = floor.isdigit() and room.text.isdigit() and len(room.text) in _NUMBER_OF_ROOM
        is_room = is_room and room.text[:-2] != floor
        is_stair |= is_room and len(elements) > 1 and elements[0].n_digits < _ROOM_DIGITS
        if is_stair or (is_room and len(elements) == 1):
            self.numbers[Unit.BUILDING].append(self.numbers[Unit.FLOOR].pop())
            self.last = Unit.BUILDING

    def _resolve(self) -> Unit:
        """Say what 号 counts: a number on a road, a building in a lane, a room in a building."""
        if self.is_after_road:
            return Unit.NUMBER
        if self.numbers[Unit.LANE]:
            return Unit.BUILDING
        if self.last in {Unit.BUILDING, Unit.STAIR, Unit.FLOOR}:
            return Unit.ROOM
        return Unit.NUMBER

    def _count_bare(self, elements: list[Element]) -> None:
        """Say by position what numbers without units count: 3-2-502 is building, stair, room."""
        self._settle_floor(elements)
        has_building = bool(self.numbers[Unit.BUILDING])
        if self.is_after_road:
            self._add(Unit.NUMBER, elements[:1])
            elements, has_building = elements[1:], True
            if not elements:
                return
        has_long_start = elements[0].n_digits >= _ROOM_DIGITS
        if len(elements) == 1:
            is_room = has_building or self.last is not None or has_long_start
            self._add(Unit.ROOM if is_room else Unit.BUILDING, elements)
        elif has_long_start or (has_building and self.numbers[Unit.STAIR]):
            self._add(Unit.ROOM, elements)
        elif len(elements) == 2:
            self._add(Unit.STAIR if has_building else Unit.BUILDING, elements[:1])
            self._add(Unit.ROOM, elements[1:])
        else:
            self._add(Unit.STAIR if has_building else Unit.BUILDING, elements[:1])
            self._add(Unit.FLOOR if has_building else Unit.STAIR, elements[1:2])
            self._add(Unit.ROOM, elements[2:])

    def _add(self, unit: Unit, elements: list[Element], word: str = "") -> None:
        self.numbers[unit].append("-".join(element.text for element in elements) + word)
        self.last = unit

    def split_notes(self) -> tuple[list[_Name], list[_Name]]:
        """Part the names that say where from the notes after the last number."""
        notes = [name for name in self.names if self._is_note(name)]
        names = [name for name in self.names if not self._is_note(name)]
        return (names, notes) if names else (notes, [])

    def _is_note(self, name: _Name) -> bool:
        is_last = (
            self.region != COUNTRY and self.n_groups > 0 and name.n_groups_before == self.n_groups and not name.is_road
        )
        return is_last and (name.text[0] in NOTE_STARTS or not name.is_place)

    def door_text(self) -> str:
        names, notes = self.split_notes()
        if not names or not any(self.numbers[unit] for unit in _DOOR_UNITS):
            return ""
        telling = {note.text for note in notes if note.text[0] not in NOTE_STARTS or note.is_place}
        tail = "" if self.numbers[Unit.ROOM] else ",".join(sorted(telling))
        numbers = [",".join(_unique(self.numbers[unit])) for unit in Unit]
        return "|".join([self._region_text(names, is_place=False), _join(names), *numbers, tail])

    def place_text(self) -> str:
        names, _ = self.split_notes()
        is_counted = any(self.numbers[unit] for unit in _PLACE_UNITS)
        if not names or (not is_counted and all(name.is_road for name in names)):
            return ""  # nothing, or all of a road
        numbers = [",".join(_unique(self.numbers[unit])) for unit in Unit if unit <= Unit.BUILDING]
        return "|".join([self._region_text(names, is_place=True), _join(names), *numbers])

    def _region_text(self, names: list[_Name], *, is_place: bool) -> str:
        divisions = load_divisions()
        has_road = any(name.is_road and not name.is_relative for name in names)
        region = divisions.at_level(self.region, COUNTY) or divisions.at_level(self.region, CITY) or self.region
        town, within = divisions.all[self.region], divisions.all[region]
        # A road is unique in its whole city.
        is_in_city = is_place and has_road and bool(self.numbers[Unit.NUMBER] or self.numbers[Unit.LANE])
        is_told = not any(name.is_relative for name in names)
        is_redundant = is_told and (has_road or bool(self.numbers[Unit.BUILDING]))
        has_town = town.level == TOWN and not (town.is_subdistrict and is_redundant)
        has_zone = not (within.is_district and is_redundant) and not (within.level == CITY and is_in_city)
        if is_in_city and within.is_district:
            region = within.parent
        return divisions.all[region].code + (self.short_zone if has_zone else "") + (town.name if has_town else "")

    def skeleton_text(self) -> str:
        """Write region and numbers, where enough of them are told to say something without a name."""
        divisions = load_divisions()
        region = divisions.all[self.region].parent if divisions.all[self.region].level == TOWN else self.region
        counted = [_unique(self.numbers[unit]) for unit in _SKELETON_UNITS]
        if region == COUNTRY or sum(map(bool, counted)) < _FEWEST_OF_SKELETON:
            return ""
        return "|".join([divisions.all[region].code, *map(",".join, counted)])

    def place_type(self) -> PlaceType:
        rest = self.text[self.rest_at :]
        for kind, words in PLACE_WORDS.items():
            if any(word in rest for word in words):
                return kind
        if any(self.numbers[unit] for unit in (Unit.BUILDING, Unit.STAIR, Unit.ROOM)):
            return PlaceType.HOUSEHOLD
        is_village = bool(self.numbers[Unit.GROUP]) or any(name.text[-1] in "村庄" for name in self.names)
        return PlaceType.VILLAGE if is_village else PlaceType.UNKNOWN


def _is_relative(name: str, is_road: bool) -> bool:
    """Say whether a name tells only directions and numerals: 东一巷, 三街, 西."""
    core = name[:-1] if is_road else name
    return all(char in RELATIVE_SIGNS or classify(char) is CharClass.NUMERAL for char in core)


_HAN = (range(0x3400, 0xA000), range(0x20000, 0x40000))
_OPENING, _CLOSING = "([{<", ")]}>"
_CODE_DIGITS = range(3, 7)
_PRIVACY_DIGITS = 4
_BEFORE_ROOM = (Unit.NUMBER, Unit.LANE, Unit.BUILDING, Unit.STAIR, Unit.FLOOR)
_SEPARATING = (CharClass.SPACE, CharClass.HYPHEN, CharClass.COMMA, CharClass.BREAK)
_LONGEST_EXTENSIONS = sorted(EXTENSION_WORDS, key=len, reverse=True)
_LONGEST_RECIPIENTS = sorted(RECIPIENT_WORDS, key=len, reverse=True)
_RECEIVER_LENGTH = (3, 4, 5)
_LONGEST_GENERICS = sorted(GENERIC_ENDINGS, key=len, reverse=True)
_LONGEST_ZONES = sorted(ZONE_WORDS, key=len, reverse=True)
_NUMBER_OF_ROOM = (3, 4)
_PHONE_DIGITS = 7
_NAME_LENGTH, _SHORTEST_NAME, _LONGEST_PERSON = 4, 2, 6
_WORD_KINDS = {
    True: (CharClass.LETTER,),
    False: (CharClass.DIGIT, CharClass.NUMERAL),
}


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _join(names: list[_Name]) -> str:
    return ",".join(sorted({name.text for name in names}))
