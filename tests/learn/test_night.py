"""A night from end to end: deterministic, done once, taken over, refused with nothing changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np
import pytest

import crash_retrain
from night_settings import AS_OF_US, LENIENT
from ordervet.errors import ModelError
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.learn import challenger, promotion, records
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.groups import find_groups
from ordervet.learn.labels import DAY_US
from ordervet.learn.night import PROMOTED, REFUSED, RESCALED, WAITING, WOULD_PROMOTE, run_night
from ordervet.learn.night_metrics import build_metrics
from ordervet.learn.night_settings import GateBounds, NightSettings
from ordervet.learn.ranking import Holdout
from ordervet.learn.rings import Rings
from ordervet.learn.training_data import Plan, TrainingData
from ordervet.learn.trial import (
    Parts,
    _check_verdicts,
    _find_checked,
    _find_money_rate,
    _find_since_campaign,
    _take_holdout,
    predict_ahead,
    split_parts,
)
from ordervet.model import (
    Curve,
    ForestPredictor,
    find_live_model,
    list_models,
    load_model,
    load_starter,
    promote_model,
    rollback_model,
    save_model,
)
from ordervet.policy import load_policy
from ordervet.reports.nightly import build_nightly_page

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.entities import Key
    from ordervet.features import FeatureSpec
    from ordervet.learn.gates import Gate
    from ordervet.learn.night import Night
    from ordervet.model import Model

UNTOLD = LENIENT.model_copy(update={"gates": LENIENT.gates.model_copy(update={"expected": (), "drift": 1e3})})
STRICT = LENIENT.model_copy(update={"gates": LENIENT.gates.model_copy(update={"max_model_mb": 1e-6})})


@pytest.fixture
def night(night_history: Path, night_key: Key, spec: FeatureSpec, tmp_path: Path):
    """Run a night on the models of a folder of the test's own."""

    def run(
        days_later: int = 0,
        *,
        settings: NightSettings = LENIENT,
        models: Path = tmp_path / "models",
        spec: FeatureSpec = spec,
        **more: Any,
    ) -> Night:
        history = History.open(night_history, night_key)
        slices = HistorySlices.open(history, until_us=AS_OF_US + days_later * DAY_US)
        return run_night(slices, models, spec, settings=settings, about={"is_simulated": True}, **more)

    return run


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("days", [365, -365], ids=["forward", "back"])
def test_night_by_a_clock_that_jumped_a_year_changes_nothing(night, tmp_path: Path, days: int) -> None:
    models = tmp_path / "models"
    assert night().outcome == PROMOTED
    before = read_all(find_live_model(models))

    jumped = night(days)

    assert jumped.outcome == WAITING
    assert [each["what"] for each in jumped.record["missing"]] == ["newest_orders"]
    assert read_all(find_live_model(models)) == before
    assert night(1).outcome == PROMOTED


@pytest.mark.usefixtures("fits_on_threads")
def test_artefact_is_the_same_bytes_on_one_and_on_two_threads(night, tmp_path: Path) -> None:
    one = night(models=tmp_path / "one", n_threads=1)
    two = night(models=tmp_path / "two", n_threads=2)

    model_id = one.record["model_id"]
    assert model_id == two.record["model_id"]
    assert read_all(tmp_path / "one" / model_id) == read_all(tmp_path / "two" / model_id)


def test_same_night_twice_does_nothing_new(night, tmp_path: Path) -> None:
    first = night()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "models").rglob("*")}

    again = night()

    assert (first.outcome, first.was_done) == (PROMOTED, False)
    assert (again.outcome, again.was_done) == (PROMOTED, True)
    assert again.record == first.record
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "models").rglob("*")} == before


def test_next_night_makes_another_model_and_notes_which_one_it_replaced(night, tmp_path: Path) -> None:
    first, second = night(), night(1)

    assert second.record["champion_id"] == first.record["model_id"]
    assert find_live_model(tmp_path / "models").name == second.record["model_id"]
    assert [each.fault for each in list_models(tmp_path / "models")] == ["", "", ""]  # the starter among them


