# ruff: noqa: S311 - nothing here is secret

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from build_similarity_forests import read_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from entities.address.address_makers import DIFFERENCES, LOW_DANGER, TRICKS, disguise, make_pair, make_parts, write
from ordervet import _core
from ordervet.entities import Evidence, Key, PlaceType, Unit, hash_text, key_addresses, parse_address
from ordervet.entities.address.address_columns import (
    DOOR,
    PLACE,
    SKELETON,
    canonical_texts,
    key_skeletons,
    skeleton_form,
)
from ordervet.entities.address.data import load_address_data
from ordervet.entities.address.divisions import fold_name, load_divisions
from ordervet.entities.address.lexicon import CharClass
from ordervet.entities.characters import fold_char, fold_text

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(bytes(range(16)))

PIECES = st.sampled_from(
    [
        *(
            "江苏省",
            "江苏",
            "南京市",
            "南京",
            "江宁区",
            "鼓楼区",
            "北京市",
            "上海",
            "朝阳区",
            "禄口街道",
            "市辖区",
            "中国",
            "市场",
        ),
        *(
            "中山路",
            "陕西南路",
            "八一巷",
            "路",
            "街道",
            "大道",
            "胡同",
            "阳光小区",
            "花园",
            "梧桐湾",
            "三里屯",
            "东区",
            "附",
            "内",
        ),
        *(
            "号",
            "号楼",
            "号院",
            "栋",
            "#",
            "座",
            "单元",
            "门",
            "层",
            "楼",
            "室",
            "房",
            "弄",
            "巷",
            "期",
            "区",
            "组",
            "排",
            "F",
        ),
        *(
            "5",
            "05",
            "502",
            "1234567",
            "211100",
            "00",
            "一",
            "二十一",
            "五〇二",
            "叁",
            "百",
            "廿",
            "十",
            "①",
            "Ⅳ",
            "３",
        ),
        *(
            "A",
            "b",
            "apt",
            "-",
            " ",
            ",",
            "、",
            "(",
            "）",
            "*",
            "**",
            "##",
            "★",
            "丶",
            "😀",
            "\u200b",
            "樓",
            "號",
            "é",
            "\u0301",
        ),
        *("放门口", "老王超市", "菜鸟驿站", "武庄村", "大学", "㍿", "½", "㎡", "\x00", "\U000e0001", "\U00020000"),
    ]
)
ADDRESS_LIKE = st.lists(PIECES, max_size=24).map("".join)


def twin_texts(text: str) -> tuple[str, str]:
    address = parse_address(text)
    return address.door_text, address.place_text


@settings(max_examples=400)
@given(text=ADDRESS_LIKE)
def test_kernel_reads_as_the_twin_on_pieces_of_addresses(text: str) -> None:
    assert canonical_texts(text) == twin_texts(text)


@settings(max_examples=15)
@given(text=ADDRESS_LIKE, times=st.integers(20, 60))
def test_kernel_reads_as_the_twin_beyond_the_longest_address(text: str, times: int) -> None:
    assert canonical_texts(text * times) == twin_texts(text * times)


def test_kernel_reads_as_the_twin_when_addresses_are_disguised() -> None:
    rng = random.Random(5)
    texts = [disguise(make_parts(rng), frozenset(rng.sample(TRICKS, 3)), rng) for _ in range(400)]

    assert [canonical_texts(text) for text in texts[:100]] == [twin_texts(text) for text in texts[:100]]
    check_column(texts)


def check_column(texts: list[str]) -> None:
    keyed = key_addresses(pa.array(texts), KEY)

    parsed = [parse_address(text) for text in texts]
    assert keyed.doors.tolist() == [hash_text(address.door_text, KEY, DOOR) for address in parsed]
    assert keyed.places.tolist() == [hash_text(address.place_text, KEY, PLACE) for address in parsed]
    assert keyed.place_types.tolist() == [address.place_type for address in parsed]


def test_key_addresses_reads_slices_chunks_and_nulls() -> None:
    texts = ["南京市江宁区中山路5号", None, "", "南京市**路5号", "3栋502"]
    column = pa.chunked_array([texts[:2], texts[2:]]).slice(1)

    keyed = key_addresses(column, KEY)

    expected = [Evidence.ABSENT, Evidence.ABSENT, Evidence.MASKED, Evidence.UNUSABLE]
    assert keyed.door_evidence.tolist() == keyed.place_evidence.tolist() == expected
    assert not keyed.doors.any()
    assert keyed.doors.dtype == np.uint64


def test_a_door_is_known_by_its_building_where_the_room_is_not_said() -> None:
    evidence = key_addresses(pa.array(["南京市江宁区中山路", "南京市江宁区中山路5号"]), KEY)

    assert evidence.door_evidence.tolist() == [Evidence.UNUSABLE, Evidence.KNOWN]
    assert evidence.place_evidence.tolist() == [Evidence.UNUSABLE, Evidence.KNOWN]


