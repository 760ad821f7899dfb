"""Measure whether skeletons of addresses pay: python benchmarks/bench_skeleton.py.

Simulates merchants whose abusers swap characters that sound or look alike (``--swaps`` of the disguised addresses),
learns on the first part of each season with the built-in features and with features of the skeleton beside them, and
prints, at the highest 2.5 % of the later scores: recall of malicious orders, that of the kinds that disguise addresses,
average precision, and the share flagged among honest look-alikes and all other honest orders. Simulated: it proves
behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

import lightgbm as lgb
import numpy as np
from sklearn.metrics import average_precision_score

from ordervet.contract import Events
from ordervet.entities import Key, key_events
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.lab.simulate.ring_kinds import RING_PLANS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.lab.simulate import Simulation

FEATURES: Final = {
    "built-in alone": (),
    "and buyers, malice of it": ("skeleton__distinct__buyer__90d", "skeleton__count__malicious__90d"),
    "and as of a place": (
        *("skeleton__distinct__buyer__1h", "skeleton__distinct__buyer__90d", "skeleton__count__malicious__90d"),
        *("skeleton__share__new_account__90d", "skeleton__age__order"),
    ),
    "and malice, refunds of it": (
        *("skeleton__count__malicious__90d", "skeleton__share__malicious__90d"),
        "skeleton__share__refund_requested__90d",
    ),
}
DISGUISED: Final = [kind for kind, plan in RING_PLANS.items() if plan.jigged_share > 0]
LEARNED, FLAGGED, N_FITS = 0.65, 0.025, 3
SETTINGS: Final = {
    "objective": "binary", "learning_rate": 0.06, "num_leaves": 15, "max_depth": 5, "min_data_in_leaf": 40,
    "feature_fraction": 0.7, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5, "num_threads": 1,
    "verbose": -1,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=30_000, help="of each season")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--swaps", type=float, nargs="+", default=[0.0, 0.7])
    options = parser.parse_args()
    print("recall, of disguised kinds, average precision, look-alikes flagged, others flagged")
    for swaps in options.swaps:
        seasons = [
            measure_season(simulate(SimulationSettings(n_orders=options.orders, seed=seed, swap_share=swaps)))
            for seed in options.seeds
        ]
        print(f"{swaps:.0%} of the disguised addresses have swaps; mean of {len(seasons)} seasons")
        for name in FEATURES:
            print(f"  {name:26} " + "  ".join(f"{value:.4f}" for value in np.mean([each[name] for each in seasons], 0)))


def measure_season(season: Simulation) -> dict[str, NDArray[np.float64]]:
    added = tuple(dict.fromkeys(name for names in FEATURES.values() for name in names))
    spec = build_spec(entities=("skeleton",), names=(*build_spec().names, *added), use_defaults=False)
    orders = season.orders.append_column("entity__skeleton", season.orders["address"])
    keyed = key_events(Events(orders, season.outcomes, season.verdicts, season.corrections), Key(bytes(16)))
    features = FeatureEngine(spec).advance(build_order_events(keyed.orders, spec), build_later_events(keyed))
    return {
        name: measure(
            features[:, [at for at, each in enumerate(spec.names) if each not in added or each in names]], season
        )
        for name, names in FEATURES.items()
    }


def measure(features: NDArray[np.float32], season: Simulation) -> NDArray[np.float64]:
    is_malicious = np.asarray(season.truth["is_malicious"].to_pylist(), np.bool_)
    is_disguised = np.isin(np.array([kind or "" for kind in season.truth["kind"].to_pylist()]), DISGUISED)
    is_marked = np.asarray(season.truth["look_alike"].is_valid())
    cut = int(LEARNED * len(features))
    later = slice(cut, None)
    truth, marked = is_malicious[later], is_marked[later]
    rows = []
    for seed in range(N_FITS):
        data = lgb.Dataset(features[:cut], is_malicious[:cut])
        scores = np.asarray(lgb.train(SETTINGS | {"seed": seed}, data, 150).predict(features[later]))
        is_flagged = scores >= np.sort(scores)[-int(FLAGGED * len(scores))]
        groups = (truth, truth & is_disguised[later], marked & ~truth, ~marked & ~truth)
        recall, disguised, look_alikes, others = (is_flagged[group].mean() for group in groups)
        rows.append([recall, disguised, average_precision_score(truth, scores), look_alikes, others])
    return np.mean(rows, 0)


if __name__ == "__main__":
    main()
