"""What the benchmarks share, and the facts about the machine that stand beside their figures."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from ordervet.contract import Events
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.model import load_model
from ordervet.model.registry import find_live_model
from ordervet.score import find_bundled_models

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model

N_ORDERS = 100_000
_LIBRARIES = ("numpy", "pandas", "pyarrow", "lightgbm", "pydantic", "deltalake")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:  # noqa: ARG001 - the hook's signature
    """Put versions, processors and load beside the figures."""
    machine_info["versions"] = {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}
    machine_info["cpus"] = len(os.sched_getaffinity(0))
    machine_info["load"] = os.getloadavg()[0]


@pytest.fixture(scope="session")
def merchant() -> Events:
    """Give a simulated merchant; the rows are in the order of time."""
    simulated = simulate(SimulationSettings(n_orders=N_ORDERS, seed=5))
    orders = simulated.orders.sort_by("placed_at")
    return Events(orders, simulated.outcomes, simulated.verdicts, simulated.corrections)


@pytest.fixture(scope="session")
def orders_file(merchant: Events, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("path") / "orders.parquet"
    pq.write_table(merchant.orders, path)
    return path


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model(find_live_model(find_bundled_models()))
