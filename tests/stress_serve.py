"""Lets many threads, forked workers and gunicorn's workers score at once: all of it is kept, once, and replays.

    python tests/stress_serve.py N_ORDERS [N_WORKERS]

Each of sixteen threads of one scorer, of eight forked workers of one client, and of eight clients of gunicorn's eight
workers sends so many orders, and an outcome for every tenth. In the end the table has every order and outcome once, and
a replay of it gives every decision that was served, to the bit.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ordervet
from ordervet import Decision, Outcome, RemoteScorer, Scorer
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.history import History
from ordervet.model import ForestPredictor, find_bundled_models, find_serving_model, load_model
from ordervet.policy import load_policy
from ordervet.score import score_batch
from service_makers import KEY, START_S, ServiceProcess, draw_order

if TYPE_CHECKING:
    from collections.abc import Callable

N_THREADS, N_WORKERS = 16, 8
DEADLINE_MS = 60_000
FORMS = Path(ordervet.__file__).parents[2] / "docs" / "embedding"


def send(scorer: Scorer | RemoteScorer, worker: str, n_orders: int) -> list[Decision]:
    """Send orders, and an outcome for every tenth; return what was decided."""
    decisions = []
    for number in range(n_orders):
        order_id = f"{worker}-{number}"
        order = draw_order(number) | {"order_id": order_id, "buyer_id": f"b{number % 997}"}
        decisions.append(scorer.score(order))
        if number % 10 == 0:
            scorer.observe(Outcome(order_id=order_id, kind="claim", happened_at="2026-01-16 09:00"))
    return decisions


def run_threads(history: Path, n_orders: int, n_threads: int) -> str:
    """Share one scorer among threads."""
    started = time.perf_counter()
    os.environ["ORDERVET_KEY"] = KEY.to_hex()
    with Scorer.open(history=history, create=True, lang="en") as scorer, ThreadPoolExecutor(n_threads) as pool:
        parts = pool.map(lambda worker: send(scorer, f"t{worker}", n_orders), range(n_threads))
        decisions = [each for part in parts for each in part]
    took_s = time.perf_counter() - started
    check(history, {each.order_id: each for each in decisions}, n_orders * n_threads)
    return f"{n_threads} threads on one scorer: {describe(len(decisions), took_s)}"


def run_forked(history: Path, n_orders: int, n_workers: int) -> str:
    """Fork workers that share one client, which was used before."""
    with ServiceProcess(history, "--lang", "en", "--deadline-ms", str(DEADLINE_MS)) as service:
        remote = RemoteScorer(service.address, deadline_ms=DEADLINE_MS, write_s=60.0)
        decisions = send(remote, "parent", 1)
        started = time.perf_counter()
        files = [history.parent / f"{worker}.jsonl" for worker in range(n_workers)]
        pids = [fork(lambda file=file: write_decisions(file, send(remote, file.stem, n_orders))) for file in files]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        took_s = time.perf_counter() - started
        remote.close()
    assert codes == [0] * n_workers, f"workers ended with {codes}"
    decisions += [Decision.from_dict(json.loads(line)) for file in files for line in file.read_text().splitlines()]
    check(history, {each.order_id: each for each in decisions}, n_orders * n_workers + 1)
    return f"{n_workers} forked workers through the service: {describe(len(decisions), took_s)}"


def fork(run: Callable[[], None]) -> int:
    """Run something in a forked child; return its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run()
            code = 0
        finally:
            os._exit(code)
    return pid


def write_decisions(file: Path, decisions: list[Decision]) -> None:
    """Write decisions for the parent to read."""
    file.write_text("".join(json.dumps(each.as_dict()) + "\n" for each in decisions))


