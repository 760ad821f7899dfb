"""Fit the challenger: the merchant's own trees beside the starter's, a weighted sum of log-odds.

Own trees are fitted on the past of each later part of the time, and asked about that part: once apart from the starter,
once to what it leaves. Which of both, how many rounds they take and how much they weigh is what ranks those parts best;
they weigh nothing where that is no better than the starter alone beyond noise. The calibration is fitted on the same
scores, which no tree knew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ordervet.learn.groups import find_innocence
from ordervet.learn.intervals import draw_weights
from ordervet.learn.ranking import Ranking
from ordervet.model import Curve, ForestPredictor, fit_calibration
from ordervet.model.binned import BinnedOrders
from ordervet.model.calibration import fit_log_odds, fit_logistic_calibration
from ordervet.model.fit import MIN_MALICIOUS
from ordervet.model.merge import merge_boosters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.model import FitSettings
    from ordervet.model.binned import MatrixView

_ROWS_AT_ONCE = 65_536
#: Parts that the malicious orders are cut into before anything can be learned: one to fit on, one to measure on.
MIN_PARTS = 2
#: How much own trees may weigh, in log-odds, and the shares of the rounds asked for that are tried.
SHARES = (0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
ROUND_SHARES = (0.125, 0.25, 0.5, 1.0)
#: Own trees weigh at most the part of so many malicious orders that they were measured on: what a few dozen of them
#: show does not always hold.
_MALICIOUS_FOR_ALL = 200
#: Fewer malicious orders than this are calibrated by two numbers, not by steps: between the means of a few blocks of
#: which one holds nearly all innocent orders, a line foretells up to twice the malice there is.
MIN_FOR_STEPS = 1_000
_N_DRAWS, _LOWER = 60, 0.2
#: Average precision that counts for little: in such a difference two fits on the same orders are alike. And by so much
#: the starter may be behind own trees where it suits a merchant.
_LITTLE, _NEARLY = 0.01, 0.05
#: Malicious orders of the newest part, at most.
_MOST_NEWEST = 200
#: Of the share that is judged: judged orders among the riskiest to estimate it by, how pure they must be, from when on
#: nothing is corrected, how far, and the highest probability that comes of it.
_MIN_JUDGED, _PURE, _MOSTLY_JUDGED, _LEAST_JUDGED, _MOST_P = 5, 0.85, 0.8, 0.05, 0.95
#: Standard errors by which a smaller part of the riskiest orders must be judged more.
_SURELY = 2.0


@dataclass(frozen=True, slots=True)
class Known:
    """Labelled orders, the oldest first, and what the starter says of them."""

    view: MatrixView  # the merchant's own features
    names: tuple[str, ...]  # of those
    starter_raw: NDArray[np.float64]  # shape (n,), the starter's raw scores
    is_malicious: NDArray[np.bool_]  # shape (n,)
    weight: NDArray[np.float64]  # shape (n,), how many orders a row stands for
    buyer: NDArray[np.int64]  # shape (n,), numbers from 0: what is drawn together
    is_judged: NDArray[np.bool_]  # shape (n,), by the desk, one way or the other
    is_early: NDArray[np.bool_]  # shape (n,), not mature: the label is what is known so far


@dataclass(frozen=True, slots=True)
class Blend:
    """How much the two forests weigh."""

    #: starter, own: weights of the raw scores
    starter: float
    own: float
    share: float  # of the own trees in the sum of log-odds, 0 to 1
    num_rounds: int  # of the own trees
    #: ap, starter_ap: average precision on the parts that decided, of the sum and of the starter alone
    ap: float
    starter_ap: float
    is_on_top: bool = False  # whether own trees were fitted to what the starter leaves, not apart from it
    weighs_unjudged: bool = False  # whether own trees weigh orders that nobody judged by how likely they are innocent

    @classmethod
    def of_starter(cls, other: Blend) -> Blend:
        """Return the starter alone, measured where another blend was."""
        return cls(1.0, 0.0, 0.0, other.num_rounds, other.starter_ap, other.starter_ap)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Own trees, and how they and the starter's are put together."""

    own_text: str  # LightGBM's text; empty where the own trees weigh nothing
    blend: Blend
    calibration: Curve  # of the sum, by all malice, judged or not
    judged_share: float  # of the malicious orders, those that were judged, see `find_judged_share`
    #: later_rows, later_raw: positions of the later parts' orders, and the sum's raw scores by trees fitted before them
    later_rows: NDArray[np.int64]
    later_raw: NDArray[np.float64]

    def write(self, starter_text: str, names: tuple[str, ...], offsets: Sequence[str] = ()) -> str:
        """Write both forests, and trees of offsets, as one, over features that hold those of both."""
        return merge_boosters([(starter_text, self.blend.starter), *self._own()], names, offsets)

    def _own(self) -> list[tuple[str, float]]:
        return [(self.own_text, self.blend.own)] if self.own_text else []


