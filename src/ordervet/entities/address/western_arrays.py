"""The words of western addresses as the core reads them: rows of a list, a word, a value and a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet import _core
from ordervet.entities.address import western_words as words
from ordervet.entities.countries import load_countries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["build_western"]


def build_western() -> dict[str, NDArray[Any]]:
    """Lay out ``western_words.py`` and the names of countries.

    Returns
    -------
    arrays by name, n rows. western_lists: of `_core.WESTERN_LISTS`; western_values: a unit, a kind of place, a number;
    western_bytes, western_offsets: word and target of each row in turn, in UTF-8
    """
    rows = list(_rows())
    texts = [text.encode() for _, word, _, target in rows for text in (word, target)]
    return {
        "western_lists": np.array([_core.WESTERN_LISTS.index(name) for name, *_ in rows], dtype=np.int8),
        "western_values": np.array([value for _, _, value, _ in rows], dtype=np.int8),
        "western_bytes": np.frombuffer(b"".join(texts), dtype=np.uint8),
        "western_offsets": np.cumsum([0, *map(len, texts)], dtype=np.int32),
    }


def _rows() -> Iterator[tuple[str, str, int, str]]:
    for name in ("ROAD_TYPES", "ROAD_PREFIXES", "PARTICLES", "DROPPED_BEFORE_NUMBER", "MONTHS", "REPEATED"):
        yield from ((name, word, 0, "") for word in sorted(getattr(words, name)))
    for name in ("UNIT_BEHIND_SLASH", "UMLAUTS"):
        yield from ((name, country, 0, "") for country in sorted(getattr(words, name)))
    # NOTE: of suffixes and phrases the first that fits counts.
    yield from (("ROAD_SUFFIXES", suffix, 0, "") for suffix in words.ROAD_SUFFIXES)
    for name in ("BOX_WORDS", "CARE_OF"):
        yield from ((name, " ".join(phrase), 0, "") for phrase in getattr(words, name))
    for name in ("SHORT_FORMS", "JOINED", "SUFFIXES", "UNIT_FIRST"):
        yield from ((name, word, 0, target) for word, target in getattr(words, name).items())
    for name in ("UNIT_WORDS", "POSTFIX_UNITS", "PLACE_WORDS", "ZIP_DIGITS"):
        yield from ((name, word, int(value), "") for word, value in getattr(words, name).items())
    yield from (("WORD_NUMBERS", word, int(number), "") for word, number in words.WORD_NUMBERS.items())
    yield from (("POSTCODES", mask, 0, country) for country, masks in words.POSTCODES.items() for mask in masks)
    yield from (("STATES", state, 0, country) for country, states in words.STATES.items() for state in sorted(states))
    yield from (("COUNTRIES", name, 0, country) for name, country in load_countries()["names"].items())
