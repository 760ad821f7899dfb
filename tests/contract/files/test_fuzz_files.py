"""A few mutated files and tables of every kind; `make fuzz-files` reads 500,000."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from fuzz_files import run_batch, write_ipc
from ordervet.contract import read_table
from ordervet.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

N_MUTANTS = 40


@pytest.mark.filterwarnings("ignore")  # of those that write the mutants
def test_mutated_files_and_tables_are_read_or_refused_and_their_rows_add_up() -> None:
    found = run_batch(0, N_MUTANTS)

    assert found.total() == N_MUTANTS
    assert len(found) > N_MUTANTS // 4  # kinds of files, read and refused


def test_arrow_file_with_names_that_are_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.arrow"
    write_ipc(pa.table({"a_long_name": [1]}), path, is_file=True)
    path.write_bytes(path.read_bytes().replace(b"a_long_name", b"a_long_n\xff\xfee"))

    with pytest.raises(FileError, match=r"orders\.arrow is damaged"):
        read_table(path)
