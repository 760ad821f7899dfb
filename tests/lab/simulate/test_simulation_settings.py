from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ordervet.contract.model import MaliceKind
from ordervet.errors import ContractError
from ordervet.lab.simulate import SimulationSettings
from ordervet.lab.simulate.simulation_settings import KIND_WEIGHTS, LOOK_ALIKE_SHARES, MASKED_RATES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_orders", 499),
        ("n_orders", 1000.5),
        ("seed", -1),
        ("history_days", 3),
        ("season_days", 2),
        ("opening_day", 24),
        ("opening_day", 0),
        ("opening_share", 1.2),
        ("malicious_share", float("nan")),
        ("malicious_share", 0.5),
        ("history_share", 0.95),
        ("verdict_delay_days", 0.0),
        ("orders_until", datetime(2025, 11, 10)),  # noqa: DTZ001 -- the missing zone is the fault
        ("orders_until", datetime(2025, 7, 1, tzinfo=UTC)),
        ("kind_weights", {"coupon_farming": 1.0}),
        ("kind_weights", dict.fromkeys(KIND_WEIGHTS, 0.0)),
        ("masked_rates", {**MASKED_RATES, "tmall": 1.5}),
        ("look_alike_shares", dict.fromkeys(LOOK_ALIKE_SHARES, 0.2)),
    ],
)
def test_settings_name_a_value_out_of_bounds(name: str, value: object) -> None:
    with pytest.raises(ContractError, match=name):
        SimulationSettings(**{name: value})


def test_settings_name_all_problems_at_once() -> None:
    with pytest.raises(ContractError) as caught:
        SimulationSettings(n_orders=1, seed=-1, audit_rate=2.0)

    assert all(f"'{name}'" in caught.value.message for name in ("n_orders", "seed", "audit_rate"))
    assert caught.value.message.startswith("3 of ")


def test_kinds_are_those_of_the_contract() -> None:

    assert list(KIND_WEIGHTS) == [str(kind) for kind in MaliceKind]
