"""Errors, hints and progress in other languages than the English they are raised in."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.words import Lang

_ITEM = re.compile(r" - (?:'(.*?)': )?(.*)", flags=re.DOTALL)
"""A line about one of several things that are wrong: its name, and what is wrong with it."""

_GOT = ("got ", "'")
"""What stands before a value as it was given."""


def translate_error(text: str, lang: Lang) -> str:
    """Return a message, a hint or a step of progress in a language; a line that has no translation stays English."""
    return text if lang == "en" else "\n".join(_translate_line(line) for line in text.split("\n"))


def load_translations(table: str = "lines") -> dict[str, str]:
    """Return the Chinese of English texts with ``{}`` for what they quote.

    Parameters
    ----------
    table : ``lines`` and ``items`` as they are raised, ``details`` they are made of, ``system`` for the system's own
    """
    return _load_tables()[table]


def build_pattern(text: str, quoted: str = ".*?") -> re.Pattern[str]:
    """Return what fits a text with ``{}`` for what it quotes; the quotes are its groups."""
    return re.compile(f"({quoted})".join(map(re.escape, text.split("{}"))), flags=re.DOTALL)


def _translate_line(line: str) -> str:
    if item := _ITEM.fullmatch(line):
        name = "" if item[1] is None else f"'{_translate_detail(item[1])}'："
        return _find(line, "items", _translate_system) or f" - {name}{_translate_detail(item[2])}"
    return _find(line, "lines", _translate_system) or _translate_detail(line)


def _translate_detail(text: str) -> str:
    """Translate a part and what it quotes, which may be a line of its own: model m-1: the forest is damaged."""
    if said := _find(text, "details", _translate_detail):
        return said
    if "; " in text:
        return "；".join(map(_translate_detail, text.split("; ")))
    return _find(text, "lines", _translate_system) or _translate_system(text)


def _translate_system(text: str) -> str:
    return load_translations("system").get(text, text)


def _find(text: str, table: str, translate_quoted: Callable[[str], str]) -> str | None:
    """Translate a text by the pattern that it fits, and what it quotes; a value that was got stays as it is."""
    for english, pattern, translated in _load_patterns(table):
        if found := pattern.fullmatch(text):
            before = english.split("{}")[:-1]
            pairs = zip(before, found.groups(), strict=True)
            return translated.format(*(each if at.endswith(_GOT) else translate_quoted(each) for at, each in pairs))
    return None


@cache
def _load_patterns(table: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Return English texts, what fits them, and their translations; what says most about itself comes first."""
    texts = load_translations(table)
    most_literal_first = sorted(texts, key=lambda text: -len(text.replace("{}", "")))
    quoted = "(?:(?!; ).)*?" if table == "details" else ".*?"  # what stands behind a semicolon is a part by itself
    return [(text, build_pattern(text, quoted), texts[text]) for text in most_literal_first]


@cache
def _load_tables() -> dict[str, dict[str, str]]:
    text = resources.files("ordervet.words").joinpath("errors.zh.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, str]] = tomllib.loads(text)
    return tables
