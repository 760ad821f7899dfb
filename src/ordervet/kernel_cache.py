"""Where compiled kernels are kept: beside the sources, else in the user's cache, else for this process only.

numba refuses to import a cached kernel when it can write neither of the first two, as in a read-only container. Then a
folder of this process takes their place, so that everything works, at the price of compiling anew each time.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

_log = logging.getLogger("ordervet")


def ensure_kernel_cache(package: Path) -> None:
    """See to it that kernels can be compiled; to be called before numba is imported.

    Parameters
    ----------
    package : folder of the sources
    """
    if os.environ.get("NUMBA_CACHE_DIR") or os.access(package, os.W_OK) or _is_writable(_find_user_cache()):
        return
    # NOT: a fixed name in the temporary folder. What is loaded from there runs, and others may write there too.
    folder = tempfile.mkdtemp(prefix="ordervet-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder
    _log.warning(
        "compiled kernels cannot be kept, so each start compiles them; set NUMBA_CACHE_DIR to a folder of your own"
    )


def has_compiled_kernels(package: Path) -> bool:
    """Tell whether kernels were compiled here before, so that nobody waits for them.

    Parameters
    ----------
    package : folder of the sources
    """
    named = os.environ.get("NUMBA_CACHE_DIR")
    elsewhere = Path(named) if named else _find_user_cache()
    # numba names a folder of a cache elsewhere after the folder of the sources and a hash of its path.
    return all(
        any((package / room / "__pycache__").glob("*.nbi")) or any(elsewhere.glob(f"{room}_*/*.nbi"))
        for room in ("entities", "features", "model")
    )


def _find_user_cache() -> Path:
    """Name the folder that numba takes when it cannot write beside the sources."""
    usual = "~/Library/Caches" if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.path.expanduser(usual)) / "numba"  # noqa: PTH111 - pathlib raises where there is no home


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
