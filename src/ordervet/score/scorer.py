"""The scorer that an order system imports: orders in, decisions out, outcomes and verdicts observed on the way."""

from __future__ import annotations

import logging
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from ordervet.contract import Correction, Events, Order, Outcome, Verdict, event_schema, validate_events
from ordervet.entities import key_events, load_key
from ordervet.entities.keyed import KEYED_KINDS
from ordervet.errors import ContractError, HistoryError, HistoryLockedError, ModelError, OrdervetError
from ordervet.model import find_live_model
from ordervet.policy import Decision, DecisionCode, keep_policy, load_policy
from ordervet.score.arrival import now_us, put_seen_at
from ordervet.score.bulk import BulkScorer
from ordervet.score.desk import Desk
from ordervet.score.memory import Features
from ordervet.score.one_decision import OneDecider
from ordervet.score.one_event import build_one_event
from ordervet.score.one_later import OneLaterReader
from ordervet.score.one_order import OneOrderReader, split_repeats
from ordervet.score.opening import find_bundled_models, load_live, open_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import pyarrow as pa

    from ordervet.entities import Key, KeyedEvents
    from ordervet.entities.history import Erased
    from ordervet.entities.history.journal import Durability
    from ordervet.model import ForestPredictor, Model
    from ordervet.policy import Lang, Policy
    from ordervet.score.batch import ScoredOrders
    from ordervet.score.memory import Memory
    from ordervet.score.opening import Past
    from ordervet.score.shadow import Shadow

_log = logging.getLogger("ordervet")


