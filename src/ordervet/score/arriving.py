"""Scoring orders as they come: each is checked, keyed, remembered and decided about, whatever goes wrong."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ordervet.contract import Correction, Events, Outcome, Verdict, event_schema, validate_events
from ordervet.contract.one_order import read_order
from ordervet.entities import key_events
from ordervet.entities.keyed import KEYED_KINDS
from ordervet.errors import ContractError, HistoryError, ModelError
from ordervet.policy import Decision, DecisionCode
from ordervet.score.arrival import now_us, put_seen_at
from ordervet.score.bulk import BulkScorer
from ordervet.score.desk import Desk
from ordervet.score.memory import Features
from ordervet.score.one_decision import OneDecider
from ordervet.score.one_event import build_one_event
from ordervet.score.one_later import OneLaterReader
from ordervet.score.one_order import OneOrderReader, split_repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ordervet.contract import Order
    from ordervet.entities import Key, KeyedEvents
    from ordervet.model import ForestPredictor, Model
    from ordervet.policy import Lang, Policy
    from ordervet.score.batch import ScoredOrders
    from ordervet.score.memory import Memory
    from ordervet.score.shadow import Shadow

_log = logging.getLogger("ordervet")


class ArrivalScorer(BulkScorer):
    """Scores orders as they come, and takes note of what became of them.

    Parameters
    ----------
    code_without_model, deadline_ms, others : as for `Scorer`
    """

    def __init__(
        self,
        model: Model | None,
        policy: Policy,
        key: Key,
        *,
        predictor: ForestPredictor | None = None,
        code_without_model: DecisionCode = DecisionCode.UNSCORED_NO_MODEL,
        lang: Lang = "zh",
        n_jobs: int = 1,
        deadline_ms: float | None = None,
        clock: Callable[[], int] = now_us,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(
            model, policy, key, predictor=predictor, lang=lang, n_jobs=n_jobs, clock=clock, memory=memory
        )  # fmt: skip
        self.codes: Counter[DecisionCode] = Counter()
        self._code_without_model = code_without_model
        self._deadline_ms = deadline_ms
        self._reader: OneOrderReader | None = None
        self._later_reader: OneLaterReader | None = None
        self._decider: OneDecider | None = None
        self._desk = Desk()
        self._shadow: Shadow | None = None

    def score(self, order: Order | dict[str, Any]) -> Decision:
        """Score one order at the instant of its arrival, and remember it.

        Never raises: what goes wrong is a decision that passes, with a code, counted in `codes` and logged without
        personal data. With a history store, an order that was scored is in the journal.

        Parameters
        ----------
        order : an Order, or a dict of its fields
        """
        started = time.perf_counter()
        try:
            checked = read_order(order)
        except (ContractError, ValidationError):
            return self._count([self._pass(_find_id(order), DecisionCode.UNSCORED_INVALID_ORDER)])[0]
        return self._count(self._answer([checked], self._score_one, started))[0]

    def score_many(self, orders: Sequence[Order | dict[str, Any]]) -> list[Decision]:
        """Score orders that arrive together, in the order given, as `score` would one after the other.

        They share one entry of the journal and one pass of the model. Never raises, as `score`.

        Parameters
        ----------
        orders : n_orders of them

        Returns
        -------
        n_orders decisions
        """
        started = time.perf_counter()
        decisions: dict[int, Decision] = {}
        checked: dict[int, Order] = {}
        for row, order in enumerate(orders):
            try:
                checked[row] = read_order(order)
            except (ContractError, ValidationError):
                decisions[row] = self._pass(_find_id(order), DecisionCode.UNSCORED_INVALID_ORDER)
        for batch in split_repeats(checked):
            decided = self._answer(list(batch.values()), self._score_together, started)
            decisions.update(zip(batch, decided, strict=True))
        return self._count([decisions[row] for row in range(len(orders))])

    def observe(self, event: Outcome | Verdict | Correction) -> None:
        """Remember an outcome, verdict or correction from the instant of its arrival on.

        With a history store, it is in the journal when this returns; an event that the history has is passed over.

        Raises
        ------
        ContractError
            The event breaks the contract, or is none.
        HistoryError
            The journal cannot be written: the event was not taken.
        """
        if not isinstance(event, (Outcome, Verdict, Correction)):
            raise ContractError(
                f"observe: got {type(event).__name__}, expected Outcome, Verdict or Correction",
                hint='scorer.observe(Outcome(order_id="t1", kind="refund_requested", happened_at="2025-11-12 09:00"))',
            )
        if self._later_reader is None:
            self._later_reader = OneLaterReader(self._key)
        seen_at = self._arrivals.take_later(event.order_id, is_judgement=not isinstance(event, Outcome))
        self._memory.take_one_later(self._later_reader.read(event, seen_at))

    def _decide_now(self, features: Features) -> ScoredOrders:
        """Decide about orders that have just arrived, at the desk's pace of this instant."""
        at_us = int(features.events.seen_at.max(initial=0))
        scored = self._decide(features, pace=self._desk.find_pace(at_us, self.policy, self._require()[0]))
        self._desk.note(at_us, scored)
        return scored

    def _answer(
        self, orders: list[Order], score: Callable[[list[Order]], list[Decision] | None], started: float
    ) -> list[Decision]:
        """Let valid orders be remembered and decided about; whatever goes wrong, or is late, lets all of them pass."""
        self._look_for_new_model()
        code = DecisionCode.UNSCORED_ERROR
        try:
            decisions = score(orders)
            code = self._code_without_model
            if decisions is not None:
                elapsed_ms = (time.perf_counter() - started) * 1_000
                if self._deadline_ms is None or elapsed_ms <= self._deadline_ms:
                    return decisions
                code = DecisionCode.UNSCORED_LATE
        except ContractError:
            code = DecisionCode.UNSCORED_INVALID_ORDER
        except ModelError:
            code = DecisionCode.UNSCORED_BROKEN_MODEL
        except HistoryError as error:
            _log.error("not remembered: %s", error.message)
            code = DecisionCode.UNSCORED_BROKEN_HISTORY
        except Exception as error:  # noqa: BLE001 - fail open: no error of ours may stop an order
            _log.error("scoring failed: %s", type(error).__name__)
        return [self._pass(order.order_id, code) for order in orders]

    def _score_one(self, orders: list[Order]) -> list[Decision] | None:
        """Remember one order, and decide about it, without tables where the policy allows; None without a model."""
        (order,) = orders
        if self._reader is None:
            self._reader = OneOrderReader(self._key)
        one = self._reader.read(order, self._arrivals.take_order(order.order_id))
        matrix = self._memory.take_one(one)
        if matrix is None or self.model is None:
            return None
        decider = self._find_decider()
        if decider.serves:
            decision = decider.decide(one, matrix)
        else:
            events = build_one_event(one, self.model.spec)
            decision = self._decide_now(Features(one.kept.table, events, matrix)).build_decision(0)
        if self._shadow is not None:
            features = Features(one.kept.table, build_one_event(one, self.model.spec), matrix)
            self._shadow.watch(features, [decision], live=self.model, policy=self.policy)
        return [decision]

    def _score_together(self, orders: list[Order]) -> list[Decision] | None:
        """Remember orders of different ids, and decide about them; None without a model."""
        table = validate_events("orders", orders)
        seen_at = [self._arrivals.take_order(order.order_id) for order in orders]
        features = self._memory.take(self._key_orders(table, seen_at))
        if features is None or self.model is None:
            return None
        scored = self._decide_now(features)
        decisions = [scored.build_decision(row) for row in range(len(orders))]
        if self._shadow is not None:
            self._shadow.watch(features, decisions, live=self.model, policy=self.policy)
        return decisions

    def _look_for_new_model(self) -> None:
        """Do nothing: the model stays."""

    def _find_decider(self) -> OneDecider:
        model, predictor = self._require()
        if self._decider is None or self._decider.policy is not self.policy or self._decider.model is not model:
            self._decider = OneDecider(
                model, predictor, self.policy, self._lang, self._memory.history_version
            )  # fmt: skip
        return self._decider

    def _count(self, decisions: list[Decision]) -> list[Decision]:
        for decision in decisions:
            self.codes[decision.code] += 1
        return decisions

    def _key_orders(self, orders: pa.Table, seen_at: list[int]) -> KeyedEvents:
        """Key orders that are known from the instants of their arrival on."""
        tables = {kind: event_schema(kind).empty_table() for kind in KEYED_KINDS}
        return key_events(Events(**tables | {"orders": put_seen_at(orders, seen_at)}), self._key)

    def _pass(self, order_id: str, code: DecisionCode) -> Decision:
        _log.warning("order passed unscored: %s", code)
        return Decision.unscored(
            order_id, code, model_id=self.model.model_id if self.model else None, policy_id=self.policy.policy_id
        )


def _find_id(order: object) -> str:
    """Give the id of what was taken for an order, whatever it is; "" if it has none."""
    found = order.get("order_id") if isinstance(order, dict) else None
    return str(found) if isinstance(found, (str, int)) else ""
