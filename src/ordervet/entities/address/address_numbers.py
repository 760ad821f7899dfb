"""Reading the numbers of an address: the definition that the core is measured against.

A Chinese numeral is a number only by its position: before a unit (三栋), after a number (三栋五〇二), beside a dash. So
三里屯, 五道口 and 八一路 stay names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from ordervet.entities.address.lexicon import NUMERALS, STAIR_WORDS, UNIT_TRAPS, UNITS, CharClass, Unit

if TYPE_CHECKING:
    from ordervet.entities.characters import Folded

__all__ = ["Element", "NumberGroup", "name_number", "read_group"]

_JOINING: Final = (CharClass.HYPHEN, CharClass.SPACE)
_MAX_LETTERS: Final = 2
_MAX_MULTIPLIED: Final = 7
_MULTIPLIER: Final = 10
_ROOM_DIGITS: Final = 3
_PHONE_DIGITS: Final = 7
_POSTCODE_DIGITS: Final = 6
_CUT_DIGITS: Final = range(_ROOM_DIGITS, _PHONE_DIGITS)
_MOBILE: Final = re.compile(r"(1[3-9][0-9])[- ]([0-9]{4})[- ]([0-9]{4})(?![0-9])")
_NAMED_DIGITS: Final = 2
_MOBILE_CHARS: Final = 14
_AREA_DIGITS: Final = (3, 4)
_CHINA_CODE: Final = "86"
_WORDS: Final = {word: unit for unit, words in UNITS.items() for word in words}
_LONGEST_WORD: Final = max(map(len, _WORDS))
_NAMED_UNITS: Final = ("巷",)
_HAN_DIGITS: Final = "零一二三四五六七八九"


class Element(NamedTuple):
    """One number, as ``a308``: its canonical text and what it is made of."""

    text: str
    end: int
    n_digits: int
    n_source: int
    is_arabic: bool
    suffix: str
    is_cut: bool = False
    """Numerals that the digits of another number follow: 十二501 is read as 十二-501."""

    @property
    def is_lettered(self) -> bool:
        """Whether it is made of letters alone."""
        return self.n_digits == 0

    @property
    def is_postcode(self) -> bool:
        """Whether it is six digits alone, of any value."""
        return self.text.isdigit() and self.n_source == _POSTCODE_DIGITS


@dataclass(frozen=True, slots=True)
class NumberGroup:
    """Numbers joined by dashes or spaces, and the unit after the last.

    Parameters
    ----------
    elements : the numbers, in order
    joiners : what stands between them, one fewer
    unit : what the last one counts; None if it is bare
    word : the unit's word
    end : where the text goes on
    is_trapped : a unit's word is there but belongs to a name (三号路)
    is_dialled : it is the country or area code of a phone number that follows
    """

    elements: list[Element]
    joiners: list[CharClass]
    unit: Unit | None
    word: str
    end: int
    is_trapped: bool
    is_dialled: bool

    @property
    def is_phone(self) -> bool:
        """Whether it is a phone number, or the code before one."""
        return self.is_dialled or self.elements[0].n_digits >= _PHONE_DIGITS

    @property
    def is_dropped(self) -> bool:
        """Whether it is a phone number or a postcode rather than part of the address."""
        is_postcode = self.unit is None and len(self.elements) == 1 and self.elements[0].is_postcode
        return is_postcode or self.is_phone


def read_group(folded: Folded, at: int, last: Unit | None) -> NumberGroup | None:
    """Read the numbers that stand at a place in the text.

    Parameters
    ----------
    folded : the folded text
    at : where to read: the first letter, digit or numeral of a run
    last : what the number directly before counts; None if there is none directly before

    Returns
    -------
    the group; None if what stands there is (part of) a name
    """
    first = _read_element(folded, at)
    if first is None:
        return None
    elements, end, is_dialled = [first], first.end, False
    joiners: list[CharClass] = []
    while elements[-1].is_cut or (end < len(folded.chars) and folded.classes[end] in _JOINING):
        joiner = CharClass.HYPHEN if elements[-1].is_cut else folded.classes[end]
        element = _read_element(folded, end if elements[-1].is_cut else end + 1)
        is_postcode = element is not None and element.is_postcode and joiner is CharClass.SPACE
        if element is None or element.n_digits >= _PHONE_DIGITS or is_postcode:
            is_behind_room = (elements[-2].n_digits >= _ROOM_DIGITS) if len(elements) > 1 else last is Unit.ROOM
            is_code = element is not None and not is_postcode
            is_code = is_code and _is_code(folded, elements[-1], joiner, is_behind_room=is_behind_room)
            is_dialled = is_code and len(elements) == 1
            if is_code and len(elements) > 1 and joiners[-1] is CharClass.SPACE:
                elements.pop()  # 502 0086-13912345678
                joiners.pop()
            break
        elements.append(element)
        joiners.append(joiner)
        end = element.end
    word, is_trapped = _read_unit(folded.chars, end, last)
    unit = _WORDS[word] if word else None
    if unit is None and not is_trapped and elements[-1].suffix == "f" and elements[-1].n_digits:
        elements[-1] = elements[-1]._replace(text=elements[-1].text[:-1])
        unit = Unit.FLOOR
    if unit is Unit.FLOOR and elements[-1].is_lettered:
        unit = Unit.BUILDING
    group = NumberGroup(elements, joiners, unit, word, end + len(word), is_trapped, is_dialled)
    return group if _is_number(folded, group, last) else None


def _is_code(folded: Folded, code: Element, joiner: CharClass, *, is_behind_room: bool) -> bool:
    """Whether a number before a phone number is its country's or its area's code: 86-, 0571-, 502 +86 139…."""
    is_long = code.n_source in _AREA_DIGITS and folded.chars[code.end - code.n_source] == "0"
    is_china = code.text == _CHINA_CODE
    is_sure = joiner is CharClass.HYPHEN or (is_china and (is_long or is_behind_room))
    return code.text.isdigit() and code.is_arabic and (is_long or is_china) and is_sure


def name_number(chars: list[str]) -> str:
    """Write a number inside a name: one or two digits as Chinese numerals (芙蓉7路 → 芙蓉七路), others as they are.

    Parameters
    ----------
    chars : the number's folded characters

    Returns
    -------
    name text
    """
    digits = "".join(chars)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _NAMED_DIGITS):
        return digits
    tens, ones = divmod(int(digits), 10)
    if not tens:
        return _HAN_DIGITS[ones]
    return (_HAN_DIGITS[tens] if tens > 1 else "") + "十" + (_HAN_DIGITS[ones] if ones else "")


def _read_element(folded: Folded, at: int) -> Element | None:
    digits_at = _skip(folded, at, CharClass.LETTER)
    if digits_at - at > _MAX_LETTERS:
        return None
    prefix = "".join(folded.chars[at:digits_at])
    if not prefix and (mobile := _MOBILE.match("".join(folded.chars[at : at + _MOBILE_CHARS]))):
        dialled = "".join(mobile.groups())
        return Element(dialled, at + mobile.end(), len(dialled), len(dialled), is_arabic=True, suffix="")
    digits_end = _skip(folded, digits_at, CharClass.DIGIT, CharClass.NUMERAL)
    cut = 0 if prefix else _end_of_numerals(folded, digits_at, digits_end)
    digits_end = cut or digits_end
    source = folded.chars[digits_at:digits_end]
    is_arabic = CharClass.DIGIT in folded.classes[digits_at:digits_end]
    if not source or (prefix and not is_arabic):
        return Element(prefix, digits_at, 0, 0, is_arabic=False, suffix="") if prefix else None
    digits = _evaluate(source)
    if digits is None:
        return None
    end = _skip(folded, digits_end, CharClass.LETTER)
    if cut or end - digits_end > _MAX_LETTERS:
        end = digits_end
    suffix = "".join(folded.chars[digits_end:end])
    return Element(prefix + digits + suffix, end, len(digits), len(source), is_arabic, suffix, cut > 0)


def _end_of_numerals(folded: Folded, at: int, end: int) -> int:
    """Find where numerals end that digits of a room follow, as in 十二501 and 三B203; 0 where they do not."""
    cut = _skip(folded, at, CharClass.NUMERAL)
    digits_at = _skip(folded, cut, CharClass.LETTER)
    digits_end = _skip(folded, digits_at, CharClass.DIGIT)
    is_room = digits_end - digits_at in _CUT_DIGITS and digits_at - cut <= _MAX_LETTERS
    return cut if cut > at and is_room and digits_end >= end else 0


def _skip(folded: Folded, at: int, *kinds: CharClass) -> int:
    while at < len(folded.classes) and folded.classes[at] in kinds:
        at += 1
    return at


def _evaluate(source: list[str]) -> str | None:
    values = [NUMERALS[char] if char in NUMERALS else int(char) for char in source]
    if all(value < _MULTIPLIER for value in values):
        return "".join(map(str, values)).lstrip("0") or "0"
    if len(values) > _MAX_MULTIPLIED:
        return None
    total = pending = 0
    for char, value in zip(source, values, strict=True):
        if value < _MULTIPLIER:
            pending = pending * 10 + value
        elif char in "廿卅":
            total += value
        else:
            total += (pending or 1) * value
            pending = 0
    return str(total + pending)


def _read_unit(chars: list[str], at: int, last: Unit | None) -> tuple[str, bool]:
    """Find the longest unit word; the flag says that one is there but followed by what makes it a name."""
    for length in range(_LONGEST_WORD, 0, -1):
        word = "".join(chars[at : at + length])
        if len(word) == length and word in _WORDS and (word not in STAIR_WORDS or last is Unit.BUILDING):
            after = "".join(chars[at + length : at + length + 1])
            if after == "口" and word[-1] == "门":
                continue  # 5号门口, 502门口
            return ("", True) if after and after in UNIT_TRAPS else (word, False)
    return "", False


def _is_number(folded: Folded, group: NumberGroup, last: Unit | None) -> bool:
    first = group.elements[0]
    if group.word in _NAMED_UNITS and _is_date(folded, group):
        return False
    if first.is_arabic or group.unit is not None:
        return True
    is_dashed = CharClass.HYPHEN in group.joiners
    if first.is_lettered:
        return len(group.elements) > 1 and group.elements[1].is_arabic
    if is_dashed:
        return True
    after = folded.chars[group.end] if group.end < len(folded.chars) else ""
    if last is None or group.is_trapped or (after and after in UNIT_TRAPS):
        return False
    is_followed = bool(after) and folded.classes[group.end] is CharClass.NAME
    return first.n_source >= (_ROOM_DIGITS if is_followed else 2)


def _is_date(folded: Folded, group: NumberGroup) -> bool:
    """Whether digits are read one by one, as in 八一巷 and 五一巷, which are named after days."""
    first = group.elements[0]
    source = folded.chars[first.end - first.n_source - len(first.suffix) : first.end - len(first.suffix)]
    return not first.is_arabic and len(source) > 1 and all(NUMERALS[char] < _MULTIPLIER for char in source)
