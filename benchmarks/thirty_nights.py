"""Thirty nights of retraining through a campaign, with drift, with a kind of malice that first appears on night 12.

    python benchmarks/thirty_nights.py [--orders 850000] [--json nights.json] [--keep DIR]

A merchant is simulated, and brought into a history night by night. The bundled model serves first. Every night the
real retrain runs; then the orders
of the next day are scored by the model that serves. Printed: per night the outcome, the alert rate at a fixed threshold
and the recall on the new kind; for every promotion whether the new model was better than the old on the seven days
after it, by the simulator's truth; and nights with contaminated data, each of which must be refused.

The new kind is made by unseen_kind.py: the model that served before its first verdicts is measured on it too, and does
not catch it. A day of a small merchant has so few rings that its share of malice, and with it of alerts, moves by
more than the bound: the merchant of this season has some nine thousand orders on a quiet day.

Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import unseen_kind
from sklearn.metrics import average_precision_score

from ordervet.contract import Events
from ordervet.entities import Key, key_events
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.lab.simulate.simulation_settings import KIND_WEIGHTS
from ordervet.learn.night import PROMOTED, run_night
from ordervet.learn.night_settings import GateBounds, Learning, Maturity, NightSettings
from ordervet.model import FitSettings, ForestPredictor, find_live_model, load_model

if TYPE_CHECKING:
    from ordervet.features import FeatureSpec

DAY_US = 86_400_000_000
N_NIGHTS, FIRST_SEEN, N_DAYS_AFTER = 30, 12, 7
START, HISTORY_DAYS, SEASON_DAYS, AFTER_DAYS = date(2025, 10, 20), 55, 5, 26
NIGHTS_BEFORE_SEASON = 10
#: The standing threshold: a risk score of 150 stands for the riskiest quarter, enough orders a night to judge 10 % by.
THRESHOLDS = (150.0, 250.0)
REVIEW_RATE = 0.05
CONTAMINATED_NIGHTS = (8, 20, 28)
CONTAMINATED_DAYS = 3
KINDS = ("orders", "outcomes", "verdicts", "corrections")
SETTINGS = NightSettings(
    maturity=Maturity(order_days=9.0, verdict_days={"malicious": 0.5}),
    learning=Learning(
        train_days=60, holdout_days=3, reference_days=14, scale_days=3, n_folds=2, max_rows=60_000,
        max_reference_rows=200_000,
    ),
    gates=GateBounds(lookalike_orders=0, max_champion_days=4.0, alert_scores=(*THRESHOLDS, 325.0, 425.0, 500.0)),
    fit=FitSettings(num_rounds=80, num_leaves=15),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Everything that will happen, and the features of every order as they are served."""

    events: Events
    spec: FeatureSpec
    seen_at: np.ndarray
    features: np.ndarray
    is_malicious: np.ndarray
    is_new_kind: np.ndarray

    def between(self, from_us: int, until_us: int) -> np.ndarray:
        return np.flatnonzero((self.seen_at >= from_us) & (self.seen_at < until_us))


def build_world(n_orders: int, seed: int, key: Key) -> World:
    weights = dict(KIND_WEIGHTS) | {unseen_kind.KIND: 0.0}
    simulation = simulate(
        SimulationSettings(
            n_orders=n_orders, seed=seed, start=START, history_days=HISTORY_DAYS, season_days=SEASON_DAYS,
            after_days=AFTER_DAYS, history_share=0.58, after_share=0.28, kind_weights=weights, verdict_delay_days=2.0,
        )
    )  # fmt: skip
    appears = to_us(night_of(FIRST_SEEN))
    tables, truth = unseen_kind.take_over_regulars(simulation, since_us=appears, seed=seed)
    events = Events(**tables)
    keyed, spec = key_events(events, key), build_spec()
    orders = build_order_events(keyed.orders, spec)
    features = FeatureEngine(spec, n_jobs=2).advance(orders, build_later_events(keyed))
    is_new = np.asarray(pc.equal(pc.fill_null(truth["kind"], ""), unseen_kind.KIND))
    return World(events, spec, orders.seen_at, features, truth["is_malicious"].to_numpy(), is_new)


def night_of(number: int) -> datetime:
    """The cut-off of a night, counted from 1: a local midnight."""
    first = datetime(START.year, START.month, START.day, tzinfo=UTC) - timedelta(hours=8, days=NIGHTS_BEFORE_SEASON)
    return first + timedelta(days=number - 1)


