"""Reading the region of an address: the definition that the core is measured against."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from ordervet.entities.address.divisions import COUNTRY, NameKind, load_divisions
from ordervet.entities.address.lexicon import (
    CAREFUL_TRAP_WORDS,
    ESTATE_ENDINGS,
    ESTATE_WORDS,
    FULL_TRAP,
    ROAD_AFTER_WORDS,
    ROAD_ENDINGS,
    SKIPPED_REGION_WORDS,
    TRAP_WORDS,
    CharClass,
)
from ordervet.entities.characters import classify

if TYPE_CHECKING:
    from ordervet.entities.address.divisions import Divisions

__all__ = ["is_trap", "match_short", "read_region"]

_TRAPS: Final = {**dict.fromkeys(TRAP_WORDS, True), **dict.fromkeys(ROAD_AFTER_WORDS, False)}
_LONGEST_TRAP: Final = max(map(len, _TRAPS))
_SHORTEST_CORE: Final = 2


def read_region(text: str, start: int, region: int, *, is_short_allowed: bool) -> tuple[int, int]:
    """Read as long a chain of region names as stands at a place in the text.

    A name counts if it may follow the region so far, or if it repeats part of it.

    Parameters
    ----------
    text : folded text
    start : where to read
    region : number of the division read so far, ``COUNTRY`` for none
    is_short_allowed : whether 江苏 may stand for 江苏省

    Returns
    -------
    number of the deepest division named, and where the text goes on
    """
    divisions = load_divisions()
    at, above = start, region
    while True:
        if skipped := next((word for word in SKIPPED_REGION_WORDS if text.startswith(word, at)), None):
            at += len(skipped)
            continue
        # Fields of a table are joined by commas: 浙江,杭州,余杭.
        name_at = at + 1 if above != COUNTRY and text.startswith(",", at) else at
        found, end = _match(divisions, above, text, name_at, is_short_allowed=is_short_allowed)
        if end == name_at and above != COUNTRY:
            found, end = _match(divisions, COUNTRY, text, name_at, is_short_allowed=False)
        is_repeated = found in divisions.chain(region)
        if end == name_at or not (is_repeated or region in [COUNTRY, *divisions.chain(found)]):
            return region, at
        above, at = found, end
        if not is_repeated:
            region = found


def _match(divisions: Divisions, parent: int, text: str, at: int, *, is_short_allowed: bool) -> tuple[int, int]:
    """Find the longest name that may follow a division; the end is the start where there is none."""
    names = divisions.names.get(parent, {})
    best, best_end = parent, at
    for length in _lengths(parent).get(text[at : at + 1], ()):
        end = at + length
        if end > len(text):
            break
        number, kind = names.get(text[at:end], (parent, NameKind.FULL))
        if number == parent or not (is_short_allowed or kind is NameKind.FULL):
            continue
        is_full = kind is NameKind.FULL
        if text.startswith(FULL_TRAP, end) if is_full else is_trap(text, end):
            best, best_end = parent, at  # no shorter name either: 内蒙 of 内蒙古大学
        elif kind is not NameKind.CAREFUL or (
            not _is_numbered_street(text, end) and _names_place(divisions, number, text, end)
        ):
            best, best_end = number, end
    return best, best_end


def is_trap(text: str, at: int) -> bool:
    """Say whether a short name that ends at a place in the text is part of what follows: 南京大学, but not 南京大学路.

    Parameters
    ----------
    text : folded text
    at : where the name ends
    """
    lengths = range(_LONGEST_TRAP, 0, -1)
    return next((_TRAPS[word] for length in lengths if (word := text[at : at + length]) in _TRAPS), False)


def match_short(region: int, text: str, at: int) -> int:
    """Find the end of a name, short or not, of the city or county that a division is or lies in.

    Parameters
    ----------
    region : number of the division
    text : folded text
    at : where to read

    Returns
    -------
    where the name ends; the start where there is none
    """
    divisions = load_divisions()
    chain = divisions.chain(region)
    for number in chain:
        found, end = _match(divisions, divisions.all[number].parent, text, at, is_short_allowed=True)
        if end > at and found in chain:
            return end
    return at


def _is_numbered_street(text: str, at: int) -> bool:
    """Say whether 南湖街 before a place in the text is a road with its number, and no subdistrict: 南湖街九百号."""
    return text[at - 1] == "街" and classify(text[at : at + 1] or " ") is CharClass.NUMERAL


def _names_place(divisions: Divisions, number: int, text: str, at: int) -> bool:
    """Say whether what follows a district's short name still names a town, a road or a place by itself."""
    at += text.startswith(",", at)
    if text.startswith(CAREFUL_TRAP_WORDS, at):
        return False
    if _match(divisions, number, text, at, is_short_allowed=False)[1] > at:
        return True
    end = at
    while end < len(text) and not text[end].isascii():
        end += 1
    if end - at > _SHORTEST_CORE and text[end - 1] in ESTATE_ENDINGS:
        return True
    return any(
        text.startswith(ending, stop - len(ending)) and not (text[stop : stop + 1] and text[stop] in exceptions)
        for endings in (ROAD_ENDINGS, ESTATE_WORDS)
        for ending, exceptions in endings.items()
        for stop in range(at + _SHORTEST_CORE + len(ending), end + 1)
    )


@cache
def _lengths(parent: int) -> dict[str, list[int]]:
    """First character → lengths of the names that begin so and may follow a division, ascending."""
    lengths: dict[str, set[int]] = {}
    for name in load_divisions().names.get(parent, {}):
        lengths.setdefault(name[0], set()).add(len(name))
    return {first: sorted(those) for first, those in lengths.items()}
