"""One buyer, or a ring: what they ordered, what became of it, what was decided and judged, what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.verdicts import find_disagreements
from ordervet.features.events import read_worth
from ordervet.reports.board import Board, Field, Section
from ordervet.reports.links import LINKING, find_links, name_key, pseudonym
from ordervet.words import find_words, format_text, join_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from ordervet.entities import KeyedEvents
    from ordervet.history.handed import HandedOrder
    from ordervet.policy import Decision
    from ordervet.policy.lists import ListEntry
    from ordervet.reports.campaign_parts import Setting

_US: Final = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What a page about a buyer or a ring is made of.

    Parameters
    ----------
    events : of a history
    rows : shape (n,), rows of the orders that the page is about
    decisions : order id → what the model in use decides about it
    handed : what was handed on
    entries : of the policy's lists
    """

    events: KeyedEvents
    rows: NDArray[np.int64]
    decisions: Mapping[str, Decision]
    handed: Sequence[HandedOrder]
    entries: Sequence[ListEntry]


def find_ring(orders: pa.Table, row: int) -> NDArray[np.int64]:
    """Find the orders of everyone linked to an order: those that share a key with it, and all others of their buyers.

    Parameters
    ----------
    orders : shape (n_orders, n_columns), keyed
    row : of the order

    Returns
    -------
    rows, ascending; the order's own among them
    """
    links = find_links(orders, np.array([row]), n_newest=orders.num_rows)
    shared = sorted({row, *(each for group in links.groups for each in group.rows)})
    buyers = orders["id__buyer"].to_numpy()
    named = np.unique(buyers[shared])
    of_them = np.flatnonzero(np.isin(buyers, named[named != 0]))
    return np.union1d(of_them, np.array(shared, np.int64))


def build_person(facts: PersonFacts, title: str, setting: Setting) -> Board:
    """Build the page.

    Parameters
    ----------
    facts : what is known
    title : whom it is about, by pseudonym or order
    setting : language, zone and model
    """
    words: Any = find_words("person", setting.lang)
    orders = facts.events.orders.take(pa.array(facts.rows))
    ids = orders["order_id"].combine_chunks()
    verdicts, corrections, outcomes = (
        table.filter(pc.is_in(table["order_id"], ids))
        for table in (facts.events.verdicts, facts.events.corrections, facts.events.outcomes)
    )
    buyers = orders["id__buyer"].to_numpy()
    summary = words["summary"].format(
        orders=len(ids), buyers=len(np.unique(buyers[buyers != 0])), amount=_write_money(orders),
        unit=setting.unit, outcomes=outcomes.num_rows, verdicts=verdicts.num_rows, corrections=corrections.num_rows,
    )  # fmt: skip
    events = sorted(
        [*_list_orders(orders, facts.decisions, setting), *_list_outcomes(outcomes, setting),
         *_list_verdicts(verdicts, corrections, setting), *_list_handed(facts.handed, set(ids.to_pylist()), setting)],
        key=lambda row: (row[0], row[1]),
    )  # fmt: skip
    columns = words["columns"]
    timeline = tuple(
        Field(key, columns[key].format(unit=setting.unit), look)
        for key, look in (
            ("at", "instant"),
            ("order", "text"),
            ("what", "text"),
            ("detail", "wrapped"),
            ("amount", "money"),
        )
    )
    rows = tuple((setting.local(at), order_id, what, detail, amount) for at, order_id, what, detail, amount in events)
    lines = _list_notes(orders, verdicts, corrections, facts.entries, setting)
    sections = (
        Section("timeline", words["timeline"], fields=timeline, rows=rows),
        Section("links", words["links"], lines=tuple(_list_links(facts, setting)) or (words["no_links"],)),
        Section("notes", words["notes"], lines=tuple(lines) or (words["no_notes"],)),
    )
    about = {"board": "person", "orders": ids.to_pylist(), "model_id": setting.model_id}
    return Board(title, (summary,), setting.list_warnings()[1:], sections, about, setting.lang)


Row = tuple[int, str, str, str, int | None]


