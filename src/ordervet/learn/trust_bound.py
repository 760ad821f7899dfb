"""How low the risk of well-known buyers is, measured: what earned trust rests on (docs/definitions.md D12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn.intervals import find_wilson_interval
from ordervet.policy.trust import NAMES, Trust, TrustGate

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Shares of the well-known buyers' orders, the least risky first, for which the bound is measured.
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
#: Of a one-sided bound of 95 % on each of five shares together (Bonferroni).
_Z = 2.3263478740408408


def measure_trust(
    p_malicious: NDArray[np.float64],
    is_malicious: NDArray[np.bool_],
    weight: NDArray[np.int64],
    buyer: NDArray[np.int64],
    *,
    names: tuple[str, ...],
    features: NDArray[np.float32],
    trust: Trust | None,
    judged_share: float = 1.0,
) -> dict[str, Any] | None:
    """Measure an upper bound of the share of malice among orders of well-known buyers, by their probability.

    Orders of one buyer stand or fall together, so that the bound (Wilson's) counts buyers; malicious orders that nobody
    judged are added as the judged share says.

    Parameters
    ----------
    p_malicious, is_malicious, weight, buyer : shape (n,), of later orders than the model was fitted on
    names, features : columns, and shape (n, n_features)
    trust : what it takes to be well known; None takes the default
    judged_share : of the malicious orders, those that are known as such

    Returns
    -------
    ``min_orders`` and ``min_days``; and lists, one entry for each of up to five highest probabilities: ``p``, ``share``
    and ``upper`` of the malice among orders up to it, ``n_orders`` and ``n_buyers``; None where nobody is well known or
    the features do not tell
    """
    asked = trust or Trust()
    if not set(NAMES) <= set(names):
        return None
    places = tuple(names.index(name) for name in NAMES)
    gate = TrustGate.of(asked, None, names)._replace(places=(places[0], places[1], places[2]))
    rows = np.flatnonzero(gate.find_known(features))
    if len(rows) == 0:
        return None
    found: dict[str, Any] = {"min_orders": asked.min_orders, "min_days": asked.min_days}
    for most_p in np.unique(np.quantile(p_malicious[rows], _SHARES, method="lower")).tolist():
        some = rows[p_malicious[rows] <= most_p]
        share = min(float(weight[some][is_malicious[some]].sum() / weight[some].sum()) / judged_share, 1.0)
        n_buyers = len(np.unique(buyer[some]))
        _, upper = find_wilson_interval(share * n_buyers, n_buyers, z=_Z)
        row = {"p": most_p, "share": share, "upper": upper, "n_orders": int(weight[some].sum()), "n_buyers": n_buyers}
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return found
