"""What becomes of the rows that are brought in, thousands at a time.

`views.py` says the rules, for the rows of one order id. Most rows need no rule: their order id is new, the store has
exactly what they say, or they add to an order of it what nothing there can be the same as. These are told by columns;
only the others are settled one order id after the other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.contract.values import floor_minute
from ordervet.entities.ids import hash_text
from ordervet.history.stored_rows import Positions, from_plain, to_plain, views_of
from ordervet.history.views import (
    BOOKKEEPING,
    EARLIEST_US,
    MAX_AHEAD_US,
    MAX_INFERRED_AHEAD_US,
    IngestStatus,
    settle,
)
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.keys import Key
    from ordervet.history.views import Row

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]


_ODD = np.int64(0x9E3779B97F4A7C15 - 2**64)
"""Spreads small numbers over 64 bits."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What a batch of rows brings.

    Parameters
    ----------
    statuses : shape (n_rows,), int8 codes of `IngestStatus`
    new : rows to add to the store: new events, and new views of known ones
    is_waiting : shape (n_rows,): an accepted event whose order is not known yet
    """

    statuses: NDArray[np.int8]
    new: pa.Table
    is_waiting: Mask


def admit(
    rows: pa.Table, standing: pa.Table, key: Key, *, is_live: bool = False, is_erased: Mask | None = None
) -> Admission:
    """Decide what becomes of each row.

    Parameters
    ----------
    rows : shape (n_rows, n_columns), in the order in which they come; `event_id` and `id__order` are proposals, and
        `source` numbers the files or messages that the rows are of
    standing : all views that the store has of the order ids (`id__name`) of these rows, same columns but `source`
    key : the identifier key
    is_live : the rows arrived one by one in a running scorer: none is set aside for its time
    is_erased : shape (n_rows,), rows of erased buyers, which stay out; None for none
    """
    statuses = np.full(rows.num_rows, IngestStatus.KNOWN, np.int8)
    if not is_live:
        statuses[_find_out_of_time(rows)] = IngestStatus.OUT_OF_TIME
    if is_erased is not None:
        statuses[is_erased] = IngestStatus.ERASED
    kept = np.flatnonzero(statuses == IngestStatus.KNOWN)
    if len(kept) == rows.num_rows:
        return _admit(rows, standing, key, is_live=is_live)
    part = _admit(rows.take(pa.array(kept)), standing, key, is_live=is_live)
    is_waiting = np.zeros(rows.num_rows, bool)
    statuses[kept], is_waiting[kept] = part.statuses, part.is_waiting
    return Admission(statuses, part.new, is_waiting)


def _find_out_of_time(rows: pa.Table) -> Mask:
    """Find what lies so far ahead of its ingestion, or behind, that its time must be a mistake."""
    happened_at = _ints(rows["happened_at"])
    ahead = np.where(_is_given(rows, "is_inferred"), MAX_INFERRED_AHEAD_US, MAX_AHEAD_US)
    return (happened_at < EARLIEST_US) | (happened_at > _ints(rows["recorded_at"]) + ahead)


def _admit(rows: pa.Table, standing: pa.Table, key: Key, *, is_live: bool) -> Admission:
    names, stored_names = _ints(rows["id__order"]), names_of(standing)
    is_further = _find_further(rows, standing, names, stored_names)
    is_slow = np.isin(names, _find_slow_names(rows, standing, names, stored_names, is_further))
    statuses = np.full(rows.num_rows, IngestStatus.KNOWN, np.int8)
    plain = np.flatnonzero(~is_slow & (is_further | ~np.isin(names, stored_names)))
    added = _admit_plain(rows, names, plain, statuses, is_live=is_live)
    settled = _settle_slow(rows, standing, (names, stored_names), is_slow, statuses, key, is_live=is_live)
    new = pa.concat_tables([added, settled])
    known = np.concatenate([_ints(table["id__order"])[_equals(table["event"], "order")] for table in (new, standing)])
    is_later = ~_equals(rows["event"], "order")
    resolved = _find_orders_of(rows, new)
    is_waiting = is_later & (statuses == IngestStatus.ACCEPTED) & ~np.isin(resolved, known)
    return Admission(statuses, new, is_waiting)


def _find_slow_names(rows: pa.Table, standing: pa.Table, names: Ints, stored_names: Ints, is_further: Mask) -> Ints:
    """Find the order ids whose rows need the rules: several views, or one that the store does not have as it is."""
    is_order = _equals(rows["event"], "order")
    is_slow = _is_repeated(_ints(rows["event_id"]))
    is_slow[is_order] |= _is_repeated(names[is_order])
    kind = np.asarray(
        pc.coalesce(rows["outcome"], rows["event"]).combine_chunks().dictionary_encode().indices, np.int64
    )
    loose = np.flatnonzero(~np.asarray(rows["outcome_id"].is_valid()) & ~is_order)
    outcomes = np.flatnonzero(_equals(rows["event"], "outcome"))
    _, place, count = np.unique(
        np.stack([names[outcomes], kind[outcomes]]), axis=1, return_inverse=True, return_counts=True
    )
    is_several = np.zeros(len(names), bool)
    is_several[outcomes] = count[place] > 1
    is_slow |= np.isin(names, names[loose][is_several[loose]])
    is_slow |= _is_of_another_order(rows, names, is_order)
    is_stored = np.isin(names, stored_names)
    if is_stored.any():
        is_slow |= is_stored & ~is_further & ~_find_covered(rows, standing)
    return np.unique(names[is_slow])


def _find_further(rows: pa.Table, standing: pa.Table, names: Ints, stored_names: Ints) -> Mask:
    """Tell which rows add to an order of the store what nothing there can be the same as: the rules would just add it.

    Its order id has one order, of no further shop, and none of these rows is an order of it. The row is from after that
    order and names no other shop; if it is an outcome, the order has none of the kind.
    """
    is_order, is_stored_order = _equals(rows["event"], "order"), _equals(standing["event"], "order")
    if is_order.all() or not is_stored_order.any():
        return np.zeros(len(names), bool)
    orders = standing.filter(pa.array(is_stored_order))
    orders = orders.take(pa.array(np.argsort(-views_of(orders), kind="stable")))
    order_names = names_of(orders)
    pairs = np.unique(np.stack([order_names, _ints(orders["event_id"])]), axis=1)
    single, count = np.unique(pairs[0], return_counts=True)
    refused = np.concatenate([names[is_order], stored_names[_ints(standing["name_id"]) != 0], single[count > 1]])
    at = Positions(order_names).find(names)
    order = orders.take(pa.array(np.maximum(at, 0)))
    is_further = ~is_order & (at >= 0) & ~np.isin(names, refused)
    is_further &= _ints(rows["happened_at"]) >= _ints(order["happened_at"])
    is_further &= ~np.isin(_ints(rows["event_id"]), _ints(standing["event_id"]))
    for name in ("shop_id", "order_uid"):
        is_equal = np.asarray(pc.fill_null(pc.equal(rows[name], order[name]), fill_value=False))
        is_further &= is_equal | ~_is_given(rows, name)
    kinds = pa.concat_arrays([table["outcome"].cast(pa.string()).combine_chunks() for table in (rows, standing)])
    codes = np.asarray(kinds.dictionary_encode(null_encoding="encode").indices, np.int64)
    # NOTE: two pairs with the same number only go by the rules.
    numbers = np.concatenate([names, stored_names]) ^ (codes + 1) * _ODD
    is_outcome = np.asarray(rows["outcome"].is_valid())
    return is_further & ~(is_outcome & np.isin(numbers[: len(names)], numbers[len(names) :]))


def _is_of_another_order(rows: pa.Table, names: Ints, is_order: Mask) -> Mask:
    """Tell which later events name another shop or platform's id than their order here bears (`views.find_order`)."""
    is_another = np.zeros(len(names), bool)
    orders, later = np.flatnonzero(is_order), np.flatnonzero(~is_order)
    if not len(orders):
        return is_another
    places = Positions(names[orders]).find(names[later])
    orders, later = orders[places[places >= 0]], later[places >= 0]
    for name in ("shop_id", "order_uid"):  # the platform's own id decides where it is given
        is_given = _is_given(rows, name)[later]
        differs = pc.not_equal(rows[name].take(pa.array(later)), rows[name].take(pa.array(orders)))
        is_another[later[is_given]] = np.asarray(pc.fill_null(differs, fill_value=False))[is_given]
    return is_another


