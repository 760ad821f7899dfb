"""Which orders are ripe to be learned from, and what they were: docs/definitions.md L1, docs/nightly.md N1 to N3.

An order enters the night's data at an age, not when its label comes. Verdicts of malice come within days; that an
order was innocent is only ever told by silence. Taking labels as they come would make the newest days look wicked,
taking the silent fresh as innocent would make them look harmless; both move the calibration. So all orders of a day
enter together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.contract.model import OutcomeKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.history.slices import Timeline
    from ordervet.learn.night_settings import Maturity

DAY_US = 86_400_000_000
MALICIOUS, INNOCENT, UNKNOWN = 1, 0, -1
#: Milder first; of judgements at one instant the last stands (definitions V4).
_RANK = {"malicious": 1, "unsure": 2, "innocent": 3, "correction": 4}
_VALUE = {"malicious": MALICIOUS, "unsure": UNKNOWN, "innocent": INNOCENT, "correction": INNOCENT}


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of every order at the cut-off, in the timeline's order.

    Parameters
    ----------
    label : shape (n_orders,), int8: 1 malicious, 0 innocent, -1 not known (yet)
    is_judged : shape (n_orders,), a verdict or correction stands, ripe or not
    verdict : shape (n_orders,), int8: what the standing judgement says, ripe or not; -1 without one
    verdict_at : shape (n_orders,), UTC microseconds of the standing judgement; 0 without one
    """

    label: NDArray[np.int8]
    is_judged: NDArray[np.bool_]
    verdict: NDArray[np.int8]
    verdict_at: NDArray[np.int64]


def label_ripe_orders(timeline: Timeline, *, as_of_us: int, maturity: Maturity) -> Labels:
    """Label the orders that are ripe at an instant.

    An order is ripe at the age `order_days`. Then its standing judgement decides, when that has stood for its
    `verdict_days`; an order that nobody judged is innocent, when `outcome_days` have passed since each of its outcomes.
    Everything else is not known.

    Parameters
    ----------
    timeline : events seen before the instant
    as_of_us : the cut-off, UTC microseconds
    maturity : how long each takes
    """
    rank = np.array([_RANK.get(each, 0) for each in timeline.kinds] or [0])
    value = np.array([_VALUE.get(each, UNKNOWN) for each in timeline.kinds] or [0], np.int8)
    judged = np.flatnonzero(rank[timeline.later_kind] > 0)
    judged = judged[np.lexsort((rank[timeline.later_kind[judged]], timeline.later_seen_at[judged]))]
    rows = timeline.later_row[judged]
    n = len(timeline.order_id)
    verdict, verdict_at, is_judged = np.full(n, UNKNOWN, np.int8), np.zeros(n, np.int64), np.zeros(n, bool)
    # NOTE: ascending in time and rank, so that the judgement that stands is written last.
    verdict[rows] = value[timeline.later_kind[judged]]
    verdict_at[rows] = timeline.later_seen_at[judged]
    is_judged[rows] = True
    label = np.where(is_judged, verdict, INNOCENT).astype(np.int8)
    for name, each in (("malicious", MALICIOUS), ("innocent", INNOCENT)):
        stood_since = as_of_us - int(maturity.verdict_days.get(name, 0.0) * DAY_US)
        label[is_judged & (verdict == each) & (verdict_at > stood_since)] = UNKNOWN
    label[_find_waiting(timeline, as_of_us, maturity) & ~is_judged] = UNKNOWN
    label[timeline.order_seen_at > as_of_us - int(maturity.order_days * DAY_US)] = UNKNOWN
    return Labels(label, is_judged, verdict, verdict_at)


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


def _find_waiting(timeline: Timeline, as_of_us: int, maturity: Maturity) -> NDArray[np.bool_]:
    """Find orders with an outcome so fresh that more may follow."""
    days = [maturity.outcome_days.get(word, 0.0) if word in set(OutcomeKind) else 0.0 for word in timeline.kinds]
    wait_us = (np.array(days or [0.0]) * DAY_US).astype(np.int64)[timeline.later_kind]
    is_waiting = np.zeros(len(timeline.order_id), bool)
    is_waiting[timeline.later_row[(wait_us > 0) & (timeline.later_seen_at > as_of_us - wait_us)]] = True
    return is_waiting
