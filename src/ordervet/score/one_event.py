"""One order as the arrays that features are made of, without a table."""

from __future__ import annotations

from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from ordervet.entities import Evidence, PlaceType
from ordervet.features import OrderEvents
from ordervet.features.events import NEW_ACCOUNT_US, SHARED_PLACE_BIT, SHARED_PLACES
from ordervet.features.spec import EVIDENCE_ENTITIES, SELECTOR_BIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.features import FeatureSpec
    from ordervet.score.one_order import OneOrder

    #: Gives one own feature of an order.
    Read = Callable[[OneOrder], float]

__all__ = ["build_one_event"]

_DAY_US = 86_400_000_000
_ABSENT = int(Evidence.ABSENT)
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
    keyed, entities = one.keyed, spec.entities
    ids = np.array([keyed.ids.get(name, 0) for name in entities], np.uint64)
    evidence = np.array([keyed.evidence.get(name, _ABSENT) for name in entities], np.int8)
    own = np.array([[read(one) for read in _list_readers(spec)]], np.float32)
    return OrderEvents(
        order_id=np.array([keyed.order_id], np.uint64),
        seen_at=np.array([one.seen_at], np.int64),
        amount_minor=np.array([one.order.amount_minor], np.int64),
        ids={name: ids[at : at + 1] for at, name in enumerate(entities)},
        own=own.reshape(1, len(spec.order_columns)),
        evidence={name: evidence[at : at + 1] for at, name in enumerate(entities)},
        mask=np.array([_mask(one)], np.int64),
    )


def _mask(one: OneOrder) -> int:
    mask = _ORDER | _NEW if _read_account_age_us(one) < NEW_ACCOUNT_US else _ORDER
    return mask | SHARED_PLACE_BIT if one.keyed.place_type in SHARED_PLACES else mask


@lru_cache(maxsize=8)
def _list_readers(spec: FeatureSpec) -> tuple[Read, ...]:
    """Give the readers of a spec's order columns, in its order."""
    return tuple(_find_reader(name, spec.time_zone) for _, name in spec.order_columns)


def _find_reader(name: str, time_zone: str) -> Read:
    _, source, value = name.split("__", 2)
    if source == "is":
        place_type = int(PlaceType[value.upper()])
        return lambda one: _tell_place_type(one, place_type)
    if source == "number":
        return lambda one: one.order.numbers.get(value, nan)
    match value:
        case "discount_share":
            return lambda one: _share(one.order.discount_minor, one.order.amount_minor)
        case "shipping_share":
            return lambda one: _share(one.order.shipping_minor, one.order.amount_minor)
        case "hour":
            return lambda one: one.order.placed_at.astimezone(_zone(time_zone)).hour
        case "weekday":
            return lambda one: one.order.placed_at.astimezone(_zone(time_zone)).weekday()
        case "account_age_days":
            return lambda one: _read_account_age_us(one) / _DAY_US
        case "n_unknown":
            return lambda one: sum(not one.keyed.ids.get(name) for name in EVIDENCE_ENTITIES)
        case "amount":
            return lambda one: one.order.amount_minor
        case _:
            return lambda one: _read_plain(one.order, value)


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _share(part: int | None, amount: int) -> float:
    return nan if part is None or amount + part == 0 else part / (amount + part)


def _read_plain(order: Any, name: str) -> float:  # noqa: ANN401 - of an Order, any of whose numbers may be asked for
    value = getattr(order, name)
    return nan if value is None else float(value)


def _read_account_age_us(one: OneOrder) -> float:
    registered_at = one.row.get("buyer_registered_at")
    return nan if registered_at is None else float(one.row["happened_at"] - registered_at)


def _tell_place_type(one: OneOrder, place_type: int) -> float:
    known = one.keyed.place_type
    return nan if known == PlaceType.UNKNOWN else float(known == place_type)
