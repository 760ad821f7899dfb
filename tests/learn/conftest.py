"""A small merchant's history, for its nights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordervet.entities import Key
from ordervet.features import build_spec
from ordervet.history import History

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.features import FeatureSpec
    from ordervet.lab.simulate import Simulation


@pytest.fixture(scope="session")
def night_key() -> Key:
    return Key(bytes(range(16)))


@pytest.fixture(scope="session")
def night_history(simulation: Simulation, night_key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a history; tests read it only."""
    folder = tmp_path_factory.mktemp("night") / "history"
    History.open(folder, night_key, create=True).ingest(simulation.events)
    return folder


@pytest.fixture(scope="session")
def spec() -> FeatureSpec:
    """A few features: a night in a second."""
    return build_spec(
        use_defaults=False,
        names=(
            "order__value__{amount,discount_share,account_age_days,quantity}",
            "buyer__count__order__{1d,90d}",
            "{address,device,phone}__distinct__buyer__30d",
            "{address,device}__count__order__1h",
            "buyer__share__refund_requested__90d",
        ),
    )
