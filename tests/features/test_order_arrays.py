"""Many orders become the arrays that few orders become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.entities import PlaceType, key_orders, new_key
from ordervet.features import build_order_events, build_spec
from ordervet.features.events import _MANY_ORDERS, _read_clock

if TYPE_CHECKING:
    from ordervet.contract import Events

ZONES = ("Asia/Shanghai", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")
HOUR_US = 3_600_000_000


def test_many_orders_become_the_arrays_of_few(merchant: Events) -> None:
    spec = build_spec()
    keyed = key_orders(merchant.orders.sort_by("placed_at"), new_key())

    many = build_order_events(keyed, spec)

    assert len(many) > _MANY_ORDERS
    for start in range(0, len(many), 2_000):
        few = build_order_events(keyed.slice(start, 2_000), spec)
        rows = slice(start, start + 2_000)
        np.testing.assert_array_equal(many.own[rows], few.own)
        np.testing.assert_array_equal(many.read_mask()[rows], few.read_mask())
        for name in few.ids:
            np.testing.assert_array_equal(many.ids[name][rows], few.ids[name])
            assert np.shares_memory(many.ids[name], keyed[f"id__{name}"].chunk(0).to_numpy())


@settings(max_examples=20)
@given(
    zone=st.sampled_from(ZONES), year=st.integers(1990, 2100), hours=st.integers(1, 24 * 40), seed=st.integers(0, 99)
)
def test_the_clock_of_many_instants_is_the_clock_of_each(zone: str, year: int, hours: int, seed: int) -> None:
    first = np.datetime64(f"{year}-03-01", "us").astype(np.int64)
    micros = first + np.random.default_rng(seed).integers(0, hours * HOUR_US, _MANY_ORDERS)
    instants = pa.chunked_array([pa.array(micros).cast(pa.timestamp("us", "UTC"))])

    for read in (pc.hour, pc.day_of_week):
        expected = read(instants.cast(pa.timestamp("us", zone))).to_numpy()
        np.testing.assert_array_equal(_read_clock(instants, read, zone), expected)


@pytest.mark.parametrize("place", [PlaceType.UNKNOWN, PlaceType.DORMITORY, None])
def test_a_place_of_no_type_is_known_to_be_none_of_them(merchant: Events, place: PlaceType | None) -> None:
    spec = build_spec()
    keyed = key_orders(merchant.orders.slice(0, 1), new_key())
    keyed = keyed.set_column(keyed.column_names.index("place_type"), "place_type", pa.array([place], pa.int8()))
    names = [name for _, name in spec.order_columns]

    own = build_order_events(keyed, spec).own[0]

    told = own[names.index("order__is__dormitory")]
    expected = {PlaceType.UNKNOWN: np.nan, PlaceType.DORMITORY: 1.0, None: 0.0}[place]
    np.testing.assert_array_equal(told, np.float32(expected))
