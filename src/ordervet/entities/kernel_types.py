"""Names for what kernels pass to each other, which only numba knows the type of."""

from __future__ import annotations

from typing import Any

__all__ = ["Record", "Scalar"]

Scalar = Any
"""An int64 or a boolean of numba's."""

Record = Any
"""A NumPy record of arrays: ``address_arrays.load_tables()`` or ``make_scratch()``."""
