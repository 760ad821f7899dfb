"""Verdicts come back as people fill them in: dates alone, slips of the pen, two agents who disagree."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow.csv
import pytest
import xlsxwriter

from ordervet.entities import Key
from ordervet.history import History

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(bytes(range(16)))
HEADER = ("订单编号", "判定", "类型", "判定时间", "客服")
EAST = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordervet) -> Path:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    orders = tmp_path / "orders.csv"
    rows = [f"{name},2025-11-11 20:00,100" for name in "abcdef"]
    orders.write_text("\n".join(["order_id,placed_at,amount_minor", *rows]) + "\n", "utf-8")
    assert ordervet("ingest", orders, "--history", tmp_path / "history").code == 0
    return tmp_path / "history"


def write_book(path: Path, sheets: dict[str, list[tuple[object, ...]]]) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate((HEADER, *rows)):
                for at, cell in enumerate(row):
                    if isinstance(cell, datetime):
                        sheet.write_datetime(number, at, cell, days)
                    else:
                        sheet.write(number, at, cell)
    return path


def read_verdicts(history: Path) -> dict[str, dict[str, Any]]:
    return {row["order_id"]: row for row in History.open(history, KEY).read().verdicts.to_pylist()}


def test_a_date_without_a_time_is_the_end_of_that_day(ordervet, history: Path, tmp_path: Path) -> None:
    rows = [
        ("a", "正常", "", "2025-11-11", ""),
        ("b", "正常", "", datetime(2025, 11, 12), ""),  # noqa: DTZ001 - a cell of a workbook has no zone
        ("c", "正常", "", "2025/11/12 08:05", ""),
    ]

    ended = ordervet("ingest", write_book(tmp_path / "sheet.xlsx", {"一": rows}), "--history", history)

    assert ended.code == 0
    decided = {name: row["decided_at"].astimezone(EAST) for name, row in read_verdicts(history).items()}
    assert [f"{decided[name]:%m-%d %H:%M:%S}" for name in "abc"] == [
        "11-11 23:59:59", "11-12 23:59:59", "11-12 08:05:00",
    ]  # fmt: skip


def test_today_without_a_time_is_now(ordervet, history: Path, tmp_path: Path) -> None:
    today = f"{datetime.now(EAST):%Y-%m-%d}"

    ordervet("ingest", write_book(tmp_path / "s.xlsx", {"一": [("a", "正常", "", today, "")]}), "--history", history)

    decided_at = read_verdicts(history)["a"]["decided_at"]
    assert timedelta() <= datetime.now(UTC) - decided_at < timedelta(minutes=5)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_date_without_a_time_is_the_end_of_that_day_in_contract_columns_too(
    ordervet, history: Path, tmp_path: Path, ending: str
) -> None:
    today = datetime.now(EAST).date().isoformat()
    days = {"a": "2025-11-11", "b": "2025-11-12 00:00", "c": "2025/11/12", "d": today}
    path = tmp_path / f"verdicts.{ending}"
    if ending == "csv":
        lines = ["order_id,verdict,decided_at", *(f"{name},innocent,{day}" for name, day in days.items())]
    else:
        rows = ({"order_id": name, "verdict": "innocent", "decided_at": day} for name, day in days.items())
        lines = list(map(json.dumps, rows))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    before = datetime.now(UTC)

    ended = ordervet("ingest", path, "--history", history)
    found = {name: row["seen_at"].astimezone(EAST) for name, row in read_verdicts(history).items()}

    assert ended.code == 0, ended.err
    assert [found[name].isoformat()[:19] for name in "abc"] == [
        "2025-11-11T23:59:59",
        "2025-11-12T00:00:00",
        "2025-11-12T23:59:59",
    ]
    assert before - timedelta(seconds=1) <= found["d"] <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("verdict", "kind", "meaning"),
    [
        ("恶意", "羊毛", ("malicious", "coupon_farming")),
        ("恶意", "职业索陪", ("malicious", "professional_claim")),
        ("malicous", "coupon farmer", ("malicious", "coupon_farming")),
        ("Malicious", "Stolen_Payment", ("malicious", "stolen_payment")),
        ("inocent", "", ("innocent", None)),
    ],
)
def test_a_slip_of_the_pen_is_understood(
    ordervet, history: Path, tmp_path: Path, verdict: str, kind: str, meaning: tuple[str, str | None]
) -> None:
    sheet = write_book(tmp_path / "s.xlsx", {"一": [("a", verdict, kind, "2025-11-12", "")]})

    ended = ordervet("ingest", sheet, "--history", history)

    assert ended.code == 0
    found = read_verdicts(history)["a"]
    assert (found["verdict"], found["kind"]) == meaning


def test_the_contrary_is_no_slip_and_is_named_by_sheet_and_row(ordervet, history: Path, tmp_path: Path) -> None:
    sheets = {
        "待发货": [("a", "正常", "", "2025-11-12", "")],
        "运输中": [
            ("b", "", "", "", ""),
            ("c", "不正常", "", "2025-11-12", ""),
            ("d", "恶意", "什么", "2025-11-12", ""),
        ],
    }

    ended = ordervet(
        "ingest", write_book(tmp_path / "s.xlsx", sheets), "--history", history, "--quarantine", tmp_path / "q.csv"
    )

    assert ended.code == 4
    aside = pyarrow.csv.read_csv(tmp_path / "q.csv").to_pylist()
    assert [(row["file"], row["order_id"], row["field"]) for row in aside] == [
        ("s.xlsx, 运输中!3", "c", "verdict"),
        ("s.xlsx, 运输中!4", "d", "kind"),
    ]
    assert set(read_verdicts(history)) == {"a"}


def test_two_agents_who_disagree_are_named_until_an_appeal_settles_it(ordervet, history: Path, tmp_path: Path) -> None:
    first = [("a", "恶意", "", "2025-11-12 10:00", "07"), ("b", "恶意", "", "2025-11-12 10:00", "07")]
    second = [("a", "正常", "", "2025-11-12 11:00", "12"), ("b", "恶意", "", "2025-11-12 11:00", "12")]
    ordervet("ingest", write_book(tmp_path / "1.xlsx", {"一": first}), "--history", history)

    ended = ordervet("ingest", write_book(tmp_path / "2.xlsx", {"一": second}), "--history", history, "--lang", "en")
    ordervet("correct", "a", "--history", history, "--at", "2025-11-12 12:00")
    settled = ordervet("ingest", tmp_path / "2.xlsx", "--history", history, "--json")

    assert "a: agents disagree (07 malicious, 12 innocent)" in ended.err
    assert "b: agents" not in ended.err
    assert settled.json["disagreements"] == {}
