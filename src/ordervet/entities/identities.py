"""Buyers, recipients, devices, payment accounts and addresses on the internet: one form each, or no key."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from ordervet.entities.characters import fold_char, is_cipher
from ordervet.entities.evidence import ABSENT, MASKED, UNUSABLE, known

if TYPE_CHECKING:
    from ordervet.entities.evidence import Canonical

__all__ = [
    "canonical_buyer",
    "canonical_device",
    "canonical_ip",
    "canonical_network",
    "canonical_payment",
    "canonical_recipient",
]

PLACEHOLDER_IDS: Final = frozenset(
    {"unknown", "null", "none", "nan", "n/a", "na", "undefined", "nil", "-", "--", "test", "anonymous", "guest", "匿名"}
    # What Android gives to apps without permission, and the id shared by a whole batch of devices.
    | {"02:00:00:00:00:00", "9774d56d682e549c", "unidentified"}
)
HONORIFICS: Final = ("先生", "女士", "小姐", "老师", "同学", "阿姨", "师傅", "收", "亲启", "mr", "mrs", "ms")
_SHORTEST_NAME: Final = 2
_MADE_UP: Final = tuple(
    map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
) + tuple(IPv4Network((first << 24, 8)) for first in range(240, 255))
"""For examples (RFC 5737, RFC 3849) or given to nobody (RFC 1112): made-up orders have them, real ones never."""
_V4_NETWORK, _V6_NETWORK = 24, 48


def canonical_buyer(text: str | None) -> Canonical:
    """Bring a buyer's id or member name to one form: trimmed, else as it is, for platforms tell case apart.

    Parameters
    ----------
    text : buyer id, member name or open id

    Returns
    -------
    the form; a masked one (t**3) is no key
    """
    return _canonical_id(text, is_case_kept=True)


def canonical_device(text: str | None) -> Canonical:
    """Bring a device id to one form: trimmed, in lower case.

    Parameters
    ----------
    text : device id

    Returns
    -------
    the form; placeholders and rows of one digit are no key
    """
    return _canonical_id(text, is_case_kept=False)


def canonical_payment(text: str | None) -> Canonical:
    """Bring a payment account to one form: trimmed, in lower case.

    Parameters
    ----------
    text : account name, card token or the like

    Returns
    -------
    the form; a masked one (6222****1234) is no key
    """
    return _canonical_id(text, is_case_kept=False)


def canonical_recipient(text: str | None) -> Canonical:
    """Bring a recipient's name to one form: without decoration and form of address.

    Parameters
    ----------
    text : name as somebody wrote it

    Returns
    -------
    the form; a masked name (张**), or a surname alone, is no key
    """
    if text is None or not text.strip():
        return ABSENT
    folded = "".join(fold_char(char) for char in text).strip()
    if "*" in folded or is_cipher(folded):
        return MASKED
    name = "".join(char for char in folded if char.isalnum())
    for honorific in HONORIFICS:
        name = name.removesuffix(honorific)
    return known(name) if len(name) >= _SHORTEST_NAME else UNUSABLE


def canonical_ip(text: str | None) -> Canonical:
    """Bring an IP address to one form: without port, an IPv4 address inside IPv6 as IPv4.

    Parameters
    ----------
    text : IPv4 or IPv6 address

    Returns
    -------
    the form; private, local and reserved addresses are no key
    """
    if text is None or not text.strip():
        return ABSENT
    if "*" in text or is_cipher(text.strip()):
        return MASKED
    address = _parse_ip(text.strip())
    return known(str(address)) if address is not None and _is_public(address) else UNUSABLE


def canonical_network(text: str | None) -> Canonical:
    """Tell the network of an IP address: /24 of IPv4, /48 of IPv6, which one subscriber or site holds.

    Parameters
    ----------
    text : IPv4 or IPv6 address; the last part of an IPv4 address may be masked (203.0.113.*)

    Returns
    -------
    the network; that of a private, local or reserved address is no key
    """
    if text is None or not text.strip():
        return ABSENT
    start, star, rest = text.strip().partition(".*")
    shown = f"{start}.0" if star and start.count(".") == 2 and not rest.strip("*") else text.strip()
    if "*" in shown or is_cipher(shown):
        return MASKED
    address = _parse_ip(shown)
    if address is None or not _is_public(address):
        return UNUSABLE
    width = _V4_NETWORK if isinstance(address, IPv4Address) else _V6_NETWORK
    return known(str(ip_network((address, width), strict=False)))


def _canonical_id(text: str | None, *, is_case_kept: bool) -> Canonical:
    trimmed = (text or "").strip()
    if not trimmed:
        return ABSENT
    if "**" in trimmed or is_cipher(trimmed):
        return MASKED
    lowered = trimmed.lower()
    if lowered in PLACEHOLDER_IDS or not (is_case_kept or lowered.strip("0-:")):
        return UNUSABLE
    return known(trimmed if is_case_kept else lowered)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global or any(address in network for network in _MADE_UP)


def _parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    host = text
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
