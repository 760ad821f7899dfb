"""Buyers, recipients, devices, payment accounts and addresses on the internet: one form each, or no key."""

from __future__ import annotations

import re
import unicodedata
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
    "canonical_plain",
    "canonical_recipient",
    "is_nobody",
]

NOBODY: Final = frozenset(
    {
        *("unknown", "null", "none", "nan", "nat", "na", "undefined", "nil", "void", "objectobject", "notapplicable"),
        *("anonymous", "anonymoususer", "anonymouscustomer", "anon", "nobody", "noname", "unknownuser", "unregistered"),
        *("guest", "guestuser", "guestcustomer", "guestcheckout", "guestbuyer", "notloggedin", "nocustomer"),
        *("walkin", "walkincustomer", "gast", "invité", "invitado", "ospite", "convidado", "гость"),
        *("匿名", "匿名买家", "匿名买家用户", "匿名用户", "匿名会员", "匿名购买", "匿名下单", "匿名消费者", "匿名者"),
        *("匿名買家", "匿名用戶", "游客", "遊客", "游客用户", "游客下单", "访客", "訪客", "散客", "零售散客"),
        *(
            "未知",
            "未知用户",
            "未知买家",
            "未登录",
            "未登录用户",
            "未注册",
            "未注册用户",
            "非会员",
            "无",
            "暂无",
            "没有",
        ),
        *("无名", "无名氏", "空", "不详"),
    }
)
"""What systems and people write for nobody and nothing, in small letters, without ASCII signs: N/A is na."""
PLACEHOLDER_IDS: Final = NOBODY | {
    *("test", "object", "array", "false", "default", "empty", "blank", "visitor", "noemail", "nomail", "noreply"),
    *("donotreply", "nophone", "noaddress", "ref", "value", "div0"),
    *(
        "微信用户",
        "临时用户",
        "新用户",
        "默认用户",
        "用户",
        "买家",
        "客户",
        "顾客",
        "客人",
        "会员",
        "过客",
        "默认",
        "测试",
    ),
    *("保密", "收件人", "收货人", "收货人姓名", "先生", "女士", "本人"),
    # What Android gives to apps without permission, and the id shared by a whole batch of devices.
    *("020000000000", "9774d56d682e549c", "unidentified"),
}
"""And what is nobody's id or name, though it may be an item or a channel."""
_LONE_NUMBER: Final = re.compile(r"-\d+([.]0+)?")
_EMAIL: Final = re.compile(r"(?:mailto:)?(?:[^<>@]*<)?([^\s<>@,;]+)@([^\s<>@,;]+\.[^\s<>@,;.]+)[>.,;]*")
_QUOTED_FOR_EXCEL: Final = re.compile(r'=\s*"(.*)"|\'(.*)', re.DOTALL)
_PRIVACY_CODE: Final = re.compile(r"[(\[{<]\s*\d{2,6}\s*[)\]}>(]|[转轉-]\d{3,6}\s*$|\+?\d{7,}")
_PLUS_PROVIDERS: Final = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": ("outlook.com", "hotmail.com", "live.com", "msn.com"),
    "apple": ("icloud.com", "me.com", "mac.com"),
    "proton": ("proton.me", "protonmail.com", "pm.me"),
    "fastmail": ("fastmail.com", "fastmail.fm"),
    "yandex": ("yandex.ru", "yandex.com", "ya.ru"),
}
"""Providers that document that a + and what follows is a tag of one's own: support pages "Send emails from a different
address or alias" (Google), "Plus addressing" (Microsoft, Proton, Fastmail), "Use plus addresses" (Apple), "Mailbox
aliases" (Yandex)."""
_PROVIDER_OF: Final = {domain: name for name, domains in _PLUS_PROVIDERS.items() for domain in domains}
_IGNORES_DOTS: Final = "google"
"""Gmail's help: "Dots don't matter in Gmail addresses"; googlemail.com is the same mailbox. No other provider says so
of addresses in general."""
HONORIFICS: Final = ("先生", "女士", "小姐", "老师", "同学", "阿姨", "师傅", "收", "亲启", "mr", "mrs", "ms")
_SHORTEST_NAME: Final = 2
_MADE_UP: Final = tuple(
    map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
) + tuple(IPv4Network((first << 24, 8)) for first in range(240, 255))
"""For examples (RFC 5737, RFC 3849) or given to nobody (RFC 1112): made-up orders have them, real ones never."""
_V4_NETWORK, _V6_NETWORK = 24, 48


