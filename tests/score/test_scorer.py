from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ordervet.contract import Correction, Events, Order, Outcome, Verdict
from ordervet.entities import new_key
from ordervet.errors import ContractError, HistoryError, ModelError
from ordervet.features import build_spec
from ordervet.lab.simulate import write_simulation
from ordervet.model import FitSettings, TrainingSet, fit_model, load_starter, promote_model, save_model
from ordervet.policy import Action, DecisionCode, explain_applied, load_policy
from ordervet.score import Scorer

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation
    from ordervet.model import Model

MODEL_OF: dict[str, Any] = {"outcomes": Outcome, "verdicts": Verdict, "corrections": Correction}
RANK = {"orders": 0, "outcomes": 1, "verdicts": 2, "corrections": 3}


def build_scorer(model: Model | None, **options: Any) -> Scorer:
    return Scorer(model, load_policy(), new_key(), **options)


def take_first(events: Events, n: int) -> Events:
    """The first n orders in time, and what became known about them."""
    orders = events.orders.sort_by("placed_at").slice(0, n)

    def about(table: pa.Table) -> pa.Table:
        return table.filter(pc.is_in(table["order_id"], orders["order_id"]))

    return Events(orders, about(events.outcomes), about(events.verdicts), about(events.corrections))


def list_rows(events: Events) -> list[tuple[int, int, str, dict[str, Any]]]:
    """Every event with its instant, in the order in which a live scorer would meet them."""
    rows = []
    for kind, rank in RANK.items():
        table = getattr(events, kind)
        instants = table["seen_at"].cast(pa.int64()).to_pylist()
        rows += [(at, rank, kind, row) for at, row in zip(instants, table.to_pylist(), strict=True)]
    return sorted(rows, key=lambda row: row[:2])


def test_order_scored_alone_equals_the_same_order_in_the_table_to_the_bit(merchant: Events, model: Model) -> None:
    events = take_first(merchant, 400)
    scored = build_scorer(model).score_events(events)
    in_table = {order_id: scored.build_decision(row) for row, order_id in enumerate(scored.order_ids)}
    now = [0]
    scorer = build_scorer(model, clock=lambda: now[0])

    alone = {}
    for at, _, kind, row in list_rows(events):
        now[0] = at
        if kind == "orders":
            alone[row["order_id"]] = scorer.score(row)
        else:
            scorer.observe(MODEL_OF[kind].model_validate({k: v for k, v in row.items() if v is not None}))

    assert alone == in_table
    assert sum(decision.action is not Action.PASS for decision in alone.values()) > 0


def test_order_sees_what_was_known_at_its_own_instant_however_late_the_file_comes(
    merchant: Events, model: Model
) -> None:
    events = take_first(merchant, 1_500)
    whole = build_scorer(model).score_events(events).build_table()
    scorer = build_scorer(model)
    half = events.orders.num_rows // 2
    empty = Events.empty()
    early, late = events.orders.slice(0, half), events.orders.slice(half)

    second = scorer.score_events(Events(late, empty.outcomes, empty.verdicts, empty.corrections))
    first = scorer.score_events(Events(early, events.outcomes, events.verdicts, events.corrections))

    assert first.build_table().select(["order_id", "p_malicious"]) == whole.slice(0, half).select(
        ["order_id", "p_malicious"]
    )
    assert len(second) == late.num_rows


def test_table_is_scored_in_the_form_it_came(merchant: Events, model: Model) -> None:
    orders = merchant.orders.slice(0, 50)

    arrow = build_scorer(model).score_table(orders)
    frame = build_scorer(model).score_table(orders.to_pandas())

    assert isinstance(arrow, pa.Table)
    assert isinstance(frame, pd.DataFrame)
    assert arrow["order_id"].to_pylist() == orders["order_id"].to_pylist()
    assert frame["p_malicious"].tolist() == arrow["p_malicious"].to_pylist()


def build_verdict_model() -> Model:
    """A model that knows nothing but how many of the buyer's orders were found malicious."""
    rng = np.random.default_rng(5)
    count = rng.integers(0, 4, 2_000)
    training = TrainingSet(
        count.astype(np.float32)[:, None], rng.random(2_000) < (0.02 + 0.3 * count), np.arange(2_000)
    )
    spec = build_spec(use_defaults=False, names=("buyer__count__malicious__90d",))
    return fit_model(training, spec, FitSettings(num_rounds=20, feature_fraction=1.0), origin={})


