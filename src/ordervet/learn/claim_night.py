"""What a night learns of refund requests: the merchant's own trees beside those that serve, where there are enough.

Requests on mature orders are learned from, up to the days that are held out; on these both are measured, and what ranks
worse, or pays less of what is honest at once, or more of what is not, does not serve. Then the trees that serve stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ordervet.contract.model import OutcomeKind
from ordervet.learn.claim_replay import replay_claims
from ordervet.learn.claim_training import MOST_PAID, fit_claims, measure_claims
from ordervet.learn.labels import INNOCENT, MALICIOUS
from ordervet.model import TrainingSet
from ordervet.model.fit import MIN_MALICIOUS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.history.slices import HistorySlices
    from ordervet.learn.claim_replay import ReplayedRequests
    from ordervet.learn.training_data import Plan, TrainingData
    from ordervet.learn.trial import Parts
    from ordervet.model import FitSettings
    from ordervet.model.claim_model import ClaimModel

LEARNED, KEPT, UNDECIDED, MISSING = "learned", "kept", "undecided", "missing"
NEEDED: Final = 4 * MIN_MALICIOUS
"""Requests of each kind to learn from: some to fit on, some to calibrate on."""

NEEDED_LATER: Final = 20
"""Requests of each kind on the later days, below which nothing is decided."""


@dataclass(frozen=True, slots=True)
class ClaimNight:
    """What a night made of requests.

    Parameters
    ----------
    model : what judges requests beside the new model; None where nothing can
    record : for the report, plain values: ``outcome``, ``counts``, ``missing``, and what was measured, ``metrics`` of
        the own trees and ``champion_metrics``
    """

    model: ClaimModel | None
    record: dict[str, Any]


def list_askable(slices: HistorySlices, plan: Plan) -> NDArray[np.uint64]:
    """List the keyed ids of the orders whose refund requests a night may learn from; none where they are too few."""
    rows = np.flatnonzero(_find_orders_asked_about(slices)[plan.rows] & (plan.weight > 0) & (plan.known_share == 1))
    most = _count(plan.label[rows])
    ids: NDArray[np.uint64] = slices.timeline.order_id[plan.rows[rows]]
    return ids[:0] if _list_missing({"train": most, "holdout": most}) else ids


def learn_claims_of_night(
    slices: HistorySlices,
    data: TrainingData,
    parts: Parts,
    spec: FeatureSpec,
    champion: ClaimModel | None,
    order_p: NDArray[np.float64],
    *,
    settings: FitSettings,
    pay_below: float,
    slice_orders: int,
    scratch: Path,
    n_threads: int,
    report_step: Callable[[str], None],
) -> ClaimNight:
    """Learn from the merchant's requests, and decide which trees are to judge the next ones.

    Parameters
    ----------
    data, parts : of the night
    spec : the new model's features of orders
    champion : the trees that serve, over these features; None where there are none
    order_p : shape (len(data.seen_at),), what the new model would have given orders that it was not fitted on; else NaN
    settings : of the fit
    pay_below : of the policy
    slice_orders, scratch : as of `replay_training_data`
    """
    known = ~np.isnan(order_p) & (data.plan.weight > 0) & (data.plan.known_share == 1)
    wanted = {name: rows[known[rows]] for name, rows in (("train", parts.train), ("holdout", parts.holdout))}
    has_asked = _find_orders_asked_about(slices)[data.plan.rows]
    counts = {name: _count(data.plan.label[rows[has_asked[rows]]]) for name, rows in wanted.items()}
    record: dict[str, Any] = {"counts": counts, "missing": _list_missing(counts)}
    if record["missing"]:
        is_later = all(each["what"].startswith("later") for each in record["missing"])
        return ClaimNight(champion, record | {"outcome": UNDECIDED if is_later else MISSING})
    rows = np.concatenate([each[has_asked[each]] for each in wanted.values()])
    order_ids = slices.timeline.order_id[data.plan.rows[rows]]
    replayed = data.requests
    if replayed is None or not replayed.suits(spec):
        report_step("replaying refund requests")
        replayed = replay_claims(
            slices, spec, order_ids, slice_orders=slice_orders, scratch=scratch, n_threads=n_threads
        )  # fmt: skip
    requests, row = _select_requests(replayed, spec, order_ids, rows, data, order_p)
    is_held = np.isin(row, wanted["holdout"])
    before = ~is_held & (requests.seen_at < data.seen_at[wanted["holdout"]].min())
    report_step("fitting the model of claims")
    own = fit_claims(
        requests.take(np.flatnonzero(before)), spec, settings, beside=champion, pay_below=pay_below, n_threads=n_threads
    )  # fmt: skip
    if own is None:
        return ClaimNight(champion, record | {"outcome": MISSING})
    later = requests.take(np.flatnonzero(is_held))
    measured = [
        None if each is None else measure_claims(each, later, spec, pay_below=pay_below, n_threads=n_threads)
        for each in (own, champion)
    ]
    record |= {"metrics": measured[0], "champion_metrics": measured[1]}
    if is_worse(measured[0] or {}, measured[1]):
        return ClaimNight(champion, record | {"outcome": KEPT})
    return ClaimNight(own, record | {"outcome": LEARNED})


def is_worse(ours: dict[str, Any], theirs: dict[str, Any] | None) -> bool:
    """Return whether trees rank requests worse than others, pay less of the honest at once, or too much of the rest.

    Parameters
    ----------
    ours, theirs : of `measure_claims` on the same requests; None where there are no others
    """
    if theirs is None:
        return False
    most_paid = max(theirs["malicious_paid"], MOST_PAID)
    is_behind = ours["ap"] < theirs["ap"] or ours["honest_paid"] < theirs["honest_paid"]
    return bool(is_behind or ours["malicious_paid"] > most_paid)


def _find_orders_asked_about(slices: HistorySlices) -> NDArray[np.bool_]:
    """Find the orders of which a refund was requested, shape (n_orders,), in the timeline's order."""
    timeline = slices.timeline
    has_asked = np.zeros(len(timeline.order_id), bool)
    asked = [at for at, name in enumerate(timeline.kinds) if name == OutcomeKind.REFUND_REQUESTED]
    has_asked[timeline.later_row[np.isin(timeline.later_kind, asked)]] = True
    return has_asked


