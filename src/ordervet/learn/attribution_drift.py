"""What moved from one model to the next: the reasons it would give, and the features it leans on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.policy import assign_reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.learn.training_data import Material
    from ordervet.learn.trial import Contender

#: The riskiest share of the newest orders, whose reasons are compared, and the most of them that are explained.
_SHARE, _MOST = 0.02, 400
_N_FEATURES = 12


def compare_reasons(
    challenger: Contender, champion: Contender | None, material: Material, rows: NDArray[np.int64], n_threads: int
) -> dict[str, Any]:
    """Compare the reasons and the leading features of two models on the orders that each finds riskiest.

    Parameters
    ----------
    challenger, champion : the models; without a champion its columns are 0
    material : the kept orders
    rows : the newest orders
    n_threads : threads

    Returns
    -------
    ``reasons``: per reason code, the share of each model's riskiest orders that have it; ``features``: those whose mean
    absolute contribution differs most, log-odds
    """
    ours, ours_strength = _explain(challenger, material, rows, n_threads)
    theirs, their_strength = _explain(champion, material, rows, n_threads) if champion else (Counter(), {})
    codes = sorted(set(ours) | set(theirs), key=lambda code: (-max(ours[code], theirs[code]), code))
    names = sorted(
        set(ours_strength) | set(their_strength),
        key=lambda name: (-abs(ours_strength.get(name, 0.0) - their_strength.get(name, 0.0)), name),
    )
    return {
        "reasons": [{"code": code, "challenger": ours[code], "champion": theirs[code]} for code in codes],
        "features": [
            {"name": name, "challenger": ours_strength.get(name, 0.0), "champion": their_strength.get(name, 0.0)}
            for name in names[:_N_FEATURES]
        ],
    }


def _explain(
    contender: Contender, material: Material, rows: NDArray[np.int64], n_threads: int
) -> tuple[Counter[str], dict[str, float]]:
    """Give the share of each reason among the riskiest orders, and each feature's mean absolute contribution there."""
    raw = contender.predict(material, rows, n_threads)
    riskiest = rows[np.argsort(-raw, kind="stable")[: min(max(int(len(rows) * _SHARE), 1), _MOST)]]
    if len(riskiest) == 0:
        return Counter(), {}
    names = contender.model.spec.names
    features = np.ascontiguousarray(material.features[np.ix_(riskiest, contender.columns)])
    shares = contender.predictor.explain(features, n_threads=n_threads)[:, :-1]
    found: Counter[str] = Counter()
    for reasons in assign_reasons(names, shares, features, lang="en"):
        found.update({str(reason.code) for reason in reasons})
    share = Counter({code: n / len(riskiest) for code, n in found.items()})
    return share, dict(zip(names, np.abs(shares).mean(axis=0).tolist(), strict=True))
