"""The ids of one order, without a table: what `key_orders` gives for a table of one, at a hundredth of the cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from ordervet.entities import address_kernel
from ordervet.entities.address_arrays import load_tables, make_scratch
from ordervet.entities.addresses import DOOR, PLACE
from ordervet.entities.build import CANONICAL, PLAIN
from ordervet.entities.evidence import Evidence
from ordervet.entities.ids import split_subkey
from ordervet.entities.one_order_kernel import FORMS, key_one
from ordervet.entities.plain import kernel_of
from ordervet.entities.siphash_kernel import hash_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.contract import Order
    from ordervet.entities.keys import Key

__all__ = ["KeyedOrder", "OrderKeyer", "TextKeyer"]

_KNOWN, _ABSENT = int(Evidence.KNOWN), int(Evidence.ABSENT)
_EVENT_TAIL = "\x1f" * 7
"""What follows the id of an order in the text of its identity: the empty details of other events."""

_COLUMNS = tuple(CANONICAL[name][0] for name in FORMS)
_FIXED = (*FORMS, "order", "event", "phone group", f"{DOOR} group", f"{PLACE} group", *PLAIN)
"""Namespaces of texts that every order is asked for, in the order in which they are keyed."""

_FIRST_PLAIN, _FIRST_EXTRA = _FIXED.index("order"), len(_FIXED)


@dataclass(frozen=True, slots=True)
class KeyedOrder:
    """One order's ids.

    Parameters
    ----------
    order_id, event_id : keyed id and identity of the order, unsigned
    ids : entity → id, unsigned; 0 = no key
    evidence : entity → code of ``Evidence``
    place_type : code of ``PlaceType``
    """

    order_id: int
    event_id: int
    ids: dict[str, int] = field(repr=False)
    evidence: dict[str, int] = field(repr=False)
    place_type: int


class OrderKeyer:
    """Keys orders one by one; used by one thread at a time.

    Parameters
    ----------
    key : the identifier key
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._subkeys: dict[tuple[str, ...], NDArray[np.uint64]] = {}
        tables = {name: kernel_of(CANONICAL[name][1])[1:] for name in ("buyer", "phone", "recipient")}
        self._tables = (tables["buyer"][1], *tables["phone"], *tables["recipient"])
        self._codes = (np.zeros(len(FORMS), np.int8), np.zeros(len(FORMS), np.bool_))
        self._address = (load_tables(), make_scratch(), self._find_subkeys((DOOR, PLACE)))
        self._span = np.zeros(2, np.int64)
        self._pair = (np.zeros((2, 1), np.uint64), np.zeros((2, 1), np.int8), np.zeros(1, np.int8))

    def key(self, order: Order) -> KeyedOrder:
        """Give the ids of one order.

        Parameters
        ----------
        order : as the contract checked it

        References
        ----------
        Truth: `keyed.key_orders`, and `history.identity.identify` for the event id.
        """
        extras = {**order.entities, **order.categories}
        hashed = self._hash((*_FIXED, *extras), self._list_texts(order, extras))
        codes, is_hard = self._codes
        ids = dict(zip(FORMS, hashed, strict=False))
        evidence = dict(zip(FORMS, codes.tolist(), strict=True))
        if is_hard.any():
            self._key_hard(order, ids, evidence)
        order_id, event_id, phone_group, door_group, place_group, *rest = hashed[_FIRST_PLAIN:]
        for name, each in zip((*PLAIN, *extras), rest, strict=True):
            ids[name], evidence[name] = each, _KNOWN if each else _ABSENT
        doors, places, place_type = self._key_address(order.address)
        ids[DOOR], evidence[DOOR] = _prefer(_group(door_group), doors)
        ids[PLACE], evidence[PLACE] = _prefer(places, _group(place_group))
        ids["phone"], evidence["phone"] = _prefer(_group(phone_group), (ids["phone"], evidence["phone"]))
        return KeyedOrder(order_id, event_id, ids, evidence, place_type)

    def _list_texts(self, order: Order, extras: dict[str, str]) -> list[str]:
        order_id, group = _trim(order.order_id), _trim(order.address_group)
        texts = [_trim(getattr(order, column)) for column in _COLUMNS]
        texts += [order_id, f"order\x1f{order_id}{_EVENT_TAIL}", _trim(order.phone_group), group, group]
        texts += [_trim(getattr(order, column)) for column in PLAIN.values()]
        return texts + [_trim(text) for text in extras.values()]

    def _key_hard(self, order: Order, ids: dict[str, int], evidence: dict[str, int]) -> None:
        """Key what the kernel leaves to the definitions."""
        for name in np.array(FORMS)[self._codes[1]].tolist():
            column, canonicalise = CANONICAL[name]
            form = canonicalise(_trim(getattr(order, column)))
            text = np.frombuffer(form.text.encode(), np.uint8)
            ids[name] = int(hash_bytes(text, 0, len(text), *split_subkey(self._key, name))) if len(text) else 0
            evidence[name] = int(form.evidence)

    def _key_address(self, address: str | None) -> tuple[tuple[int, int], tuple[int, int], int]:
        text = _trim(address).encode()
        if not text:
            return (0, _ABSENT), (0, _ABSENT), 0
        ids, evidence, place_types = self._pair
        tables, scratch, subkeys = self._address
        self._span[1] = len(text)
        data = np.frombuffer(text, np.uint8)
        address_kernel.key_addresses(data, self._span, tables, scratch, subkeys, ids, evidence, place_types)
        return (ids.item(0), evidence.item(0)), (ids.item(1), evidence.item(1)), place_types.item(0)

    def _hash(self, namespaces: tuple[str, ...], texts: list[str]) -> list[int]:
        encoded = [text.encode() for text in texts]
        offsets = np.array([0, *accumulate(map(len, encoded))], np.int64)
        ids = np.empty(len(encoded), np.uint64)
        data = np.frombuffer(b"".join(encoded), np.uint8)
        suspects, placeholders, in_name = self._tables
        evidence, is_hard = self._codes
        key_one(
            data, offsets, self._find_subkeys(namespaces), suspects, placeholders, in_name, ids, evidence, is_hard
        )  # fmt: skip
        return ids.tolist()

    def _find_subkeys(self, namespaces: tuple[str, ...]) -> NDArray[np.uint64]:
        """Give the sub-keys of namespaces, shape (n, 2), worked out once."""
        found = self._subkeys.get(namespaces)
        if found is None:
            found = np.array([split_subkey(self._key, name) for name in namespaces], np.uint64)
            self._subkeys[namespaces] = found
        return found


class TextKeyer:
    """Keys a few texts of fixed namespaces, again and again.

    Parameters
    ----------
    key : the identifier key
    namespaces : of the texts
    """

    def __init__(self, key: Key, namespaces: tuple[str, ...]) -> None:
        self._subkeys = [split_subkey(key, name) for name in namespaces]

    def key(self, texts: list[str]) -> list[int]:
        """Give the ids of texts, one per namespace, unsigned; 0 of an empty text.

        References
        ----------
        Truth: `ids.hash_text`.
        """
        return [
            int(hash_bytes(np.frombuffer(data, np.uint8), 0, len(data), *subkey)) if data else 0
            for data, subkey in zip(map(str.encode, texts), self._subkeys, strict=True)
        ]


def _trim(text: str | None) -> str:
    """Trim as a table's column is trimmed."""
    return text.strip() if text else ""


def _group(group: int) -> tuple[int, int]:
    return group, _KNOWN if group else _ABSENT


def _prefer(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    """Take the first where it has a key; where neither has, tell why the more telling one has not."""
    if first[0]:
        return first
    return second[0], first[1] if second[1] == _ABSENT else second[1]
