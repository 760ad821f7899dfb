"""The rules of views, event by event: what is one, what stands, and that nothing counts twice."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.history.views import IngestStatus, settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordervet.history.views import Row

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
T0 = 1_762_300_000_000_000 // MINUTE * MINUTE
NAME = 7
KNOWN = {"source": 1, "recorded_at": T0 + DAY, "as_of": None}


class Store:
    """Views in a list, filled by `settle`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.n_sources = 0

    def bring(self, *rows: Row, as_of: int | None = None) -> list[IngestStatus]:
        self.n_sources += 1
        known = {"source": self.n_sources, "recorded_at": T0 + 99 * DAY + self.n_sources}
        settled = settle([known | {"as_of": as_of} | row for row in rows], self.rows, make_id)
        self.rows += settled.new
        return settled.statuses

    def stand(self, event: str) -> list[Row]:
        latest = {row["event_id"]: row for row in sorted(self.rows, key=lambda row: row["view"])}
        return [row for row in latest.values() if row["event"] == event]

    def say(self) -> list[Any]:
        """What stands, without what only tells how it came to be known."""
        hidden = {"event_id", "view", "recorded_at", "as_of", "source", "id__order"}
        shown = [
            {k: v for k, v in row.items() if k not in hidden and v not in (None, False)} for row in self.stand("order")
        ]
        shown += [
            {k: v for k, v in row.items() if k not in hidden and v not in (None, False)}
            for row in self.stand("outcome")
        ]
        return sorted(map(repr, (sorted(row.items()) for row in shown)))


def make_id(text: str) -> int:
    return hash(text)


def order(at: int = T0, **given: Any) -> Row:
    return {"event": "order", "event_id": NAME, "id__order": NAME, "happened_at": at, "seen_at": at} | given


def outcome(kind: str, at: int, **given: Any) -> Row:
    identity = hash(
        (kind, given["outcome_id"])
        if given.get("outcome_id")
        else (kind, at, given.get("line_id"), given.get("amount_minor"))
    )
    return {
        "event": "outcome",
        "event_id": identity,
        "id__order": NAME,
        "outcome": kind,
        "happened_at": at,
        "seen_at": at,
    } | given


def test_two_shops_with_one_order_id_are_two_orders() -> None:
    store = Store()

    store.bring(order(shop_id="a", buyer="ann"))
    statuses = store.bring(
        order(T0 + DAY, shop_id="b", buyer="zoe"), outcome("refund_completed", T0 + 2 * DAY, shop_id="b")
    )

    assert statuses == [IngestStatus.ACCEPTED, IngestStatus.ACCEPTED]
    orders = {row["shop_id"]: row["id__order"] for row in store.stand("order")}
    assert store.stand("outcome")[0]["id__order"] == orders["b"]


def test_two_orders_under_one_name_are_not_merged_when_nothing_tells_the_shops_apart() -> None:
    store = Store()

    store.bring(order(buyer="ann"))
    statuses = store.bring(order(T0 + DAY, buyer="zoe"))

    assert statuses == [IngestStatus.CONFLICT]
    assert [row["buyer"] for row in store.stand("order")] == ["ann"]


def test_an_event_that_could_belong_to_two_orders_is_set_aside() -> None:
    store = Store()

    store.bring(order(shop_id="a"), order(T0 + DAY, shop_id="b"))

    assert store.bring(outcome("claim", T0 + 3 * DAY)) == [IngestStatus.AMBIGUOUS]


def test_an_event_that_waits_goes_to_its_order_when_the_order_comes_with_a_shop() -> None:
    store = Store()

    store.bring(outcome("claim", T0 + 3 * DAY))
    store.bring(order(shop_id="a"))

    assert store.stand("outcome")[0]["id__order"] == store.stand("order")[0]["id__order"]


