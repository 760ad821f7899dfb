"""Run the benchmarks of two versions in turn, and fail where the newer is slower: python benchmarks/compare.py BASE.

Each version is measured by the benchmarks of the working tree, so BASE must have what they call. One that is slower
fails only past both bounds: more than SLOWER times the base's median, and more than SECONDS longer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLOWER, SECONDS = 1.15, 0.002
ROUNDS = 3


def measure(source: Path, out: Path, chosen: str) -> dict[str, float]:
    """Give the median seconds of every benchmark."""
    command = [sys.executable, "-m", "pytest", "-q", "benchmarks", "--benchmark-only", f"--benchmark-json={out}"]
    subprocess.run(
        [*command, *(["-k", chosen] if chosen else [])],
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(source / "src")},
        stdout=subprocess.DEVNULL,
    )
    measured = json.loads(out.read_text(encoding="utf-8"))["benchmarks"]
    return {each["name"]: each["stats"]["median"] for each in measured}


def compare(base: list[dict[str, float]], head: list[dict[str, float]]) -> list[str]:
    """Print both, and name the benchmarks that have become slower."""
    slower = []
    for name in head[0]:
        before = statistics.median(times[name] for times in base)
        after = statistics.median(times[name] for times in head)
        is_slower = after > before * SLOWER and after - before > SECONDS
        slower += [name] if is_slower else []
        print(
            f"{name:40} {before * 1e3:12,.3f} ms {after * 1e3:12,.3f} ms {after / before:6.2f} {'SLOWER' * is_slower}"
        )
    return slower


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="commit, branch or tag to compare the working tree with")
    parser.add_argument("-k", dest="chosen", default="", help="only benchmarks that match, as pytest's -k")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        checkout, out = Path(name, "base"), Path(name, "bench.json")
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(checkout), options.base], check=True, cwd=ROOT
        )
        try:
            base, head = [], []
            for at in range(options.rounds):
                base.append(measure(checkout, out, options.chosen))
                head.append(measure(ROOT, out, options.chosen))
                print(f"round {at + 1} of {options.rounds}", file=sys.stderr)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], check=True, cwd=ROOT)
    slower = compare(base, head)
    print(f"{len(slower)} of {len(head[0])} are slower by more than {SLOWER - 1:.0%} and {SECONDS * 1e3:g} ms")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
