from __future__ import annotations

import datetime as dt
import gzip
import os
import stat
import zipfile
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import python_calamine
import xlsxwriter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ordervet.contract.files.csv_rows import CsvRows
from ordervet.contract.files.outputs import check_out_path, write_table, write_tables, write_whole
from ordervet.contract.files.rows import read_table
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CSV = "订单编号,buyer\n007,张三\n0010,\n"


def write_xlsx(path: Path, rows: list[list[object]]) -> Path:
    workbook = xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd hh:mm:ss"})
    sheet = workbook.add_worksheet()
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    workbook.close()
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", CSV.encode()),
        ("a.csv", CSV.encode("utf-8-sig")),
        ("a.csv", CSV.encode("gb18030")),
        ("a.CSV", CSV.replace("\n", "\r\n").encode()),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("a.csv", CSV.rstrip("\n").encode()),
    ],
)
def test_read_table_keeps_csv_cells_as_they_are_written(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)

    table = read_table(tmp_path / name)

    assert table.schema.types == [pa.string(), pa.string()]
    assert table.to_pydict() == {"订单编号": ["007", "0010"], "buyer": ["张三", ""]}


def test_read_table_keeps_line_breaks_and_commas_inside_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,note\n1,"a,\nb"\n2,5" pipe\n')

    table = read_table(tmp_path / "a.csv")

    assert table.to_pydict() == {"id": ["1", "2"], "note": ["a,\nb", '5" pipe']}


def test_workbook_is_read_over_all_sheets_with_the_first_ones_header(tmp_path: Path) -> None:
    sheets = ([["id", "n"], ["a", 1]], [["id", "n"], ["b"]], [["name", "n"], ["c", 3]], [["id", "n"]])
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as workbook:
        for rows in sheets:
            sheet = workbook.add_worksheet()
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)

    table = read_table(tmp_path / "a.xlsx")

    assert table.to_pylist() == [{"id": "a", "n": "1"}, {"id": "b", "n": ""}]


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_read_table_gives_no_rows_when_there_is_only_a_header(tmp_path: Path, name: str) -> None:
    if name.endswith("csv"):
        (tmp_path / name).write_text("order_id,placed_at")
    else:
        write_xlsx(tmp_path / name, [["order_id", "placed_at"]])

    table = read_table(tmp_path / name)

    assert table.column_names == ["order_id", "placed_at"]
    assert table.num_rows == 0


def test_read_table_drops_unnamed_columns_that_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(" id ,amount,,\n1,2,,\n")

    table = read_table(tmp_path / "a.csv")

    assert table.to_pydict() == {"id": ["1"], "amount": ["2"]}


def test_read_table_reads_json_lines_with_nested_extras(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"order_id": "1", "entities": {"terminal": 7}}\n\n{"order_id": 2}\n')

    table = read_table(tmp_path / "a.jsonl")

    assert table.to_pydict() == {"order_id": ["1", 2], "entity__terminal": [7, None]}


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
def test_read_table_reads_what_arrow_wrote(tmp_path: Path, name: str) -> None:
    table = pa.table({"id": [1, 2], "at": pa.array([0, 1], pa.timestamp("ns", tz="Asia/Shanghai"))})
    if name.endswith("parquet"):
        pq.write_table(table, tmp_path / name)
    else:
        with pa.ipc.new_file(tmp_path / name, table.schema) as writer:
            writer.write_table(table)

    read = read_table(tmp_path / name)

    assert read.equals(table)


