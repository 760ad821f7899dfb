"""Errors and hints in other languages than the English they are raised in."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordervet.words import Lang


def translate_error(text: str, lang: Lang) -> str:
    """Return an error's message or hint in a language; a line that has no translation stays English."""
    return text if lang == "en" else "\n".join(_translate_line(line) for line in text.split("\n"))


def _translate_line(line: str) -> str:
    for pattern, translated in _load_patterns():
        if found := pattern.fullmatch(line):
            return translated.format(*found.groups())
    return line


@cache
def _load_patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return patterns of English lines with their translations; what says most about itself comes first."""
    texts = load_translations()
    most_literal_first = sorted(texts, key=lambda text: -len(text.replace("{}", "")))
    return [(_build_pattern(text), texts[text]) for text in most_literal_first]


@cache
def load_translations() -> dict[str, str]:
    """Return the Chinese of English lines with ``{}`` for what they quote."""
    return tomllib.loads(resources.files("ordervet.words").joinpath("errors.zh.toml").read_text(encoding="utf-8"))


def _build_pattern(text: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, text.split("{}"))), flags=re.DOTALL)
