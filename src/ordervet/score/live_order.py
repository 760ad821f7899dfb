"""One live order: checked, keyed, and as a row of the store, of which it can be made again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import floor, isfinite, nan
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from pydantic_core import to_json

from ordervet.contract import Order
from ordervet.contract.fields import fields_of
from ordervet.contract.values import TRIMMED, floor_minute, to_micros
from ordervet.entities import Evidence, PlaceType
from ordervet.entities.ids import to_signed
from ordervet.entities.keyed import EVIDENCE, ID, ORDER_ID, PLACE_TYPE
from ordervet.errors import ContractError
from ordervet.features.events import MAX_WORTH, NEW_ACCOUNT_US, SHARED_PLACE_BIT, SHARED_PLACES
from ordervet.features.spec import EVIDENCE_ENTITIES, SELECTOR_BIT
from ordervet.score.stages import find_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.entities import Key
    from ordervet.entities.order_ids import KeyedOrder
    from ordervet.features import FeatureSpec
    from ordervet.history.views import Row
    from ordervet.policy import Stage

    #: Returns one own feature of an order.
    Read = Callable[["LiveOrder"], float]


_KEPT = tuple(field for field in fields_of(Order) if not field.is_personal and not field.is_extras)
_TEXTS = tuple(field.name for field in _KEPT if field.kind == "text" and field.name != "order_id")
_PLAIN = tuple(
    field.name
    for field in _KEPT
    if field.kind not in ("text", "instant") and field.name not in ("placed_at", "seen_at")
)
_read_kept = itemgetter("order_id", *_PLAIN, *_TEXTS)
_DAY_US, _MINUTE_US = 86_400_000_000, 60_000_000
_KNOWN, _ABSENT, _UNKNOWN_PLACE = int(Evidence.KNOWN), int(Evidence.ABSENT), int(PlaceType.UNKNOWN)
_NO_PLACE = len(PlaceType)  # stands for a null, as in `features.events`
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER, _CATEGORY = "number__", "category__"
_FIELD, _TIME, _PARTS = "field", "time", (_NUMBER, _CATEGORY, ID, EVIDENCE)
_FIELDS = frozenset(("order_id", *_PLAIN, *_TEXTS))
_TIMES = {"happened_at": "placed_at", "buyer_registered_at": "buyer_registered_at", "as_of": "updated_at"}
# SPEED: plain integers; members of an enumeration compare slowly (bench_live.py).
_SHARED_PLACES = frozenset(map(int, SHARED_PLACES))
_ORDER, _NEW = SELECTOR_BIT["order"], SELECTOR_BIT["new_account"]


class KeptOrder:
    """What is kept of one order: everything but personal data.

    Parameters
    ----------
    order : validated; not held
    keyed : its ids
    seen_at : time of arrival, UTC microseconds

    Attributes
    ----------
    order_name : its order id, as given
    name_id : the keyed id of its order id alone, as in the store
    """

    __slots__ = (
        "_categories",
        "_numbers",
        "_updated_us",
        "_values",
        "keyed",
        "name_id",
        "order_name",
        "placed_us",
        "registered_us",
        "seen_at",
        "shop",
    )

    kind = "order"

    def __init__(self, order: Order, keyed: KeyedOrder, seen_at: int) -> None:
        self.keyed, self.seen_at = keyed, seen_at
        self.placed_us = to_micros(order.placed_at)
        registered_at = order.buyer_registered_at
        self.registered_us = None if registered_at is None else to_micros(registered_at)
        self._updated_us = None if order.updated_at is None else to_micros(order.updated_at)
        self.shop = order.order_uid or order.shop_id or ""
        self._values: tuple[Any, ...] = _read_kept(order.__dict__)
        # SPEED: each is asked for several times (bench_live.py).
        self.order_name: str = self._values[0].strip(TRIMMED)
        self.name_id = to_signed(keyed.order_id)
        self._numbers, self._categories = order.numbers, order.categories

    @property
    def event_id(self) -> int:
        """Its identity, as in the store."""
        return to_signed(self.keyed.event_id)

    @property
    def row(self) -> dict[str, Any]:
        """Its row of the store: plain values, times as microseconds, no nulls."""
        keyed, ids = self.keyed, self._list_ids()
        row = self._build_plain_row()
        row |= {ID + name: each for name, each in zip(keyed.names, ids, strict=True)}
        row |= {EVIDENCE + name: each for name, each in zip(keyed.names, keyed.codes, strict=True)}
        return row

    @property
    def line(self) -> bytes:
        """Its row as a line of the journal.

        References
        ----------
        Truth: `history.rows.write_line`.
        """
        keyed = self.keyed
        # SPEED: the JSON keys of all ids are rendered once for all orders (bench_live.py).
        return to_json(self._build_plain_row())[:-1] + _find_tail(keyed.names) % (*self._list_ids(), *keyed.codes)

    def _list_ids(self) -> list[int]:
        """Return the ids of all entities as in the store, signed."""
        ids: list[int] = self.keyed.words.view(np.int64)[:-3].tolist()
        return ids

    def _list_fields(self) -> dict[str, Any]:
        """Return the fields that are neither times nor extras, without nulls."""
        values = self._values[1:]
        fields = {name: each for name, each in zip(_PLAIN, values, strict=False) if each is not None}
        for name, text in zip(_TEXTS, values[len(_PLAIN) :], strict=True):
            if text is not None and (trimmed := text.strip(TRIMMED)):
                fields[name] = trimmed
        return fields

    def recall(self, seen_at: int) -> LiveOrder:
        """Build the order again, to be asked about; without what became of it.

        Parameters
        ----------
        seen_at : the time at which it is asked about, UTC microseconds

        References
        ----------
        Truth: `restore_order` of its row.
        """
        fields = self._list_fields()
        fields["order_id"] = self.order_name
        for name, micros in (
            ("placed_at", self.placed_us), ("buyer_registered_at", self.registered_us),
            ("updated_at", self._updated_us), ("seen_at", seen_at),
        ):  # fmt: skip
            if micros is not None:
                fields[name] = _EPOCH + timedelta(microseconds=micros)
        fields["numbers"] = {name: float(number) for name, number in self._numbers.items()}
        fields["categories"] = {name: text.strip(TRIMMED) for name, text in self._categories.items()}
        return LiveOrder(_find_blank().model_copy(update=fields), self._move(seen_at))

    def _move(self, seen_at: int) -> KeptOrder:
        """Return what is kept, as of another time."""
        moved = KeptOrder.__new__(KeptOrder)
        for name in self.__slots__:
            setattr(moved, name, getattr(self, name))
        moved.seen_at = seen_at
        return moved

    def _build_plain_row(self) -> dict[str, Any]:
        """Build the row without the ids of entities."""
        keyed = self.keyed
        row: dict[str, Any] = {
            "event": "order",
            "event_id": self.event_id,
            ORDER_ID: self.name_id,
            "order_id": self.order_name,
            "seen_at": self.seen_at,
            "happened_at": self.placed_us,
        }
        if self.registered_us is not None:
            row["buyer_registered_at"] = self.registered_us
        if self._updated_us is not None:
            row["as_of"] = self._updated_us
        row |= self._list_fields()
        for name, number in self._numbers.items():
            row[_NUMBER + name] = float(number)
        for name, text in self._categories.items():
            row[_CATEGORY + name] = text.strip(TRIMMED)
        row[PLACE_TYPE] = keyed.place_type
        return row


class LiveOrder:
    """One live order.

    Parameters
    ----------
    order : validated
    kept : what is kept of it
    outcomes : kinds of what became of it, of a known order

    Attributes
    ----------
    order_id : keyed id that it is known by, unsigned; that of its order id alone, unless another shop's order has it
    """

    __slots__ = ("kept", "keyed", "order", "order_id", "outcomes", "seen_at")

    def __init__(self, order: Order, kept: KeptOrder, outcomes: Sequence[str] = ()) -> None:
        self.order, self.kept, self.outcomes = order, kept, outcomes
        self.keyed, self.seen_at = kept.keyed, kept.seen_at
        self.order_id = kept.keyed.order_id

    @property
    def stage(self) -> Stage:
        """How far it has come."""
        return find_stage(self.order.status, self.outcomes)


@lru_cache(maxsize=64)
def _find_tail(names: tuple[str, ...]) -> bytes:
    """Render the end of a line, with placeholders for the ids and codes of these entities."""
    keys = [to_json(prefix + name).replace(b"%", b"%%") for prefix in (ID, EVIDENCE) for name in names]
    return b"," + b",".join(key + b":%d" for key in keys) + b"}\n"


class LiveOrderReader:
    """Builds live orders from validated ones; used by one thread at a time.

    Parameters
    ----------
    key : the identifier key
    """

    def __init__(self, key: Key) -> None:
        # NOT: at the top. the address tables load with the first order.
        from ordervet.entities.order_ids import OrderKeyer

        self._keyer = OrderKeyer(key)

    def read(self, order: Order, seen_at: int) -> LiveOrder:
        """Key a live order.

        Parameters
        ----------
        order : validated
        seen_at : UTC microseconds

        Raises
        ------
        ContractError
            A table could not hold the order: its id is blank, or a number is infinite.
        """
        if not order.order_id.strip(TRIMMED) or (order.numbers and not all(map(isfinite, order.numbers.values()))):
            raise ContractError("the order has a blank id or an infinite number")
        return LiveOrder(order, KeptOrder(order, self._keyer.key(order), seen_at))


def restore_order(rows: Sequence[Row], seen_at: int) -> LiveOrder:
    """Build a known order of its rows of the store, to be asked about again.

    Parameters
    ----------
    rows : all views of one order and of its later events, as plain values
    seen_at : the time at which it is asked about, UTC microseconds
    """
    from ordervet.entities.build import ENTITY_NAMES
    from ordervet.entities.order_ids import KeyedOrder

    latest: dict[int, Row] = {}
    for row in sorted(rows, key=lambda each: each.get("view") or 0):
        latest[row["event_id"]] = row
    known = next(row for row in latest.values() if row["event"] == "order")
    # NOTE: what was known before its order, and is of before it was placed, is not about it (T6).
    placed_us = floor_minute(known["happened_at"])
    outcomes = [
        row["outcome"]
        for row in latest.values()
        if row["event"] == "outcome" and (row["seen_at"] >= known["seen_at"] or row["happened_at"] >= placed_us)
    ]
    parts: dict[str, dict[str, Any]] = {part: {} for part in (_FIELD, _TIME, _NUMBER, _CATEGORY, ID, EVIDENCE, "")}
    for column, value in known.items():
        if value is not None:
            part, name = _find_part(column)
            parts[part][name] = value
    fields = parts[_FIELD]
    for name, micros in parts[_TIME].items():
        fields[name] = _EPOCH + timedelta(microseconds=micros)
    fields |= {"seen_at": _EPOCH + timedelta(microseconds=seen_at)}
    fields |= {"numbers": parts[_NUMBER], "categories": parts[_CATEGORY]}
    # SPEED: pydantic asks for every default again when it constructs a model (bench_live.py).
    order = _find_blank().model_copy(update=fields)
    ids = dict.fromkeys(ENTITY_NAMES, 0) | parts[ID]
    words = np.array([*ids.values(), 0, known[ORDER_ID], known["event_id"]], np.int64).view(np.uint64)
    evidence = parts[EVIDENCE]
    codes = [evidence.get(name, _ABSENT) for name in ids]
    keyed = KeyedOrder(tuple(ids), words, codes, parts[""].get(PLACE_TYPE, _NO_PLACE))
    return LiveOrder(order, KeptOrder(order, keyed, seen_at), outcomes)


@lru_cache(maxsize=4096)
def _find_part(column: str) -> tuple[str, str]:
    """Find what a column of a row of the store is part of, and its name there."""
    if column in _TIMES:
        return _TIME, _TIMES[column]
    if column in _FIELDS:
        return _FIELD, column
    if column == ORDER_ID:
        return "", column
    return next(((part, column.removeprefix(part)) for part in _PARTS if column.startswith(part)), ("", column))


@lru_cache(maxsize=1)
def _find_blank() -> Order:
    """Return an order of which nothing but the defaults is known."""
    return Order.model_construct(_fields_set=set(), order_id="", placed_at=_EPOCH, amount_minor=0)


def list_own_features(one: LiveOrder, spec: FeatureSpec) -> list[float]:
    """Return the features of the order itself, in the spec's order."""
    return [read(one) for read in _list_readers(spec)]


