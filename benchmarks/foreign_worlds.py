"""The night on merchants that nothing here was made for: what serves beside the starter alone, world by world.

    python benchmarks/foreign_worlds.py [--seeds 1 2 3] [--orders 20000] [--every 10] [--json worlds.json]

Seeds that rules and settings were tried on prove nothing (docs/evaluation.md lists them): for figures take fresh ones,
once. Every night is the real one; the orders of the seven days after it are measured against the simulation's truth.

Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from bisect import bisect_left
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.entities import Key, key_events
from ordervet.features import build_spec
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.lab.foreign import TUNING_SEEDS, build_foreign_world, draw_foreign_settings
from ordervet.lab.past_nights import (
    PLAIN,
    STANDING_RATE,
    STANDING_SCORE,
    replay_nights,
    sum_up_groups,
    sum_up_nights,
)
from ordervet.learn.intervals import find_wilson_interval
from ordervet.learn.labels import DAY_US, MALICIOUS, label_mature_orders
from ordervet.learn.night_settings import GateBounds, NightSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.lab.foreign import ForeignWorld
    from ordervet.lab.past_nights import NightMeasured

KEY = Key(bytes(range(16)))
FIRST_NIGHT, DAYS_AFTER = 45, 7
#: By the night on which so many malicious orders have mature labels, own trees are to serve.
ENOUGH = 100
COUNTS = ("n_orders", "serving", "starter", "expected")
#: An alert rate is to be within so much of its target; of a two-sided interval of 95 %.
MOST_CHANGE, Z_95 = 0.15, 1.96
MEASURES = ("ap", "recall", "precision", "alert_rate")


def run_world(world: ForeignWorld, *, every: int, settings: NightSettings) -> dict[str, Any]:
    keyed = key_events(world.events, KEY)
    ids = keyed.orders["id__order"].to_numpy().astype(np.uint64).tolist()
    truth = dict(zip(ids, world.is_malicious.tolist(), strict=True))
    groups = dict(zip(ids, world.group.tolist(), strict=True))
    seen_at = world.events.orders["seen_at"].cast("int64").to_numpy()
    start_us = int(seen_at.min()) // DAY_US * DAY_US
    last = world.settings.n_days - DAYS_AFTER
    cut_offs = [start_us + day * DAY_US for day in range(FIRST_NIGHT, last + 1, every)]
    with tempfile.TemporaryDirectory(prefix="ordervet-foreign-") as folder:
        history = History.open(Path(folder) / "history", KEY, create=True)
        history.ingest(world.events)

        def replay(cut_offs_us: list[int]) -> list[NightMeasured]:
            return replay_nights(
                history, cut_offs_us, build_spec(), settings=settings, days_after=DAYS_AFTER, truth=truth,
                look_alikes=groups,
            )  # fmt: skip

        nights = replay(cut_offs)
        enough_us = find_enough(history, [start_us + day * DAY_US for day in range(last + 1)], settings)
        # NOTE: apart from the others, so that these are what they are without it.
        before = [night for night, at in zip(nights, cut_offs, strict=True) if at <= (enough_us or 0)]
        if enough_us is not None and not (before and before[-1].own_share > 0):
            before = replay([enough_us])
    return {
        "nights": [each.as_dict() for each in nights],
        "summary": sum_up_nights(nights),
        "groups": {name: asdict(each) for name, each in sum_up_groups(nights).items()},
        "enough": before[-1].as_dict() if enough_us is not None else None,
    }


def find_enough(history: History, cut_offs_us: Sequence[int], settings: NightSettings) -> int | None:
    """Find the first night on which `ENOUGH` malicious orders have mature labels; None where it does not come."""

    def count(cut_off_us: int) -> int:
        timeline = HistorySlices.open(history, until_us=cut_off_us).timeline
        labels = label_mature_orders(timeline, as_of_us=cut_off_us, maturity=settings.maturity)
        return int((labels.label == MALICIOUS).sum())

    at = bisect_left(cut_offs_us, ENOUGH, key=count)
    return cut_offs_us[at] if at < len(cut_offs_us) else None


def print_world(seed: int, world: ForeignWorld, result: dict[str, Any], took_s: float) -> None:
    told = world.settings
    print(
        f"world {seed}: {len(world.is_malicious):,} orders, {told.base_rate:.2%} malicious, "
        f"{told.judged_share:.0%} judged, {'western, ' if told.is_western else ''}"
        f"without {', '.join(sorted(told.lacking)) or 'nothing'} ({took_s:.0f} s)"
    )
    for night in result["nights"]:
        ours, theirs = night["serving"], night["starter"]
        figures = "  ".join(f"{name} {theirs[name]:.3f} -> {ours[name]:.3f}" for name in MEASURES)
        why = ", ".join(night["refused_by"] or night["missing"])
        print(
            f"  {night['as_of'][:10]} {night['outcome']:9} own {night['own_share']:.2f}  {figures}  {why}", flush=True
        )


def print_enough(results: dict[int, dict[str, Any]]) -> None:
    """Print whether own trees serve by the night on which `ENOUGH` malicious labels are mature, and if not, why.

    The nights named are the last ones that were run up to then.
    """
    nights = {seed: each["enough"] for seed, each in results.items() if each["enough"]}
    serving = [seed for seed, night in nights.items() if night["own_share"] > 0]
    print(
        f"{ENOUGH} malicious labels are mature in {len(nights)} of {len(results)} worlds, and own trees serve by that "
        f"night in {len(serving)} of them"
    )
    for seed, night in nights.items():
        told = f"  world {seed}, {night['as_of'][:10]}:"
        if seed in serving:
            print(f"{told} own {night['own_share']:.2f}")
            continue
        why = [f"{name}{' (not decided)' if name in night['not_decided'] else ''}" for name in night["refused_by"]]
        print(
            f"{told} starter; a challenger with own {night['challenger_share']:.2f} was refused by {', '.join(why)}; "
            f"ap on the {DAYS_AFTER} days after: starter {night['starter']['ap']:.3f}, "
            f"challenger {night['challenger_ap']:.3f}"
        )


def print_groups(worlds: list[list[dict[str, Any]]]) -> None:
    """Print how often innocent orders would not pass on nights with own trees, plain buyers first.

    Who has more accounts has more first orders, of which nobody knows anything; so beside each group's alerts stand
    those that plain buyers would have with as many first orders on the same nights.
    """
    found = [night["groups"] for world in worlds for night in world if night["own_share"] > 0]
    names = sorted({name for groups in found for name in groups} - {PLAIN})
    totals = {
        name: [sum(groups[name][key] for groups in found if name in groups) for key in COUNTS]
        for name in (PLAIN, *names)
    }
    print("innocent orders that would not pass on nights with own trees, by what served and by the starter alone:")
    for name, (n, *flagged, expected) in totals.items():
        if n:
            plain = [max(each, 1) / totals[PLAIN][0] for each in totals[PLAIN][1:-1]]
            rates = [
                f"{each / n:.3%} ({each / n / at:.2f} times plain)" for each, at in zip(flagged, plain, strict=True)
            ]
            print(
                f"  {name:16} {n:7,} innocents: {', '.join(rates)}; {flagged[0]} by what served, {expected:.1f} with "
                f"the rates of plain buyers' first and later orders ({flagged[0] / max(expected, 1):.2f} times)"
            )


def print_standing(results: dict[int, list[dict[str, Any]]]) -> None:
    """Print how far alerts at a standing threshold are from their target, and what of it counting alone explains.

    A week's interval of 95 % (Wilson's) is of how many alerts its own orders would give by chance; the days that the
    score was made of vary as much.
    """
    changes, n_held, n_off_held = [], 0, 0
    for seed, nights in results.items():
        for night in nights:
            n, rate = night["n_quiet"], night["serving"]["standing_rate"]
            if n:
                low, high = find_wilson_interval(rate * n, n, z=Z_95)
                change, is_held = rate / STANDING_RATE - 1, low <= STANDING_RATE <= high
                changes.append((seed, change))
                n_held += is_held
                if abs(change) > MOST_CHANGE:
                    n_off_held += is_held
                    print(
                        f"  world {seed}, {night['as_of'][:10]}: {STANDING_RATE * n:.0f} alerts expected, "
                        f"{rate * n:.0f} seen [{low * n:.0f}, {high * n:.0f}]{'' if is_held else ', beyond chance'}"
                    )
    rates = np.array([change for _, change in changes])
    by_world = [np.mean([change for of, change in changes if of == seed]) for seed in dict(changes)]
    n_off = int((abs(rates) > MOST_CHANGE).sum())
    print(
        f"alert rate at a risk score of {STANDING_SCORE:g} on quiet days: {rates.mean():+.1%} of its target on "
        f"average, within {MOST_CHANGE:.0%} in {len(rates) - n_off} of {len(rates)} weeks ({n_off_held} of the other "
        f"{n_off} may be chance), the target within the interval of {n_held}; all weeks together within "
        f"{MOST_CHANGE:.0%} in {sum(abs(each) <= MOST_CHANGE for each in by_world)} of {len(by_world)} worlds"
    )


def print_gains(worlds: list[list[dict[str, Any]]]) -> None:
    """Print the average precision above the starter's: over all nights, with own trees, and from night to night."""

    def find_gains(nights: Sequence[dict[str, Any]]) -> np.ndarray:
        gains = np.array([night["serving"]["ap"] - night["starter"]["ap"] for night in nights])
        return gains[~np.isnan(gains)]

    nights = [night for world in worlds for night in world]
    gains, own = find_gains(nights), find_gains([night for night in nights if night["own_share"] > 0])
    n_own = sum(any(night["own_share"] > 0 for night in world) for world in worlds)
    print(f"{len(gains)} nights: AP gain over the starter {gains.mean():+.4f} on average, {gains.min():+.4f} at worst")
    if len(own):
        print(f"own trees serve in {n_own} of {len(worlds)} worlds, on {len(own)} nights, and gain {own.mean():+.4f}")
    print(f"more than .01 below the starter on {(gains < -0.01).sum()} nights")
    told = [night for night in nights if night["own_share"] > 0 and night["n_malicious"]]
    for name in ("ap", "recall_at_rate", "precision_at_rate", "recall"):
        differences = np.array([night["serving"][name] - night["starter"][name] for night in told])
        # NOTE: where nothing is flagged there is no precision.
        differences = differences[~np.isnan(differences)]
        print(
            f"{name} with own trees: no lower on {(differences >= 0).sum()} of {len(differences)} nights, "
            f"{differences.mean():+.3f} on average"
        )
    by_night = [find_gains(each).mean() for each in zip(*worlds, strict=True)]
    print("from night to night: " + ", ".join(f"{gain:+.3f}" for gain in by_night))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(TUNING_SEEDS))
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=10, help="days from one night to the next")
    parser.add_argument(
        "--lookalikes", type=int, default=0, help="simulated orders of each look-alike; 0 skips the gate"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = NightSettings(gates=GateBounds(lookalike_orders=options.lookalikes))
    results = {}
    for seed in options.seeds:
        started = time.perf_counter()
        world = build_foreign_world(draw_foreign_settings(seed, n_orders=options.orders))
        results[seed] = run_world(world, every=options.every, settings=settings)
        print_world(seed, world, results[seed], time.perf_counter() - started)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    print_enough(results)
    print_groups([each["nights"] for each in results.values()])
    print_standing({seed: each["nights"] for seed, each in results.items()})
    print_gains([each["nights"] for each in results.values()])
    print("Numbers on simulated data prove behaviour, not accuracy.")


if __name__ == "__main__":
    main()
