"""Everything that people read, in one catalogue per language: zh.toml and en.toml, with the same keys.

Reason codes (policy/reasons.yaml) and support scripts (policy/scripts/) keep both languages side by side.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Lang = Literal["zh", "en"]

_VERBS = {"": "", " are": " is", " were": " was", " have": " has"}
_COUNTED = re.compile(
    r"(?P<count>\{(?P<name>\w+)(?::,)?\}) (?P<which>[a-z]+ (?=[a-z]+s\b))?"
    r"(?P<noun>(?!is\b|was\b|has\b|does\b|its\b)[a-z]+(?<!ou)(?<!s)s)\b(?P<verb> are| were| have)?"
)
"""What a text counts: {n:,} rows were, {n} list entries."""

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
    if lang == "en" and 1 in values.values():
        text = _COUNTED.sub(lambda found: _singular(found) if values[found["name"]] == 1 else found[0], text)
    return text.format(**values)


def _singular(found: re.Match[str]) -> str:
    """Say of one what a text says of many: 1 row was, 1 list entry has."""
    noun = re.sub(r"(?<=ch)es$|s$", "", re.sub(r"ies$", "ys", found["noun"]))
    return f"{found['count']} {found['which'] or ''}{noun}{_VERBS[found['verb'] or '']}"


def join_words(words: Iterable[str], lang: Lang) -> str:
    """Join the parts of an enumeration."""
    separator: str = find_words("listing", lang)["separator"]
    return separator.join(words)


@cache
def _load_catalogue(lang: Lang) -> dict[str, Any]:
    return tomllib.loads(resources.files("ordervet.words").joinpath(f"{lang}.toml").read_text(encoding="utf-8"))
