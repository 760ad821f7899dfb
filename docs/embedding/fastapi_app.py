"""FastAPI: one client for each worker, opened and closed with it (uvicorn fastapi_app:app --workers 4)."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request

from ordervet import AsyncRemoteScorer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect while the worker lives."""
    async with AsyncRemoteScorer(os.environ["ORDERVET_SERVICE"], token=os.environ.get("ORDERVET_TOKEN")) as scorer:
        app.state.scorer = scorer
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def place(order: dict[str, Any], request: Request) -> dict[str, str]:
    """Place an order; it never waits longer for its decision than the client's deadline."""
    decision = await request.app.state.scorer.score(order)
    return {"order_id": order["order_id"], "action": decision.action, "code": decision.code}