def canonical_buyer(text: str | None) -> Canonical:
    """Bring a buyer's id or member name to one form: trimmed, else as it is, for platforms tell case apart.

    An e-mail address has no case, and at providers that say so no tag behind a plus, at Gmail no dots either.

    Parameters
    ----------
    text : buyer id, member name, open id or e-mail address

    Returns
    -------
    the form; a masked one (t**3), or what stands for nobody (0, guest, 游客), is no key

    References
    ----------
    docs/addresses.md P3.
    """
    form = _canonical_id(text)
    return form if form.evidence else _canonical_email(form.text) or form


def canonical_device(text: str | None) -> Canonical:
    """Bring a device id to one form: trimmed, in lower case.

    Parameters
    ----------
    text : device id

    Returns
    -------
    the form; placeholders and rows of zeros are no key
    """
    form = _canonical_id(text)
    return form if form.evidence else known(form.text.lower())


def canonical_payment(text: str | None) -> Canonical:
    """Bring a payment account to one form: trimmed, in lower case; an e-mail address as that of a buyer.

    Parameters
    ----------
    text : account name, card token or the like

    Returns
    -------
    the form; a masked one (6222****1234) is no key
    """
    form = _canonical_id(text)
    return form if form.evidence else _canonical_email(form.text) or known(form.text.lower())


def canonical_plain(text: str | None) -> Canonical:
    """Bring what is counted by as it is, such as an item or a shop, to its form: the text, unless it means nothing.

    Parameters
    ----------
    text : trimmed, or None

    Returns
    -------
    the text; what stands for nothing (0, null, [object Object]) is absent
    """
    return ABSENT if not text or is_nobody(text, NOBODY) else known(text)


def canonical_recipient(text: str | None) -> Canonical:
    """Bring a recipient's name to one form: without decoration, form of address, phone and privacy code.

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
    name = "".join(char for char in _PRIVACY_CODE.sub("", folded) if char.isalnum())
    for honorific in HONORIFICS:
        name = name.removesuffix(honorific)
    is_name = len(name) >= _SHORTEST_NAME and not name.isdigit() and not is_nobody(name)
    return known(name) if is_name else UNUSABLE


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


def is_nobody(text: str, words: frozenset[str] = PLACEHOLDER_IDS) -> bool:
    """Say whether a value stands for nobody or nothing: 0, -1, N/A, guest, 游客, [object Object].

    Parameters
    ----------
    text : any text
    words : that stand for nobody, in small letters, without ASCII signs
    """
    bare = "".join(char.lower() if char.isascii() else char for char in text if not char.isascii() or char.isalnum())
    return not bare.strip("0") or bare in words or _LONE_NUMBER.fullmatch(text) is not None


def _canonical_id(text: str | None) -> Canonical:
    """Drop what is around an id, and what cannot be seen in it."""
    trimmed = (text or "").strip()
    if quoted := _QUOTED_FOR_EXCEL.fullmatch(trimmed):
        trimmed = (quoted[1] or quoted[2] or "").strip()
    if not trimmed.isascii():
        trimmed = "".join(
            char for char in unicodedata.normalize("NFC", trimmed) if unicodedata.category(char) != "Cf"
        ).strip()
    if not trimmed:
        return ABSENT
    if "**" in trimmed or is_cipher(trimmed):
        return MASKED
    return UNUSABLE if is_nobody(trimmed) else known(trimmed)


def _canonical_email(text: str) -> Canonical | None:
    """Bring an e-mail address to one form; None for a text that is none."""
    address = _EMAIL.fullmatch(unicodedata.normalize("NFKC", text).lower())
    if address is None:
        return None
    local, domain = address[1], address[2]
    provider = _PROVIDER_OF.get(domain)
    if provider:
        local = local.partition("+")[0] or local
    if provider == _IGNORES_DOTS:
        local, domain = local.replace(".", "") or local, _PLUS_PROVIDERS[provider][0]
    return UNUSABLE if is_nobody(local) else known(f"{local}@{domain}")


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
