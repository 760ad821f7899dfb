"""Django: one client for the process, made when it is first used. Any number of workers and threads."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING

from django.http import JsonResponse

from ordervet import RemoteScorer

if TYPE_CHECKING:
    from django.http import HttpRequest


@cache
def open_scorer() -> RemoteScorer:
    """Return the client of this process; after a fork, a child connects by itself."""
    return RemoteScorer(os.environ["ORDERVET_SERVICE"], token=os.environ.get("ORDERVET_TOKEN"))


def place(request: HttpRequest) -> JsonResponse:
    """Place an order."""
    order = json.loads(request.body)
    decision = open_scorer().score(order)
    return JsonResponse({"order_id": order["order_id"], "action": decision.action, "code": decision.code})
