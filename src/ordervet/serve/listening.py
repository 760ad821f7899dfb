"""Where the service listens, and the server that runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ordervet.errors import HistoryError
from ordervet.serve.app import Service, TokenGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

    from ordervet.score import Scorer
    from ordervet.serve.app import ServiceSettings

MAX_HEAD: Final = 64 << 10
"""Most bytes of a request's head."""

HEAD_S: Final = 10.0
"""A connection whose request's head has not arrived by then is closed."""

DRAIN_S: Final = 10
"""How long requests may take that are being answered when the service is stopped."""

SWITCH_S: Final = 0.0005
"""Threads take turns so often: a request must not wait longer for the scoring thread to let go."""

_FIRST_PASSED: Final = 3  # by sd_listen_fds(3)

_log = logging.getLogger("ordervet")


class Listener(NamedTuple):
    """Where the service listens.

    Parameters
    ----------
    socket : bound
    token : what requests must bring along; None trusts whoever may connect
    cert, key : files for TLS
    is_own : it is the socket in the folder of the history, where the command line may change the history too
    """

    socket: socket.socket
    token: str | None = None
    cert: Path | None = None
    key: Path | None = None
    is_own: bool = False


def bind_unix(path: Path, mode: int = 0o600) -> socket.socket:
    """Bind a Unix socket, in place of one that a service left when it died.

    Parameters
    ----------
    path : of the socket; whoever may write to it may use the service
    mode : its permissions

    Raises
    ------
    HistoryError
        It cannot be bound, or another process listens there.
    """
    if path.is_socket() and _is_answered(path):
        raise HistoryError(f"another process listens at {path}", hint="stop it, or name another --socket")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        if path.is_socket():
            path.unlink()
        bound.bind(os.fspath(path))
    except OSError as error:
        bound.close()
        raise HistoryError(
            f"the socket {path} cannot be bound: {error.strerror or error}",
            hint="--socket /run/ordervet.sock names a short path in a folder that this user may write to",
        ) from None
    finally:
        os.umask(before)
    return bound


def bind_tcp(host: str, port: int) -> socket.socket:
    """Bind a TCP socket.

    Raises
    ------
    HistoryError
        It cannot be bound.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise HistoryError(
            f"{host}:{port} cannot be bound: {error.strerror or error}", hint="name another --port, or --host"
        ) from None


def take_passed_socket() -> socket.socket | None:
    """Take the socket that systemd passes to the service, if it does.

    References
    ----------
    sd_listen_fds(3)
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=_FIRST_PASSED)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(os.fspath(path))
        except OSError:
            return False
        return True


def run_service(
    scorer: Scorer,
    listeners: Sequence[Listener],
    settings: ServiceSettings | None = None,
    *,
    when_ready: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then answer what came, write everything to the history, and close the scorer.

    Parameters
    ----------
    scorer : closed at the end
    listeners : at least one
    settings : limits
    when_ready : called once requests are answered
    """
    scorer.warm_up()
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        uvloop_run(_serve(scorer, listeners, settings, when_ready))
    finally:
        sys.setswitchinterval(before)


def uvloop_run(main: Any) -> None:
    """Run in an event loop of uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def _serve(
    scorer: Scorer,
    listeners: Sequence[Listener],
    settings: ServiceSettings | None,
    when_ready: Callable[[], None] | None,
) -> None:
    loop = asyncio.get_running_loop()
    service = Service(scorer, settings)
    service.start()
    servers = [_build_server(service, listener) for listener in listeners]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        async with asyncio.TaskGroup() as running:
            for server, listener in zip(servers, listeners, strict=True):
                running.create_task(server.serve(sockets=[listener.socket]))
            for server in servers:
                await server.is_listening.wait()
            if when_ready is not None:
                when_ready()
    finally:
        await service.stop()


def _build_server(service: Service, listener: Listener) -> _Server:
    app: ASGIApp = service.own_app if listener.is_own else service.app
    if listener.token is not None:
        app = TokenGuard(app, listener.token)
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, log_level="warning", access_log=False,
        server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_S, ssl_certfile=listener.cert, ssl_keyfile=listener.key, backlog=1024,
    )  # fmt: skip
    config.load()
    return _Server(config)


class _Server(uvicorn.Server):
    """A server that leaves the signals to whoever runs several of them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class BoundedProtocol(HttpToolsProtocol):
    """HTTP, of which a head has so many bytes, and arrives by so many seconds."""

    _head_timer: asyncio.TimerHandle | None = None
    _n_head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect the first request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; close the connection where its head goes on and on."""
        super().data_received(data)
        if self._head_timer is not None:
            self._n_head += len(data)
            if self._n_head > MAX_HEAD:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Expect the rest of a head."""
        super().on_message_begin()
        if self._head_timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Answer; the body is bounded by who reads it."""
        self._cancel_timer()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._n_head = 0
        self._head_timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _cancel_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
