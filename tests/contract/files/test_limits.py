"""Files that lie about what they hold: each limit is named by its refusal, before memory or time are spent."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import xlsxwriter
from pyarrow import parquet

from ordervet.contract import read_table
from ordervet.contract.files import limits
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


def test_parquet_file_of_more_cells_than_memory_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders.parquet"
    parquet.write_table(pa.table({"order_id": pa.repeat("a", 1_000)}), path)
    monkeypatch.setenv("ORDERVET_MAX_CELLS", "999")

    with pytest.raises(FileError, match="has 1,000 cells, more than the limit of 999"):
        read_table(path)


@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet", "orders.xlsx", "orders.json", "orders.csv.gz"])
def test_pipe_or_device_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / f"zero-{name}").symlink_to("/dev/zero")

    for path in (tmp_path / name, tmp_path / f"zero-{name}"):
        with pytest.raises(FileError, match="is a pipe or a device"):
            read_table(path)
