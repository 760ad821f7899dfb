"""The night at five small shops: what serves after it beside the starter alone, on the month that follows.

    python benchmarks/five_shops.py [--orders-a-day 150] [--seed 5] [--shops "one month" ...] [--json shops.json]

Shops of one, three and six months, whose desks judge 90, 30 or 10 % of the malice. Two nights are run, two weeks apart,
and the 30 days after each are measured against the simulation's truth: average precision, recall at the policy's bands
and innocent orders that it would not pass. What serves is not to be below the starter by more than .01 of average
precision or .03 of recall.

Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ordervet.entities import Key, key_events
from ordervet.features import build_spec
from ordervet.history import History
from ordervet.lab.past_nights import replay_nights
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.labels import DAY_US
from ordervet.learn.night_settings import GateBounds, NightSettings

if TYPE_CHECKING:
    from ordervet.lab.past_nights import NightMeasured

KEY = Key(bytes(range(16)))
#: Days of trade before the last night, and the share of malice that the desk judges.
SHOPS = {
    "three months": (90, 0.9),
    "one month": (30, 0.9),
    "six months": (180, 0.9),
    "six months, 30 % judged": (180, 0.3),
    "six months, 10 % judged": (180, 0.1),
}
SEASON_DAYS, DAYS_AFTER, DAYS_BETWEEN = 5, 30, 14
MOST_AP_LOST, MOST_RECALL_LOST = 0.01, 0.03
SETTINGS = NightSettings(gates=GateBounds(lookalike_orders=0))


def run_shop(n_days: int, judged: float, *, orders_a_day: int, seed: int) -> list[NightMeasured]:
    n_all = n_days + DAYS_AFTER
    told = SimulationSettings(
        n_orders=orders_a_day * n_all, seed=seed, history_days=n_days, season_days=SEASON_DAYS,
        after_days=DAYS_AFTER - SEASON_DAYS, history_share=n_days / n_all,
        after_share=(DAYS_AFTER - SEASON_DAYS) / n_all, opening_share=0.3, review_rate=judged,
    )  # fmt: skip
    simulation = simulate(told)
    keyed = key_events(simulation.events, KEY)
    ids = keyed.orders["id__order"].to_numpy().astype(np.uint64).tolist()
    truth = dict(zip(ids, simulation.truth["is_malicious"].to_pylist(), strict=True))
    start = datetime(told.start.year, told.start.month, told.start.day, tzinfo=UTC) - timedelta(hours=8)
    cut_off_us = int(start.timestamp()) * 1_000_000
    with tempfile.TemporaryDirectory(prefix="ordervet-shop-") as folder:
        history = History.open(Path(folder) / "history", KEY, create=True)
        history.ingest(simulation.events)
        return replay_nights(
            history, [cut_off_us - DAYS_BETWEEN * DAY_US, cut_off_us], build_spec(), settings=SETTINGS,
            days_after=DAYS_AFTER, truth=truth,
        )  # fmt: skip


def is_below(night: NightMeasured) -> bool:
    lost_ap, lost_recall = night.starter.ap - night.serving.ap, night.starter.recall - night.serving.recall
    return lost_ap > MOST_AP_LOST or lost_recall > MOST_RECALL_LOST


def print_night(shop: str, night: NightMeasured) -> None:
    innocents = [
        round(each.alert_rate * night.n_orders * (1 - each.precision)) if each.alert_rate else 0
        for each in (night.starter, night.serving)
    ]
    why = ", ".join(night.refused_by or night.missing)
    print(
        f"{shop:24} {night.as_of[:10]} {night.outcome:9} own {night.own_share:.2f}  {night.n_malicious:4} malicious  "
        f"ap {night.starter.ap:.3f} -> {night.serving.ap:.3f}  "
        f"recall {night.starter.recall:.3f} -> {night.serving.recall:.3f}  "
        f"innocents {innocents[0]} -> {innocents[1]}  {'BELOW  ' if is_below(night) else ''}{why}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders-a-day", type=int, default=150)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--shops", nargs="+", choices=SHOPS, default=list(SHOPS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for shop in options.shops:
        n_days, judged = SHOPS[shop]
        nights = run_shop(n_days, judged, orders_a_day=options.orders_a_day, seed=options.seed)
        for night in nights:
            print_night(shop, night)
        results[shop] = [night.as_dict() for night in nights]
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    print("Numbers on simulated data prove behaviour, not accuracy.")


if __name__ == "__main__":
    main()
