"""Quotas over a history: what every order was given, whether it came live, in a table or is replayed."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

from ordervet.features.spec import GROUP_KEYS
from ordervet.history.stored_rows import read_ints
from ordervet.late_imports import pa, pc
from ordervet.policy.forcing import PREFIX, find_test_order
from ordervet.policy.quotas import CANCELLED, FOREVER, Asker, QuotaLedger, QuotaOrder, drop_shared, find_buyer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordervet.policy import Policy
    from ordervet.score.live_order import LiveOrder

_CATEGORY = "category__"
_ENTITIES = ("buyer", *GROUP_KEYS)
_IDS = tuple(f"id__{entity}" for entity in _ENTITIES)
_TIMES = ("seen_at", "placed_at")
_COUNTED = ("order_id", "quantity", "n_lines", "place_type")


class QuotaReader:
    """Reads from orders what a policy's quotas ask of them.

    Parameters
    ----------
    policy : with quotas

    Attributes
    ----------
    columns : of the orders, that it reads
    """

    def __init__(self, policy: Policy) -> None:
        self.quotas, self._asker = policy.quotas, Asker(policy.quotas)
        self._has_tests = policy.allow_test_orders
        self._fields = [
            (name, name.removeprefix(_CATEGORY) if name.startswith(_CATEGORY) else None) for name in self._asker.columns
        ]
        self.columns = ("id__order", *_TIMES, *_COUNTED, *_IDS, *self._asker.columns)

    def read(self, one: LiveOrder) -> QuotaOrder:
        """Read one live order.

        References
        ----------
        Truth: `list_orders`.
        """
        order, kept = one.order, one.kept
        buyer, keys = self.read_buyer(one)
        values = [order.__dict__[name] if own is None else order.categories.get(own) for name, own in self._fields]
        asks = (
            []
            if self._is_test(kept.order_name)
            else self._asker.find(values, one.seen_at, order.quantity, order.n_lines)
        )
        return QuotaOrder(one.order_id, one.seen_at, kept.placed_us, buyer, keys, asks)

    def read_buyer(self, one: LiveOrder) -> tuple[int, tuple[int, ...]]:
        """Read who places a live order, and its keys."""
        buyer, *each = _find_ids(one.keyed.names)(one.keyed.words.tolist())
        keys = drop_shared(tuple(each), one.keyed.place_type)
        return find_buyer(buyer, keys), keys

    def list_orders(self, orders: pa.Table) -> Iterator[QuotaOrder]:
        """Read a table of keyed orders, with those of `columns` that there are."""
        none = pa.nulls(orders.num_rows)
        given = {name: orders[name] if name in orders.column_names else none for name in self.columns}
        ids = zip(*(pc.fill_null(given[name].cast(pa.uint64()), 0).to_pylist() for name in _IDS), strict=True)
        order_ids = given["id__order"].to_pylist()
        seen_at, placed_at = (read_ints(given[name]).tolist() for name in _TIMES)
        counted = (given[name].to_pylist() for name in _COUNTED)
        texts = zip(*(given[name].to_pylist() for name in self._asker.columns), strict=True)
        for order_id, seen, placed, (buyer, *each), name, quantity, n_lines, place_type, values in zip(
            order_ids, seen_at, placed_at, ids, *counted, texts, strict=True
        ):
            keys = drop_shared(tuple(each), place_type)
            asks = [] if self._is_test(name) else self._asker.find(values, seen, quantity, n_lines)
            yield QuotaOrder(order_id, seen, placed, find_buyer(buyer, keys), keys, asks)

    def _is_test(self, order_name: str) -> bool:
        return self._has_tests and order_name.startswith(PREFIX) and find_test_order(order_name) is not None


@lru_cache(maxsize=64)
def _find_ids(names: tuple[str, ...]) -> itemgetter[tuple[int, ...]]:
    """Return the getter of the ids of a buyer and of the keys among those of a `KeyedOrder`."""
    # SPEED: not an array for five ids (bench_policies.py).
    return itemgetter(*map(names.index, _ENTITIES))


def build_ledger(reader: QuotaReader, orders: pa.Table, outcomes: pa.Table, until_us: int = FOREVER) -> QuotaLedger:
    """Give all orders of a history their places.

    Parameters
    ----------
    reader : of the policy
    orders, outcomes : keyed, in any order
    until_us : later orders wait until one is taken that is later still, UTC microseconds
    """
    ledger = QuotaLedger(reader.quotas)
    gone = outcomes.filter(pc.is_in(outcomes["kind"].cast(pa.string()), pa.array(CANCELLED)))
    times = (read_ints(gone[name]).tolist() for name in ("seen_at", "happened_at"))
    for order_id, seen_at, happened_at in zip(gone["id__order"].to_pylist(), *times, strict=True):
        ledger.await_order(order_id, seen_at, happened_at)
    ledger.extend(reader.list_orders(orders), until_us)
    return ledger


def find_beyond(policy: Policy, orders: pa.Table, outcomes: pa.Table) -> dict[int, tuple[str, ...]] | None:
    """Find the orders of a history that are beyond a policy's quotas: keyed id → codes; None where it has no quotas."""
    return build_ledger(QuotaReader(policy), orders, outcomes).beyond if policy.quotas else None
