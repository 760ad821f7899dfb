"""How much of a file is read: settings with defaults, each named by the refusal that it causes.

Files lie about what they hold. A limit is a number of the environment, ``ORDERVET_MAX_…``; the defaults are far above
what exports have.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ordervet.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

LIMITS: Final = {
    "columns": 100_000,
    "rows": 2_000_000_000,
    "cells": 500_000_000,
    "sheet_cells": 50_000_000,
    "unpacked_mib": 16_384,
    "expansion": 200,
    "rows_per_byte": 20,
}
"""By name: columns and rows of a file; cells of a Parquet or Arrow file that is read whole; cells that a sheet of a
workbook spans, empty ones too; what an archive, .gz, workbook or Parquet file unpacks to, in MiB, and in times its
own size; rows for each byte of a Parquet or Arrow file."""

_FREE_MIB: Final = 256
"""What anything may unpack to, however small it is."""

_FREE_ROWS: Final = 10_000_000
"""Rows that anything may have, however small it is."""


def read_limit(name: str) -> int:
    """Read a limit.

    Raises
    ------
    FileError
        The environment has something else than a positive number.
    """
    text = os.environ.get(_variable(name), "")
    if not text:
        return LIMITS[name]
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise FileError(f"{_variable(name)}: got {text}, expected a whole number above 0", hint="unset it")
    return int(text)


def check_limit(path: Path, name: str, found: int) -> None:
    """Check that a file keeps a limit.

    Raises
    ------
    FileError
        It does not.
    """
    limit = read_limit(name)
    if found > limit:
        what = name.replace("_mib", " MiB").replace("_", " ")
        raise FileError(
            f"{path.name} has {found:,} {what}, more than the limit of {limit:,}",
            hint=f"if the file is right: {_variable(name)}={found}",
        )


def check_unpacked(path: Path, n_bytes: int) -> None:
    """Check that what a packed file holds, so far, keeps the limits.

    Raises
    ------
    FileError
        It does not.
    """
    if n_bytes > _FREE_MIB * 2**20:
        check_limit(path, "unpacked_mib", n_bytes // 2**20)
        check_limit(path, "expansion", n_bytes // max(path.stat().st_size, 1))


def check_rows(path: Path, n_rows: int, n_bytes: int) -> None:
    """Check that a file whose rows may take next to no bytes keeps the limits.

    Raises
    ------
    FileError
        It does not.
    """
    check_limit(path, "rows", n_rows)
    if n_rows > _FREE_ROWS:
        check_limit(path, "rows_per_byte", n_rows // max(n_bytes, 1))


def _variable(name: str) -> str:
    return f"ORDERVET_MAX_{name.upper()}"