def _admit_plain(rows: pa.Table, names: Ints, plain: Ints, statuses: NDArray[np.int8], *, is_live: bool) -> pa.Table:
    """Accept rows of new order ids, each with one order at most; what happened before its order is set aside."""
    is_order = _equals(rows["event"], "order")[plain]
    orders = plain[is_order]
    order_of = Positions(names[orders]).find(names[plain])
    happened_at = _ints(rows["happened_at"])
    placed_at = floor_minute(happened_at[orders])[np.maximum(order_of, 0)] if len(orders) else happened_at[plain]
    is_early = ~is_order & (order_of >= 0) & (happened_at[plain] < placed_at) & (not is_live)
    statuses[plain] = np.where(is_early, IngestStatus.EARLY, IngestStatus.ACCEPTED)
    kept = plain[~is_early]
    return _put(_without_source(rows.take(pa.array(kept))), "view", pa.array(np.zeros(len(kept), np.int32)))


def _settle_slow(
    rows: pa.Table,
    standing: pa.Table,
    names: tuple[Ints, Ints],
    is_slow: Mask,
    statuses: NDArray[np.int8],
    key: Key,
    *,
    is_live: bool,
) -> pa.Table:
    """Settle the rows of the slow order ids by the rules, one order id after the other."""
    of_rows, of_standing = names
    schema = _without_source(rows).schema
    at = np.flatnonzero(is_slow)
    if not len(at):
        return schema.empty_table()
    incoming: dict[int, list[tuple[int, Row]]] = defaultdict(list)
    for place, row in zip(at.tolist(), to_plain(rows.take(pa.array(at))), strict=True):
        incoming[row["id__order"]].append((place, row))
    known: dict[int, list[Row]] = defaultdict(list)
    is_needed = pa.array(np.isin(of_standing, np.unique(of_rows[at])))
    for row in to_plain(standing.filter(is_needed)):
        known[row["name_id"] or row["id__order"]].append(row)
    new: list[Row] = []
    for name, group in incoming.items():
        settled = settle([row for _, row in group], known[name], lambda text: make_id(text, key), is_live=is_live)
        for (place, _), status in zip(group, settled.statuses, strict=True):
            statuses[place] = status
        new += settled.new
    return from_plain(new, schema)