def test_an_event_that_names_its_shop_waits_for_that_shops_order_though_another_has_the_id() -> None:
    store = Store()

    store.bring(order(shop_id="a"))
    store.bring(outcome("claim", T0 + 3 * DAY, shop_id="b"))
    store.bring(order(T0 + DAY, shop_id="b"))

    orders = {row["shop_id"]: row["id__order"] for row in store.stand("order")}
    assert store.stand("outcome")[0]["id__order"] == orders["b"] != orders["a"]


def test_an_order_that_lost_its_seconds_in_a_spreadsheet_is_the_same() -> None:
    store = Store()

    store.bring(order(T0))
    statuses = store.bring(order(T0 + 30_000_000))

    assert statuses == [IngestStatus.MERGED]
    assert store.stand("order")[0]["happened_at"] == T0 + 30_000_000


def test_list_and_detail_complete_each_other_in_any_order() -> None:
    listed = order(id__buyer=5, evidence__buyer=0, quantity=2, item_id=None, amount_minor=80)
    detail = order(id__buyer=0, evidence__buyer=1, quantity=2, n_lines=2, item_id="701", amount_minor=80)
    stores = [Store(), Store()]

    for store, rows in zip(stores, ([listed, detail], [detail, listed]), strict=True):
        for row in rows:
            store.bring(dict(row), as_of=T0)

    assert stores[0].say() == stores[1].say()
    (stands,) = stores[0].stand("order")
    assert (stands["id__buyer"], stands["item_id"], stands["n_lines"]) == (5, "701", 2)


def test_a_refund_that_is_edited_is_one_refund_of_its_last_view_in_any_order_of_files() -> None:
    views = [
        (
            T0 + DAY,
            outcome("refund_requested", T0 + HOUR, outcome_id="R1", amount_minor=100, refund_type="refund_only"),
        ),
        (
            T0 + 2 * DAY,
            outcome("refund_requested", T0 + HOUR, outcome_id="R1", amount_minor=80, refund_type="return_and_refund"),
        ),
        (
            T0 + 3 * DAY,
            outcome("refund_requested", T0 + HOUR, outcome_id="R1", amount_minor=60, refund_type="return_and_refund"),
        ),
    ]

    for order_of_files in itertools.permutations(views):
        store = Store()
        store.bring(order())
        for as_of, row in order_of_files:
            store.bring(dict(row), as_of=as_of)
        (stands,) = store.stand("outcome")
        assert (stands["amount_minor"], stands["refund_type"]) == (60, "return_and_refund")


def test_a_state_whose_date_moves_with_every_export_is_reached_once() -> None:
    store = Store()

    store.bring(order())
    for day in (5, 3, 9):
        store.bring(outcome("refund_completed", T0 + day * DAY, is_inferred=True), as_of=T0 + day * DAY)

    (stands,) = store.stand("outcome")
    assert stands["happened_at"] == T0 + 3 * DAY


def test_a_told_date_takes_the_place_of_an_inferred_one_and_stays() -> None:
    store = Store()

    store.bring(order())
    store.bring(outcome("cancelled_unpaid", T0 + 3 * DAY, is_inferred=True))
    store.bring(outcome("cancelled_unpaid", T0 + HOUR))
    store.bring(outcome("cancelled_unpaid", T0 + 3 * DAY, is_inferred=True))

    (stands,) = store.stand("outcome")
    assert (stands["happened_at"], stands["is_inferred"]) == (T0 + HOUR, None)


def test_a_webhook_with_little_one_with_more_and_the_report_are_one_refund() -> None:
    store = Store()

    store.bring(order())
    store.bring(outcome("refund_requested", T0 + DAY))
    store.bring(outcome("refund_requested", T0 + DAY, refund_type="return_and_refund", amount_minor=100))
    statuses = store.bring(
        outcome(
            "refund_requested", T0 + DAY + 1_000_000, outcome_id="R1", refund_type="return_and_refund", amount_minor=100
        ),
        as_of=T0 + DAY,
    )

    assert statuses == [IngestStatus.MERGED]
    assert [row["outcome_id"] for row in store.stand("outcome")] == ["R1"]


