"""What a platform masks is no key, in whatever form it comes; its own groups and open ids are."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from history_events import build_events, order
from ordervet.contract import read_events
from ordervet.entities import Evidence, Key, key_orders

EXPORTS = Path(__file__).resolve().parents[1] / "contract" / "formats" / "exports"
KEY = Key(bytes(range(16)))
PERSONAL = ("buyer", "recipient", "phone", "address", "payment")

#: How platforms mask what their columns hold, by column.
MASKED = {
    **dict.fromkeys(("买家会员名", "下单帐号", "buyer_nick"), "示**家"),
    **dict.fromkeys(("收货人姓名", "收件人", "客户姓名", "收货人", "收件人姓名", "receiver_name"), "张**"),
    **dict.fromkeys(("联系手机", "联系电话", "手机", "收件人手机", "收件人手机号"), "135*******"),
    **dict.fromkeys(("receiver_mobile", "receiver_phone", "mask_post_tel"), "135*******"),
    **dict.fromkeys(("收货地址", "客户地址", "街道", "收件人地址", "详细地址", "receiver_address"), "样板路***"),
    **dict.fromkeys(("oaid", "OAID"), "13CKL1PpYkYAy3kq4PfsFpyIZNFwlSCbbO9ic1wTdyZ"),
    "买家支付宝账号": "j***@example.com",
}
GROUPS = {"oaid_merge_group", "open_address_id", "doudian_open_id", "buyer_open_uid", "hash_code"}
CSV_ORDERS = ("tmall_orders_old", "tmall_orders_new", "douyin_orders", "jd_orders", "pdd_orders", "wechat_orders")
JSON_ORDERS = ("taobao_api_trades", "douyin_orders", "pdd_orders")


def mask_json(content: Any, *, has_groups: bool) -> Any:
    if isinstance(content, dict):
        kept = {name: each for name, each in content.items() if has_groups or name not in GROUPS}
        return {name: MASKED.get(name, mask_json(each, has_groups=has_groups)) for name, each in kept.items()}
    return [mask_json(each, has_groups=has_groups) for each in content] if isinstance(content, list) else content


def write_masked_csv(name: str, path: Path) -> None:
    rows = list(csv.reader((EXPORTS / f"{name}.csv").read_text(encoding="utf-8-sig").splitlines()))
    header = [column for column in rows[0] if column not in GROUPS]
    assert set(header) & set(MASKED), "nothing to mask"
    kept = [[MASKED.get(c, cell) for c, cell in zip(rows[0], row, strict=False) if c not in GROUPS] for row in rows[1:]]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *kept])


def list_keyed(path: Path) -> dict[str, set[bool]]:
    """Entity → whether orders have a key for it."""
    events, _ = read_events([path])
    keyed = key_orders(events.orders, KEY)
    assert keyed.num_rows
    return {name: {each != 0 for each in keyed[f"id__{name}"].to_pylist()} for name in PERSONAL}


@pytest.mark.parametrize("name", CSV_ORDERS)
def test_masked_export_has_no_key(name: str, tmp_path: Path) -> None:
    write_masked_csv(name, tmp_path / f"{name}.csv")

    keyed = list_keyed(tmp_path / f"{name}.csv")

    assert keyed == {entity: {False} for entity in PERSONAL}


@pytest.mark.parametrize("name", JSON_ORDERS)
def test_masked_answer_of_an_api_has_no_key_but_the_platforms_own(name: str, tmp_path: Path) -> None:
    content = json.loads((EXPORTS / f"{name}.json").read_text(encoding="utf-8"))
    path = tmp_path / f"{name}.json"
    keyed = []
    for has_groups in (False, True):
        path.write_text(json.dumps(mask_json(content, has_groups=has_groups)), encoding="utf-8")
        keyed.append(list_keyed(path))

    bare, grouped = keyed

    assert bare == {entity: {False} for entity in PERSONAL}
    assert {entity for entity in PERSONAL if True in grouped[entity]} == {
        "taobao_api_trades": {"buyer", "address"},
        "douyin_orders": {"buyer"},
        "pdd_orders": {"address"},
    }[name]


def test_open_id_is_the_key_beside_a_masked_name(tmp_path: Path) -> None:
    content = json.loads((EXPORTS / "taobao_api_trades.json").read_text(encoding="utf-8"))
    keyed = []
    for nick in ("示**家", "别**家"):
        text = json.dumps(content, ensure_ascii=False).replace("示**家", nick)
        (tmp_path / "trades.json").write_text(text, encoding="utf-8")
        events, _ = read_events([tmp_path / "trades.json"])
        keyed.append(key_orders(events.orders, KEY)["id__buyer"].to_pylist())

    assert keyed[0] == keyed[1]
    assert any(keyed[0])


@pytest.mark.parametrize(
    ("field", "entity", "masked"),
    [
        ("buyer_id", "buyer", "示**家"),
        ("buyer_id", "buyer", "##kJ8s==##"),
        ("recipient", "recipient", "张**"),
        ("recipient", "recipient", "张*"),
        ("phone", "phone", "135*******"),
        ("phone", "phone", "135****0001"),
        ("phone", "phone", "$$def$$"),
        ("phone", "phone", "132****0001-1234"),
        ("address", "address", "江苏省南京市****"),
        ("address", "address", "##ghi##"),
        ("payment_account", "payment", "j***@example.com"),
        ("buyer_id", "buyer", "~AgAAAAB0b6Yd9e4=~0~"),
        ("recipient", "recipient", "~AgAAAAB0b6Yd9e4=~wD+wH1dw~4~~"),
        ("phone", "phone", "$AgAAAAB0b6Yd9e4=$4$"),
        ("phone", "phone", "$189$AAAAAAB0b6Yd9e4=$2$$"),
        ("address", "address", "~AgAAAAB0b6Yd9e4=~4Uc5fq~1~~"),
        ("payment_account", "payment", "$AgAAAAB0b6Yd9e4=$4$"),
    ],
)
def test_masked_value_of_the_native_form_has_no_key_and_says_so(field: str, entity: str, masked: str) -> None:
    orders = build_events(orders=[order("A", **{field: masked}), order("B", **{field: masked})]).orders

    keyed = key_orders(orders, KEY)

    assert keyed[f"id__{entity}"].to_pylist() == [0, 0]
    assert set(keyed[f"evidence__{entity}"].to_pylist()) <= {Evidence.MASKED, Evidence.UNUSABLE}


def test_virtual_number_has_no_key_whatever_its_extension() -> None:
    phones = ["13212345678-1234", "13212345678转1234", "13212345678,1234", "13212345678 - 0001"]
    orders = build_events(orders=[order(f"o{at}", phone=phone) for at, phone in enumerate(phones)]).orders

    keyed = key_orders(orders, KEY)

    assert keyed["id__phone"].to_pylist() == [0] * len(phones)
    assert set(keyed["evidence__phone"].to_pylist()) == {int(Evidence.UNUSABLE)}
    assert np.all(np.asarray(keyed["id__order"]) != 0)


@pytest.mark.parametrize("cipher", ["~AgAAAAB0b6Yd9e4=~0~", "$AgAAAAB0b6Yd9e4=$4$", "##ghi##", "$$def$$"])
def test_cipher_is_masked_evidence(cipher: str) -> None:
    fields = dict.fromkeys(("buyer_id", "recipient", "phone", "address", "payment_account", "device_id", "ip"), cipher)
    orders = build_events(orders=[order("A", **fields)]).orders

    keyed = key_orders(orders, KEY)

    entities = (*PERSONAL, "place", "device", "ip")
    told = {name: Evidence(keyed[f"evidence__{name}"][0].as_py()) for name in entities}
    assert told == dict.fromkeys(entities, Evidence.MASKED)


def test_address_between_tildes_is_an_address() -> None:
    plain, decorated = "浙江省杭州市西湖区文三路99号3栋502", "~浙江省杭州市西湖区文三路99号3栋502~"
    orders = build_events(orders=[order("A", address=plain), order("B", address=decorated)]).orders

    keyed = key_orders(orders, KEY)

    one, other = keyed["id__address"].to_pylist()
    assert one == other != 0
