"""China's administrative divisions, as chains: a name is a region only where its parent's name may stand before it.

上海市陕西南路 is a road in Shanghai, for Shaanxi is no part of Shanghai; 鼓楼区 is four districts, and which one is
meant only the city before it tells.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final

from ordervet.entities.address.data import load_address_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["COUNTRY", "Division", "Divisions", "NameKind", "load_divisions"]

PROVINCE, CITY, COUNTY, TOWN = range(4)
COUNTRY: Final = 0
"""Number of the root division, above the provinces."""

_PROVINCE_VARIANTS: Final = {
    "广西壮族自治区": "广西自治区",
    "宁夏回族自治区": "宁夏自治区",
    "新疆维吾尔自治区": "新疆自治区",
    "香港": "香港特别行政区",
    "澳门": "澳门特别行政区",
}
_PROVINCE_SHORTS: Final = {"内蒙古自治区": "内蒙"}
_AUTONOMOUS: Final = {"自治州": "州", "自治县": "县", "自治旗": "旗"}
"""How a name ends in full → what people write."""
_ZONES: Final = ("园区", "开发区", "高新区", "新区", "产业园", "实验区", "示范区")
_CUSTOMARY: Final = (
    *(("新疆维吾尔自治区", "巴音郭楞蒙古自治州", "巴州"), ("新疆维吾尔自治区", "博尔塔拉蒙古自治州", "博州")),
    *(
        ("新疆维吾尔自治区", "克孜勒苏柯尔克孜自治州", "克州"),
        ("新疆维吾尔自治区", "克孜勒苏柯尔克孜自治州", "克孜勒苏州"),
    ),
    *(
        ("内蒙古自治区", "锡林郭勒盟", "锡盟"),
        ("内蒙古自治区", "阿拉善盟", "阿盟"),
        ("内蒙古自治区", "巴彦淖尔市", "巴盟"),
    ),
    *(
        ("内蒙古自治区", "乌兰察布市", "乌盟"),
        ("内蒙古自治区", "鄂尔多斯市", "伊盟"),
        ("内蒙古自治区", "通辽市", "哲盟"),
    ),
    *(
        ("内蒙古自治区", "赤峰市", "昭盟"),
        ("内蒙古自治区", "呼伦贝尔市", "呼盟"),
        ("内蒙古自治区", "呼和浩特市", "呼市"),
    ),
    *(("云南省", "西双版纳傣族自治州", "版纳州"), ("湖南省", "湘西土家族苗族自治州", "湘西自治州")),
    *(("湖北省", "恩施土家族苗族自治州", "恩施自治州"), ("吉林省", "延边朝鲜族自治州", "延边自治州")),
    *(("咸阳市", "杨陵区", "杨凌区"), ("咸阳市", "杨陵区", "杨凌示范区"), ("咸阳市", "杨陵区", "杨凌")),
    *(("佛山市", "南海区", "南海市"), ("郑州市", "郑州航空港经济综合实验区", "航空港区")),
)
"""Names in daily use that follow from no other table, as the divisions' own sites have them: above, today's, and it."""
_UPGRADED: Final = {"街道": ("镇", "街"), "镇": ("乡",)}
"""How the name of a town ends → how people write it: as it was before (民政部, 乡改镇, 镇改街道), or shorter."""
_PEOPLES_LISTED = """
蒙古族 回族 藏族 维吾尔族 苗族 彝族 壮族 布依族 朝鲜族 满族 侗族 瑶族 白族 土家族
哈尼族 哈萨克族 傣族 黎族 傈僳族 佤族 畲族 高山族 拉祜族 水族 东乡族 纳西族 景颇族
柯尔克孜族 土族 达斡尔族 仫佬族 羌族 布朗族 撒拉族 毛南族 仡佬族 锡伯族 阿昌族 普米族
塔吉克族 怒族 乌孜别克族 俄罗斯族 鄂温克族 德昂族 保安族 裕固族 京族 塔塔尔族 独龙族
鄂伦春族 赫哲族 门巴族 珞巴族 基诺族 各族 蒙古 哈萨克 柯尔克孜
"""
_PEOPLES: Final = tuple(sorted(_PEOPLES_LISTED.split(), key=len, reverse=True))
"""The peoples of GB/T 3304, as names of autonomous divisions have them."""
_PLACEHOLDER: Final = "直辖行政区划"
_TWO: Final = 2


class NameKind(IntEnum):
    """How surely a name is a region's: 南京市; 南京, where nothing undoes it; 余杭, where a road or a place follows."""

    FULL = 0
    SHORT = 1
    CAREFUL = 2


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
        return self.level == COUNTY and self.name.endswith("区") and not self.name.endswith("林区")

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
    names : parent's number → folded name → (number, kind of name)
    """

    all: list[Division]
    names: dict[int, dict[str, tuple[int, NameKind]]] = field(repr=False)

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
    names: dict[int, dict[str, tuple[int, NameKind]]] = {}
    _name_in_full(divisions, names)
    _name_skipping_a_level(divisions, ((each.name, number) for number, each in enumerate(divisions) if number), names)
    # NOTE: the names of today come first; one of before counts where none of today is so called.
    others = [*_list_customary(divisions), *_list_former(divisions)]
    for parent, name, number in [*others, *_list_zones(divisions, shorts)]:
        _put(names, parent, name, number, NameKind.FULL)
    for parent, name, number, kind in _list_towns(divisions, others):
        _put(names, parent, name, number, kind)
    _name_skipping_a_level(divisions, dict.fromkeys((name, number) for _, name, number in others), names)
    _name_in_short(divisions, shorts, names)
    _name_districts_in_short(divisions, shorts, others, names)
    return Divisions(divisions, names)


def _put(
    names: dict[int, dict[str, tuple[int, NameKind]]], parent: int, name: str, number: int, kind: NameKind
) -> None:
    """Let a name follow a division, unless it stands there for another."""
    names.setdefault(parent, {}).setdefault(fold_name(name), (number, kind))


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
            is_city = level == CITY and len(name) > _TWO and codes[1] == name
            shorts[len(divisions)] = name.removesuffix("市") if is_city else codes[1]  # 吉林市
        divisions.append(Division(name, level, parent, code))
    return divisions, shorts


def _name_in_full(divisions: list[Division], names: dict[int, dict[str, tuple[int, NameKind]]]) -> None:
    for number, division in enumerate(divisions[1:], start=1):
        below = names.setdefault(division.parent, {})
        # A municipality is a province and its only city in one: the name leads to the city.
        above = divisions[division.parent]
        if division.level == CITY and above.name == division.name:
            names.setdefault(COUNTRY, {})[fold_name(division.name)] = (number, NameKind.FULL)
        below.setdefault(fold_name(division.name), (number, NameKind.FULL))
        if variant := _PROVINCE_VARIANTS.get(division.name):
            below.setdefault(fold_name(variant), (number, NameKind.FULL))
        if short := _PROVINCE_SHORTS.get(division.name):
            below.setdefault(short, (number, NameKind.SHORT))


def _list_customary(divisions: list[Division]) -> Iterator[tuple[int, str, int]]:
    """List what people call autonomous prefectures and counties: 恩施州, 景宁县."""
    for number, division in enumerate(divisions):
        for ending, short_ending in _AUTONOMOUS.items():
            core = _strip_peoples(division.name.removesuffix(ending))
            if division.name.endswith(ending) and len(core) >= _TWO:
                yield division.parent, core + short_ending, number
        for above, name, customary in _CUSTOMARY:
            if division.name == name and divisions[division.parent].name == above:
                yield division.parent, customary, number


def _list_towns(
    divisions: list[Division], others: list[tuple[int, str, int]]
) -> Iterator[tuple[int, str, int, NameKind]]:
    """List what people call towns: 大石街 for 大石街道, where a road or a place follows, and 金沙镇 for what it became.

    Of a former name that swallows the first character of a town, as in 番禺市桥街道, both together are the town.
    """
    by_start: dict[tuple[int, str], list[int]] = {}
    for number, division in enumerate(divisions):
        if division.level != TOWN:
            continue
        by_start.setdefault((division.parent, division.name[0]), []).append(number)
        for ending, written in _UPGRADED.items():
            core = division.name.removesuffix(ending)
            if division.name.endswith(ending) and len(core) >= _TWO:
                kinds = [(each, NameKind.CAREFUL if each == "街" else NameKind.FULL) for each in written]
                yield from ((division.parent, core + each, number, kind) for each, kind in kinds)
    for parent, name, number in others:
        for town in by_start.get((number, name[-1]), ()):
            for above in (parent, divisions[parent].parent, COUNTRY):
                yield above, name[:-1] + divisions[town].name, town, NameKind.FULL


def _list_zones(divisions: list[Division], shorts: dict[int, str]) -> Iterator[tuple[int, str, int]]:
    """List zones without the name of their city, behind which alone they are meant: 工业园区."""
    for number, division in enumerate(divisions):
        city = shorts.get(division.parent, "")
        if division.level == COUNTY and city and division.name.startswith(city) and division.name.endswith(_ZONES):
            yield division.parent, division.name.removeprefix(city), number


def _strip_peoples(name: str) -> str:
    """Take the names of peoples from the end: 恩施土家族苗族 → 恩施."""
    while people := next((each for each in _PEOPLES if name.endswith(each) and len(name) > len(each)), ""):
        name = name.removesuffix(people)
    return name


def _list_former(divisions: list[Division]) -> list[tuple[int, str, int]]:
    """List names of before with the division that each is today: below its city of today, and cities below a province.

    A city that is none any more (莱芜市) stands for the one that all its counties belong to.
    """
    found = {(_parent_name(divisions, number), division.name): number for number, division in enumerate(divisions)}
    provinces = {division.name: number for number, division in enumerate(divisions) if division.level == PROVINCE}
    listed: list[tuple[int, str, int]] = []
    moved: dict[tuple[str, str], set[int]] = {}
    for old_province, old_city, old_name, *new in [*load_address_data()["renamed"], *load_address_data()["former"]]:
        city = new[0] if new[1] in {"直辖", new[2]} else new[1]
        number = found.get((city, new[2]), found.get((new[0], new[2])))
        if number is None or (len(old_name) <= _TWO and not old_name.endswith("县")):
            continue
        listed.append((divisions[number].parent, old_name, number))
        if divisions[number].level == COUNTY and old_city not in {"直辖", old_name}:
            moved.setdefault((old_province, old_city), set()).add(divisions[number].parent)
    for (province, city), targets in moved.items():
        (target,) = targets if len(targets) == 1 else (COUNTRY,)
        if divisions[target].level == CITY and province in provinces:
            listed.append((provinces[province], city, target))
    return listed


def _parent_name(divisions: list[Division], number: int) -> str:
    return divisions[divisions[number].parent].name


def _name_skipping_a_level(
    divisions: list[Division], listed: Iterable[tuple[str, int]], names: dict[int, dict[str, tuple[int, NameKind]]]
) -> None:
    """Let a city follow nothing, a county its province or nothing, a town its city, where only one is so called."""
    skips: list[tuple[int, str, int]] = []
    for name, number in listed:
        division, folded = divisions[number], fold_name(name)
        above = divisions[division.parent]
        if division.level in {CITY, COUNTY, TOWN} and above.parent != division.parent:
            skips.append((above.parent, folded, number))
        if division.level == COUNTY and above.level == CITY and len(folded) > _TWO:
            skips.append((COUNTRY, folded, number))
    counts = Counter((parent, folded) for parent, folded, _ in skips)
    for parent, folded, number in skips:
        if counts[parent, folded] == 1 and not (parent == COUNTRY and divisions[number].level == TOWN):
            names.setdefault(parent, {}).setdefault(folded, (number, NameKind.FULL))


def _name_in_short(
    divisions: list[Division], shorts: dict[int, str], names: dict[int, dict[str, tuple[int, NameKind]]]
) -> None:
    """Let 江苏, 南京 and 昆山 stand for 江苏省, 南京市 and 昆山市."""
    for number, short in shorts.items():
        division = divisions[number]
        folded = fold_name(short)
        if len(folded) < _TWO or division.is_district or folded == fold_name(division.name):
            continue
        above = divisions[division.parent]
        if above.name != division.name:
            names.setdefault(division.parent, {}).setdefault(folded, (number, NameKind.SHORT))
        if division.level == CITY:
            target = names[COUNTRY].get(folded)
            if target is None or divisions[target[0]].name == division.name:
                names[COUNTRY][folded] = (number, NameKind.SHORT)
        elif division.level == COUNTY and above.level == CITY:
            names.setdefault(above.parent, {}).setdefault(folded, (number, NameKind.SHORT))


def _name_districts_in_short(
    divisions: list[Division],
    shorts: dict[int, str],
    others: list[tuple[int, str, int]],
    names: dict[int, dict[str, tuple[int, NameKind]]],
) -> None:
    """Let 余杭 stand for 余杭区 behind 杭州 or 浙江, and 闸北 for what it is today, where a road or a place follows."""
    wanted = [(number, short) for number, short in shorts.items() if divisions[number].is_district]
    wanted += [
        (number, name[:-1]) for _, name, number in others if name[-1] in "区县市" and divisions[number].level == COUNTY
    ]
    below: list[tuple[int, str, int]] = []
    for number, short in wanted:
        division = divisions[number]
        above = divisions[division.parent]
        if len(short) < _TWO or above.level not in {PROVINCE, CITY}:
            continue
        below.append((division.parent, short, number))
        if above.level == CITY:
            below.append((above.parent, short, number))
    targets: dict[tuple[int, str], set[int]] = {}
    for parent, short, number in below:
        targets.setdefault((parent, short), set()).add(number)
    for parent, short, number in below:
        if parent != COUNTRY and len(targets[parent, short]) == 1:
            _put(names, parent, short, number, NameKind.CAREFUL)
