"""Regions as people write them, and what is no part of the door."""

from __future__ import annotations

import pytest

from ordervet.entities import parse_address
from ordervet.entities.address.address_columns import canonical_texts
from ordervet.entities.address.divisions import NameKind, load_divisions

TAIL = "人民路5号3栋502"


def texts(address: str) -> tuple[str, str]:
    """Read an address by the definition and by the core, which agree."""
    parsed = parse_address(address)
    assert canonical_texts(address) == (parsed.door_text, parsed.place_text)
    return parsed.door_text, parsed.place_text


@pytest.mark.parametrize(
    ("full", "written"),
    [
        ("贵州省黔南布依族苗族自治州都匀市", "贵州省黔南州都匀市"),
        ("湖南省湘西土家族苗族自治州吉首市", "湖南湘西州吉首市"),
        ("云南省红河哈尼族彝族自治州元阳县", "云南省红河州元阳县"),
        ("吉林省延边朝鲜族自治州延吉市", "吉林省延边州延吉市"),
        ("新疆维吾尔自治区巴音郭楞蒙古自治州库尔勒市", "新疆巴音郭楞州库尔勒市"),
        ("四川省凉山彝族自治州西昌市", "四川凉山州西昌市"),
        ("湖北省恩施土家族苗族自治州恩施市", "湖北恩施州恩施市"),
        ("浙江省丽水市景宁畲族自治县", "浙江省丽水市景宁县"),
        ("河北省承德市丰宁满族自治县", "河北省承德市丰宁县"),
        ("湖北省宜昌市长阳土家族自治县", "湖北省宜昌市长阳县"),
        ("湖北省神农架林区木鱼镇", "湖北神农架木鱼镇"),
        ("湖北省神农架林区", "湖北省神农架"),
        ("江苏省苏州市苏州工业园区", "苏州工业园区"),
        ("江苏省苏州市苏州工业园区", "江苏省苏州市工业园区"),
        ("湖北省襄阳市襄城区", "湖北省襄樊市襄城区"),
        ("上海市静安区", "上海市闸北区"),
        ("上海市静安区", "上海闸北"),
        ("上海市黄浦区", "上海市卢湾区"),
        ("上海市浦东新区", "上海市南汇区"),
        ("上海市浦东新区", "上海南汇"),
        ("北京市西城区", "北京市宣武区"),
        ("北京市密云区", "北京市密云县"),
        ("山东省济南市莱芜区", "山东省莱芜市莱城区"),
        ("江苏省苏州市吴江区", "江苏省苏州市吴江市"),
        ("江苏省苏州市吴江区", "江苏吴江市"),
        ("江苏省南京市鼓楼区", "江苏省南京市下关区"),
        ("浙江省杭州市拱墅区", "浙江省杭州市下城区"),
        ("四川省成都市郫都区", "成都郫县"),
        ("四川省成都市双流区", "四川省成都市双流县"),
        ("云南省普洱市思茅区", "云南省思茅市翠云区"),
        ("浙江省杭州市余杭区", "浙江杭州余杭"),
        ("浙江省杭州市余杭区", "杭州余杭"),
        ("浙江省杭州市余杭区", "浙江余杭"),
        ("湖北省武汉市洪山区", "湖北武汉洪山"),
        ("上海市黄浦区", "上海黄浦"),
        ("广东省深圳市南山区", "广东深圳南山"),
        ("广西壮族自治区南宁市青秀区", "广西南宁青秀"),
        ("内蒙古自治区呼和浩特市新城区", "内蒙古呼和浩特新城"),
        ("湖南省长沙市岳麓区", "⻓沙岳麓"),
        ("浙江省杭州市余杭区", "浙江,杭州,余杭,"),
        ("广东省广州市海珠区赤岗街道", "广东省,广州市,海珠区,赤岗街"),
        ("广东省广州市天河区石牌街道", "广州市天河区石牌街"),
        ("天津市南开区万兴街道", "天津南开万兴街"),
        ("湖北省武汉市洪山区珞南街道", "武汉市洪山区珞南街"),
        ("浙江省杭州市萧山区城厢街道", "浙江萧山市城厢镇"),
        ("广东省佛山市顺德区大良街道", "广东省顺德市大良镇"),
        ("广东省佛山市南海区", "广东省佛山市南海市"),
        ("广东省广州市番禺区市桥街道", "广东番禺市桥街道"),
        ("新疆维吾尔自治区巴音郭楞蒙古自治州库尔勒市", "新疆巴州库尔勒市"),
        ("新疆维吾尔自治区克孜勒苏柯尔克孜自治州阿图什市", "新疆克州阿图什市"),
        ("内蒙古自治区锡林郭勒盟锡林浩特市", "内蒙古锡盟锡林浩特市"),
        ("内蒙古自治区呼和浩特市赛罕区", "内蒙呼市赛罕区"),
        ("吉林省吉林市船营区", "吉林吉林船营"),
        ("吉林省长春市九台区", "吉林长春九台市"),
        ("陕西省咸阳市杨陵区", "陕西省杨凌示范区"),
        ("河南省郑州市郑州航空港经济综合实验区", "郑州市航空港区"),
    ],
)
def test_a_region_as_people_write_it_is_the_region_in_full(full: str, written: str) -> None:
    assert texts(written + TAIL) == texts(full + TAIL)


