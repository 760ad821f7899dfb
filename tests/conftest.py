"""What many tests share: a small simulated merchant, and a model learned from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from ordervet.contract import Events
from ordervet.features import build_spec
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.train import train_model
from ordervet.model import FitSettings, promote_model, save_model
from ordervet.reports import build_card

if TYPE_CHECKING:
    from ordervet.lab.simulate import Simulation
    from ordervet.model import Model

# Kernels are compiled at their first call, and machines are busy: how long an example takes says nothing.
settings.register_profile("ordervet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ordervet")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERVET_KEY", raising=False)
    monkeypatch.delenv("ORDERVET_KEY_FILE", raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the evaluation data is not beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return simulate(SimulationSettings(n_orders=6_000, seed=11, malicious_share=0.06))


@pytest.fixture(scope="session")
def merchant(simulation: Simulation) -> Events:
    return Events(simulation.orders, simulation.outcomes, simulation.verdicts, simulation.corrections)


@pytest.fixture(scope="session")
def model(merchant: Events) -> Model:
    settings = FitSettings(num_rounds=40, num_leaves=15, min_data_in_leaf=20)
    return train_model(merchant, build_spec(), settings, origin={"is_simulated": True, "about": "a small simulation"})


@pytest.fixture(scope="session")
def models_dir(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    save_model(model, models, card=build_card(model))
    promote_model(models, model.model_id)
    return models
