"""Made-up addresses, the tricks that disguise them, and pairs that differ in one thing: all from a seed."""

# ruff: noqa: S311 - nothing here is secret

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from ordervet.entities.address.divisions import CITY, COUNTY, TOWN, load_divisions

if TYPE_CHECKING:
    from collections.abc import Callable

LOW_DANGER = ("junk", "digits", "variants", "synonyms", "region", "reorder")
TRICKS = (*LOW_DANGER, "numerals", "suffix")
DIFFERENCES = ("building", "stair", "floor", "room", "number", "road", "county", "city")

_ROAD_STARTS = (
    *["中山", "人民", "解放", "建设", "和平", "新华", "八一", "九江", "三里屯", "长江", "黄河", "陕西"],
    *["五道口", "学府", "文昌", "朝阳", "迎宾", "四平", "江宁", "六合", "南湖", "滨河", "凤凰", "望江"],
)
_ROAD_ENDS = ("路", "东路", "西路", "南路", "北路", "中路", "大街", "大道", "街", "巷", "一路", "三路")
_ESTATE_STARTS = (
    *("阳光", "金色", "翠湖", "万科", "碧桂", "梧桐", "锦绣", "东方", "世纪", "三里"),
    *("七彩", "百合", "银河", "海棠", "丽景", "盛世", "九龙", "御景", "书香", "云顶"),
)
_ESTATE_ENDS = ("小区", "花园", "家园", "新村", "公寓", "嘉园", "华府", "名苑", "雅居", "华庭")
_JUNK = "★☆●◆♥※→丶丨^@!？“”=😀🏠\u200b\u200c\ufeff"
_TRADITIONAL = dict(
    zip("号栋楼单层东华园区广门县苏宁云乐龙业万万", "號棟樓單層東華園區廣門縣蘇寧雲樂龍業萬萬", strict=True)
)
_HAN = "〇一二三四五六七八九"
_CAPITAL = "零壹贰叁肆伍陆柒捌玖"


@dataclass(frozen=True)
class Parts:
    """A made-up address before it is written."""

    province: str
    city: str
    county: str
    town: str
    is_county_unique: bool
    road: str
    number: int
    estate: str
    building: int
    stair: int
    floor: int
    room: int


@cache
def cities(n_cities: int = 300) -> list[int]:
    """Choose prefecture cities, and municipalities, that have counties: the first of the table."""
    divisions = load_divisions()
    with_counties = Counter(division.parent for division in divisions.all if division.level == COUNTY)
    return [n for n, division in enumerate(divisions.all) if division.level == CITY and with_counties[n] > 1][:n_cities]


@cache
def _below(parent: int, level: int) -> list[int]:
    return [
        n for n, division in enumerate(load_divisions().all) if division.parent == parent and division.level == level
    ]


def make_parts(rng: random.Random) -> Parts:
    """Make up an address."""
    divisions = load_divisions()
    city = rng.choice(cities())
    county = rng.choice(_below(city, COUNTY))
    towns = [
        town
        for town in _below(county, TOWN)
        if divisions.all[town].name.endswith("街道")
        and divisions.names[city].get(divisions.all[town].name, (0,))[0] == town
    ]
    province = divisions.all[divisions.all[city].parent].name
    return Parts(
        province=province,
        city=divisions.all[city].name,
        county=divisions.all[county].name,
        town=divisions.all[rng.choice(towns)].name if towns and rng.random() < 0.5 else "",
        is_county_unique=divisions.names[0].get(divisions.all[county].name, (0,))[0] == county,
        road=rng.choice(_ROAD_STARTS) + rng.choice(_ROAD_ENDS),
        number=rng.randint(1, 999),
        estate=rng.choice(_ESTATE_STARTS) + rng.choice(_ESTATE_ENDS),
        building=rng.randint(1, 60),
        stair=rng.choice((0, 1, 2, 3, 4)),
        floor=rng.choice((0, 0, rng.randint(1, 33))),
        room=rng.randint(1, 30) * 100 + rng.randint(1, 8),
    )


def write(parts: Parts) -> str:
    """Write an address plainly."""
    return "".join([_region(parts, "plain"), *_pieces(parts, random.Random(0), frozenset())])


