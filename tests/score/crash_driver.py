"""Kills a scorer at random instants, again and again, and checks after each death that nothing was lost or doubled.

    python tests/score/crash_driver.py N_KILLS [SEED]

A life opens a scorer on the history that the life before it left, checks what is there, goes on with the next step and
says so after every step, until it is killed: while opening, scoring, flushing, writing a snapshot, compacting or
erasing. Steps are numbered, and everything about a step follows from its number. What an undisturbed run serves is
known beforehand; each life must serve the same, to the bit.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pyarrow as pa

from ordervet.contract import Events, Order, Outcome, Verdict, event_schema, validate_events
from ordervet.entities import Key, key_events
from ordervet.features import build_spec
from ordervet.history import History
from ordervet.history.identity import identify
from ordervet.history.stored_rows import to_rows
from ordervet.policy import load_policy
from ordervet.score import Scorer
from ordervet.score.durable_state import DurableState
from ordervet.score.online_state import OnlineState, concat_events

if TYPE_CHECKING:
    from ordervet.entities import KeyedEvents

KEY = Key(bytes(range(16)))
SPEC = build_spec()
N_STEPS = 400
START_US = 1_768_464_000_000_000
STEP_US = 40 * 60 * 1_000_000
KINDS = ("orders", "outcomes", "verdicts", "corrections")


@dataclass
class Step:
    """One step: an event, an erasure or a compaction, and what an undisturbed run makes of it."""

    kind: str
    about: int = 0
    event: Order | Outcome | Verdict | None = None
    event_id: int = 0
    crc: int = 0


@dataclass
class Plan:
    """All steps, and the step at which each order is erased."""

    steps: list[Step] = field(default_factory=list)

    def ids_after(self, n: int) -> list[int]:
        """The identities in the history after n steps; what comes after its order was erased stays out."""
        there: list[tuple[int, int]] = []
        orders: set[int] = set()
        gone: set[int] = set()
        for at, step in enumerate(self.steps[:n]):
            if step.kind == "erase":
                erased = {order for order in orders if buyer_of(order) == step.about}
                orders -= erased
                gone |= erased
                there = [(about, event_id) for about, event_id in there if about not in erased]
            elif step.event is not None:
                orders |= {at} if step.kind == "order" else set()
                if step.about not in gone:
                    there.append((step.about, step.event_id))
        return sorted(event_id for _, event_id in there)


def buyer_of(at: int) -> int:
    """The buyer of the order of a step; those of the first sixty steps, then of the next, … are erased one by one."""
    return at // 60 * 10 + (at * 7) % 5


def build_plan() -> Plan:
    """Draw the steps, and let a run that nothing disturbs go through them."""
    plan = Plan()
    state = OnlineState(KEY, SPEC)
    past: list[tuple[int, KeyedEvents]] = []
    for at in range(N_STEPS):
        step = Step("order", at)
        if at % 47 == 46:
            step = Step("compact")
        elif at % 61 == 60:
            step = Step("erase", buyer_of(at - 30))
            past = [(about, events) for about, events in past if buyer_of(about) != step.about]
            state = OnlineState(KEY, SPEC)
            state.add_past(concat_events([events for _, events in past]))
        elif at % 3 == 1:
            step = Step("later", max(at - 1 - (at * 5) % 30 // 3 * 3, 0))
        if step.kind in {"order", "later"}:
            step.event = draw_event(at, step)
            events = key_step(at, step.event)
            step.event_id = identify_step(events)
            features = state.add_past(events)
            step.crc = crc32(features.matrix.tobytes()) if step.kind == "order" else 0
            past.append((step.about, events))
        plan.steps.append(step)
    return plan


def draw_event(at: int, step: Step) -> Order | Outcome | Verdict:
    """The event of a step."""
    instant = np.datetime64(START_US + at * STEP_US, "us").astype("datetime64[s]").astype(str) + "Z"
    if step.kind == "order":
        return Order(
            order_id=f"step-{at}", placed_at=instant, amount_minor=100 + at, buyer_id=f"b{buyer_of(at)}",
            phone=f"1990000{at % 7:04d}", device_id=f"device-{at % 4}", item_id=f"sku-{at % 3}",
        )  # fmt: skip
    about = f"step-{step.about}"
    if at % 2:
        return Outcome(order_id=about, kind="refund_completed", happened_at=instant, amount_minor=at)
    return Verdict(order_id=about, verdict="malicious", decided_at=instant)


def warm_up() -> None:
    """Load once what every life would load by itself; the table's engine starts its threads only when it is used."""
    importlib.import_module("deltalake")
    scorer = Scorer(None, load_policy(), KEY, state=OnlineState(KEY, SPEC))
    scorer.score(draw_event(0, Step("order")))
    scorer.observe(draw_event(1, Step("later")))


def key_step(at: int, event: Order | Outcome | Verdict) -> KeyedEvents:
    """An event, keyed, at the instant of its step."""
    kind = {Order: "orders", Outcome: "outcomes", Verdict: "verdicts"}[type(event)]
    table = validate_events(kind, [event])
    seen_at = pa.array([START_US + at * STEP_US], pa.int64()).cast(table.schema.field("seen_at").type)
    table = table.set_column(table.schema.get_field_index("seen_at"), "seen_at", seen_at)
    tables = {name: event_schema(name).empty_table() for name in KINDS}
    return key_events(Events(**tables | {kind: table}), KEY)


