"""The service from the other side: the methods of a scorer, which let orders pass when the service does not answer.

A client has the deadline. `score` answers by then, whatever has become of the service: late, stopped, gone, or another
program at its address. What is sent twice counts once, so that a request may be sent again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

from pydantic_core import PydanticSerializationError, from_json, to_json

from ordervet.errors import ContractError, HistoryError
from ordervet.policy import Decision, DecisionCode
from ordervet.policy.claims import ClaimDecision

try:
    from ordervet.serve.wire import Address, AsyncPool, LateError, NoAnswerError, Pool, Response, UnreachableError
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"a remote scorer needs {error.name}: pip install 'ordervet[serve]'", name=error.name
    ) from None

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator, Sequence
    from types import TracebackType
    from typing import Self

    from ordervet.contract import Correction, Order, Outcome, Verdict

    #: Yields requests, is sent what became of each, and returns an answer.
    Exchange = Generator["_Request", "Answer", Any]
    #: What became of a request: a response, or the kind of error; None after a pause.
    Answer = Response | type[Exception] | None

T = TypeVar("T")

PAUSE_S = 0.02
"""Between two attempts, where there is nothing to wait for."""

MAX_TOGETHER = 500
"""Orders are sent so many at a time."""

_log = logging.getLogger("ordervet")


class _Request(NamedTuple):
    method: str
    path: str
    body: bytes
    until: float  # time.monotonic


class _Exchanges:
    """What is asked and what is made of the answers; how it is sent is up to the client.

    Parameters
    ----------
    address : ``unix:/path/of/the.sock``, ``http://host:port`` or ``https://host:port``
    token : of the service, on TCP
    deadline_ms : a score takes no longer; what is not decided by then passes
    write_s : an event takes no longer; what is not remembered by then is an error
    verify : the certificates to trust: True for those of the system, a file of them, a context; False trusts any
    max_connections : of each process
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        deadline_ms: float = 200.0,
        write_s: float = 5.0,
        verify: ssl.SSLContext | str | bool = True,
        max_connections: int = 64,
    ) -> None:
        self._address = Address.parse(address, verify)
        self._name = address.removeprefix("unix:")
        self._head = self._address.build_head(token)
        self._deadline_s, self._write_s = deadline_ms / 1_000, write_s
        self._max_connections = max_connections
        self._warned_at = float("-inf")

    def _exchange_scores(self, path: str, orders: Sequence[Any]) -> Exchange:
        """Score orders, in requests of at most `MAX_TOGETHER`; they share the deadline."""
        until = time.monotonic() + self._deadline_s
        decisions: dict[int, Decision] = {}
        sent: list[tuple[int, bytes]] = []
        for row, order in enumerate(orders):
            try:
                sent.append((row, write_order(order)))
            except (PydanticSerializationError, ValueError, TypeError):
                decisions[row] = Decision.unscored(find_id(order), DecisionCode.UNSCORED_INVALID_ORDER)
        for start in range(0, len(sent), MAX_TOGETHER):
            part = sent[start : start + MAX_TOGETHER]
            body = part[0][1] if len(part) == 1 else b"[" + b",".join(each for _, each in part) + b"]"
            answer = yield from self._try("POST", path, body, until)
            if isinstance(answer, DecisionCode):
                self._warn(answer)
                decisions |= {row: Decision.unscored(find_id(orders[row]), answer) for row, _ in part}
                continue
            documents = [answer] if len(part) == 1 else answer
            decisions |= {row: read_decision(each) for (row, _), each in zip(part, documents, strict=True)}
        return [decisions[row] for row in range(len(orders))]

    def _exchange_claim(self, claim: Outcome | dict[str, Any]) -> Exchange:
        """Have a refund request judged."""
        until = time.monotonic() + self._deadline_s
        try:
            body = write_order(claim)
        except (PydanticSerializationError, ValueError, TypeError):
            return _leave_claim(claim, DecisionCode.UNSCORED_INVALID_ORDER)
        answer = yield from self._try("POST", "/v1/claims", body, until)
        if isinstance(answer, DecisionCode):
            self._warn(answer)
            return _leave_claim(claim, answer)
        return ClaimDecision.from_dict(answer)

    def _exchange_events(self, path: str, body: bytes) -> Exchange:
        """Send what is to be remembered, until it is acknowledged; return how many events it was."""
        answer = yield from self._try("POST", path, body, time.monotonic() + self._write_s, is_write=True)
        if isinstance(answer, DecisionCode):
            raise HistoryError(
                f"the service at {self._name} has not acknowledged the event: {answer}",
                hint="send it again: what is sent twice counts once",
            )
        return answer["n_events"]

    def _exchange_explanation(self, order_id: str) -> Exchange:
        path = f"/v1/orders/{quote(order_id, safe='')}/explanation"
        answer = yield from self._try("GET", path, b"", time.monotonic() + self._write_s, is_write=True)
        if answer is None:
            return None
        if isinstance(answer, DecisionCode):
            raise HistoryError(f"the service at {self._name} has not answered: {answer}", hint="ask again")
        parts = [
            (each["feature"], float("nan") if each["value"] is None else each["value"], each["contribution"])
            for each in answer["parts"]
        ]
        return read_decision(answer["decision"]), parts

    def _try(self, method: str, path: str, body: bytes, until: float, *, is_write: bool = False) -> Exchange:
        """Send a request until it is answered or its time is up; return the answer, or why there is none.

        Raises
        ------
        ContractError
            The service refuses what was to be remembered.
        """
        code = DecisionCode.UNSCORED_LATE
        for attempt in count(1):
            answer = yield _Request(method, path, body, until)
            pause_s = PAUSE_S
            if isinstance(answer, Response):
                if answer.status == HTTPStatus.OK:
                    return from_json(answer.content)
                if answer.status == HTTPStatus.NOT_FOUND and method == "GET":
                    return None
                if answer.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
                    code = DecisionCode.UNSCORED_LATE
                    pause_s = _read_pause(answer)
                elif is_write and answer.status < 500 and answer.status not in (401, 408):
                    raise ContractError(*_read_refusal(answer))
                else:
                    is_shut = answer.status in (401, 403)
                    return DecisionCode.UNSCORED_UNREACHABLE if is_shut else DecisionCode.UNSCORED_ERROR
            elif answer is LateError:
                code = DecisionCode.UNSCORED_LATE
            elif answer is UnreachableError:
                code = DecisionCode.UNSCORED_UNREACHABLE
            else:
                return DecisionCode.UNSCORED_ERROR
            # NOTE: a connection may have been closed while it was idle; no order waits for a service to come back.
            is_gone = attempt > 1 and not is_write and code is DecisionCode.UNSCORED_UNREACHABLE
            if is_gone or time.monotonic() + pause_s >= until:
                return code
            yield _Request("", "", b"", time.monotonic() + pause_s)  # wait
        raise AssertionError

    def _write(self, request: _Request) -> bytes:
        """Write a request as it goes over the wire."""
        # NOTE: the service is told a bit less, so that its own answer arrives in time.
        left_ms = max(request.until - time.monotonic(), 0.001) * 900
        line = f"{request.method} {self._address.prefix}{request.path} HTTP/1.1\r\n"
        own = f"ordervet-deadline-ms: {left_ms:.3f}\r\ncontent-length: {len(request.body)}\r\n\r\n"
        return line.encode() + self._head + own.encode() + request.body

    def _warn(self, code: DecisionCode) -> None:
        """Log that orders pass, at most once a second."""
        if time.monotonic() - self._warned_at >= 1.0:
            self._warned_at = time.monotonic()
            _log.error("orders pass as %s: the service at %s does not answer", code, self._name)


