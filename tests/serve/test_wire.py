"""What the clients make of whatever stands at the address of the service."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from ordervet import AsyncRemoteScorer, RemoteScorer
from ordervet.errors import ContractError
from ordervet.policy import Decision, DecisionCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    #: Parts that are sent one after the other, and whether the connection is closed then.
    Says = tuple[list[bytes], bool]

ORDER = {"order_id": "t1"}
DOCUMENT = Decision.unscored("t1", DecisionCode.UNSCORED_NO_MODEL).to_json()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(DOCUMENT)
PLAIN = HEAD + DOCUMENT
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(DOCUMENT), DOCUMENT)
CLOSED = PLAIN.replace(b"200 OK\r\n", b"200 OK\r\nconnection: close\r\n")
KNOWN, LATE, GONE, ERROR = "UNSCORED_NO_MODEL", "UNSCORED_LATE", "UNSCORED_UNREACHABLE", "UNSCORED_ERROR"


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Callable[[list[Says]], str]]:
    """Let somebody else listen: each request is answered by what is next; return the address."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(answers: list[Says]) -> None:
        with suppress(OSError):  # the client has gone, or the test has ended
            while answers:
                connections.append(listening.accept()[0])
                talk(connections[-1], answers)

    def talk(connection: socket.socket, answers: list[Says]) -> None:
        while answers and connection.recv(1 << 16):
            parts, is_closed = answers.pop(0)
            for part in parts:
                connection.sendall(part)
            if is_closed:
                connection.close()
                return

    def start(answers: list[Says]) -> str:
        threads.append(threading.Thread(target=serve, args=(answers,), daemon=True))
        threads[0].start()
        return f"unix:{tmp_path / 's'}"

    yield start
    for each in (*connections, listening):
        each.close()


def score_n(kind: str, address: str, n: int, **settings: Any) -> list[str]:
    """Score one order n times, one after the other; return the codes."""
    chosen = {"deadline_ms": 10_000} | settings

    async def score_async() -> list[str]:
        async with AsyncRemoteScorer(address, **chosen) as remote:
            return [str((await remote.score(ORDER)).code) for _ in range(n)]

    if kind == "async":
        return asyncio.run(score_async())
    with RemoteScorer(address, **chosen) as remote:
        return [str(remote.score(ORDER).code) for _ in range(n)]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    "whole",
    [PLAIN, CHUNKED, CLOSED, b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, b"HTTP/1.1 103 Hints\r\nx: y\r\n\r\n" + PLAIN],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_response_is_read_however_it_arrives(
    stand_in: Callable[[list[Says]], str], whole: bytes, size: int, kind: str
) -> None:
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]

    assert score_n(kind, stand_in([(parts, whole == CLOSED), ([PLAIN], False)]), 2) == [KNOWN, KNOWN]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_connection_that_was_closed_while_it_was_idle_costs_no_order(
    stand_in: Callable[[list[Says]], str], kind: str
) -> None:
    address = stand_in([([PLAIN], True)] * 5)

    assert score_n(kind, address, 5) == [KNOWN] * 5


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", GONE),
        (HEAD + DOCUMENT[:9], GONE),
        (HEAD[:20], GONE),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", ERROR),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", ERROR),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", ERROR),
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", GONE),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", GONE),
    ],
)
def test_whoever_is_not_the_service_lets_orders_pass(
    stand_in: Callable[[list[Says]], str], said: bytes, code: str, kind: str
) -> None:
    assert score_n(kind, stand_in([([said], True)] * 2), 1) == [code]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("parts", [[], [HEAD], [PLAIN[:-1]]])
def test_deadline_holds_whatever_has_arrived(
    stand_in: Callable[[list[Says]], str], parts: list[bytes], kind: str
) -> None:
    assert score_n(kind, stand_in([(parts, False), ([], False)]), 1, deadline_ms=80) == [LATE]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("address", ["unix:/nowhere/s", "http://127.0.0.1:1", "https://127.0.0.1:1", "http://[::1]:1"])
def test_nobody_at_the_address_lets_orders_pass(address: str, kind: str) -> None:
    assert score_n(kind, address, 1, deadline_ms=500) == [GONE]


def test_threads_share_as_many_connections_as_there_may_be(stand_in: Callable[[list[Says]], str]) -> None:
    remote = RemoteScorer(stand_in([([PLAIN], False)] * 20), deadline_ms=10_000, max_connections=1)
    codes: list[str] = []
    threads = [threading.Thread(target=lambda: codes.append(str(remote.score(ORDER).code))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    remote.close()

    assert codes == [KNOWN] * 20


@pytest.mark.parametrize("address", ["unix:", "history/_service.sock", "ftp://host", "http://", "http://host:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ContractError, match="the address of the service"):
        RemoteScorer(address)


def test_token_that_would_end_a_header_is_refused() -> None:
    with pytest.raises(ContractError, match="printable ASCII"):
        RemoteScorer("http://host", token="a\r\nx: y")  # noqa: S106 - of this test
