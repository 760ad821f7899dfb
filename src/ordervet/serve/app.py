"""The service as an ASGI application: what is asked over HTTP, and its answers."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ordervet.errors import ContractError, HistoryError, ModelError, OrdervetError
from ordervet.history.handed import HandedOrder
from ordervet.policy import Decision, DecisionCode
from ordervet.policy.claims import ClaimDecision
from ordervet.serve.answers import EVENTS, build_openapi
from ordervet.serve.metrics import ServiceMetrics
from ordervet.serve.scoring import QueueFullError, ScoringThread
from ordervet.words.error_texts import translate_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ordervet.contract import Correction, Outcome, Verdict
    from ordervet.history import History
    from ordervet.score import Scorer
    from ordervet.words import Lang

_log = logging.getLogger("ordervet.requests")

MAX_TOGETHER: Final = 1_000
"""Most orders or events of one request."""

_CHANGE_S: Final = 3_600.0
_STUCK_S: Final = 600.0
_JSON: Final = {"content-type": "application/json"}
_MAX_ID: Final = 64


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Limits of the service.

    Parameters
    ----------
    deadline_ms : a score that takes longer is answered UNSCORED_LATE; a request may ask for less
    write_s : an event that is not remembered by then is answered 503
    max_waiting : most orders and events that may wait; beyond, 429
    max_body : most bytes of a request
    read_s : a request that has not arrived whole by then is answered 408
    reload_every_s : look for a new model and policy so often
    lang : language of errors
    """

    deadline_ms: float = 1_000.0
    write_s: float = 10.0
    max_waiting: int = 2_000
    max_body: int = 4 << 20
    read_s: float = 10.0
    reload_every_s: float = 10.0
    lang: Lang = "en"


