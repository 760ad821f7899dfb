"""The gates: what a challenger must show before it serves. Data in; a figure, a bound and a verdict out.

A gate that cannot judge says so in its note and lets pass: each names what it needs. docs/nightly.md has the table.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ordervet.learn.drift import FeatureDrift

#: Standard errors that count as sampling noise.
_NOISE = 2.0
_N_CALIBRATION_BINS = 10
_N_NAMED = 5


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's verdict.

    Parameters
    ----------
    name : stable; the report has its words
    figure : what was measured; None where there was nothing to measure
    bound : what it may be at most, or must be at least, as the gate says
    passed : whether the challenger passes
    note : what else there is to know, as a code that reports/pages/nightly.toml words; empty when there is nothing
    values : what the note's words quote
    """

    name: str
    figure: float | None
    bound: float | None
    passed: bool
    note: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; what is no finite number is None."""
        values = asdict(self)
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}


def check_gain(
    name: str, gain: dict[str, float] | None, *, margin: float, is_champion_old: bool, max_loss: float
) -> Gate:
    """Check that it is better than the champion beyond noise; or, when that is old, not worse.

    Parameters
    ----------
    name : of the gate
    gain : of `figures.measure_gain`; None without a champion
    margin : the gain's lower bound must be above
    is_champion_old : the champion has served its time
    max_loss : what "not worse" allows
    """
    if gain is None:
        return Gate(name, None, margin, passed=True, note="no_champion")
    if gain["low"] > margin or not is_champion_old:
        return Gate(name, gain["low"], margin, gain["low"] > margin, "gain", gain)
    least = 0.0 - max_loss  # NOT: -max_loss, which writes a bound of -0
    return Gate(name, gain["gain"], least, gain["gain"] >= least, "gain_over_old", gain)


def check_calibration(
    p: NDArray[np.float64], is_malicious: NDArray[np.bool_], weight: NDArray[np.int64], *, error: float, bias: float
) -> list[Gate]:
    """Check that probabilities mean what they say: over all orders, and within each tenth of them by probability.

    Parameters
    ----------
    p, is_malicious, weight : shape (n,), on orders the model was not fitted on
    error : bound of the expected calibration error
    bias : bound of foretold over found malice less one, beyond sampling noise
    """
    total, found, foretold = float(weight.sum()), float(weight[is_malicious].sum()), float((weight * p).sum())
    noise = _NOISE * math.sqrt(float((weight * p * (1 - p)).sum()))
    beyond = max(abs(foretold - found) - noise, 0.0) / max(found, 1.0)
    order = np.argsort(p, kind="stable")
    tenth = np.minimum((np.cumsum(weight[order]) * _N_CALIBRATION_BINS / (total + 1)).astype(int), _N_CALIBRATION_BINS)
    gaps = np.bincount(tenth, (weight * (p - is_malicious))[order])
    ece = float(np.abs(gaps).sum() / total)
    return [
        Gate("calibration_bias", beyond, bias, beyond <= bias, "foretold", {"foretold": foretold, "found": found}),
        Gate("calibration_error", ece, error, ece <= error),
    ]


def check_false_positives(name: str, groups: Iterable[tuple[str, int, int]], *, bound: float, min_group: int) -> Gate:
    """Check that no group of innocent orders is alerted too often.

    Parameters
    ----------
    name : of the gate
    groups : name, innocent orders, how many of them were alerted
    bound : highest share, beyond sampling noise
    min_group : smaller groups are not judged
    """
    judged = [(_less_noise(n_alerts, n), label, n) for label, n, n_alerts in groups if n >= min_group]
    if not judged:
        return Gate(name, None, bound, passed=True, note="small_groups", values={"least": min_group})
    worst, label, n = max(judged)
    note = "highest_group" if len(judged) > 1 else "innocents"
    return Gate(name, worst, bound, worst <= bound, note, {"groups": len(judged), "group": label, "n": n})


def check_alert_rate(
    scores: Sequence[float], n_alerts: Sequence[int], n_orders: int, *, bound: float, min_alerts: int
) -> Gate:
    """Check that standing thresholds alert as many as they stand for: a risk score s for a share of 10^(-s / 250).

    Parameters
    ----------
    scores : thresholds
    n_alerts : orders at or above each, of days that the score was not made of
    n_orders : orders of those days
    bound : largest relative difference, beyond sampling noise
    min_alerts : thresholds that would give fewer are not judged
    """
    targets = [find_target_rate(score) for score in scores]
    changes = [
        (_change_beyond_noise(n, n_orders, target), score, n / n_orders, target)
        for score, n, target in zip(scores, n_alerts, targets, strict=True)
        if target * n_orders >= min_alerts
    ]
    if not changes:
        return Gate("alert_rate", None, bound, passed=True, note="few_orders", values={"n": n_orders})
    worst, score, rate, target = max(changes)
    return Gate(
        "alert_rate", worst, bound, worst <= bound, "threshold", {"score": score, "rate": rate, "target": target}
    )


def find_target_rate(score: float) -> float:
    """Give the share of a quiet day's orders that a risk score stands for."""
    share: float = 10 ** (-score / 250)
    return share


