"""A desk that judges only what was flagged, with an audit of what passed, beside a desk that sees everything.

    python benchmarks/flagged_only.py [--merchants simulated|foreign] [--seeds 1 2 3] [--orders 30000] [--every 10]
        [--orders-only] [--json desks.json]

Simulated merchants, or those of `lab.foreign`, are lived through for 60 nights, day by day; every night the real one
(`--every` runs each so many nights). Flagged are the orders that the policy does not pass and the refund requests that
it does not pay at once (`--orders-only` leaves requests to nobody). Printed: recall of orders over the last nights for
both desks, what the audit draws aside, and the missed malice that the audit estimates beside the truth.

Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.entities import Key
from ordervet.features import build_spec
from ordervet.lab.flagged_desk import DeskSettings, live_through
from ordervet.lab.foreign import build_foreign_world, draw_foreign_settings
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.labels import DAY_US
from ordervet.learn.night_settings import GateBounds, NightSettings

if TYPE_CHECKING:
    from ordervet.contract import Events
    from ordervet.lab.flagged_desk import Stretch

KEY = Key(bytes(range(16)))
FIRST_NIGHT, N_NIGHTS, N_LAST = 45, 60, 2


def build_merchant(merchants: str, seed: int, n_orders: int) -> tuple[Events, np.ndarray]:
    if merchants == "foreign":
        world = build_foreign_world(draw_foreign_settings(seed, n_orders=n_orders))
        return world.events, world.is_malicious
    simulation = simulate(SimulationSettings(n_orders=n_orders, seed=seed, history_share=0.6, opening_share=0.1))
    return simulation.events, simulation.truth["is_malicious"].to_numpy()


def run(merchant: tuple[Events, np.ndarray], desk: DeskSettings, *, every: int) -> list[Stretch]:
    events, is_malicious = merchant
    seen_at = events.orders["seen_at"].cast("int64").to_numpy()
    start_us = int(seen_at.min()) // DAY_US * DAY_US
    cut_offs = [start_us + day * DAY_US for day in range(FIRST_NIGHT, FIRST_NIGHT + N_NIGHTS + 1, every)]
    settings = NightSettings(gates=GateBounds(lookalike_orders=0))
    return live_through(events, is_malicious, cut_offs, build_spec(), key=KEY, desk=desk, settings=settings)


def sum_up(stretches: list[Stretch]) -> dict[str, Any]:
    last, audit = stretches[-N_LAST:], stretches[-1].audit
    found = sum(each.recall * each.n_malicious for each in last if each.n_malicious)
    return {
        "recall": found / max(sum(each.n_malicious for each in last), 1),
        "n_malicious": sum(each.n_malicious for each in last),
        "alert_rate": float(np.mean([each.alert_rate for each in last])),
        "audit": audit,
        "truly_missed": stretches[-1].truly_missed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--merchants", choices=("simulated", "foreign"), default="simulated")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--orders", type=int, default=30_000)
    parser.add_argument("--every", type=int, default=10, help="days from one night to the next")
    parser.add_argument("--share", type=float, default=0.01, help="of the audit")
    parser.add_argument("--orders-only", action="store_true", help="requests are not judged")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    flagged = DeskSettings(audit_share=options.share, judges_requests=not options.orders_only)
    desks = {"everything": replace(flagged, sees_everything=True, audit_share=0.0), "flagged": flagged}
    results: dict[str, dict[str, Any]] = {}
    for seed in options.seeds:
        results[str(seed)] = {}
        merchant = build_merchant(options.merchants, seed, options.orders)
        for name, desk in desks.items():
            started = time.perf_counter()
            stretches = run(merchant, desk, every=options.every)
            told = sum_up(stretches)
            results[str(seed)][name] = told | {"stretches": [each.as_dict() for each in stretches]}
            print(f"merchant {seed}, desk sees {name} ({time.perf_counter() - started:.0f} s)")
            for each in stretches:
                missed = f"{each.audit['missed']:.0f}, truly {each.truly_missed}" if each.audit else ""
                print(
                    f"  {each.outcome:9} own {each.own_share:.2f}  {each.n_malicious:4} malicious  ap {each.ap:.3f}  "
                    f"recall {each.recall:.3f}  alerts {each.alert_rate:.3f}  missed {missed}",
                    flush=True,
                )
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    recalls = {name: np.mean([each[name]["recall"] for each in results.values()]) for name in desks}
    print(
        f"recall after {N_NIGHTS} nights, mean of {len(results)}: "
        + ", ".join(f"{n} {r:.3f}" for n, r in recalls.items())
    )
    audits = [each["flagged"] for each in results.values() if each["flagged"]["audit"]]
    if audits:
        missed, truly = sum(a["audit"]["missed"] for a in audits), sum(a["truly_missed"] for a in audits)
        inside = sum(a["audit"]["missed_low"] <= a["truly_missed"] <= a["audit"]["missed_high"] for a in audits)
        print(f"missed malice: estimated {missed:.0f}, truly {truly}; {inside} of {len(audits)} intervals hold it")
    print("Numbers on simulated data prove behaviour, not accuracy.")


if __name__ == "__main__":
    main()
