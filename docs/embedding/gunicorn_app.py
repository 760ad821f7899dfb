"""gunicorn, and any WSGI server (gunicorn gunicorn_app:app --workers 4 --preload).

The client is made before the workers are forked; each of them has connections of its own.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ordervet import RemoteScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

scorer = RemoteScorer(os.environ["ORDERVET_SERVICE"], token=os.environ.get("ORDERVET_TOKEN"))


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
    """Place an order."""
    order = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    decision = scorer.score(order)
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps({"action": decision.action, "code": decision.code, "worker": os.getpid()}).encode()]
