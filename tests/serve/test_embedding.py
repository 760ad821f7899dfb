"""The forms of docs/embedding, as they stand, beside a service of their own."""

from __future__ import annotations

import asyncio
import configparser
import gc
import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from ordervet import RemoteScorer
from ordervet.cli import load_command
from ordervet.history import History
from service_makers import KEY, START_S, ServiceProcess, draw_order

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[2] / "docs"
FORMS = DOCS / "embedding"
OUTCOME = {"kind": "claim", "happened_at": "2026-01-16 09:00"}

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _collect_sockets() -> Iterator[None]:
    yield
    gc.collect()  # here, where the warning is expected, not in a test of another file


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("e") / "h", "--deadline-ms", "20000") as running:
        yield running


@pytest.fixture
def address(service: ServiceProcess, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ORDERVET_SERVICE", service.address)
    # A busy machine: the forms have the client's own deadline.
    monkeypatch.setattr("ordervet.serve.client._Exchanges.__init__.__kwdefaults__", {
        "token": None, "deadline_ms": 20_000.0, "write_s": 20.0, "verify": True, "max_connections": 8,
    })  # fmt: skip
    return service.address


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FORMS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def count_events(service: ServiceProcess, order_id: str) -> int:
    """Count the claims of an order that the service has remembered."""
    from ordervet.history.through import ask_service

    ask_service(service.socket.parent, "flush")
    outcomes = History.open(service.socket.parent, KEY).read().outcomes["order_id"].to_pylist()
    return outcomes.count(order_id)


@pytest.mark.usefixtures("address")
def test_fastapi_form_answers() -> None:
    app = load("fastapi_app").app

    async def talk() -> httpx.Response:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            return await client.post("/orders", json=draw_order(1) | {"order_id": "fastapi"})

    assert asyncio.run(talk()).json() == {"order_id": "fastapi", "action": "pass", "code": "SCORED"}


@pytest.mark.usefixtures("address")
def test_django_form_answers() -> None:
    from django.conf import settings
    from django.test import RequestFactory

    if not settings.configured:
        settings.configure(DEFAULT_CHARSET="utf-8")
    request = RequestFactory().post("/orders", json.dumps(draw_order(1) | {"order_id": "django"}), "application/json")

    views = load("django_views")
    answer = views.place(request)
    views.open_scorer().close()

    assert json.loads(answer.content) == {"order_id": "django", "action": "pass", "code": "SCORED"}


def test_gunicorn_form_answers_from_workers_that_were_forked(service: ServiceProcess, tmp_path: Path) -> None:
    bound = tmp_path / "g.sock"
    command = [sys.executable, "-m", "gunicorn", "gunicorn_app:app", "--workers", "2", "--preload", "--bind",
               f"unix:{bound}", "--chdir", str(FORMS), "--no-control-socket"]  # fmt: skip
    with subprocess.Popen(command, env=os.environ | {"ORDERVET_SERVICE": service.address},
                          stderr=subprocess.PIPE, text=True) as server:  # fmt: skip
        until = time.monotonic() + START_S
        while not bound.exists() and time.monotonic() < until and server.poll() is None:
            time.sleep(0.05)
        answers = []
        for number in range(30):
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(bound)), base_url="http://test") as client:
                order = draw_order(number) | {"order_id": f"gunicorn{number}"}
                answers.append(client.post("/", json=order, timeout=START_S).json())
        server.send_signal(signal.SIGTERM)
        errors = server.communicate(timeout=START_S)[1]

    assert {each["code"] for each in answers} <= {"SCORED", "UNSCORED_LATE"}, errors
    assert server.pid not in {each["worker"] for each in answers}


def test_celery_form_scores_and_observes_what_is_delivered_twice(service: ServiceProcess, address: str) -> None:
    tasks = load("celery_tasks")
    order = draw_order(1) | {"order_id": "celery"}

    first, again = tasks.score.apply(args=[order]).get(), tasks.score.apply(args=[order]).get()
    for _ in range(2):
        tasks.observe.apply(args=[OUTCOME | {"order_id": "celery"}]).get()
    tasks.scorer.close()

    assert address == service.address
    assert tasks.app.conf.task_acks_late
    assert first["code"] == "SCORED"
    assert again == first
    assert count_events(service, "celery") == 1


class MadeUpMessage:
    """A message of a consumer that is made up."""

    def __init__(self, topic: str, document: dict[str, Any]) -> None:
        self._topic, self._value = topic, json.dumps(document)

    def topic(self) -> str:
        return self._topic

    def value(self) -> str:
        return self._value

    def error(self) -> None:
        return None


class MadeUpConsumer:
    """A test double of Kafka's consumer: delivers again whatever was not committed."""

    def __init__(self, messages: list[MadeUpMessage]) -> None:
        self._messages, self._at, self._committed = messages, 0, 0

    def consume(self, num_messages: int, timeout: float) -> list[MadeUpMessage]:
        assert timeout < 1
        taken = self._messages[self._at : self._at + num_messages]
        self._at += len(taken)
        return taken

    def commit(self, *, asynchronous: bool) -> None:
        assert not asynchronous
        self._committed = self._at

    def die(self) -> None:
        self._at = self._committed


