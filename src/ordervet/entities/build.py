"""From orders to the ids of everything involved in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet.entities.address.address_columns import DOOR, PLACE, SKELETON, key_addresses, key_skeletons
from ordervet.entities.evidence import Evidence
from ordervet.entities.identities import (
    canonical_buyer,
    canonical_device,
    canonical_ip,
    canonical_network,
    canonical_payment,
    canonical_plain,
    canonical_recipient,
)
from ordervet.entities.ids import hash_texts
from ordervet.entities.phones import IN_ADDRESS, canonical_phone, find_phone, is_foreign
from ordervet.entities.plain import key_texts, key_texts_slowly
from ordervet.errors import ContractError
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ordervet.entities.buffers import TextColumn
    from ordervet.entities.evidence import Canonical
    from ordervet.entities.keys import Key
    from ordervet.entities.plain import Canonicalise

    Keyed = tuple[NDArray[np.uint64], NDArray[np.int8]]

__all__ = ["ENTITY_NAMES", "Entities", "Evidence", "build_entities", "order_ids"]

CANONICAL: Final[dict[str, tuple[str, Canonicalise]]] = {
    "buyer": ("buyer_id", canonical_buyer),
    "phone": ("phone", canonical_phone),
    "device": ("device_id", canonical_device),
    "ip": ("ip", canonical_ip),
    "network": ("ip", canonical_network),
    "payment": ("payment_account", canonical_payment),
    "recipient": ("recipient", canonical_recipient),
}
"""Entities whose text is brought to one form: name → column, function."""

PLAIN: Final = {
    "item": "item_id",
    "category": "category",
    "shop": "shop_id",
    "channel": "channel",
    "campaign": "campaign",
}
"""Entities whose text is taken as it is, unless it means nothing: name → column."""

_SEPARATOR: Final = "\x1f"
_EXTRA_PREFIXES: Final = ("entity__", "category__")

ENTITY_NAMES: Final = (DOOR, PLACE, *CANONICAL, *PLAIN)
"""The built-in entities, which every ``Entities`` has; ``network`` is the /24 or /48 of the ip."""


@dataclass(frozen=True, slots=True)
class Entities:
    """Keyed ids of who and what each order involves.

    Parameters
    ----------
    ids : entity name → shape (n_orders,), uint64, contiguous; 0 = no key
    evidence : entity name → shape (n_orders,), int8 codes of ``Evidence``; KNOWN exactly where there is a key
    place_type : shape (n_orders,), int8 codes of ``PlaceType``
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
    the platform knows more than a masked text shows. The place still comes from the text where that names one.

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
    keyed: dict[str, Keyed] = {}
    place_type = _key_places(orders, key, keyed)
    for name, (column, canonicalise) in CANONICAL.items():
        keyed[name] = _key_canonical(orders, column, canonicalise, key, name)
    for name, column in [*PLAIN.items(), *_extras(orders.column_names).items()]:
        keyed[name] = _key_plain(orders, column, key, name)
    if (column := f"entity__{SKELETON}") in orders.column_names:
        keyed[SKELETON] = _key_values(orders[column], lambda texts: key_skeletons(_trim(texts), key))
    phones = _prefer(_key_plain(orders, "phone_group", key, "phone group"), _key_phones(orders, key, *keyed["phone"]))
    keyed["phone"] = _find_phones(orders, key, *phones)
    ids = {name: those for name, (those, _) in keyed.items()}
    evidence = {name: those for name, (_, those) in keyed.items()}
    return Entities(ids, evidence, place_type, key.key_id)


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


def _key_places(orders: pa.Table, key: Key, keyed: dict[str, Keyed]) -> NDArray[np.int8]:
    groups = _key_plain(orders, "address_group", key, f"{DOOR} group")
    place_groups = _key_plain(orders, "address_group", key, f"{PLACE} group")
    if "address" not in orders.column_names:
        keyed[DOOR], keyed[PLACE] = groups, place_groups
        return np.zeros(len(orders), dtype=np.int8)
    addresses = key_addresses(_trim(orders["address"]), key)
    keyed[DOOR] = _prefer(groups, (addresses.doors, addresses.door_evidence))
    keyed[PLACE] = _prefer((addresses.places, addresses.place_evidence), place_groups)
    return addresses.place_types


