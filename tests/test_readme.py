"""The README's examples, run as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ordervet.cli import run
from ordervet.cli.screen import ExitCode
from ordervet.contract import load_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def find_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as a fresh checkout has it, to run the examples in."""
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)


def test_first_two_commands_are_make_score_and_make_test() -> None:
    commands = [line.split("#")[0].strip() for line in find_blocks("sh")[0].splitlines()]

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands == ["make score", "make test"]
    assert all(f"\n{command.removeprefix('make ')}: " in makefile for command in commands)


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("block", find_blocks("python"))
def test_python_example_runs_and_prints_what_it_says(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = re.findall(r"^print\(.*#\s*(.+)$", block, flags=re.MULTILINE)

    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - the example is ours

    assert capsys.readouterr().out.split("\n")[: len(expected)] == expected
    assert expected


@pytest.mark.usefixtures("desk")
def test_command_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [line for block in find_blocks("sh")[1:] for line in block.splitlines() if line.startswith("ordervet ")]

    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            run()
        assert (ended.value.code or 0) == 0, command
    assert len(commands) >= 5


def test_mapping_example_is_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(find_blocks("toml")[0], encoding="utf-8")

    mapping = load_mapping(path)

    assert set(mapping.columns) == {"id", "created", "customer", "total", "pos", "was_fraud"}


def test_exit_codes_are_those_of_the_program() -> None:
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)]

    assert told == [int(code) for code in ExitCode]


def test_links_lead_somewhere() -> None:
    pages: list[Path] = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*.md")]
    is_file: Callable[[Path], bool] = Path.exists

    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        if not link.startswith("http") and not is_file(page.parent / link)
    ]

    assert broken == []
