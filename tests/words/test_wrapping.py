"""Lines break between words, never inside one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ordervet.words.wrapping import list_units, wrap_text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("three short words", ["three", "short", "words"]),
        ("近 7 天同一收货地址 9 单", ["近 7 天", "同一收货", "地址", "9 单"]),
        ("模型（m-1a2b）已在用", ["模型", "（m-1a2b）", "已在用"]),
        ("放行、人工查看。", ["放行、人", "工查看。"]),
        ("- one two three", ["- one", "  two", "  three"]),
        ("  缩进的行也缩进", ["  缩进的", "  行也缩", "  进"]),
        ("/a/path/that/is/long here", ["/a/path/that/is/long", "here"]),
        ("a\nb", ["a", "b"]),
        ("", [""]),
    ],
)
def test_line_breaks_between_words(text: str, lines: list[str]) -> None:
    assert wrap_text(text, 8) == lines


WORDS = st.lists(
    st.sampled_from(["订单", "放行", "model", "m-1a2b", "1,204 单", "12.5%", "（恶意）", "，", "。"]), max_size=30
)


@given(WORDS, st.sampled_from(["", " "]), st.integers(1, 40))
def test_wrapping_loses_nothing_and_breaks_no_unit(words: list[str], separator: str, width: int) -> None:
    text = separator.join(words)

    lines = wrap_text(text, width)

    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    longest = max(map(cell_len, list_units(text)), default=0)
    assert max(map(cell_len, lines)) <= max(width, longest)
    assert separator or not [line for line in lines[1:] if line.startswith(("，", "。", "）"))]


@given(st.text(max_size=60), st.integers(1, 20))
def test_any_text_is_kept_whole(text: str, width: int) -> None:
    assert re.sub(r"\s", "", "".join(wrap_text(text, width))) == re.sub(r"\s", "", text)
    assert "".join(list_units(text)) == text
