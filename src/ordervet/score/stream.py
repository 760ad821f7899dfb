"""Scoring in chunks: while one is decided, the features of the next are computed and the one after that is keyed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from ordervet.contract import validate_events
from ordervet.contract.files.accounts import count_values
from ordervet.entities import key_orders
from ordervet.entities.keyed import count_evidence, drop_codes
from ordervet.errors import HistoryError, PolicyError
from ordervet.features import FeatureEngine, build_order_events
from ordervet.model import ForestPredictor
from ordervet.policy import ACTIONS, Action, decide
from ordervet.score.batch import find_overlay, find_test_orders, score_batch
from ordervet.score.live_decision import count_known_orders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from ordervet.entities import Key
    from ordervet.features import LaterEvents, OrderEvents
    from ordervet.model import Model
    from ordervet.policy import Lang, Policy
    from ordervet.score.scored_orders import ScoredOrders

_Item = TypeVar("_Item")

_PASS = ACTIONS.index(Action.PASS)


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """The result of one chunk.

    Parameters
    ----------
    n_orders : orders in the chunk
    order_ids : shape (n_orders,), keyed, to find duplicate orders
    evidence : entity → "known", "absent", "masked", "unusable" → orders
    currencies : currency → orders
    rows : shape (n_kept,), ascending, the rows of the chunk that are in `scored`; every other order passes
    scored : decisions about every order of the chunk that is flagged or above the lowest band, or about all orders
    """

    n_orders: int
    order_ids: NDArray[np.uint64]
    evidence: dict[str, dict[str, int]]
    currencies: dict[str, int]
    rows: NDArray[np.int64]
    scored: ScoredOrders


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What scores: the parts of an open scorer.

    Parameters
    ----------
    model, predictor, policy : what decides
    engine : state of the features; it advances
    key : the key of the ids
    lang : language of the reasons
    n_threads : threads of the forest
    keeps_all : whether to keep decisions about all orders, including those that simply pass
    explains_all : whether all kept decisions get reasons
    now_us : as for `score_batch`
    """

    model: Model
    predictor: ForestPredictor
    policy: Policy
    engine: FeatureEngine
    key: Key
    lang: Lang = "zh"
    n_threads: int = 1
    keeps_all: bool = False
    explains_all: bool = False
    now_us: int | None = None


def open_parts(model: Model, policy: Policy, key: Key, *, lang: Lang = "zh", n_threads: int = 1) -> StreamParts:
    """Assemble what scores, with an empty past.

    Parameters
    ----------
    model, policy : what decides
    key : the key of the ids
    lang : language of the reasons
    n_threads : threads of features and forest
    """
    engine = FeatureEngine(model.spec, n_jobs=n_threads)
    return StreamParts(model, ForestPredictor(model.booster_text), policy, engine, key, lang, n_threads)


def stream_scores(tables: Iterable[pa.Table], later: LaterEvents, parts: StreamParts) -> Iterator[ScoredChunk]:
    """Score tables of orders one after the other, each order as of its own time.

    OnlineState is bounded by five chunks, the engine's state and the later events.

    Parameters
    ----------
    tables : orders in contract columns; no order of one was seen before the last order of the one before
    later : outcomes, verdicts and corrections, in any order; each is seen by the orders after it
    parts : what scores

    Yields
    ------
    one chunk per table, in order; the decisions are those of `score_batch` on all orders at once

    Raises
    ------
    ContractError
        A row breaks the contract.
    HistoryError
        The tables are not in order of time.
    PolicyError
        The policy has a review capacity, by which it is known only after the last order which are reviewed; or quotas.
    """
    if parts.policy.capacity is not None or parts.policy.quotas:
        what = "a quota" if parts.policy.quotas else "a review capacity"
        raise PolicyError(f"{what} needs all orders at once", hint="score the file in one piece")
    # SPEED: benchmarks/bench_path.py. Each stage has serial parts; the other stages fill the gaps.
    with ThreadPoolExecutor(max_workers=2) as executor:
        prepared = _run_ahead(_prepare(tables, parts), executor)
        for orders, events, features in _run_ahead(_advance(prepared, later, parts), executor):
            rows = np.arange(len(events)) if parts.keeps_all else find_candidates(orders, events, features, parts)
            scored = score_rows(orders, events, features, rows, parts)
            currencies = count_values(orders["currency"])
            yield ScoredChunk(len(events), events.order_id, count_evidence(orders), currencies, rows, scored)


