"""What was handed on outlives runs, crashes and erasures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordervet.errors import HistoryError
from ordervet.history.handed import HandedOrder, forget_handed, read_handed, record_handed

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = (HandedOrder(name, n, n + 1, takes_slot=n > 0) for n, name in enumerate("abc"))


def test_what_was_recorded_is_read_back_and_the_first_counts(tmp_path: Path) -> None:
    record_handed(tmp_path, [A, B])
    record_handed(tmp_path, [])
    record_handed(tmp_path, [B._replace(handed_at=9), C])

    assert read_handed(tmp_path) == [A, B, C]


def test_a_line_that_a_crash_cut_off_is_left_out_and_written_over(tmp_path: Path) -> None:
    record_handed(tmp_path, [A, B])
    path = tmp_path / "_handed.jsonl"
    path.write_bytes(path.read_bytes()[:-4])

    cut = read_handed(tmp_path)
    record_handed(tmp_path, [C])

    assert cut == [A]
    assert read_handed(tmp_path) == [A, C]


def test_erased_orders_are_gone(tmp_path: Path) -> None:
    record_handed(tmp_path, [A, B])

    forget_handed(tmp_path, {"a"})

    assert read_handed(tmp_path) == [B]
    assert '"a"' not in (tmp_path / "_handed.jsonl").read_text("utf-8")


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "_handed.jsonl").write_text('["a"]\n', "utf-8")

    with pytest.raises(HistoryError, match="is damaged"):
        read_handed(tmp_path)
