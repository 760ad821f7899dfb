"""The gates: what a challenger must show before it serves. Data in; a figure, a bound and a verdict out.

A gate that has nothing to judge by passes, and says so in its note. docs/nightly.md has the table.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract.files.outputs import drop_nan
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.groups import FEW, OPEN, UNFAIR, count_not_found
from ordervet.learn.intervals import count_more, draw_intervals
from ordervet.learn.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ordervet.learn.drift import FeatureDrift
    from ordervet.learn.groups import GroupRow
    from ordervet.learn.intervals import Measure
    from ordervet.learn.night_settings import GateBounds
    from ordervet.learn.ranking import Holdout

#: Standard errors that count as sampling noise.
_NOISE = 2.0
_N_CALIBRATION_BINS = 10
_FURTHEST_DAYS = 3_650
#: An interval so many times as wide as the way to a bound is as good as any wider one.
_MOST_TIMES = 100.0
_N_NAMED = 5
#: Of plain honest orders of the simulation a model may alert on so many and be judged by it.
_MOST_OF_PLAIN = 0.5
#: A champion that catches less is no baseline of fairness.
_LEAST_RECALL = 0.01


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's verdict."""

    name: str  # stable; the report has its words
    figure: float | None  # what was measured; None where there was nothing to measure
    bound: float | None  # what it may be at most, or must be at least, as the gate says
    passed: bool  # whether the challenger passes
    #: what else there is to know, as a code of a text in `words`; empty when there is nothing
    note: str = ""
    values: dict[str, Any] = field(default_factory=dict)  # what the note's words quote
    is_decided: bool = True  # False where more labels may still let it pass, as the note says

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is no finite number is None."""
        values: dict[str, Any] = drop_nan(asdict(self))
        return values


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast labels come, to say when there will be enough."""

    as_of_us: int  # the cut-off, UTC microseconds
    n_malicious: int  # malicious orders measured on
    n_days: float  # of which so many days are

    def find_more(self, gap: float, half: float) -> dict[str, Any]:
        """Find when an interval will leave out a bound.

        Parameters
        ----------
        gap, half : from the figure to the bound, above 0, and to the end of its interval there

        Returns
        -------
        ``more`` malicious orders, and the day ``by`` which so many more will have mature labels, ISO 8601
        """
        more = count_more(gap, min(half, _MOST_TIMES * gap), self.n_malicious)
        return {"more": more, "by": self.find_day(more, self.n_malicious)}

    def find_day(self, more: int, n: int) -> str:
        """Return the day by which there will be so many more of what these days had `n` of, ISO 8601."""
        days = min(math.ceil(more * self.n_days / max(n, 1)), _FURTHEST_DAYS)
        return str(np.datetime64(self.as_of_us, "us").astype("datetime64[D]") + np.timedelta64(days, "D"))


def check_gain(
    name: str,
    gain: dict[str, float] | None,
    *,
    margin: float,
    is_champion_old: bool,
    max_loss: float,
    pace: Pace | None = None,
) -> Gate:
    """Check that the challenger is better than the champion beyond noise; or, when that is old, not worse.

    `gain` is of `intervals.measure_gain`, None without a champion; its lower bound must be above `margin`, or the gain
    itself, beside an old champion, at least -`max_loss`. A gain that is above the margin and not yet beyond noise is
    not decided, nor is a loss within noise: `pace` says when it will be.
    """
    if gain is None:
        return Gate(name, None, margin, passed=True, note="no_champion")
    if gain["low"] > margin or not is_champion_old:
        gate = Gate(name, gain["low"], margin, gain["low"] > margin, "gain", gain)
        return _leave_open(gate, pace, gap=gain["gain"] - margin, half=gain["gain"] - gain["low"])
    least = 0.0 - max_loss  # NOT: -max_loss, which writes a bound of -0
    gate = Gate(name, gain["gain"], least, gain["gain"] >= least, "gain_over_old", gain)
    return _leave_open(gate, pace, gap=least - gain["gain"], half=gain["high"] - gain["gain"])


