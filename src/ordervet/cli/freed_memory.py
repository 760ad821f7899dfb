"""Keep the memory that chunks leave behind for the chunks that follow."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

# Parameters of glibc's mallopt, and what they are set to: one heap for all threads, nothing outside of it, and no end
# of it given back.
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_SETTINGS: Final = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1))


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, until it ends.

    By default large blocks go back to the system at once, and the next chunk, which is of the same size, takes pages
    that have to be found and zeroed again. Call it once, before the threads begin.

    Returns
    -------
    whether it is so; only glibc can
    """
    # SPEED: benchmarks/bench_path.py.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(name, value) for name, value in _SETTINGS)