def test_observed_verdicts_move_the_score_of_the_buyers_next_order() -> None:
    model = build_verdict_model()

    def score_next_order(verdict: str) -> float:
        now = [1_768_464_000_000_000]
        scorer = build_scorer(model, clock=lambda: now[0])
        for n in range(6):
            now[0] += 3_600_000_000
            scorer.score({**ORDER, "order_id": f"t{n}", "buyer_id": "b", "phone": "19900001111"})
            scorer.observe(Verdict(order_id=f"t{n}", verdict=verdict, decided_at="2026-01-16 09:00"))
        now[0] += 1
        return scorer.score({**ORDER, "order_id": "next", "buyer_id": "b", "phone": "19900001111"}).p_malicious or 0

    assert score_next_order("malicious") > score_next_order("innocent")


def test_capacity_flags_exactly_so_many(merchant: Events, model: Model) -> None:
    scored = build_scorer(model).score_events(merchant, capacity=25)

    flagged = scored.rank_flagged()

    n_human = sum(str(kind) in {"professional_claim", "review_extortion"} for kind in scored.kinds.values())
    assert len(flagged) == max(25, n_human)


def test_flagged_orders_have_reasons_and_a_script_and_others_have_none(merchant: Events, model: Model) -> None:
    scored = build_scorer(model).score_events(merchant)

    decisions = [scored.build_decision(row) for row in range(len(scored))]

    flagged = [d for d in decisions if d.action is not Action.PASS]
    assert flagged
    assert all(d.reasons and d.script for d in flagged)
    assert all(d.script is None and d.kind is None for d in decisions if d.action is Action.PASS)


def test_explain_adds_up_and_gives_reasons_for_a_passed_order(merchant: Events, model: Model) -> None:
    order_id = merchant.orders["order_id"][0].as_py()

    decision, parts = build_scorer(model).explain_events(merchant, order_id)

    assert decision.order_id == order_id
    assert {name for name, _, _ in parts} <= set(model.spec.names)
    assert [abs(part[2]) for part in parts] == sorted((abs(part[2]) for part in parts), reverse=True)


ORDER = {"order_id": "t1", "placed_at": "2026-01-15 20:00", "amount_minor": 5_000}


@pytest.mark.parametrize(
    "order",
    [
        {**ORDER, "amount_minor": -1},
        {**ORDER, "placed_at": "soon"},
        {**ORDER, "unknown": 1},
        {"order_id": "t1"},
        {"order_id": [object()]},
        {},
        "t1",
        None,
        object(),
    ],
)
def test_invalid_order_passes_with_its_code(model: Model, order: Any) -> None:
    scorer = build_scorer(model)

    decision = scorer.score(order)

    assert (decision.action, decision.code) == (Action.PASS, DecisionCode.UNSCORED_INVALID_ORDER)
    assert scorer.codes[DecisionCode.UNSCORED_INVALID_ORDER] == 1


