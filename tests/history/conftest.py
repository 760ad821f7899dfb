"""A key, a small simulated season, and an empty history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordervet.contract import Events
from ordervet.entities import Key
from ordervet.history import History
from ordervet.lab.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def key() -> Key:
    return Key(bytes(range(16)))


@pytest.fixture(scope="session")
def season() -> Events:
    simulation = simulate(SimulationSettings(n_orders=500, seed=5, malicious_share=0.2))
    return Events(simulation.orders, simulation.outcomes, simulation.verdicts, simulation.corrections)


@pytest.fixture
def history(tmp_path: Path, key: Key) -> History:
    return History.open(tmp_path / "history", key, create=True)
