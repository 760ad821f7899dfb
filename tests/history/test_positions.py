"""How far sources are read is kept with the rows that were read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ordervet.contract import Events
from ordervet.history import History, store, through

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["ingest/shop/orders", "ingest/shop/refunds"]


def part_of(season: Events, first: int, n: int) -> Events:
    return replace(Events.empty(), orders=season.orders.slice(first, n))


def test_positions_are_committed_with_their_rows(history: History, season: Events) -> None:
    before = history.version
    with history.staging() as staging:
        staging.add([part_of(season, 0, 10)])
        staging.move_on({NAMES[0]: 7})
    with history.staging() as staging:
        for first in (10, 20):
            staging.add([part_of(season, first, 10)])
        staging.move_on({NAMES[0]: 9, NAMES[1]: -(2**62)})

    assert history.version == before + 2
    assert history.read_positions([*NAMES, "none"]) == {NAMES[0]: 9, NAMES[1]: -(2**62)}
    assert history.read().orders.num_rows == 30


def test_positions_move_on_without_rows_and_are_not_written_again(history: History) -> None:
    before = history.version
    for position in (7, 7, 8):
        with history.staging() as staging:
            staging.move_on({NAMES[0]: position})

    assert history.version == before + 2
    assert history.read_positions(NAMES) == {NAMES[0]: 8}


def test_positions_stay_where_they_were_when_the_rows_do_not_get_in(history: History, season: Events) -> None:
    def fail() -> None:
        with history.staging() as staging:
            staging.add([part_of(season, 0, 10)])
            staging.move_on({NAMES[0]: 7})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert history.read_positions(NAMES) == {}


def test_positions_survive_compaction_and_erasure(history: History, season: Events) -> None:
    with history.staging() as staging:
        staging.add([part_of(season, 0, 10)])
        staging.move_on({NAMES[0]: 7})

    history.ingest(part_of(season, 10, 10))
    history.compact()
    history.erase_buyer(season.orders["buyer_id"][0].as_py())
    history.vacuum(keep_days=0)

    assert history.read_positions(NAMES) == {NAMES[0]: 7}


def test_positions_go_through_a_service_with_their_rows(
    history: History, season: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(_folder: Path, what: str, document: dict[str, str] | None = None) -> None:
        if what == "ingest":
            history.ingest_incoming((document or {})["folder"])

    beside = History.open(history.path, history.key)
    monkeypatch.setattr(History, "_is_served", property(lambda self: self is beside))
    monkeypatch.setattr(store, "ask_service", ask)
    monkeypatch.setattr(through, "ask_service", ask)

    with beside.staging() as staging:
        staging.add([part_of(season, 0, 10)])
        staging.move_on({NAMES[0]: 7})
    with beside.staging() as staging:
        staging.move_on({NAMES[0]: 8})

    assert beside.read_positions(NAMES) == {NAMES[0]: 8}
    assert beside.read().orders.num_rows == 10
