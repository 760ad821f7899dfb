from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.entities import (
    Canonical,
    Evidence,
    canonical_buyer,
    canonical_device,
    canonical_ip,
    canonical_network,
    canonical_payment,
    canonical_phone,
    canonical_recipient,
)
from ordervet.entities.identities import canonical_plain

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = (
    canonical_buyer,
    canonical_device,
    canonical_ip,
    canonical_network,
    canonical_payment,
    canonical_phone,
    canonical_recipient,
)
MOBILE = "13812345678"


@pytest.mark.parametrize("canonicalise", ALL)
@given(text=st.none() | st.text(max_size=20))
def test_a_form_is_given_exactly_when_a_value_is_known(
    canonicalise: Callable[[str | None], Canonical], text: str | None
) -> None:
    form = canonicalise(text)

    assert (form.text != "") == (form.evidence is Evidence.KNOWN)


@pytest.mark.parametrize("canonicalise", ALL)
@pytest.mark.parametrize("blank", [None, "", " ", "\u3000"])
def test_a_blank_is_absent(canonicalise: Callable[[str | None], Canonical], blank: str | None) -> None:
    assert canonicalise(blank).evidence is Evidence.ABSENT


@pytest.mark.parametrize(
    "written",
    [
        "138 1234 5678",
        "138-1234-5678",
        "+86 138 1234 5678",
        "0086-13812345678",
        "86 13812345678",
        "(+86)13812345678",
        "１３８１２３４５６７８",
    ],
)
def test_a_mobile_number_has_one_form(written: str) -> None:
    assert canonical_phone(written) == canonical_phone(MOBILE) == Canonical(f"+86{MOBILE}", Evidence.KNOWN)


@pytest.mark.parametrize("written", ["01012345678", "010-12345678", "(010) 1234 5678", "+86 10 12345678"])
def test_a_landline_has_one_form(written: str) -> None:
    assert canonical_phone(written).text == "+861012345678"


@pytest.mark.parametrize(
    "written",
    [
        f"{MOBILE}-1234",
        f"{MOBILE}转1234",
        f"{MOBILE},1234",
        f"{MOBILE} 1234",
        f"{MOBILE}#12",
        "010-12345678-801",
        "4008001234",
        "95013123456",
        "12345678",
        "11111111111",
        "00000000000",
        "13800138000",
        "电话",
        "+123",
    ],
)
def test_a_number_that_is_handed_on_or_cut_is_no_key(written: str) -> None:
    assert canonical_phone(written).evidence is Evidence.UNUSABLE


@pytest.mark.parametrize("written", ["138****5678", "138＊＊＊＊5678", "$$cipher$$", "138xxxx5678"])
def test_a_masked_number_says_so(written: str) -> None:
    assert canonical_phone(written).evidence is Evidence.MASKED


def test_a_number_abroad_keeps_its_country() -> None:
    assert canonical_phone("+1 (212) 555-0100").text == "+12125550100"
    assert canonical_phone("(212) 555-0100").text == "2125550100"


@pytest.mark.parametrize(
    ("written", "form"),
    [("王小明", "王小明"), (" 王 小 明★", "王小明"), ("王小明(收)", "王小明"), ("Ann Lee", "annlee")],
)
def test_a_recipient_has_one_form(written: str, form: str) -> None:
    assert canonical_recipient(written).text == form


@pytest.mark.parametrize(
    ("written", "evidence"), [("张**", Evidence.MASKED), ("张先生", Evidence.UNUSABLE), ("##x##", Evidence.MASKED)]
)
def test_a_recipient_that_says_too_little_is_no_key(written: str, evidence: Evidence) -> None:
    assert canonical_recipient(written).evidence is evidence


def test_case_counts_for_buyers_and_not_for_devices() -> None:
    assert canonical_buyer("Ab").text == "Ab"
    assert canonical_device("Ab").text == canonical_payment("aB").text == "ab"


@pytest.mark.parametrize(
    "placeholder", ["unknown", "NULL", "n/a", "00000000-0000-0000-0000-000000000000", "02:00:00:00:00:00", "0"]
)
def test_a_placeholder_is_no_device(placeholder: str) -> None:
    assert canonical_device(placeholder).evidence is Evidence.UNUSABLE


