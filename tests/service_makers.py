"""Services for tests: in the event loop of a test, or as a process of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import httpx

from ordervet.entities import Key
from ordervet.serve.app import Service, ServiceSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ordervet.score import Scorer

KEY = Key(bytes(range(16)))
START_S = 180.0  # on a machine that has much else to do


def draw_order(number: int) -> dict[str, Any]:
    return {
        "order_id": f"t{number}",
        "placed_at": "2026-01-15 16:00",
        "amount_minor": 100 + number,
        "buyer_id": f"b{number % 20}",
        "phone": f"1990000{number % 7:04d}",
        "address": f"杭州市西湖区文三路{number % 5}号",
    }


@asynccontextmanager
async def serving(scorer: Scorer, **limits: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a scorer, and yield a client of it."""
    service = Service(scorer, ServiceSettings(**limits))
    service.start()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://test") as client:
            yield client
    finally:
        await service.stop()


class ServiceProcess:
    """`ordervet serve` on a history, as a process of its own.

    Parameters
    ----------
    history : its folder; made if need be
    options : further ones of the command
    """

    def __init__(self, history: Path, *options: str, **environment: str) -> None:
        self.socket = history / "_service.sock"
        self.address = f"unix:{self.socket}"
        command = [sys.executable, "-m", "ordervet", "serve", "--history", str(history), "--create", "--json", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"ORDERVET_KEY": KEY.to_hex()} | environment,
        )  # fmt: skip

    def wait_until_ready(self) -> str:
        """Wait for what it prints once it is ready; "" if it ends instead."""
        text = b""
        until = time.monotonic() + START_S
        assert self.process.stdout is not None
        while b"\n}" not in text and time.monotonic() < until:
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                part = os.read(self.process.stdout.fileno(), 65536)
                if not part:
                    break
                text += part
        return text.decode()

    def describe_end(self) -> str:
        """Describe how it ended; one that was not ready in time is killed."""
        self.process.kill()
        errors = self.process.communicate()[1]
        return f"exit {self.process.returncode}: {errors}"

    def __enter__(self) -> Self:
        self.said = self.wait_until_ready()
        assert self.said, self.describe_end()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.errors = self.process.communicate(timeout=START_S)[1]
