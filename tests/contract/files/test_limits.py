"""Files that lie about what they hold: each limit is named by its refusal, before memory or time are spent."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import xlsxwriter
from pyarrow import parquet

from ordervet.cli.streaming import find_streamable
from ordervet.contract import read_table
from ordervet.contract.files import arrow_rows, limits, sheet_rows
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_sheet(path: Path, cells: dict[tuple[int, int], str]) -> None:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for place, text in cells.items():
            sheet.write_string(*place, text)


def write_forged_sheet(path: Path, old: bytes, new: bytes) -> None:
    """Write a small workbook, and change its sheet behind the writer's back."""
    write_sheet(path, {(0, 0): "order_id", (0, 1): "placed_at", (1, 0): "a", (1, 1): "2025-01-01"})
    whole = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry).replace(old, new))


def test_sheet_whose_cells_lie_far_apart_is_refused_before_it_is_laid_out(tmp_path: Path) -> None:
    path = tmp_path / "sparse.xlsx"
    write_sheet(path, {(0, 0): "order_id", (1_048_575, 16_383): "x"})

    with pytest.raises(
        FileError, match=r"has 17,179,869,184 sheet cells, more than the limit of 50,000,000"
    ) as refused:
        read_table(path)

    assert refused.value.hint == "if the file is right: ORDERVET_MAX_SHEET_CELLS=17179869184"


def test_sheet_with_a_forged_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "forged.xlsx"
    write_forged_sheet(path, b'r="B2"', b'r="XFD1048576"')

    with pytest.raises(FileError, match="sheet cells, more than the limit"):
        read_table(path)


def write_sharing(path: Path, text: str, others: list[str], *, with_formula: bool = False) -> None:
    """Write a sheet whose cells share one text with the cells of its second column."""
    write_sheet(path, {(0, 0): "order_id", (0, 1): "note"} | {(at + 1, 1): other for at, other in enumerate(others)})
    whole = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "xl/sharedStrings.xml":
                content = content.replace(b"<t>order_id</t>", f"<t>{text}</t>".encode())
            if with_formula:
                content = content.replace(b't="s"><v>', b't="s"><f>A1</f><v>')
            target.writestr(entry.filename, content)


@pytest.mark.parametrize("with_formula", [False, True])
def test_one_long_text_that_many_cells_of_a_sheet_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_formula: bool
) -> None:
    monkeypatch.setattr(limits, "_FREE_MIB", 1)
    monkeypatch.setattr(sheet_rows, "_MUCH_SHARED", 2**20)
    path = tmp_path / "shared.xlsx"
    write_sharing(path, "x" * 30_000, ["order_id"] * 2_000, with_formula=with_formula)

    with pytest.raises(FileError, match=r"shared.xlsx has [\d,]+ expansion, more than the limit of 200"):
        read_table(path)


def test_one_long_text_beside_many_short_ones_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_FREE_MIB", 1)
    monkeypatch.setattr(sheet_rows, "_MUCH_SHARED", 2**20)
    path = tmp_path / "shared.xlsx"
    write_sharing(path, "x" * 30_000, ["a"] * 2_000)

    assert read_table(path).num_rows == 2_000


def test_merged_cells_outside_of_a_sheet_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "merged.xlsx"
    write_forged_sheet(
        path, b"</sheetData>", b'</sheetData><mergeCells count="1"><mergeCell ref="Z1:AA9"/></mergeCells>'
    )

    assert read_table(path).to_pylist() == [{"order_id": "a", "placed_at": "2025-01-01"}]


def test_limit_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("a,b,c\n1,2,3\n")

    monkeypatch.setenv("ORDERVET_MAX_COLUMNS", "2")
    with pytest.raises(FileError, match=r"orders.csv has 3 columns, more than the limit of 2\nhint: .*MAX_COLUMNS=3"):
        read_table(path)
    monkeypatch.setenv("ORDERVET_MAX_COLUMNS", "3")
    assert read_table(path).num_columns == 3
    monkeypatch.setenv("ORDERVET_MAX_COLUMNS", "many")
    with pytest.raises(FileError, match="ORDERVET_MAX_COLUMNS: got many, expected a whole number above 0"):
        read_table(path)


def write_gzip(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content))


