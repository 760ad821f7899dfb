"""What a ranking of orders is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def measure_ranking(scores: NDArray[np.float64], is_malicious: NDArray[np.bool_]) -> dict[str, float]:
    """Measure a ranking by the area under the ROC curve and by average precision.

    Returns
    -------
    ``auc``, ``ap``, and the counts ``n_orders``, ``n_malicious``; without both classes the areas are NaN

    References
    ----------
    scikit-learn's roc_auc_score and average_precision_score.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415 - measuring only

    n_malicious = int(is_malicious.sum())
    has_both = 0 < n_malicious < len(is_malicious)
    return {
        "auc": float(roc_auc_score(is_malicious, scores)) if has_both else float("nan"),
        "ap": float(average_precision_score(is_malicious, scores)) if has_both else float("nan"),
        "n_orders": len(is_malicious),
        "n_malicious": n_malicious,
    }


def measure_at_rate(
    scores: NDArray[np.float64], is_malicious: NDArray[np.bool_], alert_rate: float
) -> dict[str, float]:
    """Measure recall and precision when the highest-ranked share `alert_rate` of orders is flagged.

    Ties at the cut are taken in proportion, so that the result does not depend on the order of rows.
    """
    n_flagged = max(1, round(alert_rate * len(scores)))
    order = np.argsort(-scores, kind="stable")
    cut = scores[order[n_flagged - 1]]
    above, tied = scores > cut, scores == cut
    weight = (n_flagged - above.sum()) / tied.sum()
    caught = float(is_malicious[above].sum() + weight * is_malicious[tied].sum())
    n_malicious = int(is_malicious.sum())
    return {
        "alert_rate": alert_rate,
        "recall": caught / n_malicious if n_malicious else float("nan"),
        "precision": caught / n_flagged,
    }


def measure_daily_precision(
    scores: NDArray[np.float64],
    is_malicious: NDArray[np.bool_],
    day: NDArray[np.int64],
    entity: NDArray[np.uint64],
    top_k: int,
) -> float:
    """Measure the mean over days of the share of bad entities among the `top_k` highest-ranked of the day.

    An entity's score is that of its highest order of the day. A bad entity found on one day is left out of the days
    after it.

    Parameters
    ----------
    scores, is_malicious, day, entity : shape (n,)
    top_k : entities a day

    References
    ----------
    Card Precision at k: Le Borgne et al., Fraud Detection Handbook, chapter 4, "Precision top-k".
    """
    found = np.zeros(0, np.uint64)
    precision = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(entity, found))
        of_day, position = np.unique(entity[rows], return_inverse=True)
        highest = np.full(len(of_day), -np.inf)
        np.maximum.at(highest, position, scores[rows])
        is_bad = np.zeros(len(of_day), bool)
        np.logical_or.at(is_bad, position, is_malicious[rows])
        top = np.argsort(-highest, kind="stable")[:top_k]
        caught = of_day[top][is_bad[top]]
        found = np.concatenate([found, caught])
        precision.append(len(caught) / top_k)
    return float(np.mean(precision)) if precision else float("nan")
