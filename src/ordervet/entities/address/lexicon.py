"""The words of an address: classes of characters, units of numbers, endings of names, kinds of places.

Everything here is data. ``parser.py`` reads it as dictionaries; the core reads the same tables as arrays
(``arrays.py``). The rules that use it are numbered in docs/addresses.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = [
    "CAREFUL_TRAP_WORDS",
    "ESTATE_ENDINGS",
    "ESTATE_WORDS",
    "EXTENSION_WORDS",
    "FULL_TRAP",
    "GENERIC_ENDINGS",
    "NOTE_STARTS",
    "NUMERALS",
    "PLACE_WORDS",
    "RECIPIENT_WORDS",
    "RELATIVE_SIGNS",
    "ROAD_AFTER_WORDS",
    "ROAD_ENDINGS",
    "SEPARATORS",
    "SKIPPED_NAMES",
    "SKIPPED_REGION_WORDS",
    "STAIR_WORDS",
    "TRAP_WORDS",
    "UNITS",
    "UNIT_TRAPS",
    "ZONE_WORDS",
    "CharClass",
    "PlaceType",
    "Unit",
]


class CharClass(IntEnum):
    """What a folded character is to the parser."""

    NAME = 0
    DIGIT = 1
    NUMERAL = 2
    LETTER = 3
    SPACE = 4
    HYPHEN = 5
    BREAK = 6
    HASH = 7
    STAR = 8
    JUNK = 9
    COMMA = 10


class Unit(IntEnum):
    """What a number counts. The order is that of the canonical text; up to BUILDING it is part of the building key."""

    NUMBER = 0
    LANE = 1
    SECTION = 2
    GROUP = 3
    BUILDING = 4
    STAIR = 5
    FLOOR = 6
    ROOM = 7


class PlaceType(IntEnum):
    """What kind of place an address is. At a shared place, sharing alone says little."""

    UNKNOWN = 0
    HOUSEHOLD = 1
    DORMITORY = 2
    OFFICE = 3
    PICK_UP = 4
    WAREHOUSE = 5
    CAMPUS = 6
    HOSPITAL = 7
    HOTEL = 8
    SHOP = 9
    VILLAGE = 10


SEPARATORS: Final = {
    CharClass.SPACE: " \t\n\r\v\f./\\|&+",
    CharClass.COMMA: ",;:",
    CharClass.HYPHEN: "-_~",
    CharClass.BREAK: "()[]{}<>",
    CharClass.HASH: "#",
    CharClass.STAR: "*",
    CharClass.JUNK: "!\"$%'=?@^`",
}
"""The ASCII signs; other signs are folded to one of them or dropped."""

NUMERALS: Final = {
    **dict(zip("〇零一二三四五六七八九", (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)),
    **dict(zip("壹贰叁肆伍陆柒捌玖", range(1, 10), strict=True)),
    **dict(zip("十拾百佰千仟廿卅", (10, 10, 100, 100, 1000, 1000, 20, 30), strict=True)),
}
"""Chinese numerals; from 10 on they multiply (廿 and 卅 add)."""

STAIR_WORDS: Final = ("门", "梯")
"""Units only right after a building: 三门路 and 三门峡 are names."""

UNITS: Final = {
    Unit.NUMBER: ("号", "号院", "号大院"),
    Unit.LANE: ("弄", "巷", "支弄"),
    Unit.SECTION: ("期", "区", "段", "排", "社区"),
    Unit.GROUP: (
        "组",
        "队",
        "小组",
        "村民组",
        "村民小组",
        "生产队",
        "社",
        "连",
        "分队",
        "中队",
        "大队",
        "支队",
        "分箱",
    ),
    Unit.BUILDING: (
        *("栋", "幢", "座", "号楼", "号栋", "号幢", "号座", "栋楼", "幢楼", "#", "#楼", "#栋", "#幢", "号#"),
        *("号厂房", "号公寓", "号宿舍", "号宿舍楼", "舍", "号舍", "舍楼"),
    ),
    Unit.STAIR: ("单元", "号单元", "单元门", "号门", *STAIR_WORDS),
    Unit.FLOOR: ("层", "楼", "楼层"),
    Unit.ROOM: (
        *("室", "房", "户", "房间", "号室", "号房", "号户", "号房间", "铺", "商铺", "号铺", "号商铺"),
        *("寝室", "号寝室", "宿舍"),
    ),
}
"""The words after a number."""

UNIT_TRAPS: Final = "路街道桥村口站"
"""After a unit these make the whole a name: 三号路, 二号桥, 四号口."""

ROAD_ENDINGS: Final = {
    "路": "口南北东西侧边旁段桥站",
    "街": "道区口坊市",
    "巷": "口子",
    "大道": "口",
    "胡同": "口",
}
"""A name that ends so is a road, and the next one begins, unless one of the characters beside it follows."""

ESTATE_WORDS: Final = {
    **dict.fromkeys(("小区", "花园", "家园", "新村", "公寓", "大厦", "公馆", "广场"), "路街巷道店站"),
    **dict.fromkeys(("工业园", "科技园", "产业园"), "路街巷道店站区"),
    **dict.fromkeys(
        ("佳园", "嘉园", "名苑", "雅苑", "花苑", "华庭", "豪庭", "华府", "别墅", "雅居", "名邸"), "路街巷道店站"
    ),
}
"""A name that ends so is an estate, and the next one begins, unless one of the characters beside it follows."""

ZONE_WORDS: Final = (
    *(
        "高新区",
        "高新技术区",
        "高新开发区",
        "高新技术开发区",
        "高新产业开发区",
        "高新技术产业开发区",
        "高技术产业开发区",
    ),
    *("高新技术产业园区", "经开区", "经济区", "经济开发区", "经济技术开发区", "开发区", "新技术开发区", "新区"),
    *("保税区", "保税港区", "综合保税区", "综保区", "出口加工区", "空港区", "航空港区", "航空港经济综合实验区"),
    *("综合实验区", "自贸区", "自贸试验区", "自由贸易试验区", "示范区", "度假区", "管理区", "工业园区", "产业园区"),
)
"""A name right behind the region that ends so is a zone, in place of a district or within it: 高新区狮山路."""

ESTATE_ENDINGS: Final = "区园苑城府馆村厦场寓庄屯湾庭居邸郡墅里坊轩阁院厂楼校学镇乡路街巷道"
"""A name after the last number is a location if it ends so; else it is a note or a shop's name."""

