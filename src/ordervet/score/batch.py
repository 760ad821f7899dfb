"""From features to decisions, for any number of orders; and what overrides scores: lists, rules, test orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy import (
    ACTIONS,
    BANDS,
    STAGES,
    STRICTEST,
    Action,
    build_overlay,
    decide,
    find_reasons,
    find_spec,
    find_test_order,
    list_missing,
    list_own_history,
    own_history_log_odds,
)
from ordervet.policy.desk import MARK_CODES, STANDING_CODES, Mark
from ordervet.policy.forcing import PREFIX
from ordervet.policy.missing import MISSING_ENTITIES
from ordervet.policy.overlay import ORDER
from ordervet.policy.rules import TEXT_FIELDS
from ordervet.policy.trust import TrustGate, name_trust
from ordervet.score.live_decision import count_known_orders
from ordervet.score.scored_orders import RowReasons, ScoredOrders
from ordervet.score.stages import find_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec, OrderEvents
    from ordervet.model import ForestPredictor, Model
    from ordervet.policy import (
        Decided,
        DeskMemory,
        FoundReasons,
        Lang,
        Overlay,
        Pace,
        Policy,
        TestOrder,
    )

_PASS = ACTIONS.index(Action.PASS)
_STRICTEST = np.array([ACTIONS.index(STRICTEST[stage]) for stage in STAGES], np.int8)
_KINDS = {str(kind): kind for kind in MaliceKind}


def score_batch(
    orders: pa.Table,
    events: OrderEvents,
    features: NDArray[np.float32],
    *,
    model: Model,
    predictor: ForestPredictor,
    policy: Policy,
    lang: Lang = "zh",
    capacity: int | None = None,
    explain_rows: Sequence[int] = (),
    n_threads: int = 1,
    pace: Pace | None = None,
    history_version: int | None = None,
    desk: DeskMemory | None = None,
    outcomes: pa.Table | None = None,
    now_us: int | None = None,
    beyond: Mapping[int, tuple[str, ...]] | None = None,
) -> ScoredOrders:
    """Decide about orders from their features.

    Parameters
    ----------
    orders : canonical orders table
    events : the same orders as arrays, row by row
    features : shape (n_orders, n_features)
    model, predictor, policy : what decides
    lang : language of the reasons
    capacity : how many orders can be reviewed; None takes the policy's
    explain_rows : rows that get reasons even when they pass
    n_threads : threads of the forest
    pace : what may be passed to review now, where orders come one by one; replaces a capacity
    history_version : version of the open history store
    desk : what was judged and handed on before; None for nothing
    outcomes : what has become of the orders since they were placed, which says at which stage they are now
    now_us : lists and rules count that have not expired by then, UTC microseconds; None asks of each order whether they
        had when it was seen, as past decisions are told again
    beyond : keyed id → codes of the quotas that the order is beyond, of all orders of the history (`find_beyond`)

    Raises
    ------
    PolicyError
        The policy has quotas, and what orders are beyond is not given.
    """
    stages = find_stages(orders, outcomes)
    order_ids: list[str] = orders["order_id"].to_pylist()
    amounts = events.compute_worth()
    raw = predictor.predict_raw(features, n_threads=n_threads)
    p = model.calibration(raw)
    forced = find_test_orders(policy, order_ids)
    p[list(forced)] = 0.0  # they use no capacity
    overlay = find_overlay(policy, orders, events, features, model.spec, now_us, beyond)
    explainer = _Explainer(model, predictor, features, lang, n_threads)
    n_known = count_known_orders(model, features)

    def run(p_without: NDArray[np.float64], kinds: list[MaliceKind | None] | None = None) -> Decided:
        return decide(
            policy, p, amount_minor=amounts, kinds=kinds, n_orders_known=n_known, p_without_own_history=p_without,
            order_ids=order_ids, placed_at_us=events.seen_at, capacity=capacity, overlay=overlay, pace=pace,
            desk=desk, strictest=_STRICTEST[stages],
        )  # fmt: skip

    is_thin = n_known < policy.evidence.min_orders
    p_without = _discount_own_history(p, raw, model, explainer, run, is_thin)
    first = run(p_without)
    is_flagged = first.actions != _PASS
    rows = np.union1d(np.flatnonzero(is_flagged), np.asarray([*explain_rows, *forced], np.int64))
    reasons = RowReasons(rows, explainer.find_reasons(rows))
    # NOTE: an order of the audit is suspected of nothing.
    kinds = _name_kinds(model, features, np.flatnonzero(is_flagged & (first.marks != Mark.AUDIT)), reasons)
    named: list[MaliceKind | None] = [None] * len(p)
    for row, kind in kinds.items():
        named[row] = kind
    decided = run(p_without, named)
    trusted = _find_trusted(policy, model, features, p, decided, overlay.applied if overlay else {})
    scored = ScoredOrders(
        order_ids=order_ids,
        placed_at=orders["placed_at"],
        raw=raw,
        p_malicious=p,
        risk_score=np.floor(model.risk_scale(raw)).astype(np.int64),
        bands=decided.bands,
        actions=decided.actions,
        standings=decided.standings,
        takes_slot=decided.takes_slot,
        stages=stages,
        reasons=reasons,
        kinds=kinds,
        missing=list_missing(
            {name: events.evidence[name] for name in MISSING_ENTITIES if name in events.evidence}, len(events)
        ),
        model_id=model.model_id,
        policy_id=policy.policy_id,
        orders=orders,
        pace=pace,
        routes=overlay.routes if overlay else {},
        applied=_note_desk(decided, overlay.applied if overlay else {}, trusted),
        codes={row: test.code for row, test in forced.items() if test.band is None},
        history_version=history_version,
    )
    _force(scored, forced, policy)
    return scored


def _find_trusted(
    policy: Policy,
    model: Model,
    features: NDArray[np.float32],
    p: NDArray[np.float64],
    decided: Decided,
    applied: dict[int, tuple[str, ...]],
) -> dict[int, tuple[str, ...]]:
    """Find whose orders are trusted: row → code."""
    if policy.trust is None:
        return {}
    gate = TrustGate.of(policy.trust, model.metrics.get("trust"), model.spec.names)
    earns = gate.earns(features, p) & (decided.actions == _PASS) & (decided.bands == 0)
    rows = np.union1d(np.flatnonzero(earns), np.array([*applied], np.int64))
    standings = decided.standings[rows].tolist()
    named = (
        (row, name_trust(applied.get(row, ()), standing, earns=is_earned))
        for row, standing, is_earned in zip(rows.tolist(), standings, earns[rows].tolist(), strict=True)
    )
    return {row: codes for row, codes in named if codes}


def _note_desk(
    decided: Decided, applied: dict[int, tuple[str, ...]], trusted: dict[int, tuple[str, ...]]
) -> dict[int, tuple[str, ...]]:
    """Add the codes of what the desk knew of orders, of what its capacity did to them, and of trust."""
    for values, codes in ((decided.standings, STANDING_CODES), (decided.marks, MARK_CODES)):
        for row in np.flatnonzero(values).tolist():
            if code := codes[values[row]]:
                applied[row] = (*applied.get(row, ()), code)
    for row, named in trusted.items():
        applied[row] = (*applied.get(row, ()), *named)
    return applied


def _force(scored: ScoredOrders, forced: dict[int, TestOrder], policy: Policy) -> None:
    """Give test orders the decisions their ids name."""
    for row, test in forced.items():
        scored.actions[row], scored.bands[row] = _PASS, 0
        scored.kinds.pop(row, None)
        scored.routes.pop(row, None)
        scored.applied.pop(row, None)
        if test.band is None:
            continue
        if test.kind is not None:
            scored.kinds[row] = test.kind
        scored.bands[row] = BANDS.index(test.band)
        scored.actions[row] = ACTIONS.index(policy.actions_for(test.kind)[test.band])
        scored.p_malicious[row], scored.risk_score[row] = test.p_malicious, test.risk_score


class _Explainer:
    """Contributions per row: of all features for reasons, of some where these are enough."""

    def __init__(
        self, model: Model, predictor: ForestPredictor, features: NDArray[np.float32], lang: Lang, n_threads: int
    ) -> None:
        self._names = model.spec.names
        self._predictor, self._features = predictor, features
        self._lang: Lang = lang
        self._n_threads = n_threads

    def find_own_history(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the log-odds by which the buyer's own history raised the score, shape (len(rows),)."""
        own = list_own_history(self._names)
        shares = self._predictor.explain_some(self._features[rows], own, n_threads=self._n_threads)
        return own_history_log_odds([self._names[column] for column in own], shares)

    def find_reasons(self, rows: NDArray[np.int64]) -> FoundReasons:
        """Return each row's reasons, strongest first."""
        features = self._features[rows]
        contributions = self._predictor.explain(features, n_threads=self._n_threads)[:, :-1]
        return find_reasons(self._names, contributions, features, lang=self._lang)


