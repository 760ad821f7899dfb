"""From orders to the ids of everything involved in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from ordervet.entities.ids import hash_texts
from ordervet.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.entities.buffers import TextColumn
    from ordervet.entities.keys import Key

__all__ = ["ENTITY_NAMES", "Entities", "Evidence", "build_entities", "order_ids"]

_COLUMN_OF: Final = {
    "buyer": "buyer_id",
    "device": "device_id",
    "ip": "ip",
    "payment": "payment_account",
    "recipient": "recipient",
    "item": "item_id",
    "category": "category",
    "shop": "shop_id",
    "channel": "channel",
}
_EXTRA_PREFIXES: Final = ("entity__", "category__")

ENTITY_NAMES: Final = ("address", "place", "phone", *_COLUMN_OF)
"""The built-in entities, which every ``Entities`` has."""


class Evidence(IntEnum):
    """Why an order has, or has not, a key for an entity."""

    KNOWN = 0
    ABSENT = 1
    MASKED = 2
    UNUSABLE = 3


@dataclass(frozen=True, slots=True)
class Entities:
    """Keyed ids of who and what each order involves.

    Parameters
    ----------
    ids : entity name → shape (n_orders,), uint64, contiguous; 0 = no key
    evidence : entity name → shape (n_orders,), int8 codes of ``Evidence``; 0 exactly where there is a key
    place_type : shape (n_orders,), int8 codes of the kind of place
    key_id : which key made the ids
    """

    ids: dict[str, NDArray[np.uint64]] = field(repr=False)
    evidence: dict[str, NDArray[np.int8]] = field(repr=False)
    place_type: NDArray[np.int8] = field(repr=False)
    key_id: str

    def __len__(self) -> int:
        return len(self.place_type)


def build_entities(orders: pa.Table, key: Key) -> Entities:
    """Turn the personal columns of orders into keyed ids.

    A platform's own equality group (``address_group``, ``phone_group``), where present, takes the place of the text:
    the platform knows more than a masked text shows.

    Parameters
    ----------
    orders : n_orders rows in the contract's columns; any of the personal ones may be missing
    key : the identifier key

    Returns
    -------
    ids, evidence and place types of the orders, row by row

    Raises
    ------
    ContractError
        A mapped extra bears the name of another entity.
    """
    _check_extras(orders.column_names)
    ids, evidence = {}, {}
    for name, column in [*_COLUMN_OF.items(), *_extras(orders.column_names).items()]:
        ids[name], evidence[name] = _build_plain(orders, column, key, name)
    ids["phone"], evidence["phone"] = _build_grouped(orders, "phone", key, "phone")
    ids["address"], evidence["address"] = _build_grouped(orders, "address", key, "address")
    ids["place"], evidence["place"] = ids["address"], evidence["address"]
    return Entities(ids, evidence, np.zeros(len(orders), dtype=np.int8), key.key_id)


def order_ids(column: TextColumn, key: Key) -> NDArray[np.uint64]:
    """Turn order ids into keyed 64-bit ids, for joins.

    Parameters
    ----------
    column : shape (n_rows,), texts
    key : the identifier key

    Returns
    -------
    shape (n_rows,), uint64; 0 for a null
    """
    return hash_texts(column, key, "order")


def _build_plain(
    orders: pa.Table, column: str, key: Key, namespace: str
) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    if column not in orders.column_names:
        n_orders = len(orders)
        return np.zeros(n_orders, dtype=np.uint64), np.full(n_orders, Evidence.ABSENT, dtype=np.int8)
    ids = hash_texts(pc.utf8_trim_whitespace(orders[column]), key, namespace)
    return ids, np.where(ids == 0, np.int8(Evidence.ABSENT), np.int8(Evidence.KNOWN))


def _build_grouped(orders: pa.Table, column: str, key: Key, name: str) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    ids, evidence = _build_plain(orders, column, key, name)
    groups, group_evidence = _build_plain(orders, f"{column}_group", key, f"{name} group")
    has_group = group_evidence == Evidence.KNOWN
    return np.where(has_group, groups, ids), np.where(has_group, group_evidence, evidence)


def _extras(column_names: list[str]) -> dict[str, str]:
    return {
        column.removeprefix(prefix): column
        for prefix in _EXTRA_PREFIXES
        for column in column_names
        if column.startswith(prefix)
    }


def _check_extras(column_names: list[str]) -> None:
    names = [column.split("__", 1)[1] for column in column_names if column.startswith(_EXTRA_PREFIXES)]
    taken = sorted({name for name in names if name in ENTITY_NAMES or names.count(name) > 1})
    if taken:
        raise ContractError(
            f"{len(taken)} of {len(names)} mapped entities bear a name that is taken: {', '.join(taken)}",
            hint="give each mapped entity a name of its own in the mapping",
        )
