"""How alike two places are, from their parsed addresses: for verification, explanation and the desk, never for keys.

A pair of addresses becomes some thirty measures of how far names, numbers and region agree. Two small forests of
decision trees turn them into the chance of "the same surroundings" and of "the same place"; the similarity is their
geometric mean. No measure of agreement can lower it, none of disagreement raise it.
``tools/build_similarity_forests.py`` grew the trees, on one half of a public set of graded pairs.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from math import exp, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from ordervet.entities.address.lexicon import ESTATE_WORDS, PLACE_WORDS, ROAD_ENDINGS, Unit
from ordervet.entities.address.parser import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordervet.entities.address.parser import Address

__all__ = ["DIRECTIONS", "FORESTS_FILE", "measure_pair", "place_similarity"]

FORESTS_FILE: Final = Path(__file__).with_name("similarity_forests.json")

DIRECTIONS: Final[dict[str, int]] = {
    "covered_min": 1,
    "covered_max": 1,
    "estate_match": 1,
    "estate_core": 1,
    "estate_within": 1,
    "name_within": 1,
    "last_covered_min": 1,
    "last_covered_max": 1,
    "last_core": 1,
    "common_run": 1,
    "core": 1,
    "whole_core": 1,
    "whole_bigrams": 1,
    "same_building": 1,
    "same_number": 1,
    "same_stair": 1,
    "same_road": 1,
    "same_town": 1,
    "n_same": 1,
    "other_building": -1,
    "other_number": -1,
    "other_road": -1,
    "other_county": -1,
    "n_other": -1,
    "one_building": 0,
    "length_min": 0,
    "length_max": 0,
    "n_names_min": 0,
    "n_names_max": 0,
    "n_numbers_min": 0,
    "n_numbers_max": 0,
}
"""Measure → 1 if more of it can only speak for likeness, -1 if only against, 0 if either."""

_COMPANY_WORDS: Final = (
    "有限",
    "责任",
    "股份",
    "实业",
    "科技",
    "贸易",
    "发展",
    "工程",
    "制造",
    "店",
    "厂",
    "村",
    "街道",
)
_GENERIC: Final = sorted(
    {*(word for words in PLACE_WORDS.values() for word in words), *ESTATE_WORDS, *ROAD_ENDINGS, *_COMPANY_WORDS},
    key=lambda word: (-len(word), word),
)
_SHORTEST_MATCH: Final = 2
_SHORTEST_WITHIN: Final = 3
_MANY: Final = 4


class Tree(TypedDict):
    """A decision tree: node → its measure and threshold (more goes right), its children, and its value if a leaf."""

    measure: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]


class Forest(TypedDict):
    """Trees whose values add up to the log odds."""

    intercept: float
    trees: list[Tree]


def place_similarity(a: str, b: str) -> float:
    """Tell how alike the places of two addresses are.

    Parameters
    ----------
    a, b : addresses as somebody wrote them

    Returns
    -------
    0 .. 1, the same either way round; 1 where both reach the same door or are the same text

    References
    ----------
    docs/addresses.md S1.
    """
    first, second = parse_address(a), parse_address(b)
    if a == b or (first.door_text and first.door_text == second.door_text):
        return 1.0
    measures = list(measure_pair(first, second).values())
    chances = [1 / (1 + exp(-_log_odds(forest, measures))) for forest in _load_forests()]
    return sqrt(chances[0] * chances[1])


def measure_pair(a: Address, b: Address) -> dict[str, float]:
    """Measure how far two addresses agree.

    Parameters
    ----------
    a, b : parsed addresses

    Returns
    -------
    measure → value, in the order of ``DIRECTIONS``; the same either way round
    """
    measured = {**_measure_texts(a, b), **_measure_names(a, b), **_measure_numbers(a, b)}
    return {name: float(measured[name]) for name in DIRECTIONS}


def _measure_texts(a: Address, b: Address) -> dict[str, float]:
    covered = sorted((_coverage(a.rest, b.rest), _coverage(b.rest, a.rest)))
    lengths = sorted((len(a.rest), len(b.rest)))
    return {
        "covered_min": covered[0],
        "covered_max": covered[1],
        "whole_core": _shared_characters(_core(a.rest), _core(b.rest)),
        "whole_bigrams": _shared_bigrams(a.rest, b.rest),
        "length_min": lengths[0],
        "length_max": lengths[1],
    }


def _measure_names(a: Address, b: Address) -> dict[str, float]:
    names_a, names_b = _names(a), _names(b)
    joined_a, joined_b = " ".join(names_a), " ".join(names_b)
    estates_a, estates_b = a.names + a.notes, b.names + b.notes
    last_a, last_b = names_a[-1] if names_a else "", names_b[-1] if names_b else ""
    last = sorted((_coverage(last_a, b.rest), _coverage(last_b, a.rest)))
    counts = sorted((min(len(names_a), _MANY), min(len(names_b), _MANY)))
    return {
        "estate_match": _best_run(estates_a, estates_b, _SHORTEST_MATCH, max),
        "estate_within": _best_run(estates_a, estates_b, _SHORTEST_WITHIN, min),
        "name_within": _best_run(names_a, names_b, _SHORTEST_WITHIN, min),
        "estate_core": _best_core(estates_a, estates_b),
        "last_covered_min": last[0],
        "last_covered_max": last[1],
        "last_core": _shared_characters(_core(last_a), _core(last_b)),
        "common_run": _longest_common_run(joined_a, joined_b),
        "core": _shared_characters(_core(joined_a), _core(joined_b)),
        "same_road": _is_same(a.roads, b.roads),
        "other_road": _is_other(a.roads, b.roads),
        "same_town": bool(a.town) and a.town == b.town,
        "other_county": bool(a.county and b.county) and a.county != b.county,
        "n_names_min": counts[0],
        "n_names_max": counts[1],
    }


def _measure_numbers(a: Address, b: Address) -> dict[str, float]:
    pairs = {unit: (a.numbers.get(unit, ()), b.numbers.get(unit, ())) for unit in Unit}
    counts = sorted((min(len(a.numbers), _MANY), min(len(b.numbers), _MANY)))
    buildings = pairs[Unit.BUILDING]
    return {
        "same_building": _is_same(*buildings),
        "other_building": _is_other(*buildings),
        "one_building": bool(buildings[0]) != bool(buildings[1]),
        "same_number": _is_same(*pairs[Unit.NUMBER]),
        "other_number": _is_other(*pairs[Unit.NUMBER]),
        "same_stair": _is_same(*pairs[Unit.STAIR]),
        "n_same": min(2, sum(_is_same(*pair) for pair in pairs.values())),
        "n_other": min(2, sum(_is_other(*pair) for pair in pairs.values())),
        "n_numbers_min": counts[0],
        "n_numbers_max": counts[1],
    }


@cache
def _load_forests() -> list[Forest]:
    forests: list[Forest] = json.loads(FORESTS_FILE.read_text(encoding="ascii"))
    return forests


def _log_odds(forest: Forest, measures: list[float]) -> float:
    return forest["intercept"] + sum(_walk(tree, measures) for tree in forest["trees"])


def _walk(tree: Tree, measures: list[float]) -> float:
    node = 0
    while tree["left"][node]:
        is_more = measures[tree["measure"][node]] > tree["threshold"][node]
        node = (tree["right"] if is_more else tree["left"])[node]
    return tree["value"][node]


def _names(address: Address) -> list[str]:
    """List all names in the order in which they stand."""
    return sorted([*address.roads, *address.names, *address.notes], key=address.rest.rfind)


def _bigrams(text: str) -> set[str]:
    return {text[at : at + 2] for at in range(len(text) - 1)}


def _shared_bigrams(a: str, b: str) -> float:
    pairs_a, pairs_b = _bigrams(a), _bigrams(b)
    return len(pairs_a & pairs_b) / max(1, len(pairs_a | pairs_b))


def _coverage(text: str, other: str) -> float:
    """Share of a text's characters that lie in a pair of characters of the other."""
    known = _bigrams(other)
    hits = [text[at : at + 2] in known for at in range(len(text) - 1)]
    covered = sum(before or after for before, after in zip([False, *hits], [*hits, False], strict=True))
    return covered / max(1, len(text))


