"""Anything tabular becomes an Arrow table, values untouched."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import pyarrow as pa

from ordervet.contract.failures import show_names
from ordervet.contract.model import EXTRA_PREFIXES, Event
from ordervet.contract.values import drop_halves, is_missing
from ordervet.errors import ContractError

_PREFIX_OF = {extras: prefix for prefix, extras in EXTRA_PREFIXES.items()}
_MAX_DECIMAL_DIGITS = 38


def to_arrow(data: object) -> pa.Table:
    """Convert any tabular data to an Arrow table.

    Parameters
    ----------
    data : a pyarrow Table, RecordBatch or RecordBatchReader; a pandas DataFrame (its index is left out); anything with
        ``__arrow_c_stream__`` (polars, DuckDB); or an iterable of dicts or of contract models

    Returns
    -------
    shape (n_rows, n_columns); values are not checked. A column of Python objects of several types becomes a union, a
    value of a type that no field accepts becomes a binary that names the type.

    Raises
    ------
    ContractError
        The data is not tabular, or a column name is not a text or is a duplicate.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        table = _from_pandas(data)
    elif isinstance(data, pa.Table):
        table = data
    elif isinstance(data, pa.RecordBatch):
        table = pa.Table.from_batches([data])
    elif isinstance(data, pa.RecordBatchReader):
        table = data.read_all()
    elif hasattr(data, "__arrow_c_stream__"):
        table = pa.RecordBatchReader.from_stream(data).read_all()
    elif isinstance(data, Iterable) and not isinstance(data, (str, bytes, Mapping)):
        table = _from_rows(list(data))
    else:
        raise ContractError(
            f"cannot read a table from a {type(data).__name__}",
            hint="give a DataFrame, an Arrow table, or a list of dicts or contract models",
        )
    _check_names(table.column_names)
    return table


def _from_pandas(frame: Any) -> pa.Table:
    names = list(frame.columns)
    _check_names(names)
    return pa.table([_from_series(frame[name]) for name in names], names=names)


def _from_series(series: Any) -> pa.Array | pa.ChunkedArray:
    if series.dtype == object:
        return column_of(series.tolist())
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # periods and the like have no Arrow counterpart
        return column_of(series.tolist())


def _from_rows(rows: list[object]) -> pa.Table:
    flat = [flatten_row(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    _check_names(names)
    return pa.table([column_of([row.get(name) for row in flat]) for name in names], names=names)


def flatten_row(row: object) -> Mapping[str, object]:
    """Convert a row into flat columns: dicts of extras become columns with their prefix.

    Raises
    ------
    ContractError
        It is neither a dict nor a contract model.
    """
    if isinstance(row, Event):
        return row.to_row()
    if not isinstance(row, Mapping):
        raise ContractError(f"a row is a {type(row).__name__}", hint="give every row as a dict or a contract model")
    flat: dict[str, object] = {}
    for name, value in row.items():
        if name in _PREFIX_OF and isinstance(value, Mapping):
            flat.update({f"{_PREFIX_OF[name]}{key}": extra for key, extra in value.items()})
        else:
            flat[name] = value
    return flat


def _check_names(names: Iterable[Any]) -> None:
    counts = Counter(names)
    if not all(isinstance(name, str) and name == drop_halves(name) for name in counts):
        raise ContractError("a column name is not a text", hint="name the columns after contract fields")
    shown = show_names(list(counts))
    twice = sorted(shown[name] for name, count in counts.items() if count > 1)
    if twice:
        raise ContractError(f"duplicate columns: {', '.join(twice)}", hint="give every column a name of its own")


def column_of(values: list[object]) -> pa.Array:
    """Convert Python values to one Arrow column, each kept as what it is.

    Parameters
    ----------
    values : length n; None, NaN, NaT and pandas.NA count as missing

    Returns
    -------
    shape (n,); a dense union where the values are of several kinds
    """
    kinds = [_kind_of(value) for value in values]
    present = sorted({kind for kind in kinds if kind})
    if not present:
        return pa.nulls(len(values))
    if len(present) == 1:
        return _child_of([value if kind else None for value, kind in zip(values, kinds, strict=True)], present[0])
    children = [_child_of([v for v, k in zip(values, kinds, strict=True) if k == kind], kind) for kind in present]
    codes = np.array([present.index(kind) if kind else len(present) for kind in kinds], np.int8)
    offsets = np.zeros(len(values), np.int32)
    for code in range(len(present)):
        offsets[codes == code] = np.arange(np.count_nonzero(codes == code))
    return pa.UnionArray.from_dense(pa.array(codes), pa.array(offsets), [*children, pa.nulls(1)], [*present, "missing"])


def _child_of(values: list[Any], kind: str) -> pa.Array:
    build, arrow_type = _CHILDREN[kind]
    return pa.array([None if value is None else build(value) for value in values], arrow_type)


def _kind_of(value: object) -> str:
    """Return the kind of child that a value goes to; "" for a missing one."""
    if is_missing(value):
        return ""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool) or type(value).__name__ == "bool":  # the second is NumPy's
        return "boolean"
    if isinstance(value, datetime):
        return _kind_of_datetime(value)
    if isinstance(value, date):
        return "date"
    if isinstance(value, Decimal):
        return _kind_of_exact(value)
    if isinstance(value, Integral):
        return "integer" if -(2**63) <= int(value) < 2**63 else _kind_of_exact(Decimal(int(value)))
    return "number" if isinstance(value, Real) else "opaque"


def _kind_of_datetime(value: datetime) -> str:
    if value.tzinfo is None:
        return "local"
    try:
        value.astimezone(UTC)
    except OverflowError:
        return "opaque"
    return "instant"


def _kind_of_exact(value: Decimal) -> str:
    """Decimals fit where both sides of the point do."""
    if not value.is_finite():
        return "opaque"
    _, digits, exponent = value.as_tuple()
    whole_digits = max(len(digits) + int(exponent), 0)
    is_fitting = whole_digits <= _MAX_DECIMAL_DIGITS and -int(exponent) <= _MAX_DECIMAL_DIGITS
    return "exact" if is_fitting else "opaque"


_CHILDREN: dict[str, tuple[Any, pa.DataType]] = {
    "text": (drop_halves, pa.string()),
    "boolean": (bool, pa.bool_()),
    "integer": (int, pa.int64()),
    "number": (float, pa.float64()),
    "exact": (lambda value: Decimal(int(value)) if isinstance(value, Integral) else value, pa.decimal256(76, 38)),
    "instant": (lambda value: value.astimezone(UTC), pa.timestamp("us", tz="UTC")),
    "local": (lambda value: value, pa.timestamp("us")),
    "date": (lambda value: value, pa.date32()),
    "opaque": (lambda value: type(value).__name__.encode(), pa.binary()),
}
