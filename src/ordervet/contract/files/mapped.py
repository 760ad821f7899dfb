"""Foreign tables through a mapping: raw tables in contract columns, to be checked like any other."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import read_column
from ordervet.contract.failures import show_names
from ordervet.contract.instants import to_mask
from ordervet.contract.model import VerdictValue
from ordervet.contract.values import load_zone
from ordervet.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from ordervet.contract.instants import Micros
    from ordervet.contract.mapping import FieldSource, LabelsSection, Mapping

_CARD = r"^([0-9]{6})(?:[0-9]{2,9}|[*xX•.]+)([0-9]{4})$"
_MICROSECOND = pa.duration("us")


@dataclass(frozen=True)
class MappedTables:
    """What a mapping makes of a table, before validation.

    Parameters
    ----------
    orders : shape (n_rows, n_fields), contract columns, values as in the source
    verdicts : shape (n_labelled, 5), or None without labels; a row without a label, or without a time that could be
        read, has no verdict
    verdict_rows : shape (n_labelled,), the source row of each verdict
    in_major : the money columns of `orders` that are written in major units
    time_zone : where times without an offset are read
    """

    orders: pa.Table
    verdicts: pa.Table | None
    verdict_rows: Micros
    in_major: frozenset[str]
    time_zone: str


def apply_mapping(table: pa.Table, mapping: Mapping, *, where: str = "the table") -> MappedTables:
    """Rename the columns of a foreign table to contract fields, and turn its labels into verdicts.

    Parameters
    ----------
    table : shape (n_rows, n_columns)
    mapping : which column is what
    where : what a message calls the table

    Returns
    -------
    raw tables; pass them to `split_events` or `validate_events` with `in_major` and `time_zone`

    Raises
    ------
    MappingError
        The table lacks a column that the mapping names, or has one that it neither names nor ignores.
    """
    check_mapped_columns(table.column_names, mapping, where=where)
    sources = mapping.order.sources
    columns = {name: _column_of(table, source) for name, source in sources.items()}
    columns |= {name: _extra_of(table[column], name) for name, column in mapping.order.extras.items()}
    orders = pa.table(columns)
    verdicts, rows = None, np.zeros(0, np.int64)
    if mapping.labels is not None:
        verdicts, rows = _verdicts_of(table, orders, mapping.labels, load_zone(mapping.source.time_zone))
    in_major = frozenset(name for name, source in sources.items() if source.unit == "major")
    return MappedTables(orders, verdicts, rows, in_major, mapping.source.time_zone)


def map_order_ids(table: pa.Table, mapping: Mapping) -> pa.ChunkedArray:
    """Return the order ids alone, values as in the source; the table has all columns of the mapping."""
    column = _column_of(table, mapping.order.sources["order_id"])
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def check_mapped_columns(names: Sequence[str], mapping: Mapping, *, where: str = "the table") -> None:
    """Check that a table has every column of a mapping, and no other.

    Raises
    ------
    MappingError
        All that is wrong with the columns, with near misses.
    """
    left_over = sorted(set(names) - set(mapping.columns))
    ignored = set(names) if mapping.ignore.all_other else set(mapping.ignore.columns)
    lacking = [name for name in mapping.columns if name not in names]
    unmapped = [name for name in left_over if name not in ignored]
    shown = show_names(names)
    near = [name for name in left_over if shown[name] == name]
    problems = [f" - '{name}': named in the mapping, not in the table{_near(name, near)}" for name in lacking]
    problems += [f" - '{shown[name]}': neither mapped nor ignored" for name in unmapped]
    if problems:
        quoted = ", ".join(f'"{shown[name]}"' for name in unmapped)
        hint = "correct the names in the mapping" if lacking else f"add to the mapping: [ignore] columns = [{quoted}]"
        raise MappingError("\n".join([f"{where} does not fit the mapping {mapping.name}", *problems]), hint=hint)


def _near(name: str, candidates: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, candidates, n=2, cutoff=0.6)
    return f"; near: {', '.join(near)}" if near else ""


def _column_of(table: pa.Table, source: FieldSource) -> pa.Array | pa.ChunkedArray:
    if source.column is None:
        return pa.repeat(source.value, table.num_rows)
    if source.time is not None:
        return _join_time(table[source.column], table[source.time])
    if source.brand is not None:
        return _join_brand(table[source.column], table[source.brand])
    return table[source.column]


def _extra_of(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return the column of an extra; a boolean becomes a category as text."""
    is_flag = name.startswith("category__") and pa.types.is_boolean(column.type)
    return column.cast(pa.string()) if is_flag else column


def _join_time(dates: pa.ChunkedArray, times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Join a date and a time into one text; a time that is a bare number is the hour."""
    date_texts, time_texts = (_texts_of(column) for column in (dates, times))
    is_hour = pc.match_substring_regex(time_texts, r"^[0-9]{1,2}$")
    clock = pc.if_else(is_hour, pc.binary_join_element_wise(time_texts, "00", ":"), time_texts)
    return pc.binary_join_element_wise(date_texts, clock, " ")


def _join_brand(cards: pa.ChunkedArray, brands: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write a card, masked or not, as brand, first six and last four digits; one without its brand stays as it is."""
    card_texts, brand_texts = (_texts_of(column) for column in (cards, brands))
    bare = pc.replace_substring_regex(card_texts, r"[\s-]", "")
    shown = pc.replace_substring_regex(bare, _CARD, r"\1 \2")
    is_card = pc.and_(pc.match_substring_regex(bare, _CARD), pc.is_valid(brand_texts))
    joined = pc.binary_join_element_wise(pc.ascii_lower(brand_texts), shown, " ")
    return pc.if_else(pc.fill_null(is_card, fill_value=False), joined, card_texts)


def _texts_of(column: pa.ChunkedArray) -> pa.Array:
    """Convert labels, dates or times to trimmed texts, null where missing; dates and times become ISO texts."""
    column = column.combine_chunks()
    is_type = pa.types
    if is_type.is_boolean(column.type) or is_type.is_temporal(column.type):
        return column.cast(pa.string())
    return read_column(column, "text", load_zone("UTC")).values


def _verdicts_of(table: pa.Table, orders: pa.Table, labels: LabelsSection, zone: ZoneInfo) -> tuple[pa.Table, Micros]:
    texts = _texts_of(table[labels.column])
    is_malicious = pc.is_in(texts, pa.array(labels.malicious))
    is_innocent = pc.is_in(texts, pa.array(labels.innocent, pa.string()))
    verdict = pc.if_else(is_innocent, str(VerdictValue.INNOCENT), texts)
    verdict = pc.if_else(is_malicious, str(VerdictValue.MALICIOUS), verdict)
    seen_at = _seen_at(table, orders, labels, zone)
    columns = {
        "order_id": orders["order_id"].combine_chunks(),
        "verdict": verdict,
        "decided_at": seen_at,
        "by": pa.repeat(str(labels.by), table.num_rows),
        "kind": pc.if_else(is_malicious, labels.kind and str(labels.kind), pa.scalar(None, pa.string())),
    }
    rows = np.flatnonzero(to_mask(texts.is_valid()) & to_mask(seen_at.is_valid()))
    return pa.table(columns).take(pa.array(rows)), rows.astype(np.int64)


def _seen_at(table: pa.Table, orders: pa.Table, labels: LabelsSection, zone: ZoneInfo) -> pa.Array:
    raw = orders["placed_at"] if labels.seen_at is None else table[labels.seen_at]
    instants = read_column(raw.combine_chunks(), "instant", zone).values
    return instants if labels.delay is None else pc.add(instants, pa.scalar(labels.delay, _MICROSECOND))