def write_zip(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders.csv", content)


def write_bomb_of_a_sheet(path: Path, content: bytes) -> None:
    write_sheet(path, {(0, 0): "order_id"})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet9.xml", content)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("bomb.csv.gz", write_gzip),
        ("bomb.jsonl.gz", write_gzip),
        ("bomb.zip", write_zip),
        ("bomb.xlsx", write_bomb_of_a_sheet),
    ],
)
def test_packed_file_that_grows_without_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[Path, bytes], None]
) -> None:
    monkeypatch.setattr(limits, "_FREE_MIB", 1)
    path = tmp_path / name
    write(path, b"order_id,placed_at,amount_minor\n" + b"0" * (16 * 2**20))

    with pytest.raises(FileError, match=r"bomb\..* has [\d,]+ expansion, more than the limit of 200"):
        read_table(path)


def forge_size(path: Path, size: int, *, is_zip64: bool) -> None:
    """Let the directory of an archive say that its last file unpacks to so many bytes, in ZIP64 or plainly."""
    data = bytearray(path.read_bytes())
    at, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    (n_name,) = struct.unpack_from("<H", data, at + 28)
    extra = struct.pack("<HHQ", 1, 8, size) if is_zip64 else b""
    struct.pack_into("<I", data, at + 24, 0xFFFFFFFF if is_zip64 else size)
    struct.pack_into("<H", data, at + 30, len(extra))
    struct.pack_into("<I", data, end + 12, struct.unpack_from("<I", data, end + 12)[0] + len(extra))
    data[at + 46 + n_name : at + 46 + n_name] = extra
    path.write_bytes(data)


@pytest.mark.parametrize(("size", "is_zip64"), [(2**31, False), (2**45, True), (2**63 - 1, True)])
@pytest.mark.parametrize("name", ["lie.zip", "lie.xlsx"])
def test_archive_that_lies_about_what_it_unpacks_to_is_refused(
    tmp_path: Path, name: str, size: int, *, is_zip64: bool
) -> None:
    path = tmp_path / name
    if name.endswith(".zip"):
        write_zip(path, b"order_id,placed_at,amount_minor\n")
    else:
        write_bomb_of_a_sheet(path, b"<worksheet/>")
    forge_size(path, size, is_zip64=is_zip64)

    with pytest.raises(FileError, match=r"lie\..* has [\d,]+ (unpacked MiB|expansion), more than the limit of"):
        read_table(path)


def test_parquet_file_of_more_cells_than_memory_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders.parquet"
    parquet.write_table(pa.table({"order_id": pa.repeat("a", 1_000)}), path)
    monkeypatch.setenv("ORDERVET_MAX_CELLS", "999")

    with pytest.raises(FileError, match="has 1,000 cells, more than the limit of 999"):
        read_table(path)


def repeat(value: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), n), pa.array([value]))


def view(value: str, n: int) -> pa.Array:
    one = struct.pack("<i4sii", len(value), value[:4].encode(), 0, 0)
    return pa.Array.from_buffers(pa.string_view(), n, [None, pa.py_buffer(one * n), pa.py_buffer(value.encode())])


def repeat_in_list(value: str, n: int) -> pa.Array:
    return pa.array([[value]]).take(pa.array([0] * n))


def repeat_in_struct(value: str, n: int) -> pa.Array:
    return pa.array([{"note": value}]).take(pa.array([0] * n))


def write_parquet(column: pa.Array, path: Path) -> None:
    parquet.write_table(pa.table({"order_id": column}), path, store_schema=False)


def write_parquet_as_coded(column: pa.Array, path: Path) -> None:
    parquet.write_table(pa.table({"order_id": column}), path)


def write_arrow(column: pa.Array, path: Path) -> None:
    table = pa.table({"order_id": column})
    with pa.ipc.new_file(path, table.schema) as file:
        file.write(table)


def write_stream(column: pa.Array, path: Path) -> None:
    table = pa.table({"order_id": column})
    with pa.ipc.new_stream(path, table.schema) as file:
        file.write(table)


WRITERS = [write_parquet, write_parquet_as_coded, write_arrow, write_stream]
BOMBS = [
    *((write, repeat) for write in WRITERS),
    *((write, view) for write in (write_arrow, write_stream)),
    *((write_parquet, make) for make in (repeat_in_list, repeat_in_struct)),
]