def is_expected(name: str, expected: Sequence[str]) -> bool:
    """Tell whether notice was given of a feature, by one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in expected)


def check_features(
    drifts: Sequence[FeatureDrift],
    new: Sequence[str],
    *,
    psi: float,
    constant_share: float,
    varied_share: float,
    expected: Sequence[str],
) -> list[Gate]:
    """Check that no feature is new, constant or drifted without notice.

    Parameters
    ----------
    drifts : of every feature
    new : features that the champion does not have
    psi, constant_share, varied_share : bounds
    expected : patterns of names that notice was given of
    """
    unexpected = [name for name in new if not is_expected(name, expected)]
    frozen = [
        d.name
        for d in drifts
        if d.top_share_now >= constant_share and d.top_share_before < varied_share and not is_expected(d.name, expected)
    ]
    ranked = sorted((d for d in drifts if not is_expected(d.name, expected)), key=lambda d: (-d.psi, d.name))
    worst = ranked[0].psi if ranked else 0.0
    over = [d.name for d in ranked if d.psi > psi]
    return [
        Gate("features_new", float(len(unexpected)), 0.0, not unexpected, *_name_some(unexpected)),
        Gate("features_constant", float(len(frozen)), 0.0, not frozen, *_name_some(frozen)),
        Gate("features_drift", worst, psi, not over, *_name_some(over or [d.name for d in ranked[:1]])),
    ]


def check_verdicts(channels: Iterable[tuple[str, int, int, float]], *, bound: float, min_risky: int) -> Gate:
    """Check that the newest verdicts of no channel contradict what the champion has learned.

    What it finds harmless and is malicious may be new. What it finds risky and is judged innocent is a contradiction:
    a channel agrees when as many of its risky orders are confirmed, give or take sampling noise, or when the champion
    ranks its verdicts well.

    Parameters
    ----------
    channels : name, newest verdicts on orders that the champion finds risky, how many of them are malicious, and its
        AUC on all of the channel's newest verdicts, NaN where there is none
    bound : least agreement
    min_risky : channels with fewer verdicts on risky orders are not judged
    """
    judged = []
    for label, n_risky, n_confirmed, auc in channels:
        if n_risky >= min_risky:
            confirmed = min(n_confirmed / n_risky + _NOISE * math.sqrt(0.25 / n_risky), 1.0)
            judged.append((confirmed if math.isnan(auc) else max(auc, confirmed), label, n_risky))
    if not judged:
        return Gate("verdicts", None, bound, passed=True, note="few_verdicts", values={"least": min_risky})
    least, label, n = min(judged)
    return Gate(
        "verdicts", least, bound, least >= bound, "lowest_channel", {"groups": len(judged), "group": label, "n": n}
    )


def check_at_most(name: str, figure: float | None, bound: float, note: str = "") -> Gate:
    """Check that a figure is no higher than a bound; without a figure, pass."""
    return Gate(name, figure, bound, figure is None or figure <= bound, note)


def check_lookalikes(rows: Sequence[dict[str, Any]] | None, champion: Sequence[dict[str, Any]] | None) -> Gate:
    """Check that no protected look-alike is alerted beyond its bound, unless the champion alerts it as often.

    Parameters
    ----------
    rows : of the challenger's `LookalikeReport.as_dict`; None when it was left out
    champion : of the champion's; None without one
    """
    if rows is None:
        return Gate("lookalikes", None, None, passed=True, note="left_out")
    before = {row["scenario"]: row["alert_rate"] or 0.0 for row in champion or ()}
    unfair = [
        row["scenario"]
        for row in rows
        if not row["is_fair"] and (row["alert_rate"] or 0.0) > before.get(row["scenario"], 0.0)
    ]
    return Gate("lookalikes", float(len(unfair)), 0.0, not unfair, *_name_some(unfair))


def _change_beyond_noise(n_alerts: int, n_orders: int, target: float) -> float:
    noise = _NOISE * math.sqrt((1 - target) / (target * n_orders))
    return max(abs(n_alerts / (target * n_orders) - 1) - noise, 0.0)


def _less_noise(n_hits: int, n: int) -> float:
    rate = n_hits / n
    return max(rate - _NOISE * math.sqrt(rate * (1 - rate) / n), 0.0)


def _name_some(names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    if not names:
        return "", {}
    return "names", {"names": ", ".join(names[:_N_NAMED]), "n": len(names)}
