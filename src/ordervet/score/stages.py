"""How far orders are known to have come: by the status of their rows, and by what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.contract import OrderStatus, OutcomeKind
from ordervet.late_imports import pa, pc
from ordervet.policy import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STATUS_STAGES: Final = {
    OrderStatus.UNPAID: Stage.PLACED,
    OrderStatus.PAID: Stage.PAID,
    OrderStatus.SHIPPED: Stage.IN_TRANSIT,
    OrderStatus.RECEIVED: Stage.RECEIVED,
}
"""How far an order of a status has come."""

_OUTCOME_STAGES: Final = {
    OutcomeKind.CANCELLED_UNPAID: Stage.PLACED,
    OutcomeKind.DELIVERY_REFUSED: Stage.IN_TRANSIT,
    OutcomeKind.FULFILLED: Stage.RECEIVED,
}
"""After any other outcome the buyer has raised something."""

_STAGE_OF_STATUS: Final[dict[str, Stage]] = {str(status): stage for status, stage in STATUS_STAGES.items()}
_STAGE_OF_OUTCOME: Final[dict[str, Stage]] = {str(kind): stage for kind, stage in _OUTCOME_STAGES.items()}
_IN_TRANSIT, _RECEIVED = STAGES.index(Stage.IN_TRANSIT), STAGES.index(Stage.RECEIVED)


def find_stages(orders: pa.Table, outcomes: pa.Table | None = None) -> NDArray[np.int8]:
    """Find how far orders are known to have come.

    Parameters
    ----------
    orders : shape (n_orders, n_columns), keyed
    outcomes : what became of them and of others, keyed or not; None where nothing is known

    Returns
    -------
    shape (n_orders,), positions in `STAGES`; the furthest that anything says
    """
    stages = _rank(orders["status"], STATUS_STAGES, Stage.PLACED)
    if outcomes is None or not outcomes.num_rows:
        return stages
    rows = pc.index_in(outcomes["order_id"], orders["order_id"].combine_chunks()).fill_null(-1).to_numpy()
    ranks = _rank(outcomes["kind"], _OUTCOME_STAGES, Stage.CLAIM)
    rows, ranks = rows[rows >= 0], ranks[rows >= 0]
    # NOTE: some platforms call an order fulfilled once it is dispatched; their rows say shipped, and that is believed.
    is_told = (stages[rows] != _IN_TRANSIT) | (ranks != _RECEIVED)
    np.maximum.at(stages, rows[is_told], ranks[is_told])
    return stages


def find_stage(status: str | None, outcomes: Sequence[str]) -> Stage:
    """Find how far one order is known to have come.

    Parameters
    ----------
    status : of its row
    outcomes : kinds of what became of it

    References
    ----------
    Truth: `find_stages`.
    """
    stage = Stage.PLACED if status is None else _STAGE_OF_STATUS[status]
    if not outcomes:
        return stage
    ranks = [STAGES.index(_STAGE_OF_OUTCOME.get(kind, Stage.CLAIM)) for kind in outcomes]
    if stage is Stage.IN_TRANSIT:
        ranks = [rank for rank in ranks if rank != _RECEIVED]
    return STAGES[max([STAGES.index(stage), *ranks])]


def _rank(
    column: pa.ChunkedArray, known: dict[OrderStatus, Stage] | dict[OutcomeKind, Stage], other: Stage
) -> NDArray[np.int8]:
    """Return the position of each text's stage."""
    ranks = np.array([*map(STAGES.index, known.values()), STAGES.index(other)], np.int8)
    places = pc.index_in(column.cast(pa.string()), pa.array(list(map(str, known))))
    found: NDArray[np.int8] = ranks[places.fill_null(len(known)).to_numpy()]
    return found