def test_a_message_delivered_again_after_a_newer_one_changes_nothing() -> None:
    first, second = (
        outcome("refund_requested", T0 + DAY, outcome_id="R1", amount_minor=amount) for amount in (100, 80)
    )
    store = Store()

    store.bring(order())
    statuses = [store.bring(dict(row))[0] for row in (first, second, first)]

    assert statuses == [IngestStatus.ACCEPTED, IngestStatus.MERGED, IngestStatus.KNOWN]
    assert store.stand("outcome")[0]["amount_minor"] == 80


def test_two_lines_refunded_together_are_two_refunds_however_often_they_are_reported() -> None:
    lines = [
        outcome("refund_completed", T0 + DAY, amount_minor=50),
        outcome("refund_completed", T0 + DAY, amount_minor=50),
    ]
    store = Store()

    store.bring(order())
    for _ in range(3):
        store.bring(*map(dict, lines))

    assert len(store.stand("outcome")) == 2


def test_a_blame_found_later_is_taken_over_and_unknown_does_not_take_it_back() -> None:
    store = Store()

    store.bring(order())
    for blame in (None, "seller", "unknown"):
        store.bring(outcome("refund_completed", T0 + DAY, outcome_id="R1", blame=blame))

    assert [row["blame"] for row in store.stand("outcome")] == ["seller"]


def test_an_outcome_from_before_its_order_was_placed_is_set_aside_unless_it_arrived_live() -> None:
    late = order(T0) | {"seen_at": T0 + 10 * MINUTE}
    soon, early = outcome("refund_requested", T0 + 2 * MINUTE), outcome("claim", T0 - MINUTE)

    statuses = [
        settle([dict(each, **KNOWN) for each in (late, soon, early)], [], make_id, is_live=live).statuses
        for live in (False, True)
    ]

    accepted = IngestStatus.ACCEPTED
    assert statuses == [[accepted, accepted, IngestStatus.EARLY], [accepted, accepted, accepted]]


def test_what_was_known_stays_in_the_store_when_it_is_amended() -> None:
    store = Store()

    store.bring(order(amount_minor=100), as_of=T0)
    store.bring(order(amount_minor=90), as_of=T0 + DAY)

    assert [(row["view"], row["amount_minor"]) for row in store.rows] == [(0, 100), (1, 90)]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Row], list[list[tuple[int, Row]]]]:
    """Draw an order with its refunds as they are, and exports of them at several dates, in which they develop."""
    truth = [order(T0, amount_minor=500, id__buyer=3, evidence__buyer=0, quantity=2, n_lines=2, item_id="i")]
    n_refunds = draw(st.integers(0, 3))
    edits = {n: draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)) for n in range(n_refunds)}
    truth += [
        outcome("refund_requested", T0 + (n + 1) * DAY, outcome_id=f"R{n}", amount_minor=edits[n][-1])
        for n in range(n_refunds)
    ]
    exports = []
    for day in [*draw(st.lists(st.integers(0, 12), min_size=1, max_size=5)), 99]:
        seen = [truth[0]] if draw(st.booleans()) else [order(T0, amount_minor=500, id__buyer=0, evidence__buyer=1)]
        for n in range(n_refunds):
            if n + 1 <= day:
                at_step = min(day - n - 1, len(edits[n]) - 1)
                seen.append(truth[n + 1] | {"amount_minor": edits[n][at_step]})
        exports.append([(T0 + day * DAY, row) for row in (seen if day < 99 else truth)])
    return truth, draw(st.permutations(exports))


@settings(deadline=None)
@given(worlds())
def test_overlapping_exports_in_any_order_give_the_plain_truth(
    world: tuple[list[Row], list[list[tuple[int, Row]]]],
) -> None:
    truth, exports = world
    plain, store = Store(), Store()

    plain.bring(*map(dict, truth), as_of=T0 + 99 * DAY)
    for export in exports:
        store.bring(*_copies(row for _, row in export), as_of=export[0][0])

    assert store.say() == plain.say()


def _copies(rows: Iterable[Row]) -> list[Row]:
    return [dict(row) for row in rows]
