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
from ordervet.policy import Capacity, Shift
from ordervet.reports.campaign_parts import Setting
from ordervet.reports.campaign_review import build_review
from ordervet.reports.campaign_watch import find_rings
from ordervet.reports.period import DAY_US, bound_share, build_period

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


def make_period(
    orders: pa.Table,
    actions: list[int],
    verdicts: pa.Table,
    corrections: pa.Table,
    *,
    applied: dict[int, tuple[str, ...]] | None = None,
    handed_us: dict[str, int] | None = None,
):
    n = orders.num_rows
    return build_period(
        orders, p_malicious=np.full(n, 0.5), risk_score=np.full(n, 500), actions=np.array(actions, np.int8),
        bands=np.full(n, 2, np.int8), kinds={}, applied=applied or {}, verdicts=verdicts, corrections=corrections,
        handed_us=handed_us or {},
    )  # fmt: skip


def test_review_counts_by_agent_rule_and_shift_and_how_long_decisions_took() -> None:
    rows = [make_order(number) | {"placed_at": f"2025-11-11 {hour}:00"} for number, hour in enumerate((12, 21, 22, 23))]
    ids = [row["order_id"] for row in rows]
    verdicts = validate_events("verdicts", [
        {"order_id": ids[0], "verdict": "malicious", "decided_at": "2025-11-11 22:00", "agent": "07"},
        {"order_id": ids[1], "verdict": "innocent", "decided_at": "2025-11-12 01:00", "agent": "12"},
    ])  # fmt: skip
    orders = make_orders(rows)
    handed_us = {ids[0]: 1_762_866_000_000_000}  # 21:00 in Shanghai
    applied = {2: ("deny_phone", "rule_dear")}
    period = make_period(
        orders, [3, 3, 1, 0], verdicts, Events.empty().corrections, applied=applied, handed_us=handed_us
    )
    capacity = Capacity(n=8, shifts=(Shift(start="09:00", end="18:00"), Shift(start="20:00", end="24:00")))
    setting = Setting("en", "Asia/Shanghai", "m", is_simulated=False, minutes=3.0, capacity=capacity)
    noon = 1_762_833_600_000_000

    board = build_review(period, noon, noon + DAY_US, noon + DAY_US, 30.0, setting)

    sections = {section.key: section for section in board.sections}
    agents = {row[0]: (row[1], row[3], row[5]) for row in sections["agents"].rows}
    assert agents == {"07": (1, 1, 0), "12": (1, 0, 1), "agent not named": (1, 0, 0)}
    assert {row[0]: row[1] for row in sections["rules"].rows} == {"no rule": 2, "dear": 1}
    assert [row[:7] for row in sections["shifts"].rows] == [
        ("11-11 09:00-18:00", 1, 1, 4, 1, 0, 0), ("11-11 20:00-24:00", 3, 2, 3, 0, 1, 1),
    ]  # fmt: skip
    assert [row[1:] for row in sections["desk"].rows] == [(2, 2.5, 3.7, 4.0), (1, 14.0, 14.0, 14.0)]
    assert sections["shifts"].rows[1][8] == period.amount_minor[1]


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
