from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.contract import Events, validate_events
from ordervet.contract.verdicts import CORRECTED
from ordervet.entities import key_events
from ordervet.features import build_later_events, build_order_events, build_spec
from ordervet.learn.labels import label_orders
from ordervet.reports.campaign_watch import find_rings
from ordervet.reports.period import bound_share, build_period

if TYPE_CHECKING:
    import pyarrow as pa
from queue_makers import KEY, make_order, make_orders

N_ORDERS = 4
JUDGEMENTS = st.lists(
    st.tuples(
        st.integers(0, N_ORDERS - 1),
        st.sampled_from(["malicious", "innocent", "unsure", "corrected"]),
        st.integers(0, 3),
    ),
    max_size=10,
)


def make_period(orders: pa.Table, actions: list[int], verdicts: pa.Table, corrections: pa.Table):
    n = orders.num_rows
    return build_period(
        orders, p_malicious=np.full(n, 0.5), risk_score=np.full(n, 500), actions=np.array(actions, np.int8), kinds={},
        verdicts=verdicts, corrections=corrections,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(judgements=JUDGEMENTS)
def test_standing_verdicts_agree_with_the_labels(judgements: list) -> None:
    rows = [make_order(number) for number in range(N_ORDERS)]
    at = {day: f"2025-12-{day + 1:02d} 10:00" for day in range(4)}
    verdicts = [
        {"order_id": f"t{number:06d}", "verdict": value, "decided_at": at[day]}
        for number, value, day in judgements
        if value != "corrected"
    ]
    corrections = [
        {"order_id": f"t{number:06d}", "corrected_at": at[day]}
        for number, value, day in judgements
        if value == "corrected"
    ]
    empty = Events.empty()
    events = Events(
        validate_events("orders", rows),
        empty.outcomes,
        validate_events("verdicts", verdicts) if verdicts else empty.verdicts,
        validate_events("corrections", corrections) if corrections else empty.corrections,
    )
    keyed = key_events(events, KEY)
    spec = build_spec()

    period = make_period(keyed.orders, [0] * N_ORDERS, keyed.verdicts, keyed.corrections)

    orders, later = build_order_events(keyed.orders, spec), build_later_events(keyed)
    labels = label_orders(orders, later, as_of=2**60, maturity_us=2**60)
    expected = {"malicious": 1, "innocent": 0, CORRECTED: 0, "unsure": -1, None: -1}
    assert [expected[verdict] for verdict in period.verdicts] == [min(int(label), 1) for label in labels]


def test_rings_are_flagged_orders_of_several_buyers() -> None:
    shared = [make_order(n, device_id="one", phone=None, address=None) for n in range(4)]
    loyal = [make_order(n, buyer_id="loyal", phone=None, address=None) for n in range(4, 8)]
    lone = [make_order(n, device_id="two", phone=None, address=None) for n in range(8, 10)]
    empty = key_events(Events.empty(), KEY)
    period = make_period(
        make_orders(shared + loyal + lone), [3, 3, 0, 0] + [3] * 4 + [3, 0], empty.verdicts, empty.corrections
    )

    rings = find_rings(period, n_most=5)

    assert [(ring.names[0][0], ring.n_flagged, ring.n_orders, ring.n_buyers) for ring in rings] == [("device", 2, 4, 4)]


def test_period_counts_hours_and_takes_spans() -> None:
    empty = key_events(Events.empty(), KEY)
    period = make_period(
        make_orders([make_order(n * 200) for n in range(9)]), [3, 0, 0] * 3, empty.verdicts, empty.corrections
    )
    start = int(period.placed_us[0])

    assert period.count_hours(start, 4).tolist() == [3, 3, 2, 1]
    assert period.count_hours(start, 2, period.is_flagged).tolist() == [1, 1]
    assert len(period.between(start, start + 1)) == 1


@pytest.mark.parametrize(("hits", "n", "expected"), [(0, 0, (0, 1)), (0, 10, (0, 0.2775)), (5, 10, (0.2366, 0.7634))])
def test_share_is_bounded_as_wilson_has_it(hits: int, n: int, expected: tuple[float, float]) -> None:
    assert bound_share(hits, n) == pytest.approx(expected, abs=1e-4)