@dataclass(frozen=True, slots=True)
class _Later:
    """One later part of the time, scored by trees that were fitted before it."""

    rows: NDArray[np.int64]
    own_raw: NDArray[np.float64]  # shape (n_rounds_tried, len(rows)), of trees fitted apart from the starter
    added_raw: NDArray[np.float64]  # shape (n_rounds_tried, len(rows)), of trees fitted to what the starter leaves


def fit_challenger(
    known: Known, settings: FitSettings, *, n_folds: int, n_threads: int, report_step: Callable[[str], None]
) -> Fitted:
    """Fit own trees on all orders, and find their weight beside the starter on the later parts of the time.

    Parameters
    ----------
    known : with at least `MIN_PARTS` times `MIN_MALICIOUS` malicious orders
    settings : LightGBM's; `num_rounds` is the most that are tried
    n_folds : later parts of the time, fewer where there is too little malice for so many
    n_threads : threads; the result does not depend on it
    report_step : called with what is being done
    """
    rounds = tuple(sorted({max(round(settings.num_rounds * share), 1) for share in ROUND_SHARES}))
    report_step(f"sorting {len(known.view):,} rows into bins")
    binned = BinnedOrders(known.view, known.names, known.is_malicious, known.weight, settings, n_threads=n_threads)

    intercept, slope = fit_log_odds(known.starter_raw, known.is_malicious, known.weight)
    start = intercept + slope * known.starter_raw

    def learn() -> _Learned:
        later = _score_later_parts(
            known, binned, start, rounds, n_folds=n_folds, n_threads=n_threads, report_step=report_step
        )
        blend = find_blend(known, later, rounds, slope)
        raws = _sum_up(known, later, rounds, blend)
        rows = np.concatenate([part.rows for part in later])
        return _Learned(rows, np.concatenate(raws), blend, _measure(known, later, raws))

    learned = learn()
    calibration, judged_share = _calibrate(known, learned)
    if judged_share < 1:
        binned.weigh(known.weight * _find_innocence(known, learned, calibration, judged_share))
        again = learn()
        if again.ap > learned.ap:
            learned = replace(again, blend=replace(again.blend, weighs_unjudged=True))
            calibration, judged_share = _calibrate(known, learned)
        else:
            binned.weigh(known.weight)
    own_text, blend = "", learned.blend
    if blend.own > 0:
        report_step(f"fitting on {len(known.view):,} rows")
        own_text = binned.fit_stages(None, (blend.num_rounds,), start if blend.is_on_top else None)[0]
    return Fitted(own_text, blend, calibration, judged_share, learned.rows, learned.raw)


@dataclass(frozen=True, slots=True)
class _Learned:
    """What was learned with some weights of the orders."""

    #: rows, raw: the later parts of the time, and the sum there, by trees that were fitted before each
    rows: NDArray[np.int64]
    raw: NDArray[np.float64]
    blend: Blend
    ap: float  # average precision of the sum there


