"""`ordervet history verify`: what it says, what it changes, how it ends."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from history_events import build_events, order
from ordervet.entities import Key
from ordervet.history import History

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    key = Key(bytes(range(16)))
    monkeypatch.setenv("ORDERVET_KEY", key.to_hex())
    history = History.open(tmp_path / "history", key, create=True)
    history.ingest(build_events(orders=[order("T1"), order("T2")]))
    return history


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + b"damaged!")


def test_whole_history_ends_with_0_and_lists_every_file(ordervet, history: History) -> None:
    said, listed = (ordervet("history", "verify", "--history", history.path, *more) for more in ((), ("--json",)))

    assert (said.code, said.out) == (
        0,
        "3 files checked: 0 damaged or missing; 0 have no digest and can be read\n",
    )
    assert (listed.code, listed.json["n_damaged"], listed.json["repaired"]) == (0, 0, None)
    assert {each["state"] for each in listed.json["files"]} == {"whole"}


def test_damage_ends_with_3_until_it_is_repaired(ordervet, history: History, tmp_path: Path) -> None:
    shutil.copytree(history.path, tmp_path / "backup")
    (victim,) = history.list_files()
    damage(victim)
    verify = ("history", "verify", "--history", history.path)

    found = ordervet(*verify)
    other = ordervet("score", "--history", history.path, "--dry-run", victim)
    repaired = ordervet(*verify, "--repair", "--backup", tmp_path / "backup", "--lang", "zh")

    assert found.code == other.code == 3
    assert f"damaged: {victim.name}\n" in found.err
    assert repaired.code == 0
    assert "从备份恢复 1 个文件；数据表现有 2 行" in repaired.out
    assert ordervet(*verify, "--json").json["n_damaged"] == 0


def test_what_no_whole_file_has_is_said(ordervet, history: History) -> None:
    history.ingest(build_events(orders=[order("T3")]))
    damage(max(history.list_files(), key=lambda path: path.stat().st_size))

    ended = ordervet("history", "verify", "--history", history.path, "--repair")

    assert ended.code == 0
    assert "the table has 1 row" in ended.out
    assert "2 rows are in no whole file: ingest the files of that time again" in ended.err


def test_folder_without_a_history_ends_with_3(ordervet, history: History, tmp_path: Path) -> None:
    ended = ordervet("history", "verify", "--history", tmp_path)

    assert (ended.code, history.version) == (3, 1)
    assert "there is no history in" in ended.err
