from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pytest

from contract.formats.tmall_exports import expected_outcomes, outcome_keys, write_tmall
from ordervet.contract import read_counted_events
from ordervet.lab.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    import pyarrow as pa

    from ordervet.contract import Events, FileAccount
    from ordervet.lab.simulate import Simulation

PLAIN = [
    "order_id", "placed_at", "amount_minor", "discount_minor", "shipping_minor", "quantity", "n_lines", "buyer_id",
    "recipient", "address", "address_group", "phone", "payment_account", "item_id", "category", "shop_id", "channel",
    "is_insured",
]  # fmt: skip

WHO = (
    "buyer_id", "recipient", "address", "address_group", "phone", "phone_group", "device_id", "ip", "payment_account",
)  # fmt: skip


@pytest.fixture(scope="module")
def season() -> Simulation:
    return simulate(SimulationSettings(n_orders=22_000, seed=5))


@pytest.fixture(scope="module")
def intake(season: Simulation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Events, pa.Table, list[FileAccount]]:
    paths = write_tmall(season, tmp_path_factory.mktemp("tmall"))
    events, failures, counts = read_counted_events(paths)
    return events, failures, list(counts)


def test_thirty_thousand_rows_give_the_orders_that_were_exported(
    season: Simulation, intake: tuple[Events, pa.Table, list[FileAccount]]
) -> None:
    events, failures, _ = intake

    bare = pc.utf8_trim(season.orders["address"], "\u200b ")  # a cell's ends that nobody sees are not part of it
    expected = season.orders.set_column(season.orders.schema.get_field_index("address"), "address", bare)

    assert failures.num_rows == 0
    assert events.orders.select(PLAIN).equals(expected.select(PLAIN))


def test_thirty_thousand_rows_give_the_outcomes_that_were_exported(
    season: Simulation, intake: tuple[Events, pa.Table, list[FileAccount]]
) -> None:
    events, _, _ = intake

    expected = expected_outcomes(season)
    assert outcome_keys(events.outcomes) == expected
    assert events.outcomes.num_rows == len(expected)


def test_thirty_thousand_rows_add_up(season: Simulation, intake: tuple[Events, pa.Table, list[FileAccount]]) -> None:
    events, _, (orders, refunds) = intake

    assert orders.n_read + refunds.n_read >= 30_000
    assert (orders.n_accepted, orders.n_quarantined) == (season.orders.num_rows, 0)
    assert orders.n_merged == orders.n_read - season.orders.num_rows > 0
    assert (refunds.n_accepted, refunds.n_merged, refunds.n_quarantined) == (refunds.n_read, 0, 0)
    missing = [name for name in WHO if events.orders[name].null_count == events.orders.num_rows]
    assert missing == ["phone_group", "device_id", "ip"]
