"""Which orders are mature enough to learn from, and their labels: docs/definitions.md L1, docs/nightly.md N1 to N3.

An order enters the night's data at an age, not when its label comes. Verdicts of malice come within days; that an order
was innocent is only ever known by silence. Taking labels as they come would overstate fraud among the newest orders,
taking the silent fresh as innocent would understate it; both shift the calibration. So all orders of a day enter
together, and what is known of younger ones is kept apart: malice that was found early, and beside it orders that count
for no more than the share of malice that is known by their age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.contract.model import OutcomeKind
from ordervet.contract.verdicts import CORRECTED, MILDNESS, find_standing_rows
from ordervet.features.events import JUDGEMENT_BIT, RANK_CORRECTION
from ordervet.features.spec import SELECTOR_BIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features import LaterEvents, OrderEvents
    from ordervet.history.slices import Timeline
    from ordervet.learn.night_settings import Maturity

DAY_US = 86_400_000_000
MALICIOUS, INNOCENT, UNKNOWN = 1, 0, -1
#: Malicious verdicts on mature orders below which nobody can tell how fast verdicts come.
MIN_VERDICTS = 20
#: A timeline's word for a judgement: how mild it is (docs/definitions.md V4), and the label it gives.
_MILDNESS = MILDNESS | {"correction": MILDNESS[CORRECTED]}
_LABEL = {"malicious": MALICIOUS, "unsure": UNKNOWN, "innocent": INNOCENT, "correction": INNOCENT}


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of every order at the cut-off, in the timeline's order; every array of shape (n_orders,)."""

    label: NDArray[np.int8]  # int8: 1 malicious, 0 innocent, -1 not known (yet)
    is_judged: NDArray[np.bool_]  # a verdict or correction stands, mature or not
    verdict: NDArray[np.int8]  # int8: what the standing judgement says, mature or not; -1 without one
    verdict_at: NDArray[np.int64]  # UTC microseconds of the standing judgement; 0 without one
    early: NDArray[np.int8]  # int8: as `label`, of orders too young for it: what is known of them early
    #: of the malice among orders of this age, the share that is known by then: 1 for orders old enough for `label`
    known_share: NDArray[np.float64]


def label_orders(orders: OrderEvents, later: LaterEvents, *, as_of: int, maturity_us: int) -> NDArray[np.int8]:
    """Label orders by what was known at a time (docs/definitions.md L1, L2).

    The standing judgement seen up to `as_of` decides. An order nobody judged is innocent once it is older than the
    maturity; before that it is not known.

    Returns
    -------
    shape (n_orders,), int8: 1, 0, or -1 where not known
    """
    label = np.where(orders.seen_at <= as_of - maturity_us, INNOCENT, UNKNOWN).astype(np.int8)
    judged = np.flatnonzero(((later.mask & JUDGEMENT_BIT) != 0) & (later.seen_at <= as_of))
    sorter = np.argsort(orders.order_id, kind="stable")
    at = np.minimum(np.searchsorted(orders.order_id, later.order_id[judged], sorter=sorter), max(len(orders) - 1, 0))
    rows = sorter[at] if len(orders) else at
    is_known = orders.order_id[rows] == later.order_id[judged] if len(orders) else np.zeros(0, bool)
    judged, rows = judged[is_known], rows[is_known]
    standing = find_standing_rows(rows, later.seen_at[judged], later.rank[judged], len(orders))
    is_judged = standing >= 0
    by = judged[standing[is_judged]]
    value = np.select(
        [(later.mask[by] & SELECTOR_BIT["malicious"]) != 0, (later.mask[by] & SELECTOR_BIT["innocent"]) != 0],
        [MALICIOUS, INNOCENT],
        default=np.where(later.rank[by] == RANK_CORRECTION, INNOCENT, UNKNOWN),
    )
    label[is_judged] = value
    return label


