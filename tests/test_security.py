"""What docs/security.md says is tested by commands and files that exist, and its limits are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ordervet.contract.files.limits import LIMITS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "security.md"


@pytest.fixture(autouse=True)
def _in_a_checkout() -> None:
    if not PAGE.is_file():
        pytest.skip("the documentation is not beside the tests")


def test_every_promise_is_tested_by_what_there_is() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8").split("## Limits")[0], re.MULTILINE
    )
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    tested = {what: re.findall(r"`(make )?([^`]+)`", by) for what, by in rows if what != "what"}

    assert len(tested) >= 20
    assert [what for what, by in tested.items() if not by] == []
    named = {(is_make, name) for by in tested.values() for is_make, name in by}
    assert {name for is_make, name in named if is_make} <= targets
    assert [name for is_make, name in named if not is_make and not (ROOT / name).is_file()] == []


def test_limits_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `ORDERVET_MAX_([A-Z_]+)` \| ([\d,]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert {name.lower(): int(value.replace(",", "")) for name, value in rows} == LIMITS