NOBODY_VALUES = (
    *(
        "0",
        "00",
        "000",
        "0.0",
        "-1",
        "-1.0",
        "-99",
        "-",
        "--",
        "?",
        "N/A",
        "#N/A",
        "null",
        "NULL",
        "(null)",
        "None",
        "nan",
    ),
    *("undefined", "guest", "Guest", "GUEST USER", "guest_user", "guest-checkout", "anonymous", "unknown", "walk-in"),
    *(
        "[object Object]",
        "[object object]",
        "游客",
        "匿名",
        "匿名买家",
        "匿名用户",
        "访客",
        "散客",
        "未登录用户",
        "无",
        "遊客",
    ),
    *("'0", '="0"', " 0 ", "\u200b0"),
)


@pytest.mark.parametrize("value", NOBODY_VALUES)
@pytest.mark.parametrize("canonicalise", [canonical_buyer, canonical_device, canonical_payment, canonical_recipient])
def test_what_stands_for_nobody_is_no_key(canonicalise: Callable[[str | None], Canonical], value: str) -> None:
    assert canonicalise(value).evidence in {Evidence.UNUSABLE, Evidence.ABSENT}


@pytest.mark.parametrize("value", ["0", "00", "-1", "null", "None", "[object Object]", "undefined", "N/A", "guest"])
def test_what_stands_for_nothing_is_no_item_or_shop(value: str) -> None:
    assert canonical_plain(value) == Canonical("", Evidence.ABSENT)


@pytest.mark.parametrize(
    "value", ["10", "b-0", "A0", "guestbook", "nullarbor", "无印良品", "★★", "001x", "-a", "游客小王", "7", "000100"]
)
def test_what_only_resembles_nobody_is_a_key(value: str) -> None:
    assert canonical_buyer(value).text == canonical_plain(value).text == value


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("Ann.Lee@Example.COM", "ann.lee@example.com"),
        (" ann.lee@example.com ", "ann.lee@example.com"),
        ("ANN.LEE+shop@example.com", "ann.lee+shop@example.com"),
        ("Ann.Lee+shop@GMail.com", "annlee@gmail.com"),
        ("a.n.n.l.e.e@googlemail.com", "annlee@gmail.com"),
        ("ann.lee+x@outlook.com", "ann.lee@outlook.com"),
        ("ann-lee+1@icloud.com", "ann-lee@icloud.com"),
        ("ann.lee+a+b@proton.me", "ann.lee@proton.me"),
        ("ann+x@fastmail.com", "ann@fastmail.com"),
        ("ann+x@ya.ru", "ann@ya.ru"),
        ("mailto:Ann@x.org", "ann@x.org"),
        ("Ann Lee <Ann@x.org>", "ann@x.org"),
        ("ＡＮＮ＠x.org", "ann@x.org"),
        ("12345678@QQ.com", "12345678@qq.com"),
        ("+x@gmail.com", "+x@gmail.com"),
    ],
)
def test_an_email_address_has_one_form(written: str, form: str) -> None:
    assert canonical_buyer(written).text == canonical_payment(written).text == form


@pytest.mark.parametrize(
    "written", ["noemail@shop.com", "no-reply@shop.com", "guest@shop.com", "none@none.com", "0@x.de"]
)
def test_an_email_address_of_nobody_is_no_key(written: str) -> None:
    assert canonical_buyer(written).evidence is Evidence.UNUSABLE


@pytest.mark.parametrize("written", ["Ann@home", "@Ann", "tb@小店:客服", "Ann @ x.org and Bob @ y.org"])
def test_a_name_with_an_at_sign_keeps_its_case(written: str) -> None:
    assert canonical_buyer(written).text == written


@pytest.mark.parametrize("code", ["[7839]", "（7839）", "【1204】", "转7839", "-7839", " 13812345678", "(12)"])
def test_a_privacy_code_is_no_part_of_a_name(code: str) -> None:
    assert canonical_recipient(f"张小三{code}").text == "张小三"


