"""Measure what each family of features is worth: python tools/ablate_families.py [--starter].

Trees are fitted without one family after the other, and without all that is known of groups; the weights of the
protections stay those of all features. Each simulated season is learned from what was known on its opening evening, and
tested on the orders from then on; with ``--starter`` all is learned from the starter's merchants, and tested on whole
seasons. Printed per family, against the truth and at 1.25 flags per malicious order, mean of seasons and fits: average
precision, recall, and the share of new rings caught at their first order and ever. Numbers on simulated data prove
behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from ring_weights import KEY, OPENING, UNIT, measure, read_starter

from ordervet.entities import key_events
from ordervet.features import build_spec
from ordervet.lab.backtest.baselines import name_family
from ordervet.lab.backtest.report import build_test_orders, find_rings
from ordervet.lab.backtest.splits import pick_training, plan_splits
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.train import prepare
from ordervet.model import FitSettings, Predictor
from ordervet.model.fit import fit_booster
from ordervet.model.protections import PROTECTED, build_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from ring_weights import Measured

    from ordervet.model.fit import TrainingSet

ALL, GROUPS = "", "groups and their verdicts"


def main() -> None:
    """Fit, test, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7141, 7142, 7143], help="of the seasons")
    parser.add_argument("--fits", type=int, nargs="+", default=[1, 2], help="seeds of the trees")
    parser.add_argument("--orders", type=int, default=60_000)
    parser.add_argument("--only", nargs="+", help="families, in place of all")
    parser.add_argument("--starter", action="store_true", help="learn from the starter's merchants")
    parser.add_argument("--threads", type=int, default=1, help="the figures do not depend on it")
    options = parser.parse_args()
    spec = build_spec()
    others = keep_others(spec.names)
    families = {ALL: np.arange(len(spec.names))} | {each: others[each] for each in options.only or others}
    trained = weigh(read_starter()[0], spec.names) if options.starter else None
    texts: dict[tuple[str, int], str] = {}
    every: dict[str, list[Measured]] = {family: [] for family in families}
    for seed in options.seeds:
        made = simulate(SimulationSettings(n_orders=options.orders, seed=seed))
        prepared = prepare(key_events(made.events, KEY), spec, maturity_days=30.0)
        (split,) = plan_splits(prepared, spec, None, test_from=datetime.fromisoformat(OPENING), truth=made.truth)
        train, rows = trained, np.arange(len(prepared.orders))
        if train is None:
            train, rows, texts = weigh(pick_training(prepared, split), spec.names), split.test_rows, {}
        rings = find_rings(prepared, made.truth)
        for family, kept in families.items():
            for fit in options.fits:
                if (family, fit) not in texts:
                    texts[family, fit] = fit_some(train, kept, spec.names, fit, options.threads)
                features = np.ascontiguousarray(prepared.features[np.ix_(rows, kept)])
                tested = build_test_orders(
                    prepared, rows, Predictor(texts[family, fit]).predict_raw(features), None,
                    time_zone=spec.time_zone, truth=made.truth, rings=rings,
                )  # fmt: skip
                every[family].append(measure(tested))
    whole = every[ALL]
    print(f"with all {len(spec.names)} features: {add_up(whole)}")
    for family, found in every.items():
        if family != ALL:
            changes = np.array([one.aps[0] - other.aps[0] for one, other in zip(found, whole, strict=True)])
            error = changes.std(ddof=1) / np.sqrt(len(changes)) if len(changes) > 1 else np.nan
            n = len(spec.names) - len(families[family])
            print(f"without {family} ({n}): {changes.mean():+.4f} ± {error:.4f}; {add_up(found)}")
    print("simulated: behaviour, not accuracy")


def keep_others(names: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    """Return of each family the columns of all others."""
    families = np.array([name_family(name) for name in names])
    kept = {family: np.flatnonzero(families != family) for family in dict.fromkeys(families.tolist())}
    return kept | {GROUPS: np.flatnonzero([not name.startswith("group__") for name in names])}


def weigh(train: TrainingSet, names: tuple[str, ...]) -> TrainingSet:
    """Give the protections' weights as numbers of orders, so many of which stand for one."""
    weight = build_weights(PROTECTED, train.features, names, train.is_malicious)
    return replace(train, weight=np.round(weight * UNIT).astype(np.int64))


def fit_some(train: TrainingSet, kept: NDArray[np.int64], names: tuple[str, ...], seed: int, n_threads: int) -> str:
    """Fit trees with some of the features."""
    settings = FitSettings(seed=seed, protected=())
    # NOTE: the penalty stands beside sums of weights.
    settings = settings.model_copy(update={"lambda_l2": settings.lambda_l2 * UNIT})
    some = replace(train, features=np.ascontiguousarray(train.features[:, kept]))
    return fit_booster(some, tuple(names[at] for at in kept), settings, n_threads=n_threads)


def add_up(found: list[Measured]) -> Measured:
    """Put the figures of several fits together."""
    total = found[0]
    for each in found[1:]:
        total += each
    return total


if __name__ == "__main__":
    main()
