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
    draw_day,
    make_capacity,
    pace_evening,
    simulate_evening,
    sum_caught,
    sum_expected,
)
from ordervet.policy import Capacity, Shift

DAYS = {
    "even": [1] * 24,
    "shop": [3, 1.5, 1, 0.6, 0.5, 0.6, 1, 2, 3, 4, 5, 5, 5, 4.5, 4.5, 4.5, 4.5, 4.5, 5, 6, 8, 9, 8, 5],
    "office": [0.3] * 8 + [5] * 10 + [2] * 4 + [0.5] * 2,
    "early": [1] * 8 + [10] * 8 + [0.2] * 8,
}
"""Orders of each hour of a day."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planned", type=int, default=20_000, help="orders the plan expects")
    parser.add_argument("--evenings", type=int, default=20)
    parser.add_argument("--rank-by", choices=("risk", "value"), default="risk", help="what comes first")
    parser.add_argument("--usual", action="store_true", help="whole days of small shops, without a plan, instead")
    options = parser.parse_args()
    if options.usual:
        pace_usual_days()
        return

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


def pace_usual_days() -> None:
    """Pace days of 60 to 330 orders by the hours of seven days before, and print what was handed on."""
    day_us = 86_400_000_000
    capacity = Capacity(n=20, shifts=(Shift(start="00:00", end="24:00"),), min_p=0.01)
    print(f"{'hours':>8}{'orders':>8}{'could be':>10}{'handed on':>11}{'on average':>12}")
    for name, shares in DAYS.items():
        for n_orders in (60, 150, 330):
            counts, possible, expected = [], [], []
            for seed in range(10):
                volumes = np.random.default_rng(seed).lognormal(0.0, 0.3, 7)
                earlier = [
                    draw_day(100 * (seed + 1) + number, int(n_orders * volume), shares).at_us - number * day_us
                    for number, volume in enumerate(volumes, start=1)
                ]
                day = draw_day(seed, n_orders, shares)
                is_handed = pace_evening(day, capacity, came_at_us=np.concatenate(earlier))
                counts.append(int(is_handed.sum()))
                possible.append(min(capacity.n or 0, int((day.p >= capacity.min_p).sum())))
                expected.append(sum_expected(day, is_handed) / sum_expected(day, cut_afterwards(day, capacity)))
            could_be, handed = np.mean(possible), np.mean(counts)
            print(f"{name:>8}{n_orders:>8}{could_be:>10.1f}{handed:>11.1f}{np.mean(expected):>12.1%}", flush=True)


if __name__ == "__main__":
    main()