def label_mature_orders(timeline: Timeline, *, as_of_us: int, maturity: Maturity) -> Labels:
    """Label the orders that are mature at the cut-off, given the events seen before it (docs/nightly.md N2, N3).

    An order is mature at the age `order_days`. Then its standing judgement decides, when that has stood for its
    `verdict_days`; an order that nobody judged is innocent, when `outcome_days` have passed since each of its outcomes.
    Everything else is not known. Of younger orders the same is kept apart, with the share of malice that is known by
    their age: of the malicious verdicts on older orders, those that had stood for their `verdict_days` by then.
    """
    mildness = np.array([_MILDNESS.get(each, -1) for each in timeline.kinds] or [-1])
    value = np.array([_LABEL.get(each, UNKNOWN) for each in timeline.kinds] or [0], np.int8)
    judged = np.flatnonzero(mildness[timeline.later_kind] >= 0)
    what, seen_at = timeline.later_kind[judged], timeline.later_seen_at[judged]
    standing = find_standing_rows(timeline.later_row[judged], seen_at, mildness[what], len(timeline.order_id))
    is_judged = standing >= 0
    verdict, verdict_at = np.full(len(standing), UNKNOWN, np.int8), np.zeros(len(standing), np.int64)
    verdict[is_judged], verdict_at[is_judged] = value[what[standing[is_judged]]], seen_at[standing[is_judged]]
    label = np.where(is_judged, verdict, INNOCENT).astype(np.int8)
    for name, each in (("malicious", MALICIOUS), ("innocent", INNOCENT)):
        stood_since = as_of_us - int(maturity.verdict_days.get(name, 0.0) * DAY_US)
        label[is_judged & (verdict == each) & (verdict_at > stood_since)] = UNKNOWN
    label[_find_waiting(timeline, as_of_us, maturity) & ~is_judged] = UNKNOWN
    is_old = timeline.order_seen_at <= as_of_us - int(maturity.order_days * DAY_US)
    known_after = verdict_at - timeline.order_seen_at + int(maturity.verdict_days.get("malicious", 0.0) * DAY_US)
    known_after = np.sort(known_after[is_old & (label == MALICIOUS)])
    return Labels(
        label=np.where(is_old, label, UNKNOWN).astype(np.int8),
        is_judged=is_judged,
        verdict=verdict,
        verdict_at=verdict_at,
        early=np.where(is_old, UNKNOWN, label).astype(np.int8),
        known_share=np.where(is_old, 1.0, _find_known_share(known_after, as_of_us - timeline.order_seen_at)),
    )


def measure_maturity(timeline: Timeline, labels: Labels, *, days: int = 60) -> list[float]:
    """Measure which share of the verdicts of malice had come by each age of the order, in whole days.

    Only orders at least `days` old count, so that the late verdicts of young orders are not missing.

    Returns
    -------
    `days` + 1 shares, of verdicts within `days`; empty where there are none
    """
    newest = int(timeline.order_seen_at.max(initial=0))
    is_old = timeline.order_seen_at <= newest - days * DAY_US
    age = (labels.verdict_at - timeline.order_seen_at)[(labels.verdict == MALICIOUS) & is_old] // DAY_US
    age = age[age <= days]
    if len(age) == 0:
        return []
    return [float(share) for share in np.cumsum(np.bincount(age, minlength=days + 1)) / len(age)]


def _find_known_share(known_after: NDArray[np.int64], age: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of verdicts that are known by each age; none where there are too few verdicts to tell."""
    if len(known_after) < MIN_VERDICTS:
        return np.zeros(len(age))
    # NOTE: never 1, which is for mature orders alone.
    return np.searchsorted(known_after, age, side="right") / (len(known_after) + 1)


def _find_waiting(timeline: Timeline, as_of_us: int, maturity: Maturity) -> NDArray[np.bool_]:
    """Find orders with an outcome so fresh that more may follow."""
    days = [maturity.outcome_days.get(word, 0.0) if word in set(OutcomeKind) else 0.0 for word in timeline.kinds]
    wait_us = (np.array(days or [0.0]) * DAY_US).astype(np.int64)[timeline.later_kind]
    is_waiting = np.zeros(len(timeline.order_id), bool)
    is_waiting[timeline.later_row[(wait_us > 0) & (timeline.later_seen_at > as_of_us - wait_us)]] = True
    return is_waiting