def _calibrate(known: Known, learned: _Learned) -> tuple[Curve, float]:
    """Fit the calibration to all malice, judged or not, and estimate which share of it is judged."""
    rows, raw = learned.rows, learned.raw
    is_malicious, weight = known.is_malicious[rows], known.weight[rows]
    judged_share = find_judged_share(raw, is_malicious, known.is_judged[rows])
    if int(is_malicious.sum()) < MIN_FOR_STEPS:
        return fit_logistic_calibration(raw, is_malicious, weight, judged_share=judged_share), judged_share
    steps = fit_calibration(raw, is_malicious, weight)
    return Curve(steps.x, np.minimum(steps.y / judged_share, np.maximum(steps.y, _MOST_P))), judged_share


def _find_innocence(known: Known, learned: _Learned, calibration: Curve, judged_share: float) -> NDArray[np.float64]:
    """Weigh orders that nobody judged by how likely they are innocent; what the desk judged counts in full.

    Of the orders before the later parts no trees speak that did not know them; the starter does.

    Returns
    -------
    shape (n,), 0 to 1
    """
    rows = learned.rows
    of_starter = fit_logistic_calibration(
        known.starter_raw[rows], known.is_malicious[rows], known.weight[rows], judged_share=judged_share
    )
    p = of_starter(known.starter_raw)
    p[rows] = calibration(learned.raw)
    return np.where(known.is_malicious | known.is_judged, 1.0, find_innocence(p, known.is_malicious, judged_share))


