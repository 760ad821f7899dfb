"""When two rows tell of one and the same event, and what becomes of each row that is brought in.

An event's identity is what happened, to which order, and when; not since when that is known, nor details that become
known later:

    order       order_id
    outcome     order_id, kind, happened_at, refund_type, amount_minor, and its number among equal rows of one file
    verdict     order_id, verdict, kind, by, decided_at
    correction  order_id, corrected_at

The number tells line items apart: a file that holds an outcome twice means two. Of two rows of one event the first
stands, with one exception: whose fault an outcome was is often decided later, so a blame is taken over into an outcome
that had none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.entities.ids import hash_texts
from ordervet.entities.keyed import ORDER_ID
from ordervet.history.rows import NEVER, find_seen_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.keys import Key

IDENTITY_COLUMNS = ("outcome", "verdict", "malice", "decider", "happened_at", "refund_type", "amount_minor")
STANDING_COLUMNS = ("event", "event_id", ORDER_ID, "seen_at", "happened_at", "amount_minor", "blame")
"""What `admit` needs to know of the rows that are in the store."""

UNDECIDED = "unknown"
"""The blame that says nothing."""

_SEPARATOR = "\x1f"


class Fate(IntEnum):
    """What becomes of a row."""

    ACCEPTED = 0
    MERGED = 1
    KNOWN = 2
    EARLY = 3


@dataclass(frozen=True, slots=True)
class Admission:
    """What a batch of rows brings.

    Parameters
    ----------
    fates : shape (n_rows,), int8 codes of `Fate`: new to the store; a blame found for an event known before; nothing
        new; from before its order was seen, and so never of use
    new : the rows to add
    changed : ``event_id`` and ``blame`` of the stored outcomes that get one
    is_differing : shape (n_rows,): a known order with another instant or amount than the one that stands
    is_waiting : shape (n_rows,): an accepted event whose order is not known yet
    """

    fates: NDArray[np.int8]
    new: pa.Table
    changed: pa.Table
    is_differing: NDArray[np.bool_]
    is_waiting: NDArray[np.bool_]


def identify(rows: pa.Table, key: Key) -> pa.Table:
    """Fill in the `event_id` of rows that come from one source.

    Parameters
    ----------
    rows : of `rows.to_rows`, one kind or several
    key : the identifier key
    """
    is_order = pc.equal(rows["event"], "order")
    details = [pc.if_else(is_order, "", _write(rows[name])) for name in IDENTITY_COLUMNS]
    texts = pc.binary_join_element_wise(rows["event"], rows["order_id"], *details, _SEPARATOR)
    repeats = _number_repeats(texts, rows)
    numbered = pc.if_else(pa.array(repeats > 0), pc.binary_join_element_wise(texts, _write(repeats), _SEPARATOR), texts)
    event_ids = pa.array(hash_texts(numbered, key, "event").view(np.int64))
    return rows.set_column(rows.schema.get_field_index("event_id"), rows.schema.field("event_id"), event_ids)


def admit(rows: pa.Table, standing: pa.Table, *, is_arrival: bool = False) -> Admission:
    """Decide what becomes of each row.

    Parameters
    ----------
    rows : identified rows, in the order in which they come
    standing : `STANDING_COLUMNS` of the store's rows: of all orders, and of all later events that could be among `rows`
    is_arrival : the rows arrived one by one in a running scorer: none is set aside for being earlier than its order,
        and of the store only what has the identity of a row is needed
    """
    fates = np.full(rows.num_rows, Fate.KNOWN, np.int8)
    is_early, is_unknown = _check_order_first(rows, standing)
    if is_arrival:
        is_early[:] = False
    fates[is_early] = Fate.EARLY
    candidates = np.flatnonzero(~is_early)
    ids, first, group = np.unique(_ints(rows["event_id"])[candidates], return_index=True, return_inverse=True)
    first_row = candidates[first]
    stored_row = _find_rows(ids, _ints(standing["event_id"]))
    is_new = stored_row < 0

    donor = _find_blamed(rows, candidates, group, len(ids))
    had_blame = np.where(is_new, donor == first_row, has_blame(standing)[stored_row] if standing.num_rows else False)
    is_merged = (donor >= 0) & ~had_blame
    fates[first_row[is_new]] = Fate.ACCEPTED
    fates[donor[is_merged]] = Fate.MERGED

    new, changed = np.flatnonzero(is_new), np.flatnonzero(is_merged & ~is_new)
    blame = pc.if_else(pa.array(is_merged), rows["blame"].take(pa.array(np.maximum(donor, 0))), None)
    return Admission(
        fates=fates,
        new=_with_blame(rows, first_row[new], blame.take(pa.array(new))),
        changed=rows.select(["event_id", "blame"]).take(pa.array(donor[changed])),
        is_differing=_find_differing(rows, standing, candidates, first_row[group], stored_row[group]),
        is_waiting=is_unknown & (fates == Fate.ACCEPTED),
    )


def _check_order_first(rows: pa.Table, standing: pa.Table) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find later events from before their order was seen, and those whose order is not known.

    The order that stands is the stored one, else the first among the rows.
    """
    known = [
        table.filter(pc.equal(table["event"], "order")).select([ORDER_ID, "seen_at"]) for table in (standing, rows)
    ]
    ids, seen_at = (np.concatenate([_ints(table[name]) for table in known]) for name in (ORDER_ID, "seen_at"))
    order_seen_at = find_seen_at(_ints(rows[ORDER_ID]), ids, seen_at)
    is_later = ~_equals(rows["event"], "order")
    is_unknown = is_later & (order_seen_at == NEVER)
    return is_later & ~is_unknown & (_ints(rows["seen_at"]) < order_seen_at), is_unknown