def test_read_table_reads_a_workbook_as_text_without_making_ids_floats(tmp_path: Path) -> None:
    at = dt.datetime(2025, 11, 11, 20, 0, 1)  # noqa: DTZ001 - a workbook knows no zones
    header = ["id", "amount", "at", "is_insured", "note"]
    path = write_xlsx(
        tmp_path / "a.xlsx", [header, [250011110001234, 12.5, at, True, "x"], [], [2, 0.00001, at, False]]
    )

    table = read_table(path)

    assert table.to_pydict() == {
        "id": ["250011110001234", "2"],
        "amount": ["12.5", "0.00001"],
        "at": ["2025-11-11 20:00:01"] * 2,
        "is_insured": ["true", "false"],
        "note": ["x", ""],
    }


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.doc", b"x", "a.doc has no known ending"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"\xef\xbb\xbf \n", "a.csv is empty"),
        ("a.csv", b"PK\x03\x04rest", "a.csv is not CSV; it looks like a zip archive"),
        ("a.csv", b"  <html>", "a.csv is not CSV; it looks like HTML or XML"),
        ("a.csv", b"id\n\0\n", "a.csv is not CSV"),
        ("a.csv", b"id\n\xff\xff\xff\n", "a.csv is neither UTF-8 nor GB18030"),
        ("a.csv", b'id,b\n1,"x\ny"\n2\n3,4\n', "a.csv, line 4: 1 values, but the header has 2"),
        ("a.csv", b"id,b\n1,2,3\n", "a.csv, line 2: 3 values, but the header has 2"),
        ("a.csv", b"id,b,id\n1,2,3\n", "a.csv: duplicate columns: id"),
        ("a.csv", b'id,b\n1,"2\n3,4\n', "a.csv: a quotation mark is never closed"),
        ("a.csv.gz", b"id\n1\n", "a.csv.gz is not a whole gzip file"),
        ("a.csv.gz", gzip.compress(b"id\n1\n", mtime=0)[:-6], "a.csv.gz is damaged"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", b'{"a": 1, "a": 2}\n', "a.jsonl, line 1: not JSON, or a duplicate name"),
        ("a.jsonl", b"[1]\n", "a.jsonl, line 1: not a JSON object"),
        ("a.parquet", b"id\n1\n", "a.parquet is not a whole Parquet file"),
        ("a.arrow", b"PAR1", "a.arrow is not a whole Arrow file; it looks like Parquet"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0rest", "a.xlsx is not a whole workbook; it looks like an old Office file"),
        ("a.xlsx", b"PK\x03\x04rest", "a.xlsx is not a whole workbook; it looks like a zip archive"),
    ],
)
def test_read_table_says_what_is_wrong_with_a_file(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(FileError) as caught:
        read_table(tmp_path / name)

    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_read_table_says_when_there_is_no_file_or_it_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()

    with pytest.raises(FileError, match=r"there is no file none\.csv"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(FileError, match=r"folder\.csv is a folder"):
        read_table(tmp_path / "folder.csv")


def test_read_table_refuses_a_workbook_whose_ids_have_lost_digits(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [["id"], [1234567890123456789]])

    with pytest.raises(FileError, match="more than fifteen digits"):
        read_table(path)


def test_file_errors_never_show_what_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,buyer\n1,张三13900001111,2\n")
    (tmp_path / "a.jsonl").write_text('{"buyer": "张三13900001111\n')

    for name in ("a.csv", "a.jsonl"):
        with pytest.raises(FileError) as caught:
            read_table(tmp_path / name)
        assert "张三" not in str(caught.value)
        assert caught.value.__cause__ is None


OUT = pa.table(
    {
        "order_id": ["A1", "=1+1", "-2"],
        "amount": [1, 2, None],
        "p": [0.25, float("nan"), 1.0],
        "at": pa.array([0, 1_500_000, None], pa.timestamp("us", tz="UTC")),
        "reasons": [["R101", "R102"], [], None],
        "is_flagged": [True, False, None],
    }
)


def test_write_table_and_read_table_agree_for_parquet(tmp_path: Path) -> None:
    table = OUT.drop_columns(["p", "reasons"])

    write_table(table, tmp_path / "new" / "out.parquet")

    assert read_table(tmp_path / "new" / "out.parquet").equals(table)


def test_write_table_makes_csv_cells_inert(tmp_path: Path) -> None:
    write_table(OUT, tmp_path / "out.csv")

    table = read_table(tmp_path / "out.csv")
    assert table["order_id"].to_pylist() == ["A1", "'=1+1", "'-2"]
    assert table["amount"].to_pylist() == ["1", "2", ""]
    assert table["at"].to_pylist() == ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.500000Z", ""]
    assert table["reasons"].to_pylist() == ["R101; R102", "", ""]


@pytest.mark.parametrize("name", ["out.csv", "out.xlsx", "out.jsonl", "out.parquet"])
def test_write_table_gives_people_local_times_with_their_offset_and_programs_utc(tmp_path: Path, name: str) -> None:
    write_table(OUT.drop_columns(["reasons"]), tmp_path / name, time_zone="Asia/Shanghai")

    at = read_table(tmp_path / name)["at"].to_pylist()[0]
    if name.endswith(("csv", "xlsx")):
        assert at == "1970-01-01T08:00:00+08:00"
    else:
        assert str(at) in {"1970-01-01T00:00:00Z", "1970-01-01 00:00:00+00:00"}


def test_write_table_writes_json_lines_with_instants_as_text_and_nan_as_null(tmp_path: Path) -> None:
    write_table(OUT, tmp_path / "out.jsonl")

    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert lines[1].startswith('{"order_id": "=1+1", "amount": 2, "p": null, "at": "1970-01-01T00:00:01.500000Z", "rea')
    assert lines[2].endswith('"reasons": null, "is_flagged": null}')


def test_write_table_writes_a_workbook_with_inert_texts_frozen_header_and_filter(tmp_path: Path) -> None:
    write_table(OUT, tmp_path / "out.xlsx")

    rows = python_calamine.CalamineWorkbook.from_path(str(tmp_path / "out.xlsx")).get_sheet_by_index(0).to_python()
    assert rows[0] == OUT.column_names
    assert rows[2][:3] == ["=1+1", 2.0, ""]
    sheet = unzip_member(tmp_path / "out.xlsx", "xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert b'state="frozen"' in sheet
    assert b"<autoFilter" in sheet
    assert b'quotePrefix="1"' in unzip_member(tmp_path / "out.xlsx", "xl/styles.xml")


def unzip_member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        (["a;b", "1;2,5", "2;3,7"], ";"),
        (["id,text", "1,a;b;c", "2,a;b", "3,x"], ","),
        (["Orders, November;;", "id;amount;placed", "1;2,5;3", "2;3,7;4"], ";"),
        (["id\tname", '1\t"abc" def', '2\t5"'], "tab"),
    ],
)
def test_separator_is_the_one_that_parts_the_rows_evenly(tmp_path: Path, lines: list[str], separator: str) -> None:
    (tmp_path / "x.csv").write_text("\n".join(lines), "utf-8")

    assert CsvRows(tmp_path / "x.csv", is_long=False).envelope.startswith(f"separator {separator},")


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8), min_size=1, max_size=5)
)
@example([";", ";", "", ""])
@example(["|"] * 5)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_text_is_inert_in_csv_and_unchanged_otherwise(tmp_path: Path, texts: list[str]) -> None:
    write_table(pa.table({"id": [str(n) for n in range(len(texts))], "text": texts}), tmp_path / "out.csv")

    read = read_table(tmp_path / "out.csv")["text"].to_pylist()

    assert not any(text.startswith(("=", "+", "-", "@")) for text in read)
    assert [text.removeprefix("'") for text in read] == [text.removeprefix("'") for text in texts]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.jsonl", "out.xlsx"])
