"""Columns of names, numbers and ids: what the kernels say of a text is what its definition says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.entities import (
    Key,
    canonical_buyer,
    canonical_device,
    canonical_ip,
    canonical_network,
    canonical_payment,
    canonical_phone,
    canonical_recipient,
)
from ordervet.entities.identities import HONORIFICS, PLACEHOLDER_IDS, canonical_plain
from ordervet.entities.phones import PLACEHOLDER_PHONES
from ordervet.entities.plain import key_texts, key_texts_slowly

KEY = Key(bytes(range(16)))
FORMS = (
    canonical_buyer,
    canonical_device,
    canonical_ip,
    canonical_network,
    canonical_payment,
    canonical_phone,
    canonical_plain,
    canonical_recipient,
)
OCTET = st.one_of(st.integers(0, 300).map(str), st.sampled_from(["00", "01", "007", "*"]))
SIGNS = ["-", ":", "*", "**", "#", "$$", "$", "~", " ", "\u3000", "\x85", "\u200b"]
WORDS = [
    "Ann@Gmail.com",
    "+x@",
    "='",
    "[",
    "guest",
    "-1",
    "王小明",
    "樓",
    "龍",
    "ａ",
    "T",
    "0",
    "+86",
    "13812345678",
    "139",
    "转",
    "é",
    "𠮷",
    "示家",
    "İ",
    "K",
]
PIECE = st.sampled_from([*PLACEHOLDER_IDS, *PLACEHOLDER_PHONES, *HONORIFICS, *SIGNS, *WORDS])
TEXT = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.lists(PIECE, max_size=4).map("".join),
    st.text("0123456789", min_size=10, max_size=12),
    st.from_regex(r"1[3-9][0-9]{9}[-x][0-9]{0,8}[- ]?", fullmatch=True),
    st.text("王小明先生女士收李", max_size=4),
    st.lists(OCTET, min_size=3, max_size=5).map(".".join),
    st.text("aZ9", min_size=250, max_size=260),
)


def _assert_same(texts: list[str | None], form) -> None:
    column = pa.chunked_array([pa.array(texts, pa.string())])

    ids, evidence = key_texts(column, form, KEY, "thing")

    slow_ids, slow_evidence = key_texts_slowly(column, form, KEY, "thing")
    np.testing.assert_array_equal(evidence, slow_evidence)
    np.testing.assert_array_equal(ids, slow_ids)


@pytest.mark.parametrize("form", FORMS)
@given(texts=st.lists(TEXT, max_size=8))
def test_a_column_is_keyed_by_the_definitions(form, texts: list[str | None]) -> None:
    _assert_same(texts, form)


@pytest.mark.parametrize("form", FORMS)
@given(texts=st.lists(TEXT, min_size=1, max_size=8))
def test_a_long_column_is_keyed_by_the_definitions(form, texts: list[str | None]) -> None:
    _assert_same([texts[row * 7 % len(texts)] for row in range(150)], form)


@pytest.mark.parametrize("form", FORMS)
def test_placeholders_and_every_sign_are_keyed_by_the_definitions(form) -> None:
    signs = [chr(point) for point in [*range(1, 0x3100), *range(0x4E00, 0xA000, 7), 0xFF0A, 0x1F600]]
    texts = [*PLACEHOLDER_IDS, *map(str.upper, PLACEHOLDER_IDS), *PLACEHOLDER_PHONES, *signs]

    _assert_same([*texts, *(f"王{sign}" for sign in signs), *(f"x{sign}y" for sign in signs)], form)


@pytest.mark.parametrize("form", [canonical_ip, canonical_network])
def test_every_first_octet_is_keyed_by_the_definitions(form) -> None:
    _assert_same([f"{first}.{second}.3.4" for first in range(257) for second in (0, 64, 100, 168)], form)