def _find_blamed(
    rows: pa.Table, candidates: NDArray[np.int64], group: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """Give, per group, the first row that says whose fault it was; -1 where none does."""
    blamed = np.flatnonzero(has_blame(rows)[candidates])
    found, first = np.unique(group[blamed], return_index=True)
    donor = np.full(n_groups, -1)
    donor[found] = candidates[blamed[first]]
    return donor


def _find_differing(
    rows: pa.Table,
    standing: pa.Table,
    candidates: NDArray[np.int64],
    first_row: NDArray[np.int64],
    stored_row: NDArray[np.int64],
) -> NDArray[np.bool_]:
    is_differing = np.zeros(rows.num_rows, bool)
    is_order = _equals(rows["event"], "order")[candidates]
    for name in ("happened_at", "amount_minor"):
        own, stood = _ints(rows[name]), _ints(standing[name])
        expected = np.where(stored_row < 0, own[first_row], stood[stored_row] if len(stood) else 0)
        is_differing[candidates] |= is_order & (own[candidates] != expected)
    return is_differing


def _find_rows(wanted: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the row of each id, -1 where there is none."""
    if not len(ids):
        return np.full(len(wanted), -1)
    sorter = np.argsort(ids)
    found = sorter[np.minimum(np.searchsorted(ids, wanted, sorter=sorter), len(ids) - 1)]
    return np.where(ids[found] == wanted, found, -1)


def _with_blame(rows: pa.Table, at: NDArray[np.int64], blame: pa.ChunkedArray) -> pa.Table:
    taken = rows.take(pa.array(at))
    place = taken.schema.get_field_index("blame")
    return taken.set_column(place, taken.schema.field(place), pc.coalesce(blame, taken["blame"]))


def _number_repeats(texts: pa.ChunkedArray, rows: pa.Table) -> NDArray[np.int64]:
    """Count up the outcomes of equal text, those with a blame first, so that the order of rows does not matter."""
    repeats = np.zeros(rows.num_rows, np.int64)
    encoded = texts.combine_chunks().dictionary_encode()
    if len(encoded.dictionary) == rows.num_rows:
        return repeats
    code = np.asarray(encoded.indices)
    blame = pc.fill_null(rows["blame"], "").combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(np.asarray(blame.dictionary.to_pylist() or [""])))[np.asarray(blame.indices)]
    order = np.lexsort((rank, ~has_blame(rows), code))
    begins = np.flatnonzero(np.diff(code[order], prepend=-1))
    lengths = np.diff(begins, append=len(order))
    repeats[order] = np.arange(len(order)) - np.repeat(begins, lengths)
    return np.where(_equals(rows["event"], "outcome"), repeats, 0)


def has_blame(rows: pa.Table) -> NDArray[np.bool_]:
    """Tell which rows say whose fault an outcome was: shape (n_rows,)."""
    return np.asarray(pc.fill_null(pc.not_equal(rows["blame"], UNDECIDED), fill_value=False))


def _equals(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.equal(column, value), fill_value=False))


def _ints(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 0))


def _write(column: pa.ChunkedArray | NDArray[np.int64]) -> pa.ChunkedArray | pa.Array[pa.StringScalar]:
    """Write texts, numbers and instants (as microseconds); nothing where there is none."""
    values = pa.array(column) if isinstance(column, np.ndarray) else column
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values, pa.int64())
    return pc.fill_null(pc.cast(values, pa.string()), "")
