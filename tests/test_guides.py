"""The guides and the two readmes: both languages show the same commands, and the commands are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from ordervet.cli import ENTRIES, load_command

ROOT = Path(__file__).resolve().parents[1]
PAIRS = [
    (ROOT / "docs" / "guide-operations.md", ROOT / "docs" / "guide-operations.zh-CN.md"),
    (ROOT / "docs" / "guide-agents.md", ROOT / "docs" / "guide-agents.zh-CN.md"),
    (ROOT / "README.md", ROOT / "README.zh-CN.md"),
]
MAX_PICTURE = 150_000


def find_commands(page: Path) -> list[str]:
    """List the command lines of a page, without what is said beside them."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```|((?:^    ordervet [^\n]*\n)+)", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in "".join(block).splitlines()]
    return [line for line in lines if line]


def find_examples(page: Path) -> list[str]:
    """List the Python examples of a page, without their comments."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r" *#.*", "", block) for block in blocks]


def find_options(name: str, words: list[str]) -> set[str]:
    command = load_command(name)
    if isinstance(command, typer.core.TyperGroup):
        command = command.commands[words[0]]
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=lambda page: page.name)
def test_both_languages_show_the_same_commands(english: Path, chinese: Path) -> None:
    assert find_commands(chinese) == find_commands(english)
    assert find_examples(chinese) == find_examples(english)


@pytest.mark.parametrize(("english", "chinese"), PAIRS[:2], ids=lambda page: page.name)
def test_both_languages_of_a_guide_have_the_same_parts(english: Path, chinese: Path) -> None:
    shapes = []
    for page in (english, chinese):
        text = page.read_text(encoding="utf-8")
        shapes.append([len(re.findall(pattern, text, re.MULTILINE)) for pattern in (r"^## ", r"^\|", r"^- ", r"!\[")])

    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("page", [page for pair in PAIRS for page in pair], ids=lambda page: page.name)
def test_every_command_and_option_of_a_page_is_there(page: Path) -> None:
    for line in find_commands(page):
        for part in re.split(r" && | > | \| ", line):
            words = shlex.split(part)
            if words[0] == "ordervet":
                assert words[1] in ENTRIES, line
                named = {word for word in words if word.startswith("--")}
                assert named <= find_options(words[1], words[2:]), line


def test_pictures_are_small_and_all_of_them_are_shown() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.png"))
    shown = {
        name for page in ROOT.glob("docs/*.md") for name in re.findall(r"pictures/([\w.]+)\)", page.read_text("utf-8"))
    }

    assert {picture.name for picture in pictures} == shown
    assert max(picture.stat().st_size for picture in pictures) <= MAX_PICTURE
