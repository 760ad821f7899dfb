"""Learn the model of refund requests: each is judged by what was known when it was made.

What its order was given when it was placed is a feature. The model of orders was fitted on most of these orders, and
knows them better than it will know those to come; so here each half of the time is scored by trees fitted on the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ordervet.features import FeatureEngine, OrderEvents
from ordervet.features.claim_features import (
    CLAIM_NAMES,
    ITEM_NAMES,
    ask_orders,
    build_claim_events,
    build_claim_features,
    build_claim_spec,
)
from ordervet.learn.challenger import MIN_FOR_STEPS, SHARES
from ordervet.learn.ranking import Ranking, measure_ranking
from ordervet.model import TrainingSet
from ordervet.model.calibration import Curve, fit_calibration, fit_log_odds, fit_logistic_calibration
from ordervet.model.claim_model import ClaimModel
from ordervet.model.fit import MIN_MALICIOUS, fit_booster, split_by_time
from ordervet.model.merge import merge_boosters
from ordervet.model.predictor import Predictor
from ordervet.model.protections import Bound, Protection
from ordervet.policy.claims import ClaimSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.features.claim_features import ClaimEvents
    from ordervet.learn.train import Prepared
    from ordervet.model import FitSettings

PAY_BELOW: Final = ClaimSettings().pay_below
"""Requests below this probability of malice are paid at once, unless a policy says otherwise."""

MOST_PAID: Final = 0.02
"""Most of the malicious requests that may be paid at once, where those before did not pay more."""

_CALIBRATION_SHARE = 0.3
_SMALL = {"num_rounds": 300, "num_leaves": 15, "learning_rate": 0.04, "min_data_in_leaf": 40}
_WITHOUT_HISTORY = Protection(
    where=(
        Bound(feature="claim__is__refund_only", at_least=1),
        Bound(feature="buyer__count__refund_only__90d", at_most=0, or_unknown=True),
    ),
    weight=3,
)
"""First requests for money without a return, which the buyers of a faulty batch make."""
_FAULTY_SHARE = 0.05  # of the item's orders; of an item without a fault 1 or 2 %
_NEVER_WORSE: dict[str, Literal[-1, 1]] = dict.fromkeys((*ITEM_NAMES, "claim__is__seller_fault"), -1)
"""The more others ask for their money back, or the shop is at fault, the less is held against a request."""


@dataclass(frozen=True, slots=True)
class Requests:
    """A merchant's refund requests whose orders are labelled, each with its order.

    Parameters
    ----------
    claims : n of them
    row : shape (n,), the rows of their orders
    orders : of each its order
    label : shape (n,), int8: 1 or 0
    features : shape (n, n_features), of the orders as of the requests
    """

    claims: ClaimEvents
    row: NDArray[np.int64]
    orders: OrderEvents
    label: NDArray[np.int8]
    features: NDArray[np.float32]

    def build_training_set(self, order_p: NDArray[np.float64]) -> TrainingSet:
        """Build what is learned from.

        Parameters
        ----------
        order_p : shape (n_orders,), what the merchant's orders were given when they were placed; NaN where nothing
        """
        own = build_claim_features(self.claims, self.orders, order_p[self.row])
        return TrainingSet(np.hstack([self.features, own]), self.label == 1, self.claims.seen_at)


def replay_requests(
    prepared: Prepared, spec: FeatureSpec, *, label: NDArray[np.int8] | None = None, n_jobs: int = 1
) -> Requests:
    """Replay a merchant's events, and ask about each labelled order again when a refund of it was requested.

    Parameters
    ----------
    spec : the features of orders; requests have more
    label : shape (n_orders,), in place of the merchant's own
    """
    label = prepared.label if label is None else label
    claims = build_claim_events(prepared.keyed.outcomes)
    asked, row, place = ask_orders(prepared.orders, claims)
    kept = np.flatnonzero(label[row] >= 0)
    asked, row, claims = asked.take(kept), row[kept], claims.take(place[kept])
    every = FeatureEngine(build_claim_spec(spec), n_jobs=n_jobs).advance(
        OrderEvents.concat([prepared.orders, asked]), prepared.later
    )
    return Requests(claims, row, prepared.orders.take(row), label[row], every[len(prepared.orders) :])


def measure_claims(
    model: ClaimModel, claims: TrainingSet, spec: FeatureSpec, *, pay_below: float = PAY_BELOW, n_threads: int = 1
) -> dict[str, Any]:
    """Measure a model of claims on requests that it was not fitted on.

    Parameters
    ----------
    spec : the features of orders

    Returns
    -------
    counts, ``auc`` and ``ap``, that of what the orders were given (``ap_order``), and which shares would be paid at
    once: ``honest_paid``, of them ``faulty_paid`` (see `find_faulty`), and ``malicious_paid``; None where there are
    none
    """
    p = model.predict(claims.features, n_threads=n_threads)
    is_malicious = claims.is_malicious
    order_p = np.nan_to_num(claims.features[:, -1].astype(np.float64), nan=0.0)

    def find_paid(is_in: NDArray[np.bool_]) -> float | None:
        return float((p[is_in] < pay_below).mean()) if is_in.any() else None

    return measure_ranking(p, is_malicious) | {
        "ap_order": measure_ranking(order_p, is_malicious)["ap"],
        "honest_paid": find_paid(~is_malicious),
        "faulty_paid": find_paid(~is_malicious & find_faulty(claims.features, spec)),
        "malicious_paid": find_paid(is_malicious),
    }


def find_faulty(features: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.bool_]:
    """Find the requests for money alone for an item of which as much is asked back as of a faulty batch, shape (n,)."""
    at = {name: place for place, name in enumerate(_list_names(spec))}
    if ITEM_NAMES[0] not in at:
        return np.zeros(len(features), bool)
    is_for_money: NDArray[np.bool_] = features[:, at["claim__is__refund_only"]] == 1
    is_asked: NDArray[np.bool_] = features[:, at[ITEM_NAMES[0]]] >= _FAULTY_SHARE
    return np.logical_and(is_for_money, is_asked)


def score_orders_across_time(
    orders: TrainingSet, names: tuple[str, ...], settings: FitSettings, *, n_threads: int = 1
) -> NDArray[np.float64]:
    """Give each labelled order the probability that trees fitted on the other half of the time give it.

    Returns
    -------
    shape (len(orders),), NaN where one of the halves has too few orders of a kind
    """
    middle = np.sort(orders.seen_at)[len(orders) // 2] if len(orders) else 0
    halves = [np.flatnonzero(orders.seen_at < middle), np.flatnonzero(orders.seen_at >= middle)]
    found = np.full(len(orders), np.nan)
    for own, other in (halves, halves[::-1]):
        n_malicious = int(orders.is_malicious[other].sum())
        if min(n_malicious, len(other) - n_malicious) < MIN_MALICIOUS or not len(own):
            continue
        text = fit_booster(orders.take(other), names, settings, n_threads=n_threads)
        scored = orders.take(own)
        if 0 < int(scored.is_malicious.sum()) < len(scored):
            raw = Predictor(text).predict_raw(scored.features, n_threads=n_threads)
            found[own] = fit_calibration(raw, scored.is_malicious, scored.weight)(raw)
    return found


def fit_claims(
    claims: TrainingSet,
    spec: FeatureSpec,
    settings: FitSettings,
    *,
    beside: ClaimModel | None = None,
    pay_below: float = PAY_BELOW,
    n_threads: int = 1,
) -> ClaimModel | None:
    """Fit the model of claims on the older requests, and calibrate it on the newest.

    Whom the fit of orders protects is not whom requests are unfair to: here it is those without a history, whose
    request is like that of the buyers of a faulty batch.

    Parameters
    ----------
    claims : labelled requests, any order; features of the order as of then, then the request's own
    spec : the features of orders
    settings : whose seed and constraints are taken; the trees are small whatever it says
    beside : trees that serve, over the same features: the new ones are added to them, in log-odds, weighted as it ranks
        the newest requests best, and pay as many of these at once; None for the new ones alone
    pay_below : of the policy
    n_threads : threads; the trees do not depend on it

    Returns
    -------
    the model, or None where either part has fewer than `MIN_MALICIOUS` malicious or innocent requests
    """
    older, newer = split_by_time(claims.sort(), 1 - _CALIBRATION_SHARE)
    for part in (older, newer):
        n_malicious = int(part.is_malicious.sum())
        if min(n_malicious, len(part) - n_malicious) < MIN_MALICIOUS:
            return None
    names = _list_names(spec)
    own = _SMALL | {"protected": (_WITHOUT_HISTORY,), "monotone": settings.monotone | _NEVER_WORSE}
    text = fit_booster(older, names, settings.model_copy(update=own), n_threads=n_threads)
    if beside is not None:
        text = _add_up(text, beside, newer, names, n_threads)
    raw = Predictor(text).predict_raw(newer.features, n_threads=n_threads)
    # NOTE: between steps that stand on a few dozen malicious requests a line would leave honest ones unpaid.
    is_smooth = beside is not None and int(newer.is_malicious.sum()) < MIN_FOR_STEPS
    fit = fit_logistic_calibration if is_smooth else fit_calibration
    curve = fit(raw, newer.is_malicious, newer.weight)
    if beside is not None:
        paid = beside.predict(newer.features, n_threads=n_threads) < pay_below
        curve = _pay_as_many(curve, raw, paid, newer.weight, pay_below)
    return ClaimModel(text, curve)


def _pay_as_many(
    curve: Curve,
    raw: NDArray[np.float64],
    paid: NDArray[np.bool_],
    weight: NDArray[np.int64] | None,
    pay_below: float,
) -> Curve:
    """Shift a calibration until as many requests are paid at once as by other trees, where it would pay fewer.

    Parameters
    ----------
    raw, weight : of requests
    paid : whether the other trees pay them
    """
    each = np.ones(len(raw)) if weight is None else weight.astype(np.float64)
    order = np.argsort(raw, kind="stable")
    n_paid = float(each[paid].sum())
    at = min(int(np.searchsorted(np.cumsum(each[order]), n_paid)), len(raw) - 1)
    shift = float(raw[order][at]) - float(np.interp(pay_below, curve.y, curve.x))
    return Curve(curve.x + shift, curve.y) if shift > 0 else curve


def _add_up(own: str, beside: ClaimModel, newer: TrainingSet, names: tuple[str, ...], n_threads: int) -> str:
    """Add trees to others by the weight, in log-odds, by which the sum ranks requests best."""
    weight = np.ones(len(newer)) if newer.weight is None else newer.weight.astype(np.float64)
    texts = (beside.booster_text, own)
    raws = [Predictor(text).predict_raw(newer.features, n_threads=n_threads) for text in texts]
    slopes = [max(fit_log_odds(raw, newer.is_malicious, newer.weight)[1], 0.0) for raw in raws]
    best, parts = -1.0, [(own, 1.0)]
    for share in SHARES:
        scales = (1 - share) * slopes[0], share * slopes[1]
        ap = Ranking(scales[0] * raws[0] + scales[1] * raws[1], newer.is_malicious).measure_ap(weight)
        if any(scales) and ap > best:
            best, parts = ap, list(zip(texts, scales, strict=True))
    return merge_boosters(parts, names)


def _list_names(spec: FeatureSpec) -> tuple[str, ...]:
    return (*build_claim_spec(spec).names, *CLAIM_NAMES)
