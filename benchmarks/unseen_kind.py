"""A kind of malice that no model catches which has not learned it: honest regulars' orders, taken over.

The orders are those of buyers known for more than a year, from their own doors, phones and devices, at their usual
prices. Nothing of the past speaks against them. What gives them away is a pair of the order's own columns that honest
and other malicious orders have too, only not in such amounts: dear shipping, and several lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.lab.simulate import Simulation

KIND = "stolen_payment"
DAY_US = 86_400_000_000
#: Share of the regulars' orders that are taken over, of those taken over that get a verdict, and of their lines.
TAKEN_SHARE, VERDICT_SHARE = 0.035, 0.9
N_LINES = 4
SHIPPING_MINOR = (1_500, 3_000)
VERDICT_DAYS = (0.5, 3.0)
OLD_ACCOUNT_US = 365 * DAY_US


def take_over_regulars(simulation: Simulation, *, since_us: int, seed: int) -> tuple[dict[str, pa.Table], pa.Table]:
    """Turn some orders of a simulation, from a given time on, into the new kind.

    Parameters
    ----------
    simulation : without orders of `KIND`
    since_us : UTC microseconds

    Returns
    -------
    events by kind of event, and the truth
    """
    orders, truth = simulation.orders, simulation.truth
    rng = np.random.default_rng(seed)
    placed_at = _ints(orders["placed_at"])
    age = placed_at - _ints(orders["buyer_registered_at"])
    is_plain = np.asarray(pc.and_(pc.is_null(truth["kind"]), pc.is_null(truth["look_alike"])))
    is_taken = is_plain & (placed_at >= since_us) & (age > OLD_ACCOUNT_US) & (rng.random(len(age)) < TAKEN_SHARE)
    taken = np.flatnonzero(is_taken)
    shipping = _ints(orders["shipping_minor"]).copy()
    shipping[taken] = rng.integers(*SHIPPING_MINOR, len(taken))
    n_lines = np.where(is_taken, N_LINES, _ints(orders["n_lines"]))
    ids = orders["order_id"].take(pa.array(taken))
    told = np.flatnonzero(rng.random(len(taken)) < VERDICT_SHARE)
    decided_at = placed_at[taken] + (rng.uniform(*VERDICT_DAYS, len(taken)) * DAY_US).astype(np.int64)
    times = pa.array(decided_at[told]).cast(simulation.verdicts.schema.field("seen_at").type)
    columns = {"order_id": ids.take(pa.array(told)), "decided_at": times, "seen_at": times}
    columns |= {name: pa.repeat(value, len(told)) for name, value in _VERDICT.items()}
    verdicts = _without(simulation.verdicts, ids)
    nobody = pa.nulls(len(told))
    new = pa.table({name: columns.get(name, nobody) for name in verdicts.column_names}).cast(verdicts.schema)
    return {
        "orders": _put(_put(orders, "shipping_minor", shipping), "n_lines", n_lines),
        "outcomes": simulation.outcomes,
        "verdicts": pa.concat_tables([verdicts, new]),
        "corrections": _without(simulation.corrections, ids),
    }, _put(
        _put(truth, "is_malicious", np.asarray(truth["is_malicious"]) | is_taken),
        "kind",
        pc.if_else(pa.array(is_taken), KIND, truth["kind"]),
    )


_VERDICT: Mapping[str, str] = {"verdict": "malicious", "kind": KIND, "by": "desk"}


def _put(table: pa.Table, name: str, column: np.ndarray | pa.ChunkedArray) -> pa.Table:
    at = table.schema.get_field_index(name)
    made = pa.array(column) if isinstance(column, np.ndarray) else column
    return table.set_column(at, table.schema.field(at), made.cast(table.schema.field(at).type))


def _without(table: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table["order_id"], ids.combine_chunks())))


def _ints(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0))
