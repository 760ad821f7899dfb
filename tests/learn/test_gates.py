"""Each gate passes what it should and refuses what it should."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ordervet.learn import gates
from ordervet.learn.drift import FeatureDrift, find_trend, measure_category_psi, measure_feature_drift, measure_psi
from ordervet.learn.groups import FAIR, FEW, OPEN, UNFAIR, GroupRow
from ordervet.learn.night_settings import GateBounds
from ordervet.learn.ranking import Holdout
from ordervet.learn.trial import find_standing_change
from ordervet.reports.nightly import describe_gate

GAIN = {"challenger": 0.6, "champion": 0.5, "gain": 0.1, "low": 0.02, "high": 0.2}


@pytest.mark.parametrize(
    ("low", "gain", "is_old", "passed"),
    [
        (0.02, 0.1, False, True),
        (0.0, 0.1, False, False),
        (-0.01, 0.1, False, False),
        (-0.01, 0.1, True, True),
        (-0.01, -0.001, True, False),
        (0.02, 0.1, True, True),
    ],
)
def test_gain_must_be_beyond_noise_unless_the_champion_is_old(
    low: float, gain: float, is_old: bool, passed: bool
) -> None:
    measured = GAIN | {"low": low, "gain": gain}

    gate = gates.check_gain("ap_gain", measured, margin=0.0, is_champion_old=is_old, max_loss=0.0)

    assert gate.passed is passed


@pytest.mark.parametrize(
    ("n_lost", "n_won", "n", "passed"),
    [(0, 0, 0, True), (0, 0, 50, True), (20, 0, 50, False), (20, 15, 50, True), (2, 0, 4, True), (0, 20, 50, True)],
)
def test_first_hits_are_lost_beyond_the_noise_of_the_rings_that_differ(
    n_lost: int, n_won: int, n: int, passed: bool
) -> None:
    champion, challenger = np.zeros(n, np.int64), np.zeros(n, np.int64)
    challenger[:n_lost] = 1
    champion[n_lost : n_lost + n_won] = 2

    gate = gates.check_first_hits(challenger, champion, max_loss=0.02)

    assert gate.passed is passed
    assert (gate.figure is None) is (n == 0)
    assert all(describe_gate(gate.as_dict(), lang)[1] for lang in ("zh", "en"))


def test_first_model_has_nobody_to_beat() -> None:
    assert gates.check_gain("ap_gain", None, margin=0.0, is_champion_old=False, max_loss=0.0).passed


def test_calibration_passes_what_is_true_and_refuses_what_is_twice_too_high() -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(1, 30, 20_000)
    is_malicious, weight = rng.random(len(p)) < p, np.ones(len(p), np.int64)

    true = gates.check_calibration(p, is_malicious, weight, error=0.01, bias=0.2)
    high = gates.check_calibration(2 * p, is_malicious, weight, error=0.01, bias=0.2)

    assert [gate.passed for gate in true] == [True, True]
    assert [gate.passed for gate in high] == [False, False]


@pytest.mark.parametrize("times", [1.0, 2.5])
def test_calibration_of_a_few_hundred_orders_is_judged_beyond_the_noise_of_each_tenth(times: float) -> None:
    rng, weight = np.random.default_rng(3), np.ones(500, np.int64)
    passed, raw_errors = [], []
    for _ in range(100):
        p = rng.beta(1, 12, 500)
        is_malicious = rng.random(500) < p
        error = gates.check_calibration(np.minimum(times * p, 1), is_malicious, weight, error=0.02, bias=9.0)[1]
        passed.append(error.passed)
        tenths = np.array_split(np.argsort(p), 10)
        raw_errors.append(sum(abs(p[each].sum() - is_malicious[each].sum()) for each in tenths) / 500)

    assert np.mean(raw_errors) > 0.02  # so a bound without noise would refuse probabilities that are true
    assert np.mean(passed) >= 0.98 if times == 1 else np.mean(passed) <= 0.1


def test_false_positives_are_judged_beyond_noise_and_not_in_small_groups() -> None:
    def check(*groups: tuple[str, int, int, int], judged_share: float = 1.0) -> gates.Gate:
        return gates.check_false_positives(
            "channel_false_positives", groups, judged_share=judged_share, bound=0.05, min_group=100
        )

    assert check(("a", 1_000, 40, 0), ("b", 150, 10, 0)).passed
    assert not check(("a", 1_000, 40, 0), ("b", 1_000, 100, 0)).passed
    assert check(("tiny", 99, 99, 0)).figure is None


def test_false_positives_leave_out_malice_that_nobody_found() -> None:
    def check(n_caught: int, judged_share: float) -> gates.Gate:
        groups = [("new", 1_000, 100, n_caught)]
        return gates.check_false_positives("new", groups, judged_share=judged_share, bound=0.05, min_group=100)

    # Of 60 malicious orders that are alerted half are known, so 30 of the 100 alerted "innocents" are none.
    assert not check(30, 1.0).passed
    assert check(30, 0.5).figure == pytest.approx(0.07 - 2 * (0.07 * 0.93 / 1_000) ** 0.5)
    assert check(60, 0.5).passed
    assert check(0, 0.1).figure == check(0, 1.0).figure
    assert check(500, 0.5).figure == 0.0


def test_alert_rate_is_judged_where_there_are_alerts_enough() -> None:
    def check(*n_alerts: int, champion_alerts: tuple[int, int] = (1_000, 100)) -> gates.Gate:
        return gates.check_alert_rate(
            (250.0, 500.0), n_alerts, 10_000, bound=0.1, min_alerts=400, champion_alerts=champion_alerts
        )

    assert check(1_050, 500).passed
    assert check(1_150, 100).passed
    assert not check(1_200, 100).passed
    assert not check(800, 100).passed
    assert check(1_200, 100, champion_alerts=(1_250, 100)).passed
    assert not check(1_300, 100, champion_alerts=(1_250, 100)).passed


@pytest.mark.parametrize(("share", "is_far"), [(0.1, False), (0.085, False), (0.06, True), (0.15, True)])
@pytest.mark.parametrize("n", [1_000, 100_000])
def test_standing_threshold_of_a_small_merchant_is_told_to_have_drifted_too(n: int, share: float, is_far: bool) -> None:
    score = np.where(np.arange(n) < n * share, 300.0, 0.0)

    change = find_standing_change(score, (250.0,), 400)

    assert (change > 0.2) is is_far
    assert n == 1_000 or change == pytest.approx(abs(share / 0.1 - 1))
    assert find_standing_change(score[:100], (250.0,), 400) == 0.0


def test_feature_that_froze_drifted_or_is_new_needs_notice() -> None:
    rng = np.random.default_rng(1)
    names = ("steady", "frozen", "shifted", "rare")
    before = np.column_stack([rng.normal(size=(5_000, 3)), rng.random(5_000) < 0.001]).astype(np.float32)
    now = np.column_stack([rng.normal(size=800), np.full(800, 0.3), rng.normal(4, 1, 800), np.zeros(800)]).astype(
        np.float32
    )
    rows = np.arange(5_800)
    drifts = measure_feature_drift(names, np.concatenate([before, now]), rows[:5_000], rows[5_000:])

    def check(*expected: str) -> dict[str, tuple[bool, dict[str, object]]]:
        found = gates.check_features(
            drifts, ["fresh"], psi=2.0, constant_share=0.999, varied_share=0.98, expected=expected
        )
        return {gate.name: (gate.passed, gate.values) for gate in found}

    silent, told = check(), check("fresh", "frozen", "shift*")
    assert [passed for passed, _ in silent.values()] == [False, False, False]
    assert silent["features_constant"][1]["names"] == "frozen"
    assert [passed for passed, _ in told.values()] == [True, True, True]


def test_lookalike_may_be_alerted_no_more_than_the_champion_alerts_it() -> None:
    def report(rate: float, *, is_fair: bool, plain: float = 0.01) -> dict[str, object]:
        return {
            "plain_alert_rate": plain,
            "rows": [{"scenario": "dormitory", "alert_rate": rate, "is_fair": is_fair}],
        }

    assert gates.check_lookalikes(report(0.02, is_fair=True), None).passed
    assert not gates.check_lookalikes(report(0.02, is_fair=False), None).passed
    assert gates.check_lookalikes(report(0.02, is_fair=False), report(0.03, is_fair=False)).passed
    assert not gates.check_lookalikes(report(0.04, is_fair=False), report(0.03, is_fair=False)).passed
    assert not gates.check_lookalikes(report(0.7, is_fair=False, plain=0.5), None).passed
    blind = gates.check_lookalikes(report(0.7, is_fair=False), report(0.0, is_fair=True), champion_recall=0.0)
    assert (blind.passed, blind.figure, blind.note) == (True, None, "no_baseline")
    assert not gates.check_lookalikes(report(0.7, is_fair=False), None, champion_recall=0.02).passed
    unlike = gates.check_lookalikes(report(0.99, is_fair=False, plain=0.95), None)
    assert (unlike.passed, unlike.figure, unlike.note) == (True, None, "unlike_simulation")


def test_verdicts_that_contradict_what_was_learned_are_refused() -> None:
    def check(n_risky: int, n_confirmed: int, auc: float) -> bool:
        channels = [("search", n_risky, n_confirmed, auc), ("live", 50, 48, 0.9)]
        return gates.check_verdicts(channels, bound=0.6, min_risky=8, auc_before=0.9).passed

    assert check(20, 18, 0.85)
    assert check(20, 18, 0.2)  # much is new, and what is known is confirmed
    assert check(20, 2, 0.85)
    assert not check(20, 2, 0.2)
    assert check(7, 0, 0.2)
    assert not check(8, 0, float("nan"))


def test_psi_is_nothing_between_halves_of_one_sample_and_much_after_a_shift() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.normal(size=20_000), rng.normal(size=20_000)
    with_gaps = np.where(rng.random(20_000) < 0.3, np.nan, other)

    assert measure_psi(one, other) < 0.01
    assert measure_psi(one, other + 1) > 0.5
    assert measure_psi(one, with_gaps) > 0.5
    assert measure_category_psi(np.array([1, 2, 2], np.uint64), np.array([1, 2, 2], np.uint64)) == pytest.approx(0)


def test_every_note_has_words_in_both_languages() -> None:
    drift = [FeatureDrift("a", 3.0, 0.5, 1.0)]
    weight = np.ones(4, np.int64)
    found = [
        gates.check_gain("ap_gain", None, margin=0, is_champion_old=False, max_loss=0),
        gates.check_gain("ap_gain", GAIN, margin=0, is_champion_old=False, max_loss=0),
        gates.check_gain("money_gain", GAIN | {"low": -1.0}, margin=0, is_champion_old=True, max_loss=0),
        *(gates.check_no_loss("money_gain", GAIN | {"gain": -0.01}, 0.0, sure_gain=sure) for sure in (0.5, 0.0)),
        *gates.check_calibration(np.full(4, 0.1), np.zeros(4, bool), weight, error=1, bias=1),
        gates.check_false_positives(
            "new_buyer_false_positives", [("x", 9, 1, 0)], judged_share=1, bound=1, min_group=1
        ),
        gates.check_false_positives("channel_false_positives", [], judged_share=1, bound=1, min_group=1),
        gates.check_alert_rate((250.0,), (100,), 1_000, bound=1, min_alerts=1, champion_alerts=(100,)),
        gates.check_alert_rate((), (), 0, bound=1, min_alerts=1, champion_alerts=()),
        *gates.check_features(drift, ["b"], psi=1, constant_share=0.9, varied_share=0.8, expected=()),
        gates.check_verdicts([("c", 9, 8, 0.9)], bound=0.5, min_risky=1, auc_before=0.9),
        gates.check_verdicts([], bound=0.5, min_risky=1, auc_before=0.9),
        gates.check_verdicts([], bound=0.5, min_risky=1, auc_before=0.4),
        gates.check_lookalikes(None, None),
        gates.check_lookalikes({"plain_alert_rate": 0.95, "rows": []}, None),
        gates.check_lookalikes({"plain_alert_rate": 0.0, "rows": []}, None, champion_recall=0.0),
        gates.check_groups([], bound=1.5),
        *(gates.check_groups([GroupRow("newcomer:app", 300, state)], bound=1.5) for state in (FEW, FAIR, OPEN, UNFAIR)),
        *(gates.check_at_most(name, 1.0, 2.0) for name in ("size_mb", "self_check", "duplicates")),
        gates.check_at_most("scoring_us", 1.0, 2.0, "this_machine"),
    ]

    for gate in found:
        plain = json.loads(json.dumps(gate.as_dict()))
        assert all(describe_gate(plain, "zh")) or not gate.note
        assert describe_gate(plain, "zh") != describe_gate(plain, "en")


N = 4_000


def draw_holdout(seed: int = 0, share: float = 0.03) -> tuple[Holdout, np.random.Generator]:
    rng = np.random.default_rng(seed)
    is_malicious = rng.random(N) < share
    return Holdout(is_malicious, np.ones(N, np.int64), np.full(N, 100), rng.integers(0, N // 2, N)), rng


def check_skill(holdout: Holdout, raw: np.ndarray, own_raw: np.ndarray | None) -> list[bool]:
    return [gate.passed for gate in gates.check_skill(raw, own_raw, holdout, GateBounds(), seed=1)]


def test_better_than_chance_and_than_own_columns_passes() -> None:
    holdout, rng = draw_holdout()
    own_raw = holdout.is_malicious + rng.normal(size=N)
    raw = own_raw + 2 * holdout.is_malicious

    assert check_skill(holdout, raw, own_raw) == [True, True]


def test_what_own_columns_tell_alone_is_no_skill_of_the_history() -> None:
    holdout, rng = draw_holdout()
    own_raw = 3 * holdout.is_malicious + rng.normal(size=N)

    assert check_skill(holdout, own_raw + 0.1 * rng.normal(size=N), own_raw) == [True, False]


def test_random_ranking_has_no_skill_in_most_of_many_draws() -> None:
    passed = []
    for seed in range(16):
        holdout, rng = draw_holdout(seed)
        passed.append(check_skill(holdout, rng.normal(size=N), rng.normal(size=N))[0])

    assert sum(passed) <= 3


def test_nothing_malicious_is_no_skill() -> None:
    holdout, rng = draw_holdout(share=0.0)

    assert check_skill(holdout, rng.normal(size=N), rng.normal(size=N)) == [False, False]


@pytest.mark.parametrize(("n_malicious", "n_orders"), [(1, 1), (1, 30), (3, 40), (20, 60), (60, 60)])
def test_chance_is_what_random_rankings_have_on_average(n_malicious: int, n_orders: int) -> None:
    rng = np.random.default_rng(4)
    label = np.arange(n_orders) < n_malicious
    ranked = rng.permuted(np.broadcast_to(label, (20_000, n_orders)), axis=1)

    precision = np.cumsum(ranked, axis=1) / np.arange(1, n_orders + 1)
    found = np.mean((precision * ranked).sum(axis=1) / n_malicious)

    assert gates.find_chance_ap(n_malicious, n_orders) == pytest.approx(found, rel=0.02)


def build_flagged(n_caught: int, n_mistaken: int) -> np.ndarray:
    """Flags on so many of the 100 malicious orders, which come first, and of the 9,900 others."""
    flags = np.zeros(10_000, bool)
    flags[:n_caught] = True
    flags[100 : 100 + n_mistaken] = True
    return flags


@pytest.mark.parametrize(
    ("new", "old", "refused_by"),
    [
        ((80, 20), (80, 20), []),
        ((60, 5), (80, 20), ["policy_recall"]),
        ((0, 0), (0, 0), ["policy_recall"]),  # nothing is flagged any more
        ((79, 300), (80, 20), ["policy_alerts"]),
        ((79, 20), (95, 1_400), []),  # a champion that alerts on 15 % of the orders is held to its riskiest
    ],
)
def test_policy_may_neither_catch_less_nor_alert_on_far_more(
    new: tuple[int, int], old: tuple[int, int], refused_by: list[str]
) -> None:
    is_malicious = np.arange(10_000) < 100
    champion_raw = np.where(build_flagged(*old), 1.0, 0.0)
    holdout = Holdout(is_malicious, np.ones(10_000, np.int64), np.ones(10_000, np.int64), np.arange(10_000))

    found = gates.check_policy(
        build_flagged(*new), build_flagged(*old), champion_raw, holdout, max_recall_loss=0.02, alerts_times=1.5
    )

    assert [gate.name for gate in found if not gate.passed] == refused_by


PACE = gates.Pace(as_of_us=1_764_547_200_000_000, n_malicious=40, n_days=10.0)  # 2025-12-01


def test_gain_that_is_not_beyond_noise_is_undecided_with_a_date_and_a_loss_is_decided() -> None:
    undecided, loss, won = (
        gates.check_gain(
            "ap_gain", GAIN | {"gain": gain, "low": low}, margin=0.0, is_champion_old=False, max_loss=0.0, pace=PACE
        )
        for gain, low in ((0.1, -0.05), (-0.1, -0.2), (0.1, 0.05))
    )

    assert [(each.passed, each.is_decided) for each in (undecided, loss, won)] == [
        (False, False), (False, True), (True, True),
    ]  # fmt: skip
    # an interval half as long again as the gain takes two and a quarter times the orders: 50 more, in 13 days
    assert (undecided.values["more"], undecided.values["by"]) == (51, "2025-12-14")


@pytest.mark.parametrize(
    ("gain", "high", "sure_gain", "passed", "is_decided"),
    [
        (0.01, 0.1, -0.1, True, True),
        (0.01, 0.1, 0.5, True, True),
        (-0.01, 0.1, 0.0, False, False),
        (-0.2, -0.1, 0.0, False, True),
        (-0.01, 0.1, 0.02, True, True),
        (-0.03, 0.1, 0.02, False, False),
        (-0.2, -0.1, 0.3, False, True),
    ],
)
def test_loss_within_noise_passes_where_as_much_is_surely_gained_and_is_undecided_elsewhere(
    gain: float, high: float, *, sure_gain: float, passed: bool, is_decided: bool
) -> None:
    gate = gates.check_no_loss("money_gain", GAIN | {"gain": gain, "high": high}, 0.0, PACE, sure_gain=sure_gain)

    assert (gate.passed, gate.is_decided) == (passed, is_decided)
    assert gate.figure == (high if gain < 0 and sure_gain >= -gain else gain)


@pytest.mark.parametrize(
    ("new", "old", "passed", "is_decided"),
    [(60, 80, False, True), (76, 80, False, False), (79, 80, True, True), (0, 0, False, True)],
)
def test_recall_that_is_lost_within_noise_is_undecided(new: int, old: int, *, passed: bool, is_decided: bool) -> None:
    ones = np.ones(10_000, np.int64)
    holdout = Holdout(np.arange(10_000) < 100, ones, ones, np.arange(10_000))

    caught, _ = gates.check_policy(
        build_flagged(new, 0), build_flagged(old, 0), np.zeros(10_000), holdout, max_recall_loss=0.02, alerts_times=1.5,
        pace=PACE,
    )  # fmt: skip

    assert (caught.passed, caught.is_decided) == (passed, is_decided)
    assert bool(describe_gate(caught.as_dict(), "en")[1].count("not decided")) is not is_decided


@pytest.mark.parametrize("lift", [0.2, -0.3])
def test_skill_that_is_not_beyond_noise_is_undecided_and_none_is_decided(lift: float) -> None:
    is_malicious, rng = np.arange(300) < 6, np.random.default_rng(0)
    holdout = Holdout(is_malicious, np.ones(300, np.int64), np.ones(300, np.int64), np.arange(300))

    found = gates.check_skill(
        rng.random(300) + lift * is_malicious, rng.random(300), holdout, GateBounds(), seed=1, pace=PACE
    )

    assert [(gate.passed, gate.is_decided) for gate in found] == [(False, lift < 0)] * 2


def test_drifted_features_count_where_scores_drift_too() -> None:
    drift = [FeatureDrift("buyer__age__order", 3.0, 0.1, 0.1)]
    bounds = {"psi": 2.0, "constant_share": 0.999, "varied_share": 0.98, "expected": ()}

    stays, moves = (
        gates.check_features(drift, [], **bounds, score_psi=psi, score_drift=0.25)[-1] for psi in (0.1, 0.3)
    )

    assert (stays.passed, stays.note, moves.passed) == (True, "scores_stay", False)


@pytest.mark.parametrize(("n_alerts", "passed"), [(20, True), (28, True), (29, False)])
def test_unfair_look_alike_counts_where_the_champion_alerts_it_less(n_alerts: int, passed: bool) -> None:
    row = {"scenario": "family", "is_fair": False, "alert_rate": n_alerts / 1_000, "n_orders": 1_000}

    gate = gates.check_lookalikes(
        {"plain_alert_rate": 0.01, "rows": [row]}, {"plain_alert_rate": 0.01, "rows": [row | {"alert_rate": 0.02}]}
    )

    assert gate.passed is passed


def test_calibration_that_the_champion_has_less_of_is_no_reason_to_keep_the_champion() -> None:
    is_malicious, weight = np.arange(1_000) < 100, np.ones(1_000, np.int64)
    p, worse = np.full(1_000, 0.2), np.full(1_000, 0.6)

    alone = gates.check_calibration(p, is_malicious, weight, error=0.01, bias=0.1)
    beside = gates.check_calibration(p, is_malicious, weight, error=0.01, bias=0.1, champion_p=worse)

    assert [gate.passed for gate in alone] == [False, False]
    assert [gate.passed for gate in beside] == [True, True]


def test_surely_skilled_model_that_beats_the_champion_need_not_gain_by_its_history() -> None:
    is_malicious = np.arange(2_000) < 60
    holdout = Holdout(is_malicious, np.ones(2_000, np.int64), np.ones(2_000, np.int64), np.arange(2_000))
    perfect, dull = is_malicious * 1.0, np.random.default_rng(1).random(2_000) + 0.12 * is_malicious

    free, no_better, bound = (
        gates.check_skill(raw, raw, holdout, GateBounds(), seed=1, beats_champion=is_better)[1]
        for raw, is_better in ((perfect, True), (perfect, False), (dull, True))
    )

    assert [gate.name for gate in (free, no_better, bound)] == ["history_gain"] * 3
    assert [gate.passed for gate in (free, no_better, bound)] == [True, False, False]


@pytest.mark.parametrize("slope", [-0.04, 0.05])
def test_trend_of_scores_is_what_the_riskiest_tenth_moves_a_day(slope: float) -> None:
    rng, n = np.random.default_rng(6), 12_000
    day = rng.integers(0, 28, n)
    raw = rng.gumbel(size=n) - 4 + slope * day

    assert find_trend(raw, day) == pytest.approx(slope, abs=0.01)


def test_trend_is_that_of_most_days_where_malice_comes_in_a_burst() -> None:
    rng, n = np.random.default_rng(8), 12_000
    day = rng.integers(0, 28, n)
    raw = rng.gumbel(size=n) - 4 - 0.04 * day

    assert find_trend(np.where(day >= 25, raw + 3, raw), day) == pytest.approx(-0.04, abs=0.02)


def test_trend_of_a_few_days_is_none() -> None:
    rng, n = np.random.default_rng(7), 4_000
    raw, day = rng.normal(size=n), rng.integers(0, 28, n)

    assert find_trend(raw, day) == pytest.approx(0.0, abs=0.01)
    assert find_trend(raw + day, day % 6) == 0.0
    assert find_trend(raw[:1], day[:1]) == 0.0
