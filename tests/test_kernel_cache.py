"""Kernels compile wherever ordervet is installed, also where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ordervet.kernel_cache import ensure_kernel_cache

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
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))

    ensure_kernel_cache(tmp_path / "missing")

    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "mine")


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


def lay_out(package: Path) -> list[Path]:
    """Make a package with one source and one compiled kernel in each room."""
    compiled = []
    for room in ("entities", "model"):
        (package / room / "__pycache__").mkdir(parents=True)
        (package / room / "kernel.py").write_text("LIMIT = 1", encoding="utf-8")
        compiled.append(package / room / "__pycache__" / "kernel.f-1.py311.nbi")
        compiled[-1].touch()
    return compiled


def test_kernels_of_other_sources_are_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    compiled = lay_out(tmp_path)
    ensure_kernel_cache(tmp_path)
    unknown = [path.exists() for path in compiled]
    for path in compiled:
        path.touch()

    ensure_kernel_cache(tmp_path)
    same = [path.exists() for path in compiled]
    (tmp_path / "model" / "kernel.py").write_text("LIMIT = 2", encoding="utf-8")
    ensure_kernel_cache(tmp_path)

    assert (unknown, same, [path.exists() for path in compiled]) == ([False] * 2, [True] * 2, [False] * 2)


def test_kernels_of_other_sources_are_thrown_away_from_a_named_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    lay_out(tmp_path / "package")
    compiled = tmp_path / "cache" / "model_0ab" / "kernel.f-1.py311.nbc"
    compiled.parent.mkdir(parents=True)
    compiled.touch()

    ensure_kernel_cache(tmp_path / "package")

    assert not compiled.exists()
