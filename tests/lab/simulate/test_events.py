"""What holds for every simulation: the contract, causal dates, no truth among the orders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ordervet.contract.model import (
    Blame,
    Correction,
    Decider,
    Order,
    Outcome,
    OutcomeKind,
    RefundType,
    Verdict,
    VerdictValue,
)
from ordervet.contract.schemas import EventKind, event_schema
from ordervet.lab.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    from ordervet.lab.simulate import Simulation

MODELS = {"orders": Order, "outcomes": Outcome, "verdicts": Verdict, "corrections": Correction}
DAY_S = 86_400


def seconds(table: pa.Table, column: str) -> np.ndarray:
    return table[column].cast(pa.int64()).to_numpy() // 1_000_000


def order_rows(simulation: Simulation, table: pa.Table) -> np.ndarray:
    return pc.index_in(table["order_id"], simulation.orders["order_id"]).to_numpy()


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_tables_are_in_the_contracts_schema(simulation: Simulation, kind: EventKind) -> None:
    assert getattr(simulation, kind).schema.equals(event_schema(kind))


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_rows_pass_the_contracts_models(small: Simulation, kind: EventKind) -> None:
    for row in getattr(small, kind).to_pylist():
        MODELS[kind](**row)


def test_events_hold_the_four_tables(small: Simulation) -> None:
    assert small.events.orders is small.orders
    assert small.events.corrections is small.corrections


def test_repr_counts_events_and_shows_none(small: Simulation) -> None:
    assert repr(small).startswith("Simulation(600 orders, ")
    assert len(repr(small)) < 120


def test_order_ids_are_unique_and_as_many_as_asked(simulation: Simulation, settings: SimulationSettings) -> None:
    assert simulation.orders.num_rows == settings.n_orders
    assert pc.count_distinct(simulation.orders["order_id"]).as_py() == settings.n_orders
    assert simulation.truth["order_id"].equals(simulation.orders["order_id"])


@pytest.mark.parametrize(
    ("kind", "time"),
    [("orders", "placed_at"), ("outcomes", "happened_at"), ("verdicts", "decided_at"), ("corrections", "corrected_at")],
)
def test_tables_are_sorted_by_their_time_and_seen_at_once(simulation: Simulation, kind: str, time: str) -> None:
    table = getattr(simulation, kind)

    assert (np.diff(seconds(table, time)) >= 0).all()
    assert table[time].equals(table["seen_at"])


def test_outcomes_come_after_their_order(simulation: Simulation) -> None:
    placed = seconds(simulation.orders, "placed_at")[order_rows(simulation, simulation.outcomes)]

    assert (seconds(simulation.outcomes, "happened_at") > placed).all()


def test_verdicts_come_after_their_order_and_its_first_bad_outcome(simulation: Simulation) -> None:
    bad = simulation.outcomes.filter(pc.not_equal(simulation.outcomes["kind"], "fulfilled"))
    noticed = seconds(simulation.orders, "placed_at").copy()
    noticed[order_rows(simulation, bad)[::-1]] = seconds(bad, "happened_at")[::-1]

    decided = seconds(simulation.verdicts, "decided_at")

    assert (decided > noticed[order_rows(simulation, simulation.verdicts)]).all()


def test_corrections_void_an_earlier_malicious_verdict(simulation: Simulation) -> None:
    at = pc.index_in(simulation.corrections["order_id"], simulation.verdicts["order_id"])
    verdicts = simulation.verdicts.take(at)

    assert simulation.corrections.num_rows > 0
    assert set(verdicts["verdict"].to_pylist()) == {"malicious"}
    assert (seconds(simulation.corrections, "corrected_at") > seconds(verdicts, "decided_at")).all()


def test_accounts_are_registered_before_their_first_order(simulation: Simulation) -> None:
    orders = simulation.orders

    assert (seconds(orders, "buyer_registered_at") < seconds(orders, "placed_at")).all()
    per_buyer = orders.group_by("buyer_id").aggregate([("buyer_registered_at", "count_distinct")])
    assert pc.max(per_buyer["buyer_registered_at_count_distinct"]).as_py() == 1


def test_outcomes_verdicts_and_blames_use_every_value_of_the_contract(simulation: Simulation) -> None:
    def values(table: pa.Table, column: str) -> set[str]:
        return set(pc.drop_null(pc.unique(table[column])).to_pylist())

    assert values(simulation.outcomes, "kind") == {str(kind) for kind in OutcomeKind}
    assert values(simulation.outcomes, "refund_type") == {str(kind) for kind in RefundType}
    assert values(simulation.outcomes, "blame") == {str(blame) for blame in Blame}
    assert values(simulation.verdicts, "verdict") == {str(value) for value in VerdictValue}
    assert values(simulation.verdicts, "by") == {str(decider) for decider in Decider} - {"audit"}


def test_most_innocents_have_no_verdict_but_are_fulfilled_days_later(simulation: Simulation) -> None:
    orders, outcomes, truth = simulation.orders, simulation.outcomes, simulation.truth
    innocent = pc.invert(truth["is_malicious"])
    has_verdict = pc.is_in(orders["order_id"], simulation.verdicts["order_id"].combine_chunks())
    fulfilled = outcomes.filter(pc.equal(outcomes["kind"], "fulfilled"))
    waited = seconds(fulfilled, "happened_at") - seconds(orders, "placed_at")[order_rows(simulation, fulfilled)]

    assert pc.mean(has_verdict.filter(innocent)).as_py() < 0.05
    assert fulfilled.num_rows > 0.55 * orders.num_rows
    assert np.percentile(waited, 1) > 5 * DAY_S


def test_orders_carry_nothing_of_the_truth(simulation: Simulation, settings: SimulationSettings) -> None:
    labels = {*settings.kind_weights, *settings.look_alike_shares, "malicious", "innocent"}
    text_columns = [name for name in simulation.orders.column_names if simulation.orders[name].type == pa.string()]

    seen = {value for name in text_columns for value in pc.unique(simulation.orders[name]).to_pylist()}

    assert not seen & labels
    assert {"kind", "look_alike", "is_malicious", "verdict"}.isdisjoint(simulation.orders.column_names)


@pytest.mark.parametrize("column", ["buyer_id", "device_id", "payment_account", "phone"])
def test_running_numbers_do_not_tell_who_is_malicious(simulation: Simulation, column: str) -> None:
    digits = pc.utf8_slice_codeunits(pc.replace_substring_regex(simulation.orders[column], r"^154|^[a-z]|-.*$", ""), -8)
    is_malicious = simulation.truth["is_malicious"].filter(pc.is_valid(digits)).to_numpy()
    number = pc.drop_null(digits).cast(pa.int64()).to_numpy()

    mean_gap = abs(number[is_malicious].mean() - number[~is_malicious].mean()) / 1e8

    assert mean_gap < 0.06


def test_nobody_in_a_simulation_can_be_reached(simulation: Simulation) -> None:
    phones = pc.drop_null(simulation.orders["phone"]).to_pylist()
    ips = pc.drop_null(simulation.orders["ip"]).to_pylist()

    assert all(re.fullmatch(r"154\d{8}(-\d{4})?", phone) for phone in phones)
    assert all(re.fullmatch(r"240\.(6[0-3]|[1-5]?\d)\.\d+\.\d+", ip) for ip in ips)


def test_known_until_cuts_what_is_known_and_not_what_was_ordered() -> None:
    settings = {"n_orders": 600, "seed": 7}
    cut = simulate(SimulationSettings(**settings)).outcomes["happened_at"][300].as_py()

    whole, known = simulate(SimulationSettings(**settings)), simulate(SimulationSettings(**settings, known_until=cut))

    assert known.orders.equals(whole.orders)
    for kind in ("outcomes", "verdicts", "corrections"):
        table = getattr(whole, kind)
        assert getattr(known, kind).equals(table.filter(pc.less(table["seen_at"], cut)))
