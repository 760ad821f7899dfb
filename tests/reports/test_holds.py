"""Hold lists: never an order on both lists, whatever is said of it, and wherever a run is cut off."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from ordervet.contract import Events, validate_events
from ordervet.entities import key_events, load_key
from ordervet.errors import FileError
from ordervet.policy import load_policy
from ordervet.reports import holds as module
from ordervet.reports.holds import Hold, find_release_path, update_holds
from ordervet.score import Scorer
from ordervet.score.hold_lists import find_words, list_holds
from ordervet.storage import hold_lock

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model

NOW = datetime(2025, 11, 11, 12, tzinfo=UTC)
IDS = [f"T{number}" for number in range(6)]
UPDATES = st.lists(
    st.tuples(
        st.sets(st.sampled_from(IDS)),
        st.dictionaries(st.sampled_from(IDS), st.sampled_from(["hold", "release", "close"])),
    ),
    min_size=1,
    max_size=5,
)


def hold(order_id: str, platform: str = "tmall", deadline: str = "2025-11-11T13:00:00+00:00") -> Hold:
    return Hold(order_id, platform, "hold", deadline)


def read_ids(path: Path) -> set[str]:
    if not path.exists():
        return set()
    if path.suffix == ".json":
        return {order["order_id"] for batch in json.loads(path.read_text())["batches"] for order in batch}
    with path.open(encoding="utf-8-sig") as file:
        return {row["order_id"] for row in csv.DictReader(file)}


@given(UPDATES)
@settings(max_examples=30)
def test_no_order_is_ever_on_both_lists(tmp_path_factory: pytest.TempPathFactory, updates: list) -> None:
    path = tmp_path_factory.mktemp("holds") / "holds.json"

    def write_and_look(text: str, file: Path) -> None:
        file.write_text(text, encoding="utf-8")
        assert not read_ids(path) & read_ids(find_release_path(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_text", write_and_look)
        for ids, words in updates:
            counts = update_holds(path, map(hold, sorted(ids)), words, batch_size=2, now=NOW)
            held, released = read_ids(path), read_ids(find_release_path(path))

            assert (counts.n_held, counts.n_released) == (len(held), len(released))
            assert not released & {each for each, word in words.items() if word != "release"}
            assert not held & {each for each, word in words.items() if word != "hold"}


@given(UPDATES, st.integers(0, 12), UPDATES)
@settings(max_examples=40)
def test_run_that_is_cut_off_is_made_good_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, before: list, n_writes: int, after: list
) -> None:
    folder = tmp_path_factory.mktemp("holds")
    cut, whole = folder / "cut.json", folder / "whole.json"
    left = [n_writes]

    def write_until_cut(text: str, file: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("no space")
        file.write_text(text, encoding="utf-8")
        assert not read_ids(cut) & read_ids(find_release_path(cut))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_text", write_until_cut)
        for ids, words in before:
            try:
                update_holds(cut, map(hold, sorted(ids)), words, batch_size=2, now=NOW)
            except OSError:
                left[0] = 10**6
                update_holds(cut, map(hold, sorted(ids)), words, batch_size=2, now=NOW)
        left[0] = 10**6
        for ids, words in after:
            update_holds(cut, map(hold, sorted(ids)), words, batch_size=2, now=NOW)
        for ids, words in [*before, *after]:
            update_holds(whole, map(hold, sorted(ids)), words, batch_size=2, now=NOW)

    assert read_ids(cut) == read_ids(whole)
    assert read_ids(find_release_path(cut)) == read_ids(find_release_path(whole))


def test_released_order_is_not_held_again_until_a_person_says_so(tmp_path: Path) -> None:
    path = tmp_path / "holds.csv"
    update_holds(path, [hold("T1")], {}, batch_size=20, now=NOW)
    update_holds(path, [], {"T1": "release"}, batch_size=20, now=NOW)

    again = update_holds(path, [hold("T1")], {}, batch_size=20, now=NOW)
    told = update_holds(path, [], {"T1": "hold"}, batch_size=20, now=NOW)

    assert (again.n_held, again.n_released) == (0, 1)
    assert (told.n_held, told.n_released) == (1, 0)
    assert read_ids(path) == {"T1"}


def test_cancelled_order_leaves_the_hold_list_and_is_not_released(tmp_path: Path) -> None:
    path = tmp_path / "holds.csv"
    update_holds(path, [hold("T1")], {}, batch_size=20, now=NOW)

    counts = update_holds(path, [], {"T1": "close"}, batch_size=20, now=NOW)

    assert (counts.n_held, counts.n_released) == (0, 0)


def test_batches_are_full_of_one_platform_and_most_urgent_first(tmp_path: Path) -> None:
    path = tmp_path / "holds.json"
    orders = [
        hold(f"T{at:02d}", "jd" if at % 3 == 0 else "tmall", f"2025-11-11T{23 - at}:00:00+00:00") for at in range(9)
    ]

    counts = update_holds(path, orders, {}, batch_size=4, now=NOW)

    batches = json.loads(path.read_text())["batches"]
    assert [[order["order_id"] for order in batch] for batch in batches] == [
        ["T08", "T07", "T05", "T04"],
        ["T06", "T03", "T00"],
        ["T02", "T01"],
    ]
    assert all(len({order["platform"] for order in batch}) == 1 for batch in batches)
    assert counts.n_batches == 3


def test_lists_are_written_as_workbooks_too_and_hostile_ids_are_inert(tmp_path: Path) -> None:
    path = tmp_path / "holds.xlsx"

    update_holds(path, [hold("=1+1")], {}, batch_size=20, now=NOW)

    rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    assert rows == [
        ["batch", "order_id", "platform", "action", "deadline"],
        [1.0, "=1+1", "tmall", "hold", "2025-11-11T13:00:00+00:00"],
    ]


@pytest.mark.parametrize("damage", ["{", '{"protocol": 2}', '{"protocol": 1, "held": [{}]}', None])
def test_damaged_or_missing_state_is_one_error_and_the_lists_stay(tmp_path: Path, damage: str | None) -> None:
    path = tmp_path / "holds.csv"
    update_holds(path, [hold("T1")], {}, batch_size=20, now=NOW)
    state = tmp_path / ".holds.csv.state.json"
    state.unlink()
    if damage is not None:
        state.write_text(damage)

    with pytest.raises(FileError, match=r"holds\.csv"):
        update_holds(path, [hold("T2")], {}, batch_size=20, now=NOW)

    assert read_ids(path) == {"T1"}


def test_second_run_at_the_same_time_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "holds.csv"

    with (
        hold_lock(path.with_name(f".{path.name}.lock"), FileError("")),
        pytest.raises(FileError, match="being updated by another run"),
    ):
        update_holds(path, [hold("T1")], {}, batch_size=20, now=NOW)


def test_latest_word_about_an_order_counts_and_a_correction_releases() -> None:
    orders = [{"order_id": name, "placed_at": "2025-01-01", "amount_minor": 1} for name in "abcd"]
    verdicts = [
        {"order_id": "a", "verdict": "malicious", "kind": "scalping", "by": "desk", "decided_at": "2025-01-03"},
        {"order_id": "a", "verdict": "innocent", "by": "desk", "decided_at": "2025-01-02"},
        {"order_id": "b", "verdict": "malicious", "kind": "scalping", "by": "desk", "decided_at": "2025-01-02"},
        {"order_id": "c", "verdict": "unsure", "by": "desk", "decided_at": "2025-01-02"},
        {"order_id": "d", "verdict": "innocent", "by": "desk", "decided_at": "2025-01-02"},
    ]
    events = Events(
        validate_events("orders", orders),
        validate_events("outcomes", [{"order_id": "d", "kind": "cancelled_paid", "happened_at": "2025-01-04"}]),
        validate_events("verdicts", verdicts),
        validate_events("corrections", [{"order_id": "b", "corrected_at": "2025-01-05"}]),
    )

    words = find_words(key_events(events, load_key()))

    assert words == {"a": "hold", "b": "release", "c": "hold", "d": "close"}


def test_orders_to_hold_and_to_confirm_are_stopped_before_their_audit(merchant: Events, model: Model) -> None:
    policy = load_policy()
    scored = Scorer(model, policy, load_key()).score_events(merchant)

    stops = list_holds(scored, policy)

    decisions = {scored.order_ids[row]: scored.build_decision(row) for row in scored.rank_flagged().tolist()}
    assert {stop.order_id for stop in stops} == {
        each for each, decision in decisions.items() if decision.action in {"hold", "confirm"}
    }
    placed_at = dict(zip(scored.order_ids, scored.placed_at.to_pylist(), strict=True))
    first = stops[0]
    assert datetime.fromisoformat(first.deadline) - placed_at[first.order_id].replace(microsecond=0) == timedelta(
        minutes=60
    )