def to_us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def cut(events: Events, from_us: int, until_us: int) -> Events:
    tables = {}
    for kind in KINDS:
        table = getattr(events, kind)
        at = table["seen_at"].cast(pa.int64())
        tables[kind] = table.filter(pc.and_(pc.greater_equal(at, from_us), pc.less(at, until_us)))
    return Events(**tables)


def contaminate(events: Events, how: str, channel_orders: pa.Array) -> Events:
    """Three days of events as a fault would bring them in."""
    if how == "labels flipped for one channel":
        verdicts = events.verdicts
        is_hit = pc.is_in(verdicts["order_id"], channel_orders)
        flipped = pc.if_else(pc.equal(verdicts["verdict"], "malicious"), "innocent", "malicious")
        column = pc.if_else(pc.and_(is_hit, pc.not_equal(verdicts["verdict"], "unsure")), flipped, verdicts["verdict"])
        return replace(events, verdicts=put(verdicts, "verdict", column))
    if how == "a feature frozen":
        frozen = pa.chunked_array([pa.repeat("d00000001", events.orders.num_rows)])
        return replace(events, orders=put(events.orders, "device_id", frozen))
    again = put(events.orders, "order_id", pc.binary_join_element_wise("again", events.orders["order_id"], "-"))
    return replace(events, orders=pa.concat_tables([events.orders, again]))


def put(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), column.cast(table.schema.field(at).type))


CONTAMINATIONS = ("labels flipped for one channel", "a feature frozen", "a duplicated ingest")


