"""HTTP/1.1 as the clients of the service speak it: one exchange at a time on connections that are kept, in a pool.

A request is bytes that are made at once; a response is parsed by `httptools`. `Pool` has sockets, for threads;
`AsyncPool` has streams of asyncio.

SPEED: a request takes a fifth of what it takes with httpx (benchmarks/bench_serve.py).
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httptools

from ordervet.errors import ContractError

_PORTS: Final = {"http": 80, "https": 443}
_MAX_PART: Final = 1 << 18


class NoAnswerError(Exception):
    """There is no answer."""


class LateError(NoAnswerError):
    """There was none in time."""


class UnreachableError(NoAnswerError):
    """There is nobody who answers."""


class Address(NamedTuple):
    """Where the service is.

    Parameters
    ----------
    host, port : of TCP
    path : of a Unix socket; None on TCP
    prefix : before the paths of the service
    tls : None without TLS
    """

    host: str
    port: int = 80
    path: str | None = None
    prefix: str = ""
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, text: str, verify: ssl.SSLContext | str | bool) -> Address:
        """Parse an address.

        Parameters
        ----------
        text : ``unix:/path/of/the.sock``, ``http://host:port`` or ``https://host:port``
        verify : the certificates to trust: those of the system, a file of them, a context, or, False, any

        Raises
        ------
        ContractError
            It is no address.
        """
        scheme, _, rest = text.partition(":")
        if scheme == "unix" and rest:
            return cls("ordervet", path=rest)
        with suppress(ValueError):
            parts = urlsplit(text)
            if scheme in _PORTS and parts.hostname:
                tls = _build_context(verify) if scheme == "https" else None
                return cls(parts.hostname, parts.port or _PORTS[scheme], None, parts.path.rstrip("/"), tls)
        raise ContractError(
            "the address of the service is unix:PATH, http://HOST:PORT or https://HOST:PORT",
            hint='RemoteScorer("unix:history/_service.sock")',
        )

    def build_head(self, token: str | None) -> bytes:
        """Build the headers that all requests have.

        Raises
        ------
        ContractError
            The token cannot stand in a header.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        head = f"host: {host if self.path is not None else f'{host}:{self.port}'}\r\ncontent-type: application/json\r\n"
        if token is not None:
            if not (token.isascii() and token.isprintable()):
                raise ContractError("the token has other than printable ASCII characters", hint="openssl rand -hex 32")
            head += f"authorization: Bearer {token}\r\n"
        return head.encode()


def _build_context(verify: ssl.SSLContext | str | bool) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Response:
    """A response, as its parts arrive.

    Attributes
    ----------
    status : code
    content : its body
    is_whole : whether all of it has arrived
    is_last : whether the connection is of no more use
    """

    def __init__(self) -> None:
        self.status, self.is_whole, self.is_last = 0, False, True
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take what has arrived; nothing at all is the end of the connection.

        Raises
        ------
        UnreachableError
            It is no response, or ends too early.
        """
        if not data or self._parser is None:
            raise UnreachableError
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise UnreachableError from None
        if self.is_whole:
            self._parser = None  # NOTE: it refers to this object: without, nothing is left to the collector

    def on_message_begin(self) -> None:
        """Forget what an interim response has said; called by the parser."""
        self._headers.clear()
        self._parts.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; called by the parser."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Note a part of the body; called by the parser."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Note the end, unless it is an interim response; called by the parser."""
        if self._parser is not None:
            self.status = self._parser.get_status_code()
            self.is_whole = self.status >= HTTPStatus.OK
            self.is_last = not self._parser.should_keep_alive()

    @property
    def content(self) -> bytes:
        """The body."""
        return b"".join(self._parts)

    def read_header(self, name: bytes) -> str:
        """Return a header, "" where there is none."""
        return self._headers.get(name, b"").decode("latin-1")


