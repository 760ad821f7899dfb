from __future__ import annotations

import errno
import os
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import python_calamine

from ordervet.contract import MaliceKind, VerdictValue, read_table
from ordervet.contract.formats.library import list_formats
from ordervet.errors import FileError
from ordervet.reports.queue_book import list_choices, write_queue_book
from queue_makers import HOSTILE, make_decision, make_hostile_queue, make_queue

if TYPE_CHECKING:
    from pathlib import Path

SHEETS = {
    "zh": ["已拍下", "待发货", "运输中", "已签收", "售后中", "话术", "说明"],
    "en": ["Placed", "Paid, not shipped", "In transit", "Received", "Claim open", "Scripts", "Notes"],
}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_book_has_a_sheet_per_stage_and_every_order_once(tmp_path: Path, lang: str) -> None:
    queue = make_queue(60)

    write_queue_book(queue, tmp_path / "queue.xlsx", lang=lang)

    book = python_calamine.CalamineWorkbook.from_path(tmp_path / "queue.xlsx")
    assert book.sheet_names == SHEETS[lang]
    rows = [row for name in book.sheet_names[:5] for row in book.get_sheet_by_name(name).to_python()[1:]]
    assert sorted(row[3] for row in rows) == [item.decision.order_id for item in queue.items]
    assert [row[0] for row in rows] != sorted(row[0] for row in rows)
    assert all(row[13] and row[15] and row[16] and row[17] for row in rows)
    assert sum("legal" in row[13] for row in rows) == 12


def test_book_keeps_the_header_filters_and_offers_verdicts(tmp_path: Path) -> None:
    write_queue_book(make_queue(3), tmp_path / "queue.xlsx", lang="zh")

    with zipfile.ZipFile(tmp_path / "queue.xlsx") as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml").decode()
        styles = parts.read("xl/styles.xml").decode()
    assert 'state="frozen"' in sheet
    assert "<autoFilter" in sheet
    assert "恶意,正常,存疑" in sheet
    assert "仅退款滥用,空包/调包/买新退旧,虚假退货" in sheet
    assert "FECACA" in styles


def test_book_fills_in_who_decides_on_orders_of_the_audit(tmp_path: Path) -> None:
    queue = make_queue(2)
    first, *rest = queue.items
    audited = replace(first, decision=replace(first.decision, applied=("audit",)))
    write_queue_book(replace(queue, items=[audited, *rest]), tmp_path / "queue.xlsx", lang="en")

    book = python_calamine.CalamineWorkbook.from_path(tmp_path / "queue.xlsx")
    rows = [row for name in book.sheet_names[:5] for row in book.get_sheet_by_name(name).to_python()[1:]]
    assert {row[3]: row[8] for row in rows if len(row) > 8} == {
        first.decision.order_id: "audit",
        rest[0].decision.order_id: "",
    }


def test_book_lists_passed_orders_when_asked(tmp_path: Path) -> None:
    write_queue_book(make_queue(3), tmp_path / "q.xlsx", lang="en", passed=[make_decision("fine", 1)])

    book = python_calamine.CalamineWorkbook.from_path(tmp_path / "q.xlsx")
    assert book.get_sheet_by_name("Passed").to_python()[1][0] == "fine"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_empty_queue_is_a_book_too(tmp_path: Path, lang: str) -> None:
    write_queue_book(make_queue(0), tmp_path / "queue.xlsx", lang=lang)

    assert read_table(tmp_path / "queue.xlsx").num_rows == 0


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_choice_is_one_that_the_verdict_sheet_knows(lang: str) -> None:
    fields = next(each for each in list_formats() if each.name == "verdict_sheet").fields
    values = {name: fields[name][0].values or {} for name in ("verdict", "kind")}

    choices = list_choices(lang)
    assert [values["verdict"][each] for each in choices["verdict"]] == list(VerdictValue)
    assert [values["kind"].get(each, each) for each in choices["kind"]] == list(MaliceKind)


def test_hostile_text_stays_text_in_the_book(tmp_path: Path) -> None:
    write_queue_book(make_hostile_queue(), tmp_path / "queue.xlsx", lang="en")

    with zipfile.ZipFile(tmp_path / "queue.xlsx") as parts:
        sheets = [parts.read(f"xl/worksheets/sheet{number}.xml").decode() for number in (1, 2, 3)]
        names = parts.namelist()
        links = [parts.read(name).decode() for name in names if name.endswith(".rels")]
    assert not any("<f>" in sheet for sheet in sheets)
    assert not any("203.0.113.9" in link for link in links)
    assert read_table(tmp_path / "queue.xlsx").num_rows == len(HOSTILE)


def test_book_is_refused_under_another_ending(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot write queue\.csv"):
        write_queue_book(make_queue(1), tmp_path / "queue.csv", lang="zh")


def test_full_disk_is_one_error_and_the_old_book_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "queue.xlsx"
    path.write_bytes(b"old")

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", refuse)

    with pytest.raises(FileError, match="No space left on device"):
        write_queue_book(make_queue(2), path, lang="zh")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_workbook_shows_local_times_with_their_offset(tmp_path: Path) -> None:
    write_queue_book(make_queue(2), tmp_path / "queue.xlsx", lang="en")

    with zipfile.ZipFile(tmp_path / "queue.xlsx") as archive:
        styles = archive.read("xl/styles.xml").decode()
    assert 'formatCode="yyyy-mm-dd hh:mm &quot;+08:00&quot;"' in styles