class RemoteScorer(_Exchanges):
    """Scores through `ordervet serve`; the methods are those of `Scorer`.

    Any number of threads may use one; after a fork, a child has connections of its own. `score`, `score_many` and
    `rescore` never raise, and answer within the deadline: UNSCORED_LATE, UNSCORED_UNREACHABLE.

    Parameters
    ----------
    address, token, deadline_ms, write_s, verify, max_connections : see above

    Examples
    --------
    >>> scorer = RemoteScorer("unix:/nowhere/service.sock", deadline_ms=50)
    >>> scorer.score({"order_id": "T1", "placed_at": "2025-11-11 20:03:07", "amount_minor": 100}).code
    <DecisionCode.UNSCORED_UNREACHABLE: 'UNSCORED_UNREACHABLE'>
    """

    def __init__(self, address: str, **settings: Any) -> None:
        super().__init__(address, **settings)
        self._pools: dict[int, Pool] = {}

    def score(self, order: Order | dict[str, Any]) -> Decision:
        """Score one order; see `Scorer.score`."""
        return self._never_raise([order], lambda: self._run(self._exchange_scores("/v1/score", [order])))[0]

    def score_many(self, orders: Sequence[Order | dict[str, Any]]) -> list[Decision]:
        """Score orders that arrive together; see `Scorer.score_many`."""
        return self._never_raise(orders, lambda: self._run(self._exchange_scores("/v1/score", orders)))

    def rescore(self, order: Order | dict[str, Any] | str) -> Decision:
        """Decide again about an order, or the id of one; see `Scorer.rescore`."""
        asked = {"order_id": order} if isinstance(order, str) else order
        return self._never_raise([asked], lambda: self._run(self._exchange_scores("/v1/rescore", [asked])))[0]

    def score_claim(self, claim: Outcome | dict[str, Any]) -> ClaimDecision:
        """Judge a refund request; see `Scorer.score_claim`. Without an answer in time a person decides."""
        try:
            decision: ClaimDecision = self._run(self._exchange_claim(claim))
        except Exception as error:  # noqa: BLE001 - no error of ours may stop a request
            return _leave_claim_after(claim, error)
        return decision

    def observe(self, event: Outcome | Verdict | Correction) -> None:
        """Remember an outcome, verdict or correction; see `Scorer.observe`.

        Raises
        ------
        ContractError
            The service refuses the event.
        HistoryError
            It was not acknowledged in time; sent again, it counts once.
        """
        self._run(self._exchange_events("/v1/events", write_event(event)))

    def observe_payload(self, format: str, payload: str | bytes | Any, *, shop: str | None = None) -> int:  # noqa: A002 - what it is
        """Remember what a platform's message says became of orders; see `Scorer.observe_payload`."""
        return int(self._run(self._exchange_events(*_build_payload(format, payload, shop))))

    def explain(self, order_id: str) -> tuple[Decision, list[tuple[str, float, float]]] | None:
        """Return the last decision about a known order, and what each feature adds; see `Scorer.explain`."""
        found: tuple[Decision, list[tuple[str, float, float]]] | None = self._run(self._exchange_explanation(order_id))
        return found

    def close(self) -> None:
        """Close this process's connections."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _never_raise(orders: Sequence[Any], score: Callable[[], list[Decision]]) -> list[Decision]:
        try:
            return score()
        except Exception as error:  # noqa: BLE001 - fail open: no error of ours may stop an order
            return _pass_all(orders, error)

    def _run(self, exchange: Exchange) -> Any:
        answer: Answer = None
        while True:
            try:
                request = next(exchange) if answer is None else exchange.send(answer)
            except StopIteration as end:
                return end.value
            if not request.method:
                time.sleep(max(request.until - time.monotonic(), 0.0))
                answer = None
                continue
            try:
                answer = self._find_pool().exchange(self._write(request), request.until)
            except NoAnswerError as error:
                answer = type(error)  # NOT: the error. Its frames would keep the socket open.

    def _find_pool(self) -> Pool:
        """Return this process's connections; those of a parent are left alone."""
        pid = os.getpid()
        return self._pools.get(pid) or self._pools.setdefault(pid, Pool(self._address, self._max_connections))


