"""The wheel, not the checkout: built, installed into an empty environment, and used."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.wheel
def test_wheel_scores_a_file_from_an_empty_environment(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT], check=True
    )
    venv.create(tmp_path / "empty", with_pip=True)
    bin_ = tmp_path / "empty" / "bin"
    subprocess.run([bin_ / "python", "-m", "pip", "install", "--quiet", *wheels.iterdir()], check=True)
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
