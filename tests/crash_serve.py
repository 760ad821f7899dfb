"""Kills the service under load, again and again, and checks after each death that nothing acknowledged is lost.

    python tests/crash_serve.py N_KILLS [SEED]

Workers send orders and outcomes through one `RemoteScorer` each, while the service is killed at random times and
started again. In the end the table has every acknowledged order and outcome once, and a replay of it gives the
decisions that were served, to the bit.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ordervet import Outcome, RemoteScorer
from ordervet.errors import HistoryError
from ordervet.history import History
from ordervet.model import find_bundled_models, find_serving_model, load_model
from ordervet.policy import load_policy
from ordervet.score.replay import replay_decision
from service_makers import KEY, ServiceProcess, draw_order

if TYPE_CHECKING:
    from ordervet import Decision

N_WORKERS = 4
N_REPLAYED = 40


def work(worker: int, address: str, stop: threading.Event, scored: list[Decision], told: list[str]) -> None:
    """Send orders, and an outcome for every other; note what was acknowledged."""
    with RemoteScorer(address, deadline_ms=2_000, write_s=60.0) as remote:
        send(worker, remote, stop, scored, told)


def send(worker: int, remote: RemoteScorer, stop: threading.Event, scored: list[Decision], told: list[str]) -> None:
    """Send until it is time to stop."""
    number = 0
    while not stop.is_set():
        number += 1
        order_id = f"k{worker}-{number}"
        decision = remote.score(draw_order(number) | {"order_id": order_id, "buyer_id": f"b{worker}-{number % 50}"})
        if decision.code == "SCORED":
            scored.append(decision)
            if number % 2:
                try:
                    remote.observe(Outcome(order_id=order_id, kind="claim", happened_at="2026-01-16 09:00"))
                except HistoryError:
                    continue
                told.append(order_id)


def run(n_kills: int, seed: int) -> str:
    """Kill so many services; return what there is to say about them."""
    logging.disable(logging.ERROR)  # that orders pass meanwhile is meant
    rng = np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp())
    stop, scored, told, ready_s = threading.Event(), [], [], []
    try:
        history = folder / "h"
        threads: list[threading.Thread] = []
        for kill in range(n_kills + 1):
            started = time.monotonic()
            service = ServiceProcess(history, "--lang", "en")
            assert service.wait_until_ready(), service.describe_end()
            ready_s.append(time.monotonic() - started)
            if not threads:
                threads = [
                    threading.Thread(target=work, args=(each, service.address, stop, scored, told))
                    for each in range(N_WORKERS)
                ]
                for thread in threads:
                    thread.start()
            time.sleep(0.3 + rng.random())
            if kill < n_kills:
                os.kill(service.process.pid, signal.SIGKILL)
                service.process.communicate()
        stop.set()
        for thread in threads:
            thread.join()
        service.__exit__()
        check(history, scored, told)
    finally:
        stop.set()
        logging.disable(logging.NOTSET)
        shutil.rmtree(folder)
    return (
        f"{n_kills} kills, {len(scored)} orders and {len(told)} outcomes acknowledged: each is in the table once, and "
        f"replays as it was served; ready after {np.median(ready_s):.2f} s (median), {max(ready_s):.2f} s at most"
    )


def check(history: Path, scored: list[Decision], told: list[str]) -> None:
    """Compare the table with what was acknowledged."""
    events = History.open(history, KEY).read()
    orders = events.orders["order_id"].to_pylist()
    outcomes = events.outcomes["order_id"].to_pylist()
    assert len(orders) == len(set(orders)), "an order is in the table twice"
    assert len(outcomes) == len(set(outcomes)), "an outcome is in the table twice"
    lost = {each.order_id for each in scored} - set(orders), set(told) - set(outcomes)
    assert lost == (set(), set()), f"lost: {lost}"
    model, policy = load_model(find_serving_model(find_bundled_models())), load_policy()
    chosen = [*scored[:: max(len(scored) // N_REPLAYED, 1)], scored[-1]]
    again = [replay_decision(each, events, model, policy, lang="en") for each in chosen]
    assert again == chosen, "a decision does not replay as it was served"


if __name__ == "__main__":
    sys.stdout.write(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) + "\n")
