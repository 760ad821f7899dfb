from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordervet.lab.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    from ordervet.lab.simulate import Simulation


@pytest.fixture(scope="session")
def settings() -> SimulationSettings:
    return SimulationSettings(n_orders=50_000, seed=7)


@pytest.fixture(scope="session")
def simulation(settings: SimulationSettings) -> Simulation:
    return simulate(settings)


@pytest.fixture(scope="session")
def crowded() -> Simulation:
    """Give a merchant with so many rings that chance does not hide what they do."""
    return simulate(SimulationSettings(n_orders=40_000, seed=7, malicious_share=0.2))


@pytest.fixture(scope="session")
def small() -> Simulation:
    return simulate(SimulationSettings(n_orders=600, seed=7))
