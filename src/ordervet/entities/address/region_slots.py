"""The commonest names of regions in one small table, beside the trie that knows them all.

SPEED: a province, a city and a county in full begin most addresses. One look at 16 bytes takes the place of a walk of
three to nine steps over the trie, whose pages are seldom in the nearest cache (bench_addresses.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.entities.address.divisions import CITY, COUNTRY, COUNTY, NameKind, fold_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ordervet.entities.address.divisions import Divisions

__all__ = ["build_slots", "slot_of"]

SLOT_BITS: Final = 14
FREE: Final = (1 << 64) - 1
MAX_LENGTH: Final = 6
_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_BITS: Final = 16


def build_slots(divisions: Divisions) -> NDArray[np.uint64]:
    """Lay out names of two to six characters that no longer name of the same list begins with.

    Of two names that would share a slot the first stands; whatever has no slot is found by the trie.

    Parameters
    ----------
    divisions : and the names that may follow each

    Returns
    -------
    shape (2**SLOT_BITS, 2): the list, the name's first two characters and the division, 16 bits each, or ``FREE``; its
    other characters, 16 bits each, from the lowest
    """
    slots = np.full((1 << SLOT_BITS, 2), FREE, dtype=np.uint64)
    for parent, name, number in _list_names(divisions):
        key = parent << 2 * _BITS | ord(name[0]) << _BITS | ord(name[1])
        slot = slots[slot_of(key)]
        if slot[0] == FREE:
            slot[:] = key << _BITS | number, sum(ord(char) << _BITS * at for at, char in enumerate(name[2:]))
    return slots


def slot_of(key: int) -> int:
    """Find the slot of a list and two characters, as the core does."""
    return ((key * _MULTIPLIER) & FREE) >> (64 - SLOT_BITS)


def _list_names(divisions: Divisions) -> Iterator[tuple[int, str, int]]:
    for parent, below in divisions.names.items():
        names = sorted(below)
        for name, following in zip(names, [*names[1:], ""], strict=True):
            number, kind = below[name]
            is_direct = divisions.all[number].parent == parent or parent == COUNTRY
            is_today = kind is NameKind.FULL and fold_name(divisions.all[number].name) == name
            is_plain = is_today and is_direct and divisions.all[number].level <= (COUNTY if parent else CITY)
            is_held = 1 < len(name) <= MAX_LENGTH and max(name) < chr(1 << _BITS)
            if is_plain and is_held and not following.startswith(name):
                yield parent, name, number
