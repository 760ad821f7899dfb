"""What a backtest reports: the test orders of all splits with their scores and groups, evaluated, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.currencies import REFERENCE
from ordervet.errors import ContractError
from ordervet.learn.evaluation import TestOrders, evaluate_ranking
from ordervet.learn.intervals import number_buyers
from ordervet.learn.rings import Rings, link_orders, look_up_links
from ordervet.learn.train import find_kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.lab.backtest.splits import SplitResult
    from ordervet.learn.train import Prepared

TRUTH_SCHEMA = pa.schema(
    {"order_id": pa.string(), "is_malicious": pa.bool_(), "kind": pa.string(), "look_alike": pa.string()}
)
#: A truth written before there was this column is taken without it: its rings are found by what links them.
_RING = pa.field("ring", pa.string())


def check_truth(truth: pa.Table) -> pa.Table:
    """Check a table of the truth, as `ordervet simulate` writes it.

    Raises
    ------
    ContractError
        A column is missing.
    """
    lacking = [name for name in TRUTH_SCHEMA.names if name not in truth.column_names]
    if lacking:
        raise ContractError(
            f"the truth has no column {', '.join(lacking)}",
            hint="pass the file truth.csv or truth.parquet of ordervet simulate",
        )
    schema = TRUTH_SCHEMA.append(_RING) if _has_rings(truth) else TRUTH_SCHEMA
    return truth.select(schema.names).cast(schema)


def build_test_orders(
    prepared: Prepared,
    rows: NDArray[np.int64],
    raw: NDArray[np.float64],
    p_malicious: NDArray[np.float64] | None,
    *,
    time_zone: str,
    truth: pa.Table | None = None,
    rings: Rings | None = None,
) -> TestOrders:
    """Build the test orders of one split, with what they are grouped by: kind, channel, month and look-alike.

    `truth`, of a simulation and from `check_truth`, replaces the labels; `rings` are those of all orders.

    Raises
    ------
    ContractError
        The truth lacks a test order.
    """
    orders = prepared.keyed.orders.take(pa.array(rows))
    local = orders["placed_at"].cast(pa.timestamp("us", time_zone))
    parts = {"channel": _read_texts(orders["channel"]), "month": _read_texts(pc.strftime(local, format="%Y-%m"))}
    if truth is None:
        is_malicious = prepared.label[rows] == 1
        parts["kind"] = np.where(is_malicious, find_kinds(prepared.keyed)[rows], "")
    else:
        known = _align(truth, orders["order_id"])
        is_malicious = known["is_malicious"].to_numpy(zero_copy_only=False)
        parts["kind"] = _read_texts(known["kind"])
        parts["look_alike"] = np.where(is_malicious, "", _read_texts(known["look_alike"]))
    return TestOrders(
        raw=raw,
        p_malicious=p_malicious,
        is_malicious=is_malicious,
        amount_minor=prepared.orders.compute_worth()[rows],
        day=np.asarray(pc.floor_temporal(local, unit="day").cast(pa.int64()).to_numpy() // 86_400_000_000),
        buyer=number_buyers(prepared.orders.ids["buyer"][rows]),
        parts={name: texts for name, texts in parts.items() if (texts != "").any()},
        rings=None if rings is None else rings.take(rows),
    )


def find_rings(prepared: Prepared, truth: pa.Table | None = None, *, n_jobs: int = 1) -> Rings:
    """Find the rings of all orders: as the truth of a simulation has them, or by what links malicious orders.

    A malicious order of which the truth knows no ring is one of its own.
    """
    keys, is_denied = look_up_links(prepared.orders, prepared.later, n_jobs=n_jobs)
    is_malicious = prepared.label == 1 if truth is None else _look_up(truth, "is_malicious", prepared)
    number = link_orders(is_malicious, number_buyers(prepared.orders.ids["buyer"]), keys)
    if truth is not None and _has_rings(truth):
        named = _look_up(truth, _RING.name, prepared)
        alone = np.char.add("-", np.arange(len(named)).astype(np.str_))
        number = np.unique(np.where(named == "", alone, named), return_inverse=True)[1].astype(np.int64)
        number[~is_malicious] = -1
    return Rings.of(number, prepared.orders.seen_at, is_denied)


def join_test_orders(splits: list[TestOrders]) -> TestOrders:
    """Join the test orders of several splits; a buyer of two splits counts as two.

    Their probabilities are kept only when every split has them.
    """
    starts = np.cumsum([0, *(int(split.buyer.max(initial=-1)) + 1 for split in splits)])
    calibrated = [split.p_malicious for split in splits if split.p_malicious is not None]
    rings = [split.rings for split in splits if split.rings is not None]
    names = {name for split in splits for name in split.parts}
    return TestOrders(
        raw=np.concatenate([split.raw for split in splits]),
        p_malicious=np.concatenate(calibrated) if len(calibrated) == len(splits) else None,
        is_malicious=np.concatenate([split.is_malicious for split in splits]),
        amount_minor=np.concatenate([split.amount_minor for split in splits]),
        day=np.concatenate([split.day for split in splits]),
        buyer=np.concatenate([split.buyer + start for split, start in zip(splits, starts, strict=False)]),
        parts={
            name: np.concatenate([split.parts.get(name, np.full(len(split), "")) for split in splits])
            for name in sorted(names)
        },
        rings=Rings.join(rings) if len(rings) == len(splits) else None,
    )


def build_report(
    results: Sequence[SplitResult],
    *,
    n_features: int,
    is_simulated: bool,
    capacity: int | None = None,
) -> dict[str, Any]:
    """Evaluate the test orders of all splits together.

    Parameters
    ----------
    results : of `run_backtest`, at least one
    n_features : of the model
    is_simulated : whether the data is simulated, as the report says
    capacity : orders a day that the desk can look at

    Returns
    -------
    plain values for JSON and for `build_backtest_page`: ``split``, ``n_features``, ``is_simulated``, ``currency``,
    ``evaluation``, and, or None, ``baseline`` and, of the first split, ``claims``, ``ablation``, ``best_count``,
    ``history_gain``
    """
    baselines = [result.baseline for result in results if result.baseline is not None]
    return {
        "split": ", ".join(result.name for result in results),
        "n_features": n_features,
        "is_simulated": is_simulated,
        "currency": REFERENCE,
        "evaluation": evaluate_ranking(join_test_orders([result.tested for result in results]), capacity=capacity),
        "baseline": evaluate_ranking(join_test_orders(baselines), capacity=capacity) if baselines else None,
        "claims": results[0].metrics.get("claims"),
        "ablation": results[0].ablation,
        "best_count": results[0].best_count,
        "history_gain": results[0].history_gain,
    }


def _has_rings(truth: pa.Table) -> bool:
    return _RING.name in truth.column_names


def _look_up(truth: pa.Table, name: str, prepared: Prepared) -> NDArray[Any]:
    """Look up what the truth says of every order; nothing, or no, of an order that it does not know."""
    found = truth[name].take(pc.index_in(prepared.keyed.orders["order_id"], truth["order_id"]))
    if pa.types.is_boolean(truth.schema.field(name).type):
        return pc.fill_null(found, fill_value=False).to_numpy()  # type: ignore[no-any-return]
    return _read_texts(found)


def _align(truth: pa.Table, order_id: pa.ChunkedArray) -> pa.Table:
    at = pc.index_in(order_id, truth["order_id"])
    if at.null_count:
        raise ContractError(
            f"the truth lacks {at.null_count:,} of {len(order_id):,} test orders",
            hint="pass the truth of the same simulation",
        )
    return truth.take(at)


def _read_texts(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.asarray(pc.fill_null(column, "").to_pylist(), dtype=np.str_)
