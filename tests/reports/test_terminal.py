"""Tables in a terminal: words and numbers stay whole on eighty columns."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from rich.console import Console

from ordervet.reports.terminal import WordTable, build_failure_table
from ordervet.words import LANGS, find_words

HOURS = ("hour", "orders", "flags", "holds", "amount", "minutes", "people")
RINGS = ("shared", "flags", "orders", "buyers", "amount", "confirmed", "newest")


def draw(table: WordTable, width: int = 80) -> list[str]:
    """Draw a table in a terminal; lines as they stand there."""
    console = Console(file=io.StringIO(), width=width, soft_wrap=True)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("keys", [HOURS, RINGS])
def test_words_and_numbers_stay_whole(keys: tuple[str, ...], lang: str) -> None:
    titles = [find_words("campaign.columns", lang)[key].format(unit="CNY") for key in keys]
    first = "2025-11-11 20:00" if keys is HOURS else "delivery address A-7K2F9QX, payment account Y-1234567"
    last = "21" if keys is HOURS else "2025-11-11 20:59"
    row = [first, "12,345", "1,234.5", "123.4", "1,234,567", "6,172.5", last]

    lines = draw(WordTable(titles, [row] * 3, numbers=range(1, 6), unwrapped=(0, 6) if keys is HOURS else (6,)))

    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    whole = [*row[1:], *first.split(), *(title for title in titles if title.isascii() and " " not in title)]
    assert [each for each in whole if each not in text] == []
    assert [word for title in titles if lang == "en" for word in title.split() if word not in text] == []


def test_table_that_fits_is_not_wrapped() -> None:
    assert draw(WordTable(("a b", "n"), [("one two", "1")], numbers=(1,))) == ["a b      n", "one two  1"]


def test_failures_say_in_words_what_was_observed_and_quote_what_a_file_holds() -> None:
    failures = [
        {"file": "a.csv", "row": 1, "order_id": "t1", "field": "happened_at", "rule": "order_first"}
        | {"observed": "a time before its order"},
        {"file": "a.csv", "row": 2, "order_id": "t2", "field": "status", "rule": "allowed", "observed": "unknown"},
    ]

    text = "\n".join(draw(build_failure_table(pa.Table.from_pylist(failures), "zh")))

    assert "时间早于下单" in text
    assert "unknown" in text


def test_columns_without_room_stand_below_beside_the_first() -> None:
    lines = draw(WordTable(("day", "orders", "flagged"), [("Monday", "1,204", "37")], numbers=(1, 2)), width=18)

    assert [line.split() for line in lines] == [
        ["day", "orders"],
        ["Monday", "1,204"],
        ["day", "flagged"],
        ["Monday", "37"],
    ]


def test_row_keeps_its_style() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", highlight=False)

    console.print(WordTable(("a",), [("x",), ("y",)], styles={1: "red"}))

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "31m" in lines[2]
    assert "31m" not in lines[1]
