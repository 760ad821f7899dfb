"""What the words mean in which platforms and buyers state why they ask for their money back."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from ordervet.contract.files.cells import BLANKS, plain_name
from ordervet.contract.formats.plans import compile_patterns
from ordervet.contract.model import RefundReason

if TYPE_CHECKING:
    import re

_NOTHING: Final = frozenset({"", "无", *map(plain_name, BLANKS)})


def find_refund_reason(text: str) -> RefundReason | None:
    """Find the reason that a text states; None of a text that states nothing, or a code alone."""
    plain = plain_name(text)
    if plain in _NOTHING or plain.isdecimal():
        return None
    return next((reason for reason, words in _load_words() if words.fullmatch(plain)), RefundReason.OTHER)


@lru_cache(maxsize=1)
def _load_words() -> tuple[tuple[RefundReason, re.Pattern[str]], ...]:
    text = (resources.files("ordervet.contract.formats") / "refund_reasons.toml").read_text(encoding="utf-8")
    return tuple((RefundReason(name), compile_patterns(tuple(words))) for name, words in tomllib.loads(text).items())
