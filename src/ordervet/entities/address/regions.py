"""Reading the region of an address: the definition that the core is measured against."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from ordervet.entities.address.divisions import COUNTRY, load_divisions
from ordervet.entities.address.lexicon import FULL_TRAP, SKIPPED_REGION_WORDS, TRAP_WORDS

if TYPE_CHECKING:
    from ordervet.entities.address.divisions import Divisions

__all__ = ["read_region"]

_LONGEST_TRAP: Final = max(map(len, TRAP_WORDS))


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
        number, is_short = names.get(text[at:end], (parent, False))
        if number == parent:
            continue
        is_trap = _is_trap(text, end) if is_short else text.startswith(FULL_TRAP, end)
        if not is_trap and (is_short_allowed or not is_short):
            best, best_end = number, end
    return best, best_end


def _is_trap(text: str, at: int) -> bool:
    return any(text[at : at + length] in TRAP_WORDS for length in range(1, _LONGEST_TRAP + 1))


@cache
def _lengths(parent: int) -> dict[str, list[int]]:
    """First character → lengths of the names that begin so and may follow a division, ascending."""
    lengths: dict[str, set[int]] = {}
    for name in load_divisions().names.get(parent, {}):
        lengths.setdefault(name[0], set()).add(len(name))
    return {first: sorted(those) for first, those in lengths.items()}
