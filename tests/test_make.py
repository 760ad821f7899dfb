"""What `make` and CI rest on: commands, locked versions, and the list of slow tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from lock import list_requirements

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _in_a_checkout() -> None:
    if not (ROOT / "Makefile").is_file():
        pytest.skip("the Makefile is not beside the tests")


def test_ci_calls_make_names_only() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))

    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    commands = [line.split() for line in lines if not line.startswith("#")]
    called = {
        word for first, *words in commands if first == "make" for word in words if re.fullmatch("[a-z][a-z-]*", word)
    }
    assert {first for first, *_ in commands} <= {"make", "set", "cd", "wait", "installing=$!"}
    assert {"lint", "test"} <= called <= targets


def test_every_requirement_has_a_locked_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]

    locked = {line.partition("==")[0].lower().replace("_", "-") for line in lines}

    assert {re.split("[<>=;]", each)[0].lower() for each in list_requirements(project)} <= locked


def test_environments_have_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    needed = {re.split("[<>=;]", each)[0] for each in project["project"]["dependencies"]}

    groups = project["dependency-groups"]
    assert {*groups["scoring"], *groups["learning"]} == needed


def test_every_slow_test_exists() -> None:
    lines = (ROOT / "tests" / "slow_tests.txt").read_text(encoding="utf-8").splitlines()

    gone = [
        line
        for path, _, name in (line.partition("::") for line in lines)
        if not (file := ROOT / path).is_file() or f"def {name}(" not in file.read_text(encoding="utf-8")
        for line in [f"{path}::{name}"]
    ]

    assert gone == []


#: Runs scripts, each beside its own folder alone: what of tests/ another one has imported is forgotten.
FROM_ONE_FOLDER_EACH = """
import os, runpy, sys
for script in sys.argv[1:]:
    sys.path[0] = os.path.dirname(script)
    runpy.run_path(script, run_name="imported")
    for name, module in list(sys.modules.items()):
        if f"{os.sep}tests{os.sep}" in (getattr(module, "__file__", None) or "").replace("site-packages", ""):
            del sys.modules[name]
"""


def test_proofs_find_what_they_import() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    scripts = re.findall(r"\$\(PROVE\) (\S+\.py)", makefile)
    (path,) = re.findall(r"^PROVE := PYTHONPATH=(\S+) ", makefile, flags=re.MULTILINE)
    env = os.environ | {"PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", FROM_ONE_FOLDER_EACH, *scripts], cwd=ROOT, env=env, check=True)

    assert len(scripts) >= 8
