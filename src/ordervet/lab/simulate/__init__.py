"""A merchant that never was: orders, outcomes and verdicts with known truth, from one seed.

Numbers measured on simulated orders prove behaviour, not accuracy. docs/simulation.md says what is simulated.
"""

from __future__ import annotations

from ordervet.lab.simulate.files import TABLE_NAMES, write_simulation
from ordervet.lab.simulate.merchant import simulate
from ordervet.lab.simulate.simulated_tables import Simulation, mask_simulation
from ordervet.lab.simulate.simulation_settings import SimulationSettings

__all__ = ["TABLE_NAMES", "Simulation", "SimulationSettings", "mask_simulation", "simulate", "write_simulation"]
