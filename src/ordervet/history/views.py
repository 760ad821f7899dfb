"""When two rows are views of one event, and which view stands.

A row of the store is one *view* of one event: an order as one export shows it, a refund as a webhook announced it and
as the night's report has it. The rules, by which nothing counts twice and nothing is lost:

    which order     (shop, order id); a platform's own unique id counts as the shop; `find_order`, `is_same_order`
    which outcome   (order, kind, the platform's number), else order, kind, line and time; `is_same_outcome`
    which view      the later one as of its own time, and what it leaves open is filled from the other; `amend`

A view that is replaced stays in the store, so that what was known then can be told from what is known now.
docs/history.md, "When two rows are one event".
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from ordervet.contract.values import MINUTE_US, floor_minute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = dict[str, Any]
"""One row of the store as plain values: instants are UTC microseconds, what is not given is missing or None."""

SAME_TIME_US: Final = 120_000_000
"""Two reports of one outcome without a number differ by at most this: a webhook and an export, lost seconds."""

_DAY_US: Final = 86_400_000_000
EARLIEST_US: Final = 946_684_800_000_000
"""The year 2000: whatever is older is a mistake."""

MAX_AHEAD_US: Final = _DAY_US
MAX_INFERRED_AHEAD_US: Final = 400 * _DAY_US
"""How far ahead of now an event may lie: one that was told, and an inferred one, such as a deadline."""

BOOKKEEPING: Final = frozenset(
    {"event", "event_id", "view", "recorded_at", "as_of", "seen_at", "name_id", "id__order", "order_id", "source"}
)
"""Columns that say nothing of the event itself."""

ITEM_COLUMNS: Final = (
    "item_id",
    "category",
    "quantity",
    "n_lines",
    "id__item",
    "evidence__item",
    "id__category",
    "evidence__category",
)
ADDRESS_COLUMNS: Final = ("id__address", "evidence__address", "id__place", "evidence__place", "place_type")
_ID, _EVIDENCE, _KNOWN, _ABSENT = "id__", "evidence__", 0, 1
DECISION: Final = "decision"
"""The event of a row that holds what was decided about a live order, in the column of the same name."""

_UNDECIDED: Final = "unknown"


class IngestStatus(IntEnum):
    """What ingestion did with a row."""

    ACCEPTED = 0
    """A new event."""
    MERGED = 1
    """A view that completes or amends a known event."""
    KNOWN = 2
    """Nothing new."""
    EARLY = 3
    """From before its order was placed, and so never used."""
    CONFLICT = 4
    """Another order has this id, and nothing tells the two shops apart."""
    AMBIGUOUS = 5
    """Several orders have this id, and the event does not say which."""
    OUT_OF_TIME = 6
    """So far ahead, or behind, that its time must be a mistake."""
    ERASED = 7
    """Of a buyer who was erased, and so kept out."""
    NO_ORDER = 8
    """Among files alone: its order is in none of them."""


@dataclass
class Settled:
    """What became of the rows of one order id.

    Parameters
    ----------
    statuses : one per incoming row
    new : rows to add to the store: new events, and new views of known ones
    """

    statuses: list[IngestStatus]
    new: list[Row] = field(default_factory=list)


def settle(
    incoming: Sequence[Row], standing: Iterable[Row], make_id: Callable[[str], int], *, is_live: bool = False
) -> Settled:
    """Settle all rows that bear one order id.

    Parameters
    ----------
    incoming : in the order in which they come, each with `source` (which file or message it is of), `recorded_at`,
        and the proposed `event_id` and `id__order`
    standing : all views that the store has of this order id
    make_id : text → an id, where a proposed one is taken
    is_live : the rows arrived one by one in a running scorer: none is set aside for being earlier than its order
    """
    group = _Group(standing, make_id, is_live=is_live)
    statuses = [IngestStatus.KNOWN] * len(incoming)
    for at, row in enumerate(incoming):
        if row["event"] == "order":
            statuses[at] = group.add_order(row)
    group.resolve_waiting()
    later: dict[Any, list[int]] = defaultdict(list)
    for at, row in enumerate(incoming):
        if row["event"] != "order":
            later[row["source"]].append(at)
    for rows in later.values():
        for at, status in zip(rows, group.add_later([incoming[at] for at in rows]), strict=True):
            statuses[at] = status
    return Settled(statuses, group.new)


class _Group:
    """All events of one order id, as they stand."""

    def __init__(self, standing: Iterable[Row], make_id: Callable[[str], int], *, is_live: bool) -> None:
        self._is_live = is_live
        self.new: list[Row] = []
        self._make_id = make_id
        self._views: dict[int, list[Row]] = defaultdict(list)
        for row in sorted(standing, key=lambda row: (row.get("view") or 0, row["event_id"])):
            if row["event"] != DECISION:
                self._views[row["event_id"]].append(row)
        self._orders = {views[-1]["id__order"]: views[-1] for views in self._views.values() if _is_order(views[-1])}

    def add_order(self, row: Row) -> IngestStatus:
        same = [order for order in self._orders.values() if is_same_order(order, row)]
        found = min(same, key=lambda order: int(order["event_id"]), default=None)
        if found is not None:
            return self._add_view(found, row)
        # NOTE: a live order is there, and is scored; it is kept as an order of its own.
        if not self._is_live and not all(_are_told_apart(order, row) for order in self._orders.values()):
            return IngestStatus.CONFLICT
        if row["id__order"] in self._orders:
            self._set_apart(row)
        self._add_event(row)
        return IngestStatus.ACCEPTED

    def resolve_waiting(self) -> None:
        """Give events that waited for their order the order that has come."""
        for views in [views for views in self._views.values() if not _is_order(views[-1])]:
            row = dict(views[-1])
            order, _ = self._find_order(row)
            if order is not None and order["id__order"] != row["id__order"]:
                self._assign(row, order)
                self._put(row, views)

    def add_later(self, rows: Sequence[Row]) -> list[IngestStatus]:
        """Add outcomes, verdicts and corrections of one source."""
        statuses = [IngestStatus.KNOWN] * len(rows)
        outcomes: dict[tuple[int, str], list[int]] = defaultdict(list)
        for at, row in enumerate(rows):
            order, is_ambiguous = self._find_order(row)
            if is_ambiguous:
                if not self._is_repeated(row):
                    statuses[at] = IngestStatus.AMBIGUOUS
                continue
            if order is None and self._orders:
                self._set_apart(row)  # its shop's order has not come yet
            elif order is not None:
                self._assign(row, order)
                is_known = row["event_id"] in self._views
                if not (self._is_live or is_known) and is_from_before(row, order):
                    statuses[at] = IngestStatus.EARLY
                    continue
            if row["event"] == "outcome":
                outcomes[row["id__order"], row["outcome"]].append(at)
            elif row["event_id"] not in self._views:
                self._add_event(row)
                statuses[at] = IngestStatus.ACCEPTED
        for (order_id, kind), places in outcomes.items():
            for at, status in zip(places, self._add_outcomes(order_id, kind, [rows[at] for at in places]), strict=True):
                statuses[at] = status
        return statuses

    def _is_repeated(self, row: Row) -> bool:
        """Tell whether a row is one that is known, sent again, whichever of several orders it was of."""
        views = self._views.get(row["event_id"], [])
        return any(is_covered(row, view) and not _is_news(row, view) for view in views[-1:])

    def _add_outcomes(self, order_id: int, kind: str, rows: Sequence[Row]) -> list[IngestStatus]:
        """Match outcomes of one source to those that stand, each to one at most, the likest pair first."""
        current = [views[-1] for views in self._views.values()]
        known = [row for row in current if row["id__order"] == order_id and row.get("outcome") == kind]
        pairs = sorted(
            (_unlikeness(row, view), at, place)
            for at, row in enumerate(rows)
            for place, view in enumerate(known)
            if is_same_outcome(row, view)
        )
        match: dict[int, Row] = {}
        taken: set[int] = set()
        for _, at, place in pairs:
            if at not in match and (place not in taken or rows[at].get("is_inferred")):
                match[at] = known[place]
                taken.add(place)
        statuses = []
        for at, row in enumerate(rows):
            view = match.get(at) or self._find_added(rows[:at], row)
            if view is None:
                self._add_event(row)
            statuses.append(IngestStatus.ACCEPTED if view is None else self._add_view(view, row))
        return statuses

    def _find_added(self, earlier: Sequence[Row], row: Row) -> Row | None:
        """Find the event of an earlier row of the same source that tells of the very same outcome."""
        for other in earlier:
            is_one = other.get("outcome_id") and other.get("outcome_id") == row.get("outcome_id")
            are_inferred = row.get("is_inferred") and other.get("is_inferred")
            is_state = are_inferred and other.get("line_id") == row.get("line_id") and is_same_outcome(row, other)
            if is_one or is_state:
                return self._views[other["event_id"]][-1]
        return None

    def _find_order(self, row: Row) -> tuple[Row | None, bool]:
        """Find the order of a later event; and whether several could be meant."""
        found = find_order(row, list(self._orders.values()))
        return (found[0], False) if len(found) == 1 else (None, len(found) > 1)

    def _assign(self, row: Row, order: Row) -> None:
        row["id__order"], row["name_id"] = order["id__order"], order.get("name_id")

    def _set_apart(self, row: Row) -> None:
        """Give an order of a further shop, or an event of it, an id of its own."""
        row["name_id"] = row.get("name_id") or row["id__order"]
        told = row.get("order_uid") or row.get("shop_id") or floor_minute(row["happened_at"])
        row["id__order"] = self._make_id(f"{row['name_id']}\x1f{told}")

    def _add_event(self, row: Row) -> None:
        number = 0
        while row["event_id"] in self._views:
            number += 1
            row["event_id"] = self._make_id(f"{row['event_id']}\x1f{number}")
        self._put(row | {"view": 0}, self._views[row["event_id"]])

    def _add_view(self, current: Row, row: Row) -> IngestStatus:
        row["event_id"] = current["event_id"]
        self._assign(row, current)
        views = self._views[current["event_id"]]
        amended = amend(views[-1], row, replaced=views[:-1])
        if amended is None:
            return IngestStatus.KNOWN
        self._put(amended, views)
        return IngestStatus.MERGED

    def _put(self, row: Row, views: list[Row]) -> None:
        row["view"] = len(views)
        views.append(row)
        if _is_order(row):
            self._orders[row["id__order"]] = row
        self.new.append(row)


def is_same_order(one: Row, other: Row) -> bool:
    """Tell whether two views with the same order id are of the same order.

    The platform's own id decides, else the shop, else the time of placing to the minute: spreadsheets lose seconds.
    """
    for name in ("order_uid", "shop_id"):
        if one.get(name) and other.get(name):
            return bool(one[name] == other[name])
    return bool(floor_minute(one["happened_at"]) == floor_minute(other["happened_at"]))


def _are_told_apart(one: Row, other: Row) -> bool:
    """Tell whether something says that two orders of one order id are of two shops."""
    return any(one.get(name) and other.get(name) for name in ("order_uid", "shop_id"))


def is_from_before(row: Row, order: Row) -> bool:
    """Tell whether a later event happened before its order was placed, to the minute."""
    return bool(row["happened_at"] < floor_minute(order["happened_at"]))


def find_order(row: Row, orders: Sequence[Row]) -> list[Row]:
    """Find the orders that a later event with their order id can belong to."""
    for name in ("order_uid", "shop_id"):
        if row.get(name):
            named = [order for order in orders if order.get(name) == row[name]]
            return named or [order for order in orders if not order.get(name)]
    return list(orders)


def is_same_outcome(one: Row, other: Row) -> bool:
    """Tell whether two rows of the same order and kind are views of one outcome."""
    if one.get("outcome_id") and other.get("outcome_id"):
        return bool(one["outcome_id"] == other["outcome_id"])
    if one.get("line_id") and other.get("line_id") and one["line_id"] != other["line_id"]:
        return False
    if one.get("is_inferred") or other.get("is_inferred"):
        return True  # a state is reached once, whatever date is given for it
    return bool(abs(one["happened_at"] - other["happened_at"]) <= SAME_TIME_US)


def _unlikeness(row: Row, view: Row) -> tuple[bool, int, int, int]:
    """Order candidates: the same number first, then the nearest in time, then the likest details."""
    has_number = bool(row.get("outcome_id")) and row.get("outcome_id") == view.get("outcome_id")
    details = [(row.get(name), view.get(name)) for name in ("line_id", "refund_type", "amount_minor")]
    differing = sum(
        2 if one is not None and other is not None and one != other else one != other for one, other in details
    )
    return not has_number, abs(row["happened_at"] - view["happened_at"]) // MINUTE_US, differing, view["event_id"]


def amend(current: Row, row: Row, *, replaced: Sequence[Row] = ()) -> Row | None:
    """Put two views of one event together.

    Parameters
    ----------
    current : the view that stands
    row : another one, brought in now
    replaced : views that were replaced before

    Returns
    -------
    the view that stands from now on; None where `row` says nothing new
    """
    if is_covered(row, current):
        # NOTE: that it was still so at a later time is news: else what was said between the two would win, come late.
        return current | {"as_of": row["as_of"], "recorded_at": row["recorded_at"]} if _is_news(row, current) else None
    wins = _is_later(row, current)
    is_dated = row.get("as_of") is not None and current.get("as_of") is not None and row["as_of"] > current["as_of"]
    if wins and not is_dated and any(is_covered(row, view) for view in replaced):
        return None  # a redelivery: A, B, A
    first, second = (row, current) if wins else (current, row)
    merged = dict(current)
    for name in {*current, *row} - BOOKKEEPING:
        merged[name] = _pick(name, first, second)
    _put_group(merged, ADDRESS_COLUMNS, first if first.get("evidence__address") == _KNOWN else second, current)
    if _is_order(current):
        _put_group(merged, ITEM_COLUMNS, max((first, second), key=_count_line_facts), current)
        merged["happened_at"] = _pick_time(first, second)
    else:
        merged["happened_at"], merged["is_inferred"] = _pick_date(first, second)
    if current["seen_at"] == current["happened_at"]:
        merged["seen_at"] = merged["happened_at"]
    merged["recorded_at"] = row["recorded_at"]
    merged["as_of"] = max((each["as_of"] for each in (current, row) if each.get("as_of") is not None), default=None)
    return None if is_covered(merged, current) and is_covered(current, merged) else merged


def _is_later(row: Row, current: Row) -> bool:
    if row.get("as_of") is None:
        return True
    since = current.get("as_of") if current.get("as_of") is not None else current.get("recorded_at")
    return since is None or row["as_of"] >= since


def is_covered(row: Row, view: Row) -> bool:
    """Tell whether a view says all that a row says."""
    return all(says_nothing(name, value) or view.get(name) == value for name, value in row.items() if _is_content(name))


def _is_news(row: Row, view: Row) -> bool:
    """Tell whether a row says as of a later time what a view says."""
    return None not in (row.get("as_of"), view.get("as_of")) and bool(row["as_of"] > view["as_of"])


def _is_content(name: str) -> bool:
    return name not in BOOKKEEPING


def says_nothing(name: str, value: object) -> bool:
    """Return whether a value of a column carries no information."""
    if value is None or (name == "blame" and value == _UNDECIDED):
        return True
    if name == "is_inferred":
        return not value
    return (name.startswith(_ID) and value == 0) or (name.startswith(_EVIDENCE) and value != _KNOWN)


def _pick(name: str, first: Row, second: Row) -> object:
    """Pick a value: the first view's, unless it says nothing."""
    if name.startswith((_ID, _EVIDENCE)):
        entity = name.partition("__")[2]
        knows = first.get(_EVIDENCE + entity, _ABSENT) == _KNOWN or second.get(_EVIDENCE + entity, _ABSENT) != _KNOWN
        chosen = (first if name in first else second) if knows else second
        return chosen.get(name)
    return second.get(name) if says_nothing(name, first.get(name)) and second.get(name) is not None else first.get(name)


def _count_line_facts(view: Row) -> int:
    return (view.get("n_lines") is not None) + (view.get("item_id") is not None)


def _put_group(merged: Row, names: Sequence[str], view: Row, current: Row) -> None:
    """Take columns that belong together from one view, where it gives any of them."""
    if all(says_nothing(name, view.get(name)) for name in names):
        return
    for name in names:
        if name in view or name in current:
            merged[name] = view.get(name)


def _pick_time(first: Row, second: Row) -> int:
    """Pick when an order was placed: within a minute the later one, which has its seconds."""
    times: tuple[int, int] = (first["happened_at"], second["happened_at"])
    return max(times) if floor_minute(times[0]) == floor_minute(times[1]) else times[0]


def _pick_date(first: Row, second: Row) -> tuple[int, bool | None]:
    """Pick when an outcome happened: a date that was told before one that was inferred, of those the earlier."""
    inferred = bool(first.get("is_inferred")), bool(second.get("is_inferred"))
    if inferred == (True, True):
        return min(first["happened_at"], second["happened_at"]), True
    told = second if inferred[0] else first
    return told["happened_at"], told.get("is_inferred")


def _is_order(row: Row) -> bool:
    return bool(row["event"] == "order")
