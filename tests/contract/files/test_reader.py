"""Long files are read in pieces that hold whole orders, and give what they give when they are read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordervet.contract import load_mapping
from ordervet.contract.files import arrow_rows, csv_rows, json_rows, opening, whole_orders
from ordervet.contract.files.reader import FileReader
from ordervet.contract.files.row_source import RawRows
from ordervet.contract.files.rows import open_rows
from ordervet.contract.files.whole_orders import close_orders, find_ends
from ordervet.errors import ContractError, FileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordervet.contract.files.pieces import FilePiece

EXPORTS = Path(__file__).parents[1] / "formats" / "exports"
HEADER = "订单编号,订单创建时间,总金额,购买数量,收货地址,备注"
FAST = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_PIECE", 0)
    monkeypatch.setattr(arrow_rows, "_ROWS_AT_ONCE", 16)
    monkeypatch.setattr(json_rows, "_LINES_AT_ONCE", 16)
    monkeypatch.setattr(csv_rows, "_LONG_BLOCK", 2**11)
    monkeypatch.setattr(whole_orders, "_ROWS_PER_PIECE", 64)


def order_lines(n_orders: int, *, is_scattered: bool = False, seed: int = 1) -> list[str]:
    """Write orders of one to three lines, some of them broken; scattered ones anywhere in the file."""
    lines = [
        f'="{10**17 + i}",{"嗯" if i % 41 == 5 else "2025-11-11 20:00:00"},{i}.50,{line},示例市样板路{i}号,"一句\n备注"'
        for i in range(n_orders)
        for line in range(1, i % 3 + 2)
    ]
    if is_scattered:
        return [lines[at] for at in np.random.default_rng(seed).permutation(len(lines))]
    return lines


def read_both(path: Path, **how: Any) -> tuple[FilePiece, list[FilePiece]]:
    reader = FileReader(**how)
    return reader.read_whole([path])[0], list(reader.iter_pieces(0, path))


def assert_same(whole: FilePiece, pieces: list[FilePiece]) -> None:
    """The pieces hold together what the whole file holds; rows are told apart by their number in the file."""
    assert len(pieces) > 1
    assert sum(piece.n_rows for piece in pieces) == whole.n_rows
    merged = np.concatenate([piece.merged_rows for piece in pieces])
    assert sorted(merged.tolist()) == sorted(whole.merged_rows.tolist())
    for at, part in enumerate(whole.parts):
        rows = np.concatenate([piece.parts[at].rows for piece in pieces])
        table = pa.concat_tables([piece.parts[at].table for piece in pieces])
        order = np.lexsort((np.arange(len(rows)), rows))
        expected = np.lexsort((np.arange(len(part.rows)), part.rows))
        assert rows[order].tolist() == part.rows[expected].tolist()
        assert table.take(pa.array(order)).to_pylist() == part.table.take(pa.array(expected)).to_pylist()
        failures = pa.concat_tables([piece.parts[at].failures for piece in pieces])
        by = [("row", "ascending"), ("field", "ascending")]
        assert failures.sort_by(by).to_pylist() == part.failures.sort_by(by).to_pylist()


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("is_scattered", [False, True])
@pytest.mark.parametrize("n_broken", [0, 1])
def test_long_export_gives_what_it_gives_whole(
    tmp_path: Path, encoding: str, is_scattered: bool, n_broken: int
) -> None:
    lines = order_lines(200, is_scattered=is_scattered)
    lines[150:150] = ["太短,的,一行"] * n_broken
    path = tmp_path / "orders.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding)

    whole, pieces = read_both(path)

    assert whole.format == "tmall_orders"
    assert_same(whole, pieces)


@FAST
@given(sizes=st.lists(st.integers(1, 20), min_size=3, max_size=12), seed=st.integers(0, 99))
def test_long_export_gives_what_it_gives_whole_wherever_its_lines_stand(
    tmp_path: Path, sizes: list[int], seed: int
) -> None:
    lines = [f"T{i},2025-11-11 20:00:00,1.00,{line},," for i, size in enumerate(sizes) for line in range(1, size)]
    lines += [f"U{i},2025-11-11 20:00:00,2.00,1,," for i in range(150)]
    lines = [lines[at] for at in np.random.default_rng(seed).permutation(len(lines))]
    path = tmp_path / "orders.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", "utf-8")

    assert_same(*read_both(path))


def native_rows(n: int) -> pa.Table:
    """Give orders in contract columns, of which every tenth repeats an earlier one and every thirteenth is broken."""
    ids = [f"n{i if i % 10 else i // 2}" for i in range(n)]
    times = ["2025-11-11 20:00:00" if i % 13 else "bald" for i in range(n)]
    return pa.table(
        {"order_id": ids, "placed_at": times, "amount_minor": list(range(n)), "phone": [None, "1"] * (n // 2)}
    )


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow"])
def test_long_file_in_contract_columns_gives_what_it_gives_whole(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"orders.{ending}"
    write_native(native_rows(200), path)

    whole, pieces = read_both(path)

    assert whole.format == "native"
    assert set(whole.parts[0].failures["rule"].to_pylist()) == {"unique", "instant"}
    assert_same(whole, pieces)


def write_native(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=50)
    elif path.suffix == ".csv":
        rows = [",".join("" if each is None else str(each) for each in row.values()) for row in table.to_pylist()]
        path.write_text("\n".join([",".join(table.column_names), *rows]) + "\n")
    else:
        rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
        rows[3]["amount_minor"] = "3"  # a text among numbers
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")


def test_long_file_with_a_mapping_gives_what_it_gives_whole(tmp_path: Path) -> None:
    mapping = tmp_path / "mine.toml"
    mapping.write_text(
        '[order]\norder_id = "ID"\nplaced_at = "AT"\namount_minor = "SUM"\n[labels]\ncolumn = "BAD"\n'
        'malicious = ["1"]\ninnocent = ["0"]\ndelay = "1d"\n'
    )
    path = tmp_path / "orders.csv"
    rows = [f"m{i % 170},2025-11-{i % 28 + 1:02},5,{i % 3 if i % 3 < 2 else ''}" for i in range(200)]
    path.write_text("\n".join(["ID,AT,SUM,BAD", *rows]) + "\n")

    whole, pieces = read_both(path, mapping=load_mapping(mapping))

    assert whole.format == "mapping"
    assert_same(whole, pieces)


def test_long_json_lines_of_an_export_give_what_they_give_whole(tmp_path: Path) -> None:
    path = tmp_path / "trades.jsonl"
    line = '{{"tid": {tid}, "status": "TRADE_FINISHED", "created": "2025-11-11 20:00:00", "payment": "1.00", {more}}}'
    rows = [
        line.format(tid=10**18 + i, more=f'"end_time": "2025-11-1{i % 8 + 2} 00:00:00", "num": 1') for i in range(200)
    ]
    path.write_text("\n".join(rows) + "\n")

    whole, pieces = read_both(path)

    assert whole.format == "taobao_api_trades"
    assert_same(whole, pieces)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("orders.csv", "order_id,placed_at,amount_minor\na,2025-11-11,1,9\n", "line 2: 4 values"),
        ("orders.csv", "order_id,placed_at,amount_minor,order_id\na,2025-11-11,1,9\n", "duplicate columns"),
        (
            "orders.jsonl",
            '{"order_id": "a", "placed_at": "2025-11-11", "amount_minor": 1}\n[1]\n',
            "line 2: not a JSON",
        ),
        ("orders.parquet", "PAR1 cut off", "is damaged"),
        ("orders.arrow", "ARROW1 cut off", "is damaged"),
        ("orders.csv", "订单编号,备注\n1,2\n", "matches no known format"),
    ],
)
def test_long_file_that_is_wrong_is_one_clear_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content, "utf-8")

    with pytest.raises(ContractError, match=message):
        list(FileReader().iter_pieces(0, path))


def ids_in_blocks(*blocks_of_ids: str) -> list[pa.Array]:
    return [pa.array([each if each != "-" else None for each in ids]) for ids in blocks_of_ids]


def raw_blocks(*blocks_of_ids: str) -> Iterator[RawRows]:
    first = 0
    for ids in ids_in_blocks(*blocks_of_ids):
        yield RawRows(pa.table({"id": ids}), first + np.arange(len(ids)))
        first += len(ids)


def test_order_waits_for_its_last_block_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_orders, "_ROWS_PER_PIECE", 1)
    ids = ("ab-", "bcd", "de", "a")

    pieces = close_orders(raw_blocks(*ids), find_ends(ids_in_blocks(*ids)), lambda rows: rows.table["id"], None)

    given_ids = ["".join(each or "-" for each in rows.table["id"].to_pylist()) for rows, _ in pieces]
    assert given_ids == ["-", "bbc", "dde", "aa"]


@pytest.mark.parametrize("second", [("ab", "b"), ("ab", "bc", "x"), ("abx", "bc"), ("ab",)])
def test_file_that_changes_between_its_two_readings_is_an_error(tmp_path: Path, second: tuple[str, ...]) -> None:
    ends = find_ends(ids_in_blocks("ab", "bc"))

    with pytest.raises(FileError, match=r"grows\.csv changed while it was read"):
        list(close_orders(raw_blocks(*second), ends, lambda rows: rows.table["id"], tmp_path / "grows.csv"))


@pytest.mark.parametrize("path", sorted(EXPORTS.glob("*.[ct][sx][vt]")), ids=lambda path: path.name)
def test_every_export_is_the_same_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(csv_rows, "_ROWS_AT_ONCE", 16)
    n_above = open_rows(path)._header_lines  # type: ignore[attr-defined]  # of text separated by something
    lines = path.read_text("utf-8").splitlines(keepends=True)
    long = tmp_path / path.name
    long.write_text("".join(lines[:n_above]) + "".join(lines[n_above:]) * 90, "utf-8", newline="")

    whole, pieces = read_both(long)

    assert_same(whole, pieces)
    assert pieces[-1].tally.undated == whole.tally.undated
