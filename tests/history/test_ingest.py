"""What is brought in is there once, in whatever files and order it came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from history_events import KINDS, build_events, ids, order, outcome, plain, take, verdict
from ordervet.entities import key_events
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History, IngestStatus, delta
from ordervet.history.admission import names_of
from ordervet.history.ingest import build_batch, read_stored

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events
    from ordervet.entities import Key


def test_history_gives_back_what_was_ingested_in_the_order_seen(history: History, season: Events, key: Key) -> None:
    ingested = history.ingest(season)

    read = history.read()

    assert ingested.count(IngestStatus.ACCEPTED) == sum(getattr(season, kind).num_rows for kind in KINDS)
    assert plain(read) == plain(key_events(season, key))
    for kind in KINDS:
        seen_at = getattr(read, kind)["seen_at"].to_numpy()
        assert (seen_at[1:] >= seen_at[:-1]).all()


def test_same_events_again_add_nothing(history: History, season: Events) -> None:
    history.ingest(season)
    version, before = history.version, history.read()

    again = history.ingest(season)

    assert {status: again.count(status) for status in IngestStatus if again.count(status)} == {
        IngestStatus.KNOWN: sum(getattr(season, kind).num_rows for kind in KINDS)
    }
    assert history.version == version
    assert history.read() == before


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_history_does_not_depend_on_how_events_are_cut_into_files(
    tmp_path_factory: pytest.TempPathFactory, season: Events, key: Key, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    whole = History.open(tmp_path_factory.mktemp("whole") / "history", key, create=True)
    whole.ingest(season)
    history = History.open(tmp_path_factory.mktemp("parts") / "history", key, create=True)
    parts = []
    for kind in rng.permutation(KINDS):
        n_rows = getattr(season, kind).num_rows
        for _ in range(3):
            chosen = {other: [] for other in KINDS} | {kind: rng.permutation(n_rows)[: rng.integers(0, n_rows + 1)]}
            parts.append(take(season, chosen))
        parts.append(take(season, {other: [] for other in KINDS} | {kind: rng.permutation(n_rows)}))

    half = int(rng.integers(0, len(parts)))
    history.ingest_all(parts[:half])
    for part in parts[half:]:
        history.ingest(part)

    assert history.read() == whole.read()


def test_features_are_the_same_when_a_season_of_refunds_comes_before_its_orders(
    tmp_path: Path, season: Events, key: Key
) -> None:
    spec = build_spec()
    rng = np.random.default_rng(1)
    none = {kind: [] for kind in KINDS}
    orders = [take(season, none | {"orders": rows}) for rows in np.array_split(rng.permutation(500), 4)]
    later = [
        take(season, none | {kind: rng.permutation(getattr(season, kind).num_rows)})
        for kind in ("corrections", "verdicts", "outcomes")
    ]
    history = History.open(tmp_path / "history", key, create=True)

    for part in (*later, *orders):
        history.ingest(part)
    read = history.read()

    events = key_events(season, key)
    expected = FeatureEngine(spec).advance(build_order_events(events.orders, spec), build_later_events(events))
    served = FeatureEngine(spec).advance(build_order_events(read.orders, spec), build_later_events(read))
    row_of = {order_id: row for row, order_id in enumerate(ids(events, "orders"))}
    np.testing.assert_array_equal(served, expected[[row_of[order_id] for order_id in ids(read, "orders")]])


def test_event_waits_for_its_order(history: History) -> None:
    first = history.ingest(build_events(outcomes=[outcome("A")], verdicts=[verdict("A")]))
    before = history.read()

    history.ingest(build_events(orders=[order("A")]))

    assert (first.count(IngestStatus.ACCEPTED), first.n_waiting) == (2, 2)
    assert (ids(before, "outcomes"), ids(before, "verdicts")) == ([], [])
    assert (ids(history.read(), "outcomes"), ids(history.read(), "verdicts")) == (["A"], ["A"])


def test_event_from_before_its_order_is_set_aside_whichever_comes_first(tmp_path: Path, key: Key) -> None:
    early = build_events(outcomes=[outcome("A", happened_at="2025-10-01")])
    placed = build_events(orders=[order("A")])
    reads = []
    for name, parts in {"a": [placed, early], "b": [early, placed]}.items():
        history = History.open(tmp_path / name, key, create=True)

        statuses = [history.ingest(part).statuses["outcomes"].tolist() for part in parts]

        reads.append(history.read())
        assert statuses[parts.index(early)] == [IngestStatus.EARLY if name == "a" else IngestStatus.ACCEPTED]
    assert reads[0] == reads[1]
    assert ids(reads[0], "outcomes") == []


def test_outcome_that_one_file_has_twice_happened_twice(history: History) -> None:
    twice = build_events(orders=[order("A")], outcomes=[outcome("A"), outcome("A")])

    statuses = [history.ingest(twice).statuses["outcomes"].tolist() for _ in range(2)]

    assert statuses == [[IngestStatus.ACCEPTED] * 2, [IngestStatus.KNOWN] * 2]
    assert ids(history.read(), "outcomes") == ["A", "A"]


def test_outcome_that_two_files_have_once_happened_once(history: History) -> None:
    once = build_events(outcomes=[outcome("A")])

    statuses = [part.statuses["outcomes"].tolist() for part in history.ingest_all([once, once])]

    assert statuses == [[IngestStatus.ACCEPTED], [IngestStatus.KNOWN]]


def test_outcomes_that_differ_in_what_happened_are_two(history: History) -> None:
    rows = [
        outcome("A"),
        outcome("A", happened_at="2025-11-05 10:05"),
        outcome("A", kind="bad_review"),
        outcome("A", happened_at="2025-11-05 10:05", outcome_id="R1"),
        outcome("B"),
    ]

    statuses = [history.ingest(build_events(outcomes=[row])).statuses["outcomes"].tolist() for row in rows]

    accepted, merged = [IngestStatus.ACCEPTED], [IngestStatus.MERGED]
    assert statuses == [accepted, accepted, accepted, merged, accepted]  # the number is that of the second


def test_event_seen_later_than_it_happened_is_the_same_event(history: History) -> None:
    live = outcome("A", seen_at="2025-11-05 12:00")
    history.ingest(build_events(orders=[order("A")], outcomes=[live]))

    ingested = history.ingest(build_events(outcomes=[outcome("A")]))

    assert ingested.count(IngestStatus.KNOWN) == 1
    assert str(history.read().outcomes["seen_at"][0]) == "2025-11-05 04:00:00+00:00"


@pytest.mark.parametrize("before", [None, "unknown"])
def test_blame_that_is_found_later_is_taken_over(history: History, before: str | None) -> None:
    history.ingest(build_events(orders=[order("A"), order("B")], outcomes=[outcome("A", blame=before), outcome("B")]))

    ingested = history.ingest(build_events(outcomes=[outcome("A", blame="seller")]))

    assert ingested.statuses["outcomes"].tolist() == [IngestStatus.MERGED]
    assert dict(zip(ids(history.read(), "outcomes"), history.read().outcomes["blame"].to_pylist(), strict=True)) == {
        "A": "seller",
        "B": None,
    }


def test_blame_that_stands_is_not_taken_back_by_a_view_without_one(history: History) -> None:
    history.ingest(build_events(orders=[order("A")], outcomes=[outcome("A", blame="seller")]))

    later = [outcome("A"), outcome("A", blame="unknown")]
    statuses = [history.ingest(build_events(outcomes=[row])).statuses["outcomes"].tolist() for row in later]

    assert statuses == [[IngestStatus.KNOWN]] * 2
    assert history.read().outcomes["blame"].to_pylist() == ["seller"]


def test_later_state_adds_only_what_is_new(history: History) -> None:
    asked = outcome("A", kind="refund_requested", refund_type="refund_only")
    history.ingest(build_events(orders=[order("A")], outcomes=[asked]))

    done = outcome("A", kind="refund_completed", happened_at="2025-11-07", amount_minor=100)
    ingested = history.ingest(build_events(orders=[order("A"), order("B")], outcomes=[asked, done]))

    assert ingested.statuses["orders"].tolist() == [IngestStatus.KNOWN, IngestStatus.ACCEPTED]
    assert ingested.statuses["outcomes"].tolist() == [IngestStatus.KNOWN, IngestStatus.ACCEPTED]


def test_order_that_was_edited_is_amended_and_another_under_its_name_is_set_aside(history: History) -> None:
    history.ingest(build_events(orders=[order("A"), order("B")]))

    dearer = build_events(orders=[order("A", amount_minor=999), order("B", placed_at="2025-11-02"), order("C")])
    ingested, again = history.ingest_all([dearer, build_events(orders=[order("C", amount_minor=1)])])

    assert ingested.statuses["orders"].tolist() == [IngestStatus.MERGED, IngestStatus.CONFLICT, IngestStatus.ACCEPTED]
    assert again.statuses["orders"].tolist() == [IngestStatus.MERGED]
    amounts = dict(zip(ids(history.read(), "orders"), history.read().orders["amount_minor"].to_pylist(), strict=True))
    assert amounts == {"A": 999, "B": 100, "C": 1}


def test_extras_of_a_mapping_are_kept_and_not_known_where_a_file_has_none(history: History) -> None:
    history.ingest(build_events(orders=[order("A")]))
    more = {"entity__terminal": "T-77", "number__weight": 1.5, "category__browser": "firefox"}
    history.ingest(build_events(orders=[order("B", "2025-11-02", **more)]))

    read = history.read()

    assert read.extras == {"entity": ("terminal",), "category": ("browser",), "number": ("weight",)}
    assert [value > 0 for value in read.orders["id__terminal"].to_pylist()] == [False, True]
    assert read.orders["evidence__terminal"].to_pylist() == [1, 0]
    assert read.orders["number__weight"].to_pylist() == [None, 1.5]
    assert read.orders["category__browser"].to_pylist() == [None, "firefox"]


def test_preview_tells_what_ingesting_and_reading_would_give(history: History, season: Events) -> None:
    half = {kind: list(range(0, getattr(season, kind).num_rows, 2)) for kind in KINDS}
    history.ingest(take(season, half))
    history.ingest(build_events(orders=[order("A")], outcomes=[outcome("A")]))
    parts = [season, build_events(outcomes=[outcome("A", blame="buyer")], orders=[order("Z", number__weight=2.0)])]
    version = history.version

    foretold, statuses = history.preview(build_batch(parts, history.key, time.time_ns() // 1_000))

    assert history.version == version
    assert repr(statuses) == repr(history.ingest_all(parts))
    assert foretold == history.read()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_rows_of_some_orders_are_found_in_whatever_groups_they_are(
    history: History, season: Events, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(delta, "ROWS_PER_GROUP", 16)
    for shop in ("one", "two"):  # the second has its orders under ids of their own
        history.ingest(build_events(orders=[order(f"o{at}", shop_id=shop) for at in range(40)]))
    history.ingest(season)
    table = delta.load_table(history.path)
    rows = delta.read_rows(delta.open_dataset(history.path, table))
    names = names_of(rows)
    is_picked = np.random.default_rng(3).random(len(names)) < share
    wanted = np.unique([*names[is_picked], 1])

    found = read_stored(history.path, table, wanted)

    by = [("event_id", "ascending"), ("view", "ascending")]
    assert (names != np.asarray(rows["id__order"])).sum() == 40
    assert found.sort_by(by).equals(rows.filter(pa.array(np.isin(names, wanted))).sort_by(by))
