"""One order on its way: checked, keyed, as a row of the store, as a table of one, and as arrays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic_core import to_json

from ordervet.contract import Order
from ordervet.contract.fields import fields_of
from ordervet.entities.keyed import EVIDENCE, ID, ORDER_ID, PLACE_TYPE, keyed_schema
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from ordervet.entities import Key
    from ordervet.entities.one_order import KeyedOrder

__all__ = ["KeptOrder", "OneOrder", "OneOrderReader", "split_repeats"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIGN, _WRAP = 1 << 63, 1 << 64

_KEPT = tuple(field for field in fields_of(Order) if not field.is_personal and not field.is_extras)
_TEXTS = tuple(field.name for field in _KEPT if field.kind == "text" and field.name != "order_id")
_PLAIN = tuple(
    field.name
    for field in _KEPT
    if field.kind not in ("text", "instant") and field.name not in ("placed_at", "seen_at")
)
_read_kept = itemgetter("order_id", *_PLAIN, *_TEXTS)


class KeptOrder:
    """What is kept of one order: all but what is personal.

    Parameters
    ----------
    order : as the contract checked it; not held
    keyed : its ids
    seen_at : instant of its arrival, UTC microseconds
    """

    __slots__ = ("_categories", "_numbers", "_values", "keyed", "placed_us", "registered_us", "seen_at")

    def __init__(self, order: Order, keyed: KeyedOrder, seen_at: int) -> None:
        self.keyed, self.seen_at = keyed, seen_at
        self.placed_us = (order.placed_at - _EPOCH) // _MICROSECOND
        registered_at = order.buyer_registered_at
        self.registered_us = None if registered_at is None else (registered_at - _EPOCH) // _MICROSECOND
        self._values: tuple[Any, ...] = _read_kept(order.__dict__)
        self._numbers, self._categories = order.numbers, order.categories

    @property
    def event_id(self) -> int:
        """Its identity as the store has it."""
        return _sign(self.keyed.event_id)

    @property
    def row(self) -> dict[str, Any]:
        """Its row of the store: plain values, instants as microseconds, nothing that is null."""
        keyed, ids = self.keyed, self._list_ids()
        row = self._build_told()
        row |= {ID + name: each for name, each in zip(keyed.names, ids, strict=True)}
        row |= {EVIDENCE + name: each for name, each in zip(keyed.names, keyed.codes, strict=True)}
        return row

    @property
    def line(self) -> bytes:
        """Its row as a line of the journal.

        References
        ----------
        Truth: `history.lines.write_line`.
        """
        keyed = self.keyed
        # SPEED: the keys of all ids are written once for all orders (bench_live.py).
        return to_json(self._build_told())[:-1] + _find_tail(keyed.names) % (*self._list_ids(), *keyed.codes)

    @property
    def table(self) -> pa.Table:
        """The keyed orders table of this one order."""
        keyed = self.keyed
        row = self.row
        row |= {"placed_at": row["happened_at"], ORDER_ID: keyed.order_id}
        row |= {ID + name: each for name, each in keyed.ids.items()}
        schema = _find_schema(tuple(name for name in row if "__" in name))
        # SPEED: one array of structs, not one array per column (bench_live.py).
        rows = pa.array([row], pa.struct(list(schema)))
        return pa.Table.from_batches([pa.RecordBatch.from_struct_array(rows)], schema)

    def _list_ids(self) -> list[int]:
        """Give the ids of all entities as the store has them, signed."""
        ids: list[int] = self.keyed.words.view(np.int64)[:-3].tolist()
        return ids

    def _build_told(self) -> dict[str, Any]:
        """Build the row without the ids of entities."""
        keyed = self.keyed
        order_id, *values = self._values
        row: dict[str, Any] = {
            "event": "order",
            "event_id": self.event_id,
            ORDER_ID: _sign(keyed.order_id),
            "order_id": order_id.strip(),
            "seen_at": self.seen_at,
            "happened_at": self.placed_us,
        }
        if self.registered_us is not None:
            row["buyer_registered_at"] = self.registered_us
        row |= {name: each for name, each in zip(_PLAIN, values, strict=False) if each is not None}
        for name, text in zip(_TEXTS, values[len(_PLAIN) :], strict=True):
            if text is not None and (trimmed := text.strip()):
                row[name] = trimmed
        for name, number in self._numbers.items():
            row[f"number__{name}"] = float(number)
        for name, text in self._categories.items():
            row[f"category__{name}"] = text.strip()
        row[PLACE_TYPE] = keyed.place_type
        return row


class OneOrder:
    """One order that arrives.

    Parameters
    ----------
    order : as the contract checked it
    kept : what is kept of it
    """

    __slots__ = ("kept", "keyed", "order", "seen_at")

    def __init__(self, order: Order, kept: KeptOrder) -> None:
        self.order, self.kept = order, kept
        self.keyed, self.seen_at = kept.keyed, kept.seen_at


@lru_cache(maxsize=64)
def _find_tail(names: tuple[str, ...]) -> bytes:
    """Write the end of a line with signs in place of the ids and codes of these entities."""
    keys = [to_json(prefix + name).replace(b"%", b"%%") for prefix in (ID, EVIDENCE) for name in names]
    return b"," + b",".join(key + b":%d" for key in keys) + b"}\n"


@lru_cache(maxsize=64)
def _find_schema(column_names: tuple[str, ...]) -> pa.Schema:
    return keyed_schema("orders", column_names)


class OneOrderReader:
    """Makes `OneOrder` of checked orders; used by one thread at a time.

    Parameters
    ----------
    key : the identifier key
    """

    def __init__(self, key: Key) -> None:
        # NOT: at the top. numba and the tables of addresses load when the first order comes.
        from ordervet.entities.one_order import OrderKeyer

        self._keyer = OrderKeyer(key)

    def read(self, order: Order, seen_at: int) -> OneOrder:
        """Key an order that arrives.

        Parameters
        ----------
        order : as the contract checked it
        seen_at : UTC microseconds

        Raises
        ------
        ContractError
            A table would not hold the order: its id is blank, or a number is infinite.
        """
        if not order.order_id.strip() or (order.numbers and not all(map(isfinite, order.numbers.values()))):
            raise ContractError("the order has a blank id or an infinite number")
        return OneOrder(order, KeptOrder(order, self._keyer.key(order), seen_at))


def split_repeats(orders: dict[int, Order]) -> list[dict[int, Order]]:
    """Cut orders wherever an id comes again, so that each part has it once.

    Parameters
    ----------
    orders : by their place in a list, in its order
    """
    parts: list[dict[int, Order]] = []
    seen: set[str] = set()
    for row, order in orders.items():
        if not parts or order.order_id in seen:
            parts.append({})
            seen = set()
        parts[-1][row] = order
        seen.add(order.order_id)
    return parts


def _sign(value: int) -> int:
    """Give the int64 of the same bits."""
    return value - _WRAP if value >= _SIGN else value
