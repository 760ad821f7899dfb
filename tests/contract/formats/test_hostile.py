from __future__ import annotations

import csv
import datetime as dt
import io
import time
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.formats.hostile_driver import CELLS as MADE_UP
from contract.formats.hostile_driver import MAX_SECONDS, run
from ordervet.contract import read_counted_events
from ordervet.errors import ContractError, FileError

if TYPE_CHECKING:
    from ordervet.contract import FileAccount

EXPORTS = Path(__file__).parent / "exports"
TABLES = sorted(EXPORTS.glob("*.csv"))
CELLS = st.one_of(
    st.sampled_from([cell for cell in MADE_UP if cell.isprintable()]),
    st.text(max_size=12).filter(lambda text: text.isprintable()),
    st.floats(allow_nan=True),
    st.integers(-(10**20), 10**20),
    st.booleans(),
    st.datetimes(dt.datetime.fromisoformat("1900-03-01"), dt.datetime.fromisoformat("9999-01-01")),
)
PAINFUL = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def read_or_refuse(path: Path) -> FileAccount | None:
    """Read a file, without a hang; the one error allowed is a clear one that names it."""
    started = time.process_time()
    try:
        events, failures, (counts,) = read_counted_events([path], are_orders_needed=False)
    except ContractError as error:
        message = str(error)
    else:
        message = ""
    assert time.process_time() - started < MAX_SECONDS
    if message:
        assert path.name in message
        return None
    assert counts.n_read == counts.n_accepted + counts.n_merged + counts.n_quarantined
    assert len(set(failures["row"].to_pylist())) >= counts.n_quarantined
    assert events.orders.num_rows == counts.n_orders
    return counts


@pytest.fixture(scope="module")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("book") / "orders.xlsx"
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(cells_of(EXPORTS / "tmall_orders_old.csv")):
            sheet.write_row(number, 0, row)
    return path.read_bytes()


def cells_of(path: Path) -> list[list[str]]:
    """Return the rows of a file from its header on."""
    rows = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))
    return list(dropwhile(lambda row: not any(row), rows))


def text_of(rows: list[list[str]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


@PAINFUL
@given(path=st.sampled_from(TABLES), data=st.data())
def test_columns_in_another_order_change_nothing(tmp_path: Path, path: Path, data: st.DataObject) -> None:
    rows = cells_of(path)
    order = data.draw(st.permutations(range(len(rows[0]))))
    shuffled = tmp_path / path.name
    shuffled.write_text(
        text_of([[row[at] for at in order] if len(row) == len(order) else row for row in rows]), "utf-8", newline=""
    )

    events, failures, _ = read_counted_events([path], are_orders_needed=False)
    again, failed_again, _ = read_counted_events([shuffled], are_orders_needed=False)

    assert again == events
    assert failed_again == failures


@PAINFUL
@given(path=st.sampled_from(TABLES), data=st.data())
def test_columns_swapped_below_their_names_never_break_the_sum(tmp_path: Path, path: Path, data: st.DataObject) -> None:
    header, *rows = cells_of(path)
    order = data.draw(st.permutations(range(len(header))))
    mutated = tmp_path / "swapped.csv"
    mutated.write_text(text_of([[header[at] for at in order], *rows]), "utf-8", newline="")

    counts = read_or_refuse(mutated)

    assert counts is None or counts.n_read == len(rows)


@PAINFUL
@given(path=st.sampled_from(TABLES), data=st.data())
def test_garbled_workbooks_never_break_the_sum(tmp_path: Path, path: Path, data: st.DataObject) -> None:
    header, *rows = cells_of(path)
    order = data.draw(st.permutations(range(len(header)))) if data.draw(st.booleans()) else range(len(header))
    cells: list[list[Any]] = [[header[at] for at in order], *rows]
    for _ in range(data.draw(st.integers(1, 12))):
        row = cells[data.draw(st.integers(1, len(cells) - 1))]
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(CELLS)
    mutated = tmp_path / "garbled.xlsx"
    with xlsxwriter.Workbook(mutated, {"strings_to_formulas": False, "nan_inf_to_errors": True}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(cells):
            sheet.write_row(number, 0, row)

    read_or_refuse(mutated)


@PAINFUL
@given(data=st.data())
def test_cut_and_turned_workbooks_are_refused_or_add_up(tmp_path: Path, workbook: bytes, data: st.DataObject) -> None:
    turned = bytearray(workbook[: data.draw(st.integers(1, len(workbook)))])
    for _ in range(data.draw(st.integers(0, 8))):
        turned[data.draw(st.integers(0, len(turned) - 1))] = data.draw(st.integers(0, 255))
    mutated = tmp_path / "cut.xlsx"
    mutated.write_bytes(bytes(turned))

    read_or_refuse(mutated)


def test_mutants_of_every_export_are_read_or_refused() -> None:
    found = run(250, seed=0)

    assert found["read"] + found["refused"] == 250
    assert min(found.values()) > 20


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b",,,\n1,2,3\n", b"a\n" * 3, b'"' + b"x" * 100])
def test_what_is_no_export_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nothing.csv"
    path.write_bytes(content)

    with pytest.raises(FileError, match=r"nothing\.csv"):
        read_counted_events([path])
