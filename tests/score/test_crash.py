"""A scorer that is killed loses nothing; `make kills` does the same many times more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_killed_scorer_loses_nothing_and_goes_on_as_if_undisturbed() -> None:
    driver = Path(__file__).with_name("crash_driver.py")

    told = subprocess.run([sys.executable, driver, "10", "7"], check=False, capture_output=True, text=True)

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("10 kills (")
