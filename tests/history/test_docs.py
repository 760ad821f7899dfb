"""The page about the history: its programs run, its table names every column."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ordervet.history import History
from ordervet.history.stored_rows import row_schema

if TYPE_CHECKING:
    import pytest

    from ordervet.entities import Key

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")


def test_programs_on_the_page_run(
    tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("orders.csv", "outcomes.csv"):
        shutil.copy(ROOT / "data" / "samples" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERVET_KEY", key.to_hex())
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

    for program in programs:
        exec(compile(program, "history.md", "exec"), {})  # noqa: S102 - the programs are our own page's

    assert re.fullmatch(r"7\d{3} 0 0\nSCORED\n", capsys.readouterr().out)
    assert History.open("history", key).read().orders["order_id"].to_pylist()[-1] == "T1"


def test_every_column_is_on_the_page() -> None:
    missing = [name for name in row_schema().names if f"`{re.sub('__(?!order).*', '__NAME', name)}`" not in PAGE]

    assert missing == []
