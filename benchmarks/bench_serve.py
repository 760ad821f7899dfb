"""Time the service with several clients on one machine: python benchmarks/bench_serve.py [--clients 8] [--seconds 5].

Each client is a process with one connection to the Unix socket, and sends orders of buyers of its own, which pass.
What is timed is the whole way: request, journal, decision, answer. First as many as possible, then at half of that
rate, at random times, for the times of single requests; with a plain client (http.client), and with `RemoteScorer`.
Beside it stands what one scorer does in process, without HTTP. The clients take a good part of the processors
themselves: their processor time is printed too.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet import RemoteScorer, Scorer
from ordervet.entities import Key
from ordervet.history import History

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

KEY = Key(bytes(range(16)))
WARM_UP = 50


def build_order(client: int, number: int) -> dict[str, Any]:
    """An order of a buyer of its own."""
    who = client * 1_000_000 + number
    return {
        "order_id": f"T{os.getpid()}-{who}",
        "placed_at": "2025-12-12 20:03:07",
        "amount_minor": 12_900 + who % 977,
        "buyer_id": f"b-{who}",
        "buyer_registered_at": "2021-03-04 10:00",
        "address": f"浙江省杭州市西湖区文三路 {who % 4000 + 1} 号 {who % 9 + 1} 栋 {who % 20 + 1}02",
        "phone": f"139{who % 90_000_000 + 10_000_000:08d}",
        "device_id": f"device-{who}",
        "item_id": f"sku-{who % 300}",
        "channel": "search",
    }


class PlainClient:
    """The standard library's HTTP client on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._connection = HTTPConnection("service")
        self._connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.sock.connect(os.fspath(path))

    def score(self, orders: list[dict[str, Any]]) -> list[str]:
        """Score orders; return their codes."""
        body = json.dumps(orders if len(orders) > 1 else orders[0]).encode()
        self._connection.request("POST", "/v1/score", body, {"content-type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        return [each["code"] for each in (answer if isinstance(answer, list) else [answer])]


def connect(kind: str, path: Path) -> Callable[[list[dict[str, Any]]], list[str]]:
    """Connect a client of a kind; return what scores with it."""
    if kind == "plain":
        return PlainClient(path).score
    remote = RemoteScorer(f"unix:{path}", deadline_ms=5_000)
    return lambda orders: [str(each.code) for each in remote.score_many(orders)]


def run_client(
    number: int, kind: str, path: Path, n: int, rate: float | None, seconds: float, start: Any, said: Connection
) -> None:
    """Send requests of n orders for so many seconds, at a rate or as fast as they are answered."""
    score = connect(kind, path)
    sent = number * 1_000
    for _ in range(WARM_UP):
        score([build_order(number, sent := sent + 1) for _ in range(n)])
    start.wait()
    cpu, began = time.process_time(), time.perf_counter()
    times, codes, due = [], set(), began
    gaps = random.Random(number)  # noqa: S311 - clients that know nothing of one another
    while (now := time.perf_counter()) - began < seconds:
        if rate is not None:
            due += gaps.expovariate(rate)
            time.sleep(max(due - now, 0.0))
        orders = [build_order(number, sent := sent + 1) for _ in range(n)]
        asked = time.perf_counter()
        codes |= set(score(orders))
        times.append(time.perf_counter() - asked)
    said.send((times, codes, time.perf_counter() - began, time.process_time() - cpu))


def drive(kind: str, path: Path, n_clients: int, n: int, rate: float | None, seconds: float) -> float:
    """Let clients send at once; print what came of it, and return orders per second."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(n_clients)
    pipes, clients = [], []
    for number in range(n_clients):
        here, there = context.Pipe(duplex=False)
        share = None if rate is None else rate / n / n_clients
        clients.append(context.Process(target=run_client, args=(number, kind, path, n, share, seconds, start, there)))
        clients[-1].start()
        pipes.append(here)
    found = [each.recv() for each in pipes]
    for client in clients:
        client.join()
    times = np.concatenate([each[0] for each in found]) * 1e3
    codes = set().union(*(each[1] for each in found))
    assert codes == {"SCORED"}, codes
    reached = sum(len(each[0]) * n / each[2] for each in found)
    cpu = sum(each[3] for each in found)
    pace = "as many as possible" if rate is None else f"{rate:,.0f}/s asked for"
    sys.stdout.write(
        f"{kind:>6}, {n:3} to a request, {pace}: {reached:8,.0f} orders/s, p50 {np.median(times):6.2f} ms, "
        f"p99 {np.percentile(times, 99):6.2f} ms; clients' processor time {cpu:.1f} s\n"
    )
    return reached


def time_in_process(seconds: float, n: int) -> float:
    """Return the orders per second of one scorer without HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        History.open(Path(folder) / "h", KEY, create=True)
        with Scorer.open(history=Path(folder) / "h") as scorer:
            sent = 0
            began = time.perf_counter()
            while time.perf_counter() - began < seconds:
                scorer.score_many([build_order(99, sent := sent + 1) for _ in range(n)])
            return sent / (time.perf_counter() - began)


def measure_client() -> str:
    """Return the memory of a process that has imported a client and asked once."""
    code = (
        "from ordervet import RemoteScorer; RemoteScorer('unix:/none').score({'order_id': 'T1'});"
        "print(next(each for each in open('/proc/self/status') if each.startswith('VmRSS')))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Start a service, and let clients ask it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ["ORDERVET_KEY"] = KEY.to_hex()
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} processors\n")
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "h"
        History.open(history, KEY, create=True)
        command = [
            sys.executable,
            "-m",
            "ordervet",
            "serve",
            "--history",
            str(history),
            "--deadline-ms",
            "5000",
            "--json",
        ]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            assert service.stdout is not None
            service.stdout.readline()
            sys.stdout.write(f"from start to ready: {time.perf_counter() - began:.2f} s\n")
            path = history / "_service.sock"
            for n in (1, 100):
                alone = time_in_process(chosen.seconds, n)
                most = drive("plain", path, chosen.clients, n, None, chosen.seconds)
                sys.stdout.write(f"in process {alone:,.0f} orders/s; through the service {most / alone:.2f} of it\n")
                drive("plain", path, chosen.clients, n, most / 2, chosen.seconds)
            drive("remote", path, chosen.clients, 1, None, chosen.seconds)
            status = Path(f"/proc/{service.pid}/status").read_text(encoding="ascii").splitlines()
            sys.stdout.write(f"service: {next(each for each in status if each.startswith('VmRSS'))}\n")
            service.terminate()
        sys.stdout.write(f"process of a client: {measure_client()}\n")


if __name__ == "__main__":
    main()
