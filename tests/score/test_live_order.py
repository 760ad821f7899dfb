"""One order without a table is the order in a table: as a row of the store, and as a keyed row."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_arrays import build_order_arrays

from ordervet.contract import (
    Blame,
    Correction,
    Decider,
    Events,
    MaliceKind,
    Order,
    OrderStatus,
    Outcome,
    OutcomeKind,
    RefundType,
    Verdict,
    VerdictValue,
    validate_events,
)
from ordervet.contract.model import REFUND_KINDS
from ordervet.entities import Key, key_events, key_orders
from ordervet.features import LaterEvents, build_later_events, build_order_events, build_spec
from ordervet.features.spec import ORDER_VALUES, PLACE_TYPES
from ordervet.history.ingest import build_batch
from ordervet.history.stored_rows import from_plain, read_lines, split_rows, to_plain, write_line
from ordervet.model import Curve
from ordervet.policy import STAGES, Stage
from ordervet.score.live_decision import ScalarCurve
from ordervet.score.live_event import LiveEventReader
from ordervet.score.live_order import LiveOrderReader, list_own_features, restore_order
from ordervet.score.stages import find_stage, find_stages

KEY = Key(bytes(range(16)))
PLACED_US = 1_768_464_000_000_000
READER = LiveOrderReader(KEY)
EVERY_ORDER_COLUMN = (
    *(f"order__value__{value}" for value in ORDER_VALUES),
    *(f"order__is__{place_type}" for place_type in PLACE_TYPES),
    "order__number__weight",
)
EXTRAS = {
    "entities": {"terminal": "pos-1"},
    "numbers": {"weight": 2.0, "height": 1.25},
    "categories": {"colour": 'red\n"red"', "size": " L "},
}  # fmt: skip


def list_orders(merchant: Events) -> list[Order]:
    rows = merchant.orders.slice(0, 60).to_pylist()
    orders = [Order.model_validate({k: v for k, v in row.items() if v is not None}) for row in rows]
    bare = Order(order_id="bare", placed_at="2026-01-15 20:00", amount_minor=0)
    abroad = bare.model_copy(update={"amount_minor": 12_345, "discount_minor": 5, "currency": "USD"})
    return [*orders, bare, bare.model_copy(update=EXTRAS), abroad, abroad.model_copy(update={"currency": "KWD"})]


def in_a_table(order: Order) -> pa.Table:
    return validate_events("orders", [order])


def rows_of_table(events: Events) -> pa.Table:
    """The rows of one set of events, without what only ingestion knows: when it was, and of which source."""
    rows = build_batch([events], KEY, recorded_at=0).rows.drop_columns(["source"])
    at = rows.schema.get_field_index("recorded_at")
    return rows.set_column(at, rows.schema.field(at), pa.nulls(rows.num_rows, rows.schema.field(at).type))


def test_order_alone_has_the_row_that_a_table_has(merchant: Events) -> None:
    reader = LiveOrderReader(KEY)
    empty = Events.empty()

    for order in list_orders(merchant):
        table = in_a_table(order)
        one = reader.read(order, int(table["seen_at"].cast("int64")[0].as_py()))
        expected = rows_of_table(Events(table, empty.outcomes, empty.verdicts, empty.corrections))

        assert read_lines([one.kept.line]).equals(expected)
        assert one.kept.line == write_line(one.kept.row)


def test_known_order_is_restored_from_its_row_as_it_came(merchant: Events) -> None:
    spec = build_spec(entities=("terminal", "nowhere"), numbers=("weight",), names=EVERY_ORDER_COLUMN)
    reader = LiveOrderReader(KEY)

    for order in list_orders(merchant):
        one = reader.read(order, PLACED_US)
        (stored,) = to_plain(read_lines([one.kept.line]))  # with nulls

        restored = restore_order([stored], PLACED_US)

        assert restored.kept.row == one.kept.row
        assert restored.stage == one.stage
        arrays, expected = build_order_arrays(restored, spec), build_order_arrays(one, spec)
        for field in dataclasses.fields(arrays):
            np.testing.assert_equal(getattr(arrays, field.name), getattr(expected, field.name))


def test_kept_order_is_recalled_as_it_is_restored_from_its_row(merchant: Events) -> None:
    spec = build_spec(entities=("terminal", "nowhere"), numbers=("weight",), names=EVERY_ORDER_COLUMN)
    reader = LiveOrderReader(KEY)

    for order in list_orders(merchant):
        kept = reader.read(order, PLACED_US).kept

        one, other = kept.recall(PLACED_US + 5), restore_order([kept.row], PLACED_US + 5)

        assert one.order.__dict__ == other.order.__dict__
        assert (one.kept.row, one.seen_at, one.stage) == (other.kept.row, other.seen_at, other.stage)
        assert list_own_features(one, spec) == pytest.approx(list_own_features(other, spec), abs=0, nan_ok=True)


def test_known_order_is_restored_as_it_stands(merchant: Events) -> None:
    row = LiveOrderReader(KEY).read(list_orders(merchant)[0], PLACED_US).kept.row
    edited = row | {"view": 1, "amount_minor": 7, "place_type": None}
    refund = {
        "event": "outcome", "outcome": "claim", "event_id": 1, "seen_at": row["seen_at"], "happened_at": row["seen_at"]
    }  # fmt: skip

    restored = restore_order([edited, refund, refund | {"view": 1, "outcome": "fulfilled"}, row], PLACED_US + 5)

    assert (restored.order.amount_minor, restored.stage, restored.seen_at) == (7, Stage.RECEIVED, PLACED_US + 5)
    assert (
        build_order_arrays(restored, build_spec()).own.tobytes()
        == build_order_events(split_rows(from_plain([edited]), "").orders, build_spec()).own.tobytes()
    )


@pytest.mark.parametrize("status", [None, *OrderStatus])
def test_stage_of_one_order_is_that_of_a_table(status: OrderStatus | None) -> None:
    orders = pa.table({"order_id": ["t"], "status": pa.array([status and str(status)], pa.string())})
    kinds = [str(kind) for kind in OutcomeKind]

    for told in ((), *((kind,) for kind in kinds), *itertools.pairwise(kinds), ("fulfilled", "delivery_refused")):
        outcomes = pa.table({"order_id": ["t"] * len(told), "kind": pa.array(told, pa.string())})

        assert STAGES[find_stages(orders, outcomes)[0]] == find_stage(status, told)


def test_order_alone_has_the_arrays_that_a_table_has(merchant: Events) -> None:
    spec = build_spec(entities=("terminal", "nowhere"), numbers=("weight",), names=EVERY_ORDER_COLUMN)
    reader = LiveOrderReader(KEY)

    for order in list_orders(merchant):
        keyed = key_orders(in_a_table(order), KEY)
        expected = build_order_events(keyed, spec)
        events = build_order_arrays(reader.read(order, int(expected.seen_at[0])), spec)

        for name in ("order_id", "seen_at", "amount_minor", "own", "mask"):
            one, other = getattr(events, name), getattr(expected, name)
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            assert np.array_equal(one, other, equal_nan=name == "own")
        assert events.read_rate().tolist() == expected.read_rate().tolist()
        for name in spec.entities:
            assert (events.ids[name], events.evidence[name]) == (expected.ids[name], expected.evidence[name])


def list_later_events() -> list[Outcome | Verdict | Correction]:
    """Every kind with every detail that it can have."""
    at = {"order_id": "t1", "happened_at": "2026-01-15 20:00"}
    refunds = itertools.product(sorted(REFUND_KINDS), (None, *RefundType), (None, *Blame), (None, 0, 500))
    outcomes = [
        Outcome(**at, kind=kind, refund_type=type_, blame=blame, amount_minor=amount)
        for kind, type_, blame, amount in refunds
    ]
    others = [Outcome(**at, kind=kind, blame=blame) for kind in OutcomeKind for blame in (None, *Blame)]
    decided = {"order_id": "t1", "decided_at": "2026-01-15 20:00:00.000001"}
    verdicts = [Verdict(**decided, verdict=value, by=by) for value in VerdictValue for by in Decider]
    verdicts += [Verdict(**decided, verdict="malicious", kind=kind) for kind in MaliceKind]
    return [*outcomes, *others, *verdicts, Correction(order_id=" t2 ", corrected_at="2026-01-15")]


def test_later_event_alone_has_the_row_and_the_arrays_that_a_table_has() -> None:
    reader = LiveEventReader(KEY)
    events = list_later_events()
    kinds = {Outcome: "outcomes", Verdict: "verdicts", Correction: "corrections"}
    nothing = {kind: getattr(Events.empty(), kind) for kind in ("orders", *kinds.values())}
    for type_, kind in kinds.items():
        of_kind = [event for event in events if type(event) is type_]
        of_kind = [event.model_copy(update={"order_id": f"t{at}"}) for at, event in enumerate(of_kind)]
        ones = [reader.read(event, int(event.seen_at.timestamp() * 1e6)) for event in of_kind]
        table = Events(**nothing | {kind: validate_events(kind, of_kind)})

        rows = read_lines([write_line(one.row) for one in ones])
        arrays = LaterEvents.concat([one.build_events(one.order_id) for one in ones])

        expected = build_later_events(key_events(table, KEY))
        assert rows.equals(rows_of_table(table))
        for name in ("order_id", "seen_at", "mask", "amount_minor", "rank"):
            assert getattr(arrays, name).dtype == getattr(expected, name).dtype
            assert np.array_equal(getattr(arrays, name), getattr(expected, name))


@given(
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 10**13),
)
@settings(max_examples=100, deadline=None)
def test_line_of_any_texts_is_what_is_written_of_the_row(text: str, number: float, amount: int) -> None:
    extras = {"numbers": {"weight": number}, "categories": {"colour": text}, "entities": {"a%d": text}}
    order = Order(order_id="T1", placed_at="2026-01-15 20:00", amount_minor=amount)

    one = READER.read(order.model_copy(update=extras | {"shop_id": text}), 7)

    assert one.kept.line == write_line(one.kept.row)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_curve_asked_for_one_value_gives_the_same_bits(data: st.DataObject) -> None:
    number = st.floats(-50, 50, allow_subnormal=False)
    x = sorted(data.draw(st.lists(number, min_size=1, max_size=6, unique=True)))
    y = sorted(data.draw(st.lists(st.floats(0, 1), min_size=len(x), max_size=len(x))))
    curve = Curve(np.array(x), np.array(y))
    values = [*x, *data.draw(st.lists(number, max_size=10)), -1e300, 1e300]

    found = [ScalarCurve(curve)(value) for value in values]

    assert found == curve(np.array(values)).tolist()
