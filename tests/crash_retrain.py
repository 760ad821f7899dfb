"""Kill retrains at random times, and fill their disk: what serves always loads, and the next run succeeds.

    PYTHONPATH=tests python tests/crash_retrain.py N_KILLS [SEED]

Nights run one after another on a small simulated merchant, under gates that let every one of them through. Each is
killed several times (SIGKILL, at a time drawn from the whole length of a night), or is allowed to write files of
only so many bytes, and then runs to its end. After every death the live model must load, every registered model must be
whole, and a rollback must be possible wherever something served before; after every end nothing half-written is left.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from ordervet.entities import Key, key_events
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.night import run_night
from ordervet.learn.night_settings import GateBounds, Learning, Maturity, NightSettings
from ordervet.model import (
    FitSettings,
    ForestPredictor,
    find_live_model,
    list_models,
    load_model,
    load_serving_model,
)
from ordervet.model.registry import find_previous
from ordervet.score import find_bundled_models

#: Per line, starts one night: a cut-off, and how many bytes a file may have. SPEED: imports once for all.
NURSERY = """
import os, resource, sys
sys.path.insert(0, sys.argv[2])
from crash_retrain import run_one, warm_up
warm_up()
for line in sys.stdin:
    day, limit = map(int, line.split())
    pid = os.fork()
    if pid == 0:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            print("end", run_one(sys.argv[1], day), flush=True)
        except OSError as error:
            print("end", error.strerror, flush=True)
        except Exception as error:
            print("end", repr(error), flush=True)
        os._exit(0)
    print("pid", pid, flush=True)
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""
FIRST_DAY = "2025-11-20"
#: From one night's cut-off to the next: many nights in a short season.
STEP_US = 6 * 3_600_000_000
N_KILLS_PER_NIGHT = 5
N_FULL_DISKS = 12
N_ORDERS = 3_000
NAMES = ("order__value__{amount,discount_share,account_age_days}", "buyer__count__order__{1d,90d}")


def run_one(root: str, day: int) -> str:
    """One night, to its end."""
    lenient = NightSettings(
        maturity=Maturity(order_days=4.0),
        learning=Learning(holdout_days=14, n_folds=2),
        gates=GateBounds(
            n_draws=50, ap_margin=-1.0, money_margin=-1.0, mature_loss=1.0, policy_recall_loss=1.0,
            policy_alerts_times=1e9, chance_times=0.0, history_margin=-1.0,
            calibration_error=1.0, calibration_bias=1e9,
            channel_false_positives=1.0, new_buyer_false_positives=1.0, alert_rate_change=1.0, max_us_per_order=1e9,
            expected=("*",), label_auc=0.0, duplicates=1.0, lookalike_orders=0,
        ),
        fit=FitSettings(num_rounds=12, num_leaves=8, min_data_in_leaf=20),
    )  # fmt: skip
    history = History.open(Path(root) / "history", Key(bytes(range(16))))
    as_of_us = int(np.datetime64(FIRST_DAY, "us").astype(np.int64)) + day * STEP_US
    night = run_night(
        HistorySlices.open(history, until_us=as_of_us),
        Path(root) / "models",
        build_spec(use_defaults=False, names=NAMES),
        settings=lenient,
    )
    return night.outcome


def warm_up() -> None:
    """Import what a night needs; nothing that keeps threads of its own, which would not outlast a fork."""
    simulation = simulate(SimulationSettings(n_orders=500, seed=3))
    keyed, spec = key_events(simulation.events, Key(bytes(range(16)))), build_spec(use_defaults=False, names=NAMES)
    features = FeatureEngine(spec).advance(build_order_events(keyed.orders, spec), build_later_events(keyed))
    starter = load_model(find_live_model(find_bundled_models()))
    rows = np.resize(features, (8, len(starter.spec.names))).astype(np.float32)
    ForestPredictor(starter.booster_text).explain(rows)


def build_history(root: Path, n_orders: int) -> None:
    simulation = simulate(SimulationSettings(n_orders=n_orders, seed=3, malicious_share=0.08))
    History.open(root / "history", Key(bytes(range(16))), create=True).ingest(simulation.events)


class Nursery:
    """Starts nights quickly."""

    def __init__(self, root: Path) -> None:
        here = Path(__file__).resolve().parent
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(root), str(here)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, day: int, *, limit: int = 0, kill_after_s: float | None = None) -> str | None:
        """Run a night, or kill it; return how it ended, None when it was killed first."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{day} {limit}\n")
        self._process.stdin.flush()
        pid, said = 0, None
        killed = kill_after_s is None
        while True:
            line = self._process.stdout.readline().strip()
            if line.startswith("pid"):
                pid = int(line.split()[1])
                if not killed:
                    time.sleep(kill_after_s or 0)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    killed = True
            elif line.startswith("end"):
                said = line.removeprefix("end ")
            elif line == "dead":
                return said
            elif not line:
                raise RuntimeError("the nursery died")

    def close(self) -> None:
        self._process.communicate()


def check(models: Path) -> None:
    """What must hold after every death."""
    if not models.is_dir():
        return
    faults = [each.fault for each in list_models(models) if each.fault]
    assert not faults, faults
    if (models / "live").exists():
        model, faults = load_serving_model(models)
        assert not faults, faults
        assert model.model_id == find_live_model(models).name
        previous = find_previous(models)
        assert previous is None or (models / previous).is_dir(), previous


def check_end(models: Path) -> None:
    """What must hold after every end."""
    check(models)
    left = [str(path) for pattern in (".staging-*", ".*.part", "nights/*/.*.part", "nights/*/work")
            for path in models.glob(pattern)]  # fmt: skip
    assert not left, left


def run(n_kills: int, seed: int) -> str:
    """Kill so many retrains; return what there is to say about them."""
    rng = random.Random(seed)  # noqa: S311 - times, not secrets
    with tempfile.TemporaryDirectory(prefix="ordervet-crash-") as folder:
        root = Path(folder)
        models = root / "models"
        build_history(root, N_ORDERS)
        nursery = Nursery(root)
        nursery.run(0)
        started = time.perf_counter()
        assert nursery.run(1) == "promoted"
        took_s = time.perf_counter() - started
        check_end(models)
        day, n_killed, n_early, n_full = 2, 0, 0, 0
        while n_killed < n_kills or n_full < N_FULL_DISKS:
            for _ in range(N_KILLS_PER_NIGHT):
                if n_killed < n_kills:
                    ended = nursery.run(day, kill_after_s=rng.uniform(0, 1.2 * took_s))
                    n_killed, n_early = n_killed + (ended is None), n_early + (ended is not None)
                    check(models)
            if n_full < N_FULL_DISKS:
                ended = nursery.run(day, limit=int(2 ** rng.uniform(4, 18)))
                n_full += 1
                check(models)
            ended = nursery.run(day)
            assert ended == "promoted", ended
            check_end(models)
            day += 1
        nursery.close()
    return (
        f"{n_early} more had ended before; {n_full} full disks; {day} nights of {took_s:.1f} s: what served always "
        "loaded, and the next run succeeded"
    )


if __name__ == "__main__":
    sys.stdout.write(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1) + "\n")
