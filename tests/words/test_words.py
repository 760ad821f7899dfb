"""The catalogue says the same things in both languages, and nothing that nobody asks for."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest

import ordervet
from ordervet.contract import MaliceKind, VerdictValue
from ordervet.policy import SLOTS, Action, Band, DecisionCode, Stage
from ordervet.words import LANGS, find_words, format_text, join_words

SOURCE = Path(ordervet.__file__).parent
SECTIONS = sorted(set(re.findall(r"(?m)^\[([\w.]+)\]", (SOURCE / "words" / "en.toml").read_text(encoding="utf-8"))))


def list_fields(text: Any) -> list[set[str]]:
    """List the names in braces of a text, or of each text of an array."""
    texts = text if isinstance(text, list) else [text]
    return [{field for _, field, _, _ in string.Formatter().parse(str(each)) if field is not None} for each in texts]


def list_texts(section: str, lang: Any) -> dict[str, Any]:
    return {name: text for name, text in find_words(section, lang).items() if not isinstance(text, dict)}


@pytest.mark.parametrize("section", SECTIONS)
def test_both_languages_have_the_same_keys(section: str) -> None:
    zh, en = (list_texts(section, lang) for lang in LANGS)

    assert list(zh) == list(en)
    assert all(all(text) for words in (zh, en) for text in words.values())


@pytest.mark.parametrize("section", sorted(set(SECTIONS) - {"workbook"}))
def test_both_languages_fill_in_the_same_values(section: str) -> None:
    zh, en = (list_texts(section, lang) for lang in LANGS)

    for name in zh.keys() - {"window_of_one"}:
        assert list_fields(zh[name]) == list_fields(en[name]), name


def test_both_catalogues_have_the_same_sections() -> None:
    text = (SOURCE / "words" / "zh.toml").read_text(encoding="utf-8")

    assert sorted(set(re.findall(r"(?m)^\[([\w.]+)\]", text))) == SECTIONS


def test_every_text_is_asked_for() -> None:
    files = [
        path for path in SOURCE.rglob("*") if path.suffix in {".py", ".html", ".js"} and path.parent.name != "words"
    ]
    source = "\n".join(path.read_text(encoding="utf-8") for path in [*files, SOURCE / "words" / "numbers.py"])
    asked = set(re.findall(r"\w+", source))
    # Built from a part and the name of a thing: look_score, used_past, recall_at, sort_rank.
    starts = tuple(re.findall(r"[`'\"](\w+_)(?:\{|\$\{|[`'\"] \+)", source))
    ends = tuple(re.findall(r'f"\{\w+\}(_\w+)"', source))

    unused = [
        f"{section}.{name}"
        for section in SECTIONS
        for name in list_texts(section, "en")
        if name not in asked and not name.startswith(starts) and not name.endswith(ends)
    ]

    assert unused == []


def test_every_key_that_is_written_out_is_there() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))

    keys = set(re.findall(r'format_text\(\s*"([\w.]+)"', source))
    keys |= {f"cli.{key}" for key in re.findall(r'session\.text\(\s*"([\w.]+)"', source)}

    assert keys
    assert all(key.rpartition(".")[2] in find_words(key.rpartition(".")[0], "en") for key in keys)


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("actions", Action),
        ("bands", Band),
        ("stages", Stage),
        ("kinds", MaliceKind),
        ("verdicts", VerdictValue),
        ("codes", DecisionCode),
        ("slots", SLOTS),
    ],
)
def test_every_name_has_a_word(section: str, names: Any, lang: Any) -> None:
    assert list(find_words(section, lang)) == [str(name) for name in names]


def test_text_is_filled_in() -> None:
    assert format_text("flags.model", "zh", id="m-1") == "模型 m-1"
    assert format_text("flags.model", "en", id="m-1") == "model m-1"


@pytest.mark.parametrize(
    ("key", "values", "one", "many"),
    [
        ("cli.files.orders", {}, "1 order", "2 orders"),
        ("cli.rows_set_aside", {}, "1 row was set aside", "2 rows were set aside"),
    ],
)
def test_one_is_counted_as_one(key: str, values: dict[str, Any], one: str, many: str) -> None:
    assert format_text(key, "en", n=1, **values).startswith(one)
    assert format_text(key, "en", n=2, **values).startswith(many)


def test_enumeration_is_joined_as_each_language_does() -> None:
    assert (join_words(["a", "b"], "zh"), join_words(["a", "b"], "en")) == ("a、b", "a, b")
