"""Addresses inside kernels: what a number points to, taken for a record, or for the elements of an array.

    point(address)               for ``numba.carray(point(address), shape, dtype)``
    view_as(kind)(address)       a record of that kind
    close(array)                 the same array, not to be written to

A kernel that finds its arrays by their addresses is handed one array with all of them, its book: handing over each by
itself would cost a single order more than what is done with it. Whoever calls sees to it that what is read is there.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

__all__ = ["close", "point", "view_as"]


def view_as(kind: types.Type) -> Any:
    """Make the function that takes what is at an address for a record, or for what a pointer is to."""

    def view(_typing: Any, address: Any) -> Any:  # noqa: ARG001 - numba reads the names
        def generate(context: Any, builder: Any, _signature: Any, at: Any) -> Any:
            return builder.inttoptr(at[0], context.get_value_type(kind))

        return kind(types.int64), generate

    return intrinsic(view)


def _read_only(_typing: Any, array: Any) -> Any:
    """Take an array for one that is not written to: what reads it is then compiled once for all who call it."""

    def generate(context: Any, builder: Any, signature: Any, at: Any) -> Any:
        return impl_ret_borrowed(context, builder, signature.return_type, at[0])  # type: ignore[no-untyped-call]

    return array.copy(readonly=True)(array), generate


close: Any = intrinsic(_read_only)
point = view_as(types.voidptr)
