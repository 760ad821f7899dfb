"""A history read in slices is the history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from history_events import KINDS, build_events, ids, order, outcome, verdict
from ordervet.errors import HistoryError
from ordervet.features.events import read_worth
from ordervet.history import slices as slices_module
from ordervet.history.delta import read_arrivals
from ordervet.history.slices import HistorySlices

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events
    from ordervet.history import History

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = 4_000_000_000_000_000


def _instant(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)


def test_slices_together_are_the_history(history: History, season: Events) -> None:
    history.ingest(season)
    slices = HistorySlices.open(history, until_us=FAR)
    whole = history.read()

    parts = [slices.read(*each) for each in slices.plan(97)]

    assert len(parts) > 3
    for kind in KINDS:
        together = pa.concat_tables([getattr(part, kind) for part in parts])
        assert together.equals(getattr(whole, kind))


def test_slices_end_before_the_instant_asked_for(history: History, season: Events) -> None:
    history.ingest(season)
    until_us = int(np.median(np.asarray(season.orders["placed_at"].cast(pa.int64()))))
    slices = HistorySlices.open(history, until_us=until_us)

    parts = [slices.read(*each) for each in slices.plan(1_000_000)]

    latest = [
        int(np.asarray(getattr(part, kind)["seen_at"].cast(pa.int64())).max(initial=0))
        for part in parts
        for kind in KINDS
    ]
    assert 0 < max(latest) < until_us
    assert slices.timeline.order_seen_at.max() < until_us


def test_timeline_names_what_happened_and_leaves_out_what_has_no_order(history: History) -> None:
    history.ingest(
        build_events(
            orders=[order("A")],
            outcomes=[outcome("A", "refund_requested"), outcome("gone", "claim"), outcome("A", "claim", "2025-10-01")],
            verdicts=[verdict("A", "malicious")],
        )
    )

    timeline = HistorySlices.open(history, until_us=FAR).timeline

    assert [timeline.kinds[at] for at in timeline.later_kind] == ["refund_requested", "malicious"]
    assert len(timeline.order_id) == 1


def test_digest_depends_on_the_events_and_not_on_how_they_came(history: History, season: Events) -> None:
    history.ingest(season)
    before = HistorySlices.open(history, until_us=FAR).timeline.digest
    history.ingest(season)
    history.compact()
    same = HistorySlices.open(history, until_us=FAR).timeline.digest
    history.ingest(build_events(orders=[order("more")]))

    after = HistorySlices.open(history, until_us=FAR).timeline.digest

    assert before == same != after


def test_slice_of_an_earlier_version_does_not_see_later_events(history: History) -> None:
    history.ingest(build_events(orders=[order("A")]))
    version = history.version
    history.ingest(build_events(orders=[order("B")]))

    slices = HistorySlices.open(history, until_us=FAR, version=version)

    assert [slices.read(*each).orders["order_id"].to_pylist() for each in slices.plan(10)] == [["A"]]


@pytest.mark.parametrize("microsecond", ["000000", "000001", "000999", "001000", "999999"])
def test_nothing_is_passed_over_for_a_fraction_of_a_millisecond(history: History, microsecond: str) -> None:
    history.ingest(build_events(orders=[order("A", "2025-11-01 10:00:00.000000")]))
    history.ingest(build_events(orders=[order("B", f"2025-11-11 20:00:00.{microsecond}")]))
    slices = HistorySlices.open(history, until_us=FAR)
    at_us = int(slices.timeline.order_seen_at[-1])

    parts = [slices.read(at_us - 1, at_us), slices.read(at_us, at_us + 1), slices.read(at_us + 1, FAR)]

    assert [part.orders["order_id"].to_pylist() for part in parts] == [[], ["B"], []]
    assert [ids(history.read(until=_instant(at_us + more)), "orders") for more in (0, 1)] == [["A"], ["A", "B"]]
    assert [read_arrivals(history.path, at_us + more).num_rows for more in (-1, 0, 1)] == [1, 1, 0]


def test_slices_read_in_turn_are_the_slices_without_texts(history: History, season: Events, tmp_path: Path) -> None:
    halves = [_take_every_other(season, first) for first in (0, 1)]  # two files of the store, over the same time
    for half in halves:
        history.ingest(half)
    slices = HistorySlices.open(history, until_us=FAR)

    told = [slices.read(*each) for each in slices.plan(97)]
    parts = list(slices.read_in_turn(97, tmp_path / "scratch"))

    assert len(told) == len(parts) > 3
    for one, other in zip(parts, told, strict=True):
        for kind in KINDS:
            ours, theirs = getattr(one, kind), getattr(other, kind)
            kept = [name for name in theirs.column_names if not name.startswith(slices_module._TEXTS)]
            assert ours.select(kept).equals(theirs.select(kept))
            assert kept[0] == "id__order"
    assert not (tmp_path / "scratch").exists()


def test_slices_read_in_turn_tell_what_orders_in_other_currencies_are_worth(history: History, tmp_path: Path) -> None:
    orders = [order("A", "2025-11-01 10:00"), order("B", "2025-11-01 11:00") | {"currency": "USD"}]
    history.ingest(build_events(orders=orders))

    (part,) = HistorySlices.open(history, until_us=FAR).read_in_turn(97, tmp_path / "scratch")

    worth = read_worth(part.orders)
    assert worth.tolist() == read_worth(history.read().orders).tolist()
    assert worth[1] > 2 * worth[0]


def test_slice_holds_about_as_many_events_as_asked_for(history: History) -> None:
    days = [f"2025-11-01 10:00:{second:02}" for second in range(60)]
    orders = [order(f"o{at}", day) for at, day in enumerate(days)]
    outcomes = [outcome(f"o{at}", "refund_requested", f"2025-12-01 10:00:{at:02}") for at in range(60)]
    history.ingest(build_events(orders=orders, outcomes=outcomes))
    slices = HistorySlices.open(history, until_us=FAR)

    parts = [slices.read(*each) for each in slices.plan(10)]

    assert sum(part.orders.num_rows for part in parts) == sum(part.outcomes.num_rows for part in parts) == 60
    assert max(part.orders.num_rows for part in parts) <= 10
    assert max(part.outcomes.num_rows for part in parts) <= 20


def test_scratch_that_cannot_be_written_is_one_clear_error(history: History, season: Events, tmp_path: Path) -> None:
    history.ingest(season)
    slices = HistorySlices.open(history, until_us=FAR)
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(HistoryError, match="scratch cannot be written"):
        list(slices.read_in_turn(97, tmp_path / "file" / "scratch"))


def _take_every_other(events: Events, first: int) -> Events:
    """Every other order, with what became of it."""
    ids = events.orders["order_id"].combine_chunks()
    chosen = ids.take(pa.array(np.arange(first, len(ids), 2)))
    return replace(
        events,
        **{kind: getattr(events, kind).filter(pc.is_in(getattr(events, kind)["order_id"], chosen)) for kind in KINDS},
    )
