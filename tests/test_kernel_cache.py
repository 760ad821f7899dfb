"""Kernels compile wherever ordervet is installed, also where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ordervet.kernel_cache import ensure_kernel_cache, has_compiled_kernels

if TYPE_CHECKING:
    import pytest

HASH_ONE = """
import ordervet, os, pathlib
from ordervet.entities.ids import hash_texts
from ordervet.entities import new_key
import pyarrow as pa
print(os.environ.get("NUMBA_CACHE_DIR", "none"), bool(hash_texts(pa.array(["a"]), new_key(), "buyer")[0]))
"""


def test_kernels_are_kept_beside_sources_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    ensure_kernel_cache(tmp_path)

    assert "NUMBA_CACHE_DIR" not in os.environ


def test_a_folder_that_was_named_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "mine")

    ensure_kernel_cache(tmp_path / "missing")

    assert os.environ["NUMBA_CACHE_DIR"] == "mine"


def test_kernels_run_where_nothing_can_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder can be made in a file", encoding="utf-8")
    code = f"import os; os.access = lambda *_: False\n{HASH_ONE}"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"XDG_CACHE_HOME": str(blocked), "HOME": str(blocked)},
        capture_output=True,
        text=True,
        check=True,
    )

    folder, is_hashed = done.stdout.split()
    assert is_hashed == "True"
    assert "ordervet-kernels-" in folder
    assert not Path(folder).exists()
    assert "set NUMBA_CACHE_DIR" in done.stderr


def test_kernels_are_found_beside_the_sources_or_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    package = tmp_path / "package"
    for folder in (package / "entities" / "__pycache__", tmp_path / "cache" / "features_0ab"):
        folder.mkdir(parents=True)
        (folder / "kernel.nbi").touch()

    before = has_compiled_kernels(package)
    (package / "model" / "__pycache__").mkdir(parents=True)
    (package / "model" / "__pycache__" / "kernel.nbi").touch()

    assert (before, has_compiled_kernels(package)) == (False, True)