class Pool:
    """Connections of one process, for its threads.

    Parameters
    ----------
    address : of the service
    max_connections : more wait for one of these
    """

    def __init__(self, address: Address, max_connections: int) -> None:
        self._address = address
        self._idle: deque[socket.socket] = deque()
        self._free = threading.BoundedSemaphore(max_connections)

    def exchange(self, data: bytes, until: float) -> Response:
        """Send a request, and return the response.

        Parameters
        ----------
        data : the request
        until : `time.monotonic`; none is waited for any longer

        Raises
        ------
        LateError, UnreachableError
            There is no response.
        """
        if not self._free.acquire(timeout=max(until - time.monotonic(), 0.0)):
            raise UnreachableError
        try:
            connection = self._take() or self._connect(until)
            try:
                response = _exchange(connection, data, until)
            except BaseException:
                connection.close()
                raise
            if response.is_last:
                connection.close()
            else:
                self._idle.append(connection)
            return response
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _take(self) -> socket.socket | None:
        """Take a connection that is open still."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not _has_data(connection):  # it would be the end, as nothing was asked
                return connection
            connection.close()

    def _connect(self, until: float) -> socket.socket:
        address, left_s = self._address, max(until - time.monotonic(), 0.001)
        connection: socket.socket | None = None
        try:
            if address.path is not None:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.settimeout(left_s)
                connection.connect(address.path)
                return connection
            connection = socket.create_connection((address.host, address.port), timeout=left_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls is not None:
                connection = address.tls.wrap_socket(connection, server_hostname=address.host)
        except OSError:
            if connection is not None:
                connection.close()
            raise UnreachableError from None
        return connection


def _exchange(connection: socket.socket, data: bytes, until: float) -> Response:
    response = Response()
    try:
        connection.settimeout(_find_left(until))
        connection.sendall(data)
        while not response.is_whole:
            connection.settimeout(_find_left(until))
            response.feed(connection.recv(_MAX_PART))
    except TimeoutError:
        raise LateError from None
    except OSError:
        raise UnreachableError from None
    return response


def _has_data(connection: socket.socket) -> bool:
    if sys.platform == "win32":
        return bool(select.select([connection], [], [], 0)[0])
    waiting = select.poll()  # NOT: select, which knows 1,024 files
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(0))


def _find_left(until: float) -> float:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise LateError
    return left_s


class _Streams(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class AsyncPool:
    """Connections of one event loop.

    Parameters
    ----------
    address, max_connections : as of `Pool`
    """

    def __init__(self, address: Address, max_connections: int) -> None:
        self._address = address
        self._idle: deque[_Streams] = deque()
        self._free = asyncio.Semaphore(max_connections)

    async def exchange(self, data: bytes, until: float) -> Response:
        """Send a request, and return the response; see `Pool.exchange`."""
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await self._free.acquire()
        except TimeoutError:
            raise UnreachableError from None
        try:
            streams = self._take() or await self._connect(until)
            try:
                response = await _exchange_streams(streams, data, until)
            except BaseException:
                streams.writer.close()
                raise
            if response.is_last:
                streams.writer.close()
            else:
                self._idle.append(streams)
            return response
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            writer = self._idle.pop().writer
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _take(self) -> _Streams | None:
        while self._idle:
            streams = self._idle.pop()
            if not streams.reader.at_eof() and not streams.writer.is_closing():
                return streams
            streams.writer.close()
        return None

    async def _connect(self, until: float) -> _Streams:
        address = self._address
        try:
            async with asyncio.timeout(until - time.monotonic()):
                if address.path is not None:
                    return _Streams(*await asyncio.open_unix_connection(address.path))
                return _Streams(*await asyncio.open_connection(address.host, address.port, ssl=address.tls))
        except OSError:  # a timeout, too
            raise UnreachableError from None


async def _exchange_streams(streams: _Streams, data: bytes, until: float) -> Response:
    response = Response()
    try:
        async with asyncio.timeout(until - time.monotonic()):
            streams.writer.write(data)
            await streams.writer.drain()
            while not response.is_whole:
                response.feed(await streams.reader.read(_MAX_PART))
    except TimeoutError:
        raise LateError from None
    except OSError:
        raise UnreachableError from None
    return response
