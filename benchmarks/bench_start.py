"""Time the first decision of a new process: python benchmarks/bench_start.py [--python PYTHON ...] [--times 15].

Every interpreter named with --python, which has an ordervet of its own, takes its turn. The process has no home and
writes no bytecode; its packages are as they were installed. Printed are medians: the time on the clock from the start
of the process to the decision, the processor's, and the memory after opening and after the decision; of an order that
passes, and of one that a policy flags which flags all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

POLICY = """
protocol = 1
name = "flags every order"
bands = {by = "explicit", elevated = 0.0, high = 0.0, severe = 0.0}
actions = {low = "pass", elevated = "review", high = "review", severe = "review"}
"""
CODE = """
import json, sys, time
from ordervet import Scorer
def measure_memory():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
scorer = Scorer.open(policy=sys.argv[1] or None)
opened = measure_memory()
decision = scorer.score({"order_id": "T1", "placed_at": "2025-11-11 20:03:07", "amount_minor": 12900, "buyer_id": "b-1",
    "address": "浙江省杭州市西湖区文三路99号3栋2单元502", "phone": "13900001234", "recipient": "张三明"})
print(json.dumps([time.time(), time.process_time(), opened, measure_memory(), decision.code, len(decision.reasons)]))
"""


def start(python: str, policy: str) -> list[float]:
    """Start a process; return seconds to the decision, the processor's, and MiB after opening and at the end."""
    bare = {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", "ORDERVET_KEY": bytes(range(16)).hex()}
    began = time.time()
    done = subprocess.run(
        [python, "-c", CODE, policy], env=bare, cwd="/", capture_output=True, text=True, check=True
    )  # fmt: skip
    ended, processor, opened, held, code, n_reasons = json.loads(done.stdout)
    assert (code, n_reasons > 0) == ("SCORED", bool(policy)), done.stdout
    return [ended - began, processor, opened, held]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable])
    parser.add_argument("--times", type=int, default=15)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        policy = Path(folder) / "policy.toml"
        policy.write_text(POLICY, encoding="utf-8")
        kinds = {"passed": "", "flagged": str(policy)}
        found = {(python, kind): [] for python in chosen.python for kind in kinds}
        for _ in range(chosen.times):
            for (python, kind), rows in found.items():
                rows.append(start(python, kinds[kind]))
    for (python, kind), rows in found.items():
        clock, processor, opened, held = np.median(np.array(rows), axis=0)
        times = f"{clock:.2f} s, processor {processor:.2f} s"
        print(f"{python} {kind:>7}: {times}, {opened:.0f} MiB opened, {held:.0f} MiB held")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, {chosen.times} times each")


if __name__ == "__main__":
    main()