def find_judged_share(raw: NDArray[np.float64], is_malicious: NDArray[np.bool_], is_judged: NDArray[np.bool_]) -> float:
    """Estimate which share of the malicious orders the desk has judged at all.

    An order that nobody judged is not innocent because a month went by. Among the riskiest orders, at most half as many
    as were found malicious (as many, where too few of those are judged), nearly all judged ones are malicious where a
    desk knows its trade; then so are nearly all of the others there, and the share that is judged is what can be
    counted. A ranking that is not so good has innocents among them, the fewer the higher: where of the riskiest quarter
    or eighth surely more are judged, those count. Where the judged ones are not malicious, or are few, or where most
    are judged anyway, nothing is corrected.

    Returns
    -------
    from `_LEAST_JUDGED` to 1

    References
    ----------
    Elkan and Noto, "Learning classifiers from only positive and unlabeled data", KDD 2008: the share is constant, and
    what a classifier says of the labelled is an estimate of it.
    """
    riskiest, n_found = np.argsort(-raw, kind="stable"), int(is_malicious.sum())
    tops = [riskiest[: n_found // part] for part in (2, 4, 8)]
    if is_judged[tops[0]].sum() < _MIN_JUDGED:
        tops = [riskiest[:n_found]]
    share = 0.0
    for top in tops:
        n_judged, n_malicious = int(is_judged[top].sum()), int(is_malicious[top].sum())
        if n_judged < _MIN_JUDGED:
            continue
        if n_malicious < _PURE * n_judged:
            return 1.0
        of_top = n_judged / len(top)
        if share == 0.0 or of_top - _SURELY * math.sqrt(of_top * (1 - of_top) / len(top)) > share:
            share = of_top
    return 1.0 if share > _MOSTLY_JUDGED or share == 0.0 else max(share, _LEAST_JUDGED)


def find_blend(known: Known, later: list[_Later], rounds: tuple[int, ...], slope: float) -> Blend:
    """Find the own trees, their rounds and their weight that rank the later parts best.

    Trees fitted to what the starter leaves keep what it knows. They are for a merchant whom it suits, whose malice of
    the parts before the newest it ranks nearly as well as trees fitted apart from it do (`_NEARLY`), and are taken
    where they rank no more than `_LITTLE` worse than those, and more than that better than the starter. Where the
    newest part has early labels, nothing is taken that ranks those before it by more than `_LITTLE` worse than the
    starter does.

    Parameters
    ----------
    known, later, rounds : the orders, the later parts, and the rounds that are tried
    slope : of the starter's log-odds in its raw score, by all labels
    """
    has_newest = len(later) > 1 and bool(known.is_early[later[-1].rows].all())
    before = later[:-1] if has_newest else later
    of_starter = _measure(known, before, [known.starter_raw[part.rows] for part in before])
    least = of_starter - _LITTLE if has_newest else 0.0
    apart, on_top = (
        _find_best(known, later, rounds, candidates, before, least)
        for candidates in (_list_apart(known, later, rounds), _list_on_top(known, later, rounds, slope))
    )
    suits = _measure(known, before, _sum_up(known, before, rounds, apart)) <= of_starter + _NEARLY
    is_as_good = on_top.ap > max(apart.ap - _LITTLE, on_top.starter_ap + _LITTLE)
    blend = on_top if suits and is_as_good else apart
    is_better = blend.own > 0 and _is_surely_better(known, later, rounds, blend, Blend.of_starter(blend))
    return blend if is_better else Blend.of_starter(blend)


def _list_apart(known: Known, later: list[_Later], rounds: tuple[int, ...]) -> list[Blend]:
    """List weights of trees fitted apart from the starter: both are brought to log-odds by one logistic curve each."""
    rows = np.concatenate([part.rows for part in later])
    is_malicious, weight = known.is_malicious[rows], known.weight[rows]
    starter = max(fit_log_odds(known.starter_raw[rows], is_malicious, weight)[1], 0.0)
    found = []
    for at, num_rounds in enumerate(rounds):
        _, own = fit_log_odds(np.concatenate([part.own_raw[at] for part in later]), is_malicious, weight)
        shares = _list_shares(known, later) if own > 0 else []
        found += [Blend((1 - share) * starter, share * own, share, num_rounds, 0.0, 0.0) for share in shares]
    return found


def _list_on_top(known: Known, later: list[_Later], rounds: tuple[int, ...], slope: float) -> list[Blend]:
    """List weights of trees fitted to what the starter leaves, which counts in full."""
    return [
        Blend(slope, share, share, num_rounds, 0.0, 0.0, is_on_top=True)
        for num_rounds in rounds
        for share in _list_shares(known, later)
    ]


def _list_shares(known: Known, later: list[_Later]) -> list[float]:
    """List how much own trees may weigh, measured on so many malicious orders."""
    most = sum(int(known.is_malicious[part.rows].sum()) for part in later) / _MALICIOUS_FOR_ALL
    return [each for each in SHARES if each <= most]


def _find_best(
    known: Known,
    later: list[_Later],
    rounds: tuple[int, ...],
    candidates: list[Blend],
    before: list[_Later],
    least: float,
) -> Blend:
    """Find what ranks the later parts best, and those before the newest with an average precision of `least` at least.

    Where nothing does so better than the starter alone, it is that.
    """
    alone = _measure(known, later, [known.starter_raw[part.rows] for part in later])
    best = Blend(1.0, 0.0, 0.0, rounds[-1], alone, alone)
    for blend in candidates:
        ap = _measure(known, later, _sum_up(known, later, rounds, blend))
        if ap > best.ap and _measure(known, before, _sum_up(known, before, rounds, blend)) >= least:
            best = replace(blend, ap=ap, starter_ap=alone)
    return best


def split_folds(is_malicious: NDArray[np.bool_], n_folds: int) -> NDArray[np.int64]:
    """Assign every order, the oldest first, to its part of the time; the parts hold equally many malicious orders."""
    n_before: NDArray[np.int64] = np.cumsum(is_malicious) - is_malicious
    fold: NDArray[np.int64] = np.minimum(n_before * n_folds // max(int(is_malicious.sum()), 1), n_folds - 1)
    return fold


def _cut_time(known: Known, n_folds: int) -> NDArray[np.int64]:
    """Assign every order to its part of the time; where there are early labels enough, the newest is a part of its own.

    That part holds a third of the malicious orders with early labels, at most `_MOST_NEWEST`.
    """
    n_newest = min(int((known.is_malicious & known.is_early).sum()) // 3, _MOST_NEWEST)
    malicious = np.flatnonzero(known.is_malicious)
    has_newest = n_newest >= MIN_MALICIOUS and len(malicious) - n_newest >= MIN_PARTS * MIN_MALICIOUS
    end = int(malicious[-n_newest]) if has_newest else len(known.is_malicious)
    n_parts = max(min(n_folds + 1, int(known.is_malicious[:end].sum()) // MIN_MALICIOUS), MIN_PARTS)
    fold = split_folds(known.is_malicious[:end], n_parts)
    return np.append(fold, np.full(len(known.is_malicious) - end, n_parts))


def predict_parts(
    predictor: ForestPredictor, view: MatrixView, rows: NDArray[np.int64], n_threads: int
) -> NDArray[np.float64]:
    """Return the raw scores of some rows of a view, without a second matrix in memory."""
    parts = [
        predictor.predict_raw(view.take(rows[at : at + _ROWS_AT_ONCE]), n_threads=n_threads)
        for at in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return np.concatenate([*parts, np.zeros(0)])


def _score_later_parts(
    known: Known,
    binned: BinnedOrders,
    start: NDArray[np.float64],
    rounds: tuple[int, ...],
    *,
    n_folds: int,
    n_threads: int,
    report_step: Callable[[str], None],
) -> list[_Later]:
    fold = _cut_time(known, n_folds)
    n_parts = int(fold[-1]) + 1
    later = []
    for at in range(1, n_parts):
        report_step(f"cross-fitting {at} of {n_parts - 1}")
        past, rows = np.flatnonzero(fold < at), np.flatnonzero(fold == at)
        own, added = (
            np.stack(
                [
                    predict_parts(ForestPredictor(text), known.view, rows, n_threads)
                    for text in binned.fit_stages(past, rounds, begin)
                ]
            )
            for begin in (None, start)
        )
        later.append(_Later(rows, own, added))
    return later


def _sum_up(known: Known, later: list[_Later], rounds: tuple[int, ...], blend: Blend) -> list[NDArray[np.float64]]:
    at = rounds.index(blend.num_rounds)
    return [
        blend.starter * known.starter_raw[part.rows]
        + blend.own * (part.added_raw if blend.is_on_top else part.own_raw)[at]
        for part in later
    ]


def _measure(known: Known, later: list[_Later], raws: list[NDArray[np.float64]]) -> float:
    """Return the mean of the parts' average precision, each weighted by its malicious orders."""
    total = found = 0.0
    for part, raw in zip(later, raws, strict=True):
        weight = known.weight[part.rows].astype(np.float64)
        n_malicious = float(weight[known.is_malicious[part.rows]].sum())
        total += n_malicious
        found += n_malicious * Ranking(raw, known.is_malicious[part.rows]).measure_ap(weight)
    return found / total


def _is_surely_better(known: Known, later: list[_Later], rounds: tuple[int, ...], blend: Blend, other: Blend) -> bool:
    """Return whether a blend ranks better than another on all but a fifth of the draws of whole buyers."""
    rng = np.random.default_rng(0)
    both = [_sum_up(known, later, rounds, each) for each in (blend, other)]
    pairs = [
        tuple(Ranking(raw, known.is_malicious[part.rows]) for raw in raws)
        for part, *raws in zip(later, *both, strict=True)
    ]
    gains = []
    for _ in range(_N_DRAWS):
        drawn = draw_weights(known.buyer, rng)
        gain = 0.0
        for part, (ours, theirs) in zip(later, pairs, strict=True):
            weight = drawn[part.rows] * known.weight[part.rows]
            n_malicious = float(weight[known.is_malicious[part.rows]].sum())
            if n_malicious > 0:
                gain += n_malicious * (ours.measure_ap(weight) - theirs.measure_ap(weight))
        gains.append(gain)
    return float(np.quantile(gains, _LOWER)) > 0
