"""The desk's queue: the flagged orders of a batch, or refund requests, with all that somebody needs to judge them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.policy import SLOTS, Stage, describe_reason, explain_applied, explain_missing, load_scripts
from ordervet.policy.claims import ClaimAnswer, explain_claim_code
from ordervet.policy.codes import GENERAL
from ordervet.reports.links import find_links, pseudonym
from ordervet.words import LANGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ordervet.policy import Decision, Reason, Script
    from ordervet.policy.claims import ClaimDecision
    from ordervet.reports.links import Links
    from ordervet.words import Lang

REQUEST_COLUMNS: Final = ("happened_at", "refund_type", "reason", "amount_minor", "has_evidence", "delivered_at")
ANSWER_LOOKS: Final = {
    ClaimAnswer.PERSON: "severe", ClaimAnswer.EVIDENCE: "high", ClaimAnswer.RETURN_FIRST: "elevated",
    ClaimAnswer.PAY_NOW: "low",
}  # fmt: skip
"""The answers to requests, each with the band whose colour it has."""
_ORDER_COLUMNS = ("order_id", "placed_at", "amount_minor", "currency", *SLOTS[3:])


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One flagged order.

    Parameters
    ----------
    decision : what was decided, and why
    order : what of the order may be shown: `SLOTS`, amount_minor and currency; placed_at is in the queue's zone
    stage : how far the order is known to have come
    script : what to do and say
    reasons : per language, a sentence for each reason of the decision
    missing : per language, what evidence there was none of
    applied : per language, what lists and rules of the policy found
    groups : positions of the groups of linked orders it belongs to
    """

    decision: Decision
    order: dict[str, Any]
    stage: Stage
    script: Script
    reasons: dict[Lang, tuple[str, ...]]
    missing: dict[Lang, tuple[str, ...]]
    applied: dict[Lang, tuple[str, ...]]
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RequestItem:
    """One refund request.

    Parameters
    ----------
    decision : what it is answered, and why
    request : what it says: `REQUEST_COLUMNS`; times are in the queue's zone
    order : what of its order may be shown, as of `QueueItem`; None of an order that is not known
    script : what to do and say
    reasons, applied : per language, a sentence for each reason and code of the decision
    groups : as of `QueueItem`
    """

    decision: ClaimDecision
    request: dict[str, Any]
    order: dict[str, Any] | None
    script: Script
    reasons: dict[Lang, tuple[str, ...]]
    applied: dict[Lang, tuple[str, ...]]
    groups: tuple[int, ...]


Item = TypeVar("Item", QueueItem, RequestItem)


@dataclass(frozen=True, slots=True)
class LinkedOrder:
    """An order that shares something with a flagged one.

    Parameters
    ----------
    order_id : its id
    placed_at : in the queue's zone
    amount_minor, currency : its amount
    buyer : the buyer's pseudonym, or nothing
    item : its position in the queue; None when it is not in it
    """

    order_id: str
    placed_at: datetime
    amount_minor: int
    currency: str
    buyer: str
    item: int | None


@dataclass(frozen=True, slots=True)
class Queue(Generic[Item]):
    """Flagged orders or refund requests, the first to look at first, and what they share.

    Parameters
    ----------
    items : the flagged orders, or the requests
    links : the groups they belong to; a row of a group is a key of `linked`
    linked : the orders of the groups
    n_scored : orders that were scored, or requests
    model_id, policy_id : what decided
    is_simulated : whether the model learned from simulated data
    time_zone : IANA name of the zone that times are in
    """

    items: tuple[Item, ...]
    links: Links
    linked: dict[int, LinkedOrder]
    n_scored: int
    model_id: str
    policy_id: str
    is_simulated: bool
    time_zone: str


def build_queue(
    decisions: Sequence[Decision],
    orders: pa.Table,
    *,
    n_scored: int,
    is_simulated: bool,
    time_zone: str,
    scripts: Mapping[str, Script] | None = None,
) -> Queue[QueueItem]:
    """Gather what the desk needs.

    Parameters
    ----------
    decisions : scored ones, the first to look at first
    orders : shape (n_orders, n_columns), keyed: those of the decisions, and all others that links may lead to
    n_scored : orders that were scored
    is_simulated : whether the model learned from simulated data
    time_zone : IANA name of the zone to show times in
    scripts : from load_scripts; None takes the shipped ones
    """
    known = load_scripts() if scripts is None else scripts
    zone = ZoneInfo(time_zone)
    asked = pa.array([decision.order_id for decision in decisions], pa.string())
    rows = pc.index_in(asked, orders["order_id"].combine_chunks()).to_numpy(zero_copy_only=False).astype(np.int64)
    links = find_links(orders, rows)
    shown = [_place(order, zone) for order in _take(orders, rows)]
    items = tuple(
        _build_item(decision, order, known, links.of_row.get(int(row), ()))
        for decision, order, row in zip(decisions, shown, rows, strict=True)
    )
    linked = _list_linked(orders, links, {int(row): at for at, row in enumerate(rows)}, zone)
    ids = _name_what_decided(decisions)
    return Queue(items, links, linked, n_scored, *ids, is_simulated=is_simulated, time_zone=time_zone)