def compute_worth(one: LiveOrder, spec: FeatureSpec) -> int:
    """Return what an order is worth in minor units of the spec's currency.

    References
    ----------
    Truth: `features.events.to_worth`.
    """
    amount, rate = one.order.amount_minor, find_rate(one, spec)
    return amount if rate == 1 else int(min(floor(amount * rate + 0.5), MAX_WORTH))


def find_rate(one: LiveOrder, spec: FeatureSpec) -> float:
    """Return what a minor unit of an order's amount is worth."""
    return _find_rate(one.order.currency, spec)


@lru_cache(maxsize=512)
def _find_rate(currency: str, spec: FeatureSpec) -> float:
    return spec.find_rate(currency)


def find_mask(one: LiveOrder) -> int:
    """Return the order's selector bits."""
    mask = _ORDER | _NEW if _read_account_age_us(one) < NEW_ACCOUNT_US else _ORDER
    return mask | SHARED_PLACE_BIT if one.keyed.place_type in _SHARED_PLACES else mask


def pick_ids(one: LiveOrder, entities: tuple[str, ...]) -> NDArray[np.uint64]:
    """Return the ids of entities, shape (n_entities,); 0 is unknown."""
    return one.keyed.words[_find_places(one.keyed.names, entities)]


@lru_cache(maxsize=64)
def _find_places(names: tuple[str, ...], entities: tuple[str, ...]) -> NDArray[np.int64]:
    """Find the positions of entities in the words of a `KeyedOrder`; the word after the last id is 0."""
    return np.array([names.index(each) if each in names else len(names) for each in entities], np.int64)


