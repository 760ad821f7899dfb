"""An exception that a signal handler raises inside a scorer, at any of its steps: what is live stays what replays."""

from __future__ import annotations

import contextlib
import shutil
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ordervet
from ordervet.contract import Outcome
from ordervet.entities import Key
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History
from ordervet.history.journal import list_journals, read_journal
from ordervet.policy import load_policy
from ordervet.score import Scorer
from ordervet.score.durable_state import DurableState
from ordervet.score.online_state import OnlineState, concat_events

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

KEY = Key(bytes(range(16)))
SPEC = build_spec(
    use_defaults=False,
    names=("buyer__count__order__90d", "buyer__count__claim__90d", "phone__distinct__buyer__90d"),
)
START_US = 1_768_464_000_000_000
PLACES = (str(Path(ordervet.__file__).parent), contextlib.__file__)

# What is raised where the interpreter runs a finalizer is not raised any further.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class LimitError(Exception):
    """What Celery raises at its soft limit is an ordinary exception, too."""


class Interrupt:
    """Raises at one of the places where the interpreter runs signal handlers: on entering a function, and after a call.

    Parameters
    ----------
    at : at which of them
    error : what is raised
    """

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.n_left, self.error, self.is_raised = at, error, False

    def __call__(self, call: Callable[[], object]) -> bool:
        """Call something; return whether it was interrupted."""
        sys.setprofile(self._watch)
        try:
            call()
        except self.error:
            assert self.is_raised
        finally:
            sys.setprofile(None)
        return self.is_raised

    def _watch(self, frame: FrameType, event: str, value: Any) -> None:  # noqa: ARG002 - of the interpreter
        if event not in ("call", "c_return") or not frame.f_code.co_filename.startswith(PLACES):
            return
        self.n_left -= 1
        if self.n_left < 0 and not self.is_raised:
            self.is_raised = True
            raise self.error


def draw_order(number: int) -> dict[str, Any]:
    return {
        "order_id": f"t{number}",
        "placed_at": "2026-01-15 16:00",
        "amount_minor": 100,
        "buyer_id": f"b{number % 3}",
        "phone": f"1990000{number % 2:04d}",
    }


def draw_outcome(number: int) -> Outcome:
    return Outcome(order_id=f"t{number}", kind="claim", happened_at="2026-01-15 16:30")


class Recorder:
    """A scorer whose features are recorded as they were served; its clock ticks with every event."""

    def __init__(self, state: Callable[[Callable[[], int]], OnlineState]) -> None:
        ticks = count(START_US, 1_000)
        self.state = state(lambda: next(ticks))
        self.scorer = Scorer(None, load_policy(), KEY, clock=lambda: next(ticks), state=self.state)
        self.served: dict[str, list[float]] = {}

    def probe(self, number: int) -> None:
        """Score an order that nothing interrupts, and record its features."""
        add_order = self.state.add_order

        def record(one: Any) -> Any:
            taken = add_order(one)
            assert taken.matrix is not None
            self.served[one.order.order_id] = np.nan_to_num(taken.matrix[0]).tolist()
            return taken

        self.state.add_order = record
        try:
            self.scorer.score(draw_order(number))
        finally:
            del self.state.add_order


def interrupt_everything(recorder: Recorder, error: type[BaseException], *, step: int) -> int:
    """Interrupt scoring, observing and scoring many at every so many of their steps; return how often."""
    scorer, numbers, n = recorder.scorer, count(2), 0
    scorer.score_many([draw_order(0), draw_order(1)])  # what is loaded once is loaded
    scorer.observe(draw_outcome(0))
    scorer.score(draw_order(0) | {"amount_minor": 200})
    for kind in ("score", "many", "observe", "again"):
        # NOTE: an order that is amended has the state built again, which takes thousands of steps.
        for at in count(0, step * 20 if kind == "again" else step):
            number = next(numbers)
            calls = {
                "score": lambda number=number: scorer.score(draw_order(number)),
                "many": lambda number=number: scorer.score_many([draw_order(number), draw_order(next(numbers))]),
                "observe": lambda number=number: scorer.observe(draw_outcome(number - 1)),
                "again": lambda number=number: scorer.score(draw_order(number - 1) | {"amount_minor": 200}),
            }
            is_raised = Interrupt(at, error)(calls[kind])
            recorder.probe(next(numbers))
            if not is_raised:
                break
            n += 1
    return n


def replay(events: Any) -> dict[str, list[float]]:
    """Return the features of all orders, as a replay finds them."""
    orders = build_order_events(events.orders, SPEC)
    matrix = FeatureEngine(SPEC).advance(orders, build_later_events(events))
    return dict(zip(events.orders["order_id"].to_pylist(), np.nan_to_num(matrix).tolist(), strict=True))


@pytest.mark.parametrize(("error", "step"), [(KeyboardInterrupt, 73), (LimitError, 61)])
def test_scorer_of_a_history_replays_whatever_interrupts_it(
    tmp_path: Path, error: type[BaseException], step: int
) -> None:
    history = History.open(tmp_path / "h", KEY, create=True)
    recorder = Recorder(lambda clock: DurableState(history, KEY, SPEC, flush_after_s=3600, clock=clock))

    n = interrupt_everything(recorder, error, step=step)
    journals = [read_journal(path) for path in list_journals(shutil.copytree(history.path, tmp_path / "copy"))]
    recorder.scorer.close()

    assert n > 10
    assert not any(each.damaged for each in journals)
    found = replay(History.open(tmp_path / "h", KEY).read())
    assert {name: found[name] for name in recorder.served} == recorder.served


def test_scorer_in_memory_replays_whatever_interrupts_it() -> None:
    recorder = Recorder(lambda clock: OnlineState(KEY, SPEC, clock=clock))

    n = interrupt_everything(recorder, KeyboardInterrupt, step=23)

    assert n > 25
    found = replay(concat_events(recorder.state._list_past()))
    assert {name: found[name] for name in recorder.served} == recorder.served


def test_interrupted_decision_is_not_with_the_desk(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    shipped = (Path(ordervet.__file__).parent / "policy" / "default_policy.toml").read_text(encoding="utf-8")
    policy.write_text(shipped.replace('"pass"', '"review"'), encoding="utf-8")
    scorer = Scorer.open(policy=policy)
    scorer.score(draw_order(0))
    knows = []

    for at in count(0, 5):
        is_raised = Interrupt(at, KeyboardInterrupt)(lambda at=at: scorer.score(draw_order(at + 1)))
        knows.append(scorer._desk.knows(f"t{at + 1}"))
        if not is_raised:
            break

    assert len(knows) > 20
    assert knows == sorted(knows)
    assert sum(knows) < 8  # the decision was made and kept; sent again, the order gets it
