"""Amounts of several currencies are never compared as they stand (definitions W11)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from history_events import build_events, order, outcome
from ordervet.contract import Mapping
from ordervet.currencies import EXPONENTS, PER_DOLLAR, REFERENCE, find_rate
from ordervet.entities import key_events, new_key
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.features.events import MAX_WORTH, read_worth, to_worth

NAMES = (
    "order__value__amount",
    "order__value__discount_share",
    "buyer__ratio__amount__90d",
    "buyer__sum__refund_amount__90d",
    "buyer__share__refund_requested__90d",
)


def compute(*rows: dict[str, Any], outcomes: list[dict[str, Any]] | None = None, **rates: float) -> list[float]:
    """Compute the features of the last order, all of one buyer."""
    spec = build_spec(use_defaults=False, names=NAMES, rates=rates)
    events = build_events(orders=[{"buyer_id": "b"} | row for row in rows], outcomes=outcomes or [])
    keyed = key_events(events, new_key())
    return FeatureEngine(spec).advance(build_order_events(keyed.orders, spec), build_later_events(keyed))[-1].tolist()


def test_amounts_of_two_currencies_are_compared_by_their_worth() -> None:
    ratio = compute(
        order("T1", "2025-11-01 10:00", 12_000, currency="USD"), order("T2", "2025-11-02 10:00", 18_000, currency="JPY")
    )[2]

    assert ratio == pytest.approx(18_000 / PER_DOLLAR["JPY"] / 120, rel=1e-3)


def test_the_own_amount_of_an_order_is_its_worth_and_a_share_needs_no_rate() -> None:
    amount, share, *_ = compute(order("T1", amount_minor=12_000, currency="USD", discount_minor=4_000))

    assert (amount, share) == (round(12_000 * PER_DOLLAR["CNY"]), 0.25)


def test_a_refund_is_measured_against_its_order_and_added_up_by_its_worth() -> None:
    asked = {"refund_type": "return_and_refund", "amount_minor": 9_000}
    *_, refunded, share = compute(
        order("T1", "2025-11-01 10:00", 18_000, currency="JPY"),
        order("T2", "2025-11-09 10:00", 100),
        outcomes=[
            outcome("T1", "refund_requested", "2025-11-05 10:00", **asked),
            outcome("T1", "refund_completed", "2025-11-06 10:00", **asked),
        ],
    )

    assert share == 0.5
    assert refunded == math.floor(9_000 * find_rate("JPY") + 0.5)


def test_a_mapping_can_give_rates_of_its_own_and_they_are_part_of_what_features_mean() -> None:
    mapping = Mapping(order={"order_id": "A", "placed_at": "B", "amount_minor": "C"}, rates={"USD": 10.0})  # type: ignore[arg-type]

    amount = compute(order("T1", amount_minor=100, currency="USD"), **mapping.rates)[0]

    assert amount == 1_000
    assert build_spec(rates=mapping.rates).hash != build_spec().hash


@given(st.lists(st.tuples(st.integers(0, 10**13), st.sampled_from(sorted(PER_DOLLAR))), min_size=1))
def test_worth_in_columns_is_worth_in_plain_python(given: list[tuple[int, str]]) -> None:
    rates = [find_rate(code) for _, code in given]
    expected = [
        a if r == 1 else min(math.floor(a * r + 0.5), int(MAX_WORTH)) for (a, _), r in zip(given, rates, strict=True)
    ]

    assert to_worth(np.array([amount for amount, _ in given]), np.array(rates)).tolist() == expected


def test_worth_of_orders_in_the_reference_currency_is_their_amount_to_the_fen() -> None:
    amounts = [1, 10**13, 9_999_999_999_999]
    orders = build_events(orders=[order(f"T{a}", amount_minor=a) for a in amounts]).orders

    assert read_worth(orders).tolist() == amounts


def test_every_currency_with_a_minor_unit_of_its_own_has_a_rate() -> None:
    lacking = {code for code in EXPONENTS if code not in PER_DOLLAR}

    assert lacking == {"CLF", "UYI", "UYW"}  # units of account, in which nobody pays
    assert find_rate(REFERENCE) == 1
    assert all(0 < find_rate(code) < 1e9 for code in PER_DOLLAR)
