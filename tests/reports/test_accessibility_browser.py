"""axe-core finds no serious fault of accessibility in the pages, in either language, on a screen, a phone and paper."""

from __future__ import annotations

import json
from importlib import resources
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from chromium import BROWSER, open_browser
from ordervet.policy import load_scripts
from ordervet.reports.board import Board, Field, Section, build_board_page
from ordervet.reports.queue_page import build_queue_page
from ordervet.reports.scripts_page import build_scripts_page
from queue_makers import make_hostile_queue, make_queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chromium import Tab
    from ordervet.words import Lang

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here; `make browser` wants one"),
    pytest.mark.skipif(
        find_spec("axe_core_python") is None, reason="axe-core-python is missing here; `make` installs it"
    ),
]

SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with open_browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def find_faults(tab: Tab, page: str, path: Path, *, width: int, media: str = "screen") -> list[str]:
    """Return what axe-core finds serious in a page: rule, and the first element that breaks it."""
    path.write_text(page, encoding="utf-8")
    tab.call("Emulation.setEmulatedMedia", media=media)
    tab.open(path, width=width)
    tab.run(resources.files("axe_core_python").joinpath("axe.min.js").read_text("utf-8") + ";0")
    found: dict[str, Any] = json.loads(tab.run("axe.run().then(found => JSON.stringify(found))"))
    assert found["passes"], "axe-core looked at nothing"
    faults = (each for each in found["violations"] if each["impact"] in SERIOUS)
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]} {each['nodes'][0]['failureSummary']}" for each in faults]


def build_page(name: str, lang: Lang) -> str:
    if name == "board":
        fields = tuple(
            Field(f"f{at}", f"Amount held {at}", look) for at, look in enumerate(["text", *["money"] * 9, "wrapped"])
        )
        rows = (("general", *range(9), "a long note " * 9),) * 3
        wide = Section("wide", "By kind", "Read from left to right.", fields, rows, marked=frozenset({1}))
        return build_board_page(
            Board("Review", ("a", "b"), ("simulated",), (wide, Section("few", "Few", lines=("a",))), lang=lang)
        )
    if name == "scripts":
        return build_scripts_page(dict(islice(load_scripts().items(), 5)), lang=lang)
    return build_queue_page(make_hostile_queue() if name == "hostile" else make_queue(10), lang=lang)


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(
    ("name", "width", "media"),
    [
        ("queue", 1280, "screen"),
        ("queue", 390, "screen"),
        ("queue", 1280, "print"),
        ("hostile", 390, "screen"),
        ("scripts", 800, "screen"),
        ("board", 1280, "screen"),
        ("board", 390, "screen"),
    ],
)
def test_axe_finds_nothing_serious(tab: Tab, tmp_path: Path, name: str, width: int, media: str, lang: Lang) -> None:
    assert find_faults(tab, build_page(name, lang), tmp_path / "page.html", width=width, media=media) == []


def test_axe_finds_a_fault_that_is_there(tab: Tab, tmp_path: Path) -> None:
    page = '<!doctype html><html lang="en"><title>x</title><main><img src="data:,"><p>x</p></main></html>'

    (fault,) = find_faults(tab, page, tmp_path / "page.html", width=800)

    assert fault.startswith("image-alt: ")
