"""One order as the arrays that features are made of, without a table."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from math import nan
from operator import itemgetter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from ordervet.entities import Evidence, PlaceType
from ordervet.features import OrderEvents
from ordervet.features.events import NEW_ACCOUNT_US, SHARED_PLACE_BIT, SHARED_PLACES
from ordervet.features.spec import EVIDENCE_ENTITIES, SELECTOR_BIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.score.one_order import OneOrder

    #: Gives one own feature of an order.
    Read = Callable[[OneOrder], float]

__all__ = ["build_one_event", "find_mask", "list_own_features", "pick_ids"]

_DAY_US, _MINUTE_US = 86_400_000_000, 60_000_000
_KNOWN, _ABSENT, _UNKNOWN_PLACE = int(Evidence.KNOWN), int(Evidence.ABSENT), int(PlaceType.UNKNOWN)
# SPEED: plain integers; members of an enumeration compare slowly (bench_live.py).
_SHARED_PLACES = frozenset(map(int, SHARED_PLACES))
_ORDER, _NEW = SELECTOR_BIT["order"], SELECTOR_BIT["new_account"]


def build_one_event(one: OneOrder, spec: FeatureSpec) -> OrderEvents:
    """Turn one order into the arrays that features are made of.

    Parameters
    ----------
    one : the order
    spec : names the entities and order columns to build

    References
    ----------
    Truth: `features.build_order_events`.
    """
    ids, codes, entities = one.keyed.ids, one.keyed.evidence, spec.entities
    return OrderEvents(
        order_id=np.array([one.keyed.order_id], np.uint64),
        seen_at=np.array([one.seen_at], np.int64),
        amount_minor=np.array([one.order.amount_minor], np.int64),
        ids={name: np.array([ids.get(name, 0)], np.uint64) for name in entities},
        own=np.array([list_own_features(one, spec)], np.float32).reshape(1, len(spec.order_columns)),
        evidence={name: np.array([codes.get(name, _ABSENT)], np.int8) for name in entities},
        mask=np.array([find_mask(one)], np.int64),
    )


def list_own_features(one: OneOrder, spec: FeatureSpec) -> list[float]:
    """Give the features of the order itself, in the spec's order."""
    return [read(one) for read in _list_readers(spec)]


def find_mask(one: OneOrder) -> int:
    """Give the order's selector bits."""
    mask = _ORDER | _NEW if _read_account_age_us(one) < NEW_ACCOUNT_US else _ORDER
    return mask | SHARED_PLACE_BIT if one.keyed.place_type in _SHARED_PLACES else mask


def pick_ids(one: OneOrder, entities: tuple[str, ...]) -> NDArray[np.uint64]:
    """Give the ids of entities, shape (n_entities,); 0 is not known."""
    return one.keyed.words[_find_places(one.keyed.names, entities)]


@lru_cache(maxsize=64)
def _find_places(names: tuple[str, ...], entities: tuple[str, ...]) -> NDArray[np.int64]:
    """Find entities among the words of a `KeyedOrder`; behind the last id there is a 0."""
    return np.array([names.index(each) if each in names else len(names) for each in entities], np.int64)


@lru_cache(maxsize=8)
def _list_readers(spec: FeatureSpec) -> tuple[Read, ...]:
    """Give the readers of a spec's order columns, in its order."""
    return tuple(_find_reader(name, spec.time_zone) for _, name in spec.order_columns)


def _find_reader(name: str, time_zone: str) -> Read:
    _, source, value = name.split("__", 2)
    if source == "is":
        place_type = int(PlaceType[value.upper()])
        return lambda one: _tell_place_type(one.keyed.place_type, place_type)
    if source == "number":
        return lambda one: one.order.numbers.get(value, nan)
    match value:
        case "discount_share":
            return lambda one: _share(one.order.discount_minor, one.order.amount_minor)
        case "shipping_share":
            return lambda one: _share(one.order.shipping_minor, one.order.amount_minor)
        case "hour":
            return lambda one: _find_hour(one.kept.placed_us // _MINUTE_US, time_zone)[0]
        case "weekday":
            return lambda one: _find_hour(one.kept.placed_us // _MINUTE_US, time_zone)[1]
        case "account_age_days":
            return lambda one: _read_account_age_us(one) / _DAY_US
        case "n_unknown":
            return _count_unknown
        case _:
            return _find_plain_reader("amount_minor" if value == "amount" else value)


def _find_plain_reader(field: str) -> Read:
    def read(one: OneOrder) -> float:
        value = one.order.__dict__[field]
        return nan if value is None else value

    return read


# SPEED: orders come many to a minute, and from one minute to the next no clock is set (bench_live.py).
@lru_cache(maxsize=1024)
def _find_hour(minute: int, time_zone: str) -> tuple[int, int]:
    """Give the hour and weekday of a minute, counted from 1970, UTC."""
    local = datetime.fromtimestamp(minute * 60, _zone(time_zone))
    return local.hour, local.weekday()


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _share(part: int | None, amount: int) -> float:
    return nan if part is None or amount + part == 0 else part / (amount + part)


def _read_account_age_us(one: OneOrder) -> float:
    kept = one.kept
    return nan if kept.registered_us is None else float(kept.placed_us - kept.registered_us)


def _count_unknown(one: OneOrder) -> int:
    """Count the people, places and things that the order does not tell."""
    codes: tuple[int, ...] = _find_codes(one.keyed.names)(one.keyed.codes)
    return len(codes) - codes.count(_KNOWN)


@lru_cache(maxsize=64)
def _find_codes(names: tuple[str, ...]) -> itemgetter[tuple[int, ...]]:
    """Make what picks the codes of evidence from those of a `KeyedOrder`."""
    return itemgetter(*map(names.index, EVIDENCE_ENTITIES))


def _tell_place_type(known: int, place_type: int) -> float:
    return nan if known == _UNKNOWN_PLACE else float(known == place_type)
