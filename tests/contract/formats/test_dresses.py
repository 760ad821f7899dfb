"""One export in other dress: other encodings, zipped, as a workbook; and ids that a spreadsheet took for numbers."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xlsxwriter

from ordervet.contract import MaliceKind, read_counted_events
from ordervet.words import find_words

if TYPE_CHECKING:
    from ordervet.contract import Events

EXPORTS = sorted((Path(__file__).parent / "exports").glob("*.csv"))
ORDER_HEADER = ["订单编号", "订单创建时间", "总金额", "订单状态", "买家会员名", "宝贝ID"]


def rows_of(path: Path) -> list[list[str]]:
    """Give the rows of a CSV that are as long as its header, and not blank."""
    header, *rows = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))
    return [header, *(row for row in rows if len(row) == len(header) and any(row))]


def read(path: Path) -> tuple[Events, list[str], tuple[int, ...]]:
    events, failures, (counts,) = read_counted_events([path], are_orders_needed=False)
    rules = [f"{row['row']} {row['field']} {row['rule']}" for row in failures.to_pylist()]
    return events, rules, (counts.n_read, counts.n_accepted, counts.n_merged, counts.n_quarantined)


def write_workbook(path: Path, rows: list[list[object]]) -> Path:
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return path


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.stem)
def test_export_says_the_same_in_every_dress(tmp_path: Path, path: Path) -> None:
    rows = rows_of(path)
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    plain = tmp_path / "plain.csv"
    plain.write_text(file.getvalue(), "utf-8", newline="")
    dressed = [tmp_path / name for name in ("bom.csv", "gb.csv", "zipped.csv.gz")]
    for target, encoding in zip(dressed, ("utf-8-sig", "gb18030", "gb18030"), strict=True):
        data = file.getvalue().encode(encoding)
        target.write_bytes(gzip.compress(data) if target.suffix == ".gz" else data)
    book = write_workbook(tmp_path / "book.xlsx", [list(row) for row in rows])

    expected = read(plain)

    assert [read(each) for each in (*dressed, book)] == [expected] * 4


def test_ids_that_a_workbook_holds_as_numbers_keep_every_digit_or_are_set_aside(tmp_path: Path) -> None:
    exact, lost, huge = 999_999_999_999_999, 2_301_000_000_000_000_017, 9.9e300
    rows: list[list[object]] = [
        [number, "2025-11-11 20:00:00", 12.5, "", 10_007, 36_001] for number in (exact, lost, huge)
    ]
    rows.append(["T1", "2025-11-11 20:00:00", 12.5, "", lost, lost])
    path = write_workbook(tmp_path / "orders.xlsx", [list(ORDER_HEADER), *rows])

    events, rules, counts = read(path)

    assert events.orders.select(["order_id", "buyer_id", "item_id", "amount_minor"]).to_pylist() == [
        {"order_id": "999999999999999", "buyer_id": "10007", "item_id": "36001", "amount_minor": 1250},
        {"order_id": "T1", "buyer_id": None, "item_id": None, "amount_minor": 1250},
    ]
    assert rules == ["1 order_id digits", "2 order_id digits"]
    assert counts == (4, 2, 0, 2)


def test_verdict_rows_that_nobody_filled_in_are_passed_over_and_half_filled_ones_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    rows = [
        "T1,恶意,羊毛党,2025-12-01 10:00",
        "T2,,,",
        "T3,,仅退款滥用,",
        "T4,存疑,,",
        "T5,,,2025-12-01",
        "T6,正常,scalping,2025-12-01",
    ]
    path.write_text("\n".join(["订单编号,判定,类型,判定时间", *rows]) + "\n", "utf-8")

    events, rules, counts = read(path)

    assert [(row["order_id"], row["kind"]) for row in events.verdicts.to_pylist()] == [("T1", "coupon_farming")]
    assert rules == ["3 decided_at required", "4 verdict required", "5 kind only_with"]
    assert counts == (6, 1, 2, 3)


@pytest.mark.parametrize("dress", ["code", "zh", "en"])
def test_kinds_of_a_verdict_sheet_are_taken_by_code_and_by_both_names(tmp_path: Path, dress: str) -> None:
    path = tmp_path / "verdicts.csv"
    written = [str(kind) if dress == "code" else find_words("kinds", dress)[kind] for kind in MaliceKind]
    rows = [f"T{at},恶意,{name},2025-12-01" for at, name in enumerate(written)]
    path.write_text("\n".join(["订单编号,判定,类型,判定时间", *rows]) + "\n", "utf-8")

    events, rules, _ = read(path)

    assert rules == []
    assert events.verdicts["kind"].to_pylist() == [str(kind) for kind in MaliceKind]
