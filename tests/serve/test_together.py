"""The command line and the service on one history: what is brought in goes through the service, and counts at once."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ordervet import Outcome, RemoteScorer, Scorer, Verdict
from ordervet.cli import run
from ordervet.contract import Events, event_schema, validate_events
from ordervet.errors import HistoryError
from ordervet.history import History
from ordervet.history.delta import load_table
from ordervet.history.handed import HandedOrder, read_handed
from ordervet.history.through import ForwardedStaging, ask_service, make_incoming
from ordervet.policy import Standing, load_policy
from ordervet.score.durable_state import DurableState
from service_makers import KEY, ServiceProcess, draw_order

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model

HEADER = "order_id,placed_at,amount_minor,buyer_id,phone"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())


def ordervet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, Any]:
    """Run one command; return its exit code, and the document that it printed."""
    monkeypatch.setattr(sys, "argv", ["ordervet", *map(str, arguments), "--json", "--lang", "en"])
    with pytest.raises(SystemExit) as ended:
        run()
    said = capsys.readouterr()
    return int(ended.value.code or 0), json.loads(said.out) if said.out else said.err


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.usefixtures("keyed")
def test_commands_write_through_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history = tmp_path / "h"
    others = [f"u{n},2026-01-{n:02d} 10:00,900,gone,19900000002" for n in range(1, 6)]
    first = "t1,2026-01-15 16:00,101,b1,19900000001"
    orders = write(tmp_path, "orders.csv", HEADER, first, *others, "bad,never,1,,")
    outcomes = write(tmp_path, "outcomes.csv", "order_id,kind,happened_at", "t1,claim,2026-01-16 09:00",
                     "t1,refund_requested,2026-01-16 09:30")  # fmt: skip
    verdicts = write(tmp_path, "verdicts.csv", "order_id,verdict,decided_at", "u5,malicious,2026-01-20 09:00")
    tonight = write(tmp_path, "tonight.csv", HEADER, "v1,2026-02-01 16:00,101,gone,19900000002")

    def do(*arguments: object) -> tuple[int, Any]:
        return ordervet(monkeypatch, capsys, *arguments, "--history", history)

    with ServiceProcess(history) as service, RemoteScorer(service.address, deadline_ms=20_000, write_s=20.0) as remote:
        remote.score(draw_order(1))
        remote.observe(Outcome(order_id="t1", kind="claim", happened_at="2026-01-16 09:00"))
        ingested = do("ingest", orders, outcomes, verdicts)
        again = do("ingest", orders, outcomes)
        seen = remote.explain("u5")
        corrected = do("correct", "u5")
        scored = do("score", tonight)
        known = History.open(history, KEY).read()
        erased = do("erase", "gone", "--yes")
        after = remote.score(draw_order(2))
        refused = Scorer.open(history=history, read_only=True).score(draw_order(3))

    assert [each[0] for each in (ingested, again, corrected, scored, erased)] == [4, 4, 0, 0, 0]
    assert seen is not None
    assert sorted(known.orders["order_id"].to_pylist()) == ["t1", "u1", "u2", "u3", "u4", "u5", "v1"]
    assert (known.outcomes.num_rows, known.verdicts.num_rows, known.corrections.num_rows) == (2, 1, 1)
    assert after.code == refused.code == "SCORED"
    left = History.open(history, KEY).read()
    assert sorted(left.orders["order_id"].to_pylist()) == ["t1", "t2"]
    assert left.outcomes.num_rows == 2
    assert list(history.glob("_incoming-*")) == []


def draw_events(rng: np.random.Generator, n: int) -> Events:
    orders = [draw_order(int(rng.integers(40))) for _ in range(n)]
    outcomes = [
        Outcome(order_id=order["order_id"], kind="claim", happened_at="2026-01-29 10:00") for order in orders[::3]
    ]
    tables = {kind: event_schema(kind).empty_table() for kind in ("verdicts", "corrections")}
    unique = {order["order_id"]: order for order in orders}
    return Events(
        orders=validate_events("orders", list(unique.values())),
        outcomes=validate_events("outcomes", outcomes),
        **tables,
    )


def test_state_after_a_change_is_that_of_a_scorer_opened_on_what_is_there(model: Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    history = History.open(tmp_path / "h", KEY, create=True)
    scorer = Scorer(model, load_policy(), KEY, state=DurableState(history, KEY, model.spec), desk_history=history)
    for round_ in range(3):
        for number in rng.integers(0, 40, 8).tolist():
            scorer.score(draw_order(number))
        scorer.observe(Verdict(order_id="t3", verdict="malicious", decided_at="2026-01-20 09:00"))
        parts = [draw_events(rng, 12), draw_events(rng, 5)]

        scorer.flush()
        with make_incoming(history.path) as folder:
            staging = ForwardedStaging(history.path, load_table(history.path), KEY, folder)
            told = [each.statuses for part in parts for each in staging.add([part])]
            scorer.change_history(lambda store, name=folder.name: store.ingest_incoming(name))

        assert len(told) == 2
        served, _ = scorer._state._engine.export_state()
        scorer._desk.hand_on([HandedOrder(f"h{round_}", 1, 1, takes_slot=True)])
        scorer.change_history(lambda store: store.version)
        replayed, _ = scorer._state._engine.export_state()
        assert all(np.array_equal(served[name], replayed[name], equal_nan=True) for name in replayed)
        assert scorer._desk._standings["t3"] == Standing.MALICIOUS
        assert scorer._desk._standings[f"h{round_}"] == Standing.HANDED
    engine = scorer._state._engine.export_state()[0]
    scorer.close()
    opened = DurableState(history, KEY, model.spec)
    assert all(np.array_equal(each, engine[name], equal_nan=True)
               for name, each in opened._engine.export_state()[0].items())  # fmt: skip
    opened.close()
    names = history.read().orders["order_id"].to_pylist()
    assert len(names) == len(set(names)) > 30


def test_handed_orders_go_through_the_service_and_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    history = tmp_path / "h"
    with ServiceProcess(history, "--lang", "en"):
        store = History.open(history, KEY)
        store.record_handed([HandedOrder("t1", 1, 2, takes_slot=True)])
        with pytest.raises(HistoryError, match="no folder of rows"):
            ask_service(history, "ingest", {"folder": "../h"})
        lifted = store.lift_erasure("nobody")

    assert read_handed(history) == [HandedOrder("t1", 1, 2, takes_slot=True)]
    assert lifted is False


def test_service_that_has_gone_is_one_error(tmp_path: Path) -> None:
    History.open(tmp_path / "h", KEY, create=True)

    with pytest.raises(HistoryError, match="has not answered"):
        ask_service(tmp_path / "h", "flush")
