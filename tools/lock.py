"""Write the versions that `make` installs: the newest that fit together, or the lowest that pyproject.toml admits.

python tools/lock.py > constraints.txt              # `make lock`
python tools/lock.py --lowest > constraints.txt     # for `make test-lowest`
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
HEAD = "# Versions that `make` installs and CI runs on; written by `make lock` ({python}). Do not edit.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowest", action="store_true", help="the lowest versions that pyproject.toml admits")
    lowest = parser.parse_args().lowest
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    lines = [lower(each) for each in list_for_users(project)] if lowest else resolve(list_requirements(project))
    sys.stdout.write(HEAD.format(python=f"Python {sys.version_info.major}.{sys.version_info.minor}"))
    sys.stdout.writelines(f"{line}\n" for line in sorted(lines, key=str.lower))


def list_requirements(project: dict[str, Any]) -> list[str]:
    """List everything that the project names: for its build, for users, and for each group of contributors' tools."""
    groups = project.get("dependency-groups", {}).values()
    named = [each for group in groups for each in group if isinstance(each, str)]
    return sorted({*project["build-system"]["requires"], *list_for_users(project), *named})


def list_for_users(project: dict[str, Any]) -> list[str]:
    """List what users need, with every extra."""
    extras = project["project"].get("optional-dependencies", {}).values()
    return [*project["project"]["dependencies"], *(each for extra in extras for each in extra)]


def lower(requirement: str) -> str:
    """Return ``name==version`` with the lowest version that a requirement admits."""
    name, _, rest = requirement.partition(";")[0].partition(">=")
    return f"{name}=={rest.partition(',')[0]}"


def resolve(requirements: list[str]) -> list[str]:
    """Let pip choose versions, without installing them; return ``name==version`` of these and of what they need."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
        subprocess.run([*command, "--ignore-installed", "--report", report, *requirements], check=True)
        installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [f"{each['metadata']['name']}=={each['metadata']['version']}" for each in installed]


if __name__ == "__main__":
    main()