def disguise(parts: Parts, tricks: frozenset[str], rng: random.Random) -> str:
    """Write an address with the tricks named."""
    pieces = _pieces(parts, rng, tricks)
    region = _region(parts, rng.choice(_region_ways(parts)) if "region" in tricks else "plain")
    if "reorder" in tricks:
        road, inside = pieces[0], pieces[1:]
        text = rng.choice(
            (
                region + "".join([*inside[1:], inside[0], road]),
                region + "".join([*inside, road]),
                "".join([road, *inside]) + region,
                region + "".join([road, *inside[:1], *reversed(inside[1:])]),
            )
        )
    else:
        text = region + "".join(pieces)
    if "suffix" in tricks and rng.random() < 0.5:
        text += rng.choice(("(放门口)", "放快递柜", "（送货前电话联系）", "请放门卫室旁"))
    if "variants" in tricks:
        text = "".join(_TRADITIONAL.get(char, char) for char in text)
    if "junk" in tricks:
        for _ in range(rng.randint(1, 4)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(_JUNK) + text[at:]
    return text


def make_pair(rng: random.Random, difference: str) -> tuple[Parts, Parts]:
    """Make up two addresses that differ in exactly one thing."""
    parts = replace(make_parts(rng), town="")
    if difference in {"building", "stair", "floor", "number", "room"}:
        before = getattr(parts, difference) or 1
        step = 100 * rng.randint(1, 3) + rng.randint(0, 3) if difference == "room" else rng.randint(1, 9)
        return replace(parts, **{difference: before}), replace(parts, **{difference: before + step})
    if difference == "road":
        others = [start + end for start in _ROAD_STARTS for end in _ROAD_ENDS if start + end != parts.road]
        return parts, replace(parts, road=rng.choice(others))
    divisions = load_divisions()
    city = next(n for n in cities() if divisions.all[n].name == parts.city and _province(n) == parts.province)
    if difference == "county":
        others = [divisions.all[n].name for n in _below(city, COUNTY) if divisions.all[n].name != parts.county]
        return parts, replace(parts, county=rng.choice(others))
    other = rng.choice([n for n in cities() if n != city])
    return (
        replace(parts, county=""),
        replace(parts, county="", city=divisions.all[other].name, province=_province(other)),
    )


def _province(city: int) -> str:
    divisions = load_divisions()
    return divisions.all[divisions.all[city].parent].name


def _region_ways(parts: Parts) -> list[str]:
    """List what can be left out: a city's province, a unique county's city, a district that the subdistrict tells."""
    ways = ["twice", "no province", "twice no province"]
    if parts.is_county_unique:
        ways += ["county only", "no city"]
    if parts.town:
        ways += ["no county"]
    return ways


def _region(parts: Parts, way: str) -> str:
    province = "" if parts.province == parts.city else parts.province
    whole = province + parts.city + parts.county + parts.town
    return {
        "plain": whole,
        "twice": province + parts.city + parts.county + whole,
        "no province": parts.city + parts.county + parts.town,
        "twice no province": parts.city + parts.county + whole,
        "county only": parts.county + parts.town,
        "no city": (province or parts.city) + parts.county + parts.town,
        "no county": province + parts.city + parts.town,
    }[way]


def _pieces(parts: Parts, rng: random.Random, tricks: frozenset[str]) -> list[str]:
    """Write road, estate, building, stair, floor and room, as tricks want them."""
    spell = _speller(tricks, rng)
    units = {"building": "栋", "stair": "单元", "floor": "层", "room": "室"}
    if "synonyms" in tricks:
        units = {
            "building": rng.choice(("幢", "号楼", "座", "#", "#楼")),
            "stair": rng.choice(("单元", "号单元")),
            "floor": rng.choice(("楼", "F")),
            "room": rng.choice(("室", "房", "户", "号房")) if "reorder" in tricks else rng.choice(("房", "户", "")),
        }
    if units["floor"] == "F" and "numerals" in tricks:
        units["floor"] = "楼"
    room = spell(parts.room)
    if "suffix" in tricks:
        room += rng.choice(("A", "B", "-1", "-2", ""))
    is_dashed = "synonyms" in tricks and "reorder" not in tricks and not parts.floor and rng.random() < 0.3
    if is_dashed:
        numbers = [spell(n) for n in (parts.building, parts.stair) if n] + [room]
        return [f"{parts.road}{spell(parts.number)}号", parts.estate, "-".join(numbers)]
    return [
        f"{parts.road}{spell(parts.number)}号",
        parts.estate,
        f"{spell(parts.building)}{units['building']}",
        f"{spell(parts.stair)}{units['stair']}" if parts.stair else "",
        f"{spell(parts.floor)}{units['floor']}" if parts.floor else "",
        f"{room}{units['room']}",
    ]


def _speller(tricks: frozenset[str], rng: random.Random) -> Callable[[int], str]:
    ways: list[Callable[[int], str]] = [str]
    if "digits" in tricks:
        ways = [_full_width, _circled, _roman]
    if "numerals" in tricks:
        ways = [_han_digits, _han_value, _capital]
    return rng.choice(ways)


def _full_width(number: int) -> str:
    return "".join(chr(ord(digit) - ord("0") + ord("０")) for digit in str(number))


def _circled(number: int) -> str:
    return "".join("⓪①②③④⑤⑥⑦⑧⑨"[int(digit)] for digit in str(number))


def _roman(number: int) -> str:
    return "ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫ"[number - 1] if number <= 12 else _full_width(number)


def _han_digits(number: int) -> str:
    return "".join(_HAN[int(digit)] for digit in str(number))


def _capital(number: int) -> str:
    return "".join(_CAPITAL[int(digit)] for digit in str(number))


def _han_value(number: int) -> str:
    """Write a number as it is spoken: 502 → 五百零二."""
    if number < 10:
        return _HAN[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return (_HAN[tens] if tens > 1 else "") + "十" + (_HAN[ones] if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return _HAN[hundreds] + "百" + _below_hundred(rest)
    thousands, rest = divmod(number, 1000)
    if rest == 0:
        return _HAN[thousands] + "千"
    return _HAN[thousands] + "千" + (_han_value(rest) if rest >= 100 else _below_hundred(rest))


def _below_hundred(rest: int) -> str:
    if rest == 0:
        return ""
    if rest < 10:
        return "零" + _HAN[rest]
    tens, ones = divmod(rest, 10)
    return _HAN[tens] + "十" + (_HAN[ones] if ones else "")
