"""Phone numbers: one form for one line, and no key for lines that are passed around.

Platforms hand out virtual numbers with an extension, and give them to somebody else next week: such a number is never
evidence of reuse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ordervet.entities.characters import fold_char, is_cipher
from ordervet.entities.evidence import ABSENT, MASKED, UNUSABLE, known

if TYPE_CHECKING:
    from ordervet.entities.evidence import Canonical

__all__ = ["canonical_phone"]

_MOBILE: Final = re.compile(r"1[3-9]\d{9}")
_LANDLINE: Final = re.compile(r"0(10|2\d|[3-9]\d\d)(\d{7,8})")
_SHARED: Final = re.compile(r"(400|800)\d{7}|95\d{3,}|1[0-2]\d{3,4}")
_COUNTRY_CODE: Final = re.compile(r"^\s*\(?(?:\+|00)?86\)?[-\s]*(?=1[3-9]|0?[1-9]\d{1,2})")
_SEPARATORS: Final = re.compile(r"[\s().\-/·_]+")
PLACEHOLDER_PHONES: Final = frozenset({"13800138000", "13800000000", "13888888888", "13000000000"})
_INTERNATIONAL: Final = range(7, 16)
_NATIONAL: Final = range(9, 16)


def canonical_phone(text: str | None) -> Canonical:
    """Bring a phone number to one form.

    Parameters
    ----------
    text : a phone number as somebody wrote it: with country code or without, with separators, full-width

    Returns
    -------
    ``+86…`` for a number of mainland China, ``+…`` for another with a country code, digits alone else; masked numbers,
    virtual ones with an extension, service numbers and fragments are no key

    References
    ----------
    docs/addresses.md P1.
    """
    if text is None or not text.strip():
        return ABSENT
    folded = "".join(fold_char(char) for char in text).strip()
    if "*" in folded or is_cipher(folded) or "xxx" in folded:
        return MASKED
    local = _COUNTRY_CODE.sub("", folded)
    is_foreign = folded.startswith("+") and local == folded
    digits = _SEPARATORS.sub("", local.removeprefix("+"))
    if local != folded and _LANDLINE.fullmatch(f"0{digits}"):
        digits = f"0{digits}"
    if not digits.isdigit():
        # An extension, or a text that is no number.
        return UNUSABLE
    if is_foreign:
        return known(f"+{digits}") if len(digits) in _INTERNATIONAL else UNUSABLE
    return _canonical_local(local, digits)


def _canonical_local(local: str, digits: str) -> Canonical:
    if digits in PLACEHOLDER_PHONES or len(set(digits)) == 1 or _SHARED.fullmatch(digits):
        return UNUSABLE
    if _MOBILE.fullmatch(digits):
        return known(f"+86{digits}")
    if landline := _LANDLINE.fullmatch(digits):
        return known(f"+86{landline[1]}{landline[2]}")
    if _has_extension(local, digits) or len(digits) not in _NATIONAL:
        return UNUSABLE
    return known(digits)


def _has_extension(local: str, digits: str) -> bool:
    """Say whether a mobile or landline number is followed by further digits after a separator: 13212345678-1234."""
    is_line = _MOBILE.match(digits) or _LANDLINE.match(digits)
    return bool(is_line) and bool(re.search(r"\D\d{1,6}$", local))