class Scorer(BulkScorer):
    """Scores orders as they come, or tables of them, and remembers what it has seen.

    Open one with `Scorer.open`, and close it, or use it as a context manager. A scorer is used by one thread at a time.

    Parameters
    ----------
    model : the model that decides; None lets every order pass, coded UNSCORED_…
    policy : bands, actions, evidence
    key : the key of the ids; it must be the same for everything that shares a history
    predictor : the model's compiled forest, when it was built before
    code_without_model : why there is no model
    lang : language of the reasons
    n_jobs : threads for tables
    deadline_ms : a live score that takes longer is answered UNSCORED_LATE; None waits
    clock : gives the present instant, UTC microseconds; replaced in tests and replays
    memory : where events are remembered; None remembers them as long as the process lives
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
        self._models: Path | None = None
        self._policies_in: Path | None = None
        self._policy_path: str | Path | None = None
        self._shadow: Shadow | None = None
        self._reload_every_s: float | None = None
        self._looked_at_s = time.monotonic()

    @classmethod
    def open(
        cls,
        models: str | Path | None = None,
        *,
        history: Past | None = None,
        read_only: bool = False,
        durability: Durability = "batch",
        policy: str | Path | None = None,
        lang: Lang = "zh",
        n_jobs: int = 1,
        deadline_ms: float | None = None,
        clock: Callable[[], int] = now_us,
        challenger: str | None = None,
        shadow: str | Path | None = None,
        reload_every_s: float | None = None,
    ) -> Self:
        """Open a scorer with the live model of a models folder.

        It fails open: without a readable model or history the scorer works, and says so in every decision's code.

        Parameters
        ----------
        models : folder with a `live` pointer; None takes the bundled starter model
        history : the folder of a history store, which the scorer then adds to as its only writer until it is closed;
            or past events, or the files (or a folder of files) that hold them, in native form, which are only read
        read_only : read the store, and remember what follows as long as the process lives
        durability : what is acknowledged survives the death of the process; with "always" also that of the machine,
            with "batch" that a twentieth of a second later (docs/history.md)
        policy : a policy file; None takes the default
        lang, n_jobs, deadline_ms, clock : see the class
        challenger : id of a model of the folder that scores beside the live one, decides nothing, and is recorded
        shadow : file of these records; None takes ``shadow.sqlite`` in the folder of models
        reload_every_s : look for a new live model before a live order, when so many seconds have passed since the last
            look; None leaves it to `reload_if_changed`

        Raises
        ------
        HistoryError
            Another process is writing the history store, or this one may not.
        PolicyError, KeyMismatchError
            The policy file is wrong, or the key is not the history's: mistakes to mend, not to pass over.
        """
        folder = Path(models) if models else find_bundled_models()
        model, predictor, code = load_live(folder)
        key = load_key()
        rules = load_policy(policy)
        try:
            memory = open_memory(
                history,
                key,
                model.spec if model else None,
                is_read_only=read_only,
                n_jobs=n_jobs,
                durability=durability,
            )
        except HistoryLockedError:
            raise
        except (OSError, ContractError, HistoryError) as error:
            _log.error("the history cannot be read: %s", getattr(error, "message", type(error).__name__))
            model, predictor, memory, code = None, None, None, DecisionCode.UNSCORED_BROKEN_HISTORY
        scorer = cls(
            model, rules, key, predictor=predictor, code_without_model=code, lang=lang,
            n_jobs=n_jobs, deadline_ms=deadline_ms, clock=clock, memory=memory,
        )  # fmt: skip
        scorer._models, scorer._policy_path = folder, policy
        if isinstance(history, (str, Path)) and memory is not None and memory.history_version is not None:
            scorer._policies_in = None if read_only else Path(history)
        scorer._keep_policy()
        scorer._reload_every_s = reload_every_s
        if challenger is not None:
            from ordervet.score.shadow import open_shadow  # noqa: PLC0415 - only whoever has a challenger waits for it

            path = None if shadow is None else Path(shadow)
            scorer._shadow = open_shadow(folder, challenger, model, path=path, now_us=clock())
        return scorer

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
            checked = order if isinstance(order, Order) else Order.model_validate(order)
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
                checked[row] = order if isinstance(order, Order) else Order.model_validate(order)
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

    def reload_if_changed(self) -> bool:
        """Take over the model that serves now, with its compiled forest and the policy; call it between orders.

        Where the new model has other features, its state is built from the history first. Until all of it stands, and
        whenever it cannot be had, the old model goes on deciding.

        Returns
        -------
        whether another model decides from now on

        Raises
        ------
        HistoryError
            The history cannot be replayed for the new model's features.
        PolicyError
            The policy file is wrong.
        """
        if self._models is None:
            return False
        try:
            if self.model is not None and find_live_model(self._models).name == self.model.model_id:
                return False
        except ModelError as error:
            _log.error("the live model cannot be found: %s", error.message)
            return False
        model, predictor, _ = load_live(self._models)
        if model is None or (self.model is not None and model.model_id == self.model.model_id):
            return False
        policy = load_policy(self._policy_path)
        if self.model is None or self.model.spec != model.spec:
            self._memory.rebuild(model.spec)
        self.model, self._predictor, self.policy = model, predictor, policy
        self._keep_policy()
        return True

    def erase_buyer(self, buyer_id: str) -> Erased:
        """Erase a buyer from the history store and from what is remembered; see `History.erase_buyer`.

        Raises
        ------
        HistoryError
            The scorer has no store, or it cannot be written.
        """
        return self._memory.erase_buyer(buyer_id)

    def flush(self) -> None:
        """Bring all that was acknowledged into the history store, for other processes to read.

        Raises
        ------
        HistoryError
            The store cannot be written; what was acknowledged is in the journal.
        """
        self._memory.flush()

    def close(self) -> None:
        """Bring everything into the history store, and let others write it."""
        self._memory.close()
        if self._shadow is not None:
            self._shadow.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        """Remember one order, and decide about it without tables where it plainly passes; None without a model."""
        (order,) = orders
        if self._reader is None:
            self._reader = OneOrderReader(self._key)
        one = self._reader.read(order, self._arrivals.take_order(order.order_id))
        matrix = self._memory.take_one(one)
        if matrix is None or self.model is None:
            return None
        decision = self._find_decider().decide(one, matrix)
        if decision is None:
            events = build_one_event(one, self.model.spec)
            decision = self._decide_now(Features(one.table, events, matrix)).build_decision(0)
        if self._shadow is not None:
            features = Features(one.table, build_one_event(one, self.model.spec), matrix)
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
        """Take over a new live model, if it is time to look; whatever goes wrong, the old one goes on."""
        if self._reload_every_s is None or time.monotonic() - self._looked_at_s < self._reload_every_s:
            return
        self._looked_at_s = time.monotonic()
        try:
            self.reload_if_changed()
        except OrdervetError as error:
            _log.error("the new model was not taken over: %s", error.message)

    def _keep_policy(self) -> None:
        """Keep the policy beside the history store, for its decisions to be made again."""
        try:
            if self._policies_in is not None:
                keep_policy(self.policy, self._policies_in)
        except ContractError as error:
            _log.error("the policy was not kept: %s", error.message)

    def _find_decider(self) -> OneDecider:
        model, predictor = self._require()
        if self._decider is None or self._decider.policy is not self.policy or self._decider.model is not model:
            self._decider = OneDecider(model, predictor, self.policy, self._memory.history_version)
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
