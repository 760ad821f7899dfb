"""From any text to folded characters: what an address says, without how it was decorated.

Full-width, circled and roman digits, traditional and variant forms, case and accents fold to one form; symbols, emoji
and zero-width characters go. A separator is kept only where it parts two numbers or letters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from ordervet.entities.address.data import load_address_data
from ordervet.entities.address.lexicon import NUMERALS, SEPARATORS, CharClass

__all__ = ["MAX_CHARS", "Folded", "classify", "fold_char", "fold_text", "is_cipher", "is_masked"]

MAX_CHARS = 512
"""Folded characters of an address beyond this many are not read."""

_ALNUM = (CharClass.DIGIT, CharClass.NUMERAL, CharClass.LETTER)
_JOINERS = (CharClass.SPACE, CharClass.HYPHEN, CharClass.COMMA)
_OPAQUE = re.compile(r"([~$])[A-Za-z0-9+/=~$]*\1")
_STRENGTH = {None: 0, CharClass.SPACE: 1, CharClass.COMMA: 2, CharClass.HYPHEN: 3}


class Folded(NamedTuple):
    """A folded text: its characters, and the class of each."""

    chars: list[str]
    classes: list[CharClass]


def fold_text(text: str) -> Folded:
    """Fold a text and drop what only decorates it.

    Parameters
    ----------
    text : any text

    Returns
    -------
    at most ``MAX_CHARS`` characters
    """
    chars: list[str] = []
    classes: list[CharClass] = []
    joiner: CharClass | None = None
    for char in (folded for raw in text for folded in fold_char(raw)):
        if len(chars) >= MAX_CHARS - 1:
            break
        kind = classify(char)
        is_after_alnum = bool(classes) and classes[-1] in _ALNUM
        if kind in {CharClass.JUNK, CharClass.STAR} or (kind is CharClass.HASH and not is_after_alnum):
            continue
        if kind in _JOINERS:
            joiner = max(joiner, kind, key=_STRENGTH.__getitem__)
            continue
        if joiner and is_after_alnum and kind in _ALNUM:
            chars.append("-" if joiner is CharClass.HYPHEN else " ")
            classes.append(CharClass.HYPHEN if joiner is CharClass.HYPHEN else CharClass.SPACE)
        elif joiner is CharClass.COMMA:
            chars.append(",")
            classes.append(CharClass.COMMA)
        elif kind is CharClass.DIGIT and classes[-2:] == [CharClass.DIGIT, CharClass.NUMERAL] and chars[-1] == "一":
            # 3一2一502: between two digits 一 is a dash.
            chars[-1], classes[-1] = "-", CharClass.HYPHEN
        joiner = None
        chars.append(char)
        classes.append(kind)
    return Folded(chars, classes)


def is_cipher(text: str) -> bool:
    """Say whether a platform has put a cipher in place of a text: ``##…``, ``$$…``, ``~…~`` or ``$…$``.

    Between two ``~`` or ``$`` a cipher has only signs of base64 and more of these two: an address that somebody has
    decorated with them is none.

    Parameters
    ----------
    text : any text, without white space around it
    """
    return text[:2] in {"##", "$$"} or (len(text) > 2 and _OPAQUE.fullmatch(text) is not None)


def is_masked(text: str) -> bool:
    """Say whether a platform has hidden part of a text: two stars in a row, or a cipher.

    Parameters
    ----------
    text : any text

    Returns
    -------
    whether what is left must not be taken for the whole
    """
    folded = [char for raw in text for char in fold_char(raw) if char == "*" or classify(char) != CharClass.JUNK]
    return is_cipher(text) or any(pair == ("*", "*") for pair in pairwise(folded))


@lru_cache(maxsize=65_536)
def fold_char(char: str) -> str:
    """Fold one character.

    Parameters
    ----------
    char : one character

    Returns
    -------
    none, one or two characters
    """
    if char.isascii():
        return char.lower()
    if _is_junk(ord(char)):
        return ""
    return load_address_data()["folds"].get(char, char)


@lru_cache(maxsize=65_536)
def classify(char: str) -> CharClass:
    """Tell the class of a folded character.

    Parameters
    ----------
    char : one folded character

    Returns
    -------
    its class; NAME for everything that is not listed
    """
    if "0" <= char <= "9":
        return CharClass.DIGIT
    if "a" <= char <= "z":
        return CharClass.LETTER
    if char in NUMERALS:
        return CharClass.NUMERAL
    return _signs().get(char, CharClass.JUNK if char.isascii() else CharClass.NAME)


def _is_junk(point: int) -> bool:
    starts, stops = _junk_ranges()
    at = bisect_right(starts, point) - 1
    return at >= 0 and point <= stops[at]


@cache
def _junk_ranges() -> tuple[list[int], list[int]]:
    ranges = load_address_data()["junk"]
    return [start for start, _ in ranges], [stop for _, stop in ranges]


@cache
def _signs() -> dict[str, CharClass]:
    return {sign: kind for kind, signs in SEPARATORS.items() for sign in signs}
