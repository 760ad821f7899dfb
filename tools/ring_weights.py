"""Compare fits in which the first orders of a ring weigh more: python tools/ring_weights.py [--starter].

A malicious order weighs by its place in its ring, as linked orders tell it (docs/definitions.md R1), to a power: 0 is
the fit as it is, -1 weighs the n-th order 1/n; all malicious orders together weigh what they did. Each simulated season
is learned from what was known on its opening evening, and tested on the orders from then on; with ``--starter`` all is
learned from the starter's merchants, and tested on whole seasons. Trees are fitted with several seeds, as one fit is
not like another. Printed per power, against the truth and at 1.25 flags per malicious order: average precision, recall,
the share of new rings caught at their first, second and third order and ever, and of `return_swap` ever. Numbers on
simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from train_starter import simulate_merchants

from ordervet.entities import Key, key_events
from ordervet.features import build_spec
from ordervet.lab.backtest.report import build_test_orders, find_rings
from ordervet.lab.backtest.splits import pick_training, plan_splits
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.intervals import number_buyers
from ordervet.learn.ranking import Ranking
from ordervet.learn.rings import RingRow, Rings, link_orders, look_up_links, measure_rings
from ordervet.learn.train import join_training_sets, prepare
from ordervet.model import FitSettings, Predictor
from ordervet.model.fit import fit_booster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.learn.evaluation import TestOrders
    from ordervet.learn.train import Prepared
    from ordervet.model.fit import TrainingSet

OPENING = "2025-11-10T20:00:00+08:00"
KEY = Key(bytes(range(16)))
#: Weights are whole numbers: so many stand for one order.
UNIT = 1_000


@dataclass(frozen=True)
class Measured:
    """What one fit, or several, caught on one season, or several."""

    aps: list[float]
    recalls: list[float]
    rings: RingRow
    swaps: RingRow

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.aps + other.aps, self.recalls + other.recalls, self.rings + other.rings, self.swaps + other.swaps
        )

    def __str__(self) -> str:
        caught = ((name, getattr(self.rings, name)) for name in ("first", "second", "third", "ever"))
        shares = ", ".join(f"{name} {n / self.rings.n_rings:.1%}" for name, n in caught)
        return (
            f"average precision {np.mean(self.aps):.4f}, recall {np.mean(self.recalls):.1%}; of {self.rings.n_rings} "
            f"new rings caught: {shares}; return_swap ever {self.swaps.ever} of {self.swaps.n_rings}"
        )


def main() -> None:
    """Fit, test, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7101, 7102, 7103], help="of the seasons")
    parser.add_argument("--fits", type=int, nargs="+", default=[1, 2], help="seeds of the trees")
    parser.add_argument("--orders", type=int, default=60_000)
    parser.add_argument("--powers", type=float, nargs="+", default=[0.0, -0.5, -1.0])
    parser.add_argument("--starter", action="store_true", help="learn from the starter's merchants")
    parser.add_argument("--threads", type=int, default=1, help="the figures do not depend on it")
    options = parser.parse_args()
    spec = build_spec()
    every: dict[float, Measured] = {}
    texts: dict[tuple[float, int], str] = {}
    starter = read_starter() if options.starter else None
    for seed in options.seeds:
        made = simulate(SimulationSettings(n_orders=options.orders, seed=seed))
        prepared = prepare(key_events(made.events, KEY), spec, maturity_days=30.0)
        (split,) = plan_splits(prepared, spec, None, test_from=datetime.fromisoformat(OPENING), truth=made.truth)
        if starter is None:
            train, place = pick_training(prepared, split), find_places(prepared, split.label, split.train_rows)
            rows, texts = split.test_rows, {}
        else:
            (train, place), rows = starter, np.arange(len(prepared.orders))
        rings = find_rings(prepared, made.truth)
        for power in options.powers:
            for fit in options.fits:
                if (power, fit) not in texts:
                    texts[power, fit] = fit_weighted(train, place, power, fit, spec.names, options.threads)
                raw = Predictor(texts[power, fit]).predict_raw(prepared.features[rows])
                tested = build_test_orders(
                    prepared, rows, raw, None, time_zone=spec.time_zone, truth=made.truth, rings=rings
                )
                found = measure(tested)
                every[power] = every[power] + found if power in every else found
                print(f"season {seed}, power {power}, fit {fit}: {found}", flush=True)
    for power, found in every.items():
        print(f"power {power}, {len(found.aps)} in all: {found}")
    print("simulated: behaviour, not accuracy")


def read_starter() -> tuple[TrainingSet, NDArray[np.int64]]:
    """Return the labelled orders of the starter's merchants, and the place of each in its ring."""
    sets, places = [], []
    for events in simulate_merchants():
        prepared = prepare(key_events(events, KEY), build_spec(), maturity_days=30.0)
        rows = np.flatnonzero(prepared.label >= 0)
        sets.append(prepared.pick_labelled())
        places.append(find_places(prepared, prepared.label, rows))
    return join_training_sets(sets), np.concatenate(places)


def find_places(prepared: Prepared, label: NDArray[np.int8], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the place of each of some orders in its ring, by their labels alone."""
    keys, is_denied = look_up_links(prepared.orders, prepared.later)
    is_malicious = np.zeros(len(prepared.orders), bool)
    is_malicious[rows] = label[rows] == 1
    number = link_orders(is_malicious, number_buyers(prepared.orders.ids["buyer"]), keys)
    return Rings.of(number, prepared.orders.seen_at, is_denied).place[rows]


def fit_weighted(
    train: TrainingSet, place: NDArray[np.int64], power: float, seed: int, names: tuple[str, ...], n_threads: int
) -> str:
    """Fit trees in which a malicious order weighs its place in its ring to a power."""
    weight = np.where(train.is_malicious, (place + 1.0) ** power, 1.0)
    weight[train.is_malicious] /= weight[train.is_malicious].mean()
    settings = FitSettings(seed=seed)
    # NOTE: the penalty stands beside sums of weights.
    settings = settings.model_copy(update={"lambda_l2": settings.lambda_l2 * UNIT})
    weighted = replace(train, weight=np.round(weight * UNIT).astype(np.int64))
    return fit_booster(weighted, names, settings, n_threads=n_threads)


def measure(tested: TestOrders) -> Measured:
    """Measure what is caught at `FLAGS_PER_MALICIOUS`."""
    assert tested.rings is not None
    ranking = Ranking(tested.raw, tested.is_malicious)
    flags = ranking.flag(FLAGS_PER_MALICIOUS * float(tested.is_malicious.mean()))
    rows = measure_rings(tested.rings, flags, amount_minor=tested.amount_minor, kind=tested.parts["kind"])
    nobody = RingRow("return_swap", *[0] * 10)
    swaps = next((row for row in rows if row.kind == nobody.kind), nobody)
    ap = ranking.measure_ap(np.ones(len(tested)))
    return Measured([ap], [float(flags[tested.is_malicious].mean())], rows[0], swaps)


if __name__ == "__main__":
    main()
