"""Which verdict on an order stands: the last one seen, and of those seen at once the mildest (definitions V1 to V4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

MALICIOUS, UNSURE, INNOCENT, CORRECTED = "malicious", "unsure", "innocent", "corrected"

MILDNESS: Final = {MALICIOUS: 0, UNSURE: 1, INNOCENT: 2, CORRECTED: 3}
"""What may be said of an order, and how mild it is: a correction has the last word."""


def find_standing_rows(
    order: NDArray[np.integer], seen_at: NDArray[np.int64], mildness: NDArray[np.integer], n_orders: int
) -> NDArray[np.int64]:
    """Find the verdict or correction that stands on each order.

    Parameters
    ----------
    order : shape (n,), positions of the orders that were judged
    seen_at : shape (n,), UTC microseconds
    mildness : shape (n,), the greater the milder
    n_orders : number of orders

    Returns
    -------
    shape (n_orders,), positions in the arrays given; -1 where nobody judged
    """
    standing = np.full(n_orders, -1, np.int64)
    ascending = np.lexsort((mildness, seen_at))
    # NOTE: of several values for one place, NumPy writes the last one last.
    standing[order[ascending]] = ascending
    return standing


def find_standing_verdicts(verdicts: pa.Table, corrections: pa.Table) -> dict[str, tuple[str, int]]:
    """Find what stands about each order that was judged.

    Parameters
    ----------
    verdicts, corrections : tables with order_id, seen_at and, of verdicts, verdict

    Returns
    -------
    order id → what stands, `CORRECTED` after a correction, and since when, UTC microseconds
    """
    tables = (verdicts, corrections)
    ids = pa.chunked_array([chunk for table in tables for chunk in table["order_id"].chunks], pa.string())
    coded = ids.combine_chunks().dictionary_encode()
    seen_at = np.concatenate([table["seen_at"].cast(pa.int64()).to_numpy() for table in tables])
    words = [*map(str, verdicts["verdict"].to_pylist()), *[CORRECTED] * corrections.num_rows]
    mildness = np.array([MILDNESS[word] for word in words], np.int64)
    standing = find_standing_rows(coded.indices.to_numpy(), seen_at, mildness, len(coded.dictionary)).tolist()
    return {
        order_id: (words[row], int(seen_at[row]))
        for order_id, row in zip(coded.dictionary.to_pylist(), standing, strict=True)
    }


def find_disagreements(verdicts: pa.Table, corrections: pa.Table) -> dict[str, dict[str, str]]:
    """Find the orders that one agent holds malicious and another one innocent.

    Parameters
    ----------
    verdicts, corrections : tables with order_id, seen_at and, of verdicts, verdict and agent

    Returns
    -------
    order id → agent → the agent's last verdict, of orders that were not corrected since
    """
    corrected: dict[str, Any] = {}
    for row in corrections.select(["order_id", "seen_at"]).to_pylist():
        corrected[row["order_id"]] = max(row["seen_at"], corrected.get(row["order_id"], row["seen_at"]))
    said: dict[str, dict[str, str]] = {}
    named = verdicts.filter(verdicts["agent"].is_valid()).select(["order_id", "seen_at", "verdict", "agent"])
    for row in sorted(named.to_pylist(), key=lambda row: row["seen_at"]):
        if row["order_id"] not in corrected or row["seen_at"] > corrected[row["order_id"]]:
            said.setdefault(row["order_id"], {})[row["agent"]] = row["verdict"]
    return {order_id: each for order_id, each in said.items() if {MALICIOUS, INNOCENT} <= set(each.values())}
