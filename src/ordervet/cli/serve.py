"""The command serve: one scorer for a whole shop, over HTTP."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ordervet.cli import options
from ordervet.cli.session import Session
from ordervet.errors import ContractError, FileError

if TYPE_CHECKING:
    from ordervet.serve.listening import Listener

_MIN_TOKEN = 16
_EXTRAS = ("order_ids", "n_orders", "ms")


def serve(
    history: options.History,
    models: options.Models = None,
    policy: options.Policy = None,
    create: Annotated[
        bool, typer.Option("--create", help="Begin with an empty history if there is none in the folder.")
    ] = False,
    socket: Annotated[
        Path | None, typer.Option(help="Unix socket for workers; by default _service.sock in the history.")
    ] = None,
    socket_mode: Annotated[str, typer.Option(help="Permissions of the socket: who may connect.")] = "600",
    host: Annotated[str | None, typer.Option(help="Listen on TCP too, at this address; needs a token.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --host; 0 takes a free one.")] = 8710,
    token_file: Annotated[
        Path | None, typer.Option(help="File of the token for TCP; or set ORDERVET_TOKEN.", show_default=False)
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate for TLS, in PEM.", show_default=False)] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate, in PEM.", show_default=False)] = None,
    deadline_ms: Annotated[
        float, typer.Option(min=1, help="A score that takes longer passes, coded UNSCORED_LATE.")
    ] = 1_000.0,
    max_waiting: Annotated[int, typer.Option(min=1, help="Orders and events that may queue; more get 429.")] = 2_000,
    max_body: Annotated[int, typer.Option(min=1_000, help="Largest request, in bytes.")] = 4 << 20,
    reload_every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between checks for a new live model or policy.")
    ] = 10.0,
    durability: Annotated[
        Literal["batch", "always"],
        typer.Option(help="When events are synced to disk: soon after the answer, or before it."),
    ] = "batch",
    challenger: Annotated[
        str | None, typer.Option(help="Model of the folder that scores beside the live one, and decides nothing.")
    ] = None,
    log: Annotated[
        Literal["text", "json"], typer.Option(help="How log lines are written, to standard error.")
    ] = "text",
    log_requests: Annotated[bool, typer.Option(help="Log every scored request, with order ids alone.")] = False,
    lang: options.LangOption = None,
    threads: options.Threads = 1,
    is_json: options.Json = False,
) -> None:
    """Serve orders to be scored, as the only writer of a history, until SIGTERM.

    POST /v1/score and /v1/events; GET /openapi.json lists the rest. Workers in Python use ordervet.RemoteScorer. A new
    live model or a changed policy file is picked up without a restart. Needs: pip install 'ordervet[serve]'.

    Example: ordervet serve --history history --models models
    """
    session = Session(lang, json=is_json, threads=threads)
    _set_up_log(log, is_asked=log_requests)
    mode = _read_mode(socket_mode)
    token = _read_token(token_file) if host is not None else None
    for name, file in (("--tls-cert", tls_cert), ("--tls-key", tls_key)):
        if file is not None and not file.is_file():
            raise FileError(f"{name}: there is no file {file}")
    if (tls_cert is None) != (tls_key is None):
        raise ContractError("TLS takes a certificate and its key", hint="--tls-cert cert.pem --tls-key key.pem")
    if tls_cert is not None and host is None:
        raise ContractError("TLS is for TCP", hint="--host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem")
    # NOT: at the top. Without the extra there is one line that says how to get it.
    from ordervet.history import is_history
    from ordervet.history.through import SOCKET_NAME
    from ordervet.score import Scorer
    from ordervet.score.open_scorer import build_missing_history
    from ordervet.serve.app import ServiceSettings
    from ordervet.serve.listening import Listener, bind_tcp, bind_unix, run_service, take_passed_socket

    # NOTE: a folder of files is a past that is only read; what is served there would be kept nowhere.
    if not create and not is_history(history):
        raise build_missing_history(history)
    started = time.monotonic()
    scorer = Scorer.open(
        models, history=history, policy=policy, lang=session.lang, n_jobs=session.n_threads, durability=durability,
        challenger=challenger, create=create,
    )  # fmt: skip
    own = history / SOCKET_NAME
    try:
        listeners = [Listener(bind_unix(own, mode if socket is None else 0o600), is_own=True)]
        passed = take_passed_socket()
        if passed is not None:
            listeners.append(Listener(passed))
        elif socket is not None:
            listeners.append(Listener(bind_unix(socket, mode)))
        if host is not None:
            listeners.append(Listener(bind_tcp(host, port), token, tls_cert, tls_key))
    except BaseException:
        scorer.close()
        raise
    where = [str(each.socket.getsockname()) if each.token is None else _name_tcp(each) for each in listeners]
    settings = ServiceSettings(
        deadline_ms=deadline_ms, max_waiting=max_waiting, max_body=max_body, reload_every_s=reload_every,
        lang=session.lang,
    )  # fmt: skip

    def tell() -> None:
        ready_s = round(time.monotonic() - started, 3)
        model = scorer.model.model_id if scorer.model else None
        if is_json:
            session.print_json({"listens_at": where, "model_id": model, "policy_id": scorer.policy.policy_id,
                                "ready_s": ready_s})  # fmt: skip
        else:
            session.print(session.text("serve.ready", where=", ".join(where), s=f"{ready_s:.2f}"))
        sys.stdout.flush()

    run_service(scorer, listeners, settings, when_ready=tell)
    own.unlink(missing_ok=True)


def _read_mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise ContractError(f"--socket-mode: got {text}, expected permissions", hint="--socket-mode 660")
    return mode


def _read_token(file: Path | None) -> str:
    """Read the token of TCP, from a file or the environment."""
    try:
        text = os.environ.get("ORDERVET_TOKEN", "") if file is None else file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise FileError(f"--token-file: {file} cannot be read as plain ASCII") from None
    token = text.strip()
    if len(token) < _MIN_TOKEN or not token.isascii() or not token.isprintable():
        raise ContractError(
            f"listening on TCP needs a token of at least {_MIN_TOKEN} characters",
            hint="openssl rand -hex 32 > token; ordervet serve --host 0.0.0.0 --token-file token",
        )
    return token


def _name_tcp(listener: Listener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"{'http' if listener.cert is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


def _set_up_log(style: str, *, is_asked: bool) -> None:
    """Log warnings, and requests if asked, to standard error: as lines of text or of JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(is_json=style == "json"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("ordervet.requests").setLevel(logging.INFO if is_asked else logging.WARNING)


class LogFormatter(logging.Formatter):
    """A log record as one line: time, level, message, and of a request its order ids.

    Parameters
    ----------
    is_json : write JSON
    """

    def __init__(self, *, is_json: bool) -> None:
        super().__init__()
        self._is_json = is_json

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; of an exception its type alone, for its text can quote what was sent."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        document |= {name: getattr(record, name) for name in _EXTRAS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            document["error"] = record.exc_info[0].__name__
        return json.dumps(document, ensure_ascii=False) if self._is_json else " ".join(map(str, document.values()))
