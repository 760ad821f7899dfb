"""Which orders hang together: those that share a buyer, an address, a phone, a device, a payment account or a network.

Nobody is named. Whom orders share is shown by a pseudonym, a short code of the keyed id: the same for the same key and
thing, and of no use to whoever lacks the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.words import format_text

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.words import Lang

LINKING: Final = {"buyer": "B", "address": "A", "phone": "P", "device": "D", "payment": "Y", "ip": "N"}
"""Entities that link orders, with the letter of their pseudonyms. Names and buildings are shared by strangers, items by
everyone."""

N_NEWEST: Final = 12
"""Orders of a group that are kept; the others are counted."""

_SIGNS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_N_SIGNS, _BITS = 7, 5


@dataclass(frozen=True, slots=True)
class LinkGroup:
    """Orders that share something.

    Parameters
    ----------
    names : what they share, as (entity, pseudonym); several where the same orders share several things
    rows : rows of the newest orders, the newest first
    n_orders : orders in all, at least two
    n_buyers : different buyers among them; those that are not known do not count
    """

    names: tuple[tuple[str, str], ...]
    rows: tuple[int, ...]
    n_orders: int
    n_buyers: int


@dataclass(frozen=True, slots=True)
class Links:
    """Groups of orders, and which of them each order belongs to.

    Parameters
    ----------
    groups : the groups
    of_row : row of an order → positions in `groups`, in the order of `LINKING`
    """

    groups: tuple[LinkGroup, ...]
    of_row: dict[int, tuple[int, ...]]


def pseudonym(entity: str, keyed_id: int) -> str:
    """Return the short code of a keyed id: the entity's letter and the first 35 bits, such as ``B-7K2F9QX``."""
    top = keyed_id >> (64 - _N_SIGNS * _BITS)
    characters = [_SIGNS[(top >> (_BITS * place)) & 31] for place in reversed(range(_N_SIGNS))]
    return f"{LINKING[entity]}-{''.join(characters)}"


def name_key(entity: str, code: str, lang: Lang) -> str:
    """Return the name of a key as the desk reads it, such as ``phone P-7K2F9QX``."""
    return f"{format_text(f'entities.{entity}', lang)} {code}"


def find_links(orders: pa.Table, rows: NDArray[np.int64], *, n_newest: int = N_NEWEST) -> Links:
    """Find what some orders share with others.

    Parameters
    ----------
    orders : shape (n_orders, n_columns), keyed
    rows : shape (n_rows,), the orders to find links of
    n_newest : orders of a group that are kept

    Returns
    -------
    the groups of two orders or more that any of `rows` belongs to; those with the same orders are one
    """
    buyers = _read_ids(orders, "buyer")
    newest_first = np.argsort(-orders["placed_at"].to_numpy().astype(np.int64), kind="stable")
    names: dict[bytes, list[tuple[str, str]]] = {}
    members: dict[bytes, NDArray[np.int64]] = {}
    for entity in LINKING:
        ids = _read_ids(orders, entity)
        for keyed_id, group in _split_groups(ids, rows, newest_first):
            same = group.tobytes()
            members[same] = group
            names.setdefault(same, []).append((entity, pseudonym(entity, keyed_id)))
    groups = tuple(
        LinkGroup(tuple(names[same]), tuple(group[:n_newest].tolist()), len(group), _count_buyers(buyers[group]))
        for same, group in members.items()
    )
    return Links(groups, _index_groups(list(members.values()), rows))


def _read_ids(orders: pa.Table, entity: str) -> NDArray[np.uint64]:
    column = f"id__{entity}"
    if column not in orders.column_names:
        return np.zeros(orders.num_rows, np.uint64)
    return orders[column].to_numpy()  # type: ignore[no-any-return]


def _split_groups(
    ids: NDArray[np.uint64], rows: NDArray[np.int64], newest_first: NDArray[np.int64]
) -> list[tuple[int, NDArray[np.int64]]]:
    """Return the rows of every id that any of some rows has and that is not alone, newest first."""
    asked = np.unique(ids[rows])
    candidates = newest_first[np.isin(ids[newest_first], asked[asked != 0])]
    by_id = candidates[np.argsort(ids[candidates], kind="stable")]
    found, starts = np.unique(ids[by_id], return_index=True)
    parts = np.split(by_id, starts[1:])
    return [(int(each), part) for each, part in zip(found, parts, strict=False) if len(part) > 1]


def _count_buyers(buyers: NDArray[np.uint64]) -> int:
    return len(np.unique(buyers[buyers != 0]))


def _index_groups(groups: list[NDArray[np.int64]], rows: NDArray[np.int64]) -> dict[int, tuple[int, ...]]:
    asked = set(rows.tolist())
    of_row: dict[int, list[int]] = {}
    for at, group in enumerate(groups):
        for row in asked.intersection(group.tolist()):
            of_row.setdefault(row, []).append(at)
    return {row: tuple(each) for row, each in of_row.items()}
