"""The slow twin of the core's western addresses: house number and road, in the order of any country.

    12 Birch Lane, Apt 4, Springfield, IL 62704, US
      tokens    12 birch lane | apt 4 | springfield | il 62704 | us
      country   US, postal code 62704, and with it the state; a unit: ROOM 4
      the rest  NUMBER 12; the words birch ln springfield, in their order

No number is dropped: what is no unit, code or box stays a number of the place, so that two houses are never one. Words
keep their order, numbers theirs, so that it does not matter which come first. The rules are docs/addresses.md A17.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ordervet.entities.address.lexicon import CharClass, PlaceType, Unit
from ordervet.entities.address.western_words import (
    BOX_WORDS,
    CARE_OF,
    DROPPED_BEFORE_NUMBER,
    JOINED,
    MONTHS,
    PARTICLES,
    PLACE_WORDS,
    POSTCODES,
    POSTFIX_UNITS,
    REPEATED,
    ROAD_PREFIXES,
    ROAD_SUFFIXES,
    ROAD_TYPES,
    SHORT_FORMS,
    STATES,
    SUFFIXES,
    UMLAUTS,
    UNIT_BEHIND_SLASH,
    UNIT_FIRST,
    UNIT_WORDS,
    WORD_NUMBERS,
    ZIP_DIGITS,
)
from ordervet.entities.characters import MAX_CHARS, classify, fold_char
from ordervet.entities.countries import load_countries

_PARTS: Final = frozenset({CharClass.LETTER, CharClass.DIGIT, CharClass.NAME})
_SEPARATORS: Final = {
    CharClass.COMMA: ",",
    CharClass.HYPHEN: "-",
    CharClass.BREAK: "(",
    CharClass.HASH: "#",
    CharClass.SPACE: " ",
}
_LONGEST_COUNTRY, _LONGEST_STATE, _LONGEST_STATE_CODE = 6, 3, 3
_POSTCODE_DIGITS: Final = 4
_LETTERS: Final = re.compile(r"[^\d]{1,2}")
_ORDINAL: Final = re.compile(r"(\d+)(?:st|nd|rd|th|er|eme)")
_MARKED: Final = re.compile(r"([^\d]{2,})(\d.*)")
_FLOOR: Final = re.compile(r"\d{1,3}(?:[a-z]|st|nd|rd|th)?")
_DIGIT: Final = re.compile(r"\d")
_UMLAUT: Final = re.compile(r"([aou])e")
_WORDS: Final = (CharClass.LETTER, CharClass.NAME)


class _Token(NamedTuple):
    """A word or a number, the separators before it, and the number of the brackets that it stands in, 0 for none."""

    text: str
    before: str
    bracket: int

    @property
    def is_number(self) -> bool:
        return _DIGIT.search(self.text) is not None

    @property
    def is_beside(self) -> bool:
        """Whether no comma, bracket or # stands before it."""
        return self.before.isspace() or not self.before

    @property
    def is_dashed(self) -> bool:
        return self.before == "-"


_END: Final = _Token("", ",", 0)


class WesternAddress(NamedTuple):
    """What an address says.

    Parameters
    ----------
    region : country and postal code, as far as they are told
    words : names of roads, houses and towns, in order
    numbers : what is counted → the numbers, in order
    has_house : a number is that of a house or a box, and not part of a road's name
    place_type : what kind of place it is
    """

    region: str
    words: tuple[str, ...]
    numbers: dict[Unit, tuple[str, ...]]
    has_house: bool
    place_type: PlaceType

    @property
    def door_text(self) -> str:
        """The canonical text of the door; "" where it counts nothing or names nothing."""
        is_counted = self.has_house or Unit.BUILDING in self.numbers or Unit.ROOM in self.numbers
        return f"{self._write(Unit.ROOM)}|" if self.words and is_counted else ""

    @property
    def place_text(self) -> str:
        """The canonical text of the building; "" where no house is counted."""
        is_counted = self.has_house or Unit.BUILDING in self.numbers
        return self._write(Unit.BUILDING) if self.words and is_counted else ""

    def _write(self, last: Unit) -> str:
        numbers = [",".join(self.numbers.get(unit, ())) for unit in Unit if unit <= last]
        return "|".join([self.region, " ".join(self.words), *numbers])


