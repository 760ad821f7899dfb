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
    ROAD_ENDINGS,
    SKIPPED_REGION_WORDS,
    TRAP_WORDS,
)

if TYPE_CHECKING:
    from ordervet.entities.address.divisions import Divisions

__all__ = ["read_region"]

_LONGEST_TRAP: Final = max(map(len, TRAP_WORDS))
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
        found, end = _match(divisions, above, text, at, is_short_allowed=is_short_allowed)
        if end == at and above != COUNTRY:
            found, end = _match(divisions, COUNTRY, text, at, is_short_allowed=False)
        is_repeated = found in divisions.chain(region)
        if end == at or not (is_repeated or region in [COUNTRY, *divisions.chain(found)]):
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
        number, kind = names.get(text[at:end], (parent, NameKind.FULL))
        if number == parent or not (is_short_allowed or kind is NameKind.FULL):
            continue
        is_full = kind is NameKind.FULL
        is_trap = text.startswith(FULL_TRAP, end) if is_full else _is_trap(text, end, TRAP_WORDS)
        if is_trap:
            best, best_end = parent, at  # no shorter name either: 内蒙 of 内蒙古大学
        elif kind is not NameKind.CAREFUL or _names_place(divisions, number, text, end):
            best, best_end = number, end
    return best, best_end


def _is_trap(text: str, at: int, words: tuple[str, ...]) -> bool:
    return any(text[at : at + length] in words for length in range(1, _LONGEST_TRAP + 1))


def _names_place(divisions: Divisions, number: int, text: str, at: int) -> bool:
    """Say whether what follows a district's short name still names a town, a road or a place by itself."""
    if _is_trap(text, at, CAREFUL_TRAP_WORDS):
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
