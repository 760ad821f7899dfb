"""The parts of a support script as texts, with its slots shown, filled or left to a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ordervet.policy.slots import SLOTS, build_values, fill_slots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.policy import Lang, Script

SCRIPT_PARTS: Final[dict[str, dict[Lang, str]]] = {
    "goal": {"zh": "目的", "en": "Goal"},
    "innocent": {"zh": "正常情形", "en": "Innocent look-alikes"},
    "check": {"zh": "核对", "en": "Check"},
    "evidence": {"zh": "留证", "en": "Evidence to keep"},
    "gentle": {"zh": "对客（温和）", "en": "Say (gentle)"},
    "firm": {"zh": "对客（坚定）", "en": "Say (firm)"},
    "never_say": {"zh": "不可说", "en": "Never say"},
    "platform": {"zh": "平台操作", "en": "Platform"},
    "escalate": {"zh": "升级", "en": "Escalate"},
    "record": {"zh": "记录", "en": "Record"},
}
"""The parts in the order in which they are read; only gentle and firm are for the customer."""

SLOT_WORDS: Final[dict[str, dict[Lang, str]]] = {
    "order_id": {"zh": "〔订单编号〕", "en": "[order id]"},
    "placed_at": {"zh": "〔下单时间〕", "en": "[time of the order]"},
    "amount": {"zh": "〔订单金额〕", "en": "[amount]"},
    "quantity": {"zh": "〔件数〕", "en": "[quantity]"},
    "item_id": {"zh": "〔商品〕", "en": "[item]"},
    "category": {"zh": "〔类目〕", "en": "[category]"},
    "shop_id": {"zh": "〔店铺〕", "en": "[shop]"},
    "channel": {"zh": "〔渠道〕", "en": "[channel]"},
    "platform": {"zh": "〔平台〕", "en": "[platform]"},
    "campaign": {"zh": "〔活动〕", "en": "[campaign]"},
}
"""What stands where an order's value goes, when a script is shown without an order."""


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
    filled = values if values is not None else {slot: SLOT_WORDS[slot][lang] for slot in SLOTS}
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
