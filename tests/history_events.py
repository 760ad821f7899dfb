"""Hand-written events for the history's tests, and plain views of what a history gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ordervet.contract import Events, validate_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.contract import EventKind
    from ordervet.entities import KeyedEvents

KINDS: tuple[EventKind, ...] = ("orders", "outcomes", "verdicts", "corrections")


def build_events(**rows: list[dict[str, Any]]) -> Events:
    """Events of plain dicts; kinds that are not named have none."""
    tables = {kind: getattr(Events.empty(), kind) for kind in KINDS}
    tables |= {kind: validate_events(kind, given) for kind, given in rows.items() if given}  # type: ignore[arg-type]
    return Events(**tables)


def order(order_id: str, placed_at: str = "2025-11-01 10:00", amount_minor: int = 100, **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "placed_at": placed_at, "amount_minor": amount_minor, **more}


def outcome(order_id: str, kind: str = "claim", happened_at: str = "2025-11-05 10:00", **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "kind": kind, "happened_at": happened_at, **more}


def verdict(order_id: str, verdict: str = "malicious", decided_at: str = "2025-11-06", **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "verdict": verdict, "decided_at": decided_at, **more}


def take(events: Events, rows: dict[str, Sequence[int]]) -> Events:
    """Some rows of each kind, in the order given."""
    return Events(**{kind: getattr(events, kind).take(pa.array(rows[kind], pa.int64())) for kind in KINDS})


def plain(events: KeyedEvents) -> dict[str, list[dict[str, Any]]]:
    """The rows of each kind as dicts, sorted by all they hold."""
    return {kind: sorted(getattr(events, kind).to_pylist(), key=repr) for kind in KINDS}


def ids(events: KeyedEvents, kind: EventKind) -> list[str]:
    """The order ids of one kind of event, in their order."""
    return getattr(events, kind)["order_id"].to_pylist()