def read_western(text: str) -> WesternAddress:
    """Read an address that has words, and none of them in Chinese characters.

    Parameters
    ----------
    text : an address as somebody wrote it

    References
    ----------
    docs/addresses.md A17.
    """
    tokens = _drop_persons(_drop_remarks(_split(text)))
    place_type = _find_place_type(tokens)
    country, tokens = _take_country(tokens)
    postcode, tokens = _take_postcode(tokens, country)
    reading = _Reading([part for token in tokens for part in _split_marked(token)], country)
    reading.read()
    return WesternAddress(
        region=country + postcode,
        words=tuple(reading.words),
        numbers={unit: tuple(reading.numbers[unit]) for unit in Unit if unit in reading.numbers},
        has_house=reading.has_house,
        place_type=place_type or (PlaceType.HOUSEHOLD if Unit.ROOM in reading.numbers else PlaceType.UNKNOWN),
    )


def _split(text: str) -> list[_Token]:
    """Split into words and numbers; a letter beside a digit belongs to it, a character of another script does not."""
    tokens: list[_Token] = []
    word = before = ""
    bracket = n_brackets = 0
    last: CharClass | None = None
    for char, kind in _classify(text):
        is_part = kind in _PARTS
        if word and (not is_part or {kind, last} == {CharClass.NAME, CharClass.DIGIT}):
            tokens.append(_Token(word, before, bracket and n_brackets))
            word = before = ""
        if is_part:
            word, last = word + char, kind
            continue
        before += _SEPARATORS.get(kind, "") if char not in "/\\\n|" else "/" if char in "/\\" else ","
        if kind is CharClass.BREAK:
            bracket, n_brackets = 1 - bracket, n_brackets + (not bracket)
    if word:
        tokens.append(_Token(word, before, bracket and n_brackets))
    return tokens


def _classify(text: str) -> list[tuple[str, CharClass]]:
    """Fold and classify each character that is not decoration, as º, ª and the dots of P.O. are."""
    folded = [char for raw in text if raw not in "ºª" for char in fold_char(raw)]
    kinds = ((char, classify(char)) for char in folded)
    chars = [(char, kind) for char, kind in kinds if kind not in {CharClass.JUNK, CharClass.STAR}][:MAX_CHARS]
    return [char for at, char in enumerate(chars) if not _is_dot_of_initial(chars, at)]


def _is_dot_of_initial(chars: list[tuple[str, CharClass]], at: int) -> bool:
    """Whether a dot stands behind a single letter and before another."""
    if chars[at][0] != "." or at == 0 or at + 1 == len(chars):
        return False
    is_single = at == 1 or chars[at - 2][1] not in _PARTS
    return is_single and chars[at - 1][1] in _WORDS and chars[at + 1][1] in _WORDS


def _split_marked(token: _Token) -> list[_Token]:
    """Part a unit from its number: apt4."""
    marked = _MARKED.fullmatch(token.text)
    if marked and (marked[1] in UNIT_WORDS or marked[1] in DROPPED_BEFORE_NUMBER):
        return [token._replace(text=marked[1]), token._replace(text=marked[2], before="")]
    return [token]


def _drop_remarks(tokens: list[_Token]) -> list[_Token]:
    """Drop what stands in brackets, unless it has a number or nothing else is left."""
    telling = {0} | {token.bracket for token in tokens if token.is_number}
    kept = [token for token in tokens if token.bracket in telling]
    return kept or tokens


def _drop_persons(tokens: list[_Token]) -> list[_Token]:
    """Drop parts that begin with c/o, unless nothing else is left."""
    parts: list[list[_Token]] = []
    for token in tokens:
        if not parts or "," in token.before:
            parts.append([])
        parts[-1].append(token)
    kept = [token for part in parts if not _begins(part, 0, CARE_OF) for token in part]
    return kept or tokens