def find_candidates(
    orders: pa.Table, events: OrderEvents, features: NDArray[np.float32], parts: StreamParts
) -> NDArray[np.int64]:
    """Find the orders that could be flagged or leave the lowest band.

    Minimum evidence only ever lowers a band, so what passes in the lowest band without that rule does so with it.

    Parameters
    ----------
    orders : shape (n_orders, n_columns), keyed orders
    events : shape (n_orders,)
    features : shape (n_orders, n_features)
    parts : what scores

    Returns
    -------
    rows, ascending
    """
    p = parts.model.calibration(parts.predictor.predict_raw(features, n_threads=parts.n_threads))
    decided = decide(
        parts.policy,
        p,
        amount_minor=events.compute_worth(),
        n_orders_known=count_known_orders(parts.model, features),
        p_without_own_history=p,
        overlay=find_overlay(parts.policy, orders, events, features, parts.model.spec, parts.now_us),
    )
    is_candidate = (decided.actions != _PASS) | (decided.bands > 0)
    if parts.policy.allow_test_orders:
        is_candidate[list(find_test_orders(parts.policy, orders["order_id"].to_pylist()))] = True
    return np.flatnonzero(is_candidate)


def score_rows(
    orders: pa.Table, events: OrderEvents, features: NDArray[np.float32], rows: NDArray[np.int64], parts: StreamParts
) -> ScoredOrders:
    """Decide about some rows of a chunk, as `score_batch` does.

    Parameters
    ----------
    orders, events, features, parts : as for `find_candidates`
    rows : which rows, ascending
    """
    return score_batch(
        drop_codes(orders.take(pa.array(rows))),
        events.take(rows),
        features[rows],
        model=parts.model,
        predictor=parts.predictor,
        policy=parts.policy,
        lang=parts.lang,
        explain_rows=range(len(rows)) if parts.explains_all else (),
        n_threads=parts.n_threads,
        now_us=parts.now_us,
    )


def _prepare(tables: Iterable[pa.Table], parts: StreamParts) -> Iterator[tuple[pa.Table, OrderEvents]]:
    """Validate and key table after table."""
    for table in tables:
        orders = key_orders(validate_events("orders", table, keeps_codes=True), parts.key)
        yield orders, build_order_events(orders, parts.model.spec)


def _advance(
    prepared: Iterable[tuple[pa.Table, OrderEvents]], later: LaterEvents, parts: StreamParts
) -> Iterator[tuple[pa.Table, OrderEvents, NDArray[np.float32]]]:
    """Compute the features of chunk after chunk, each order as of its own time."""
    known = later.take(np.argsort(later.seen_at, kind="stable"))
    n_seen = 0
    for orders, events in prepared:
        until = int(events.seen_at.max(initial=parts.engine.last_seen_at))
        if int(events.seen_at.min(initial=until)) < parts.engine.last_seen_at:
            raise HistoryError("the orders are not in order of time", hint="score the file in one piece")
        n_due = int(np.searchsorted(known.seen_at, until, side="right"))
        yield orders, events, parts.engine.advance(events, known.take(np.arange(n_seen, n_due)))
        n_seen = n_due


def _run_ahead(items: Iterator[_Item], executor: ThreadPoolExecutor) -> Iterator[_Item]:
    """Produce each item in another thread while the previous one is used; the core and Arrow release the lock."""
    ahead = executor.submit(next, items, None)
    while (item := ahead.result()) is not None:
        ahead = executor.submit(next, items, None)
        yield item
