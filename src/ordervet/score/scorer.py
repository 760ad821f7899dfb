"""The scorer that an order system imports: orders in, decisions out, outcomes and verdicts observed on the way."""

from __future__ import annotations

import logging
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from ordervet.contract import Correction, Events, Order, Outcome, Verdict, event_schema, read_events, validate_events
from ordervet.entities import KeyedEvents, key_events, key_orders, load_key
from ordervet.errors import ContractError, HistoryError, ModelError
from ordervet.features import FeatureEngine, LaterEvents, OrderEvents, build_later_events, build_order_events
from ordervet.model import ForestPredictor, find_live_model, load_model
from ordervet.policy import Decision, DecisionCode, load_policy
from ordervet.score.batch import score_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.contract import EventKind
    from ordervet.entities import Key
    from ordervet.model import Model
    from ordervet.policy import Lang, Policy
    from ordervet.score.batch import ScoredOrders

_log = logging.getLogger("ordervet")

_FILE_STEMS = ("orders", "outcomes", "verdicts", "corrections")
_KIND_OF: dict[type, EventKind] = {Outcome: "outcomes", Verdict: "verdicts", Correction: "corrections"}


def _now_us() -> int:
    return time.time_ns() // 1_000


def find_bundled_models() -> Path:
    """Find the models that come with the package: inside it when installed, beside the sources in a checkout."""
    inside = Path(__file__).resolve().parents[1] / "bundled_models"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "models"


