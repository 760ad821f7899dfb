"""A quick look at a column says what reading it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet import _core
from ordervet.contract import split_events, tables, validate_events
from ordervet.contract.columns import measure_texts, view_rows
from ordervet.contract.schemas import event_schema
from ordervet.contract.values import TRIMMED

SIGN = st.sampled_from([*TRIMMED, "a", "0", "号", "é", "𠮷", "\x7f", "\u2003", "\u3001", "\ufefe"])
TEXTS = st.lists(st.none() | st.lists(SIGN, max_size=3).map("".join), min_size=1, max_size=12)
FIRST, LAST = datetime.fromisoformat("1989-12-31"), datetime.fromisoformat("2101-01-02")
INSTANT = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
ROW = st.fixed_dictionaries(
    {
        "order_id": st.sampled_from(["a", "b", "c", "d", " e", "f" * 65, ""]) | st.none(),
        "placed_at": INSTANT | st.none(),
        "seen_at": INSTANT | st.none(),
        "amount_minor": st.integers(-1, 10) | st.sampled_from([10**13, 10**13 + 1]) | st.none(),
        "currency": st.sampled_from(["CNY", "USD", "cny", " EUR", ""]) | st.none(),
        "channel": st.sampled_from(["search", "ad ", "x" * 70, "\u3000"]) | st.none(),
        "is_insured": st.booleans() | st.none(),
    }
)
TYPES = event_schema("orders").remove_metadata()


def build_table(rows: list[dict[str, Any]], *, is_encoded: bool, text: pa.DataType | None = None) -> pa.Table:
    fields = [TYPES.field(name) for name in rows[0]]
    schema = pa.schema(
        [field.with_type(text or pa.string()) if field.type == pa.string() else field for field in fields]
    )
    table = pa.Table.from_pylist(rows, schema)
    for name in ("currency", "channel") if is_encoded else ():
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table


@given(
    rows=st.lists(ROW, min_size=1, max_size=8),
    is_encoded=st.booleans(),
    keeps_codes=st.booleans(),
    text=st.sampled_from([pa.string(), pa.large_string()]),
)
def test_rows_are_split_as_by_reading_every_column(
    rows: list, is_encoded: bool, keeps_codes: bool, text: pa.DataType
) -> None:
    table = build_table(rows, is_encoded=is_encoded, text=text)

    good, failures = split_events("orders", table, keeps_codes=keeps_codes)

    with patch.object(tables, "take_canonical", lambda *_: None):
        expected, expected_failures = split_events("orders", table)
    assert good.cast(expected.schema).equals(expected)
    assert failures.equals(expected_failures)
    assert keeps_codes or good.schema.equals(expected.schema)


@given(TEXTS)
def test_a_look_at_texts_finds_what_needs_trimming_and_the_longest(texts: list[str | None]) -> None:
    column = pa.array(["x", *texts, "y"], pa.string()).slice(1, len(texts))
    given_texts = [text for text in texts if text is not None]

    is_suspect, longest = measure_texts(column)

    assert is_suspect or all(text and text == text.strip("".join(TRIMMED)) for text in given_texts)
    assert is_suspect <= any(not text or _may_end(text[0]) or _may_end(text[-1]) for text in given_texts)
    assert longest == max((len(text.encode()) for text in given_texts), default=0)


def _may_end(char: str) -> bool:
    """Whether a character is one to trim, or begins, in UTF-8, as one of them does or ends as one of them may."""
    return char <= " " or any(byte in {trimmed.encode()[0] for trimmed in TRIMMED} for byte in char.encode())


@given(st.lists(st.none() | st.text("ab", max_size=9) | st.text("ab", min_size=16, max_size=17), min_size=1))
def test_a_text_that_comes_twice_is_found(texts: list[str | None]) -> None:
    column = pa.array(["x", *texts], pa.string()).slice(1)
    given_texts = [text for text in texts if text is not None]

    assert _core.has_repeats(*view_rows(column)) == (len(set(given_texts)) < len(given_texts))


@pytest.mark.parametrize("repeated", [[], [3, 40_000], [0, 49_999]])
def test_many_order_ids_are_compared_by_a_kernel(repeated: list[int]) -> None:
    ids = [f"o{row:09}" for row in range(50_000)]
    for row in repeated:
        ids[row] = "o-twice"
    table = pa.table(
        {
            "order_id": ids,
            "placed_at": pa.array(np.full(len(ids), 1_700_000_000_000_000), TYPES.field("placed_at").type),
            "amount_minor": np.full(len(ids), 100),
        }
    )

    _, failures = split_events("orders", table)

    assert failures["row"].to_pylist() == repeated[1:]


def test_texts_stay_encoded_only_where_every_piece_of_the_table_is() -> None:
    table = build_table(
        [
            {"order_id": f"o{row}", "placed_at": datetime(2025, 1, 1, tzinfo=UTC), "amount_minor": 1, "channel": "ad"}
            for row in range(4)
        ],
        is_encoded=False,
    )
    encoded = table.set_column(3, "channel", table["channel"].dictionary_encode())
    spaced = table.set_column(3, "channel", pa.array([" ad"] * 4).dictionary_encode())
    spaced = spaced.set_column(0, "order_id", pa.array(["p0", "p1", "p2", "p3"]))

    kept = validate_events("orders", encoded, keeps_codes=True)
    mixed = validate_events("orders", pa.concat_tables([encoded, spaced]), keeps_codes=True)

    assert pa.types.is_dictionary(kept.schema.field("channel").type)
    assert mixed["channel"].to_pylist() == ["ad"] * 8
