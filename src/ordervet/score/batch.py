"""From features to decisions, for any number of orders at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ordervet.contract import MaliceKind
from ordervet.policy import (
    ACTIONS,
    BANDS,
    Action,
    Decision,
    DecisionCode,
    assign_reasons,
    decide,
    find_spec,
    own_history_log_odds,
    script_for_reasons,
)
from ordervet.score.beyond import find_overlay, find_test_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from ordervet.features import OrderEvents
    from ordervet.model import ForestPredictor, Model
    from ordervet.policy import (
        Decided,
        Lang,
        Pace,
        Policy,
        Reason,
        TestOrder,
    )

#: Entities whose absence the desk should know about, with the words for each kind of absence.
MISSING_ENTITIES = ("buyer", "address", "phone", "device", "ip")
EVIDENCE_WORDS = ("", "absent", "masked", "unusable")

#: Earlier orders of the buyer on record; the feature that the rule of minimum evidence reads.
_N_KNOWN = "buyer__count__order__90d"

_PASS = ACTIONS.index(Action.PASS)

DECISION_SCHEMA = pa.schema(
    {
        "order_id": pa.string(),
        "placed_at": pa.timestamp("us", "UTC"),
        "p_malicious": pa.float64(),
        "risk_score": pa.int64(),
        "band": pa.string(),
        "action": pa.string(),
        "kind": pa.string(),
        "reasons": pa.string(),
        "script": pa.string(),
        "missing": pa.string(),
        "model_id": pa.string(),
        "code": pa.string(),
        "route": pa.string(),
        "applied": pa.string(),
    }
)


@dataclass(frozen=True, slots=True)
class ScoredOrders:
    """Decisions about a batch of orders, row by row.

    Parameters
    ----------
    order_ids : n_orders ids
    placed_at : shape (n_orders,), instants
    raw : shape (n_orders,), log-odds of the model
    p_malicious : shape (n_orders,)
    risk_score : shape (n_orders,), int64, 0 to 1000
    bands, actions : shape (n_orders,), positions in BANDS and ACTIONS
    reasons, kinds : row to what was found there; only rows that were explained
    missing : per order, codes of missing evidence
    model_id, policy_id : what decided
    orders : shape (n_orders, n_columns), the keyed orders, row by row
    pace : what was handed on at the instant of these orders; None where they were cut all at once, or not at all
    routes, applied : row to who looks at it, and to what lists and rules found; only rows of which there is any
    codes : row to why it was left unscored; only such rows
    history_version : version of the history store that was open; None without a store
    """

    order_ids: list[str]
    placed_at: pa.ChunkedArray
    raw: NDArray[np.float64]
    p_malicious: NDArray[np.float64]
    risk_score: NDArray[np.int64]
    bands: NDArray[np.int8]
    actions: NDArray[np.int8]
    reasons: dict[int, list[Reason]]
    kinds: dict[int, MaliceKind]
    missing: list[tuple[str, ...]]
    model_id: str
    policy_id: str
    orders: pa.Table
    pace: Pace | None = None
    routes: dict[int, str] = field(default_factory=dict)
    applied: dict[int, tuple[str, ...]] = field(default_factory=dict)
    codes: dict[int, DecisionCode] = field(default_factory=dict)
    history_version: int | None = None

    def __len__(self) -> int:
        return len(self.order_ids)

    @classmethod
    def concat(cls, parts: Sequence[ScoredOrders]) -> ScoredOrders:
        """Put batches that one model and policy decided about behind each other; at least one."""
        starts = np.cumsum([0, *map(len, parts)]).tolist()

        def shift(name: str) -> dict[int, Any]:
            pairs = zip(starts, parts, strict=False)
            return {start + row: each for start, part in pairs for row, each in getattr(part, name).items()}

        def join(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        first = parts[0]
        return replace(
            first,
            order_ids=[each for part in parts for each in part.order_ids],
            placed_at=pa.chunked_array(
                [chunk for part in parts for chunk in part.placed_at.chunks], first.placed_at.type
            ),
            raw=join("raw"),
            p_malicious=join("p_malicious"),
            risk_score=join("risk_score"),
            bands=join("bands"),
            actions=join("actions"),
            reasons=shift("reasons"),
            kinds=shift("kinds"),
            routes=shift("routes"),
            applied=shift("applied"),
            codes=shift("codes"),
            missing=[each for part in parts for each in part.missing],
            orders=pa.concat_tables([part.orders for part in parts]),
        )

    def rank_flagged(self) -> NDArray[np.int64]:
        """Give the rows of flagged orders: the strictest action first, then the riskiest."""
        rows = np.flatnonzero(self.actions != _PASS)
        ids = np.array([self.order_ids[row] for row in rows.tolist()], np.str_)
        order = np.lexsort((ids, -self.raw[rows], -self.p_malicious[rows], -self.actions[rows]))
        return rows[order]

    def build_decision(self, row: int) -> Decision:
        """Give one row as a Decision."""
        return self._build(row, self.orders["seen_at"][row].as_py())

    def _build(self, row: int, seen_at: datetime) -> Decision:
        if row in self.codes:
            return Decision.unscored(
                self.order_ids[row], self.codes[row], model_id=self.model_id, policy_id=self.policy_id
            )
        kind = self.kinds.get(row)
        reasons = tuple(self.reasons.get(row, ()))
        return Decision(
            order_id=self.order_ids[row],
            action=ACTIONS[self.actions[row]],
            band=BANDS[self.bands[row]],
            p_malicious=float(self.p_malicious[row]),
            risk_score=int(self.risk_score[row]),
            kind=kind,
            reasons=reasons,
            script=script_for_reasons(reasons, kind).id if self.actions[row] != _PASS else None,
            missing=self.missing[row],
            model_id=self.model_id,
            policy_id=self.policy_id,
            code=DecisionCode.SCORED,
            seen_at=seen_at,
            history_version=self.history_version,
            pace=self.pace and replace(self.pace, slots=int(self.actions[row] != _PASS)),
            route=self.routes.get(row),
            applied=self.applied.get(row, ()),
        )

    def build_table(self, rows: NDArray[np.int64] | None = None) -> pa.Table:
        """Give rows as a table of plain columns, `DECISION_SCHEMA`; all of them in order when none are named."""
        chosen = range(len(self)) if rows is None else [int(row) for row in rows]
        seen_at = self.orders["seen_at"].take(pa.array(chosen, pa.int64())).to_pylist()
        decisions = [self._build(row, at) for row, at in zip(chosen, seen_at, strict=True)]
        columns = {
            "order_id": [d.order_id for d in decisions],
            "p_malicious": [d.p_malicious for d in decisions],
            "risk_score": [d.risk_score for d in decisions],
            "band": [d.band and str(d.band) for d in decisions],
            "action": [str(d.action) for d in decisions],
            "kind": [d.kind and str(d.kind) for d in decisions],
            "reasons": [" | ".join(f"{r.code} {r.text}" for r in d.reasons) or None for d in decisions],
            "script": [d.script for d in decisions],
            "missing": [" ".join(d.missing) or None for d in decisions],
            "model_id": [d.model_id for d in decisions],
            "code": [str(d.code) for d in decisions],
            "route": [d.route for d in decisions],
            "applied": [" ".join(d.applied) or None for d in decisions],
        }
        placed_at = self.placed_at.take(pa.array(chosen, pa.int64()))
        return pa.table(
            [placed_at if name == "placed_at" else pa.array(columns[name], type_)
             for name, type_ in zip(DECISION_SCHEMA.names, DECISION_SCHEMA.types, strict=True)],
            schema=DECISION_SCHEMA,
        )  # fmt: skip


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
) -> ScoredOrders:
    """Decide about orders whose features are known.

    Parameters
    ----------
    orders : canonical orders table
    events : the same orders as arrays, row by row
    features : shape (n_orders, n_features)
    model, predictor, policy : what decides
    lang : language of the reasons
    capacity : orders the desk can look at; None takes the policy's
    explain_rows : rows that get reasons even when they pass
    n_threads : threads of the forest
    pace : what is handed on at this instant, where orders come one by one; takes the place of a capacity
    history_version : version of the history store that is open
    """
    order_ids: list[str] = orders["order_id"].to_pylist()
    amounts = events.amount_minor
    raw = predictor.predict_raw(features, n_threads=n_threads)
    p = model.calibration(raw)
    forced = find_test_orders(policy, order_ids)
    p[list(forced)] = 0.0  # they take nobody's place
    overlay = find_overlay(policy, orders, events, features, model.spec)
    explainer = _Explainer(model, predictor, features, lang, n_threads)
    n_known = count_known_orders(model, features)

    def run(p_without: NDArray[np.float64], kinds: list[MaliceKind | None] | None = None) -> Decided:
        return decide(
            policy, p, amount_minor=amounts, kinds=kinds, n_orders_known=n_known, p_without_own_history=p_without,
            order_ids=order_ids, placed_at_us=events.seen_at, capacity=capacity, overlay=overlay, pace=pace,
        )  # fmt: skip

    is_thin = n_known < policy.evidence.min_orders
    p_without = _discount_own_history(p, raw, model, explainer, run, is_thin)
    is_flagged = run(p_without).actions != _PASS
    rows = np.union1d(np.flatnonzero(is_flagged), np.asarray([*explain_rows, *forced], np.int64))
    reasons = dict(zip(rows.tolist(), explainer.find_reasons(rows), strict=True))
    kinds = _name_kinds(model, features, np.flatnonzero(is_flagged), reasons)
    named: list[MaliceKind | None] = [None] * len(p)
    for row, kind in kinds.items():
        named[row] = kind
    decided = run(p_without, named)
    scored = ScoredOrders(
        order_ids=order_ids,
        placed_at=orders["placed_at"],
        raw=raw,
        p_malicious=p,
        risk_score=np.floor(model.risk_scale(raw)).astype(np.int64),
        bands=decided.bands,
        actions=decided.actions,
        reasons=reasons,
        kinds=kinds,
        missing=_list_missing(events),
        model_id=model.model_id,
        policy_id=policy.policy_id,
        orders=orders,
        pace=pace,
        routes=overlay.routes if overlay else {},
        applied=overlay.applied if overlay else {},
        codes={row: test.code for row, test in forced.items() if test.band is None},
        history_version=history_version,
    )
    _force(scored, forced, policy)
    return scored


def _force(scored: ScoredOrders, forced: dict[int, TestOrder], policy: Policy) -> None:
    """Give test orders what their ids name."""
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
    """Contributions of rows, computed once each."""

    def __init__(
        self, model: Model, predictor: ForestPredictor, features: NDArray[np.float32], lang: Lang, n_threads: int
    ) -> None:
        self._names = model.spec.names
        self._predictor, self._features = predictor, features
        self._lang: Lang = lang
        self._n_threads = n_threads
        self._known: dict[int, NDArray[np.float64]] = {}

    def find_contributions(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give shape (len(rows), n_features), log-odds."""
        new = np.array([row for row in rows.tolist() if row not in self._known], np.int64)
        shares = self._predictor.explain(self._features[new], n_threads=self._n_threads)[:, :-1]
        self._known.update(zip(new.tolist(), shares, strict=True))
        return np.array([self._known[row] for row in rows.tolist()]).reshape(len(rows), len(self._names))

    def find_own_history(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give shape (len(rows),), log-odds by which the buyer's own history raised the score."""
        return own_history_log_odds(self._names, self.find_contributions(rows))

    def find_reasons(self, rows: NDArray[np.int64]) -> list[list[Reason]]:
        """Give each row's reasons, the strongest first."""
        contributions = self.find_contributions(rows)
        return assign_reasons(self._names, contributions, self._features[rows], lang=self._lang)


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
    under a capacity a discounted order can make room for another one, which is then looked at in turn.
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


def count_known_orders(model: Model, features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Read how many earlier orders of the buyer are on record; without the feature, enough of them."""
    if _N_KNOWN not in model.spec.names:
        return np.full(len(features), np.iinfo(np.int64).max)
    return np.nan_to_num(features[:, model.spec.names.index(_N_KNOWN)], nan=0.0).astype(np.int64)


def _name_kinds(
    model: Model, features: NDArray[np.float32], rows: NDArray[np.int64], reasons: dict[int, list[Reason]]
) -> dict[int, MaliceKind]:
    """Name the kind of flagged orders: by the model of kinds, else by the strongest reason that points to one."""
    learned = model.kinds.name_kinds(features[rows]) if model.kinds and len(rows) else [None] * len(rows)
    kinds = {}
    for row, name in zip(rows.tolist(), learned, strict=True):
        pointed = (kind for reason in reasons[row] if (kind := find_spec(reason.code).kind))
        kind = MaliceKind(name) if name else next(pointed, None)
        if kind:
            kinds[row] = kind
    return kinds


def _list_missing(events: OrderEvents) -> list[tuple[str, ...]]:
    """Name what is missing, order by order; all orders that miss the same share one tuple."""
    names = [name for name in MISSING_ENTITIES if name in events.evidence]
    states = len(EVIDENCE_WORDS)
    # SPEED: one number per order; sorting whole rows takes longer than all the rest (bench_path.py).
    number = np.zeros(len(events), np.int64)
    for name in names:
        number = number * states + events.evidence[name]
    words: dict[int, tuple[str, ...]] = {}
    for each in np.flatnonzero(np.bincount(number)).tolist():
        codes = [each // states**place % states for place in reversed(range(len(names)))]
        words[each] = tuple(f"{name}_{EVIDENCE_WORDS[code]}" for name, code in zip(names, codes, strict=True) if code)
    return [words[each] for each in number.tolist()]
