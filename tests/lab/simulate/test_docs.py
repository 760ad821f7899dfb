from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ordervet.lab.simulate import SimulationSettings
from ordervet.lab.simulate.simulation_settings import KIND_WEIGHTS, LOOK_ALIKE_SHARES

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "simulation.md").read_text(encoding="utf-8")


def names_in_section(title: str) -> list[str]:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_page_begins_with_what_its_numbers_prove() -> None:
    assert "prove behaviour, not accuracy" in PAGE.splitlines()[0]


def test_page_lists_every_setting() -> None:
    assert names_in_section("Settings") == [field.name for field in fields(SimulationSettings)]


def test_page_lists_every_kind_with_its_share() -> None:
    shares = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE.split("## Look-alikes")[0], re.MULTILINE))

    assert names_in_section("Kinds of malice") == list(KIND_WEIGHTS)
    assert {kind: float(shares[kind]) for kind in KIND_WEIGHTS} == dict(KIND_WEIGHTS)


def test_page_lists_every_look_alike_with_its_share() -> None:
    section = PAGE.split("## Look-alikes\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    shares = {
        name: float(share)
        for names, listed in rows
        for name, share in zip(re.findall(r"`(\w+)`", names), listed.split(","), strict=True)
    }

    assert shares == dict(LOOK_ALIKE_SHARES)


def test_example_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)

    exec(example, {})  # noqa: S102 -- the page's own example

    assert {path.name for path in (tmp_path / "season").iterdir()} >= {"orders.csv", "outcomes.csv", "truth.csv"}