class _RequestError(Exception):
    """A request that cannot be answered as asked."""

    def __init__(self, status: int, message: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.headers = status, message, hint, headers


class Service:
    """A scorer behind HTTP.

    Parameters
    ----------
    scorer : owned by the service from `start` to `stop`, which closes it
    settings : limits

    Attributes
    ----------
    app : the ASGI application
    own_app : the same, and what changes the history in bulk for the command line (history/through.py)
    """

    def __init__(self, scorer: Scorer, settings: ServiceSettings | None = None) -> None:
        self.settings = settings or ServiceSettings()
        self._scorer = scorer
        self._thread = ScoringThread(
            scorer, max_waiting=self.settings.max_waiting, reload_every_s=self.settings.reload_every_s
        )
        self._metrics = ServiceMetrics()
        self._is_stopping = False
        routes = [
            self._route("/v1/score", "POST", self._score),
            self._route("/v1/rescore", "POST", self._rescore),
            self._route("/v1/claims", "POST", self._score_claims),
            self._route("/v1/events", "POST", self._observe),
            self._route("/v1/payloads/{format}", "POST", self._observe_payload),
            self._route("/v1/orders/{order_id}/explanation", "GET", self._explain),
            self._route("/healthz", "GET", self._tell_alive),
            self._route("/readyz", "GET", self._tell_ready),
            self._route("/metrics", "GET", self._tell_metrics),
            self._route("/openapi.json", "GET", self._tell_openapi),
        ]
        own_routes = [
            self._route("/history/flush", "POST", self._flush),
            self._route("/history/ingest", "POST", self._ingest),
            self._route("/history/handed", "POST", self._hand_on),
            self._route("/history/erase", "POST", self._erase),
            self._route("/history/lift", "POST", self._lift),
        ]
        refusals = {404: self._refuse_path, 405: self._refuse_path}
        self.app: ASGIApp = _Shortcut(Starlette(routes=routes, exception_handlers=refusals), self._answer_score)
        self.own_app: ASGIApp = _Shortcut(
            Starlette(routes=[*routes, *own_routes], exception_handlers=refusals), self._answer_score
        )

    def start(self) -> None:
        """Start the thread that scores; called in the event loop."""
        self._thread.start(asyncio.get_running_loop())

    async def stop(self) -> None:
        """Work off what waits, write everything to the history, and close the scorer."""
        self._is_stopping = True
        await self._thread.stop()
        await asyncio.get_running_loop().run_in_executor(None, self._scorer.close)

    def _route(self, path: str, method: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                response = await answer(request)
            except Exception as error:  # noqa: BLE001 - an answer, whatever is wrong
                response = self._refuse_with(error, path)
            self._metrics.count_request(path, response.status_code)
            return response

        return Route(path, endpoint, methods=[method])

    async def _answer_score(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._score(Request(scope, receive))
        except Exception as error:  # noqa: BLE001 - an answer, whatever is wrong
            response = self._refuse_with(error, "/v1/score")
        self._metrics.count_request("/v1/score", response.status_code)
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body})

    def _refuse_with(self, error: Exception, path: str) -> Response:
        """Answer with what went wrong."""
        match error:
            case _RequestError():
                return self._refuse(error)
            case QueueFullError():
                return self._refuse(
                    _RequestError(429, "too many orders wait", "send it again later", {"retry-after": "1"})
                )
            case ModelError():
                return self._refuse(_RequestError(503, error.message, error.hint))
            case HistoryError():
                return self._refuse(_RequestError(503, error.message, error.hint, {"retry-after": "1"}))
            case OrdervetError():
                return self._refuse(_RequestError(422, error.message, error.hint))
        _log.error("%s failed: %s", path, type(error).__name__)  # NOT: its text, which can quote
        return self._refuse(_RequestError(500, "internal error", "see the log of the service"))

    def _refuse(self, error: _RequestError) -> Response:
        lang = self.settings.lang
        document = {"message": translate_error(error.message, lang), "hint": translate_error(error.hint, lang)}
        return JSONResponse(document, error.status, headers=error.headers)

    async def _refuse_path(self, request: Request, error: Exception) -> Response:  # noqa: ARG002 - Starlette's signature
        status = int(getattr(error, "status_code", 404))
        self._metrics.count_request("other", status)
        return self._refuse(
            _RequestError(
                status, "there is nothing at this path", "GET /openapi.json lists what there is",
                dict(getattr(error, "headers", None) or {}),
            )
        )  # fmt: skip

    async def _score(self, request: Request) -> Response:
        started = time.perf_counter()
        asked = await self._read_json(request)
        orders = asked if isinstance(asked, list) else [asked]
        _check_number(orders)
        decisions = await self._thread.score(orders, self._find_deadline_s(request))
        return self._answer(asked, orders, decisions, started)

    async def _rescore(self, request: Request) -> Response:
        started = time.perf_counter()
        order = await self._read_json(request)
        if not isinstance(order, dict):
            raise _RequestError(422, "the body is no order", 'send an order, or {"order_id": "…"}')
        is_id = set(order) == {"order_id"} and isinstance(order["order_id"], str)
        asked = order["order_id"] if is_id else order
        decision = await self._thread.call(lambda scorer: scorer.rescore(asked), self._find_deadline_s(request))
        return self._answer(order, [order], None if decision is None else [decision], started)

    def _answer(
        self, asked: object, orders: Sequence[Any], decisions: list[Decision] | None, started: float
    ) -> Response:
        """Answer with a decision for every order; those that are late pass."""
        if decisions is None:
            model, policy = self._scorer.model, self._scorer.policy
            decisions = [
                Decision.unscored(
                    _find_id(order), DecisionCode.UNSCORED_LATE, model_id=model.model_id if model else None,
                    policy_id=policy.policy_id,
                )
                for order in orders
            ]  # fmt: skip
        elapsed_s = time.perf_counter() - started
        self._metrics.count_decisions(decisions, elapsed_s)
        if _log.isEnabledFor(logging.INFO):
            _log.info(
                "scored", extra={
                    "order_ids": [each.order_id[:_MAX_ID] for each in decisions[:5]], "n_orders": len(decisions),
                    "ms": round(elapsed_s * 1_000, 3),
                },
            )  # fmt: skip
        documents = b",".join([each.to_json() for each in decisions])
        return Response(b"[%s]" % documents if isinstance(asked, list) else documents, headers=_JSON)

    async def _score_claims(self, request: Request) -> Response:
        asked = await self._read_json(request)
        claims = asked if isinstance(asked, list) else [asked]
        _check_number(claims)
        decisions = await self._thread.call(
            lambda scorer: [scorer.score_claim(each) for each in claims], self._find_deadline_s(request),
            n=max(len(claims), 1),
        )  # fmt: skip
        if decisions is None:
            model, policy_id = self._scorer.model, self._scorer.policy.policy_id
            decisions = [
                ClaimDecision.unscored(
                    _find_id(claim), DecisionCode.UNSCORED_LATE, model_id=model.model_id if model else None,
                    policy_id=policy_id,
                )
                for claim in claims
            ]  # fmt: skip
        self._metrics.count_claims(decisions)
        documents = [each.as_dict() for each in decisions]
        return Response(to_json(documents if isinstance(asked, list) else documents[0]), headers=_JSON)

    async def _observe(self, request: Request) -> Response:
        asked = await self._read_json(request)
        given = asked if isinstance(asked, list) else [asked]
        _check_number(given)
        events = read_events_of(given)

        def observe(scorer: Scorer) -> int:
            for event in events:
                scorer.observe(event)
            return len(events)

        return await self._remember(observe, len(events))

    async def _observe_payload(self, request: Request) -> Response:
        body = await self._read_body(request)
        name, shop = request.path_params["format"], request.query_params.get("shop")
        # NOTE: the text is decoded here, so that an error about it names no content.
        text = _decode(body)
        return await self._remember(partial(_observe_payload, name=name, text=text, shop=shop), 1)

    async def _remember(self, remember: Callable[[Scorer], int], n: int) -> Response:
        n_events = await self._thread.call(remember, self.settings.write_s, n=max(n, 1))
        if n_events is None:
            raise _RequestError(
                503, "the events were not remembered in time", "send them again: they count once", {"retry-after": "1"}
            )
        self._metrics.count_events(n_events)
        return Response(to_json({"n_events": n_events}), headers=_JSON)

    async def _flush(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        return await self._change(lambda scorer: scorer.flush())

    async def _ingest(self, request: Request) -> Response:
        name = (await self._read_json(request))["folder"]

        def ingest(history: History) -> dict[str, Any]:
            history.ingest_incoming(name)
            return {"version": history.version}

        return await self._change(lambda scorer: scorer.change_history(ingest))

    async def _hand_on(self, request: Request) -> Response:
        orders = [HandedOrder(*each) for each in await self._read_json(request)]
        return await self._change(lambda scorer: scorer.hand_on(orders))

    async def _erase(self, request: Request) -> Response:
        buyer_id = (await self._read_json(request))["buyer_id"]
        return await self._change(lambda scorer: asdict(scorer.erase_buyer(buyer_id)))

    async def _lift(self, request: Request) -> Response:
        buyer_id = (await self._read_json(request))["buyer_id"]
        return await self._change(
            lambda scorer: {"was_erased": scorer.change_history(lambda history: history.lift_erasure(buyer_id))}
        )

    async def _change(self, change: Callable[[Scorer], dict[str, Any] | None]) -> Response:
        """Change the history in bulk; orders wait meanwhile, and pass at their deadline."""
        changed = await self._thread.call(lambda scorer: change(scorer) or {}, _CHANGE_S)
        if changed is None:
            raise _RequestError(
                503, "the history was not changed in time", "run it again: what is brought in counts once"
            )
        return Response(to_json(changed), headers=_JSON)

    async def _explain(self, request: Request) -> Response:
        order_id = request.path_params["order_id"]
        found = await self._thread.call(lambda scorer: _explain(scorer, order_id), self.settings.write_s)
        if found is None:
            raise _RequestError(503, "the order was not explained in time", "ask again", {"retry-after": "1"})
        if not found:
            raise _RequestError(404, "there is no order with this id", "copy the id as it was sent, with its case")
        ((decision, parts),) = found
        document = {
            "decision": decision.as_dict(),
            "parts": [
                {"feature": name, "value": None if value != value else value, "contribution": share}  # noqa: PLR0124 - NaN
                for name, value, share in parts
            ],
        }
        return Response(to_json(document), headers=_JSON)

    async def _tell_alive(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        since = self._thread.busy_since
        is_stuck = not self._thread.is_alive or (since is not None and time.monotonic() - since > _STUCK_S)
        return JSONResponse({"state": "stuck" if is_stuck else "alive"}, 503 if is_stuck else 200)

    async def _tell_ready(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        if self._is_stopping:
            return JSONResponse({"state": "stopping"}, 503)
        is_ready = self._scorer.model is not None
        return JSONResponse({"state": "ready" if is_ready else "no_model"}, 200 if is_ready else 503)

    async def _tell_metrics(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        text = self._metrics.format(self._scorer, self._thread.n_waiting)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def _tell_openapi(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        return Response(self._openapi, headers=_JSON)

    @cached_property
    def _openapi(self) -> bytes:
        from ordervet import __version__

        return json.dumps(build_openapi(str(__version__)), ensure_ascii=False).encode()

    def _find_deadline_s(self, request: Request) -> float:
        """Return what the request allows, or the service, whichever is less."""
        limit_s = self.settings.deadline_ms / 1_000
        text = request.headers.get("ordervet-deadline-ms")
        try:
            asked_s = limit_s if text is None else float(text) / 1_000
        except ValueError:
            return limit_s
        return asked_s if 0 < asked_s < limit_s else limit_s

    async def _read_json(self, request: Request) -> Any:
        body = await self._read_body(request)
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError:  # NOT: its message, which quotes the body
            raise _RequestError(400, "the body is not JSON", "send UTF-8 JSON") from None

    async def _read_body(self, request: Request) -> bytes:
        """Read the body, as far as it may go."""
        limit = self.settings.max_body
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        parts, n = [], 0
        try:
            async with asyncio.timeout(self.settings.read_s):
                is_more = True
                while is_more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    part, is_more = message.get("body", b""), message.get("more_body", False)
                    n += len(part)
                    if n > limit:
                        raise _too_large(limit)
                    parts.append(part)
        except TimeoutError:
            raise _RequestError(
                408, "the request did not arrive in time", "send it again", {"connection": "close"}
            ) from None
        return b"".join(parts)


class _Shortcut:
    """An application with a shorter way to what is asked for each order.

    SPEED: a third of what HTTP costs is middleware and routes (benchmarks/bench_serve.py).
    """

    def __init__(self, app: ASGIApp, answer_score: ASGIApp) -> None:
        self._app, self._answer_score = app, answer_score

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/v1/score" and scope["method"] == "POST":
            await self._answer_score(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class TokenGuard:
    """An application that answers nobody without the token, but for `/healthz` and `/readyz`.

    Parameters
    ----------
    app : the application
    token : what ``Authorization: Bearer …`` must say
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in ("/healthz", "/readyz") or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        document = {"message": "the token is missing or wrong", "hint": "send Authorization: Bearer TOKEN"}
        await JSONResponse(document, 401, headers={"www-authenticate": "Bearer"})(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)


def read_events_of(given: Sequence[Any]) -> list[Outcome | Verdict | Correction]:
    """Check events as they are sent, each with its kind in ``event``.

    Raises
    ------
    ContractError
        One or more break the contract; positions and fields are named, never a value.
    """
    events, faults = [], []
    for number, each in enumerate(given, start=1):
        model = EVENTS.get(each["event"]) if isinstance(each, dict) and isinstance(each.get("event"), str) else None
        if model is None:
            faults.append(f" - {number}: 'event' is one of {', '.join(EVENTS)}")
            continue
        try:
            events.append(model.model_validate({name: value for name, value in each.items() if name != "event"}))
        except ValidationError as error:
            for fault in error.errors(include_input=False, include_url=False, include_context=False):
                field = fault["loc"][0] if fault["loc"] and fault["loc"][0] in model.model_fields else "a field"
                faults.append(f" - {number}: '{field}': {fault['type']}")
    if faults:
        n = len(given) - len(events)
        shown = "\n".join(faults[:5])
        raise ContractError(
            f"{n} of {len(given)} events break the contract\n{shown}", hint="nothing was remembered; GET /openapi.json"
        )
    return events


def _observe_payload(scorer: Scorer, *, name: str, text: str, shop: str | None) -> int:
    return scorer.observe_payload(name, text, shop=shop)


def _explain(scorer: Scorer, order_id: str) -> list[tuple[Decision, list[tuple[str, float, float]]]]:
    """Explain a known order; nothing for one that is not known."""
    found = scorer.explain(order_id)
    return [] if found is None else [found]


def _check_number(given: Sequence[Any]) -> None:
    if len(given) > MAX_TOGETHER:
        raise _RequestError(
            413, f"{len(given):,} in one request, at most {MAX_TOGETHER:,} are taken", "send them in several requests"
        )


def _too_large(limit: int) -> _RequestError:
    return _RequestError(
        413, f"the body has more than {limit:,} bytes", "send fewer orders at once", {"connection": "close"}
    )


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise _RequestError(400, "the body is not UTF-8", "send UTF-8 JSON") from None


def _find_id(order: object) -> str:
    found = order.get("order_id") if isinstance(order, dict) else None
    return str(found) if isinstance(found, (str, int)) else ""
