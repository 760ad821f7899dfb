"""Phone numbers: one form for one line, and no key for lines that are passed around.

Platforms hand out virtual numbers with an extension, and give them to somebody else next week: such a number is never
evidence of reuse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ordervet.entities.characters import fold_char, is_cipher
from ordervet.entities.countries import CHINA, find_country, find_dialling
from ordervet.entities.evidence import ABSENT, MASKED, UNUSABLE, known

if TYPE_CHECKING:
    from ordervet.entities.countries import Dialling
    from ordervet.entities.evidence import Canonical

__all__ = ["IN_ADDRESS", "canonical_phone", "find_phone", "is_foreign"]

_MOBILE: Final = re.compile(r"1[3-9]\d{9}")
_LANDLINE: Final = re.compile(r"0(10|2\d|[3-9]\d\d)(\d{7,8})")
_SHARED: Final = re.compile(r"(400|800)\d{7}|95\d{3,}|1[0-2]\d{3,4}")
_CHINA_CODE: Final = re.compile(r"^\s*\(?(?:\+|00)?86[)(]?[-\s]*(?=\(?(?:1[3-9]|0?[1-9]\d{1,2}))")
_BRACKETED: Final = re.compile(r"[(\[{<]\d{2,6}[)\]}>(]")
_EXTENSION: Final = re.compile(r"(?:ext?n?|x|#|转|分机)[.:\s]*\d{1,6}\W*$")
_REMARK: Final = re.compile(r"[(\[][^\d()\[\]]*[)\](]")
IN_ADDRESS: Final = r"1[3-9]\d(?:\d{8}|[- ]\d{4}[- ]\d{4})"
_IN_ADDRESS: Final = re.compile(
    rf"(?<![\d*])(?:\+?86[- ]?)?({IN_ADDRESS})(?!\d)(\s*(?:转|分机|[-#\[(（【])\s*\d{{2,6}}(?!\d))?"
)
_FORMULA: Final = re.compile(r"^(?:=\s*\"|'|\"|tel:|p:)\s*|\"$")
_TRUNK_IN_BRACKETS: Final = re.compile(r"\(0[()]")
_SEPARATORS: Final = re.compile(r"[\s().\-/·_]+")
PLACEHOLDER_PHONES: Final = frozenset({"13800138000", "13800000000", "13888888888", "13000000000"})
_INTERNATIONAL: Final = range(7, 16)
_NATIONAL: Final = range(9, 16)


def canonical_phone(text: str | None, country: str | None = None) -> Canonical:
    """Bring a phone number to one form.

    Parameters
    ----------
    text : a phone number as somebody wrote it: with country code or without, with separators, full-width
    country : code or name of the order's country, in which a number without a country code is; by default China

    Returns
    -------
    ``+`` and country code and number, as ``+86…``; digits alone where the country is not told and the number is none of
    China's; masked numbers, virtual ones with an extension, service numbers and fragments are no key

    References
    ----------
    docs/addresses.md P1.
    """
    if text is None or not text.strip():
        return ABSENT
    folded = "".join(fold_char(char) for char in text).strip()
    if "*" in folded or is_cipher(folded) or "xxx" in folded:
        return MASKED
    folded = _REMARK.sub("", _FORMULA.sub("", folded))
    if is_foreign(country) and (dialling := find_dialling(find_country(country))):
        return _canonical_abroad(folded, dialling)
    return _canonical_at_home(folded)


def find_phone(address: str | None) -> Canonical:
    """Find the mobile number that somebody wrote into an address.

    Parameters
    ----------
    address : as somebody wrote it

    Returns
    -------
    the number's form; absent where there is none; one with an extension or a privacy code is no key

    References
    ----------
    docs/addresses.md A13.
    """
    found = _IN_ADDRESS.search(address or "")
    if found is None:
        return ABSENT
    return UNUSABLE if found[2] else canonical_phone(found[1])


def is_foreign(country: str | None) -> bool:
    """Say whether a country is known to be another than China, whose numbers need no country."""
    return find_country(country) not in {"", CHINA}


def _canonical_abroad(folded: str, dialling: Dialling) -> Canonical:
    """Bring a number of a country whose dialling is known to one form; ``+86…`` there is a number of China."""
    if _EXTENSION.search(folded):
        return UNUSABLE
    plus = folded.startswith(("+", "(+"))
    digits = _SEPARATORS.sub("", _TRUNK_IN_BRACKETS.sub("", folded).replace("+", "", 1))
    if not digits.isdigit() or len(set(digits)) == 1:
        return UNUSABLE
    if not plus:
        prefix = next((each for each in (dialling.abroad, "00") if digits.startswith(each)), "")
        plus, digits = bool(prefix), digits.removeprefix(prefix)
    if not plus and not _is_international(digits, dialling):
        national = _drop_trunk(digits, dialling)
        return known(f"+{dialling.code}{national}") if _fits(national, dialling) else UNUSABLE
    if digits.startswith(dialling.code):
        digits = dialling.code + _drop_trunk(digits.removeprefix(dialling.code), dialling)
    return known(f"+{digits}") if len(digits) in _INTERNATIONAL else UNUSABLE


def _drop_trunk(digits: str, dialling: Dialling) -> str:
    """Drop what stands before a national number at home only; a number is never left too short by it."""
    bare = digits.removeprefix(dialling.trunk)
    return bare if _fits(bare, dialling) else digits


def _fits(national: str, dialling: Dialling) -> bool:
    return dialling.shortest <= len(national) <= dialling.longest and len(national) >= _INTERNATIONAL.start - 1


def _is_international(digits: str, dialling: Dialling) -> bool:
    """Say whether digits begin with the country's own code though no plus says so, as in tables that were edited."""
    if not digits.startswith(dialling.code):
        return False
    rest = digits.removeprefix(dialling.code)
    is_bare = dialling.trunk not in {"", dialling.code} and not digits.startswith(dialling.trunk)
    return _fits(rest, dialling) and (is_bare or len(digits) > dialling.longest) and len(rest) >= _NATIONAL.start - 1


def _canonical_at_home(folded: str) -> Canonical:
    folded = _TRUNK_IN_BRACKETS.sub("", folded)
    local = _CHINA_CODE.sub("", folded)
    is_abroad = folded.startswith("+") and local == folded
    if not is_abroad and _is_virtual(local):
        return UNUSABLE
    digits = _SEPARATORS.sub("", local.removeprefix("+"))
    if local != folded and _LANDLINE.fullmatch(f"0{digits}"):
        digits = f"0{digits}"
    if not digits.isdigit():
        # An extension, or a text that is no number.
        return UNUSABLE
    if local == folded and digits.startswith("00"):
        is_abroad, digits = True, digits.removeprefix("00")
    if is_abroad:
        is_number = len(digits) in _INTERNATIONAL and len(set(digits)) > 1
        return known(f"+{digits}") if is_number else UNUSABLE
    return _canonical_local(local, digits)


def _is_virtual(local: str) -> bool:
    """Say whether a mobile number has a pick-up code in brackets, before or after: 13212345678（1234）."""
    rest, n_codes = _BRACKETED.subn("", local)
    return n_codes > 0 and _MOBILE.fullmatch(_SEPARATORS.sub("", rest)) is not None


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
    return bool(is_line) and bool(re.search(r"\D\d{1,6}\D*$", local))