def run_gunicorn(history: Path, n_orders: int, n_workers: int) -> str:
    """Ask gunicorn's workers, which were forked from one process, and ask the service."""
    bound = history.parent / "g.sock"
    command = [sys.executable, "-m", "gunicorn", "gunicorn_app:app", "--workers", str(n_workers), "--preload", "--bind",
               f"unix:{bound}", "--chdir", str(FORMS), "--no-control-socket", "--log-level", "error"]  # fmt: skip
    with ServiceProcess(history, "--lang", "en", "--deadline-ms", str(DEADLINE_MS)) as service:
        environment = os.environ | {"ORDERVET_SERVICE": service.address}
        with subprocess.Popen(command, env=environment) as server:
            until = time.monotonic() + START_S
            while not bound.exists() and time.monotonic() < until and server.poll() is None:
                time.sleep(0.05)
            started = time.perf_counter()
            with ThreadPoolExecutor(n_workers) as pool:
                parts = list(pool.map(lambda client: ask_gunicorn(bound, f"g{client}", n_orders), range(n_workers)))
            took_s = time.perf_counter() - started
            server.terminate()
    answers = {order_id: answer for part in parts for order_id, answer in part.items()}
    late = {order_id for order_id, answer in answers.items() if answer["code"] != "SCORED"}
    workers = {answer["worker"] for answer in answers.values()}
    check(history, {order_id: answer for order_id, answer in answers.items() if order_id not in late}, len(answers))
    return (
        f"{len(workers)} workers of gunicorn against the service: {describe(len(answers), took_s)}; "
        f"{len(late)} passed at the client's deadline, and are kept"
    )


def ask_gunicorn(bound: Path, client: str, n_orders: int) -> dict[str, dict[str, Any]]:
    """Place orders; return the answers by order id."""
    answers = {}
    for number in range(n_orders):
        order = draw_order(number) | {"order_id": f"{client}-{number}", "buyer_id": f"b{number % 997}"}
        connection = HTTPConnection("gunicorn", timeout=START_S)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(os.fspath(bound))
        connection.request("POST", "/", json.dumps(order).encode(), {"content-type": "application/json"})
        answers[order["order_id"]] = json.loads(connection.getresponse().read())
        connection.close()
    return answers


def check(history: Path, served: dict[str, Decision] | dict[str, dict[str, Any]], n_orders: int) -> None:
    """Compare the table with what was served: every order and outcome once, every decision as a replay makes it."""
    events = History.open(history, KEY).read()
    order_ids = events.orders["order_id"].to_pylist()
    outcomes = events.outcomes["order_id"].to_pylist()
    assert len(order_ids) == len(set(order_ids)) == n_orders, f"{len(order_ids)} orders, of {n_orders}"
    assert len(outcomes) == len(set(outcomes)), "an outcome is in the table twice"
    told = {each for each, found in served.items() if isinstance(found, Decision) and each.endswith("0")}
    assert set(outcomes) == told, f"{len(outcomes)} outcomes, of {len(told)}"
    model, policy = load_model(find_serving_model(find_bundled_models())), load_policy()
    orders = build_order_events(events.orders, model.spec)
    matrix = FeatureEngine(model.spec).advance(orders, build_later_events(events))
    scored = score_batch(
        events.orders, orders, matrix, model=model, predictor=ForestPredictor(model.booster_text), policy=policy,
        lang="en",
    )  # fmt: skip
    for row, order_id in enumerate(order_ids):
        found = served.get(order_id)
        expected = scored.build_decision(row)
        if isinstance(found, Decision):
            assert found == expected, f"{order_id} does not replay"
        elif found is not None:
            assert (found["action"], found["code"]) == (expected.action, expected.code), f"{order_id} does not replay"
    assert set(served) <= set(order_ids), "an order that was scored is lost"


def describe(n_orders: int, took_s: float) -> str:
    """Say how many orders were kept and replayed."""
    return f"{n_orders:,} orders in {took_s:.1f} s, each in the table once, and all replay as they were served"


def run(n_orders: int, n_workers: int = N_WORKERS, n_threads: int = N_THREADS) -> list[str]:
    """Run everything; return what there is to say."""
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            said = [run_threads(folder / "threads", n_orders, n_threads)]
            said.append(run_forked(folder / "forked", n_orders, n_workers))
            said.append(run_gunicorn(folder / "gunicorn", n_orders, n_workers))
    finally:
        logging.disable(logging.NOTSET)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [*said, f"largest child process: {memory:.0f} MiB"]


if __name__ == "__main__":
    sys.stdout.write("\n".join(run(int(sys.argv[1]), *map(int, sys.argv[2:3]))) + "\n")
