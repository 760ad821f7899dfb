"""The same features, scores and training rows on a cluster, bit for bit: DataFrames in and out.

    orders, outcomes, verdicts, corrections      one row an event, contract columns or keyed ones
        ↓  mapInArrow                            keyed: raw personal data ends here
    events of an order at one place              what is seen when; what each part of the features needs
        ↓  shuffle by id % n_partitions
    events of an id at one place                 baselines give weights, keys say whom they link
        ↓  shuffle by order, and by id again
    events of an id at one place                 the core of one machine computes the columns of the id's part
        ↓  shuffle by order
    orders and their features                    → scores, row by row

What is whose (`features/parts.py`, `slot_stages.py`):

    order__…                 of the row itself
    entity__…                of one id's events: everything but what follows
    entity__excess__…        and of weights that the baseline's id gives its events (B5: fixed when they are seen)
    entity__…__first_order   and of which orders are the first of their buyer
    group__…                 of all orders that are linked, directly or through others, by keys that are no hubs (G2)

A score, a band, an action and reasons follow from the row. Quotas and review capacities compare orders with each other,
and are refused: cut the flags that are left on one machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.spark.jobs import build_features, build_training_rows, read_history, score

__all__ = ["build_features", "build_training_rows", "read_history", "score"]

# NOTE: every process of a worker imports this package first, and most need no more than the stages.
__getattr__ = export_lazily(__name__, {"jobs": "build_features build_training_rows read_history score"})
