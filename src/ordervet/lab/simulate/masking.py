"""The same merchant through an export that hides people: no names, phones, devices or IP addresses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from ordervet.lab.simulate.tables import Simulation

MASKED_COLUMNS = ("recipient", "phone", "phone_group", "device_id", "ip")


def mask_simulation(simulation: Simulation) -> Simulation:
    """Take recipients, phones, devices and IP addresses out of the orders; nothing else changes.

    Examples
    --------
    >>> from ordervet.lab.simulate import SimulationSettings, simulate
    >>> masked = mask_simulation(simulate(SimulationSettings(n_orders=500)))
    >>> masked.orders["phone"].null_count
    500
    """
    orders = simulation.orders
    for name in MASKED_COLUMNS:
        at = orders.schema.get_field_index(name)
        field = orders.schema.field(at)
        orders = orders.set_column(at, field, pa.nulls(orders.num_rows, field.type))
    return replace(simulation, orders=orders)
