"""Solve for the weights of the protections in the fit of the starter: python tools/solve_protections.py.

Each protection has the look-alikes behind it, whose alert rate may be no more than a bound times that of plain buyers.
Its weight is the price of that constraint: from 1 on it is multiplied, fit after fit, by how far the rate on simulated
merchants of their own is above the bound, and falls again where it is below. Rates are those above the score
that 0.5 % of plain orders pass, as fewer alerts than that say little; a few are added on both sides of each ratio.
Printed per fit: average precision on the newest fifth, the weights, and of each look-alike the ratio there and at the
score that 0.2 % pass, and the recall of its twin there. Numbers on simulated data prove behaviour, not accuracy.

References
----------
Agarwal et al., "A reductions approach to fair classification", 2018: multipliers of fairness constraints as weights.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from train_starter import simulate_merchants

from ordervet.entities import Key, key_events
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.lab.lookalikes import MAX_RATIO, MAX_RATIOS, SCENARIOS, describe_merchant, sort_out
from ordervet.lab.simulate import simulate
from ordervet.learn.ranking import measure_ranking
from ordervet.learn.train import TEST_SHARE, join_training_sets, prepare
from ordervet.model import FitSettings, ForestPredictor
from ordervet.model.fit import CALIBRATION_SHARE, fit_booster, split_by_time
from ordervet.model.protections import PROTECTED, Bound, Protection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.model import TrainingSet

#: Those of the fit, and whoever has not paid before, with a phone, a device and an account of their own.
PROTECTIONS = (
    *PROTECTED,
    Protection(
        where=(
            Bound(feature="buyer__share__cancelled_unpaid__90d", at_least=0.01),
            *(
                Bound(feature=f"{each}__distinct__buyer__90d", at_most=1, or_unknown=True)
                for each in ("device", "phone", "payment")
            ),
        ),
        weight=1,
    ),
)
#: Of each protection the look-alikes that it is for.
BEHIND = (
    ("newcomer",),
    ("newcomer",),
    ("family",),
    ("family",),
    ("family",),
    ("pickup_station",),
    ("group_leader",),
    ("wholesale",),
    ("fault_wave",),
    ("heavy_returner", "packing_error", "courier_error"),
    ("live_burst",),
    ("live_burst",),
    ("gift_buyer", "rural_address"),
    ("top_up_return",),
    ("presale_unpaid",),
)
KEY = Key(bytes(range(16)))
SEED = 9_100_000
PLAIN_SHARE, STRICT_SHARE = 0.005, 0.002
ADDED, MOST = 5, 100.0


class Scenario(NamedTuple):
    """Orders of a simulated merchant, every array of shape (n,) but for the features."""

    name: str
    features: NDArray[np.float32]
    is_plain: NDArray[np.bool_]
    is_look_alike: NDArray[np.bool_]
    is_twin: NDArray[np.bool_]


class Rates(NamedTuple):
    """What became of one look-alike: alerts at `PLAIN_SHARE` and as many as plain buyers would have, and more."""

    alerts: int
    expected: float
    strict_ratio: float
    twin_recall: float


def main() -> None:
    """Fit, measure, multiply, and again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--fits", type=int, nargs="+", default=[11, 12, 13], help="seeds of the trees, in turn")
    parser.add_argument("--start", type=float, nargs="+", default=[1.0] * len(PROTECTIONS), help="the first weights")
    parser.add_argument("--orders", type=int, default=16_000, help="of each scenario")
    parser.add_argument("--bound", type=float, default=1.0, help="of the ratios that are solved for")
    options = parser.parse_args()
    spec = build_spec()
    parts = [prepare(key_events(each, KEY), spec, maturity_days=30.0).pick_labelled() for each in simulate_merchants()]
    older, newest = split_by_time(join_training_sets(parts), 1 - TEST_SHARE)
    fitted, _ = split_by_time(older.sort(), 1 - CALIBRATION_SHARE)
    scenarios = [build_scenario(at, options.orders) for at in range(len(SCENARIOS))]
    weights = np.array(options.start)
    for number in range(options.rounds):
        settings = FitSettings(seed=options.fits[number % len(options.fits)], protected=weigh(weights))
        predictor = ForestPredictor(fit_booster(fitted, spec.names, settings, n_threads=1))
        rates = measure(predictor, scenarios)
        describe(number, weights, measure_newest(predictor, newest), rates)
        weights = multiply(weights, rates, options.bound)
    print("next weights:", *(f"{weight:.2f}" for weight in weights))
    print("simulated: behaviour, not accuracy")


def build_scenario(at: int, n_orders: int) -> Scenario:
    """Simulate the merchant of a look-alike; none is one of the suite's."""
    spec, simulation = build_spec(), simulate(describe_merchant(SCENARIOS[at], n_orders, SEED + at))
    keyed = key_events(simulation.events, KEY)
    features = FeatureEngine(spec).advance(build_order_events(keyed.orders, spec), build_later_events(keyed))
    nobody = np.zeros(len(features), bool)
    parted = sort_out(simulation, nobody, np.zeros(0, np.int64), nobody[:0])
    return Scenario(SCENARIOS[at], features, parted.is_plain, parted.is_look_alike, parted.is_twin)


def weigh(weights: NDArray[np.float64]) -> tuple[Protection, ...]:
    """Give the protections other weights."""
    return tuple(
        protection.model_copy(update={"weight": weight})
        for protection, weight in zip(PROTECTIONS, weights.tolist(), strict=True)
    )


def measure(predictor: ForestPredictor, scenarios: list[Scenario]) -> dict[str, Rates]:
    """Measure each look-alike beside the plain buyers of all scenarios."""
    raws = [predictor.predict_raw(each.features) for each in scenarios]
    plain = np.concatenate([raw[each.is_plain] for raw, each in zip(raws, scenarios, strict=True)])
    cut, strict = np.quantile(plain, [1 - PLAIN_SHARE, 1 - STRICT_SHARE])
    rates = {}
    for raw, each in zip(raws, scenarios, strict=True):
        of_look_alike = raw[each.is_look_alike]
        rates[each.name] = Rates(
            int((of_look_alike > cut).sum()),
            PLAIN_SHARE * len(of_look_alike),
            float((of_look_alike > strict).mean()) / STRICT_SHARE,
            float((raw[each.is_twin] > strict).mean()),
        )
    return rates


def multiply(weights: NDArray[np.float64], rates: dict[str, Rates], bound: float) -> NDArray[np.float64]:
    """Multiply each weight by how far its look-alikes are above their bound."""
    factors = []
    for names in BEHIND:
        alerts, expected = (sum(rates[name][part] for name in names) for part in (0, 1))
        allowed = expected * bound * MAX_RATIOS.get(names[0], MAX_RATIO) / MAX_RATIO
        factors.append((alerts + ADDED) / (allowed + ADDED))
    return np.clip(weights * factors, 1.0, MOST)


def measure_newest(predictor: ForestPredictor, newest: TrainingSet) -> float:
    """Measure average precision on the newest orders, which nothing was fitted on."""
    ap: float = measure_ranking(predictor.predict_raw(newest.features), newest.is_malicious)["ap"]
    return ap


def describe(number: int, weights: NDArray[np.float64], ap: float, rates: dict[str, Rates]) -> None:
    """Print one round."""
    print(f"round {number}: average precision {ap:.4f}; weights", *(f"{weight:.1f}" for weight in weights))
    for name, each in rates.items():
        print(
            f"  {name:>18}: {each.alerts / each.expected:.2f} times, strictly {each.strict_ratio:.2f}; twin recall "
            f"{each.twin_recall:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
