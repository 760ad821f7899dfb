"""Buyers who were erased: their past orders stay out, whatever export holds them, until a person lifts it.

A tombstone holds when a buyer was erased, and keyed hashes of the keyed ids of the buyer and of the erased orders: none
of these ids itself. Orders from after the erasure are new, and come in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet.entities.ids import hash_texts
from ordervet.entities.keyed import ORDER_ID
from ordervet.errors import HistoryError
from ordervet.late_imports import pa, pc
from ordervet.storage import PRIVATE, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.entities.keys import Key

# NOTE: files and folders that begin with an underscore are no data to Delta; no clean-up removes them.
ERASED: Final = "_erased.json"
_BUYER: Final = "id__buyer"


def bury(history: Path, key: Key, buyer: int, order_ids: NDArray[np.int64], erased_at: int) -> None:
    """Keep a buyer and these orders out from now on.

    Parameters
    ----------
    history : folder of the history, whose writer this is
    key : the identifier key
    buyer : keyed id of the buyer, as stored
    order_ids : shape (n_orders,), keyed ids of the buyer's orders, as stored
    erased_at : orders placed before are kept out, UTC microseconds
    """
    stones = _read(history)
    (name,) = _hash(np.array([buyer], np.int64), key).tolist()
    known = stones.get(name, {"orders": []})
    stones[name] = {"erased_at": erased_at, "orders": sorted({*known["orders"], *_hash(order_ids, key).tolist()})}
    write_text(history / ERASED, json.dumps(stones), mode=PRIVATE)


def lift(history: Path, key: Key, buyer: int) -> bool:
    """Let a buyer's past orders in again; return whether they were kept out."""
    stones = _read(history)
    found = stones.pop(_hash(np.array([buyer], np.int64), key).tolist()[0], None)
    if found is not None:
        write_text(history / ERASED, json.dumps(stones), mode=PRIVATE)
    return found is not None


def find_erased(history: Path, key: Key, rows: pa.Table) -> NDArray[np.bool_] | None:
    """Find the rows that are of erased buyers.

    Parameters
    ----------
    history : folder of the history
    key : the identifier key
    rows : of the store

    Returns
    -------
    shape (n_rows,); None where nobody was erased
    """
    stones = _read(history)
    if not stones:
        return None
    is_order = np.asarray(pc.equal(rows["event"], "order"))
    orders = rows[ORDER_ID].to_numpy()
    buyers = _hash(rows[_BUYER].fill_null(0).to_numpy(), key)
    places = pc.index_in(pa.array(buyers), pa.array(list(stones))).fill_null(-1).to_numpy()
    erased_at = np.array([*(stone["erased_at"] for stone in stones.values()), np.iinfo(np.int64).min])
    is_erased: NDArray[np.bool_] = is_order & (rows["happened_at"].cast(pa.int64()).to_numpy() < erased_at[places])
    buried = pa.array([name for stone in stones.values() for name in stone["orders"]], pa.string())
    is_erased |= np.asarray(pc.is_in(pa.array(_hash(orders, key)), buried))
    is_erased |= np.isin(orders, orders[is_erased])
    return is_erased


def has_tombstones(history: Path) -> bool:
    """Return whether a buyer was erased."""
    return bool(_read(history))


class Tombstones:
    """The erasures of a history, to ask about arrivals one by one.

    Parameters
    ----------
    history : its folder
    key : the identifier key
    """

    def __init__(self, history: Path, key: Key) -> None:
        self._key = key
        self._stones = _read(history)
        self._orders = {name for stone in self._stones.values() for name in stone["orders"]}

    def __bool__(self) -> bool:
        return bool(self._stones)

    def cover_order(self, order_id: int, buyer: int, placed_us: int) -> bool:
        """Return whether an order, by its keyed ids as stored, is of before its buyer was erased.

        References
        ----------
        Truth: `find_erased`.
        """
        if not self._stones:
            return False
        order, name = _hash(np.array([order_id, buyer], np.int64), self._key).tolist()
        stone = self._stones.get(name)
        return order in self._orders or (stone is not None and placed_us < stone["erased_at"])

    def cover_event(self, order_id: int) -> bool:
        """Return whether the order of an event, by its keyed id as stored, was erased."""
        return bool(self._stones) and _hash(np.array([order_id], np.int64), self._key).item() in self._orders


def carry_over(history: Path, old: Key, new: Key, orders: Sequence[tuple[pa.Table, pa.Table]]) -> tuple[str, int]:
    """Convert the tombstones of a history to another key.

    Parameters
    ----------
    history : its folder
    old, new : the keys
    orders : the orders of all its sources, each table under the old key and, row by row, under the new one

    Returns
    -------
    what the file of tombstones is to hold, "" where there are none; and how many buyers are in none of the tables
    """
    stones = _read(history)
    names: dict[str, str] = {}
    for before, after in orders:
        for column in (ORDER_ID, _BUYER):
            pair = (table[column].cast(pa.uint64(), safe=False).to_numpy().view(np.int64) for table in (before, after))
            names |= dict(
                zip(*(_hash(ids, key).tolist() for ids, key in zip(pair, (old, new), strict=True)), strict=True)
            )
    kept = {
        names[name]: stone | {"orders": sorted(names[order] for order in stone["orders"] if order in names)}
        for name, stone in stones.items()
        if name in names
    }
    return json.dumps(kept) if kept else "", len(stones) - len(kept)


def write_tombstones(history: Path, text: str) -> None:
    """Write what `carry_over` returned."""
    if text:
        write_text(history / ERASED, text, mode=PRIVATE)


def _hash(ids: NDArray[np.int64], key: Key) -> NDArray[Any]:
    """Hash keyed ids once more, shape (n,), as hexadecimal digits."""
    distinct, at = np.unique(ids, return_inverse=True)
    hashed = hash_texts(pa.chunked_array([pa.array(distinct.astype(str).tolist(), pa.string())]), key, "erased")
    return np.array([f"{each:016x}" for each in hashed.tolist()], object)[at]


def _read(history: Path) -> dict[str, dict[str, Any]]:
    path = history / ERASED
    if not path.exists():
        return {}
    try:
        stones: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise HistoryError(
            f"{ERASED} of the history {history.name} is damaged", hint="restore it: erased buyers would come back"
        ) from None
    return stones