def check_no_loss(
    name: str, gain: dict[str, float], margin: float, pace: Pace | None = None, *, sure_gain: float = 0.0
) -> Gate:
    """Check that a gain, as measured, is at least `margin`: the challenger need not be better there, only not worse.

    A loss that is still within noise is not decided: `pace` says when it will be. One that is no larger than what is
    surely gained where new kinds of malice show, too (`sure_gain`, average precision), passes, and the figure is the
    upper end of the gain.
    """
    if -sure_gain <= gain["gain"] < margin:
        return Gate(name, gain["high"], margin, gain["high"] >= margin, "no_sure_loss", gain)
    gate = Gate(name, gain["gain"], margin, gain["gain"] >= margin, "no_loss", gain)
    return _leave_open(gate, pace, gap=margin - gain["gain"], half=gain["high"] - gain["gain"])


def check_policy(
    flags: NDArray[np.bool_],
    champion_flags: NDArray[np.bool_],
    champion_raw: NDArray[np.float64],
    holdout: Holdout,
    *,
    max_recall_loss: float,
    alerts_times: float,
    judged_share: float = 1.0,
    pace: Pace | None = None,
) -> list[Gate]:
    """Check what the policy would do by the new probabilities: catch as much as before, and not alert on far more.

    A champion that alerts on more than the challenger does, and on more than `FLAGS_PER_MALICIOUS` for each malicious
    order, is held to its riskiest so many: a catch by alerting on everything is none. A model by which nothing at all
    is flagged does not pass. Recall lost within the noise of the malicious orders that only one of them flags is not
    decided.

    Parameters
    ----------
    flags, champion_flags : shape (n,), what the policy would not pass by either model
    champion_raw : shape (n,), the champion's ranking
    holdout : orders that neither was fitted on
    max_recall_loss : how much less of the malice may be caught
    alerts_times : at most so many times the champion's alerts, or `FLAGS_PER_MALICIOUS` for each malicious order
    judged_share : of the malicious orders, those that are known as such
    pace : to say when what is not decided will be
    """
    weight = holdout.weight.astype(np.float64)
    is_malicious, n_orders = holdout.is_malicious, float(weight.sum())
    n_malicious, n_alerts = float(weight[is_malicious].sum()), float(weight[flags].sum())
    n_before, room = float(weight[champion_flags].sum()), FLAGS_PER_MALICIOUS * n_malicious / judged_share
    recall = float(weight[flags & is_malicious].sum()) / n_malicious
    before = float(weight[champion_flags & is_malicious].sum()) / n_malicious
    most = max(n_alerts, room)
    if n_before > most:
        before = min(before, Ranking(champion_raw, is_malicious).measure_at(most / n_orders, weight)[0])
    bound = alerts_times * max(n_before, room)
    values = {"recall": recall, "before": before, "rate": n_alerts / n_orders, "rate_before": n_before / n_orders}
    lost, differ = before - recall, weight[is_malicious & (flags != champion_flags)]
    caught = Gate("policy_recall", lost, max_recall_loss, lost <= max_recall_loss and n_alerts > 0, "policy", values)
    noise = _NOISE * math.sqrt(float((differ**2).sum())) / n_malicious if n_alerts > 0 else 0.0
    return [
        _leave_open(caught, pace, gap=lost - max_recall_loss, half=noise),
        Gate("policy_alerts", n_alerts / n_orders, bound / n_orders, n_alerts <= bound, "policy", values),
    ]


def check_first_hits(caught: NDArray[np.int64], champion_caught: NDArray[np.int64], *, max_loss: float) -> Gate:
    """Check that no fewer new rings are caught at their first order than by the champion, beyond sampling noise.

    What one of them catches first and the other does not decides (McNemar's discordant pairs).

    Parameters
    ----------
    caught, champion_caught : shape (n_rings,), place of each ring's first flagged order, of `rings.find_catches`
    max_loss : share of the rings
    """
    n, is_first, was_first = len(caught), caught == 0, champion_caught == 0
    if n == 0:
        return Gate("first_hits", None, max_loss, passed=True, note="no_rings")
    lost, won = int((was_first & ~is_first).sum()), int((is_first & ~was_first).sum())
    figure = max((lost - won) - _NOISE * math.sqrt(lost + won), 0.0) / n
    values = {"n": n, "first": float(is_first.mean()), "before": float(was_first.mean())}
    return Gate("first_hits", figure, max_loss, figure <= max_loss, "first_hits", values)