def build_request_queue(
    decisions: Sequence[ClaimDecision],
    requests: pa.Table,
    orders: pa.Table,
    *,
    is_simulated: bool,
    time_zone: str,
    scripts: Mapping[str, Script] | None = None,
) -> Queue[RequestItem]:
    """Gather what the desk needs of refund requests.

    Parameters
    ----------
    decisions, requests : of each other, the first to look at first; the requests keyed
    orders, is_simulated, time_zone, scripts : as of `build_queue`
    """
    known = load_scripts() if scripts is None else scripts
    zone = ZoneInfo(time_zone)
    found = pc.index_in(requests["id__order"].combine_chunks(), orders["id__order"].combine_chunks())
    rows = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    of_known = np.unique(rows[rows >= 0])
    links = find_links(orders, of_known)
    shown = {
        int(row): _place(order, zone) for row, order in zip(of_known, _take(orders, of_known.tolist()), strict=True)
    }
    items = tuple(
        RequestItem(
            decision=decision,
            request=_place_request(request, zone),
            order=shown.get(row),
            script=known[decision.script or f"{GENERAL}.{Stage.CLAIM}"],
            reasons=_describe_reasons(decision.reasons),
            applied={lang: tuple(explain_claim_code(code, lang) for code in decision.applied) for lang in LANGS},
            groups=links.of_row.get(row, ()),
        )
        for decision, request, row in zip(
            decisions, requests.select(REQUEST_COLUMNS).to_pylist(), rows.tolist(), strict=True
        )
    )
    first_of: dict[int, int] = {}
    for at, row in enumerate(rows.tolist()):
        first_of.setdefault(row, at)
    linked = _list_linked(orders, links, first_of, zone)
    ids = _name_what_decided(decisions)
    return Queue(items, links, linked, len(items), *ids, is_simulated=is_simulated, time_zone=time_zone)


def _name_what_decided(decisions: Sequence[Decision | ClaimDecision]) -> tuple[str, str]:
    first = decisions[0] if decisions else None
    return (first and first.model_id) or "", (first and first.policy_id) or ""


def _place_request(request: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    times = {name: request[name] for name in ("happened_at", "delivered_at")}
    return request | {name: None if at is None else at.astimezone(zone) for name, at in times.items()}


def _describe_reasons(reasons: Sequence[Reason]) -> dict[Lang, tuple[str, ...]]:
    return {lang: tuple(describe_reason(reason, lang) for reason in reasons) for lang in LANGS}


def _take(orders: pa.Table, rows: Sequence[int]) -> list[dict[str, Any]]:
    columns = [name for name in _ORDER_COLUMNS if name in orders.column_names]
    taken: list[dict[str, Any]] = orders.select(columns).take(pa.array(rows, pa.int64())).to_pylist()
    return taken


def _place(order: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    return order | {"placed_at": order["placed_at"].astimezone(zone)}


def _build_item(
    decision: Decision, order: dict[str, Any], scripts: Mapping[str, Script], groups: tuple[int, ...]
) -> QueueItem:
    script = scripts[decision.script or f"{GENERAL}.{Stage.PLACED}"]
    return QueueItem(
        decision=decision,
        order=order,
        stage=Stage(script.id.rpartition(".")[2]),
        script=script,
        reasons=_describe_reasons(decision.reasons),
        missing={lang: tuple(explain_missing(code, lang) for code in decision.missing) for lang in LANGS},
        applied={lang: tuple(explain_applied(code, lang) for code in decision.applied) for lang in LANGS},
        groups=groups,
    )


def _list_linked(orders: pa.Table, links: Links, items: dict[int, int], zone: ZoneInfo) -> dict[int, LinkedOrder]:
    rows = sorted({row for group in links.groups for row in group.rows})
    columns = ["order_id", "placed_at", "amount_minor", "currency", "id__buyer"]
    taken = orders.select(columns).take(pa.array(rows, pa.int64())).to_pylist()
    return {
        row: LinkedOrder(
            order_id=each["order_id"],
            placed_at=each["placed_at"].astimezone(zone),
            amount_minor=each["amount_minor"],
            currency=each["currency"] or "CNY",
            buyer=pseudonym("buyer", each["id__buyer"]) if each["id__buyer"] else "",
            item=items.get(row),
        )
        for row, each in zip(rows, taken, strict=True)
    }