@lru_cache(maxsize=8)
def _list_readers(spec: FeatureSpec) -> tuple[Read, ...]:
    """Return the readers of a spec's order columns, in its order."""
    return tuple(_find_reader(name, spec) for _, name in spec.order_columns)


def _find_reader(name: str, spec: FeatureSpec) -> Read:
    _, source, value = name.split("__", 2)
    if source == "is":
        place_type = int(PlaceType[value.upper()])
        return lambda one: _is_place_type(one.keyed.place_type, place_type)
    if source == "number":
        return lambda one: one.order.numbers.get(value, nan)
    match value:
        case "discount_share":
            return lambda one: _share(one.order.discount_minor, one.order.amount_minor)
        case "shipping_share":
            return lambda one: _share(one.order.shipping_minor, one.order.amount_minor)
        case "hour":
            return lambda one: _find_hour(one.kept.placed_us // _MINUTE_US, spec.time_zone)[0]
        case "weekday":
            return lambda one: _find_hour(one.kept.placed_us // _MINUTE_US, spec.time_zone)[1]
        case "account_age_days":
            return lambda one: _read_account_age_us(one) / _DAY_US
        case "n_unknown":
            return _count_unknown
        case "amount":
            return lambda one: compute_worth(one, spec)
        case _:
            return _find_plain_reader(value)


def _find_plain_reader(field: str) -> Read:
    def read(one: LiveOrder) -> float:
        value = one.order.__dict__[field]
        return nan if value is None else value

    return read


# SPEED: many orders share a minute, and time zones change on whole minutes (bench_live.py).
@lru_cache(maxsize=1024)
def _find_hour(minute: int, time_zone: str) -> tuple[int, int]:
    """Return the local hour and weekday of a minute, counted from 1970, UTC."""
    local = datetime.fromtimestamp(minute * 60, _zone(time_zone))
    return local.hour, local.weekday()


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _share(part: int | None, amount: int) -> float:
    return nan if part is None or amount + part == 0 else part / (amount + part)


def _read_account_age_us(one: LiveOrder) -> float:
    kept = one.kept
    return nan if kept.registered_us is None else float(kept.placed_us - kept.registered_us)


def _count_unknown(one: LiveOrder) -> int:
    """Count the people, places and things missing from the order."""
    codes: tuple[int, ...] = _find_codes(one.keyed.names)(one.keyed.codes)
    return len(codes) - codes.count(_KNOWN)


@lru_cache(maxsize=64)
def _find_codes(names: tuple[str, ...]) -> itemgetter[tuple[int, ...]]:
    """Return the getter of the evidence codes among those of a `KeyedOrder`."""
    return itemgetter(*map(names.index, EVIDENCE_ENTITIES))


def _is_place_type(known: int, place_type: int) -> float:
    return nan if known == _UNKNOWN_PLACE else float(known == place_type)
