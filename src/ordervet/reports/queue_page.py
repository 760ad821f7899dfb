"""The queue as one page that works offline: search, filters, an order's card, its script, in two languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ordervet.contract import MaliceKind, RefundReason, RefundType
from ordervet.policy import ACTIONS, BANDS, SLOTS, STAGES
from ordervet.policy.claims import MOST_URGENT
from ordervet.policy.scripts import SCRIPT_PARTS, show_script
from ordervet.policy.slots import build_values
from ordervet.reports.links import LINKING
from ordervet.reports.page import build_page
from ordervet.reports.queue import ANSWER_LOOKS
from ordervet.words import LANGS, find_words
from ordervet.words.numbers import format_money

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from ordervet.policy import Script
    from ordervet.reports.queue import LinkedOrder, Queue, QueueItem, RequestItem
    from ordervet.words import Lang

_BANDS: Final = tuple(reversed(BANDS))  # the riskiest first
_KINDS: Final = (None, *MaliceKind)
_INSTANT: Final = "%Y-%m-%d %H:%M"
_UNKNOWN: Final = "–"
_TYPES: Final = ("", *map(str, RefundType))
_REASONS: Final = ("", *map(str, RefundReason))

# Private-use characters around a slot's number: no script holds them, and the page puts the order's value there.
_SLOT_MARKS: Final = {slot: f"\ue000{number}\ue001" for number, slot in enumerate(SLOTS)}


def build_queue_page(queue: Queue[QueueItem], *, lang: Lang) -> str:
    """Write the queue as one self-contained page.

    Parameters
    ----------
    queue : what to show
    lang : the language it opens in
    """
    pools = _Pools()
    rows = [_build_row(item, queue, pools) for item in queue.items]
    names: dict[str, Any] = {
        "bands": [{"code": str(band)} | _name("bands", band) for band in _BANDS],
        "actions": [_name("actions", action) for action in ACTIONS],
        "stages": [_name("stages", stage) for stage in STAGES],
        "kinds": [_name("kinds", kind) if kind else {"zh": "", "en": ""} for kind in _KINDS],
    }
    return _write_page(queue, rows, names, pools, lang, ("queue",))


def build_request_page(queue: Queue[RequestItem], *, lang: Lang) -> str:
    """Write the queue of refund requests as one self-contained page; see `build_queue_page`."""
    pools = _Pools()
    rows = [_build_request_row(item, queue, pools) for item in queue.items]
    nothing = {"zh": "", "en": ""}
    names: dict[str, Any] = {
        "bands": [{"code": ANSWER_LOOKS[answer]} | _name("answers", answer) for answer in MOST_URGENT],
        "actions": [_name("answers", answer) for answer in MOST_URGENT],
        "stages": [nothing, *(_name("refund_reasons", reason) for reason in RefundReason)],
        "kinds": [nothing, *(_name("refund_types", each) for each in RefundType)],
    }
    return _write_page(queue, rows, names, pools, lang, ("queue", "request_queue"))


def _write_page(
    queue: Queue[Any],
    rows: list[dict[str, Any]],
    names: dict[str, Any],
    pools: _Pools,
    lang: Lang,
    sections: Sequence[str],
) -> str:
    words = {each: _join_words((*sections, "notes"), each) for each in LANGS}
    data = _build_data(queue, rows, pools) | names | {"lang": lang, "words": words}
    return build_page(
        "queue.html",
        lang=lang,
        title=words[lang]["title"],
        styles=("base.css", "queue.css"),
        scripts=("queue.js",),
        data=data,
        values={"without_script": words[lang]["without_script"]},
    )


def _join_words(sections: Sequence[str], lang: Lang) -> dict[str, Any]:
    """Join the words of sections; the later ones stand."""
    return {name: text for section in sections for name, text in find_words(section, lang).items()}


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


class _Pools:
    """What many rows share."""

    def __init__(self) -> None:
        self.texts, self.channels, self.variants, self.suspicions = _Pool(), _Pool(), _Pool(), _Pool()


def _build_data(queue: Queue[Any], rows: list[dict[str, Any]], pools: _Pools) -> dict[str, Any]:
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else _EMPTY)}
    times = sorted(columns["since"]) or ["–"]
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
        "suspicions": pools.suspicions.values,
        "entities": {entity: _name("entities", entity) for entity in LINKING},
        "parts": {part: _name("script_parts", part) for part in SCRIPT_PARTS},
        "slots": list(SLOTS),
        "texts": pools.texts.values,
        "channels": pools.channels.values,
        "variants": pools.variants.values,
        "groups": groups,
        "linked": [_build_linked(each) for each in queue.linked.values()],
    }


def _name(section: str, name: str) -> dict[str, str]:
    """Return a name in both languages."""
    return {lang: find_words(section, lang)[name] for lang in LANGS}


_EMPTY: Final = (
    *SLOTS, "since", "asked", "amount_minor", "band", "action", "kind", "stage", "p", "risk", "reasons", "missing",
    "applied", "route", "groups_of", "script", "suspicion", "more",
)  # fmt: skip


def _build_row(item: QueueItem, queue: Queue[QueueItem], pools: _Pools) -> dict[str, Any]:
    decision, order = item.decision, item.order
    values = build_values(order, lang="zh", time_zone=queue.time_zone)
    placed_at = order["placed_at"].strftime(_INSTANT)
    amount = {"zh": values["amount"], "en": _write_amount(order, "en")}
    return _build_shared(item, values | {"placed_at": placed_at, "amount": amount}, values, pools) | {
        "since": placed_at,
        "asked": amount,
        "amount_minor": order["amount_minor"],
        "band": _BANDS.index(decision.band) if decision.band else len(_BANDS) - 1,
        "action": ACTIONS.index(decision.action),
        "kind": _KINDS.index(decision.kind),
        "stage": STAGES.index(item.stage),
        "risk": decision.risk_score,
        "missing": _place_texts(item.missing, pools),
        "route": decision.route or "",
        "suspicion": pools.suspicions.place_text(*(decision.name_kind(each) for each in LANGS)),
        "more": [],
    }


def _build_request_row(item: RequestItem, queue: Queue[RequestItem], pools: _Pools) -> dict[str, Any]:
    decision, request = item.decision, item.request
    order = item.order or {"order_id": decision.order_id}
    values: dict[str, str | None] = {**dict.fromkeys(SLOTS, _UNKNOWN), "order_id": decision.order_id}
    amount, placed_at = {"zh": _UNKNOWN, "en": _UNKNOWN}, _UNKNOWN
    if item.order is not None:
        values = build_values(order, lang="zh", time_zone=queue.time_zone)
        amount = {lang: _write_amount(order, lang) for lang in LANGS}
        placed_at = order["placed_at"].strftime(_INSTANT)
    asked = _show_asked(request, order)
    kind, reason = ("" if request[name] is None else request[name] for name in ("refund_type", "reason"))
    return _build_shared(item, values | {"placed_at": placed_at, "amount": amount}, values, pools) | {
        "since": request["happened_at"].strftime(_INSTANT),
        "asked": asked,
        "amount_minor": decision.worth_minor or request["amount_minor"] or 0,
        "band": MOST_URGENT.index(decision.answer),
        "action": MOST_URGENT.index(decision.answer),
        "kind": _TYPES.index(kind),
        "stage": _REASONS.index(reason),
        "risk": None,
        "missing": [],
        "route": "",
        "suspicion": pools.suspicions.place_text(*(_name_or_nothing("refund_types", kind, lang) for lang in LANGS)),
        "more": [[name, pools.texts.place_text(zh, en)] for name, zh, en in _list_facts(item, asked)],
    }


def _list_facts(item: RequestItem, asked: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """List what a request says beside its type and reason: a name, and the text in both languages."""
    request = item.request
    if item.decision.outcome_id:
        yield "request", item.decision.outcome_id, item.decision.outcome_id
    at = request["happened_at"].strftime(_INSTANT)
    yield "made", at, at
    yield "asked", asked["zh"], asked["en"]
    if request["has_evidence"] is not None:
        name = "shown" if request["has_evidence"] else "nothing_shown"
        yield "evidence", find_words("request_queue", "zh")[name], find_words("request_queue", "en")[name]
    if request["delivered_at"] is not None:
        at = request["delivered_at"].strftime(_INSTANT)
        yield "delivered", at, at


def _show_asked(request: dict[str, Any], order: dict[str, Any]) -> dict[str, str]:
    """Show what is asked for, in both languages."""
    if request["amount_minor"] is None:
        return {"zh": _UNKNOWN, "en": _UNKNOWN}
    return {lang: _write_amount({**order, "amount_minor": request["amount_minor"]}, lang) for lang in LANGS}


def _name_or_nothing(section: str, name: str, lang: Lang) -> str:
    return str(find_words(section, lang)[name]) if name else ""


def _build_shared(
    item: QueueItem | RequestItem, shown: dict[str, Any], values: dict[str, str | None], pools: _Pools
) -> dict[str, Any]:
    """Build what rows of orders and of requests have in common."""
    reasons = [
        [reason.code, round(reason.contribution, 3), pools.texts.place_text(zh, en)]
        for reason, zh, en in zip(item.decision.reasons, item.reasons["zh"], item.reasons["en"], strict=True)
    ]
    return shown | {
        "channel": pools.channels.place(values["channel"], lambda: values["channel"] or ""),
        "p": round(item.decision.p_malicious or 0.0, 4),
        "reasons": reasons,
        "applied": _place_texts(item.applied, pools),
        "groups_of": list(item.groups),
        "script": _place_variant(item.script, values, pools.variants),
    }


def _place_texts(said: dict[Lang, tuple[str, ...]], pools: _Pools) -> list[int]:
    return [pools.texts.place_text(zh, en) for zh, en in zip(said["zh"], said["en"], strict=True)]


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
