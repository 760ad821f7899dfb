"""The identity of an event, as proposed by what one row says of it.

    order       order_id
    outcome     order_id, kind, and the platform's number; else line, happened_at, and its number among equal rows
    verdict     order_id, verdict, kind, by, decided_at
    correction  order_id, corrected_at

Rows of equal identity are views of one event; `views.py` also finds those that differ in it. The number among equal
rows distinguishes line items: a file that holds an outcome twice means two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ordervet.entities.ids import hash_texts, to_signed
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.keys import Key

IDENTITY_COLUMNS = ("outcome", "verdict", "malice", "decider", "happened_at", "line_id")
_SEPARATOR = "\x1f"
_MIX, _VIEW = 0x9E3779B97F4A7C15, 0x632BE59BD9B4E019
_MASK = (1 << 64) - 1


def identify(rows: pa.Table, key: Key) -> pa.Table:
    """Fill in the `event_id` of rows from one source.

    Parameters
    ----------
    rows : of `rows.to_rows`, one kind or several
    key : the identifier key
    """
    is_order = pc.equal(rows["event"], "order")
    is_numbered = pc.is_valid(rows["outcome_id"])
    # NOTE: the number of an outcome takes the place of what can change; not of its kind, as every step has the number.
    details = [
        pc.if_else(pc.or_(is_order, is_numbered) if name != "outcome" else is_order, "", _format(rows[name]))
        for name in IDENTITY_COLUMNS
    ]
    texts = pc.binary_join_element_wise(
        rows["event"], rows["order_id"], *details, pc.fill_null(rows["outcome_id"], ""), _SEPARATOR
    )
    repeats = _number_repeats(texts, rows)
    numbered = pc.if_else(
        pa.array(repeats > 0), pc.binary_join_element_wise(texts, _format(repeats), _SEPARATOR), texts
    )
    event_ids = pa.array(hash_texts(numbered, key, "event").view(np.int64))
    return rows.set_column(rows.schema.get_field_index("event_id"), rows.schema.field("event_id"), event_ids)


def _number_repeats(texts: pa.ChunkedArray, rows: pa.Table) -> NDArray[np.int64]:
    """Count up outcomes of equal text, by what else they say, so that the order of rows does not matter."""
    repeats = np.zeros(rows.num_rows, np.int64)
    encoded = texts.combine_chunks().dictionary_encode()
    if len(encoded.dictionary) == rows.num_rows:
        return repeats
    code = np.asarray(encoded.indices)
    others = [_format(rows[name]) for name in ("refund_type", "amount_minor", "blame")]
    says = pc.binary_join_element_wise(*others, _SEPARATOR).combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(np.asarray(says.dictionary.to_pylist() or [""])))[np.asarray(says.indices)]
    order = np.lexsort((rank, code))
    begins = np.flatnonzero(np.diff(code[order], prepend=-1))
    lengths = np.diff(begins, append=len(order))
    repeats[order] = np.arange(len(order)) - np.repeat(begins, lengths)
    is_loose = _equals(rows["event"], "outcome") & ~np.asarray(rows["outcome_id"].is_valid())
    return np.where(is_loose, repeats, 0)


def _equals(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.equal(column, value), fill_value=False))


def _format(column: pa.ChunkedArray | NDArray[np.int64]) -> pa.ChunkedArray | pa.Array[pa.StringScalar]:
    """Return values as texts, times as microseconds; null as the empty text."""
    values = pa.array(column) if isinstance(column, np.ndarray) else column
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values, pa.int64())
    return pc.fill_null(pc.cast(values, pa.string()), "")


class Digest(NamedTuple):
    """A digest of a set of rows, independent of their order.

    Parameters
    ----------
    n_rows : how many views of events
    ids : sum of their mixed identities, modulo 2**64
    """

    n_rows: int
    ids: int

    def __add__(self, other: tuple[object, ...]) -> Digest:
        """Combine the digests of two disjoint sets."""
        if not isinstance(other, Digest):
            return NotImplemented
        return Digest(self.n_rows + other.n_rows, (self.ids + other.ids) & _MASK)

    def __sub__(self, other: Digest) -> Digest:
        """Take the digest of a part out of that of the whole."""
        return Digest(self.n_rows - other.n_rows, (self.ids - other.ids) & _MASK)


def digest_rows(event_ids: NDArray[np.int64], views: NDArray[np.int64] | None = None) -> Digest:
    """Digest rows.

    Parameters
    ----------
    event_ids : shape (n,), as in the store
    views : shape (n,), the number of each view; None: all are the first
    """
    ids = event_ids.view(np.uint64)
    if views is not None:
        with np.errstate(over="ignore"):
            ids = ids + views.view(np.uint64) * np.uint64(_VIEW)
    return Digest(len(event_ids), int(_mix(ids).sum()))


def digest_event(event_id: int, view: int = 0) -> Digest:
    """Digest one view of one event: `digest_rows`, without arrays."""
    value = (event_id + view * _VIEW) & _MASK
    mixed = ((value ^ (value >> 29)) * _MIX) & _MASK
    return Digest(1, mixed ^ (mixed >> 32))


def mix_ids(one: int, other: int) -> int:
    """Make one identity of two numbers; signed."""
    mixed = (one + other * _VIEW) * _MIX & _MASK
    mixed ^= mixed >> 32
    return to_signed(mixed)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = (values ^ (values >> np.uint64(29))) * np.uint64(_MIX)
        return mixed ^ (mixed >> np.uint64(32))
