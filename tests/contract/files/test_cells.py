from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.contract.files.cells import BLANKS, decode_cells, plain_name, repair_ids
from ordervet.contract.files.opening import find_encoding

SIGNS = st.characters(codec="gb18030", exclude_categories=["Cs"])
CELLS = st.lists(st.one_of(st.text(SIGNS, max_size=8), st.sampled_from(['="123"', "'0042", "\t77 ", *BLANKS])))


def decode_one(cell: bytes, encoding: str) -> str:
    """The definition of a cell: trimmed, its quotes for Excel taken off, decoded, words for nothing left out."""
    bare = cell.strip(b"\t\n\r ")
    if bare.startswith(b'="') and bare.endswith(b'"') and len(bare) > 3:
        bare = bare[2:-1]
    elif bare.startswith(b"'"):
        bare = bare[1:]
    text = bare.decode(encoding, errors="replace")
    return "" if text in BLANKS else text


@given(texts=CELLS, encoding=st.sampled_from(["utf-8", "gb18030", "cp1252"]), offset=st.integers(0, 2))
def test_decode_cells_equals_the_definition(texts: list[str], encoding: str, offset: int) -> None:
    cells = [text.encode(encoding, "replace") for text in texts]
    column = pa.array([*([b"before"] * offset), *cells], pa.binary()).slice(offset)

    decoded = decode_cells(column, encoding)  # type: ignore[arg-type]

    assert decoded.to_pylist() == [decode_one(cell, encoding) for cell in cells]


@given(cells=st.lists(st.binary(max_size=12)), encoding=st.sampled_from(["utf-8", "gb18030", "cp1252"]))
def test_decode_cells_takes_any_bytes(cells: list[bytes], encoding: str) -> None:
    decoded = decode_cells(pa.array(cells, pa.binary()), encoding)  # type: ignore[arg-type]

    decoded.validate(full=True)
    assert len(decoded) == len(cells)


@pytest.mark.parametrize(("cut", "left"), [(b"\x91", "�"), (b"\x910", "�0"), (b"\x910\x81", "�0�"), (b"\xff", "�")])
@pytest.mark.parametrize("others", [[], [b""], [b"1", b"", b""], [b"1", "嗯".encode("gb18030")]])
def test_decode_cells_keeps_a_character_that_is_cut_off_within_its_cell(
    cut: bytes, left: str, others: list[bytes]
) -> None:
    decoded = decode_cells(pa.array([b"2025" + cut, *others], pa.binary()), "gb18030")

    assert decoded.to_pylist() == ["2025" + left, *(cell.decode("gb18030") for cell in others)]


def test_decode_cells_keeps_a_garbled_byte_within_its_cell() -> None:
    cells = pa.array(["甲".encode("gb18030"), b"\xff", "乙\x1e".encode("gb18030"), "丙".encode("gb18030")])

    assert decode_cells(cells, "gb18030").to_pylist() == ["甲", "\ufffd", "乙\x1e", "丙"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_find_encoding_reads_the_first_chunk_that_is_not_ascii(encoding: str) -> None:
    chunks = [b"order,city\n" * 9, "杭州市余杭区，上海市徐汇区\n".encode(encoding)]

    assert find_encoding(chunks) == encoding.removesuffix("-sig")


@pytest.mark.parametrize(
    "text",
    ["Jürgen Groß, Münchener Straße 7", "Zoë,", "Élodie d'Haÿ; 3 côte de Liège; 12,50 €", "£12.50", "São João, nº 5"],
)
def test_find_encoding_tells_western_letters_from_chinese_ones(text: str) -> None:
    assert find_encoding([b"order,city\n", text.encode("cp1252")]) == "cp1252"


@pytest.mark.parametrize("text", ["镕", "朱镕基，北京", "李喆 a 13812345678 b 王", "宝贝标题：T恤 s码 x 裤"])
def test_find_encoding_knows_chinese_text_by_its_pairs(text: str) -> None:
    assert find_encoding([text.encode("gb18030") + "，订单".encode("gb18030")]) == "gb18030"


def test_find_encoding_is_not_put_off_by_a_garbled_byte() -> None:
    assert find_encoding(["订单编号,收货地址\n杭州市余杭区".encode() + b"\xff" + "文一西路\n".encode()]) == "utf-8"


def test_mend_ids_gives_up_ids_that_have_lost_digits_and_keeps_all_others() -> None:
    ids = pa.array(["123.0", "2.3E+18", "12E5", "1.2", "0042", "", "9999999999999999.0", "a@b.c"])

    mended, is_lost = repair_ids(ids)

    assert mended.to_pylist() == ["123", "", "12E5", "1.2", "0042", "", "", "a@b.c"]
    assert is_lost.tolist() == [False, True, False, False, False, False, True, False]


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("商品总价（元）", "商品总价(元)"),
        (" Lineitem Quantity", "lineitem quantity"),
        ("\ufeff订单编号\t", "订单编号"),
    ],
)
def test_plain_name_sees_through_width_case_and_spaces(name: str, same: str) -> None:
    assert plain_name(name) == plain_name(same)
