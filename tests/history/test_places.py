"""The rows of one order are found without reading all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from ordervet.contract import Events, validate_events
from ordervet.entities import Key
from ordervet.history import History, delta
from ordervet.history.admission import names_of
from ordervet.history.delta import load_table, read_rows
from ordervet.history.places import Places

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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


def test_rows_of_an_order_are_those_of_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "ROWS_PER_GROUP", 16)
    history, places = History.open(tmp_path / "history", KEY, create=True), Places()
    for round_ in range(3):
        write(history, range(30 * round_, 30 * round_ + 60), "ab"[round_ % 2])  # of two shops, with the same order ids
        if round_ == 1:
            history.compact()
            history.vacuum(keep_days=0)
        table = load_table(history.path)
        every = read_rows(table.to_pyarrow_dataset(), are_decisions_wanted=True)
        names = names_of(every)

        for name in np.unique(names)[::17].tolist():
            found = places.read(history.path, table, name)
            expected = every.filter(pc.equal(names, name))
            keys = [("event_id", "ascending"), ("view", "ascending")]
            assert found.num_rows
            assert found.sort_by(keys).equals(expected.sort_by(keys))
        assert places.read(history.path, table, 12345).num_rows == 0
