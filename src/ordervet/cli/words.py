"""Texts about files, for the account of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordervet.words import find_words, format_text, join_words

if TYPE_CHECKING:
    from ordervet.words import Lang


def name_entity(name: str, lang: Lang) -> str:
    """Name an entity; one of a mapping goes by its own name."""
    named: str = find_words("entities", lang).get(name, name)
    return named


def name_outcome(kind: str, lang: Lang) -> str:
    """Name what became of orders, in the words of the reasons."""
    from ordervet.policy.registry import load_registry

    return load_registry().columns[kind][lang]


def word(name: str, lang: Lang, **values: Any) -> str:
    """Return a text about files."""
    return format_text(f"cli.files.{name}", lang, **values)


def join(parts: list[str], lang: Lang) -> str:
    """Join the parts of a list."""
    return join_words(parts, lang)
