"""Set after set comes into the history as all of them at once would, in one commit or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from history_events import KINDS, build_events, ids, order, outcome, plain, take
from ordervet.contract import Events
from ordervet.history import History, IngestStatus
from ordervet.history.ingest import Staging

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.entities import Key
    from ordervet.history import Ingested


def add_all(history: History, sets: list[Events]) -> list[Ingested]:
    with history.staging() as staging:
        return [staging.add([each])[0] for each in sets]


def add_and_fail(history: History, sets: list[Events]) -> None:
    with history.staging() as staging:
        for each in sets:
            staging.add([each])
        raise KeyboardInterrupt


def cut(season: Events, n_sets: int) -> list[Events]:
    """Cut a season into sets, in each of which every order is whole."""
    codes = {name: at for at, name in enumerate(season.orders["order_id"].to_pylist())}

    def rows_of(kind: str, number: int) -> list[int]:
        order_ids = getattr(season, kind)["order_id"].to_pylist()
        return [at for at, name in enumerate(order_ids) if codes[name] % n_sets == number]

    return [take(season, {kind: rows_of(kind, number) for kind in KINDS}) for number in range(n_sets)]


def test_sets_become_what_they_are_together_and_one_version(
    history: History, season: Events, key: Key, tmp_path: Path
) -> None:
    whole = History.open(tmp_path / "whole", key, create=True)
    whole.ingest(season)

    added = add_all(history, cut(season, 4))

    assert history.version == 1
    assert history.read() == whole.read()
    assert sum(each.count(IngestStatus.ACCEPTED) for each in added) == sum(
        getattr(season, kind).num_rows for kind in KINDS
    )
    assert sum(each.n_waiting for each in added) == 0
    assert history.read(until="2025-11-11 20:00") == whole.read(until="2025-11-11 20:00")


def test_same_sets_again_add_nothing(history: History, season: Events) -> None:
    add_all(history, cut(season, 3))

    again = add_all(history, cut(season, 2))

    assert {status for each in again for status in IngestStatus if each.count(status)} == {IngestStatus.KNOWN}
    assert history.version == 1


def test_set_knows_the_sets_before_it(history: History) -> None:
    first = build_events(orders=[order("A"), order("B")], outcomes=[outcome("A"), outcome("Z")])
    second = build_events(orders=[order("C")])
    third = build_events(
        orders=[order("A")],
        outcomes=[outcome("A", blame="seller"), outcome("B", happened_at="2025-10-01")],
    )
    fourth = build_events(outcomes=[outcome("A", blame="buyer")])

    added = add_all(history, [first, second, third, fourth])

    statuses = [[list(map(int, each.statuses[kind])) for kind in ("orders", "outcomes")] for each in added]
    assert statuses == [
        [[IngestStatus.ACCEPTED] * 2, [IngestStatus.ACCEPTED] * 2],
        [[IngestStatus.ACCEPTED], []],
        [[IngestStatus.KNOWN], [IngestStatus.MERGED, IngestStatus.EARLY]],
        [[], [IngestStatus.MERGED]],
    ]
    assert added[0].n_waiting == 1
    assert history.read().outcomes["blame"].to_pylist() == ["buyer"]
    assert sorted(ids(history.read(), "orders")) == ["A", "B", "C"]


def test_failure_between_sets_leaves_nothing_behind(history: History, season: Events) -> None:
    first, second, third = cut(season, 3)
    history.ingest(first)
    before, files = history.read(), sorted(history.path.rglob("*.parquet"))

    with pytest.raises(KeyboardInterrupt):
        add_and_fail(history, [second, third])

    assert history.read() == before
    assert sorted(history.path.rglob("*.parquet")) == files


def test_what_a_killed_writer_put_down_is_not_seen_and_is_cleaned_up(
    history: History, season: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = cut(season, 2)
    monkeypatch.setattr(Staging, "drop", lambda _: None)  # a killed process cleans nothing up
    with pytest.raises(KeyboardInterrupt):
        add_and_fail(history, [first, second])

    seen = history.read()
    n_removed = history.vacuum(keep_days=7)
    add_all(history, [first, second])

    assert plain(seen) == {kind: [] for kind in KINDS}
    assert n_removed == 2
    assert history.read().orders.num_rows == season.orders.num_rows


def test_extra_columns_of_later_sets_become_columns_of_the_store(history: History) -> None:
    plain_orders, more = build_events(orders=[order("A")]), build_events(orders=[order("B")])
    weights = pa.array([1.5], pa.float64())
    with_weight = Events(
        more.orders.append_column("number__weight", weights), more.outcomes, more.verdicts, more.corrections
    )

    add_all(history, [plain_orders, with_weight, build_events(orders=[order("C")])])

    read = history.read()
    weight_of = dict(zip(ids(read, "orders"), read.orders["number__weight"].to_pylist(), strict=True))
    assert weight_of == {"A": None, "B": 1.5, "C": None}


@pytest.mark.parametrize("offset_us", [0, 1, 999])
def test_event_of_any_microsecond_is_known_again(history: History, offset_us: int) -> None:
    at = f"2025-11-05 10:00:00.123{offset_us:03}"
    events = build_events(orders=[order("A")], outcomes=[outcome("A", happened_at=at)])
    history.ingest(events)

    again = history.ingest(events)
    in_sets = add_all(history, [build_events(orders=[order("B")]), events])

    assert again.count(IngestStatus.KNOWN) == in_sets[1].count(IngestStatus.KNOWN) == 2
    assert np.unique(in_sets[1].statuses["outcomes"]).tolist() == [IngestStatus.KNOWN]