def _begins(tokens: list[_Token], at: int, choices: tuple[tuple[str, ...], ...]) -> int:
    """Count the tokens of the first of some phrases that stands here; 0 if none does."""
    first = tokens[at].text
    return next(
        (
            len(words)
            for words in choices
            if words[0] == first and tuple(token.text for token in tokens[at : at + len(words)]) == words
        ),
        0,
    )


def _find_place_type(tokens: list[_Token]) -> PlaceType:
    found = {PLACE_WORDS[token.text] for token in tokens if token.text in PLACE_WORDS}
    return min((kind for kind in found), default=PlaceType.UNKNOWN)


def _take_country(tokens: list[_Token]) -> tuple[str, list[_Token]]:
    """Take the country's name or code from the end, unless nothing else is there."""
    for length in range(min(_LONGEST_COUNTRY, len(tokens) - 1), 0, -1):
        country = load_countries()["names"].get("".join(token.text for token in tokens[-length:]), "")
        if country:
            return country, tokens[:-length]
    return _infer_country(tokens), tokens


def _infer_country(tokens: list[_Token]) -> str:
    """Tell the country where a state's code and a postal code of the same country end the address: IL 62704."""
    for country, states in STATES.items():
        for length in (1, 2):
            state = tokens[-length - 1].text if len(tokens) > length + 1 else ""
            is_state = state in states and len(state) <= _LONGEST_STATE_CODE
            if is_state and _is_postcode(_join_code(tokens[-length:]), country):
                return country
    return ""


def _take_postcode(tokens: list[_Token], country: str) -> tuple[str, list[_Token]]:
    """Take the last postal code behind the first word, and with it the state, which it tells."""
    first_word = next((at for at, token in enumerate(tokens) if not token.is_number), len(tokens))
    for end in range(len(tokens), first_word + 1, -1):
        for start in range(max(end - 2, first_word + 1), end):
            code = _join_code(tokens[start:end])
            if _is_postcode(code, country) and not _is_house(tokens, start, end):
                before, after = _drop_state(tokens[:start], tokens[end:], country)
                after[:1] = [token._replace(before=",") for token in after[:1]]
                return code.replace("-", "")[: ZIP_DIGITS.get(country)], before + after
    return "", tokens


def _is_house(tokens: list[_Token], start: int, end: int) -> bool:
    """Whether what looks like a postal code is the one number of a road or a box: 70000 Elm Road, Elm Road 70000."""
    after, at = tokens[end:], start
    stop = next((i for i, token in enumerate(after) if not token.is_beside), len(after))
    while at > 0 and tokens[at].is_beside:
        at -= 1
    before = tokens[at:start]
    is_before_road = stop > 1 and _is_road(after[stop - 1])
    is_behind_road = any(map(_is_road, before)) and not any(token.is_number for token in before)
    is_box = any(_begins(tokens, start - len(words), (words,)) for words in BOX_WORDS if len(words) <= start)
    return is_before_road or is_behind_road or is_box


def _is_road(token: _Token) -> bool:
    word = shorten(token.text, has_umlauts=False)
    return word in ROAD_TYPES or word.endswith(ROAD_SUFFIXES)


def _join_code(tokens: list[_Token]) -> str:
    """Write one token, or two that belong together, as one code; "" for two that do not."""
    first, *rest = tokens
    if any(not (token.is_beside or token.is_dashed) for token in rest):
        return ""
    return first.text + "".join(("-" if token.is_dashed else "") + token.text for token in rest)


def _is_postcode(code: str, country: str) -> bool:
    return any(_fits(mask, code) for mask in POSTCODES.get(country, ()))


def _fits(mask: str, code: str) -> bool:
    parts = {"#": "[0-9]", "@": "[a-z]", "?": "[0-9a-z]", "-": "-?"}
    return re.fullmatch("".join(parts.get(char, char) for char in mask), code) is not None


