from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ordervet.contract.formats.lines import code_rows, find_repeated_lines, group_rows, merge_lines

ROWS = st.lists(
    st.tuples(
        st.sampled_from("ABC"),
        st.none() | st.integers(0, 3),
        st.none() | st.sampled_from(["x", "y"]),
        st.none() | st.integers(0, 4),
        st.none() | st.sampled_from(["l1", "l2"]),
    ),
    max_size=12,
)


def merge_plainly(rows: list[tuple[Any, ...]], how: str) -> dict[str, tuple[Any, Any]]:
    """The definition: the amount and the item of each order, from its lines in their order."""
    merged = {}
    for order in dict.fromkeys(row[0] for row in rows):
        lines = [row for row in rows if row[0] == order]
        values = [row[1] for row in lines if row[1] is not None]
        items = [row[2] for row in lines if row[2] is not None]
        first = (values or [None])[0]
        total = sum(values) if values else None
        same = first if len(set(values)) == 1 and first >= len(values) else total
        are_named = all(row[4] is not None for row in lines)
        amount = {"first": first, "sum": total, "total": same, "same_or_sum": total if are_named else same}[how]
        dearest = max(lines, key=lambda row: -1 if row[3] is None else row[3])  # of several the first
        merged[order] = (amount, dearest[2] if dearest[2] is not None else (items or [None])[0])
    return merged


@given(rows=ROWS, how=st.sampled_from(["first", "sum", "same_or_sum", "total"]))
def test_merge_lines_equals_a_plain_loop(rows: list[tuple[Any, ...]], how: str) -> None:
    table = pa.table(
        {
            "order_id": pa.array([row[0] for row in rows], pa.string()),
            "quantity": pa.array([row[1] for row in rows], pa.int64()),
            "item_id": pa.array([row[2] for row in rows], pa.string()),
        }
    )
    prices = pa.chunked_array([pa.array([row[3] for row in rows], pa.int64())])

    groups = group_rows(table["order_id"])
    line_ids = pa.chunked_array([pa.array([row[4] for row in rows], pa.string())])
    merged = merge_lines(table, groups, {"quantity": how, "item_id": "dearest"}, prices, line_ids)  # type: ignore[dict-item]

    columns = (merged[name].to_pylist() for name in ("order_id", "quantity", "item_id"))
    assert {order: (amount, item) for order, amount, item in zip(*columns, strict=True)} == merge_plainly(rows, how)
    assert groups.counts.tolist() == [sum(row[0] == order for row in rows) for order in merge_plainly(rows, how)]


@given(rows=ROWS)
def test_find_repeated_lines_equals_a_plain_loop(rows: list[tuple[Any, ...]]) -> None:
    groups = group_rows(pa.array([row[0] for row in rows], pa.string()))

    is_repeated = find_repeated_lines(groups, pa.chunked_array([pa.array([row[4] for row in rows], pa.string())]))

    seen: set[tuple[str, str]] = set()
    for row, repeated in zip(rows, is_repeated.tolist(), strict=True):
        assert repeated == (row[4] is not None and (row[0], row[4]) in seen)
        seen.add((row[0], row[4]))


@given(rows=ROWS)
def test_code_rows_tells_equal_rows_from_others(rows: list[tuple[Any, ...]]) -> None:
    orders = pa.chunked_array([pa.array([row[0] for row in rows], pa.string())])
    amounts = pa.chunked_array([pa.array([row[1] for row in rows], pa.int64())])

    codes = code_rows([orders, amounts])

    pairs = [row[:2] for row in rows]
    expected = np.array([[a == b for a in pairs] for b in pairs], bool).reshape(len(rows), len(rows))
    np.testing.assert_array_equal(codes[:, None] == codes[None, :], expected)
