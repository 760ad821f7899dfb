"""The scorer that an order system imports: orders in, decisions out, outcomes and verdicts observed on the way."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, SupportsIndex, TypeVar

import numpy as np
from pydantic import ValidationError

from ordervet.contract import Correction, Outcome, Verdict
from ordervet.contract.order_reader import find_fields, read_order
from ordervet.entities import load_key
from ordervet.entities.ids import to_signed
from ordervet.entities.keyed import ORDER_ID
from ordervet.errors import ContractError, ForkedError, HistoryError, HistoryLockedError, ModelError, OrdervetError
from ordervet.history.views import DECISION, IngestStatus
from ordervet.late_imports import pc
from ordervet.model import ForestPredictor, find_bundled_models, find_serving_model
from ordervet.policy import Action, Decision, DecisionCode, keep_policy, load_policy
from ordervet.policy.claims import ClaimAnswer, ClaimDecision
from ordervet.score.clock import ArrivalClock, now_us
from ordervet.score.live_decision import Desk, LiveDecider
from ordervet.score.live_order import LiveOrderReader, restore_order
from ordervet.score.online_state import Answered, Decided, OnlineState, find_decision
from ordervet.score.open_scorer import (
    check_past,
    create_history,
    find_store,
    load_live,
    open_state,
    warn_of_other_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from ordervet.contract import Events, Order
    from ordervet.entities import Key, KeyedEvents
    from ordervet.history import Erased, History
    from ordervet.history.arrivals import Settled
    from ordervet.history.handed import HandedOrder
    from ordervet.history.journal import Durability
    from ordervet.history.views import Row
    from ordervet.history.writer import Backlog
    from ordervet.late_imports import pa
    from ordervet.model import Model
    from ordervet.policy import DeskMemory, Lang, Policy
    from ordervet.policy.claim_desk import ClaimDesk
    from ordervet.score.live_claim import ClaimJudge
    from ordervet.score.live_decision import LiveDecided
    from ordervet.score.live_event import LiveEvent, LiveEventReader
    from ordervet.score.live_order import LiveOrder
    from ordervet.score.online_state import Features
    from ordervet.score.open_scorer import Past
    from ordervet.score.scored_orders import ScoredOrders
    from ordervet.score.shadow import Shadow

T = TypeVar("T")

_log = logging.getLogger("ordervet")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a scorer looks for its next model and policy.

    Parameters
    ----------
    models : folder with a `live` pointer
    policy : policy file; None for the default
    history : folder of the history store beside which policies are kept; None keeps none
    check_every_s : look before a live order, once so many seconds have passed; None only on request
    """

    models: Path
    policy: str | Path | None = None
    history: Path | None = None
    check_every_s: float | None = None


