"""Histories that the disk has changed: all damage is found and named before it is believed, and repaired or listed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from history_events import build_events, ids, order, outcome
from ordervet.entities import Key
from ordervet.errors import HistoryError, KeyMismatchError
from ordervet.history.damage import check_history, repair_history
from ordervet.history.handed import HandedOrder, read_handed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ordervet.history import History


@pytest.fixture
def filled(history: History) -> History:
    for day in range(1, 4):
        history.ingest(build_events(orders=[order(f"{day}-{at}", f"2025-11-0{day}") for at in range(9)]))
    return history


def find_faults(history: History) -> list[tuple[str, str, str]]:
    return [(each.kind, each.name, each.state) for each in check_history(history.path, history.key) if each.is_fault]


def flip(path: Path, at: int = -20) -> None:
    changed = bytearray(path.read_bytes())
    changed[at] ^= 4
    path.write_bytes(bytes(changed))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(("damage", "has_digests"), [(flip, True), (cut, True), (cut, False)])
def test_damaged_data_file_is_named_by_whatever_reads_it(
    filled: History, damage: Callable[[Path], None], has_digests: bool
) -> None:
    if not has_digests:
        (filled.path / "_digests.txt").unlink()
    victim = filled.list_files()[1]
    damage(victim)

    reads = (
        filled.read,
        filled.compact,
        filled.read_judgements,
        lambda: filled.erase_buyer("b"),
        lambda: filled.ingest(build_events(outcomes=[outcome("1-1")])),
    )

    for read in reads:
        with pytest.raises(HistoryError, match=f"is damaged: {victim.name} differs from what was written"):
            read()
    assert find_faults(filled) == [("data", victim.name, "damaged")]


def test_damage_is_found_after_files_were_read(filled: History) -> None:
    filled.read()
    victim = filled.list_files()[0]
    flip(victim)

    with pytest.raises(HistoryError, match=victim.name):
        filled.read()


def test_data_file_is_restored_from_a_backup(filled: History, tmp_path: Path) -> None:
    shutil.copytree(filled.path, tmp_path / "backup")
    filled.ingest(build_events(orders=[order("later")]))
    before = filled.read()
    victims = [path for path in filled.list_files() if (tmp_path / "backup" / path.name).exists()]
    flip(victims[0])
    victims[1].unlink()

    repaired = repair_history(filled.path, filled.key, tmp_path / "backup")

    assert sorted(repaired.restored) == sorted(path.name for path in victims[:2])
    assert repaired.kept == [f"_damaged-{victims[0].name}"]
    assert (repaired.n_rows, repaired.n_lost) == (28, 0)
    assert filled.read() == before
    assert find_faults(filled) == []


def test_backup_that_is_damaged_itself_is_not_believed(filled: History, tmp_path: Path) -> None:
    victim = filled.list_files()[0]
    shutil.copytree(filled.path, tmp_path / "backup")
    flip(tmp_path / "backup" / victim.name)
    flip(victim, -30)

    repaired = repair_history(filled.path, filled.key, tmp_path / "backup")

    assert repaired.restored == []
    assert (repaired.n_rows, repaired.n_lost) == (18, 9)


def test_without_a_backup_all_other_rows_stay_and_files_bring_the_lost_ones_back(filled: History) -> None:
    whole = filled.read()
    flip(filled.list_files()[0])

    repaired = repair_history(filled.path, filled.key)

    assert (repaired.n_rows, repaired.n_lost) == (18, 9)
    assert find_faults(filled) == []
    again = [order(f"{day}-{at}", f"2025-11-0{day}") for day in range(1, 4) for at in range(9)]
    assert len(ids(filled.read(), "orders")) == 18
    filled.ingest(build_events(orders=again))
    assert sorted(ids(filled.read(), "orders")) == sorted(ids(whole, "orders"))


def test_rows_of_a_damaged_compacted_file_come_back_from_the_files_before(filled: History) -> None:
    before = filled.read()
    filled.compact()
    (compacted,) = filled.list_files()
    flip(compacted)

    assert repair_history(filled.path, filled.key).n_lost == 0

    assert filled.read() == before


@pytest.mark.parametrize("damage", [flip, cut, "missing"])
def test_log_is_written_again_where_it_is_damaged(filled: History, damage: Callable[[Path], None] | str) -> None:
    before = filled.read()
    filled.record_handed([HandedOrder("1-1", 1, 2, takes_slot=True)])
    (newest,) = (filled.path / "_delta_log").glob("*3.json")
    if callable(damage):
        damage(newest)
    else:
        newest.unlink()

    with pytest.raises(HistoryError, match=f"is damaged: _delta_log/{newest.name}"):
        filled.read()
    assert find_faults(filled) == [
        ("log", f"_delta_log/{newest.name}", "missing" if damage == "missing" else "damaged")
    ]
    assert repair_history(filled.path, filled.key).n_lost is None
    assert filled.read() == before
    assert [each.order_id for each in read_handed(filled.path)] == ["1-1"]
    assert find_faults(filled) == []


def test_repair_under_another_key_changes_nothing(filled: History) -> None:
    flip(filled.list_files()[0])
    before = {path.name: path.read_bytes() for path in filled.path.iterdir() if path.is_file()}

    with pytest.raises(KeyMismatchError, match="has another key"):
        repair_history(filled.path, Key(bytes(range(1, 17))))

    after = {path.name: path.read_bytes() for path in filled.path.iterdir() if path.is_file()}
    assert {name: after[name] for name in before if name != "_writer.lock"} == {
        name: content for name, content in before.items() if name != "_writer.lock"
    }


def test_erased_buyer_stays_erased_when_a_history_is_repaired(filled: History) -> None:
    filled.ingest(build_events(orders=[order("gone", buyer_id="b77")]))
    filled.erase_buyer("b77")
    for path in (filled.path / "_delta_log").glob("*.json"):
        flip(path)

    repair_history(filled.path, filled.key)

    assert "gone" not in ids(filled.read(), "orders")
    filled.ingest(build_events(orders=[order("gone", buyer_id="b77")]))
    assert "gone" not in ids(filled.read(), "orders")


def test_damaged_erasures_are_not_guessed(filled: History, tmp_path: Path) -> None:
    filled.erase_buyer("b77")
    shutil.copytree(filled.path, tmp_path / "backup")
    (filled.path / "_erased.json").write_text("{", encoding="utf-8")

    assert find_faults(filled) == [("erased", "_erased.json", "damaged")]
    with pytest.raises(HistoryError, match="who was erased is not known"):
        repair_history(filled.path, filled.key)
    assert repair_history(filled.path, filled.key, tmp_path / "backup").restored == ["_erased.json"]
    assert find_faults(filled) == []


def test_damaged_digest_makes_no_file_suspect(filled: History) -> None:
    flip(filled.path / "_digests.txt", 5)

    assert ids(filled.read(), "orders")
    assert find_faults(filled) == [("digests", "_digests.txt", "damaged")]
    filled.ingest(build_events(orders=[order("later")]))
    assert find_faults(filled) == []
    assert all(each.state == "whole" for each in check_history(filled.path, filled.key))


def test_file_of_a_writer_that_died_before_its_digest_gets_one(filled: History) -> None:
    digests = filled.path / "_digests.txt"
    lines = digests.read_bytes().splitlines(keepends=True)
    digests.write_bytes(b"".join(lines[:-2]) + lines[-2][:30])

    assert len(ids(filled.read(), "orders")) == 27
    filled.ingest(build_events(orders=[order("later")]))

    assert all(each.state == "whole" for each in check_history(filled.path, filled.key))