class AsyncRemoteScorer(_Exchanges):
    """`RemoteScorer` for asyncio: the same methods, to be awaited, in one event loop.

    Parameters
    ----------
    address, token, deadline_ms, write_s, verify, max_connections : as of `RemoteScorer`
    """

    def __init__(self, address: str, **settings: Any) -> None:
        super().__init__(address, **settings)
        self._pools: dict[int, AsyncPool] = {}

    async def score(self, order: Order | dict[str, Any]) -> Decision:
        """Score one order; see `Scorer.score`."""
        return (await self._score([order], "/v1/score"))[0]

    async def score_many(self, orders: Sequence[Order | dict[str, Any]]) -> list[Decision]:
        """Score orders that arrive together; see `Scorer.score_many`."""
        return await self._score(orders, "/v1/score")

    async def rescore(self, order: Order | dict[str, Any] | str) -> Decision:
        """Decide again about an order, or the id of one; see `Scorer.rescore`."""
        return (await self._score([{"order_id": order} if isinstance(order, str) else order], "/v1/rescore"))[0]

    async def score_claim(self, claim: Outcome | dict[str, Any]) -> ClaimDecision:
        """Judge a refund request; see `RemoteScorer.score_claim`."""
        try:
            decision: ClaimDecision = await self._run(self._exchange_claim(claim))
        except Exception as error:  # noqa: BLE001 - no error of ours may stop a request
            return _leave_claim_after(claim, error)
        return decision

    async def observe(self, event: Outcome | Verdict | Correction) -> None:
        """Remember an outcome, verdict or correction; see `RemoteScorer.observe`."""
        await self._run(self._exchange_events("/v1/events", write_event(event)))

    async def observe_payload(self, format: str, payload: str | bytes | Any, *, shop: str | None = None) -> int:  # noqa: A002 - what it is
        """Remember what a platform's message says became of orders; see `Scorer.observe_payload`."""
        return int(await self._run(self._exchange_events(*_build_payload(format, payload, shop))))

    async def explain(self, order_id: str) -> tuple[Decision, list[tuple[str, float, float]]] | None:
        """Return the last decision about a known order, and what each feature adds; see `Scorer.explain`."""
        found: tuple[Decision, list[tuple[str, float, float]]] | None = await self._run(
            self._exchange_explanation(order_id)
        )
        return found

    async def close(self) -> None:
        """Close this process's connections."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            await pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _score(self, orders: Sequence[Any], path: str) -> list[Decision]:
        try:
            decisions: list[Decision] = await self._run(self._exchange_scores(path, orders))
        except Exception as error:  # noqa: BLE001 - fail open: no error of ours may stop an order
            return _pass_all(orders, error)
        return decisions

    async def _run(self, exchange: Exchange) -> Any:
        answer: Answer = None
        while True:
            try:
                request = next(exchange) if answer is None else exchange.send(answer)
            except StopIteration as end:
                return end.value
            if not request.method:
                await asyncio.sleep(max(request.until - time.monotonic(), 0.0))
                answer = None
                continue
            try:
                answer = await self._find_pool().exchange(self._write(request), request.until)
            except NoAnswerError as error:
                answer = type(error)  # NOT: the error. Its frames would keep the socket open.

    def _find_pool(self) -> AsyncPool:
        pid = os.getpid()
        return self._pools.get(pid) or self._pools.setdefault(pid, AsyncPool(self._address, self._max_connections))


def write_order(order: Order | Any) -> bytes:
    """Write an order as JSON: an Order, or a dict of its fields, with times and numbers of whatever library.

    Raises
    ------
    PydanticSerializationError
        It holds what JSON does not.
    """
    return to_json(order if isinstance(order, dict) else order.to_row(), fallback=_to_plain)


def write_event(event: Outcome | Verdict | Correction) -> bytes:
    """Write an event as JSON, with its kind.

    Raises
    ------
    ContractError
        It is no event.
    """
    from ordervet.contract import Correction, Outcome, Verdict

    for kind, word in ((Outcome, "outcome"), (Verdict, "verdict"), (Correction, "correction")):
        if isinstance(event, kind):
            return to_json({"event": word} | event.to_row())
    raise ContractError(
        f"observe: got {type(event).__name__}, expected Outcome, Verdict or Correction",
        hint='scorer.observe(Outcome(order_id="t1", kind="refund_requested", happened_at="2025-11-12 09:00"))',
    )


def read_decision(document: dict[str, Any]) -> Decision:
    """Read a decision from what the service answers."""
    return Decision.from_dict(document)


def find_id(order: object) -> str:
    """Return the id of whatever was passed as an order; "" if it has none."""
    found = order.get("order_id") if isinstance(order, dict) else getattr(order, "order_id", None)
    return str(found) if isinstance(found, (str, int)) else ""


def _pass_all(orders: Sequence[Any], error: Exception) -> list[Decision]:
    _log.error("scoring failed: %s", type(error).__name__)
    return [Decision.unscored(find_id(order), DecisionCode.UNSCORED_ERROR) for order in orders]


def _leave_claim(claim: object, code: DecisionCode) -> ClaimDecision:
    return ClaimDecision.unscored(find_id(claim), code, model_id=None, policy_id=None)


def _leave_claim_after(claim: object, error: Exception) -> ClaimDecision:
    _log.error("judging a claim failed: %s", type(error).__name__)
    return _leave_claim(claim, DecisionCode.UNSCORED_ERROR)


def _build_payload(name: str, payload: str | bytes | Any, shop: str | None) -> tuple[str, bytes]:
    body = payload.encode() if isinstance(payload, str) else payload if isinstance(payload, bytes) else to_json(payload)
    return f"/v1/payloads/{quote(name, safe='')}" + (f"?shop={quote(shop, safe='')}" if shop else ""), body


def _read_pause(answer: Response) -> float:
    text = answer.read_header(b"retry-after")
    return float(text) if text.isdigit() else PAUSE_S


def _read_refusal(answer: Response) -> tuple[str]:
    try:
        document = from_json(answer.content)
        return (f"{document['message']}\n{document['hint']}" if document["hint"] else document["message"],)
    except (ValueError, TypeError, KeyError):
        return (f"the service refused it with status {answer.status}",)


def _to_plain(value: Any) -> Any:
    """Turn values of other libraries, such as NumPy's numbers and pandas' times, into what JSON holds."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"got a {type(value).__name__}")