def check_calibration(
    p: NDArray[np.float64],
    is_malicious: NDArray[np.bool_],
    weight: NDArray[np.int64],
    *,
    error: float,
    bias: float,
    champion_p: NDArray[np.float64] | None = None,
) -> list[Gate]:
    """Check that probabilities mean what they say: over all orders, and within each tenth of them by probability.

    Both count what is beyond sampling noise: of a few hundred orders no tenth has just the malice that is foretold.
    What the champion's say less well is no reason to keep the champion.

    Parameters
    ----------
    p, is_malicious, weight : shape (n,), on orders the model was not fitted on
    champion_p : shape (n,), the champion's; None without one
    error : bound of the expected calibration error, beyond the sampling noise of each tenth
    bias : bound of predicted over observed malice less one, beyond sampling noise
    """
    beyond, ece, foretold, found = _measure_calibration(p, is_malicious, weight)
    most_bias, most_error = bias, error
    if champion_p is not None:
        theirs = _measure_calibration(champion_p, is_malicious, weight)
        most_bias, most_error = max(bias, theirs[0]), max(error, theirs[1])
    values = {"foretold": foretold, "found": found}
    return [
        Gate("calibration_bias", beyond, most_bias, beyond <= most_bias, "foretold", values),
        Gate("calibration_error", ece, most_error, ece <= most_error),
    ]


def check_false_positives(
    name: str, groups: Iterable[tuple[str, int, int, int]], *, judged_share: float, bound: float, min_group: int
) -> Gate:
    """Check that no group of innocent orders is alerted too often, beyond sampling noise.

    `groups` holds name, innocent orders, how many of them were alerted, and how many of the malicious orders there
    were: by these malice that nobody found, and that counts as innocent, is taken off, as `judged_share` says. Groups
    below `min_group` are not judged.
    """
    unfound = count_not_found(judged_share)
    judged = [
        (_less_noise(max(n_alerts - n_caught * unfound, 0.0), n), label, n)
        for label, n, n_alerts, n_caught in groups
        if n >= min_group
    ]
    if not judged:
        return Gate(name, None, bound, passed=True, note="small_groups", values={"least": min_group})
    worst, label, n = max(judged)
    note = "highest_group" if len(judged) > 1 else "innocents"
    return Gate(name, worst, bound, worst <= bound, note, {"groups": len(judged), "group": label, "n": n})


def check_alert_rate(
    scores: Sequence[float],
    n_alerts: Sequence[int],
    n_orders: int,
    *,
    bound: float,
    min_alerts: int,
    champion_alerts: Sequence[int],
) -> Gate:
    """Check that standing thresholds alert as many as they stand for: a risk score s for a share of 10^(-s / 250).

    Where the orders themselves have changed the champion's are off, too, and that is no reason to keep it.

    Parameters
    ----------
    scores : thresholds
    n_alerts, champion_alerts : orders at or above each by either model, on days that neither score was made of
    n_orders : orders of those days
    bound : largest relative difference, beyond sampling noise
    min_alerts : thresholds that would give fewer are not judged
    """
    judged = [at for at, score in enumerate(scores) if find_target_rate(score) * n_orders >= min_alerts]
    if not judged:
        return Gate("alert_rate", None, bound, passed=True, note="few_orders", values={"n": n_orders})
    targets = [find_target_rate(score) for score in scores]
    worst, at = max((_change_beyond_noise(n_alerts[at], n_orders, targets[at]), at) for at in judged)
    most = max(bound, *(_change_beyond_noise(champion_alerts[at], n_orders, targets[at]) for at in judged))
    values = {"score": scores[at], "rate": n_alerts[at] / n_orders, "target": targets[at]}
    return Gate("alert_rate", worst, most, worst <= most, "threshold", values)