def _drop_state(before: list[_Token], after: list[_Token], country: str) -> tuple[list[_Token], list[_Token]]:
    """Drop a state that stands before or after the postal code."""
    states = STATES.get(country, frozenset())
    for length in range(_LONGEST_STATE, 0, -1):
        if "".join(token.text for token in after[:length]) in states:
            return before, after[length:]
        if len(before) > length and "".join(token.text for token in before[-length:]) in states:
            return before[:-length], after
    return before, after


class _Reading:
    """One pass over the tokens of street and town."""

    def __init__(self, tokens: list[_Token], country: str) -> None:
        self.tokens = tokens
        self.country = country
        self.words: list[str] = []
        self.numbers: dict[Unit, list[str]] = {}
        self.has_house = False
        # What stands directly before: a road's type after which a number is its name; a house number behind a road.
        self.is_after_prefix = self.is_after_house = False

    def read(self) -> None:
        at = self._read_unit_first()
        while at < len(self.tokens):
            at = self._read_box(at) or self._read_unit(at) or self._read_plain(at)

    def _add(self, unit: Unit, text: str) -> None:
        numbers, number = self.numbers.setdefault(unit, []), text.lstrip("0") or "0"
        # A unit is often told twice, in both lines; of numbers of the place none is dropped.
        if unit is Unit.NUMBER or number not in numbers:
            numbers.append(number)

    def _at(self, at: int) -> _Token:
        return self.tokens[at] if at < len(self.tokens) else _END

    def _read_unit_first(self) -> int:
        """Read 5/12 High Street, where a country writes the unit so."""
        first, second, third = self._at(0), self._at(1), self._at(2)
        is_pair = first.is_number and second.is_number and second.before == UNIT_FIRST.get(self.country)
        if not is_pair or third.is_number or third is _END:
            return 0
        self._add(Unit.ROOM, first.text)
        return 1

    def _read_box(self, at: int) -> int:
        end = at + _begins(self.tokens, at, BOX_WORDS)
        if end > at and self._at(end).text in DROPPED_BEFORE_NUMBER:
            end += 1
        number = self._at(end)
        if end == at or not number.is_number or "," in number.before:
            return 0
        self._add(Unit.NUMBER, f"box{number.text}")
        self.has_house = True
        return end + 1

    def _read_unit(self, at: int) -> int:
        """Read a unit's word with its number, before or behind it: apt 4, # 4b, 3rd floor."""
        token, after = self._at(at), self._at(at + 1)
        is_floor = after.text == "f" and after.before == "/"  # 12/F
        if token.is_number and (is_floor or (after.text in POSTFIX_UNITS and (after.is_beside or after.is_dashed))):
            unit = Unit.FLOOR if is_floor else POSTFIX_UNITS[after.text]
            if not after.text.isascii() or is_floor or not _is_value(self._at(at + 2), unit):
                ordinal = _ORDINAL.fullmatch(token.text)
                self._add(unit, ordinal[1] if ordinal else token.text)
                return at + 2
        end = at
        if token.text in UNIT_WORDS:
            unit, end = UNIT_WORDS[token.text], at + 1
            while self._at(end).text in DROPPED_BEFORE_NUMBER:
                end += 1
        elif "#" in token.before:
            unit = Unit.ROOM if self.has_house or (after.is_number and after.is_beside) else Unit.NUMBER
        else:
            return 0
        if not _is_value(self._at(end), unit, is_first=end == at):
            return 0
        text, end = self._join_letter(end)
        self._add(unit, text)
        self.has_house |= unit is Unit.NUMBER
        return end

    def _join_letter(self, at: int) -> tuple[str, int]:
        """Join what belongs to a number: 4-2, 4-b, 4/2, and 4 b where another number or part follows."""
        text, end = self._join_dashed(at)
        letter, after = self._at(end), self._at(end + 1)
        is_last = not (after.is_beside or after.is_dashed) or (
            after.text in UNIT_WORDS if letter.text in UNIT_WORDS else after.is_number or after.text in UNIT_WORDS
        )
        if _is_letter(letter) and letter.is_beside and text[-1].isdigit() and is_last:
            return text + letter.text, end + 1
        return text, end

    def _join_dashed(self, at: int) -> tuple[str, int]:
        """Join what a dash or a slash joins; a letter after a space may be a road's name: 12 A Street."""
        text, end = self._at(at).text, at + 1
        while self._at(end).before in {"-", "/"} and (self._at(end).is_number or _is_letter(self._at(end))):
            token = self._at(end)
            text += token.before * token.is_number + token.text
            end += 1
        return text, end

    def _read_plain(self, at: int) -> int:
        token, after = self._at(at), self._at(at + 1)
        if not token.is_number:
            self.is_after_house = False
            return self._read_word(at)
        is_day = after.text in MONTHS or (after.text == "de" and self._at(at + 2).text in MONTHS)
        if _ORDINAL.fullmatch(token.text) or (is_day and after.is_beside):
            self.words.append(token.text)
            return at + 1
        if self.is_after_house and self._is_bare_unit(token):
            text, end = self._join_letter(at)
            self._add(Unit.ROOM, text)
            return end
        text, end = self._join_letter(at) if self.words else self._join_dashed(at)
        if self._at(end).text in REPEATED and (self._at(end).is_beside or self._at(end).is_dashed):
            text, end = text + self._at(end).text, end + 1
        house, slash, unit = text.partition("/")
        if slash and self.country in UNIT_BEHIND_SLASH:
            text = house
            self._add(Unit.ROOM, unit)
        self._add(Unit.NUMBER, text)
        self.has_house |= not self.is_after_prefix
        self.is_after_house = bool(self.words) and not self.is_after_prefix
        self.is_after_prefix = False
        return end

    def _is_bare_unit(self, token: _Token) -> bool:
        """Whether a number right behind the house number is short enough for a unit: Mayor 50, 3b."""
        return sum(char.isdigit() for char in token.text) < _POSTCODE_DIGITS and "(" not in token.before

    def _read_word(self, at: int) -> int:
        token, after = self._at(at), self._at(at + 1)
        if token.text in DROPPED_BEFORE_NUMBER and after.is_number:
            return at + 1
        if at == 0 and token.text in WORD_NUMBERS and after is not _END and not after.is_number and after.is_beside:
            self._add(Unit.NUMBER, WORD_NUMBERS[token.text])
            self.has_house = True
            return 1
        if token.text in PARTICLES and self.words and self.words[-1] in ROAD_TYPES and after.is_beside:
            return at + 1
        word = shorten(token.text, has_umlauts=self.country in UMLAUTS)
        if self.words and token.text in JOINED and (token.is_beside or token.is_dashed):
            self.words[-1] += word
        else:
            self.words.append(word)
        self.is_after_prefix = word in ROAD_PREFIXES and after.is_number and after.is_beside
        return at + 1


