"""Pace a desk of 300 orders through 20 made-up evenings of 0.3 to 3 times the planned volume.

Each evening's arrival curve departs from the plan, with bursts on the hour and malice uneven over time
(tests/evenings.py). Printed: how many were handed on, and the money caught as a share of what the riskiest 300, chosen
with the whole evening known, would have caught; beside it the same on average over who turns out malicious.

With `--merchants` the evenings are the opening evenings of so many simulated merchants, scored by the bundled model:
with and without a plan (hours as they will be, 0.7 times the volume), in one go and stopped five times. Printed is the
money of malicious orders handed on, in points of all of the evening, above or below that of a cut at its end.

    python benchmarks/bench_pacing.py [--planned 20000] [--evenings 20] [--rank-by value] [--merchants 3]
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
    Evening,
    cut_afterwards,
    draw_day,
    make_capacity,
    pace_evening,
    simulate_evening,
    sum_caught,
    sum_expected,
)
from ordervet.policy import Capacity, Shift

DAY_US, EAST_US = 86_400_000_000, 28_800_000_000
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
    parser.add_argument("--merchants", type=int, default=0, help="evenings of simulated merchants instead")
    parser.add_argument("--orders", type=int, default=30_000, help="orders of such a merchant's season")
    parser.add_argument("--seed", type=int, default=1, help="of the first merchant")
    options = parser.parse_args()
    if options.merchants:
        pace_merchants(range(options.seed, options.seed + options.merchants), options.orders)
        return
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


def pace_merchants(seeds: range, n_orders: int) -> None:
    """Pace the opening evenings of simulated merchants and print the money caught beside a cut at the end."""
    n_slots = n_orders // 200
    shift = Shift(start="20:00", end="24:00")
    print(f"{n_slots} slots, simulated data")
    print(f"{'rank by':>8}{'merchant':>9}" + "".join(f"{head:>17}" for head in ("plan", "", "no plan", "")))
    print(f"{'':17}" + "".join(f"{head:>17}" for head in ("in one go", "stopped 5 times") * 2))
    differences: dict[str, list[list[float]]] = {"risk": [], "value": []}
    for seed in seeds:
        evening, past = score_opening(seed, n_orders)
        cuts = [len(evening) * part // 6 for part in range(1, 6)]
        hours = (evening.at_us + EAST_US) % DAY_US // (DAY_US // 24)
        plan = {f"{hour:02d}:00": 0.7 * int((hours == hour).sum()) for hour in range(24)}
        all_bad = evening.amount_minor[evening.is_malicious].sum()
        for rank_by, found in differences.items():
            row, counts = [], []
            for planned in (plan, {}):
                capacity = Capacity.model_validate(
                    {"n": n_slots, "shifts": [shift], "plan": planned, "rank_by": rank_by}
                )
                best = sum_caught(evening, cut_afterwards(evening, capacity))
                for restarts in ([], cuts):
                    is_handed = pace_evening(evening, capacity, restarts=restarts, **past)
                    row.append(100.0 * (sum_caught(evening, is_handed) - best) / all_bad)
                    counts.append(int(is_handed.sum()))
            found.append(row)
            shown = "".join(f"{points:+9.1f} ({count:4d})" for points, count in zip(row, counts, strict=True))
            print(f"{rank_by:>8}{seed:>9}{shown}", flush=True)
    for rank_by, found in differences.items():
        print(f"{rank_by:>8}{'mean':>9}" + "".join(f"{points:+9.1f}       " for points in np.mean(found, axis=0)))


def score_opening(seed: int, n_orders: int) -> tuple[Evening, dict[str, np.ndarray]]:
    """Score a simulated season.

    Returns
    -------
    its day of most orders; what `pace_evening` wants to know of the four weeks before
    """
    from ordervet.contract import Events
    from ordervet.entities import Key
    from ordervet.lab.simulate import SimulationSettings, simulate
    from ordervet.model import load_serving_model
    from ordervet.policy import load_policy
    from ordervet.score import Scorer, find_bundled_models
    from ordervet.score.live_decision import draw_reference

    merchant = simulate(SimulationSettings(n_orders=n_orders, seed=seed, malicious_share=0.06))
    model, _ = load_serving_model(find_bundled_models())
    events = Events(merchant.orders, merchant.outcomes, merchant.verdicts, merchant.corrections)
    scored = Scorer(model, load_policy(), Key(bytes(range(16)))).score_events(events)
    at_us = scored.orders["seen_at"].cast("int64").to_numpy()
    is_bad = dict(zip(*(merchant.truth[name].to_pylist() for name in ("order_id", "is_malicious")), strict=True))
    day = (at_us + EAST_US) // DAY_US
    opening = np.bincount(day).argmax()
    rows = np.flatnonzero(day == opening)
    rows = rows[np.argsort(at_us[rows], kind="stable")]
    evening = Evening(
        at_us[rows],
        scored.p_malicious[rows],
        scored.orders["amount_minor"].to_numpy()[rows],
        np.array([is_bad[each] for each in scored.orders["order_id"].take(rows).to_pylist()]),
    )
    before = (day < opening) & (day >= opening - 28)
    amounts = scored.orders["amount_minor"].to_numpy()[before]
    return evening, {"came_at_us": at_us[before], "prior_p": draw_reference(model), "prior_minor": amounts}


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