def make_id(text: str, key: Key) -> int:
    """Make an id where a proposed one is taken."""
    return int(np.uint64(hash_text(text, key, "event")).astype(np.int64))


def names_of(rows: pa.Table) -> Ints:
    """Return the keyed order ids alone, without the shop."""
    own = _ints(rows["name_id"])
    return np.where(own != 0, own, _ints(rows["id__order"]))


def _find_orders_of(rows: pa.Table, new: pa.Table) -> Ints:
    """Return the order of each row, as settled where the row was added."""
    own = _ints(rows["id__order"])
    if not new.num_rows:
        return own
    found = Positions(_ints(new["event_id"])).find(_ints(rows["event_id"]))
    return np.where(found >= 0, _ints(new["id__order"])[np.maximum(found, 0)], own)


def _find_covered(rows: pa.Table, standing: pa.Table) -> Mask:
    """Tell which rows say nothing that the latest view of their event does not say, by columns (`views.amend`)."""
    latest = standing.take(pa.array(np.argsort(-views_of(standing), kind="stable")))
    at = Positions(_ints(latest["event_id"])).find(_ints(rows["event_id"]))
    is_covered = at >= 0
    views = latest.take(pa.array(np.maximum(at, 0)))
    for name in set(rows.column_names) - BOOKKEEPING - {"source"}:
        own = rows[name]
        if name not in views.column_names:
            is_covered &= ~_is_given(rows, name)
            continue
        is_equal = np.asarray(pc.fill_null(pc.equal(own, views[name]), fill_value=False))
        is_covered &= is_equal | ~_is_given(rows, name)
    is_news = np.asarray(pc.fill_null(pc.greater(rows["as_of"], views["as_of"]), fill_value=False))
    is_covered &= ~is_news
    return is_covered


def _is_given(rows: pa.Table, name: str) -> Mask:
    """Tell where a column says something; the twin of `views.says_nothing`."""
    column = rows[name]
    if name.startswith("id__"):
        return np.asarray(_ints(column) != 0)
    if name.startswith("evidence__"):
        return np.asarray(pc.equal(pc.fill_null(column, 1), 0))
    if name == "is_inferred":
        return np.asarray(pc.fill_null(column, fill_value=False))
    is_given = np.asarray(column.is_valid())
    return is_given & ~_equals(column, "unknown") if name == "blame" else is_given


def _is_repeated(ids: Ints) -> Mask:
    _, place, count = np.unique(ids, return_inverse=True, return_counts=True)
    return count[place] > 1


def _without_source(rows: pa.Table) -> pa.Table:
    return rows.drop_columns(["source"])


def _put(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values.cast(table.schema.field(at).type))


def _equals(column: pa.ChunkedArray, value: str) -> Mask:
    return np.asarray(pc.fill_null(pc.equal(column, value), fill_value=False))


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 0))
