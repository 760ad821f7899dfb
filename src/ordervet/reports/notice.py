"""The page about one order that its buyer may ask for: what was used, who decides, how to object (PIPL, Art. 24).

It holds no reason, no score and no suspicion: those are the desk's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ordervet.entities import Evidence
from ordervet.policy import Action, DecisionCode
from ordervet.reports.page import build_page
from ordervet.words import find_words
from ordervet.words.numbers import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.policy import Decision
    from ordervet.words import Lang

_SOURCES: Final = {
    "account": ("buyer",),
    "delivery": ("address", "phone", "recipient"),
    "device": ("device", "ip"),
    "payment": ("payment",),
}
"""Kinds of data, as a buyer knows them, and the entities that are made of each."""


def build_notice(
    decision: Decision,
    order: Mapping[str, Any],
    *,
    lang: Lang,
    time_zone: str,
    contact: str | None = None,
    has_extras: bool = False,
) -> str:
    """Write the page for one order.

    Parameters
    ----------
    decision : about the order; neither its reasons nor its score are shown
    order : the keyed order; of the data that it has ids for, the kinds are named
    lang : language of the page
    time_zone : IANA name of the zone to show times in
    contact : how to reach the shop; None points to its customer service
    has_extras : whether a mapping brings in columns of the shop's own: then nothing can be said to be unused
    """
    words = find_words("notice", lang)
    if decision.code is not DecisionCode.SCORED:
        outcome = "outcome_unscored"
    else:
        outcome = "outcome_pass" if decision.action is Action.PASS else "outcome_check"
    sources = [name for name, entities in _SOURCES.items() if any(_is_known(order, each) for each in entities)]
    used = ["order", *sources, *(["more"] if has_extras else []), "past"]
    kept = [words["kept_1"], *([] if has_extras else [words["kept_2"]])]
    facts = [
        (words["order"], decision.order_id),
        (words["placed"], format_time(order["placed_at"], time_zone)),
        (words["outcome"], words[outcome]),
    ]
    parts = [
        (words["what"], [words["what_1"], words["what_2"]]),
        (words["used"], [words[f"used_{name}"] for name in used]),
        (words["kept"], kept),
        (words["who"], [words["who_1"]]),
        (words["rights"], [words["rights_1"], words["rights_2"], words["rights_3"]]),
        (words["contact"], [contact or words["contact_default"]]),
    ]
    reference = words["reference"].format(model_id=decision.model_id or "–", policy_id=decision.policy_id or "–")
    return build_page(
        "notice.html",
        lang=lang,
        title=words["title"],
        styles=("base.css", "notice.css"),
        values={"facts": facts, "parts": parts, "reference": reference},
    )


def _is_known(order: Mapping[str, Any], entity: str) -> bool:
    return order.get(f"evidence__{entity}") == Evidence.KNOWN
