"""The service as a process: beside threads, forks, other programs, and its own death."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from canary import MARKS, find_marks
from crash_serve import run as kill_services
from ordervet import AsyncRemoteScorer, Outcome, RemoteScorer, Scorer
from ordervet.history import History
from service_makers import KEY, ServiceProcess, draw_order
from stress_serve import run as stress_services

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ordervet.policy.claims import ClaimDecision

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOKEN = "0123456789abcdef0123"  # noqa: S105 - of these tests


def start_service(folder: Path) -> ServiceProcess:
    options = (
        *("--host", "127.0.0.1", "--port", "0", "--log", "json", "--log-requests", "--deadline-ms", "20000"),
        *("--lang", "en"),
    )
    return ServiceProcess(folder / "h", *options, ORDERVET_TOKEN=TOKEN)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with start_service(tmp_path_factory.mktemp("s")) as running:
        yield running


def connect(service: ServiceProcess, **settings: Any) -> RemoteScorer:
    return RemoteScorer(service.address, **{"deadline_ms": 20_000, "write_s": 20.0} | settings)


def find_url(service: ServiceProcess) -> str:
    return next(each for each in json.loads(service.said)["listens_at"] if each.startswith("http"))


def read_orders(service: ServiceProcess) -> list[str]:
    """Stop the service by SIGTERM, and read what it left."""
    service.__exit__()
    return sorted(History.open(service.socket.parent, KEY).read().orders["order_id"].to_pylist())


def test_remote_scorer_decides_as_one_in_process(service: ServiceProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    orders = [draw_order(number) | {"order_id": f"same{number}", "buyer_id": f"s{number}"} for number in range(40)]

    with connect(service) as remote:
        served = [*(remote.score(order) for order in orders[:20]), *remote.score_many(orders[20:])]
        again = remote.score_many(orders)

    # NOTE: a scorer that is fed the same orders at the same times decides the same.
    now = [0]
    alone = Scorer.open(clock=lambda: now[0], lang="en")
    for order, decision in zip(orders, served, strict=True):
        now[0] = (decision.seen_at - EPOCH) // timedelta(microseconds=1)
        assert decision == alone.score(order)
    assert again == served


def test_refund_requests_are_answered_to_clients_of_both_kinds_and_left_to_a_person_where_nobody_answers(
    service: ServiceProcess,
) -> None:
    claim = {"order_id": "claimed", "happened_at": "2026-01-20 09:00", "refund_type": "before_shipping"}

    async def ask_async() -> ClaimDecision:
        async with AsyncRemoteScorer(service.address, deadline_ms=20_000) as remote:
            return await remote.score_claim(Outcome(**claim, kind="refund_requested"))

    with connect(service) as remote, RemoteScorer("unix:/nowhere", deadline_ms=10) as gone:
        remote.score(draw_order(0) | {"order_id": "claimed"})
        answered = [remote.score_claim(claim), asyncio.run(ask_async())]
        left = [gone.score_claim(claim), gone.score_claim({"order_id": "a", "reason": object()})]

    assert [str(each.answer) for each in answered] == ["pay_now", "pay_now"]
    assert [each.applied for each in answered] == [("not_shipped",)] * 2
    assert [(each.order_id, str(each.answer)) for each in left] == [("claimed", "person"), ("a", "person")]
    assert [str(each.code) for each in left] == ["UNSCORED_UNREACHABLE", "UNSCORED_INVALID_ORDER"]


def test_threads_and_forked_workers_share_a_remote_scorer(service: ServiceProcess) -> None:
    remote = connect(service)
    remote.score(draw_order(0) | {"order_id": "before"})
    n_workers, n_orders = 3, 40
    children = []
    for worker in range(n_workers):
        pid = os.fork()
        if pid == 0:
            is_right = False
            try:
                with ThreadPoolExecutor(4) as pool:
                    orders = [draw_order(number) | {"order_id": f"w{worker}-{number}"} for number in range(n_orders)]
                    is_right = {each.code for each in pool.map(remote.score, orders)} == {"SCORED"}
            finally:
                os._exit(0 if is_right else 1)
        children.append(pid)

    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * n_workers
    decision = remote.rescore("w0-0")
    explained = remote.explain("w0-0")
    assert decision.code == "SCORED"
    assert explained is not None
    assert explained[0] == decision
    assert explained[1]
    assert remote.explain("no such order") is None
    remote.close()


def test_tcp_asks_for_the_token(service: ServiceProcess) -> None:
    url = find_url(service)

    with RemoteScorer(url, token=TOKEN, deadline_ms=20_000) as known, RemoteScorer(url, deadline_ms=5_000) as unknown:
        assert known.score(draw_order(1) | {"order_id": "tcp"}).code == "SCORED"
        assert unknown.score(draw_order(1)).code == "UNSCORED_UNREACHABLE"
        assert unknown.score_many([draw_order(1)] * 2)[1].code == "UNSCORED_UNREACHABLE"


def test_head_without_end_is_cut_off(service: ServiceProcess) -> None:
    with socket.socket(socket.AF_UNIX) as talking:
        talking.settimeout(20)
        talking.connect(str(service.socket))
        talking.sendall(b"POST /v1/score HTTP/1.1\r\nX-Long: ")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            talking.sendall(b"x" * (64 << 20))


def test_marked_person_is_in_no_answer_and_no_line_of_the_log(service: ServiceProcess) -> None:
    person = draw_order(7) | MARKS | {"order_id": "marked"}
    bad = [person | {"amount_minor": MARKS["address"]}, person | {"placed_at": MARKS["phone"]}, [MARKS["phone"]]]
    event = {"event": "outcome", "order_id": "marked", "kind": MARKS["recipient"], "happened_at": MARKS["address"]}

    with httpx.Client(transport=httpx.HTTPTransport(uds=str(service.socket)), base_url="http://test") as client:
        answers = [
            *(client.post("/v1/score", json=each) for each in (person, bad, *bad[:2], person | {"more": MARKS["ip"]})),
            client.post("/v1/rescore", json=person),
            client.post("/v1/rescore", json=[MARKS["address"]]),
            client.post("/v1/events", json=event),
            client.post("/v1/events", json=[{MARKS["phone"]: MARKS["phone"]}, MARKS["recipient"]]),
            client.post("/v1/payloads/shopify_api_orders", json=person),
            client.post("/v1/payloads/shopify_api_orders", content="{" + MARKS["address"]),
            client.post("/v1/score", content="{" + MARKS["address"]),
            client.get("/v1/orders/marked/explanation"),
            client.get("/metrics"),
        ]

    assert [each.status_code for each in answers] == [200] * 6 + [422] * 5 + [400, 200, 200]
    assert [find_marks(each.content) for each in answers] == [set()] * len(answers)


def test_another_service_on_the_history_is_refused(service: ServiceProcess) -> None:
    other = ServiceProcess(service.socket.parent, "--lang", "en")

    _, said = other.process.communicate(timeout=60)

    assert other.process.returncode == 3
    assert "is being written by process" in said


def test_stopped_service_has_lost_nothing_and_logged_order_ids_alone(tmp_path: Path) -> None:
    person = draw_order(7) | MARKS | {"order_id": "marked"}
    many = [draw_order(number) | {"order_id": f"many{number}"} for number in range(20)]
    with start_service(tmp_path) as service:
        with connect(service) as remote, RemoteScorer(find_url(service), token=TOKEN, deadline_ms=20_000) as by_tcp:
            alone = by_tcp.score(draw_order(1) | {"order_id": "tcp"})
            answers = [alone, remote.score(person), *remote.score_many(many)]
            remote.observe(Outcome(order_id="tcp", kind="claim", happened_at="2026-01-16 09:00"))
        orders = read_orders(service)

    assert {each.code for each in answers} == {"SCORED"}
    assert service.process.returncode == 0
    assert orders == sorted(["marked", "tcp", *(each["order_id"] for each in many)])
    assert not service.socket.exists()
    lines = [json.loads(line) for line in service.errors.splitlines()]
    assert ["marked"] in [line.get("order_ids") for line in lines]
    assert find_marks(service.errors.encode()) == set()
    assert MARKS["phone"] not in service.errors


def test_orders_pass_within_the_deadline_while_the_service_is_stopped_or_gone(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "h") as service, connect(service, deadline_ms=300) as remote:
        remote.score(draw_order(1))
        codes, seconds = [], []
        for number in (signal.SIGSTOP, signal.SIGKILL):
            os.kill(service.process.pid, number)
            if number == signal.SIGKILL:
                service.process.wait()
            started = time.monotonic()
            codes.append(remote.score(draw_order(2)).code)
            codes += [each.code for each in remote.score_many([draw_order(3), draw_order(4)])]
            seconds.append(time.monotonic() - started)

    assert codes == ["UNSCORED_LATE"] * 3 + ["UNSCORED_UNREACHABLE"] * 3
    assert max(seconds) < 2 * 0.3 + 1.0  # a busy machine


def test_services_that_are_killed_lose_nothing() -> None:
    assert "2 kills" in kill_services(n_kills=2, seed=1)


def test_threads_and_workers_at_once_lose_nothing() -> None:
    said = stress_services(n_orders=12, n_workers=2, n_threads=4)

    assert "48 orders" in said[0]
    assert "25 orders" in said[1]
    assert "24 orders" in said[2]


def test_mistyped_history_does_not_become_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "orders.csv").write_text("order_id,placed_at,amount_minor\nT1,2026-01-15 16:00,100\n")
    runs = [
        subprocess.run(
            [sys.executable, "-m", "ordervet", "serve", "--history", str(tmp_path / name), "--lang", "en"],
            capture_output=True, text=True, check=False, env=os.environ | {"ORDERVET_KEY": KEY.to_hex()},
        )
        for name in ("histroy", "files")
    ]  # fmt: skip

    assert [each.returncode for each in runs] == [3, 3]
    assert ["ordervet serve --create" in each.stderr for each in runs] == [True, True]
    assert not (tmp_path / "histroy").exists()


def test_missing_extra_is_one_line_that_says_how_to_get_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from ordervet.cli import run; sys.argv[1:] = sys.argv[1:]; run()"
    History.open(tmp_path / "h", KEY, create=True)
    run = subprocess.run(
        [sys.executable, "-c", code, "serve", "--history", str(tmp_path / "h"), "--lang", "en"],
        capture_output=True, text=True, check=False, env=os.environ | {"ORDERVET_KEY": KEY.to_hex()},
    )  # fmt: skip

    assert run.returncode == 1
    assert "pip install 'ordervet[serve]'" in run.stderr