def identify_step(events: KeyedEvents) -> int:
    """The identity of the one event that there is."""
    rows = [to_rows(events, kind) for kind in KINDS]
    (event_id,) = identify(pa.concat_tables(rows), KEY)["event_id"].to_pylist()
    return int(event_id)


AGAIN = -1
"""Stands for the checksum of an order that was in the journal when the scorer was killed, and is sent again."""


class Telling(DurableState):
    """A durable state that keeps a checksum of what it served last."""

    crc = 0

    def add_order(self, one):
        taken = super().add_order(one)
        self.crc = AGAIN if taken.matrix is None else crc32(taken.matrix.tobytes())
        return taken


def live(folder: Path, plan: Plan, first: int, said: int) -> None:
    """One life: open, check, go on; says "open", then the number and the outcome of every step that is done."""
    now = [0]
    state = Telling(
        History.open(folder, KEY), KEY, SPEC,
        flush_after_s=0.02, flush_after=7, snapshot_from=1, snapshot_after=11,
    )  # fmt: skip
    scorer = Scorer(None, load_policy(), KEY, clock=lambda: now[0], state=state)
    there = sorted(np.asarray(state._live.read()["event_id"]).tolist())
    if there not in (plan.ids_after(first), plan.ids_after(first + 1)):
        expected = plan.ids_after(first)
        lost, more = set(expected) - set(there), len(set(there) - set(expected))
        fault = (
            f"bad: at step {first} the history has lost {len(lost)} events, {more} more than it should, of {len(there)}"
        )
        os.write(said, f"{fault}\n".encode())
        os._exit(1)
    os.write(said, b"open\n")
    for at, step in enumerate(plan.steps[first:], start=first):
        now[0], state.crc = START_US + at * STEP_US, 0
        os.write(said, f"{step.kind}\n".encode())
        if step.kind == "compact":
            with state._live.bulk_change() as history:
                history.compact()
                history.vacuum(keep_days=0)
        elif step.kind == "erase":
            scorer.erase_buyer(f"b{step.about}")
        elif step.kind == "order":
            scorer.score(step.event)
        else:
            scorer.observe(step.event)
        if state.crc not in (step.crc, AGAIN):
            os.write(said, f"bad: step {at} was served otherwise than in an undisturbed run\n".encode())
            os._exit(1)
        os.write(said, f"{at}\n".encode())
    scorer.close()
    os.write(said, b"end\n")


def run_life(folder: Path, plan: Plan, first: int, rng: np.random.Generator) -> tuple[int, float, str]:
    """Start a life and kill it.

    Returns
    -------
    the next step, the seconds that opening took (0 where it did not get so far), and what it was at
    """
    reader, writer = os.pipe()
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child starts all threads that it uses by itself
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            live(folder, plan, first, writer)
        except BaseException:  # noqa: BLE001 - told to the parent, whatever it is
            os.write(writer, b"bad: " + traceback.format_exc().encode())
        os._exit(0)
    os.close(writer)
    text, opened_s = b"", 0.0
    if rng.random() < 0.2:
        time.sleep(rng.random() * 0.3)
    else:
        while b"open\n" not in text and (chunk := os.read(reader, 65536)):
            text += chunk
        opened_s = time.monotonic() - started
        time.sleep(rng.random() * 0.4)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while chunk := os.read(reader, 65536):
        text += chunk
    os.close(reader)
    if b"bad: " in text:
        raise SystemExit(text.decode())
    done = [int(line) for line in text.split() if line.isdigit()]
    doing = text.split()[-1].decode() if text else "opening"
    return (done[-1] + 1 if done else first), opened_s, doing


def run(n_kills: int, seed: int) -> str:
    """Kill so many lives; return what there is to say about them."""
    logging.disable(logging.WARNING)  # that there is no model is meant
    warm_up()
    plan, rng = build_plan(), np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp())
    opened: list[float] = []
    during: Counter[str] = Counter()
    n_steps = 0
    try:
        store, first = new_store(folder), 0
        n_killed = 0
        while n_killed < n_kills:
            following, opened_s, doing = run_life(store, plan, first, rng)
            n_killed += doing != "end"
            during[
                "events, flushes, snapshots" if doing in {"open", "order", "later"} or doing.isdigit() else doing
            ] += 1
            n_steps += following - first
            first = following
            opened += [opened_s] if opened_s else []
            if doing == "end" or first == N_STEPS:
                store, first = new_store(folder), 0
    finally:
        shutil.rmtree(folder)
    when = ", ".join(f"{n} during {doing}" for doing, n in during.most_common() if doing != "end")
    return (
        f"{n_kills} kills ({when}), {n_steps} steps done: every acknowledged event was there once, every order was "
        f"served as in an undisturbed run; opening took {np.median(opened):.2f} s (median), {max(opened):.2f} s at most"
    )


def new_store(folder: Path) -> Path:
    """An empty history, made by a process of its own: what it starts must not be inherited."""
    store = Path(tempfile.mkdtemp(dir=folder)) / "history"
    pid = os.fork()
    if pid == 0:
        History.open(store, KEY, create=True)
        os._exit(0)
    os.waitpid(pid, 0)
    return store


if __name__ == "__main__":
    print(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))  # noqa: T201 - a command