def _discount_own_history(
    p: NDArray[np.float64],
    raw: NDArray[np.float64],
    model: Model,
    explainer: _Explainer,
    run: Callable[[NDArray[np.float64]], Decided],
    is_thin: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Find the probability without the buyer's own history, for every order whose band or action could depend on it.

    It counts where evidence is thin. A discount only lowers a probability, so an order in the lowest band needs none;
    under a capacity a discounted order can make room for another one, which is then discounted in turn.
    """
    p_without = p.copy()
    is_discounted = ~is_thin
    while True:
        decided = run(p_without)
        rows = np.flatnonzero(((decided.actions != _PASS) | (decided.bands > 0)) & ~is_discounted)
        if len(rows) == 0:
            return p_without
        p_without[rows] = np.minimum(p[rows], model.calibration(raw[rows] - explainer.find_own_history(rows)))
        is_discounted[rows] = True


def _name_kinds(
    model: Model, features: NDArray[np.float32], rows: NDArray[np.int64], reasons: RowReasons
) -> dict[int, MaliceKind]:
    """Name the kind of flagged orders: by the model of kinds, else by the strongest reason that points to one."""
    learned = model.kinds.name_kinds(features[rows]) if model.kinds and len(rows) else [None] * len(rows)
    kinds = {row: _KINDS[name] for row, name in zip(rows.tolist(), learned, strict=True) if name}
    nameless = np.array([row for row in rows.tolist() if row not in kinds], np.int64)
    for row, codes in zip(nameless.tolist(), reasons.list_codes(nameless), strict=True):
        kind = next((kind for code in codes if (kind := find_spec(code).kind)), None)
        if kind:
            kinds[row] = kind
    return kinds


def find_overlay(
    policy: Policy,
    orders: pa.Table,
    events: OrderEvents,
    features: NDArray[np.float32],
    spec: FeatureSpec,
    now_us: int | None = None,
    beyond: Mapping[int, tuple[str, ...]] | None = None,
) -> Overlay | None:
    """Look up orders in the policy's lists, evaluate its rules, and find which are beyond its quotas.

    Parameters
    ----------
    policy : may have neither
    orders : keyed orders table
    events : the same orders as arrays, row by row
    features : shape (n_orders, n_features)
    spec : names the features; a rule about any other never applies
    now_us, beyond : as for `score_batch`

    Returns
    -------
    Overlay, shape (n_orders,); None without lists, rules, quotas and an audit
    """
    if not policy.lists.entries and not policy.rules and not policy.quotas and policy.audit is None:
        return None
    if policy.quotas and beyond is None:
        raise PolicyError("a quota needs all orders before", hint="score with the history, or the file in one piece")
    found = {row: beyond[each] for row, each in enumerate(events.order_id.tolist()) if each in beyond} if beyond else {}
    columns = _read_columns(policy, orders, features, spec)
    at_us = events.seen_at if now_us is None else np.full(len(events), now_us)
    return build_overlay(policy, at_us, ids=read_ids(policy, orders), columns=columns, beyond=found)


def find_test_orders(policy: Policy, order_ids: Sequence[str]) -> dict[int, TestOrder]:
    """Find test orders, whose ids name the decision they get.

    Parameters
    ----------
    policy : whether test orders are allowed
    order_ids : n_orders ids

    Returns
    -------
    row → the decision it gets; empty if the policy allows no test orders
    """
    if not policy.allow_test_orders:
        return {}
    found = ((row, find_test_order(each)) for row, each in enumerate(order_ids) if each.startswith(PREFIX))
    return {row: test for row, test in found if test is not None}


def read_ids(policy: Policy, orders: pa.Table) -> dict[str, NDArray[np.uint64]]:
    """Read the keyed ids that a policy's lists and audit ask for: entity → shape (n_orders,), 0 where not known."""
    entities = {entry.entity for entry in policy.lists.entries}
    if policy.audit is not None:
        entities.add(ORDER)
    names = [f"id__{entity}" for entity in sorted(entities) if f"id__{entity}" in orders.column_names]
    return {name.removeprefix("id__"): orders[name].to_numpy() for name in names}


def _read_columns(
    policy: Policy, orders: pa.Table, features: NDArray[np.float32], spec: FeatureSpec
) -> dict[str, NDArray[Any]]:
    position = {name: at for at, name in enumerate(spec.names)}
    columns: dict[str, NDArray[Any]] = {}
    for name in {name for rule in policy.rules for name in rule.expression.names}:
        if name in position:
            columns[name] = features[:, position[name]].astype(np.float64)
        elif name in orders.column_names:
            is_text = name in TEXT_FIELDS
            columns[name] = _read_texts(orders[name]) if is_text else _read_numbers(orders[name])
    return columns


def _read_texts(column: pa.ChunkedArray) -> NDArray[Any]:
    texts: NDArray[Any] = np.array([None, *column.cast(pa.string()).to_pylist()], object)[1:]
    return texts


def _read_numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return numbers