@pytest.mark.parametrize(
    ("address", "road"),
    [
        *(("杭州余杭路5号", "余杭路"), ("杭州余杭塘路5号", "余杭塘路"), ("武汉洪山路8号", "洪山路")),
        *(("南京东路5号", "南京东路"), ("上海南京东路5号", "南京东路"), ("上海南汇路5号", "南汇路")),
        *(("南京玄武湖路3号", "玄武湖路"), ("北京朝阳公园路5号", "朝阳公园路"), ("成都武侯祠大街20号", "武侯祠大街")),
        *(("南京鼓楼大街5号", "鼓楼大街"), ("上海市神农架路5号", "神农架路"), ("上海黄浦江路5号", "黄浦江路")),
        *(("郑州花园路5号", "花园路"), ("济南大学路5号", "大学路"), ("广州大学城外环西路5号", "大学城外环西路")),
    ],
)
def test_a_road_named_after_a_region_stays_a_road(address: str, road: str) -> None:
    parsed = parse_address(address)

    assert (parsed.roads, parsed.county) == ((road,), "")
    assert canonical_texts(address) == (parsed.door_text, parsed.place_text)


def test_names_of_today_come_before_those_of_before() -> None:
    divisions = load_divisions()

    for number, division in enumerate(divisions.all[1:], start=1):
        found, kind = (
            divisions.names[division.parent][division.name] if division.name.isascii() else (number, NameKind.FULL)
        )
        assert (found, kind) == (number, NameKind.FULL)
    assert all(
        divisions.all[divisions.names[0][city][0]].name == city for city in ("周口市", "天水市", "铁岭市", "苏州市")
    )


@pytest.mark.parametrize(
    ("address", "county"),
    [
        ("广州市白云区三元里街5号", "白云区"),
        ("广州市番禺区大石街朝阳", "番禺区"),
        ("广州市番禺区大石街口5号", "番禺区"),
        ("深圳市罗湖区南湖街八百六十四号", "罗湖区"),
    ],
)
def test_a_street_that_nothing_follows_is_no_subdistrict(address: str, county: str) -> None:
    parsed = parse_address(address)

    assert (parsed.county, parsed.town, len(parsed.roads + parsed.names)) == (county, "", 1 + address.endswith("朝阳"))
    assert canonical_texts(address) == (parsed.door_text, parsed.place_text)


ZONED = (
    ("苏州市{}狮山路5号3栋502", "虎丘区", ("高新区", "苏州高新区", "高新技术产业开发区")),
    ("上海市{}富特西一路139号", "浦东新区", ("外高桥保税区", "外高桥保税港区")),
    ("武汉市{}东风大道5号", "蔡甸区", ("经济技术开发区", "武汉经济技术开发区", "经开区")),
    ("重庆市{}金渝大道5号", "渝北区", ("两江新区", "重庆两江新区")),
)


@pytest.mark.parametrize(("written", "district", "zones"), ZONED)
def test_a_zone_stands_in_the_place_of_a_district(written: str, district: str, zones: tuple[str, ...]) -> None:
    doors = {texts(written.format(zone)) for zone in zones}
    beside = {texts(written.format(district + zone)) for zone in zones}

    assert len(doors) == 1
    assert beside == {texts(written.format(district))}
    assert {place for _, place in doors | beside} == {texts(written.format(""))[1]}
    assert doors.isdisjoint(beside)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("武汉市东湖高新区创业路5号502", "武汉市经开区创业路5号502"),
        ("沛县经济开发区人民路5号", "沛县人民路5号"),
        ("苏州市高新区3栋502", "苏州市保税区3栋502"),
        ("广州市天河区石牌街道东一巷5号", "广州市天河区员村街道东一巷5号"),
        ("广州市天河区三街5号3栋", "广州市越秀区三街5号3栋"),
        ("南京市江宁区大学开发区路5号", "南京市江宁区大学路5号"),
    ],
)
def test_zones_and_lanes_without_a_name_of_their_own_are_kept_apart(one: str, other: str) -> None:
    (door, place), (other_door, other_place) = texts(one), texts(other)

    assert "" not in {door, place, other_door, other_place}
    assert door != other_door
    assert place != other_place or "路" in one


