"""The command correct: record an upheld appeal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pyarrow.compute as pc
import typer

from ordervet.cli import options
from ordervet.cli.session import Session, read_time
from ordervet.contract import Correction, Events, validate_events
from ordervet.contract.verdicts import CORRECTED, find_standing_verdicts
from ordervet.entities import KeyedEvents
from ordervet.errors import ContractError
from ordervet.words import find_words


def correct(
    order_id: Annotated[str, typer.Argument(help="The order whose appeal was upheld.", show_default=False)],
    history: options.History,
    at: Annotated[str | None, typer.Option(help="When the appeal was upheld; by default now.")] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Record an upheld appeal: the order's verdict no longer counts against its buyer, address or anything else.

    From then on features do not see the verdict, and training takes the order as innocent. Recording it twice changes
    nothing; a later verdict counts again.

    Example: ordervet correct T20251111000042 --history history
    """
    session = Session(lang, json=json)
    corrected_at = read_time("--at", at) or datetime.fromtimestamp(time.time(), UTC)
    with session.progress() as report_step:
        report_step("reading the history")
        store = session.open_history(history)
        store.catch_up()
        standing = _find_standing(store.read(), order_id)
        _check_order_of_time(order_id, standing, corrected_at)
        if standing.corrected_at is None:
            report_step("recording")
            store.ingest(_build_correction(order_id, corrected_at))
    done = {
        "order_id": order_id,
        "was_corrected_before": standing.corrected_at is not None,
        "corrected_at": (standing.corrected_at or corrected_at).isoformat().replace("+00:00", "Z"),
        "verdict": standing.verdict,
        "version": store.version,
    }
    if json:
        session.print_json(done)
    else:
        session.print(_describe(session, done, standing))


@dataclass(frozen=True, slots=True)
class _Standing:
    """What stands about an order.

    Parameters
    ----------
    placed_at : when it was placed
    verdict, decided_at : the verdict that stands, or the one that was corrected, and since when it is known
    corrected_at : when it was corrected, if it was judged no more since then
    """

    placed_at: datetime
    verdict: str | None
    decided_at: datetime | None
    corrected_at: datetime | None


def _find_standing(events: KeyedEvents, order_id: str) -> _Standing:
    orders = events.orders.filter(pc.equal(events.orders["order_id"], order_id)).select(["placed_at"]).to_pylist()
    if not orders:
        raise ContractError(
            f"there is no order {order_id} in the history",
            hint="copy the id as it stands in the export, with its case; ordervet ingest brings orders in",
        )
    verdicts, corrections = (
        table.filter(pc.equal(table["order_id"], order_id)) for table in (events.verdicts, events.corrections)
    )
    verdict, decided_us = find_standing_verdicts(verdicts, corrections.slice(0, 0)).get(order_id, (None, None))
    word, since_us = find_standing_verdicts(verdicts, corrections).get(order_id, (None, None))
    return _Standing(
        placed_at=orders[0]["placed_at"],
        verdict=verdict,
        decided_at=_to_instant(decided_us),
        corrected_at=_to_instant(since_us) if word == CORRECTED else None,
    )


def _to_instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def _check_order_of_time(order_id: str, standing: _Standing, corrected_at: datetime) -> None:
    """Refuse a correction from before what it corrects: it would take nothing back."""
    known_at = max(each for each in (standing.placed_at, standing.decided_at) if each is not None)
    if standing.corrected_at is None and corrected_at < known_at:
        raise ContractError(
            f"--at: the order {order_id} was placed, or judged, after that time",
            hint="leave --at out to record the appeal as of now",
        )


def _build_correction(order_id: str, corrected_at: datetime) -> Events:
    table = validate_events("corrections", [Correction(order_id=order_id, corrected_at=corrected_at)])
    empty = Events.empty()
    return Events(empty.orders, empty.outcomes, empty.verdicts, table)


def _describe(session: Session, done: dict[str, Any], standing: _Standing) -> str:
    verdict = find_words("verdicts", session.lang)[standing.verdict] if standing.verdict else ""
    return session.text(
        "correct.known" if done["was_corrected_before"] else "correct.corrected",
        id=done["order_id"],
        at=done["corrected_at"],
        verdict=session.text("correct.had" if standing.verdict else "correct.had_none", verdict=verdict),
    )