NOTE_STARTS: Final = "放请送勿麻联电谢"
"""A name after the last number that begins so is a note to the courier."""

SKIPPED_NAMES: Final = (
    *("附", "副", "之", "内", "院内", "院", "楼", "门", "旁", "新", "老", "收", "女士", "先生", "小姐"),
    *("宿舍楼", "居民楼", "住宅楼", "门口", "大门口", "门前", "楼下", "楼道"),
    *("收货人", "收件人", "姓名", "地址", "收货地址", "详细地址", "收件地址", "所在地区"),
    *(
        "小区",
        "社区",
        "生活区",
        "住宅区",
        "学生公寓",
        "学生宿舍",
        "无",
        "暂无",
        "自提",
        "同上",
        "无地址",
        "上门自提",
        "到店自提",
    ),
)
"""What is left between two numbers, or stands alone, and names nothing."""

GENERIC_ENDINGS: Final = (
    *("小区", "社区", "生活区", "住宅区", "住宅小区", "电话", "手机"),
    *("学生公寓", "学生宿舍", "学生公寓楼", "学生宿舍楼", "学生公寓区", "学生宿舍区"),
)
"""Ends of names that are as often left out as written: 阳光(小区); and what announces a phone behind a person."""

EXTENSION_WORDS: Final = (
    *("转", "分机", "转分机", "分机号", "联系人"),
    *("电话", "手机", "手机号", "手机号码", "联系电话", "联系手机", "联系方式", "电话号码", "虚拟号", "隐私号"),
    *("取件码", "取货码", "提货码", "验证码", "校验码", "暗号", "门禁码", "门禁密码", "密码", "尾号"),
    *("邮编", "邮政编码", "微信", "微信号", "旺旺"),
)
"""Before a number: it is dialled or typed in, and belongs to the order or its recipient."""

