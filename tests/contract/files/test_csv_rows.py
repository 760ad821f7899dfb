from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from ordervet.contract import iter_table_blocks, read_counted_events
from ordervet.contract.files import csv_rows
from ordervet.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events

HEADER = "订单编号,订单创建时间,总金额,购买数量,收货地址,备注\n"


def rows_of(n_orders: int) -> str:
    """Write orders of one to three lines, one order's lines straddling every border of small blocks."""
    lines = [
        f'="{10**17 + i}",2025-11-11 20:{i % 60:02}:00,{i}.50,{line},示例市样板路{i}号,"一句\n备注"'
        for i in range(n_orders)
        for line in range(1, i % 3 + 2)
    ]
    return HEADER + "\n".join(lines) + "\n"


def read(path: Path) -> Events:
    events, failures, (counts,) = read_counted_events([path])
    assert failures.num_rows == 0
    assert counts.n_read == counts.n_accepted + counts.n_merged
    return events


@pytest.mark.parametrize("block_size", [2**8, 2**10, 2**13])
def test_lines_are_merged_across_the_borders_of_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_size: int
) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(rows_of(120).encode("gb18030"))
    whole = read(path)
    monkeypatch.setattr(csv_rows, "_BLOCK", block_size)

    in_blocks = read(path)

    assert len(list(iter_table_blocks(path))) > 1
    assert in_blocks == whole
    assert whole.orders["quantity"].to_pylist() == [(1, 3, 6)[i % 3] for i in range(120)]
    assert whole.orders["n_lines"].to_pylist() == [i % 3 + 1 for i in range(120)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_a_file_reads_the_same_in_every_encoding(tmp_path: Path, encoding: str, ending: str) -> None:
    data = rows_of(20).encode(encoding)
    path = tmp_path / f"orders{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)

    events = read(path)

    assert events.orders["address"].to_pylist()[:2] == ["示例市样板路0号", "示例市样板路1号"]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_rows_of_another_length_are_set_aside_by_their_number(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "orders.csv"
    good = "{},2025-11-11 20:00:00,1.00,1,示例市样板路,\n"
    path.write_text(
        HEADER
        + good.format("A")
        + "B,示例,太短\n"
        + good.format("C")
        + "\n"
        + "D,太,长,了,一,些,吧\n"
        + "E,坏,1,1,,\n",
        encoding,
    )

    events, failures, (counts,) = read_counted_events([path])

    assert events.orders["order_id"].to_pylist() == ["A", "C"]
    assert failures.select(["row", "rule", "observed"]).to_pylist() == [
        {"row": 1, "rule": "columns", "observed": "3 values"},
        {"row": 3, "rule": "columns", "observed": "7 values"},
        {"row": 4, "rule": "instant", "observed": "字"},
    ]
    assert (counts.n_read, counts.n_accepted, counts.n_merged, counts.n_quarantined) == (5, 2, 0, 3)


def test_rows_read_one_by_one_are_those_that_are_read_in_blocks(tmp_path: Path) -> None:
    path, uneven = tmp_path / "orders.csv", tmp_path / "uneven.csv"
    text = rows_of(60)
    path.write_text(text, "gb18030")
    uneven.write_text(text + "太短\n", "gb18030")

    tables = [pa.concat_tables(iter_table_blocks(each)) for each in (path, uneven)]

    assert tables[0].equals(tables[1])


def test_a_quotation_mark_left_open_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        rows_of(5) + 'X,2025-11-11 20:00:00,1.00,1,示例市,"未完\nY,2025-11-11 20:00:00,1.00,1,示例市,\n', "utf-8"
    )

    with pytest.raises(FileError, match=r"orders\.csv: a quotation mark is never closed"):
        read_counted_events([path])


def test_a_line_that_never_ends_is_an_error_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "_BLOCK", 2**16)
    path = tmp_path / "orders.csv"
    path.write_text(rows_of(5) + "x" * 2**20 + "\n", "utf-8")

    with pytest.raises(FileError, match=r"orders\.csv is damaged: a row is longer than 16 MiB"):
        read_counted_events([path])


def test_a_header_alone_is_an_export_without_orders(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(HEADER, "gb18030")

    events, failures, (counts,) = read_counted_events([path])

    assert (events.orders.num_rows, failures.num_rows, counts.n_read) == (0, 0, 0)


@pytest.mark.parametrize("rest", [b"", b"\xef\xbb\xbf\n", b"\n\n", b"\r\n"])
@pytest.mark.parametrize(
    "header",
    ["corrected_at,order_id", "order_id,placed_at,amount_minor", "主订单编号,选购商品,订单应付金额,订单提交时间"],
)
def test_rows_that_hold_nothing_are_none(tmp_path: Path, header: str, rest: bytes) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(header.encode() + b"\n" + rest)

    _, failures, (counts,) = read_counted_events([path], are_orders_needed=False)

    assert (counts.n_read, failures.num_rows) == (0, 0)


def test_rows_without_an_id_belong_to_the_order_above_where_a_format_says_so(tmp_path: Path) -> None:
    (tmp_path / "merged_cells.toml").write_text(
        'title = "merged cells"\nkind = "orders"\n[fields]\norder_id = "单号"\nplaced_at = "时间"\n'
        'amount_minor = "钱"\nquantity = { columns = "件", merge = "sum" }\n[lines]\ncontinuation = "blank_id"\n',
        "utf-8",
    )
    path = tmp_path / "orders.csv"
    path.write_text("单号,时间,钱,件\nA,2025-11-11,5,1\n,,,2\nB,2025-11-12,6,1\n,,,4\n", "utf-8")

    events, _, (counts,) = read_counted_events([path], formats_dir=tmp_path)

    assert events.orders["quantity"].to_pylist() == [3, 5]
    assert (counts.format, counts.n_accepted, counts.n_merged) == ("merged_cells", 2, 2)