def find_target_rate(score: float) -> float:
    """Return the share of a quiet day's orders that a risk score stands for."""
    share: float = 10 ** (-score / 250)
    return share


def is_expected(name: str, expected: Sequence[str]) -> bool:
    """Return whether notice was given of a feature, by one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in expected)


def check_features(
    drifts: Sequence[FeatureDrift],
    new: Sequence[str],
    *,
    psi: float,
    constant_share: float,
    varied_share: float,
    expected: Sequence[str],
    score_psi: float = math.inf,
    score_drift: float = 0.0,
) -> list[Gate]:
    """Check that no feature is new, constant or drifted without notice, which `expected` gives by patterns of names.

    Features that drift count where the scores do, too: ages only grow, and no score need move for it. `score_psi` is
    the population stability index of the challenger's score, `score_drift` its bound.
    """
    unexpected = [name for name in new if not is_expected(name, expected)]
    frozen = [
        d.name
        for d in drifts
        if d.top_share_now >= constant_share and d.top_share_before < varied_share and not is_expected(d.name, expected)
    ]
    ranked = sorted((d for d in drifts if not is_expected(d.name, expected)), key=lambda d: (-d.psi, d.name))
    worst = ranked[0].psi if ranked else 0.0
    over = [d.name for d in ranked if d.psi > psi] if score_psi > score_drift else []
    return [
        Gate("features_new", float(len(unexpected)), 0.0, not unexpected, *_name_some(unexpected)),
        Gate("features_constant", float(len(frozen)), 0.0, not frozen, *_name_some(frozen)),
        Gate("features_drift", worst, psi, not over, *_describe_drift(over, ranked, psi, score_psi)),
    ]


def check_skill(
    raw: NDArray[np.float64],
    own_raw: NDArray[np.float64] | None,
    holdout: Holdout,
    bounds: GateBounds,
    *,
    seed: int,
    beats_champion: bool = False,
    pace: Pace | None = None,
) -> list[Gate]:
    """Check that a model ranks better than chance, and better than one without the history, both beyond noise.

    One that surely beats the champion (`beats_champion`) and ranks several times better than chance has skill, wherever
    it comes from.

    `raw` are the model's scores, `own_raw` those of a model fitted on the same orders by their own columns alone, None
    where there is none; neither was fitted on the holdout. What is better, and not yet beyond noise, is not decided:
    `pace` says when it will be.
    """
    whole, own = Ranking(raw, holdout.is_malicious), None if own_raw is None else Ranking(own_raw, holdout.is_malicious)
    measures: dict[str, Measure] = {"ap": whole.measure_ap}
    if own is not None:
        measures["ap_gain"] = lambda weight: whole.measure_ap(weight) - own.measure_ap(weight)
        measures["auc_gain"] = lambda weight: whole.measure_auc(weight) - own.measure_auc(weight)
    found = draw_intervals(
        measures, holdout, confidence_level=bounds.confidence_level, n_draws=bounds.n_draws, seed=seed
    )
    skill = _check_chance(found["ap"], holdout, bounds, pace)
    return [skill, _check_history(found, bounds, pace, times_chance=(skill.figure or 0.0) if beats_champion else 0.0)]


def find_chance_ap(n_malicious: int, n_orders: int) -> float:
    """Return the average precision that a random ranking has in expectation.

    References
    ----------
    Bestgen, "Exact expected average precision of the random baseline for system evaluation", 2015.
    """
    if n_orders <= 1:
        return float(n_malicious > 0)
    harmonic = float((1 / np.arange(1, n_orders + 1)).sum())
    return (harmonic + (n_malicious - 1) / (n_orders - 1) * (n_orders - harmonic)) / n_orders


def check_verdicts(
    channels: Iterable[tuple[str, int, int, float]], *, bound: float, min_risky: int, auc_before: float
) -> Gate:
    """Check that the newest verdicts of no channel contradict what the champion has learned.

    What it finds harmless and is malicious may be new. What it finds risky and is judged innocent is a contradiction:
    a channel agrees when as many of its risky orders are confirmed, give or take sampling noise, or when the champion
    ranks its verdicts well. `channels` holds name, newest verdicts on orders that the champion finds risky, how many of
    them are malicious, and its AUC on all of the channel's newest verdicts (NaN without one). A champion that ranks
    mature orders no better than the bound either (`auc_before`), as the starter where its columns are missing, has
    learned nothing that could be contradicted.
    """
    if auc_before < bound:
        return Gate("verdicts", None, bound, passed=True, note="blind_champion", values={"auc": auc_before})
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


def check_lookalikes(
    report: dict[str, Any] | None, champion: dict[str, Any] | None, *, champion_recall: float = 1.0
) -> Gate:
    """Check that no protected look-alike is alerted beyond its bound, and more often than by the champion beyond noise.

    Both are of `LookalikeReport.as_dict`, measured on the same orders; None when they were not measured. What the
    champion does as often is no reason to keep the champion.

    A challenger that alerts on most plain honest orders of the simulation is of a merchant so unlike it that nothing
    can be told, and a champion that catches nothing at all is fair to everybody and no baseline: there the figures are
    told, and what the challenger alerts of the merchant's own orders, other gates judge. `champion_recall` is of the
    merchant's own malicious orders, by the policy.
    """
    if report is None:
        return Gate("lookalikes", None, None, passed=True, note="left_out")
    plain = report["plain_alert_rate"] or 0.0
    if plain > _MOST_OF_PLAIN:
        return Gate("lookalikes", None, 0.0, passed=True, note="unlike_simulation", values={"rate": plain})
    if champion_recall < _LEAST_RECALL:
        return Gate("lookalikes", None, 0.0, passed=True, note="no_baseline", values={"recall": champion_recall})
    before = {row["scenario"]: row["alert_rate"] or 0.0 for row in (champion or {"rows": ()})["rows"]}
    unfair = [row["scenario"] for row in report["rows"] if not row["is_fair"] and _has_grown(row, before)]
    return Gate("lookalikes", float(len(unfair)), 0.0, not unfair, *_name_some(unfair))


def check_groups(rows: Sequence[GroupRow], *, bound: float) -> Gate:
    """Check that no look-alike group of the merchant's own is alerted beyond a multiple of plain buyers' rate.

    It counts what is surely beyond it, and surely more than by the champion; the figure is how many groups are.
    """
    unfair, not_decided = ([row for row in rows if row.state == state] for state in (UNFAIR, OPEN))
    judged = [row for row in rows if row.state != FEW]
    values: dict[str, Any] = {"times": bound, "groups": len(judged), "open": len(not_decided)}
    if not judged:
        return Gate("own_groups", None, 0.0, passed=True, note="no_groups")
    if not unfair:
        return Gate("own_groups", 0.0, 0.0, passed=True, note="groups_fair", values=values)
    worst = max(unfair, key=lambda row: row.alert_rate)
    values |= {"group_names": [row.group for row in unfair[:_N_NAMED]], "n": len(unfair), "rate": worst.alert_rate}
    values |= {"plain": worst.plain_rate, "before": worst.champion_rate}
    return Gate("own_groups", float(len(unfair)), 0.0, passed=False, note="groups_unfair", values=values)


def _measure_calibration(
    p: NDArray[np.float64], is_malicious: NDArray[np.bool_], weight: NDArray[np.int64]
) -> tuple[float, float, float, float]:
    """Return the bias and the expected calibration error beyond noise, and malicious orders foretold and found."""
    total, found, foretold = float(weight.sum()), float(weight[is_malicious].sum()), float((weight * p).sum())
    variance = weight * p * (1 - p)
    beyond = max(abs(foretold - found) - _NOISE * math.sqrt(float(variance.sum())), 0.0) / max(found, 1.0)
    order = np.argsort(p, kind="stable")
    tenth = np.minimum((np.cumsum(weight[order]) * _N_CALIBRATION_BINS / (total + 1)).astype(int), _N_CALIBRATION_BINS)
    gaps = np.abs(np.bincount(tenth, (weight * (p - is_malicious))[order]))
    noise = _NOISE * np.sqrt(np.bincount(tenth, variance[order]))
    return beyond, float(np.maximum(gaps - noise, 0.0).sum() / total), foretold, found


def _change_beyond_noise(n_alerts: int, n_orders: int, target: float) -> float:
    noise = _NOISE * math.sqrt((1 - target) / (target * n_orders))
    return max(abs(n_alerts / (target * n_orders) - 1) - noise, 0.0)


def _has_grown(row: dict[str, Any], before: dict[str, float]) -> bool:
    """Return whether a look-alike is alerted more often than by the champion, beyond noise."""
    rate = before.get(row["scenario"], 0.0)
    noise = _NOISE * math.sqrt(rate / row["n_orders"]) if row.get("n_orders") else 0.0
    return bool((row["alert_rate"] or 0.0) > rate + noise)


def _less_noise(n_hits: float, n: int) -> float:
    rate = n_hits / n
    return max(rate - _NOISE * math.sqrt(rate * (1 - rate) / n), 0.0)


def _name_some(names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    if not names:
        return "", {}
    return "names", {"names": ", ".join(names[:_N_NAMED]), "n": len(names)}


def _describe_drift(
    over: Sequence[str], ranked: Sequence[FeatureDrift], psi: float, score_psi: float
) -> tuple[str, dict[str, Any]]:
    if ranked and ranked[0].psi > psi and not over:
        return "scores_stay", {"names": ranked[0].name, "psi": score_psi}
    return _name_some(over or [d.name for d in ranked[:1]])


def _leave_open(gate: Gate, pace: Pace | None, *, gap: float, half: float) -> Gate:
    """Say of a gate that does not pass when it will be decided, where the bound is within its figure's interval.

    `gap` is from the figure to the bound, and `half` to the end of the interval beyond it.
    """
    if gate.passed or pace is None or not half >= gap > 0:
        return gate
    return replace(gate, is_decided=False, values=gate.values | pace.find_more(gap, half))


def _check_chance(ap: dict[str, float], holdout: Holdout, bounds: GateBounds, pace: Pace | None) -> Gate:
    n_malicious, n_orders = int(holdout.weight[holdout.is_malicious].sum()), int(holdout.weight.sum())
    chance = find_chance_ap(n_malicious, n_orders)
    values = {"ap": ap["value"], "low": ap["low"], "chance": chance}
    # NOTE: not a number, such as where no order is malicious, does not pass.
    times = ap["low"] / chance if chance > 0 else float("nan")
    gate = Gate("skill", times, bounds.chance_times, times > bounds.chance_times, "chance", values)
    return _leave_open(gate, pace, gap=ap["value"] - bounds.chance_times * chance, half=ap["value"] - ap["low"])


def _check_history(
    found: dict[str, dict[str, float]], bounds: GateBounds, pace: Pace | None, *, times_chance: float
) -> Gate:
    if "ap_gain" not in found:
        return Gate("history_gain", None, bounds.history_margin, passed=True, note="one_sort_of_columns")
    surest = max((found[name] for name in ("ap_gain", "auc_gain")), key=lambda gain: gain["low"])
    best = surest["low"]
    values = {
        f"{name}_{part}": found[name][part] for name in ("ap_gain", "auc_gain") for part in ("value", "low", "high")
    }
    if times_chance > bounds.surely_skilled_times and not best > bounds.history_margin:
        return Gate("history_gain", best, bounds.history_margin, passed=True, note="surely_skilled", values=values)
    gate = Gate("history_gain", best, bounds.history_margin, best > bounds.history_margin, "history", values)
    return _leave_open(gate, pace, gap=surest["value"] - bounds.history_margin, half=surest["value"] - best)
