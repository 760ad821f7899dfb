"""Measure the bundled models on fresh simulated seasons: python benchmarks/claims.py [--seeds 931 932 933].

Each refund request is judged by what was known when it was made, and by what its order was given when it was placed.
Printed per season, against the truth: average precision of the model of claims, of what the orders were
given, and of the model of orders asked again; which shares of honest and malicious requests would be paid at once; and
of the honest ones those of each group of look-alikes. Of the orders, at 1.25 flags for each malicious one: recall, and
how many new rings are caught at their first order and ever. Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from ordervet.entities import Key, key_events
from ordervet.lab.backtest.report import build_test_orders, find_rings
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.claim_training import PAY_BELOW, replay_requests
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.ranking import Ranking, measure_ranking
from ordervet.learn.rings import ALL_KINDS, measure_rings
from ordervet.learn.train import prepare
from ordervet.model import ForestPredictor, find_bundled_models, find_serving_model, load_model

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ordervet.learn.train import Prepared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[931, 932, 933])
    parser.add_argument("--orders", type=int, default=150_000)
    parser.add_argument("--pay-below", type=float, default=PAY_BELOW)
    chosen = parser.parse_args()
    model = load_model(find_serving_model(find_bundled_models()))
    assert model.claims is not None
    predictor = ForestPredictor(model.booster_text)
    rows, groups = [], {}
    for seed in chosen.seeds:
        simulation = simulate(SimulationSettings(n_orders=chosen.orders, seed=seed))
        prepared = prepare(key_events(simulation.events, Key(bytes(range(16)))), model.spec, maturity_days=30)
        raw = predictor.predict_raw(prepared.features)
        print(f"seed {seed}: " + measure_orders(prepared, raw, simulation.truth))
        order_p = model.calibration(raw)
        requests = replay_requests(prepared, model.spec)
        claims = requests.build_training_set(order_p)
        is_malicious = np.asarray(simulation.truth["is_malicious"])[requests.row]
        look_alike = np.array([name or "plain" for name in simulation.truth["look_alike"].to_pylist()])[requests.row]
        p = model.claims.predict(claims.features)
        is_paid = p < chosen.pay_below
        given = order_p[requests.row]
        again = predictor.predict_raw(requests.features[:, : len(model.spec.names)])
        aps = [measure_ranking(each, is_malicious)["ap"] for each in (p, given, again)]
        rows.append([*aps, is_paid[~is_malicious].mean(), is_paid[is_malicious].mean()])
        print(f"seed {seed}: {len(p):,} requests, {is_malicious.sum():,} malicious; " + describe(rows[-1]), flush=True)
        for name in np.unique(look_alike):
            groups.setdefault(name, []).append(is_paid[~is_malicious & (look_alike == name)])
    print(f"mean of {len(rows)}: " + describe(np.mean(rows, axis=0)))
    for name, parts in sorted(groups.items()):
        paid = np.concatenate(parts)
        print(f"  {name:>20}: {len(paid):>7,} honest requests, {paid.mean():.1%} paid at once")
    print("simulated: behaviour, not accuracy")


def measure_orders(prepared: Prepared, raw: NDArray[np.float64], truth: pa.Table) -> str:
    every, rings = np.arange(len(raw)), find_rings(prepared, truth)
    tested = build_test_orders(prepared, every, raw, None, time_zone="Asia/Shanghai", truth=truth, rings=rings)
    ranking = Ranking(raw, tested.is_malicious)
    flags = ranking.flag(FLAGS_PER_MALICIOUS * float(tested.is_malicious.mean()))
    rows = measure_rings(rings, flags, amount_minor=tested.amount_minor, kind=tested.parts["kind"])
    caught = "; ".join(
        f"{row.kind} {row.first} at the first order and {row.ever} ever of {row.n_rings}"
        for row in rows
        if row.kind in (ALL_KINDS, "return_swap")
    )
    return (
        f"orders: average precision {ranking.measure_ap(np.ones(len(raw))):.4f}, recall "
        f"{flags[tested.is_malicious].mean():.1%}; new rings caught: {caught}"
    )


def describe(row: list[float]) -> str:
    claims, given, again, honest, malicious = row
    return (
        f"average precision {claims:.4f} (orders as given {given:.4f}, asked again {again:.4f}); paid at once: "
        f"honest {honest:.1%}, malicious {malicious:.1%}"
    )


if __name__ == "__main__":
    main()