def test_kafka_form_commits_only_what_is_remembered(service: ServiceProcess, address: str) -> None:
    loop = load("kafka_loop")
    orders = [MadeUpMessage("orders", draw_order(number) | {"order_id": f"kafka{number}"}) for number in range(5)]
    consumer = MadeUpConsumer([*orders, MadeUpMessage("outcomes", OUTCOME | {"order_id": "kafka1"})])
    published: list[dict[str, Any]] = []
    gone = RemoteScorer("unix:/nowhere", deadline_ms=10, write_s=0.05)

    with pytest.raises(Exception, match="has not acknowledged"):
        loop.consume(consumer, gone, published.append)
    consumer.die()
    passed = [each["code"] for each in published]
    published.clear()
    with RemoteScorer(address) as scorer:
        n_first, n_after = loop.consume(consumer, scorer, published.append), loop.consume(consumer, scorer, print)
        consumer._committed = 0
        consumer.die()
        again = list(published)
        loop.consume(consumer, scorer, again.append)

    assert passed == ["UNSCORED_UNREACHABLE"] * 5
    assert (n_first, n_after) == (6, 0)
    assert [each["code"] for each in published] == ["SCORED"] * 5
    assert again == published * 2
    assert count_events(service, "kafka1") == 1


class MadeUpOperator:
    """A test double of Airflow's BashOperator: keeps what it was given."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def __rshift__(self, other: MadeUpOperator) -> MadeUpOperator:
        return other


class MadeUpDag:
    """A test double of Airflow's DAG."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (4, 0), (3, 3), (1, 1)])
def test_airflow_form_takes_exit_codes_as_they_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: int
) -> None:
    for name in ("airflow", "airflow.providers", "airflow.providers.standard", "airflow.providers.standard.operators"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    bash, sdk = types.ModuleType("bash"), types.ModuleType("sdk")
    vars(bash)["BashOperator"], vars(sdk)["DAG"] = MadeUpOperator, MadeUpDag
    monkeypatch.setitem(sys.modules, "airflow.providers.standard.operators.bash", bash)
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    stub = tmp_path / "ordervet"
    stub.write_text(f"#!/bin/sh\nexit {code}\n")
    stub.chmod(0o700)

    dag = load("airflow_dag")

    run = subprocess.run(["bash", "-c", dag.ingest.settings["bash_command"]], check=False, capture_output=True,
                         env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})  # fmt: skip
    assert run.returncode == expected
    assert dag.retrain.settings["skip_on_exit_code"] == 7
    for command in (dag.INGEST, dag.RETRAIN):
        assert (
            find_unknown_options(next(line for line in command.splitlines() if line.startswith("ordervet "))) == set()
        )


def find_unknown_options(line: str) -> set[str]:
    """Find the options of a command line that the command does not have."""
    _, name, *rest = shlex.split(line)
    known = {option for parameter in load_command(name).params for option in parameter.opts}
    return {each for each in rest if each.startswith("--")} - known


def test_container_and_units_call_the_command_as_it_is() -> None:
    docker = (FORMS / "Dockerfile").read_text(encoding="utf-8")
    called = [json.loads(each) for each in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", docker, re.MULTILINE)]
    unit, bound = configparser.ConfigParser(), configparser.ConfigParser()
    unit.read(FORMS / "ordervet.service")
    bound.read(FORMS / "ordervet.socket")
    headless, stateful = yaml.safe_load_all((FORMS / "statefulset.yaml").read_text(encoding="utf-8"))
    pod = stateful["spec"]["template"]["spec"]["containers"][0]
    probes = {pod[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}

    assert find_unknown_options(shlex.join([*called[0], *called[1]])) == set()
    assert find_unknown_options(unit["Service"]["ExecStart"]) == set()
    assert find_unknown_options(shlex.join(["ordervet", "serve", *pod["args"]])) == set()
    assert unit["Unit"]["Requires"] == "ordervet.socket"
    assert bound["Socket"]["ListenStream"] == "/run/ordervet.sock"
    assert stateful["spec"]["replicas"] == 1
    assert headless["spec"]["ports"][0]["port"] == pod["ports"][0]["containerPort"]
    assert probes == {"/healthz", "/readyz"}


def test_socket_that_systemd_passes_is_served(tmp_path: Path) -> None:
    passed = socket.socket(socket.AF_UNIX)
    passed.bind(str(tmp_path / "p.sock"))
    passed.listen()
    History.open(tmp_path / "h", KEY, create=True)
    started = f"{sys.executable} -m ordervet serve --history {tmp_path / 'h'}"
    command = f"LISTEN_PID=$$ LISTEN_FDS=1 exec {started} 3<&{passed.fileno()}"
    environment = os.environ | {"ORDERVET_KEY": KEY.to_hex()}
    with subprocess.Popen(["bash", "-c", command], pass_fds=[passed.fileno()], env=environment) as server:
        passed.close()
        with RemoteScorer(f"unix:{tmp_path / 'p.sock'}", deadline_ms=START_S * 1_000) as scorer:
            decision = scorer.score(draw_order(1))  # waits in the socket until the service is there
        server.terminate()

    assert decision.code == "SCORED"


def test_page_shows_every_form() -> None:
    text = (DOCS / "embedding.md").read_text(encoding="utf-8")

    assert set(re.findall(r"\]\(embedding/([^)]+)\)", text)) == {
        path.name for path in FORMS.iterdir() if path.is_file()
    }
    for name, block in re.findall(r"<!-- ([\w.]+) -->\n```\w*\n(.*?)```", text, re.DOTALL):
        assert block == (FORMS / name).read_text(encoding="utf-8"), name