@pytest.mark.parametrize("is_long", [False, True], ids=["whole", "long"])
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("limit", ["ROWS", "ROWS_PER_BYTE"])
def test_rows_that_take_no_bytes_are_refused_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None], limit: str, *, is_long: bool
) -> None:
    path = tmp_path / ("orders.parquet" if "parquet" in write.__name__ else "orders.arrow")
    write(pa.nulls(100_000, pa.null() if path.suffix == ".arrow" else pa.string()), path)
    monkeypatch.setenv(f"ORDERVET_MAX_{limit}", "99999" if limit == "ROWS" else "9")
    monkeypatch.setattr(limits, "_FREE_ROWS", 1_000)
    monkeypatch.setattr(arrow_rows, "validate_table", None)

    with pytest.raises(FileError, match=rf"has [\d,]+ {limit.lower().replace('_', ' ')}, more than the limit of [9,]+"):
        list(arrow_rows.ArrowRows(path, is_long=is_long).iter_tables())


def test_constant_parquet_file_of_billions_of_rows_is_refused_through_every_door(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    columns = {"order_id": repeat("a", 10**6), "placed_at": repeat("2025-11-11", 10**6), "amount_minor": [1] * 10**6}
    part = pa.table(columns)
    with parquet.ParquetWriter(path, part.schema) as file:
        file.write_table(part)
    forge_rows(path, 2**33)

    with pytest.raises(FileError, match="has 8,589,934,592 rows, more than the limit of 2,000,000,000"):
        read_table(path)
    assert find_streamable([path]) is None


def forge_rows(path: Path, n_rows: int) -> None:
    """Write another number of rows into the footer of a Parquet file: field 3 of its metadata, in zigzag."""
    data = path.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8].replace(b"\x16" + write_varint(2 * 10**6), b"\x16" + write_varint(2 * n_rows))
    path.write_bytes(data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert parquet.read_metadata(path).num_rows == n_rows


def write_varint(number: int) -> bytes:
    parts = []
    while number >= 128:
        parts.append(number % 128 + 128)
        number //= 128
    return bytes([*parts, number])


@pytest.mark.parametrize("is_long", [False, True], ids=["whole", "long"])
@pytest.mark.parametrize(("write", "make"), BOMBS)
def test_one_long_text_in_many_rows_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[..., None],
    make: Callable[[str, int], pa.Array],
    *,
    is_long: bool,
) -> None:
    path = tmp_path / ("orders.parquet" if "parquet" in write.__name__ else "orders.arrow")
    write(make("x" * 200_000, 1_000), path)
    monkeypatch.setattr(limits, "_FREE_MIB", 16)
    monkeypatch.setattr(arrow_rows, "_MUCH", 2**24)

    with pytest.raises(FileError, match=r"has [\d,]+ expansion, more than the limit of 200"):
        list(arrow_rows.ArrowRows(path, is_long=is_long).iter_tables())
    assert find_streamable([path], min_rows=1) is None


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("make", [repeat, view, pa.repeat], ids=["coded", "views", "plain"])
def test_long_texts_in_some_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None], make: Callable[[str, int], pa.Array]
) -> None:
    path = tmp_path / ("orders.parquet" if "parquet" in write.__name__ else "orders.arrow")
    write(make("x" * 300, 1_000), path)
    monkeypatch.setattr(arrow_rows, "_MUCH", 1_000)

    tables = list(arrow_rows.ArrowRows(path, is_long=True).iter_tables())

    assert pa.concat_tables(tables)["order_id"].to_pylist() == ["x" * 300] * 1_000


def test_lists_of_parquet_count_by_their_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "orders.parquet"
    write_parquet(pa.array([[1] * 5_000]), path)
    monkeypatch.setenv("ORDERVET_MAX_CELLS", "4999")

    with pytest.raises(FileError, match="has 5,000 cells, more than the limit of 4,999"):
        read_table(path)


@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet", "orders.xlsx", "orders.json", "orders.csv.gz"])
def test_pipe_or_device_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / f"zero-{name}").symlink_to("/dev/zero")

    for path in (tmp_path / name, tmp_path / f"zero-{name}"):
        with pytest.raises(FileError, match="is a pipe or a device"):
            read_table(path)
