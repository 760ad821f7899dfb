"""One live outcome, verdict or correction: as a row of the store and as arrays, without a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract import Correction, Events, Outcome, Verdict, event_schema, validate_events
from ordervet.entities import key_events
from ordervet.entities.keyed import KEYED_KINDS, ORDER_ID
from ordervet.errors import ContractError
from ordervet.features import LaterEvents, build_later_events
from ordervet.history.identity import IDENTITY_COLUMNS, UNDECIDED
from ordervet.history.rows import write_line

if TYPE_CHECKING:
    from ordervet.contract import EventKind
    from ordervet.entities import Key

    Later = Outcome | Verdict | Correction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIGN, _WRAP = 1 << 63, 1 << 64
_SEPARATOR = "\x1f"

_KIND_OF: dict[type, EventKind] = {Outcome: "outcomes", Verdict: "verdicts", Correction: "corrections"}
_EVENT_OF: dict[type, str] = {Outcome: "outcome", Verdict: "verdict", Correction: "correction"}
_COLUMNS: dict[type, dict[str, str]] = {
    Outcome: {"kind": "outcome", "refund_type": "refund_type", "blame": "blame"},
    Verdict: {"verdict": "verdict", "kind": "malice", "by": "decider", "agent": "agent"},
    Correction: {},
}


@dataclass(frozen=True)
class LiveEvent:
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
    def seen_at(self) -> int:
        """Time of arrival, UTC microseconds."""
        return int(self.row["seen_at"])

    @property
    def line(self) -> bytes:
        """Its row as a line of the journal."""
        return write_line(self.row)

    @property
    def is_blamed(self) -> bool:
        """Whether it has a blame."""
        return bool(self.row.get("blame", UNDECIDED) != UNDECIDED)

    @cached_property
    def events(self) -> LaterEvents:
        """The arrays that features are made of."""
        amount = self.row.get("amount_minor", 0)
        return LaterEvents(
            np.array([self.order_id], np.uint64),
            np.array([self.seen_at], np.int64),
            np.array([self.mask], np.int64),
            np.array([amount], np.int64),
            np.array([self.rank], np.uint8),
        )


class LiveEventReader:
    """Builds live events from validated ones; used by one thread at a time.

    Parameters
    ----------
    key : the identifier key
    """

    def __init__(self, key: Key) -> None:
        # NOT: at the top. the core's tables load with the first event.
        from ordervet.entities.one_order import TextKeyer

        self._key = key
        self._keyer = TextKeyer(key, ("order", "event"))
        self._meanings: dict[tuple[Any, ...], tuple[int, int]] = {}

    def read(self, event: Later, seen_at: int) -> LiveEvent:
        """Key a live event.

        Parameters
        ----------
        event : validated
        seen_at : UTC microseconds

        Raises
        ------
        ContractError
            A table could not hold the event: the id of its order is blank.

        References
        ----------
        Truth: `key_events`, `history.rows.to_rows` and `history.identity.identify`.
        """
        name = event.order_id.strip()
        if not name:
            raise ContractError("the event has a blank order id")
        row: dict[str, Any] = {"event": _EVENT_OF[type(event)], "order_id": name, "seen_at": seen_at}
        row["happened_at"] = (getattr(event, event.instant_field) - _EPOCH) // _MICROSECOND
        for field, column in _COLUMNS[type(event)].items():
            value = getattr(event, field)
            if value is not None:
                row[column] = str(value)
        if isinstance(event, Outcome) and event.amount_minor is not None:
            row["amount_minor"] = event.amount_minor
        details = [str(row.get(column, "")) for column in IDENTITY_COLUMNS]
        order_id, event_id = self._keyer.key([name, _SEPARATOR.join([row["event"], name, *details])])
        row[ORDER_ID], row["event_id"] = _sign(order_id), _sign(event_id)
        return LiveEvent(row, order_id, *self._find_meaning(event))

    def _find_meaning(self, event: Later) -> tuple[int, int]:
        """Return mask and rank of an event, derived once per meaning by way of tables."""
        meaning = (type(event), *(getattr(event, field) for field in _COLUMNS[type(event)]))
        found = self._meanings.get(meaning)
        if found is None:
            kind = _KIND_OF[type(event)]
            tables = {each: event_schema(each).empty_table() for each in KEYED_KINDS}
            tables[kind] = validate_events(kind, [event])
            later = build_later_events(key_events(Events(**tables), self._key))
            found = self._meanings[meaning] = (int(later.mask[0]), int(later.rank[0]))
        return found


def _sign(value: int) -> int:
    """Return the int64 of the same bits."""
    return value - _WRAP if value >= _SIGN else value