class Scorer:
    """Scores live orders and tables of orders, and remembers what it has seen.

    Open one with `Scorer.open`, and close it, or use it as a context manager. Any number of threads may use it; they
    take turns. It belongs to the process that opened it: in a forked child it answers UNSCORED_FORKED, other methods
    raise `ForkedError`, and nothing of the parent's is closed or written.

    Parameters
    ----------
    model : the model that decides; None lets every order pass, coded UNSCORED_…
    policy : bands, actions, evidence
    key : the key of the ids; it must be the same for everything that shares a history
    predictor : the model's compiled forest, if it was built before
    code_without_model : why there is no model
    lang : language of the reasons
    n_jobs : threads for tables
    deadline_ms : a live score that takes longer is answered UNSCORED_LATE; None waits
    clock : returns the time, UTC microseconds; replaced in tests and replays
    state : what is remembered; None remembers events as long as the process lives
    source : where the next model comes from; None keeps the model
    shadow : a challenger that scores beside the model

    Attributes
    ----------
    codes : how often each code was answered
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
        state: OnlineState | None = None,
        source: ModelSource | None = None,
        shadow: Shadow | None = None,
        desk_history: History | None = None,
    ) -> None:
        warn_of_other_key(model, key)
        self.model = model
        self.policy = policy
        self.codes: Counter[DecisionCode] = Counter()
        self._key = key
        self._pid, self._warned_pid = os.getpid(), 0
        self._lock = threading.RLock()
        self._lang: Lang = lang
        self._n_jobs = n_jobs
        self._code_without_model = code_without_model
        self._deadline_ms = deadline_ms
        self._predictor = predictor or (ForestPredictor(model.booster_text) if model else None)
        self._state = state or OnlineState(key, model.claim_spec if model else None, n_jobs=n_jobs, clock=clock)
        self._source, self._checked_s = source, time.monotonic()
        self._shadow = shadow
        self._read_now, self._clock = clock, ArrivalClock(clock)
        self._order_reader: LiveOrderReader | None = None
        self._event_reader: LiveEventReader | None = None
        self._decider: LiveDecider | None = None
        self._claim_judge: ClaimJudge | None = None
        self._claim_desk: ClaimDesk | None = None
        self._desk = Desk(desk_history, self._state.read_judgements)
        self._note_last()
        self._follow_quotas()
        self._keep_policy()

    @classmethod
    def open(
        cls,
        models: str | Path | None = None,
        *,
        history: Past | None = None,
        read_only: bool = False,
        create: bool = False,
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

        It fails open: with an unreadable model or history the scorer works, and says so in every decision's code.

        Parameters
        ----------
        models : folder of models; None, or one in which nothing was promoted yet, takes the bundled starter
        history : folder of a history store, which the scorer extends as its only writer until it is closed; or past
            events, or the files (or a folder of files) that hold them, in native form, which are only read
        read_only : only read the store; what follows is remembered as long as the process lives
        create : create an empty store where there is none, and log that; the folder must be empty or missing
        durability : acknowledged events survive a crash of the process; with "always" also one of the machine, with
            "batch" a twentieth of a second later (docs/history.md)
        policy : a policy file; None takes the default
        lang, n_jobs, deadline_ms, clock : see the class
        challenger : id of a model of the folder that scores beside the live one, decides nothing, and is recorded
        shadow : file of these records; None takes ``shadow.sqlite`` in the folder of models
        reload_every_s : before a live order, check for a new live model if so many seconds have passed since the last
            check; None leaves it to `reload_if_changed`

        Raises
        ------
        HistoryError
            There is no such history; another process is writing it, this one lacks permission, or it was forked after
            its parent had opened a history.
        PolicyError, KeyMismatchError
            The policy file is invalid, or the key is not the history's: mistakes to fix, not to pass over.
        """
        folder = Path(models) if models else find_bundled_models()
        model, predictor, code = load_live(folder)
        key = load_key()
        if key.is_ephemeral:
            _log.warning("no ORDERVET_KEY is set: ids last as long as this process (ordervet key new makes a key)")
        rules = load_policy(policy)
        if create:
            create_history(history, key)
        check_past(history)
        spec = model.claim_spec if model else None
        state: OnlineState | None = None
        try:
            state = open_state(
                history, key, spec, is_read_only=read_only, n_jobs=n_jobs, durability=durability, clock=clock
            )
        except (HistoryLockedError, ForkedError):
            raise
        except (OSError, ContractError, HistoryError) as error:
            _log.error("the history cannot be read: %s", getattr(error, "message", type(error).__name__))
            model, predictor, code = None, None, DecisionCode.UNSCORED_BROKEN_HISTORY
        is_stored = isinstance(history, (str, Path)) and state is not None and state.history_version is not None
        store = Path(history) if isinstance(history, (str, Path)) and is_stored and not read_only else None
        source = ModelSource(folder, policy, store, reload_every_s)
        try:
            watcher = _open_shadow(folder, challenger, model, shadow, clock()) if challenger else None
        except BaseException:
            if state is not None:
                state.close()
            raise
        return cls(
            model, rules, key, predictor=predictor, code_without_model=code, lang=lang, n_jobs=n_jobs,
            deadline_ms=deadline_ms, clock=clock, state=state, source=source, shadow=watcher,
            desk_history=find_store(store, key),
        )  # fmt: skip

    @property
    def backlog(self) -> Backlog | None:
        """What is acknowledged and not in the table of the history yet; None without a store."""
        return self._state.backlog

    def score(self, order: Order | dict[str, Any]) -> Decision:
        """Score one order at the time of its arrival, and remember it.

        An order that is sent again (a retry, or with something changed) gets the decision of the first time, and what
        is new about it is remembered; `rescore` decides again.

        Never raises: a failure is a decision that passes, with a code, counted in `codes` and logged without personal
        data. With a history store, an order that was scored is in the journal.

        Parameters
        ----------
        order : an Order, or a dict of its fields
        """
        if os.getpid() != self._pid:
            return self._pass_forked([order])[0]
        return self._score_checked(order, self._score_one)

    def rescore(self, order: Order | dict[str, Any] | str) -> Decision:
        """Decide about an order that was scored before by what is known now, and remember the decision.

        Nothing of the order itself counts as history. For after payment, or before shipping, say. An order that is not
        known is scored. Never raises, as `score`.

        Parameters
        ----------
        order : an Order, or a dict of its fields, as it is now; or the id of an order
        """
        if os.getpid() != self._pid:
            return self._pass_forked([{"order_id": order} if isinstance(order, str) else order])[0]
        if not isinstance(order, str):
            return self._score_checked(order, partial(self._score_one, is_again=True))
        with self._lock:
            return self._count(self._answer([order], lambda: self._rescore_id(order), time.perf_counter()))[0]

    def score_many(self, orders: Sequence[Order | dict[str, Any]]) -> list[Decision]:
        """Score orders that arrive together, in the order given, as `score` would one after the other.

        They share one entry of the journal. Never raises, as `score`.

        Parameters
        ----------
        orders : n_orders of them

        Returns
        -------
        n_orders decisions
        """
        started = time.perf_counter()
        if os.getpid() != self._pid:
            return self._pass_forked(orders)
        with self._lock:
            if not self._try_to_mend():
                return self._count(
                    [self._pass(_find_id(each), DecisionCode.UNSCORED_BROKEN_HISTORY) for each in orders]
                )
            decisions: dict[int, Decision] = {}
            new: dict[int, LiveOrder] = {}
            names: set[str] = set()

            def decide(rows: dict[int, LiveOrder], score: Callable[[], list[Decision] | None]) -> None:
                order_ids = [one.order.order_id for one in rows.values()]
                decisions.update(zip(rows, self._answer(order_ids, score, started), strict=True))

            for row, order in enumerate(orders):
                one = self._read_one(order)
                if isinstance(one, Decision):
                    decisions[row] = one
                elif self._is_plainly_new(one, names):
                    names.add(one.kept.order_name)
                    new[row] = one
                else:  # it is decided about after those before it
                    if new:
                        decide(new, partial(self._score_new, list(new.values())))
                        new, names = {}, set()
                    decide({row: one}, partial(self._score_live, one))
            if new:
                decide(new, partial(self._score_new, list(new.values())))
            return self._count([decisions[row] for row in range(len(orders))])

    def score_claim(self, claim: Outcome | dict[str, Any]) -> ClaimDecision:
        """Judge one refund request at the time of its arrival, and remember it.

        It is judged by what is known then, but for what else became of its order, and by itself: type, amount, reason,
        evidence, blame, and how soon it comes. A request that is asked again gets the answer of the first time, unless
        it says more or something else; then it is judged again, and takes no second place of the desk. Never raises, as
        `score`: what cannot be judged goes to a person, with a code.

        Parameters
        ----------
        claim : an Outcome of kind refund_requested, or a dict of its fields, which may leave the kind out
        """
        from ordervet.score.live_claim import read_claim

        code = DecisionCode.UNSCORED_ERROR
        applied: tuple[str, ...] = ()
        try:
            if os.getpid() != self._pid:
                code = DecisionCode.UNSCORED_FORKED
            else:
                checked = read_claim(claim)
                with self._lock:
                    return self._count_claim(self._judge_claim(checked))
        except (ContractError, ValidationError) as error:
            code = DecisionCode.UNSCORED_INVALID_ORDER
            applied = tuple(f"invalid_{field}" for field in find_fields(error, Outcome)) or ("unknown_order",)
        except ModelError:
            code = self._code_without_model
        except HistoryError as error:
            _log.error("not remembered: %s", error.message)
            code = DecisionCode.UNSCORED_BROKEN_HISTORY
        except Exception as error:  # noqa: BLE001 - no error of ours may stop a request
            _log.error("judging a claim failed: %s", type(error).__name__)
        model_id = self.model.model_id if self.model else None
        left = ClaimDecision.unscored(
            _find_id(claim), code, model_id=model_id, policy_id=self.policy.policy_id, applied=applied
        )
        return self._count_claim(left)

    def _judge_claim(self, claim: Outcome) -> ClaimDecision:
        """Judge a request, and remember it, whether it can be judged or not."""
        self._mend()
        self._check_for_new_model()
        asked_at = self._clock.stamp_order(claim.order_id)
        one, arrived_at = self._read_event(claim)
        settled = self._state.settle(one)
        was_handed = False
        if settled.standing:  # something is known of a request like it
            from ordervet.score.live_claim import find_same, list_answers

            answers = list_answers(settled.standing, one.row)
            if (same := find_same(answers, one.row)) is not None:
                return same
            was_handed = any(decision.answer is ClaimAnswer.PERSON for _, decision in answers)
        try:
            judge, desk = self._find_claim_judge(), self._find_claim_desk(asked_at)
            order, matrix, order_p = self._ask_of_claim(one, asked_at, settled.standing)
        finally:
            self._add_event(claim, one, arrived_at, settled)
        decision = judge.judge(claim, order, matrix, order_p, desk, was_handed=was_handed)
        if self._shadow is not None:
            self._shadow.watch_claim(claim, order, matrix, order_p, decision, live=judge.model, policy=self.policy)
        self._try_to_keep([Answered(decision, one.row, one.name_id, to_signed(order.order_id))])
        return decision

    def _ask_of_claim(
        self, claim: LiveEvent, asked_at: int, standing: Sequence[Row]
    ) -> tuple[LiveOrder, NDArray[np.float32], float]:
        """Return the order of a request, its features as of now, and what it was given when it was placed.

        Parameters
        ----------
        standing : all rows that there are of its order id, if they were read
        """
        # SPEED: an order that came live is asked for a third of the time of reading its rows (bench_live.py).
        if (found := self._state.find_kept(claim.name_id)) is not None:
            kept, p = found
            one = kept.recall(asked_at)
            return one, self._state.ask_one_again(one), math.nan if p is None else p
        rows = standing or self._state.read_rows(claim.row["order_id"])
        from ordervet.score.live_claim import find_order_p

        known_by = _find_order(rows)
        one = _restore(rows, known_by, asked_at)
        return one, self._state.ask_one_again(one), find_order_p(rows, known_by)

    def _find_claim_desk(self, at_us: int) -> ClaimDesk | None:
        """Return the desk of the policy's capacity for requests, as it stands; None where there is none."""
        capacity = self.policy.claims.capacity
        if capacity is None or (self._claim_desk is not None and self._claim_desk.capacity == capacity):
            return None if capacity is None else self._claim_desk
        from ordervet.policy.claim_desk import KEPT_US
        from ordervet.score.live_claim import open_desk, read_answer

        answers = map(read_answer, self._state.read_answers(at_us - KEPT_US))
        self._claim_desk = open_desk(capacity, answers)
        return self._claim_desk

    def _find_claim_judge(self) -> ClaimJudge:
        judge = self._claim_judge
        if judge is None or judge.model is not self.model or judge.policy is not self.policy:
            from ordervet.score.live_claim import ClaimJudge

            model, _ = self._require_model()
            judge = self._claim_judge = ClaimJudge(model, self.policy, self._lang)
        return judge

    def _count_claim(self, decision: ClaimDecision) -> ClaimDecision:
        self.codes[decision.code] += 1
        return decision

    def score_table(self, data: object, *, capacity: int | None = None, explain_all: bool = False) -> Any:
        """Score a table of orders, each as of its own time, and remember them.

        Parameters
        ----------
        data : pandas DataFrame, Arrow table, or anything with ``__arrow_c_stream__``; contract columns
        capacity : how many orders can be reviewed
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
        from ordervet.contract import Events, validate_events

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
        desk: DeskMemory | None = None,
        again_at_us: int | None = None,
        outcomes: pa.Table | None = None,
        now_us: int | None = None,
        as_of_orders: bool = False,
    ) -> ScoredOrders:
        """Score the orders among events in bulk: each sees exactly what was known before its own time.

        Orders from before the last event already seen are inserted at their place in time: what is remembered is
        replayed with them.

        Parameters
        ----------
        events : orders, and whatever became known about them or others
        since_us : decide only about orders seen at or after this time, UTC microseconds; None decides about all
        order_ids : decide only about these orders; None decides about all
        capacity : how many orders can be reviewed
        explain_all : give reasons for every order
        desk : what was judged and handed on before; None for nothing
        again_at_us : decide by what is known at this time, as `rescore` does, UTC microseconds; None decides by what
            was known before each order
        outcomes : what has become of the orders by now: their stages, with scripts and actions to match, are those of
            now; without it those of when they were placed
        now_us : the time it is, by which lists and rules end, UTC microseconds; None asks the clock
        as_of_orders : whether they end by the time of each order instead, to tell what was decided in the past

        Raises
        ------
        ModelError
            There is no model.
        HistoryError
            Events are known from after `again_at_us`.
        """
        with self._turn():
            features = self._add_past(events)
            if since_us is not None or order_ids is not None:
                is_asked = features.events.seen_at >= (since_us or 0)
                if order_ids is not None:
                    is_asked &= np.asarray(pc.is_in(features.orders["order_id"], order_ids))
                features = features.take(np.flatnonzero(is_asked))
            if again_at_us is not None:
                features = self._state.ask_again(features.orders, again_at_us)
            explain_rows = range(len(features.events)) if explain_all else ()
            return self._decide(
                features, capacity=capacity, explain_rows=explain_rows, desk=desk, outcomes=outcomes,
                now_us=None if as_of_orders else self._read_now() if now_us is None else now_us,
            )  # fmt: skip

    def explain_events(
        self, events: Events | KeyedEvents, order_id: str
    ) -> tuple[Decision, list[tuple[str, float, float]]]:
        """Decide about one order among events, and return what each feature contributed to its score.

        Returns
        -------
        the decision with its reasons, also when it passes; and per feature its name, value and contribution (log-odds),
        largest first, without those of 0

        Raises
        ------
        ContractError
            No order has this id.
        """
        with self._turn():
            features = self._add_past(events)
            ids = features.orders["order_id"].to_pylist()
            if order_id not in ids:
                raise ContractError(
                    f"there is no order with this id among {len(ids):,}",
                    hint="copy the id from the file, with its case",
                )
            row = ids.index(order_id)
            one = features.take(np.array([row]))
            scored = self._decide(one, explain_rows=[0], outcomes=events.outcomes, now_us=self._read_now())
            return scored.build_decision(0), self._list_parts(one.matrix)

    def warm_up(self) -> None:
        """Load what the first order would wait for, such as the tables of addresses; nothing is remembered."""
        with self._turn():
            order = read_order(
                {
                    "order_id": "none",
                    "placed_at": "2025-11-11 20:00:00",
                    "amount_minor": 1,
                    "address": "杭州市文三路 9 号",
                }
            )
            one = LiveOrderReader(self._key).read(order, 0)
            if self.model is not None:
                _, predictor = self._require_model()
                nothing = np.full((1, len(self.model.spec.names)), np.nan, np.float32)
                self._find_decider().decide(one, nothing)
                predictor.explain_one(nothing)

    def explain(self, order_id: str) -> tuple[Decision, list[tuple[str, float, float]]] | None:
        """Return the last decision about a known order, and what each feature adds to its score by what is known now.

        Where no decision was kept, it is one by what is known now, which is not remembered.

        Parameters
        ----------
        order_id : as given

        Returns
        -------
        the decision; and per feature its name, value and contribution, as of `explain_events`; None where there is no
        such order

        Raises
        ------
        ContractError
            Several orders have this id.
        ModelError
            There is no model.
        """
        with self._turn():
            self._require_model()
            rows = self._state.read_rows(order_id)
            if not any(row["event"] == "order" for row in rows):
                return None
            known_by = _find_order(rows)
            one = _restore(rows, known_by, self._clock.stamp_order(order_id))
            matrix = self._state.ask_one_again(one)
            told = find_decision(rows, known_by)
            if told is not None:
                decision = Decision.from_dict(json.loads(told))
            else:
                decision = self._decide_one(one, matrix, is_explained=True).decision
            return decision, self._list_parts(matrix)

    def _list_parts(self, matrix: NDArray[np.float32]) -> list[tuple[str, float, float]]:
        """List what each feature of one order adds to its score, the largest first."""
        model, predictor = self._require_model()
        shares = predictor.explain(self._pick_own(matrix))[0, :-1]
        ranked = [at for at in np.argsort(-np.abs(shares), kind="stable") if shares[at] != 0]
        return [(model.spec.names[at], float(matrix[0, at]), float(shares[at])) for at in ranked]

    def observe(self, event: Outcome | Verdict | Correction) -> None:
        """Remember an outcome, verdict or correction from the time of its arrival.

        With a history store, it is in the journal when this returns; an event that the history has is ignored.

        Raises
        ------
        ContractError
            The event breaks the contract, or is none.
        HistoryError
            The journal cannot be written: the event was not accepted.
        """
        if not isinstance(event, (Outcome, Verdict, Correction)):
            raise ContractError(
                f"observe: got {type(event).__name__}, expected Outcome, Verdict or Correction",
                hint='scorer.observe(Outcome(order_id="t1", kind="refund_requested", happened_at="2025-11-12 09:00"))',
            )
        with self._turn():
            self._add_event(event, *self._read_event(event))

    def _read_event(self, event: Outcome | Verdict | Correction) -> tuple[LiveEvent, int]:
        """Key an event at the time of its arrival, which is returned with it."""
        if self._event_reader is None:
            from ordervet.score.live_event import LiveEventReader

            self._event_reader = LiveEventReader(self._key)
        arrived_at = self._clock.stamp_event(event.order_id)
        return self._event_reader.read(event, arrived_at), arrived_at

    def _add_event(
        self,
        event: Outcome | Verdict | Correction,
        one: LiveEvent,
        arrived_at: int,
        settled: Settled | None = None,
    ) -> None:
        """Remember an event that was keyed at the time of its arrival, and perhaps settled since."""
        if not self._state.knows_order(one.name_id):
            self._clock.await_order(event.order_id)
        self._state.add_event(one, arrived_at, settled)
        self._desk.note(event)

    def observe_payload(
        self,
        format: str,  # noqa: A002 - what it is
        payload: str | bytes | dict[str, Any] | list[Any],
        *,
        shop: str | None = None,
    ) -> int:
        """Remember what a platform's message says became of orders, such as a webhook's payload.

        Parameters
        ----------
        format : of the document, such as ``shopify_api_orders``; `ordervet formats` lists them
        payload : JSON text, or what `json.loads` makes of it
        shop : of orders in it that name none

        Returns
        -------
        how many outcomes it holds; those that the history has already are ignored. Orders in it are not scored: that is
        what `score` is for

        Raises
        ------
        ContractError
            It is not JSON, not of the format, or breaks the contract.
        HistoryError
            As of `observe`.
        """
        from ordervet.contract.files.event_files import read_payload

        outcomes = read_payload(payload, format, shop=shop).outcomes.sort_by("happened_at")
        for row in outcomes.drop_columns(["seen_at"]).to_pylist():
            self.observe(Outcome(**row))
        return len(outcomes)

    def reload_if_changed(self) -> bool:
        """Switch to the model that is live now, with its compiled forest, and to the policy as its file is now.

        If the new model has other features, its state is built from the history first. Until everything is ready, and
        whenever anything is missing, the old model goes on deciding.

        Returns
        -------
        whether another model or policy decides from now on

        Raises
        ------
        HistoryError
            The history cannot be replayed for the new model's features.
        PolicyError
            The policy file is invalid.
        """
        with self._turn():
            return self._reload()

    def erase_buyer(self, buyer_id: str) -> Erased:
        """Erase a buyer from the history store and from the state; see `History.erase_buyer`.

        Raises
        ------
        HistoryError
            The scorer has no store, or it cannot be written.
        """
        return self.change_history(lambda history: history.erase_buyer(buyer_id))

    def change_history(self, change: Callable[[History], T]) -> T:
        """Change the history store in bulk, between two orders: what follows is decided by what it is then.

        Parameters
        ----------
        change : called once with the store, of which this scorer stays the writer

        Returns
        -------
        what `change` returns

        Raises
        ------
        HistoryError
            The scorer has no store, or it cannot be written.
        """
        with self._turn():
            changed = self._state.change_history(change)
            self._note_last()
            self._desk.recall_again()
            self._claim_desk = None
            return changed

    def hand_on(self, orders: Sequence[HandedOrder]) -> None:
        """Remember orders that somebody else has handed on to the desk."""
        with self._turn():
            self._desk.hand_on(orders)

    def flush(self) -> None:
        """Write everything acknowledged so far to the history store, for other processes to read.

        Raises
        ------
        HistoryError
            The store cannot be written; acknowledged events are in the journal.
        """
        with self._turn():
            self._state.flush()

    def close(self) -> None:
        """Write everything to the history store, and release it for other writers; in a forked child, do nothing."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._state.close()
            if self._shadow is not None:
                self._shadow.close()

    def refresh(self) -> bool:
        """Read again what the history store has become since it was opened or refreshed, if the scorer only reads it.

        What this scorer has seen itself stays remembered, and is counted once when the store has it too.

        Returns
        -------
        whether the store had a newer version

        Raises
        ------
        HistoryError
            The scorer does not read a store, or the store cannot be read.
        """
        with self._turn():
            is_newer = self._state.refresh()
            self._note_last()
            self._claim_desk = None
            return is_newer

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Scorer cannot be pickled or copied: its state and its history belong to one process\n"
            "hint: call Scorer.open(...) in each process; only one of them may write a history"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Take this thread's turn, or raise in a forked child."""
        if os.getpid() != self._pid:
            raise ForkedError(
                "this scorer was opened before the process was forked, and belongs to the parent",
                hint="open scorers only after the fork, in each worker; only one process may write a history",
            )
        with self._lock:
            self._mend()
            yield

    def _mend(self) -> None:
        """Build the state again where an exception of a signal handler has left it half changed."""
        if self._state.changes.depth:
            self._state.mend(self.model.claim_spec if self.model else None)
            self._claim_desk = None
            self._note_last()

    def _try_to_mend(self) -> bool:
        try:
            self._mend()
        except HistoryError as error:
            _log.error("the state cannot be built again: %s", error.message)
            return False
        return True

    def _pass_forked(self, orders: Sequence[Order | dict[str, Any]]) -> list[Decision]:
        """Let orders pass in a forked child, which must not touch what belongs to its parent."""
        if self._warned_pid != os.getpid():
            self._warned_pid = os.getpid()
            _log.error(
                "this scorer was opened before the process was forked: orders pass as %s and are not remembered; "
                "open scorers only after the fork, in each worker",
                DecisionCode.UNSCORED_FORKED,
            )
        return self._count([self._build_unscored(_find_id(order), DecisionCode.UNSCORED_FORKED) for order in orders])

    def _score_checked(
        self, order: Order | dict[str, Any], score: Callable[[Order], list[Decision] | None]
    ) -> Decision:
        started = time.perf_counter()
        try:
            checked = read_order(order)
        except (ContractError, ValidationError) as error:
            with self._lock:
                return self._count([self._pass_invalid(order, error)])[0]
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            _log.error("scoring failed: %s", type(error).__name__)
            with self._lock:
                return self._count([self._pass(_find_id(order), DecisionCode.UNSCORED_ERROR)])[0]
        with self._lock:
            return self._count(self._answer([checked.order_id], lambda: score(checked), started))[0]

    def _answer(
        self, order_ids: list[str], score: Callable[[], list[Decision] | None], started: float
    ) -> list[Decision]:
        """Remember and decide about valid orders; whatever fails, or is late, lets all of them pass."""
        code = DecisionCode.UNSCORED_ERROR
        n_handed = self._desk.n_handed
        try:
            self._mend()
            self._check_for_new_model()
            decisions = score()
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
        except BaseException:
            self._desk.withdraw(n_handed)
            raise
        self._desk.withdraw(n_handed)  # nobody is told of these decisions
        return [self._pass(order_id, code) for order_id in order_ids]

    def _score_one(self, order: Order, *, is_again: bool = False) -> list[Decision] | None:
        return self._score_live(self._read_live(order), is_again=is_again)

    def _is_plainly_new(self, one: LiveOrder, names: Collection[str]) -> bool:
        """Return whether nothing is known of an order, nor of one with its id among some others."""
        is_known = one.kept.order_name in names or self._state.knows_order(one.kept.name_id)
        return not is_known and not self._state.is_erased(one.kept)

    def _read_live(self, order: Order) -> LiveOrder:
        """Key an order at the time of its arrival."""
        if self._order_reader is None:
            self._order_reader = LiveOrderReader(self._key)
        return self._order_reader.read(order, self._clock.stamp_order(order.order_id))

    def _read_one(self, order: Order | dict[str, Any]) -> LiveOrder | Decision:
        """Check and key one of many orders; whatever is wrong with it lets it pass."""
        try:
            return self._read_live(read_order(order))
        except (ContractError, ValidationError) as error:
            return self._pass_invalid(order, error)
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            _log.error("scoring failed: %s", type(error).__name__)
            return self._pass(_find_id(order), DecisionCode.UNSCORED_ERROR)

    def _score_live(self, one: LiveOrder, *, is_again: bool = False) -> list[Decision] | None:
        """Remember and decide about one order; None without a model.

        Parameters
        ----------
        is_again : decide about a known order by what is known now, whatever was decided before
        """
        taken = self._state.add_order(one)
        if self.model is None:
            return None
        if taken.matrix is None:
            told = None if is_again else find_decision(taken.rows, taken.order_id)
            if told is not None:  # else it is not known from here, or a person has judged it since
                decision = Decision.from_dict(json.loads(told))
                # NOTE: the desk knows nothing of a decision that came too late.
                if decision.action is Action.PASS or self._desk.knows(one.order.order_id):
                    return [decision]
            return self._decide_again(taken.rows, taken.order_id, one.seen_at)
        n_handed = self._desk.n_handed
        decision = self._decide_new(one, taken.matrix)
        if taken.status is IngestStatus.ERASED:  # nothing is remembered of it
            self._desk.withdraw(n_handed)
            return [decision]
        self._keep_decisions([decision], [(one.kept.name_id, taken.order_id, one.seen_at)])
        return [decision]

    def _score_new(self, ones: list[LiveOrder]) -> list[Decision] | None:
        """Remember and decide about new orders of different ids, one after the other; None without a model."""
        matrices = self._state.add_new(ones)
        if self.model is None or matrices is None:
            return None
        decisions = [self._decide_new(one, matrix) for one, matrix in zip(ones, matrices, strict=True)]
        self._keep_decisions(decisions, [(one.kept.name_id, one.kept.name_id, one.seen_at) for one in ones])
        return decisions

    def _decide_one(self, one: LiveOrder, matrix: NDArray[np.float32], *, is_explained: bool = False) -> LiveDecided:
        """Decide about an order by what the desk knows and can take on now."""
        standing = self._desk.find_standing(one.kept.order_name)
        pace = self._desk.find_pace(one.seen_at, self.policy, self._require_model()[0])
        beyond = self._state.find_beyond(one.order_id)
        own = self._pick_own(matrix)
        return self._find_decider().decide(one, own, pace, standing, is_explained=is_explained, beyond=beyond)

    def _pick_own(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pick the features that orders are scored by among those of the state, which requests need too."""
        return matrix[:, : len(self._require_model()[0].spec.names)]

    def _decide_new(self, one: LiveOrder, matrix: NDArray[np.float32]) -> Decision:
        """Decide about a new order, and let the desk and the shadow know."""
        decided = self._decide_one(one, matrix)
        self._desk.record(one.seen_at, decided)
        if self._shadow is not None:
            self._shadow.watch(one, matrix, decided, live=self._require_model()[0], policy=self.policy)
        return decided.decision

    def _rescore_id(self, order_id: str) -> list[Decision] | None:
        """Decide by what is known now about the order of an id."""
        rows = self._state.read_rows(order_id)
        known_by = _find_order(rows)
        return None if self.model is None else self._decide_again(rows, known_by, self._clock.stamp_order(order_id))

    def _decide_again(self, rows: Sequence[Row], order_id: int, seen_at: int) -> list[Decision]:
        """Decide about a known order by what is known now, but for its own events.

        Parameters
        ----------
        rows : all that there is of its order id
        order_id : keyed id that it is known by, signed
        seen_at : UTC microseconds
        """
        one = _restore(rows, order_id, seen_at)
        decided = self._decide_one(one, self._state.ask_one_again(one))
        self._desk.record(seen_at, decided)
        decision = decided.decision
        name_id = next(row.get("name_id") or order_id for row in rows if row[ORDER_ID] == order_id)
        self._keep_decisions([decision], [(name_id, order_id, seen_at)])
        return [decision]

    def _keep_decisions(self, decisions: Sequence[Decision], of: Sequence[tuple[int, int, int]]) -> None:
        """Keep decisions for whoever sends the orders again; one that cannot be kept is given all the same.

        Parameters
        ----------
        of : of each the keyed order id alone, the keyed id of the order, and the instant
        """
        kept = [
            Decided(decision, name_id, order_id, seen_at)
            for decision, (name_id, order_id, seen_at) in zip(decisions, of, strict=True)
        ]
        self._try_to_keep(kept)

    def _try_to_keep(self, kept: Sequence[Decided | Answered]) -> None:
        try:
            self._state.keep_decisions(kept)
        except HistoryError as error:
            _log.error("decisions were not kept: %s", error.message)

    def _find_decider(self) -> LiveDecider:
        model, predictor = self._require_model()
        if self._decider is None or self._decider.policy is not self.policy or self._decider.model is not model:
            self._decider = LiveDecider(model, predictor, self.policy, self._lang, self._state.history_version)
        return self._decider

    def _decide(
        self,
        features: Features,
        *,
        capacity: int | None = None,
        explain_rows: Sequence[int] = (),
        desk: DeskMemory | None = None,
        outcomes: pa.Table | None = None,
        now_us: int | None = None,
    ) -> ScoredOrders:
        from ordervet.score.batch import score_batch

        model, predictor = self._require_model()
        return score_batch(
            features.orders, features.events, self._pick_own(features.matrix), model=model, predictor=predictor,
            policy=self.policy, lang=self._lang, capacity=capacity, explain_rows=explain_rows, n_threads=self._n_jobs,
            history_version=self._state.history_version, desk=desk, outcomes=outcomes, now_us=now_us,
            beyond=self._state.list_beyond(),
        )  # fmt: skip

    def _add_past(self, events: Events | KeyedEvents) -> Features:
        self._require_model()
        features = self._state.add_past(events)
        self._note_last()
        return features

    def _note_last(self) -> None:
        if self._state.last_seen_at is not None:
            self._clock.note(self._state.last_seen_at)

    def _require_model(self) -> tuple[Model, ForestPredictor]:
        if self.model is None or self._predictor is None:
            raise ModelError("there is no model to score with", hint="train one: ordervet train FILE... --models DIR")
        return self.model, self._predictor

    def _reload(self) -> bool:
        if self._source is None:
            return False
        found = self._find_new_model(self._source.models)
        is_named = self._source.policy is not None  # else it changes with the package alone
        policy = load_policy(self._source.policy) if is_named or found is not None else self.policy
        if found is None and policy.policy_id == self.policy.policy_id:
            return False
        if found is not None:
            model, predictor = found
            with self._state.changes:
                if self.model is None or self.model.claim_spec != model.claim_spec:
                    self._state.rebuild(model.claim_spec)
                self.model, self._predictor = model, predictor
        self.policy = policy
        self._follow_quotas()
        self._keep_policy()
        return True

    def _find_new_model(self, models: Path) -> tuple[Model, ForestPredictor] | None:
        """Load the model that is live now, if it is another one."""
        try:
            if self.model is not None and find_serving_model(models).name == self.model.model_id:
                return None
        except ModelError as error:
            _log.error("the live model cannot be found: %s", error.message)
            return None
        model, predictor, _ = load_live(models)
        if model is None or predictor is None or (self.model is not None and model.model_id == self.model.model_id):
            return None
        return model, predictor

    def _check_for_new_model(self) -> None:
        """Switch to a new live model, if a check is due; whatever fails, the old one goes on."""
        every_s = self._source.check_every_s if self._source is not None else None
        if every_s is None or time.monotonic() - self._checked_s < every_s:
            return
        self._checked_s = time.monotonic()
        try:
            self._reload()
        except OrdervetError as error:
            _log.error("the new model was not loaded: %s", error.message)

    def _follow_quotas(self) -> None:
        """Let the state give the places of the policy's quotas."""
        self._clock.parts_orders = bool(self.policy.quotas)
        self._state.follow_quotas(self.policy)

    def _keep_policy(self) -> None:
        """Save the policy beside the history store, so that its decisions can be replayed."""
        if self._source is None or self._source.history is None:
            return
        try:
            keep_policy(self.policy, self._source.history)
        except ContractError as error:
            _log.error("the policy was not saved: %s", error.message)

    def _pass(self, order_id: str, code: DecisionCode) -> Decision:
        _log.warning("order passed unscored: %s", code)
        return self._build_unscored(order_id, code)

    def _pass_invalid(self, order: object, error: ContractError | ValidationError) -> Decision:
        """Let an order pass that breaks the contract; the decision and the log name the fields, never their values."""
        fields = find_fields(error)
        order_id = _find_id(order)
        _log.warning("order %s passed unscored: invalid %s", order_id or "without id", ", ".join(fields) or "order")
        applied = tuple(f"invalid_{field}" for field in fields)
        return self._build_unscored(order_id, DecisionCode.UNSCORED_INVALID_ORDER, applied)

    def _build_unscored(self, order_id: str, code: DecisionCode, applied: tuple[str, ...] = ()) -> Decision:
        return Decision.unscored(
            order_id, code, model_id=self.model.model_id if self.model else None, policy_id=self.policy.policy_id,
            applied=applied,
        )  # fmt: skip

    def _count(self, decisions: list[Decision]) -> list[Decision]:
        for decision in decisions:
            self.codes[decision.code] += 1
        return decisions


def _open_shadow(models: Path, challenger: str, live: Model | None, file: str | Path | None, at_us: int) -> Shadow:
    from ordervet.score.shadow import open_shadow

    return open_shadow(models, challenger, live, path=None if file is None else Path(file), now_us=at_us)


def _restore(rows: Sequence[Row], order_id: int, seen_at: int) -> LiveOrder:
    """Build the order of a keyed id, signed, among rows, as it is asked about at a time."""
    return restore_order([row for row in rows if row[ORDER_ID] == order_id and row["event"] != DECISION], seen_at)


def _find_order(rows: Sequence[Row]) -> int:
    """Return the keyed id of the one order among rows."""
    ids = {row[ORDER_ID] for row in rows if row["event"] == "order"}
    if len(ids) != 1:
        raise ContractError(f"{len(ids)} orders have this id", hint="pass the order itself, with its shop_id")
    return int(ids.pop())


def _find_id(order: object) -> str:
    """Return the id of whatever was passed as an order; "" if it has none."""
    found = order.get("order_id") if isinstance(order, dict) else getattr(order, "order_id", None)
    return str(found) if isinstance(found, (str, int)) else ""