def test_refusal_keeps_what_serves_and_says_why(night, tmp_path: Path) -> None:
    serving = night().record["model_id"]

    refused = night(1, settings=STRICT)

    assert refused.outcome == REFUSED
    assert find_live_model(tmp_path / "models").name == serving
    failed = [gate for gate in refused.record["gates"] if not gate["passed"]]
    assert [gate["name"] for gate in failed] == ["size_mb"]
    manifest = load_model(tmp_path / "models" / refused.record["model_id"]).metrics["gates"]
    assert [gate["name"] for gate in manifest if not gate["passed"]] == ["size_mb"]
    assert all({"figure", "bound"} <= gate.keys() for gate in manifest)


def test_refusal_rescales_the_thresholds_of_what_serves_and_not_its_ranking(night, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first = load_model(models / night().record["model_id"])
    stale = replace(first, risk_scale=Curve(first.risk_scale.x - 3, first.risk_scale.y))
    promote_model(models, save_model(stale, models, card="card").name)
    told = STRICT.gates.model_copy(update={"alert_rate_change": 0.1, "min_alerts": 20, "alert_scores": (100.0,)})

    rescaled = night(1, settings=STRICT.model_copy(update={"gates": told}))
    contaminated = night(
        2,
        settings=STRICT.model_copy(
            update={"gates": told.model_copy(update={"expected": (), "drift": 1e-6, "score_drift": 0.0})}
        ),
    )

    assert (rescaled.outcome, contaminated.outcome) == (RESCALED, REFUSED)
    serves = load_model(find_live_model(models))
    assert serves.model_id == rescaled.record["serve_id"]
    assert serves.booster_text == stale.booster_text
    assert serves.risk_scale.to_lists() != stale.risk_scale.to_lists()


def test_merchants_own_features_are_nothing_new_beside_the_starter(night, spec: FeatureSpec) -> None:
    own = replace(spec, names=(*spec.names, "terminal__count__order__1d"), entities=(*spec.entities, "terminal"))

    first = night(spec=own, settings=UNTOLD)

    new = next(gate for gate in first.record["gates"] if gate["name"] == "features_new")
    assert first.record["is_starter"]
    assert (new["passed"], new["figure"]) == (True, 0.0)


def test_champion_of_other_features_is_measured_and_told(
    night, spec: FeatureSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weigh_both(_known: object, _later: object, rounds: tuple[int, ...], _slope: float) -> challenger.Blend:
        return challenger.Blend(1.0, 1.0, 0.5, rounds[-1], 0.5, 0.4)

    monkeypatch.setattr(challenger, "find_blend", weigh_both)  # with own trees, whatever they gain on so few orders
    more = replace(spec, names=(*spec.names, "terminal__count__order__1d"), entities=(*spec.entities, "terminal"))
    left_out = ("device__", "buyer__count__order__90d")
    fewer = replace(spec, names=tuple(name for name in spec.names if not name.startswith(left_out)))

    first = night(spec=more)
    second = night(1, spec=fewer)
    third = night(2, spec=spec, settings=UNTOLD)

    assert second.record["champion_id"] == first.record["model_id"]
    before, after = (load_model(tmp_path / "models" / each.record["model_id"]).spec.names for each in (first, second))
    gone = [name for name in before if name not in after]
    assert second.record["features_gone"] == gone
    assert "terminal__count__order__1d" in gone
    assert set(fewer.names) <= set(after)
    new_buyers = next(gate for gate in second.record["gates"] if gate["name"] == "new_buyer_false_positives")
    assert new_buyers["figure"] is not None
    assert "terminal__count__order__1d" in (second.folder / "report.en.html").read_text()
    new = next(gate for gate in third.record["gates"] if gate["name"] == "features_new")
    unheard = set(spec.names) - set(fewer.names) - set(load_starter().spec.names)
    assert (new["passed"], new["figure"]) == (False, len(unheard))
    assert third.record["features_gone"] == []


def test_night_on_a_damaged_live_model_tells_it_and_takes_its_place(night, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first, second = night(), night(1)
    (models / second.record["model_id"] / "model.txt").write_text("tree")

    third = night(2)

    assert third.record["champion_id"] == first.record["model_id"]
    assert [second.record["model_id"] in fault for fault in third.record["champion_faults"]] == [True]
    assert "damaged" in (third.folder / "report.en.html").read_text()
    assert third.outcome == PROMOTED
    assert find_live_model(models).name == third.record["model_id"]


def test_money_is_measured_with_room_for_all_malice() -> None:
    def find(share: float) -> float:
        is_malicious, ones = np.arange(1_000) < 1_000 * share, np.ones(1_000, np.int64)
        return _find_money_rate(Holdout(is_malicious, ones, ones, np.arange(1_000)), GateBounds())

    assert find(0.004) == 0.02
    assert find(0.04) == pytest.approx(0.05)


def test_new_malice_is_no_contradiction_and_flipped_verdicts_are() -> None:
    rng = np.random.default_rng(2)
    n = 400
    raw = np.concatenate([rng.normal(2, 0.1, n // 16), rng.normal(-2, 0.1, n - n // 16)])
    is_known = np.arange(n) < n // 16  # what it finds risky
    is_new = ~is_known & (np.arange(n) % 5 < 3)
    flipped = ~is_known

    def check(is_malicious: np.ndarray, *, auc_before: float = 0.9) -> Gate:
        plan = Plan(
            np.arange(n), is_malicious.astype(np.int8), is_malicious.astype(np.int8), np.zeros(n, np.int64),
            np.ones(n, np.int64), np.ones(n), np.ones(n, bool),
        )  # fmt: skip
        ones = np.ones(n, np.int64)
        material = TrainingData(
            plan, raw[:, None].astype(np.float32), ones, ones, ones, ones.astype(np.uint64), ones, ones, ones, ones
        )
        champion = Mock(predict=lambda _, rows, __: raw[rows])
        champion.model.risk_scale = lambda scores: np.where(scores > 0, 600.0, 100.0)
        return _check_verdicts(
            champion,
            material,
            np.arange(n),
            LENIENT.model_copy(update={"gates": GateBounds()}),
            1,
            auc_before=auc_before,
        )

    told = [check(is_malicious) for is_malicious in (is_known, is_known | is_new, flipped)]

    assert [gate.passed for gate in told] == [True, True, False]
    assert check(flipped, auc_before=0.55).passed


def test_offsets_of_own_lookalikes_are_what_separates_two_models_that_differ_in_them(
    night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn(by: float) -> Model:
        monkeypatch.setattr(promotion, "OFFSET_GROUPS", ("wholesale", "newcomer"))
        monkeypatch.setattr(promotion, "find_offsets", lambda groups, *_, **__: dict.fromkeys(groups, by) if by else {})
        models = tmp_path / f"by-{by}"
        return load_model(models / night(models=models).record["model_id"])

    lax, strict = learn(0.0), learn(-0.7)

    offsets = strict.origin["offsets"]
    assert (lax.origin["offsets"], lax.spec.names) == ({}, strict.spec.names)
    assert offsets
    rng = np.random.default_rng(1)
    features = rng.choice(np.array([np.nan, 0, 1, 3, 9], np.float32), (500, len(strict.spec.names)))
    groups = find_groups(strict.spec.names, features, np.full(500, ""))
    raw = ForestPredictor(lax.booster_text).predict_raw(features)
    expected = raw + sum(by * groups[name] for name, by in offsets.items())
    np.testing.assert_allclose(ForestPredictor(strict.booster_text).predict_raw(features), expected, rtol=0, atol=1e-9)


def test_model_without_skill_does_not_serve(night, tmp_path: Path) -> None:
    asked = LENIENT.gates.model_copy(update={"chance_times": 50.0, "history_margin": 0.9})

    refused = night(settings=LENIENT.model_copy(update={"gates": asked}))

    assert refused.outcome == REFUSED
    failed = [gate["name"] for gate in refused.record["gates"] if not gate["passed"]]
    assert failed == ["skill", "history_gain"]
    assert find_live_model(tmp_path / "models").name == refused.record["starter_id"]


def test_dry_run_writes_nothing(night, tmp_path: Path) -> None:
    told = night(dry_run=True)

    assert told.outcome == WOULD_PROMOTE
    assert not (tmp_path / "models").exists()


def test_run_that_died_after_the_replay_is_taken_over(night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "fit_challenger", die)
        with pytest.raises(KeyboardInterrupt):
            night()
    steps: list[str] = []

    ended = night(report_step=steps.append)

    assert "resuming a run that died" in steps
    assert not any(step.startswith("replaying") for step in steps)
    whole = night(models=tmp_path / "other")
    assert ended.record["model_id"] == whole.record["model_id"]


def test_damaged_checkpoint_is_not_taken_over(night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "fit_challenger", die)
        with pytest.raises(KeyboardInterrupt):
            night()
    (found,) = (tmp_path / "models" / records.NIGHTS).glob("*/work/features.npy")
    found.write_bytes(found.read_bytes()[:-9] + b"\x01" * 9)
    steps: list[str] = []

    night(report_step=steps.append)

    assert any(step.startswith("replaying") for step in steps)


def test_run_that_died_after_the_decision_is_carried_out(
    night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ordervet.learn.night.promote_model", die)
        with pytest.raises(KeyboardInterrupt):
            night()
    assert not (tmp_path / "models" / "live").exists()
    (decision,) = (tmp_path / "models" / "nights").glob("*/decision.json")
    (decision.parent / ".report.zh.html.1.part").touch()

    ended = night()

    assert ended.outcome == PROMOTED
    assert not list(decision.parent.glob(".*"))
    assert find_live_model(tmp_path / "models").name == ended.record["model_id"]


def test_second_retrain_at_once_is_told_to_wait(night, tmp_path: Path) -> None:
    with records.hold_night_lock(tmp_path / "models"), pytest.raises(ModelError, match="another retrain is running"):
        night()


def test_starter_serves_with_the_merchants_own_scale_while_there_is_too_little_to_learn_from(
    night, tmp_path: Path
) -> None:
    waiting, next_day = night(-105), night(-104)

    assert (waiting.outcome, next_day.outcome) == (WAITING, WAITING)
    assert [each["what"] for each in waiting.record["missing"]] == ["malicious"]
    assert waiting.record["missing"][0]["have"] < waiting.record["missing"][0]["need"]
    assert waiting.record["gates"] == []
    serves = load_model(find_live_model(tmp_path / "models"))
    starter = load_starter()
    assert serves.model_id == waiting.record["starter_id"] == next_day.record["champion_id"]
    assert serves.booster_text == starter.booster_text
    assert serves.calibration.y.tolist() == starter.calibration.y.tolist()
    assert serves.calibration.x.tolist() == (starter.calibration.x + serves.origin["shift"]).tolist()
    assert serves.risk_scale.to_lists() != starter.risk_scale.to_lists()
    for lang, said in (("zh", "可学习的数据还不够"), ("en", "too little to learn from")):
        assert said in (waiting.folder / f"report.{lang}.html").read_text()
    assert "ordervet_retrain_waiting 1.0" in build_metrics(waiting.record, is_dry_run=False)


def test_first_model_replaces_the_starter_which_a_rollback_brings_back(night, tmp_path: Path) -> None:
    models = tmp_path / "models"
    waiting, first = night(-105), night()

    assert first.outcome == PROMOTED
    assert first.record["champion_id"] == waiting.record["starter_id"]
    assert first.record["champion_metrics"]["ap"] is not None
    assert rollback_model(models) == waiting.record["starter_id"]
    assert rollback_model(models) == load_starter().model_id


def test_first_night_promotes_over_the_starter_and_can_go_back_to_it(night, tmp_path: Path) -> None:
    first = night()

    assert first.record["is_starter"]
    promoted, starter = load_model(find_live_model(tmp_path / "models")), load_starter()
    assert promoted.model_id not in (starter.model_id, first.record["starter_id"])
    assert (promoted.claims is None) == bool(set(starter.spec.names) - set(promoted.spec.names))
    assert rollback_model(tmp_path / "models") == first.record["starter_id"] == first.record["champion_id"]


def test_new_model_alerts_no_more_than_the_malice_there_is_takes(night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "find_offsets", lambda *_, **__: {})  # they follow the policy, and move the ranking
    greedy = load_policy()
    greedy = greedy.model_copy(update={"bands": greedy.bands.model_copy(update={"elevated": 1e-4, "high": 1e-3})})

    plain, held = night(dry_run=True).record, night(dry_run=True, policy=greedy).record

    most = held["origin"]["most_alerts"]
    found = {gate["name"]: gate["figure"] for gate in held["gates"]}
    assert plain["origin"]["shift"] == 0.0
    assert held["origin"]["shift"] > 1.0
    share = held["metrics"]["n_malicious"] / held["metrics"]["n_orders"]  # the held-out days have malice of their own
    assert 0 < found["policy_alerts"] <= 1.5 * max(most, FLAGS_PER_MALICIOUS * share) < 0.2, (most, share)
    assert held["metrics"]["ap"] == plain["metrics"]["ap"]


def test_sampled_night_keeps_totals(night) -> None:
    few = LENIENT.model_copy(update={"learning": LENIENT.learning.model_copy(update={"max_rows": 1_500})})

    whole, sampled = night(dry_run=True), night(dry_run=True, settings=few)

    assert sampled.record["counts"]["train"] < whole.record["counts"]["train"]
    for name in ("n_labelled", "n_fitted", "n_malicious"):
        assert sampled.record["origin"][name] == pytest.approx(whole.record["origin"][name], rel=0.02)
    assert sampled.record["origin"]["n_labelled"] == whole.record["origin"]["n_labelled"]


def test_page_and_metrics_are_whole_and_without_personal_data(night) -> None:
    record = night().record
    plain = json.loads(json.dumps(record, allow_nan=False))

    pages = [build_nightly_page(plain, lang=lang) for lang in ("zh", "en")]
    metrics = build_metrics(plain, is_dry_run=False)

    for page in pages:
        assert record["model_id"] in page
        assert "模拟数据" in page or "simulated data" in page
        assert "<svg" in page
        assert "新团伙" in page or "New rings" in page
    trust = plain["metrics"]["trust"]
    assert trust is None or trust["upper"][0] > trust["share"][0]
    ours, theirs = (plain[which]["rings"] for which in ("metrics", "champion_metrics"))
    assert [row["n_rings"] for row in ours] == [row["n_rings"] for row in theirs]
    assert 0 < ours[0]["n_rings"] <= plain["metrics"]["n_malicious"]
    assert 'ordervet_retrain_gate_passed{gate="self_check"} 1.0' in metrics
    assert all(line.startswith(("#", "ordervet_retrain_")) for line in metrics.splitlines())


def test_killed_retrain_leaves_what_serves_and_the_next_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_retrain, "N_FULL_DISKS", 1)

    assert "1 full disks" in crash_retrain.run(2, 1)


@pytest.mark.parametrize("per_day", [-0.05, 0.05])
def test_falling_scores_look_ahead_by_quiet_days_however_long_a_campaign_lies_between(per_day: float) -> None:
    """Five loud days before the last five quiet ones change no bit of what the scores will be; rising ones stay."""
    rng, day = np.random.default_rng(1), np.repeat(np.arange(20), 400)
    raw = rng.normal(size=len(day)) + per_day * day
    contender = Mock(predict=lambda _, rows, __: raw[rows])
    everyone, nobody = np.arange(len(day)), np.zeros(0, np.int64)

    def look_ahead(gap: int) -> np.ndarray:
        on = day + gap * (day >= 15)
        parts = Parts(*[nobody] * 9, quiet_days=np.unique(on) * DAY_US)
        return predict_ahead(contender, Mock(seen_at=on * DAY_US + 7), parts, everyone, everyone, 25, 1)

    found = look_ahead(0)

    np.testing.assert_array_equal(look_ahead(5), found)
    moved = found - raw
    np.testing.assert_allclose(moved, moved[0] * (25 - day) / 25, rtol=1e-9)
    assert moved[0] == pytest.approx(min(per_day, 0.0) * 25, rel=0.2)


def test_orders_of_a_ring_stand_or_fall_together_and_others_with_their_buyer() -> None:
    buyer, number = np.array([0, 0, 1, 2, 3, 3]), np.array([-1, -1, 3, 3, -1, 5])
    data = Mock(
        buyer=buyer,
        plan=Mock(label=(number >= 0).astype(np.int8), weight=np.ones(6, np.int64)),
        amount_minor=np.ones(6, np.int64),
    )
    nothing = np.zeros(6)

    def take(rows: list[int]) -> list[int]:
        rings = Rings(number, nothing, nothing)
        return _take_holdout(data, np.array(rows), rings).unit.tolist()

    assert take([0, 1, 2, 3, 4, 5]) == [0, 0, 2, 2, 1, 3]
    assert take([5, 2, 3]) == [1, 0, 0]


@pytest.mark.parametrize(
    ("loud", "checked", "before"),
    [
        ([], [-3, -2, -1], [-6, -5, -4]),
        ([-6], [-2, -1], [-5, -4, -3]),
        ([-4], [-1], [-3, -2]),
        ([-3], [-1], [-2]),
        ([-2], [], [-1]),
        ([-1], [], []),
        ([-6, -1], [], []),
    ],
)
def test_alert_rate_is_checked_on_days_since_the_last_campaign(
    loud: list[int], checked: list[int], before: list[int]
) -> None:
    days = list(range(-6, 0))

    since = _find_since_campaign(days, [each for each in days if each not in loud])

    assert _find_checked(since, 3) == (checked, before)


@pytest.mark.parametrize(("a_day", "n_scaled"), [(2_500, 1), (600, 7)])
def test_risk_score_is_made_of_days_since_a_campaign_once_they_hold_orders_enough(a_day: int, n_scaled: int) -> None:
    per_day = np.full(14, a_day)
    per_day[-2] = 4 * a_day
    seen_at = np.repeat(np.arange(-14, 0), per_day) * DAY_US
    n = len(seen_at)
    label, ones = (np.arange(n) % 20 == 0).astype(np.int8), np.ones(n, np.int64)
    plan = Plan(np.arange(n), label, label, ones, ones, np.ones(n), np.ones(n, bool))
    data = TrainingData(
        plan, np.zeros((n, 1), np.float32), seen_at, ones, ones, ones.astype(np.uint64), ones, ones, ones, ones
    )

    parts = split_parts(data, as_of_us=0, settings=NightSettings())

    days = np.unique(seen_at[parts.scale]) // DAY_US
    assert days.tolist() == [day for day in range(-9, 0) if day != -2][-n_scaled:]
    assert len(parts.check) == 0  # a day alone since then: nothing to make a score of and nothing to check it on


def test_early_labels_that_are_held_out_are_newer_than_all_that_is_learned_from() -> None:
    n = 6_000
    age = np.arange(n)[::-1] / n * 60
    share = np.where(age >= 30, 1.0, age / 31)
    label = np.where(np.arange(n) % 20 == 0, 1, 0).astype(np.int8)
    ones, seen_at = np.ones(n, np.int64), (-age * DAY_US).astype(np.int64)
    plan = Plan(np.arange(n), label, label, ones, ones, share, np.ones(n, bool))
    data = TrainingData(
        plan, np.zeros((n, 1), np.float32), seen_at, ones, ones, ones.astype(np.uint64), ones, ones, ones, ones
    )

    parts = split_parts(data, as_of_us=0, settings=NightSettings())
    few = split_parts(
        replace(data, plan=replace(plan, label=label * (age >= 29))), as_of_us=0, settings=NightSettings()
    )

    assert seen_at[parts.early].min() > seen_at[parts.train].max() > seen_at[parts.holdout].max()
    assert (share[parts.early] >= 0.25).all()
    assert (share[parts.holdout] == 1).all()
    assert label[parts.early].sum() == label[(share < 1) & (share >= 0.25)].sum() // 3
    assert len(few.early) == 0
    assert (share[few.train] == 1).all()