def _list_orders(orders: pa.Table, decisions: Mapping[str, Decision], setting: Setting) -> Iterator[Row]:
    words = find_words("person", setting.lang)
    for row in orders.select(["order_id", "placed_at", "amount_minor", "channel", "item_id", "id__buyer"]).to_pylist():
        decision = decisions[row["order_id"]]
        said = [
            pseudonym("buyer", row["id__buyer"]) if row["id__buyer"] else "",
            row["item_id"] or "",
            row["channel"] or "",
            find_words("actions", setting.lang)[decision.action],
            decision.name_kind(setting.lang),
            f"p={decision.p_malicious:.2f}" if decision.p_malicious is not None else "",
        ]
        yield (
            _to_us(row["placed_at"]),
            row["order_id"],
            words["placed"],
            " · ".join(filter(None, said)),
            row["amount_minor"],
        )


def _list_outcomes(outcomes: pa.Table, setting: Setting) -> Iterator[Row]:
    names, types, blames = (find_words(name, setting.lang) for name in ("outcomes", "refund_types", "blames"))
    for row in outcomes.to_pylist():
        said = [types.get(row["refund_type"], ""), blames.get(row["blame"], "")]
        yield (
            _to_us(row["happened_at"]),
            row["order_id"],
            names[row["kind"]],
            " · ".join(filter(None, said)),
            row["amount_minor"],
        )


def _list_verdicts(verdicts: pa.Table, corrections: pa.Table, setting: Setting) -> Iterator[Row]:
    words, names = find_words("person", setting.lang), find_words("verdicts", setting.lang)
    for row in verdicts.to_pylist():
        kind = find_words("kinds", setting.lang)[row["kind"]] if row["kind"] else ""
        said = " · ".join(filter(None, (kind, row["agent"] or row["by"])))
        yield (
            _to_us(row["seen_at"]),
            row["order_id"],
            words["verdict"].format(verdict=names[row["verdict"]]),
            said,
            None,
        )
    for row in corrections.to_pylist():
        yield _to_us(row["seen_at"]), row["order_id"], words["corrected"], "", None


def _list_handed(handed: Sequence[HandedOrder], ids: set[str], setting: Setting) -> Iterator[Row]:
    words = find_words("person", setting.lang)
    yield from ((each.handed_at, each.order_id, words["handed"], "", None) for each in handed if each.order_id in ids)


def _list_links(facts: PersonFacts, setting: Setting) -> Iterator[str]:
    """Describe what these orders share, with each other or with orders of others."""
    for group in find_links(facts.events.orders, facts.rows).groups:
        names = join_words((name_key(entity, code, setting.lang) for entity, code in group.names), setting.lang)
        yield format_text("workbook.linked", setting.lang, shared=names, n=group.n_orders, b=group.n_buyers)


def _list_notes(
    orders: pa.Table, verdicts: pa.Table, corrections: pa.Table, entries: Sequence[ListEntry], setting: Setting
) -> Iterator[str]:
    """Tell on which lists these orders' keys are, on whose word and until when, and whose agents disagree."""
    words, names = find_words("person", setting.lang), find_words("verdicts", setting.lang)
    held = {
        (entity, f"{each:016x}")
        for entity in LINKING
        if f"id__{entity}" in orders.column_names
        for each in pc.unique(orders[f"id__{entity}"]).to_pylist()
    }
    for entry in entries:
        if (entry.entity, entry.id) in held:
            who = name_key(entry.entity, pseudonym(entry.entity, int(entry.id, 16)), setting.lang)
            until = setting.write(_to_us(entry.expires))
            yield words[entry.list].format(who=who, owner=entry.owner, until=until, note=entry.note).rstrip("：: ")
    for order_id, said_by in find_disagreements(verdicts, corrections).items():
        said = join_words((f"{agent} {names[verdict]}" for agent, verdict in said_by.items()), setting.lang)
        yield words["disagree"].format(order_id=order_id, verdicts=said)


def _write_money(orders: pa.Table) -> str:
    return f"{read_worth(orders).sum() / 100:,.2f}"


def _to_us(at: datetime) -> int:
    return int(pa.scalar(at, _US).cast(pa.int64()).as_py())
