"""The words addresses are made of: real regions, invented roads and estates, and the forms a numeral can take."""

from __future__ import annotations

from functools import cache

REGIONS = (
    ("浙江省", "杭州市", "余杭区"),
    ("浙江省", "宁波市", "鄞州区"),
    ("浙江省", "义乌市", "稠城街道"),
    ("江苏省", "南京市", "江宁区"),
    ("江苏省", "苏州市", "吴中区"),
    ("上海市", "上海市", "闵行区"),
    ("上海市", "上海市", "浦东新区"),
    ("广东省", "广州市", "天河区"),
    ("广东省", "深圳市", "龙岗区"),
    ("广东省", "东莞市", "南城街道"),
    ("北京市", "北京市", "朝阳区"),
    ("北京市", "北京市", "昌平区"),
    ("四川省", "成都市", "武侯区"),
    ("重庆市", "重庆市", "渝北区"),
    ("湖北省", "武汉市", "洪山区"),
    ("湖南省", "长沙市", "岳麓区"),
    ("河南省", "郑州市", "金水区"),
    ("山东省", "青岛市", "市北区"),
    ("山东省", "济南市", "历下区"),
    ("福建省", "厦门市", "思明区"),
    ("陕西省", "西安市", "雁塔区"),
    ("辽宁省", "沈阳市", "和平区"),
    ("黑龙江省", "哈尔滨市", "南岗区"),
    ("安徽省", "合肥市", "蜀山区"),
    ("江西省", "南昌市", "青山湖区"),
    ("广西壮族自治区", "南宁市", "青秀区"),
    ("云南省", "昆明市", "五华区"),
    ("新疆维吾尔自治区", "乌鲁木齐市", "天山区"),
)
REGION_FORMS = ("full", "no_province", "repeated", "contradictory")

_FIRST = "嘉翠锦云晨星春秋金玉兰竹松枫湖溪"
_SECOND = "和园庭泽华安宁康祥悦澜岸林苑"
ROADS = tuple(f"{a}{b}{kind}" for a in _FIRST for b in "泰兴业学文丰" for kind in ("路", "街", "大道"))
"""Invented; some may exist somewhere by chance, as road names do."""

_ESTATES = tuple(f"{a}{b}{kind}" for a in _FIRST for b in _SECOND for kind in ("花园", "小区", "府"))
_STATIONS = tuple(
    f"{a}{b}{kind}" for a in _FIRST for b in _SECOND for kind in ("菜鸟驿站", "丰巢快递柜", "快递代收点", "妈妈驿站")
)
_CAMPUSES = tuple(f"{a}{b}学院{side}校区" for a in _FIRST for b in _SECOND for side in "东西南北")
_TOWERS = tuple(f"{a}{b}{kind}" for a in _FIRST for b in _SECOND for kind in ("大厦", "科技园", "国际中心"))
_VILLAGES = tuple(f"{a}{b}镇{c}家村" for a in _FIRST for b in _SECOND for c in "上下前后")
NAMES = (_ESTATES, _STATIONS, _CAMPUSES, _TOWERS, _VILLAGES)
"""Names of places, by place kind."""

UNIT_WORDS = (
    (("栋", "单元", "室"), ("幢", "-", ""), ("号楼", "单元", ""), ("棟", "單元", "室")),
    (("", "", ""), ("", "", ""), ("", "", ""), ("", "", "")),
    (("号宿舍楼", "", "室"), ("栋", "", ""), ("号楼", "", "寝室"), ("棟", "", "室")),
    (("座", "", "室"), ("号楼", "", ""), ("栋", "", "房"), ("棟", "", "室")),
    (("组", "", "号"), ("队", "", "号"), ("组", "", ""), ("組", "", "號")),
)
"""Words after building, unit and room, by place kind and synonym; the last synonym uses variant characters."""
VARIANT = 3

JUNK = ("", " ", "★", "丶", "\u200b", "·", "🌸", "。")
INNER_JUNK = ("", "", "丶", "·", "\u200b", "★", "", "-")
HONEST_SPACE_RATE = 0.08
SUFFIXES = ("", "(放门口)", "放驿站", "A", "-1", "旁边", "送货上门")
HONEST_SUFFIXES = (0.88, 0.06, 0.04, 0.0, 0.0, 0.0, 0.02)
HONEST_NUMERALS = (0.97, 0.02, 0.0, 0.01, 0.0, 0.0)

NUMERALS = ("arabic", "full_width", "circled", "chinese", "formal", "roman")
N_NUMBERS = 3000
_LAST_CIRCLED = 20