@pytest.mark.parametrize(
    ("country", "written"),
    [
        *(
            ("DE", text)
            for text in ("0170 1234567", "+49 170 1234567", "0049 170 1234567", "+49 (0)170/1234567", "491701234567")
        ),
        *(("Germany", text) for text in ("0170-1234567", "(0170) 1234567", "tel:+491701234567")),
    ],
)
def test_a_number_has_one_form_in_the_country_of_its_order(country: str, written: str) -> None:
    assert canonical_phone(written, country).text == "+491701234567"


@pytest.mark.parametrize(
    ("country", "written", "form"),
    [
        ("US", "(310) 555-1234", "+13105551234"),
        ("United States", "1-310-555-1234", "+13105551234"),
        ("US", "13105551234", "+13105551234"),
        ("US", "011 49 170 1234567", "+491701234567"),
        ("GB", "07911 123456", "+447911123456"),
        ("FR", "06 12 34 56 78", "+33612345678"),
        ("IT", "06 1234 5678", "+390612345678"),
        ("ES", "612 34 56 78", "+34612345678"),
        ("RU", "8 (912) 345-67-89", "+79123456789"),
        ("AU", "0011 49 170 1234567", "+491701234567"),
        ("AU", "0412 345 678", "+61412345678"),
        ("DE", "+86 138 1234 5678", "+8613812345678"),
        ("CN", "13812345678", "+8613812345678"),
        ("中国", "138 1234 5678", "+8613812345678"),
        ("Atlantis", "13812345678", "+8613812345678"),
        (None, "0049 170 1234567", "+491701234567"),
        (None, "+86 (0)10 1234 5678", "+861012345678"),
    ],
)
def test_a_number_is_read_as_its_country_dials(country: str | None, written: str, form: str) -> None:
    assert canonical_phone(written, country).text == form


@pytest.mark.parametrize(
    ("country", "written"),
    [("US", "310-555-1234 x12"), ("US", "310-555-1234 ext. 12"), ("DE", "12"), ("US", "0000000000"), ("DE", "none")],
)
def test_an_extension_or_a_fragment_abroad_is_no_key(country: str, written: str) -> None:
    assert canonical_phone(written, country).evidence is Evidence.UNUSABLE


@pytest.mark.parametrize(
    "written",
    ["18412348075（7839）", "18412348075[7839]", "(7839)18412348075", "+8618412348075(12)", "18412348075 转 7839"],
)
def test_a_phone_with_a_privacy_code_is_no_key(written: str) -> None:
    assert canonical_phone(written).evidence is Evidence.UNUSABLE


def test_a_remark_in_brackets_does_not_change_a_number() -> None:
    assert canonical_phone("13812345678（本人）") == canonical_phone("13812345678")


@pytest.mark.parametrize(
    ("written", "form", "network"),
    [
        ("8.8.8.8", "8.8.8.8", "8.8.8.0/24"),
        ("8.8.8.8:443", "8.8.8.8", "8.8.8.0/24"),
        ("::ffff:8.8.8.8", "8.8.8.8", "8.8.8.0/24"),
        ("203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
        ("2606:4700:4700:0000::1111", "2606:4700:4700::1111", "2606:4700:4700::/48"),
        ("[2606:4700:4700::1111]:443", "2606:4700:4700::1111", "2606:4700:4700::/48"),
    ],
)
def test_an_ip_has_one_form_and_a_network(written: str, form: str, network: str) -> None:
    assert canonical_ip(written).text == form
    assert canonical_network(written).text == network


@pytest.mark.parametrize("written", ["192.168.1.1", "10.0.0.1", "127.0.0.1", "::1", "fe80::1%eth0", "8.8.8", "x"])
def test_a_private_address_is_no_key(written: str) -> None:
    assert canonical_ip(written).evidence is Evidence.UNUSABLE
    assert canonical_network(written).evidence is Evidence.UNUSABLE


def test_a_masked_address_still_tells_its_network() -> None:
    assert canonical_ip("8.8.8.*").evidence is Evidence.MASKED
    assert canonical_network("8.8.8.*").text == "8.8.8.0/24"
    assert canonical_network("8.8.*.*").evidence is Evidence.MASKED
