"""Where compiled kernels are kept: beside the sources, else in the user's cache, else for this process only.

numba refuses to import a cached kernel when it can write neither of the first two, as in a read-only container. Then a
folder of this process takes their place, so that everything works, at the price of compiling anew each time.

numba compiles a kernel again when its own file has changed, but not when a kernel or a constant has that it takes from
another file. So whatever was compiled from other sources than today's is thrown away here.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

_log = logging.getLogger("ordervet")

_ROOMS = ("entities", "model")
"""Folders with kernels."""


def ensure_kernel_cache(package: Path) -> None:
    """See to it that kernels can be compiled, and that none of older sources is used; to be called before numba is.

    Parameters
    ----------
    package : folder of the sources
    """
    if (
        not os.environ.get("NUMBA_CACHE_DIR")
        and not os.access(package, os.W_OK)
        and not _is_writable(_find_user_cache())
    ):
        _keep_for_this_process()
    _drop_stale_kernels(package)


def _keep_for_this_process() -> None:
    # NOT: a fixed name in the temporary folder. What is loaded from there runs, and others may write there too.
    folder = tempfile.mkdtemp(prefix="ordervet-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder
    _log.warning(
        "compiled kernels cannot be kept, so each start compiles them; set NUMBA_CACHE_DIR to a folder of your own"
    )


def _drop_stale_kernels(package: Path) -> None:
    digest = hashlib.blake2b(digest_size=16)
    sources = [source for room in _ROOMS for source in (package / room).glob("*.py")]
    for source in sorted(sources):
        digest.update(source.read_bytes())
    stamp = _find_stamp(package)
    try:
        if stamp.is_file() and stamp.read_text(encoding="ascii") == digest.hexdigest():
            return
        for folder in (folder for room in _ROOMS for folder in _find_folders(package, room)):
            for compiled in folder.glob("*.nb[ic]"):
                compiled.unlink(missing_ok=True)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest.hexdigest(), encoding="ascii")
    except OSError as error:
        _log.warning("compiled kernels could not be checked: %s", error.strerror)


def _find_stamp(package: Path) -> Path:
    """Name the file that says of which sources the compiled kernels are."""
    elsewhere = _find_cache_elsewhere(package)
    if elsewhere is None:
        return package / "__pycache__" / "kernels.txt"
    return elsewhere / f"ordervet-{hashlib.blake2b(str(package).encode(), digest_size=8).hexdigest()}.txt"


def _find_folders(package: Path, room: str) -> list[Path]:
    """Find where numba keeps the kernels of a room; nothing where it has kept none yet."""
    elsewhere = _find_cache_elsewhere(package)
    if elsewhere is None:
        return [folder for folder in [package / room / "__pycache__"] if folder.is_dir()]
    # There is a folder for each folder of sources, named after it and a hash of its path.
    return sorted(elsewhere.glob(f"{Path(room).name}_*"))


def _find_cache_elsewhere(package: Path) -> Path | None:
    """Name the folder that holds compiled kernels; None where they are kept beside the sources."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named)
    return None if os.access(package, os.W_OK) else _find_user_cache()


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
