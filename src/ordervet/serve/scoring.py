"""The one thread that scores: it takes what waits in micro-batches, and answers to the event loop.

    event loop                          scoring thread
    request → job → queue ────────────→ all that waits → Scorer.score_many, observe …
    response ← future ←── one call ──── answers of the whole batch

A request is answered by its deadline, whatever the thread is doing; what was taken in is worked off all the same.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ordervet.errors import OrdervetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordervet.policy import Decision
    from ordervet.score import Scorer

T = TypeVar("T")

MAX_TOGETHER = 256
"""Most orders of several requests that are scored together: those who wait for one order do not wait for more."""

_log = logging.getLogger("ordervet")


class QueueFullError(Exception):
    """More waits than may wait."""


class _Job(Generic[T]):
    """One request: orders to score, or a call."""

    __slots__ = ("call", "future", "n", "orders")

    def __init__(
        self, future: asyncio.Future[T], orders: Sequence[Any] | None, call: Callable[[Scorer], T] | None, n: int
    ) -> None:
        self.future, self.orders, self.call, self.n = future, orders, call, n


class ScoringThread:
    """Runs a scorer for the requests of one event loop.

    Parameters
    ----------
    scorer : used by this thread alone, until `stop`
    max_waiting : most orders and events that may wait
    reload_every_s : look for a new model and policy so often

    Attributes
    ----------
    n_waiting : orders and events that wait, or are being worked on
    busy_since : `time.monotonic` of the beginning of the batch that is being worked on; None while nothing is
    """

    def __init__(self, scorer: Scorer, *, max_waiting: int = 2_000, reload_every_s: float = 10.0) -> None:
        self.n_waiting = 0
        self.busy_since: float | None = None
        self._scorer, self._max_waiting, self._reload_every_s = scorer, max_waiting, reload_every_s
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ordervet scoring", daemon=True)
        self._reload_at = time.monotonic() + reload_every_s
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; it answers to this loop."""
        self._loop = loop
        self._thread.start()

    async def stop(self) -> None:
        """Work off what waits, and end the thread."""
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    async def score(self, orders: Sequence[Any], deadline_s: float) -> list[Decision] | None:
        """Score orders; None if that takes longer than the deadline.

        Raises
        ------
        QueueFullError
            Too many wait.
        """
        return await self._ask(_Job(self._open_future(), orders, None, len(orders)), deadline_s)

    async def call(self, call: Callable[[Scorer], T], deadline_s: float, *, n: int = 1) -> T | None:
        """Call something with the scorer; None if that takes longer than the deadline.

        Parameters
        ----------
        n : what it counts as, among those that wait

        Raises
        ------
        QueueFullError
            Too many wait.
        """
        return await self._ask(_Job(self._open_future(), None, call, n), deadline_s)

    def _open_future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    async def _ask(self, job: _Job[T], deadline_s: float) -> T | None:
        if self.n_waiting + job.n > self._max_waiting and self.n_waiting:
            raise QueueFullError
        self.n_waiting += job.n
        # SPEED: a timer, not `asyncio.wait_for`, which makes a task (benchmarks/bench_serve.py).
        timer = asyncio.get_running_loop().call_later(deadline_s, _answer, job.future, None, None)
        self._jobs.put(job)
        try:
            return await job.future
        finally:
            timer.cancel()

    def _run(self) -> None:
        while True:
            jobs, is_end = self._take()
            if jobs:
                self.busy_since = time.monotonic()
                answers = self._work(jobs)
                self.busy_since = None
                if self._loop is not None:
                    self._loop.call_soon_threadsafe(self._answer_all, jobs, answers)
            if is_end:
                return
            if time.monotonic() >= self._reload_at:
                self._reload()

    def _take(self) -> tuple[list[_Job[Any]], bool]:
        """Take what waits, as soon as anything does; return also whether that was the end."""
        jobs: list[_Job[Any]] = []
        n_orders = 0
        try:
            job = self._jobs.get(timeout=max(self._reload_at - time.monotonic(), 0.0))
            while job is not None:
                jobs.append(job)
                n_orders += job.n
                if n_orders >= MAX_TOGETHER:
                    return jobs, False
                job = self._jobs.get_nowait()
        except Empty:
            return jobs, False
        return jobs, True

    def _work(self, jobs: Sequence[_Job[Any]]) -> list[tuple[Any, BaseException | None]]:
        """Answer requests in the order they came; neighbours that score are scored together."""
        answers: list[tuple[Any, BaseException | None]] = []
        together: list[_Job[Any]] = []
        for job in (*jobs, None):
            if job is not None and job.orders is not None:
                together.append(job)
                continue
            if together:
                decisions = iter(self._scorer.score_many([order for each in together for order in each.orders or ()]))
                answers += [([next(decisions) for _ in range(each.n)], None) for each in together]
                together = []
            if job is not None and job.call is not None:
                try:
                    answers.append((job.call(self._scorer), None))
                except Exception as error:  # noqa: BLE001 - raised again in the request that asked
                    answers.append((None, error))
        return answers

    def _answer_all(self, jobs: Sequence[_Job[Any]], answers: Sequence[tuple[Any, BaseException | None]]) -> None:
        for job, (value, error) in zip(jobs, answers, strict=True):
            self.n_waiting -= job.n
            _answer(job.future, value, error)

    def _reload(self) -> None:
        """Take over a new model or policy; whatever is wrong with one, the old one goes on."""
        self._reload_at = time.monotonic() + self._reload_every_s
        try:
            self._scorer.reload_if_changed()
        except OrdervetError as error:
            _log.error("the new model or policy was not taken over: %s", error.message)
        except Exception as error:  # noqa: BLE001 - the thread must survive whatever is in a file
            _log.error("the new model or policy was not taken over: %s", type(error).__name__)


def _answer(future: asyncio.Future[Any], value: object, error: BaseException | None) -> None:
    """Answer a request that was not answered before."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
