"""Everything that people read, in one catalogue per language: zh.toml and en.toml, with the same keys.

Reason codes (policy/reasons.yaml) and support scripts (policy/scripts/) keep both languages side by side.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Lang = Literal["zh", "en"]

LANGS: Final[tuple[Lang, Lang]] = ("zh", "en")


@cache
def find_words(section: str, lang: Lang) -> Mapping[str, Any]:
    """Return a section of the catalogue, such as ``actions`` or ``campaign.plan``; it is shared, so only read it."""
    words: Any = _load_catalogue(lang)
    for part in section.split("."):
        words = words[part]
    found: Mapping[str, Any] = words
    return found


def format_text(key: str, lang: Lang, **values: Any) -> str:
    """Return one text with its values filled in.

    Parameters
    ----------
    key : section and name, such as ``flags.model``
    lang : "zh" or "en"
    values : by the names in the text's braces
    """
    section, _, name = key.rpartition(".")
    text: str = find_words(section, lang)[name]
    return text.format(**values)


def join_words(words: Iterable[str], lang: Lang) -> str:
    """Join the parts of an enumeration."""
    separator: str = find_words("listing", lang)["separator"]
    return separator.join(words)


@cache
def _load_catalogue(lang: Lang) -> dict[str, Any]:
    return tomllib.loads(resources.files("ordervet.words").joinpath(f"{lang}.toml").read_text(encoding="utf-8"))
