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


def translate_error(text: str, lang: Lang) -> str:
    """Return a message, a hint or a step of progress in a language; a line that has no translation stays English."""
    return text if lang == "en" else "\n".join(_translate_line(line) for line in text.split("\n"))


def load_translations(table: str = "lines") -> dict[str, str]:
    """Return the Chinese of English texts with ``{}`` for what they quote.

    Parameters
    ----------
    table : ``lines`` as they are raised, ``details`` that lines are made of, ``system`` for what the system says
    """
    return _load_tables()[table]


def build_pattern(text: str) -> re.Pattern[str]:
    """Return what fits a text with ``{}`` for what it quotes; the quotes are its groups."""
    return re.compile("(.*?)".join(map(re.escape, text.split("{}"))), flags=re.DOTALL)


def _translate_line(line: str) -> str:
    said = _find(line, "lines", _translate_system)
    if said is None and (item := _ITEM.fullmatch(line)):
        name = "" if item[1] is None else f"'{item[1]}'："
        said = f" - {name}{_translate_detail(item[2])}"
    return _translate_detail(line) if said is None else said


def _translate_detail(text: str) -> str:
    """Translate a part and what it quotes, which may be a line of its own: model m-1: the forest is damaged."""
    said = _find(text, "details", _translate_detail) or _find(text, "lines", _translate_system)
    return _translate_system(text) if said is None else said


def _translate_system(text: str) -> str:
    return load_translations("system").get(text, text)


def _find(text: str, table: str, translate_quoted: Callable[[str], str]) -> str | None:
    for pattern, translated in _load_patterns(table):
        if found := pattern.fullmatch(text):
            return translated.format(*map(translate_quoted, found.groups()))
    return None


@cache
def _load_patterns(table: str) -> list[tuple[re.Pattern[str], str]]:
    """Return patterns of English texts with their translations; what says most about itself comes first."""
    texts = load_translations(table)
    most_literal_first = sorted(texts, key=lambda text: -len(text.replace("{}", "")))
    return [(build_pattern(text), texts[text]) for text in most_literal_first]


@cache
def _load_tables() -> dict[str, dict[str, str]]:
    text = resources.files("ordervet.words").joinpath("errors.zh.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, str]] = tomllib.loads(text)
    return tables
