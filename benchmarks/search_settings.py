"""Search the settings of the fit on a simulated merchant, by time-split folds; the result is a settings file.

    python benchmarks/search_settings.py --orders 60000 --out src/ordervet/model/settings.toml

Every candidate is fitted on the orders before each fold's start and measured on the orders after it: labels as the desk
gave them, average precision against the truth. What stands in the settings file now is kept unless a candidate of at
most 200 trees is better in the mean by more than twice the standard error of the paired differences between the folds.
Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from joblib import Parallel, delayed

from ordervet.features import build_spec
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.ranking import Ranking
from ordervet.learn.train import prepare
from ordervet.model import FitSettings, Predictor, TrainingSet
from ordervet.model.fit import fit_booster
from ordervet.model.settings import SETTINGS_FILE, write_settings

if TYPE_CHECKING:
    from ordervet.lab.simulate import Simulation
    from ordervet.learn.train import Prepared

#: Every tree is paid for at every score: candidates with more are not tried.
MAX_TREES = 200
#: A gain of so many standard errors is more than noise.
SURE_ERRORS = 2.0
SEEDS = (101, 102)
SHARES = (0.55, 0.7, 0.85)
GRID = {
    "num_leaves": (15, 31),
    "learning_rate": (0.06, 0.12),
    "min_data_in_leaf": (20, 50),
    "feature_fraction": (0.15, 0.25, 0.5),
    "bagging_fraction": (0.5, 0.8),
    "lambda_l2": (5.0, 20.0),
}


def list_candidates(settings: FitSettings) -> list[FitSettings]:
    """Change one setting at a time; rounds follow the learning rate, up to `MAX_TREES`."""
    found = {settings.model_dump_json(): settings}
    for values in itertools.product(*GRID.values()):
        changed = dict(zip(GRID, values, strict=True))
        if sum(getattr(settings, name) != value for name, value in changed.items()) > 1:
            continue
        rounds = round(settings.num_rounds * settings.learning_rate / changed["learning_rate"])
        if rounds > MAX_TREES:
            continue
        candidate = settings.model_copy(update=changed | {"num_rounds": rounds})
        found.setdefault(candidate.model_dump_json(), candidate)
    return list(found.values())


def measure(
    prepared: Prepared, truth: np.ndarray, names: tuple[str, ...], settings: FitSettings, share: float
) -> float:
    """Fit before a cut-off, and measure on the tenth of the orders that follow."""
    order = np.argsort(prepared.orders.seen_at, kind="stable")
    cut, end = int(share * len(order)), int((share + 0.15) * len(order))
    train, test = order[:cut][prepared.label[order[:cut]] >= 0], order[cut:end]
    training = TrainingSet(prepared.features[train], prepared.label[train] == 1, prepared.orders.seen_at[train])
    text = fit_booster(training, names, settings, n_threads=1)
    raw = Predictor(text).predict_raw(prepared.features[test])
    return Ranking(raw, truth[test]).measure_ap(np.ones(len(test)))


def prepare_merchant(n_orders: int, seed: int) -> tuple[Prepared, np.ndarray]:
    simulation: Simulation = simulate(SimulationSettings(n_orders=n_orders, seed=seed))
    prepared = prepare(simulation.events, build_spec(), maturity_days=30, n_jobs=2)
    return prepared, simulation.truth["is_malicious"].to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=60_000)
    parser.add_argument("--out", type=Path, default=None, help="write the result here; by default it is only printed")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    current, names = FitSettings(), build_spec().names
    candidates = list_candidates(current)
    merchants = [prepare_merchant(options.orders, seed) for seed in SEEDS]
    tasks = [(c, m, s) for c in range(len(candidates)) for m in range(len(SEEDS)) for s in SHARES]
    found = Parallel(n_jobs=options.jobs, backend="threading")(
        delayed(measure)(*merchants[m], names, candidates[c], share) for c, m, share in tasks
    )
    ap = np.array(found).reshape(len(candidates), -1)
    gain = ap - ap[0]
    error = gain.std(axis=1, ddof=1) / np.sqrt(ap.shape[1])
    print(f"{len(candidates)} candidates, {ap.shape[1]} folds, {options.orders:,} simulated orders of each merchant")
    for at in np.argsort(-ap.mean(axis=1)):
        changes = {n: getattr(candidates[at], n) for n in (*GRID, "num_rounds")}
        print(f"AP {ap[at].mean():.4f}  {gain[at].mean():+.4f} +- {error[at]:.4f}  {changes}")
    best = int(np.argmax(np.where(gain.mean(axis=1) > SURE_ERRORS * error, gain.mean(axis=1), 0)))
    print("kept" if best == 0 else "changed", "in", options.out or SETTINGS_FILE)
    if options.out:
        write_settings(candidates[best], options.out)


if __name__ == "__main__":
    main()
