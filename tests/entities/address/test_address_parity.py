"""The address reader of the core against its plain-Python twin, on any text and on real addresses."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.entities import Evidence, Key, parse_address
from ordervet.entities.address.address_columns import canonical_texts, key_addresses
from ordervet.entities.address.arrays import build_tables, read_arrays
from ordervet.entities.address.divisions import NameKind, load_divisions
from ordervet.entities.address.region_slots import FREE, build_slots

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS_SIGNS = "浙江省杭州市西湖区文三路弄号栋单元楼室座幢巷村镇街道0123456789一二三十百零〇①②ＡＢab-#、，（） "


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.text(alphabet=ADDRESS_SIGNS, max_size=40))
def test_core_equals_its_twin_on_any_text(text: str) -> None:
    parsed = parse_address(text)

    assert tuple(canonical_texts(text)) == (parsed.door_text, parsed.place_text)


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet="~$#aZ9+/=- 号é", max_size=6).map(lambda inner: f"文三路99号3栋502{inner}")
    | st.from_regex(r"[~$#]{1,2}[A-Za-z0-9+/=~$#栋-]{0,8}[~$#]{1,2}", fullmatch=True)
)
def test_core_masks_what_its_twin_masks(text: str) -> None:
    column = pa.chunked_array([pa.array([text], pa.large_string())])

    keyed = key_addresses(column, Key(bytes(range(16))))

    assert (keyed.door_evidence.item() == Evidence.MASKED) == parse_address(text).is_masked


@pytest.mark.shared_data
def test_core_equals_its_twin_on_real_addresses(shared_data: Path) -> None:
    with gzip.open(shared_data / "addr_pairs_ccks2021_r1" / "pairs_fold0.csv.gz", "rt", encoding="utf-8") as file:
        addresses = sorted({row["query"] for row in csv.DictReader(file)})

    differing = [
        at
        for at, text in enumerate(addresses)
        if tuple(canonical_texts(text)) != ((parsed := parse_address(text)).door_text, parsed.place_text)
    ]

    assert addresses
    assert differing == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("浙江省杭州市西湖区文三路99号3栋502", "杭州市西湖区文三路99號三幢502室"),
        ("浙江省杭州市西湖区文三路99号3栋502", "浙江省杭州市西湖区文三路９９号★3栋502"),
    ],
)
def test_one_door_written_two_ways_has_one_text(one: str, other: str) -> None:
    assert canonical_texts(one) == canonical_texts(other)
    assert canonical_texts(one)[0]


@pytest.mark.parametrize(
    "other",
    ["浙江省杭州市西湖区文三路99号3栋503", "浙江省杭州市西湖区文三路98号3栋502", "浙江省杭州市西湖区文三路99号4栋502"],
)
def test_another_room_road_number_or_building_is_another_door(other: str) -> None:
    assert canonical_texts("浙江省杭州市西湖区文三路99号3栋502")[0] != canonical_texts(other)[0]


@pytest.mark.parametrize(
    "text", ["北京市朝阳区三里屯路19号", "上海市徐汇区陕西南路180弄2号301室", "南昌市西湖区八一路5号"]
)
def test_numbers_and_provinces_inside_names_stay_names(text: str) -> None:
    parsed = parse_address(text)

    assert any(name in text for name in parsed.roads)


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("above", [1 << 16, 1 << 17, 1 << 20])
def test_core_equals_its_twin_on_signs_beyond_sixteen_bits(at: int, above: int) -> None:
    region = "江苏省南京市江宁区"
    text = region[:at] + chr(ord(region[at]) % (1 << 16) | above) + region[at + 1 :] + "中山路5号3栋502"

    parsed = parse_address(text)

    assert tuple(canonical_texts(text)) == (parsed.door_text, parsed.place_text)


def test_regions_in_slots_are_read_as_their_list_has_them() -> None:
    divisions = load_divisions()
    slots = build_slots(divisions)
    held = slots[slots[:, 0] != FREE]

    names = [
        chr(int(head) >> 32 & 0xFFFF) + chr(int(head) >> 16 & 0xFFFF)
        + "".join(chr(int(rest) >> 16 * at & 0xFFFF) for at in range(4)).rstrip("\0")
        for head, rest in held
    ]  # fmt: skip
    found = [divisions.names[int(head) >> 48][name] for name, (head, _) in zip(names, held, strict=True)]

    assert found == [(int(head) & 0xFFFF, NameKind.FULL) for head in held[:, 0]]
    assert len(held) > 2_500


def test_tables_on_disk_are_those_that_the_words_and_divisions_give() -> None:
    built = build_tables()

    loaded = read_arrays()

    assert set(loaded) == set(built)
    for name, array in built.items():
        np.testing.assert_array_equal(loaded[name], array.ravel())
        assert loaded[name].dtype == array.dtype
