"""Rows that are told by columns become what the rules make of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.contract import Events, split_events
from ordervet.entities import Key
from ordervet.history import admission
from ordervet.history.admission import admit, names_of
from ordervet.history.ingest import add_in_memory, build_batch
from ordervet.history.stored_rows import row_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

KEY = Key(bytes(range(16)))
START = datetime(2025, 11, 11, tzinfo=UTC)
IDS, SHOPS = st.sampled_from("abc"), st.sampled_from([None, None, "s1", "s2"])
HOURS = st.integers(0, 3).map(lambda hours: START + timedelta(hours=hours))
ORDERS = st.fixed_dictionaries(
    {"order_id": IDS, "shop_id": SHOPS, "placed_at": HOURS, "amount_minor": st.integers(1, 2)}
)
OUTCOMES = st.fixed_dictionaries(
    {
        "order_id": IDS,
        "shop_id": SHOPS,
        "outcome_id": st.sampled_from([None, "r1", "r2"]),
        "kind": st.sampled_from(["claim", "refund_requested"]),
        "happened_at": HOURS,
        "is_inferred": st.sampled_from([None, True]),
    }
)
VERDICTS = st.fixed_dictionaries({"order_id": IDS, "verdict": st.just("innocent"), "decided_at": HOURS})


@st.composite
def batches(draw: st.DrawFn) -> list[list[Events]]:
    """Draw files, a few at a time."""
    kinds = {"orders": ORDERS, "outcomes": OUTCOMES, "verdicts": VERDICTS}

    def draw_events() -> Events:
        tables = {}
        for kind, rows in kinds.items():
            drawn = draw(st.lists(rows, max_size=4))
            if drawn:
                tables[kind] = split_events(kind, pa.Table.from_pylist(drawn))[0]
        return replace(Events.empty(), **tables)

    return [[draw_events() for _ in range(draw(st.integers(1, 2)))] for _ in range(draw(st.integers(1, 4)))]


def ingest(drawn: Sequence[Sequence[Events]], monkeypatch: pytest.MonkeyPatch, *, by_rules: bool) -> list[Any]:
    """Bring in files after files; what became of each row, and what is then stored."""
    with monkeypatch.context() as patched:
        if by_rules:
            patched.setattr(admission, "_find_further", lambda rows, *_: np.zeros(rows.num_rows, bool))
        stored, said = row_schema().empty_table(), []
        for number, parts in enumerate(drawn):
            rows = build_batch(parts, KEY, 1_800_000_000_000_000 + number).rows
            names = np.unique(names_of(rows))
            standing = stored.filter(pa.array(np.isin(names_of(stored), names)))
            done = admit(rows, standing, KEY)
            stored = add_in_memory(stored, done)
            said.append((done.statuses.tolist(), done.is_waiting.tolist()))
        return [said, sorted(map(repr, stored.to_pylist()))]


@settings(deadline=None, max_examples=40)
@given(drawn=batches())
def test_what_is_added_by_columns_is_what_the_rules_add(drawn: list[list[Events]]) -> None:
    import pytest

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert ingest(drawn, monkeypatch, by_rules=False) == ingest(drawn, monkeypatch, by_rules=True)


def test_a_refund_of_a_stored_order_needs_no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    order = {"order_id": "a", "placed_at": START, "amount_minor": 1}
    claim = {"order_id": "a", "kind": "claim", "happened_at": START + timedelta(hours=1)}
    orders = replace(Events.empty(), orders=split_events("orders", pa.Table.from_pylist([order]))[0])
    claims = replace(Events.empty(), outcomes=split_events("outcomes", pa.Table.from_pylist([claim]))[0])
    monkeypatch.setattr(admission, "settle", None)

    said, _ = ingest([[orders], [claims]], monkeypatch, by_rules=False)

    assert said == [([0], [False]), ([0], [False])]
