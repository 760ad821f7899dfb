"""Solve for the weights of the protections in the fit of the starter: python tools/solve_protections.py.

Each protection has the look-alikes behind it, whose alert rate may be no more than a bound times that of plain buyers.
Its weight is the price of that constraint: from 1 on it is multiplied, round after round, by how far the rate on
simulated merchants of their own is above the bound, and falls again where it is below. Each round fits trees with
several seeds, and counts alerts above the score that 0.2 % of plain orders pass, about where the policy begins; a few
are added on both sides of each ratio. Printed per round: average precision on the newest fifth, the weights, and of
each look-alike the ratio, mean and largest, and the recall of its twin. Numbers on simulated data prove behaviour, not
accuracy.

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

_OWN = tuple(
    Bound(feature=f"{each}__distinct__buyer__90d", at_most=1, or_unknown=True)
    for each in ("device", "phone", "payment")
)
_BLAMELESS = tuple(
    Bound(feature=f"buyer__count__{each}__90d", at_most=0, or_unknown=True) for each in ("malicious", "refund_only")
)
_ALONE = tuple(
    Bound(feature=feature, at_most=0, or_unknown=True)
    for feature in ("place__distinct__buyer__1h", "group__count__malicious")
)
#: Those of the fit, and more, all with a phone, a device and an account of their own.
PROTECTIONS = (
    *PROTECTED,
    # Who has not paid before.
    Protection(where=(Bound(feature="buyer__share__cancelled_unpaid__90d", at_least=0.01), *_OWN), weight=1),
    # Who buys a dear item that abusers buy, too.
    Protection(
        where=(
            Bound(feature="item__mean__amount__30d", at_least=80_000),
            Bound(feature="item__share__malicious__30d", at_least=0.5),
            *_OWN,
            *_BLAMELESS,
            *_ALONE,
        ),
        weight=1,
    ),
    # Who collects parcels where a ring does, or at a place of which the type is not known.
    Protection(
        where=(
            Bound(feature="place__count__malicious__90d", at_least=1),
            Bound(feature="order__is__household", at_most=0, or_unknown=True),
            *_OWN,
            *_BLAMELESS,
        ),
        weight=1,
    ),
    # The first order of a leader of group purchases.
    Protection(
        where=(
            Bound(feature="order__value__quantity", at_least=3),
            Bound(feature="order__value__account_age_days", at_least=60),
            *_OWN,
            *_BLAMELESS,
            *_ALONE,
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
    ("heavy_returner", "courier_error"),
    ("live_burst",),
    ("live_burst",),
    ("gift_buyer", "rural_address"),
    ("top_up_return",),
    ("presale_unpaid",),
    ("packing_error",),
    ("pickup_station",),
    ("group_leader",),
)
KEY = Key(bytes(range(16)))
#: Of the merchants of each look-alike; each has one of every seed.
SEEDS = (9_100_000, 9_200_000)
PLAIN_SHARE = 0.002
ADDED, MOST = 5, 100.0


class Scenario(NamedTuple):
    """Orders of simulated merchants, every array of shape (n,) but for the features."""

    name: str  # the look-alike
    features: NDArray[np.float32]
    is_plain: NDArray[np.bool_]
    is_look_alike: NDArray[np.bool_]
    is_twin: NDArray[np.bool_]


class Rates(NamedTuple):
    """What became of a look-alike in one fit: alerts, and as many as plain buyers would have."""

    alerts: int
    expected: float
    twin_recall: float


def main() -> None:
    """Fit, measure, multiply, and again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--fits", type=int, nargs="+", default=[11, 12, 13], help="seeds of the trees of each round")
    parser.add_argument("--start", type=float, nargs="+", default=[1.0] * len(PROTECTIONS), help="the first weights")
    parser.add_argument("--orders", type=int, default=55_000, help="of each merchant")
    parser.add_argument("--bound", type=float, default=1.0, help="of the ratios that are solved for")
    options = parser.parse_args()
    spec = build_spec()
    parts = [prepare(key_events(each, KEY), spec, maturity_days=30.0).pick_labelled() for each in simulate_merchants()]
    older, newest = split_by_time(join_training_sets(parts), 1 - TEST_SHARE)
    fitted, _ = split_by_time(older.sort(), 1 - CALIBRATION_SHARE)
    scenarios = [build_scenario(at, seed, options.orders) for seed in SEEDS for at in range(len(SCENARIOS))]
    weights = np.array(options.start)
    for number in range(options.rounds):
        aps, rates = [], []
        for seed in options.fits:
            settings = FitSettings(seed=seed, protected=weigh(weights))
            predictor = ForestPredictor(fit_booster(fitted, spec.names, settings, n_threads=1))
            aps.append(measure_newest(predictor, newest))
            rates.append(measure(predictor, scenarios))
        describe(number, weights, aps, rates)
        weights = multiply(weights, rates, options.bound)
    print("next weights:", *(f"{weight:.2f}" for weight in weights))
    print("simulated: behaviour, not accuracy")