def _shared_characters(a: str, b: str) -> float:
    shared = sum((Counter(a) & Counter(b)).values())
    return 2 * shared / max(1, len(a) + len(b))


def _core(text: str) -> str:
    """Take from a name what many names have."""
    for word in _GENERIC:
        text = text.replace(word, "")
    return text


def _longest_common_run(a: str, b: str) -> int:
    longest, before = 0, [0] * (len(b) + 1)
    for char in a:
        runs = [0] * (len(b) + 1)
        for at, other in enumerate(b):
            if char == other:
                runs[at + 1] = before[at] + 1
        longest, before = max(longest, *runs), runs
    return longest


def _best_run(some: Sequence[str], others: Sequence[str], shortest: int, against: Callable[[int, int], int]) -> float:
    """Find the longest common run of any pair of names, relative to the longer or the shorter of them."""
    return max(
        (
            _longest_common_run(name, other) / against(len(name), len(other))
            for name in some
            for other in others
            if min(len(name), len(other)) >= shortest
        ),
        default=0.0,
    )


def _best_core(some: Sequence[str], others: Sequence[str]) -> float:
    cores, other_cores = [_core(name) for name in some], [_core(name) for name in others]
    return max(
        (
            _shared_characters(core, other)
            for core in cores
            for other in other_cores
            if min(len(core), len(other)) >= _SHORTEST_MATCH
        ),
        default=0.0,
    )


def _is_same(a: Sequence[str], b: Sequence[str]) -> bool:
    return not set(a).isdisjoint(b)


def _is_other(a: Sequence[str], b: Sequence[str]) -> bool:
    return bool(a and b) and set(a).isdisjoint(b)
