"""What failed: one row per row and field, and one message for all of them, neither with anything personal in it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.values import FIRST_INSTANT, LAST_INSTANT, is_missing
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.contract.fields import ContractField
    from ordervet.contract.instants import Mask, Micros

FAILURE_SCHEMA = pa.schema(
    {"row": pa.int64(), "order_id": pa.string(), "field": pa.string(), "rule": pa.string(), "observed": pa.string()}
)
_MAX_SHAPE = 24
_MAX_EXAMPLES = 5
_MAX_SHOWN_DIGITS = 8  # too few for a phone, a card or an account
_NUMBER_LIKE = re.compile(r"^[+-]?[￥¥$€£]?[+-]?(?=[0-9.,]{1,12}元?$)[0-9][0-9,]*(\.[0-9,]*)?元?$")  # no IP address
_DATE_LIKE = re.compile(
    r"^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T][0-9]{1,2}(:[0-9]{1,2}){1,2}(\.[0-9]{1,9})?)?(Z|[+-][0-9:]{4,5})?$"
)


@dataclass(frozen=True)
class Fault:
    """Rows in which one field breaks one rule.

    Parameters
    ----------
    field : what is broken
    rule : the name of the rule
    rows : shape (k,), ascending row numbers of the table
    observed : shape (k,), strings without anything personal; null where nothing was given
    """

    field: ContractField
    rule: str
    rows: Micros
    observed: pa.Array


def observe(raw: pa.Array, rows: Micros, *, is_personal: bool) -> pa.Array:
    """Show the values of some rows without what could be personal.

    Parameters
    ----------
    raw : shape (n,), any type
    rows : shape (k,), which of them
    is_personal : whether the field can point to a person; then even a short number is shown by its shape

    Returns
    -------
    shape (k,), strings: short numbers and dates as they are, other values by their shape, null for missing ones
    """
    try:
        encoded = raw.take(pa.array(rows)).dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # lists, views and unions know one of the two steps only
        return pa.array([_observe(raw[int(row)], is_personal) for row in rows], pa.string())
    shown = [_observe(value, is_personal) for value in encoded.dictionary]
    return pa.array(shown, pa.string()).take(encoded.indices)


_DATA = re.compile(r"[\d\s.,:/+-]*\d[\d\s.,:/+-]*|.*@.*|.*\d{7}.*", re.DOTALL)
"""A number, a time, an e-mail address, or a run of digits as in phones."""


def shape_of(text: str) -> str:
    """Show a text by its shape: digits become 9, letters a, Chinese characters 字; at most 24 characters.

    Examples
    --------
    >>> shape_of("张三 139-0000")
    '字字 999-9999'
    """
    return "".join(_shape_of_character(character) for character in text[:_MAX_SHAPE])


def show_names(names: Sequence[str]) -> dict[str, str]:
    """Return how the names of columns may be shown: by their shapes if some look like data, as without a header.

    Examples
    --------
    >>> show_names(["张三", "13900001111"])
    {'张三': '字字', '13900001111': '99999999999'}
    >>> show_names(["备注", "price_2025"])
    {'备注': '备注', 'price_2025': 'price_2025'}
    """
    are_data = any(_DATA.fullmatch(name) for name in names)
    return {name: shape_of(name) if are_data else name for name in names}


def _shape_of_character(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "N":
        return "9"
    if category[0] == "L":
        return "字" if category == "Lo" else "a"
    return character if character.isascii() and character.isprintable() else "?"


def _observe(value: pa.Scalar[Any], is_personal: bool) -> str | None:
    try:
        plain = value.as_py()
    except (OverflowError, ValueError):  # a time that Python has no year for
        return f"<{value.type}>"
    return _observe_value(plain, is_personal)


def _observe_value(value: Any, is_personal: bool) -> str | None:
    if is_missing(value):
        return None
    if isinstance(value, (bytes, list, dict)):
        return f"<{type(value).__name__}>"
    text = str(value).strip()
    if is_personal:
        return shape_of(text)
    is_short = sum(character.isdigit() for character in text) <= _MAX_SHOWN_DIGITS
    is_shown = isinstance(value, bool) or (is_short and _NUMBER_LIKE.match(text)) or _DATE_LIKE.match(text)
    return text if is_shown else shape_of(text)


def first_per_field(faults: Sequence[Fault]) -> list[Fault]:
    """Keep, of several faults of one field in one row, the first."""
    seen: set[tuple[str, int]] = set()
    kept = []
    for fault in faults:
        keys = [(fault.field.name, row) for row in fault.rows.tolist()]
        kept.append(keep_rows(fault, np.array([key not in seen for key in keys], bool)))
        seen |= set(keys)
    return kept


def keep_rows(fault: Fault, is_kept: Mask) -> Fault:
    """Keep some rows of a fault."""
    return Fault(fault.field, fault.rule, fault.rows[is_kept], fault.observed.filter(pa.array(is_kept)))


def build_failures(faults: Sequence[Fault], order_ids: pa.ChunkedArray) -> pa.Table:
    """Build one table of faults, sorted by row and, within a row, in the order in which the faults were found.

    Parameters
    ----------
    faults : what failed; a row and field at most once
    order_ids : shape (n_rows,), null where the id itself is broken
    """
    if not faults:
        return FAILURE_SCHEMA.empty_table()
    rows = np.concatenate([fault.rows for fault in faults])
    order = pa.array(np.argsort(rows, kind="stable"))
    counts = [len(fault.rows) for fault in faults]
    columns = [
        pa.array(rows),
        order_ids.take(pa.array(rows)),
        pa.array(np.repeat([fault.field.name for fault in faults], counts)),
        pa.array(np.repeat([fault.rule for fault in faults], counts)),
        pa.chunked_array([fault.observed for fault in faults], pa.string()),
    ]
    return pa.table(columns, schema=FAILURE_SCHEMA).take(order)


def failures_error(
    failures: pa.Table, fields: Sequence[ContractField], *, n_rows: int, things: str, where: str, hint: str
) -> ContractError:
    """Sum failures up in one error: counted, grouped by field and rule, with a few order ids each.

    Parameters
    ----------
    failures : at least one row
    fields : the fields of the table that failed
    n_rows : rows of that table
    things, where : what the rows are and where they are found, such as "orders" and "export.csv"
    hint : the action that helps
    """
    groups = failures.group_by(["field", "rule"], use_threads=False).aggregate([([], "count_all")]).to_pylist()
    n_failed = len(pc.unique(failures["row"]))
    rules = f"{len(groups)} rule{'s' if len(groups) > 1 else ''}"
    lines = [f"{n_failed:,} of {n_rows:,} {things} failed {rules} in {where}"]
    by_name = {field.name: field for field in fields}
    for group in groups:
        is_in_group = pc.and_(pc.equal(failures["field"], group["field"]), pc.equal(failures["rule"], group["rule"]))
        first = failures.filter(is_in_group).slice(0, _MAX_EXAMPLES).to_pylist()
        ids = ", ".join(row["order_id"] or f"row {row['row']}" for row in first)
        expected = expectation(by_name[group["field"]], group["rule"])
        rows = f"{group['count_all']:,} row{'s' if group['count_all'] > 1 else ''}"
        lines.append(
            f" - '{group['field']}': got {first[0]['observed'] or 'nothing'}, expected {expected}; {rows}; first: {ids}"
        )
    return ContractError("\n".join(lines), hint=hint)


def expectation(field: ContractField, rule: str) -> str:
    """Describe in a few words what a rule expects of a field."""
    other = field.only_with.other if field.only_with else field.not_before.other if field.not_before else ""
    fitting = ", ".join(sorted(field.only_with.values)) if field.only_with else ""
    years = f"{FIRST_INSTANT.year} to {LAST_INSTANT.year}"
    return {
        "required": "a value",
        "type": _KIND_WORDS[field.kind],
        "instant": f"an existing time such as 2025-11-11 20:00:00, in the years {years}",
        "minimum": f"at least {field.minimum}",
        "maximum": f"at most {field.maximum}",
        "length": f"at most {field.max_length} characters",
        "pattern": "a currency code of ISO 4217, such as CNY",
        "allowed": f"one of {', '.join(field.allowed)}",
        "only_with": f"nothing unless '{other}' is one of {fitting}",
        "not_before": f"a time not before '{other}'",
        "unique": "an order id that no other row has",
        "known_order": "the id of a known order",
        "order_first": "a time not before its order was placed",
        "columns": "as many values in a row as the header has",
        "digits": "an id stored as text: a spreadsheet took this one for a number, and its last digits are lost",
        "no_outcome": "a state that is an outcome, and its date",
        "whole_order": "no broken row among those of the order",
    }[rule]


_KIND_WORDS = {
    "text": "a text or a whole number",
    "integer": "a whole number (an amount of money: whole minor units)",
    "number": "a finite number",
    "boolean": "one of true, false, 1, 0, yes, no, 是, 否",
    "instant": "a time",
}
