"""Break lines where people would: between words and Chinese characters, never inside a word, a number or its unit."""

from __future__ import annotations

import re
from typing import Final

from rich.cells import cell_len

_WIDE: Final = r"\u2e80-\u9fff\uff00-\uffef"
_OPENING: Final = "（《“「〔【"
_CLOSING: Final = "，。；：、！？）》”」〕】…"
_NARROW: Final = rf"[^\s{_WIDE}{_OPENING}{_CLOSING}]"
_NUMBER: Final = rf"{_NARROW}*\d{_NARROW}*(?: (?=[{_WIDE}])[{_WIDE}])?"
_UNIT: Final = re.compile(rf"\s+|[{_OPENING}]*(?:{_NUMBER}|{_NARROW}+|[{_WIDE}])?[{_CLOSING}]*")
"""What stays together: a word; a Chinese character; a number and the character after it; punctuation with its word."""
_INDENT: Final = re.compile(r"\s*(?:- )?")


def wrap_text(text: str, width: int) -> list[str]:
    """Return lines of at most so many columns; what is longer by itself, such as a path, is not broken.

    Parameters
    ----------
    text : its own line breaks stay; a line that begins with spaces, or as an item of a list, goes on below its text
    width : in columns; a Chinese character takes two
    """
    return [part for line in text.split("\n") for part in _wrap_line(line, width)]


def list_units(text: str) -> list[str]:
    """List the parts of a text that stay together, and the spaces between them."""
    return [unit for unit in _UNIT.findall(text) if unit]


def _wrap_line(line: str, width: int) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    found = _INDENT.match(line)
    first = found[0] if found else ""
    lines, current, indent = [], first, " " * len(first)
    for unit in list_units(line[len(first) :]):
        is_begun = bool(current[len(indent) :])
        if is_begun and cell_len((current + unit).rstrip()) > width:
            lines.append(current.rstrip())
            current, is_begun = indent, False
        if is_begun or not unit.isspace():
            current += unit
    return [*lines, current.rstrip()]
