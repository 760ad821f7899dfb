"""Of all that was said of an order one thing stands: docs/definitions.md V1 to V4."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ordervet.contract.verdicts import CORRECTED, MILDNESS, find_standing_verdicts

SAID = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(MILDNESS)), st.integers(0, 5)), max_size=12)


def find(said: list[tuple[str, str, int]]) -> dict[str, tuple[str, int]]:
    """Find what stands, from tables in the order in which it was said."""
    verdicts = [row for row in said if row[1] != CORRECTED]
    corrections = [row for row in said if row[1] == CORRECTED]
    tables = [
        pa.table(
            {
                "order_id": pa.array([row[0] for row in rows], pa.string()),
                "verdict": pa.array([row[1] for row in rows], pa.string()),
                "seen_at": pa.array([row[2] for row in rows], pa.timestamp("us", "UTC")),
            }
        )
        for rows in (verdicts, corrections)
    ]
    return find_standing_verdicts(*tables)


@given(SAID)
def test_last_verdict_stands_and_of_ties_the_mildest(said: list[tuple[str, str, int]]) -> None:
    truth: dict[str, tuple[str, int]] = {}
    for order_id, word, at in said:
        stands = truth.get(order_id)
        if stands is None or at > stands[1] or (at == stands[1] and MILDNESS[word] > MILDNESS[stands[0]]):
            truth[order_id] = (word, at)

    assert find(said) == truth


@given(SAID)
def test_what_stands_does_not_depend_on_the_order_of_the_rows(said: list[tuple[str, str, int]]) -> None:
    assert find(said) == find(said[::-1])


def test_later_verdict_counts_again_after_a_correction() -> None:
    assert find([("a", "malicious", 1), ("a", CORRECTED, 2), ("a", "malicious", 3)]) == {"a": ("malicious", 3)}
    assert find([("a", "malicious", 1), ("a", CORRECTED, 1)]) == {"a": (CORRECTED, 1)}
