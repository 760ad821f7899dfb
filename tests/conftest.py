"""What many tests share: a small simulated merchant, and a model learned from it."""

from __future__ import annotations

import os
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from ordervet.contract import Events
from ordervet.features import build_spec
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.train import learn_model
from ordervet.model import FitSettings, promote_model, save_model
from ordervet.reports import build_card

if TYPE_CHECKING:
    from ordervet.lab.simulate import Simulation
    from ordervet.model import Model

# Machines are busy: how long an example takes says nothing.
settings.register_profile("ordervet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ordervet")

SLOW_TESTS = Path(__file__).with_name("slow_tests.txt")
FAST_BUDGET_S = 60.0
"""What the tests that are not slow may take together, on one processor."""

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """Let threads of LightGBM wait without spinning, as the commands do: on busy processors spinning takes the time.

    And take no key from the shell.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("ORDERVET_KEY", "ORDERVET_KEY_FILE"):  # a key of the shell's own is not the tests'
        os.environ.pop(name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-slow-tests", action="store_true", help=f"write down which tests are slow: {SLOW_TESTS}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that were slow when they were last timed."""
    slow = set(SLOW_TESTS.read_text(encoding="utf-8").splitlines())
    for item in items:
        if name_test(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Time each test with all its cases; the quickest that stay within the budget are fast, all others slow."""
    if not terminalreporter.config.getoption("--write-slow-tests"):
        return
    seconds: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":  # what fixtures take is shared, and belongs to no test
            seconds[name_test(report.nodeid)] += report.duration
    quickest_first = sorted(seconds, key=lambda name: seconds[name])
    spent = accumulate(seconds[name] for name in quickest_first)
    slow = [name for name, so_far in zip(quickest_first, spent, strict=True) if so_far > FAST_BUDGET_S]
    SLOW_TESTS.write_text("".join(f"{name}\n" for name in sorted(slow)), encoding="utf-8")


def name_test(nodeid: str) -> str:
    """Name a test without its case."""
    return nodeid.partition("[")[0]


@pytest.fixture
def fits_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fit take as many threads as it may, however few rows it has."""
    monkeypatch.setattr("ordervet.model.settings._ROWS_PER_THREAD", 1)


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
    return learn_model(
        [merchant], build_spec(), settings, origin={"is_simulated": True, "about": "a small simulation"}
    ).model


@pytest.fixture(scope="session")
def models_dir(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    save_model(model, models, card=build_card(model))
    promote_model(models, model.model_id)
    return models
