"""Own trees beside the starter's: what they weigh, and that a sum is what its parts say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

import numpy as np
import pytest

from ordervet.learn import challenger
from ordervet.learn.challenger import Known, _cut_time, find_judged_share, fit_challenger, split_folds
from ordervet.model import Curve, FitSettings, ForestPredictor, load_starter
from ordervet.model.binned import MatrixView
from ordervet.model.calibration import fit_log_odds

if TYPE_CHECKING:
    from ordervet.learn.challenger import Fitted

NAMES = ("order__value__amount", "order__number__own")
FEW_ROUNDS = FitSettings(num_rounds=8, num_leaves=4, learning_rate=0.3, min_data_in_leaf=20, protected=())
QUICK = FitSettings(num_rounds=24, num_leaves=8, min_data_in_leaf=20, protected=())


def build_known(*, n: int = 6_000, share: float = 0.05, starter: float, own: float, seed: int = 1) -> Known:
    """Orders whose malice shows in the starter's score and in a column of the merchant's own, as clearly as asked."""
    rng = np.random.default_rng(seed)
    is_malicious = rng.random(n) < share
    columns = np.column_stack([rng.normal(size=n), rng.normal(size=n) + own * is_malicious]).astype(np.float32)
    view = MatrixView(columns, np.arange(n), np.arange(2))
    raw = rng.normal(size=n) + starter * is_malicious - 4
    return Known(view, NAMES, raw, is_malicious, np.ones(n), np.arange(n) // 2, is_malicious.copy(), np.zeros(n, bool))


def fit(known: Known, *, settings: FitSettings = QUICK, n_threads: int = 1) -> Fitted:
    return fit_challenger(known, settings, n_folds=3, n_threads=n_threads, report_step=lambda _: None)


def test_own_trees_weigh_nothing_where_they_know_nothing() -> None:
    fitted = fit(build_known(starter=3.0, own=0.0))

    assert (fitted.blend.own, fitted.blend.share, fitted.own_text) == (0.0, 0.0, "")
    assert fitted.blend.starter == 1.0
    assert fitted.blend.ap == fitted.blend.starter_ap


def test_starter_weighs_nothing_where_it_sees_nothing() -> None:
    fitted = fit(build_known(starter=0.0, own=3.0))

    assert fitted.blend.share >= 0.7
    assert fitted.blend.ap > fitted.blend.starter_ap + 0.3


def test_both_together_rank_better_than_the_starter_on_orders_that_neither_knew() -> None:
    known, later = build_known(starter=1.8, own=1.8), build_known(starter=1.8, own=1.8, seed=2)
    fitted = fit(known)

    own = ForestPredictor(fitted.own_text).predict_raw(later.view.features)
    raw = sum_up(fitted, later)

    assert 0 < fitted.blend.share < 1
    apart = [measure_ap(each, later.is_malicious) for each in (raw, later.starter_raw, own)]
    assert apart[0] > max(apart[1:]) + 0.05
    p = fitted.calibration(raw)
    assert p.sum() == pytest.approx(later.is_malicious.sum(), rel=0.25)


def sum_up(fitted: Fitted, known: Known) -> np.ndarray:
    """The raw scores of both forests together."""
    raw = fitted.blend.starter * known.starter_raw
    own = ForestPredictor(fitted.own_text).predict_raw(known.view.features) if fitted.own_text else 0.0
    return raw + fitted.blend.own * own


def measure_ap(raw: np.ndarray, is_malicious: np.ndarray) -> float:
    found = is_malicious[np.argsort(-raw, kind="stable")]
    return float((np.cumsum(found) / np.arange(1, len(found) + 1))[found].mean())


@pytest.mark.usefixtures("fits_on_threads")
def test_challenger_is_the_same_on_one_and_on_two_threads() -> None:
    known = build_known(starter=1.8, own=1.8)

    one, two = (fit(known, n_threads=n) for n in (1, 2))

    assert (one.own_text, one.blend) == (two.own_text, two.blend)
    assert one.calibration.to_lists() == two.calibration.to_lists()


@pytest.mark.parametrize("n_malicious", [40, 41, 59])
def test_few_malicious_orders_are_enough_for_one_later_part(n_malicious: int) -> None:
    known = build_known(n=3_000, share=0.0, starter=0.0, own=0.0)
    known.is_malicious[np.linspace(0, 2_999, n_malicious).astype(int)] = True

    fitted = fit(known)

    assert fitted.blend.ap > 0
    assert np.isfinite(fitted.calibration(known.starter_raw)).all()


def test_written_sum_is_what_both_forests_say_apart() -> None:
    starter = load_starter()
    known = build_known(starter=1.8, own=1.8)
    fitted = fit(known)
    names = (*NAMES, *(name for name in starter.spec.names if name not in NAMES))
    rows = np.random.default_rng(4).normal(size=(300, len(names))).astype(np.float32) * 5

    merged = ForestPredictor(fitted.write(starter.booster_text, names)).predict_raw(rows)

    of_starter = ForestPredictor(starter.booster_text).predict_raw(
        np.ascontiguousarray(rows[:, [names.index(name) for name in starter.spec.names]])
    )
    of_own = ForestPredictor(fitted.own_text).predict_raw(np.ascontiguousarray(rows[:, :2]))
    expected = fitted.blend.starter * of_starter + fitted.blend.own * of_own
    np.testing.assert_allclose(merged, expected, rtol=0, atol=1e-9)


def test_folds_hold_equally_many_malicious_orders_in_turn() -> None:
    is_malicious = np.arange(1_000) % 10 == 0

    fold = split_folds(is_malicious, 4)

    assert (np.diff(fold) >= 0).all()
    assert np.bincount(fold[is_malicious]).tolist() == [25, 25, 25, 25]


@pytest.mark.parametrize(("judged", "n"), [(0.1, 60_000), (0.3, 20_000), (0.6, 20_000)])
def test_malice_that_nobody_judged_is_estimated_and_calibrated_for(judged: float, n: int) -> None:
    known = build_known(n=n, starter=4.5, own=0.0)
    is_found = known.is_malicious & (np.random.default_rng(5).random(n) < judged)
    told = replace(known, is_malicious=is_found, is_judged=is_found)

    fitted = fit(told)

    assert fitted.judged_share == pytest.approx(judged, rel=0.2)
    p = fitted.calibration(sum_up(fitted, known))
    assert p.sum() == pytest.approx(known.is_malicious.sum(), rel=0.25)


@pytest.mark.parametrize("seed", [1, 2])
def test_malice_that_nobody_judged_does_not_teach_that_there_is_none(seed: int) -> None:
    known, later = (build_known(starter=3.0, own=3.5, seed=seed + each) for each in (0, 10))
    is_found = known.is_malicious & (np.random.default_rng(seed).random(6_000) < 0.35)
    told = replace(known, is_malicious=is_found, is_judged=is_found)

    weighed = fit(told, settings=FEW_ROUNDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(challenger, "_find_innocence", lambda known, *_: np.ones(len(known.weight)))
        plain = fit(told, settings=FEW_ROUNDS)

    assert not plain.blend.weighs_unjudged
    ours, theirs = (measure_ap(sum_up(each, later), later.is_malicious) for each in (weighed, plain))
    assert ours > theirs - 0.01
    assert weighed.blend.weighs_unjudged or weighed.own_text == plain.own_text


def test_orders_that_nobody_judged_weigh_by_how_likely_they_are_innocent_and_judged_ones_in_full() -> None:
    known = build_known(n=20_000, starter=4.0, own=0.0)
    rng = np.random.default_rng(3)
    is_judged = rng.random(20_000) < np.where(known.is_malicious, 0.4, 0.02)
    told = replace(known, is_malicious=known.is_malicious & is_judged, is_judged=is_judged)
    later = np.arange(8_000, 20_000)
    p = np.clip(known.is_malicious * 0.9, 0.001, 1)
    learned = Mock(rows=later, raw=np.log(p / (1 - p))[later])
    curve = Curve(np.linspace(-8, 8, 400), 1 / (1 + np.exp(-np.linspace(-8, 8, 400))))

    innocence = challenger._find_innocence(told, learned, curve, 0.4)

    assert (innocence[is_judged] == 1).all()
    assert ((innocence > 0) & (innocence <= 1)).all()
    unjudged = ~is_judged & (np.arange(20_000) >= 8_000)
    assert innocence[unjudged & known.is_malicious].max() < 0.2
    assert innocence[unjudged & ~known.is_malicious].min() > 0.99
    before = ~is_judged & (np.arange(20_000) < 8_000)
    assert innocence[before & known.is_malicious].mean() < 0.7 < innocence[before & ~known.is_malicious].mean()


def test_nothing_is_corrected_where_the_desk_judges_most_or_finds_innocents_among_the_riskiest_or_judges_few() -> None:
    raw = -np.arange(1_000.0)
    is_malicious = np.arange(1_000) < 100

    most = find_judged_share(raw, is_malicious, is_malicious)
    found = is_malicious & (np.arange(1_000) % 3 == 0)
    contradicted = find_judged_share(raw, found, np.arange(1_000) % 2 == 0)
    few = find_judged_share(
        raw, is_malicious & (np.arange(1_000) % 20 == 0), is_malicious & (np.arange(1_000) % 20 == 0)
    )

    assert (most, contradicted, few) == (1.0, 1.0, 1.0)


def add_new_kind(known: Known, *, n_early: int, n_new: int) -> Known:
    """Let the newest orders have early labels, and among them a kind that the starter takes for honest.

    It shows in a column that tells of nothing else.
    """
    n, rng = len(known.is_malicious), np.random.default_rng(9)
    is_early = np.arange(n) >= n - n_early
    is_new = np.isin(np.arange(n), rng.choice(np.flatnonzero(is_early & ~known.is_malicious), n_new, replace=False))
    column = np.where(is_new, 6.0, rng.normal(size=n)).astype(np.float32)
    view = MatrixView(np.column_stack([known.view.features, column]), np.arange(n), np.arange(3))
    is_malicious = known.is_malicious | is_new
    return replace(known, view=view, names=(*NAMES, "order__number__new"), is_early=is_early, is_malicious=is_malicious)


def test_new_kind_is_caught_and_what_the_starter_knows_is_kept() -> None:
    known = add_new_kind(build_known(n=12_000, starter=3.0, own=1.5), n_early=2_000, n_new=160)
    fitted = fit(known)

    raw = sum_up(fitted, known)

    is_new = known.view.features[:, 2] == 6.0
    assert fitted.blend.is_on_top
    top = np.argsort(-raw)[: int(known.is_malicious.sum() * 1.25)]
    assert np.isin(np.flatnonzero(is_new), top).mean() > 0.8
    before = ~known.is_early
    ours, theirs = (measure_ap(each[before], known.is_malicious[before]) for each in (raw, known.starter_raw))
    assert ours > theirs - 0.01


def test_trees_are_not_fitted_on_top_of_a_starter_that_does_not_suit() -> None:
    known = add_new_kind(build_known(n=12_000, starter=1.0, own=3.0), n_early=2_000, n_new=160)

    assert not fit(known).blend.is_on_top


def test_early_labels_that_show_nothing_new_change_nothing() -> None:
    known = build_known(n=12_000, starter=3.0, own=0.0)

    fitted = fit(replace(known, is_early=np.arange(12_000) >= 9_000))

    assert fitted.blend.own == 0.0


def test_trees_on_top_of_the_starter_start_at_its_log_odds() -> None:
    known = add_new_kind(build_known(n=12_000, starter=3.0, own=1.5), n_early=2_000, n_new=160)

    fitted = fit(known)

    raw = sum_up(fitted, known)
    of_own = (raw - fitted.blend.starter * known.starter_raw) / fitted.blend.own
    intercept, slope = fit_log_odds(known.starter_raw, known.is_malicious, known.weight)
    assert fitted.blend.is_on_top
    assert fitted.blend.starter == pytest.approx(slope)
    # what the trees leave is calibrated without them: they move no order on average, and none far
    p = 1 / (1 + np.exp(-(intercept + raw)))
    assert p.sum() == pytest.approx(known.is_malicious.sum(), rel=0.15)
    assert abs(of_own).mean() < abs(slope * known.starter_raw).mean() / 2


def test_newest_part_is_cut_of_early_labels_and_the_others_hold_equally_many_malicious_orders() -> None:
    known = replace(build_known(n=8_000, starter=1.0, own=1.0), is_early=np.arange(8_000) >= 5_000)

    fold = _cut_time(known, 3)

    assert (np.diff(fold) >= 0).all()
    assert known.is_early[fold == fold[-1]].all()
    n_malicious = np.bincount(fold[known.is_malicious])
    assert n_malicious[-1] == int((known.is_malicious & known.is_early).sum()) // 3
    assert n_malicious[:-1].max() - n_malicious[:-1].min() <= 1
