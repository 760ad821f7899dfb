"""The slots of a script's texts, and how they are filled.

A text may hold ``{{ slot }}`` and ``{% if slot %}…{% else %}…{% endif %}``, nothing else: no filters, calls, loops,
attributes or constants. The slots are a fixed list of order fields, none of them personal. Three locks, one behind the
other: the grammar is checked when a script is loaded, jinja2's sandbox runs what passed, and only the listed fields
ever reach it.

Nothing is escaped: the result is plain text for a chat window. Whoever puts it into HTML or a sheet escapes it there.
Values are flattened to one short line first, so that an order field cannot bring its own line breaks, invisible or
direction-changing characters into a message; they are never read as templates.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from ordervet.errors import PolicyError
from ordervet.words.numbers import format_money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    from ordervet.words import Lang

SLOTS: Final = (
    "order_id",
    "placed_at",
    "amount",
    "quantity",
    "item_id",
    "category",
    "shop_id",
    "channel",
    "platform",
    "campaign",
)
"""What a script may quote of an order."""

REQUIRED_SLOTS: Final = ("order_id", "placed_at", "amount")
"""Slots every order fills; any other has to stand inside ``{% if slot %}``."""

MAX_VALUE_LENGTH: Final = 64
"""Longest value in a text, in characters."""

_ALLOWED_NODES: Final = ("Template", "Output", "TemplateData", "Name", "If", "Not", "And", "Or")
"""The nodes of jinja2's grammar that a text may have."""


def check_slots(text: str) -> str:
    """Check that a text's slots follow the grammar at the top of this module."""
    if "{" not in text:
        return text
    from jinja2 import TemplateSyntaxError, nodes

    try:
        tree = _build_environment().parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"is not a text with slots: {error.message}") from error
    unknown = sorted({node.name for node in tree.find_all(nodes.Name)} - set(SLOTS))
    if unknown:
        raise ValueError(f"'{unknown[0]}' is not a slot; the slots are {', '.join(SLOTS)}")
    other = sorted({type(node).__name__ for node in tree.find_all(nodes.Node)} - set(_ALLOWED_NODES))
    if other:
        raise ValueError(f"a text may only fill slots and ask {{% if slot %}}, got {other[0]}")
    return text


def build_values(order: Mapping[str, Any], *, lang: Lang, time_zone: str) -> dict[str, str | None]:
    """Take from an order what a script may quote of it.

    Parameters
    ----------
    order : contract fields: order_id, placed_at (aware), amount_minor, and any of the optional ones; all others are
        left alone
    lang : "zh" or "en"
    time_zone : IANA name of the zone the placing time is written in

    Returns
    -------
    slot → text, None where the order does not fill it

    Raises
    ------
    PolicyError
        A field every order has is missing, or the placing time has no zone.
    """
    missing = [name for name in ("order_id", "placed_at", "amount_minor") if order.get(name) is None]
    if missing:
        raise PolicyError(f"the order lacks {', '.join(missing)}", hint="pass the fields of a validated order")
    values = {slot: _flatten(order.get(slot)) for slot in SLOTS}
    values["placed_at"] = _write_instant(order["placed_at"], time_zone)
    values["amount"] = format_money(order["amount_minor"], lang, order.get("currency") or "CNY")
    return values


def fill_slots(text: str, values: Mapping[str, str | None]) -> str:
    """Fill the slots of a checked text."""
    if "{" not in text:
        return text
    return _compile(text).render(values)


@cache
def _build_environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, finalize=_refuse_nothing
    )  # plain text; see the module's docstring
    environment.globals.clear()
    return environment


@lru_cache(maxsize=1024)
def _compile(text: str) -> Template:
    return _build_environment().from_string(text)


def _refuse_nothing(value: object) -> object:
    if value is None:
        raise PolicyError(
            "a script quotes a field this order does not have",
            hint=f"put it inside {{% if slot %}}…{{% endif %}}; only {', '.join(REQUIRED_SLOTS)} are always there",
        )
    return value


def _flatten(value: object) -> str | None:
    """Make one short line of a value; nothing visible left means there is no value."""
    if value is None:
        return None
    visible = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in str(value))
    line = " ".join(visible.split())
    return (line if len(line) <= MAX_VALUE_LENGTH else line[: MAX_VALUE_LENGTH - 1] + "…") or None


def _write_instant(instant: object, time_zone: str) -> str:
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        raise PolicyError("the order's placed_at is not a time with a zone", hint="pass a validated order")
    return instant.astimezone(ZoneInfo(time_zone)).strftime("%Y-%m-%d %H:%M")