def _key_phones(orders: pa.Table, key: Key, ids: NDArray[np.uint64], evidence: NDArray[np.int8]) -> Keyed:
    """Key again the phones of orders that say they are from abroad: each country has numbers of its own."""
    if not {"phone", "country"} <= set(orders.column_names) or orders["country"].null_count == len(orders):
        return ids, evidence
    written = orders["country"].cast(pa.large_string())
    countries = pc.unique(written).drop_null()
    abroad = countries.filter(pa.array([is_foreign(country) for country in countries.to_pylist()], pa.bool_()))
    rows = np.flatnonzero(pc.is_in(written, abroad))
    texts = (orders[name].take(pa.array(rows)).cast(pa.large_string()) for name in ("country", "phone"))
    joined = pc.binary_join_element_wise(*texts, pa.scalar(_SEPARATOR, pa.large_string()))

    def canonicalise(text: str | None) -> Canonical:
        country, _, phone = (text or "").partition(_SEPARATOR)
        return canonical_phone(phone, country)

    ids, evidence = ids.copy(), evidence.copy()
    ids[rows], evidence[rows] = key_texts_slowly(joined, canonicalise, key, "phone")
    return ids, evidence


def _find_phones(orders: pa.Table, key: Key, ids: NDArray[np.uint64], evidence: NDArray[np.int8]) -> Keyed:
    """Read the phones of orders that give none of their own in their addresses."""
    if "address" not in orders.column_names or not (evidence == Evidence.ABSENT).any():
        return ids, evidence
    lacking = np.flatnonzero(evidence == Evidence.ABSENT)
    addresses = orders["address"].take(pa.array(lacking)).cast(pa.large_string())
    may_have = np.asarray(pc.fill_null(pc.match_substring_regex(addresses, IN_ADDRESS), fill_value=False))
    rows, addresses = lacking[may_have], addresses.filter(pa.array(may_have))
    ids, evidence = ids.copy(), evidence.copy()
    ids[rows], evidence[rows] = key_texts_slowly(addresses, find_phone, key, "phone")
    return ids, evidence


def _key_plain(orders: pa.Table, column: str, key: Key, namespace: str) -> Keyed:
    if column not in orders.column_names:
        return _absent(len(orders))
    return _key_values(orders[column], lambda texts: key_texts(_trim(texts), canonical_plain, key, namespace))


def _key_canonical(orders: pa.Table, column: str, canonicalise: Canonicalise, key: Key, namespace: str) -> Keyed:
    if column not in orders.column_names:
        return _absent(len(orders))
    return _key_values(orders[column], lambda texts: key_texts(texts, canonicalise, key, namespace))


def _key_values(column: pa.ChunkedArray[Any], run: Callable[[TextColumn], Keyed]) -> Keyed:
    """Key a column; one that is encoded by a small dictionary, once per value of the dictionary."""
    coded = column.chunk(0) if column.num_chunks == 1 and pa.types.is_dictionary(column.type) else None
    if coded is None or len(coded.dictionary) > len(coded) or coded.dictionary.null_count:
        return run(column)
    ids, evidence = run(coded.dictionary)
    which = pc.fill_null(coded.indices.cast(pa.int64()), len(ids)).to_numpy()
    return np.append(ids, np.uint64(0))[which], np.append(evidence, np.int8(Evidence.ABSENT))[which]


def _prefer(first: Keyed, second: Keyed) -> Keyed:
    """Take the first where it has a key; where neither has, tell why the more telling one has not."""
    has_first = first[0] != 0
    evidence = np.where(second[1] == Evidence.ABSENT, first[1], second[1])
    return np.where(has_first, first[0], second[0]), np.where(has_first, first[1], evidence)


def _absent(n_orders: int) -> Keyed:
    return np.zeros(n_orders, dtype=np.uint64), np.full(n_orders, Evidence.ABSENT, dtype=np.int8)


def _trim(column: TextColumn) -> Any:
    from ordervet.contract.columns import measure_texts

    chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1 else column
    if chunk.type == pa.string() and isinstance(chunk, pa.Array) and not measure_texts(chunk)[0]:
        return chunk  # SPEED: what comes from the contract is trimmed (bench_path.py)
    return pc.utf8_trim_whitespace(column.cast(pa.large_string()))


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
