"""The queue as one page that works offline: search, filters, an order's card, its script, in two languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ordervet.contract import MaliceKind
from ordervet.policy import ACTIONS, BANDS, SLOTS, STAGES
from ordervet.policy.scripts import SCRIPT_PARTS, show_script
from ordervet.policy.slots import build_values
from ordervet.reports.links import LINKING
from ordervet.reports.page import build_page
from ordervet.words import LANGS, find_words
from ordervet.words.numbers import format_money

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ordervet.policy import Script
    from ordervet.reports.queue import LinkedOrder, Queue, QueueItem
    from ordervet.words import Lang

_BANDS: Final = tuple(reversed(BANDS))  # the riskiest first
_KINDS: Final = (None, *MaliceKind)
_INSTANT: Final = "%Y-%m-%d %H:%M"

# Private-use characters around a slot's number: no script holds them, and the page puts the order's value there.
_SLOT_MARKS: Final = {slot: f"\ue000{number}\ue001" for number, slot in enumerate(SLOTS)}


def build_queue_page(queue: Queue, *, lang: Lang) -> str:
    """Write the queue as one self-contained page.

    Parameters
    ----------
    queue : what to show
    lang : the language it opens in
    """
    words = find_words("queue", lang)
    return build_page(
        "queue.html",
        lang=lang,
        title=words["title"],
        styles=("base.css", "queue.css"),
        scripts=("queue.js",),
        data=_build_data(queue, lang),
        values={"without_script": words["without_script"]},
    )


class _Pool:
    """Values that stand once, and are referred to by their place."""

    def __init__(self) -> None:
        self._place: dict[Hashable, int] = {}
        self.values: list[Any] = []

    def place(self, key: Hashable, build: Callable[[], object]) -> int:
        """Return the place of a value, which is known by its key and made when it is first asked for."""
        if key not in self._place:
            self._place[key] = len(self.values)
            self.values.append(build())
        return self._place[key]

    def place_text(self, zh: str, en: str) -> int:
        """Return the place of a text in both languages."""
        return self.place((zh, en), lambda: {"zh": zh, "en": en})


def _build_data(queue: Queue, lang: Lang) -> dict[str, Any]:
    texts, channels, variants, suspicions = _Pool(), _Pool(), _Pool(), _Pool()
    rows = [
        _build_row(item, queue, texts, channels, variants)
        | {"suspicion": suspicions.place_text(*(item.decision.name_kind(each) for each in LANGS))}
        for item in queue.items
    ]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else _EMPTY)}
    times = sorted(columns["placed_at"]) or ["–"]
    linked_rows = {row: at for at, row in enumerate(queue.linked)}
    groups = [
        {
            "names": [list(name) for name in group.names],
            "orders": [linked_rows[row] for row in group.rows],
            "n_orders": group.n_orders,
            "n_buyers": group.n_buyers,
        }
        for group in queue.links.groups
    ]
    return columns | {
        "lang": lang,
        "words": {each: {**find_words("queue", each), **find_words("notes", each)} for each in LANGS},
        "facts": {
            "n_scored": f"{queue.n_scored:,}",
            "n_flagged": f"{len(queue.items):,}",
            "first": times[0],
            "last": times[-1],
            "time_zone": queue.time_zone,
            "model_id": queue.model_id,
            "policy_id": queue.policy_id,
            "is_simulated": queue.is_simulated,
        },
        "bands": [{"code": str(band)} | _name("bands", band) for band in _BANDS],
        "actions": [_name("actions", action) for action in ACTIONS],
        "stages": [_name("stages", stage) for stage in STAGES],
        "kinds": [_name("kinds", kind) if kind else {"zh": "", "en": ""} for kind in _KINDS],
        "suspicions": suspicions.values,
        "entities": {entity: _name("entities", entity) for entity in LINKING},
        "parts": {part: _name("script_parts", part) for part in SCRIPT_PARTS},
        "slots": list(SLOTS),
        "texts": texts.values,
        "channels": channels.values,
        "variants": variants.values,
        "groups": groups,
        "linked": [_build_linked(each) for each in queue.linked.values()],
    }


def _name(section: str, name: str) -> dict[str, str]:
    """Return a name in both languages."""
    return {lang: find_words(section, lang)[name] for lang in LANGS}


_EMPTY: Final = (
    *SLOTS, "amount_minor", "band", "action", "kind", "stage", "p", "risk", "reasons", "missing", "applied", "route",
    "groups_of", "script", "suspicion",
)  # fmt: skip


def _build_row(item: QueueItem, queue: Queue, texts: _Pool, channels: _Pool, variants: _Pool) -> dict[str, Any]:
    decision, order = item.decision, item.order
    values = build_values(order, lang="zh", time_zone=queue.time_zone)
    amount = {"zh": values["amount"], "en": _write_amount(order, "en")}
    reasons = [
        [reason.code, round(reason.contribution, 3), texts.place_text(zh, en)]
        for reason, zh, en in zip(decision.reasons, item.reasons["zh"], item.reasons["en"], strict=True)
    ]
    missing, applied = (
        [texts.place_text(zh, en) for zh, en in zip(said["zh"], said["en"], strict=True)]
        for said in (item.missing, item.applied)
    )
    return values | {
        "placed_at": order["placed_at"].strftime(_INSTANT),
        "amount": amount,
        "amount_minor": order["amount_minor"],
        "channel": channels.place(values["channel"], lambda: values["channel"] or ""),
        "band": _BANDS.index(decision.band) if decision.band else len(_BANDS) - 1,
        "action": ACTIONS.index(decision.action),
        "kind": _KINDS.index(decision.kind),
        "stage": STAGES.index(item.stage),
        "p": round(decision.p_malicious or 0.0, 4),
        "risk": decision.risk_score,
        "reasons": reasons,
        "missing": missing,
        "applied": applied,
        "route": decision.route or "",
        "groups_of": list(item.groups),
        "script": _place_variant(item.script, values, variants),
    }


def _write_amount(order: dict[str, Any], lang: Lang) -> str:
    return format_money(order["amount_minor"], lang, order.get("currency") or "CNY")


def _place_variant(script: Script, values: dict[str, str | None], variants: _Pool) -> int:
    """Return the place of a script as it reads for orders that fill the same slots."""
    marks = {slot: _SLOT_MARKS[slot] if values[slot] is not None else None for slot in SLOTS}
    key = (script.id, *(slot for slot in SLOTS if marks[slot] is None))

    def show() -> dict[str, Any]:
        return {
            lang: {"id": script.id, "title": script.title[lang], "parts": show_script(script, lang, marks)}
            for lang in LANGS
        }

    return variants.place(key, show)


def _build_linked(order: LinkedOrder) -> list[Any]:
    amount = {lang: format_money(order.amount_minor, lang, order.currency) for lang in LANGS}
    return [order.order_id, order.placed_at.strftime(_INSTANT), amount, order.buyer, order.item]