def test_invalid_order_is_named_with_its_fields_and_none_of_their_values(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = build_scorer(model)
    order = {"order_id": "t7", "placed_at": "13812345678", "amount_minor": -1, "currency": "XQZ"}

    alone, (together,) = scorer.score(order), scorer.score_many([order])

    assert alone == together
    assert alone.applied == ("invalid_placed_at", "invalid_amount_minor", "invalid_currency")
    assert explain_applied("invalid_amount_minor", "en") == "not scored: the field amount_minor is invalid"
    assert caplog.messages[0] == "order t7 passed unscored: invalid placed_at, amount_minor, currency"


@pytest.mark.parametrize("event", ["t1", None, {"order_id": "t1", "kind": "claim"}])
def test_observe_refuses_what_is_no_event(model: Model, event: Any) -> None:
    scorer = build_scorer(model)

    with pytest.raises(ContractError, match=r"observe: got .*, expected Outcome, Verdict or Correction"):
        scorer.observe(event)


def test_order_passes_when_there_is_no_model(tmp_path: Path) -> None:
    decision = Scorer.open(tmp_path / "none").score(ORDER)

    assert (decision.action, decision.code) == (Action.PASS, DecisionCode.UNSCORED_NO_MODEL)


def test_starter_scores_until_a_model_is_promoted_and_is_then_replaced(tmp_path: Path, model: Model) -> None:
    scorer = Scorer.open(tmp_path)
    first = scorer.score(ORDER)
    promote_model(tmp_path, save_model(model, tmp_path, card="card").name)

    is_new = scorer.reload_if_changed()

    assert (first.code, first.model_id) == (DecisionCode.SCORED, load_starter().model_id)
    assert is_new
    assert scorer.model is not None
    assert scorer.model.model_id == model.model_id


def test_order_passes_when_the_model_is_broken(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("m-broken\n")
    (tmp_path / "m-broken").mkdir()

    decision = Scorer.open(tmp_path).score(ORDER)

    assert (decision.action, decision.code) == (Action.PASS, DecisionCode.UNSCORED_BROKEN_MODEL)


def test_order_passes_when_the_history_is_broken(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(b"\x00\x01\x02")

    decision = Scorer.open(models_dir, history=tmp_path).score(ORDER)

    assert (decision.action, decision.code) == (Action.PASS, DecisionCode.UNSCORED_BROKEN_HISTORY)


def test_order_passes_when_the_answer_is_late(model: Model) -> None:
    decision = build_scorer(model, deadline_ms=0.0).score(ORDER)

    assert (decision.action, decision.code) == (Action.PASS, DecisionCode.UNSCORED_LATE)


def test_order_passes_on_an_unexpected_error_and_nothing_personal_is_logged(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("phone 19900001111 of 张三")

    scorer = build_scorer(model)
    monkeypatch.setattr("ordervet.score.scorer.LiveDecider.decide", fail)

    with caplog.at_level(logging.DEBUG):
        decision = scorer.score({**ORDER, "phone": "19900001111", "recipient": "张三"})

    assert (decision.action, decision.code) == (Action.PASS, DecisionCode.UNSCORED_ERROR)
    assert "19900001111" not in caplog.text
    assert "张三" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_clock_that_jumps_back_does_not_stop_the_scorer(model: Model) -> None:
    now = [2_000_000_000_000_000]
    scorer = build_scorer(model, clock=lambda: now[0])
    scorer.score({**ORDER, "order_id": "a"})
    now[0] -= 10**12

    decision = scorer.score({**ORDER, "order_id": "b"})

    assert decision.code is DecisionCode.SCORED


def test_table_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model to score with"):
        Scorer.open(tmp_path / "none").score_table(pa.table({}))


def test_table_with_bad_rows_is_one_error(model: Model) -> None:
    rows = [{**ORDER, "order_id": f"t{n}", "amount_minor": -n} for n in range(4)]

    with pytest.raises(ContractError, match=r"3 of 4 orders failed 1 rule"):
        build_scorer(model).score_table(rows)


def test_past_orders_cannot_be_scored_twice(merchant: Events, model: Model) -> None:
    scorer = build_scorer(model)
    scorer.score_events(merchant)

    with pytest.raises(HistoryError, match="scored before"):
        scorer.score_events(merchant)


def test_history_from_files_equals_history_from_events(
    simulation: Simulation, merchant: Events, models_dir: Path, tmp_path: Path
) -> None:
    write_simulation(simulation, tmp_path, format="parquet")
    later = {**ORDER, "placed_at": "2026-01-15 20:00", "buyer_id": merchant.orders["buyer_id"][7].as_py()}
    clock = lambda: 1_768_464_000_000_000  # noqa: E731 - a clock that stands still

    from_files = Scorer.open(models_dir, history=tmp_path, clock=clock).score(later)
    from_events = Scorer.open(models_dir, history=merchant, clock=clock).score(later)

    assert from_files == from_events
    assert from_files.code is DecisionCode.SCORED


def test_order_object_and_dict_are_scored_alike(model: Model) -> None:
    clock = lambda: 1_768_464_000_000_000  # noqa: E731 - a clock that stands still

    from_dict = build_scorer(model, clock=clock).score(ORDER)
    from_order = build_scorer(model, clock=clock).score(Order(**ORDER))

    assert from_dict == from_order
    assert np.isfinite(from_dict.p_malicious or 0)


def test_order_passes_when_the_compiled_model_fails_its_self_check(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("the compiled forest differs from its reference")

    monkeypatch.setattr("ordervet.model.predictor.check_scores", fail)

    decision = Scorer.open(models_dir).score(ORDER)

    assert (decision.action, decision.code) == (Action.PASS, DecisionCode.UNSCORED_BROKEN_MODEL)


def test_live_scoring_does_not_import_lightgbm(models_dir: Path) -> None:
    program = (
        "import sys; from ordervet import Scorer; "
        f"decision = Scorer.open({str(models_dir)!r}).score({ORDER!r}); "
        "print(decision.code, 'lightgbm' in sys.modules)"
    )

    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert told.split() == ["SCORED", "False"]
