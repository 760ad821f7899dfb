"""Pace a desk of 300 orders through 20 made-up evenings of 0.3 to 3 times the planned volume.

Each evening's arrival curve departs from the plan, with bursts on the hour and malice uneven over time
(tests/evenings.py). Printed: how many were handed on, and the money caught as a share of what the riskiest 300, chosen
with the whole evening known, would have caught; beside it the same on average over who turns out malicious.

    python benchmarks/bench_pacing.py [--planned 20000] [--evenings 20] [--rank-by value]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from evenings import (
    N_SLOTS,
    cut_afterwards,
    make_capacity,
    pace_evening,
    simulate_evening,
    sum_caught,
    sum_expected,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planned", type=int, default=20_000, help="orders the plan expects")
    parser.add_argument("--evenings", type=int, default=20)
    parser.add_argument("--rank-by", choices=("risk", "value"), default="risk", help="what comes first")
    options = parser.parse_args()

    heads = ("orders", "handed on", "money caught", "on average", "µs/order")
    print(f"{'volume':>8}" + "".join(f"{head:>14}" for head in heads))
    capacity = make_capacity(options.planned).model_copy(update={"rank_by": options.rank_by})
    worst, counts = [], []
    for seed, factor in enumerate(np.geomspace(0.3, 3.0, options.evenings)):
        evening = simulate_evening(seed, int(options.planned * factor))
        started = time.perf_counter()
        is_handed = pace_evening(evening, capacity)
        per_order_us = (time.perf_counter() - started) / len(evening) * 1e6
        best = cut_afterwards(evening, capacity)
        caught = sum_caught(evening, is_handed) / sum_caught(evening, best)
        expected = sum_expected(evening, is_handed) / sum_expected(evening, best)
        worst.append(caught)
        counts.append(int(is_handed.sum()))
        shown = (f"{len(evening):,}", f"{counts[-1]}", f"{caught:.1%}", f"{expected:.1%}", f"{per_order_us:.0f}")
        print(f"{factor:>7.2f}x" + "".join(f"{value:>14}" for value in shown), flush=True)
    print(
        f"handed on {min(counts)} to {max(counts)} of {N_SLOTS}; money caught at least {min(worst):.1%}, simulated data"
    )


if __name__ == "__main__":
    main()