def _count(label: NDArray[np.int8]) -> dict[str, int]:
    return {"malicious": int((label == MALICIOUS).sum()), "innocent": int((label == INNOCENT).sum())}


def _list_missing(counts: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """List what there is too little of: what, how much there is, what it takes."""
    needed = [
        ("train", "malicious", "malicious", NEEDED), ("train", "innocent", "innocent", NEEDED),
        ("holdout", "malicious", "later_malicious", NEEDED_LATER),
        ("holdout", "innocent", "later_innocent", NEEDED_LATER),
    ]  # fmt: skip
    return [
        {"what": what, "have": counts[part][kind], "need": need}
        for part, kind, what, need in needed
        if counts[part][kind] < need
    ]


def _select_requests(
    replayed: ReplayedRequests,
    spec: FeatureSpec,
    order_ids: NDArray[np.uint64],
    rows: NDArray[np.int64],
    data: TrainingData,
    order_p: NDArray[np.float64],
) -> tuple[TrainingSet, NDArray[np.int64]]:
    """Select the requests on some orders.

    Parameters
    ----------
    order_ids, rows : keyed ids of these orders, and their rows of the training data

    Returns
    -------
    the requests, and of each the row of its order
    """
    kept = np.flatnonzero(np.isin(replayed.order_id, order_ids))
    sorter = np.argsort(order_ids, kind="stable")
    row = rows[sorter[np.searchsorted(order_ids, replayed.order_id[kept], sorter=sorter)]]
    label, weight = data.plan.label[row], data.plan.weight[row]
    features = replayed.select(spec, kept, order_p[row])
    return TrainingSet(features, label == MALICIOUS, replayed.seen_at[kept], weight), row
