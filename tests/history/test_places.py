"""The rows of one order are found without reading all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ordervet.contract import Events, validate_events
from ordervet.entities import Key
from ordervet.entities.ids import hash_texts
from ordervet.history import History, delta, places
from ordervet.history.admission import names_of
from ordervet.history.delta import load_table, read_rows
from ordervet.history.places import Places
from ordervet.history.stored_rows import to_plain

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.history.views import Row

KEY = Key(bytes(range(16)))


def write(history: History, numbers: range, shop: str) -> None:
    orders = [
        {"order_id": f"t{n}", "placed_at": "2026-01-15 16:00", "amount_minor": n + 1, "shop_id": shop} for n in numbers
    ]
    outcomes = [
        {"order_id": f"t{n}", "kind": kind, "happened_at": "2026-01-16 09:00", "shop_id": shop}
        for n in numbers
        for kind in ("claim", "bad_review")[: n % 3]
    ]
    empty = Events.empty()
    tables = validate_events("orders", orders), validate_events("outcomes", outcomes)
    history.ingest(Events(*tables, empty.verdicts, empty.corrections))


def read_slowly(history: History, names: list[int]) -> dict[int, list[Row]]:
    """Read the rows of order ids with all others: the twin of `Places.read`."""
    every = read_rows(load_table(history.path).to_pyarrow_dataset(), are_decisions_wanted=True)
    rows: dict[int, list[Row]] = {name: [] for name in names}
    for name, row in zip(names_of(every).tolist(), to_plain(every), strict=True):
        if name in rows:
            rows[name].append({column: value for column, value in row.items() if value is not None})
    return rows


def key_names(numbers: range) -> list[int]:
    return hash_texts(pa.array([f"t{n}" for n in numbers]), KEY, "order").view(np.int64).tolist()


def sort(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["event_id"], row["view"]))


@pytest.mark.parametrize("kept_bytes", [0, 20_000, 1 << 30])
def test_rows_of_an_order_are_those_of_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_bytes: int
) -> None:
    monkeypatch.setattr(delta, "ROWS_PER_GROUP", 16)
    monkeypatch.setattr(places, "KEPT_BYTES", kept_bytes)
    history = History.open(tmp_path / "history", KEY, create=True)
    known = Places(history.path)
    for round_ in range(3):
        write(history, range(30 * round_, 30 * round_ + 60), "ab"[round_ % 2])  # of two shops, with the same order ids
        if round_ == 1:
            history.compact()
            history.vacuum(keep_days=0)
        known.forget()
        names = key_names(range(0, 120, 7))

        expected = read_slowly(history, names)

        assert sum(map(len, expected.values())) > 10
        for name in names:
            assert sort(known.read(name)) == sort(expected[name])
        n_bytes = [group.n_bytes for group in known._groups.values()]
        assert len(n_bytes) == 1 or sum(n_bytes) <= kept_bytes


def test_values_of_every_type_are_as_they_were_written(tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", KEY, create=True)
    shared = {"placed_at": "2026-01-15 16:00:07", "buyer_registered_at": "2025-01-15"}
    one = {"order_id": "t1", "amount_minor": 10**13, "is_insured": False, "number__weight": -2.5}
    two = {"order_id": "t2", "amount_minor": 0, "is_insured": True, "category__kind": "“a”", "buyer_id": "b"}
    empty = Events.empty()
    orders = validate_events("orders", [shared | one, shared | two])
    history.ingest(Events(orders, empty.outcomes, empty.verdicts, empty.corrections))
    names = key_names(range(1, 4))

    expected = read_slowly(history, names)

    assert {len(rows) for rows in expected.values()} == {0, 1}
    for name in names:
        found = Places(history.path).read(name)
        assert found == expected[name]
        assert [list(map(type, row.values())) for row in found] == [
            list(map(type, row.values())) for row in expected[name]
        ]


def test_events_are_found_while_others_are_written(tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", KEY, create=True)
    known = Places(history.path)
    write(history, range(20), "a")
    known.look()

    write(history, range(20, 40), "a")
    assert not known.read(key_names(range(21, 22))[0])  # the version that was looked at
    known.forget()

    assert known.read(key_names(range(21, 22))[0])
