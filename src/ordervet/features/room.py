"""Arrays that grow: large ones have memory of their own, which the system enlarges without copying what is in it.

Memory that a process has not touched yet takes time to get, more than to fill; a copy takes it anew.
"""

from __future__ import annotations

import math
import mmap
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features.spread_kernel import spread

if TYPE_CHECKING:
    from collections.abc import MutableMapping, MutableSequence

    from numpy.typing import NDArray

#: Entries of the smallest array.
MIN_CAPACITY = 1024

_LINE = 64

#: From so many bytes on an array has memory of its own; where that is a multiple of this, it comes in large pages.
_LARGE = 1 << 21


def grow(
    holder: MutableMapping[Any, Any] | MutableSequence[Any], name: Any, n: int, *, used: int, fill: int = 0  # noqa: ANN401 - a key of any kind
) -> None:  # fmt: skip
    """Let an array have room for `n` entries: the first `used` are as they were, all others `fill`.

    Capacity doubles, so that the total cost of growing is linear. What is not used yet takes no memory.

    Parameters
    ----------
    holder, name : where the array is; a larger one takes its place

    Raises
    ------
    MemoryError
        There is none; the array is as it was.
    """
    if len(holder[name]) < n:
        _enlarge(holder, name, round_up(n), used)
        if fill:
            holder[name][used:] = fill


def grow_table(holder: MutableMapping[Any, Any], name: str, n: int, *, are_pairs: bool = False) -> None:
    """Let an open-addressing table, shape (2**k, 2), have room for `n` entries; it is then at most half full."""
    size = len(holder[name])
    if size < 2 * n:
        _enlarge(holder, name, round_up(2 * n), size)
        spread(holder[name], size, are_pairs)


def _enlarge(holder: Any, name: Any, capacity: int, used: int) -> None:  # noqa: ANN401 - as for `grow`
    array = holder[name]
    shape, dtype = array.shape, array.dtype
    region = _find_region(array)
    if region is not None:
        holder[name] = array = None  # whatever looks at a region keeps it where it is
        try:
            region.resize(_measure((capacity, *shape[1:]), dtype))
        except BufferError:
            holder[name] = array = _view(region, shape, dtype)
        except OSError as error:
            holder[name] = _view(region, shape, dtype)
            raise MemoryError(str(error)) from error
        else:
            holder[name] = _view(region, (capacity, *shape[1:]), dtype)
            return
    grown = allocate((capacity, *shape[1:]), dtype)
    grown[:used] = array[:used]
    holder[name] = grown


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Make an array of zeros that begins with a cache line, so that an entry of a line's size lies in one."""
    n_bytes = math.prod(shape) * dtype.itemsize
    # NOTE: nowhere else does Python enlarge memory that is no file's.
    if sys.platform == "linux" and n_bytes >= _LARGE:
        region = mmap.mmap(-1, _measure(shape, dtype), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        _ask_for_large_pages(region)
        return _view(region, shape, dtype)
    raw = np.zeros(n_bytes + _LINE, np.uint8)
    begin = -raw.ctypes.data % _LINE
    return raw[begin : begin + n_bytes].view(dtype).reshape(shape)


def _ask_for_large_pages(region: mmap.mmap) -> None:
    try:
        region.madvise(mmap.MADV_HUGEPAGE)
    except (AttributeError, OSError):  # this Python or this kernel knows none: small ones do as well
        return


def _measure(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Give the bytes of a region for an array."""
    return -(-math.prod(shape) * dtype.itemsize // _LARGE) * _LARGE


def _view(region: mmap.mmap, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(region, dtype, math.prod(shape)).reshape(shape)


def _find_region(array: NDArray[Any]) -> mmap.mmap | None:
    """Find the region that an array is all of; None where it has none."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    region = base.obj if isinstance(base, memoryview) else None
    if isinstance(region, mmap.mmap) and len(region) == _measure(array.shape, array.dtype):
        return region
    return None


def take_over(array: NDArray[Any]) -> NDArray[Any]:
    """Give the array itself if it can be written to, else a copy."""
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def round_up(n: int) -> int:
    """Give the capacity for so many entries."""
    return max(MIN_CAPACITY, 1 << (n - 1).bit_length())
