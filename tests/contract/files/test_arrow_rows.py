"""A Parquet file table by table is the file, and texts stay encoded where the file holds few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ordervet.contract.files.arrow_rows import ArrowRows, count_rows, find_coded_columns, iter_chunks
from ordervet.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

N = 5_000
TABLE = pa.table(
    {
        "order_id": [f"order-{row:09}" for row in range(N)],
        "channel": [f"channel-{row % 3}" for row in range(N)],
        "campaign": [None if row % 3 else "d11" for row in range(N)],
        "nothing": pa.nulls(N, pa.string()),
        "amount_minor": list(range(N)),
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "orders.parquet"
    pq.write_table(TABLE, path, row_group_size=2_000, dictionary_pagesize_limit=4_096)
    return path


@pytest.mark.parametrize("rows", [1, 700, 2_000, 9_999])
def test_tables_behind_each_other_are_the_file(path: Path, rows: int) -> None:
    tables = list(iter_chunks(path, rows))

    assert pa.concat_tables(table.cast(TABLE.schema) for table in tables).equals(TABLE)
    assert len(tables) <= -(-N // rows) + 3  # the file has three parts
    assert max(table.num_rows for table in tables) <= rows
    assert count_rows(path) == N


def test_only_texts_of_few_values_stay_encoded(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        coded = find_coded_columns(file.metadata, file.schema_arrow)

    table = next(iter_chunks(path, 2_000))

    assert coded == ["campaign", "channel"]
    assert [name for name in table.column_names if pa.types.is_dictionary(table.schema.field(name).type)] == [
        "channel", "campaign",
    ]  # fmt: skip


def test_a_file_of_many_small_parts_is_read_in_large_tables(path: Path) -> None:
    pq.write_table(TABLE, path, row_group_size=100)

    assert [table.num_rows for table in iter_chunks(path, 2_500)] == [2_500, 2_500]


def test_a_file_without_dictionaries_or_statistics_has_no_column_encoded(path: Path) -> None:
    for options in ({"use_dictionary": False}, {"write_statistics": False, "use_dictionary": ["order_id"]}):
        pq.write_table(TABLE, path, **options)

        with pq.ParquetFile(path) as file:
            assert set(find_coded_columns(file.metadata, file.schema_arrow)) <= {"nothing"}


def test_column_without_a_name_that_is_blank_for_a_while_is_read_whole(tmp_path: Path) -> None:
    path, n = tmp_path / "orders.parquet", 40_000
    pq.write_table(pa.table([pa.array(["o"] * n), pa.array([""] * (n - 1) + ["x"])], names=["order_id", ""]), path)

    assert next(ArrowRows(path, is_long=False).iter_tables()).num_columns == 2


def test_damage_of_what_a_footer_says_of_columns_is_told(tmp_path: Path) -> None:
    path, found = tmp_path / "orders.parquet", []
    pq.write_table(TABLE.select(["order_id", "campaign"]).slice(0, 3), path, store_schema=False)
    whole = path.read_bytes()
    end = len(whole) - 8
    start = end - int.from_bytes(whole[-8:-4], "little")

    for at in range(start, end):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x06]) + whole[at + 1 :])
        try:
            found.append(sum(table.num_rows for table in ArrowRows(path, is_long=False).iter_tables()))
        except FileError:
            found.append(-1)

    assert 0 < found.count(-1) < len(found)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_of_another_encoding_are_read_between_nulls(tmp_path: Path, kind: pa.DataType) -> None:
    raw = pa.array([None, "杭州市".encode("gb18030"), None, b"", b"\xff\x1e"], pa.binary())
    texts = raw.cast(pa.large_binary() if kind == pa.large_string() else raw.type).view(kind)
    pq.write_table(pa.table({"order_id": texts}), tmp_path / "orders.parquet")

    read = next(ArrowRows(tmp_path / "orders.parquet", is_long=False).iter_tables())

    assert read["order_id"].to_pylist() == [None, "杭州市", None, "", "\ufffd\x1e"]


def test_damaged_name_of_a_column_without_rows_is_told(tmp_path: Path) -> None:
    path = tmp_path / "orders.arrow"
    schema = pa.schema([("order_id", pa.string()), ("placed_at", pa.string())])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema):
        pass
    path.write_bytes(path.read_bytes().replace(b"placed_at", b"placed\xa4at"))

    with pytest.raises(FileError, match="is not a whole Arrow file"):
        ArrowRows(path, is_long=False)
