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


def test_zero_is_a_buyer_s_number_as_any_other() -> None:
    assert canonical_buyer("0").evidence is Evidence.KNOWN


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
