import numpy as np
import pyarrow as pa
import pytest

from ordervet.entities import ENTITY_NAMES, Evidence, Key, PlaceType, build_entities, hash_text, order_ids
from ordervet.errors import ContractError

KEY = Key(bytes(range(16)))


def test_every_built_in_entity_is_there_when_no_column_is() -> None:
    orders = pa.table({"order_id": ["a", "b"]})

    entities = build_entities(orders, KEY)

    assert set(entities.ids) == set(ENTITY_NAMES) == set(entities.evidence)
    assert all(ids.tolist() == [0, 0] and ids.dtype == np.uint64 for ids in entities.ids.values())
    assert all(codes.tolist() == [Evidence.ABSENT] * 2 for codes in entities.evidence.values())
    assert entities.place_type.dtype == np.int8
    assert len(entities) == 2


def test_equal_texts_share_an_id_and_nulls_have_none() -> None:
    orders = pa.table({"buyer_id": ["ada", " ada ", "bob", None, " "]})

    entities = build_entities(orders, KEY)

    ids = entities.ids["buyer"]
    assert ids[0] == ids[1] != ids[2]
    assert ids[3:].tolist() == [0, 0]
    assert entities.evidence["buyer"].tolist() == [Evidence.KNOWN] * 3 + [Evidence.ABSENT] * 2


@pytest.mark.parametrize(
    ("entity", "texts"),
    [
        ("address", ["南京市江宁区中山路5号", "南京市江宁区中山路6号", "南京市江宁区中山路7号", "**"]),
        ("phone", ["13812345678", "13812345679", "13812345670", "138****5678"]),
    ],
)
def test_a_platform_s_group_takes_the_place_of_the_text(entity: str, texts: list[str]) -> None:
    orders = pa.table({entity: texts, f"{entity}_group": ["g", "g", None, " "]})

    entities = build_entities(orders, KEY)

    ids = entities.ids[entity]
    assert ids[0] == ids[1]
    assert len({*ids[1:].tolist()}) == 3
    assert entities.evidence[entity].tolist() == [Evidence.KNOWN] * 3 + [Evidence.MASKED]


def test_a_place_comes_from_the_text_and_from_the_group_where_there_is_none() -> None:
    door = "南京市江宁区中山路5号阳光小区3栋"
    orders = pa.table({"address": [f"{door}501室", f"{door}502室", None, None], "address_group": ["g", "h", "g", "g"]})

    entities = build_entities(orders, KEY)

    assert len({*entities.ids["address"][:2].tolist()}) == 2
    assert entities.ids["place"][0] == entities.ids["place"][1]
    assert entities.ids["place"][2] == entities.ids["place"][3] != entities.ids["place"][0]
    assert entities.place_type.tolist() == [PlaceType.HOUSEHOLD, PlaceType.HOUSEHOLD, 0, 0]


def test_build_entities_tells_why_a_key_is_missing() -> None:
    orders = pa.table(
        {"phone": ["13812345678", None, "138****5678", "13212345678-1234"], "ip": ["8.8.8.8", None, "8.8.8.*", "x"]}
    )

    entities = build_entities(orders, KEY)

    expected = [Evidence.KNOWN, Evidence.ABSENT, Evidence.MASKED, Evidence.UNUSABLE]
    assert entities.evidence["phone"].tolist() == expected
    assert entities.evidence["ip"].tolist() == expected
    assert (entities.ids["phone"] != 0).tolist() == [True, False, False, False]
    assert entities.ids["network"][0] == entities.ids["network"][2]


def test_mapped_extras_become_entities_of_their_own() -> None:
    orders = pa.table({"entity__terminal": ["t", None], "category__browser": ["t", "firefox"]})

    entities = build_entities(orders, KEY)

    assert entities.ids["terminal"].tolist() == [hash_text("t", KEY, "terminal"), 0]
    assert entities.ids["browser"].tolist() == [hash_text(text, KEY, "browser") for text in ("t", "firefox")]


@pytest.mark.parametrize("columns", [["entity__buyer"], ["entity__x", "category__x"]])
def test_a_mapped_extra_may_not_take_the_name_of_another_entity(columns: list[str]) -> None:
    orders = pa.table({column: ["a"] for column in columns})

    with pytest.raises(ContractError, match="bear a name that is taken"):
        build_entities(orders, KEY)


def test_a_shop_of_number_zero_is_none_and_nor_is_an_item() -> None:
    orders = pa.table({"shop_id": ["0", "00", "7"], "item_id": ["null", "0", "sku"], "entity__till": ["0", "-1", "t"]})

    entities = build_entities(orders, KEY)

    for name in ("shop", "item", "till"):
        assert entities.evidence[name].tolist() == [Evidence.ABSENT, Evidence.ABSENT, Evidence.KNOWN]


def test_phones_are_read_in_the_country_of_their_order() -> None:
    orders = pa.table(
        {
            "phone": ["0170 1234567", "+49 170 1234567", "13812345678", "13812345678", "13812345678", None],
            "country": ["Germany", None, None, "CN", "US", "DE"],
        }
    )

    ids = build_entities(orders, KEY).ids["phone"]

    expected = ["+491701234567", "+491701234567", "+8613812345678", "+8613812345678", "+13812345678", ""]
    assert ids.tolist() == [hash_text(text, KEY, "phone") for text in expected]


def test_a_phone_in_the_address_is_the_phone_where_no_other_is_given() -> None:
    address = "江苏省扬州市广陵区样板路1号2栋301"
    orders = pa.table(
        {
            "phone": [None, None, "13812345678", None, None, " "],
            "address": [
                *(f"样本甲，86-19900000001，{address}", f"{address} 19900000001转7839", f"{address}19900000001"),
                *(address, None, f"{address} 电话19900000001"),
            ],
        }
    )

    entities = build_entities(orders, KEY)

    expected = ["+8619900000001", "", "+8613812345678", "", "", "+8619900000001"]
    assert entities.ids["phone"].tolist() == [hash_text(text, KEY, "phone") for text in expected]
    assert entities.evidence["phone"].tolist() == [
        Evidence.KNOWN, Evidence.UNUSABLE, Evidence.KNOWN, Evidence.ABSENT, Evidence.ABSENT, Evidence.KNOWN,
    ]  # fmt: skip


def test_entities_show_no_ids() -> None:
    entities = build_entities(pa.table({"buyer_id": ["ada"]}), KEY)

    assert repr(entities) == f"Entities(key_id='{KEY.key_id}')"


def test_order_ids_join_across_tables() -> None:
    orders, refunds = pa.chunked_array([["1", "2"], ["3"]]), pa.array(["3", None])

    joined = np.isin(order_ids(orders, KEY), order_ids(refunds, KEY))

    assert joined.tolist() == [False, False, True]