def _circle(number: int) -> str:
    return "⓪" if number == 0 else chr(ord("①") + number - 1)


_DIGITS = {
    "arabic": "0123456789",
    "full_width": "０１２３４５６７８９",
    "circled": "".join(_circle(digit) for digit in range(10)),
    "chinese": "〇一二三四五六七八九",
    "formal": "零壹贰叁肆伍陆柒捌玖",
}
_ROMAN = ("", "Ⅰ", "Ⅱ", "Ⅲ", "Ⅳ", "Ⅴ", "Ⅵ", "Ⅶ", "Ⅷ", "Ⅸ", "Ⅹ", "Ⅺ", "Ⅻ")
_RESPELLINGS = str.maketrans("嘉和园翠云", "佳合圆萃芸")

_SWAPS = {
    "嘉": "佳加家", "翠": "萃粹悴", "锦": "绵金綿", "云": "芸耘匀", "晨": "辰宸臣", "星": "惺兴腥", "春": "椿舂纯",
    "秋": "楸邱丘", "金": "全今锦", "玉": "王钰育", "兰": "蓝岚三", "竹": "竺烛筑", "松": "凇淞公", "枫": "风峰机",
    "湖": "胡糊葫", "溪": "西汐奚", "和": "合禾河", "园": "圆苑元", "庭": "廷亭婷", "泽": "择则译", "华": "桦化花",
    "安": "案鞍按", "宁": "柠咛丁", "康": "糠慷抗", "祥": "翔详样", "悦": "月越阅", "澜": "兰阑斓", "岸": "案按崖",
    "林": "琳霖木", "苑": "院远宛", "泰": "太态秦", "兴": "幸杏星", "业": "亚叶液", "学": "雪穴字", "文": "纹闻交",
    "丰": "沣枫三",
}  # fmt: skip
N_SWAPS = 12

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗郑梁谢宋唐许韩冯邓曹"
GIVEN = "安宁康和文明清雨晴晨春夏秋冬云松竹梅兰青平静思远嘉欣悦乐佳瑞祥丰泽润涵若子一可"
"""Common syllables; whoever bears a name they make bears it by chance."""


def respell(name: str) -> str:
    """Replace characters by others that sound or look alike."""
    return name.translate(_RESPELLINGS)


def swap(name: str, variant: int) -> str:
    """Replace some characters by one of the others that sound or look alike; variants from 0 to `N_SWAPS` - 1."""
    is_swapped = [char in _SWAPS for char in name]
    which = [at for at, is_one in enumerate(is_swapped) if is_one]
    chosen = {which[variant % len(which)], which[variant // 3 % len(which)]} if which else set()
    return "".join(
        _SWAPS[char][(variant + at) % len(_SWAPS[char])] if at in chosen else char for at, char in enumerate(name)
    )


@cache
def list_spellings() -> tuple[list[str], list[str]]:
    """List roads and names of places, each in all spellings: plain, respelt, swapped; one spelling after the other."""
    names = [name for kind_names in NAMES for name in kind_names]
    swapped = [[swap(text, variant) for variant in range(N_SWAPS) for text in texts] for texts in (list(ROADS), names)]
    return [*ROADS, *ROADS, *swapped[0]], [*names, *map(respell, names), *swapped[1]]


def write_region(at: int, form: str, far: int) -> str:
    """Write a region in one of `REGION_FORMS`; a contradictory one begins with the region `far` places on."""
    province, city, district = REGIONS[at]
    chain = f"{city}{district}" if province == city else f"{province}{city}{district}"
    if form == "no_province":
        return f"{city}{district}"
    if form == "repeated":
        return f"{chain}{city}{district}"
    if form == "contradictory":
        other = REGIONS[(at + far) % len(REGIONS)]
        return f"{other[0]}{other[1]}{district}"
    return chain


@cache
def list_numerals() -> list[str]:
    """List 0 to `N_NUMBERS` - 1 in each form of `NUMERALS`, one form after the other; 0 is left blank."""
    return [_write_number(number, form) for form in NUMERALS for number in range(N_NUMBERS)]


def _write_number(number: int, form: str) -> str:
    if number == 0:
        return ""
    if form == "roman":
        return _ROMAN[number] if number < len(_ROMAN) else str(number)
    if form == "circled" and number <= _LAST_CIRCLED:
        return _circle(number)
    return "".join(_DIGITS[form][int(digit)] for digit in str(number))