class Scorer:
    """Scores orders as they come, or tables of them, and remembers what it has seen.

    Open one with `Scorer.open`. A scorer is used by one thread at a time.

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
        clock: Callable[[], int] = _now_us,
    ) -> None:
        self.model = model
        self.policy = policy
        self.codes: Counter[DecisionCode] = Counter()
        self._key = key
        self._code_without_model = code_without_model
        self._lang: Lang = lang
        self._n_jobs = n_jobs
        self._deadline_ms = deadline_ms
        self._clock = clock
        self._predictor = predictor or (ForestPredictor(model.booster_text) if model else None)
        self._engine = FeatureEngine(model.spec, n_jobs=n_jobs) if model else None
        self._past_orders: list[OrderEvents] = []
        self._past_later: list[LaterEvents] = []

    @classmethod
    def open(
        cls,
        models: str | Path | None = None,
        *,
        history: Events | str | Path | Sequence[str | Path] | None = None,
        policy: str | Path | None = None,
        lang: Lang = "zh",
        n_jobs: int = 1,
        deadline_ms: float | None = None,
        clock: Callable[[], int] = _now_us,
    ) -> Self:
        """Open a scorer with the live model of a models folder.

        It fails open: without a readable model or history the scorer works, and says so in every decision's code.

        Parameters
        ----------
        models : folder with a `live` pointer; None takes the bundled starter model
        history : the folder of a history store; or past events, or the files (or a folder of files) that hold them, in
            native form
        policy : a policy file; None takes the default
        lang, n_jobs, deadline_ms, clock : see the class

        Raises
        ------
        PolicyError, KeyMismatchError
            The policy file is wrong, or the key is not the history's: mistakes to mend, not to pass over.
        """
        model, predictor, code = _load_live(Path(models) if models else find_bundled_models())
        scorer = cls(
            model, load_policy(policy), load_key(), predictor=predictor, code_without_model=code, lang=lang,
            n_jobs=n_jobs, deadline_ms=deadline_ms, clock=clock,
        )  # fmt: skip
        if history is not None:
            scorer._open_history(history)
        return scorer

    def score(self, order: Order | dict[str, Any]) -> Decision:
        """Score one order at the instant of its arrival, and remember it.

        Never raises: what goes wrong is a decision that passes, with a code, counted in `codes` and logged without
        personal data.

        Parameters
        ----------
        order : an Order, or a dict of its fields
        """
        started = time.perf_counter()
        order_id = str(order.get("order_id", "")) if isinstance(order, dict) else order.order_id
        try:
            decision = self._score_one(order)
            elapsed_ms = (time.perf_counter() - started) * 1_000
            if self._deadline_ms is not None and elapsed_ms > self._deadline_ms:
                decision = self._pass(order_id, DecisionCode.UNSCORED_LATE)
        except (ContractError, ValidationError):
            decision = self._pass(order_id, DecisionCode.UNSCORED_INVALID_ORDER)
        except ModelError:
            decision = self._pass(order_id, DecisionCode.UNSCORED_BROKEN_MODEL)
        except Exception as error:  # noqa: BLE001 - fail open: no error of ours may stop an order
            _log.error("scoring failed: %s", type(error).__name__)
            decision = self._pass(order_id, DecisionCode.UNSCORED_ERROR)
        self.codes[decision.code] += 1
        return decision

    def observe(self, event: Outcome | Verdict | Correction) -> None:
        """Remember an outcome, verdict or correction from the instant of its arrival on.

        Raises
        ------
        ContractError
            The event breaks the contract.
        """
        if self._engine is None:
            return
        kind = _KIND_OF[type(event)]
        table = _replace_seen_at(validate_events(kind, [event]), self._arrive())
        tables = {name: event_schema(name).empty_table() for name in ("orders", *_KIND_OF.values())} | {kind: table}
        self._advance(OrderEvents.empty(self._engine.spec), build_later_events(key_events(Events(**tables), self._key)))

    def score_table(self, data: object, *, capacity: int | None = None, explain_all: bool = False) -> Any:  # noqa: ANN401 - as given
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
        orders, order_events, features = self._build_features(events)
        if since_us is not None or order_ids is not None:
            is_asked = order_events.seen_at >= (since_us or 0)
            if order_ids is not None:
                is_asked &= np.asarray(pc.is_in(orders["order_id"], order_ids))
            rows = np.flatnonzero(is_asked)
            orders, order_events, features = orders.take(pa.array(rows)), order_events.take(rows), features[rows]
        explain_rows = range(len(order_events)) if explain_all else ()
        return self._decide(orders, order_events, features, capacity=capacity, explain_rows=explain_rows)

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
        orders, order_events, features = self._build_features(events)
        ids = orders["order_id"].to_pylist()
        if order_id not in ids:
            raise ContractError(
                f"there is no order with this id among {len(ids):,}", hint="copy the id from the file, with its case"
            )
        row = ids.index(order_id)
        one = np.array([row])
        scored = self._decide(orders.slice(row, 1), order_events.take(one), features[one], explain_rows=[0])
        shares = self._require()[1].explain(features[one])[0, :-1]
        names = self._require()[0].spec.names
        ranked = [at for at in np.argsort(-np.abs(shares), kind="stable") if shares[at] != 0]
        parts = [(names[at], float(features[row, at]), float(shares[at])) for at in ranked]
        return scored.build_decision(0), parts

    def _require(self) -> tuple[Model, ForestPredictor]:
        if self.model is None or self._predictor is None:
            raise ModelError("there is no model to score with", hint="train one: ordervet train FILE... --models DIR")
        return self.model, self._predictor

    def _build_features(self, events: Events | KeyedEvents) -> tuple[pa.Table, OrderEvents, NDArray[np.float32]]:
        model, _ = self._require()
        keyed = events if isinstance(events, KeyedEvents) else key_events(events, self._key)
        order_events = build_order_events(keyed.orders, model.spec)
        return keyed.orders, order_events, self._advance(order_events, build_later_events(keyed))

    def _decide(
        self,
        orders: pa.Table,
        order_events: OrderEvents,
        features: NDArray[np.float32],
        *,
        capacity: int | None = None,
        explain_rows: Sequence[int] = (),
    ) -> ScoredOrders:
        model, predictor = self._require()
        return score_batch(
            orders, order_events, features, model=model, predictor=predictor, policy=self.policy, lang=self._lang,
            capacity=capacity, explain_rows=explain_rows, n_threads=self._n_jobs,
        )  # fmt: skip

    def _score_one(self, order: Order | dict[str, Any]) -> Decision:
        checked = order if isinstance(order, Order) else Order.model_validate(order)
        if self.model is None:
            return self._pass(checked.order_id, self._code_without_model)
        orders = _replace_seen_at(validate_events("orders", [checked]), self._arrive())
        order_events = build_order_events(key_orders(orders, self._key), self.model.spec)
        features = self._advance(order_events, LaterEvents.empty())
        return self._decide(orders, order_events, features).build_decision(0)

    def _pass(self, order_id: str, code: DecisionCode) -> Decision:
        _log.warning("order passed unscored: %s", code)
        return Decision.unscored(
            order_id, code, model_id=self.model.model_id if self.model else None, policy_id=self.policy.policy_id
        )

    def _arrive(self) -> int:
        """Give the instant of arrival; it never goes back, whatever the clock does."""
        return max(self._clock(), self._engine.last_seen_at if self._engine else 0)

    def _advance(self, orders: OrderEvents, later: LaterEvents) -> NDArray[np.float32]:
        engine = self._engine
        if engine is None:
            raise ModelError("there is no model to build features for")
        earliest = min(int(part.seen_at.min(initial=2**62)) for part in (orders, later))
        is_past = earliest < engine.last_seen_at
        features = self._replay_with(orders, later) if is_past else engine.advance(orders, later)
        if len(orders):
            self._past_orders.append(orders)
        if len(later):
            self._past_later.append(later)
        return features

    def _replay_with(self, orders: OrderEvents, later: LaterEvents) -> NDArray[np.float32]:
        """Build the state anew from everything remembered, with the new events in their place in time."""
        known = [order_id for part in self._past_orders for order_id in part.order_id]
        if np.isin(orders.order_id, known).any():
            raise HistoryError(
                "some of these orders were scored before", hint="score each order once, or open a new scorer"
            )
        engine = FeatureEngine(self._require()[0].spec, n_jobs=self._n_jobs)
        features = engine.advance(
            OrderEvents.concat([orders, *self._past_orders]), LaterEvents.concat([later, *self._past_later])
        )
        self._engine = engine
        return features[: len(orders)]

    def _open_history(self, history: Events | str | Path | Sequence[str | Path]) -> None:
        try:
            events = self._read_history(history)
            if self.model is not None:
                self._build_features(events)
        except (OSError, ContractError, HistoryError) as error:
            _log.error("the history cannot be read: %s", type(error).__name__)
            self.model, self._engine, self._predictor = None, None, None
            self._code_without_model = DecisionCode.UNSCORED_BROKEN_HISTORY

    def _read_history(self, history: Events | str | Path | Sequence[str | Path]) -> Events | KeyedEvents:
        if isinstance(history, Events):
            return history
        if isinstance(history, (str, Path)):
            # NOT: at the top. Whoever has no store does not wait for Delta Lake.
            from ordervet.entities.history import History, is_history  # noqa: PLC0415 -- see above

            if is_history(history):
                return History.open(history, self._key).read()
        return read_events(list_event_files(history))[0]


def _load_live(models: Path) -> tuple[Model | None, ForestPredictor | None, DecisionCode]:
    try:
        folder = find_live_model(models)
    except ModelError as error:
        _log.warning("no model: %s", error.message)
        return None, None, DecisionCode.UNSCORED_NO_MODEL
    try:
        model = load_model(folder)
        return model, ForestPredictor(model.booster_text), DecisionCode.SCORED
    except ModelError as error:
        _log.error("broken model: %s", error.message)
        return None, None, DecisionCode.UNSCORED_BROKEN_MODEL


def list_event_files(history: str | Path | Sequence[str | Path]) -> list[Path]:
    """List files; of a folder, those named after a kind of event (orders.csv, outcomes-november.parquet)."""
    if not isinstance(history, (str, Path)):
        return [Path(path) for path in history]
    folder = Path(history)
    return sorted(p for p in folder.iterdir() if p.name.startswith(_FILE_STEMS)) if folder.is_dir() else [folder]


def _replace_seen_at(table: pa.Table, seen_at_us: int) -> pa.Table:
    at = table.schema.get_field_index("seen_at")
    values = pa.array([seen_at_us] * table.num_rows, pa.int64()).cast(table.schema.field(at).type)
    return table.set_column(at, table.schema.field(at), values)
