from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordervet.contract import (
    Order,
    event_schema,
    read_counted_events,
    split_events,
    split_orders,
    to_arrow,
    validate_events,
    validate_orders,
)
from ordervet.contract.failures import observe, shape_of
from ordervet.contract.model import MAX_EXTRAS
from ordervet.contract.order_reader import read_order
from ordervet.contract.tabular import column_of
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from pathlib import Path

EVENING = "2025-11-11 20:00:00"


def orders(**columns: list[Any]) -> dict[str, list[Any]]:
    n_rows = len(next(iter(columns.values())))
    ids = [f"A{number}" for number in range(n_rows)]
    return {"order_id": ids, "placed_at": [EVENING] * n_rows, "amount_minor": [100] * n_rows} | columns


class StreamOnly:
    """A table of some other library, known by its Arrow stream alone."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def test_validate_orders_gives_the_same_table_from_every_kind_of_input() -> None:
    columns = orders(quantity=[1, 2], buyer_id=["b", None], is_insured=[True, False])
    table = pa.table(columns)
    rows = table.to_pylist()

    forms = [
        table,
        pd.DataFrame(columns),
        pd.DataFrame(columns, index=[7, 7]),
        pd.DataFrame(columns).astype(object),
        table.to_batches()[0],
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
        StreamOnly(table),
        rows,
        (row for row in rows),
        [Order(**row) for row in rows],
    ]

    expected = validate_orders(table)
    assert expected.schema == event_schema("orders")
    for form in forms:
        assert validate_orders(form).equals(expected)


def test_validate_orders_takes_no_rows_for_no_rows() -> None:
    for nothing in ([], pd.DataFrame(), pa.table(orders(quantity=[]))):
        assert validate_orders(nothing).equals(event_schema("orders").empty_table())


@pytest.mark.parametrize("data", ["orders.csv", 7, None, {"order_id": ["A1"]}, [1, 2]])
def test_validate_orders_refuses_what_is_no_table(data: object) -> None:
    with pytest.raises(ContractError, match=r"cannot read a table|a row is a int"):
        validate_orders(data)


def test_validate_orders_says_all_that_is_wrong_with_the_columns() -> None:
    table = pa.table(
        {"order_id": ["A1"], "amout_minor": [1], "entity__buyer": ["x"], "number__Big": [1], "订单状态": ["x"]}
    )

    with pytest.raises(ContractError) as caught:
        validate_orders(table)

    assert caught.value.message.splitlines() == [
        "6 columns do not fit orders in the table",
        " - 'placed_at': missing",
        " - 'amount_minor': missing",
        " - 'amout_minor': unknown; did you mean 'amount_minor'?",
        " - '订单状态': unknown",
        " - 'entity__buyer': this is the name of a built-in entity",
        " - 'number__Big': use lower-case words joined by single underscores, at most 32 characters",
    ]
    assert "mapping" in caught.value.hint


def test_validate_orders_refuses_one_name_for_an_entity_and_a_category() -> None:
    with pytest.raises(ContractError, match="is an extra entity too"):
        validate_orders(pa.table(orders(entity__shelf=["x"], category__shelf=["x"])))


def test_validate_orders_refuses_extras_where_the_model_has_none() -> None:
    table = pa.table({"order_id": ["A1"], "corrected_at": [EVENING], "entity__terminal": ["x"]})

    with pytest.raises(ContractError, match="'entity__terminal': unknown"):
        validate_events("corrections", table)


@pytest.mark.parametrize(
    "frame", [pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame([[1, 2]], columns=["a", 2])]
)
def test_to_arrow_refuses_columns_without_a_name_of_their_own(frame: pd.DataFrame) -> None:
    with pytest.raises(ContractError, match=r"duplicate columns: a|name is not a text"):
        to_arrow(frame)


def test_validate_orders_sums_everything_up_in_one_error() -> None:
    frame = pd.DataFrame(orders(quantity=[0, 0, 0, 0, 0, 0, 1, 1]))
    frame["amount_minor"] = [1, 1, 1, 1, 1, 1, "x", -1]

    with pytest.raises(ContractError) as caught:
        validate_events("orders", frame, where="a.csv")

    assert caught.value.message.splitlines() == [
        "8 of 8 orders failed 3 rules in a.csv",
        " - 'quantity': got 0, expected at least 1; 6 rows; first: A0, A1, A2, A3, A4",
        " - 'amount_minor': got a, expected a whole number (an amount of money: whole minor units); 1 row; first: A6",
        " - 'amount_minor': got -1, expected at least 0; 1 row; first: A7",
    ]
    assert "split_events" in caught.value.hint


def test_split_orders_lists_failures_by_row_and_keeps_the_good_rows_in_order() -> None:
    columns = orders(quantity=[1, 0, 3, None])
    columns["order_id"] = ["A", None, "B", "A"]

    good, failures = split_orders(pa.table(columns))

    assert good["order_id"].to_pylist() == ["A", "B"]
    assert failures.to_pylist() == [
        {"row": 1, "order_id": None, "field": "order_id", "rule": "required", "observed": None},
        {"row": 1, "order_id": None, "field": "quantity", "rule": "minimum", "observed": "0"},
        {"row": 3, "order_id": "A", "field": "order_id", "rule": "unique", "observed": "an id seen before"},
    ]


def test_split_events_reads_named_money_columns_in_major_units() -> None:
    table = pa.table(orders(discount_minor=["1", "2"]) | {"amount_minor": ["￥1,234.50元", "0.005"]})

    good, failures = split_events("orders", table, in_major={"amount_minor"})

    assert good.select(["amount_minor", "discount_minor"]).to_pylist() == [
        {"amount_minor": 123450, "discount_minor": 1}
    ]
    assert failures.to_pylist() == [
        {"row": 1, "order_id": "A1", "field": "amount_minor", "rule": "type", "observed": "0.005"}
    ]


def test_split_orders_reads_naive_times_in_the_zone_asked_for() -> None:
    good, _ = split_orders(pa.table(orders(quantity=[1])), time_zone="America/New_York")

    assert good["placed_at"].to_pylist() == [datetime(2025, 11, 12, 1, 0, tzinfo=UTC)]


def test_split_orders_numbers_rows_through_the_chunks_of_a_table() -> None:
    chunks = [pa.table(orders(quantity=[1, 1])), pa.table(orders(quantity=[0, 1]))]
    table = pa.concat_tables(chunks).set_column(0, "order_id", pa.array(["A", "B", "C", "B"]))

    good, failures = split_orders(table)

    assert good["order_id"].to_pylist() == ["A", "B"]
    assert failures.select(["row", "order_id", "rule"]).to_pylist() == [
        {"row": 2, "order_id": "C", "rule": "minimum"},
        {"row": 3, "order_id": "B", "rule": "unique"},
    ]


@given(cut=st.integers(0, 6), quantities=st.lists(st.integers(-1, 2), min_size=6, max_size=6))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_split_orders_gives_the_same_for_two_halves_as_for_the_whole(cut: int, quantities: list[int]) -> None:
    table = pa.table(orders(quantity=quantities))

    good, failures = split_orders(table)

    halves = [split_orders(table.slice(0, cut)), split_orders(table.slice(cut))]
    assert pa.concat_tables([half[0] for half in halves]).equals(good)
    assert pa.concat_tables([half[1] for half in halves])["order_id"].equals(failures["order_id"])


def test_mixed_objects_of_a_frame_are_each_read_as_what_they_are() -> None:
    frame = pd.DataFrame(orders(quantity=[1, 1, 1, 1]))
    frame["amount_minor"] = pd.Series([5, "6", 7.0, np.True_], dtype=object)

    good, failures = split_orders(frame)

    assert good["amount_minor"].to_pylist() == [5, 6, 7]
    assert failures.select(["row", "rule", "observed"]).to_pylist() == [{"row": 3, "rule": "type", "observed": "True"}]


def test_column_of_keeps_instants_apart_by_whether_they_have_a_zone() -> None:
    naive = datetime(2025, 11, 11, 20, 0)  # noqa: DTZ001 - naive on purpose
    column = column_of([naive, naive.replace(tzinfo=UTC), None, float("nan"), pd.NaT, pd.NA])

    table = pa.table({"order_id": list("abcdef"), "corrected_at": column})
    good, failures = split_events("corrections", table)

    assert [at.hour for at in good["corrected_at"].to_pylist()] == [12, 20]
    assert failures["rule"].to_pylist() == ["required"] * 4


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("-5", "-5"),
        ("￥1,234.50元", "￥1,234.50元"),
        ("2025-13-45 20:00:00", "2025-13-45 20:00:00"),
        (12345678, "12345678"),
        (13900001111, "99999999999"),
        ("张三 139-0000-1111", "字字 999-9999-9999"),
        ("\u202eevil\n", "?aaaa"),
        ("Straße ΩЖ", "aaaaaa aa"),
        ("x" * 100, "a" * 24),
        (True, "True"),
        (None, None),
        (b"raw", "<bytes>"),
        ([1], "<list>"),
    ],
)
def test_observe_shows_short_numbers_and_dates_and_the_shape_of_the_rest(value: object, shown: str | None) -> None:
    column = pa.array([value, value])

    assert observe(column, np.array([1]), is_personal=False).to_pylist() == [shown]


@pytest.mark.parametrize(("value", "shown"), [("5", "9"), (7, "9"), ("2025-01-01", "9999-99-99"), ("王五", "字字")])
def test_observe_shows_the_shape_alone_of_personal_fields(value: object, shown: str) -> None:
    assert observe(pa.array([value]), np.array([0]), is_personal=True).to_pylist() == [shown]


@given(text=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40))
def test_shape_of_keeps_no_letter_and_no_digit(text: str) -> None:
    assert set(shape_of(text)) <= {"a", "9", "字"}


def test_no_message_and_no_failure_repeats_a_personal_value() -> None:
    secret = "13912345678张三丰secret"  # noqa: S105 - a planted value, not a password
    personal = ["buyer_id", "recipient", "address", "phone", "device_id", "ip", "payment_account", "entity__terminal"]
    table = pa.table(
        orders(**{name: [secret * 40] for name in personal}) | {"placed_at": [secret], "channel": [secret * 9]}
    )

    _, failures = split_orders(table)
    with pytest.raises(ContractError) as caught:
        validate_orders(table)

    assert failures.num_rows == len(personal) + 2
    for shown in (str(caught.value), repr(caught.value), str(failures.to_pylist())):
        assert not any(part in shown for part in ("张", "secret", "139", "5678"))


def test_one_order_id_of_two_shops_is_two_orders_and_of_one_shop_a_duplicate() -> None:
    rows = [
        {"order_id": "#1001", "placed_at": f"2026-01-0{day} 10:00:{second:02}", "amount_minor": 100, "shop_id": shop}
        for day, second, shop in [(5, 0, "one"), (6, 0, "two"), (7, 0, "one"), (6, 30, None), (8, 0, None)]
    ]

    good, failures = split_orders(rows)

    assert good["shop_id"].to_pylist() == ["one", "two", None]
    assert failures.select(["row", "rule"]).to_pylist() == [{"row": 2, "rule": "unique"}, {"row": 3, "rule": "unique"}]


@pytest.mark.parametrize("half", ["\udc00", "\ud83d\ud83d"])
@pytest.mark.parametrize("place", [0, 3, 9])
def test_half_an_emoji_is_dropped_alike_in_a_file_a_table_a_model_and_live(
    tmp_path: Path, half: str, place: int
) -> None:
    whole = "文三路9号3栋🏠"
    row = {"order_id": "A1", "placed_at": "2025-11-05 09:00", "amount_minor": 100, "item_id": half}
    cut = row | {"address": whole[:place] + half + whole[place:]}
    path = tmp_path / "orders.jsonl"
    path.write_text(json.dumps(cut) + "\n")

    events, failures, _ = read_counted_events([path])
    table = validate_orders([cut])
    live = read_order(cut)

    assert failures.num_rows == 0
    assert events.orders["address"].to_pylist() == table["address"].to_pylist() == [live.address] == [whole]
    assert events.orders["item_id"].to_pylist() == table["item_id"].to_pylist() == [live.item_id] == [None]
    assert Order.model_validate(cut) == live


def test_half_an_emoji_is_dropped_from_names_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text(r'{"order_id":"1","placed_at":"2025-11-05 09:00","amount_minor":100,"item_id\ud83d":"x"}')

    assert read_counted_events([path])[0].orders["item_id"].to_pylist() == ["x"]


@pytest.mark.parametrize(
    ("column", "observed"),
    [
        (pa.array([1_762_862_400_000_000, 2**62], pa.timestamp("us")), "<timestamp[us]>"),
        (pa.array([1_762_862_400_000, 1_500_000_000_000_000], pa.timestamp("ms")), "<timestamp[ms]>"),
        (pa.array([1_762_862_400, 316_000_000_000], pa.timestamp("s", "UTC")), "<timestamp[s, tz=UTC]>"),
        (pa.array([20_000, 2**31 - 1], pa.date32()), "<date32[day]>"),
        (pa.array([20_000 * 86_400_000, -(2**61)], pa.date64()), "<date64[ms]>"),
        (pa.array([1_762_862_400_000_000, -62_135_596_800_000_000], pa.timestamp("us", "America/New_York")), None),
    ],
)
def test_time_that_python_has_no_year_for_is_one_failed_row(column: pa.Array, observed: str | None) -> None:
    table = pa.table({"order_id": ["a", "b"], "placed_at": column, "amount_minor": [1, 2]})

    good, failures = split_events("orders", table)

    assert good["order_id"].to_pylist() == ["a"]
    (failure,) = failures.to_pylist()
    assert (failure["row"], failure["field"], failure["rule"]) == (1, "placed_at", "instant")
    assert failure["observed"] == (observed or f"<{column.type}>")


def test_unsigned_and_huge_numbers_are_ids_like_others() -> None:
    rows = [{"order_id": each, "placed_at": "2025-11-11", "amount_minor": 1} for each in (np.uint64(2**63 + 1), "x")]
    huge = pd.DataFrame({"order_id": pd.Categorical([10**30]), "placed_at": ["2025-11-11"], "amount_minor": [1]})

    assert split_events("orders", rows)[0]["order_id"].to_pylist() == [str(2**63 + 1), "x"]
    assert split_events("orders", huge)[0]["order_id"].to_pylist() == [str(10**30)]


def test_extras_of_an_order_are_bounded_alone_and_in_a_table() -> None:
    plain = {"order_id": "a", "placed_at": "2025-11-11", "amount_minor": 1}
    many = {f"c{n}": "x" for n in range(MAX_EXTRAS + 1)}
    table = pa.table({name: [value] for name, value in (plain | {f"category__{n}": "x" for n in many}).items()})

    assert len(read_order(plain | {"categories": dict(list(many.items())[:MAX_EXTRAS])}).categories) == MAX_EXTRAS
    assert read_order(plain | {"categories": many, "numbers": {"weight": 1.0}}).categories == {}
    with pytest.raises(ContractError, match="'category__…': 513 columns, expected at most 512"):
        split_events("orders", table)


@pytest.mark.parametrize(
    "first_row", [["张三", "13900001111"], ["张三", "zhang@example.com"], ["张三", "2026-01-05 20:00"]]
)
def test_first_row_of_a_table_without_a_header_is_not_shown(first_row: list[str]) -> None:
    table = pa.table({name: ["x"] for name in ["order_id", *first_row]})

    with pytest.raises(ContractError, match="'字字': unknown") as refused:
        validate_events("orders", table)

    assert not any(cell in str(refused.value) for cell in first_row)
