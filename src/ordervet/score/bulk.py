"""Scoring in bulk: tables and sets of events, each order as of its own instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from ordervet.contract import Events, validate_events
from ordervet.errors import ContractError, ModelError
from ordervet.model import ForestPredictor
from ordervet.score.arrival import Arrivals, now_us
from ordervet.score.batch import score_batch
from ordervet.score.memory import Memory
from ordervet.score.opening import warn_of_other_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ordervet.entities import Key, KeyedEvents
    from ordervet.model import Model
    from ordervet.policy import Decision, Lang, Pace, Policy
    from ordervet.score.batch import ScoredOrders
    from ordervet.score.memory import Features


class BulkScorer:
    """Scores tables of orders, and remembers them; `Scorer` does the same with orders as they come.

    Parameters
    ----------
    model, policy, key, predictor, lang, n_jobs, clock, memory : as for `Scorer`
    """

    def __init__(
        self,
        model: Model | None,
        policy: Policy,
        key: Key,
        *,
        predictor: ForestPredictor | None = None,
        lang: Lang = "zh",
        n_jobs: int = 1,
        clock: Callable[[], int] = now_us,
        memory: Memory | None = None,
    ) -> None:
        warn_of_other_key(model, key)
        self.model = model
        self.policy = policy
        self._key = key
        self._lang: Lang = lang
        self._n_jobs = n_jobs
        self._predictor = predictor or (ForestPredictor(model.booster_text) if model else None)
        self._memory = memory or Memory(key, model.spec if model else None, n_jobs=n_jobs)
        self._arrivals = Arrivals(clock)
        self._note_last()

    def score_table(self, data: object, *, capacity: int | None = None, explain_all: bool = False) -> Any:
        """Score a table of orders, each as of its own instant, and remember them.

        Parameters
        ----------
        data : pandas DataFrame, Arrow table, or anything with ``__arrow_c_stream__``; contract columns
        capacity : how many orders the desk can look at
        explain_all : give reasons for every order

        Returns
        -------
        one row per order, in the order given: a DataFrame for a DataFrame, else an Arrow table (`DECISION_SCHEMA`)

        Raises
        ------
        ContractError
            A row breaks the contract; one error sums up all of them.
        ModelError
            There is no model.
        """
        empty = Events.empty()
        events = Events(validate_events("orders", data), empty.outcomes, empty.verdicts, empty.corrections)
        table = self.score_events(events, capacity=capacity, explain_all=explain_all).build_table()
        return table.to_pandas() if type(data).__module__.split(".")[0] == "pandas" else table

    def score_events(
        self,
        events: Events | KeyedEvents,
        *,
        since_us: int | None = None,
        order_ids: pa.Array[pa.StringScalar] | None = None,
        capacity: int | None = None,
        explain_all: bool = False,
    ) -> ScoredOrders:
        """Score the orders among events in bulk: each sees exactly what was known before its own instant.

        Orders from before the last event already seen are put in their place in time: what is remembered is replayed
        with them.

        Parameters
        ----------
        events : orders, and whatever became known about them or others
        since_us : decide only about orders seen at or after this instant, UTC microseconds; None decides about all
        order_ids : decide only about these orders; None decides about all
        capacity : how many orders the desk can look at
        explain_all : give reasons for every order

        Raises
        ------
        ModelError
            There is no model.
        """
        features = self._take_past(events)
        if since_us is not None or order_ids is not None:
            is_asked = features.events.seen_at >= (since_us or 0)
            if order_ids is not None:
                is_asked &= np.asarray(pc.is_in(features.orders["order_id"], order_ids))
            features = features.take(np.flatnonzero(is_asked))
        explain_rows = range(len(features.events)) if explain_all else ()
        return self._decide(features, capacity=capacity, explain_rows=explain_rows)

    def explain_events(
        self, events: Events | KeyedEvents, order_id: str
    ) -> tuple[Decision, list[tuple[str, float, float]]]:
        """Decide about one order among events, and say what each feature added to its score.

        Returns
        -------
        the decision with its reasons, also when it passes; and per feature its name, value and contribution (log-odds),
        the largest first, those without any left out

        Raises
        ------
        ContractError
            No order has this id.
        """
        features = self._take_past(events)
        ids = features.orders["order_id"].to_pylist()
        if order_id not in ids:
            raise ContractError(
                f"there is no order with this id among {len(ids):,}", hint="copy the id from the file, with its case"
            )
        row = ids.index(order_id)
        one = features.take(np.array([row]))
        scored = self._decide(one, explain_rows=[0])
        model, predictor = self._require()
        shares = predictor.explain(one.matrix)[0, :-1]
        names = model.spec.names
        ranked = [at for at in np.argsort(-np.abs(shares), kind="stable") if shares[at] != 0]
        parts = [(names[at], float(one.matrix[0, at]), float(shares[at])) for at in ranked]
        return scored.build_decision(0), parts

    def _require(self) -> tuple[Model, ForestPredictor]:
        if self.model is None or self._predictor is None:
            raise ModelError("there is no model to score with", hint="train one: ordervet train FILE... --models DIR")
        return self.model, self._predictor

    def _take_past(self, events: Events | KeyedEvents) -> Features:
        self._require()
        features = self._memory.take_past(events)
        self._note_last()
        return features

    def _note_last(self) -> None:
        if self._memory.last_seen_at is not None:
            self._arrivals.note(self._memory.last_seen_at)

    def _decide(
        self,
        features: Features,
        *,
        capacity: int | None = None,
        explain_rows: Sequence[int] = (),
        pace: Pace | None = None,
    ) -> ScoredOrders:
        model, predictor = self._require()
        return score_batch(
            features.orders, features.events, features.matrix, model=model, predictor=predictor, policy=self.policy,
            lang=self._lang, capacity=capacity, explain_rows=explain_rows, n_threads=self._n_jobs, pace=pace,
            history_version=self._memory.history_version,
        )  # fmt: skip
