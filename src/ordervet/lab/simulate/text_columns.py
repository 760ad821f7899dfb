"""Columns of text, made by Arrow: positions become names, numbers become digits, parts are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute

from ordervet.lab.simulate.people import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.lab.simulate.dice import Flags, Ints

Column: TypeAlias = "pa.Array[Any]"
compute: Any = pyarrow.compute


def pick(names: Sequence[str], at: Ints) -> Column:
    """Write positions as names; -1 is missing."""
    return take(pa.array(names, pa.string()), at)


def take(column: Column, at: Ints) -> Column:
    """Take values by position; -1 is missing."""
    taken: Column = compute.take(column, pa.array(at, mask=at == NONE))
    return taken


def join(*parts: Column | str) -> Column:
    """Join the parts of each row; a row with a missing part is missing."""
    joined: Column = compute.binary_join_element_wise(*parts, "")
    return joined


def trim(column: Column) -> Column:
    """Take white space off both ends."""
    trimmed: Column = compute.utf8_trim_whitespace(column)
    return trimmed


def write_integers(values: Ints) -> Column:
    """Return whole numbers as they are; -1 is missing."""
    return pa.array(values, mask=values == NONE)


def write_code(prefix: str, number: Ints, n_digits: int, *, is_missing: Flags | None = None) -> Column:
    """Write a prefix and a number filled up with zeros to `n_digits`."""
    # SPEED: a leading 1 that the prefix replaces keeps the zeros, at half the time of padding.
    digits = compute.cast(pa.array(number + 10**n_digits, mask=is_missing), pa.string())
    code: Column = compute.binary_replace_slice(digits, 0, 1, prefix)
    return code


def replace_where(column: Column, flags: Flags, values: Column) -> Column:
    """Put `values`, one per set flag, in the place of the flagged rows."""
    replaced: Column = compute.replace_with_mask(column, pa.array(flags), values)
    return replaced
