"""The parts of a support script as texts, with its slots shown, filled or left to a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ordervet.policy.slots import build_values, fill_slots
from ordervet.words import find_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.policy import Script
    from ordervet.words import Lang

SCRIPT_PARTS: Final = (
    "goal", "innocent", "check", "evidence", "gentle", "firm", "never_say", "platform", "escalate", "record",
)  # fmt: skip
"""The parts in the order in which they are read; only gentle and firm are for the customer."""


def show_script(
    script: Script, lang: Lang, values: Mapping[str, str | None] | None = None
) -> dict[str, tuple[str, ...]]:
    """Give the parts of a script in one language.

    Parameters
    ----------
    script : from load_scripts
    lang : "zh" or "en"
    values : slot to text, None for one that there is not; without them the slots are shown by name

    Returns
    -------
    part to its texts, in the order of `SCRIPT_PARTS`; plain text, nothing escaped
    """
    filled = values if values is not None else find_words("slots", lang)
    parts: dict[str, tuple[str, ...]] = {}
    for name in SCRIPT_PARTS:
        part = getattr(script.body.say if name in {"gentle", "firm"} else script.body, name)
        texts = part if isinstance(part, tuple) else (part,)
        parts[name] = tuple(fill_slots(text[lang], filled) for text in texts)
    return parts


def say_to_customer(script: Script, order: Mapping[str, Any], *, lang: Lang, time_zone: str) -> tuple[str, str]:
    """Give the two messages of a script for one order.

    Parameters
    ----------
    script : from load_scripts
    order : contract fields; only those of `SLOTS` are read
    lang : "zh" or "en"
    time_zone : IANA name of the zone the placing time is written in

    Returns
    -------
    the gentle and the firm one
    """
    values = build_values(order, lang=lang, time_zone=time_zone)
    say = script.body.say
    return fill_slots(say.gentle[lang], values), fill_slots(say.firm[lang], values)
