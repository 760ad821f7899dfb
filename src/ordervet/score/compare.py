"""What another policy would have done in a past period: both policies on the same scores, beside the verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.spec import SELECTOR_BIT
from ordervet.model import ForestPredictor
from ordervet.policy import ACTIONS, BANDS, Action
from ordervet.score.batch import score_batch
from ordervet.score.quota_ledger import find_beyond

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities import KeyedEvents
    from ordervet.features import LaterEvents
    from ordervet.model import Model
    from ordervet.policy import Policy
    from ordervet.score.scored_orders import ScoredOrders

_PASS = ACTIONS.index(Action.PASS)
_UNJUDGED, _INNOCENT, _MALICIOUS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class PolicyTally:
    """What one policy does in a period.

    Parameters
    ----------
    policy_id : of the policy
    bands, actions : name → orders
    n_flagged : orders that do not simply pass
    flagged_minor : amount of those, minor units
    n_malicious, malicious_minor : flagged orders whose verdict is malicious, and their amount
    n_innocent : flagged orders whose verdict is innocent
    n_touched : orders that a list or rule matches
    quotas : name → orders beyond it
    """

    policy_id: str
    bands: dict[str, int]
    actions: dict[str, int]
    n_flagged: int
    flagged_minor: int
    n_malicious: int
    malicious_minor: int
    n_innocent: int
    n_touched: int
    quotas: dict[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two policies in one period.

    Parameters
    ----------
    n_orders : orders in the period
    n_malicious, n_innocent : orders with that verdict
    present, changed : what each policy does
    moves : (present action, action under the changed policy) → orders, where they differ
    changed_ids : ids of orders whose action differs, riskiest first
    """

    n_orders: int
    n_malicious: int
    n_innocent: int
    present: PolicyTally
    changed: PolicyTally
    moves: dict[tuple[str, str], int]
    changed_ids: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, ready for JSON."""
        tallies = {
            name: {field: getattr(tally, field) for field in PolicyTally.__dataclass_fields__}
            for name, tally in (("present", self.present), ("changed", self.changed))
        }
        return {
            "n_orders": self.n_orders,
            "n_malicious": self.n_malicious,
            "n_innocent": self.n_innocent,
            **tallies,
            "moves": [{"from": old, "to": new, "n": n} for (old, new), n in self.moves.items()],
            "changed_orders": list(self.changed_ids),
        }


def compare_policies(
    events: KeyedEvents,
    model: Model,
    present: Policy,
    changed: Policy,
    *,
    since_us: int | None = None,
    until_us: int | None = None,
    n_threads: int = 1,
) -> Comparison:
    """Decide about the orders of a past period under two policies.

    Each order is scored by what was known at its own time; verdicts, which came later, only tell how each policy would
    have done. A capacity is applied to the whole period at once.

    Parameters
    ----------
    events : of a history
    model : scores for both
    present, changed : the policies
    since_us, until_us : orders seen from the first until before the second, UTC microseconds; None is open-ended
    n_threads : threads of features and forest

    Returns
    -------
    what each policy does, and where they differ
    """
    orders, later = build_order_events(events.orders, model.spec), build_later_events(events)
    features = FeatureEngine(model.spec, n_jobs=n_threads).advance(orders, later)
    is_inside = np.ones(len(orders), bool)
    if since_us is not None:
        is_inside &= orders.seen_at >= since_us
    if until_us is not None:
        is_inside &= orders.seen_at < until_us
    rows = np.flatnonzero(is_inside)
    table, inside, matrix = events.orders.take(rows), orders.take(rows), features[rows]
    predictor = ForestPredictor(model.booster_text)
    verdicts = _find_verdicts(inside.order_id, later)
    one, other = (
        score_batch(
            table,
            inside,
            matrix,
            model=model,
            predictor=predictor,
            policy=policy,
            n_threads=n_threads,
            beyond=find_beyond(policy, events.orders, events.outcomes),
        )
        for policy in (present, changed)
    )
    differs = np.flatnonzero(one.actions != other.actions)
    pairs, counts = np.unique(np.stack([one.actions[differs], other.actions[differs]]), axis=1, return_counts=True)
    ranked = differs[np.argsort(-one.p_malicious[differs], kind="stable")]
    return Comparison(
        n_orders=len(rows),
        n_malicious=int((verdicts == _MALICIOUS).sum()),
        n_innocent=int((verdicts == _INNOCENT).sum()),
        present=_tally(one, present, inside.compute_worth(), verdicts),
        changed=_tally(other, changed, inside.compute_worth(), verdicts),
        moves={
            (str(ACTIONS[old]), str(ACTIONS[new])): int(n)
            for (old, new), n in zip(pairs.T.tolist(), counts.tolist(), strict=True)
        },
        changed_ids=tuple(one.order_ids[row] for row in ranked.tolist()),
    )


def _tally(scored: ScoredOrders, policy: Policy, amounts: NDArray[np.int64], verdicts: NDArray[np.int8]) -> PolicyTally:
    is_flagged = scored.actions != _PASS
    is_caught = is_flagged & (verdicts == _MALICIOUS)
    return PolicyTally(
        policy_id=scored.policy_id,
        bands={str(band): int((scored.bands == at).sum()) for at, band in enumerate(BANDS)},
        actions={str(action): int((scored.actions == at).sum()) for at, action in enumerate(ACTIONS)},
        n_flagged=int(is_flagged.sum()),
        flagged_minor=int(amounts[is_flagged].sum()),
        n_malicious=int(is_caught.sum()),
        malicious_minor=int(amounts[is_caught].sum()),
        n_innocent=int((is_flagged & (verdicts == _INNOCENT)).sum()),
        n_touched=len(scored.applied),
        quotas={quota.name: sum(quota.code in codes for codes in scored.applied.values()) for quota in policy.quotas},
    )


def _find_verdicts(order_ids: NDArray[np.uint64], later: LaterEvents) -> NDArray[np.int8]:
    """Give each order's standing verdict, shape (n_orders,); see docs/definitions.md V1 to V4."""
    judged = later.take(np.flatnonzero((later.mask & JUDGEMENT_BIT) != 0))
    judged = judged.take(np.lexsort((judged.rank, judged.seen_at)))
    meaning = np.select(
        [(judged.mask & SELECTOR_BIT[name]) != 0 for name in ("malicious", "innocent")], [_MALICIOUS, _INNOCENT]
    )
    standing = dict(zip(judged.order_id.tolist(), meaning.tolist(), strict=True))
    return np.array([standing.get(each, _UNJUDGED) for each in order_ids.tolist()], np.int8)