RECIPIENT_WORDS: Final = ("收货人", "收件人", "收货人姓名", "收件人姓名", "姓名", "联系人")
"""Before a person's name, which belongs to the order."""

SKIPPED_REGION_WORDS: Final = ("中国", "市辖区", "省直辖县级行政区划", "省直辖行政区划", "办事处")

_DIRECTIONS: Final = "东西南北中大新前后一二三四五六七八九十"

FULL_TRAP: Final = "场"
"""After a region's full name this makes another word of its end: 南京市场."""

TRAP_WORDS: Final = (
    *"路街道巷弄桥门站港村苑园楼店里区县市州旗盟",
    *(direction + ending for direction in _DIRECTIONS for ending in "路街道巷村里桥"),
    *("花园", "广场", "小区", "大厦", "大学", "饭店", "酒店", "公寓", "医院", "银行", "公馆", "商场", "公园"),
)
"""A short region name (陕西, 南京) before one of these is part of a road's or an estate's name: 陕西南路, 南京大学."""

ROAD_AFTER_WORDS: Final = (
    *(
        word + direction + ending
        for word in ("花园", "广场", "大学", "医院", "银行", "公园", "商场")
        for direction in ("", *"东西南北中")
        for ending in ("路", "街", "大道", "大街")
    ),
    "大学城",
)
"""But before one of these it is a region: 郑州花园路, 济南大学路."""

CAREFUL_TRAP_WORDS: Final = tuple("湖山江河海塘溪桥门寺塔庙祠宫陵公口坊")
"""A district's short name before one of these is part of another name: 玄武湖, 余杭塘路."""

RELATIVE_SIGNS: Final = "东西南北中大小新老前后上下横正纵胡"
"""What is named by these and numerals alone (东一巷, 三街, 西十二) is told only by its town and district."""

PLACE_WORDS: Final = {
    PlaceType.PICK_UP: (
        *("驿站", "菜鸟", "丰巢", "代收", "快递柜", "自提", "快递点", "快递站", "兔喜", "快递超市", "收发室"),
        *("代办点", "蜂巢", "智能柜", "提货点", "速递易"),
    ),
    PlaceType.HOSPITAL: ("医院", "卫生院", "门诊", "诊所", "住院部", "卫生所", "卫生服务"),
    PlaceType.DORMITORY: ("宿舍", "寝室", "学生公寓", "员工公寓", "青年公寓", "人才公寓", "集体户"),
    PlaceType.CAMPUS: ("大学", "学院", "学校", "中学", "小学", "幼儿园", "校区", "技校", "职校", "党校"),
    PlaceType.WAREHOUSE: ("仓库", "物流", "转运", "集运", "货代", "保税", "仓储", "货运", "冷库", "号仓"),
    PlaceType.HOTEL: ("酒店", "宾馆", "旅馆", "旅店", "民宿", "招待所", "客栈", "饭店"),
    PlaceType.OFFICE: (
        *("大厦", "写字楼", "公司", "科技园", "产业园", "软件园", "工业园", "工业区", "创业园", "商务", "集团"),
        *("办公楼", "总部", "孵化", "委员会", "派出所", "法院", "工厂", "厂房"),
    ),
    PlaceType.SHOP: ("超市", "商店", "市场", "广场", "商铺", "门面", "商场", "购物", "药店", "便利店", "专卖店"),
    PlaceType.HOUSEHOLD: (
        *("小区", "花园", "家园", "新村", "公寓", "公馆", "佳园", "嘉园", "名苑", "雅苑", "花苑", "华庭", "豪庭"),
        *("华府", "社区", "别墅", "雅居"),
    ),
}
"""Words, of two characters or more, that tell the kind of a place; an earlier kind wins."""