def test_disguised_addresses_keep_their_keys() -> None:
    rng = random.Random(1)
    n_addresses, doors, places, n_low = 1200, 0, 0, 0
    for _ in range(n_addresses):
        parts = make_parts(rng)
        tricks = frozenset(rng.sample(TRICKS, rng.randint(1, 3)))
        plain, disguised = parse_address(write(parts)), parse_address(disguise(parts, tricks, rng))

        is_low = tricks <= set(LOW_DANGER)
        n_low += is_low
        doors += is_low and plain.door_text == disguised.door_text != ""
        places += plain.place_text == disguised.place_text != ""

    assert n_low > 400
    assert doors >= 0.99 * n_low
    assert places >= 0.99 * n_addresses


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_addresses_that_differ_in_one_thing_share_no_door(difference: str) -> None:
    rng = random.Random(2)
    pairs = [make_pair(rng, difference) for _ in range(300)]
    tricks = frozenset({"junk", "variants"})
    texts = [(write(a), disguise(b, tricks, rng)) for a, b in pairs]

    first, second = (key_addresses(pa.array(side), KEY).doors for side in zip(*texts, strict=True))

    assert (first != 0).all()
    assert (second != 0).all()
    assert (first != second).all()


@pytest.mark.shared_data
def test_unrelated_addresses_hardly_ever_share_a_building(shared_data: Path) -> None:
    pairs = read_pairs(shared_data / "addr_pairs_ccks2021_r1" / "pairs_fold0.csv.gz")
    unrelated = [(a, b) for a, b, grade in pairs if grade == 0]

    first, second = (key_addresses(pa.array(side), KEY).places for side in zip(*unrelated, strict=True))

    assert np.mean((first != 0) & (first == second)) <= 0.002


@pytest.mark.parametrize(
    "name", ["三里屯", "五道口", "八一路", "九江路", "陕西南路", "北京东路", "山西路", "十里堡", "六合大道"]
)
def test_numbers_and_regions_inside_names_stay_names(name: str) -> None:
    address = parse_address(f"上海市黄浦区{name}88号")

    assert address.roads + address.names == (name,)
    assert address.numbers == {Unit.NUMBER: ("88",)}
    assert address.city == "上海市"


def test_an_address_shows_nothing_of_itself_in_its_repr() -> None:
    shown = repr(parse_address("江苏省南京市江宁区中山路5号阳光小区3栋502室"))

    assert shown == "Address(place_type=<PlaceType.HOUSEHOLD: 1>, is_masked=False)"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("河南省洛阳市偃师市", "河南省洛阳市偃师区"),
        ("浙江省杭州市江干区", "浙江省杭州市上城区"),
        ("四川省成都市新津县", "成都市新津区"),
    ],
)
def test_a_renamed_county_is_the_county_of_today(old: str, new: str) -> None:
    assert parse_address(f"{old}中山路5号").door_text == parse_address(f"{new}中山路5号").door_text != ""


def test_a_county_that_several_cities_have_needs_its_city() -> None:
    nanjing, fuzhou, unknown = (parse_address(f"{city}鼓楼区中山路5号") for city in ("南京市", "福州市", ""))

    assert len({nanjing.door_text, fuzhou.door_text, unknown.door_text}) == 3
    assert unknown.county == ""


def test_core_numbers_classes_units_and_places_as_the_definition() -> None:
    assert {kind.name: int(kind) for kind in CharClass} == {name: at for at, name in enumerate(_core.ADDRESS_CLASSES)}
    assert {unit.name: int(unit) for unit in Unit} == {name: at for at, name in enumerate(_core.ADDRESS_UNITS)}
    assert (PlaceType.HOUSEHOLD, PlaceType.VILLAGE) == (1, 10)
    assert (Evidence.ABSENT, Evidence.MASKED, Evidence.UNUSABLE) == (1, 2, 3)


def test_folding_twice_is_folding_once() -> None:
    folds = load_address_data()["folds"]

    assert all(fold_char(part) == part for folded in folds.values() for part in folded)
    assert max(map(len, folds.values())) == 2


def test_names_of_divisions_fold_as_addresses_do() -> None:
    names = {division.name for division in load_divisions().all}

    assert all(fold_name(name) == "".join(fold_text(name).chars) for name in names if name.isalnum())


