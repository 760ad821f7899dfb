"""What docs/evaluation.md says is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from ordervet.cli import app
from ordervet.lab.lookalikes import MAX_RATIO, MAX_RATIOS, MIN_TWIN_RECALL

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)

    exec(compile(block, "evaluation.md", "exec"), {})  # noqa: S102 - the example is ours

    assert capsys.readouterr().out.split()[0] in {"True", "False"}


def test_every_option_named_is_one_of_the_command() -> None:
    known = CliRunner().invoke(app, ["backtest", "--help"], terminal_width=200).output

    named = set(re.findall(r"^\| `(--[a-z-]+)", TEXT, flags=re.MULTILINE))

    assert len(named) > 8
    assert {option for option in named if option not in known} == set()


def test_bounds_are_those_of_the_suite() -> None:
    assert f"at most {MAX_RATIO} times" in TEXT
    assert MAX_RATIOS == {"fault_wave": 1.0}
    assert f"at least {MIN_TWIN_RECALL:.0%}".replace("%", " %") in TEXT
