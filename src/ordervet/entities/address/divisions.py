"""China's administrative divisions, as chains: a name is a region only where its parent's name may stand before it.

上海市陕西南路 is a road in Shanghai, for Shaanxi is no part of Shanghai; 鼓楼区 is four districts, and which one is
meant only the city before it tells.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from ordervet.entities.address.data import load_address_data

__all__ = ["COUNTRY", "Division", "Divisions", "load_divisions"]

PROVINCE, CITY, COUNTY, TOWN = range(4)
COUNTRY: Final = 0
"""Number of the root division, above the provinces."""

_PROVINCE_VARIANTS: Final = {
    "内蒙古自治区": "内蒙",
    "广西壮族自治区": "广西自治区",
    "宁夏回族自治区": "宁夏自治区",
    "新疆维吾尔自治区": "新疆自治区",
    "香港": "香港特别行政区",
    "澳门": "澳门特别行政区",
}
_PLACEHOLDER: Final = "直辖行政区划"
_TWO: Final = 2


@dataclass(frozen=True, slots=True)
class Division:
    """One division.

    Parameters
    ----------
    name : as it is written in full, as 江宁区
    level : 0 province, 1 city, 2 county or district, 3 town; -1 the country
    parent : number of the division above
    code : six digits of GB/T 2260; for a town, those of its county and its name
    """

    name: str
    level: int
    parent: int
    code: str

    @property
    def is_district(self) -> bool:
        """Whether it is an urban district, where a road's name is unique in the whole city."""
        return self.level == COUNTY and self.name.endswith("区")

    @property
    def is_subdistrict(self) -> bool:
        """Whether it is an urban subdistrict, which a road or a building makes redundant."""
        return self.level == TOWN and self.name.endswith("街道")


@dataclass(frozen=True, slots=True)
class Divisions:
    """All divisions, and what may follow each in an address.

    Parameters
    ----------
    all : the divisions; the first is the country
    names : parent's number → folded name → (number, whether the name is short)
    """

    all: list[Division]
    names: dict[int, dict[str, tuple[int, bool]]] = field(repr=False)

    def chain(self, number: int) -> list[int]:
        """List a division and those above it, the province last, the country left out.

        Parameters
        ----------
        number : of the division

        Returns
        -------
        numbers
        """
        chain = []
        while number != COUNTRY:
            chain.append(number)
            number = self.all[number].parent
        return chain

    def at_level(self, number: int, level: int) -> int:
        """Find the division of a level that a division is, or lies in.

        Parameters
        ----------
        number : of the division
        level : 0 province, 1 city, 2 county

        Returns
        -------
        the number; ``COUNTRY`` if the division is itself above that level
        """
        return next((above for above in self.chain(number) if self.all[above].level == level), COUNTRY)


@cache
def load_divisions() -> Divisions:
    """Build the divisions from the stored table, once per process.

    Returns
    -------
    the divisions; shared, so not to be changed
    """
    divisions, shorts = _read_divisions()
    names: dict[int, dict[str, tuple[int, bool]]] = {}
    _name_in_full(divisions, names)
    _name_renamed(divisions, names)
    _name_skipping_a_level(divisions, names)
    _name_in_short(divisions, shorts, names)
    return Divisions(divisions, names)


def fold_name(name: str) -> str:
    """Fold a division's name as addresses are folded; names hold nothing that ``fold_text`` would drop."""
    return name.translate(_folds())


@cache
def _folds() -> dict[int, str]:
    return {ord(char): folded for char, folded in load_address_data()["folds"].items()}


def _read_divisions() -> tuple[list[Division], dict[int, str]]:
    divisions = [Division("中国", -1, COUNTRY, "")]
    shorts: dict[int, str] = {}
    used: set[str] = set()
    path = [COUNTRY] * 5
    for line in load_address_data()["divisions"]:
        level = len(line) - len(line.lstrip("\t"))
        name, *codes = line.strip("\t").split("\t")
        parent = path[level]
        if name.endswith(_PLACEHOLDER):
            path[level + 1] = parent
            continue
        code = f"{divisions[parent].code}{name}" if level == TOWN else codes[0] if codes else ""
        if not code or (code in used and (level != CITY or code != divisions[parent].code)):
            # The table knows no code, or gives two counties one: the division's number, below all codes, stands in.
            code = f"{len(divisions):06d}"
        used.add(code)
        path[level + 1] = len(divisions)
        if len(codes) > 1:
            shorts[len(divisions)] = codes[1]
        divisions.append(Division(name, level, parent, code))
    return divisions, shorts


def _name_in_full(divisions: list[Division], names: dict[int, dict[str, tuple[int, bool]]]) -> None:
    for number, division in enumerate(divisions[1:], start=1):
        below = names.setdefault(division.parent, {})
        # A municipality is a province and its only city in one: the name leads to the city.
        above = divisions[division.parent]
        if division.level == CITY and above.name == division.name:
            names.setdefault(COUNTRY, {})[fold_name(division.name)] = (number, False)
        below.setdefault(fold_name(division.name), (number, False))
        if variant := _PROVINCE_VARIANTS.get(division.name):
            below.setdefault(fold_name(variant), (number, False))


def _name_renamed(divisions: list[Division], names: dict[int, dict[str, tuple[int, bool]]]) -> None:
    by_path = {
        (divisions[divisions[division.parent].parent].name, divisions[division.parent].name, division.name): number
        for number, division in enumerate(divisions)
    }
    cities = {
        (divisions[division.parent].name, division.name): number
        for number, division in enumerate(divisions)
        if division.level == CITY
    }
    for old_province, old_city, old_county, *new in load_address_data()["renamed"]:
        number = by_path.get((new[0], new[1], new[2]))
        city = cities.get((old_province, old_city))
        if number is not None and city is not None:
            names.setdefault(city, {}).setdefault(fold_name(old_county), (number, False))


def _name_skipping_a_level(divisions: list[Division], names: dict[int, dict[str, tuple[int, bool]]]) -> None:
    """Let a city follow nothing, a county its province or nothing, a town its city, where only one is so called."""
    skips: list[tuple[int, str, int]] = []
    for number, division in enumerate(divisions[1:], start=1):
        above = divisions[division.parent]
        folded = fold_name(division.name)
        if division.level in {CITY, COUNTY, TOWN} and above.parent != division.parent:
            skips.append((above.parent, folded, number))
        if division.level == COUNTY and above.level == CITY and len(folded) > _TWO:
            skips.append((COUNTRY, folded, number))
    counts = Counter((parent, folded) for parent, folded, _ in skips)
    for parent, folded, number in skips:
        if counts[parent, folded] == 1 and not (parent == COUNTRY and divisions[number].level == TOWN):
            names.setdefault(parent, {}).setdefault(folded, (number, False))


def _name_in_short(
    divisions: list[Division], shorts: dict[int, str], names: dict[int, dict[str, tuple[int, bool]]]
) -> None:
    """Let 江苏, 南京 and 昆山 stand for 江苏省, 南京市 and 昆山市; never 鼓楼 for a district."""
    for number, short in shorts.items():
        division = divisions[number]
        folded = fold_name(short)
        if len(folded) < _TWO or division.is_district or folded == fold_name(division.name):
            continue
        above = divisions[division.parent]
        if above.name != division.name:
            names.setdefault(division.parent, {}).setdefault(folded, (number, True))
        if division.level == CITY:
            target = names[COUNTRY].get(folded)
            if target is None or divisions[target[0]].name == division.name:
                names[COUNTRY][folded] = (number, True)
        elif division.level == COUNTY and above.level == CITY:
            names.setdefault(above.parent, {}).setdefault(folded, (number, True))