def test_addresses_among_many_have_the_keys_they_have_alone() -> None:
    kinds = ["南京市江宁区中山路5号501室", "**", "", "宿舍3栋", f"南京市江宁区{'长' * 40}路5号阳光小区3栋501室"]
    texts = [kinds[row % 5].replace("501", f"{row}") for row in range(200)]

    together = key_addresses(pa.array(texts), KEY)

    for name in ("doors", "places", "door_evidence", "place_evidence", "place_types"):
        alone = [getattr(key_addresses(pa.array([text]), KEY), name)[0] for text in texts]
        assert getattr(together, name).tolist() == alone


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        ("中山路5号3栋502", "中山路5号3栋502 李芳收 139 1234 5678"),
        ("中山路5号3栋502", "中山路5号3栋502 139-1234-5678"),
        ("中山路5号3栋502", "中山路5号3栋502 收件人：李芳 电话：13912345678"),
        ("中山路5号3栋502", "中山路5号3栋502 联系人李芳 139 1234 5678 转1234"),
        ("武庄村5组23号", "武庄村第五村民小组23号"),
        ("武庄村3社5号", "武庄村三组5号"),
        ("东南大学3舍A412", "东南大学3号楼A412"),
        ("阳光小区12楼2单元301", "阳光小区12号楼2单元301"),
        ("阳光小区305楼2门401", "阳光小区305号楼2单元401"),
        ("陇海路与大学路6号楼", "大学路陇海路6号楼"),
        ("中山路5号副2号", "中山路5号附2号"),
        ("东南大学西12栋501", "东南大学西十二501"),
        ("东南大学西12栋501", "东南大学西十二楼501"),
        ("东南大学西12-A501", "东南大学西十二A501"),
        ("东南大学梅园15舍502", "东南大学梅园十五502室"),
        ("阳光小区3栋2单元1203", "阳光小区3栋二1203"),
        ("中山路12号501", "中山路十二501"),
        ("阳光小区12栋501", "阳光小区12楼501室"),
        ("阳光小区12栋2单元501", "阳光小区12楼2-501"),
        ("东南大学3号楼502", "东南大学学生宿舍楼3栋502"),
        ("东南大学3号楼502", "东南大学3栋宿舍楼502"),
        ("阳光小区3栋502", "阳光住宅小区3栋502门口"),
        ("中山路5号3栋502", "中山路5号门口3栋502"),
    ],
)
def test_one_door_as_orders_write_it(plain: str, other: str) -> None:
    one, two = (parse_address("江苏省南京市江宁区" + text) for text in (plain, other))

    assert one.door_text == two.door_text != ""
    assert one.place_text == two.place_text != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("阳光小区12楼2单元301", "阳光小区13楼2单元301"),
        ("阳光小区305楼401", "阳光小区306楼401"),
        ("阳光小区3栋12楼", "阳光小区12栋3楼"),
        ("阳光小区12楼1203", "阳光小区12楼501"),
        ("东南大学西十二501", "东南大学西十一501"),
        ("东南大学男生宿舍3栋502", "东南大学女生宿舍3栋502"),
        ("5128信箱12分队", "5128信箱13分队"),
        ("幸福三社区3栋502", "幸福三组3栋502"),
    ],
)
def test_two_buildings_as_orders_write_them_are_two_places(one: str, other: str) -> None:
    assert parse_address("北京市丰台区" + one).place_text != parse_address("北京市丰台区" + other).place_text != ""


@pytest.mark.parametrize(
    ("text", "name"),
    [("收件人 139 1234 5678 阳光小区3栋", "阳光"), ("内蒙古大学3号楼", "内蒙古大学"), ("和平路和平里5号", "和平里")],
)
def test_what_looks_like_a_person_or_a_region_stays_a_name(text: str, name: str) -> None:
    assert name in parse_address(text).names


def test_all_of_a_road_is_no_place() -> None:
    addresses = [parse_address("南京市江宁区" + text) for text in ("中山路3单元502", "中山路1期", "中山路5号3单元502")]

    assert [bool(address.place_text) for address in addresses] == [False, False, True]


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="江苏省南京市宁区中山路阳光小区弄号栋单元室0123一三*村组秣陵街道ab ", max_size=40))
def test_skeletons_of_the_core_are_those_of_the_definition(text: str) -> None:
    ids, evidence = key_skeletons(pa.array([text]), KEY)

    form = skeleton_form(text)
    assert ids.item() == hash_text(form.text, KEY, SKELETON)
    assert evidence.item() == form.evidence


def test_a_skeleton_is_region_and_numbers_where_enough_are_told() -> None:
    texts = ("文三路99号3幢2单元502(放门口)", "纹山路99号3栋2单元502室", "文三路99号502", "****99号3栋2单元502")

    forms = [skeleton_form("浙江省杭州市西湖区" + text) for text in texts]

    assert [form.text for form in forms] == ["330106|99|||3|2|502", "330106|99|||3|2|502", "", ""]
    assert [form.evidence.name for form in forms] == ["KNOWN", "KNOWN", "UNUSABLE", "MASKED"]
