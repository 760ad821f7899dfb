"""Which arrivals are new: told from a few bytes per event, as the rules tell it from all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ordervet.entities import Key
from ordervet.errors import HistoryError
from ordervet.history.arrivals import Arrivals
from ordervet.history.identity import digest_event, digest_rows
from ordervet.history.stored_rows import from_plain
from ordervet.history.views import IngestStatus, settle

if TYPE_CHECKING:
    from ordervet.history.views import Row

KEY = Key(bytes(range(16)))
MINUTE, T0 = 60_000_000, 1_768_464_000_000_000


@dataclass
class Arrived:
    row: Row

    @property
    def kind(self) -> str:
        return str(self.row.get("outcome") or self.row["event"])

    @property
    def event_id(self) -> int:
        return int(self.row["event_id"])

    @property
    def name_id(self) -> int:
        return int(self.row.get("name_id") or self.row["id__order"])

    @property
    def shop(self) -> str:
        return str(self.row.get("shop_id") or "")


def draw_row(rng: np.random.Generator, at: int) -> Row:
    name = int(rng.integers(1, 6))
    kind = rng.choice(["order", "refund_requested", "claim", "verdict"])
    time = T0 + int(rng.integers(3)) * 5 * MINUTE
    row: dict[str, Any] = {"id__order": name, "order_id": f"t{name}", "seen_at": T0 + at, "happened_at": time}
    row["event"] = kind if kind in ("order", "verdict") else "outcome"
    row["event_id"] = int(rng.integers(-(2**62), 2**62)) if kind != "order" else 1_000 + name
    if row["event"] == "outcome":
        row |= {"outcome": str(kind), "amount_minor": int(rng.integers(1, 4))}
        if rng.random() < 0.4:
            row["outcome_id"] = f"r{rng.integers(3)}"
    if rng.random() < 0.3:
        row["shop_id"] = f"s{rng.integers(2)}"
    return row


@pytest.mark.parametrize("seed", range(40))
def test_arrivals_are_settled_as_the_rules_settle_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows: list[Row] = []

    def read_standing(one: Arrived) -> list[Row]:
        return [row for row in rows if (row.get("name_id") or row["id__order"]) == one.name_id]

    arrivals = Arrivals(None, KEY, read_standing)
    for at in range(60):
        row = draw_row(rng, at)
        if at == 30:  # as after a restart
            arrivals = Arrivals(from_plain(rows), KEY, read_standing)
        proposed = row | {"source": 0, "recorded_at": row["seen_at"]}
        expected = settle([dict(proposed)], read_standing(Arrived(row)), lambda text: hash(text) >> 2, is_live=True)
        one = Arrived(row)

        if expected.statuses[0] is IngestStatus.AMBIGUOUS:
            with pytest.raises(HistoryError, match="several orders"):
                arrivals.settle(one)
            continue
        settled = arrivals.settle(one)

        assert settled.status is expected.statuses[0], (at, row)
        if settled.status is IngestStatus.KNOWN:
            continue
        rows.append(settled.row or row | {"view": 0})
        arrivals.note(one, settled.row)
        if rng.random() < 0.2:
            arrivals.merge()


def test_event_alone_has_the_digest_that_a_table_has() -> None:
    event_ids = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 500)

    assert [digest_event(each) for each in event_ids.tolist()] == [digest_rows(event_ids[[at]]) for at in range(500)]


class _Merging(np.ndarray):
    """Sorted keys into which another thread merges whenever they are looked up."""

    merge: Any = None

    def searchsorted(self, *arguments: Any, **options: Any) -> Any:
        found = np.asarray(self).searchsorted(*arguments, **options)
        self.merge()
        return found


def test_what_is_known_stays_known_while_recent_keys_are_merged() -> None:
    rng = np.random.default_rng(1)
    rows = [row | {"view": 0} for at in range(400) if (row := draw_row(rng, at))["event"] == "verdict"]
    known, later = [Arrived(row) for row in rows[:40]], [Arrived(row) for row in rows[40:80]]
    arrivals = Arrivals(from_plain([one.row for one in known]), KEY, lambda one: [one.row])
    for one in later:
        arrivals.note(one)
    alone = arrivals._sorted.copy()

    for one in [*known, *later]:
        arrivals._recent = {each.event_id % 2**64 for each in later}
        watched = alone.view(_Merging)
        watched.merge, arrivals._sorted = arrivals.merge, watched

        assert one.event_id % 2**64 in arrivals