def build_scenario(at: int, seed: int, n_orders: int) -> Scenario:
    """Simulate a merchant of a look-alike; none is one of the suite's."""
    spec, simulation = build_spec(), simulate(describe_merchant(SCENARIOS[at], n_orders, seed + at))
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
    """Measure each look-alike beside the plain buyers of all merchants."""
    raws = [predictor.predict_raw(each.features) for each in scenarios]
    plain = np.concatenate([raw[each.is_plain] for raw, each in zip(raws, scenarios, strict=True)])
    cut = np.quantile(plain, 1 - PLAIN_SHARE)
    rates = {}
    for name in SCENARIOS:
        own = [(raw, each) for raw, each in zip(raws, scenarios, strict=True) if each.name == name]
        of_look_alike = np.concatenate([raw[each.is_look_alike] for raw, each in own])
        of_twin = np.concatenate([raw[each.is_twin] for raw, each in own])
        rates[name] = Rates(
            int((of_look_alike > cut).sum()),
            PLAIN_SHARE * len(of_look_alike),
            float((of_twin > cut).mean()),
        )
    return rates


def multiply(weights: NDArray[np.float64], rates: list[dict[str, Rates]], bound: float) -> NDArray[np.float64]:
    """Multiply each weight by how far its look-alikes are above their bound, on the mean of the fits."""
    factors = []
    for names in BEHIND:
        every = [of_fit[name] for of_fit in rates for name in names]
        alerts, expected = (sum(each[part] for each in every) / len(rates) for part in (0, 1))
        allowed = expected * bound * MAX_RATIOS.get(names[0], MAX_RATIO) / MAX_RATIO
        factors.append((alerts + ADDED) / (allowed + ADDED))
    return np.clip(weights * factors, 1.0, MOST)


def measure_newest(predictor: ForestPredictor, newest: TrainingSet) -> float:
    """Measure average precision on the newest orders, which nothing was fitted on."""
    ap: float = measure_ranking(predictor.predict_raw(newest.features), newest.is_malicious)["ap"]
    return ap


def describe(number: int, weights: NDArray[np.float64], aps: list[float], rates: list[dict[str, Rates]]) -> None:
    """Print one round: means of its fits, and the largest ratio."""
    told = ", ".join(f"{ap:.4f}" for ap in aps)
    print(f"round {number}: average precision {told}; weights", *(f"{weight:.1f}" for weight in weights))
    for name in SCENARIOS:
        every = [of_fit[name] for of_fit in rates]
        ratios = [each.alerts / each.expected for each in every]
        recall = np.mean([each.twin_recall for each in every])
        print(
            f"  {name:>18}: {np.mean(ratios):.2f} times, at most {max(ratios):.2f}; twin recall {recall:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
