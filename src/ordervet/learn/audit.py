"""What a random audit of passed orders tells: how much malice is missed, and how much the labels weigh that show it.

An order of the audit was drawn with the policy's share from the orders that passed. So each malicious one among them
stands for one over the share (Horvitz and Thompson), as far as all were judged; where the desk did not come to some,
the share of malice among the judged ones is taken for all that passed (Hájek), with Wilson's interval.

References
----------
Horvitz and Thompson, "A generalization of sampling without replacement from a finite universe", 1952.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn.intervals import find_wilson_interval
from ordervet.learn.labels import DAY_US, INNOCENT, MALICIOUS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.history.slices import Timeline
    from ordervet.learn.labels import Labels
    from ordervet.learn.training_data import Plan, TrainingData

#: The estimate is of the orders of so many newest days.
WINDOW_DAYS = 60


@dataclass(frozen=True, slots=True)
class AuditEstimate:
    """What an audit says of the orders that passed; every interval is of 90 %."""

    #: since_us, until_us: the first and the last order of the audit that was judged, UTC microseconds
    since_us: int
    until_us: int
    n_days: int  # between them
    n_audited: int  # orders of the audit that were judged malicious or innocent
    n_malicious: int  # of those, malicious
    n_passed: int  # orders between them that passed
    n_found: int  # malicious orders between them that were found without the audit
    #: missed, missed_low, missed_high: malicious orders that passed
    missed: float
    missed_low: float
    missed_high: float
    #: recall, recall_low, recall_high: of all malicious orders, the share that was found; NaN where there are none
    recall: float
    recall_low: float
    recall_high: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def estimate_missed(
    timeline: Timeline, labels: Labels, audited: NDArray[np.uint64], *, as_of_us: int
) -> AuditEstimate | None:
    """Estimate how much malice passed in the newest days; None where no order of an audit was judged.

    Parameters
    ----------
    timeline, labels : of everything known at the cut-off
    audited : keyed ids of the orders with a verdict of the audit
    as_of_us : the cut-off, UTC microseconds
    """
    in_window = timeline.order_seen_at >= as_of_us - WINDOW_DAYS * DAY_US
    is_audited = np.isin(timeline.order_id, audited) & in_window
    if not is_audited.any():
        return None
    first_us, last_us = (int(each(timeline.order_seen_at[is_audited])) for each in (np.min, np.max))
    in_window &= (timeline.order_seen_at >= first_us) & (timeline.order_seen_at <= last_us)
    is_malicious = labels.verdict == MALICIOUS
    is_judged = is_audited & (is_malicious | (labels.verdict == INNOCENT))
    is_other = in_window & ~is_audited
    n_audited, n_malicious = int(is_judged.sum()), int((is_judged & is_malicious).sum())
    n_passed = int((in_window & (is_audited | ~labels.is_judged)).sum())
    n_found = int((is_other & is_malicious).sum())
    if n_audited == 0:
        return None
    low, high = find_wilson_interval(n_malicious, n_audited)
    missed = [n_passed * share for share in (n_malicious / n_audited, low, high)]
    recall = [n_found / (n_found + each) if n_found + each else float("nan") for each in missed]
    n_days = math.ceil((last_us - first_us) / DAY_US)
    return AuditEstimate(
        first_us, last_us, n_days, n_audited, n_malicious, n_passed, n_found, missed[0], missed[1], missed[2],
        recall[0], recall[2], recall[1],
    )  # fmt: skip


def weigh_audited(data: TrainingData, share: float | None) -> TrainingData:
    """Let each malicious order that only the audit found stand for the missed ones: for one over the audit's share.

    Together they weigh at most as much as the malicious orders that were found anyway: one order of an audit is not
    more certain than all others.

    Parameters
    ----------
    data : with the ids of the audited orders
    share : of the policy's audit; None changes nothing
    """
    plan: Plan = data.plan
    is_malicious = (plan.weight > 0) & (plan.label == MALICIOUS)
    is_hit = is_malicious & data.is_audited
    n_hits = int(is_hit.sum())
    if share is None or n_hits == 0:
        return data
    n_known = int(plan.weight[is_malicious & ~is_hit].sum())
    times = max(min(round(1 / share), n_known // n_hits), 1)
    return replace(data, plan=replace(plan, weight=np.where(is_hit, plan.weight * times, plan.weight)))
