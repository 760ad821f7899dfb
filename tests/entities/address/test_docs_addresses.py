from __future__ import annotations

import doctest
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_rules_hold_as_their_examples_say() -> None:
    results = doctest.testfile(str(DOCS / "addresses.md"), module_relative=False, encoding="utf-8")

    assert results.attempted > 30
    assert results.failed == 0
