from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np, pyarrow as pa
from ordervet.cli.freed_memory import keep_freed_memory

def take_and_free():
    np.ones(5_000_000), pa.array(np.arange(5_000_000)).take(pa.array(np.arange(0, 5_000_000, 2)))

if sys.argv[1] == "keep":
    assert keep_freed_memory()
take_and_free()
before = resource.getrusage(resource.RUSAGE_SELF)
for _ in range(10):
    take_and_free()
after = resource.getrusage(resource.RUSAGE_SELF)
# NOT ru_maxrss: it begins with that of the process that started this one.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(after.ru_minflt - before.ru_minflt, int(peak) // 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can keep what is freed")
def test_the_next_chunk_finds_the_memory_of_the_last_one() -> None:
    (kept, kept_mib), (given_back, _) = (
        map(int, subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, check=True).stdout.split())
        for how in ("keep", "give")
    )

    assert 10 * kept < given_back
    assert kept_mib < 1_000  # it is taken once, not ten times