def score(models: Path, model_id: str | None, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw and risk scores by a model, the live one when none is named."""
    model = load_model(models / model_id if model_id else find_live_model(models))
    raw = ForestPredictor(model.booster_text).predict_raw(np.ascontiguousarray(features))
    return raw, model.risk_scale(raw)


def run(n_orders: int, seed: int, n_threads: int, keep: Path | None) -> dict[str, Any]:
    if keep is not None:
        return _run(keep, n_orders, seed, n_threads)
    with tempfile.TemporaryDirectory(prefix="ordervet-nights-") as root:
        return _run(Path(root), n_orders, seed, n_threads)


def _run(root: Path, n_orders: int, seed: int, n_threads: int) -> dict[str, Any]:
    key = Key(bytes(range(16)))
    world = build_world(n_orders, seed, key)
    root.mkdir(parents=True, exist_ok=True)
    history, models, spec = History.open(root / "history", key, create=True), root / "models", world.spec
    per_day = np.bincount((world.seen_at - to_us(night_of(1))) // DAY_US + 1_000)
    typical = float(np.median(per_day[per_day > 0]))
    state = root / "state.json"
    result = json.loads(state.read_text()) if state.exists() else {"nights": [], "promotions": [], "contaminated": []}
    nights, promotions, contaminated = (result[part] for part in ("nights", "promotions", "contaminated"))
    last_us = to_us(night_of(len(nights))) if nights else 0
    for number in range(len(nights) + 1, N_NIGHTS + 1):
        as_of, copy = to_us(night_of(number)), root / f"copy-{number}"
        history.ingest(cut(world.events, last_us, as_of))
        last_us = as_of
        if number + CONTAMINATED_DAYS in CONTAMINATED_NIGHTS and not copy.exists():
            shutil.copytree(history.path, copy)
        if number in CONTAMINATED_NIGHTS:
            before_it = root / f"copy-{number - CONTAMINATED_DAYS}"
            contaminated += try_contaminations(root, before_it, world, models, spec, key, number, n_threads)
        before = find_live_model(models).name if (models / "live").exists() else None
        started = time.perf_counter()
        night = run_night(
            HistorySlices.open(history, until_us=as_of), models, spec, settings=SETTINGS, n_threads=n_threads,
            about={"is_simulated": True},
        )  # fmt: skip
        took = time.perf_counter() - started
        if night.outcome == PROMOTED and before:
            promotions.append(confirm(models, world, before, night.record["model_id"], number))
        nights.append(judge(models, world, number, typical) | {"outcome": night.outcome, "took_s": round(took, 1)})
        nights[-1]["failed"] = [gate["name"] for gate in night.record["gates"] if not gate["passed"]]
        print_night(nights[-1])
        state.write_text(json.dumps(result))
    return {"n_orders": len(world.seen_at)} | result


def judge(models: Path, world: World, number: int, typical: float) -> dict[str, Any]:
    """What the serving model does on the day after a night."""
    rows = world.between(to_us(night_of(number)), to_us(night_of(number + 1)))
    if not (models / "live").exists():
        return {"night": number, "n_orders": len(rows), "is_quiet": False, "alert_rates": [], "recall_new": None}
    raw, risk = score(models, None, world.features[rows])
    cut_off = np.quantile(raw, 1 - REVIEW_RATE)
    is_new = world.is_new_kind[rows]
    in_season = NIGHTS_BEFORE_SEASON < number <= NIGHTS_BEFORE_SEASON + SEASON_DAYS
    return {
        "night": number,
        "n_orders": len(rows),
        "is_quiet": bool(len(rows) <= 1.5 * typical) and not in_season,
        "alert_rates": [float((risk >= threshold).mean()) for threshold in THRESHOLDS],
        "n_new": int(is_new.sum()),
        "recall_new": float((raw[is_new] >= cut_off).mean()) if is_new.any() else None,
    }


def confirm(models: Path, world: World, old: str, new: str, number: int) -> dict[str, Any]:
    """Was the new model better than the old on the days after it?"""
    rows = world.between(to_us(night_of(number)), to_us(night_of(number + N_DAYS_AFTER)))
    truth = world.is_malicious[rows]
    aps = [float(average_precision_score(truth, score(models, each, world.features[rows])[0])) for each in (old, new)]
    return {"night": number, "old": aps[0], "new": aps[1], "is_confirmed": aps[1] > aps[0]}


def try_contaminations(
    root: Path, copy: Path, world: World, models: Path, spec: FeatureSpec, key: Key, number: int, n_threads: int
) -> list[dict]:
    since, as_of = to_us(night_of(number - CONTAMINATED_DAYS)), to_us(night_of(number))
    fresh, tried = cut(world.events, since, as_of), []
    orders = world.events.orders
    channel_orders = orders["order_id"].filter(pc.equal(orders["channel"], "search")).combine_chunks()
    for how in CONTAMINATIONS:
        store = History.open(shutil.copytree(copy, root / "contaminated"), key)
        store.ingest(contaminate(fresh, how, channel_orders))
        night = run_night(
            HistorySlices.open(store, until_us=as_of),
            models,
            spec,
            settings=SETTINGS,
            dry_run=True,
            n_threads=n_threads,
        )
        failed = [gate["name"] for gate in night.record["gates"] if not gate["passed"]]
        tried.append({"night": number, "how": how, "is_refused": not night.record["passed"], "failed": failed})
        print(f"  night {number}, {how}: {'refused' if failed else 'PROMOTED'} ({', '.join(failed)})", flush=True)
        shutil.rmtree(root / "contaminated")
    return tried


def print_night(night: dict[str, Any]) -> None:
    rates = "  ".join(f"{rate:6.2%}" for rate in night["alert_rates"])
    recall = "      –" if night["recall_new"] is None else f"{night['recall_new']:6.1%}"
    quiet = "quiet" if night["is_quiet"] else "loud "
    print(
        f"night {night['night']:2}  {night['n_orders']:6,} orders next day, {quiet}  alerts {rates}  new kind {recall}"
        f"  {night['outcome']}  {night['took_s']:.0f} s  {', '.join(night['failed'])}",
        flush=True,
    )


def sum_up(result: dict[str, Any]) -> dict[str, Any]:
    targets = [10 ** (-threshold / 250) for threshold in THRESHOLDS]
    quiet = [night for night in result["nights"] if night["is_quiet"]]
    worst = [
        max((abs(night["alert_rates"][at] / target - 1) for night in quiet), default=float("nan"))
        for at, target in enumerate(targets)
    ]
    confirmed = sum(each["is_confirmed"] for each in result["promotions"])
    return {
        "promotions": len(result["promotions"]),
        "confirmed": confirmed,
        "worst_alert_change": worst,
        "quiet_nights": len(quiet),
        "recall_new": {n["night"]: n["recall_new"] for n in result["nights"] if n["recall_new"] is not None},
        "contaminated": len(result["contaminated"]),
        "contaminated_refused": sum(each["is_refused"] for each in result["contaminated"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=850_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="keep the history and the models here, and go on where a run ended")
    options = parser.parse_args()
    started = time.perf_counter()
    result = run(options.orders, options.seed, options.threads, options.keep)
    summary = sum_up(result) | {
        "took_s": round(time.perf_counter() - started),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "load": [round(each, 1) for each in os.getloadavg()],
    }
    for each in result["promotions"]:
        print(
            f"promotion of night {each['night']:2}: AP on the {N_DAYS_AFTER} days after it {each['old']:.4f} -> "
            f"{each['new']:.4f} {'confirmed' if each['is_confirmed'] else 'NOT confirmed'}"
        )
    print(json.dumps(summary, indent=1))
    print("Numbers on simulated data prove behaviour, not accuracy.")
    if options.json:
        options.json.write_text(json.dumps(result | {"summary": summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