BASE = "上海市浦东新区周浦镇年家浜路88弄海上苑3号502室"


@pytest.mark.parametrize(
    "added",
    [
        *(
            "[7839]",
            "[12345]",
            "【5518】",
            "〔1204〕",
            "(7839)",
            "（7839）",
            "转7839",
            "转 7839",
            "分机7839",
            "分机号123",
        ),
        *("(201318)", "(000000)", "，000000", " 201318", " 13812345678", "，电话13812345678", " 021-58112345"),
        *("（周浦路20号）", "请放门口", "(放门口)", "，放快递柜", "送货前电话联系"),
        *(" 取件码7839", "（取件码：7839）", "(取货码 5-3-7839)", "门禁密码1234", "，邮编：201318", " 邮编201318"),
        *("门口", "楼下", "（近年家浜路与周浦路口）", " +86 139 1234 5678", " 0086-13912345678", " (021)58112345"),
        *(" 李芳（收）", " 李芳女士 021-58112345", "，虚拟号13212345678-7839", " 微信wx12345", " 旺旺：5566"),
    ],
)
def test_what_belongs_to_the_order_is_no_part_of_the_door(added: str) -> None:
    assert texts(BASE + added) == texts(BASE)


@pytest.mark.parametrize(
    "written",
    [
        "样本甲，86-19900000001，{}",
        "样本甲 19900000001 {}",
        "样本甲，{}",
        "样本甲,0514-87654321,{}",
        "收货人:样本甲 电话:19900000001 地址:{}",
        "{} 样本甲 19900000001",
        "19900000001样本甲{}",
        "样本甲女士{}",
        "样本甲（女士）19900000001 {}",
        "欧阳样本,13212345678-1234,{}",
        "{} ，225000",
    ],
)
def test_a_recipient_and_a_phone_are_no_part_of_the_door(written: str) -> None:
    address = "江苏省 扬州市 广陵区 样板路1号2栋301"

    assert texts(written.format(address)) == texts(address)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("深圳市南山区翡翠城12栋A座1805（科技园南路20号）", "深圳市南山区翡翠城12栋A座1805"),
        ("南京市江宁区阳光小区3栋502", "南京市江宁区阳光3栋502"),
        ("南京市江宁区东南大学学生公寓3号楼502", "南京市江宁区东南大学3号楼502"),
        ("南京市江宁区阳光3栋(1204)", "南京市江宁区阳光3栋1204"),
        ("深圳市南山区科技园路5号菜鸟驿站", "深圳市南山区科技园路5号菜鸟驿站[7839]"),
    ],
)
def test_what_is_added_or_left_out_keeps_the_door(one: str, other: str) -> None:
    assert texts(one) == texts(other)
    assert texts(one)[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("南京市江宁区中山路5号(1204)", "南京市江宁区中山路5号"),
        ("南京市江宁区中山路5号(1204)", "南京市江宁区中山路5号(1205)"),
        ("南京市江宁区阳光小区3栋(502)", "南京市江宁区阳光小区3栋(503)"),
        ("南京市江宁区阳光小区3栋502", "南京市江宁区阳光花园3栋502"),
        ("南京市江宁区中山路5号(阳光小区)3栋", "南京市江宁区中山路5号(梧桐湾)3栋"),
        ("国贸大厦，北京市朝阳区建国路1号", "银泰大厦，北京市朝阳区建国路1号"),
    ],
)
def test_what_tells_doors_apart_is_kept(one: str, other: str) -> None:
    assert texts(one)[0] != texts(other)[0]


@pytest.mark.parametrize("address", ["广东,广州,天河", "天津市和平区五大道", "广州市天河区石牌街", "深圳南山", "西湖"])
def test_a_region_that_ends_the_address_is_read(address: str) -> None:
    assert texts(address) == texts(address + " ")


@pytest.mark.parametrize("nothing", ["无", "同上", "自提", "无地址", "暂无", "上门自提"])
def test_an_address_that_stands_for_nothing_is_no_place(nothing: str) -> None:
    assert texts(nothing) == ("", "")