def _is_letter(token: _Token) -> bool:
    return len(token.text) == 1 and token.text.isascii() and token.text.isalpha()


def _is_value(token: _Token, unit: Unit, *, is_first: bool = False) -> bool:
    """Whether a token can be what a unit's word counts: a number, or a letter or two."""
    if not token.text or ("," in token.before and not is_first):
        return False
    if token.is_number:
        return unit is not Unit.FLOOR or _FLOOR.fullmatch(token.text) is not None
    is_code = len(token.text) == 1 or token.text not in _SHORT
    return unit is not Unit.FLOOR and is_code and _LETTERS.fullmatch(token.text) is not None


_SHORT: Final = frozenset(SHORT_FORMS) | frozenset(SHORT_FORMS.values())


def shorten(word: str, *, has_umlauts: bool) -> str:
    """Shorten a word to the form that stands for it and its abbreviations.

    Parameters
    ----------
    word : folded
    has_umlauts : whether ae, oe and ue stand for ä, ö and ü, which fold to a, o and u
    """
    if has_umlauts:
        word = _UMLAUT.sub(r"\1", word)
    if word in JOINED:
        return JOINED[word]
    for long, short in SUFFIXES.items():
        if word.endswith(long):
            return word.removesuffix(long) + short
    return SHORT_FORMS.get(word, word)