def test_write_table_leaves_everything_as_it_was_when_it_fails(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text("before")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FileError, match="No space left on device"):
        write_table(OUT, tmp_path / name)

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "before")]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.jsonl"])
def test_tables_behind_each_other_are_written_as_one(tmp_path: Path, name: str) -> None:
    parts = [OUT.slice(at, 1) for at in range(OUT.num_rows)]

    write_tables(iter(parts), tmp_path / name)
    write_table(OUT, tmp_path / f"whole-{name}")

    if name.endswith("parquet"):
        told = [str(pq.read_table(tmp_path / each).to_pylist()) for each in (name, f"whole-{name}")]  # NaN is in them
        assert told[0] == told[1]
    else:
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


def test_tables_cannot_be_written_one_by_one_to_a_workbook(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="unknown ending"):
        write_tables([OUT], tmp_path / "out.xlsx")


def test_write_whole_leaves_nothing_when_the_writer_is_interrupted(tmp_path: Path) -> None:
    def interrupted(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "out.csv", interrupted)

    assert list(tmp_path.iterdir()) == []


def test_write_table_gives_the_file_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()

    write_table(OUT, tmp_path / "out.csv")

    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_write_table_refuses_a_text_that_no_cell_holds(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not fit a cell"):
        write_table(pa.table({"a": ["x" * 40_000]}), tmp_path / "out.xlsx")

    assert list(tmp_path.iterdir()) == []


def test_check_out_path_refuses_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()

    for path, message in [
        (tmp_path / "out.pdf", "unknown ending"),
        (tmp_path / "folder.csv", "it is a folder"),
        (tmp_path / "file" / "out.csv", "file is not a folder"),
    ]:
        with pytest.raises(FileError, match=message):
            check_out_path(path)
    assert check_out_path(tmp_path / "new" / "deep" / "out.csv") == tmp_path / "new" / "deep" / "out.csv"
    assert not (tmp_path / "new").exists()


NAMES = ["张三", "李四"] * 20


def write_arrow(path: Path, names: pa.Array, change: Callable[[bytes], bytes]) -> Path:
    table = pa.table({"order_id": [f"o{n}" for n in range(len(names))], "recipient": names})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    path.write_bytes(change(sink.getvalue().to_pybytes()))
    return path


def replace_once(old: np.ndarray, new: np.ndarray) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert data.count(old.tobytes()) == 1
        return data.replace(old.tobytes(), new.tobytes())

    return change


@pytest.mark.parametrize("offset", [0x60000000, -0x40000000])
@pytest.mark.parametrize("at", [20, 40])
def test_arrow_file_whose_offsets_point_outside_is_refused(tmp_path: Path, offset: int, at: int) -> None:
    names = pa.array(NAMES)
    offsets = np.frombuffer(names.buffers()[1], np.int32)[: len(names) + 1]
    forged = offsets.copy()
    forged[at] = offset
    path = write_arrow(tmp_path / "x.arrow", names, replace_once(offsets, forged))

    with pytest.raises(FileError, match=r"x\.arrow is damaged"):
        read_table(path)


def test_arrow_file_whose_dictionary_indices_point_outside_is_refused(tmp_path: Path) -> None:
    indices = np.full(len(NAMES), 1, np.int32)
    coded = pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(["x", "y"]))
    path = write_arrow(tmp_path / "x.arrow", coded, replace_once(indices, np.full(len(NAMES), 10**9, np.int32)))

    with pytest.raises(FileError, match=r"x\.arrow is damaged"):
        read_table(path)


@pytest.mark.parametrize("is_coded", [False, True])
@pytest.mark.parametrize("ending", ["arrow", "parquet"])
def test_texts_that_are_not_utf8_are_read_as_in_text_files(tmp_path: Path, ending: str, is_coded: bool) -> None:
    raw = pa.array([name.encode("gb18030") for name in NAMES])
    texts = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    table = pa.table({"order_id": NAMES, "recipient": texts.dictionary_encode() if is_coded else texts})
    path = tmp_path / f"x.{ending}"
    if ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)

    assert read_table(path)["recipient"].to_pylist() == NAMES
