"""One live outcome, verdict or correction: as a row of the store and as arrays, without a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ordervet.contract import Correction, Events, Outcome, Verdict, event_schema, validate_events
from ordervet.contract.values import TRIMMED, to_micros
from ordervet.entities import key_events
from ordervet.entities.ids import to_signed
from ordervet.entities.keyed import KEYED_KINDS, ORDER_ID
from ordervet.errors import ContractError
from ordervet.features import LaterEvents, build_later_events
from ordervet.history.identity import IDENTITY_COLUMNS
from ordervet.history.stored_rows import write_line

if TYPE_CHECKING:
    from ordervet.contract import EventKind
    from ordervet.entities import Key

    Later = Outcome | Verdict | Correction

_SEPARATOR = "\x1f"

_KIND_OF: dict[type, EventKind] = {Outcome: "outcomes", Verdict: "verdicts", Correction: "corrections"}
_EVENT_OF: dict[type, str] = {Outcome: "outcome", Verdict: "verdict", Correction: "correction"}
_COLUMNS: dict[type, dict[str, str]] = {
    Outcome: {"kind": "outcome", "refund_type": "refund_type", "reason": "reason", "blame": "blame"},
    Verdict: {"verdict": "verdict", "kind": "malice", "by": "decider", "agent": "agent"},
    Correction: {},
}
_OF_SHOP = ("order_uid", "shop_id")
_IDENTIFIERS: dict[type, tuple[str, ...]] = {
    Outcome: (*_OF_SHOP, "outcome_id", "line_id"),
    Verdict: _OF_SHOP,
    Correction: _OF_SHOP,
}


class LiveEvent(NamedTuple):
    """One live outcome, verdict or correction.

    Parameters
    ----------
    row : its row of the store: plain values, times as microseconds, no nulls
    order_id : keyed id of its order, unsigned
    mask, rank : as in `LaterEvents`
    """

    row: dict[str, Any]
    order_id: int
    mask: int
    rank: int

    @property
    def event_id(self) -> int:
        """Its identity, as in the store."""
        return int(self.row["event_id"])

    @property
    def name_id(self) -> int:
        """The keyed id of its order's id alone, as in the store."""
        return to_signed(self.order_id)

    @property
    def kind(self) -> str:
        """What it is: a verdict or correction, or the kind of an outcome."""
        return str(self.row.get("outcome", self.row["event"]))

    @property
    def shop(self) -> str:
        """The shop of its order, or the platform's own id of the order; empty if it names none."""
        return str(self.row.get("order_uid") or self.row.get("shop_id") or "")

    @property
    def seen_at(self) -> int:
        """Time of arrival, UTC microseconds."""
        return int(self.row["seen_at"])

    @property
    def line(self) -> bytes:
        """Its row as a line of the journal."""
        return write_line(self.row)

    def build_events(self, order_id: int) -> LaterEvents:
        """Build the arrays that features are made of, for the order that it is about."""
        # SPEED: views of one array, not six (bench_live.py).
        row = self.row
        values = (row["seen_at"], self.mask, row.get("amount_minor", 0), row["happened_at"], to_signed(order_id))
        parts = np.array(values, np.int64).reshape(5, 1)
        rank = np.array([self.rank], np.uint8)
        return LaterEvents(parts[4].view(np.uint64), parts[0], parts[1], parts[2], rank, parts[3])


class LiveEventReader:
    """Builds live events from validated ones; used by one thread at a time.

    Parameters
    ----------
    key : the identifier key
    """

    def __init__(self, key: Key) -> None:
        # NOT: at the top. the core's tables load with the first event.
        from ordervet.entities.order_ids import TextKeyer

        self._key = key
        self._keyer = TextKeyer(key, ("order", "event"))
        self._meanings: dict[tuple[Any, ...], tuple[int, int]] = {}

    def read(self, event: Later, arrived_at: int) -> LiveEvent:
        """Key a live event.

        Parameters
        ----------
        event : validated
        arrived_at : UTC microseconds; an inferred outcome that lies ahead, such as a deadline, counts from its own time

        Raises
        ------
        ContractError
            A table could not hold the event: the id of its order is blank.

        References
        ----------
        Truth: `key_events`, `history.rows.to_rows` and `history.identity.identify`.
        """
        name = event.order_id.strip(TRIMMED)
        if not name:
            raise ContractError("the event has a blank order id")
        happened_at = to_micros(getattr(event, event.instant_field))
        row: dict[str, Any] = {"event": _EVENT_OF[type(event)], "order_id": name, "seen_at": arrived_at}
        row["happened_at"] = happened_at
        if isinstance(event, Outcome) and event.is_inferred and happened_at > arrived_at:
            row |= {"seen_at": happened_at, "recorded_at": arrived_at}
        for field, column in _COLUMNS[type(event)].items():
            value = getattr(event, field)
            if value is not None:
                row[column] = str(value)
        for field in _IDENTIFIERS[type(event)]:
            if getattr(event, field) is not None:
                row[field] = getattr(event, field)
        if isinstance(event, Outcome):
            if event.amount_minor is not None:
                row["amount_minor"] = event.amount_minor
            if event.has_evidence is not None:
                row["has_evidence"] = event.has_evidence
            if event.delivered_at is not None:
                row["delivered_at"] = to_micros(event.delivered_at)
            if event.is_inferred:
                row["is_inferred"] = True
            if event.updated_at is not None:
                row["as_of"] = to_micros(event.updated_at)
        number = row.get("outcome_id", "")
        # NOTE: as `identify` has it: a number takes the place of what can change.
        details = ["" if number and column != "outcome" else str(row.get(column, "")) for column in IDENTITY_COLUMNS]
        details.append(number)
        order_id, event_id = self._keyer.key([name, _SEPARATOR.join([row["event"], name, *details])])
        row[ORDER_ID], row["event_id"] = to_signed(order_id), to_signed(event_id)
        return LiveEvent(row, order_id, *self._find_meaning(event))

    def _find_meaning(self, event: Later) -> tuple[int, int]:
        """Return mask and rank of an event, derived once per meaning by way of tables."""
        has_amount = isinstance(event, Outcome) and event.amount_minor is not None
        told = (getattr(event, field) for field in _COLUMNS[type(event)] if field != "reason")  # no feature asks for it
        meaning = (type(event), has_amount, *told)
        found = self._meanings.get(meaning)
        if found is None:
            kind = _KIND_OF[type(event)]
            tables = {each: event_schema(each).empty_table() for each in KEYED_KINDS}
            tables[kind] = validate_events(kind, [event])
            later = build_later_events(key_events(Events(**tables), self._key))
            found = self._meanings[meaning] = (int(later.mask[0]), int(later.rank[0]))
        return found
